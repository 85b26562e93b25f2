"""What is evaluated: a structure as arrays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lizrcl_flows.errors import InputError

FloatArray = npt.NDArray[np.float64]

PERIODIC = (True, True, True)


@dataclass(frozen=True, eq=False)
class Frame:
    """A structure.

    Attributes
    ----------
    species
        Chemical symbols, N of them.
    cell
        Lattice vectors in rows (A), shape (3, 3); rows of zeros are allowed where the structure is not periodic.
    positions
        Positions (A), shape (N, 3); they need not lie inside the cell.
    pbc
        Along which lattice vectors the structure repeats.
    """

    species: Sequence[str]
    cell: npt.ArrayLike
    positions: npt.ArrayLike
    pbc: Sequence[bool] = PERIODIC


@dataclass(frozen=True, eq=False)
class PackedFrames:
    """Frames laid end to end, as the compiled kernel wants them.

    Attributes
    ----------
    types
        Types of all atoms, int32, shape (n,).
    cells, positions
        Lattice vectors (A), shape (F, 3, 3), and positions (A), shape (n, 3).
    periodic
        Shape (F, 3).
    offsets
        First atom of every frame and the total, shape (F + 1,).
    """

    types: npt.NDArray[np.int32]
    cells: FloatArray
    positions: FloatArray
    periodic: npt.NDArray[np.bool_]
    offsets: npt.NDArray[np.int64]


def species_of(frame: Any) -> Sequence[str]:
    """Chemical symbols of a `Frame`, of anything with the same attributes, or of an ``ase.Atoms``."""
    symbols: Sequence[str] = frame.species if hasattr(frame, "species") else frame.get_chemical_symbols()
    return symbols


def type_indices(species: Sequence[str], known: Mapping[str, int]) -> npt.NDArray[np.int32]:
    """Types of atoms, int32, shape (N,).

    Raises
    ------
    InputError
        An element is not among the types of the model.
    """
    try:
        return np.array([known[symbol] for symbol in species], dtype=np.int32)
    except KeyError as error:
        raise InputError(
            f"Element {error.args[0]} of the structure is not among the types of the model: {' '.join(known)}."
        ) from None


def pack_frames(frames: Sequence[Any], known: Mapping[str, int]) -> PackedFrames:
    """Lay frames end to end.

    Parameters
    ----------
    frames
        `Frame`, anything with the same attributes (without ``pbc``: periodic), or ``ase.Atoms``.
    known
        Index of every type of the model.

    Raises
    ------
    InputError
        An element is unknown to the model, or positions do not fit the species; the frame is named.
    """
    types, positions, offsets = [], [], [0]
    cells = np.empty((len(frames), 3, 3))
    periodic = np.empty((len(frames), 3), dtype=bool)
    for index, frame in enumerate(frames):
        try:
            types.append(type_indices(species_of(frame), known))
        except InputError as error:
            raise InputError(f"Frame {index + 1}: {error}") from None
        where = np.asarray(frame.positions, dtype=np.float64)
        if where.shape != (len(types[-1]), 3):
            raise InputError(f"Frame {index + 1} has {len(types[-1])} species but positions of shape {where.shape}.")
        positions.append(where)
        cells[index] = np.asarray(frame.cell, dtype=np.float64)
        periodic[index] = getattr(frame, "pbc", PERIODIC)
        offsets.append(offsets[-1] + len(where))
    return PackedFrames(
        np.concatenate(types or [np.zeros(0, dtype=np.int32)]),
        cells,
        np.concatenate(positions or [np.zeros((0, 3))]),
        periodic,
        np.array(offsets, dtype=np.int64),
    )
