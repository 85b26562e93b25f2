"""One pass over a trajectory: the paths of the ions, and some whole frames; nothing else stays in memory.

The paths are unwrapped and follow the framework: its mean displacement is taken out of every frame, so that neither a
drifting nor a breathing cell moves an ion. Steps are taken in fractions of the cell; unwrapped positions, where the
file has them, only say into which image an atom went, as programs differ in whether a growing cell carries them along.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lizrcl_flows.errors import InputError
from lizrcl_flows.gpumd.growing import Growing
from lizrcl_flows.gpumd.source import SourceFrame, TrajectorySource

FEWEST_FRAMES = 3
N_SAMPLES = 200
"""Whole frames that are kept, evenly spaced, for analyses of structure."""

LONGEST_STEP = 0.4
"""Share of a cell vector that an atom may move between frames; beyond it the shortest image is anybody's guess."""

UNEVEN = 0.01
"""Relative deviation of the times between frames from their median that is still taken for rounding."""

_JUMPS = (
    "atom {atom} moves by {share:.2f} of cell vector {vector} from frame {frame} to the next; at most "
    f"{LONGEST_STEP:g} can be followed across the boundary: store frames more often, or unwrapped positions"
)
_DISAGREES = (
    "from frame {frame} to the next, wrapped and unwrapped position of atom {atom} move apart by {share:.2f} of cell "
    f"vector {{vector}} besides whole ones; at most {LONGEST_STEP:g} is taken for a change of the cell"
)

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class RunData:
    """What analyses need of one trajectory.

    Attributes
    ----------
    species
        Chemical symbols of all atoms, N of them.
    ion
        Chemical symbol of the diffusing species.
    dt_ps
        Time between frames (ps).
    cells
        Cell vectors in rows (A), shape (T, 3, 3).
    paths
        Unwrapped positions of the ions, the framework's drift taken out (A), shape (T, n, 3).
    sample_frames
        Indices of the whole frames, shape (S,).
    samples
        Positions of all atoms in them, not wrapped, the framework's drift taken out (A), shape (S, N, 3).
    cut_short
        Sentence that says where the file ends inside a frame, or None.
    n_repeated
        Frames that were left out because a run was restarted into the same file.
    """

    species: tuple[str, ...]
    ion: str
    dt_ps: float
    cells: npt.NDArray[np.float64]
    paths: npt.NDArray[np.floating]
    sample_frames: npt.NDArray[np.int64]
    samples: npt.NDArray[np.float32]
    cut_short: str | None = None
    n_repeated: int = 0

    @property
    def ions(self) -> BoolArray:
        """Which atoms diffuse, shape (N,)."""
        return np.array([symbol == self.ion for symbol in self.species])

    @property
    def n_frames(self) -> int:
        """Number of frames, T."""
        return len(self.cells)

    @property
    def n_ions(self) -> int:
        """Number of ions, n."""
        return int(self.paths.shape[1])

    @property
    def times_ps(self) -> npt.NDArray[np.float64]:
        """Time since the first frame (ps), shape (T,)."""
        return np.asarray(np.arange(self.n_frames) * self.dt_ps, dtype=np.float64)

    @property
    def volume_a3(self) -> float:
        """Mean volume of the cell (A^3)."""
        return float(np.abs(np.linalg.det(self.cells)).mean())

    def of(self, *symbols: str) -> BoolArray:
        """Return which atoms are of these species, shape (N,)."""
        return np.isin(np.array(self.species), symbols)


def collect(
    source: TrajectorySource, ion: str, dt_ps: float | None = None, skip_ps: float = 0.0, n_samples: int = N_SAMPLES
) -> RunData:
    """Read a trajectory once and keep what analyses need.

    Parameters
    ----------
    ion
        Chemical symbol of the diffusing species.
    dt_ps
        Time between frames (ps); by default as the file tells.
    skip_ps
        Time at the beginning that is left out (ps).
    n_samples
        Whole frames to keep.

    Raises
    ------
    InputError
        If the species is not there, frames are too few, have no or uneven times, a position is not finite, an atom
        jumps between two frames, or a number given is not accepted.
    """
    if not (skip_ps >= 0 and np.isfinite(skip_ps)):
        raise InputError(f"{skip_ps:g} ps to leave out at the beginning is not accepted: a time of at least 0")
    ions = np.array([symbol == ion for symbol in source.species])
    if not ions.any():
        present = ", ".join(dict.fromkeys(source.species))
        raise InputError(f"{source.path}: there is no {ion} in this trajectory; its species are {present}")
    follower = _Follower(source, ions, n_samples)
    for frame in source.frames():
        follower.take(frame)
    n_frames = len(follower.cells)
    if n_frames < FEWEST_FRAMES:
        raise InputError(f"{source.path}: {_told(n_frames)}; at least {FEWEST_FRAMES} are needed to see anything move")
    interval = _interval(source, follower.times, dt_ps)
    first = int(np.ceil(skip_ps / interval - 1e-9))
    if n_frames - first < FEWEST_FRAMES:
        raise InputError(
            f"{source.path}: {_told(n_frames)}, {max(0, n_frames - first)} after the first {skip_ps:g} ps; at least "
            f"{FEWEST_FRAMES} are needed to see anything move"
        )
    return follower.data(ion, interval, first)


def _told(n_frames: int) -> str:
    return f"{n_frames} frame{'s' * (n_frames != 1)}"


class _Follower:
    """Follows atoms across the boundaries and keeps ions and some whole frames."""

    def __init__(self, source: TrajectorySource, ions: BoolArray, n_samples: int) -> None:
        self._source = source
        self._ions = ions
        self._framework = ~ions if (~ions).any() else ions
        self._n_samples = n_samples
        self._stride = 1
        self._last: npt.NDArray[np.float64] | None = None
        self._last_told = np.zeros((0, 3))
        self._unwrapped = np.zeros((len(ions), 3))
        self._centre = np.zeros(3)
        self.cells: list[npt.NDArray[np.float64]] = []
        self.times: list[float | None] = []
        self._paths = Growing()
        self._samples: dict[int, npt.NDArray[np.float32]] = {}

    def take(self, frame: SourceFrame) -> None:
        """Follow the atoms into this frame."""
        cell = np.array(frame.cell, dtype=np.float64)
        self._follow(frame, cell)
        number = len(self.cells)
        centre = self._unwrapped[self._framework].mean(axis=0)
        if number == 0:
            self._centre = centre
        settled = self._unwrapped - (centre - self._centre)
        self.cells.append(cell)
        self.times.append(frame.time_ps)
        self._paths.append(settled[self._ions])
        if number % self._stride == 0:
            self._keep(number, settled)

    def _follow(self, frame: SourceFrame, cell: npt.NDArray[np.float64]) -> None:
        positions = self._finite(frame.positions)
        told = None if frame.unwrapped is None else self._finite(frame.unwrapped)
        inverse = np.linalg.inv(cell)
        fractional = positions @ inverse
        if self._last is None:
            self._unwrapped = positions
        else:
            step = fractional - self._last
            if told is None:
                step -= np.rint(step)
                self._check(step, _JUMPS)
            else:
                cells = (told - self._last_told) @ inverse - step
                whole = np.rint(cells)
                self._check(cells - whole, _DISAGREES)
                step += whole
            self._unwrapped = self._unwrapped + step @ cell
        self._last = fractional
        if told is not None:
            self._last_told = told

    def _finite(self, values: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Return positions in double precision, or raise the error that says which are no numbers."""
        positions = np.array(values, dtype=np.float64)
        if not np.isfinite(positions).all():
            atom = int(np.flatnonzero(~np.isfinite(positions).all(axis=1))[0])
            raise InputError(
                f"{self._source.path}: the position of atom {atom} in frame {len(self.cells)} is {positions[atom]}; "
                "finite numbers are needed"
            )
        return positions

    def _check(self, fractions: npt.NDArray[np.float64], sentence: str) -> None:
        """Refuse an atom that is too far from where it was to tell into which image it went."""
        longest = float(np.abs(fractions).max())
        if longest > LONGEST_STEP:
            atom, axis = np.unravel_index(int(np.abs(fractions).argmax()), fractions.shape)
            told = sentence.format(atom=atom, share=longest, vector="abc"[int(axis)], frame=len(self.cells) - 1)
            raise InputError(f"{self._source.path}: {told}")

    def _keep(self, number: int, settled: npt.NDArray[np.float64]) -> None:
        """Keep a whole frame; where there are too many, every other one is let go."""
        self._samples[number] = settled.astype(np.float32)
        if len(self._samples) >= 2 * self._n_samples:
            self._stride *= 2
            self._samples = {index: kept for index, kept in self._samples.items() if index % self._stride == 0}

    def data(self, ion: str, dt_ps: float, first: int) -> RunData:
        """Return what was kept from frame `first` on."""
        kept = {index - first: positions for index, positions in self._samples.items() if index >= first}
        if not kept:
            raise InputError(f"{self._source.path}: no whole frame is left after the time that is skipped")
        return RunData(
            species=tuple(self._source.species),
            ion=ion,
            dt_ps=dt_ps,
            cells=np.array(self.cells[first:]),
            paths=self._paths.finish()[first:],
            sample_frames=np.array(list(kept)),
            samples=np.array(list(kept.values())),
            cut_short=self._source.cut_short,
            n_repeated=getattr(self._source, "n_repeated", 0),
        )


def _interval(source: TrajectorySource, times: list[float | None], dt_ps: float | None) -> float:
    """Return the time between frames (ps): as given, or as the file tells."""
    if dt_ps is not None:
        if not (dt_ps > 0 and np.isfinite(dt_ps)):
            raise InputError(f"{dt_ps:g} ps between frames is not accepted: a time greater than 0")
        return dt_ps
    told = np.array([time for time in times if time is not None])
    if len(told) < len(times) or len(told) < 2:
        raise InputError(
            f"{source.path}: the file does not tell the times of its frames; the time between two is needed (--dt-ps)"
        )
    steps = np.diff(told)
    middle = float(np.median(steps))
    if not middle > 0 or np.abs(steps - middle).max() > UNEVEN * middle:
        raise InputError(
            f"{source.path}: frames are {steps.min():g} to {steps.max():g} ps apart; evenly spaced ones are needed"
        )
    return middle
