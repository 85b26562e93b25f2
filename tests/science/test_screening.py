"""Screening: every frame is accurate, rejected with its reason, or a candidate."""

import numpy as np

from lizrcl_flows.documents import Offence
from lizrcl_flows.documents.spec import ScreeningSpec
from lizrcl_flows.science.screening import (
    Judged,
    count_rejections,
    eps_statistics,
    lower_threshold,
    screen_frames,
    screening_note,
)

SPEC = ScreeningSpec(eps_lo=0.3, eps_hi=3.0, decorrelation_fs=50.0)
CONTACT = Offence(quantity="distance_a", value=1.0, threshold=1.6, atoms=(0, 1), species=("Li", "Cl"))


def frame(number, eps, *, run=0, structure=None, time=None):
    return Judged(run, number, 10.0 * number if time is None else time, eps, structure or f"str_{run}_{number}")


def screen(frames, known=(), close=()):
    return screen_frames(frames, SPEC, set(known), lambda f: CONTACT if (f.run, f.frame) in close else None)


def test_frames_below_eps_lo_are_accurate_and_not_looked_at_again():
    def never(_):
        raise AssertionError("an accurate frame was examined")

    doubtful, n_accurate = screen_frames([frame(0, 0.1), frame(1, 0.29999)], SPEC, set(), never)
    assert (doubtful, n_accurate) == ([], 2)


def test_each_filter_names_its_reason_and_the_offending_value():
    frames = [frame(0, 5.0), frame(10, 1.0), frame(20, 0.9), frame(21, 0.8), frame(30, 0.7), frame(40, float("nan"))]
    doubtful, _ = screen(frames, known=["str_0_30"], close={(0, 10)})
    reasons = {f.frame: f.reason for f in doubtful}
    assert reasons == {
        0: "eps above eps_hi",
        10: "atoms too close",
        20: "",
        21: "too close in time",
        30: "structure already known",
        40: "eps above eps_hi",
    }
    by_frame = {f.frame: f.offence for f in doubtful}
    assert by_frame[0] == Offence(quantity="eps_ev_per_a", value=5.0, threshold=3.0)
    assert by_frame[10] == CONTACT
    assert by_frame[21] == Offence(quantity="separation_fs", value=10.0, threshold=50.0)


def test_of_correlated_frames_the_most_uncertain_stays_and_runs_do_not_mix():
    doubtful, _ = screen([frame(0, 0.4), frame(1, 0.9), frame(2, 0.5), frame(1, 0.6, run=1)])
    assert [(f.run, f.frame) for f in doubtful if not f.reason] == [(0, 1), (1, 1)]


def test_a_rejected_frame_does_not_shadow_its_neighbours():
    doubtful, _ = screen([frame(0, 2.9), frame(1, 0.5)], close={(0, 0)})
    assert [f.frame for f in doubtful if not f.reason] == [1]


def test_the_same_structure_twice_is_one_candidate():
    doubtful, _ = screen([frame(0, 0.5, structure="str_x"), frame(9, 0.5, structure="str_x")])
    assert [f.reason for f in doubtful] == ["", "structure already known"]


def test_counts_add_up():
    frames = [frame(i, eps) for i, eps in enumerate(np.linspace(0, 4, 60))]
    doubtful, n_accurate = screen(frames)
    rejected = sum(count.count for count in count_rejections(doubtful))
    assert n_accurate + rejected + sum(not f.reason for f in doubtful) == 60


def test_statistics_leave_out_what_is_not_finite():
    assert eps_statistics(np.array([0.1, 0.5, np.nan, np.inf, 0.3])) == (0.5, 0.3)
    assert eps_statistics(np.array([np.nan])) == (None, None)


ADAPTIVE = ScreeningSpec(mode="adaptive", candidate_rate=0.1, n_candidates_min=3, eps_lo=0.3, eps_hi=3.0)


def above(eps, threshold):
    return int((np.asarray(eps) >= threshold).sum())


def test_the_fixed_threshold_is_that_of_the_file():
    assert lower_threshold(np.array([0.01, 5.0, np.nan]), SPEC) == 0.3


def test_the_adaptive_threshold_is_lowered_until_the_asked_share_lies_above():
    eps = np.random.default_rng(0).permutation(np.linspace(0.001, 0.2, 200))
    threshold = lower_threshold(eps, ADAPTIVE)
    assert above(eps, threshold) == 20
    assert lower_threshold(eps[::-1], ADAPTIVE) == threshold


def test_the_adaptive_threshold_leaves_the_asked_number_at_least():
    assert (
        above([0.01, 0.02, 0.03, 0.04, 0.05], lower_threshold(np.array([0.01, 0.02, 0.03, 0.04, 0.05]), ADAPTIVE)) == 3
    )
    assert lower_threshold(np.array([0.01, 0.02]), ADAPTIVE) == 0.01


def test_the_adaptive_threshold_is_never_raised():
    assert lower_threshold(np.linspace(0.0, 1.0, 100), ADAPTIVE) == 0.3


def test_frames_beyond_eps_hi_are_no_part_of_the_share():
    eps = np.concatenate([np.linspace(0.001, 0.2, 100), [9.0] * 900, [np.nan, np.inf]])
    assert above(eps[:100], lower_threshold(eps, ADAPTIVE)) == 10
    assert lower_threshold(np.array([9.0, np.inf]), ADAPTIVE) == 0.3


def test_frames_of_equal_eps_fall_on_the_same_side():
    assert above([0.1] * 50, lower_threshold(np.array([0.1] * 50), ADAPTIVE)) == 50


def note(eps, spec=SPEC, close=()):
    frames = [frame(10 * number, value) for number, value in enumerate(eps)]
    eps_lo = lower_threshold(np.array(eps), spec)
    doubtful, _ = screen_frames(frames, spec, set(), lambda f: CONTACT if f.frame in close else None, eps_lo)
    return screening_note(len(frames), doubtful, spec, eps_lo)


def test_thresholds_that_do_their_work_need_no_words():
    assert note([0.1, 0.5, 1.0]) == ""


def test_thresholds_that_select_nothing_or_everything_are_spoken_of():
    assert note([]) == "no frame was explored"
    assert note([0.1, 0.2]) == "all 2 explored frames have eps < 0.3 eV/A: there is nothing to label"
    assert note([0.1, 4.0, 0.5], close=[20]) == (
        "none of the 2 frames with eps >= 0.3 eV/A is a candidate: 1 eps above eps_hi, 1 atoms too close"
    )
    assert note([0.4, 0.5]).startswith("all 2 explored frames have eps >= 0.3 eV/A: the committee knows none of them")
    lowered = note([*np.linspace(0.01, 0.2, 100)], ADAPTIVE)
    assert lowered == "eps_lo was lowered from 0.3 to 0.183 eV/A for enough candidates"
