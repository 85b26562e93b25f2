"""The ASE calculator."""

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.fd import calculate_numerical_forces, calculate_numerical_stress

from lizrcl_flows.errors import InputError
from lizrcl_flows.nep import Committee, NepCalculator, write_nep_txt

FOUR = ("Li", "Zr", "Cl", "O")


@pytest.fixture
def atoms(make_frame):
    frame = make_frame(FOUR, 16)
    return Atoms(frame.species, positions=frame.positions, cell=frame.cell, pbc=True)


@pytest.fixture
def committee(make_model):
    return Committee([make_model(seed=seed) for seed in range(3)])


def test_results_are_means_with_their_spread(atoms, committee):
    atoms.calc = NepCalculator(committee)
    expected = committee.evaluate([atoms])[0]
    assert atoms.get_potential_energy() == pytest.approx(expected.energy.mean(), abs=1e-10)
    np.testing.assert_allclose(atoms.get_forces(), expected.forces.mean(axis=0), atol=1e-11)
    stress = -expected.virial.mean(axis=0) / atoms.get_volume()
    np.testing.assert_allclose(atoms.get_stress(voigt=False), stress, atol=1e-12)
    np.testing.assert_allclose(atoms.get_potential_energies().sum(), atoms.get_potential_energy(), rtol=1e-12)
    results = atoms.calc.results
    assert results["eps"] == pytest.approx(expected.eps, rel=1e-9)
    np.testing.assert_allclose(results["eps_atoms"], expected.eps_atoms, rtol=1e-9)
    assert results["energy_members"].shape == (3,)
    assert results["forces_members"].shape == (3, 16, 3)
    assert results["stress_members"].shape == (3, 6)


def test_one_member_drives_while_the_spread_is_that_of_all(atoms, committee):
    atoms.calc = NepCalculator(committee, member=1)
    expected = committee.evaluate([atoms])[0]
    np.testing.assert_allclose(atoms.get_forces(), expected.forces[1], atol=1e-11)
    assert atoms.get_potential_energy() == pytest.approx(expected.energy[1])
    np.testing.assert_allclose(atoms.get_stress(voigt=False), -expected.virial[1] / atoms.get_volume(), atol=1e-12)
    assert atoms.calc.results["eps"] == pytest.approx(expected.eps)


def test_numerical_derivatives(atoms, committee):
    atoms.calc = NepCalculator(committee)
    forces = calculate_numerical_forces(atoms, eps=1e-4, iatoms=[0, 5])
    np.testing.assert_allclose(atoms.get_forces()[[0, 5]], forces, atol=2e-5)
    np.testing.assert_allclose(atoms.get_stress(), calculate_numerical_stress(atoms, eps=1e-5), atol=1e-6)


def test_agrees_with_calorine(tmp_path, atoms, make_model):
    from calorine.calculators import CPUNEP

    write_nep_txt(tmp_path / "nep.txt", make_model(), full_precision=True)
    ours, theirs = atoms.copy(), atoms.copy()
    ours.calc, theirs.calc = NepCalculator(tmp_path / "nep.txt"), CPUNEP(str(tmp_path / "nep.txt"))
    assert ours.get_potential_energy() == pytest.approx(theirs.get_potential_energy(), abs=1e-9)
    np.testing.assert_allclose(ours.get_forces(), theirs.get_forces(), atol=1e-9)
    np.testing.assert_allclose(ours.get_stress(), theirs.get_stress(), atol=1e-11)
    np.testing.assert_allclose(ours.get_potential_energies(), theirs.get_potential_energies(), atol=1e-10)


def test_it_notices_every_change(atoms, committee):
    calculator = NepCalculator(committee)
    atoms.calc = calculator
    states = [atoms.get_potential_energy()]
    atoms.positions[0] += 0.2
    states.append(atoms.get_potential_energy())
    atoms.set_cell(atoms.cell * 1.02, scale_atoms=True)
    states.append(atoms.get_potential_energy())
    atoms.symbols[0] = "Zr"
    states.append(atoms.get_potential_energy())
    atoms.pbc = (True, True, False)
    states.append(atoms.get_potential_energy())
    del atoms[3]
    states.append(atoms.get_potential_energy())
    assert len(set(states)) == 6
    fresh = atoms.copy()
    fresh.calc = NepCalculator(committee)
    assert fresh.get_potential_energy() == pytest.approx(states[-1], abs=1e-10)


def test_there_is_no_stress_without_a_period(atoms, committee):
    atoms.pbc = (True, True, False)
    atoms.calc = NepCalculator(committee)
    atoms.get_forces()
    with pytest.raises(PropertyNotImplementedError):
        atoms.get_stress()


def test_unknown_elements_are_named(committee):
    atoms = Atoms("LiXe", positions=[[0, 0, 0], [2, 0, 0]], calculator=NepCalculator(committee))
    with pytest.raises(InputError, match="Element Xe of the structure is not among the types of the model: Li Zr Cl O"):
        atoms.get_potential_energy()


def test_relaxation_with_ase_finds_zero_forces(atoms, make_model, make_header):
    from ase.optimize import BFGS

    atoms.calc = NepCalculator(Committee([make_model(make_header(n_max=(2, 2), neurons=4))]))
    before = atoms.get_potential_energy()
    with BFGS(atoms, logfile=None, maxstep=0.05) as optimiser:
        optimiser.run(fmax=0.05, steps=200)
    assert atoms.get_potential_energy() < before
