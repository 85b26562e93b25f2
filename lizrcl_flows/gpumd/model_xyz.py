"""``model.xyz`` (what ``gpumd`` starts from) and ``restart.xyz`` (the same format, written on the way)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lizrcl_flows.errors import InputError
from lizrcl_flows.gpumd.extended_xyz import (
    FloatArray,
    FrameFormat,
    RawFrame,
    format_lattice,
    format_periodicity,
    open_text,
    parse_periodicity,
    read_frames,
)
from lizrcl_flows.gpumd.masses import standard_mass


@dataclass(frozen=True)
class ModelXyz:
    """A structure to run molecular dynamics on.

    Attributes
    ----------
    species
        Chemical symbols, N of them.
    cell
        Cell vectors in rows (A), shape (3, 3).
    positions
        Cartesian positions (A), shape (N, 3).
    pbc
        Periodic directions, shape (3,).
    masses
        Masses (u), shape (N,); None leaves them to the table of the program that reads the file.
    velocities
        Velocities (A/fs), shape (N, 3); where they are given the keyword ``velocity`` has no effect.
    groups
        Labels (from 0) of every grouping method, shape (N, methods).
    """

    species: tuple[str, ...]
    cell: FloatArray
    positions: FloatArray
    pbc: npt.NDArray[np.bool_]
    masses: FloatArray | None = None
    velocities: FloatArray | None = None
    groups: npt.NDArray[np.int64] | None = None

    def masses_or_standard(self) -> FloatArray:
        """Masses (u): the given ones, or those of the elements."""
        if self.masses is not None:
            return self.masses
        return np.array([standard_mass(symbol) for symbol in self.species])

    def replicated(self, counts: Sequence[int]) -> "ModelXyz":
        """Repeat the structure along its three cell vectors.

        Parameters
        ----------
        counts
            How often along each vector, at least 1.
        """
        total = int(np.prod(counts))
        shifts = np.array(list(np.ndindex(*counts)), dtype=np.float64) @ self.cell
        positions = (shifts[:, None, :] + self.positions[None, :, :]).reshape(-1, 3)
        return ModelXyz(
            self.species * total,
            self.cell * np.asarray(counts, dtype=np.float64)[:, None],
            positions,
            self.pbc,
            None if self.masses is None else np.tile(self.masses, total),
            None if self.velocities is None else np.tile(self.velocities, (total, 1)),
            None if self.groups is None else np.tile(self.groups, (total, 1)),
        )


def read_model_xyz(path: str | Path) -> ModelXyz:
    """Read ``model.xyz`` or ``restart.xyz``.

    Columns other than species, pos, mass, vel and group, and every energy, virial or stress in the header, are not
    kept: they would be a model's, and nothing of a model's may pass for a label.

    Parameters
    ----------
    path
        The file; it holds exactly one frame.

    Raises
    ------
    InputError
        The file is missing, cut short, malformed, or holds more than one frame; the cell has no volume.
    """
    path = Path(path)
    where = str(path)
    with open_text(path) as handle:
        frames = read_frames(handle, where)
        frame = next(frames, None)
        if frame is None:
            raise InputError(f"{where} is empty; it should hold one frame.")
        if next(frames, None) is not None:
            raise InputError(f"{where} holds more than one frame; it should hold exactly one.")
    return model_from_frame(frame, where)


def model_from_frame(frame: RawFrame, where: str) -> ModelXyz:
    """Interpret one frame as a model.

    Raises
    ------
    InputError
        No lattice, a cell without volume, a wrong number of columns, or a mass that is not positive.
    """
    cell = read_cell(frame, where)
    columns = frame.columns
    masses, groups = columns.get("mass"), columns.get("group")
    if masses is not None and not np.all(masses > 0.0):
        raise InputError(f"{where}: every mass should be greater than 0.")
    velocities = columns.get("vel")
    if velocities is not None and velocities.ndim != 2:
        raise InputError(f"{where}, line {frame.line + 1}: velocities should be declared as vel:R:3.")
    return ModelXyz(
        species=frame.species,
        cell=cell,
        positions=columns["pos"],
        pbc=parse_periodicity(frame.header.get("pbc"), f"{where}, line {frame.line + 1}"),
        masses=masses,
        velocities=velocities,
        groups=None if groups is None else groups.reshape(len(frame.species), -1).astype(np.int64),
    )


def read_cell(frame: RawFrame, where: str) -> FloatArray:
    """Cell vectors in rows (A) from ``Lattice=``.

    Raises
    ------
    InputError
        ``Lattice`` is absent, is not nine numbers, or spans no volume.
    """
    numbers = frame.numbers("lattice", 9, where)
    if numbers is None:
        raise InputError(f'{where}, line {frame.line + 1}: Lattice="..." with nine numbers is missing.')
    cell = numbers.reshape(3, 3)
    lengths = np.linalg.norm(cell, axis=1)
    if not np.all(np.isfinite(cell)) or abs(np.linalg.det(cell)) < 1e-6 * max(float(np.prod(lengths)), 1e-300):
        raise InputError(f"{where}, line {frame.line + 1}: the cell has no volume.")
    return cell


def render_model_xyz(model: ModelXyz) -> str:
    """Text of ``model.xyz``: 17 significant digits, so that reading it back gives the same numbers."""
    columns: list[tuple[str, int, str]] = [("pos", 3, "%.17g")]
    arrays: list[npt.NDArray[np.generic]] = [model.positions]
    if model.masses is not None:
        columns.append(("mass", 1, "%.17g"))
        arrays.append(model.masses)
    if model.velocities is not None:
        columns.append(("vel", 3, "%.17g"))
        arrays.append(model.velocities)
    if model.groups is not None:
        columns.append(("group", model.groups.shape[1], "%d"))
        arrays.append(model.groups)
    header = f"{format_periodicity(model.pbc)} {format_lattice(model.cell, '%.17g')}"
    return FrameFormat(model.species, columns).render(header, arrays)


def write_model_xyz(path: str | Path, model: ModelXyz) -> None:
    """Write ``model.xyz``; the file appears whole or not at all.

    Parameters
    ----------
    path
        Where.
    model
        What.
    """
    replace_file(Path(path), render_model_xyz(model))


def replace_file(path: Path, text: str) -> None:
    """Put `text` into `path` in one step: a reader sees the old file or the new one."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
