"""Hops of the ions of a region, such as those near an interface, beside what vibration gives there."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.errors import InputError
from lizrcl_flows.science.motion.hops import WINDOW_PS, HopEvents, HopRates, rate_error
from lizrcl_flows.science.motion.vibration import PS_PER_NS, cage_sd_by_ion, cage_sd_of, false_hop_rate


@dataclass(frozen=True)
class RegionalHops:
    """Hops that begin in a region, per ion in it and ns.

    Attributes
    ----------
    paper_per_ion_ns, paper_std
        By the study's rule, and standard error: the larger one of the scatter between ions and between windows of 1 ns.
    false_per_ion_ns
        What vibration alone gives by the study's rule, from the cage of each ion while it is in the region.
    counted_per_ion_ns, counted_std
        By the running-median counter.
    cage_sd_a
        Standard deviation of ions in their cages along one axis (A).
    ion_ns
        Time that ions spent in the region, summed over ions (ns).
    """

    paper_per_ion_ns: float
    paper_std: float
    false_per_ion_ns: float
    counted_per_ion_ns: float
    counted_std: float
    cage_sd_a: float
    ion_ns: float


def regional_hops(hops: HopRates, inside: Array) -> RegionalHops:
    """Count the hops of ions that were in a region before they hopped.

    Parameters
    ----------
    hops
        From `lizrcl_flows.science.motion.hops.hop_rates`.
    inside
        True where an ion is in the region, shape (T, N), for the same ions and frames.

    Raises
    ------
    InputError
        If shapes differ, or no ion is ever there.
    """
    inside = np.asarray(inside, dtype=bool)
    if inside.shape != (hops.n_frames, hops.n_ions):
        raise InputError(
            f"a region of shape {inside.shape} does not belong to the hops of {hops.n_ions} ions in "
            f"{hops.n_frames} frames"
        )
    # the frames from which a hop can begin
    begins = inside[: (len(hops.squares_a2) - 1) * hops.stride + 1 : hops.stride]
    if not begins.any():
        raise InputError("no ion is ever in the region, so there are no hops of it")
    ion_ns = begins.sum(axis=0) * hops.lag_ps / PS_PER_NS
    n_windows = max(1, int(len(begins) * hops.lag_ps // WINDOW_PS))
    window = np.minimum(np.arange(len(begins)) * hops.lag_ps // WINDOW_PS, n_windows - 1).astype(np.int64)
    window_ns = np.bincount(window, begins.sum(axis=1), n_windows) * hops.lag_ps / PS_PER_NS
    found = []
    for events in (hops.paper, hops.counted):
        kept = _inside(events, inside)
        by_ion = np.bincount(events.ion[kept], minlength=hops.n_ions)
        by_window = np.bincount(window[events.origin[kept] // hops.stride], minlength=n_windows)
        errors = np.array([rate_error(by_ion, ion_ns), rate_error(by_window, window_ns)])
        known = errors[np.isfinite(errors)]
        found.append((float(by_ion.sum() / ion_ns.sum()), float(known.max()) if known.size else float("nan")))
    squares = np.where(begins, hops.squares_a2, np.float32(np.nan))
    return RegionalHops(
        paper_per_ion_ns=found[0][0],
        paper_std=found[0][1],
        false_per_ion_ns=_false_rate(hops, squares),
        counted_per_ion_ns=found[1][0],
        counted_std=found[1][1],
        cage_sd_a=cage_sd_of(squares),
        ion_ns=float(ion_ns.sum()),
    )


def _inside(events: HopEvents, inside: Array) -> npt.NDArray[np.bool_]:
    return np.asarray(inside[events.origin, events.ion])


def _false_rate(hops: HopRates, squares: Array) -> float:
    """Return the mean rate of false hops, each ion weighed by the time for which it stays in the region."""
    weights = np.isfinite(squares).sum(axis=0)
    if not weights.any():
        return float("nan")
    return float(np.average(false_hop_rate(cage_sd_by_ion(squares), hops.lag_ps, hops.threshold_a), weights=weights))
