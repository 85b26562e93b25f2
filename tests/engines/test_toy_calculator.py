"""The calculator that other tests lean on must itself be right."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from toy_calculator import ToyIonic, pair_sums


def rattled_crystal(seed=0):
    atoms = bulk("LiCl", "rocksalt", a=5.0).repeat((2, 2, 1))
    atoms.numbers[0], atoms.numbers[1] = 40, 8
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + 0.03 * np.random.default_rng(seed).normal(size=(3, 3))), True)
    atoms.positions += np.random.default_rng(seed).normal(scale=0.15, size=atoms.positions.shape)
    atoms.calc = ToyIonic()
    return atoms


def test_forces_are_the_derivative_of_the_energy():
    atoms = rattled_crystal()
    numerical = _numerical_forces(atoms, (0, 3))
    assert atoms.get_forces()[[0, 3]] == pytest.approx(numerical, abs=1e-6)
    assert np.abs(atoms.get_forces().sum(axis=0)).max() < 1e-12


def _numerical_forces(atoms, indices, step=1e-4):
    forces = np.zeros((len(indices), 3))
    for row, i in enumerate(indices):
        for axis in range(3):
            energies = []
            for sign in (1, -1):
                moved = atoms.copy()
                moved.positions[i, axis] += sign * step
                moved.calc = ToyIonic()
                energies.append(moved.get_potential_energy())
            forces[row, axis] = -(energies[0] - energies[1]) / (2 * step)
    return forces


def test_stress_is_the_derivative_with_respect_to_strain():
    atoms = rattled_crystal(1)
    stress = atoms.get_stress(voigt=False)
    step = 1e-4
    for i, j in ((0, 0), (2, 2), (0, 1), (1, 2)):
        energies = []
        for sign in (1, -1):
            strain = np.eye(3)
            strain[i, j] += sign * step / 2
            strain[j, i] += sign * step / 2
            strained = atoms.copy()
            strained.set_cell(atoms.cell.array @ strain, scale_atoms=True)
            strained.calc = ToyIonic()
            energies.append(strained.get_potential_energy())
        assert stress[i, j] == pytest.approx((energies[0] - energies[1]) / (2 * step) / atoms.get_volume(), abs=1e-6)


def test_periodic_images_equal_a_repeated_cell():
    atoms = rattled_crystal(2)
    repeated = atoms.repeat((1, 2, 2))
    repeated.calc = ToyIonic()
    assert repeated.get_potential_energy() == pytest.approx(4 * atoms.get_potential_energy(), rel=1e-12)
    assert repeated.get_forces()[: len(atoms)] == pytest.approx(atoms.get_forces(), abs=1e-12)
    assert repeated.get_stress() == pytest.approx(atoms.get_stress(), abs=1e-14)


def test_a_molecule_has_no_images():
    energy, forces, _, shortest = pair_sums(
        np.array([3, 17]), np.array([[0.0, 0, 0], [2.2, 0, 0]]), np.zeros((3, 3)), [False] * 3
    )
    assert shortest == pytest.approx(2.2)
    assert energy < 0
    assert forces[0] == pytest.approx(-forces[1])


def test_it_misbehaves_only_where_it_is_told_to(tmp_path):
    atoms = Atoms("LiCl", positions=[[0, 0, 0], [2.2, 0, 0]], cell=[8, 8, 8], pbc=True)
    atoms.calc = ToyIonic(misbehave="raise", below_a=2.0)
    atoms.get_potential_energy()
    atoms.calc = ToyIonic(misbehave="raise", species="Li", once=str(tmp_path / "done"))
    with pytest.raises(RuntimeError, match="told to raise"):
        atoms.get_potential_energy()
    atoms.get_potential_energy()
