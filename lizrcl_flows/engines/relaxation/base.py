"""What every relaxation engine offers."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from lizrcl_flows.documents import Level, Structure
from lizrcl_flows.documents.arrays import Array


@dataclass(frozen=True)
class RelaxationResult:
    """Where a relaxation ended, converged or not.

    Attributes
    ----------
    structure
        Relaxed structure, a child of the one it started from, of the same phase and region; atoms keep their order.
        What was asked for and reached is in ``origin.parameters``. Where the run left no geometry to trust (it exploded
        or the calculator failed), it is the start itself, and energy and forces are NaN.
    energy
        Potential energy of that structure (eV).
    forces
        Forces (n_atoms, 3), eV/A.
    stress
        Stress (3, 3), eV/A^3, tension positive; None where the calculator has none.
    converged
        Whether forces, and stress where the cell moves, came below what was asked for.
    n_steps
        Steps of the optimiser.
    reason
        Why it is not converged, in one sentence; empty where it is.
    """

    structure: Structure
    energy: float
    forces: Array
    stress: Array | None
    converged: bool
    n_steps: int
    reason: str = ""
    wall_s: float = 0.0
    core_hours: float = 0.0
    executable: str = ""
    files: tuple[Path, ...] = field(default=())


class Relaxer(Protocol):
    """Bring a structure to the nearest minimum of the energy. A plain dataclass with ``as_dict``/``from_dict``."""

    def require(self, elements: Iterable[str]) -> None:
        """See that it can work here and knows these elements, as far as that is cheap to tell; else an `InputError`."""
        ...

    def level(self) -> Level:
        """Return the level of theory that relaxes; equal settings give the equal id."""
        ...

    def relax(self, structure: Structure, directory: Path) -> RelaxationResult:
        """Relax in a directory of its own, or find the same relaxation finished there.

        A relaxation that explodes or does not converge is a result with its reason, never an exception.
        """
        ...
