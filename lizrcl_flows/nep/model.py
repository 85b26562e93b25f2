"""A NEP potential as numbers: what stands in the header of nep.txt, and its parameters."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from lizrcl_flows.errors import InputError
from lizrcl_flows.nep.elements import ATOMIC_NUMBERS, COVALENT_RADIUS_A

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Zbl:
    """Ziegler-Biersack-Littmark repulsion on top of the network.

    Attributes
    ----------
    inner, outer
        Where the switching function starts to fall and where it is zero (A).
    typewise_factor
        If given, a pair's outer radius is at most this factor times the sum of its covalent radii, and its inner
        radius is zero.
    """

    inner: float
    outer: float
    typewise_factor: float | None = None

    def pair_table(self, species: tuple[str, ...]) -> FloatArray:
        """Strength (eV A), inverse screening length (1/A), inner and outer radius (A) of pairs, shape (T, T, 4).

        The screening length is that of the universal potential (Ziegler, Biersack, Littmark 1985).
        """
        numbers = np.array([ATOMIC_NUMBERS[symbol] for symbol in species], dtype=np.float64)
        radii = np.array([COVALENT_RADIUS_A[symbol] for symbol in species])
        table = np.empty((len(species), len(species), 4))
        table[..., 0] = 14.399645 * numbers[:, None] * numbers
        table[..., 1] = (numbers[:, None] ** 0.23 + numbers**0.23) * 2.134563
        table[..., 2] = self.inner
        table[..., 3] = self.outer
        if self.typewise_factor is not None:
            table[..., 2] = 0.0
            table[..., 3] = np.minimum(self.outer, self.typewise_factor * (radii[:, None] + radii))
        return table


@dataclass(frozen=True)
class NepHeader:
    """What the header of nep.txt says; two models with equal headers share all sums over neighbours.

    Attributes
    ----------
    version
        3 (one network for all types) or 4 (one for each).
    species
        Chemical symbols in the order of the types.
    cutoffs
        Radial and angular cutoff (A) of every type; that of a pair is the mean of its two types.
    n_max, basis_size
        Radial and angular; one less than the number of radial and of Chebyshev functions, as in nep.in.
    l_max
        Largest angular momentum of the three-body descriptors.
    four_body, five_body
        Whether the descriptors q222 and q1111 are used.
    neurons
        Size of the hidden layer.
    zbl
        Short-range repulsion, if any.
    """

    version: int
    species: tuple[str, ...]
    cutoffs: tuple[tuple[float, float], ...]
    n_max: tuple[int, int]
    basis_size: tuple[int, int]
    l_max: int
    four_body: bool
    five_body: bool
    neurons: int
    zbl: Zbl | None = None

    def __post_init__(self) -> None:
        unknown = [symbol for symbol in self.species if symbol not in ATOMIC_NUMBERS]
        if unknown or not self.species or len(set(self.species)) != len(self.species):
            raise InputError(f"the types '{' '.join(self.species)}' should be different chemical symbols from H to Pu")
        if self.version not in (3, 4):
            raise InputError(f"version {self.version} of NEP is not known here; accepted are 3 and 4")
        if len(self.cutoffs) != len(self.species) or not all(0 < a <= r for r, a in self.cutoffs):
            raise InputError(f"the cutoffs {self.cutoffs} should be radial >= angular > 0 for every type")
        sizes = {
            "n_max": (max(self.n_max), 0, 19),
            "basis_size": (max(self.basis_size), 0, 19),
            "l_max": (self.l_max, 1, 8),
            "neuron": (self.neurons, 1, 200),
        }
        for name, (value, low, high) in sizes.items():
            if not low <= value <= high or min(*self.n_max, *self.basis_size) < 0:
                raise InputError(f"{name} of {value} is out of range; accepted are {low} to {high}")
        if self.four_body and self.l_max < 2:
            raise InputError("the four-body descriptor q222 needs l_max of 2 or more")

    @property
    def n_types(self) -> int:
        """Number of types."""
        return len(self.species)

    @property
    def n_networks(self) -> int:
        """Number of networks: one for every type, or one in all (version 3)."""
        return self.n_types if self.version == 4 else 1

    @property
    def n_descriptors(self) -> int:
        """Number of descriptor components of an atom."""
        return self.n_max[0] + 1 + (self.n_max[1] + 1) * (self.l_max + self.four_body + self.five_body)

    @property
    def network_size(self) -> int:
        """Number of parameters of one network without the shared output bias."""
        return self.neurons * (self.n_descriptors + 2)

    @property
    def n_coefficients(self) -> int:
        """Number of descriptor coefficients."""
        return self.n_types**2 * sum((n + 1) * (k + 1) for n, k in zip(self.n_max, self.basis_size, strict=True))

    @property
    def n_parameters(self) -> int:
        """Number of parameters in nep.txt, descriptor scales not counted."""
        return self.n_networks * self.network_size + 1 + self.n_coefficients

    def pair_cutoffs(self, part: int) -> FloatArray:
        """Cutoffs of pairs of types (A), radial (0) or angular (1), shape (T, T)."""
        own = np.array([pair[part] for pair in self.cutoffs])
        return np.asarray((own[:, None] + own) / 2)

    def kernel_shape(self, members: int) -> dict[str, Any]:
        """Give the sizes as the compiled kernel wants them."""
        return {
            "members": members,
            "types": self.n_types,
            "radial": self.n_max[0] + 1,
            "angular": self.n_max[1] + 1,
            "radial_basis": self.basis_size[0] + 1,
            "angular_basis": self.basis_size[1] + 1,
            "l_max": self.l_max,
            "four_body": int(self.four_body),
            "five_body": int(self.five_body),
            "neurons": self.neurons,
        }


@dataclass(frozen=True, eq=False)
class NepModel:
    """One potential.

    Attributes
    ----------
    header
        Types, cutoffs and sizes.
    parameters
        In the order of nep.txt, shape (P,): per network the weights ``w0[h][d]``, biases ``b0[h]`` and output weights
        ``w1[h]``; the shared output bias; radial and angular coefficients ``c[n][k][t1][t2]``.
    q_scaler
        Factors of the descriptors, shape (D,).
    max_neighbours
        Largest numbers of radial and angular neighbours met in training: gpumd sizes its memory by them.
    """

    header: NepHeader
    parameters: FloatArray
    q_scaler: FloatArray
    max_neighbours: tuple[int, int]

    def __post_init__(self) -> None:
        if self.parameters.shape != (self.header.n_parameters,):
            raise InputError(
                f"a model of this header has {self.header.n_parameters} parameters, not {self.parameters.size}"
            )
        if self.q_scaler.shape != (self.header.n_descriptors,):
            raise InputError(
                f"a model of this header has {self.header.n_descriptors} descriptor scales, not {self.q_scaler.size}"
            )
        if not (np.isfinite(self.parameters).all() and np.isfinite(self.q_scaler).all()):
            raise InputError("parameters and descriptor scales should be finite numbers")

    @cached_property
    def parameters_by_type(self) -> FloatArray:
        """The parameters with a network for every type, whatever the version; the order is that of version 4."""
        header = self.header
        if header.version == 4:
            return self.parameters
        network = self.parameters[: header.network_size]
        return np.concatenate([np.tile(network, header.n_types), self.parameters[header.network_size :]])
