"""Predictions of a committee against labels, and their errors by group."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

from lizrcl_flows.documents import Label, ParityGroup, Structure
from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.science.energies import shift_energy

_VOIGT = np.array([[0, 0], [1, 1], [2, 2], [1, 2], [0, 2], [0, 1]]).T


class CommitteeResult(Protocol):
    """What `lizrcl_flows.nep.Committee.evaluate` gives for a frame."""

    @property
    def energy(self) -> Array:
        """Energy of each member (eV), shape (M,)."""
        ...

    @property
    def forces(self) -> Array:
        """Forces of each member (eV/A), shape (M, N, 3)."""
        ...

    @property
    def virial(self) -> Array:
        """Virial of each member (eV), shape (M, 3, 3)."""
        ...

    @property
    def eps(self) -> float:
        """Largest force deviation of an atom (eV/A)."""
        ...

    @property
    def eps_atoms(self) -> Array:
        """Force deviation of each atom (eV/A), shape (N,)."""
        ...


@dataclass(frozen=True)
class Predictions:
    """The mean of a committee and the labels, side by side.

    Attributes
    ----------
    phases, regions
        Of each structure; None where it has none. Length n.
    n_atoms
        Atoms of each structure, shape (n,).
    numbers
        Atomic numbers of all atoms, structure after structure, shape (A,).
    energy_predicted, energy_label
        Energy per atom (eV/atom), shape (n,).
    forces_predicted, forces_label
        Forces (eV/A), shape (A, 3).
    virial_predicted, virial_label
        Virial per atom (eV/atom), shape (n, 3, 3); NaN where a label has no stress.
    eps
        Committee deviation (eV/A), shape (n,).
    eps_atoms
        Committee deviation of each atom (eV/A), shape (A,).
    """

    phases: tuple[str | None, ...]
    regions: tuple[str | None, ...]
    n_atoms: npt.NDArray[np.int64]
    numbers: Array
    energy_predicted: Array
    energy_label: Array
    forces_predicted: Array
    forces_label: Array
    virial_predicted: Array
    virial_label: Array
    eps: Array
    eps_atoms: Array

    @classmethod
    def from_results(
        cls,
        pairs: Sequence[tuple[Structure, Label]],
        results: Sequence[CommitteeResult],
        energy_shifts: Sequence[Mapping[str, float]],
    ) -> Self:
        """Put predictions and labels together.

        Parameters
        ----------
        pairs
            Structures with their accepted labels.
        results
            What the committee says about each of them, in the same order.
        energy_shifts
            Of each committee member: energy per element (eV/atom) that its predictions leave out.

        Raises
        ------
        ValueError
            If there are no labels, or a label has no energy or forces.
        """
        if not pairs:
            raise ValueError("there is no label to compare with")
        if any(label.energy is None or label.forces is None for _, label in pairs):
            raise ValueError("only labels with energy and forces can be compared with")
        n_atoms = np.array([structure.n_atoms for structure, _ in pairs], dtype=np.int64)
        return cls(
            phases=tuple(structure.phase for structure, _ in pairs),
            regions=tuple(structure.region for structure, _ in pairs),
            n_atoms=n_atoms,
            numbers=np.concatenate([structure.numbers for structure, _ in pairs]),
            energy_predicted=np.array(
                [
                    _energy(structure, result, energy_shifts)
                    for (structure, _), result in zip(pairs, results, strict=True)
                ]
            )
            / n_atoms,
            energy_label=np.array([label.energy for _, label in pairs], dtype=float) / n_atoms,
            forces_predicted=np.concatenate([result.forces.mean(axis=0) for result in results]),
            forces_label=np.concatenate([label.forces for _, label in pairs if label.forces is not None]),
            virial_predicted=np.array([result.virial.mean(axis=0) for result in results]) / n_atoms[:, None, None],
            virial_label=np.array([_virial(structure, label) for structure, label in pairs]) / n_atoms[:, None, None],
            eps=np.array([result.eps for result in results], dtype=float),
            eps_atoms=np.concatenate([np.asarray(result.eps_atoms, dtype=float) for result in results]),
        )

    @property
    def structure_of_atom(self) -> npt.NDArray[np.int64]:
        """Index of the structure that each atom belongs to, shape (A,)."""
        return np.repeat(np.arange(len(self.n_atoms)), self.n_atoms)

    @property
    def force_error(self) -> Array:
        """Length of the force error of each atom (eV/A), shape (A,)."""
        return np.asarray(np.linalg.norm(self.forces_predicted - self.forces_label, axis=1))

    @property
    def max_force_error(self) -> Array:
        """Largest force error of an atom in each structure (eV/A), shape (n,): what eps stands for."""
        return np.asarray(np.maximum.reduceat(self.force_error, np.cumsum(self.n_atoms) - self.n_atoms))

    def arrays(self) -> dict[str, Array]:
        """Return every array under the name of its field, to be kept in one file."""
        return {name: value for name, value in vars(self).items() if isinstance(value, np.ndarray)}


def parity_groups(predictions: Predictions) -> tuple[ParityGroup, ...]:
    """Return the errors over everything, by phase, by region and by element.

    Energies and virials are per atom; errors of forces are over Cartesian components, those of virials over the six
    components. A group of an element has force errors only: those of its atoms.
    """
    everything = np.ones(len(predictions.n_atoms), dtype=bool)
    groups = [_structure_group("all", predictions, everything)]
    for kind, names in (("phase", predictions.phases), ("region", predictions.regions)):
        for name in sorted({name for name in names if name}):
            chosen = np.array([other == name for other in names])
            groups.append(_structure_group(f"{kind}:{name}", predictions, chosen))
    groups.extend(_element_group(predictions, int(number)) for number in np.unique(predictions.numbers))
    return tuple(groups)


def _energy(structure: Structure, result: CommitteeResult, energy_shifts: Sequence[Mapping[str, float]]) -> float:
    from ase.data import chemical_symbols

    symbols = [chemical_symbols[number] for number in structure.numbers]
    shift = float(np.mean([shift_energy(symbols, shift) for shift in energy_shifts])) if energy_shifts else 0.0
    return float(np.mean(result.energy)) + shift


def _virial(structure: Structure, label: Label) -> Array:
    if label.stress is None:
        return np.full((3, 3), np.nan)
    return np.asarray(-label.stress * abs(np.linalg.det(structure.cell)))


def _structure_group(name: str, predictions: Predictions, chosen: npt.NDArray[np.bool_]) -> ParityGroup:
    energy_error = (predictions.energy_predicted - predictions.energy_label)[chosen]
    virial_error = (predictions.virial_predicted - predictions.virial_label)[chosen][:, _VOIGT[0], _VOIGT[1]]
    virial_error = virial_error[np.isfinite(virial_error).all(axis=1)]
    atoms = chosen[predictions.structure_of_atom]
    return ParityGroup(
        group=name,
        n_structures=int(chosen.sum()),
        n_atoms=int(atoms.sum()),
        rmse_energy=_rmse(energy_error),
        mae_energy=float(np.abs(energy_error).mean()),
        rmse_virial=_rmse(virial_error),
        **_force_errors(predictions, atoms),
    )


def _element_group(predictions: Predictions, number: int) -> ParityGroup:
    from ase.data import chemical_symbols

    atoms = predictions.numbers == number
    return ParityGroup(
        group=f"element:{chemical_symbols[number]}",
        n_structures=len(np.unique(predictions.structure_of_atom[atoms])),
        n_atoms=int(atoms.sum()),
        **_force_errors(predictions, atoms),
    )


def _force_errors(predictions: Predictions, atoms: npt.NDArray[np.bool_]) -> dict[str, float | None]:
    label = predictions.forces_label[atoms]
    error = predictions.forces_predicted[atoms] - label
    spread = float(((label - label.mean()) ** 2).sum())
    return {
        "rmse_force": _rmse(error),
        "mae_force": float(np.abs(error).mean()),
        "max_force_error": float(np.linalg.norm(error, axis=1).max()),
        "r2_force": 1 - float((error**2).sum()) / spread if spread > 0 else None,
    }


def _rmse(error: Array) -> float | None:
    return float(np.sqrt((error**2).mean())) if error.size else None
