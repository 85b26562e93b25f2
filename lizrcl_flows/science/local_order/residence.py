"""How long an ion stays in the shell of a centre: survival functions and residence times.

The continuous survival function (Impey, Madden and McDonald, J. Phys. Chem. 87 (1983) 5071) is the share of contacts
that last a time t without a break; the intermittent one (Rapaport, Mol. Phys. 50 (1983) 1151) is the share that are
there again after t, whatever happened between. Every frame in contact is an origin.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.errors import InputError
from lizrcl_flows.science.local_order.neighbours import neighbour_pairs

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

FEWEST_FRAMES = 3

_CHUNK_NUMBERS = 4_000_000
"""Numbers that a Fourier transform of contacts treats at once: 32 MB."""


@dataclass(frozen=True)
class Contacts:
    """When which ion was in the shell of which centre: as many entries as there are contacts, not T times N times M.

    Attributes
    ----------
    frame, ion, centre
        One entry for each ion in a shell in a frame, shape (C,): frame, and places among the ions and centres.
    n_frames, n_ions, n_centres
        T, N and M.
    """

    frame: IntArray
    ion: IntArray
    centre: IntArray
    n_frames: int
    n_ions: int
    n_centres: int

    def of(self, ions: Array | None = None, centres: Array | None = None) -> "Contacts":
        """Return the contacts of some ions and centres only.

        Parameters
        ----------
        ions, centres
            N and M booleans; None keeps all. A class of centres may be those with an oxygen ligand.
        """
        kept = np.ones(len(self.frame), dtype=bool)
        for chosen, place, number in ((ions, self.ion, self.n_ions), (centres, self.centre, self.n_centres)):
            if chosen is not None:
                mask = np.asarray(chosen)
                if mask.dtype != np.bool_ or mask.shape != (number,):
                    raise InputError(f"a choice of {mask.size} entries does not fit {number} ions or centres")
                kept &= mask[place]
        return Contacts(self.frame[kept], self.ion[kept], self.centre[kept], self.n_frames, self.n_ions, self.n_centres)


@dataclass(frozen=True)
class Residence:
    """Survival of contacts.

    Attributes
    ----------
    times_ps
        Time lags (ps), shape (K,), from 0.
    continuous, intermittent
        Survival functions, shape (K,), 1 at time 0; NaN where no contact has an origin.
    tau_ps
        Mean length of a contact (ps), that of an exponential law: the most likely one for the exits that were seen in
        the time in contact that was watched, so that contacts cut off by either end of the run count for what was seen
        of them. None if no exit was seen.
    tau_std_ps
        Its standard error (ps), tau over the root of the number of exits; None where tau is.
    tau_at_least_ps
        Bound that 95 of 100 runs without exit would respect (ps): time in contact over 3. None if an exit was seen.
    n_exits, n_contacts
        Exits seen, and contacts without break.
    mean_occupancy
        Ions per centre in shell, averaged over the run and the centres that ever have one.
    """

    times_ps: FloatArray
    continuous: FloatArray
    intermittent: FloatArray
    tau_ps: float | None
    tau_std_ps: float | None
    tau_at_least_ps: float | None
    n_exits: int
    n_contacts: int
    mean_occupancy: float


def contacts_from(in_shell: Array) -> Contacts:
    """Return the contacts in a table of booleans, shape (T, N, M): ion in shell of centre."""
    table = np.asarray(in_shell, dtype=bool)
    if table.ndim != 3:
        raise InputError(f"a table of contacts has three axes, frames, ions and centres; this one has {table.ndim}")
    frame, ion, centre = (axis.astype(np.int64) for axis in np.nonzero(table))
    return Contacts(frame, ion, centre, *table.shape)


def contacts_within(ions: Array, centres: Array, cells: Array, cutoff_a: float) -> Contacts:
    """Return which ions are within a distance of which centres, frame by frame.

    Parameters
    ----------
    ions
        Positions of the ions (A), shape (T, N, 3), wrapped or not.
    centres
        Those of the centres (A), shape (T, M, 3), or (M, 3) where they stay.
    cells
        Cell vectors in rows (A), shape (T, 3, 3) or (3, 3).
    cutoff_a
        Radius of the shell (A).

    Raises
    ------
    InputError
        As `neighbour_pairs`, and for shapes that do not fit together.
    """
    ions, centres = np.asarray(ions), np.asarray(centres)
    if ions.ndim != 3 or centres.ndim not in (2, 3) or (centres.ndim == 3 and len(centres) != len(ions)):
        raise InputError(f"ions of shape {ions.shape} and centres of shape {centres.shape} have no frames in common")
    n_frames, n_ions = ions.shape[:2]
    n_centres = centres.shape[-2]
    cells = np.broadcast_to(np.asarray(cells, dtype=np.float64), (n_frames, 3, 3))
    around, asked = np.arange(n_ions), np.arange(n_ions, n_ions + n_centres)
    found = [np.empty((3, 0), dtype=np.int32)]
    for frame in range(n_frames):
        places = np.concatenate([ions[frame], centres[frame] if centres.ndim == 3 else centres])
        pairs = neighbour_pairs(places, cells[frame], around, asked, cutoff_a)
        # an ion that meets two images of a centre in a small cell is in its shell once
        both = np.unique(pairs.i * n_centres + pairs.j - n_ions)
        found.append(np.stack([np.full(len(both), frame), both // n_centres, both % n_centres]).astype(np.int32))
    frame_of, ion_of, centre_of = np.concatenate(found, axis=1).astype(np.int64)
    return Contacts(frame_of, ion_of, centre_of, n_frames, n_ions, n_centres)


def residence(contacts: Contacts, dt_ps: float, *, gap_ps: float = 0.0, longest_ps: float | None = None) -> Residence:
    """Return survival functions and the residence time.

    Parameters
    ----------
    contacts
        From `contacts_within` or `contacts_from`; of a class of centres by `Contacts.of`.
    dt_ps
        Time between frames (ps).
    gap_ps
        Absences up to this long are no exit (ps), such as an ion that vibrates across the edge of its shell. This
        concerns the continuous function and the residence time.
    longest_ps
        Longest lag (ps); by default half of the run.

    Raises
    ------
    InputError
        If the run has fewer than three frames, no contact at all, or a time is not positive.
    """
    n_frames = contacts.n_frames
    if n_frames < FEWEST_FRAMES or dt_ps <= 0 or gap_ps < 0:
        raise InputError(
            f"{n_frames} frames {dt_ps:g} ps apart, with gaps up to {gap_ps:g} ps, give no residence time: at least "
            f"{FEWEST_FRAMES} frames and times that are not negative are needed"
        )
    if len(contacts.frame) == 0:
        raise InputError("no ion is ever in a shell of these centres, so there is no residence time")
    n_lags = n_frames // 2 if longest_ps is None else int(longest_ps / dt_ps + 1e-9)
    n_lags = min(max(n_lags, 1), n_frames - 1) + 1
    key = contacts.ion * contacts.n_centres + contacts.centre
    order = np.lexsort((contacts.frame, key))
    key, frame = key[order], contacts.frame[order]
    starts, stops = _runs(key, frame, n_frames, int(gap_ps / dt_ps + 1e-9))
    n_exits, at_risk = _exits(starts, stops, n_frames)
    tau = None if n_exits == 0 else dt_ps / -np.log1p(-n_exits / at_risk) if n_exits < at_risk else 0.0
    return Residence(
        times_ps=np.arange(n_lags, dtype=np.float64) * dt_ps,
        continuous=_continuous(starts, stops, n_frames, n_lags),
        intermittent=_intermittent(key, frame, n_frames, n_lags),
        tau_ps=tau,
        tau_std_ps=None if tau is None else float(tau / np.sqrt(n_exits)),
        tau_at_least_ps=at_risk * dt_ps / 3 if n_exits == 0 else None,
        n_exits=n_exits,
        n_contacts=len(starts),
        mean_occupancy=len(key) / n_frames / len(np.unique(contacts.centre)),
    )


def _runs(key: IntArray, frame: IntArray, n_frames: int, gap: int) -> tuple[IntArray, IntArray]:
    """Return the first frame of each contact without break and the frame after its last, shape (R,).

    A contact that ends so late that it may come back within the gap after the end of the run is not known to be over:
    it reaches the end.
    """
    begins = np.ones(len(key), dtype=bool)
    begins[1:] = (key[1:] != key[:-1]) | (frame[1:] - frame[:-1] > gap + 1)
    last = np.append(begins[1:], True)
    starts, stops = frame[begins], frame[last] + 1
    return starts, np.where(stops + gap >= n_frames, n_frames, stops)


def _exits(starts: IntArray, stops: IntArray, n_frames: int) -> tuple[int, int]:
    """Return how many contacts were seen to end, and steps in contact after which that could be seen."""
    ended = stops < n_frames
    return int(ended.sum()), int((stops - starts).sum() - (~ended).sum())


def _continuous(starts: IntArray, stops: IntArray, n_frames: int, n_lags: int) -> FloatArray:
    """Return the share of origins whose contact lasts so many frames; origins too near the end are left out."""
    lengths = np.bincount(stops - starts, minlength=n_frames + 1)
    # the sum over runs of max(length - k, 0): the running sum, from the end, of how many runs are longer than k
    longer = np.cumsum(lengths[::-1])[::-1]
    lasting = np.cumsum(longer[:0:-1])[::-1][:n_lags]
    change = np.bincount(starts, minlength=n_frames + 1) - np.bincount(stops, minlength=n_frames + 1)
    present = np.cumsum(change)[:n_frames]
    return _share(lasting, present, n_lags)


def _share(lasting: Array, present: IntArray, n_lags: int) -> FloatArray:
    """Divide by the origins: those in contact at least so many frames before the end of the run."""
    origins = np.cumsum(present)[::-1][:n_lags].astype(np.float64)
    return np.asarray(np.divide(lasting, origins, out=np.full(n_lags, np.nan), where=origins > 0))


def _intermittent(key: IntArray, frame: IntArray, n_frames: int, n_lags: int) -> FloatArray:
    """Return the share of origins that are in contact again after so many frames, by Fourier transforms in chunks."""
    from scipy.fft import irfft, next_fast_len, rfft

    n = next_fast_len(2 * n_frames, real=True)
    power = np.zeros(n // 2 + 1)
    for table in _tables(key, frame, n_frames, max(1, _CHUNK_NUMBERS // n)):
        transformed = rfft(table, n, axis=1)
        power += np.einsum("pf,pf->f", transformed.real, transformed.real)
        power += np.einsum("pf,pf->f", transformed.imag, transformed.imag)
    again = np.rint(irfft(power, n)[:n_lags])  # counts of pairs of frames are whole numbers
    return _share(again, np.bincount(frame, minlength=n_frames), n_lags)


def _tables(key: IntArray, frame: IntArray, n_frames: int, n_rows: int) -> Iterator[FloatArray]:
    """Yield contacts as tables of ones, one row for each pair of ion and centre, some rows at a time."""
    row = np.cumsum(np.append(False, key[1:] != key[:-1]))
    for first in range(0, int(row[-1]) + 1, n_rows):
        here = slice(*np.searchsorted(row, [first, first + n_rows]))
        table = np.zeros((int(row[here][-1]) - first + 1, n_frames))
        table[row[here] - first, frame[here]] = 1.0
        yield table
