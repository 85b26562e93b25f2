"""Number density of ions along the normal of a slab against time."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.errors import InputError
from lizrcl_flows.science.motion.hop_maps import bins_of

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class DensityMap:
    """Ions by time and bin of height.

    Attributes
    ----------
    z_edges_a
        Edges of the bins (A), shape (Z + 1,), for the mean height of the cell.
    times_ps
        Middle of each window of time, shape (W,).
    counts
        Mean number of ions, shape (W, Z); the sum over bins is the number of ions in every window.
    density
        Number of ions per volume (1/A^3), shape (W, Z), with the cell's mean in the window.
    """

    z_edges_a: FloatArray
    times_ps: FloatArray
    counts: FloatArray
    density: FloatArray


def density_map(
    fraction: Array, heights_a: Array, areas_a2: Array, dt_ps: float, *, n_bins: int = 100, window_ps: float = 0.0
) -> DensityMap:
    """Count ions by height and time.

    Bins are shares of the cell, so that its breathing moves no ion out of the histogram: in each frame every ion is
    counted once.

    Parameters
    ----------
    fraction
        Heights of the ions as fractions of the cell, in [0, 1), shape (T, N), along any axis and from any origin.
    heights_a, areas_a2
        Height of the cell (A) and its area in the plane (A^2), shape (T,).
    dt_ps
        Time between frames (ps).
    n_bins
        Z.
    window_ps
        Time that is averaged over (ps); one frame at least. A shorter rest at the end has a window of its own.

    Raises
    ------
    InputError
        If there are no ions.
    """
    fraction = np.asarray(fraction)
    if fraction.ndim != 2 or fraction.size == 0:
        raise InputError("there are no ions whose density could be measured")
    n_frames = len(fraction)
    each = counts_by_frame(fraction, n_bins)
    starts = np.arange(0, n_frames, max(1, round(window_ps / dt_ps)))
    lengths = np.diff(starts, append=n_frames)
    counts = np.add.reduceat(each, starts, axis=0) / lengths[:, None]
    volumes = np.asarray(heights_a, dtype=np.float64) * np.asarray(areas_a2, dtype=np.float64)
    bin_volumes = np.add.reduceat(np.broadcast_to(volumes, (n_frames,)), starts) / lengths / n_bins
    return DensityMap(
        z_edges_a=np.linspace(0.0, float(np.mean(heights_a)), n_bins + 1),
        times_ps=np.asarray((starts + (lengths - 1) / 2) * dt_ps),
        counts=counts,
        density=counts / bin_volumes[:, None],
    )


def counts_by_frame(fraction: Array, n_bins: int) -> npt.NDArray[np.int64]:
    """Return how many ions are in each bin of each frame, shape (T, Z)."""
    n_frames = len(fraction)
    places = bins_of(fraction, n_bins)
    places += np.arange(n_frames)[:, None] * n_bins
    return np.bincount(places.ravel(), minlength=n_frames * n_bins).reshape(n_frames, n_bins)
