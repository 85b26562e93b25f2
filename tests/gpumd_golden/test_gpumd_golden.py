"""Our readers, evaluation and programs against files that GPUMD's own programs wrote on our inputs (see README.md).

GPUMD computes forces in single precision: the bounds are those of its rounding, a few times what was seen.
"""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from lizrcl_flows.gpumd import (
    Release,
    read_active,
    read_dump_xyz,
    read_model_xyz,
    read_msd,
    read_run_in,
    read_thermo,
    render_run_in,
)
from lizrcl_flows.gpumd.program import main as lizrcl_gpumd
from lizrcl_flows.gpumd.source import open_trajectory
from lizrcl_flows.nep import (
    Committee,
    Frame,
    read_loss,
    read_nep_in,
    read_nep_txt,
    read_parity,
    read_structures,
    write_nep_txt,
)
from lizrcl_flows.nep.program import main as lizrcl_nep
from lizrcl_flows.nep.training import TrainingOptions, train

HERE = Path(__file__).parent
RELEASES = {"v5.6": Release(5, 6), "v5.6-snapshot": Release(5, 6, development=True)}
ENERGY, FORCE, VIRIAL, PRESSURE, LENGTH, VELOCITY = 1e-5, 2e-5, 1e-4, 1e-6, 2e-6, 1e-7
"""eV, eV/A, eV, eV/A^3, A and A/fs for 27 atoms."""


def table(name):
    return np.loadtxt(HERE / "nep" / name)


class TestPotentialTrainedByGpumd:
    def test_it_survives_reading_and_writing_word_for_word(self, tmp_path):
        model = read_nep_txt(HERE / "nep" / "nep.txt")
        write_nep_txt(tmp_path / "nep.txt", model)
        assert (tmp_path / "nep.txt").read_text().split() == (HERE / "nep" / "nep.txt").read_text().split()

    def test_our_evaluation_is_what_gpumd_wrote(self):
        structures = read_structures(HERE / "nep" / "train.xyz")
        results = Committee.from_files([HERE / "nep" / "nep.txt"]).evaluate(structures)
        energy, force, virial = table("energy_train.out"), table("force_train.out"), table("virial_train.out")
        sizes = np.array([len(structure.species) for structure in structures])
        rows = np.array([result.virial[0] for result in results]) / sizes[:, None, None]
        six = np.stack([rows[:, a, b] for a, b in ((0, 0), (1, 1), (2, 2), (0, 1), (1, 2), (2, 0))], axis=1)
        np.testing.assert_allclose([r.energy[0] for r in results] / sizes, energy[:, 0], atol=2e-6)
        np.testing.assert_allclose(np.concatenate([r.forces[0] for r in results]), force[:, :3], atol=FORCE)
        np.testing.assert_allclose(six, virial[:, :6], atol=2e-5)
        np.testing.assert_allclose([s.energy for s in structures] / sizes, energy[:, 1], atol=1e-6)
        np.testing.assert_allclose([s.virial for s in structures] / sizes[:, None], virial[:, 6:], atol=2e-5)

    def test_our_prediction_run_writes_the_same_files(self, tmp_path, monkeypatch):
        for name in ("nep.txt", "train.xyz"):
            shutil.copy(HERE / "nep" / name, tmp_path)
        (tmp_path / "nep.in").write_text((HERE / "nep" / "nep.in").read_text() + "prediction 1\n")
        monkeypatch.chdir(tmp_path)
        assert lizrcl_nep([]) == 0
        for name, bound in (("energy", 5e-6), ("force", FORCE), ("virial", 2e-5), ("stress", 3e-4)):
            np.testing.assert_allclose(
                np.loadtxt(f"{name}_train.out"), table(f"{name}_train.out"), atol=bound, err_msg=name
            )

    def test_errors_and_regularisation_of_loss_out_follow_from_the_potential(self):
        curve = read_loss(HERE / "nep" / "loss.out")
        settings = read_nep_in(HERE / "nep" / "nep.in")
        n_parameters = read_nep_txt(HERE / "nep" / "nep.txt").header.n_parameters
        weights = np.loadtxt(HERE / "nep" / "nep.txt", skiprows=7)[:n_parameters]
        errors = {
            name: np.subtract(*read_parity(HERE / "nep" / f"{name}_train.out"))
            for name in ("energy", "force", "virial")
        }
        assert curve.generation[-1] == settings.generation == 1000
        assert curve.l1[-1] == pytest.approx(settings.lambda_1 * np.abs(weights).mean(), abs=2e-5)
        assert curve.l2[-1] == pytest.approx(settings.lambda_2 * np.sqrt((weights**2).mean()), abs=2e-5)
        assert curve.energy_train[-1] == pytest.approx(errors["energy"].std(), abs=2e-5)
        assert curve.force_train[-1] == pytest.approx(np.sqrt((errors["force"] ** 2).mean()), abs=2e-5)
        assert curve.virial_train[-1] == pytest.approx(np.sqrt((errors["virial"] ** 2).mean()), abs=2e-5)
        parts = curve.l1 + curve.l2 + curve.energy_train + curve.force_train + 0.1 * curve.virial_train
        np.testing.assert_allclose(curve.total, parts, atol=5e-5)


@pytest.fixture(params=sorted(RELEASES))
def release(request):
    return request.param


def prepare(directory, release, run):
    """Inputs of one of GPUMD's runs."""
    folder = HERE / "md"
    for file in (folder / "model.xyz", folder / "nep0.txt", folder / "nep1.txt", folder / release / run / "run.in"):
        shutil.copy(file, directory)
    shutil.copy(HERE / "nep" / "nep.txt", directory / "nep2.txt")
    return folder / release / run


def compare_frames(path, reference):
    frames, expected = list(read_dump_xyz(path)), list(read_dump_xyz(reference))
    assert len(frames) == len(expected) > 0
    for frame, wanted in zip(frames, expected, strict=True):
        assert frame.species == wanted.species
        assert frame.time_fs == pytest.approx(wanted.time_fs)
        ours, theirs = frame.prediction, wanted.prediction
        for got, want, bound in (
            (frame.cell, wanted.cell, 1e-7),
            (frame.positions, wanted.positions, LENGTH),
            (frame.unwrapped_positions, wanted.unwrapped_positions, LENGTH),
            (frame.velocities, wanted.velocities, VELOCITY),
            (frame.masses, wanted.masses, 1e-6),
            (frame.eps, wanted.eps, FORCE),
            (frame.eps_atoms, wanted.eps_atoms, FORCE),
            (ours.energy, theirs.energy, ENERGY),
            (ours.atom_energies, theirs.atom_energies, ENERGY),
            (ours.forces, theirs.forces, FORCE),
            (ours.virial, theirs.virial, VIRIAL),
            (ours.pressure, theirs.pressure, PRESSURE),
        ):
            assert (got is None) == (want is None)
            if want is not None:
                np.testing.assert_allclose(got, want, rtol=0.0, atol=bound)


class TestDynamicsOfGpumd:
    @pytest.mark.parametrize("path", sorted((HERE / "md").glob("*/*/run.in")), ids=lambda path: path.parent.name)
    def test_run_in_is_still_what_that_release_accepted(self, path):
        release = RELEASES[path.parent.parent.name]
        assert render_run_in(read_run_in(path), release) == path.read_text()

    def test_our_run_of_the_same_files_gives_the_same_trajectory(self, release, tmp_path, monkeypatch):
        reference = prepare(tmp_path, release, "nve")
        monkeypatch.chdir(tmp_path)
        assert lizrcl_gpumd([]) == 0
        ours, theirs = read_thermo("thermo.out"), read_thermo(reference / "thermo.out")
        np.testing.assert_array_equal(ours.interval_fs, theirs.interval_fs)
        np.testing.assert_allclose(ours.kinetic_energy, theirs.kinetic_energy, rtol=0.0, atol=ENERGY)
        np.testing.assert_allclose(ours.potential_energy, theirs.potential_energy, rtol=0.0, atol=ENERGY)
        np.testing.assert_allclose(ours.pressure, theirs.pressure, rtol=0.0, atol=PRESSURE)
        np.testing.assert_allclose(ours.cell, theirs.cell, rtol=0.0, atol=1e-8)
        for name in ("dump.xyz", "frames.xyz", "active.xyz"):
            compare_frames(name, reference / name)

    def test_eps_is_the_sigma_of_active(self, release, tmp_path, monkeypatch):
        reference = prepare(tmp_path, release, "nve")
        with read_dump_xyz(reference / "active.xyz") as frames:
            frame = next(frames)
        committee = Committee.from_files([tmp_path / f"nep{member}.txt" for member in range(3)])
        result = committee.evaluate([Frame(frame.species, frame.cell, frame.positions, frame.pbc)])[0]
        assert result.eps == pytest.approx(frame.eps, abs=FORCE)
        np.testing.assert_allclose(result.eps_atoms, frame.eps_atoms, atol=FORCE)
        monkeypatch.chdir(tmp_path)
        assert lizrcl_gpumd([]) == 0
        ours, theirs = read_active("active.out"), read_active(reference / "active.out")
        np.testing.assert_allclose(ours.time_fs, theirs.time_fs)
        np.testing.assert_allclose(ours.eps, theirs.eps, atol=FORCE)

    def test_temperature_counts_the_momentum_as_fixed_where_gpumd_does_not(self, release, tmp_path, monkeypatch):
        reference = prepare(tmp_path, release, "nve")
        monkeypatch.chdir(tmp_path)
        assert lizrcl_gpumd([]) == 0
        ratio = read_thermo(reference / "thermo.out").temperature_k / read_thermo("thermo.out").temperature_k
        np.testing.assert_allclose(ratio, (3 * 27 - 3) / (3 * 27), rtol=1e-5)

    def test_restart_file_is_read_and_is_the_last_state(self, release):
        folder = HERE / "md" / release / "nve"
        restart, model = read_model_xyz(folder / "restart.xyz"), read_model_xyz(HERE / "md" / "model.xyz")
        last = list(read_dump_xyz(folder / "dump.xyz"))[-1]
        assert restart.species == model.species
        np.testing.assert_array_equal(restart.groups, model.groups)
        np.testing.assert_allclose(restart.masses, model.masses_or_standard(), rtol=1e-5)
        np.testing.assert_allclose(restart.positions, last.positions, atol=2e-5)
        np.testing.assert_allclose(restart.velocities, last.velocities, atol=2e-7)

    def test_displacement_is_that_of_gpumd(self, release, tmp_path, monkeypatch):
        reference = prepare(tmp_path, release, "nve")
        monkeypatch.chdir(tmp_path)
        assert lizrcl_gpumd([]) == 0
        ours, theirs = read_msd("msd.out"), read_msd(reference / "msd.out")
        np.testing.assert_allclose(ours.time_ps, theirs.time_ps, atol=1e-12)
        np.testing.assert_allclose(ours.displacement, theirs.displacement, rtol=1e-4, atol=1e-8)
        np.testing.assert_allclose(ours.diffusion, theirs.diffusion, rtol=1e-3, atol=1e-5)

    def test_replicated_cell_runs_as_in_gpumd(self, release, tmp_path, monkeypatch):
        reference = prepare(tmp_path, release, "large")
        monkeypatch.chdir(tmp_path)
        assert lizrcl_gpumd([]) == 0
        ours, theirs = read_thermo("thermo.out"), read_thermo(reference / "thermo.out")
        np.testing.assert_allclose(ours.kinetic_energy, theirs.kinetic_energy, rtol=0.0, atol=10 * ENERGY)
        np.testing.assert_allclose(ours.potential_energy, theirs.potential_energy, rtol=0.0, atol=10 * ENERGY)
        np.testing.assert_allclose(ours.pressure, theirs.pressure, rtol=0.0, atol=PRESSURE)
        np.testing.assert_allclose(ours.cell, theirs.cell, rtol=0.0, atol=1e-8)

    def test_cell_of_a_frame_at_constant_pressure_is_newer_than_its_energy(self):
        folder = HERE / "md" / "v5.6-snapshot" / "npt"
        thermo, frames = read_thermo(folder / "thermo.out"), list(read_dump_xyz(folder / "dump.xyz"))
        committee = Committee.from_files([HERE / "md" / "nep0.txt"])
        assert len(thermo.cell) == len(frames) == 3
        for cell, energy, frame in zip(thermo.cell, thermo.potential_energy, frames, strict=True):
            np.testing.assert_allclose(frame.cell, cell, atol=1e-6)
            assert frame.prediction.energy == pytest.approx(energy, abs=1e-6)
            result = committee.evaluate([Frame(frame.species, frame.cell, frame.positions, frame.pbc)])[0]
            assert 2e-5 < abs(result.energy[0] - energy) < 0.02


FRAME_FILES = [path for path in sorted((HERE / "md").glob("*/*/*.xyz")) if path.name != "restart.xyz"]


class TestTrajectoriesOfGpumd:
    @pytest.mark.parametrize("path", FRAME_FILES, ids=lambda path: "-".join(path.parts[-3:]))
    def test_every_frame_is_what_the_reader_of_whole_frames_finds(self, path):
        expected = list(read_dump_xyz(path))
        with open_trajectory(path) as source:
            found = list(source.frames())
            assert source.format == "gpumd-xyz"
            assert source.cut_short is None
            assert source.has_unwrapped == (expected[0].unwrapped_positions is not None)
        assert len(found) == len(expected) > 0
        for frame, wanted in zip(found, expected, strict=True):
            assert source.species == wanted.species
            assert frame.time_ps == pytest.approx(wanted.time_fs / 1000)
            assert frame.pbc == tuple(wanted.pbc)
            np.testing.assert_array_equal(frame.cell, wanted.cell)
            np.testing.assert_array_equal(frame.positions, wanted.positions)
            if wanted.unwrapped_positions is not None:
                np.testing.assert_array_equal(frame.unwrapped, wanted.unwrapped_positions)

    def test_labels_of_groups_are_read_under_both_names(self, release):
        path = HERE / "md" / release / "nve" / "restart.xyz"
        with open_trajectory(path) as source:
            np.testing.assert_array_equal(source.groups, read_model_xyz(path).groups)


class TestLossOfGpumd:
    """Total loss that GPUMD gave md/nep0.txt on the first eight structures of nep/train.xyz, and its three errors."""

    ERRORS = (0.00028, 0.01567, 0.00682)
    TOTALS: ClassVar = {
        "as in nep.in": ({}, 0.02561),
        "type_weight": ({"type_weight": (1.0, 2.0, 0.5, 1.5)}, 0.03697),
        "force_delta": ({"force_delta": 0.5}, 0.01608),
        "lambda_shear": ({"lambda_shear": 3.0}, 0.02616),
        "lambdas": ({"lambda_e": 2, "lambda_f": 0.7, "lambda_v": 0.4, "lambda_1": 0.02, "lambda_2": 0.03}, 0.03785),
    }

    def loss(self, frames, **changes):
        settings = replace(read_nep_in(HERE / "nep" / "nep.in"), generation=1, **changes)
        options = TrainingOptions(start=read_nep_txt(HERE / "md" / "nep0.txt"), learning_rate=1e-12)
        return train(settings, frames, options=options).rows[-1]

    @pytest.mark.parametrize("setting", TOTALS)
    def test_ours_is_the_same_function_of_the_settings(self, setting):
        changes, total = self.TOTALS[setting]
        row = self.loss(read_structures(HERE / "nep" / "train.xyz")[:8], **changes)
        assert row.total == pytest.approx(total, abs=2e-5)

    def test_its_errors_are_the_same(self):
        row = self.loss(read_structures(HERE / "nep" / "train.xyz")[:8])
        np.testing.assert_allclose(row.train, self.ERRORS, atol=1e-5)

    def test_structures_without_a_virial_count_for_energy_and_forces_only(self):
        frames = read_structures(HERE / "nep" / "train.xyz")[:8]
        for index in (0, 4):
            frames[index] = replace(frames[index], virial=None)
        row = self.loss(frames)
        assert row.total == pytest.approx(0.02572, abs=2e-5)
        assert row.train[2] == pytest.approx(0.00783, abs=1e-5)
