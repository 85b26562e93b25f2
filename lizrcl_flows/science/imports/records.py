"""What a file of results holds, before it becomes documents."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.science.imports.methods import Method

Kind = Literal["vasprun", "outcar", "extxyz"]


@dataclass(frozen=True)
class SourceFile:
    """A file to be read.

    Attributes
    ----------
    name
        How it is told apart from the others and stored: its path below the folder that was given.
    """

    path: Path
    name: str
    kind: Kind


@dataclass(frozen=True, eq=False)
class ComputedFrame:
    """One structure with what was computed for it.

    Attributes
    ----------
    number
        Which frame or ionic step of its file, from 1.
    numbers
        Atomic numbers, shape (N,).
    cell
        Lattice vectors in rows (A), shape (3, 3).
    positions
        A, shape (N, 3).
    pbc
        Periodic directions, shape (3,).
    energy
        Energy whose derivative the forces are (eV): with smearing, the free energy.
    energy_zero
        Energy extrapolated to no smearing (eV), where the file has it.
    forces
        eV/A, shape (N, 3).
    stress
        eV/A^3, shape (3, 3), tension positive.
    n_scf
        Electronic steps, where the file counts them.
    reason
        Why this is no label; empty where nothing speaks against it.
    tentative
        The reason is a limit that was set for this import, or a mark in the file, and no fact of the calculation: with
        other limits it may become a label.
    """

    number: int
    numbers: Array
    cell: Array
    positions: Array
    pbc: Array = field(default_factory=lambda: np.ones(3, dtype=bool))
    energy: float | None = None
    energy_zero: float | None = None
    forces: Array | None = None
    stress: Array | None = None
    n_scf: int | None = None
    phase: str | None = None
    reason: str = ""
    tentative: bool = False

    @property
    def species(self) -> tuple[str, ...]:
        """Chemical symbols."""
        from ase.data import chemical_symbols

        return tuple(chemical_symbols[number] for number in self.numbers)


@dataclass(frozen=True, eq=False)
class FileContent:
    """What was read of one file.

    Attributes
    ----------
    sha256
        Of its content, decompressed.
    method
        Level of theory as the file tells it; None where it tells none.
    level_ids
        Ids of stored levels that the frames name.
    problems
        Sentences about what could not be read; the file's name is in each.
    program
        Program that wrote it, as it calls itself.
    """

    source: SourceFile
    sha256: str
    frames: tuple[ComputedFrame, ...] = ()
    method: Method | None = None
    level_ids: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    program: str = ""
