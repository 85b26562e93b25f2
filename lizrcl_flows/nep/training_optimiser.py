"""The optimiser of NEP training: Adam in the eigenbasis of Shampoo's preconditioner (SOAP).

The parameters of a NEP are a handful of small matrices: the hidden layer of every type (neurons x descriptors) and the
descriptor coefficients of every centre type (functions x types and basis functions). Their gradients are strongly
correlated between rows and between columns, which Adam cannot see. SOAP keeps running averages of G G^T and G^T G for
every matrix, follows their eigenvectors by one orthogonal iteration every few steps, and runs Adam in that basis.
Vyas et al., "SOAP: Improving and Stabilizing Shampoo using Adam" (2024), https://arxiv.org/abs/2409.11321.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Integers = NDArray[np.intp]

TINY = 1e-12
LARGEST_SIDE = 128
"""A side of a matrix longer than this keeps its own basis: the eigenvectors would cost more than the step."""


@dataclass(frozen=True)
class Settings:
    """Numbers of the optimiser.

    Attributes
    ----------
    momentum, variance
        Decay of the running averages of the gradient and of its square.
    refresh
        Steps between two updates of the eigenvectors.
    """

    momentum: float = 0.95
    variance: float = 0.99
    refresh: int = 10


def _refreshed(basis: Singles, average: Singles) -> tuple[Singles, Integers]:
    """One orthogonal iteration, columns sorted by falling eigenvalue; and the order in which they were taken."""
    estimate = np.einsum("bij,bij->bj", basis, average @ basis)
    order = np.argsort(-estimate, axis=1, kind="stable")
    sorted_basis = np.take_along_axis(basis, order[:, None, :], axis=2)
    return np.linalg.qr(average @ sorted_basis)[0], order


class _Matrices:
    """Equal-sized matrices of parameters, handled together: places (count, rows, columns) in the flat vector.

    In single precision: a preconditioner need not be exact, and its matrix products are most of the work.
    """

    def __init__(self, places: Integers, settings: Settings) -> None:
        self.places = places
        self.settings = settings
        count, rows, columns = places.shape
        self.sides = [length if length <= LARGEST_SIDE else 0 for length in (rows, columns)]
        self.average = [np.zeros((count, length, length), dtype=np.float32) for length in self.sides]
        self.basis = [np.zeros((count, length, length), dtype=np.float32) for length in self.sides]
        self.square = np.zeros(places.shape, dtype=np.float32)

    def _rotate(self, values: Singles, *, back: bool) -> Singles:
        left, right = self.basis
        if back:
            right = np.swapaxes(right, 1, 2)
        else:
            left = np.swapaxes(left, 1, 2)
        if self.sides[0]:
            values = left @ values
        return values @ right if self.sides[1] else values

    def step(self, gradient: Floats, momentum: Floats, number: int) -> Floats:
        """Direction for the matrices; `momentum` is the bias-corrected average of the gradients."""
        decay = self.settings.variance
        gradients, momenta = gradient.astype(np.float32), momentum.astype(np.float32)
        products = (gradients @ np.swapaxes(gradients, 1, 2), np.swapaxes(gradients, 1, 2) @ gradients)
        for side in range(2):
            if self.sides[side]:
                self.average[side] *= decay
                self.average[side] += (1 - decay) * products[side]
        if number == 1:
            self.basis = [np.linalg.eigh(average)[1] if average.size else average for average in self.average]
        self.square *= decay
        self.square += (1 - decay) * self._rotate(gradients, back=False) ** 2
        size = np.sqrt(self.square / (1 - decay**number)) + np.float32(TINY)
        direction = self._rotate(self._rotate(momenta, back=False) / size, back=True)
        if number % self.settings.refresh == 0:
            self._refresh()
        return direction.astype(np.float64)

    def _refresh(self) -> None:
        for side in range(2):
            if self.sides[side]:
                self.basis[side], order = _refreshed(self.basis[side], self.average[side])
                index = order[:, :, None] if side == 0 else order[:, None, :]
                self.square = np.take_along_axis(self.square, index, axis=side + 1)


class Soap:
    """State and step of the optimiser over a flat vector of parameters.

    Parameters
    ----------
    count
        Number of parameters.
    matrices
        Index arrays (number of matrices, rows, columns) into the flat vector; what is in none of them gets Adam.
    settings
        Decay rates.
    """

    def __init__(self, count: int, matrices: Sequence[Integers], settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.number = 0
        self.mean = np.zeros(count)
        self.square = np.zeros(count)
        self.matrices = [_Matrices(places, self.settings) for places in matrices]

    def direction(self, gradient: Floats) -> Floats:
        """Take in a gradient and return the direction of descent, of the order of one per parameter.

        Parameters
        ----------
        gradient
            (count,) gradient of the loss.

        Returns
        -------
        Floats
            (count,) to be multiplied by the learning rate and subtracted.
        """
        self.number += 1
        momentum, variance = self.settings.momentum, self.settings.variance
        self.mean *= momentum
        self.mean += (1 - momentum) * gradient
        self.square *= variance
        self.square += (1 - variance) * gradient**2
        mean = self.mean / (1 - momentum**self.number)
        out = mean / (np.sqrt(self.square / (1 - variance**self.number)) + TINY)
        for part in self.matrices:
            out[part.places] = part.step(gradient[part.places], mean[part.places], self.number)
        return out

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Everything that a restart needs, as named arrays."""
        arrays: dict[str, NDArray[np.generic]] = {
            "number": np.array(self.number),
            "mean": self.mean,
            "square": self.square,
        }
        for i, part in enumerate(self.matrices):
            arrays[f"square_{i}"] = part.square
            for side in range(2):
                arrays[f"average_{i}_{side}"] = part.average[side]
                arrays[f"basis_{i}_{side}"] = part.basis[side]
        return arrays

    def restore(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Continue from what `state` returned."""
        self.number = int(arrays["number"])
        self.mean = np.array(arrays["mean"], dtype=np.float64)
        self.square = np.array(arrays["square"], dtype=np.float64)
        for i, part in enumerate(self.matrices):
            part.square = np.array(arrays[f"square_{i}"], dtype=np.float32)
            part.average = [np.array(arrays[f"average_{i}_{side}"], dtype=np.float32) for side in range(2)]
            part.basis = [np.array(arrays[f"basis_{i}_{side}"], dtype=np.float32) for side in range(2)]
