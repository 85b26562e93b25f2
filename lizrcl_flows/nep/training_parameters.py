"""The parameters of a NEP4 as one vector in the order of nep.txt: where they are, how they start, what is constant."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lizrcl_flows.nep.model import NepHeader

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]

CONSTANT_NEURON_BIAS = 2.0
"""A neuron without inputs and with this bias is the constant tanh(2): with it an energy per type can be written."""


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


def places(header: NepHeader) -> Places:
    """Where the parameters are in the order of nep.txt."""
    types, neurons, width = header.n_types, header.neurons, header.n_descriptors
    block = neurons * (width + 2)
    network = np.arange(types * block).reshape(types, block)
    end = types * block + 1
    coefficients = []
    for n_max, basis_size in zip(header.n_max, header.basis_size, strict=True):
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


def random_parameters(header: NepHeader, generator: np.random.Generator) -> Floats:
    """Draw starting values: descriptors of the order of one basis function, neurons that see their whole range.

    The spreads are those of Glorot's rule for the two layers; the network's output starts small.
    """
    at = places(header)
    values = np.zeros(header.n_parameters)
    width, neurons = header.n_descriptors, header.neurons
    values[at.w0] = generator.normal(0, 1.2 / np.sqrt(width), at.w0.shape)
    values[at.b0] = generator.normal(0, 0.5, at.b0.shape)
    values[at.w1] = generator.normal(0, 0.3 / np.sqrt(neurons), at.w1.shape)
    for part, basis_size in zip((at.radial, at.angular), header.basis_size, strict=True):
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


def centre_neurons(header: NepHeader, values: Floats, mean: Floats) -> None:
    """Shift the biases so that the mean descriptor (scaled, (descriptors,)) is where the neurons bend, in place."""
    at = places(header)
    values[at.b0] += values[at.w0] @ mean


def reserve_constant_neurons(header: NepHeader, values: Floats) -> NDArray[np.bool_]:
    """Make the last neuron of every type a constant, in place; returns which parameters may be trained.

    Its output weight is zero while training, and takes the reference energy of the type at the end.
    """
    at = places(header)
    free = np.ones(header.n_parameters, dtype=bool)
    values[at.w0[:, -1]] = 0.0
    values[at.b0[:, -1]] = -CONSTANT_NEURON_BIAS
    values[at.w1[:, -1]] = 0.0
    for part in (at.w0[:, -1], at.b0[:, -1], at.w1[:, -1]):
        free[part] = False
    return free


def add_references(header: NepHeader, values: Floats, references: Floats, shared: float) -> Floats:
    """Parameters that also give the reference energies (eV): per type by the constant neurons, `shared` by the bias."""
    at = places(header)
    out = values.copy()
    out[at.b1] -= shared
    if np.any(references):
        out[at.w1[:, -1]] = references / np.tanh(CONSTANT_NEURON_BIAS)
    return out
