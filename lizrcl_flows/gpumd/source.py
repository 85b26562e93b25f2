"""A trajectory from any file that can be read, frame by frame: GPUMD's extended XYZ and NetCDF, and what ASE knows.

One frame is in memory at a time, of the atoms that are asked for. A file that ends inside a frame is used up to its
last whole one; frames whose time does not go on, because a run was restarted into the same file, are left out and
counted.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from lizrcl_flows.errors import InputError
from lizrcl_flows.gpumd.growing import Growing

_LOG = logging.getLogger(__name__)

_NETCDF_3 = b"CDF"
_HDF_5 = b"\x89HDF"
_LEAST_VOLUME_A3 = 1e-6

Floats = npt.NDArray[np.floating[Any]]
Selection = npt.NDArray[np.bool_] | npt.NDArray[np.integer[Any]] | Sequence[int] | None


@dataclass(frozen=True)
class SourceFrame:
    """One frame of the atoms that were asked for.

    Attributes
    ----------
    cell
        Cell vectors in rows (A), shape (3, 3).
    positions
        Positions as the file has them (A), shape (n, 3).
    unwrapped
        Positions followed across the boundaries (A), shape (n, 3), where the file has them.
    time_ps
        Time of the frame (ps), where the file tells it.
    pbc
        Periodic directions, shape (3,).
    """

    cell: npt.NDArray[np.float64]
    positions: Floats
    unwrapped: Floats | None = None
    time_ps: float | None = None
    pbc: tuple[bool, bool, bool] = (True, True, True)


@dataclass(frozen=True)
class Paths:
    """All frames of some atoms.

    Attributes
    ----------
    species
        Chemical symbols, n of them.
    positions, unwrapped
        Shape (T, n, 3), single precision (A); `unwrapped` where the file has them.
    cells
        Shape (T, 3, 3) (A).
    times_ps
        Shape (T,) (ps), where the file tells them.
    n_repeated
        Frames that were left out because their time did not go on.
    cut_short
        Sentence that says where the file ends inside a frame, or None.
    """

    species: tuple[str, ...]
    positions: npt.NDArray[np.float32]
    unwrapped: npt.NDArray[np.float32] | None
    cells: npt.NDArray[np.float64]
    times_ps: npt.NDArray[np.float64] | None
    n_repeated: int
    cut_short: str | None


class TrajectorySource(ABC):
    """A trajectory file that was opened; a context manager.

    Attributes
    ----------
    path
        The file.
    format
        ``gpumd-xyz``, ``amber-netcdf`` or ``ase:`` with ASE's name of the format.
    species
        Chemical symbols of all atoms.
    groups
        Labels of the grouping methods, shape (N, methods), where the file has them.
    n_frames
        Number of whole frames, where that is known before reading.
    cut_short
        None, or, once it was noticed, a sentence that says where the file ends inside a frame.
    n_repeated
        Frames left out of the last reading because their time did not go on.
    """

    format: str

    def __init__(self, path: Path, species: Sequence[str]) -> None:
        self.path = path
        self.species = tuple(species)
        self.groups: npt.NDArray[np.int64] | None = None
        self.n_frames: int | None = None
        self.cut_short: str | None = None
        self.n_repeated = 0
        self.has_unwrapped = False

    @property
    def n_atoms(self) -> int:
        """Number of all atoms."""
        return len(self.species)

    @abstractmethod
    def _frames(self, chosen: npt.NDArray[np.int64] | None) -> Iterator[SourceFrame]:
        """Yield every whole frame of the chosen atoms; None for all of them."""

    def frames(self, select: Selection = None, first: int = 0, stride: int = 1) -> Iterator[SourceFrame]:
        """Yield frames of some atoms.

        Parameters
        ----------
        select
            Mask of shape (N,) or indices of the atoms; by default all.
        first, stride
            First frame, and steps between those that are yielded.

        Raises
        ------
        InputError
            If a frame other than the last is malformed.
        """
        if stride < 1 or first < 0:
            raise InputError(f"stride {stride} and first frame {first} are not accepted: at least 1 and 0")
        self.n_repeated = 0
        last = -np.inf
        number = 0
        for frame in self._frames(_indices(select, self.n_atoms)):
            if frame.time_ps is not None:
                if frame.time_ps <= last:
                    self.n_repeated += 1
                    continue
                last = frame.time_ps
            if number >= first and (number - first) % stride == 0:
                yield frame
            number += 1
        if self.cut_short:
            _LOG.warning("%s the whole frames before are used", self.cut_short)

    def read(self, select: Selection = None, stride: int = 1) -> Paths:
        """Read all frames of some atoms into memory; see `frames`.

        Raises
        ------
        InputError
            If there is no whole frame, or one other than the last is malformed.
        """
        positions, unwrapped = Growing(), Growing()
        cells, times = [], []
        for frame in self.frames(select, stride=stride):
            positions.append(frame.positions)
            if frame.unwrapped is not None:
                unwrapped.append(frame.unwrapped)
            cells.append(frame.cell)
            times.append(frame.time_ps)
        if not cells:
            raise InputError(f"{self.path}: there is no whole frame in this file")
        chosen = _indices(select, self.n_atoms)
        known = [time for time in times if time is not None]
        return Paths(
            species=self.species if chosen is None else tuple(self.species[index] for index in chosen),
            positions=positions.finish(),
            unwrapped=unwrapped.finish() if len(unwrapped) == len(cells) else None,
            cells=np.array(cells),
            times_ps=np.array(known) if len(known) == len(cells) else None,
            n_repeated=self.n_repeated,
            cut_short=self.cut_short,
        )

    def close(self) -> None:  # noqa: B027 - what holds no file has nothing to let go of
        """Let go of the file."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_trajectory(path: str | Path, elements: Sequence[str] | None = None) -> TrajectorySource:
    """Open a trajectory; its first bytes say what it is.

    Parameters
    ----------
    elements
        Chemical symbols of GPUMD's types 0, 1, ..., for a NetCDF file that has only numbers; by default those of a
        model.xyz beside it.

    Raises
    ------
    InputError
        If there is no such file, it is empty, or nobody can read it.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; a trajectory file is needed")
    with path.open("rb") as handle:
        begin = handle.read(64)
    if not begin:
        raise InputError(f"{path}: the file is empty; a trajectory file is needed")
    if begin.startswith((_NETCDF_3, _HDF_5)):
        from lizrcl_flows.gpumd.source_netcdf import NetcdfSource

        return NetcdfSource(path, elements, compressed=begin.startswith(_HDF_5))
    if begin.split(b"\n", 1)[0].strip().isdigit():
        from lizrcl_flows.gpumd.source_xyz import XyzSource, has_lattice

        if has_lattice(path):
            return XyzSource(path)
    from lizrcl_flows.gpumd.source_ase import AseSource

    return AseSource(path)


def with_volume(cell: npt.NDArray[np.float64], where: str) -> npt.NDArray[np.float64]:
    """Return a cell as it is, or raise the error that says that it has no volume.

    GPUMD writes vectors of length 0 to NetCDF where a direction is not periodic.
    """
    (ax, ay, az), (bx, by, bz), (cx, cy, cz) = cell.tolist()
    volume = ax * (by * cz - bz * cy) + ay * (bz * cx - bx * cz) + az * (bx * cy - by * cx)
    if not abs(volume) > _LEAST_VOLUME_A3:
        raise InputError(f"{where}: the cell has no volume; one that is periodic in all directions is needed")
    return cell


def _indices(select: Selection, n_atoms: int) -> npt.NDArray[np.int64] | None:
    if select is None:
        return None
    given = np.asarray(select)
    indices = np.flatnonzero(given) if given.dtype == bool else given.astype(np.int64)
    return None if len(indices) == n_atoms and (indices == np.arange(n_atoms)).all() else indices
