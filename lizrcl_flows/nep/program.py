"""``lizrcl-nep``: train a NEP potential in the current directory on any CPU.

Reads GPUMD's nep.in, train.xyz and, where it exists, test.xyz; writes nep.txt, loss.out and the parity files. It trains
by analytic gradients, not by evolution: `generation` counts optimiser steps of one batch each, `batch` is the number of
structures of a step, `population` has no effect. A run that was interrupted goes on from its checkpoint when it is
started again. Exit status: 0, 1 for a training that failed, 2 for input that is wrong.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from lizrcl_flows.errors import InputError, LizrclError

if TYPE_CHECKING:
    from lizrcl_flows.nep.model import NepModel
    from lizrcl_flows.nep.nep_in import NepIn
    from lizrcl_flows.nep.structures import LabelledFrame
    from lizrcl_flows.nep.training import LossRow, TrainingOptions, TrainingResult
    from lizrcl_flows.nep.training_outputs import LossFile

PROGRAM = "lizrcl-nep"
LAST_LINE = "Finished running nep."
DEFAULT_SEED = 0


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
        _run(Path(), options)
    except LizrclError as error:
        return _complain(str(error), error.exit_code)
    except OSError as error:
        return _complain(f"{error.filename or 'A file'} could not be read or written: {error.strerror}.", 1)
    except KeyboardInterrupt:
        return _complain("Interrupted; start it again to go on from the last checkpoint.", 130)
    return 0


def program_version() -> str:
    """Version of the package; ``0`` where it is not installed."""
    try:
        return version("lizrcl_flows")
    except PackageNotFoundError:
        return "0"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Train a NEP potential from nep.in, train.xyz and test.xyz in the current directory, by analytic "
        "gradients on a CPU. An interrupted run goes on where it was when started again.",
    )
    parser.add_argument(
        "--seed",
        type=_natural,
        default=DEFAULT_SEED,
        metavar="N",
        help=f"seed of first parameters and of batches (default {DEFAULT_SEED}); the same seed gives the same nep.txt",
    )
    parser.add_argument(
        "--seconds",
        type=_positive_number,
        default=None,
        metavar="S",
        help="wall time that the schedule is to fit, at most 'generation' steps (default: all steps, however long)",
    )
    parser.add_argument(
        "--threads", type=_positive, default=1, metavar="N", help="threads; no effect on the result (default 1)"
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} version {program_version()}")
    return parser


def _natural(text: str) -> int:
    value = int(text)
    if value < 0:
        raise ValueError
    return value


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError
    return value


def _positive_number(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise ValueError
    return value


def _say(line: str = "") -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _complain(line: str, status: int) -> int:
    sys.stdout.flush()
    sys.stderr.write(f"{PROGRAM}: {line}\n")
    return status


class _Console:
    """Writes what a training tells: rows to loss.out and the screen, potentials to nep.txt."""

    def __init__(self, directory: Path, loss_file: LossFile) -> None:
        self.model_file = directory / "nep.txt"
        self.loss_file = loss_file

    def row(self, row: LossRow) -> None:
        """Append a row to loss.out and show it."""
        _say(self.loss_file.add(row))

    def snapshot(self, model: NepModel) -> None:
        """Replace nep.txt."""
        from lizrcl_flows.nep.nep_txt import write_nep_txt

        write_nep_txt(self.model_file, model, full_precision=True)

    def resumed(self, step: int) -> None:
        """Take back the rows of loss.out that will be written again."""
        self.loss_file.continue_after(step)
        _say(f"Going on after step {step} of an earlier run.")


def _run(directory: Path, arguments: argparse.Namespace) -> None:
    from lizrcl_flows.nep.nep_in_parsing import read_nep_in
    from lizrcl_flows.nep.structures import read_structures

    _say(f"{PROGRAM} version {program_version()} of lizrcl_flows")
    config = read_nep_in(directory / "nep.in")
    frames = read_structures(directory / "train.xyz")
    test_file = directory / "test.xyz"
    if config.prediction:
        _predict(directory, config, frames, arguments.threads)
    else:
        test = read_structures(test_file) if test_file.exists() else []
        _train(directory, config, (frames, test), arguments)
    _say(LAST_LINE)


def _predict(directory: Path, config: NepIn, frames: Sequence[LabelledFrame], threads: int) -> None:
    from lizrcl_flows.nep.nep_txt import read_nep_txt
    from lizrcl_flows.nep.training_outputs import write_descriptors, write_parity_files

    model = read_nep_txt(directory / "nep.txt")
    write_parity_files(directory, "train", model, frames, threads)
    if config.output_descriptor:
        write_descriptors(directory / "descriptor.out", model, frames, per_atom=config.output_descriptor == 2)
    _say(f"Evaluated the {len(frames)} structures of train.xyz with nep.txt; rows are in the order of the file.")


def _train(
    directory: Path,
    config: NepIn,
    frames: tuple[Sequence[LabelledFrame], Sequence[LabelledFrame]],
    arguments: argparse.Namespace,
) -> None:
    from lizrcl_flows.nep.nep_txt import read_nep_txt
    from lizrcl_flows.nep.training import TrainingOptions, train
    from lizrcl_flows.nep.training_checkpoint import CHECKPOINT_NAME
    from lizrcl_flows.nep.training_outputs import LossFile, write_parity_files

    checkpoint = directory / CHECKPOINT_NAME
    scale = read_nep_txt(directory / "nep.txt").q_scaler if config.import_q_scaler else None
    options = TrainingOptions(
        seed=arguments.seed,
        threads=arguments.threads,
        seconds=arguments.seconds,
        checkpoint=checkpoint,
        start=None if checkpoint.exists() else _restart_potential(directory),
        scale=scale,
    )
    _announce(config, frames, options)
    console = _Console(directory, LossFile(directory / "loss.out"))
    result = train(config, frames[0], frames[1] or None, options, console)
    console.snapshot(result.model)
    for label, structures in zip(("train", "test"), frames, strict=True):
        if structures:
            write_parity_files(directory, label, result.model, structures, arguments.threads)
    _conclude(result)


def _restart_potential(directory: Path) -> NepModel | None:
    """Potential of a nep.restart of GPUMD: its means, with the descriptor scales of the nep.txt beside it."""
    from dataclasses import replace

    from lizrcl_flows.nep.nep_txt import read_nep_txt
    from lizrcl_flows.nep.outputs import read_restart

    path = directory / "nep.restart"
    if not path.exists():
        return None
    beside, (mean, _) = read_nep_txt(directory / "nep.txt"), read_restart(path)
    if len(mean) != len(beside.parameters):
        raise InputError(
            f"{path} has {len(mean)} parameters but nep.txt has {len(beside.parameters)}; remove it to start anew."
        )
    _say("Starts from the means of nep.restart and the descriptor scales of nep.txt.")
    return replace(beside, parameters=mean)


def _announce(
    config: NepIn, frames: tuple[Sequence[LabelledFrame], Sequence[LabelledFrame]], options: TrainingOptions
) -> None:
    train, test = frames
    atoms = sum(len(frame.species) for frame in train)
    batch = len(train) if config.full_batch else min(config.batch, len(train))
    _say("Trains by analytic gradients, not by evolution: 'generation' counts optimiser steps of one batch each,")
    _say(f"'batch' is the number of structures of a step (here {batch}); 'population' has no effect.")
    _say("Loss: lambda_e RMSE_E + lambda_f RMSE_F + lambda_v RMSE_V + L1 + L2 as GPUMD's; the gradient takes running")
    _say("averages for the RMSEs and limits the weight of the energies (see lizrcl_flows.nep.training_loss).")
    _say(f"{len(train)} structures, {atoms} atoms; {len(test)} test structures; types {' '.join(config.species)}")
    limit = f" or {options.seconds:g} s" if options.seconds else ""
    _say(
        f"{config.generation} steps{limit}; seed {options.seed}; {options.threads} thread{'s' * (options.threads > 1)}"
    )
    if config.save_potential != type(config).save_potential:
        _say("'save_potential' has no effect: nep.txt is replaced about every ten seconds.")
    _say("columns: step, loss, L1, L2, RMSE of energies (eV/atom), forces (eV/A) and virials (eV/atom): train, test")


def _conclude(result: TrainingResult) -> None:
    train, test = result.train, result.test
    _say(f"{result.steps} steps: {result.reason}.")
    for label, errors in (("train", train), ("test", test)):
        if errors is not None:
            virial = f", virial {1e3 * errors.virial:.2f} meV/atom" if errors.virial else ""
            _say(f"{label}: energy {1e3 * errors.energy:.3f} meV/atom, force {1e3 * errors.force:.2f} meV/A{virial}")
