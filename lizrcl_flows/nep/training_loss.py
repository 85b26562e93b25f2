"""The loss of NEP training: what is weighed against what, and its value over the batches gone by.

GPUMD's loss is a sum of root mean squares, lambda_e RMSE_E + lambda_f RMSE_F + lambda_v RMSE_V + L1 + L2, per atom
where energies and virials are concerned. In the loss, squared errors carry the square of a structure's `weight`, those
of energies its `energy_weight` as well, those of forces and virials the factors of `ErrorWeights`. The errors that
loss.out lists beside the total carry none of these, apart from `energy_weight` in that of the energies. From energies
their mean error is taken off first, weighted by `energy_weight`: the last bias of nep.txt makes up for it.

The gradient of the loss is that of a sum of mean squares weighted by lambda / (2 RMSE), and that is what is followed
here, with the RMSEs in the denominators taken as running averages over the batches. The mean energy error is not taken
off there, since it is not known before the end of a batch; the bias learns it.

One thing differs: the denominator of the energies (eV/atom) is never smaller than RMSE_F (eV/A) times 1 A / sqrt(N),
with N the mean number of atoms of a structure. A structure has one energy and 3 N forces. Once its energy is more
accurate than independent errors of its atoms would make it, the sum of root mean squares would go on to fit the noise
of a few energies at the expense of the forces of structures that it has not seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

DECAY = 0.98
SMALLEST_RMSE = 1e-6


@dataclass(frozen=True)
class LossWeights:
    """Factors of the terms of the loss, as in nep.in.

    Attributes
    ----------
    energy, force, virial
        lambda_e, lambda_f, lambda_v.
    l1, l2
        lambda_1 of the mean absolute parameter, lambda_2 of their root mean square.
    """

    energy: float = 1.0
    force: float = 1.0
    virial: float = 0.1
    l1: float = 0.0
    l2: float = 0.0

    def regularisation(self, parameters: Floats) -> tuple[float, float, Floats]:
        """Return the two terms and their gradient with respect to the parameters."""
        count = parameters.size
        size = float(np.sqrt(np.mean(parameters**2)))
        gradient = self.l1 / count * np.sign(parameters) + self.l2 / (count * max(size, SMALLEST_RMSE)) * parameters
        return self.l1 * float(np.mean(np.abs(parameters))), self.l2 * size, gradient

    @property
    def regularised(self) -> bool:
        """Whether there is anything to regularise."""
        return self.l1 > 0 or self.l2 > 0


@dataclass(frozen=True)
class Errors:
    """Root mean square errors over a set.

    Attributes
    ----------
    energy
        eV/atom, a mean shift removed; squares multiplied by `energy_weight`.
    force
        eV/A per component.
    virial
        eV/atom per component; 0 where no structure has a virial.
    energy_shift
        Mean error of the energies (eV/atom), weighted by `energy_weight`.
    weighted
        The three errors with all weights, as they enter the loss.
    """

    energy: float
    force: float
    virial: float
    energy_shift: float
    weighted: tuple[float, float, float]

    def total(self, weights: LossWeights) -> float:
        """Loss without regularisation."""
        energy, force, virial = self.weighted
        return weights.energy * energy + weights.force * force + weights.virial * virial


@dataclass
class SquareSums:
    """Sums over structures from which their errors follow. The first row is without weights, the second with them.

    Attributes
    ----------
    counts
        (3,) numbers of energies, force components and virial components.
    energy
        (2, 3) sums of f, f d and f d^2 with d the energy error (eV/atom) and f the factor of its square:
        `energy_weight`, and the same times the square of `weight`.
    others
        (2, 2) sums of squares of force and virial errors.
    """

    counts: Floats = field(default_factory=lambda: np.zeros(3))
    energy: Floats = field(default_factory=lambda: np.zeros((2, 3)))
    others: Floats = field(default_factory=lambda: np.zeros((2, 2)))

    def add(self, evaluation: Mapping[str, Floats], counts: Floats) -> None:
        """Add what the kernel returned for a batch."""
        factors = evaluation["energy_weight"] * np.array(
            [np.ones_like(evaluation["weight"]), evaluation["weight"] ** 2]
        )
        self.counts += counts
        self.energy += factors @ (evaluation["energy_error"][:, None] ** np.arange(3))
        for row, prefix in enumerate(("plain_", "")):
            self.others[row] += [evaluation[f"{prefix}force_sum"].sum(), evaluation[f"{prefix}virial_sum"].sum()]

    @property
    def weighted_squares(self) -> Floats:
        """(3,) weighted sums of squares of energies, their mean error left in, forces and virials."""
        return np.array([self.energy[1, 2], *self.others[1]])

    @property
    def mean_shift(self) -> float:
        """Mean energy error (eV/atom), weighted by `energy_weight`."""
        total = float(self.energy[0, 0])
        return float(self.energy[0, 1]) / total if total > 0 else 0.0

    def errors(self, energy_shift: float | None = None) -> Errors:
        """Return the errors, those of energies less a shift (eV/atom), by default their mean error."""
        mean_shift = self.mean_shift
        shift = mean_shift if energy_shift is None else energy_shift
        energy = np.maximum(self.energy @ np.array([shift**2, -2 * shift, 1.0]), 0.0)
        squares = np.column_stack([energy, self.others]) / np.maximum(self.counts, 1)
        (energy_error, force_error, virial_error), weighted = np.sqrt(squares).tolist()
        return Errors(energy_error, force_error, virial_error, mean_shift, tuple(weighted))


def batch_sums(evaluation: Mapping[str, Floats]) -> Floats:
    """(3,) weighted sums of squares of energies, forces and virials."""
    sums = SquareSums()
    sums.add(evaluation, np.zeros(3))
    return sums.weighted_squares


class RunningErrors:
    """Running averages of the three mean squares, which set the weights of the next batch.

    Parameters
    ----------
    weights
        Of the terms.
    mean_squares
        (3,) where to start: those of the whole set before training.
    """

    def __init__(self, weights: LossWeights, mean_squares: Floats) -> None:
        self.weights = weights
        self.mean_squares = np.array(mean_squares, dtype=np.float64)

    def add(self, sums: Floats, counts: Floats) -> None:
        """Take in the sums of squares of a batch."""
        known = counts > 0
        self.mean_squares[known] += (1 - DECAY) * (sums[known] / counts[known] - self.mean_squares[known])

    def coefficients(self, counts: Floats) -> Floats:
        """(3,) factors of a batch's sums of squares whose gradient is that of the sum of root mean squares."""
        sizes = np.maximum(np.sqrt(self.mean_squares), SMALLEST_RMSE)
        if self.weights.force > 0 and counts[0] > 0:
            atoms = counts[1] / (3 * counts[0])
            sizes[0] = max(sizes[0], sizes[1] / np.sqrt(atoms))
        factors = np.array([self.weights.energy, self.weights.force, self.weights.virial])
        coefficients: Floats = factors / (2 * sizes * np.maximum(counts, 1))
        return coefficients
