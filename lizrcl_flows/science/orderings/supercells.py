"""Supercells of a crystal: as integer matrices, without those that a symmetry makes equal."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from lizrcl_flows.documents.arrays import Array

Integers = npt.NDArray[np.int64]


def hermite_normal_form(matrix: Integers) -> Integers:
    """Return the upper triangular basis of the lattice that the rows of an integer matrix span.

    Two matrices span the same lattice just when their forms are equal: the diagonal is positive and every number above
    a diagonal one is from 0 to below it (Cohen, A Course in Computational Algebraic Number Theory, 1993, section 2.4).

    Parameters
    ----------
    matrix
        Shape (3, 3), not singular.
    """
    form = np.array(matrix, dtype=np.int64)
    for column in range(3):
        while np.count_nonzero(form[column:, column]) > 1:
            below = form[column:, column]
            smallest = column + int(np.argmin(np.where(below == 0, np.iinfo(np.int64).max, np.abs(below))))
            form[[column, smallest]] = form[[smallest, column]]
            form[column + 1 :] -= np.outer(form[column + 1 :, column] // form[column, column], form[column])
        pivot = column + int(np.flatnonzero(form[column:, column])[0])
        form[[column, pivot]] = form[[pivot, column]]
        form[column] *= np.sign(form[column, column])
        form[:column] -= np.outer(form[:column, column] // form[column, column], form[column])
    return form


def distinct_supercells(n_cells: int, rotations: Iterable[Integers]) -> list[Integers]:
    """Return one basis of every lattice of supercells that hold so many cells, symmetric copies left out.

    Parameters
    ----------
    n_cells
        Number of cells in a supercell.
    rotations
        Rotation parts of the crystal's symmetry, on fractional column vectors, each of shape (3, 3).

    Returns
    -------
    list of ndarray
        Hermite normal forms, shape (3, 3), the rows being the supercell's vectors in units of the cell's.
    """
    signed = [np.asarray(rotation, dtype=np.int64) for rotation in rotations]
    # a lattice is its own inversion, so that of two opposite rotations one does
    turns = list({min(r.tobytes(), (-r).tobytes()): r for r in signed}.values())
    kept: dict[bytes, Integers] = {}
    for form in _forms(n_cells):
        copies = [hermite_normal_form(form @ rotation.T).tobytes() for rotation in turns]
        if not any(copy in kept for copy in copies):
            kept[form.tobytes()] = form
    return list(kept.values())


def compact(form: Integers, cell: Array) -> Integers:
    """Return another basis of a supercell's lattice, right-handed and with vectors as short as they can be.

    Parameters
    ----------
    form
        Supercell in units of the cell, shape (3, 3).
    cell
        Cell vectors in rows (A), shape (3, 3).
    """
    from ase.geometry import minkowski_reduce

    _, operation = minkowski_reduce(form @ cell)
    reduced = np.asarray(operation, dtype=np.int64) @ form
    return reduced if np.linalg.det(reduced) > 0 else -reduced


def lattice_points(supercell: Integers) -> Integers:
    """Return the cells of a supercell as whole multiples of the cell's vectors, shape (n_cells, 3), in fixed order."""
    corners = np.array(np.meshgrid(*[[0, 1]] * 3, indexing="ij")).reshape(3, -1).T @ supercell
    spans = [np.arange(low, high + 1) for low, high in zip(corners.min(axis=0), corners.max(axis=0), strict=True)]
    points = np.array(np.meshgrid(*spans, indexing="ij")).reshape(3, -1).T
    # in integers, so that a cell on the boundary is counted once: point = k @ supercell with k * det whole
    determinant = round(float(np.linalg.det(supercell)))
    adjugate = np.rint(np.linalg.inv(supercell) * determinant).astype(np.int64)
    scaled = points @ adjugate * np.sign(determinant)
    inside = ((scaled >= 0) & (scaled < abs(determinant))).all(axis=1)
    return np.asarray(points[inside], dtype=np.int64)


def _forms(n_cells: int) -> Iterable[Integers]:
    for a in (divisor for divisor in range(1, n_cells + 1) if n_cells % divisor == 0):
        rest = n_cells // a
        for b in (divisor for divisor in range(1, rest + 1) if rest % divisor == 0):
            c = rest // b
            for d in range(b):
                for e in range(c):
                    for f in range(c):
                        yield np.array([[a, d, e], [0, b, f], [0, 0, c]], dtype=np.int64)
