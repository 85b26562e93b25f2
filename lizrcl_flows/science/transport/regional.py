"""Diffusion of ions within a region: a layer next to an interface, a slab, a grain boundary.

Which ions belong to a region while they move in and out of it? Counting those that start there mixes in the outside at
long lags, and asking for start and end alone takes those that left and came back. Displacements whose whole path stays
inside have neither fault as long as only displacements along the layer are used: across it, paths that stay are shorter
ones by selection, so a coefficient across a layer does not exist in this way (Liu, Harder, Berne, J. Phys. Chem. B 108
(2004) 6595).

Ions that jump move along and across the layer at once, and the jumps that leave are missing among the paths that stay.
In a layer of thickness W, jumps of length a in all directions then give a coefficient that is too small by 3 a / (8 W).
That share is told; the coefficient is not changed by it, as it is zero for motion in small steps.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.errors import InputError
from lizrcl_flows.science.diffusion import FEWEST_HOPS, JUMP_LENGTH_A, LARGEST_RELATIVE_STD, Status, first_lag
from lizrcl_flows.science.msd import checked_paths
from lizrcl_flows.science.msd_fit import spaced_lags

N_LAGS = 24
N_BLOCKS = 10
FEWEST_FRAMES = 20
FEWEST_FIT_LAGS = 3

LONGEST_FIT_SHARE = 10
"""The fit ends at this part of the run, so that time blocks remain independent of each other."""

FEWEST_INDEPENDENT = 20
"""Displacements that do not overlap in time; a lag with fewer of them says nothing."""

_IONS_AT_ONCE = 256
_ITERATIONS = 3
_SMALLEST_MSD_A2 = 1e-6


@dataclass(frozen=True)
class RegionalEstimate:
    """Diffusion along a layer, or why there is none.

    Attributes
    ----------
    status, reason
        As of a `DiffusionEstimate`.
    diffusivity, diffusivity_std
        Coefficient along the layer, in two dimensions, and its standard uncertainty over time blocks (A^2/ps); None
        unless resolved.
    raw_diffusivity, raw_std
        What the fit yields, whether or not it means anything (A^2/ps); None only for want of paths.
    mean_ions
        Ions in the region, on the average over time.
    n_hops
        Hops inside the region that the coefficient stands for.
    lag_ps
        Lags of the curves (ps), shape (n_lags,).
    msd_a2, n_paths
        MSD along the layer (A^2) of paths that stay in the region, and the number of such paths; NaN where there are
        none. Shape (n_lags,).
    msd_from_region_a2
        MSD along the layer of all ions that start in the region (A^2), shape (n_lags,).
    from_region_diffusivity
        The same fit to all ions that start in the region (A^2/ps). It mixes in the surroundings, and does not miss the
        jumps that leave.
    jump_bias
        Share by which jumps make `diffusivity` too small where the ions move by jumps of `jump_length_a`; None without
        the thickness of the layer.
    exchange
        How the coefficient of all that start in the region changes from short lags to the longest one: 1 where region
        and surroundings are alike or exchange no ions.
    exchange_lags_ps
        These two lags (ps).
    staying_share
        Of the ions that are in the region, the share whose path has not left it after the longest lag of the fit.
    fit_lags_ps
        First and last lag of the fit (ps).
    """

    status: Status
    reason: str
    mean_ions: float
    n_frames: int
    lag_ps: Array
    msd_a2: Array
    n_paths: Array
    msd_from_region_a2: Array
    exchange: float | None = None
    exchange_lags_ps: tuple[float, float] | None = None
    staying_share: float | None = None
    diffusivity: float | None = None
    diffusivity_std: float | None = None
    raw_diffusivity: float | None = None
    raw_std: float | None = None
    from_region_diffusivity: float | None = None
    jump_bias: float | None = None
    n_hops: float | None = None
    fit_lags_ps: tuple[float, float] | None = None


@dataclass(frozen=True)
class _Sums:
    """Squares of displacements along the layer and their number, by lag and time block of the start, shape (K, B)."""

    squares: npt.NDArray[np.float64]
    counts: npt.NDArray[np.float64]

    def msd(self, without: int | None = None) -> npt.NDArray[np.float64]:
        """Return the MSD at every lag (A^2), of all blocks or of all but one; NaN where there is no path."""
        squares, counts = self.squares.sum(axis=1), self.counts.sum(axis=1)
        if without is not None:
            squares, counts = squares - self.squares[:, without], counts - self.counts[:, without]
        return np.asarray(np.where(counts > 0, squares / np.maximum(counts, 1), np.nan))


def lateral_diffusion(
    paths: Array,
    in_region: Array,
    dt_ps: float,
    normal_axis: int,
    jump_length_a: float = JUMP_LENGTH_A,
    thickness_a: float | None = None,
) -> RegionalEstimate:
    """Measure the diffusion along a layer from the paths that stay in it.

    ``MSD = 4 D lag + offset`` is fitted over lags up to a tenth of the run, every lag weighted by the displacements
    that do not overlap in time. The uncertainty is a jackknife over time blocks.

    Parameters
    ----------
    paths
        Unwrapped positions without the drift of the framework (A), shape (T, N, 3).
    in_region
        Whether each ion is in the region in each frame, shape (T, N).
    dt_ps
        Time between frames (ps).
    normal_axis
        Axis across the layer, 0 to 2, which is left out.
    jump_length_a
        As of `diffusion_coefficient`.
    thickness_a
        Thickness of the layer (A), for `jump_bias` only.

    Raises
    ------
    InputError
        If shapes do not fit together, no ion is ever in the region, or there are too few frames.
    """
    paths, inside = checked_paths(paths), np.asarray(in_region, dtype=bool)
    _check(paths, inside, dt_ps, normal_axis)
    n_frames = len(paths)
    lags = spaced_lags(1, n_frames // 4, N_LAGS)
    across = [axis for axis in range(3) if axis != normal_axis]
    staying, starting = _sums(paths[:, :, across], inside, lags)
    msd, from_region = staying.msd(), starting.msd()
    n_paths = staying.counts.sum(axis=1).astype(np.int64)
    used = _fit_lags(lags, n_paths, n_frames, dt_ps)
    common = {
        "mean_ions": float(inside.sum() / n_frames),
        "n_frames": n_frames,
        "lag_ps": lags * dt_ps,
        "msd_a2": msd,
        "n_paths": n_paths,
        "msd_from_region_a2": from_region,
        "exchange": _exchange(lags, from_region),
        "exchange_lags_ps": (float(lags[0] * dt_ps), float(lags[-1] * dt_ps)),
    }
    if used.sum() < FEWEST_FIT_LAGS:
        reason = "too few paths stay in the region for long enough to measure a coefficient"
        return RegionalEstimate("not_resolved", reason, **common)
    weights = _weights(lags, staying, used)
    unit = 1 / (4 * dt_ps)
    found, found_std = float(weights @ msd[used]) * unit, _jackknife(weights, staying, used) * unit
    hops = max(0.0, 6 * found * float(inside.sum()) * dt_ps / jump_length_a**2)
    status, reason = _judge(found, found_std, hops, float(np.nanmax(msd[used])), jump_length_a)
    last = lags[used][-1]
    return RegionalEstimate(
        status,
        reason,
        **common,
        staying_share=float(n_paths[used][-1] / starting.counts.sum(axis=1)[used][-1]),
        diffusivity=found if status == "resolved" else None,
        diffusivity_std=found_std if status == "resolved" else None,
        raw_diffusivity=found,
        raw_std=found_std,
        from_region_diffusivity=float(weights @ from_region[used]) * unit,
        jump_bias=3 * jump_length_a / (8 * thickness_a) if thickness_a else None,
        n_hops=hops,
        fit_lags_ps=(float(lags[used][0] * dt_ps), float(last * dt_ps)),
    )


def frames_staying(in_region: Array) -> npt.NDArray[np.int32]:
    """Return for how many frames from each frame on, itself included, each ion stays in the region, shape (T, N)."""
    inside = np.asarray(in_region, dtype=bool)
    staying = np.zeros(inside.shape, dtype=np.int32)
    staying[-1] = inside[-1]
    for frame in range(len(inside) - 2, -1, -1):
        staying[frame] = np.where(inside[frame], staying[frame + 1] + 1, 0)
    return staying


def _sums(lateral: Array, inside: npt.NDArray[np.bool_], lags: npt.NDArray[np.int64]) -> tuple[_Sums, _Sums]:
    """Return the sums of paths that stay in the region, and of all that start in it."""
    n_frames, n_ions, _ = lateral.shape
    block = np.arange(n_frames) * N_BLOCKS // n_frames
    staying = frames_staying(inside)
    sums = np.zeros((4, len(lags), N_BLOCKS))
    for start in range(0, n_ions, _IONS_AT_ONCE):
        part = slice(start, start + _IONS_AT_ONCE)
        some, held, begun = lateral[:, part], staying[:, part], inside[:, part]
        for row, lag in enumerate(lags):
            squares = np.square(some[lag:] - some[:-lag], dtype=np.float64).sum(axis=2)
            stays, starts = held[:-lag] > lag, begun[:-lag]
            by_frame = (
                np.einsum("ti,ti->t", squares, stays),
                stays.sum(axis=1),
                np.einsum("ti,ti->t", squares, starts),
                starts.sum(axis=1),
            )
            for total, values in zip(sums, by_frame, strict=True):
                total[row] += np.bincount(block[: n_frames - lag], values, N_BLOCKS)
    return _Sums(sums[0], sums[1]), _Sums(sums[2], sums[3])


def _fit_lags(lags: npt.NDArray[np.int64], n_paths: Array, n_frames: int, dt_ps: float) -> npt.NDArray[np.bool_]:
    """Return which lags the fit uses, shape (K,)."""
    first, last = first_lag(n_frames, dt_ps), max(n_frames // LONGEST_FIT_SHARE, 2 * FEWEST_FIT_LAGS)
    return np.asarray((lags >= first) & (lags <= last) & (n_paths / lags >= FEWEST_INDEPENDENT))


def _weights(lags: npt.NDArray[np.int64], staying: _Sums, used: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Return the weights of the MSD at the used lags in the slope of the line (1/frame)."""
    msd = staying.msd()[used]
    at = lags[used]
    independent = staying.counts.sum(axis=1)[used] / at
    model = at.astype(np.float64)
    for _ in range(_ITERATIONS):
        # a mean of m independent squares of a displacement in two dimensions has the variance MSD^2 / m
        weight = independent / model**2
        centre = (weight @ at) / weight.sum()
        linear = weight * (at - centre) / (weight @ (at - centre) ** 2)
        line = (weight @ msd) / weight.sum() + (linear @ msd) * (at - centre)
        model = np.maximum(line, _SMALLEST_MSD_A2)
    return np.asarray(linear)


def _jackknife(weights: Array, staying: _Sums, used: npt.NDArray[np.bool_]) -> float:
    """Return the standard uncertainty of the slope over time blocks (A^2/frame)."""
    without = [staying.msd(block)[used] for block in range(N_BLOCKS)]
    left_out = np.array([weights @ values for values in without if np.isfinite(values).all()])
    if len(left_out) < 2:
        return float("inf")
    variance = (len(left_out) - 1) / len(left_out) * ((left_out - left_out.mean()) ** 2).sum()
    return float(np.sqrt(variance))


def _exchange(lags: npt.NDArray[np.int64], from_region: Array) -> float | None:
    short, long = from_region[0] / lags[0], from_region[-1] / lags[-1]
    return float(long / short) if short > 0 else None


def _judge(found: float, std: float, hops: float, reached: float, jump_length_a: float) -> tuple[Status, str]:
    moving: Status = "not_resolved" if found > 2 * std else "not_diffusive"
    needed = (jump_length_a / 2) ** 2 * 2 / 3
    if reached < needed:
        return moving, (
            f"paths that stay in the region reach {reached:.3g} A^2 along it; "
            f"{needed:.3g} A^2, half a jump of {jump_length_a:g} A in two of three directions, is needed"
        )
    if hops < FEWEST_HOPS:
        return (
            moving,
            f"only about {int(hops)} hops of {jump_length_a:g} A happen in the region, {FEWEST_HOPS} are needed",
        )
    if not std <= LARGEST_RELATIVE_STD * found:
        return "not_resolved", (
            f"the uncertainty, {std:.2g} A^2/ps, is more than {LARGEST_RELATIVE_STD:.0%} of the value, "
            f"{found:.2g} A^2/ps"
        )
    return "resolved", ""


def _check(paths: Array, inside: npt.NDArray[np.bool_], dt_ps: float, normal_axis: int) -> None:
    if inside.shape != paths.shape[:2]:
        raise InputError(
            f"the region is given for {inside.shape} frames x ions, the paths have {paths.shape[:2]}: "
            "the same numbers are needed"
        )
    if normal_axis not in (0, 1, 2):
        raise InputError(f"normal axis {normal_axis} is not accepted: 0, 1 or 2")
    if not dt_ps > 0:
        raise InputError(f"time between frames {dt_ps:g} ps is not accepted, a positive number is needed")
    if len(paths) < FEWEST_FRAMES:
        raise InputError(f"the run has {len(paths)} frames, {FEWEST_FRAMES} are needed for diffusion in a region")
    if not inside.any():
        raise InputError("the region has no ion in any frame, so nothing diffuses in it")
