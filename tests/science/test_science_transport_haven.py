from functools import cache

import numpy as np
import pytest

from lizrcl_flows.errors import InputError
from lizrcl_flows.science.diffusion import diffusion_coefficient
from lizrcl_flows.science.transport.haven import collective_path, haven_ratio

REPLICAS = 30


def walkers(rng, group=1, n_frames=1000, n_ions=96, diffusivity=0.02):
    """Random walks at 10 ps; each group of ions walks as one."""
    step = np.sqrt(2 * diffusivity * 10.0)
    return np.repeat(np.cumsum(rng.normal(scale=step, size=(n_frames, n_ions // group, 3)), axis=0), group, axis=1)


@cache
def estimates(group):
    return [haven_ratio(walkers(np.random.default_rng(i), group), 10.0) for i in range(REPLICAS)]


@pytest.mark.parametrize("group", [1, 4])
def test_independent_ions_have_a_ratio_of_one_and_groups_of_g_one_over_g(group):
    found = estimates(group)
    assert {estimate.status for estimate in found} == {"resolved"}
    ratios = np.array([estimate.haven for estimate in found]) * group
    stds = np.array([estimate.haven_std for estimate in found]) * group
    scatter = ratios.std(ddof=1)
    # a regression over all lags, as is usual, scatters by 0.9 here
    assert scatter < 0.1
    assert abs(ratios.mean() - 1) < 4 * scatter / np.sqrt(REPLICAS)
    assert 0.75 < np.sqrt((stds**2).mean()) / scatter < 1.4
    assert 0.5 < (np.abs(ratios - 1) < stds).mean() < 0.9


def test_the_collective_coefficient_is_that_of_the_sum_of_all_displacements():
    estimate = estimates(4)[0]
    assert estimate.collective_diffusivity == pytest.approx(4 * 0.02, abs=4 * estimate.collective_std)
    paths = walkers(np.random.default_rng(0), 4)
    lag = round(estimate.lag_ps[3] / 10.0)
    total = (paths[lag:] - paths[:-lag]).sum(axis=1)
    assert estimate.collective_msd_a2[3] == pytest.approx((total**2).sum(axis=1).mean() / 96, rel=1e-9)


def test_ions_that_move_against_each_other_have_a_ratio_above_one():
    rng = np.random.default_rng(5)
    common, against = walkers(rng, n_ions=40) / 2, walkers(rng, n_ions=40)
    estimate = haven_ratio(np.concatenate([common + against, common - against], axis=1), 10.0)
    # tracer (1/4 + 1) D, collective 2 * 1/4 D
    assert estimate.haven == pytest.approx(2.5, abs=4 * estimate.haven_std)


def test_vibration_in_the_cage_does_not_count_as_current():
    rng = np.random.default_rng(6)
    paths = walkers(rng, n_ions=96, diffusivity=0.01)
    estimate = haven_ratio(paths + rng.normal(scale=0.4, size=paths.shape), 10.0)
    assert estimate.haven == pytest.approx(1, abs=4 * estimate.haven_std)


def test_a_shift_of_the_origin_and_single_precision_change_nothing():
    paths = walkers(np.random.default_rng(7))
    plain = haven_ratio(paths, 10.0)
    assert haven_ratio(paths + 1000.0, 10.0).haven == pytest.approx(plain.haven, rel=1e-9)
    assert haven_ratio(paths.astype(np.float32), 10.0).haven == pytest.approx(plain.haven, rel=1e-4)


def test_a_known_tracer_coefficient_is_used_and_must_be_that_of_these_paths():
    paths = walkers(np.random.default_rng(8))
    tracer = diffusion_coefficient(paths, 10.0)
    assert haven_ratio(paths, 10.0, tracer).haven == haven_ratio(paths, 10.0).haven
    with pytest.raises(InputError, match="96 ions in 1000 frames, the paths are of 96 ions in 500 frames"):
        haven_ratio(paths[:500], 10.0, tracer)


def test_where_nothing_diffuses_there_is_no_ratio_but_a_reason():
    vibrating = np.random.default_rng(9).normal(scale=0.2, size=(400, 30, 3))
    estimate = haven_ratio(vibrating, 1.0)
    assert (estimate.status, estimate.haven, estimate.collective_diffusivity) == ("not_diffusive", None, None)
    assert "half a jump" in estimate.reason
    assert estimate.raw_collective_std > 0


def test_a_run_that_resolves_single_ions_only_says_so():
    rng = np.random.default_rng(10)
    paths = walkers(rng, n_frames=400, n_ions=300, diffusivity=0.0007)
    paths += rng.normal(scale=1.0, size=paths.shape)
    assert diffusion_coefficient(paths, 10.0).status == "resolved"
    estimate = haven_ratio(paths, 10.0)
    assert (estimate.status, estimate.haven) == ("not_resolved", None)
    assert "the uncertainty of the collective diffusion coefficient is" in estimate.reason
    assert estimate.raw_collective_std > estimate.raw_collective / 2


def test_few_frames_are_said_to_be_few():
    estimate = haven_ratio(walkers(np.random.default_rng(12), n_frames=20), 10.0)
    assert (estimate.status, estimate.reason) == ("not_resolved", "the run has 20 frames, 40 are needed")
    assert len(estimate.lag_ps) == len(estimate.collective_msd_a2) > 0


def test_the_collective_path_of_one_ion_is_its_path():
    paths = walkers(np.random.default_rng(13), n_ions=1, n_frames=50)
    np.testing.assert_allclose(collective_path(paths), paths - paths[0])
