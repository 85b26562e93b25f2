"""Coordination numbers, and their profile along the normal of a slab."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.errors import InputError
from lizrcl_flows.science.local_order.neighbours import checked_volume, neighbour_pairs

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Along:
    """The direction of a profile.

    Attributes
    ----------
    axis
        Cell vector whose fractional coordinate is binned: 0, 1 or 2.
    n_bins
        Bins over the whole cell, Z.
    reference
        Fractional coordinate that becomes zero: a number, or one per frame, shape (S,), such as that of a slab that
        drifts.
    """

    axis: int = 2
    n_bins: int = 50
    reference: Array | float = 0.0


@dataclass(frozen=True)
class CoordinationProfile:
    """Mean coordination number by height.

    Attributes
    ----------
    z_edges_a
        Edges of the bins (A), shape (Z + 1,), for the mean height of the cell.
    mean_cn
        Mean number of neighbours of each kind, shape (Z,), NaN where there was no centre.
    sem
        Standard error of that mean over frames, shape (Z,); NaN where fewer than two frames have a centre there.
    n_centres
        Mean number of centres, shape (Z,).
    n_frames
        Frames in the mean.
    """

    z_edges_a: FloatArray
    mean_cn: dict[str, FloatArray]
    sem: dict[str, FloatArray]
    n_centres: FloatArray
    n_frames: int


def coordination(
    positions: Array, cell: Array, centres: Array, neighbours: Array, cutoff_a: float = 3.5
) -> npt.NDArray[np.int64]:
    """Return how many neighbours each centre has, in the order of the centres.

    Parameters and errors are those of `neighbour_pairs`. Where centres are given as indices, each may occur once.
    """
    pairs = neighbour_pairs(positions, cell, centres, neighbours, cutoff_a)
    counts = np.bincount(pairs.i, minlength=len(positions))
    return np.asarray(counts[np.asarray(centres)], dtype=np.int64)


def coordination_profile(
    samples: Array,
    cells: Array,
    centres: Array,
    neighbours: Mapping[str, Array],
    cutoff_a: float = 3.5,
    along: Along = Along(),
) -> CoordinationProfile:
    """Return the mean coordination number of the centres by height, for each kind of neighbour.

    Bins are shares of the cell, so a breathing cell moves no atom out of them; heights are those of the mean cell.

    Parameters
    ----------
    samples
        Positions of all atoms (A), shape (S, N, 3): the frames to average over.
    cells
        Cell vectors in rows (A), shape (S, 3, 3) or (3, 3).
    centres
        Which atoms: N booleans, or indices.
    neighbours
        Kinds of neighbours: a name, such as ``O``, and N booleans or indices.
    cutoff_a
        End of the shell (A).
    along
        Direction, bins and origin.

    Raises
    ------
    InputError
        If there are no frames or no kinds of neighbours; otherwise as `neighbour_pairs`.
    """
    n_frames = len(samples)
    if n_frames == 0 or not neighbours:
        raise InputError(f"{n_frames} frames and {len(neighbours)} kinds of neighbours give no profile of coordination")
    if along.axis not in (0, 1, 2) or along.n_bins < 1:
        raise InputError(
            f"a profile along axis {along.axis} in {along.n_bins} bins is not possible: 0, 1 or 2, and >= 1"
        )
    cells = np.broadcast_to(np.asarray(cells, dtype=np.float64), (n_frames, 3, 3))
    origins = np.broadcast_to(np.asarray(along.reference, dtype=np.float64), (n_frames,))
    n_centres = np.zeros((n_frames, along.n_bins))
    sums = {name: np.zeros((n_frames, along.n_bins)) for name in neighbours}
    for frame, (positions, cell) in enumerate(zip(samples, cells, strict=True)):
        chosen = np.asarray(positions, dtype=np.float64)[np.asarray(centres)]
        counts = {name: coordination(positions, cell, centres, atoms, cutoff_a) for name, atoms in neighbours.items()}
        fraction = chosen @ np.linalg.inv(cell)[:, along.axis] - origins[frame]
        bins = np.floor((fraction - np.floor(fraction)) * along.n_bins).astype(np.int64) % along.n_bins
        n_centres[frame] = np.bincount(bins, minlength=along.n_bins)
        for name, of_kind in counts.items():
            sums[name][frame] = np.bincount(bins, weights=of_kind, minlength=along.n_bins)
    height = np.mean([checked_volume(cell) / _area(cell, along.axis) for cell in cells])
    return CoordinationProfile(
        z_edges_a=np.linspace(0.0, float(height), along.n_bins + 1),
        mean_cn={name: _ratio(total.sum(axis=0), n_centres.sum(axis=0)) for name, total in sums.items()},
        sem={name: _standard_error(total, n_centres) for name, total in sums.items()},
        n_centres=n_centres.mean(axis=0),
        n_frames=n_frames,
    )


def _area(cell: FloatArray, axis: int) -> float:
    return float(np.linalg.norm(np.cross(cell[axis - 2], cell[axis - 1])))


def _ratio(sums: FloatArray, counts: FloatArray) -> FloatArray:
    return np.asarray(np.divide(sums, counts, out=np.full(counts.shape, np.nan), where=counts > 0))


def _standard_error(sums: FloatArray, counts: FloatArray) -> FloatArray:
    """Return that of a ratio of sums over frames (Cochran, Sampling Techniques, 1977, eq. 6.13)."""
    n_frames = (counts > 0).sum(axis=0)
    residuals = sums - np.nan_to_num(_ratio(sums.sum(axis=0), counts.sum(axis=0))) * counts
    total = counts.sum(axis=0)
    spread = np.sqrt((residuals**2).sum(axis=0) * n_frames / np.maximum(n_frames - 1, 1))
    return np.where(n_frames > 1, spread / np.where(total > 0, total, 1), np.nan)
