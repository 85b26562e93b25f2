"""How far ions vibrate in their cages, and how often vibration alone passes for a hop."""

import numpy as np
import numpy.typing as npt

from lizrcl_flows.documents.arrays import Array

PS_PER_NS = 1000.0

MEDIAN_CHI2_3 = 2.365973884375338
"""Median of the sum of the squares of three standard normal numbers."""

_SAMPLING = 1.65
"""Relative variance of a cage's variance from n displacements is this over n: 0.84 for the median of independent ones,
and successive ones share a frame (measured with 4000 ions in white noise: 1.63)."""


def false_hop_rate(cage_sd_a: Array | float, lag_ps: float, threshold_a: float = 1.25) -> npt.NDArray[np.float64]:
    """Return how often per ns vibration moves an ion by more than a threshold from one frame to the next.

    The displacement between two independent places in an isotropic harmonic cage is normal with s = sqrt(2) sd along
    each axis, so its length exceeds x with the probability
    ``erfc(x / (sqrt(2) s)) + sqrt(2 / pi) (x / s) exp(-x^2 / (2 s^2))`` (Maxwell's distribution).

    Parameters
    ----------
    cage_sd_a
        Standard deviation of the place in the cage along one axis (A), any shape; NaN gives NaN.
    lag_ps
        Time between the frames (ps), long against a vibration.
    threshold_a
        x (A).

    Returns
    -------
    ndarray
        Per ion and ns, in the shape of `cage_sd_a`.
    """
    from scipy.special import erfc

    spread = np.sqrt(2.0) * np.asarray(cage_sd_a, dtype=np.float64)
    with np.errstate(divide="ignore"):
        ratio = np.where(spread == 0, np.inf, threshold_a / spread)
    finite = np.where(np.isinf(ratio), 0.0, ratio)
    tail = np.where(np.isinf(ratio), 0.0, np.sqrt(2 / np.pi) * finite * np.exp(-(finite**2) / 2))
    return np.asarray((erfc(ratio / np.sqrt(2.0)) + tail) * PS_PER_NS / lag_ps)


def cage_sd_of(squares_a2: Array) -> float:
    """Return the standard deviation along one axis of ions in their cages, from displacements between two frames.

    From the median of the squares, which a few displacements that are no vibration hardly shift:
    median = 2 sd^2 x median of chi^2 with three degrees of freedom.

    Parameters
    ----------
    squares_a2
        Squared displacements (A^2) of ions that stay where they are, any shape; NaN is left out.

    Returns
    -------
    float
        In A; NaN without any.
    """
    known = squares_a2[np.isfinite(squares_a2)]
    return float(np.sqrt(np.median(known) / (2 * MEDIAN_CHI2_3))) if known.size else float("nan")


def cage_sd_by_ion(squares_a2: Array) -> npt.NDArray[np.float64]:
    """Return the standard deviation along one axis of each ion in its cages.

    Each ion's own estimate is drawn towards the one of all ions as far as the scatter between ions is what their few
    frames explain (empirical Bayes): the rate of false hops is so steep a function of it (power 9 at 0.3 A) that noise
    would raise the mean rate.

    Parameters
    ----------
    squares_a2
        Squared displacements between frames (A^2), shape (T, N); NaN where the ion hopped.

    Returns
    -------
    ndarray
        In A, shape (N,); all NaN where no ion ever stayed.
    """
    common = cage_sd_of(squares_a2) ** 2
    if not np.isfinite(common):
        return np.full(squares_a2.shape[1], np.nan)
    n_pairs = np.isfinite(squares_a2).sum(axis=0)
    seen = n_pairs > 0
    own = np.full(len(seen), common)
    middle = _medians(squares_a2[:, seen], n_pairs[seen])
    own[seen] = middle / (2 * MEDIAN_CHI2_3)
    noise = np.where(seen, _SAMPLING * common**2 / np.maximum(n_pairs, 1), np.inf)
    scatter = float(np.average((own - common) ** 2, weights=n_pairs))
    true = max(0.0, scatter - _SAMPLING * common**2 * float(seen.sum() / n_pairs.sum()))
    kept = true / (true + noise) if true > 0 else np.zeros_like(own)
    return np.asarray(np.sqrt(common + kept * (own - common)))


def _medians(values: Array, n_known: Array) -> npt.NDArray[np.float64]:
    """Return the median of each column over what is not NaN; NaN sorts to the end."""
    ordered = np.sort(values, axis=0)
    columns = np.arange(values.shape[1])
    return np.asarray((ordered[(n_known - 1) // 2, columns] + ordered[n_known // 2, columns]) / 2, dtype=np.float64)
