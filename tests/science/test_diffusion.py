import re
from functools import cache

import numpy as np
import pytest

from lizrcl_flows.errors import InputError
from lizrcl_flows.science.diffusion import diffusion_coefficient, paper_protocol
from lizrcl_flows.science.msd import msd_fft, remove_drift, unwrap
from lizrcl_flows.science.msd_fit import msd_covariance

REPLICAS = 60


def brownian(rng, n_frames=400, n_ions=64, interval_ps=10.0, diffusivity=0.02):
    step = np.sqrt(2 * np.asarray(diffusivity) * interval_ps)
    return np.cumsum(rng.normal(scale=step, size=(n_frames, n_ions, 3)), axis=0)


def hopping(rng, n_frames=400, n_ions=64, interval_ps=10.0, diffusivity=0.002):
    """Rare jumps of 3.6 A and vibration in the cage, which no Gaussian process describes."""
    jump = 3.6
    n_jumps = rng.poisson(6 * diffusivity * interval_ps / jump**2, size=(n_frames, n_ions))
    moved = np.zeros((n_frames, n_ions, 3))
    for number in range(n_jumps.max()):
        direction = rng.normal(size=moved.shape)
        direction *= jump / np.linalg.norm(direction, axis=-1, keepdims=True)
        moved += np.where((n_jumps > number)[..., None], direction, 0)
    return np.cumsum(moved, axis=0) + rng.normal(scale=0.35, size=moved.shape)


def in_groups(rng, **size):
    return np.repeat(brownian(rng, n_ions=16, **size), 4, axis=1)


def trapped(rng, n_frames, n_ions, amplitude, relaxation_frames):
    keep = np.exp(-1 / relaxation_frames)
    positions = np.empty((n_frames, n_ions, 3))
    positions[0] = rng.normal(scale=amplitude, size=(n_ions, 3))
    for frame in range(1, n_frames):
        kick = rng.normal(scale=amplitude * np.sqrt(1 - keep**2), size=(n_ions, 3))
        positions[frame] = keep * positions[frame - 1] + kick
    return positions


def usual_fit(paths):
    """Ordinary least squares over every tenth lag up to half of the run, with the error that such a fit prints."""
    lags = np.arange(10, len(paths) // 2 + 1, 10)
    line, covariance = np.polyfit(lags * 10.0, msd_fft(paths).sum(axis=1)[lags], 1, cov=True)
    return line[0] / 6, np.sqrt(covariance[0, 0]) / 6


@cache
def replicas(make):
    """Our estimates of many runs, the study's of the same runs, and the usual fit's."""
    runs = [make(np.random.default_rng(100 + i)) for i in range(REPLICAS)]
    ours = [diffusion_coefficient(paths, 10.0) for paths in runs]
    return ours, [paper_protocol(paths, 10.0) for paths in runs], [usual_fit(paths) for paths in runs]


def calibration(values, stds, true):
    """Bias in standard errors, quoted over real scatter, share of intervals of one sigma that hold the truth."""
    values, stds = np.array(values), np.array(stds)
    scatter = values.std(ddof=1)
    bias = (values.mean() - true) / (scatter / np.sqrt(len(values)))
    return bias, np.sqrt((stds**2).mean()) / scatter, (np.abs(values - true) < stds).mean()


SCENARIOS = [(brownian, 0.02), (hopping, 0.002), (in_groups, 0.02)]


@pytest.mark.parametrize(("make", "true"), SCENARIOS)
def test_the_uncertainty_is_what_the_estimates_really_scatter(make, true):
    estimates, _, _ = replicas(make)
    assert {estimate.status for estimate in estimates} == {"resolved"}
    found = [(estimate.diffusivity, estimate.diffusivity_std) for estimate in estimates]
    bias, ratio, coverage = calibration(*zip(*found, strict=True), true)
    assert abs(bias) < 4
    assert 0.8 < ratio < 1.3
    assert 0.55 < coverage < 0.85


@pytest.mark.parametrize(("make", "true"), SCENARIOS)
def test_the_uncertainty_of_the_usual_fit_is_many_times_too_small(make, true):
    _, _, fits = replicas(make)
    _, ratio, coverage = calibration(*zip(*fits, strict=True), true)
    assert ratio < 0.2
    assert coverage < 0.2


@pytest.mark.parametrize(("make", "true"), SCENARIOS)
def test_the_studys_uncertainty_is_that_of_nothing(make, true):
    _, estimates, _ = replicas(make)
    found = [(estimate.raw_diffusivity, estimate.raw_std) for estimate in estimates]
    bias, ratio, coverage = calibration(*zip(*found, strict=True), true)
    # vibration of slow ions is taken for diffusion, and of fast ones most intervals miss the truth
    assert bias > 4 if make is hopping else coverage < 0.5
    assert not 0.8 < ratio < 1.3


@pytest.mark.parametrize(("make", "true"), SCENARIOS)
def test_the_uncertainties_along_the_axes_are_what_they_really_scatter(make, true):
    estimates, _, _ = replicas(make)
    values = np.array([estimate.per_axis for estimate in estimates])
    stds = np.array([estimate.per_axis_std for estimate in estimates])
    bias, ratio, coverage = calibration(values.ravel(), stds.ravel(), true)
    assert abs(bias) < 4
    assert 0.8 < ratio < 1.3
    assert 0.55 < coverage < 0.85


def test_every_direction_has_its_own_coefficient_and_their_mean_is_the_whole():
    true = np.array([0.03, 0.01, 0.0])
    estimate = diffusion_coefficient(brownian(np.random.default_rng(20), diffusivity=true), 10.0)
    assert np.all(np.abs(estimate.per_axis - true) <= 3.5 * np.array(estimate.per_axis_std))
    assert np.mean(estimate.per_axis) == pytest.approx(estimate.diffusivity, rel=1e-9)
    np.testing.assert_allclose(estimate.msd_xyz_a2.sum(axis=1), estimate.msd_a2)
    theirs = paper_protocol(brownian(np.random.default_rng(20), diffusivity=true), 10.0)
    assert np.mean(theirs.per_axis) == pytest.approx(theirs.diffusivity, rel=1e-9)
    assert theirs.per_axis[2] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("estimator", [diffusion_coefficient, paper_protocol])
def test_what_an_estimator_yields_is_there_even_where_it_means_nothing(estimator):
    estimate = estimator(trapped(np.random.default_rng(4), 500, 24, 0.3, 5), 0.04)
    assert (estimate.status, estimate.diffusivity, estimate.per_axis) == ("not_diffusive", None, None)
    assert estimate.raw_std > 0
    assert 0 < abs(estimate.raw_diffusivity) < 1
    estimate = estimator(brownian(np.random.default_rng(21)), 10.0)
    assert (estimate.raw_diffusivity, estimate.raw_std) == (estimate.diffusivity, estimate.diffusivity_std)


@pytest.mark.parametrize("estimator", [diffusion_coefficient, paper_protocol])
def test_single_precision_is_enough_for_the_coefficient(estimator):
    paths = brownian(np.random.default_rng(22))
    single, double = estimator(paths.astype(np.float32), 10.0), estimator(paths, 10.0)
    assert single.diffusivity == pytest.approx(double.diffusivity, rel=1e-5)


def test_brownian_ions_give_their_coefficient_within_three_standard_deviations():
    estimate = replicas(brownian)[0][0]
    assert abs(estimate.diffusivity - 0.02) < 3 * estimate.diffusivity_std
    assert estimate.diffusivity_std < 0.02 * 0.02
    assert estimate.chi2_per_dof == pytest.approx(1, abs=1.2)
    assert estimate.n_hops == pytest.approx(6 * 0.02 * 3990 * 64 / 3.6**2, rel=0.05)
    assert (estimate.n_ions, estimate.n_frames, estimate.reason) == (64, 400, "")


def test_the_studys_protocol_scatters_several_times_more():
    estimates, studys, fits = replicas(brownian)
    ours = np.std([estimate.diffusivity for estimate in estimates])
    theirs = [estimate.diffusivity for estimate in studys]
    assert np.std(theirs) > 3 * ours
    assert np.std([slope for slope, _ in fits]) > 5 * ours
    assert np.mean(theirs) == pytest.approx(0.02, rel=0.05)


def test_the_studys_protocol_is_the_mean_over_every_tenth_lag_up_to_half_of_the_run():
    positions = brownian(np.random.default_rng(1), n_frames=200)
    values = []
    for lag in range(10, 101, 10):
        squares = ((positions[lag:] - positions[:-lag]) ** 2).sum(axis=-1).mean()
        values.append(squares / (6 * lag * 10.0))
    estimate = paper_protocol(positions, 10.0)
    assert estimate.diffusivity == pytest.approx(np.mean(values), rel=1e-9)
    assert estimate.diffusivity_std == pytest.approx(np.std(values, ddof=1), rel=1e-9)
    np.testing.assert_allclose(estimate.lag_ps, np.arange(100.0, 1001, 100))


def test_cage_vibration_goes_into_the_offset_and_not_into_the_coefficient():
    offsets = [estimate.offset_a2 for estimate in replicas(hopping)[0]]
    assert np.mean(offsets) == pytest.approx(6 * 0.35**2, rel=0.03)


def test_ions_that_move_together_are_seen_by_the_blocks():
    single = np.mean([estimate.diffusivity_std for estimate in replicas(brownian)[0]])
    grouped = np.mean([estimate.diffusivity_std for estimate in replicas(in_groups)[0]])
    assert 1.5 < grouped / single < 2.5  # sqrt(4) for groups of four


@pytest.mark.parametrize("estimator", [diffusion_coefficient, paper_protocol])
def test_a_shift_of_a_thousand_angstrom_changes_nothing(estimator):
    positions = brownian(np.random.default_rng(2))
    moved, still = estimator(positions + 1000.0, 10.0), estimator(positions, 10.0)
    assert moved.diffusivity == pytest.approx(still.diffusivity, rel=1e-9)


def test_drift_of_everything_is_no_diffusion():
    rng = np.random.default_rng(3)
    vibrating = rng.normal(scale=0.2, size=(300, 30, 3))
    positions = vibrating + np.arange(300)[:, None, None] * 0.05
    framework = np.arange(30) < 20
    estimate = diffusion_coefficient(remove_drift(positions, framework)[:, ~framework], 1.0)
    assert estimate.status == "not_diffusive"


@pytest.mark.parametrize("estimator", [diffusion_coefficient, paper_protocol])
@pytest.mark.parametrize("amplitude", [0.1, 0.3, 0.5])
def test_vibrating_ions_do_not_diffuse(amplitude, estimator):
    positions = trapped(np.random.default_rng(4), 500, 24, amplitude, 5)
    estimate = estimator(positions, 0.04)
    assert (estimate.status, estimate.diffusivity, estimate.diffusivity_std) == ("not_diffusive", None, None)
    assert "half a jump of 3.6 A, is needed" in estimate.reason


def test_even_a_wide_cage_is_no_diffusion():
    estimate = diffusion_coefficient(trapped(np.random.default_rng(5), 600, 24, 1.5, 2), 0.04)
    assert estimate.status == "not_diffusive"
    assert "hops" in estimate.reason


def test_a_reason_just_below_a_limit_does_not_read_as_if_it_were_reached():
    positions = trapped(np.random.default_rng(5), 600, 24, 1.5, 2)
    hops = diffusion_coefficient(positions, 0.04).n_hops
    nearly = diffusion_coefficient(positions, 0.04, jump_length_a=3.6 * np.sqrt(hops / 29.9))
    assert nearly.n_hops == pytest.approx(29.9)
    assert "only about 29 hops" in nearly.reason
    reached = msd_fft(positions).sum(axis=1)[150]
    nearly = diffusion_coefficient(positions, 0.04, jump_length_a=2 * np.sqrt(reached * 1.0001))
    first, second = (float(text) for text in re.findall(r"([\d.]+) A\^2(?: after|, half)", nearly.reason))
    assert reached * 0.9999 < first < second < reached * 1.0002


@pytest.mark.parametrize(("n_frames", "n_ions"), [(200, 16), (500, 24), (1000, 48)])
def test_a_short_run_of_fast_ions_is_resolved(n_frames, n_ions):
    positions = brownian(np.random.default_rng(6), n_frames, n_ions, 0.04, 2.0)
    estimate = diffusion_coefficient(positions, 0.04)
    assert estimate.status == "resolved"
    assert abs(estimate.diffusivity - 2.0) < 4 * estimate.diffusivity_std


def test_a_short_run_of_slow_ions_is_not_resolved_and_bounded():
    estimate = diffusion_coefficient(brownian(np.random.default_rng(7), 500, 24, 0.04, 0.02), 0.04)
    assert (estimate.status, estimate.diffusivity) == ("not_resolved", None)
    assert estimate.upper_bound > 0.02
    assert f"D < {estimate.upper_bound:.2g} A^2/ps" in estimate.reason


def test_too_large_an_uncertainty_is_not_resolved():
    rng = np.random.default_rng(8)
    # one ion in ten carries all of the motion, in rare bursts
    positions = np.zeros((400, 10, 3))
    bursts = rng.random((400, 1)) < 0.005
    positions[:, 0] = np.cumsum(np.where(bursts, rng.normal(scale=30, size=(400, 3)), 0), axis=0)
    estimate = diffusion_coefficient(positions, 1.0)
    assert estimate.status == "not_resolved"
    assert "the uncertainty is" in estimate.reason


def test_ballistic_motion_is_no_line():
    velocity = np.random.default_rng(9).normal(size=(16, 3))
    estimate = diffusion_coefficient(np.arange(200)[:, None, None] * velocity, 0.1)
    assert estimate.status == "not_resolved"
    assert "not a straight line" in estimate.reason


def test_few_frames_are_said_to_be_few():
    for estimator in (diffusion_coefficient, paper_protocol):
        estimate = estimator(brownian(np.random.default_rng(10), n_frames=25), 1.0)
        assert (estimate.status, estimate.reason) == ("not_resolved", "the run has 25 frames, 40 are needed")
        assert len(estimate.lag_ps) == len(estimate.msd_a2) > 0


def test_still_ions_raise_no_warning():
    assert diffusion_coefficient(np.zeros((100, 2, 3)), 1.0).status == "not_diffusive"


@pytest.mark.parametrize(
    ("positions", "interval", "message"),
    [
        (np.zeros((50, 3)), 1.0, "frames x ions x 3"),
        (np.zeros((50, 0, 3)), 1.0, "at least one"),
        (np.full((50, 2, 3), np.nan), 1.0, "not finite"),
        (np.zeros((50, 2, 3)), 0.0, "must both be positive"),
    ],
)
def test_wrong_input_is_said_in_a_sentence(positions, interval, message):
    with pytest.raises(InputError, match=message):
        diffusion_coefficient(positions, interval)


def test_the_stored_curve_is_the_msd():
    positions = brownian(np.random.default_rng(11))
    estimate = diffusion_coefficient(positions, 10.0)
    lags = np.round(estimate.lag_ps / 10).astype(int)
    np.testing.assert_allclose(estimate.msd_a2, msd_fft(positions).sum(axis=1)[lags])
    assert (lags[0], lags[-1]) == (1, 200)


def test_the_covariance_is_that_of_many_walks():
    rng = np.random.default_rng(12)
    n_frames, n_walks, lags = 60, 40_000, np.array([1, 3, 10, 30])
    walks = np.cumsum(rng.normal(size=(n_frames, n_walks)), axis=0) + rng.normal(scale=0.7, size=(n_frames, n_walks))
    msd = np.array([((walks[k:] - walks[:-k]) ** 2).mean(axis=0) for k in lags])
    model = np.arange(n_frames) + 2 * 0.7**2
    model[0] = 0.0
    expected = msd_covariance(model, lags, n_frames)
    np.testing.assert_allclose(np.cov(msd), expected, rtol=0.06)


@pytest.mark.parametrize("skew", [0.0, 7.0])
@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_wrapped_positions_give_the_same_coefficients_in_any_cell_still_or_breathing(skew, noise):
    rng = np.random.default_rng(30)
    true = np.array([0.03, 0.02, 0.01])
    paths = brownian(rng, n_frames=500, n_ions=100, diffusivity=true)
    cell = np.array([[24.0, 0, 0], [skew, 22.0, 0], [-skew, skew, 26.0]])
    cells = cell * (1 + noise * rng.normal(size=500))[:, None, None]
    fractional = paths @ np.linalg.inv(cell) + rng.uniform(size=(100, 3))
    wrapped = np.einsum("tni,tij->tnj", fractional - np.floor(fractional), cells)
    unwrapped, known = diffusion_coefficient(unwrap(wrapped, cells), 10.0), diffusion_coefficient(paths, 10.0)
    assert unwrapped.status == "resolved"
    assert unwrapped.diffusivity == pytest.approx(known.diffusivity, rel=0.01 if noise else 1e-9)
    assert np.all(np.abs(unwrapped.per_axis - true) < 3.5 * np.array(unwrapped.per_axis_std))
    # taken as they are, wrapped positions look like something else
    assert abs(np.array(paper_protocol(wrapped, 10.0).raw_diffusivity) / true.mean() - 1) > 0.2
