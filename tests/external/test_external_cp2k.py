"""CP2K itself, as Debian has it (2023.1): lithium chloride of 8 atoms and an oxide, PBE-D3(BJ).

Run with ``pytest -m external tests/external/test_external_cp2k.py`` where cp2k.psmp is on the PATH. A label takes
a minute on a busy core, the oxide two or three.
"""

import gzip
import shutil

import numpy as np
import pytest

from lizrcl_flows.documents import Origin
from lizrcl_flows.engines.labelling.cp2k import Cp2kLabeller
from lizrcl_flows.engines.labelling.cp2k.data import BASIS_FILE, POTENTIAL_FILE, canonical_name, read_entries
from lizrcl_flows.science.structures import structure_from_atoms
from lizrcl_flows.units import GPA_PER_EV_A3

pytestmark = [
    pytest.mark.external,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(shutil.which("cp2k.psmp") is None, reason="cp2k.psmp is not on the PATH"),
]

ENGINE = Cp2kLabeller(dispersion="D3-BJ")


def lithium_chloride(seed=5, scale=0.05, a=5.13):
    """LiCl with 8 atoms, rattled; Li and Cl take turns."""
    from ase.build import bulk

    atoms = bulk("LiCl", "rocksalt", a=a, cubic=True)
    atoms.positions += np.random.default_rng(seed).normal(scale=scale, size=atoms.positions.shape)
    return structure_from_atoms(atoms, origin=Origin(kind="import", source="test"))


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """Structure, result and directory of one label."""
    structure, directory = lithium_chloride(), tmp_path_factory.mktemp("label")
    return structure, ENGINE.label(structure, directory), directory


def test_label_is_complete_and_what_it_was(labelled):
    _, result, _ = labelled
    assert result.accepted, result.reason
    assert result.energy == pytest.approx(-2458.49196, abs=2e-3)
    assert result.forces[3] == pytest.approx([-0.25756, 0.00954, 0.15017], abs=2e-3)
    # with 5.13 A the crystal of PBE-D3 wants to shrink; printed as a pressure of -1.41 GPa
    assert np.trace(result.stress) / 3 * GPA_PER_EV_A3 == pytest.approx(1.410, abs=0.02)
    assert result.n_scf <= 20
    assert result.executable.startswith("CP2K ")


def test_a_rerun_finds_it(labelled):
    structure, result, directory = labelled
    again = ENGINE.label(structure, directory)
    assert (again.energy, again.wall_s, again.files) == (result.energy, result.wall_s, result.files)
    (directory / "label.json").unlink()
    found = ENGINE.label(structure, directory)
    assert found.energy == result.energy
    assert found.forces.tobytes() == result.forces.tobytes()
    assert [path.name for path in directory.glob("start-*")] == ["start-1"]


def test_pymatgen_reads_the_same_from_the_output(labelled, tmp_path):
    """An independent reader; its forces are Hartree/Bohr, its stress is GPa with the sign of a pressure."""
    from pymatgen.io.cp2k.outputs import Cp2kOutput

    _, result, _ = labelled
    for path in result.files:
        if path.suffix == ".gz":
            (tmp_path / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
    output = Cp2kOutput(str(tmp_path / "cp2k.out"), auto_load=False)
    output.parse_energies()
    output.parse_forces()
    output.parse_stresses()
    assert output.final_energy == pytest.approx(result.energy, abs=1e-3)
    assert np.array(output.data["forces"][-1]) * 51.4220675 == pytest.approx(result.forces, abs=1e-5)
    assert -np.array(output.data["stress_tensor"][-1]) / GPA_PER_EV_A3 == pytest.approx(result.stress, abs=1e-8)


def test_force_and_stress_are_derivatives_of_the_energy(labelled, tmp_path):
    structure, result, _ = labelled
    step, strain = 0.02, 0.005
    moved, strained = [], []
    for sign in (1, -1):
        positions = structure.positions.copy()
        positions[1, 0] += sign * step
        moved.append(ENGINE.label(structure.revised(positions=positions), tmp_path / f"moved{sign}").energy)
        factor = 1 + sign * strain
        larger = structure.revised(cell=structure.cell * factor, positions=structure.positions * factor)
        strained.append(ENGINE.label(larger, tmp_path / f"strained{sign}").energy)
    assert result.forces[1, 0] == pytest.approx(-(moved[0] - moved[1]) / (2 * step), abs=5e-3)
    volume = abs(np.linalg.det(structure.cell))
    pressure = -(strained[0] - strained[1]) / (volume * ((1 + strain) ** 3 - (1 - strain) ** 3))
    # a changed cell has other grid spacings at the same number of points: 0.1 GPa at 400 Ry
    assert -np.trace(result.stress) / 3 * GPA_PER_EV_A3 == pytest.approx(pressure * GPA_PER_EV_A3, abs=0.2)


def test_the_grid_does_not_pull_at_an_oxide(tmp_path):
    """Fluorite ZrO2 with 12 atoms, shifted as a whole: no true force but 0.13 eV/A without the finer grid."""
    from ase.build import bulk

    atoms = bulk("ZrO2", "fluorite", a=5.09, cubic=True)
    atoms.positions += (0.031, 0.057, 0.083)
    result = ENGINE.label(structure_from_atoms(atoms, origin=Origin(kind="import", source="test")), tmp_path)
    assert result.accepted, result.reason
    assert np.abs(result.forces).max() < 0.015
    assert np.abs(result.forces.sum(axis=0)).max() < 0.05


def test_odd_electrons_are_computed_with_spins(tmp_path):
    """The cell without one Li, coarsely; CP2K refuses such a cell without spins."""
    from lizrcl_flows.science.structures import atoms_from_structure

    atoms = atoms_from_structure(lithium_chloride())
    odd = structure_from_atoms(atoms[1:], origin=Origin(kind="import", source="test"))
    coarse = {"basis": "SZV-MOLOPT-SR-GTH", "cutoff_ry": 200, "finer_xc_grid": False}
    result = Cp2kLabeller(parameters=coarse, max_attempts=1).label(odd, tmp_path)
    # a hole in a crystal of 7 atoms may not converge in 60 steps; CP2K has to have begun
    assert result.accepted or result.reason == "CP2K's self-consistent field did not converge"
    assert "UKS True" in (tmp_path / "start-1" / "cp2k.inp").read_text()


def test_the_digests_are_those_of_the_installed_data():
    data = ENGINE.installation().data
    for file, start in ((BASIS_FILE, ""), (POTENTIAL_FILE, "GTH-PBE-")):
        entries = [entry for entry in read_entries(data / file) if entry.names[0].startswith(start)]
        assert len(entries) > 100
        for entry in entries:
            for name in entry.names:
                assert canonical_name(file, entry.element, name) == (entry.names[0], entry.sha256)
