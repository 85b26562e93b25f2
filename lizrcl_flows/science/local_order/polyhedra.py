"""Coordination polyhedra of ions: number of ligands, symmetry measure, and volume of the hull of the ligands."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.errors import InputError
from lizrcl_flows.science.local_order.csm import continuous_symmetry
from lizrcl_flows.science.local_order.neighbours import Pairs, neighbour_pairs

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

FEWEST = 4
"""Ligands of the simplest body."""

_MOST_BY_TRIPLES = 8
"""Beyond this many points a hull for each is faster than all triples."""

_FLAT = 1e-9
"""Share of the cube of the size below which a point lies in the plane of three others."""


@dataclass(frozen=True)
class Polyhedra:
    """One row for each ion, M of them.

    Attributes
    ----------
    ions
        Indices among all atoms, shape (M,).
    cn
        Number of ligands, shape (M,).
    csm
        Continuous symmetry measure, smallest over ideal shapes with so many corners, shape (M,); NaN unless cn is 4, 5
        or 6.
    csm_model
        The shape that gives it, by ChemEnv's symbol, shape (M,); empty where there is none.
    csm_regular
        Measure for the octahedron, the square pyramid or the tetrahedron alone, shape (M,); NaN as above.
    volume_a3
        Volume of the convex hull of the ligands, without the ion (A^3), shape (M,); NaN for fewer than four.
    """

    ions: IntArray
    cn: IntArray
    csm: FloatArray
    csm_model: npt.NDArray[np.str_]
    csm_regular: FloatArray
    volume_a3: FloatArray

    @property
    def n_open(self) -> int:
        """Ions with fewer than four ligands: they have neither volume nor measure."""
        return int((self.cn < FEWEST).sum())

    @property
    def remark(self) -> str | None:
        """One sentence on the ions without volume or measure, None where there are none."""
        n_crowded = int((self.cn > 6).sum())
        parts = []
        if self.n_open:
            parts.append(f"{self.n_open} with fewer than {FEWEST} ligands have neither volume nor symmetry measure")
        if n_crowded:
            parts.append(f"{n_crowded} with more than 6 have no symmetry measure")
        return f"of {len(self.ions)} ions, {' and '.join(parts)}" if parts else None


def ion_polyhedra(positions: Array, cell: Array, ions: Array, anions: Array, cutoff_a: float = 3.5) -> Polyhedra:
    """Return number, shape and volume of the ligands of each ion.

    Parameters
    ----------
    positions, cell
        One frame, as `neighbour_pairs` takes it.
    ions, anions
        Which atoms are centres and which may be ligands: N booleans, or indices.
    cutoff_a
        Largest distance of a ligand (A); by default that of the study (arXiv:2601.22612).

    Raises
    ------
    InputError
        As `neighbour_pairs`.
    """
    pairs = neighbour_pairs(positions, cell, ions, anions, cutoff_a)
    index = np.asarray(ions)
    index = np.flatnonzero(index) if index.dtype == np.bool_ else np.unique(index)
    starts = np.searchsorted(pairs.i, index)
    cn = np.searchsorted(pairs.i, index, side="right") - starts
    csm, regular, volume = (np.full(len(index), np.nan) for _ in range(3))
    model = np.full(len(index), "", dtype="<U4")
    for number in np.unique(cn[cn >= FEWEST]):
        rows = np.flatnonzero(cn == number)
        ligands = _ligands(pairs, starts[rows], int(number))
        volume[rows] = polyhedron_volumes(ligands)
        if number <= 6:
            measured = continuous_symmetry(np.zeros((len(rows), 3)), ligands)
            csm[rows], model[rows], regular[rows] = measured.csm, measured.model, measured.regular
    return Polyhedra(index.astype(np.int64), cn.astype(np.int64), csm, model, regular, volume)


def _ligands(pairs: Pairs, starts: IntArray, number: int) -> FloatArray:
    return np.asarray(pairs.vectors[starts[:, None] + np.arange(number)])


def polyhedron_volumes(ligands: Array) -> FloatArray:
    """Return the volumes of the convex hulls of many sets of equally many points.

    A triple of points is a face where all others are on one side of its plane. Where a fourth point lies in the plane
    of such a face, which triples cannot tell, the hull is computed one by one (Barber et al., ACM Trans. Math. Softw.
    22 (1996) 469).

    Parameters
    ----------
    ligands
        Shape (M, k, 3) with k of at least 4 (A).

    Returns
    -------
    array
        Shape (M,), A^3; 0 for points in one plane.

    Raises
    ------
    InputError
        For fewer than four points, or another shape.
    """
    points = np.asarray(ligands, dtype=np.float64)
    if points.ndim != 3 or points.shape[1] < FEWEST or points.shape[2] != 3:
        raise InputError(f"points of shape {points.shape} enclose no volumes: (M, k, 3) with k >= {FEWEST} is needed")
    points = points - points.mean(axis=1, keepdims=True)
    n_points = points.shape[1]
    if n_points == FEWEST:
        a, b, c = (points[:, k] - points[:, 0] for k in (1, 2, 3))
        return np.asarray(np.abs(np.einsum("mc,mc->m", a, np.cross(b, c))) / 6)
    if n_points > _MOST_BY_TRIPLES:
        return np.array([_hull_volume(one) for one in points])
    volumes, flat = _by_triples(np.ascontiguousarray(points.transpose(1, 2, 0)))
    volumes[flat] = [_hull_volume(one) for one in points[flat]]
    return volumes


def _by_triples(points: FloatArray) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Return volumes, and where a face has more than three corners; points (k, 3, M) about their centroids."""
    n_points, _, n_bodies = points.shape
    limit = _FLAT * np.sqrt((points**2).sum(axis=1).max(axis=0)) ** 3
    volumes, flat = np.zeros(n_bodies), np.zeros(n_bodies, dtype=bool)
    for triple in combinations(range(n_points), 3):
        a, b, c = points[triple[0]], points[triple[1]], points[triple[2]]
        (ux, uy, uz), (vx, vy, vz) = b - a, c - a
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        height = nx * a[0] + ny * a[1] + nz * a[2]
        lowest, highest = np.full(n_bodies, np.inf), np.full(n_bodies, -np.inf)
        for other in set(range(n_points)) - set(triple):
            side = nx * points[other, 0] + ny * points[other, 1] + nz * points[other, 2] - height
            np.minimum(lowest, side, out=lowest)
            np.maximum(highest, side, out=highest)
        face = (lowest > -limit) | (highest < limit)
        volumes += np.where(face, np.abs(height), 0.0)
        flat |= face & ((np.abs(lowest) < limit) | (np.abs(highest) < limit))
    return volumes / 6, flat


def _hull_volume(points: FloatArray) -> float:
    from scipy.spatial import ConvexHull, QhullError

    try:
        return float(ConvexHull(points).volume)
    except QhullError:  # all in one plane
        return 0.0
