"""The parameters of a NEP4 as one vector in the order of nep.txt: where each is, how they start, what stays constant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]

CONSTANT_NEURON_BIAS = 2.0
"""A neuron without inputs and with this bias is the constant tanh(2): with it an energy per type can be written."""


@dataclass(frozen=True)
class Architecture:
    """Numbers that fix the shape of a potential.

    Attributes
    ----------
    species
        Chemical symbols; their order is the order of the types.
    cutoffs
        Radial and angular cutoff radius of every type (A); a pair's cutoff is the mean of its two types.
    n_max, basis_size
        As in nep.in: one less than the number of radial functions and of Chebyshev functions, radial and angular.
    l_max
        Largest angular momentum of the three-body part.
    four_body, five_body
        Whether the invariants q222 and q1111 are used.
    neurons
        Size of the hidden layer.
    """

    species: tuple[str, ...]
    cutoffs: tuple[tuple[float, float], ...]
    n_max: tuple[int, int]
    basis_size: tuple[int, int]
    l_max: int
    four_body: bool
    five_body: bool
    neurons: int

    @property
    def types(self) -> int:
        """Number of types."""
        return len(self.species)

    @property
    def descriptors(self) -> int:
        """Number of descriptor components."""
        return self.n_max[0] + 1 + (self.n_max[1] + 1) * (self.l_max + self.four_body + self.five_body)

    @property
    def network_parameters(self) -> int:
        """Number of parameters before the descriptor coefficients, the shared bias included."""
        return self.types * self.neurons * (self.descriptors + 2) + 1

    @property
    def parameters(self) -> int:
        """Number of parameters of nep.txt, the descriptor scales not counted."""
        pairs = [(n + 1) * (k + 1) for n, k in zip(self.n_max, self.basis_size, strict=True)]
        return self.network_parameters + self.types**2 * sum(pairs)

    def pair_cutoffs(self, part: int) -> Floats:
        """(types, types) cutoffs (A) of the radial (0) or angular (1) part."""
        own = np.array([pair[part] for pair in self.cutoffs])
        return (own[:, None] + own[None, :]) / 2

    def kernel_shape(self) -> dict[str, Any]:
        """The same numbers as the compiled kernel wants them."""
        return {
            "types": self.types,
            "radial": self.n_max[0] + 1,
            "angular": self.n_max[1] + 1,
            "radial_basis": self.basis_size[0] + 1,
            "angular_basis": self.basis_size[1] + 1,
            "l_max": self.l_max,
            "four_body": self.four_body,
            "five_body": self.five_body,
            "neurons": self.neurons,
        }


@dataclass(frozen=True)
class Places:
    """Index arrays into the parameter vector.

    Attributes
    ----------
    w0
        (types, neurons, descriptors) weights of the hidden layer.
    b0, w1
        (types, neurons) its biases, and the output weights.
    b1
        Index of the shared bias.
    radial, angular
        (types, functions, types * basis) descriptor coefficients of every centre type.
    """

    w0: Integers
    b0: Integers
    w1: Integers
    b1: int
    radial: Integers
    angular: Integers


def places(architecture: Architecture) -> Places:
    """Where the parameters are in the order of nep.txt."""
    types, neurons, width = architecture.types, architecture.neurons, architecture.descriptors
    block = neurons * (width + 2)
    network = np.arange(types * block).reshape(types, block)
    end = types * block + 1
    coefficients = []
    for n_max, basis_size in zip(architecture.n_max, architecture.basis_size, strict=True):
        shape = (n_max + 1, basis_size + 1, types, types)
        index = end + np.arange(int(np.prod(shape))).reshape(shape)
        end += index.size
        coefficients.append(index.transpose(2, 0, 1, 3).reshape(types, n_max + 1, -1))
    return Places(
        w0=network[:, : neurons * width].reshape(types, neurons, width),
        b0=network[:, neurons * width : neurons * (width + 1)],
        w1=network[:, neurons * (width + 1) :],
        b1=types * block,
        radial=coefficients[0],
        angular=coefficients[1],
    )


def random_parameters(architecture: Architecture, generator: np.random.Generator) -> Floats:
    """Starting values: descriptors of the order of one basis function, neurons that see their whole range.

    The spreads are those of Glorot's rule for the two layers; the network's output starts small.
    """
    at = places(architecture)
    values = np.zeros(architecture.parameters)
    width, neurons = architecture.descriptors, architecture.neurons
    values[at.w0] = generator.normal(0, 1.2 / np.sqrt(width), at.w0.shape)
    values[at.b0] = generator.normal(0, 0.5, at.b0.shape)
    values[at.w1] = generator.normal(0, 0.3 / np.sqrt(neurons), at.w1.shape)
    for part, basis_size in zip((at.radial, at.angular), architecture.basis_size, strict=True):
        values[part] = generator.normal(0, 1 / np.sqrt(basis_size + 1), part.shape)
    return values


def descriptor_scale(rows: Floats) -> Floats:
    """1 / (max - min) of every descriptor over atoms; 1 where a descriptor does not vary.

    Parameters
    ----------
    rows
        (atoms, descriptors) unscaled.
    """
    spread = rows.max(axis=0) - rows.min(axis=0)
    return np.where(spread > 0, 1 / np.where(spread > 0, spread, 1.0), 1.0)


def centre_neurons(architecture: Architecture, values: Floats, mean: Floats) -> None:
    """Shift the biases so that the mean descriptor (scaled, (descriptors,)) is where the neurons bend, in place."""
    at = places(architecture)
    values[at.b0] += values[at.w0] @ mean


def reserve_constant_neurons(architecture: Architecture, values: Floats) -> NDArray[np.bool_]:
    """Make the last neuron of every type a constant, in place; returns which parameters may be trained.

    Its output weight is zero while training, and takes the reference energy of the type at the end.
    """
    at = places(architecture)
    free = np.ones(architecture.parameters, dtype=bool)
    values[at.w0[:, -1]] = 0.0
    values[at.b0[:, -1]] = -CONSTANT_NEURON_BIAS
    values[at.w1[:, -1]] = 0.0
    for part in (at.w0[:, -1], at.b0[:, -1], at.w1[:, -1]):
        free[part] = False
    return free


def add_references(architecture: Architecture, values: Floats, references: Floats, shared: float) -> Floats:
    """Parameters that also give the reference energies (eV): per type by the constant neurons, `shared` by the bias."""
    at = places(architecture)
    out = values.copy()
    out[at.b1] -= shared
    if np.any(references):
        out[at.w1[:, -1]] = references / np.tanh(CONSTANT_NEURON_BIAS)
    return out
