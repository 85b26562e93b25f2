"""Principal components, clusters in them, and the structure in the middle of each cluster.

The way of the study: descriptors are standardised column by column, projected on their leading principal components,
clustered by k-means, and each cluster gives its medoid, the real structure nearest to its centre. Nothing is left to
chance: starting points come from a fixed seed, every component points to where its largest loading is positive, and
sums do not depend on the number of threads.
"""

import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.science.coverage import Indices
from lizrcl_flows.science.selection import covering_radii
from lizrcl_flows.science.single_thread import single_threaded

Reals = npt.NDArray[np.float64]

SHARE = 0.95
"""Components are kept until they hold this share of the variance, where their number is not asked for."""

MOST_COMPONENTS = 64
"""... but no more than these."""

_EXACT_UP_TO = 1000
"""Size of the smaller side up to which the decomposition is exact; above, random subspaces are iterated."""

_CHUNK = 512
_OVERSAMPLING, _POWER_STEPS = 16, 6
_NOISE = 1e-6
_ROUNDS = 5


@dataclass(frozen=True)
class ClusterPicks:
    """Representatives of clusters, in order of choice.

    Attributes
    ----------
    indices
        Rows of the pool.
    sizes
        Different rows of the pool in the cluster of each.
    radii
        Distance, in the components, of the row that is farthest from all known and chosen ones once each is chosen.
    """

    indices: Indices
    sizes: Indices
    radii: Reals


@single_threaded
def principal_axes(rows: Array, n: int) -> tuple[Reals, Reals]:
    """Return coordinates of rows along the leading principal components of their standardised columns.

    Parameters
    ----------
    rows
        Shape (n_rows, D). A column that does not vary beyond rounding has no part.
    n
        Number of components; those that do not exist are 0.

    Returns
    -------
    coordinates
        Shape (n_rows, n); each component is uncorrelated with the others and has mean 0.
    explained_ratio
        Share of the variance in each component, shape (n,), falling.

    Raises
    ------
    ValueError
        If a number is not finite.
    """
    coordinates, ratio = _components(standardised(rows), n)
    coordinates, ratio = coordinates[:, :n], ratio[:n]
    missing = n - len(ratio)
    return np.pad(coordinates, ((0, 0), (0, missing))), np.pad(ratio, (0, missing))


def standardised(rows: Array) -> npt.NDArray[np.float32]:
    """Return rows in single precision with every column at mean 0 and standard deviation 1, or 0 throughout.

    A column that varies by less than a millionth of its size, or of the column that varies most, holds rounding and no
    information: it becomes 0 and is not blown up.

    Raises
    ------
    ValueError
        If a number is not finite.
    """
    count, width = rows.shape
    scaled = np.array(rows, dtype=np.float32, order="C")
    mean, square = np.zeros(width), np.zeros(width)
    for part in _parts(count):
        mean += scaled[part].sum(axis=0, dtype=np.float64) / count
    if not np.isfinite(mean).all():
        raise ValueError("a descriptor is not a finite number")
    for part in _parts(count):
        square += ((scaled[part] - mean) ** 2).sum(axis=0) / count
    deviation = np.sqrt(square)
    varies = (deviation > _NOISE * np.abs(mean)) & (deviation > _NOISE * deviation.max(initial=0.0))
    factor = np.divide(1.0, deviation, out=np.zeros(width), where=varies)
    for part in _parts(count):
        scaled[part] = (scaled[part] - mean) * factor
    return scaled


@single_threaded
def representatives(pool: Array, known: Array, n: int, n_components: int | None = None) -> ClusterPicks:
    """Cluster the pool and return the structure in the middle of each cluster that holds nothing known.

    Copies of a known or of an earlier row are left out. The others form `n` clusters. A cluster is covered where a
    known row lies no farther from its centre than its own farthest member, or than members of clusters usually lie
    (root mean square). As covered clusters yield their places, more clusters are formed until `n` are not covered.
    Where that does not help, since the known rows are everywhere, the largest of the covered ones fill up.

    Parameters
    ----------
    pool
        Rows to choose from, shape (n_pool, D).
    known
        Rows that need no further copy, shape (n_known, D); may be empty, of any width then. They take part in the
        standardisation and in the components.
    n
        How many rows are wanted.
    n_components
        Principal components that are clustered; as many as 95 % of the variance need, 64 at most, where absent.

    Returns
    -------
    ClusterPicks
        Uncovered clusters first, the largest first; fewer than `n` where the pool has no more different rows.

    Raises
    ------
    ValueError
        If pool and known rows differ in width or a number is not finite.
    """
    nothing: Indices = np.zeros(0, dtype=np.int64)
    if len(known) and len(pool) and known.shape[1] != pool.shape[1]:
        raise ValueError(f"known rows have {known.shape[1]} descriptors, the pool has {pool.shape[1]}")
    different = _different(pool, known)
    if len(different) == 0 or n < 1:
        return ClusterPicks(nothing, nothing, np.zeros(0))
    both = np.concatenate([pool, known]) if len(known) else pool
    coordinates, _ = _components(standardised(both), n_components)
    ours, theirs = coordinates[: len(pool)], coordinates[len(pool) :]
    medoids, sizes = _uncovered_first(ours[different], theirs, min(n, len(different)))
    chosen = different[medoids]
    return ClusterPicks(chosen, sizes, covering_radii(ours, theirs, chosen))


def _uncovered_first(rows: Reals, known: Reals, n: int) -> tuple[Indices, Indices]:
    """Form clusters until `n` of them hold nothing known; return medoids and sizes in order of choice."""
    n_clusters = n
    for _ in range(_ROUNDS):
        clusters = _Clusters(rows, n_clusters)
        covered = clusters.holding(known)
        missing = n - int((~covered).sum())
        if missing <= 0 or n_clusters == len(rows):
            break
        n_clusters = min(len(rows), n_clusters + 2 * missing)
    order = np.lexsort((clusters.medoids, -clusters.sizes, covered))[:n]
    return clusters.medoids[order], clusters.sizes[order]


class _Clusters:
    """Rows divided by k-means from a fixed seed; clusters without a row are left out."""

    def __init__(self, rows: Reals, n_clusters: int) -> None:
        from sklearn.cluster import KMeans
        from sklearn.exceptions import ConvergenceWarning

        with warnings.catch_warnings():  # fewer different rows than clusters is no fault: there are fewer clusters
            warnings.simplefilter("ignore", ConvergenceWarning)
            found = KMeans(n_clusters, n_init=1, random_state=0).fit(rows)
        labels, self._centres = found.labels_, found.cluster_centers_
        distances = np.linalg.norm(rows - self._centres[labels], axis=1)
        order = np.lexsort((np.arange(len(rows)), distances, labels))
        present, first, sizes = np.unique(labels[order], return_index=True, return_counts=True)
        self._centres = self._centres[present]
        self.medoids: Indices = order[first]
        self.sizes: Indices = sizes.astype(np.int64)
        farthest = distances[order[first + sizes - 1]]
        self._reach = np.maximum(farthest, np.sqrt((distances**2).mean()))

    def holding(self, rows: Reals) -> npt.NDArray[np.bool_]:
        """Tell for each cluster whether one of some rows lies in it."""
        held = np.zeros(len(self.sizes), dtype=bool)
        norms = (self._centres**2).sum(axis=1)
        for part in _parts(len(rows)):
            nearest = np.argmin(norms - 2 * rows[part] @ self._centres.T, axis=1)
            distances = np.linalg.norm(rows[part] - self._centres[nearest], axis=1)
            held[nearest[distances <= self._reach[nearest]]] = True
        return held


def _different(pool: Array, known: Array) -> Indices:
    """Return the rows of the pool that are copies of no known and of no earlier row."""
    seen = {np.asarray(row, dtype=np.float32).tobytes() for row in known}
    different = []
    for index, row in enumerate(pool):
        content = np.asarray(row, dtype=np.float32).tobytes()
        if content not in seen:
            seen.add(content)
            different.append(index)
    return np.array(different, dtype=np.int64)


def _components(rows: npt.NDArray[np.float32], n: int | None) -> tuple[Reals, Reals]:
    """Return coordinates along the leading components, at least one, and their shares of the variance."""
    most = min(*rows.shape, MOST_COMPONENTS if n is None else n)
    total = float(np.einsum("ij,ij->", rows, rows, dtype=np.float64))
    if most == 0 or total == 0:
        return np.zeros((len(rows), 1)), np.zeros(1)
    axes = _exact_axes(rows, most) if min(rows.shape) <= _EXACT_UP_TO else _iterated_axes(rows, most)
    coordinates = _product(rows, axes)
    ratio = (coordinates**2).sum(axis=0) / total
    if n is None:
        kept = min(int(np.searchsorted(np.cumsum(ratio), SHARE)) + 1, most)
        coordinates, ratio = coordinates[:, :kept], ratio[:kept]
    return coordinates, ratio


def _exact_axes(rows: npt.NDArray[np.float32], n: int) -> Reals:
    """Return the leading right singular vectors, (D, n), from the smaller of the two square products."""
    wide = rows.shape[0] < rows.shape[1]
    square = np.zeros((min(rows.shape),) * 2)
    for part in _parts(max(rows.shape)):
        piece = (rows[:, part].T if wide else rows[part]).astype(np.float64)
        square += piece.T @ piece
    _, vectors = np.linalg.eigh(square)
    leading = vectors[:, ::-1][:, :n]
    return _pointing(_transposed_product(rows, leading) if wide else leading)


def _iterated_axes(rows: npt.NDArray[np.float32], n: int) -> Reals:
    """Return the leading right singular vectors by subspace iteration from a fixed start.

    N. Halko, P.-G. Martinsson and J. A. Tropp, SIAM Review 53, 217 (2011), algorithm 4.4.
    """
    width = min(n + _OVERSAMPLING, *rows.shape)
    base = np.random.default_rng(0).normal(size=(rows.shape[1], width))
    for _ in range(_POWER_STEPS):
        base, _ = np.linalg.qr(_transposed_product(rows, _product(rows, base)))
    _, _, rotation = np.linalg.svd(_product(rows, base), full_matrices=False)
    return _pointing((base @ rotation.T)[:, :n])


def _pointing(axes: Reals) -> Reals:
    """Normalise axes and turn each to where its largest loading, of equal ones the first, is positive."""
    lengths = np.linalg.norm(axes, axis=0)
    axes = np.divide(axes, lengths, out=np.zeros_like(axes), where=lengths > 0)
    size = np.abs(axes)
    largest = np.argmax(size >= (1 - _NOISE) * size.max(axis=0), axis=0)
    signs = np.sign(axes[largest, np.arange(axes.shape[1])])
    turned: Reals = axes * signs
    return turned


def _product(rows: npt.NDArray[np.float32], columns: Reals) -> Reals:
    small = columns.astype(np.float32)
    return np.concatenate([(rows[part] @ small).astype(np.float64) for part in _parts(len(rows))])


def _transposed_product(rows: npt.NDArray[np.float32], columns: Reals) -> Reals:
    total = np.zeros((rows.shape[1], columns.shape[1]))
    for part in _parts(len(rows)):
        total += rows[part].T @ columns[part].astype(np.float32)
    return total


def _parts(count: int) -> list[slice]:
    return [slice(start, min(start + _CHUNK, count)) for start in range(0, count, _CHUNK)]
