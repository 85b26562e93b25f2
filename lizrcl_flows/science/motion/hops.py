"""Hops of ions: by the study's rule, what of it is vibration, and by a counter that sees no vibration.

The study (arXiv:2601.22612) counts a hop where an ion moves by more than 1.25 A between frames 10 ps apart. An ion
that vibrates with 0.3 A along each axis does so 3.4 times in a ns without going anywhere, one with 0.4 A 18 times:
where ions vibrate more, they seem to hop more. So the rule stands beside the rate of false hops that follows from the
measured vibration, and beside the hops of a counter that follows the running median of five frames.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.errors import InputError
from lizrcl_flows.science.motion.vibration import PS_PER_NS, cage_sd_by_ion, cage_sd_of, false_hop_rate

LAG_PS = 10.0
"""Time between the frames of the study (ps)."""

THRESHOLD_A = 1.25
"""Displacement from which on the study speaks of a hop (A)."""

ANCHOR_A = 1.8
"""Distance between the median place and the last site from which on the counter sees a hop (A)."""

WINDOW = 5
"""Frames of the running median; hops that are undone within two frames are not seen."""

LONGEST_STEP_A = 10.0
"""Displacement in `LAG_PS` that no ion makes (A), growing with the root of the time."""

WINDOW_PS = 1000.0
"""Time over which the study averages hops (ps)."""

_IONS_AT_ONCE = 64


@dataclass(frozen=True)
class HopEvents:
    """Hops of one kind, ordered by time.

    Attributes
    ----------
    ion
        Which ion, shape (E,).
    origin, target
        Frames of the trajectory before and after each hop, shape (E,).
    """

    ion: npt.NDArray[np.int64]
    origin: npt.NDArray[np.int64]
    target: npt.NDArray[np.int64]


@dataclass(frozen=True)
class HopRates:
    """Hops per ion and ns, by the study's rule and by the counter.

    Attributes
    ----------
    paper_per_ion_ns, paper_std
        Displacements longer than the threshold, and standard error: the larger one of the scatter between ions and
        between windows of 1 ns.
    false_per_ion_ns
        What vibration alone gives by the study's rule, from the cage of each ion; NaN where no ion ever stays.
    counted_per_ion_ns, counted_std
        Hops of the running-median counter.
    cage_sd_a
        Standard deviation of ions in their cages along one axis (A), of all ions.
    cage_sd_by_ion_a
        Shape (N,).
    paper, counted
        The hops themselves.
    squares_a2
        Squared displacements of ions that stay (A^2), shape (K - 1, N), for frames `stride` apart; NaN around hops.
    lag_ps
        Time between the frames that are compared (ps).
    stride
        Frames of the trajectory between them.
    n_frames, n_ions
        Of the trajectory.
    dt_ps
        Time between its frames (ps).
    threshold_a, anchor_a
        Parameters of the rule and of the counter (A).
    """

    paper_per_ion_ns: float
    paper_std: float
    false_per_ion_ns: float
    counted_per_ion_ns: float
    counted_std: float
    cage_sd_a: float
    cage_sd_by_ion_a: npt.NDArray[np.float64]
    paper: HopEvents
    counted: HopEvents
    squares_a2: npt.NDArray[np.float32]
    lag_ps: float
    stride: int
    n_frames: int
    n_ions: int
    dt_ps: float
    threshold_a: float
    anchor_a: float


def hop_rates(
    paths: Array, dt_ps: float, *, lag_ps: float = LAG_PS, threshold_a: float = THRESHOLD_A, anchor_a: float = ANCHOR_A
) -> HopRates:
    """Count hops by the study's rule and by the running median, and say how many are vibration.

    The counter: an ion hops where the median of five frames, axis by axis, is more than `anchor_a` away from where it
    was at the last hop. Unlike a mean, a median does not smear one hop over several frames. On a lattice of jumpers it
    counts 0.96-1.00 of up to 3 hops per ion and ns and 0.85 of 13, whatever the vibration (up to 0.4 A).

    Parameters
    ----------
    paths
        Unwrapped positions without drift (A), shape (T, N, 3).
    dt_ps
        Time between frames (ps).
    lag_ps
        Time between frames that are compared (ps); the multiple of `dt_ps` nearest to it is taken.
    threshold_a, anchor_a
        Of the rule and of the counter (A).

    Raises
    ------
    InputError
        If there is no ion, too short a run, or an ion jumps further than one can.
    """
    paths = _checked(paths, dt_ps)
    stride = max(1, round(lag_ps / dt_ps))
    frames = np.asarray(paths[::stride], dtype=np.float32)
    lag = stride * dt_ps
    if len(frames) < WINDOW + 1:
        raise InputError(
            f"{len(paths)} frames {dt_ps:g} ps apart are too few to count hops: at least {WINDOW + 1} that are "
            f"{lag:g} ps apart are needed"
        )
    squares = _squares(frames)
    _check_steps(squares, lag, stride)
    far = np.argwhere(squares > threshold_a**2)
    paper = HopEvents(far[:, 1], far[:, 0] * stride, (far[:, 0] + 1) * stride)
    jumped = _median_hops(frames, anchor_a)
    counted = HopEvents(jumped[:, 1], (jumped[:, 0] + WINDOW // 2 - 1) * stride, (jumped[:, 0] + WINDOW // 2) * stride)
    staying = np.where(_near_hops(jumped, squares.shape), np.float32(np.nan), squares)
    cages = cage_sd_by_ion(staying)
    duration = (len(frames) - 1) * lag
    # the median of five sees two frames less at either end
    rates = [
        _rate(events, paths.shape[1], length, dt_ps)
        for events, length in ((paper, duration), (counted, duration - (WINDOW - 1) * lag))
    ]
    return HopRates(
        paper_per_ion_ns=rates[0][0],
        paper_std=rates[0][1],
        false_per_ion_ns=float(false_hop_rate(cages, lag, threshold_a).mean()),
        counted_per_ion_ns=rates[1][0],
        counted_std=rates[1][1],
        cage_sd_a=cage_sd_of(staying),
        cage_sd_by_ion_a=cages,
        paper=paper,
        counted=counted,
        squares_a2=staying,
        lag_ps=lag,
        stride=stride,
        n_frames=len(paths),
        n_ions=paths.shape[1],
        dt_ps=dt_ps,
        threshold_a=threshold_a,
        anchor_a=anchor_a,
    )


def _checked(paths: Array, dt_ps: float) -> Array:
    paths = np.asarray(paths)
    if paths.ndim != 3 or paths.shape[2] != 3:
        raise InputError(f"paths of shape {paths.shape} are not accepted: frames, ions and three coordinates")
    if paths.shape[1] == 0:
        raise InputError("there is no ion whose hops could be counted")
    if not dt_ps > 0:
        raise InputError(f"{dt_ps:g} ps between frames is not accepted: a time greater than 0")
    if not np.isfinite(paths).all():
        raise InputError("a position is not a finite number, so hops cannot be counted")
    return paths


def _squares(frames: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return squared displacements between successive frames (A^2), shape (K - 1, N)."""
    squares = np.empty((len(frames) - 1, frames.shape[1]), dtype=np.float32)
    for start in range(0, frames.shape[1], _IONS_AT_ONCE):
        steps = np.diff(frames[:, start : start + _IONS_AT_ONCE], axis=0)
        np.einsum("tni,tni->tn", steps, steps, out=squares[:, start : start + _IONS_AT_ONCE])
    return squares


def _check_steps(squares: npt.NDArray[np.float32], lag_ps: float, stride: int) -> None:
    limit = LONGEST_STEP_A * max(1.0, (lag_ps / LAG_PS) ** 0.5)
    frame, ion = np.unravel_index(int(squares.argmax()), squares.shape)
    longest = float(squares[frame, ion]) ** 0.5
    if longest > limit:
        raise InputError(
            f"ion {ion} moves by {longest:.1f} A between frames {frame * stride} and {(frame + 1) * stride}, "
            f"{lag_ps:g} ps apart; at most {limit:.3g} A is accepted: positions must be unwrapped"
        )


def _median_hops(frames: npt.NDArray[np.float32], anchor_a: float) -> npt.NDArray[np.int64]:
    """Return (first frame of the window, ion) of each hop of the running median, ordered by time."""
    medians = np.empty((len(frames) - WINDOW + 1, *frames.shape[1:]), dtype=np.float32)
    for start in range(0, frames.shape[1], _IONS_AT_ONCE):
        part = slice(start, start + _IONS_AT_ONCE)
        medians[:, part] = _running_median(frames[:, part])
    anchor = medians[0].copy()
    found: list[npt.NDArray[np.int64]] = []
    for time in range(1, len(medians)):
        away = medians[time] - anchor
        hopped = np.flatnonzero(np.einsum("ni,ni->n", away, away) > anchor_a**2)
        if hopped.size:
            anchor[hopped] = medians[time, hopped]
            found.append(np.stack([np.full(hopped.size, time), hopped], axis=1))
    return np.concatenate(found) if found else np.zeros((0, 2), dtype=np.int64)


def _running_median(frames: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the median of five successive frames by ten minima and maxima, shape (K - 4, ...)."""
    a, b, c, d, e = (frames[shift : len(frames) - WINDOW + 1 + shift] for shift in range(WINDOW))
    low = np.maximum(np.minimum(a, b), np.minimum(c, d))
    high = np.minimum(np.maximum(a, b), np.maximum(c, d))
    return np.asarray(np.maximum(np.minimum(low, high), np.minimum(e, np.maximum(low, high))))


def _near_hops(jumped: npt.NDArray[np.int64], shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """Tell which displacements lie within two frames of a hop, shape (K - 1, N)."""
    near = np.zeros(shape, dtype=bool)
    place = jumped[:, 0] + WINDOW // 2 - 1  # the step in which the majority of the window changes sides
    for shift in range(-2, 3):
        near[np.clip(place + shift, 0, shape[0] - 1), jumped[:, 1]] = True
    return near


def _rate(events: HopEvents, n_ions: int, duration_ps: float, dt_ps: float) -> tuple[float, float]:
    """Return hops per ion and ns, and their standard error."""
    duration_ns = duration_ps / PS_PER_NS
    n_windows = int(duration_ps // WINDOW_PS)
    window = np.minimum(events.origin * dt_ps // WINDOW_PS, n_windows).astype(np.int64)  # the rest is in no window
    errors = [rate_error(np.bincount(events.ion, minlength=n_ions), np.full(n_ions, duration_ns))]
    if n_windows > 1:
        by_window = np.bincount(window, minlength=n_windows)[:n_windows]
        errors.append(rate_error(by_window, np.full(n_windows, n_ions * WINDOW_PS / PS_PER_NS)))
    return len(events.ion) / (n_ions * duration_ns), float(np.nanmax(errors)) if n_ions > 1 else errors[-1]


def rate_error(hops: Array, ion_ns: Array) -> float:
    """Return the standard error of sum(hops) / sum(ion_ns) from its independent parts.

    That of a ratio of sums, ``sqrt(n / (n - 1) sum (h_i - r t_i)^2) / sum t_i``.

    Parameters
    ----------
    hops, ion_ns
        Hops and time of each part, such as an ion or a window, shape (n,).

    Returns
    -------
    float
        Per ion and ns; NaN for fewer than two parts.
    """
    n, total = len(hops), float(np.sum(ion_ns))
    if n < 2 or total <= 0:
        return float("nan")
    rest = np.asarray(hops) - float(np.sum(hops)) / total * np.asarray(ion_ns)
    return float(np.sqrt(n / (n - 1) * (rest @ rest)) / total)
