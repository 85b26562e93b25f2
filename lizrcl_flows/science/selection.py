"""Farthest-point sampling: structures as different as possible from what is known and from each other."""

import numpy as np
import numpy.typing as npt

from lizrcl_flows.documents.arrays import Array

_CHUNK = 2048
"""Rows of the known set compared with the pool at once; bounds the memory, not the result."""

_ROUNDING = 64 * np.finfo(np.float32).eps
"""Squared distances below this share of the pool's squared radius are noise in single precision."""

_SAME = 1e-9
"""Rows closer than this share of the pool's radius are copies of each other."""

_TAKEN = np.float32(-np.inf)

Rows = npt.NDArray[np.float32]


def farthest_point(pool: Array, known: Array, n: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Pick the row of the pool that is farthest from all picked and known rows, again and again.

    Deterministic: of equally distant rows the first is taken, no row is taken twice, and a copy of a picked or known
    row is not taken at all. Without known rows the first pick is the row farthest from the mean of the pool.

    Parameters
    ----------
    pool
        Rows to choose from, shape (n_pool, D).
    known
        Rows that need no further copy, shape (n_known, D); an empty array of any width if there are none.
    n
        How many rows are wanted.

    Returns
    -------
    indices
        Rows of the pool in order of choice; fewer than `n` where the pool has no more different rows.
    distances
        Distance of each pick from its nearest known or earlier row, in single precision; it does not increase. Without
        known rows the first distance is that from the mean of the pool.

    Raises
    ------
    ValueError
        If pool and known rows differ in width or a number is not finite.
    """
    if len(pool) == 0 or n < 1:
        return np.zeros(0, dtype=np.int64), np.zeros(0)
    if len(known) and known.shape[1] != pool.shape[1]:
        raise ValueError(f"known rows have {known.shape[1]} descriptors, the pool has {pool.shape[1]}")
    # distances do not change with the origin, rounding does: single precision is good around the mean
    origin = np.asarray(pool, dtype=np.float64).mean(axis=0)
    return _Search(_centred(pool, origin), _centred(known, origin) if len(known) else None).run(n)


class _Search:
    """State of one farthest-point search: squared distances of all rows to what is taken, updated after each pick."""

    def __init__(self, rows: Array, known: Array | None) -> None:
        self._exact, self._known = rows, known
        self._rows: Rows = np.ascontiguousarray(rows, dtype=np.float32)
        self._norms: Rows = np.einsum("ij,ij->i", self._rows, self._rows)
        self._radius = float(np.sqrt(self._norms.max()))
        self._squares = self._norms.copy() if known is None else self._nearest_known(known.astype(np.float32))
        self._indices: list[int] = []
        self._distances: list[float] = []

    def run(self, n: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        while len(self._indices) < n:
            pick = int(np.argmax(self._squares))
            if self._squares[pick] == _TAKEN:
                break
            distance = self._distance(pick)
            if distance > _SAME * self._radius or not self._compared:
                self._take(pick, distance)
            self._squares[pick] = _TAKEN
        return np.array(self._indices, dtype=np.int64), np.array(self._distances)

    @property
    def _compared(self) -> bool:
        return self._known is not None or bool(self._indices)

    def _take(self, pick: int, distance: float) -> None:
        to_pick = self._norms - 2 * (self._rows @ self._rows[pick]) + self._norms[pick]
        if self._compared:
            np.minimum(self._squares, to_pick, out=self._squares)
        else:
            self._squares = to_pick
        self._indices.append(pick)
        self._distances.append(distance)

    def _distance(self, pick: int) -> float:
        """Return the distance of a row to what is taken; in double precision where single precision is at its end."""
        square = float(self._squares[pick])
        if square > _ROUNDING * self._radius**2 or not self._compared:
            return float(np.sqrt(square))
        taken = self._exact[self._indices]
        if self._known is not None:
            taken = np.concatenate([self._known, taken])
        return float(np.sqrt(((taken - self._exact[pick]) ** 2).sum(axis=1).min()))

    def _nearest_known(self, known: Rows) -> Rows:
        squares = np.full(len(self._rows), np.inf, dtype=np.float32)
        for start in range(0, len(known), _CHUNK):
            part = known[start : start + _CHUNK]
            product = self._rows @ part.T
            product *= -2
            product += np.einsum("ij,ij->i", part, part)
            np.minimum(squares, product.min(axis=1) + self._norms, out=squares)
        return squares


def _centred(rows: Array, origin: Array) -> Array:
    centred = np.asarray(rows, dtype=np.float64) - origin
    if not np.isfinite(centred).all():
        raise ValueError("a descriptor is not a finite number")
    return centred
