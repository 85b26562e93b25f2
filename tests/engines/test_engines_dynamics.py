"""What every dynamics engine promises, with lizrcl-gpumd, and how GPUMD's own program is spoken to."""

import stat
import sys

import pytest

from lizrcl_flows.documents.spec import ConditionSpec, ExplorationSpec
from lizrcl_flows.engines.dynamics import ENGINES, make_dynamics
from lizrcl_flows.engines.dynamics.base import DynamicsRequest
from lizrcl_flows.engines.dynamics.gpumd import GpumdDynamics
from lizrcl_flows.errors import EngineError, InputError
from lizrcl_flows.gpumd import parse_run_in

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
    """Return a maker of requests: 27 atoms, 40 steps, a frame every ten."""
    potential = tmp_path / "nep.txt"
    if not potential.exists():
        potential.write_text("nep4 3 Li Zr Cl\n")

    def make(**changes):
        values = {
            "structure": crystal,
            "potentials": [potential],
            "elements": ("Li", "Zr", "Cl"),
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

    return make


def test_factory_builds_and_refuses():
    spec = ExplorationSpec(conditions=(ConditionSpec(ensemble="nvt", temperature_k=300),))
    assert make_dynamics(spec, "srun gpumd") == GpumdDynamics(command="srun gpumd")
    assert make_dynamics(spec) == GpumdDynamics()
    assert set(ENGINES) == {"gpumd"}
    with pytest.raises(InputError, match="exploration: there is no engine 'lammps', accepted: gpumd"):
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
