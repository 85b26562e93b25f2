"""Two-dimensional lattices in exact integers: reduction, Hermite normal forms, integer bases of lattice planes."""

import math

import numpy as np

from lizrcl_flows.documents.arrays import Array

TIE = 1e-7
"""Relative difference below which two lengths or projections count as equal, so that rounding decides nothing."""


def extended_gcd(a: int, b: int) -> tuple[int, int, int]:
    """Return ``(g, x, y)`` with ``a x + b y = g = gcd(a, b) >= 0``."""
    x0, x1, y0, y1 = 1, 0, 0, 1
    while b:
        quotient, rest = divmod(a, b)
        a, b = b, rest
        x0, x1 = x1, x0 - quotient * x1
        y0, y1 = y1, y0 - quotient * y1
    return (a, x0, y0) if a >= 0 else (-a, -x0, -y0)


def plane_vectors(hkl: tuple[int, int, int]) -> Array:
    """Return three integer vectors of which the first two span the lattice plane (hkl) and the third leads to the next.

    Parameters
    ----------
    hkl
        Miller indices without a common divisor.

    Returns
    -------
    ndarray of int
        Shape (3, 3), one vector a row; determinant +1, ``rows @ hkl == (0, 0, 1)``.

    Raises
    ------
    ValueError
        If the indices are all zero or have a common divisor.
    """
    h, k, m = (int(index) for index in hkl)
    if math.gcd(h, k, m) != 1:
        raise ValueError(f"Miller indices {hkl} need a greatest common divisor of 1")
    g, x, y = extended_gcd(h, k)
    if g == 0:
        return np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]]) if m > 0 else np.array([[0, 1, 0], [1, 0, 0], [0, 0, -1]])
    _, u, v = extended_gcd(g, m)
    rows = np.array([[k // g, -h // g, 0], [-x * m, -y * m, g], [u * x, u * y, v]])
    if round(float(np.linalg.det(rows))) < 0:
        rows[0] *= -1
    return rows


def reduce_metrics(metrics: Array) -> tuple[Array, Array]:
    """Reduce many two-dimensional lattices at once (Lagrange and Gauss).

    Parameters
    ----------
    metrics
        Rows ``(a.a, a.b, b.b)``, shape (n, 3).

    Returns
    -------
    matrices : ndarray of int
        Shape (n, 2, 2), determinant +1; the rows of ``matrix @ basis`` are the reduced vectors.
    reduced : ndarray
        Shape (n, 3); ``a.a <= b.b`` and ``-a.a <= 2 a.b < a.a``, so that of two equal choices the angle of 120 degrees
        is taken, not 60.
    """
    reduced = np.array(metrics, dtype=float).reshape(-1, 3)
    matrices = np.tile(np.eye(2, dtype=np.int64), (len(reduced), 1, 1))
    active = np.arange(len(reduced))
    while active.size:
        part, turn = reduced[active], matrices[active]
        swap = part[:, 2] < part[:, 0] * (1 - TIE)
        part[swap] = np.stack([part[swap, 2], -part[swap, 1], part[swap, 0]], axis=1)
        turn[swap] = np.stack([turn[swap, 1], -turn[swap, 0]], axis=1)
        steps = np.floor(part[:, 1] / part[:, 0] + 0.5 + TIE).astype(np.int64)
        turn[:, 1] -= steps[:, None] * turn[:, 0]
        part[:, 2] += steps * (steps * part[:, 0] - 2 * part[:, 1])
        part[:, 1] -= steps * part[:, 0]
        reduced[active], matrices[active] = part, turn
        active = active[swap | (steps != 0)]
    return matrices, reduced


def metric_rows(bases: Array) -> Array:
    """Return ``(a.a, a.b, b.b)`` of bases of shape (..., 2, k)."""
    products = bases @ np.swapaxes(bases, -1, -2)
    return np.stack([products[..., 0, 0], products[..., 0, 1], products[..., 1, 1]], axis=-1)


def basis_of_metric(metric: Array) -> Array:
    """Return the right-handed basis, first vector along x, of ``(a.a, a.b, b.b)``: shape (2, 2)."""
    length = math.sqrt(metric[0])
    along = metric[1] / length
    return np.array([[length, 0.0], [along, math.sqrt(metric[2] - along**2)]])


def sublattices(index: int) -> Array:
    """Return all sublattices of an index in Hermite normal form ``((i, j), (0, index / i))``: shape (n, 2, 2)."""
    forms = [((i, j), (0, index // i)) for i in range(1, index + 1) if index % i == 0 for j in range(index // i)]
    return np.array(forms, dtype=np.int64)


def normal_form(matrices: Array) -> Array:
    """Bring integer matrices of shape (n, 2, k) into Hermite normal form by operations on their rows.

    The leading 2 x 2 block must not be singular; it becomes ``((i, j), (0, l))`` with i, l > 0 and 0 <= j < l.
    Matrices with the same rows up to a unimodular change of basis have the same form.
    """
    first, second = (np.array(matrices[:, row], dtype=np.int64) for row in (0, 1))
    while (turning := second[:, 0] != 0).any():
        steps = first[turning, 0] // second[turning, 0]
        rest = first[turning] - steps[:, None] * second[turning]
        first[turning], second[turning] = second[turning], rest
    first *= np.sign(first[:, :1])
    second *= np.sign(second[:, 1:2])
    first -= (first[:, 1] // second[:, 1])[:, None] * second
    return np.stack([first, second], axis=1)


def lattice_points(matrix: Array) -> Array:
    """Return one integer point for each cell that the supercell with these rows holds: shape (abs(det), 2)."""
    form = normal_form(np.asarray(matrix)[None])[0]
    points = np.indices((form[0, 0], form[1, 1])).reshape(2, -1).T
    return np.asarray(points)


def invert(matrix: Array) -> Array:
    """Return the inverse of a unimodular integer matrix, exactly."""
    inverse = np.rint(np.linalg.inv(matrix)).astype(np.int64)
    if not (inverse @ matrix == np.eye(len(matrix), dtype=np.int64)).all():
        raise ValueError(f"{np.asarray(matrix).tolist()} has no integer inverse")
    return inverse


def common_lattice(matrices: tuple[Array, Array]) -> Array:
    """Return a basis of all sums of vectors of two lattices that share a cell.

    Displacing one crystal over the other by such a vector changes nothing, so its cell holds every distinct
    registry.

    Parameters
    ----------
    matrices
        The shared cell in the basis of each lattice, integer, shape (2, 2).

    Returns
    -------
    ndarray
        Shape (2, 2), rows in fractions of the shared cell; reduced to Hermite normal form.
    """
    sizes = [abs(round(float(np.linalg.det(matrix)))) for matrix in matrices]
    whole = math.lcm(*sizes)
    rows = np.vstack([np.rint(np.linalg.inv(matrix) * whole).astype(np.int64) for matrix in matrices])
    form = rows[:2]
    for row in rows[2:]:
        form = _joined(form, row)
    return np.asarray(normal_form(form[None])[0] / whole)


def _joined(basis: Array, row: Array) -> Array:
    """Return a basis (2, 2) of the lattice spanned by three integer vectors."""
    rows = np.vstack([basis, row])
    for column in (0, 1):
        while np.count_nonzero(rows[column:, column]) > 1:
            live = column + np.flatnonzero(rows[column:, column])
            pivot = live[np.argmin(np.abs(rows[live, column]))]
            for other in live[live != pivot]:
                rows[other] -= (rows[other, column] // rows[pivot, column]) * rows[pivot]
        pivot = column + int(np.flatnonzero(rows[column:, column])[0])
        rows[[column, pivot]] = rows[[pivot, column]]
    return rows[:2]
