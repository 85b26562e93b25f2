"""``lizrcl-nep`` as a program in a folder: files in, files out, exit statuses, kills."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from lizrcl_flows.nep import (
    Committee,
    NepHeader,
    NepModel,
    read_loss,
    read_nep_txt,
    read_parity,
    read_structures,
    write_nep_txt,
    write_restart,
    write_structures,
)
from lizrcl_flows.nep.program import main
from lizrcl_flows.nep.structures import LabelledFrame

SETTINGS = """\
type 2 Zr O  # zirconia
cutoff 5 4
n_max 3 3
basis_size 5 5
l_max 4 2 0
neuron 6
batch 3
population 50
generation {generation}
output_interval {interval}
"""


def labelled(count, seed):
    generator = np.random.default_rng(seed)
    header = NepHeader(4, ("Zr", "O"), ((5.0, 4.0),) * 2, (2, 2), (4, 4), 4, True, False, 5)
    rng = np.random.default_rng(1)
    teacher = Committee(
        [NepModel(header, rng.normal(0, 0.6, header.n_parameters), np.full(header.n_descriptors, 0.15), (90, 40))]
    )
    frames = []
    grid = np.array([(x, y, z) for x in (0, 0.5) for y in (0, 0.5) for z in (0, 0.5)])
    for i in range(count):
        cell = np.eye(3) * 5.0 + generator.normal(0, 0.1, (3, 3))
        species, positions = (
            ("Zr", "O", "O", "Zr", "O", "Zr", "O", "O"),
            (grid + generator.normal(0, 0.03, grid.shape)) @ cell,
        )
        bare = LabelledFrame(species, cell, positions, 0.0, np.zeros((8, 3)))
        result = teacher.evaluate([bare])[0]
        virial = None if i == 2 else result.virial[0][[0, 1, 2, 0, 1, 2], [0, 1, 2, 1, 2, 0]]
        frames.append(LabelledFrame(species, cell, positions, float(result.energy[0]), result.forces[0], virial))
    return frames


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_structures(tmp_path / "train.xyz", labelled(9, 3))
    (tmp_path / "nep.in").write_text(SETTINGS.format(generation=60, interval=20))
    return tmp_path


def test_leaves_a_potential_and_its_errors(folder, capsys):
    write_structures(folder / "test.xyz", labelled(4, 4))
    assert main(["--seed", "2"]) == 0
    out = capsys.readouterr().out
    for words in ("version", "not by evolution", "'population' has no effect", "seed 2", "9 structures, 72 atoms"):
        assert words in out
    assert out.splitlines()[-1] == "Finished running nep."
    loss = read_loss(folder / "loss.out")
    np.testing.assert_array_equal(loss.generation, [20, 40, 60])
    model = read_nep_txt(folder / "nep.txt")
    for label in ("train", "test"):
        frames = read_structures(folder / f"{label}.xyz")
        results = Committee([model]).evaluate(frames)
        energy, target = read_parity(folder / f"energy_{label}.out")
        np.testing.assert_allclose(energy[:, 0], [r.energy[0] / 8 for r in results], rtol=1e-7)
        np.testing.assert_allclose(target[:, 0], [f.energy / 8 for f in frames], rtol=1e-7)
        force, force_target = read_parity(folder / f"force_{label}.out")
        np.testing.assert_allclose(force, np.concatenate([r.forces[0] for r in results]), rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(force_target, np.concatenate([f.forces for f in frames]), rtol=1e-6, atol=1e-8)
        virial, target = read_parity(folder / f"virial_{label}.out")
        assert np.isnan(target[2]).all()
        assert np.isfinite(target[[0, 1, 3]]).all()
        stress, _ = read_parity(folder / f"stress_{label}.out")
        volumes = np.array([np.linalg.det(f.cell) for f in frames])
        np.testing.assert_allclose(stress, virial * 8 / volumes[:, None] * 160.21766208, rtol=1e-6)
        rmse = np.sqrt(np.mean((force - force_target) ** 2))
        assert getattr(loss, f"force_{label}")[-1] == pytest.approx(rmse, rel=1e-4)


def test_calorine_reads_the_potential_and_gives_the_same(folder):
    from ase import Atoms
    from calorine.calculators import CPUNEP

    assert main([]) == 0
    frame = read_structures(folder / "train.xyz")[0]
    ours = Committee.from_files([folder / "nep.txt"]).evaluate([frame])[0]
    atoms = Atoms(frame.species, positions=frame.positions, cell=frame.cell, pbc=True)
    atoms.calc = CPUNEP(str(folder / "nep.txt"))
    assert atoms.get_potential_energy() == pytest.approx(ours.energy[0], abs=1e-9)
    np.testing.assert_allclose(atoms.get_forces(), ours.forces[0], atol=1e-9)


def test_same_seed_same_files_and_rerun_changes_nothing(folder, tmp_path_factory, monkeypatch):
    assert main([]) == 0
    names = ("nep.txt", "loss.out", "energy_train.out", "force_train.out")
    first = {name: (folder / name).read_bytes() for name in names}
    assert main([]) == 0
    other = tmp_path_factory.mktemp("other")
    for name in ("nep.in", "train.xyz"):
        (other / name).write_bytes((folder / name).read_bytes())
    monkeypatch.chdir(other)
    assert main(["--threads", "2"]) == 0
    for name in names:
        assert (folder / name).read_bytes() == first[name], name
        assert (other / name).read_bytes() == first[name], name


def test_prediction_keeps_the_order_of_the_file(folder, capsys):
    assert main([]) == 0
    trained = (folder / "energy_train.out").read_bytes()
    settings = (folder / "nep.in").read_text() + "prediction 1\noutput_descriptor 2\n"
    (folder / "nep.in").write_text(settings)
    frames = read_structures(folder / "train.xyz")
    write_structures(folder / "train.xyz", frames[::-1])
    assert main([]) == 0
    rows = trained.splitlines()
    assert (folder / "energy_train.out").read_bytes().splitlines() == rows[::-1]
    assert np.loadtxt(folder / "descriptor.out").shape == (72, 4 + 4 * 5)
    assert capsys.readouterr().out.splitlines()[-1] == "Finished running nep."


def test_restart_of_gpumd_is_continued(folder):
    assert main([]) == 0
    trained = read_nep_txt(folder / "nep.txt")
    (folder / "lizrcl-nep.checkpoint.npz").unlink()
    write_restart(folder / "nep.restart", trained.parameters, np.full_like(trained.parameters, 0.01))
    write_nep_txt(folder / "nep.txt", trained)
    (folder / "nep.in").write_text(SETTINGS.format(generation=1, interval=1))
    before = read_parity(folder / "force_train.out")[0]
    assert main([]) == 0
    after = read_parity(folder / "force_train.out")[0]
    assert np.sqrt(np.mean((after - before) ** 2)) < 0.02 * np.std(before)


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("nep.in", "type 2 Zr O\nneurons 5\n", "nep.in, line 2: 'neurons' is not a keyword"),
        ("nep.in", "type 1 Zr\ncutoff 5 4\n", "element O"),
        ("nep.in", SETTINGS.format(generation=3, interval=1) + "version 3\n", "version 3"),
        ("train.xyz", "2\nnonsense\n", "train.xyz, line 2"),
        ("train.xyz", "", "no training structures"),
        ("lizrcl-nep.checkpoint.npz", "rubbish", "remove it to start anew"),
        ("nep.restart", "1 1\n", "nep.txt"),
    ],
)
def test_wrong_input_is_one_sentence(folder, capsys, name, text, sentence):
    (folder / name).write_text(text)
    assert main([]) == 2
    captured = capsys.readouterr()
    assert sentence in captured.err
    assert captured.err.count("\n") == 1
    assert "Finished" not in captured.out
    assert not (folder / "nep.txt").exists()


def test_missing_file_is_named(folder, capsys):
    (folder / "train.xyz").unlink()
    assert main([]) == 2
    assert "train.xyz" in capsys.readouterr().err


def test_killed_run_goes_on(folder):
    """kill -9 in the middle, then again: nep.txt and loss.out are those of a run that was left alone."""
    script = (
        "import sys, lizrcl_flows.nep.training as t, lizrcl_flows.nep.program as p\n"
        "o = t.TrainingOptions\n"
        "t.TrainingOptions = lambda **k: o(**k, checkpoint_seconds=0.02)\n"
        "sys.exit(p.main([]))\n"
    )
    (folder / "nep.in").write_text(SETTINGS.format(generation=1500, interval=25))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "-c", script], cwd=folder, stdout=subprocess.DEVNULL, env=environment)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        rows = (folder / "loss.out").read_text().count("\n") if (folder / "loss.out").exists() else 0
        if rows > 4 and (folder / "lizrcl-nep.checkpoint.npz").exists():
            break
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.returncode == -signal.SIGKILL
    assert read_nep_txt(folder / "nep.txt").header.species == ("Zr", "O")
    again = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, env=environment, check=True
    )
    assert "Going on after step" in again.stdout
    interrupted = {name: (folder / name).read_bytes() for name in ("nep.txt", "loss.out")}
    for name in ("lizrcl-nep.checkpoint.npz", "loss.out", "nep.txt"):
        (folder / name).unlink()
    subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, env=environment, check=True)
    for name, content in interrupted.items():
        assert (folder / name).read_bytes() == content, name


def test_time_limit_and_seed_are_checked(folder, capsys):
    for wrong in (["--seconds", "0"], ["--seed", "-1"], ["--threads", "0"]):
        with pytest.raises(SystemExit) as exit_status:
            main(wrong)
        assert exit_status.value.code == 2
    assert main(["--seconds", "0.2"]) == 0
