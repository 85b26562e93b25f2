"""Pairs of atoms within a distance in a periodic cell of any shape and size.

The search is freud's (Ramasubramani et al., Comput. Phys. Commun. 254 (2020) 107275), in single precision. Vectors are
computed again in double precision from the periodic image that was found, so that a pair on the edge of the cutoff is
decided as exactly as the positions allow.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.errors import InputError

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

MOST_ATOMS = 5_000_000
"""Atoms of the repeated cell beyond which a cutoff is taken for a mistake."""

_MARGIN_A = 1e-3
"""What the search reaches further than the cutoff, as it calculates in single precision."""


@dataclass(frozen=True)
class Pairs:
    """Pairs of a centre and a neighbour, ordered by centre.

    Attributes
    ----------
    i, j
        Indices of the centre and of its neighbour among all atoms, shape (P,). An atom in reach of several images of
        another, or of its own, has one pair for each.
    vectors
        From the centre to the neighbour (A), shape (P, 3).
    distances
        Their lengths (A), shape (P,).
    images
        Cell vectors to add to ``positions[j]`` to get there, shape (P, 3).
    """

    i: IntArray
    j: IntArray
    vectors: FloatArray
    distances: FloatArray
    images: IntArray


def neighbour_pairs(positions: Array, cell: Array, centres: Array, neighbours: Array, cutoff_a: float) -> Pairs:
    """Return all pairs of a centre and a neighbour that are not further apart than the cutoff.

    Parameters
    ----------
    positions
        Cartesian (A), shape (N, 3); they need not be inside the cell.
    cell
        Cell vectors in rows (A), shape (3, 3), periodic in all directions; smaller than the cutoff if need be.
    centres, neighbours
        Which atoms: N booleans, or indices. An atom may be both; it is no neighbour of itself, but its images are.
    cutoff_a
        Largest distance (A).

    Raises
    ------
    InputError
        If there are no centres or no neighbours, a position is not finite, the cell has no volume, or the cutoff is
        not positive or needs more than `MOST_ATOMS` images.
    """
    box = PeriodicBox(positions, cell, cutoff_a)
    centre_index, neighbour_index = box.chosen(centres, "centres"), box.chosen(neighbours, "neighbours")
    first, second, fractions = box.search(centre_index, neighbour_index)
    i, j = centre_index[first], neighbour_index[second]
    images = np.rint(fractions - (box.fractions[j] - box.fractions[i])).astype(np.int64)
    vectors = (box.fractions[j] - box.fractions[i] + images) @ box.cell
    distances = np.sqrt(np.einsum("pc,pc->p", vectors, vectors))
    kept = (distances <= cutoff_a) & ~((i == j) & ~images.any(axis=1))
    i, j = i[kept], j[kept]
    return Pairs(i, j, vectors[kept], distances[kept], images[kept] + box.wraps[j] - box.wraps[i])


class PeriodicBox:
    """Atoms in a cell, and how often it is repeated to hold a sphere of the cutoff.

    Parameters
    ----------
    positions, cell
        As `neighbour_pairs` takes them.
    reach_a
        Radius of the sphere (A).

    Raises
    ------
    InputError
        As `neighbour_pairs` does.
    """

    def __init__(self, positions: Array, cell: Array, reach_a: float) -> None:
        self.cell: FloatArray = np.asarray(cell, dtype=np.float64)
        self.n_atoms = len(positions)
        self.volume_a3 = checked_volume(self.cell)
        if not (np.isfinite(reach_a) and reach_a > 0):
            raise InputError(f"a cutoff of {reach_a:g} A finds no neighbours: it must be a positive length")
        self.reach_a = float(reach_a) + _MARGIN_A
        inverse = np.linalg.inv(self.cell)
        fractions = np.asarray(positions, dtype=np.float64) @ inverse
        if fractions.shape != (self.n_atoms, 3) or not np.isfinite(fractions).all():
            raise InputError("positions must be finite numbers, three for each atom")
        self.wraps: IntArray = -np.floor(fractions).astype(np.int64)
        self.fractions: FloatArray = fractions + self.wraps
        spacings = 1 / np.linalg.norm(inverse, axis=0)
        # freud wants the sphere to fit into half of the cell; the little more keeps rounding from refusing it
        self.repeats = np.maximum(1, np.ceil(2 * (self.reach_a + _MARGIN_A) / spacings)).astype(np.int64)
        if float(np.prod(self.repeats, dtype=np.float64)) * max(1, self.n_atoms) > MOST_ATOMS:
            n_cells = np.prod(self.repeats, dtype=np.float64)
            raise InputError(
                f"a cutoff of {reach_a:g} A needs {n_cells:.0f} images of this cell of {self.n_atoms} atoms: choose "
                f"one of at most a few times its shortest height, {spacings.min():.3g} A"
            )
        # the same cell turned such that its first vector is along x and the second in the plane xy, as freud wants it
        upper = np.linalg.qr((self.cell * self.repeats[:, None]).T)[1]
        self._upper: FloatArray = upper * np.where(np.diag(upper) < 0, -1.0, 1.0)[:, None]

    def chosen(self, atoms: Array, role: str) -> IntArray:
        """Return the indices of atoms that are given as booleans or indices."""
        atoms = np.asarray(atoms)
        if atoms.dtype == np.bool_:
            if atoms.shape != (self.n_atoms,):
                raise InputError(f"the choice of {role} has {atoms.size} entries for {self.n_atoms} atoms")
            atoms = np.flatnonzero(atoms)
        if atoms.size == 0:
            raise InputError(f"there are no atoms to be {role} in this structure of {self.n_atoms} atoms")
        if atoms.min() < 0 or atoms.max() >= self.n_atoms:
            raise InputError(f"the choice of {role} names atoms that are not among the {self.n_atoms} of the structure")
        return atoms.astype(np.int64)

    def freud_box(self) -> Any:
        """Return the repeated cell as freud's box."""
        import freud

        (lx, a, b), (_, ly, c), (_, _, lz) = self._upper
        return freud.Box(lx, ly, lz, a / ly, b / lz, c / lz)

    def freud_points(self, index: IntArray, repeated: bool) -> FloatArray:
        """Return positions in freud's box: of the atoms, or of all their images in the repeated cell."""
        fractions = self.fractions[index]
        if repeated and self.repeats.max() > 1:
            shifts = np.stack(np.meshgrid(*(np.arange(n) for n in self.repeats), indexing="ij"), -1).reshape(-1, 1, 3)
            fractions = (fractions + shifts).reshape(-1, 3)
        return np.asarray((fractions / self.repeats - 0.5) @ self._upper.T)

    def search(self, centres: IntArray, neighbours: IntArray) -> tuple[IntArray, IntArray, FloatArray]:
        """Return places in both choices, and vectors in fractions of the cell (single precision), within the reach."""
        import freud

        query = freud.AABBQuery(self.freud_box(), self.freud_points(neighbours, repeated=True))
        found = query.query(
            self.freud_points(centres, repeated=False), {"mode": "ball", "r_max": self.reach_a, "exclude_ii": False}
        ).toNeighborList()
        fractions = found.vectors.astype(np.float64) @ (np.linalg.inv(self._upper).T * self.repeats)
        second = found.point_indices.astype(np.int64) % len(neighbours)
        return found.query_point_indices.astype(np.int64), second, fractions


def checked_volume(cell: Array) -> float:
    """Return the volume of a cell (A^3), or raise the error that says that it has none."""
    cell = np.asarray(cell, dtype=np.float64)
    volume = abs(float(np.linalg.det(cell))) if cell.shape == (3, 3) and np.isfinite(cell).all() else 0.0
    if volume < 1e-9:
        raise InputError("the cell has no volume: three vectors in space are needed")
    return volume
