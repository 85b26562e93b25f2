"""A map of structures: t-SNE of their mean NEP descriptors, on which neighbours are alike."""

import warnings
from typing import TYPE_CHECKING

import numpy as np

from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.science.single_thread import single_threaded

if TYPE_CHECKING:
    from sklearn.manifold import TSNE

PERPLEXITY = 30.0
"""Neighbours that each structure is compared with; a third of the structures where there are fewer than ninety."""

FEWEST = 4
"""Structures of the smallest map."""


def tsne_map(rows: Array, seed: int) -> Array:
    """Return places in the plane such that structures with like descriptors lie together.

    t-distributed stochastic neighbour embedding (van der Maaten and Hinton, J. Mach. Learn. Res. 9, 2579 (2008)) of
    the standardised descriptors, started from their principal components. Distances between far groups mean little.

    Parameters
    ----------
    rows
        Mean descriptor of each structure, shape (n, D).
    seed
        Of the randomised principal components; the same seed gives the same map.

    Returns
    -------
    ndarray
        Shape (n, 2).

    Raises
    ------
    ValueError
        For fewer than four structures.
    """
    from sklearn.manifold import TSNE

    rows = np.asarray(rows, dtype=float)
    if len(rows) < FEWEST:
        raise ValueError(f"{len(rows)} structures are too few for a map, {FEWEST} are needed")
    spread = rows.std(axis=0)
    scaled = (rows - rows.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    perplexity = min(PERPLEXITY, (len(rows) - 1) / 3)
    start = "pca" if np.ptp(scaled) > 0 else "random"  # of equal structures there are no components
    embedding = TSNE(n_components=2, perplexity=perplexity, init=start, random_state=seed, n_jobs=1)
    return _fitted(embedding, scaled)


@single_threaded  # entered once scikit-learn is loaded: a limit does not hold for libraries that come after it
def _fitted(embedding: "TSNE", scaled: Array) -> Array:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of a component without variance
        return np.asarray(embedding.fit_transform(scaled), dtype=float)
