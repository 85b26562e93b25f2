"""One training in progress: parameters, optimiser and the order of batches, advanced step by step and restartable."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lizrcl_flows.errors import EngineError
from lizrcl_flows.nep.training_data import References, TrainingData
from lizrcl_flows.nep.training_loss import Errors, LossWeights, RunningErrors, SquareSums, batch_sums
from lizrcl_flows.nep.training_optimiser import Settings, Soap
from lizrcl_flows.nep.training_parameters import (
    add_references,
    centre_neurons,
    descriptor_scale,
    places,
    random_parameters,
    reserve_constant_neurons,
)

Floats = NDArray[np.float64]

WARM_UP_STEPS = 100
LAST_RATE = 0.02
"""The learning rate falls to this part of its first value along a cosine."""


@dataclass(frozen=True)
class Start:
    """Where training starts: parameters in the order of nep.txt, the descriptor scales and what may change.

    Attributes
    ----------
    parameters
        (parameters,) without the reference energies.
    scale
        (descriptors,) q_scaler.
    free
        (parameters,) False for what stays as it is.
    references
        Energies that the parameters do not contain.
    """

    parameters: Floats
    scale: Floats
    free: NDArray[np.bool_]
    references: References


def random_start(
    data: TrainingData, references: References, generator: np.random.Generator, scale: Floats | None = None
) -> Start:
    """Random parameters, with biases that fit the descriptors of the training set, and scales unless they are given."""
    header = data.header
    parameters = random_parameters(header, generator)
    rows = data.descriptors(parameters, np.ones(header.n_descriptors))
    scale = descriptor_scale(rows) if scale is None else scale
    centre_neurons(header, parameters, rows.mean(axis=0) * scale)
    free = np.ones(len(parameters), dtype=bool)
    if np.any(references.by_type):
        free = reserve_constant_neurons(header, parameters)
    return Start(parameters, scale, free, references)


def start_in(arrays: Mapping[str, NDArray[Any]]) -> Start:
    """Parameters as they were when `Run.state` was called."""
    references = References(arrays["by_type"], float(arrays["shared"]))
    return Start(arrays["parameters"], arrays["scale"], arrays["free"], references)


@dataclass(frozen=True)
class Plan:
    """How a training proceeds.

    Attributes
    ----------
    loss
        Weights of the terms of the loss.
    batch
        Structures of a step; all of them where there are no more.
    learning_rate
        First learning rate.
    bag
        Indices of the structures to train on, repeats allowed; all where None.
    """

    loss: LossWeights
    batch: int
    learning_rate: float = 5e-3
    bag: tuple[int, ...] | None = None


class Run:
    """Training in progress.

    Parameters
    ----------
    data
        Training structures.
    start
        First parameters.
    plan
        How to proceed.
    generator
        Orders the batches; its state is part of a checkpoint.
    """

    def __init__(self, data: TrainingData, start: Start, plan: Plan, generator: np.random.Generator) -> None:
        self.data = data
        self.start = start
        self.plan = plan
        self.generator = generator
        self.parameters = start.parameters.copy()
        at = places(data.header)
        self.optimiser = Soap(len(self.parameters), [at.w0, at.radial, at.angular], Settings())
        self.structures = np.array(plan.bag, dtype=np.int64) if plan.bag is not None else data.everything()
        self.queue = np.zeros(0, dtype=np.int64)
        self.window = SquareSums()
        first = self._sums(data, self.structures)
        self.running = RunningErrors(plan.loss, first.weighted_squares / np.maximum(first.counts, 1))

    @property
    def step(self) -> int:
        """Steps done."""
        return self.optimiser.number

    def _next_batch(self) -> NDArray[np.int64]:
        size = min(self.plan.batch, len(self.structures))
        if len(self.queue) < size:
            self.queue = np.append(self.queue, self.generator.permutation(self.structures))
        batch, self.queue = self.queue[:size], self.queue[size:]
        return np.ascontiguousarray(batch)

    def advance(self, progress: float) -> None:
        """Do one step with one batch.

        Parameters
        ----------
        progress
            0 at the first step, 1 at the last: sets the learning rate.

        Raises
        ------
        EngineError
            The loss is not a number any more.
        """
        batch = self._next_batch()
        counts = self.data.counts(batch)
        result = self.data.evaluate(self.parameters, self.start.scale, batch, self.running.coefficients(counts))
        sums, gradient = batch_sums(result), result["gradient"]
        if not (np.all(np.isfinite(sums)) and np.all(np.isfinite(gradient))):
            raise EngineError(
                f"training broke down at step {self.step + 1}: the loss is not finite; look for wrong labels or "
                "atoms on top of each other in the training structures"
            )
        if self.plan.loss.regularised:
            gradient = gradient + self.plan.loss.regularisation(self.parameters)[2]
        gradient = np.where(self.start.free, gradient, 0.0)
        direction = np.where(self.start.free, self.optimiser.direction(gradient), 0.0)
        self.parameters -= self._rate(progress) * direction
        self.running.add(sums, counts)
        self.window.add(result, counts)

    def _rate(self, progress: float) -> float:
        cosine = 0.5 * (1 + np.cos(np.pi * min(progress, 1.0)))
        warm_up = min(1.0, self.step / WARM_UP_STEPS)
        return float(self.plan.learning_rate * warm_up * (LAST_RATE + (1 - LAST_RATE) * cosine))

    def close_window(self) -> Errors:
        """Errors over the batches since the last call."""
        closed, self.window = self.window, SquareSums()
        return closed.errors()

    def _sums(self, data: TrainingData, structures: NDArray[np.int64]) -> SquareSums:
        sums = SquareSums()
        sums.add(
            data.evaluate(self.parameters, self.start.scale, structures, double_precision=True), data.counts(structures)
        )
        return sums

    def errors(self, data: TrainingData | None = None, energy_shift: float | None = None) -> Errors:
        """Errors over a whole set, the training set where none is given.

        Parameters
        ----------
        data
            Another set.
        energy_shift
            Mean energy error (eV/atom) of the training set, which nep.txt will not have; that of the set where None.
        """
        chosen = self.data if data is None else data
        sums = self._sums(chosen, self.structures if data is None else chosen.everything())
        return sums.errors(energy_shift)

    def absolute_parameters(self, energy_shift: float) -> Floats:
        """Parameters that give absolute energies, with the mean shift (eV/atom) of the training set taken out."""
        references = self.start.references
        return add_references(self.data.header, self.parameters, references.by_type, references.shared - energy_shift)

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Everything that a restart needs to go on as if nothing had happened."""
        arrays: dict[str, NDArray[np.generic]] = {
            "parameters": self.parameters,
            "scale": self.start.scale,
            "free": self.start.free,
            "by_type": self.start.references.by_type,
            "shared": np.array(self.start.references.shared),
            "queue": self.queue,
            "mean_squares": self.running.mean_squares,
            "window_counts": self.window.counts,
            "window_energy": self.window.energy,
            "window_others": self.window.others,
            "generator": np.array(json.dumps(self.generator.bit_generator.state)),
        }
        arrays.update({f"optimiser_{name}": value for name, value in self.optimiser.state().items()})
        return arrays

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Continue from what `state` returned."""
        self.start = start_in(arrays)
        self.parameters = self.start.parameters.copy()
        self.queue = np.array(arrays["queue"])
        self.running.mean_squares = np.array(arrays["mean_squares"])
        self.window = SquareSums(*(np.array(arrays[f"window_{name}"]) for name in ("counts", "energy", "others")))
        self.generator.bit_generator.state = json.loads(str(arrays["generator"]))
        prefix = "optimiser_"
        self.optimiser.restore({name.removeprefix(prefix): a for name, a in arrays.items() if name.startswith(prefix)})
