"""Hops along the normal of a slab against time, as counts and as rates per ion."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.errors import InputError
from lizrcl_flows.science.motion.hops import HopEvents, HopRates
from lizrcl_flows.science.motion.slab import shortest, wrapped
from lizrcl_flows.science.motion.vibration import PS_PER_NS, cage_sd_of, false_hop_rate

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class HopMap:
    """Hops by window of time and bin of height.

    Attributes
    ----------
    z_edges_a
        Edges of the bins (A), shape (Z + 1,), for the mean height of the cell.
    times_ps
        Edges of the windows, shape (W + 1,).
    paper, counted
        Hops by the study's rule and by the counter, in the bin where each began, shape (W, Z).
    paper_middle, counted_middle
        The same in the bin half way between where each began and where it ended.
    occupancy
        Mean number of ions in the bin, shape (W, Z); the sum over bins is the number of ions.
    paper_per_ion_ns, counted_per_ion_ns
        Hops per ion of the bin and ns, shape (W, Z); NaN where no ion was. A bin with few ions does not look quiet.
    cage_sd_a
        Standard deviation of ions in their cages along one axis (A), shape (Z,); NaN where no ion stays.
    false_per_ion_ns
        What vibration alone gives by the study's rule in the bin, shape (Z,).
    """

    z_edges_a: FloatArray
    times_ps: FloatArray
    paper: IntArray
    counted: IntArray
    paper_middle: IntArray
    counted_middle: IntArray
    occupancy: FloatArray
    paper_per_ion_ns: FloatArray
    counted_per_ion_ns: FloatArray
    cage_sd_a: FloatArray
    false_per_ion_ns: FloatArray


@dataclass(frozen=True)
class _Grid:
    first: int
    per_window: int
    n_windows: int
    n_bins: int

    @property
    def frames(self) -> slice:
        return slice(self.first, self.first + self.n_windows * self.per_window)

    def count(self, frames: IntArray, bins: IntArray) -> IntArray:
        """Count what happened by window and bin."""
        window = (frames - self.first) // self.per_window
        inside = (frames >= self.first) & (window < self.n_windows)
        cells = window[inside] * self.n_bins + bins[inside]
        return np.bincount(cells, minlength=self.n_windows * self.n_bins).reshape(self.n_windows, self.n_bins)


def hop_map(
    hops: HopRates,
    fraction: Array,
    height_a: float,
    *,
    n_bins: int = 50,
    window_ps: float = 1000.0,
    since_ps: float = 1000.0,
) -> HopMap:
    """Sort hops by time and height.

    The study counts hops in windows of 1 ns from 1 ns on; it does not say whether a hop belongs to where it begins or
    to its middle, so both are given.

    Parameters
    ----------
    hops
        From `lizrcl_flows.science.motion.hops.hop_rates`.
    fraction
        Heights of the same ions in the same frames as fractions of the cell, shape (T, N), along any axis.
    height_a
        Mean height of the cell (A).
    n_bins
        Z.
    window_ps, since_ps
        Length of a window and beginning of the first one (ps).

    Raises
    ------
    InputError
        If shapes differ, or no window fits into the run.
    """
    fraction = np.asarray(fraction)
    if fraction.shape != (hops.n_frames, hops.n_ions):
        raise InputError(
            f"heights of shape {fraction.shape} do not belong to the hops of {hops.n_ions} ions in "
            f"{hops.n_frames} frames"
        )
    grid = _grid(hops, n_bins, window_ps, since_ps)
    bins = bins_of(fraction, n_bins)
    paper, paper_middle = _maps(hops.paper, fraction, bins, grid)
    counted, counted_middle = _maps(hops.counted, fraction, bins, grid)
    frames = np.arange(hops.n_frames)[grid.frames]
    occupancy = (
        grid.count(np.repeat(frames, hops.n_ions), bins[grid.frames].ravel()).astype(np.float64) / grid.per_window
    )
    ion_ns = occupancy * grid.per_window * hops.dt_ps / PS_PER_NS
    cages = _cages_by_bin(hops, bins, grid)
    return HopMap(
        z_edges_a=np.linspace(0.0, height_a, n_bins + 1),
        times_ps=np.asarray((grid.first + grid.per_window * np.arange(grid.n_windows + 1)) * hops.dt_ps),
        paper=paper,
        counted=counted,
        paper_middle=paper_middle,
        counted_middle=counted_middle,
        occupancy=occupancy,
        paper_per_ion_ns=_ratio(paper, ion_ns),
        counted_per_ion_ns=_ratio(counted, ion_ns),
        cage_sd_a=cages,
        false_per_ion_ns=false_hop_rate(cages, hops.lag_ps, hops.threshold_a),
    )


def bins_of(fraction: Array, n_bins: int) -> IntArray:
    """Return the bin of each fraction in [0, 1), 0 to ``n_bins - 1``.

    Raises
    ------
    InputError
        If there is to be no bin.
    """
    if n_bins < 1:
        raise InputError(f"{n_bins} bins are not accepted: at least 1")
    return np.minimum((np.asarray(fraction) * n_bins).astype(np.int64), n_bins - 1)


def _grid(hops: HopRates, n_bins: int, window_ps: float, since_ps: float) -> _Grid:
    first = int(np.ceil(since_ps / hops.dt_ps - 1e-9))
    per_window = max(1, round(window_ps / hops.dt_ps))
    n_windows = (hops.n_frames - first) // per_window
    if n_windows < 1:
        raise InputError(
            f"a run of {hops.n_frames * hops.dt_ps:g} ps has no whole window of {window_ps:g} ps after its first "
            f"{since_ps:g} ps"
        )
    return _Grid(first, per_window, n_windows, n_bins)


def _maps(events: HopEvents, fraction: Array, bins: IntArray, grid: _Grid) -> tuple[IntArray, IntArray]:
    """Count events in the bin of their origin and in that of their middle."""
    start = fraction[events.origin, events.ion]
    middle = start + shortest(fraction[events.target, events.ion] - start) / 2
    return (
        grid.count(events.origin, bins[events.origin, events.ion]),
        grid.count(events.origin, bins_of(wrapped(middle), grid.n_bins)),
    )


def _cages_by_bin(hops: HopRates, bins: IntArray, grid: _Grid) -> FloatArray:
    origin = np.arange(len(hops.squares_a2)) * hops.stride
    used = (origin >= grid.frames.start) & (origin < grid.frames.stop)
    squares, places = hops.squares_a2[used].ravel(), bins[origin[used]].ravel()
    order = np.argsort(places, kind="stable")
    borders = np.searchsorted(places[order], np.arange(1, grid.n_bins))
    return np.array([cage_sd_of(part) for part in np.split(squares[order], borders)])


def _ratio(above: Array, below: Array) -> FloatArray:
    return np.asarray(np.divide(above, below, out=np.full(below.shape, np.nan), where=below > 0))
