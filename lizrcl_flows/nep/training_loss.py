"""The loss of NEP training: what is weighed against what, and its value over the batches gone by.

GPUMD's loss is a sum of root mean squares, lambda_e RMSE_E + lambda_f RMSE_F + lambda_v RMSE_V + L1 + L2, per atom
where energies and virials are concerned. Its gradient is that of a sum of mean squares weighted by lambda / (2 RMSE),
and that is what is followed here, with the RMSEs in the denominators taken as running averages over the batches.

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


@dataclass
class SquareSums:
    """Sums of weighted squared errors and the numbers of terms: energies, force components, virial components."""

    sums: Floats = field(default_factory=lambda: np.zeros(3))
    counts: Floats = field(default_factory=lambda: np.zeros(3))
    energy_shift: float = 0.0

    def add(self, evaluation: Mapping[str, Floats], counts: Floats) -> None:
        """Add what the kernel returned for a batch."""
        self.sums += batch_sums(evaluation)
        self.counts += counts
        self.energy_shift += float(evaluation["energy_error"].sum())

    @property
    def mean_shift(self) -> float:
        """Mean energy error (eV/atom)."""
        return self.energy_shift / max(float(self.counts[0]), 1.0)

    def root_mean_squares(self, energy_shift: float | None = None) -> Floats:
        """(3,) RMSE of energies (eV/atom) less a shift, by default their mean; forces (eV/A); virials (eV/atom)."""
        mean = self.sums / np.maximum(self.counts, 1)
        shift = self.mean_shift if energy_shift is None else energy_shift
        mean[0] = max(mean[0] - 2 * shift * self.mean_shift + shift**2, 0.0)
        return np.asarray(np.sqrt(mean))


def batch_sums(evaluation: Mapping[str, Floats]) -> Floats:
    """(3,) sums of weighted squares of energies, forces and virials."""
    return np.array(
        [np.sum(evaluation["energy_error"] ** 2), evaluation["force_sum"].sum(), evaluation["virial_sum"].sum()]
    )


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
