"""What every training engine promises, with lizrcl-nep, and how GPUMD's own program is spoken to."""

import dataclasses
import pickle
import stat
import subprocess
import sys
import time

import numpy as np
import pytest

from lizrcl_flows.documents.spec import TrainingSpec
from lizrcl_flows.engines.training import ENGINES, make_trainer
from lizrcl_flows.engines.training.base import DivergedError, TrainingRequest
from lizrcl_flows.engines.training.nep import NepTrainer
from lizrcl_flows.errors import EngineError, InputError
from lizrcl_flows.nep import Committee
from lizrcl_flows.science.structures import atoms_from_structure

ELEMENTS = ("Li", "Zr", "Cl")
SHIFT = {"Li": -0.5, "Zr": -4.0, "Cl": -0.25}
SMALL = {
    "cutoff_radial_a": 6.0,
    "cutoff_angular_a": 5.0,
    "n_max": (4, 4),
    "basis_size": (6, 6),
    "l_max": (4, 2, 0),
    "neurons": 10,
    "batch": 4,
}


def request_of(pairs, **changes):
    values = {"pairs": pairs, "elements": ELEMENTS, "energy_shift": SHIFT, "seed": 3}
    return TrainingRequest(**{**values, **changes})


class TrainerContract:
    """Inherit, give the fixture `engine`, and the promises are tested."""

    @pytest.fixture(scope="class")
    @classmethod
    def engine(cls):
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def directory(cls, tmp_path_factory):
        return tmp_path_factory.mktemp("training")

    @pytest.fixture(scope="class")
    @classmethod
    def result(cls, engine, pairs, directory):
        return engine.train(request_of(pairs), directory / "member")

    def test_it_travels_unchanged(self, engine, round_trips):
        for arrived in round_trips(engine):
            assert arrived == engine

    def test_result_is_complete(self, result):
        assert result.nep_txt.is_file()
        assert result.n_parameters > 100
        assert result.loss_curve.ndim == 2
        assert result.loss_curve.shape[1] == 10
        assert np.all(np.diff(result.loss_curve[:, 0]) > 0)
        assert result.version != "unknown"
        assert result.executable
        assert result.wall_s > 0
        assert result.core_hours == pytest.approx(result.wall_s / 3600)
        assert len(result.inputs_sha256) == 64
        assert result.nep_txt not in result.files
        assert all(path.is_file() for path in result.files)

    def test_hyperparameters_name_every_keyword(self, result):
        given = result.hyperparameters
        assert given["cutoff"] == [6.0, 5.0]
        assert given["n_max"] == [4, 4]
        assert given["l_max"] == [4, 2, 0]
        assert given["type"] == list(ELEMENTS)
        for name in ("version", "basis_size", "neuron", "lambda_e", "lambda_f", "lambda_v", "lambda_1", "lambda_2"):
            assert name in given
        assert {"batch", "generation", "population"} <= set(given)

    def test_member_predicts_energies_without_the_shift(self, result, pairs):
        """The errors that are reported are those of the nep.txt that is returned."""
        frames = [atoms_from_structure(structure) for structure, _ in pairs]
        predictions = Committee.from_files([result.nep_txt]).evaluate(frames)
        energy, force = [], []
        for (structure, label), prediction in zip(pairs, predictions, strict=True):
            shift = sum(SHIFT[symbol] for symbol in atoms_from_structure(structure).get_chemical_symbols())
            energy.append((prediction.energy[0] + shift - label.energy) / structure.n_atoms)
            force.append(prediction.forces[0] - label.forces)
        assert result.errors.energy == pytest.approx(np.sqrt(np.mean(np.square(energy))), rel=0.02, abs=2e-5)
        assert result.errors.force == pytest.approx(np.sqrt(np.mean(np.square(force))), rel=0.02, abs=2e-4)
        assert result.errors.virial is not None

    def test_rerun_finds_the_finished_member(self, engine, pairs, result, directory):
        written = result.nep_txt.stat().st_mtime_ns
        again = engine.train(request_of(pairs), directory / "member")
        assert again.nep_txt.stat().st_mtime_ns == written
        assert (again.wall_s, again.errors, again.inputs_sha256) == (result.wall_s, result.errors, result.inputs_sha256)
        assert (again.loss_curve == result.loss_curve).all()

    def test_an_element_that_the_model_does_not_have_is_refused(self, engine, pairs, tmp_path):
        with pytest.raises(InputError, match=r"structure str_\w+ holds Zr, the model is for Li, Cl"):
            engine.train(request_of(pairs, elements=("Li", "Cl")), tmp_path)

    def test_an_empty_set_is_refused(self, engine, tmp_path):
        with pytest.raises(InputError, match="no labelled structure to train on"):
            engine.train(request_of([]), tmp_path)


class TestNepOnThisMachine(TrainerContract):
    @pytest.fixture(scope="class")
    @classmethod
    def engine(cls):
        return NepTrainer(command="lizrcl-nep", steps=400, **SMALL)

    def test_it_learns(self, result, pairs):
        scale = np.sqrt(np.mean([np.square(label.forces).mean() for _, label in pairs]))
        assert result.errors.force < 0.35 * scale

    def test_the_seed_decides(self, engine, pairs, result, tmp_path):
        quick = dataclasses.replace(engine, steps=20)
        texts = [
            quick.train(request_of(pairs, seed=seed), tmp_path / name).nep_txt.read_bytes()
            for seed, name in ((3, "a"), (3, "b"), (4, "c"))
        ]
        assert texts[0] == texts[1] != texts[2]
        assert result.seeded

    def test_a_directory_with_another_seed_starts_afresh(self, engine, pairs, tmp_path):
        quick = dataclasses.replace(engine, steps=20)
        first = quick.train(request_of(pairs, seed=3), tmp_path / "a").nep_txt.read_bytes()
        other = quick.train(request_of(pairs, seed=4), tmp_path / "a").nep_txt.read_bytes()
        assert other != first
        assert quick.train(request_of(pairs, seed=3), tmp_path / "a").nep_txt.read_bytes() == first


WORKER = """
import pickle, sys
from pathlib import Path
engine, request, directory = pickle.loads(Path(sys.argv[1]).read_bytes())
engine.train(request, directory)
"""


@pytest.mark.parametrize(
    ("steps", "file"),
    [(300, "loss.out"), pytest.param(4000, "lizrcl-nep.checkpoint.npz", marks=pytest.mark.slow)],
)
def test_a_killed_worker_costs_nothing_but_time(steps, file, pairs, tmp_path):
    """Before the first checkpoint the training starts afresh, after it the training goes on."""
    engine = NepTrainer(command="lizrcl-nep", steps=steps, **SMALL)
    undisturbed = engine.train(request_of(pairs), tmp_path / "undisturbed")
    (tmp_path / "task").write_bytes(pickle.dumps((engine, request_of(pairs), tmp_path / "killed")))
    worker = subprocess.Popen([sys.executable, "-c", WORKER, str(tmp_path / "task")])
    awaited = tmp_path / "killed" / "nep" / file
    deadline = time.monotonic() + 120
    while not (awaited.exists() and awaited.stat().st_size):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    worker.kill()
    worker.wait()
    result = engine.train(request_of(pairs), tmp_path / "killed")
    assert result.nep_txt.read_bytes() == undisturbed.nep_txt.read_bytes()
    assert (result.loss_curve == undisturbed.loss_curve).all()


STAND_IN = '''#!{python}
"""Stands in for GPUMD's nep, which needs a GPU: its banner, its files, its ways to fail."""
import sys
from pathlib import Path
mode = "{mode}"
assert len(sys.argv) == 1, "nep takes no arguments"
print("***  GPUMD version 5.6  ***", flush=True)
if mode == "no_gpu":
    sys.exit("CUDA Error: no CUDA-capable device is detected")
words = {{line.split()[0]: line.split()[1:] for line in Path("nep.in").read_text().splitlines() if line.strip()}}
n_types, types = int(words["type"][0]), words["type"][1:]
(radial, angular), (k_radial, k_angular) = map(int, words["n_max"]), map(int, words["basis_size"])
width = radial + 1 + (angular + 1) * 5
neurons = int(words["neuron"][0])
n_parameters = n_types * (width + 2) * neurons + 1
n_parameters += n_types**2 * ((radial + 1) * (k_radial + 1) + (angular + 1) * (k_angular + 1))
header = [
    "nep4 " + " ".join([str(n_types), *types]),
    "cutoff " + " ".join(words["cutoff"]) + " 100 60",
    "n_max " + " ".join(words["n_max"]),
    "basis_size " + " ".join(words["basis_size"]),
    "l_max " + " ".join(words["l_max"]),
    f"ANN {{neurons}} 0",
]
numbers = ["  0.0000000e+00"] * n_parameters + ["  1.0000000e+00"] * width
if mode == "cut_short":
    numbers = numbers[:100]
Path("nep.txt").write_text("\\n".join(header + numbers) + "\\n")
with Path("loss.out").open("a") as loss:
    for step in (100, 200):
        loss.write(f"{{step}} 2.0 0.1 0.1 0.5 0.4 0.3 0 0 0\\n")
if mode != "no_last_line":
    print("Finished running nep.")
'''


@pytest.fixture
def stand_in(tmp_path):
    def make(mode="fine"):
        program = tmp_path / "bin" / "nep"
        program.parent.mkdir(exist_ok=True)
        program.write_text(STAND_IN.format(python=sys.executable, mode=mode))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        return NepTrainer(command=str(program), **SMALL)

    return make


def test_gpumds_program_gets_no_seed_and_that_is_said(stand_in, pairs, tmp_path):
    result = stand_in().train(request_of(pairs), tmp_path / "member")
    assert result.version == "5.6"
    assert not result.seeded
    forces = np.concatenate([label.forces for _, label in pairs])
    assert result.errors.force == pytest.approx(np.sqrt(np.mean(forces**2)))  # the stand-in predicts nothing
    assert result.loss_curve[:, 0].tolist() == [100, 200]


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("no_gpu", "ended with exit status 1: CUDA Error: no CUDA-capable device"),
        ("no_last_line", "did not say 'Finished running nep'"),
        ("cut_short", "nep.txt"),
    ],
)
def test_a_training_that_fails_is_an_error_and_is_tried_afresh(mode, words, stand_in, pairs, tmp_path):
    with pytest.raises(EngineError, match=words):
        stand_in(mode).train(request_of(pairs), tmp_path / "member")
    result = stand_in().train(request_of(pairs), tmp_path / "member")
    assert len(result.loss_curve) == 2


def test_a_warm_start_begins_where_the_member_before_ended(pairs, tmp_path):
    first = NepTrainer(command="lizrcl-nep", steps=600, **SMALL).train(request_of(pairs), tmp_path / "first")
    few = NepTrainer(command="lizrcl-nep", steps=20, **SMALL)
    cold = few.train(request_of(pairs, seed=5), tmp_path / "cold")
    warm = few.train(request_of(pairs, seed=5, start=first.nep_txt), tmp_path / "warm")
    assert warm.errors.force < 0.5 * cold.errors.force
    assert warm.hyperparameters["import_q_scaler"] == 1
    assert warm.inputs_sha256 != cold.inputs_sha256
    again = few.train(request_of(pairs, seed=5, start=first.nep_txt), tmp_path / "warm")
    assert again.nep_txt.read_bytes() == warm.nep_txt.read_bytes()


def test_a_training_that_diverges_is_told_from_one_that_fails(pairs, tmp_path):
    structure, label = pairs[0]
    wild = label.revised(energy=1e200, forces=np.full_like(label.forces, 1e200))
    with pytest.raises(DivergedError, match="the loss is not finite"):
        NepTrainer(command="lizrcl-nep", steps=20, **SMALL).train(
            request_of([(structure, wild), *pairs[1:]]), tmp_path / "member"
        )


def test_a_missing_program_is_one_sentence(pairs, tmp_path):
    with pytest.raises(EngineError, match="program 'no-nep' is neither on the PATH"):
        NepTrainer(command="no-nep").train(request_of(pairs), tmp_path)


def test_factory_takes_every_hyperparameter_from_the_campaign_file():
    spec = TrainingSpec(neurons=7, zbl_a=1.2, lambda_1=0.05, batch=3, steps=11, committee_size=3, n_max=(5, 4))
    engine = make_trainer(spec, "srun nep")
    assert engine == NepTrainer(
        command="srun nep", neurons=7, zbl_a=1.2, lambda_1=0.05, batch=3, steps=11, n_max=(5, 4)
    )
    assert make_trainer(TrainingSpec()) == NepTrainer()
    assert set(ENGINES) == {"nep"}
    with pytest.raises(InputError, match="training: there is no engine 'mace', accepted: nep"):
        make_trainer(spec.model_copy(update={"engine": "mace"}))
