"""Tracer diffusion coefficient of ions with an uncertainty that means what it says, or the reason why there is none.

The study's own protocol stands beside it. It averages over long lags, which carry almost no information: for Brownian
ions its scatter is several times larger, and the standard deviation that it quotes has little to do with it.
"""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.errors import InputError
from lizrcl_flows.science.msd import checked_paths, msd_fft
from lizrcl_flows.science.msd_fit import (
    N_LAGS,
    BlockErrors,
    LineFit,
    block_errors,
    fit_line,
    slope_std_of_axis,
    spaced_lags,
)

JUMP_LENGTH_A = 3.6
"""Distance between neighbouring octahedral Li sites in Li2ZrCl6, about a/3 of the alpha phase (A)."""

VIBRATION_PS = 1.0
"""Shorter lags are left out of the fit where the run is long enough: they show vibration, not diffusion."""

FEWEST_FRAMES = 40
FEWEST_HOPS = 30
LARGEST_RELATIVE_STD = 0.5
CURVED_CHI2 = 2.0
"""Above this chi^2 per degree of freedom the shortest lags still bend the line: the fit starts later."""

LARGEST_CHI2 = 3.0
N_STORED_LAGS = 100

Status = Literal["resolved", "not_resolved", "not_diffusive"]
PerAxis = tuple[float, float, float]


@dataclass(frozen=True)
class DiffusionEstimate:
    """A diffusion coefficient, or why there is none.

    Attributes
    ----------
    status
        ``resolved``; ``not_resolved``, where ions move but the run is too short for a number; ``not_diffusive``, where
        they do not leave their sites.
    reason
        In words, with an upper bound, unless resolved.
    diffusivity, diffusivity_std
        Tracer diffusion coefficient in three dimensions and its standard uncertainty (A^2/ps); None unless resolved.
    per_axis, per_axis_std
        Coefficients along x, y and z, whose mean is `diffusivity`, and their standard uncertainties (A^2/ps); None
        unless resolved. Where nothing moves along an axis its value scatters around zero.
    raw_diffusivity, raw_std
        What the estimator yields, whether or not it means anything (A^2/ps); None only for want of frames.
    upper_bound
        What the coefficient does not exceed, at about 95 % (A^2/ps).
    offset_a2
        MSD of the cage vibration: where the line meets lag 0 (A^2).
    chi2_per_dof
        About 1 where the MSD is a line and the ions are independent; larger for correlated ions.
    n_hops
        Hops of all ions in the run that the coefficient stands for.
    fit_lags_ps
        First and last lag of the fit (ps).
    lag_ps, msd_a2
        The MSD over three axes (A^2) at some lags (ps), shape (n_lags,).
    msd_xyz_a2
        The MSD along each axis at the same lags (A^2), shape (n_lags, 3).
    """

    status: Status
    reason: str
    n_ions: int
    n_frames: int
    lag_ps: Array
    msd_a2: Array
    msd_xyz_a2: Array
    diffusivity: float | None = None
    diffusivity_std: float | None = None
    per_axis: PerAxis | None = None
    per_axis_std: PerAxis | None = None
    raw_diffusivity: float | None = None
    raw_std: float | None = None
    upper_bound: float | None = None
    offset_a2: float | None = None
    chi2_per_dof: float | None = None
    n_hops: float | None = None
    fit_lags_ps: tuple[float, float] | None = None
    parameters: dict[str, float | int] = field(default_factory=dict)


@dataclass(frozen=True)
class _Measured:
    """A coefficient and those along the axes with their standard uncertainties (A^2/ps)."""

    diffusivity: float
    std: float
    per_axis: PerAxis
    per_axis_std: PerAxis


@dataclass(frozen=True)
class _Run:
    """Paths of the ions with what every estimator needs of them."""

    positions: Array
    interval_ps: float
    jump_length_a: float
    msd_xyz: npt.NDArray[np.float64]

    @property
    def msd(self) -> npt.NDArray[np.float64]:
        """MSD over three axes at every lag (A^2)."""
        return np.asarray(self.msd_xyz.sum(axis=1))

    @property
    def n_frames(self) -> int:
        return len(self.positions)

    @property
    def n_ions(self) -> int:
        return int(self.positions.shape[1])

    @property
    def duration_ps(self) -> float:
        return (self.n_frames - 1) * self.interval_ps

    def hops(self, diffusivity: float) -> float:
        """Return the number of hops that a diffusion coefficient (A^2/ps) means for all ions over the run."""
        return max(0.0, 6 * diffusivity * self.duration_ps * self.n_ions / self.jump_length_a**2)

    def upper_bound(self, diffusivity: float, std: float) -> float:
        """Return an upper bound at about 95 % (A^2/ps): two standard deviations, or three hops where none is seen."""
        three_hops = 3 * self.jump_length_a**2 / (6 * self.duration_ps * self.n_ions)
        return max(diffusivity + 2 * std, three_hops)


def diffusion_coefficient(
    positions: Array, frame_interval_ps: float, jump_length_a: float = JUMP_LENGTH_A, n_blocks: int = 10
) -> DiffusionEstimate:
    """Measure the tracer diffusion coefficient by generalised least squares, its uncertainty by time blocks as well.

    The line ``MSD = 6 D lag + offset`` is fitted over logarithmically spaced lags up to a quarter of the run. The
    uncertainty is the larger one of the fit's (exact for independent Gaussian ions) and the standard error over time
    blocks (which sees rare hops and ions that move together).

    Parameters
    ----------
    positions
        Unwrapped positions without the drift of the framework (A), shape (T, N, 3).
    frame_interval_ps
        Time between frames (ps).
    jump_length_a
        Distance between neighbouring sites (A). Without a mean displacement of half of it and 30 hops no coefficient
        is given.
    n_blocks
        Time blocks; fewer are used where a block would be too short for the lags of the fit.

    Raises
    ------
    InputError
        If the positions are no (T, N, 3) array of finite numbers or the interval is not positive.
    """
    parameters = {"jump_length_a": jump_length_a, "n_blocks": n_blocks}
    run = _prepare(positions, frame_interval_ps, jump_length_a)
    curve = stored_lags(run.n_frames)
    if run.n_frames < FEWEST_FRAMES:
        return _too_few_frames(run, curve, parameters)
    lags, fit, blocks = _fit(run, n_blocks)
    measured = _measured(run, lags, fit, blocks)
    chi2_scaled = fit.chi2_per_dof * min(1.0, (fit.slope_std / max(fit.slope_std, blocks.std)) ** 2)
    status, reason = _judge(run, measured.diffusivity, measured.std, float(run.msd[lags[-1]]))
    if status == "resolved" and chi2_scaled > LARGEST_CHI2:
        status, reason = "not_resolved", "the mean square displacement is not a straight line over any range of lags"
    return _estimate(
        run,
        (status, reason),
        measured,
        curve,
        offset_a2=fit.offset,
        chi2_per_dof=fit.chi2_per_dof,
        fit_lags_ps=(float(lags[0] * run.interval_ps), float(lags[-1] * run.interval_ps)),
        parameters=parameters,
    )


def paper_protocol(
    positions: Array, frame_interval_ps: float, jump_length_a: float = JUMP_LENGTH_A
) -> DiffusionEstimate:
    """Measure the tracer diffusion coefficient as arXiv:2601.22612 (2026) does.

    D = MSD / (6 t), the mean over every tenth lag up to half of the run, quoted with the standard deviation of those
    values. They are correlated, so this is not the uncertainty of their mean. The same runs are refused as by
    `diffusion_coefficient`, but the study quotes a number for every run: it is in `raw_diffusivity` and `raw_std`.
    Parameters and errors are the same.
    """
    parameters = {"every_nth_lag": 10, "largest_lag_share": 0.5}
    run = _prepare(positions, frame_interval_ps, jump_length_a)
    lags = np.arange(10, run.n_frames // 2 + 1, 10)
    if run.n_frames < FEWEST_FRAMES:
        return _too_few_frames(run, lags, parameters)
    times = lags * run.interval_ps
    values, along = run.msd[lags] / (6 * times), run.msd_xyz[lags] / (2 * times)[:, None]
    measured = _Measured(
        float(values.mean()),
        float(values.std(ddof=1)),
        _three(along.mean(axis=0)),
        _three(along.std(axis=0, ddof=1)),
    )
    verdict = _judge(run, measured.diffusivity, measured.std, float(run.msd[run.n_frames // 4]))
    fitted = (float(times[0]), float(times[-1]))
    return _estimate(run, verdict, measured, lags, fit_lags_ps=fitted, parameters=parameters)


def _prepare(positions: Array, frame_interval_ps: float, jump_length_a: float) -> _Run:
    paths = checked_paths(positions)
    if not frame_interval_ps > 0 or not jump_length_a > 0:
        raise InputError(
            f"frame interval {frame_interval_ps:g} ps and jump length {jump_length_a:g} A must both be positive"
        )
    return _Run(paths, frame_interval_ps, jump_length_a, msd_fft(paths))


def _fit(run: _Run, n_blocks: int) -> tuple[npt.NDArray[np.int64], LineFit, BlockErrors]:
    """Return lags, line and what the blocks say, starting where the MSD has become a line."""
    first, last = first_lag(run.n_frames, run.interval_ps), run.n_frames // 4
    msd = run.msd
    while True:
        lags = spaced_lags(first, last, N_LAGS)
        fit = fit_line(msd, lags, run.n_frames, run.n_ions)
        blocks = block_errors(run.positions, fit, first, n_blocks)
        std = max(fit.slope_std, blocks.std)
        if fit.chi2_per_dof * (fit.slope_std / std) ** 2 <= CURVED_CHI2 or 8 * first > last:
            return lags, fit, blocks
        first *= 2


def _measured(run: _Run, lags: npt.NDArray[np.int64], fit: LineFit, blocks: BlockErrors) -> _Measured:
    """Turn slopes (A^2/frame) into coefficients (A^2/ps), each with the larger one of its two uncertainties."""
    unit = 1 / run.interval_ps
    of_axes = [slope_std_of_axis(fit, run.msd_xyz[:, axis], lags, run.n_frames, run.n_ions) for axis in range(3)]
    return _Measured(
        fit.slope / 6 * unit,
        max(fit.slope_std, blocks.std) / 6 * unit,
        _three(fit.weights[0] @ run.msd_xyz[lags] / 2 * unit),
        _three(np.maximum(of_axes, blocks.per_axis) / 2 * unit),
    )


def _three(values: Array) -> PerAxis:
    x, y, z = (float(value) for value in values)
    return x, y, z


def _judge(run: _Run, diffusivity: float, std: float, msd_at_quarter: float) -> tuple[Status, str]:
    """Decide whether the coefficient means anything."""
    needed = (run.jump_length_a / 2) ** 2
    hops = run.hops(diffusivity)
    moving: Status = "not_resolved" if diffusivity > 2 * std else "not_diffusive"
    if msd_at_quarter < needed:
        lag = run.n_frames // 4 * run.interval_ps
        reached, wanted = _told_apart(msd_at_quarter, needed)
        return moving, (
            f"the mean square displacement reaches {reached} A^2 after {lag:.3g} ps, a quarter of the run; "
            f"{wanted} A^2, half a jump of {run.jump_length_a:g} A, is needed"
        )
    if hops < FEWEST_HOPS:
        return (
            moving,
            f"only about {int(hops)} hops of {run.jump_length_a:g} A happen in the run, {FEWEST_HOPS} are needed",
        )
    if std > LARGEST_RELATIVE_STD * diffusivity:
        percent = int(np.ceil(100 * std / diffusivity))
        return "not_resolved", f"the uncertainty is {percent}% of the value, {LARGEST_RELATIVE_STD:.0%} is the limit"
    return "resolved", ""


def _told_apart(first: float, second: float) -> tuple[str, str]:
    """Write two different numbers with as many digits as it takes to see which one is larger."""
    digits = 3
    while f"{first:.{digits}g}" == f"{second:.{digits}g}" and digits < 17:
        digits += 1
    return f"{first:.{digits}g}", f"{second:.{digits}g}"


def _estimate(
    run: _Run,
    verdict: tuple[Status, str],
    measured: _Measured,
    lags: npt.NDArray[np.int64],
    **more: object,
) -> DiffusionEstimate:
    status, reason = verdict
    bound = run.upper_bound(measured.diffusivity, measured.std)
    resolved = status == "resolved"
    return DiffusionEstimate(
        status=status,
        reason=reason if resolved else f"{reason}; D < {bound:.2g} A^2/ps",
        n_ions=run.n_ions,
        n_frames=run.n_frames,
        lag_ps=lags * run.interval_ps,
        msd_a2=run.msd[lags],
        msd_xyz_a2=run.msd_xyz[lags],
        diffusivity=measured.diffusivity if resolved else None,
        diffusivity_std=measured.std if resolved else None,
        per_axis=measured.per_axis if resolved else None,
        per_axis_std=measured.per_axis_std if resolved else None,
        raw_diffusivity=measured.diffusivity,
        raw_std=measured.std,
        upper_bound=bound,
        n_hops=run.hops(measured.diffusivity),
        **more,  # type: ignore[arg-type]
    )


def _too_few_frames(run: _Run, lags: npt.NDArray[np.int64], parameters: dict[str, float | int]) -> DiffusionEstimate:
    return DiffusionEstimate(
        status="not_resolved",
        reason=f"the run has {run.n_frames} frames, {FEWEST_FRAMES} are needed",
        n_ions=run.n_ions,
        n_frames=run.n_frames,
        lag_ps=lags * run.interval_ps,
        msd_a2=run.msd[lags],
        msd_xyz_a2=run.msd_xyz[lags],
        parameters=parameters,
    )


def first_lag(n_frames: int, frame_interval_ps: float) -> int:
    """Return the first lag of a fit in frames: after the vibration, or earlier where the run is short."""
    return max(1, min(int(np.ceil(VIBRATION_PS / frame_interval_ps)), n_frames // 40))


def stored_lags(n_frames: int) -> npt.NDArray[np.int64]:
    """Return the lags (in frames) at which a curve is kept."""
    return spaced_lags(1, n_frames // 2, N_STORED_LAGS) if n_frames > 3 else np.arange(1, n_frames)
