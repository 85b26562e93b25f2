from functools import cache

import numpy as np
import pytest

from lizrcl_flows.errors import InputError
from lizrcl_flows.science.transport.regional import frames_staying, lateral_diffusion

HEIGHT_A, WIDTH_A, DT_PS = 45.0, 8.0, 10.0
AXES = (0, 1, 2)


def in_layer(positions, axis=2):
    return np.abs(positions[:, :, axis] % HEIGHT_A - HEIGHT_A / 2) < WIDTH_A / 2


def walkers(rng, inside, outside, n_frames=1000, n_ions=400, substeps=8):
    """Walkers that are faster within a layer across z than outside of it."""
    place = np.zeros((n_ions, 3))
    place[:, 2] = rng.uniform(0, HEIGHT_A, n_ions)
    positions = np.empty((n_frames, n_ions, 3))
    for frame in positions:
        for _ in range(substeps):
            diffusivity = np.where(in_layer(place[None])[0], inside, outside)
            place = place + rng.normal(size=place.shape) * np.sqrt(2 * diffusivity * DT_PS / substeps)[:, None]
        frame[:] = place
    return positions


@cache
def two_zones():
    positions = walkers(np.random.default_rng(3), 0.05, 0.01)
    return positions, lateral_diffusion(positions, in_layer(positions), DT_PS, 2)


def test_paths_that_stay_know_nothing_of_the_surroundings():
    _, estimate = two_zones()
    assert estimate.status == "resolved"
    assert 0.0495 <= estimate.diffusivity <= 0.0551
    assert abs(estimate.diffusivity - 0.05) < 3 * estimate.diffusivity_std
    assert estimate.diffusivity_std < 0.003


def test_counting_all_that_start_in_the_region_mixes_in_the_outside_and_says_so():
    positions, estimate = two_zones()
    from_region = estimate.msd_from_region_a2 / (4 * estimate.lag_ps)
    assert from_region[0] == pytest.approx(0.047, abs=0.001)
    assert from_region[np.searchsorted(estimate.lag_ps, 1000)] < 0.026
    assert estimate.exchange < 0.5
    outside = lateral_diffusion(positions, ~in_layer(positions), DT_PS, 2)
    assert outside.diffusivity == pytest.approx(0.01, rel=0.03)
    assert outside.exchange > 1.05


def test_both_ends_in_the_region_would_not_do():
    positions, estimate = two_zones()
    inside = in_layer(positions)
    lag = 20
    both = inside[lag:] & inside[:-lag]
    squares = ((positions[lag:, :, :2] - positions[:-lag, :, :2]) ** 2).sum(axis=2)
    assert squares[both].mean() / (4 * lag * DT_PS) < 0.046  # those that left and came back are slower
    across = ((positions[lag:, :, 2] - positions[:-lag, :, 2]) ** 2)[both].mean() / (2 * lag * DT_PS)
    assert across < 0.02  # and across the layer even more wrong
    assert estimate.diffusivity > 0.0495


@pytest.mark.parametrize("axis", AXES)
def test_in_a_homogeneous_run_every_layer_has_the_coefficient_of_the_whole(axis):
    rng = np.random.default_rng(4)
    positions = np.cumsum(rng.normal(scale=np.sqrt(2 * 0.02 * DT_PS), size=(1000, 400, 3)), axis=0)
    positions += rng.uniform(0, HEIGHT_A, size=(400, 3))
    estimate = lateral_diffusion(positions, in_layer(positions, axis), DT_PS, axis)
    assert estimate.diffusivity / 0.02 == pytest.approx(1, abs=0.03)
    assert estimate.from_region_diffusivity / 0.02 == pytest.approx(1, abs=0.03)
    assert estimate.exchange == pytest.approx(1, abs=0.1)
    assert estimate.mean_ions == pytest.approx(400 * WIDTH_A / HEIGHT_A, rel=0.1)
    assert 0 < estimate.staying_share < 0.3


def test_the_direction_across_the_layer_is_left_out():
    rng = np.random.default_rng(5)
    positions = np.cumsum(rng.normal(scale=[0.5, 0.0, 0.5], size=(400, 100, 3)), axis=0)
    estimate = lateral_diffusion(positions, np.ones((400, 100), dtype=bool), 1.0, 0)
    assert estimate.diffusivity == pytest.approx(0.5**2 / 4, rel=0.05)


def test_the_uncertainty_is_what_the_estimates_really_scatter():
    values, stds = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        positions = np.cumsum(rng.normal(scale=np.sqrt(2 * 0.02 * DT_PS), size=(300, 40, 3)), axis=0)
        positions[:, :, 2] += rng.uniform(0, HEIGHT_A, 40)
        estimate = lateral_diffusion(positions, positions[:, :, 2] % 20 < 10, DT_PS, 2)
        values.append(estimate.raw_diffusivity)
        stds.append(estimate.raw_std)
    scatter = np.std(values, ddof=1)
    assert 0.75 < np.sqrt(np.mean(np.square(stds))) / scatter < 1.3
    assert 0.5 < np.mean(np.abs(np.array(values) - 0.02) < stds) < 0.85


def test_jumps_that_leave_are_missing_by_the_share_that_is_told():
    rng = np.random.default_rng(6)
    jump, true, width = 3.6, 0.01, 10.0
    n_jumps = rng.poisson(6 * true * DT_PS / jump**2, size=(2000, 500))
    steps = np.zeros((2000, 500, 3))
    for number in range(n_jumps.max()):
        direction = rng.normal(size=steps.shape)
        direction *= jump / np.linalg.norm(direction, axis=2, keepdims=True)
        steps += np.where((n_jumps > number)[:, :, None], direction, 0)
    positions = np.cumsum(steps, axis=0) + rng.uniform(0, 30, size=(500, 3))
    estimate = lateral_diffusion(positions, positions[:, :, 2] % 30 < width, DT_PS, 2, thickness_a=width)
    assert estimate.jump_bias == pytest.approx(3 * jump / (8 * width))
    assert estimate.diffusivity / true == pytest.approx(1 - estimate.jump_bias, abs=0.03)
    assert estimate.from_region_diffusivity / true == pytest.approx(1, abs=0.03)


def test_ions_that_only_vibrate_in_the_region_do_not_diffuse():
    vibrating = np.random.default_rng(5).normal(scale=0.3, size=(400, 50, 3))
    estimate = lateral_diffusion(vibrating, np.ones((400, 50), dtype=bool), 10.0, 2)
    assert (estimate.status, estimate.diffusivity) == ("not_diffusive", None)
    assert "half a jump" in estimate.reason


def test_a_region_that_nothing_stays_in_gives_no_coefficient():
    rng = np.random.default_rng(8)
    positions = np.cumsum(rng.normal(size=(200, 20, 3)), axis=0)
    estimate = lateral_diffusion(positions, rng.random((200, 20)) < 0.05, 10.0, 2)
    assert (estimate.status, estimate.raw_diffusivity) == ("not_resolved", None)
    assert "too few paths stay" in estimate.reason


def test_frames_staying_counts_until_the_ion_leaves():
    inside = np.array([[1, 1, 0, 1, 1, 1], [0, 0, 0, 0, 0, 1]], dtype=bool).T
    np.testing.assert_array_equal(frames_staying(inside).T, [[2, 1, 0, 3, 2, 1], [0, 0, 0, 0, 0, 1]])


@pytest.mark.parametrize(
    ("positions", "inside", "change", "message"),
    [
        (np.zeros((50, 4, 3)), np.zeros((50, 4), dtype=bool), {}, "the region has no ion in any frame"),
        (np.zeros((50, 4, 3)), np.ones((50, 3), dtype=bool), {}, r"\(50, 3\) frames x ions, the paths have \(50, 4\)"),
        (np.zeros((5, 4, 3)), np.ones((5, 4), dtype=bool), {}, "the run has 5 frames, 20 are needed"),
        (np.zeros((50, 4, 3)), np.ones((50, 4), dtype=bool), {"normal_axis": 3}, "normal axis 3 is not accepted"),
        (np.zeros((50, 4, 3)), np.ones((50, 4), dtype=bool), {"dt_ps": 0.0}, "0 ps is not accepted"),
    ],
)
def test_wrong_input_is_said_in_a_sentence(positions, inside, change, message):
    with pytest.raises(InputError, match=message):
        lateral_diffusion(positions, inside, **{"dt_ps": 1.0, "normal_axis": 2, **change})
