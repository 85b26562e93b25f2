"""What an analysis found, with its definition and its parameters; what the user may choose."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.errors import InputError
from lizrcl_flows.science.analysis.run import RunData

FEWEST_ANION_ELECTRONEGATIVITY = 2.5
"""Pauling; elements from here on are taken as ligands: C and S to F, Cl, O, N."""

_AXES = {"x": 0, "y": 1, "z": 2}


@dataclass(frozen=True)
class Options:
    """How a trajectory is looked at.

    Attributes
    ----------
    temperature_k
        Temperature of the run (K); without it there is no conductivity.
    charge
        Charge of the ion (e).
    axis
        Cell vector along which layers and slabs are stacked, 0 to 2; by default it is found.
    cutoff_a
        Distance up to which an anion belongs to the shell of an ion (A); the study's.
    region_width_a
        Distance from an interface up to which an ion belongs to it (A); the study's.
    settled_after_ps
        Net displacements are counted from here on (ps); the study's.
    last_ps
        Coordination is averaged over this time at the end (ps); the study's.
    """

    temperature_k: float | None = None
    charge: float = 1.0
    axis: int | None = None
    cutoff_a: float = 3.5
    region_width_a: float = 8.0
    settled_after_ps: float = 2000.0
    last_ps: float = 1000.0


@dataclass(frozen=True)
class Finding:
    """Numbers of one analysis.

    Attributes
    ----------
    kind
        As of a document `Analysis`.
    definition
        What the numbers are, in words.
    parameters
        What they depend on besides the trajectory.
    results
        Scalars and short lists; names end with the unit.
    arrays
        Curves and maps.
    n_frames
        Frames that were looked at.
    reason
        Why there are no results; empty where there are.
    """

    kind: str
    definition: str
    n_frames: int
    parameters: dict[str, Any] = field(default_factory=dict)
    results: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, Array] = field(default_factory=dict)
    reason: str = ""


def layered_axis(run: RunData) -> int:
    """Return the cell vector along which the framework's cations leave the widest gap; the longest one without them."""
    cell = run.cells[run.sample_frames[0]]
    cations = ~run.ions & ~run.of(*anions(run))
    if not cations.any():
        return int(np.linalg.norm(cell, axis=1).argmax())
    heights = 1 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    fraction = np.sort(run.samples[0][cations] @ np.linalg.inv(cell) % 1.0, axis=0)
    gaps = np.diff(fraction, axis=0, append=fraction[:1] + 1.0).max(axis=0)
    return int((gaps * heights).argmax())


def parse_axis(text: str) -> int:
    """Return 0, 1 or 2 for x, y or z.

    Raises
    ------
    InputError
        If it is none of these.
    """
    if text not in _AXES:
        raise InputError(f"axis '{text}' is not accepted: x, y or z, for the first, second or third cell vector")
    return _AXES[text]


def anions(run: RunData) -> tuple[str, ...]:
    """Return the species that surround the ions: the electronegative ones."""
    from pymatgen.core import Element

    present = dict.fromkeys(run.species)
    return tuple(
        symbol for symbol in present if symbol != run.ion and Element(symbol).X >= FEWEST_ANION_ELECTRONEGATIVITY
    )


def last_samples(run: RunData, last_ps: float, fewest: int = 20) -> npt.NDArray[np.int64]:
    """Return which of the whole frames lie in the last part of the run; at least some, where there are."""
    since = (run.n_frames - 1) * run.dt_ps - last_ps
    late = np.flatnonzero(run.sample_frames * run.dt_ps >= since - 1e-9)
    return late if len(late) >= fewest else np.arange(len(run.sample_frames))[-fewest:]
