"""Straight line through a mean square displacement, weighted by how its points really scatter.

Points of an MSD at different lags come from the same frames and are strongly correlated, and long lags say little. For
a Gaussian process with stationary increments the covariance of the points follows exactly from the MSD itself, so the
line can be fitted by generalised least squares with the line's own covariance, until both agree.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.science.msd import msd_fft

N_LAGS = 16
"""Lags of a fit; more of them say nothing new."""

FEWEST_BLOCKS = 4

_ITERATIONS = 3
_SMALLEST_SLOPE = 1e-12
_SMALLEST_OFFSET = 1e-6
"""A model without any motion has no covariance: floors in A^2 per frame and A^2."""

_RIDGE = 1e-12
"""Share of the mean variance added to each variance against rounding."""


@dataclass(frozen=True)
class LineFit:
    """``MSD = slope * lag + offset`` over three axes.

    Attributes
    ----------
    slope, slope_std
        A^2 per frame.
    offset
        A^2.
    chi2_per_dof
        About 1 where the line and the statistics of independent Gaussian ions describe the points.
    weights
        ``slope, offset = weights @ msd[lags]``; the same weights give the line of the MSD along one axis, so that the
        lines of the three axes add up to this one. Shape (2, K).
    """

    slope: float
    slope_std: float
    offset: float
    chi2_per_dof: float
    weights: Array


def msd_covariance(model: Array, lags: npt.NDArray[np.int64], n_frames: int) -> npt.NDArray[np.float64]:
    """Return the covariance of the all-origin MSD of one ion along one axis.

    With x(t) Gaussian with stationary increments and MSD m(k), the covariance of two displacements is
    ``g(u) = (m(u + i) + m(u - j) - m(u) - m(u + i - j)) / 2`` for lags i and j with origins u frames apart, and the
    covariance of the means over all origins is ``2 / (n_i n_j) * sum_u w(u) g(u)^2`` with w(u) the number of pairs of
    origins that are u apart (Isserlis' theorem).

    Parameters
    ----------
    model
        MSD of one axis at lags 0 to `n_frames` - 1 (A^2), 0 at lag 0.
    lags
        Lags in frames, ascending, shape (K,).
    n_frames
        Length of the trajectory.

    Returns
    -------
    ndarray
        Shape (K, K), A^4.
    """
    n_lags = len(lags)
    covariance = np.empty((n_lags, n_lags))
    for a, i in enumerate(lags):
        for b, j in enumerate(lags[a:], start=a):
            origins_i, origins_j = n_frames - i, n_frames - j
            apart = np.arange(1 - origins_j, origins_i)
            pairs = np.minimum(origins_i, apart + origins_j) - np.maximum(0, apart)
            joint = (model[abs(apart + i)] + model[abs(apart - j)] - model[abs(apart)] - model[abs(apart + i - j)]) / 2
            covariance[a, b] = covariance[b, a] = 2 * (pairs @ joint**2) / (origins_i * origins_j)
    return covariance


def fit_line(msd: Array, lags: npt.NDArray[np.int64], n_frames: int, n_ions: int) -> LineFit:
    """Fit slope and offset to an MSD by generalised least squares.

    Parameters
    ----------
    msd
        Sum over three axes, at every lag from 0 on (A^2).
    lags
        Lags in frames that the fit uses, three at least.
    n_frames, n_ions
        Size of the sample behind `msd`.
    """
    points = msd[lags]
    design = np.column_stack([lags, np.ones(len(lags))]).astype(float)
    weight = 1 / np.sqrt(lags)
    line = np.linalg.lstsq(design * weight[:, None], points * weight, rcond=None)[0]
    for _ in range(_ITERATIONS):
        covariance = line_covariance(line[0], line[1], lags, n_frames) / n_ions
        solved = np.linalg.solve(covariance, design)
        uncertainty = np.linalg.inv(design.T @ solved)
        weights = uncertainty @ solved.T
        line = weights @ points
    residual = points - design @ line
    chi2 = float(residual @ np.linalg.solve(covariance, residual))
    return LineFit(
        slope=float(line[0]),
        slope_std=float(np.sqrt(uncertainty[0, 0])),
        offset=float(line[1]),
        chi2_per_dof=chi2 / (len(lags) - 2),
        weights=weights,
    )


@dataclass(frozen=True)
class BlockErrors:
    """Standard errors over time blocks (A^2 per frame).

    Attributes
    ----------
    std
        Of the slope over three axes.
    per_axis
        Of the slopes along the axes, shape (3,).
    """

    std: float
    per_axis: npt.NDArray[np.float64]


def block_errors(positions: Array, fit: LineFit, first: int, n_blocks: int) -> BlockErrors:
    """Measure the slope in time blocks, which see rare hops and ions that move together.

    Parameters
    ----------
    positions
        Unwrapped positions (A), shape (T, N, 3).
    fit
        Line of the whole run; it says which weights suit a block best.
    first
        First lag of that fit in frames.
    n_blocks
        Fewer are used where a block would be too short, `FEWEST_BLOCKS` at least.
    """
    n_frames = len(positions)
    n_blocks = max(FEWEST_BLOCKS, min(n_blocks, n_frames // (4 * first + 4)))
    length = n_frames // n_blocks
    lags = spaced_lags(min(first, max(1, length // 4)), max(length // 4, min(2 * first, length // 2), 3), N_LAGS)
    weights = slope_weights(fit, lags, length)
    starts = range(0, n_blocks * length, length)
    slopes = np.array([weights @ msd_fft(positions[start : start + length])[lags] for start in starts])
    share = np.sqrt(n_blocks)
    return BlockErrors(float(slopes.sum(axis=1).std(ddof=1) / share), slopes.std(axis=0, ddof=1) / share)


def slope_std_of_axis(fit: LineFit, msd: Array, lags: npt.NDArray[np.int64], n_frames: int, n_ions: int) -> float:
    """Return the standard uncertainty of the slope that the weights of `fit` give along one axis (A^2 per frame).

    Parameters
    ----------
    msd
        Along one axis, at every lag from 0 on (A^2).
    lags, n_frames, n_ions
        As they were for `fit`.
    """
    slope, offset = fit.weights @ msd[lags]
    covariance = line_covariance(slope, offset, lags, n_frames, n_axes=1) / n_ions
    return float(np.sqrt(fit.weights[0] @ covariance @ fit.weights[0]))


def slope_weights(fit: LineFit, lags: npt.NDArray[np.int64], n_frames: int) -> npt.NDArray[np.float64]:
    """Return the weights with which the MSD at `lags` of a run like the fitted one gives the best slope, shape (K,)."""
    design = np.column_stack([lags, np.ones(len(lags))]).astype(float)
    solved = np.linalg.solve(line_covariance(fit.slope, fit.offset, lags, n_frames), design)
    weights: npt.NDArray[np.float64] = np.linalg.solve(design.T @ solved, solved.T)[0]
    return weights


def line_covariance(
    slope: float, offset: float, lags: npt.NDArray[np.int64], n_frames: int, n_axes: int = 3
) -> npt.NDArray[np.float64]:
    """Return the covariance of the MSD of one ion, summed over `n_axes` axes, whose MSD is a line (A^4), shape (K, K).

    Parameters
    ----------
    slope, offset
        Of the MSD over all axes (A^2 per frame, A^2).
    """
    slope, offset = max(slope, _SMALLEST_SLOPE), max(offset, _SMALLEST_OFFSET)
    walk, both, rattle = _parts_of_a_line(tuple(int(lag) for lag in lags), n_frames)
    covariance = (slope**2 * walk + slope * offset * both + offset**2 * rattle) / n_axes
    ridge = _RIDGE * float(np.trace(covariance)) / len(lags)
    return np.asarray(covariance + ridge * np.eye(len(lags)))


@lru_cache(maxsize=32)
def _parts_of_a_line(
    lags: tuple[int, ...], n_frames: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the factors of slope^2, slope * offset and offset^2: the covariance is quadratic in the model."""
    at = np.array(lags, dtype=np.int64)
    walk = np.arange(n_frames, dtype=np.float64)
    rattle = (walk > 0).astype(np.float64)
    of_walk, of_rattle = msd_covariance(walk, at, n_frames), msd_covariance(rattle, at, n_frames)
    return of_walk, msd_covariance(walk + rattle, at, n_frames) - of_walk - of_rattle, of_rattle


def spaced_lags(first: int, last: int, n: int) -> npt.NDArray[np.int64]:
    """Return up to `n` different whole numbers, evenly spaced in their logarithm, both ends included."""
    return np.unique(np.round(np.geomspace(first, last, n)).astype(np.int64))
