"""Coincidences of two lattice planes: common cells up to an area and a strain, exact in the integers."""

import math
from dataclasses import dataclass

import numpy as np

from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.errors import InputError
from lizrcl_flows.science.interfaces.lattices import metric_rows, normal_form, reduce_metrics, sublattices

LARGEST_STRAIN = 0.3
"""Above this the list of bases that are tried would not be complete, and no interface is meant."""

_PAIRS_AT_ONCE = 500_000

Matrix = tuple[tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class Coincidence:
    """One common cell of a film and a substrate plane.

    Attributes
    ----------
    film_matrix, substrate_matrix
        The cell in the primitive in-plane basis of each side, rows; both determinants positive, so that both crystals
        are seen from above and neither is mirrored.
    area_a2, film_area_a2
        Area on the substrate and on the film, both unstrained (A^2).
    mismatch
        Principal strains that would bring the film onto the substrate, signed, the larger magnitude first.
    rotation_deg
        Angle by which the film's in-plane basis is turned against the substrate's, -180 to 180.
    multiplicity
        How many equal coincidences the symmetry of the two planes makes of it.
    """

    film_matrix: Matrix
    substrate_matrix: Matrix
    area_a2: float
    film_area_a2: float
    mismatch: tuple[float, float]
    rotation_deg: float
    multiplicity: int

    @property
    def max_strain(self) -> float:
        """Larger magnitude of the two principal strains."""
        return abs(self.mismatch[0])

    @property
    def n_film(self) -> int:
        """Primitive surface cells of the film."""
        return determinant(self.film_matrix)

    @property
    def n_substrate(self) -> int:
        """Primitive surface cells of the substrate."""
        return determinant(self.substrate_matrix)


def principal_strains(original: Array, strained: Array) -> tuple[float, float]:
    """Return the principal strains that turn one basis into another, the larger magnitude first.

    They are the singular values of the deformation minus one; a rotation between the two does not matter.

    Parameters
    ----------
    original, strained
        In-plane vectors in rows (A), shape (2, 2).
    """
    stretches = np.linalg.svd(np.linalg.solve(original, strained), compute_uv=False) - 1
    # the last digits depend on the library; without them equal coincidences have equal strains
    rounded = [round(float(stretch), 12) + 0.0 for stretch in stretches]
    first, second = sorted(rounded, key=lambda strain: (-abs(strain), -strain))
    return first, second


def von_mises_strain(strains: tuple[float, float]) -> float:
    """Return the equivalent strain ``sqrt(2/3 e:e)``, e the deviator of two principal strains in the plane."""
    first, second = strains
    return 2 / 3 * math.sqrt(first**2 - first * second + second**2)


def find_coincidences(
    bases: tuple[Array, Array],
    max_area_a2: float,
    max_strain: float,
    symmetry: tuple[Array, Array] | None = None,
) -> list[Coincidence]:
    """Find every distinct common cell of two planes.

    Every sublattice of either plane is reduced; pairs whose two shortest vectors and area agree within the strain are
    compared in all bases in which they can agree. Cells that repeat a smaller coincidence are left out.

    Parameters
    ----------
    bases
        In-plane vectors of film and substrate in rows (A), each (2, 2) and right-handed.
    max_area_a2
        Largest area of the cell on the substrate (A^2).
    max_strain
        Largest magnitude of a principal strain of the film on the substrate, from 0 to `LARGEST_STRAIN`.
    symmetry
        In-plane operations that keep film and substrate at the same time, integer matrices of shape (n, 2, 2) that act
        on the right of row vectors, one for each side, paired; coincidences that they exchange are one.

    Returns
    -------
    list of Coincidence
        By strain, then area, then matrices.

    Raises
    ------
    InputError
        If area or strain is out of range.
    """
    if not 0 <= max_strain < LARGEST_STRAIN:
        raise InputError(f"max_strain {max_strain:g} is not accepted, a fraction from 0 to below {LARGEST_STRAIN:g} is")
    if not max_area_a2 > 0:
        raise InputError(f"max_area_a2 {max_area_a2:g} is not accepted, an area above 0 A^2 is")
    film, substrate = (np.asarray(basis, dtype=float) for basis in bases)
    film_matrices, substrate_matrices = _agreeing_pairs((film, substrate), max_area_a2, max_strain)
    whole = _index_of_rows(film_matrices, substrate_matrices) == 1
    forms, counts = _classes(film_matrices[whole], substrate_matrices[whole], symmetry)
    found = _described(forms, counts, (film, substrate))
    found.sort(key=lambda c: (round(c.max_strain, 9), round(c.area_a2, 6), c.film_matrix, c.substrate_matrix))
    return found


def _agreeing_pairs(bases: tuple[Array, Array], max_area_a2: float, max_strain: float) -> tuple[Array, Array]:
    """Return the matrices (n, 2, 2) of film and substrate of all coincidences, symmetric duplicates included."""
    widest = max_area_a2 * (1 + 1e-9)
    film_cells, film_metrics = _all_sublattices(bases[0], widest / (1 - max_strain) ** 2)
    cells, metrics = _all_sublattices(bases[1], widest)
    if not len(cells) or not len(film_cells):
        return np.empty((0, 2, 2), dtype=np.int64), np.empty((0, 2, 2), dtype=np.int64)
    low, high = (1 - max_strain) ** 2 * (1 - 1e-12), (1 + max_strain) ** 2 * (1 + 1e-12)
    begin = np.searchsorted(metrics[:, 0], film_metrics[:, 0] * low, side="left")
    end = np.searchsorted(metrics[:, 0], film_metrics[:, 0] * high, side="right")
    film_parts, parts = [], []
    for chunk in _chunks(end - begin):
        width = (end - begin)[chunk]
        i = np.repeat(chunk, width)
        j = np.arange(len(i)) + np.repeat(begin[chunk] - (np.cumsum(width) - width), width)
        first, second = film_metrics[i], metrics[j]
        near = (second[:, 2] >= low * first[:, 2]) & (second[:, 2] <= high * first[:, 2])
        ratio = _areas_squared(second) / _areas_squared(first)
        near &= (ratio >= low**2) & (ratio <= high**2)
        i, j = i[near], j[near]
        which, turns = _bases_that_agree(film_metrics[i], metrics[j], max_strain)
        film_parts.append(turns @ film_cells[i[which]])
        parts.append(cells[j[which]])
    return np.concatenate(film_parts), np.concatenate(parts)


def _all_sublattices(basis: Array, max_area_a2: float) -> tuple[Array, Array]:
    """Return reduced integer cells (n, 2, 2) and their metrics (n, 3), by length of the shortest vector."""
    largest = int(max_area_a2 / abs(float(np.linalg.det(basis))))
    if largest < 1:
        return np.empty((0, 2, 2), dtype=np.int64), np.empty((0, 3))
    forms = np.concatenate([sublattices(index) for index in range(1, largest + 1)])
    turns, metrics = reduce_metrics(metric_rows(forms @ basis))
    order = np.argsort(metrics[:, 0], kind="stable")
    return (turns @ forms)[order], metrics[order]


def _chunks(widths: Array) -> list[Array]:
    """Split the film's cells so that no part makes too many pairs at once."""
    total = np.cumsum(widths)
    cuts = np.searchsorted(total, np.arange(_PAIRS_AT_ONCE, int(total[-1]) + 1, _PAIRS_AT_ONCE), side="right")
    return [part for part in np.split(np.arange(len(widths)), np.unique(cuts)) if len(part)]


def _areas_squared(metrics: Array) -> Array:
    return np.asarray(metrics[:, 0] * metrics[:, 2] - metrics[:, 1] ** 2)


def _bases_that_agree(film: Array, substrate: Array, max_strain: float) -> tuple[Array, Array]:
    """Return index of the pair, and the change of the film's basis, of every agreement within the strain.

    For reduced cells and strains below `LARGEST_STRAIN` a basis that agrees has entries -1, 0, 1; only in long thin
    cells can the long vector take up more of the short one.
    """
    area = np.sqrt(_areas_squared(film))
    # a shear of the long vector by one short one strains by about half of short / height
    reach = math.ceil(2.5 * max_strain * float((area / film[:, 0]).max(initial=0.0))) + 1
    found, turned = [], []
    for turn in _unimodular(reach):
        a, b = turn
        g11 = a[0] ** 2 * film[:, 0] + 2 * a[0] * a[1] * film[:, 1] + a[1] ** 2 * film[:, 2]
        g22 = b[0] ** 2 * film[:, 0] + 2 * b[0] * b[1] * film[:, 1] + b[1] ** 2 * film[:, 2]
        g12 = a[0] * b[0] * film[:, 0] + (a[0] * b[1] + a[1] * b[0]) * film[:, 1] + a[1] * b[1] * film[:, 2]
        half = (g22 * substrate[:, 0] - 2 * g12 * substrate[:, 1] + g11 * substrate[:, 2]) / (2 * area**2)
        root = np.sqrt(np.maximum(half**2 - _areas_squared(substrate) / area**2, 0))
        upper, lower = np.sqrt(half + root) - 1, np.sqrt(np.maximum(half - root, 0)) - 1
        agree = np.flatnonzero(np.maximum(np.abs(upper), np.abs(lower)) <= max_strain * (1 + 1e-9) + 1e-9)
        for sign in (1, -1):
            found.append(agree)
            turned.append(np.tile(sign * np.array(turn), (len(agree), 1, 1)))
    return np.concatenate(found), np.concatenate(turned)


def _unimodular(reach: int) -> list[Matrix]:
    """Return the changes of basis that are tried, one of each pair of opposite sign."""
    span = (-1, 0, 1)
    small = [((a, b), (c, d)) for a in span for b in span for c in span for d in span if a * d - b * c == 1]
    half = [turn for turn in small if turn[0] > (0, 0)]
    return [*half, *(((1, 0), (c, 1)) for c in range(-reach, reach + 1) if abs(c) > 1)]


def _index_of_rows(film: Array, substrate: Array) -> Array:
    """Return by how many times each cell repeats the smallest cell with the same deformation."""
    rows = np.concatenate([film, substrate], axis=2)
    minors = [rows[:, 0, i] * rows[:, 1, j] - rows[:, 0, j] * rows[:, 1, i] for i in range(4) for j in range(i + 1, 4)]
    return np.asarray(np.gcd.reduce(np.stack(minors, axis=1), axis=1))


def _classes(film: Array, substrate: Array, symmetry: tuple[Array, Array] | None) -> tuple[Array, Array]:
    """Return one normal form (n, 2, 4) for each class of coincidences, and how many belong to it."""
    if not len(film):
        return np.empty((0, 2, 4), dtype=np.int64), np.empty(0, dtype=np.int64)
    identity = np.eye(2, dtype=np.int64)[None]
    film_operations, operations = symmetry or (identity, identity)
    smallest = np.zeros((0, 8), dtype=np.int64)
    for left, right in zip(film_operations, operations, strict=True):
        forms = normal_form(np.concatenate([film @ left, substrate @ right], axis=2)).reshape(-1, 8)
        smallest = forms if not len(smallest) else _smaller(smallest, forms)
    forms, counts = np.unique(smallest, axis=0, return_counts=True)
    return forms.reshape(-1, 2, 4), counts


def _smaller(first: Array, second: Array) -> Array:
    """Return, row by row, whichever comes first in lexicographic order."""
    differs = first != second
    place = differs.argmax(axis=1)
    rows = np.arange(len(first))
    return np.where((second[rows, place] < first[rows, place])[:, None], second, first)


def coincidence_of(
    bases: tuple[Array, Array], film_matrix: Matrix, substrate_matrix: Matrix, multiplicity: int = 1
) -> Coincidence:
    """Return the coincidence that two matrices make.

    Parameters
    ----------
    bases
        In-plane vectors of film and substrate in rows (A), each (2, 2) and right-handed.
    film_matrix, substrate_matrix
        The common cell in these vectors.
    multiplicity
        See `Coincidence`.

    Raises
    ------
    InputError
        If a determinant is not positive.
    """
    sizes = determinant(film_matrix), determinant(substrate_matrix)
    if min(sizes) < 1:
        raise InputError(
            f"matrices {film_matrix} and {substrate_matrix} make no common cell: both determinants must be positive"
        )
    film, substrate = (np.asarray(basis, dtype=float) for basis in bases)
    original, strained = np.array(film_matrix) @ film, np.array(substrate_matrix) @ substrate
    (xx, xy), (yx, yy) = np.linalg.solve(original, strained).tolist()
    return Coincidence(
        film_matrix=film_matrix,
        substrate_matrix=substrate_matrix,
        area_a2=sizes[1] * abs(float(np.linalg.det(substrate))),
        film_area_a2=sizes[0] * abs(float(np.linalg.det(film))),
        mismatch=principal_strains(original, strained),
        rotation_deg=round(math.degrees(math.atan2(xy - yx, xx + yy)), 6),
        multiplicity=multiplicity,
    )


def _described(forms: Array, counts: Array, bases: tuple[Array, Array]) -> list[Coincidence]:
    turns, _ = reduce_metrics(metric_rows(forms[:, :, 2:] @ bases[1]))
    return [
        coincidence_of(bases, as_matrix(cell[:, :2]), as_matrix(cell[:, 2:]), int(count))
        for cell, count in zip(turns @ forms, counts, strict=True)
    ]


def as_matrix(values: Array) -> Matrix:
    """Return a 2 x 2 integer matrix as plain numbers."""
    (a, b), (c, d) = values.tolist()
    return ((int(a), int(b)), (int(c), int(d)))


def determinant(matrix: Matrix) -> int:
    """Return the determinant of a 2 x 2 integer matrix."""
    return matrix[0][0] * matrix[1][1] - matrix[0][1] * matrix[1][0]
