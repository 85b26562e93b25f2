"""Labelled structures as the training kernel wants them: targets without what the network need not learn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lizrcl_flows.errors import InputError
from lizrcl_flows.nep.model import NepHeader
from lizrcl_flows.nep.structures import LabelledFrame

Floats = NDArray[np.float64]

CONSISTENT_SPREAD = 3.0
"""References per element are used where they reduce the spread of the energies by this factor or more."""


@dataclass(frozen=True)
class References:
    """Energies that the network need not learn (eV/atom): per type, and the same for all atoms."""

    by_type: Floats
    shared: float

    def energy(self, types: NDArray[np.int32]) -> float:
        """Return the reference energy (eV) of a structure with these types (N,)."""
        return float(self.by_type[types].sum() + self.shared * len(types))


@dataclass(frozen=True)
class FixedPart:
    """Energy (eV), forces (N, 3) (eV/A) and virial (6,) (eV) that no parameter changes: the ZBL repulsion."""

    energy: float
    forces: Floats
    virial: Floats


@dataclass(frozen=True)
class ErrorWeights:
    """How errors of forces and virials are weighted: `type_weight`, `force_delta`, `lambda_shear` of nep.in."""

    type_weight: tuple[float, ...]
    force_delta: float = 0.0
    shear: float = 1.0


def type_indices(frame: LabelledFrame, species: Sequence[str]) -> NDArray[np.int32]:
    """(N,) types of the atoms; InputError for an element that the potential does not have."""
    index = {symbol: i for i, symbol in enumerate(species)}
    unknown = sorted(set(frame.species) - index.keys())
    if unknown:
        raise InputError(
            f"element {unknown[0]} of the training structures is not among the types of nep.in: {' '.join(species)}"
        )
    return np.array([index[symbol] for symbol in frame.species], dtype=np.int32)


def fit_references(frames: Sequence[LabelledFrame], species: Sequence[str]) -> References:
    """Least-squares energies of the elements, of minimum norm about the mean; one shared energy where that is enough.

    Parameters
    ----------
    frames
        Training structures.
    species
        Types of the potential.

    Notes
    -----
    `by_type` is zero where all structures have nearly one composition or the elements explain little. Structures whose
    `energy_weight` is 0 have no say: their energies may be anything.
    """
    frames = [frame for frame in frames if frame.energy_weight > 0] or frames
    counts = np.array([np.bincount(type_indices(f, species), minlength=len(species)) for f in frames], dtype=np.float64)
    atoms = counts.sum(axis=1)
    energies = np.array([f.energy for f in frames]) / atoms
    fractions = counts / atoms[:, None]
    shared = float(energies.mean())
    rest = energies - shared
    by_type = np.linalg.lstsq(fractions, rest, rcond=1e-8)[0]
    left = rest - fractions @ by_type
    if np.linalg.matrix_rank(fractions, tol=1e-8) < 2 or np.std(rest) < CONSISTENT_SPREAD * np.std(left) + 1e-9:
        by_type = np.zeros(len(species))
    return References(by_type, shared)


class TrainingData:
    """A set of structures in the kernel's memory, with the sums that its loss needs.

    Parameters
    ----------
    header
        Types, cutoffs and sizes of the potential.
    weights
        Weights of errors.
    threads
        Threads that share the atoms of a batch; the result does not depend on their number.
    """

    def __init__(self, header: NepHeader, weights: ErrorWeights, threads: int = 1) -> None:
        from lizrcl_flows.nep import _training

        self.header = header
        self.kernel = _training.DataSet(
            header.kernel_shape(1),
            header.pair_cutoffs(0),
            header.pair_cutoffs(1),
            np.array(weights.type_weight, dtype=np.float64),
            weights.force_delta,
            weights.shear,
            threads,
        )
        self.atoms = np.zeros(0, dtype=np.int64)
        self.structure_weights = np.zeros((0, 2))  # weight, energy_weight
        self.has_virial = np.zeros(0, dtype=bool)

    def add(self, frame: LabelledFrame, references: References, fixed: FixedPart | None) -> None:
        """Take in a structure; its neighbours are found now and kept."""
        types = type_indices(frame, self.header.species)
        energy = frame.energy - references.energy(types)
        forces = np.array(frame.forces, dtype=np.float64, order="C")
        virial = None if frame.virial is None else np.array(frame.virial, dtype=np.float64)
        if fixed is not None:
            energy -= fixed.energy
            forces = forces - fixed.forces
            virial = None if virial is None else virial - fixed.virial
        self.kernel.add(
            types,
            np.array(frame.cell, dtype=np.float64, order="C"),
            np.array(frame.positions, dtype=np.float64, order="C"),
            {
                "energy": energy,
                "forces": forces,
                "virial": virial,
                "weight": frame.weight,
                "energy_weight": frame.energy_weight,
            },
        )
        self.atoms = np.append(self.atoms, len(types))
        self.structure_weights = np.append(self.structure_weights, [[frame.weight, frame.energy_weight]], axis=0)
        self.has_virial = np.append(self.has_virial, virial is not None)

    def __len__(self) -> int:
        """Return the number of structures."""
        return len(self.atoms)

    def counts(self, structures: NDArray[np.int64]) -> Floats:
        """(3,) numbers of energies, force components and virial components of a batch."""
        return np.array(
            [len(structures), 3 * self.atoms[structures].sum(), 6 * self.has_virial[structures].sum()], dtype=np.float64
        )

    def everything(self) -> NDArray[np.int64]:
        """Return the indices of all structures."""
        return np.arange(len(self), dtype=np.int64)

    def evaluate(
        self,
        parameters: Floats,
        scale: Floats,
        structures: NDArray[np.int64],
        coefficients: Floats | None = None,
        *,
        double_precision: bool = False,
    ) -> dict[str, Floats]:
        """Errors of a batch and, with coefficients, the gradient of coefficients . (sums of squares).

        Parameters
        ----------
        parameters
            In the order of nep.txt.
        scale
            (descriptors,) q_scaler.
        structures
            Indices, repeats allowed.
        coefficients
            (3,) of the sums of squares of energies, forces and virials; no gradient where None.
        double_precision
            Single precision is enough for optimisation and almost twice as fast.

        Returns
        -------
        dict
            For every structure ``energy_error`` (eV/atom), sums of squares ``plain_force_sum`` ((eV/A)^2) and
            ``plain_virial_sum`` ((eV/atom)^2), the same with weights in ``force_sum`` and ``virial_sum``, and its
            ``weight`` and ``energy_weight``; ``gradient`` of the weighted sums.
        """
        wanted = coefficients is not None
        result: dict[str, Floats] = self.kernel.evaluate(
            parameters,
            scale,
            structures,
            coefficients if coefficients is not None else np.zeros(3),
            wanted,
            double_precision,
            False,
        )
        result["weight"], result["energy_weight"] = self.structure_weights[structures].T
        return result

    def neighbours(self, other: TrainingData | None = None) -> tuple[int, int]:
        """Largest numbers of radial and angular neighbours of an atom, in this set and another."""
        sets = [self.kernel] if other is None else [self.kernel, other.kernel]
        return (
            max(int(kernel.most_radial_neighbours) for kernel in sets),
            max(int(kernel.most_angular_neighbours) for kernel in sets),
        )

    def descriptors(self, parameters: Floats, scale: Floats) -> Floats:
        """(atoms, descriptors) of all structures, times scale; atoms of a structure are sorted by type."""
        rows: Floats = self.kernel.descriptors(parameters, scale, self.everything())
        return rows
