"""Frames of a run: ``dump.xyz`` of both dialects (``dump_exyz`` up to GPUMD v5.6, ``dump_xyz``) and ``active.xyz``.

What a frame says about energy, forces, virial and stress was predicted by a model. It is kept apart, in
`ModelPrediction`, and the geometry is handed on without it, so that nothing of a model's passes for a label.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lizrcl_flows.gpumd.extended_xyz import (
    CutShortError,
    FloatArray,
    RawFrame,
    open_text,
    parse_periodicity,
    read_frames,
)
from lizrcl_flows.gpumd.model_xyz import read_cell

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelPrediction:
    """What the model that drove the run said about a frame. Never a label.

    Attributes
    ----------
    energy
        Potential energy of the cell (eV).
    atom_energies
        Potential energy of each atom (eV), shape (N,).
    forces
        Forces (eV/A), shape (N, 3).
    virial
        Virial (eV), shape (3, 3); compression is positive.
    pressure
        What GPUMD writes as ``stress`` (eV/A^3), shape (3, 3): with the kinetic part, compression positive.
    """

    energy: float | None = None
    atom_energies: FloatArray | None = None
    forces: FloatArray | None = None
    virial: FloatArray | None = None
    pressure: FloatArray | None = None


@dataclass(frozen=True)
class TrajectoryFrame:
    """One frame of a dump file.

    Attributes
    ----------
    species
        Chemical symbols, N of them.
    cell
        Cell vectors in rows (A), shape (3, 3).
    positions
        Positions (A), shape (N, 3).
    pbc
        Periodic directions, shape (3,).
    time_fs
        Time since the start of the run (fs), where the file says it.
    velocities
        Velocities (A/fs), shape (N, 3).
    unwrapped_positions
        Positions followed across the periodic boundaries (A), shape (N, 3).
    masses
        Masses (u), shape (N,).
    groups
        Labels of the grouping methods, shape (N, methods).
    eps
        Largest deviation of a force in the committee (eV/A), in frames of ``active.xyz``.
    eps_atoms
        Deviation of the force on each atom (eV/A), shape (N,), in frames of ``active.xyz``.
    prediction
        What the model said; never a label.
    """

    species: tuple[str, ...]
    cell: FloatArray
    positions: FloatArray
    pbc: npt.NDArray[np.bool_]
    time_fs: float | None
    velocities: FloatArray | None
    unwrapped_positions: FloatArray | None
    masses: FloatArray | None
    groups: npt.NDArray[np.int64] | None
    eps: float | None
    eps_atoms: FloatArray | None
    prediction: ModelPrediction


class TrajectoryReader(Iterator[TrajectoryFrame]):
    """Iterator over the frames of a dump file; one frame is in memory at a time.

    A file that ends inside a frame (its run was killed) is used up to its last whole frame.

    Parameters
    ----------
    path
        The file.

    Attributes
    ----------
    cut_short
        None, or after the last whole frame a sentence that says where the file ends inside a frame.

    Raises
    ------
    InputError
        The file is missing, or a frame other than the last is malformed; the message names the line.
    """

    def __init__(self, path: str | Path) -> None:
        self._where = str(path)
        self._handle = open_text(Path(path))
        self._frames = read_frames(self._handle, self._where)
        self.cut_short: str | None = None

    def __next__(self) -> TrajectoryFrame:
        try:
            return _interpret(next(self._frames), self._where)
        except CutShortError as error:
            self.cut_short = str(error)
            _LOG.warning("%s The whole frames before are used.", error)
            self._handle.close()
            raise StopIteration from None
        except BaseException:
            self._handle.close()
            raise

    def close(self) -> None:
        """Close the file before its end."""
        self._frames = iter(())
        self._handle.close()

    def __enter__(self) -> "TrajectoryReader":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def read_dump_xyz(path: str | Path) -> TrajectoryReader:
    """Read ``dump.xyz``, the file of a ``dump_xyz`` or ``active.xyz``, frame by frame.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    TrajectoryReader
        Iterate over it; it is also a context manager, and its `cut_short` tells whether the file ends inside a frame.

    Raises
    ------
    InputError
        See `TrajectoryReader`.
    """
    return TrajectoryReader(path)


def _interpret(frame: RawFrame, where: str) -> TrajectoryFrame:
    columns = frame.columns
    time = frame.numbers("time", 1, where)
    eps = frame.numbers("uncertainty", 1, where)
    groups = columns.get("group", columns.get("group_labels"))
    return TrajectoryFrame(
        species=frame.species,
        cell=read_cell(frame, where),
        positions=columns["pos"],
        pbc=parse_periodicity(frame.header.get("pbc"), f"{where}, line {frame.line + 1}"),
        time_fs=None if time is None else float(time[0]),
        velocities=columns.get("vel", columns.get("velocity")),
        unwrapped_positions=columns.get("unwrapped_position"),
        masses=columns.get("mass"),
        groups=None if groups is None else groups.reshape(len(frame.species), -1).astype(np.int64),
        eps=None if eps is None else float(eps[0]),
        eps_atoms=columns.get("uncertainty"),
        prediction=_prediction(frame, where),
    )


def _prediction(frame: RawFrame, where: str) -> ModelPrediction:
    columns = frame.columns
    energy = frame.numbers("energy", 1, where)
    virial, pressure = frame.numbers("virial", 9, where), frame.numbers("stress", 9, where)
    return ModelPrediction(
        energy=None if energy is None else float(energy[0]),
        atom_energies=columns.get("energy_atom", columns.get("potential")),
        forces=columns.get("forces", columns.get("force")),
        virial=None if virial is None else virial.reshape(3, 3),
        pressure=None if pressure is None else pressure.reshape(3, 3),
    )
