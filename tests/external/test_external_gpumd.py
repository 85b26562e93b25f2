"""GPUMD's own ``nep`` and ``gpumd`` on the PATH: they take what we write, and we agree with what they write.

Run with ``pytest -m external tests/external``. Releases from 4.5 on are spoken to; an older one is skipped.
"""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from lizrcl_flows.documents import Label, Origin
from lizrcl_flows.engines.dynamics.base import DynamicsRequest
from lizrcl_flows.engines.dynamics.gpumd import GpumdDynamics
from lizrcl_flows.engines.training.base import TrainingRequest
from lizrcl_flows.engines.training.nep import NepTrainer, labelled_frames
from lizrcl_flows.gpumd import Release, read_active, read_dump_xyz, read_run_in, read_thermo, write_run_in
from lizrcl_flows.gpumd.release import NEWEST
from lizrcl_flows.nep import Committee, NepIn, read_parity, read_structures, write_nep_in, write_structures
from lizrcl_flows.science.structures import load_structure, structure_from_frame

pytestmark = pytest.mark.external

GOLDEN = Path(__file__).parents[1] / "gpumd_golden"
ELEMENTS = ("Li", "Zr", "Cl", "O")
FORCE = 2e-5
"""Rounding of single precision (eV/A), a few times what was seen."""


def run(program, directory):
    """Run one of GPUMD's programs in a directory and return what it said."""
    finished = subprocess.run([program], cwd=directory, capture_output=True, text=True, timeout=500, check=False)
    return finished.returncode, finished.stdout + finished.stderr


def found(name, tmp_path_factory):
    """Path of a program and its release; skip where it is absent or too old."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"GPUMD's {name} is not on the PATH")
    release = Release.from_banner(run(path, tmp_path_factory.mktemp("probe"))[1])
    if release is None or release < Release(4, 5):
        pytest.skip(f"{name} is release {release}; 4.5 is the oldest one that is checked")
    return path, release


@pytest.fixture(scope="module")
def nep(tmp_path_factory):
    return found("nep", tmp_path_factory)[0]


@pytest.fixture(scope="module")
def new_nep(tmp_path_factory):
    """A nep that knows ``output_interval``, cutoffs of each type, and ZBL by type without cutoffs by type."""
    path, release = found("nep", tmp_path_factory)
    if release < Release(5, 6):
        pytest.skip(f"nep is release {release}; this needs 5.6")
    return path


@pytest.fixture(scope="module")
def gpumd(tmp_path_factory):
    return found("gpumd", tmp_path_factory)


@pytest.mark.parametrize("name", ["nep", "gpumd"])
def test_banner_names_the_release_without_any_input(name, tmp_path_factory):
    assert found(name, tmp_path_factory)[1] is not None


ARCHITECTURES = {
    "five-body": {"l_max": 4, "four_body": True, "five_body": True, "n_max": (6, 4), "cutoff": ((8.0, 5.0),)},
    "high-l": {"l_max": 8, "four_body": False, "n_max": (2, 1), "basis_size": (12, 3)},
    "pair-cutoffs": {"cutoff": ((6.0, 4.0), (5.0, 3.5), (6.5, 4.5), (5.5, 3.8)), "zbl": 2.2},
    "typewise-zbl": {"zbl": 2.0, "use_typewise_cutoff_zbl": 0.9},
    "smallest": {"n_max": (0, 0), "basis_size": (0, 0), "neuron": 1, "l_max": 2, "four_body": False},
}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_what_nep_trains_is_evaluated_as_nep_does(architecture, request, tmp_path):
    nep = request.getfixturevalue("new_nep" if architecture in ("pair-cutoffs", "typewise-zbl") else "nep")
    settings = {"l_max": 4, "four_body": True, "five_body": False, "n_max": (4, 3), "basis_size": (6, 6), "neuron": 6}
    settings.update({"cutoff": ((6.0, 4.0),), "zbl": None, "batch": 100, "population": 10, "generation": 100})
    settings.update(ARCHITECTURES[architecture])
    frames = read_structures(GOLDEN / "nep" / "train.xyz")[:4]
    write_structures(tmp_path / "train.xyz", frames)
    write_nep_in(tmp_path / "nep.in", NepIn(species=ELEMENTS, **settings))
    status, said = run(nep, tmp_path)
    assert status == 0, said[-500:]
    squeezed = [shrunk(frame, factor) for frame in frames for factor in (1.0, 0.9, 0.7)]
    write_structures(tmp_path / "train.xyz", squeezed)
    write_nep_in(tmp_path / "nep.in", NepIn(species=ELEMENTS, **settings, prediction=1))
    status, said = run(nep, tmp_path)
    assert status == 0, said[-500:]
    results = Committee.from_files([tmp_path / "nep.txt"]).evaluate(squeezed)
    energies = np.array([r.energy[0] / len(r.forces[0]) for r in results])
    forces = np.concatenate([result.forces[0] for result in results])
    expected = read_parity(tmp_path / "energy_train.out")[0][:, 0]
    np.testing.assert_allclose(energies, expected, rtol=2e-6, atol=5e-6)
    expected = read_parity(tmp_path / "force_train.out")[0]
    np.testing.assert_allclose(forces, expected, rtol=2e-5, atol=1e-5 * np.abs(expected).max() + FORCE)


def shrunk(frame, factor):
    """Scale a labelled structure; its labels no longer mean anything."""
    return type(frame)(
        frame.species, frame.cell * factor, frame.positions * factor, frame.energy, frame.forces, frame.virial
    )


def test_our_potential_and_inputs_give_the_same_run_in_both_programs(gpumd, tmp_path):
    program, release = gpumd
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    theirs.mkdir()
    for name in ("model.xyz", "nep0.txt", "nep1.txt"):
        shutil.copy(GOLDEN / "md" / name, theirs)
    shutil.copy(GOLDEN / "nep" / "nep.txt", theirs / "nep2.txt")
    commands = read_run_in(GOLDEN / "md" / "v5.6-snapshot" / "nve" / "run.in")
    write_run_in(theirs / "run.in", commands, release)
    shutil.copytree(theirs, ours)
    status, said = run(program, theirs)
    if status != 0:  # a snapshot after the release still calls itself 5.6
        write_run_in(theirs / "run.in", commands, NEWEST)
        status, said = run(program, theirs)
    assert status == 0, said[-500:]
    status, said = run(shutil.which("lizrcl-gpumd"), ours)
    assert status == 0, said[-500:]
    first, second = read_thermo(theirs / "thermo.out"), read_thermo(ours / "thermo.out")
    np.testing.assert_allclose(first.potential_energy, second.potential_energy, atol=1e-5)
    np.testing.assert_allclose(first.kinetic_energy, second.kinetic_energy, atol=1e-5)
    np.testing.assert_allclose(first.pressure, second.pressure, atol=1e-6)
    np.testing.assert_allclose(read_active(theirs / "active.out").eps, read_active(ours / "active.out").eps, atol=FORCE)
    pairs = list(zip(read_dump_xyz(theirs / "dump.xyz"), read_dump_xyz(ours / "dump.xyz"), strict=True))
    assert len(pairs) == 3
    for frame, other in pairs:
        np.testing.assert_allclose(frame.positions, other.positions, atol=2e-6)
        np.testing.assert_allclose(frame.prediction.forces, other.prediction.forces, atol=FORCE)


@pytest.mark.parametrize(("ensemble", "pressure_gpa"), [("nve", None), ("nvt", None), ("npt", 0.1)])
@pytest.mark.parametrize(
    ("name", "supercell"), [("Li2ZrCl6_alpha_ordered", (1, 1, 2)), ("ZrO2_tetragonal_P42nmc", (3, 3, 2))]
)
def test_dynamics_engine_runs_gpumd(gpumd, name, supercell, ensemble, pressure_gpa, tmp_path):
    request = DynamicsRequest(
        structure=load_structure(name),
        potentials=[GOLDEN / "md" / "nep0.txt"],
        elements=ELEMENTS,
        ensemble=ensemble,
        temperature_k=300.0,
        pressure_gpa=pressure_gpa,
        steps=40,
        equilibration_steps=20,
        time_step_fs=1.0,
        sample_every=10,
        seed=1,
        supercell=supercell,
    )
    result = GpumdDynamics(command=gpumd[0]).run(request, tmp_path / "run")
    assert result.health.status == "ok", result.health.reason
    assert result.n_frames == 4
    assert result.version != "unknown"
    frames = list(read_dump_xyz(result.trajectory))
    assert len(frames[0].species) == request.structure.n_atoms * int(np.prod(supercell))
    assert all(frame.unwrapped_positions is not None for frame in frames)


def test_dynamics_engine_lets_gpumd_judge_frames(gpumd, tmp_path):
    potentials = [GOLDEN / "md" / "nep0.txt", GOLDEN / "md" / "nep1.txt"]
    request = DynamicsRequest(
        structure=load_structure("Li2ZrCl6_alpha_ordered"),
        potentials=potentials,
        elements=ELEMENTS,
        ensemble="nvt",
        temperature_k=300.0,
        pressure_gpa=None,
        steps=40,
        equilibration_steps=0,
        time_step_fs=1.0,
        sample_every=10,
        seed=1,
        active_threshold=0.0,
    )
    result = GpumdDynamics(command=gpumd[0]).run(request, tmp_path / "run")
    assert result.health.status == "ok", result.health.reason
    assert result.n_frames == result.n_checked == 4
    evaluator = Committee.from_files(potentials)
    for frame in read_dump_xyz(result.trajectory):
        assert frame.prediction.energy is frame.prediction.forces is frame.prediction.virial is None
        assert evaluator.evaluate([frame])[0].eps == pytest.approx(frame.eps, abs=FORCE)


def test_training_engine_runs_nep(new_nep, tmp_path):
    pairs = []
    for frame in read_structures(GOLDEN / "nep" / "train.xyz")[:6]:
        structure = structure_from_frame(frame, origin=Origin(kind="import", source="test"))
        label = Label(
            structure=structure.id,
            level="lev_00000000000000000000",
            status="accepted",
            n_atoms=structure.n_atoms,
            energy=frame.energy,
            forces=frame.forces,
            stress=None,
            formula=structure.formula,
        )
        pairs.append((structure, label))
    request = TrainingRequest(pairs, ELEMENTS, {"Li": 0.1}, seed=1)
    small = {"n_max": (3, 2), "basis_size": (4, 4), "neurons": 5, "cutoff_radial_a": 5.0, "cutoff_angular_a": 4.0}
    result = NepTrainer(command=new_nep, steps=200, population=10, zbl_a=1.2, **small).train(
        request, tmp_path / "member"
    )
    assert not result.seeded
    assert result.loss_curve[-1, 0] == 200
    assert result.errors.force == pytest.approx(result.loss_curve[-1, 5], abs=2e-5)
    assert result.errors.energy == pytest.approx(result.loss_curve[-1, 4], abs=2e-5)
    assert result.errors.virial is None
    assert len(labelled_frames(request)) == 6
