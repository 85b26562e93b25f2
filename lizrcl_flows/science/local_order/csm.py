"""Continuous symmetry measures of polyhedra: how far a centre and its ligands are from an ideal shape.

Pinsky and Avnir, Inorg. Chem. 37 (1998) 5575, in the form that ChemEnv uses by default (Waroquiers et al., Chem. Mater.
29 (2017) 8346): the centre belongs to the shape, and the centroid is that of centre and ligands. 0 is the ideal shape,
100 the limit. With P the points of the polyhedron and Q those of the shape, both about their centroids, and t the sum
of the singular values of P^T Q, the measure is 100 (1 - t^2 / (|P|^2 |Q|^2)), smallest over all ways to assign ligands
to corners. Reflected shapes are the same shape.
"""

from dataclasses import dataclass
from functools import cache
from itertools import permutations
from math import cos, pi, sin, sqrt

import numpy as np
import numpy.typing as npt

from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.errors import InputError

FloatArray = npt.NDArray[np.float64]

_PENTAGON = [(cos(2 * pi * k / 5), sin(2 * pi * k / 5), 0.0) for k in range(5)]
_SQUARE = [(1.0, 0.0, 0.0), (-1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, -1.0, 0.0)]
_TRIANGLE = [(cos(2 * pi * k / 3), sin(2 * pi * k / 3), 0.0) for k in range(3)]
_UP, _DOWN = (0.0, 0.0, 1.0), (0.0, 0.0, -1.0)

MODELS: dict[str, list[tuple[float, float, float]]] = {
    "O:6": [*_SQUARE, _UP, _DOWN],
    # a prism with square sides: its edge is sqrt(3) times the radius of the triangle
    "T:6": [(x * 2 / sqrt(7), y * 2 / sqrt(7), z) for z in (sqrt(3 / 7), -sqrt(3 / 7)) for x, y, _ in _TRIANGLE],
    "PP:6": [*_PENTAGON, _UP],
    "S:5": [*_SQUARE, _UP],
    "T:5": [*_TRIANGLE, _UP, _DOWN],
    "PP:5": list(_PENTAGON),
    "T:4": [(x / sqrt(3), y / sqrt(3), x * y / sqrt(3)) for x in (1.0, -1.0) for y in (1.0, -1.0)],
    "S:4": list(_SQUARE),
    # four corners of a square, all pushed to one side of the centre, by 1/sqrt(7) of their distance
    "SY:4": [(x * sqrt(6 / 7), y * sqrt(6 / 7), 1 / sqrt(7)) for x, y, _ in _SQUARE],
    "SS:4": [*_TRIANGLE[:2], _UP, _DOWN],
}
"""Shapes by the symbols of ChemEnv: octahedron, trigonal prism, pentagonal pyramid; square pyramid, trigonal bipyramid,
pentagon; tetrahedron, square, square pushed out of plane, see-saw. The centre is the origin, corners are 1 from it."""

REGULAR = {6: "O:6", 5: "S:5", 4: "T:4"}
"""The shape that the study compares a coordination number with: octahedron, the same less a corner, tetrahedron."""


@dataclass(frozen=True)
class CsmResult:
    """Measures of M polyhedra with the same number of ligands.

    Attributes
    ----------
    csm
        The smallest over shapes, shape (M,), 0 to 100; NaN for a polyhedron whose points all coincide.
    model
        The shape that gives it, shape (M,); empty for a polyhedron without measure.
    by_model
        Measure for each shape with this number of corners, shape (M,) each.
    """

    csm: FloatArray
    model: npt.NDArray[np.str_]
    by_model: dict[str, FloatArray]

    @property
    def regular(self) -> FloatArray:
        """Measure for the shape of `REGULAR`, shape (M,)."""
        return next(values for name, values in self.by_model.items() if name in REGULAR.values())


def continuous_symmetry(centres: Array, ligands: Array) -> CsmResult:
    """Return the continuous symmetry measures of many polyhedra.

    Parameters
    ----------
    centres
        Positions of the centres (any unit), shape (M, 3).
    ligands
        Those of the ligands, next to the centre and in any order, shape (M, k, 3) with k of 4, 5 or 6.

    Raises
    ------
    InputError
        For another number of ligands, or shapes that do not fit together.
    """
    centres, ligands = np.asarray(centres, dtype=np.float64), np.asarray(ligands, dtype=np.float64)
    if ligands.ndim != 3 or ligands.shape[2:] != (3,) or centres.shape != (len(ligands), 3):
        raise InputError(
            f"centres of shape {centres.shape} and ligands of shape {ligands.shape} are no polyhedra: (M, 3), (M, k, 3)"
        )
    n_ligands = ligands.shape[1]
    names = [name for name, corners in MODELS.items() if len(corners) == n_ligands]
    if not names:
        raise InputError(f"there is no ideal shape with {n_ligands} corners to compare with: 4, 5 and 6 are possible")
    points = np.concatenate([centres[:, None], ligands], axis=1)
    points -= points.mean(axis=1, keepdims=True)
    by_model = {name: _measure(points, name) for name in names}
    table = np.stack(list(by_model.values()), axis=1)
    without = np.isnan(table[:, 0])
    best = np.where(without, 0, np.argmin(np.where(np.isnan(table), np.inf, table), axis=1))
    return CsmResult(
        csm=table[np.arange(len(table)), best],
        model=np.where(without, "", np.array(names)[best]),
        by_model=by_model,
    )


def _measure(points: FloatArray, name: str) -> FloatArray:
    """Return the measure for one shape, shape (M,), of points around their own mean, shape (M, k + 1, 3)."""
    from lizrcl_flows.science.local_order._shapes import best_overlap

    arranged = _arrangements(name)
    overlap = np.empty(len(points))
    best_overlap(np.ascontiguousarray(points), np.ascontiguousarray(arranged), overlap)
    sizes = np.einsum("mki,mki->m", points, points) * np.sum(arranged[0] ** 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        measure = 100 * (1 - overlap**2 / sizes)
    return np.where(sizes > 0, np.clip(measure, 0.0, 100.0), np.nan)


@cache
def _arrangements(name: str) -> FloatArray:
    """Return the corners of a shape, centre first, in all orders that its symmetry does not make equal.

    Shape (n, k + 1, 3).
    """
    corners = np.array(MODELS[name])
    n_corners = len(corners)
    orders = np.array(list(permutations(range(n_corners))))
    gram = corners @ corners.T
    # what keeps all scalar products is a rotation or reflection about the centre
    symmetries = orders[np.isclose(gram[orders[:, :, None], orders[:, None, :]], gram, atol=1e-9).all(axis=(1, 2))]
    codes = symmetries[:, orders] @ (n_corners ** np.arange(n_corners))
    distinct = orders[np.unique(codes.min(axis=0), return_index=True)[1]]
    arranged = np.concatenate([np.zeros((len(distinct), 1, 3)), corners[distinct]], axis=1)
    return np.asarray(arranged - arranged.mean(axis=1, keepdims=True))
