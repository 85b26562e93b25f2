"""Energy-volume curves: cells, the Birch-Murnaghan fit against known answers, a committee's spread."""

import numpy as np
import pytest
from toy_calculator import ToyIonic

from lizrcl_flows.science.structures import atoms_from_structure, load_structure
from lizrcl_flows.science.validation.energy_volume import birch_murnaghan, energy_volume_curve, scaled_cells
from lizrcl_flows.units import GPA_PER_EV_A3

CELL = load_structure("Li2ZrCl6_ideal_P-31c", phase="ideal")


class Said:
    """What a committee says of one frame."""

    def __init__(self, energy, eps=0.0):
        self.energy, self.eps = np.asarray(energy, dtype=float), eps
        self.forces = self.virial = np.zeros((len(self.energy), 1, 3))


def birch(volume, v0, e0, bulk_gpa, prime):
    """Third-order Birch-Murnaghan energy as textbooks write it (eV, A^3, GPa)."""
    eta = (v0 / volume) ** (2 / 3)
    square = (eta - 1) ** 2
    return e0 + 9 * v0 * bulk_gpa / GPA_PER_EV_A3 / 16 * (square * (eta - 1) * prime + square * (6 - 4 * eta))


@pytest.mark.parametrize("prime", [3.5, 4.0, 5.2])
@pytest.mark.parametrize("centre", [0.96, 1.0, 1.05])
def test_the_fit_finds_the_numbers_that_made_the_curve(prime, centre):
    volume = 19.0 * centre * np.linspace(0.94, 1.06, 7)
    fit = birch_murnaghan(volume, birch(volume, 19.0, -4.25, 31.0, prime))
    assert fit.v0 == pytest.approx(19.0, abs=1e-6)
    assert fit.e0 == pytest.approx(-4.25, abs=1e-9)
    assert fit.bulk_modulus == pytest.approx(31.0, rel=1e-6)
    assert fit.bulk_modulus_prime == pytest.approx(prime, rel=1e-5)


@pytest.mark.parametrize(
    ("volume", "energy"),
    [
        (np.linspace(18, 20, 3), [1.0, 0.0, 1.0]),
        (np.linspace(18, 20, 6), -np.linspace(18, 20, 6)),
        (np.linspace(18, 20, 6), -((np.linspace(18, 20, 6) - 19) ** 2)),
        (np.linspace(18, 20, 6), [0.0, np.nan, 0, 0, 0, 0]),
        (np.full(6, 19.0), np.zeros(6)),
        (np.linspace(18, 20, 6), np.zeros(6)),
        (np.linspace(18, 20, 6), birch(np.linspace(18, 20, 6), 26.0, 0.0, 30.0, 4.0)),
    ],
)
def test_what_has_no_minimum_near_has_no_fit(volume, energy):
    assert birch_murnaghan(volume, np.asarray(energy)) is None


def test_scaled_cells_change_the_volume_and_no_fractional_position():
    cells = scaled_cells(CELL, 0.06, 5)
    volumes = [abs(np.linalg.det(cell.cell)) for cell in cells]
    assert np.array(volumes) / volumes[2] == pytest.approx([0.94, 0.97, 1.0, 1.03, 1.06], rel=1e-7)
    assert cells[2] is CELL
    for cell in cells:
        moved = np.linalg.solve(cell.cell.T, cell.positions.T) - np.linalg.solve(CELL.cell.T, CELL.positions.T)
        assert np.abs(moved).max() < 1e-7
    assert {cell.parents for cell in cells if cell is not CELL} == {(CELL.id,)}
    assert [cell.id for cell in scaled_cells(CELL, 0.06, 1)] == [CELL.id]


def test_the_bulk_modulus_is_what_the_stress_says():
    # B = -V dP/dV of the same uniform scaling, from the analytic stress at the minimum of the fit
    cells = scaled_cells(CELL, 0.03, 7)
    energies = [energy_and_pressure(cell)[0] for cell in cells]
    # the crystal as shipped is not at the minimum of the toy: follow the fit there
    fit = birch_murnaghan(np.array([abs(np.linalg.det(cell.cell)) for cell in cells]), np.array(energies))
    around = scaled_cells(at_volume(CELL, fit.v0), 0.02, 7)
    volume = np.array([abs(np.linalg.det(cell.cell)) for cell in around])
    told = [energy_and_pressure(cell) for cell in around]
    fit = birch_murnaghan(volume, np.array([energy for energy, _ in told]))
    pressure = np.array([pressure for _, pressure in told])
    assert fit.v0 == pytest.approx(np.interp(0.0, -pressure, volume), rel=2e-4)
    slope = np.polynomial.Polynomial.fit(volume, pressure, 3).deriv()(fit.v0)
    assert fit.bulk_modulus == pytest.approx(-fit.v0 * slope * GPA_PER_EV_A3, rel=0.01)


def energy_and_pressure(cell):
    atoms = atoms_from_structure(cell)
    atoms.calc = ToyIonic()
    return atoms.get_potential_energy(), -atoms.get_stress()[:3].mean()


def at_volume(cell, volume):
    length = np.cbrt(volume / abs(np.linalg.det(cell.cell)))
    return cell.revised(cell=cell.cell * length, positions=cell.positions * length)


def test_a_committee_has_a_mean_curve_and_a_spread_of_its_fits():
    cells = scaled_cells(CELL, 0.06, 7)
    volume = np.array([abs(np.linalg.det(cell.cell)) for cell in cells]) / CELL.n_atoms
    shift = {"Li": -1.0, "Zr": -2.0, "Cl": -0.5}
    per_atom = (2 * -1.0 + -2.0 + 6 * -0.5) / 9
    members = np.array([birch(volume, 22.3, 0.0, b, 4.0) for b in (30.0, 34.0)])
    said = [Said(column * CELL.n_atoms, eps=0.1 * i) for i, column in enumerate(members.T)]
    labels = list(CELL.n_atoms * birch(volume, 22.2, -3.0, 25.0, 4.0))
    curve = energy_volume_curve("ideal", cells, said, [shift, shift], labels)
    assert curve.energy == pytest.approx(members.mean(axis=0) + per_atom)
    assert np.array(curve.energy_members) == pytest.approx(members + per_atom)
    assert curve.eps[3] == pytest.approx(0.3)
    assert (curve.v0, curve.v0_std) == pytest.approx((22.3, 0.0), abs=1e-4)
    assert (curve.bulk_modulus, curve.bulk_modulus_std) == pytest.approx((32.0, 2.0), rel=1e-3)
    assert curve.e0 == pytest.approx(per_atom, abs=1e-6)
    assert (curve.v0_label, curve.bulk_modulus_label) == pytest.approx((22.2, 25.0), rel=1e-3)
    assert curve.problem == ""


def test_a_curve_without_a_minimum_says_so():
    cells = scaled_cells(CELL, 0.06, 7)
    volume = np.array([abs(np.linalg.det(cell.cell)) for cell in cells]) / CELL.n_atoms
    falling = [Said([-v * 18, -v * 18]) for v in volume]
    curve = energy_volume_curve("ideal", cells, falling, [{}, {}])
    assert curve.v0 is None
    assert "no minimum near" in curve.problem
    one = np.array([birch(volume, 22.3, 0.0, 30.0, 4.0), -volume]).T * 18
    curve = energy_volume_curve("ideal", cells, [Said(row) for row in one * [1, 0.01]], [{}, {}])
    assert curve.v0_std is None
    assert "1 of 2 members have no minimum" in curve.problem
    few = energy_volume_curve("ideal", cells[:3], falling[:3], [{}, {}])
    assert few.problem == "3 volumes are too few for an equation of state, 4 are needed"
    assert few.energy_label == ()
