import numpy as np
import pytest

from lizrcl_flows.science.energies import fit_energy_shift, shift_energy

ELEMENTS = ("Li", "Zr", "Cl")


def test_energies_that_only_count_atoms_are_found_exactly():
    true = {"Li": -1.9, "Zr": -8.5, "Cl": -3.1}
    counts = np.array([[2, 1, 6], [4, 1, 5], [3, 3, 1], [0, 2, 7]])
    energies = counts @ np.array(list(true.values()))
    assert fit_energy_shift(counts, energies, ELEMENTS) == pytest.approx(true, abs=1e-10)


def test_one_composition_gives_the_smallest_shift_that_takes_the_mean_away():
    counts = np.tile([4, 2, 12], (5, 1))
    energies = np.array([-81.0, -80.5, -81.5, -80.0, -82.0])
    shift = fit_energy_shift(counts, energies, ELEMENTS)
    symbols = ["Li"] * 4 + ["Zr"] * 2 + ["Cl"] * 12
    assert shift_energy(symbols, shift) == pytest.approx(-81.0, abs=1e-9)
    # of all solutions the shortest: parallel to the composition
    ratios = [shift["Li"] / 4, shift["Zr"] / 2, shift["Cl"] / 12]
    assert np.ptp(ratios) < 1e-12


def test_supercells_of_one_crystal_count_like_the_crystal():
    counts = np.array([[2, 1, 6], [20, 10, 60]])
    small = fit_energy_shift(counts, np.array([-30.0, -310.0]), ELEMENTS)
    assert shift_energy(["Li"] * 2 + ["Zr"] + ["Cl"] * 6, small) == pytest.approx(-30.5)


def test_an_element_that_is_absent_gets_zero():
    shift = fit_energy_shift(np.array([[2, 1, 6, 0]]), np.array([-30.0]), (*ELEMENTS, "O"))
    assert shift["O"] == 0.0


@pytest.mark.parametrize("energies", [[], [np.nan]])
def test_no_energies_are_refused(energies):
    with pytest.raises(ValueError, match="at least one structure"):
        fit_energy_shift(np.ones((len(energies), 3)), np.array(energies), ELEMENTS)
