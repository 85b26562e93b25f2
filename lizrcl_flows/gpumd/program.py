"""``lizrcl-gpumd``: molecular dynamics from ``model.xyz`` and ``run.in`` in the current directory, on any CPU.

The files are GPUMD's. Beside them ``health.json`` tells how the run went: ``running`` (or killed), ``ok`` or
``blown_up``.
Exit status: 0, 1 for a run that failed or blew up, 2 for input that is wrong.
"""

import argparse
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NoReturn

import numpy as np

from lizrcl_flows.errors import InputError, LizrclError
from lizrcl_flows.gpumd.commands import Active, ComputeMsd, DumpFrames, DumpNetcdf, DumpThermo
from lizrcl_flows.gpumd.health import HEALTH_FILE, BlownUpError, write_health
from lizrcl_flows.gpumd.model_xyz import read_model_xyz
from lizrcl_flows.gpumd.plan import Plan, make_plan
from lizrcl_flows.gpumd.potentials import NepPotentials
from lizrcl_flows.gpumd.release import NEWEST
from lizrcl_flows.gpumd.run_in import read_run_in
from lizrcl_flows.gpumd.simulation import Options, Outcome, simulate

PROGRAM = "lizrcl-gpumd"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program.

    Parameters
    ----------
    arguments
        Command line without the name of the program; None takes that of the process.

    Returns
    -------
    int
        Exit status.
    """
    options = _parser().parse_args(arguments)
    try:
        return _run(Path(), options.threads, options.seed)
    except LizrclError as error:
        _complain(str(error))
        return error.exit_code
    except OSError as error:
        _complain(f"{error.filename or 'A file'} could not be read or written: {error.strerror}.")
        return 1
    except KeyboardInterrupt:
        _complain("Interrupted; what was written until now stays.")
        return 130


def program_version() -> str:
    """Version of the package; ``0`` where it is not installed."""
    try:
        return version("lizrcl_flows")
    except PackageNotFoundError:
        return "0"


class _Parser(argparse.ArgumentParser):
    """Says what is wrong with a command line in one sentence."""

    def error(self, message: str) -> NoReturn:
        """Leave with exit status 2."""
        self.exit(2, f"{PROGRAM}: {message}.\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog=PROGRAM,
        description="Molecular dynamics with NEP potentials on a CPU: reads model.xyz, run.in and the potentials named "
        "there in the current directory and writes GPUMD's files, appending to those that exist.",
    )
    parser.add_argument("--threads", type=_positive, default=1, metavar="N", help="threads for the forces (default 1)")
    parser.add_argument(
        "--seed",
        type=_natural,
        default=None,
        metavar="N",
        help="seed of all randomness (default: that of 'velocity T seed S', else one from the system, printed)",
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} version {program_version()}")
    return parser


def _natural(text: str) -> int:
    return _at_least(0, text)


def _positive(text: str) -> int:
    return _at_least(1, text)


def _at_least(minimum: int, text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = minimum - 1
    if value < minimum:
        raise argparse.ArgumentTypeError(f"'{text}' should be a whole number of at least {minimum}")
    return value


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _complain(line: str) -> None:
    sys.stdout.flush()
    sys.stderr.write(f"{PROGRAM}: {line}\n")


def _choose_seed(option: int | None, plan: Plan) -> tuple[int, str]:
    """Seed and where it is from."""
    if option is not None:
        return option, "--seed"
    if plan.velocity_seed is not None:
        return plan.velocity_seed, "velocity in run.in"
    return int(np.random.SeedSequence().generate_state(1)[0]), "the system"


def _output_files(plan: Plan) -> list[str]:
    """Files that the run appends to."""
    names: set[str] = set()
    for output in (output for stage in plan.stages for output in stage.outputs):
        if isinstance(output, DumpThermo):
            names.add("thermo.out")
        elif (isinstance(output, DumpFrames) and not output.file_per_frame) or isinstance(output, DumpNetcdf):
            names.add(output.file)
        elif isinstance(output, Active):
            names |= {"active.out", "active.xyz"}
        elif isinstance(output, ComputeMsd):
            names.add("msd.out")
    return sorted(names)


def _run(directory: Path, threads: int, seed_option: int | None) -> int:
    """Read, check everything, then run."""
    plan = make_plan(read_run_in(directory / "run.in"), read_model_xyz(directory / "model.xyz"))
    potentials = NepPotentials(
        [directory / name for name in plan.potentials], plan.model.species, plan.model.pbc, threads=threads
    )
    seed, origin = _choose_seed(seed_option, plan)
    _announce(plan, directory, threads, f"{seed} (from {origin})")
    facts = {"program": PROGRAM, "version": program_version(), "seed": seed, "threads": threads}
    write_health(directory, status="running", reason="", step=0, **facts)
    try:
        outcome = simulate(plan, potentials, Options(directory, seed, say=_say))
    except BlownUpError as error:
        write_health(directory, status="blown_up", reason=str(error), step=error.step, **facts)
        raise
    except InputError:  # nothing was done
        (directory / HEALTH_FILE).unlink(missing_ok=True)
        raise
    write_health(directory, status="ok", reason="", step=outcome.steps, **facts)
    _conclude(outcome)
    return 0


def _announce(plan: Plan, directory: Path, threads: int, seed: str) -> None:
    model = plan.model
    formula = ", ".join(f"{model.species.count(symbol)} {symbol}" for symbol in dict.fromkeys(model.species))
    _say(f"{PROGRAM} version {program_version()} on {platform.machine()}, {threads} thread{'s' * (threads > 1)}")
    _say(f"{len(model.species)} atoms ({formula}); potentials: {', '.join(plan.potentials)}; seed {seed}")
    if model.velocities is not None:
        _say("The velocities are those of model.xyz; 'velocity' lines have no effect.")
    for name in _output_files(plan):
        if (directory / name).exists():
            _say(f"{name} exists and is appended to.")
    for number, stage in enumerate(plan.stages, start=1):
        _say(f"run {number}: {stage.steps} steps of {stage.time_step.step_fs:g} fs, {stage.ensemble.line(NEWEST)}")


def _conclude(outcome: Outcome) -> None:
    work = len(outcome.system) * outcome.steps
    speed = work / outcome.seconds if outcome.seconds > 0.0 else float("inf")
    _say(f"{outcome.steps} steps in {outcome.seconds:.2f} s: {speed:.4g} atom*step/second")
    _say(f"Finished running {PROGRAM}.")
