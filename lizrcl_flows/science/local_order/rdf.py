"""Radial distribution functions, running coordination numbers, and where the first shell ends."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.errors import InputError
from lizrcl_flows.science.local_order.neighbours import PeriodicBox

STUDY_CUTOFF_A = 3.5
"""End of the first shell of Li in the study (arXiv:2601.22612)."""

_SMOOTHING_A = 0.06
"""Standard deviation of the Gauss curve that g is folded with before its extrema are looked for."""

_PROMINENCE = 0.2
"""How far a peak of g must stand out from its sides and from an even distribution, which is 1."""

_SIGMAS = 6.0
"""The same in standard deviations of the counts, so that noise is no peak."""

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Rdf:
    """Distribution of neighbours by distance.

    Attributes
    ----------
    r_a
        Middles of the bins (A), shape (B,).
    g
        Density of neighbours over that of an even distribution, shape (B,).
    running_cn
        Mean number of neighbours up to the outer edge of each bin, shape (B,).
    first_minimum_a
        Where the first shell ends (A): the lowest point behind the first peak; None where nothing stands out of noise.
    first_shell_cn
        Mean number of neighbours up to there, or None.
    study_cutoff_cn
        The same for `STUDY_CUTOFF_A`, None if that is beyond the last bin.
    """

    r_a: FloatArray
    g: FloatArray
    running_cn: FloatArray
    first_minimum_a: float | None
    first_shell_cn: float | None
    study_cutoff_cn: float | None


def radial_distribution(
    samples: Array, cells: Array, centres: Array, neighbours: Array, r_max_a: float = 10.0, n_bins: int = 200
) -> Rdf:
    """Return g(r), averaged over frames and centres.

    Counts are divided by what the ordered pairs of two different atoms would give if they were spread evenly over the
    cell of each frame; so an ideal gas of any number of atoms has g = 1.

    Parameters
    ----------
    samples
        Positions of all atoms (A), shape (S, N, 3).
    cells
        Cell vectors in rows (A), shape (S, 3, 3) or (3, 3).
    centres, neighbours
        Which atoms: N booleans, or indices.
    r_max_a
        Upper end of the last bin (A); it may be larger than the cell.
    n_bins
        B.

    Raises
    ------
    InputError
        If there are no frames, centres, neighbours, or bins; otherwise as `neighbour_pairs`.
    """
    import freud

    if len(samples) == 0 or n_bins < 1:
        raise InputError(f"{len(samples)} frames and {n_bins} bins give no radial distribution: at least 1 is needed")
    cells = np.broadcast_to(np.asarray(cells, dtype=np.float64), (len(samples), 3, 3))
    histogram = freud.density.RDF(bins=n_bins, r_max=r_max_a)
    n_pairs, n_centres, itself, inverse_volumes = 0, 0, 0, 0.0
    for number, (positions, cell) in enumerate(zip(samples, cells, strict=True)):
        box = PeriodicBox(positions, cell, r_max_a)
        first, second = box.chosen(centres, "centres"), box.chosen(neighbours, "neighbours")
        n_centres = len(first)
        itself = len(np.intersect1d(first, second))
        n_pairs = n_centres * len(second) - itself
        inverse_volumes += 1 / box.volume_a3
        histogram.compute(
            (box.freud_box(), box.freud_points(second, repeated=True)),
            query_points=box.freud_points(first, repeated=False),
            neighbors={"mode": "ball", "r_max": r_max_a, "exclude_ii": False},
            reset=number == 0,
        )
    counts = np.array(histogram.bin_counts, dtype=np.float64)
    counts[0] -= itself * len(samples)
    edges = np.linspace(0.0, r_max_a, n_bins + 1)
    # images of the centre itself are pairs too, so a lone atom of its kind is compared with one atom per cell
    expected = max(n_pairs, 1) * inverse_volumes * 4 / 3 * np.pi * np.diff(edges**3)
    return _described(edges, counts, expected, np.cumsum(counts) / (len(samples) * n_centres))


def _described(edges: FloatArray, counts: FloatArray, expected: FloatArray, running: FloatArray) -> Rdf:
    g = counts / expected
    minimum = first_minimum(edges, g, expected)

    def up_to(r_a: float | None) -> float | None:
        if r_a is None or r_a > edges[-1]:
            return None
        return float(np.interp(r_a, edges, np.concatenate([[0.0], running])))

    middles = (edges[1:] + edges[:-1]) / 2
    return Rdf(middles, g, running, minimum, up_to(minimum), up_to(STUDY_CUTOFF_A))


def first_minimum(edges: Array, g: Array, expected: Array) -> float | None:
    """Return where g is lowest between its first peak and the next (A), in the middle of a gap without neighbours.

    Parameters
    ----------
    edges
        Edges of the bins (A), shape (B + 1,), evenly spaced.
    g
        Shape (B,); it is smoothed over about 0.1 A first.
    expected
        Counts where g = 1, shape (B,): they tell what is noise.

    Returns
    -------
    float or None
        None if no peak stands out, or g falls behind it to the end.
    """
    from scipy.ndimage import gaussian_filter1d
    from scipy.signal import find_peaks

    width = _SMOOTHING_A / float(edges[1] - edges[0])
    smooth = gaussian_filter1d(np.asarray(g, dtype=np.float64), width, mode="nearest")
    bins_together = max(1.0, 2 * np.sqrt(np.pi) * width)
    noise = 1 / np.sqrt(np.asarray(expected) * bins_together)
    # a zero on either side makes the last shell before the end a peak as well
    peaks, found = find_peaks(np.concatenate([[0.0], smooth, [0.0]]), prominence=_PROMINENCE)
    peaks, least = peaks - 1, np.maximum(_PROMINENCE, _SIGMAS * noise[peaks - 1])
    peaks = peaks[(found["prominences"] > least) & (smooth[peaks] > 1 + least)]
    if len(peaks) == 0:
        return None
    behind = smooth[peaks[0] : (peaks[1] if len(peaks) > 1 else len(smooth))]
    low = np.flatnonzero(behind <= behind.min() + 1e-3)
    if len(peaks) == 1 and low[-1] == len(behind) - 1 and behind.min() > 1e-3:
        return None
    place = peaks[0] + (low[0] + low[-1]) / 2
    return float(edges[0] + (place + 0.5) * (edges[1] - edges[0]))
