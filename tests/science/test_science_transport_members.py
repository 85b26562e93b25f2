"""Coefficients of several members: what of their scatter is sampling, and what is the potential's."""

import numpy as np
import pytest

from lizrcl_flows.errors import InputError
from lizrcl_flows.science.transport.arrhenius import arrhenius
from lizrcl_flows.science.transport.members import mean_of_members


def test_one_member_is_itself_and_has_no_spread() -> None:
    found = mean_of_members(np.array([0.02]), np.array([0.001]))
    assert (found.diffusivity, found.std, found.ln_spread) == (pytest.approx(0.02), pytest.approx(0.001), 0.0)


@pytest.mark.parametrize("spread", [0.0, 0.2])
def test_the_spread_between_potentials_is_told_from_sampling(spread: float) -> None:
    rng = np.random.default_rng(3)
    found = []
    for _ in range(400):
        values = 0.02 * np.exp(rng.normal(0, spread, 4) + rng.normal(0, 0.05, 4))
        found.append(mean_of_members(values, 0.05 * values))
    spreads = np.array([entry.ln_spread for entry in found])
    assert np.sqrt(np.mean(spreads**2)) == pytest.approx(spread, abs=0.035)
    assert np.median([entry.std / entry.diffusivity for entry in found]) == pytest.approx(0.025, rel=0.01)


def test_the_spread_widens_the_arrhenius_law() -> None:
    kelvin, values = np.array([500.0, 600.0, 700.0]), np.array([0.01, 0.03, 0.07])
    narrow = arrhenius(kelvin, values, 0.02 * values)
    wide = arrhenius(kelvin, values, 0.02 * values, committee_spread=np.full(3, 0.2))
    assert wide.activation_energy_std_ev > 3 * narrow.activation_energy_std_ev


def test_what_is_not_positive_has_no_mean() -> None:
    with pytest.raises(InputError, match="give no mean"):
        mean_of_members(np.array([0.0]), np.array([0.1]))
