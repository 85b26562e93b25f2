"""What every labelling engine offers."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from lizrcl_flows.documents import Level, Structure
from lizrcl_flows.documents.arrays import Array


@dataclass(frozen=True)
class LabelResult:
    """Outcome of one label: accepted with its numbers, or failed with its reason.

    Attributes
    ----------
    energy
        Total energy (eV) whose derivative the forces are: with smearing, the free energy.
    energy_zero
        Total energy extrapolated to no smearing (eV), where the code gives it.
    forces
        Forces (n_atoms, 3), eV/A, in the order of the structure that was sent.
    stress
        Stress (3, 3), eV/A^3, tension positive; none where the engine has none.
    n_scf
        Electronic steps, where the code counts them.
    interrupted
        True where the calculation was ended because its time was up: no verdict, another worker may take it up.
    """

    accepted: bool
    reason: str = ""
    energy: float | None = None
    energy_zero: float | None = None
    forces: Array | None = None
    stress: Array | None = None
    attempts: int = 1
    wall_s: float = 0.0
    core_hours: float = 0.0
    executable: str = ""
    n_scf: int | None = None
    interrupted: bool = False
    files: tuple[Path, ...] = field(default=())


class LabelEngine(Protocol):
    """Energy, forces and stress of one structure at one level of theory.

    An engine is a plain dataclass with monty's ``as_dict``/``from_dict``, so that it survives in a workflow file.
    """

    def level(self) -> Level:
        """Return the level of theory as a document; equal settings give the equal id."""
        ...

    def require(self, elements: Iterable[str]) -> None:
        """See that the level covers these elements, before anything is submitted.

        Raises
        ------
        InputError
            If it does not, or a package that computes labels is missing.
        """
        ...

    def label(self, structure: Structure, directory: Path, seconds: float | None = None) -> LabelResult:
        """Compute one label in a directory of its own, or find it finished there.

        A calculation that fails is a result, never an exception; an exception says that this worker cannot compute any
        label at this level.

        Parameters
        ----------
        seconds
            Time that is left to the worker. A calculation that needs longer is ended and its result is `interrupted`:
            nothing is written that a rerun would take for finished. No limit where none.
        """
        ...
