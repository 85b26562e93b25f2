"""Hops against planted ones: jumpers on a lattice, vibrators that go nowhere, and where and when hops happen."""

import numpy as np
import pytest

from lizrcl_flows.errors import InputError
from lizrcl_flows.science.motion.hop_maps import hop_map
from lizrcl_flows.science.motion.hops import hop_rates
from lizrcl_flows.science.motion.regional_hops import regional_hops
from lizrcl_flows.science.motion.vibration import false_hop_rate

DT_PS = 10.0
SITE_A = 3.6


def jumpers(rng, d_a2_ps, sd_a, n_ions=200, n_frames=400):
    """Walk on a cubic lattice with D = length^2 x rate / 6, vibrating; also the number of jumps per ion and ns."""
    n = rng.poisson(6 * d_a2_ps / SITE_A**2 * DT_PS, (n_frames - 1, n_ions))
    steps = np.zeros((n_frames - 1, n_ions, 3))
    for k in range(1, n.max() + 1):
        frame, ion = np.nonzero(n >= k)
        steps[frame, ion, rng.integers(0, 3, len(ion))] += rng.choice([-SITE_A, SITE_A], len(ion))
    sites = np.concatenate([np.zeros((1, n_ions, 3)), np.cumsum(steps, axis=0)])
    rate = n.sum() / n_ions / ((n_frames - 1) * DT_PS) * 1000
    return sites + sd_a * rng.standard_normal(sites.shape), rate


@pytest.mark.parametrize("sd_a", [0.2, 0.3, 0.4])
@pytest.mark.parametrize("d_a2_ps", [5e-4, 2e-3, 5e-3, 2e-2])
def test_running_median_counts_planted_jumps_whatever_the_vibration(d_a2_ps, sd_a):
    paths, rate = jumpers(np.random.default_rng(7), d_a2_ps, sd_a)
    found = hop_rates(paths, DT_PS)
    assert 0.85 < found.counted_per_ion_ns / rate < 1.05
    assert found.cage_sd_a == pytest.approx(sd_a, rel=0.015)
    assert found.lag_ps == 10.0
    # what the study's rule counts is jumps and vibration
    assert found.paper_per_ion_ns == pytest.approx(rate + found.false_per_ion_ns, rel=0.12)


def test_the_study_rule_counts_vibration_many_times_over():
    paths, rate = jumpers(np.random.default_rng(8), 5e-4, 0.4)
    assert hop_rates(paths, DT_PS).paper_per_ion_ns > 50 * rate


@pytest.mark.parametrize("sd_a", [0.25, 0.3, 0.35, 0.4])
def test_false_hops_of_vibrators_are_the_analytic_ones(sd_a):
    paths = sd_a * np.random.default_rng(3).standard_normal((1001, 200, 3))
    found = hop_rates(paths, DT_PS)
    analytic = float(false_hop_rate(sd_a, DT_PS))
    assert abs(found.paper_per_ion_ns - analytic) < 3 * found.paper_std
    assert found.false_per_ion_ns == pytest.approx(analytic, rel=0.05)
    assert found.counted_per_ion_ns < 1e-3 * max(1.0, analytic)


def test_false_hop_rates_are_those_of_the_formula():
    # per ion and ns of 100 frames: the numbers that Maxwell's distribution gives
    rates = false_hop_rate(np.array([0.0, 0.2, 0.25, 0.3, 0.35, 0.4]), 10.0)
    assert rates == pytest.approx([0.0, 0.0212, 0.585, 3.385, 9.462, 18.058], rel=2e-3)
    assert float(false_hop_rate(10.0, 10.0)) == pytest.approx(100.0, rel=0.01)
    assert np.isnan(false_hop_rate(np.nan, 10.0))


def test_ions_in_different_cages_have_the_mean_of_their_rates():
    sd = np.where(np.arange(200) < 100, 0.2, 0.4)
    paths = sd[:, None] * np.random.default_rng(4).standard_normal((1000, 200, 3))
    found = hop_rates(paths, DT_PS)
    assert found.false_per_ion_ns == pytest.approx(float(false_hop_rate(sd, DT_PS).mean()), rel=0.03)
    assert abs(found.paper_per_ion_ns - found.false_per_ion_ns) < 3 * found.paper_std
    assert found.cage_sd_by_ion_a == pytest.approx(sd, rel=0.12)


def test_one_hop_is_found_in_its_frame():
    paths = np.zeros((40, 3, 3))
    paths[17:, 1] = [0.0, 2.0, 1.0]
    found = hop_rates(paths, DT_PS)
    for events in (found.paper, found.counted):
        assert (events.ion.tolist(), events.origin.tolist(), events.target.tolist()) == ([1], [16], [17])
    assert found.false_per_ion_ns == 0.0


def test_frames_closer_in_time_are_compared_ten_ps_apart():
    paths = np.zeros((400, 1, 3))
    paths[205:] = 2.5
    found = hop_rates(paths, 2.5)
    assert (found.stride, found.lag_ps) == (4, 10.0)
    assert (found.counted.origin.tolist(), found.counted.target.tolist()) == ([204], [208])
    assert hop_rates(paths, 4.0).lag_ps in (8.0, 12.0)
    assert hop_rates(paths, 20.0).lag_ps == 20.0


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_maps_place_hops_in_their_window_and_bin(axis):
    rng = np.random.default_rng(5)
    height, n_frames, n_ions = 40.0, 400, 80
    z = np.broadcast_to((np.arange(n_ions) + 0.5) / n_ions * height, (n_frames, n_ions)).copy()
    z[250:, 10] += 4.0  # from 5.25 to 9.25 A in the second window after 1 ns
    paths = np.zeros((n_frames, n_ions, 3))
    paths[:, :, axis] = z
    sd = np.where(np.arange(n_ions) < n_ions // 2, 0.15, 0.35)
    paths += sd[:, None] * rng.standard_normal(paths.shape)
    found = hop_rates(paths, DT_PS)
    fraction = paths[:, :, axis] / height % 1.0
    maps = hop_map(found, fraction, height, n_bins=10)
    assert maps.times_ps == pytest.approx([1000, 2000, 3000, 4000])
    assert maps.counted.sum() == maps.counted_middle.sum() == 1
    assert maps.counted[1, 1] == 1
    assert maps.counted_middle[1, 1] == 1  # 7.25 A: still the second of the bins of 4 A
    assert hop_map(found, fraction, height, n_bins=20).counted_middle[1, 3] == 1
    assert maps.occupancy.sum(axis=1) == pytest.approx(n_ions, abs=1e-9)
    late = (found.paper.origin >= 100) & (found.paper.origin < 400)
    assert maps.paper.sum() == late.sum()
    # ions of the upper half vibrate more: their bins have more false hops, no more true ones
    assert maps.cage_sd_a[1:4] == pytest.approx(0.15, rel=0.05)
    assert maps.cage_sd_a[6:9] == pytest.approx(0.35, rel=0.05)
    assert maps.false_per_ion_ns[6:9] == pytest.approx(float(false_hop_rate(0.35, 10.0)), rel=0.3)
    assert np.nanmean(maps.paper_per_ion_ns[:, 6:9]) == pytest.approx(float(false_hop_rate(0.35, 10.0)), rel=0.1)


def test_a_hop_across_the_boundary_has_its_middle_there():
    paths = np.zeros((30, 1, 3))
    paths[:, 0, 2] = 39.0
    paths[12:, 0, 2] = 41.6
    maps = hop_map(hop_rates(paths, DT_PS), paths[:, :, 2] / 40.0 % 1.0, 40.0, n_bins=40, window_ps=100, since_ps=0)
    assert maps.counted[1, 39] == 1
    assert maps.counted_middle[1, 0] == 1
    assert np.isnan(maps.paper_per_ion_ns[1, 20])


def test_a_region_that_only_vibrates_more_has_no_more_hops():
    # the upper half: the same jumps, but cages twice as wide
    rng = np.random.default_rng(6)
    narrow, rate = jumpers(rng, 1e-3, 0.2, n_ions=150)
    wide, rate_of_wide = jumpers(rng, 1e-3, 0.4, n_ions=150)
    found = hop_rates(np.concatenate([narrow, wide], axis=1), DT_PS)
    upper = np.tile(np.arange(300) >= 150, (400, 1))
    near, far = regional_hops(found, upper), regional_hops(found, ~upper)
    assert near.paper_per_ion_ns > 10 * far.paper_per_ion_ns
    assert abs(near.counted_per_ion_ns - rate_of_wide) < 3 * near.counted_std + 0.04 * rate_of_wide
    assert abs(far.counted_per_ion_ns - rate) < 3 * far.counted_std + 0.04 * rate
    assert near.false_per_ion_ns == pytest.approx(float(false_hop_rate(0.4, DT_PS)), rel=0.04)
    assert abs(near.paper_per_ion_ns - near.false_per_ion_ns - rate_of_wide) < 4 * near.paper_std
    assert (near.cage_sd_a, far.cage_sd_a) == pytest.approx((0.4, 0.2), rel=0.02)
    assert near.ion_ns + far.ion_ns == pytest.approx(300 * 3.99)
    everywhere = regional_hops(found, np.ones((400, 300), dtype=bool))
    assert everywhere.paper_per_ion_ns == pytest.approx(found.paper_per_ion_ns)
    assert everywhere.paper_std == pytest.approx(found.paper_std, rel=0.2)


def test_ions_that_come_and_go_count_while_they_are_there():
    paths = np.zeros((200, 2, 3))
    paths[50:, 0, 0] += 3.0
    paths[150:, 0, 0] += 3.0
    inside = np.zeros((200, 2), dtype=bool)
    inside[:100, 0] = True
    found = regional_hops(hop_rates(paths, DT_PS), inside)
    assert found.ion_ns == pytest.approx(1.0)
    assert (found.paper_per_ion_ns, found.counted_per_ion_ns) == pytest.approx((1.0, 1.0))
    with pytest.raises(InputError, match="no ion is ever in the region"):
        regional_hops(hop_rates(paths, DT_PS), ~np.ones((200, 2), dtype=bool))
    with pytest.raises(InputError, match="does not belong"):
        regional_hops(hop_rates(paths, DT_PS), inside[1:])


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        (np.zeros((10, 0, 3)), "no ion"),
        (np.zeros((1, 4, 3)), "too few to count hops"),
        (np.full((10, 1, 3), np.nan), "finite"),
        (np.cumsum(np.full((10, 1, 3), 12.0), axis=0), "must be unwrapped"),
        (np.zeros((10, 3)), "not accepted"),
    ],
)
def test_what_cannot_be_counted_is_one_sentence(paths, words):
    with pytest.raises(InputError, match=words):
        hop_rates(paths, DT_PS)


def test_maps_need_a_window_and_the_same_ions():
    found = hop_rates(np.zeros((50, 2, 3)), DT_PS)
    with pytest.raises(InputError, match="no whole window of 1000 ps"):
        hop_map(found, np.zeros((50, 2)), 40.0)
    with pytest.raises(InputError, match="do not belong"):
        hop_map(found, np.zeros((50, 3)), 40.0)
    with pytest.raises(InputError, match="bins"):
        hop_map(found, np.zeros((50, 2)), 40.0, n_bins=0, window_ps=100, since_ps=0)
