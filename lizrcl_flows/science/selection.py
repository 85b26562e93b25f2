"""Farthest-point sampling: structures as different as possible from what is known and from each other."""

import numpy as np
import numpy.typing as npt

from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.science.coverage import Coverage
from lizrcl_flows.science.single_thread import single_threaded


@single_threaded
def farthest_point(pool: Array, known: Array, n: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Pick the row of the pool that is farthest from all picked and known rows, again and again.

    Deterministic: of equally distant rows the first is taken, no row is taken twice, and a copy of a picked or known
    row is not taken at all. Without known rows the first pick is the row farthest from the mean of the pool. The picks
    are those of a search in double precision; the pool is not copied but in single precision.

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
        Distance of each pick from its nearest known or earlier row; it does not increase. Without known rows the first
        distance is that from the mean of the pool.

    Raises
    ------
    ValueError
        If pool and known rows differ in width or a number is not finite.
    """
    indices: list[int] = []
    distances: list[float] = []
    if len(pool) and n > 0:
        coverage = Coverage(np.asarray(pool), np.asarray(known))
        while len(indices) < n:
            pick, distance = coverage.farthest()
            if coverage.compared and distance <= coverage.resolution:
                break
            coverage.take(np.array([pick]))
            indices.append(pick)
            distances.append(distance)
    return np.array(indices, dtype=np.int64), np.array(distances)


@single_threaded
def covering_radii(pool: Array, known: Array, chosen: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return how well rows are covered as one after the other is chosen.

    Parameters
    ----------
    pool, known
        As for `farthest_point`.
    chosen
        Rows of the pool in order of choice.

    Returns
    -------
    ndarray
        For each choice, the distance of the row that is farthest from all known and chosen rows once it is made; it
        does not increase.

    Raises
    ------
    ValueError
        If pool and known rows differ in width or a number is not finite.
    """
    radii = []
    if len(chosen):
        coverage = Coverage(np.asarray(pool), np.asarray(known))
        for pick in chosen:
            coverage.take(np.array([pick]))
            radii.append(coverage.farthest()[1])
    return np.array(radii)
