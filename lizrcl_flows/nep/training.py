"""Training of NEP4 potentials on a CPU by exact gradients of GPUMD's loss.

>>> result = train(read_nep_in("nep.in"), read_structures("train.xyz"), options=TrainingOptions(seed=1))
>>> write_nep_txt("nep.txt", result.model)

The loss is described in `training_loss`, the optimiser in `training_optimiser`, the kernel in src/train_layout.hpp.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lizrcl_flows.errors import InputError
from lizrcl_flows.nep.structures import LabelledFrame
from lizrcl_flows.nep.training_checkpoint import read_checkpoint, write_checkpoint
from lizrcl_flows.nep.training_data import References, TrainingData, fit_references
from lizrcl_flows.nep.training_loss import Errors
from lizrcl_flows.nep.training_problem import Problem, fixed_parts, problem_from, to_model, warm_start
from lizrcl_flows.nep.training_run import Plan, Run, Start, random_start, start_in

if TYPE_CHECKING:
    from lizrcl_flows.nep.model import NepModel
    from lizrcl_flows.nep.nep_in import NepIn

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LossRow:
    """One row of loss.out.

    Attributes
    ----------
    step
        Steps done.
    total, l1, l2
        GPUMD's loss, with all weights, and its two terms of regularisation.
    train
        RMSE of energies (eV/atom, mean shift removed), forces (eV/A) and virials (eV/atom), without weights, over the
        batches since the row before; over the whole training set in the last row.
    test
        The same over the test set with the shift of the training set; zeros without one.
    """

    step: int
    total: float
    l1: float
    l2: float
    train: tuple[float, float, float]
    test: tuple[float, float, float]


class Observer(Protocol):
    """Who is told of progress."""

    def row(self, row: LossRow) -> None:
        """Take a row of loss.out, every `output_interval` steps."""

    def snapshot(self, model: NepModel) -> None:
        """Take the potential as it is now, whenever a checkpoint is due."""

    def resumed(self, step: int) -> None:
        """Learn that the training goes on after this step of an earlier run."""


@dataclass(frozen=True)
class TrainingOptions:
    """What nep.in does not say.

    Attributes
    ----------
    seed
        Of the first parameters and of the order of the batches.
    threads
        Threads that share the atoms of a batch. The result does not depend on it.
    seconds
        Wall time (s) that the schedule of the learning rate is to fit; `generation` steps where None. The first of the
        two ends the training. With a time, two runs are not identical.
    learning_rate
        Of the first steps.
    bag
        Indices of the training structures to use, repeats allowed (bagging); all of them where None.
    start
        A potential to start from; random parameters where None.
    scale
        Descriptor scales (descriptors,); from the descriptors of the training set where None. Not used with `start`.
    early_stop_rows
        Stop after this many rows of loss.out without a lower loss on the test set, and return the best; never where
        None.
    checkpoint
        File that keeps the state; a training that finds it goes on from there. None keeps nothing.
    checkpoint_seconds
        Time between two checkpoints and snapshots (s).
    """

    seed: int = 0
    threads: int = 1
    seconds: float | None = None
    learning_rate: float = 5e-3
    bag: tuple[int, ...] | None = None
    start: NepModel | None = None
    scale: Floats | None = None
    early_stop_rows: int | None = None
    checkpoint: Path | None = None
    checkpoint_seconds: float = 10.0


@dataclass(frozen=True)
class TrainingResult:
    """A trained potential and how well it does.

    Attributes
    ----------
    model
        The potential; it predicts absolute energies.
    train, test
        RMSE over the whole sets; `test` is None without one.
    steps
        Steps done, those of earlier runs included.
    rows
        Rows of loss.out of this run.
    reason
        Why it ended: "all steps done", "time is up" or "no better on the test set".
    """

    model: NepModel
    train: Errors
    test: Errors | None
    steps: int
    rows: tuple[LossRow, ...]
    reason: str


class _Silent:
    def row(self, row: LossRow) -> None:
        """Ignore it."""

    def snapshot(self, model: NepModel) -> None:
        """Ignore it."""

    def resumed(self, step: int) -> None:
        """Ignore it."""


def train(
    config: NepIn,
    train_frames: Sequence[LabelledFrame],
    test_frames: Sequence[LabelledFrame] | None = None,
    options: TrainingOptions | None = None,
    observer: Observer | None = None,
) -> TrainingResult:
    """Train one potential.

    Parameters
    ----------
    config
        Hyper-parameters. `generation` counts optimiser steps, `batch` is the number of structures of a step;
        `population` and the other settings of the evolution strategy have no effect.
    train_frames, test_frames
        Labelled structures, always periodic along all three lattice vectors.
    options
        What nep.in does not say.
    observer
        Is told of progress.

    Returns
    -------
    TrainingResult
        The potential, its errors and the course of the training.

    Raises
    ------
    InputError
        Nothing to train on, an element without a type, a checkpoint of another training.
    EngineError
        The loss is not finite any more.
    """
    options = options or TrainingOptions()
    begin = time.monotonic()
    if not train_frames:
        raise InputError("there are no training structures")
    session = _Session(problem_from(config), train_frames, test_frames or (), options)
    return session.run(begin, observer or _Silent())


class _Session:
    """A run with its test set, its clock and its checkpoint."""

    def __init__(
        self,
        problem: Problem,
        frames: Sequence[LabelledFrame],
        test_frames: Sequence[LabelledFrame],
        options: TrainingOptions,
    ) -> None:
        self.problem, self.options = problem, options
        self.digest = _digest(problem, frames, options)
        self.found = read_checkpoint(options.checkpoint, self.digest) if options.checkpoint else None
        start = self._given_start()
        references = start.references if start else fit_references(frames, problem.header.species)
        data = self._load(frames, references, options.threads)
        self.test = self._load(test_frames, references, options.threads) if test_frames else None
        generator = np.random.default_rng(options.seed)
        if start is None:
            start = random_start(data, references, generator, options.scale)
        batch = len(frames) if problem.full_batch else problem.batch
        plan = Plan(problem.loss, batch, options.learning_rate, options.bag)
        self.training = Run(data, start, plan, generator)
        self.rows: list[LossRow] = []
        self.best_loss, self.best_step = np.inf, 0
        self.best = self.training.parameters.copy()

    def _given_start(self) -> Start | None:
        """Where a checkpoint or a given potential says to start."""
        if self.found is not None:
            return start_in(self.found.arrays)
        return warm_start(self.problem, self.options.start) if self.options.start is not None else None

    def _load(self, frames: Sequence[LabelledFrame], references: References, threads: int) -> TrainingData:
        data = TrainingData(self.problem.header, self.problem.errors, threads)
        for number, (frame, fixed) in enumerate(zip(frames, fixed_parts(self.problem, frames), strict=True), start=1):
            try:
                data.add(frame, references, fixed)
            except (RuntimeError, ValueError) as error:
                raise InputError(f"structure {number} of the training or test set cannot be used: {error}") from None
        return data

    def run(self, begin: float, observer: Observer) -> TrainingResult:
        options, training = self.options, self.training
        earlier = self._resume(observer)
        generations, reason = self.problem.generation, "all steps done"
        saved = time.monotonic()
        while training.step < generations:
            elapsed = earlier + time.monotonic() - begin
            spent = elapsed / options.seconds if options.seconds else 0.0
            if spent >= 1:
                reason = "time is up"
                break
            training.advance(max(training.step / generations, spent))
            if training.step % self.problem.output_interval == 0 and training.step < generations:
                observer.row(self._row(None))
                if self._no_better():
                    reason = "no better on the test set"
                    break
            if time.monotonic() - saved > options.checkpoint_seconds:
                self._save(earlier + time.monotonic() - begin)
                observer.snapshot(self._model(training.errors()))
                saved = time.monotonic()
        return self._finish(reason, earlier + time.monotonic() - begin, observer)

    def _resume(self, observer: Observer) -> float:
        if self.found is None:
            return 0.0
        arrays = dict(self.found.arrays)
        self.best = arrays.pop("best")
        self.best_loss, self.best_step = float(arrays.pop("best_loss")), int(arrays.pop("best_step"))
        self.training.restore(arrays)
        observer.resumed(self.training.step)
        return self.found.elapsed_s

    def _save(self, elapsed_s: float) -> None:
        if self.options.checkpoint is None:
            return
        arrays: dict[str, NDArray[Any]] = {
            **self.training.state(),
            "best": self.best,
            "best_loss": np.array(self.best_loss),
            "best_step": np.array(self.best_step),
        }
        write_checkpoint(self.options.checkpoint, self.digest, elapsed_s, arrays)

    def _finish(self, reason: str, elapsed_s: float, observer: Observer) -> TrainingResult:
        self._save(elapsed_s)
        if self.options.early_stop_rows is not None and self.test is not None and np.isfinite(self.best_loss):
            self.training.parameters = self.best
        errors = self.training.errors()
        observer.row(self._row(errors))
        test = self.training.errors(self.test, errors.energy_shift) if self.test is not None else None
        return TrainingResult(self._model(errors), errors, test, self.training.step, tuple(self.rows), reason)

    def _model(self, errors: Errors) -> NepModel:
        training = self.training
        neighbours = training.data.neighbours(self.test)
        return to_model(
            self.problem, training.absolute_parameters(errors.energy_shift), training.start.scale, neighbours
        )

    def _row(self, errors: Errors | None) -> LossRow:
        training, weights = self.training, self.problem.loss
        window = training.close_window()
        rmse = errors or window
        l1, l2, _ = weights.regularisation(training.parameters)
        test = training.errors(self.test, rmse.energy_shift) if self.test is not None else None
        row = LossRow(
            training.step,
            rmse.total(weights) + l1 + l2,
            l1,
            l2,
            (rmse.energy, rmse.force, rmse.virial),
            (test.energy, test.force, test.virial) if test else (0.0, 0.0, 0.0),
        )
        self.rows.append(row)
        if test is not None and test.total(weights) < self.best_loss:
            self.best_loss, self.best_step = test.total(weights), training.step
            self.best = training.parameters.copy()
        return row

    def _no_better(self) -> bool:
        rows = self.options.early_stop_rows
        if rows is None or self.test is None:
            return False
        return self.training.step - self.best_step >= rows * self.problem.output_interval


def _digest(problem: Problem, frames: Sequence[LabelledFrame], options: TrainingOptions) -> str:
    """Of all that a checkpoint must have been written for; the number of steps and the time may be extended."""
    fixed = asdict(problem)
    for name in ("generation", "output_interval"):
        fixed.pop(name)
    hasher = hashlib.sha256(repr((sorted(fixed.items()), options.seed, options.learning_rate, options.bag)).encode())
    for frame in frames:
        hasher.update(" ".join(frame.species).encode())
        numbers = [
            frame.cell,
            frame.positions,
            frame.forces,
            frame.virial,
            (frame.energy, frame.weight, frame.energy_weight),
        ]
        for values in numbers:
            hasher.update(b"-" if values is None else np.asarray(values, dtype=np.float64).tobytes())
    return hasher.hexdigest()
