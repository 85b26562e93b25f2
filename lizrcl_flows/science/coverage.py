"""How far rows lie from those that are taken: the common part of the searches for what is most different.

Three measures make it fast without changing what is found. Distances are screened in single precision by matrix
products, and what is near the top is decided in double precision by differences: the farthest row is the one that a
search by definition finds, whatever a BLAS does to the last digits. The distance of a row to some of the taken rows is
a bound of its distance to all of them, so a row is compared with more of them only while it may still be the farthest.
And nothing is held but one single-precision copy of the rows.
"""

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from lizrcl_flows.documents.arrays import Array

Indices = npt.NDArray[np.int64]
Rows = npt.NDArray[np.float32]

_CELLS = 1 << 17
"""Numbers in one block of products: what the processor's cache holds."""

_FIRST_BLOCK = 256
"""Known rows that all others are compared with; each further block of known rows is twice as large."""

_BATCH = 1 << 14
"""Rows that are compared further before it is looked again which may be the farthest."""

_NEAR_TOP = 0.95
"""Rows whose squared bound is above this share of the largest are compared together."""

_EPS32 = float(np.finfo(np.float32).eps)

_SAME_SINGLE, _SAME_DOUBLE = 1e-6, 1e-9
"""Rows closer than this share of the radius are copies of each other, by the precision that they come in."""


class Coverage:
    """Rows of a pool with their distances to all rows that are taken; nothing but the mean is taken at first.

    Parameters
    ----------
    rows
        Rows of the pool, shape (n, D), of any floating-point type; kept by reference, not copied.
    known
        Rows that are taken from the start, shape (m, D); may be empty, of any width then.
    targets
        Numbers of the rows whose distances are of interest, ascending; all where absent.

    Raises
    ------
    ValueError
        If pool and known rows differ in width or a number is not finite.
    """

    def __init__(self, rows: Array, known: Array, targets: Indices | None = None) -> None:
        if len(known) and known.shape[1] != rows.shape[1]:
            raise ValueError(f"known rows have {known.shape[1]} descriptors, the pool has {rows.shape[1]}")
        self._source = rows
        self.targets: Indices = np.arange(len(rows)) if targets is None else targets
        # distances do not change with the origin, rounding does: single precision is good around the mean
        self._origin = _mean(rows, self.targets)
        self._rows, self._norms = self._prepared(rows, self.targets)
        self._radius2 = float(self._norms.max())
        self._blocks: list[tuple[Array, Rows]] = []
        self._begin()
        self.compared = len(known) > 0
        # the first blocks are small and a fair sample: good bounds early, and few steps to the end
        order = np.random.default_rng(0).permutation(len(known))
        start, size = 0, _FIRST_BLOCK
        while start < len(known):
            self._append(known[order[start : start + size]])
            start, size = start + size, 2 * size
        self._n_known = len(self._blocks)
        if not self.compared:
            self._append(self._origin[None])

    @property
    def resolution(self) -> float:
        """Distance up to which rows count as copies of each other."""
        single = self._source.dtype.itemsize < 8
        return (_SAME_SINGLE if single else _SAME_DOUBLE) * math.sqrt(self._radius2)

    def take(self, rows: Indices) -> None:
        """Count rows of the pool among the taken ones."""
        if not self.compared:  # the mean has served
            self._begin()
            self.compared = True
        self._append(self._source[rows])

    def farthest(self) -> tuple[int, float]:
        """Return the row that is farthest from all taken ones, of equally far ones the first, and its distance."""
        reached = self._bring_top_up_to_date()
        near_top = np.flatnonzero(self._squares >= reached - 2 * self._error(reached))
        self._decide(near_top)
        best = int(np.argmax(self._exact[near_top]))
        return int(self.targets[near_top[best]]), float(np.sqrt(self._exact[near_top[best]]))

    def _begin(self) -> None:
        count = len(self.targets)
        self._blocks.clear()
        self._squares: Rows = np.full(count, np.inf, dtype=np.float32)
        self._seen = np.zeros(count, dtype=np.int32)
        self._exact = np.full(count, np.inf)
        self._decided = np.zeros(count, dtype=np.int32)

    def _error(self, square: float) -> float:
        """Bound of the rounding of a squared distance in single precision.

        Rounding errors of a product of D terms add up as a random walk; eight times its width is never seen.
        """
        return 4 * _EPS32 * math.sqrt(self._rows.shape[1] + 8) * (self._radius2 + max(square, 0.0))

    def _prepared(self, source: Array, index: Indices | None = None) -> tuple[Rows, Rows]:
        """Return centred rows with a last column of ones, and their squared norms."""
        count, width = len(source) if index is None else len(index), source.shape[1]
        rows = np.ones((count, width + 1), dtype=np.float32)
        for part in _parts(count, width):
            rows[part, :-1] = (source[part] if index is None else source[index[part]]) - self._origin
        norms: Rows = np.einsum("ij,ij->i", rows[:, :-1], rows[:, :-1])
        if not np.isfinite(norms).all():
            raise ValueError("a descriptor is not a finite number")
        return rows, norms

    def _append(self, block: Array) -> None:
        rows, norms = self._prepared(block)
        rows[:, -1] = -0.5 * norms  # one product gives x.y - y.y / 2, which is largest for the nearest y
        self._blocks.append((block, rows))

    def _bring_top_up_to_date(self) -> float:
        """Compare rows further until the largest bound is that of a row compared with all; return it."""
        reached = -np.inf
        while True:
            stale = self._seen < len(self._blocks)
            top = float(self._squares.max(where=stale, initial=-np.inf))
            if top == np.inf:  # nothing is compared yet: one block first, for all
                reached = self._advance(np.arange(len(self._rows)), np.inf)
                continue
            if reached == -np.inf and not stale.all():
                reached = float(self._squares.max(where=~stale, initial=-np.inf))
            floor = reached - 2 * self._error(reached)
            if top < floor or top == -np.inf:
                return reached
            level = max(floor, min(top, _NEAR_TOP * top))
            batch = np.flatnonzero(stale & (self._squares >= level))
            if len(batch) > _BATCH:
                batch = batch[np.argpartition(-self._squares[batch], _BATCH)[:_BATCH]]
            reached = max(reached, self._advance(batch, floor))

    def _advance(self, batch: Indices, floor: float) -> float:
        """Compare rows with the blocks they have not met, as long as they may be the farthest; return the largest."""
        finished = -np.inf
        for seen in np.unique(self._seen[batch]):
            rows = batch[self._seen[batch] == seen]
            for stop, _, block in self._since(int(seen)):
                self._screen(rows, block)
                self._seen[rows] = stop
                if stop < len(self._blocks):
                    rows = rows[self._squares[rows] >= floor]
            finished = max(finished, float(self._squares[rows].max(initial=-np.inf)))
        return finished

    def _screen(self, rows: Indices, block: Rows) -> None:
        """Lower the bounds of some rows by their distances to taken ones."""
        for piece in _parts(len(block), min(len(rows), _FIRST_BLOCK)):
            taken = block[piece]
            for part in _parts(len(rows), len(taken)):
                some = rows[part]
                nearest = (taken @ self._rows[some].T).max(axis=0)
                self._squares[some] = np.minimum(self._squares[some], self._norms[some] - 2 * nearest)

    def _since(self, seen: int) -> Iterator[tuple[int, Array, Rows]]:
        """Give the taken rows from a block on, the many small later blocks in one, with how many are seen then."""
        for number in range(seen, self._n_known):
            yield number + 1, *self._blocks[number]
        later = self._blocks[max(seen, self._n_known) :]
        if later:
            exact, rows = zip(*later, strict=True)
            yield len(self._blocks), np.concatenate(exact), np.concatenate(rows)

    def _decide(self, candidates: Indices) -> None:
        """Bring the exact squared distances of some targets up to date with all taken rows."""
        for seen in np.unique(self._decided[candidates]):
            late = candidates[self._decided[candidates] == seen]
            for _, exact, rows in self._since(int(seen)):
                for part in _parts(len(late), len(rows)):
                    self._compare(late[part], exact, rows)
        self._decided[candidates] = len(self._blocks)

    def _compare(self, some: Indices, exact: Array, rows: Rows) -> None:
        """Take the differences to those rows that are the nearest within the rounding of single precision."""
        squares = self._norms[some, None] - 2 * (self._rows[some] @ rows.T)
        limit = np.minimum(self._squares[some], self._exact[some])
        limit += 2 * self._error(float(limit.max()))
        which, other = np.nonzero(squares <= limit[:, None])
        for part in _parts(len(which), exact.shape[1]):
            mine = self._source[self.targets[some[which[part]]]].astype(np.float64)
            mine -= exact[other[part]]
            np.minimum.at(self._exact, some[which[part]], np.einsum("ij,ij->i", mine, mine))


def _parts(count: int, width: int) -> Iterator[slice]:
    """Cut `count` rows of some width into slices of bounded size."""
    step = max(1, _CELLS // max(width, 1))
    for start in range(0, count, step):
        yield slice(start, min(start + step, count))


def _mean(rows: Array, index: Indices) -> npt.NDArray[np.float64]:
    total = np.zeros(rows.shape[1])
    for part in _parts(len(index), rows.shape[1]):
        total += rows[index[part]].sum(axis=0, dtype=np.float64)
    return total / len(index)
