"""What eps says about the error, against known answers."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import spearmanr

from lizrcl_flows.science.calibration import calibration, calibration_groups


def test_calibration_finds_scale_and_rank():
    eps = np.linspace(0.1, 1.0, 50)
    found = calibration(eps, 1.7 * eps)
    assert (found.n_structures, found.spearman, found.scale) == (50, pytest.approx(1.0), pytest.approx(1.7))
    assert calibration(eps, eps[::-1]).spearman == pytest.approx(-1.0)
    noise = np.random.default_rng(0).permutation(eps)

    assert calibration(eps, noise).spearman == pytest.approx(spearmanr(eps, noise).statistic)


def test_coverage_asks_the_other_groups():
    rng = np.random.default_rng(1)
    eps = rng.uniform(0.1, 1.0, 400)
    groups = ["a", "b"] * 200
    same = eps * rng.lognormal(sigma=0.4, size=400)
    assert calibration(eps, same, groups).coverage_90 == pytest.approx(0.9, abs=0.06)
    assert calibration(eps, same).coverage_90 == pytest.approx(0.9, abs=0.01)
    # where one group's errors are three times larger at the same eps, a bound from the other does not cover them
    shifted = same * np.where(np.array(groups) == "a", 3.0, 1.0)
    assert calibration(eps, shifted, groups).coverage_90 < 0.65


def test_too_few_or_unusable_numbers_give_none():
    few = calibration(np.array([0.1, 0.2]), np.array([0.1, 0.3]))
    assert (few.n_structures, few.spearman, few.coverage_90) == (2, None, None)
    assert few.scale == pytest.approx(np.sqrt(0.1 / 0.05))
    assert calibration(np.full(5, 0.1), np.arange(5.0)).spearman is None
    broken = calibration(np.array([np.nan, 0.1, 0.2, 0.4]), np.array([1.0, 0.1, 0.2, 0.4]))
    assert (broken.n_structures, broken.scale) == (4, pytest.approx(1.0))
    assert calibration(np.array([]), np.array([])).scale is None


def test_the_factor_bounds_nine_of_ten_new_errors():
    rng = np.random.default_rng(3)
    eps = rng.uniform(0.1, 1.0, 2000)
    error = eps * rng.lognormal(sigma=0.5, size=2000)
    factor = calibration(eps[:1000], error[:1000]).factor_90
    assert (error[1000:] <= factor * eps[1000:]).mean() == pytest.approx(0.9, abs=0.03)
    assert calibration(eps[:8], error[:8]).factor_90 is None  # nine are needed for a 90 % bound
    assert calibration(np.ones(9), np.arange(1.0, 10.0)).factor_90 == 9.0


def test_phases_and_elements_have_their_own():
    rng = np.random.default_rng(4)
    n, size = 40, 10
    eps_atoms = rng.uniform(0.05, 0.5, n * size)
    numbers = np.tile([3] * 4 + [17] * 6, n)
    force_error = eps_atoms * np.where(numbers == 3, 3.0, 1.0) * rng.lognormal(sigma=0.1, size=n * size)
    predictions = SimpleNamespace(
        phases=("alpha",) * 20 + ("ideal",) * 20,
        numbers=numbers,
        eps=eps_atoms.reshape(n, size).max(axis=1),
        eps_atoms=eps_atoms,
        force_error=force_error,
        max_force_error=force_error.reshape(n, size).max(axis=1),
    )
    found = {entry.group: entry for entry in calibration_groups(predictions)}
    assert list(found) == ["all", "phase:alpha", "phase:ideal", "element:Li", "element:Cl"]
    assert found["element:Li"].n_structures == 160
    assert found["element:Li"].scale == pytest.approx(3.0, rel=0.05)
    assert found["element:Cl"].scale == pytest.approx(1.0, rel=0.05)
    assert found["element:Li"].factor_90 == pytest.approx(3 * np.exp(1.2816 * 0.1), rel=0.05)
    assert found["element:Cl"].coverage_90 == pytest.approx(0.9, abs=0.06)
    assert found["phase:alpha"].n_structures == 20
