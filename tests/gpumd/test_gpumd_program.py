"""``lizrcl-gpumd`` itself, with real committees of NEP models."""

import json
import subprocess
import sys

import numpy as np
import pytest

from lizrcl_flows.gpumd import read_active, read_dump_xyz, read_thermo, write_model_xyz
from lizrcl_flows.gpumd.program import main
from lizrcl_flows.gpumd.source import open_trajectory
from lizrcl_flows.nep import Committee

FOUR = "potential nep0.txt\npotential nep1.txt\npotential nep2.txt\npotential nep3.txt\n"


@pytest.fixture
def folder(tmp_path, monkeypatch, random_nep, chloride):
    """A directory with four models and a structure; the text of run.in is given in the test."""

    def build(run_in, strength=0.02, model=None):
        for index in range(4):
            (tmp_path / f"nep{index}.txt").write_text(random_nep(index, strength=strength))
        write_model_xyz(tmp_path / "model.xyz", chloride() if model is None else model)
        (tmp_path / "run.in").write_text(run_in)
        monkeypatch.chdir(tmp_path)
        return tmp_path

    return build


def outputs(folder):
    return {path.name for path in folder.iterdir()} - {"model.xyz", "run.in", *(f"nep{k}.txt" for k in range(4))}


def test_four_models_with_active_as_defined(folder, capsys):
    run_in = "velocity 600 seed 5\nensemble nvt_bdp 600 600 100\ndump_thermo 10\nactive 10 0 1 1 0.3\nrun 300\n"
    directory = folder(FOUR + run_in, strength=0.18)
    assert main([]) == 0
    assert outputs(directory) == {"thermo.out", "active.out", "active.xyz", "health.json"}
    active = read_active(directory / "active.out")
    np.testing.assert_allclose(active.time_fs, np.arange(10, 301, 10))
    above = active.eps > 0.3
    assert 3 <= above.sum() < len(above)
    frames = list(read_dump_xyz(directory / "active.xyz"))
    assert [frame.time_fs for frame in frames] == active.time_fs[above].tolist()
    committee = Committee.from_files([directory / f"nep{index}.txt" for index in range(4)])
    for frame, eps, result in zip(frames, active.eps[above], committee.evaluate(frames), strict=True):
        assert result.eps == pytest.approx(eps, abs=1e-7)
        assert frame.eps == pytest.approx(eps, abs=1e-9)
        forces = np.asarray(result.forces)
        variance = ((forces - forces.mean(axis=0)) ** 2).mean(axis=0).sum(axis=1)
        np.testing.assert_allclose(frame.eps_atoms, np.sqrt(variance), atol=1e-7)
        np.testing.assert_allclose(frame.prediction.forces, forces[0], atol=1e-7)
        assert frame.prediction.energy == pytest.approx(result.energy[0], abs=1e-7)
        np.testing.assert_allclose(frame.prediction.virial, result.virial[0], atol=1e-6)
    printed = capsys.readouterr()
    assert "seed 5 (from velocity in run.in)" in printed.out
    assert "atom*step/second" in printed.out
    assert printed.out.endswith("Finished running lizrcl-gpumd.\n")
    assert printed.err == ""
    health = json.loads((directory / "health.json").read_text())
    assert (health["status"], health["step"], health["seed"]) == ("ok", 300, 5)


def test_forces_are_those_of_calorine(folder):
    from ase import Atoms
    from calorine.calculators import CPUNEP

    run_in = "velocity 300 seed 1\nensemble nve\ndump_xyz 50 dump.xyz precision double force potential\nrun 100\n"
    directory = folder("potential nep0.txt\n" + run_in)
    assert main([]) == 0
    frame = list(read_dump_xyz(directory / "dump.xyz"))[-1]
    atoms = Atoms(frame.species, positions=frame.positions, cell=frame.cell, pbc=True)
    atoms.calc = CPUNEP(str(directory / "nep0.txt"))
    np.testing.assert_allclose(frame.prediction.forces, atoms.get_forces(), atol=1e-9)
    assert frame.prediction.energy == pytest.approx(atoms.get_potential_energy(), abs=1e-8)
    np.testing.assert_allclose(frame.prediction.atom_energies, atoms.get_potential_energies(), atol=1e-9)
    virial = -atoms.get_stress(voigt=False) * atoms.get_volume()
    np.testing.assert_allclose(frame.prediction.virial, virial, atol=1e-8)


def test_nve_with_a_nep_conserves_energy(folder):
    written = "ensemble nve\ndump_thermo 1\n"
    directory = folder(f"potential nep0.txt\nvelocity 300 seed 2\ntime_step 0.25\n{written}run 1000\n", strength=0.1)
    assert main([]) == 0
    thermo = read_thermo(directory / "thermo.out")
    total = (thermo.kinetic_energy + thermo.potential_energy) / 18
    assert thermo.potential_energy.std() / 18 > 1e-4
    assert total.std() < 3e-4 * thermo.potential_energy.std() / 18
    assert abs(total[500:].mean() - total[:500].mean()) < 2e-6


def test_npt_of_the_hexagonal_cell(folder):
    cell = "0.1 0.1 0.1 0 0 0 20 20 20 20 20 20 100"
    ensemble = f"ensemble npt_scr 300 300 50 {cell}\n"
    directory = folder(f"potential nep0.txt\nvelocity 300 seed 2\n{ensemble}dump_thermo 1\nrun 100\n")
    assert main([]) == 0
    volumes = read_thermo(directory / "thermo.out").volume
    assert 0 < volumes.std() / volumes.mean() < 0.1


@pytest.mark.parametrize("threads", ["1", "2"])
def test_equal_input_gives_equal_bytes(folder, threads):
    written = "dump_thermo 1\ndump_exyz 5 1 1 0\nactive 10 1 1 1 0\n"
    directory = folder(f"{FOUR}velocity 300 seed 3\nensemble nvt_bdp 300 300 20\n{written}run 20\n")
    contents = []
    for _ in range(2):
        assert main(["--threads", threads]) == 0
        contents.append({name: (directory / name).read_bytes() for name in sorted(outputs(directory))})
        for name in outputs(directory):
            (directory / name).unlink()
    assert contents[0] == contents[1]
    assert len(contents[0]) == 5


def test_seed_of_the_command_line_comes_first(folder, capsys):
    run_in = "potential nep0.txt\nvelocity 300 seed 3\nensemble nve\ndump_thermo 1\nrun 1\n"
    directory = folder(run_in)
    temperatures = []
    for arguments in ([], ["--seed", "4"], ["--seed", "3"]):
        assert main(arguments) == 0
        temperatures.append(read_thermo(directory / "thermo.out").pressure[0, 0, 0])
        (directory / "thermo.out").unlink()
    assert temperatures[0] == temperatures[2] != temperatures[1]
    assert "seed 4 (from --seed)" in capsys.readouterr().out


def test_existing_files_are_appended_to_and_that_is_said(folder, capsys):
    directory = folder("potential nep0.txt\nvelocity 300 seed 3\nensemble nve\ndump_thermo 1\nrun 2\n")
    assert main([]) == 0
    assert "appended" not in capsys.readouterr().out
    assert main([]) == 0
    assert "thermo.out exists and is appended to." in capsys.readouterr().out
    assert len(read_thermo(directory / "thermo.out").temperature_k) == 4


def test_a_run_that_blows_up_says_so_and_keeps_its_frames(folder, capsys):
    run_in = "potential nep0.txt\nvelocity 300 seed 3\ntime_step 200\nensemble nve\ndump_exyz 1\nrun 1000\n"
    directory = folder(run_in)
    assert main([]) == 1
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1
    assert "blew up at step" in printed.err
    assert "Finished" not in printed.out
    health = json.loads((directory / "health.json").read_text())
    assert health["status"] == "blown_up"
    assert health["reason"] in printed.err
    frames = list(read_dump_xyz(directory / "dump.xyz"))
    assert len(frames) == health["step"] - 1
    assert all(np.isfinite(frame.positions).all() for frame in frames)


@pytest.mark.parametrize(
    ("run_in", "words"),
    [
        ("potential nep9.txt\nvelocity 300\nensemble nve\nrun 1", "nep9.txt"),
        ("potential nep0.txt\nvelocity 300\nensemble nve\nrum 1", "run.in, line 4: there is no keyword 'rum'"),
        ("potential nep0.txt\nvelocity 300\nensemble npt_scr 300 300 100 0 50 1000\nrun 1", "six pressures"),
        ("potential run.in\nvelocity 300\nensemble nve\nrun 1", "run.in"),
    ],
)
def test_wrong_input_is_one_sentence_and_exit_2(folder, capsys, run_in, words):
    directory = folder(run_in)
    assert main([]) == 2
    printed = capsys.readouterr()
    assert words in printed.err
    assert printed.err.startswith("lizrcl-gpumd: ")
    assert printed.err.count("\n") == 1
    assert outputs(directory) == set()


def test_an_element_that_the_potential_lacks(folder, capsys, argon):
    directory = folder("potential nep0.txt\nvelocity 300\nensemble nve\nrun 1", model=argon(1))
    assert main([]) == 2
    assert "Ar" in capsys.readouterr().err
    assert outputs(directory) == set()


def test_overlapping_atoms_are_wrong_input(folder, capsys, chloride):
    model = chloride()
    model.positions[3] = model.positions[2] + [0.0, 0.1, 0.0]
    directory = folder("potential nep0.txt\nvelocity 300\nensemble nve\ndump_thermo 1\nrun 1", model=model)
    assert main([]) == 2
    assert "atoms 2 (Li) and 3 (Li) are 0.100 A apart" in capsys.readouterr().err
    assert outputs(directory) == set()


def test_potentials_of_other_elements_do_not_go_together(folder, capsys, random_nep):
    directory = folder("potential nep0.txt\npotential nep1.txt\nvelocity 300\nensemble nve\nactive 1 0 0 0 0.3\nrun 1")
    (directory / "nep1.txt").write_text(random_nep(1, elements=("Li", "Cl", "O")))
    assert main([]) == 2
    assert "nep1.txt" in capsys.readouterr().err


def test_as_a_program(folder):
    directory = folder("potential nep0.txt\nvelocity 300\nensemble nve\ndump_thermo 1\nrun 1\n")
    command = [sys.executable, "-c", "from lizrcl_flows.gpumd.program import main; raise SystemExit(main())"]
    good = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    assert (good.returncode, good.stderr) == (0, "")
    assert "(from the system)" in good.stdout
    (directory / "model.xyz").unlink()
    bad = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    assert (bad.returncode, bad.stderr) == (2, "lizrcl-gpumd: There is no file model.xyz.\n")
    usage = subprocess.run([*command, "--threads", "0"], cwd=directory, capture_output=True, text=True, check=False)
    assert usage.returncode == 2
    assert usage.stderr == "lizrcl-gpumd: argument --threads: '0' should be a whole number of at least 1.\n"


def test_netcdf_and_extended_xyz_hold_the_same_run(folder):
    """Under npt the cell turns and breathes: fractional positions, lengths and times are what can be compared."""
    dumps = "dump_xyz 20 a.xyz unwrapped_position\ndump_netcdf 20 a.nc unwrapped_position velocity precision double\n"
    run_in = f"velocity 600 seed 5\nensemble npt_scr 600 600 100 0 0 0 0 0 0 50 50 50 50 50 50 1000\n{dumps}run 100\n"
    directory = folder("potential nep0.txt\n" + run_in)
    assert main([]) == 0
    with open_trajectory(directory / "a.xyz") as text, open_trajectory(directory / "a.nc") as binary:
        expected, found = text.read(), binary.read()
    assert binary.has_unwrapped
    assert found.species == expected.species
    np.testing.assert_allclose(found.times_ps, expected.times_ps)
    np.testing.assert_allclose(found.times_ps, np.arange(1, 6) * 0.02)
    np.testing.assert_allclose(np.linalg.det(found.cells), np.linalg.det(expected.cells), rtol=1e-8)
    for name in ("positions", "unwrapped"):
        pairs = [getattr(paths, name) @ np.linalg.inv(paths.cells) for paths in (found, expected)]
        np.testing.assert_allclose(pairs[0], pairs[1], atol=1e-6)
