"""Collective diffusion of all ions and the Haven ratio.

The sum of all displacements carries the current. It is one single particle: its mean square displacement at long lags
rests on a handful of independent values, and a line through it says nothing. Short lags, weighted by how they really
scatter, do.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.errors import InputError
from lizrcl_flows.science.diffusion import (
    FEWEST_FRAMES,
    JUMP_LENGTH_A,
    LARGEST_RELATIVE_STD,
    DiffusionEstimate,
    Status,
    diffusion_coefficient,
    first_lag,
    stored_lags,
)
from lizrcl_flows.science.msd import checked_paths, msd_fft
from lizrcl_flows.science.msd_fit import N_LAGS, block_errors, fit_line, spaced_lags

LONGEST_LAG_SHARE = 10
"""The fit ends at this part of the run."""

FEWEST_LAGS = 3


@dataclass(frozen=True)
class HavenEstimate:
    """Haven ratio and collective diffusion coefficient, or why there is none.

    Attributes
    ----------
    status, reason
        As of a `DiffusionEstimate`.
    haven, haven_std
        Tracer over collective diffusion coefficient and its standard uncertainty: 1 for independent ions, 1/g where
        groups of g move together; None unless resolved.
    collective_diffusivity, collective_std
        Of the sum of all displacements, divided by the number of ions (A^2/ps); None unless resolved.
    raw_collective, raw_collective_std
        What the fit yields, whether or not it means anything (A^2/ps); None only for want of frames.
    lag_ps, collective_msd_a2
        Mean square of the sum of displacements, divided by the number of ions (A^2), at some lags (ps), shape
        (n_lags,).
    fit_lags_ps
        First and last lag of the fit (ps).
    """

    status: Status
    reason: str
    n_ions: int
    n_frames: int
    lag_ps: Array
    collective_msd_a2: Array
    haven: float | None = None
    haven_std: float | None = None
    collective_diffusivity: float | None = None
    collective_std: float | None = None
    raw_collective: float | None = None
    raw_collective_std: float | None = None
    fit_lags_ps: tuple[float, float] | None = None


def haven_ratio(
    paths: Array,
    dt_ps: float,
    tracer: DiffusionEstimate | None = None,
    jump_length_a: float = JUMP_LENGTH_A,
    n_blocks: int = 10,
) -> HavenEstimate:
    """Measure how much the motions of different ions are correlated.

    The collective coefficient is the limit of <|sum_i (r_i(t) - r_i(0))|^2> / (6 N t) for ions of equal charge, the
    Haven ratio is the tracer coefficient over it (Murch, Solid State Ionics 7 (1982) 177). The line is fitted as by
    `diffusion_coefficient`, to lags up to a tenth of the run.

    Parameters
    ----------
    paths
        Unwrapped positions of all ions of one kind, without the drift of the framework (A), shape (T, N, 3). Relative
        to the centre of all atoms, or of the ions, the ratio would be another one.
    dt_ps
        Time between frames (ps).
    tracer
        Tracer diffusion of the same paths, where it is known already.
    jump_length_a, n_blocks
        As of `diffusion_coefficient`.

    Raises
    ------
    InputError
        As `diffusion_coefficient`.
    """
    paths = checked_paths(paths)
    tracer = tracer or diffusion_coefficient(paths, dt_ps, jump_length_a, n_blocks)
    n_frames, n_ions, _ = paths.shape
    if (tracer.n_frames, tracer.n_ions) != (n_frames, n_ions):
        raise InputError(
            f"the tracer diffusion is that of {tracer.n_ions} ions in {tracer.n_frames} frames, "
            f"the paths are of {n_ions} ions in {n_frames} frames"
        )
    together = collective_path(paths)
    msd = msd_fft(together).sum(axis=1)
    kept = stored_lags(n_frames)
    curve = {"n_ions": n_ions, "n_frames": n_frames, "lag_ps": kept * dt_ps, "collective_msd_a2": msd[kept]}
    if n_frames < FEWEST_FRAMES:
        return HavenEstimate("not_resolved", tracer.reason, **curve)
    lags = _lags(tracer, n_frames, dt_ps)
    fit = fit_line(msd, lags, n_frames, 1)
    std = max(fit.slope_std, block_errors(together, fit, int(lags[0]), n_blocks).std)
    found, found_std = fit.slope / 6 / dt_ps, std / 6 / dt_ps
    status, reason = _judge(tracer, found, found_std)
    ratio = _ratio(tracer, found, found_std) if status == "resolved" else (None, None)
    return HavenEstimate(
        status,
        reason,
        **curve,
        haven=ratio[0],
        haven_std=ratio[1],
        collective_diffusivity=found if status == "resolved" else None,
        collective_std=found_std if status == "resolved" else None,
        raw_collective=found,
        raw_collective_std=found_std,
        fit_lags_ps=(float(lags[0] * dt_ps), float(lags[-1] * dt_ps)),
    )


def collective_path(paths: Array) -> npt.NDArray[np.float64]:
    """Return the sum of all paths over the square root of their number (A), shape (T, 1, 3).

    Its mean square displacement is that of one ion where the ions are independent.
    """
    # frame by frame: a long run is never copied as a whole
    total = np.array([(frame - paths[0]).sum(axis=0, dtype=np.float64) for frame in paths])
    return np.asarray(total[:, None] / np.sqrt(paths.shape[1]))


def _lags(tracer: DiffusionEstimate, n_frames: int, dt_ps: float) -> npt.NDArray[np.int64]:
    """Return the lags of the fit: from where the tracer MSD is a line to a tenth of the run."""
    first = first_lag(n_frames, dt_ps)
    if tracer.fit_lags_ps is not None:
        first = max(first, round(tracer.fit_lags_ps[0] / dt_ps))
    return spaced_lags(first, max(n_frames // LONGEST_LAG_SHARE, 2 * first, first + FEWEST_LAGS), N_LAGS)


def _judge(tracer: DiffusionEstimate, found: float, std: float) -> tuple[Status, str]:
    if tracer.status != "resolved":
        return tracer.status, tracer.reason
    if std > LARGEST_RELATIVE_STD * found:
        percent = f"{int(np.ceil(100 * std / found))}% of the value" if found > 0 else "larger than the value"
        return "not_resolved", (
            f"the uncertainty of the collective diffusion coefficient is {percent}, "
            f"{LARGEST_RELATIVE_STD:.0%} is the limit"
        )
    return "resolved", ""


def _ratio(tracer: DiffusionEstimate, found: float, std: float) -> tuple[float | None, float | None]:
    """Return the ratio and its uncertainty; those of its parts are taken as independent."""
    if tracer.diffusivity is None or tracer.diffusivity_std is None:
        return None, None
    ratio = tracer.diffusivity / found
    return ratio, ratio * float(np.hypot(std / found, tracer.diffusivity_std / tracer.diffusivity))
