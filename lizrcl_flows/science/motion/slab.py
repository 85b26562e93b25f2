"""Where ions are in a slab: heights along the normal, the oxide as the frame of reference, interfaces and regions.

Heights are fractions of the cell. For a cell of any shape, the fractional coordinate along vector c times the height of
the cell (volume over |a x b|) is the distance from the plane of a and b, whether c is tilted or not; and fractions of a
breathing cell lose no ion from a histogram.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.errors import InputError

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

REGION_WIDTH_A = 8.0
"""Distance from an interface up to which the study counts ions as its own (A; arXiv:2601.22612)."""

LAYER_A = 1.5
"""Depth of the outermost layer of the oxide (A): half of the spacing between planes of Zr."""

SMALLEST_GAP_A = 4.0
"""Height that an oxide leaves to the other phase at least (A)."""

CONTACT_A = 3.0
"""Distance between a metal and its anions (A): Zr-O is 2.0-2.3, Zr-Cl 2.4-2.6."""

_OTHER_ANIONS = ("F", "Cl", "Br", "I", "S", "Se", "N")
_SHARE_ASIDE = 0.01
_FRAMES_AT_ONCE = 128


@dataclass(frozen=True)
class OxideSlab:
    """The oxide of an interface model, followed through a run.

    Attributes
    ----------
    centre
        Its mean height as a fraction of the cell, continuous in time, shape (S,).
    planes
        Mean heights of its outermost layers as fractions of the cell, shape (S, 2): the oxide lies above the first and
        below the second one, up to the next image. In [0, 1).
    lower, upper
        Atoms of these layers: indices among the atoms that were given.
    """

    centre: FloatArray
    planes: FloatArray
    lower: npt.NDArray[np.int64]
    upper: npt.NDArray[np.int64]


def normal(cells: Array, axis: int) -> FloatArray:
    """Return the unit normal of the layers stacked along a cell vector, shape (3,).

    n = a x b / |a x b| of the mean cell, on the side of the vector `axis`, whichever the order of axes.

    Parameters
    ----------
    cells
        Cell vectors in rows (A), shape (T, 3, 3) or (3, 3).
    axis
        0, 1 or 2.
    """
    across = np.cross(*plane_vectors(cells, axis))
    across *= np.sign(across @ _mean_cell(cells)[axis])
    return np.asarray(across / np.linalg.norm(across))


def plane_vectors(cells: Array, axis: int) -> FloatArray:
    """Return the two vectors of the mean cell that span the plane of the layers (A), shape (2, 3)."""
    return np.asarray(np.delete(_mean_cell(cells), _checked_axis(axis), axis=0))


def heights_of_cells(cells: Array, axis: int) -> FloatArray:
    """Return the height of each cell along the normal (A): its volume over the area of the plane, shape (T,)."""
    cells = _all_cells(cells)
    return np.asarray(np.abs(np.linalg.det(cells)) / areas_of_cells(cells, axis))


def areas_of_cells(cells: Array, axis: int) -> FloatArray:
    """Return the area of each cell in the plane of the layers (A^2), shape (T,)."""
    first, second = (_all_cells(cells)[:, other] for other in range(3) if other != _checked_axis(axis))
    return np.asarray(np.linalg.norm(np.cross(first, second), axis=1))


def fractional_heights(positions: Array, cells: Array, axis: int, centre: Array | float = 0.0) -> FloatArray:
    """Return heights as fractions of the cell, in [0, 1).

    Parameters
    ----------
    positions
        Wrapped or unwrapped (A), shape (T, N, 3).
    cells
        Cell vectors in rows (A), shape (T, 3, 3) or (3, 3).
    axis
        Cell vector along which layers are stacked.
    centre
        Fraction that becomes 0 in each frame, shape (T,), such as the centre of an oxide.

    Raises
    ------
    InputError
        If there are no atoms, or as many cells as frames are not given.
    """
    positions = np.asarray(positions)
    if positions.ndim != 3 or positions.shape[1] == 0:
        raise InputError("there is no atom whose height could be measured")
    cells = np.asarray(cells, dtype=np.float64)
    if cells.ndim == 3 and len(cells) not in (1, len(positions)):
        raise InputError(f"{len(cells)} cells of {len(positions)} frames are not accepted: one each, or a constant one")
    column = np.broadcast_to(np.linalg.inv(_all_cells(cells))[:, :, _checked_axis(axis)], (len(positions), 3))
    shift = np.broadcast_to(np.asarray(centre, dtype=np.float64), (len(positions),))
    found = np.empty(positions.shape[:2])
    for start in range(0, len(positions), _FRAMES_AT_ONCE):
        part = slice(start, start + _FRAMES_AT_ONCE)
        np.matmul(positions[part].astype(np.float64), column[part, :, None], out=found[part, :, None])
    found -= shift[:, None]
    return wrapped(found)


def wrapped(fraction: Array) -> FloatArray:
    """Return fractions in [0, 1): the remainder of a tiny negative number is 1, which is 0 here."""
    found = np.asarray(fraction, dtype=np.float64) % 1.0
    found[found >= 1.0] = 0.0
    return np.asarray(found)


def shortest(difference: Array) -> FloatArray:
    """Return differences of fractions by the shortest image, in [-0.5, 0.5]."""
    return np.asarray(difference - np.rint(difference), dtype=np.float64)


def circular_mean(fraction: Array, axis: int = -1) -> FloatArray:
    """Return the mean of fractions on the circle, in [0, 1): layers across the boundary have one."""
    turns = np.exp(2j * np.pi * np.asarray(fraction, dtype=np.float64)).mean(axis=axis)
    return np.asarray(np.angle(turns) / (2 * np.pi) % 1.0)


def oxide_atoms(
    species: Sequence[str], positions: Array, cell: Array, mobile: Sequence[str] = ("Li",), anion: str = "O"
) -> BoolArray:
    """Tell which atoms of an interface model belong to its oxide.

    All O, and the metals (whatever is neither mobile nor an anion) that have more O than other anions within 3 A.

    Parameters
    ----------
    species
        Chemical symbols, N of them.
    positions
        One whole frame (A), shape (N, 3): the first one, before anything mixes.
    cell
        Its cell vectors in rows (A), shape (3, 3).
    mobile
        Species that belong to no side.
    anion
        That of the oxide.

    Returns
    -------
    ndarray of bool
        Shape (N,).

    Raises
    ------
    InputError
        If there is no such anion.
    """
    symbols = np.asarray(species, dtype=object)
    oxygen = symbols == anion
    if not oxygen.any():
        present = ", ".join(dict.fromkeys(species))
        raise InputError(f"there is no {anion}, so there is no oxide and no interface; the species are {present}")
    metal = ~oxygen & ~np.isin(symbols, [*mobile, *_OTHER_ANIONS])
    found = np.array(oxygen)
    if metal.any():
        ours = _neighbours(positions[metal], positions[oxygen], cell)
        other = np.isin(symbols, [name for name in _OTHER_ANIONS if name not in mobile])
        theirs = _neighbours(positions[metal], positions[other], cell) if other.any() else np.zeros_like(ours)
        found[np.flatnonzero(metal)[ours > theirs]] = True
    return found


def oxide_slab(fraction: Array, heights_a: Array, layer_a: float = LAYER_A) -> OxideSlab:
    """Follow an oxide through a run: its centre and the planes of its interfaces.

    The outermost layers are those of the first frame, and of their atoms the middle 60 % by height are averaged, so
    that an atom that wanders off moves no interface.

    Parameters
    ----------
    fraction
        Heights of its atoms as fractions of the cell, shape (S, M).
    heights_a
        Height of the cell (A), shape (S,).
    layer_a
        Depth of an outermost layer (A).

    Raises
    ------
    InputError
        If there are no atoms, or they fill the cell from one side to the other.
    """
    fraction = np.asarray(fraction, dtype=np.float64)
    if fraction.ndim != 2 or fraction.size == 0:
        raise InputError("there are no atoms of an oxide, so there are no interfaces")
    height = float(np.asarray(heights_a)[0])
    ordered = np.sort(fraction[0] % 1.0)
    gaps = np.diff(ordered, append=ordered[0] + 1.0)
    widest = int(gaps.argmax())
    if gaps[widest] * height < SMALLEST_GAP_A:
        raise InputError(
            f"the oxide leaves a gap of {gaps[widest] * height:.1f} A along the normal, so it is no slab; "
            f"at least {SMALLEST_GAP_A:g} A are accepted"
        )
    bottom = ordered[(widest + 1) % len(ordered)]
    depth = (fraction[0] - bottom) % 1.0 * height  # from the lowest atom
    depth[depth > height - 1e-9 * height] = 0.0
    aside = int(_SHARE_ASIDE * depth.size)  # atoms that stand out from a rough surface
    levels = np.sort(depth)
    lower = np.flatnonzero(np.abs(depth - levels[aside]) <= layer_a)
    upper = np.flatnonzero(np.abs(depth - levels[-1 - aside]) <= layer_a)
    # moved from frame to frame by the shortest image: continuous, whatever the boundary
    paths = bottom + depth / height + np.cumsum(shortest(np.diff(fraction, axis=0, prepend=fraction[:1])), axis=0)
    planes = np.stack([_middle_mean(paths[:, lower]), _middle_mean(paths[:, upper])], axis=1)
    return OxideSlab(paths.mean(axis=1), wrapped(planes), lower, upper)


def at_all_frames(values: Array, frames: Array, n_frames: int) -> FloatArray:
    """Interpolate fractions that are known in some frames to all of them, across the boundary.

    Parameters
    ----------
    values
        Fractions in the known frames, shape (S,) or (S, K); from one frame to the next they move by less than half of
        the cell.
    frames
        Which frames these are, shape (S,), increasing.
    n_frames
        T.

    Returns
    -------
    ndarray
        Shape (T,) or (T, K), continuous in time; constant before the first and after the last known frame.
    """
    values = np.asarray(values, dtype=np.float64)
    flat = values.reshape(len(values), -1)
    continuous = flat[0] + np.cumsum(shortest(np.diff(flat, axis=0, prepend=flat[:1])), axis=0)
    wanted = np.arange(n_frames)
    found = np.stack([np.interp(wanted, frames, column) for column in continuous.T], axis=1)
    return found.reshape((n_frames, *values.shape[1:]))


def regions(fraction: Array, planes: Array, heights_a: Array, width_a: float = REGION_WIDTH_A) -> BoolArray:
    """Tell which ions are near an interface in each frame.

    Parameters
    ----------
    fraction
        Heights of the ions as fractions of the cell, shape (T, N).
    planes
        Heights of the interfaces, in the same frame of reference, shape (T, K).
    heights_a
        Height of the cell (A), shape (T,).
    width_a
        Largest distance from the nearest interface (A).

    Returns
    -------
    ndarray of bool
        Shape (T, N); True where the ion is within `width_a` of an interface.

    Raises
    ------
    InputError
        If no ion ever is.
    """
    height = np.asarray(heights_a, dtype=np.float64)[:, None]
    fraction = np.asarray(fraction, dtype=np.float64)
    near = np.zeros(fraction.shape, dtype=bool)
    for plane in np.asarray(planes, dtype=np.float64).T:
        near |= np.abs(shortest(fraction - plane[:, None])) * height < width_a
    if not near.any():
        raise InputError(f"no ion is ever within {width_a:g} A of an interface: the region has no ions")
    return near


def _middle_mean(heights: FloatArray) -> FloatArray:
    """Return the mean of each row without a fifth of it at either end."""
    aside = heights.shape[1] // 5
    return np.asarray(np.sort(heights, axis=1)[:, aside : heights.shape[1] - aside].mean(axis=1))


def _neighbours(centres: Array, around: Array, cell: Array) -> npt.NDArray[np.int64]:
    """Return how many of the points `around` lie within `CONTACT_A` of each centre, images included."""
    from pymatgen.optimization.neighbors import find_points_in_spheres

    first, *_ = find_points_in_spheres(
        np.ascontiguousarray(around, dtype=np.float64),
        np.ascontiguousarray(centres, dtype=np.float64),
        r=CONTACT_A,
        pbc=np.ones(3, dtype=np.int64),
        lattice=np.ascontiguousarray(cell, dtype=np.float64),
        tol=1e-8,
    )
    return np.bincount(np.asarray(first, dtype=np.int64), minlength=len(centres))


def _all_cells(cells: Array) -> FloatArray:
    return np.asarray(cells, dtype=np.float64).reshape(-1, 3, 3)


def _mean_cell(cells: Array) -> FloatArray:
    return np.asarray(_all_cells(cells).mean(axis=0))


def _checked_axis(axis: int) -> int:
    if axis not in (0, 1, 2):
        raise InputError(f"axis {axis} is not accepted: 0, 1 or 2, for the first, second or third cell vector")
    return axis
