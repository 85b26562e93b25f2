"""What every dynamics engine promises, with lizrcl-gpumd, and how GPUMD's own program is spoken to."""

import os
import pickle
import stat
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from lizrcl_flows.documents.spec import ConditionSpec, ExplorationSpec, FoundationSpec
from lizrcl_flows.engines.dynamics import ENGINES, make_dynamics, make_sampler
from lizrcl_flows.engines.dynamics.ase import AseDynamics
from lizrcl_flows.engines.dynamics.base import DynamicsRequest
from lizrcl_flows.engines.dynamics.gpumd import GpumdDynamics
from lizrcl_flows.engines.dynamics.gpumd_files import strip_predictions
from lizrcl_flows.errors import EngineError, InputError
from lizrcl_flows.gpumd import parse_run_in, read_dump_xyz
from lizrcl_flows.nep import Committee, read_nep_txt, write_nep_txt

ELEMENTS = ("Li", "Zr", "Cl")


def request_of(structure, potential, **changes):
    """Return a request: 27 atoms, 40 steps of 1 fs at 300 K, a frame every ten."""
    values = {
        "structure": structure,
        "potentials": [potential],
        "elements": ELEMENTS,
        "ensemble": "nvt",
        "temperature_k": 300.0,
        "pressure_gpa": None,
        "steps": 40,
        "equilibration_steps": 0,
        "time_step_fs": 1.0,
        "sample_every": 10,
        "seed": 7,
    }
    return DynamicsRequest(**{**values, **changes})


class DynamicsContract:
    """Inherit, give the fixture `engine`, and the promises are tested."""

    @pytest.fixture
    def engine(self):
        raise NotImplementedError

    def test_it_travels_unchanged(self, engine, round_trips):
        for arrived in round_trips(engine):
            assert arrived == engine

    @pytest.mark.parametrize(("ensemble", "pressure_gpa"), [("nve", None), ("nvt", None), ("npt", 0.1)])
    def test_result_is_complete(self, engine, crystal, potential, ensemble, pressure_gpa, tmp_path):
        request = request_of(
            crystal, potential, ensemble=ensemble, pressure_gpa=pressure_gpa, steps=200, equilibration_steps=50
        )
        result = engine.run(request, tmp_path / "run")
        assert result.health.status == "ok"
        assert result.n_frames == 20
        frames = list(read_dump_xyz(result.trajectory))
        assert len(frames) == 20
        assert all(len(frame.species) == crystal.n_atoms for frame in frames)
        assert frames[-1].unwrapped_positions is not None
        assert frames[-1].time_fs - frames[0].time_fs == pytest.approx(190.0)
        assert 100 < result.thermo.temperature_k < 600
        volume = abs(np.linalg.det(crystal.cell))
        if ensemble == "npt":
            assert result.thermo.volume_a3 != pytest.approx(volume, rel=1e-6)
        else:
            assert result.thermo.volume_a3 == pytest.approx(volume, rel=1e-6)
        if ensemble == "nve":
            assert abs(result.thermo.energy_drift) < 1e-3
        assert result.version != "unknown"
        assert result.executable
        assert result.core_hours == pytest.approx(result.wall_s / 3600)
        assert len(result.inputs_sha256) == 64
        assert all(path.is_file() for path in result.files)
        assert result.trajectory not in result.files

    def test_supercell_repeats_the_structure(self, engine, crystal, potential, tmp_path):
        result = engine.run(request_of(crystal, potential, supercell=(1, 1, 2), steps=20), tmp_path / "run")
        with read_dump_xyz(result.trajectory) as frames:
            frame = next(frames)
        assert len(frame.species) == 2 * crystal.n_atoms
        assert frame.cell == pytest.approx(crystal.cell * [[1], [1], [2]])

    def test_rerun_finds_the_finished_run(self, engine, crystal, potential, tmp_path):
        first = engine.run(request_of(crystal, potential), tmp_path / "run")
        written = first.trajectory.stat().st_mtime_ns
        again = engine.run(request_of(crystal, potential), tmp_path / "run")
        assert again == first
        assert again.trajectory.stat().st_mtime_ns == written
        other = engine.run(request_of(crystal, potential, temperature_k=350.0), tmp_path / "run")
        assert other.trajectory.stat().st_mtime_ns != written

    def test_a_run_that_blows_up_is_a_result_and_keeps_its_frames(self, engine, crystal, potential, tmp_path):
        request = request_of(crystal, potential, time_step_fs=25.0, steps=2000, sample_every=1, temperature_k=1500.0)
        result = engine.run(request, tmp_path / "run")
        assert result.health.status == "blown_up"
        assert result.health.reason
        assert 0 < result.n_frames < 2000
        assert len(list(read_dump_xyz(result.trajectory))) == result.n_frames
        assert engine.run(request, tmp_path / "run").health == result.health


@pytest.fixture(scope="module")
def committee(potential, tmp_path_factory):
    """Four nep.txt files: the trained member, and three with its parameters changed by 2 %."""
    directory = tmp_path_factory.mktemp("committee")
    model, paths = read_nep_txt(potential), [potential]
    for seed in range(1, 4):
        factors = np.random.default_rng(seed).normal(1.0, 0.02, size=model.parameters.shape)
        paths.append(directory / f"nep{seed}.txt")
        write_nep_txt(paths[-1], replace(model, parameters=model.parameters * factors))
    return paths


WORKER = """
import pickle, sys
from pathlib import Path
engine, request, directory = pickle.loads(Path(sys.argv[1]).read_bytes())
engine.run(request, directory)
"""


class TestGpumdOnThisMachine(DynamicsContract):
    @pytest.fixture
    def engine(self):
        return GpumdDynamics(command="lizrcl-gpumd")

    def test_equal_requests_give_equal_bits(self, engine, crystal, potential, tmp_path):
        runs = [
            engine.run(request_of(crystal, potential, ensemble="npt", pressure_gpa=0.0, seed=seed), tmp_path / name)
            for seed, name in ((1, "a"), (1, "b"), (2, "c"))
        ]
        texts = [run.trajectory.read_bytes() for run in runs]
        assert texts[0] == texts[1] != texts[2]
        assert runs[0].seeded

    def test_a_killed_worker_leaves_no_trace_in_the_result(self, engine, crystal, potential, tmp_path):
        request = request_of(crystal, potential, steps=3000)
        undisturbed = engine.run(request, tmp_path / "undisturbed")
        (tmp_path / "task").write_bytes(pickle.dumps((engine, request, tmp_path / "killed")))
        worker = subprocess.Popen([sys.executable, "-c", WORKER, str(tmp_path / "task")])
        dump = tmp_path / "killed" / "gpumd" / "dump.xyz"
        deadline = time.monotonic() + 30
        while not (dump.exists() and dump.stat().st_size):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        worker.kill()
        worker.wait()
        result = engine.run(request, tmp_path / "killed")
        assert result.trajectory.read_bytes() == undisturbed.trajectory.read_bytes()
        assert result.thermo == undisturbed.thermo

    def test_program_is_that_of_the_settings_where_none_is_given(self, crystal, potential, tmp_path, monkeypatch):
        monkeypatch.setenv("LIZRCL_GPUMD_COMMAND", "lizrcl-gpumd --seed 5")
        result = GpumdDynamics().run(request_of(crystal, potential), tmp_path / "run")
        assert result.executable.endswith("lizrcl-gpumd --seed 5 --threads 1")

    def test_active_stores_what_the_committee_doubts_and_counts_what_it_checked(
        self, engine, crystal, committee, tmp_path
    ):
        evaluator = Committee.from_files(committee)
        request = request_of(crystal, None, potentials=committee, temperature_k=900.0, steps=200)
        everything = engine.run(request, tmp_path / "all")
        assert everything.n_checked is None
        assert everything.n_frames == 20
        eps = np.array([evaluator.evaluate([frame])[0].eps for frame in read_dump_xyz(everything.trajectory)])
        threshold = float(np.median(eps))
        doubtful = engine.run(replace(request, active_threshold=threshold), tmp_path / "active")
        assert doubtful.n_checked == 20
        assert doubtful.n_frames == (eps > threshold).sum() == 10
        found = list(read_dump_xyz(doubtful.trajectory))
        assert [frame.eps for frame in found] == pytest.approx(eps[eps > threshold], rel=1e-5)
        assert [evaluator.evaluate([frame])[0].eps for frame in found] == pytest.approx(
            [f.eps for f in found], rel=1e-5
        )
        times = [frame.time_fs for frame in read_dump_xyz(everything.trajectory)]
        assert [frame.time_fs for frame in found] == [times[number] for number in np.flatnonzero(eps > threshold)]
        assert "active.out" in {path.name for path in doubtful.files}
        assert engine.run(replace(request, active_threshold=threshold), tmp_path / "active") == doubtful

    def test_frames_of_active_hold_nothing_that_passes_for_a_label(self, engine, crystal, committee, tmp_path):
        import ase.io

        result = engine.run(request_of(crystal, None, potentials=committee, active_threshold=0.0), tmp_path / "run")
        assert result.n_frames == result.n_checked == 4
        for atoms in ase.io.read(result.trajectory, format="extxyz", index=":"):
            assert atoms.calc is None
            assert set(atoms.arrays) == {"numbers", "positions"}
            assert set(atoms.info) == {"Time", "uncertainty"}
        for frame in read_dump_xyz(result.trajectory):
            told = frame.prediction
            assert told.energy is told.forces is told.virial is told.pressure is told.atom_energies is None

    @pytest.mark.parametrize("release", ["v5.6", "v5.6-snapshot"])
    def test_predictions_are_taken_out_of_what_gpumd_itself_wrote(self, release, tmp_path):
        written = Path(__file__).parents[1] / "gpumd_golden" / "md" / release / "nve" / "active.xyz"
        strip_predictions(written, tmp_path / "dump.xyz")
        before, after = list(read_dump_xyz(written)), list(read_dump_xyz(tmp_path / "dump.xyz"))
        assert [frame.eps for frame in after] == [frame.eps for frame in before]
        for frame in after:
            assert frame.prediction.energy is frame.prediction.virial is frame.prediction.pressure is None

    def test_active_that_finds_nothing_or_blows_up_says_how_many_it_checked(self, engine, crystal, committee, tmp_path):
        known = engine.run(request_of(crystal, None, potentials=committee, active_threshold=1e9), tmp_path / "known")
        assert (known.n_frames, known.n_checked, known.health.status) == (0, 4, "ok")
        assert known.trajectory.read_text() == ""
        wild = {"time_step_fs": 25.0, "steps": 2000, "sample_every": 1, "temperature_k": 1500.0}
        request = request_of(crystal, None, potentials=committee, active_threshold=0.0, **wild)
        result = engine.run(request, tmp_path / "wild")
        assert result.health.status == "blown_up"
        assert 0 < result.n_frames <= result.n_checked < 2000
        assert len(list(read_dump_xyz(result.trajectory))) == result.n_frames


TOY = "toy_calculator:ToyIonic"


class AseContract(DynamicsContract):
    """What every calculator must do for the ASE engine."""

    def test_equal_requests_give_equal_bits(self, engine, crystal, potential, tmp_path):
        runs = [
            engine.run(request_of(crystal, potential, ensemble="npt", pressure_gpa=0.0, seed=seed), tmp_path / name)
            for seed, name in ((1, "a"), (1, "b"), (2, "c"))
        ]
        texts = [run.trajectory.read_bytes() for run in runs]
        assert texts[0] == texts[1] != texts[2]
        assert all(run.seeded for run in runs)

    def test_frames_hold_nothing_that_passes_for_a_label(self, engine, crystal, potential, tmp_path):
        import ase.io

        result = engine.run(request_of(crystal, potential, ensemble="npt", pressure_gpa=0.0), tmp_path / "run")
        for frame in read_dump_xyz(result.trajectory):
            told = frame.prediction
            assert told.energy is told.forces is told.virial is told.pressure is told.atom_energies is None
        atoms = ase.io.read(result.trajectory, format="extxyz", index=-1)
        assert atoms.calc is None
        assert set(atoms.arrays) == {"numbers", "positions", "unwrapped_position"}
        assert set(atoms.info) == {"Time"}


class TestAseWithAnalyticCalculator(AseContract):
    @pytest.fixture
    def engine(self):
        return AseDynamics(TOY)

    def test_a_request_needs_no_potential(self, engine, crystal, tmp_path):
        result = engine.run(request_of(crystal, None, potentials=()), tmp_path / "run")
        assert result.health.status == "ok"
        assert result.n_frames == 4

    def test_level_names_the_calculator(self, engine):
        assert engine.level().code == TOY

    def test_a_killed_worker_leaves_no_trace_in_the_result(self, crystal, tmp_path):
        engine = AseDynamics(TOY, parameters={"delay_s": 0.01})
        request = request_of(crystal, None, potentials=(), steps=60, sample_every=5)
        undisturbed = engine.run(request, tmp_path / "undisturbed")
        (tmp_path / "task").write_bytes(pickle.dumps((engine, request, tmp_path / "killed")))
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
        worker = subprocess.Popen([sys.executable, "-c", WORKER, str(tmp_path / "task")], env=environment)
        dump = tmp_path / "killed" / "ase" / "dump.xyz"
        deadline = time.monotonic() + 30
        while not (dump.exists() and dump.stat().st_size):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        worker.kill()
        worker.wait()
        result = engine.run(request, tmp_path / "killed")
        assert result.trajectory.read_bytes() == undisturbed.trajectory.read_bytes()
        assert result.thermo == undisturbed.thermo

    @pytest.mark.parametrize(
        ("parameters", "changes", "words"),
        [
            ({"misbehave": "raise"}, {}, "toy_calculator:ToyIonic failed: RuntimeError: ToyIonic was told to raise"),
            ({"misbehave": "nan"}, {}, "gave an energy or forces that are not finite numbers"),
            ({"misbehave": "crash"}, {}, r"its process was ended by signal 9 \(SIGKILL\)"),
            (
                {"misbehave": "no_stress"},
                {"ensemble": "npt", "pressure_gpa": 0.0},
                "gives no stress, which the ensemble",
            ),
        ],
    )
    def test_a_run_that_cannot_begin_is_an_error(self, parameters, changes, words, crystal, tmp_path):
        engine = AseDynamics(TOY, parameters=parameters)
        with pytest.raises(
            EngineError, match=rf"structure str_\w+: no dynamics with toy_calculator:ToyIonic: .*{words}"
        ):
            engine.run(request_of(crystal, None, potentials=(), **changes), tmp_path / "run")

    def test_a_calculator_that_cannot_be_made_is_the_users_mistake(self, crystal, tmp_path):
        engine = AseDynamics("toy_calculator:NoSuchClass")
        with pytest.raises(InputError, match=r"NoSuchClass cannot be made from {}: AttributeError: .*NoSuchClass"):
            engine.run(request_of(crystal, None), tmp_path / "run")

    def test_a_calculator_that_fails_on_the_way_ends_the_run_there(self, crystal, tmp_path):
        engine = AseDynamics(TOY, parameters={"misbehave": "raise", "below_a": 2.0})
        request = request_of(crystal, None, temperature_k=3000.0, steps=1000, sample_every=1)
        result = engine.run(request, tmp_path / "run")
        assert result.health.status == "blown_up"
        assert "ToyIonic failed: RuntimeError: ToyIonic was told to raise" in result.health.reason
        assert result.n_frames == result.health.last_step - 1

    def test_a_calculator_without_stress_has_no_pressure(self, crystal, tmp_path):
        result = AseDynamics(TOY, parameters={"misbehave": "no_stress"}).run(
            request_of(crystal, None), tmp_path / "run"
        )
        assert result.health.status == "ok"
        assert result.thermo.pressure_gpa is None
        assert result.thermo.temperature_k > 0

    def test_a_crash_on_the_way_is_for_another_try(self, crystal, tmp_path):
        engine = AseDynamics(TOY, parameters={"misbehave": "crash", "below_a": 2.2})
        with pytest.raises(EngineError, match=r"was ended by signal 9 .SIGKILL. before its end"):
            engine.run(request_of(crystal, None, temperature_k=3000.0, steps=1000), tmp_path / "run")


class TestAseWithNep(AseContract):
    @pytest.fixture
    def engine(self, potential):
        return AseDynamics("nep", str(potential))

    @pytest.mark.parametrize(("ensemble", "pressure_gpa"), [("nve", None), ("nvt", None), ("npt", 0.5)])
    def test_it_walks_the_path_of_lizrcl_gpumd(self, engine, crystal, potential, ensemble, pressure_gpa, tmp_path):
        """Thermostat and barostat of lizrcl-gpumd are tested against exact distributions; this ties ours to them."""
        request = request_of(crystal, potential, ensemble=ensemble, pressure_gpa=pressure_gpa, supercell=(1, 1, 2))
        ours = engine.run(request, tmp_path / "ase")
        theirs = GpumdDynamics(command="lizrcl-gpumd").run(request, tmp_path / "gpumd")
        for one, other in zip(read_dump_xyz(ours.trajectory), read_dump_xyz(theirs.trajectory), strict=True):
            assert one.species == other.species
            assert one.time_fs == other.time_fs
            assert one.cell == pytest.approx(other.cell, abs=1e-6)
            assert one.unwrapped_positions == pytest.approx(other.unwrapped_positions, abs=1e-6)
        assert ours.thermo.pressure_gpa == pytest.approx(theirs.thermo.pressure_gpa, abs=1e-6)

    def test_without_a_file_the_request_names_the_potential(self, engine, crystal, potential, tmp_path):
        named = AseDynamics().run(request_of(crystal, potential), tmp_path / "named")
        assert (
            named.trajectory.read_bytes()
            == engine.run(request_of(crystal, potential), tmp_path / "f").trajectory.read_bytes()
        )
        with pytest.raises(InputError, match="calculator nep needs a model file"):
            AseDynamics().run(request_of(crystal, None, potentials=()), tmp_path / "none")

    def test_an_unknown_element_is_a_sentence(self, engine, crystal, tmp_path):
        structure = crystal.revised(numbers=[8, *crystal.numbers[1:]])
        request = request_of(structure, None, elements=("Li", "Zr", "Cl", "O"))
        with pytest.raises(EngineError, match=r"no dynamics with nep \(nep.txt\): it knows Li, Cl, Zr, not O"):
            engine.run(request, tmp_path / "run")


def test_sampler_is_the_foundation_model_of_the_campaign_file():
    spec = FoundationSpec(calculator="mace", file="x.model", parameters={"default_dtype": "float32"})
    sampler = make_sampler(spec, barostat_steps=500.0)
    assert sampler == AseDynamics("mace", "x.model", {"default_dtype": "float32"}, barostat_steps=500.0)
    exploration = ExplorationSpec(conditions=(ConditionSpec(ensemble="nvt", temperature_k=300),))
    assert make_dynamics(exploration.model_copy(update={"engine": "ase"})) == AseDynamics()


STAND_IN = '''#!{python}
"""Stands in for GPUMD's gpumd, which needs a GPU: its banner, its dialects, its files, its ways to fail."""
import os, signal, sys
from pathlib import Path
dialect, mode = "{dialect}", "{mode}"
print("***  Welcome to use GPUMD  ***" if mode == "silent" else "***  GPUMD version 5.6  ***", flush=True)
if not Path("run.in").exists():
    sys.exit("Input Error: there is no model.xyz")
lines = [line.split() for line in Path("run.in").read_text().splitlines()]
dump = next(words for words in lines if words[0] == "dump_xyz")
if (dump[1] == "-1") != (dialect == "old"):
    sys.exit("Input Error:\\n    File:       dump_xyz.cu\\n    Line:       93\\n    Error text: dump interval")
if mode == "refuse":
    sys.exit("Input Error:\\n    File:       run.cu\\n    Line:       9\\n    Error text: the cutoff is too large.")
steps = [int(words[1]) for words in lines if words[0] == "run"][-1]
interval, name = (int(dump[3]), dump[4]) if dialect == "old" else (int(dump[1]), dump[2])
thermo = int(next(words for words in lines if words[0] == "dump_thermo")[1])
model = Path("model.xyz").read_text().splitlines()
for step in range(1, steps + 1):
    if mode == "killed" and step == steps // 2:
        os.kill(os.getpid(), signal.SIGKILL)
    if mode == "exploded" and step > steps // 2:
        sys.exit("CUDA Error: the number of neighbors exceeds the limit")
    hot = 1e9 if mode == "hot" and step > steps // 2 else 300
    if step % thermo == 0:
        open("thermo.out", "a").write(f"{{hot}} 1 -5 0 0 0 0 0 0 10 0 0 0 10 0 0 0 10\\n")
    if step % interval == 0:
        open(name, "a").write("\\n".join(model) + "\\n")
print("Finished running GPUMD.")
'''


@pytest.fixture
def stand_in(tmp_path):
    """Return a maker of stand-ins for GPUMD's program."""

    def make(dialect="old", mode="fine"):
        program = tmp_path / "bin" / "gpumd"
        program.parent.mkdir(exist_ok=True)
        program.write_text(STAND_IN.format(python=sys.executable, dialect=dialect, mode=mode))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        return str(program)

    return make


@pytest.fixture
def request_for(crystal, tmp_path):
    """Return a maker of requests whose potential nobody reads."""
    potential = tmp_path / "nep.txt"
    potential.write_text("nep4 3 Li Zr Cl\n")
    return partial(request_of, crystal, potential)


def test_factory_builds_and_refuses():
    spec = ExplorationSpec(conditions=(ConditionSpec(ensemble="nvt", temperature_k=300),))
    assert make_dynamics(spec, "srun gpumd") == GpumdDynamics(command="srun gpumd")
    assert make_dynamics(spec) == GpumdDynamics()
    assert set(ENGINES) == {"ase", "gpumd"}
    with pytest.raises(InputError, match="exploration: there is no engine 'lammps', accepted: ase, gpumd"):
        make_dynamics(spec.model_copy(update={"engine": "lammps"}))


def run_in_of(engine, request, directory):
    engine.run(request, directory)
    return (directory / "gpumd" / "run.in").read_text()


def test_npt_of_a_hexagonal_cell_takes_the_triclinic_form(stand_in, request_for, tmp_path):
    engine = GpumdDynamics(command=stand_in(), elastic_gpa=40.0)
    request = request_for(ensemble="npt", pressure_gpa=0.1, equilibration_steps=20)
    text = run_in_of(engine, request, tmp_path / "run")
    assert text == (
        "potential nep.txt\n"
        "velocity 300 seed 7\n"
        "time_step 1\n"
        "ensemble npt_scr 300 300 100 0.1 0.1 0.1 0 0 0 40 40 40 40 40 40 1000\n"
        "run 20\n"
        "ensemble npt_scr 300 300 100 0.1 0.1 0.1 0 0 0 40 40 40 40 40 40 1000\n"
        "dump_thermo 1\n"
        "dump_xyz -1 0 10 dump.xyz unwrapped_position\n"
        "run 40\n"
    )
    parse_run_in(text, "run.in")


def test_momentum_is_corrected_where_asked(stand_in, request_for, tmp_path):
    engine = GpumdDynamics(command=stand_in(), correct_velocity_every=10)
    assert "correct_velocity 10\n" in run_in_of(engine, request_for(ensemble="nve"), tmp_path / "run")


def test_a_release_that_is_named_is_believed(stand_in, request_for, tmp_path):
    engine = GpumdDynamics(command=stand_in("new"), release="5.6+")
    text = run_in_of(engine, request_for(), tmp_path / "run")
    assert "dump_xyz 10 dump.xyz precision single unwrapped_position\n" in text


def test_a_development_snapshot_that_calls_itself_5_6_is_spoken_to_in_its_own_dialect(stand_in, request_for, tmp_path):
    engine = GpumdDynamics(command=stand_in("new"))
    result = engine.run(request_for(), tmp_path / "run")
    assert result.n_frames == 4
    assert result.version == "5.6"
    thermo = tmp_path / "run" / "gpumd" / "thermo.out"
    written = thermo.stat().st_mtime_ns
    assert engine.run(request_for(), tmp_path / "run") == result
    assert thermo.stat().st_mtime_ns == written


def test_a_gpumd_that_writes_no_netcdf_is_asked_for_extended_xyz(stand_in, request_for, tmp_path):
    result = GpumdDynamics(command=stand_in()).run(request_for(trajectory_format="netcdf"), tmp_path / "run")
    assert (result.trajectory.name, result.n_frames) == ("dump.xyz", 4)


def test_gpumds_own_randomness_is_said(stand_in, request_for, tmp_path):
    engine = GpumdDynamics(command=stand_in())
    assert not engine.run(request_for(), tmp_path / "nvt").seeded
    assert engine.run(request_for(ensemble="nve"), tmp_path / "nve").seeded


@pytest.mark.parametrize(
    ("mode", "reason"),
    [("exploded", "exit status 1: CUDA Error: the number of neighbors"), ("hot", "temperature 1e+09 K, above 3500 K")],
)
def test_a_run_that_blows_up_is_a_result(mode, reason, stand_in, request_for, tmp_path):
    result = GpumdDynamics(command=stand_in(mode=mode)).run(request_for(), tmp_path / "run")
    assert result.health.status == "blown_up"
    assert reason in result.health.reason
    assert result.n_frames >= 2


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("refuse", "did not run in .*the cutoff is too large"),
        ("killed", "was ended by signal 9 .SIGKILL. before its end"),
        ("silent", "printed no version"),
    ],
)
def test_a_run_that_never_was_is_an_error(mode, words, stand_in, request_for, tmp_path):
    with pytest.raises(EngineError, match=words):
        GpumdDynamics(command=stand_in(mode=mode)).run(request_for(), tmp_path / "run")


def test_a_missing_program_and_an_unknown_element_are_sentences(request_for, tmp_path):
    with pytest.raises(EngineError, match="program 'no-gpumd' is neither on the PATH"):
        GpumdDynamics(command="no-gpumd").run(request_for(), tmp_path / "run")
    with pytest.raises(InputError, match=r"structure str_\w+ holds Zr, the potential knows Li, Cl"):
        GpumdDynamics(command="lizrcl-gpumd").run(request_for(elements=("Li", "Cl")), tmp_path / "run")
