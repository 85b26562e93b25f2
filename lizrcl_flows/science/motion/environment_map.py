"""A map of atomic environments: t-SNE of their NEP descriptors, such as those of ions by region."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.errors import InputError
from lizrcl_flows.science.validation.maps import FEWEST, PERPLEXITY, tsne_map

MOST = 5000
"""Environments of a map; of more, as many are drawn by lot."""

NEIGHBOURS = 10


@dataclass(frozen=True)
class EnvironmentMap:
    """Places of environments in a plane.

    Attributes
    ----------
    embedding
        Shape (m, 2), without unit. Who is near is alike; distances between far groups mean little.
    kept
        Rows of the descriptors that are in the map, increasing, shape (m,).
    parameters
        What the map depends on besides the descriptors: enough to draw it again.
    """

    embedding: npt.NDArray[np.float64]
    kept: npt.NDArray[np.int64]
    parameters: dict[str, float | str]


def environment_map(descriptors: Array, seed: int = 0, most: int = MOST) -> EnvironmentMap:
    """Place environments in a plane such that like ones lie together; the same seed gives the same map.

    Parameters
    ----------
    descriptors
        One row per environment, such as the scaled NEP descriptor of an ion in a frame, shape (M, D).
    seed
        Of the choice of environments and of the embedding.
    most
        Environments in the map.

    Raises
    ------
    InputError
        If there are fewer than four environments, or a descriptor is not finite.
    """
    rows = np.asarray(descriptors)
    if rows.ndim != 2 or len(rows) < FEWEST or most < FEWEST:
        n = min(len(rows), most) if rows.ndim == 2 else 0
        raise InputError(f"{n} environments are too few for a map: at least {FEWEST} are needed")
    if not np.isfinite(rows).all():
        raise InputError("a descriptor is not a finite number, so there is no map of environments")
    kept = np.arange(len(rows))
    if len(rows) > most:
        kept = np.sort(np.random.default_rng(seed).choice(len(rows), most, replace=False))
    parameters: dict[str, float | str] = {
        "method": "t-SNE of standardised descriptors",
        "start": "principal components",
        "perplexity": min(PERPLEXITY, (len(kept) - 1) / 3),
        "seed": seed,
        "most": most,
        "n_environments": len(rows),
    }
    return EnvironmentMap(tsne_map(rows[kept], seed), kept, parameters)


def neighbour_purity(embedding: Array, labels: Array, n_neighbours: int = NEIGHBOURS) -> float:
    """Return the share of the nearest neighbours in a map that have the label of the point itself, averaged.

    1 where groups are apart; the sum of the squares of their shares where they are mixed.

    Parameters
    ----------
    embedding
        Shape (m, 2).
    labels
        Such as the region of each environment, shape (m,).
    n_neighbours
        Nearest neighbours of each point; fewer where there are fewer points.

    Raises
    ------
    InputError
        For fewer than two points.
    """
    from scipy.spatial import cKDTree

    points, labels = np.asarray(embedding, dtype=np.float64), np.asarray(labels)
    if len(points) < 2:
        raise InputError(f"{len(points)} points have no neighbours: at least 2 are needed")
    n_near = min(n_neighbours, len(points) - 1)
    _, near = cKDTree(points).query(points, n_near + 1)
    others = near != np.arange(len(points))[:, None]
    others[others.all(axis=1), -1] = False  # of many equal points one need not find itself
    return float((labels[near] == labels[:, None])[others].mean())
