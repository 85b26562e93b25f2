"""What every training engine offers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from lizrcl_flows.documents import Errors, Label, Structure
from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.errors import EngineError


@dataclass(frozen=True)
class TrainingRequest:
    """One committee member's task.

    Attributes
    ----------
    pairs
        Structures with their accepted labels, in the order of the data set.
    elements
        Species in the order of the model's header.
    energy_shift
        Reference energy per element (eV/atom) that is subtracted from the labels' energies before training.
    seed
        Seed of the trainer's random numbers; GPUMD's own ``nep`` has no seed and ignores it.
    start
        nep.txt of a member of the same shape to begin from; at random where none.
    """

    pairs: Sequence[tuple[Structure, Label]]
    elements: tuple[str, ...]
    energy_shift: Mapping[str, float]
    seed: int
    threads: int = 1
    start: Path | None = None


@dataclass(frozen=True)
class TrainingResult:
    """A trained member and how it was made.

    Attributes
    ----------
    hyperparameters
        nep.in, keyword by keyword.
    loss_curve
        Rows of loss.out, shape (n, 10); columns as in `lizrcl_flows.documents.models.LOSS_COLUMNS`.
    errors
        Of the finished member on its training set.
    inputs_sha256
        SHA-256 over the input files.
    seeded
        Whether the same seed gives the same member again; GPUMD's own ``nep`` cannot be told one.
    """

    nep_txt: Path
    hyperparameters: dict[str, Any]
    n_parameters: int
    loss_curve: Array
    errors: Errors
    version: str
    executable: str
    wall_s: float
    core_hours: float
    files: tuple[Path, ...] = field(default=())
    inputs_sha256: str = ""
    seeded: bool = True


class DivergedError(EngineError):
    """The loss is not finite any more: another seed may fare better, the same one will not."""


class Trainer(Protocol):
    """Train one committee member. A plain dataclass with monty's ``as_dict``/``from_dict``."""

    def train(self, request: TrainingRequest, directory: Path) -> TrainingResult:
        """Train in a fresh directory.

        Raises
        ------
        DivergedError
            If the training diverged.
        EngineError
            If the program fails; the message holds the end of what it said.
        """
        ...
