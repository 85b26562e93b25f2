"""The pieces of a run as one trajectory: times go on, and so do unwrapped positions.

Unwrapped positions of a piece start from the wrapped ones in which the piece before ended. Each piece is shifted, atom
by atom, by the difference of the two at that moment, so that the path is continuous. Where the cell moves, the shift
does what the program would have done in one run: ``lizrcl-gpumd`` follows fractional coordinates, so that the
difference is whole cell vectors, which change with the cell; GPUMD adds up displacements: the difference is a constant.
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lizrcl_flows.documents import ThermoSummary
from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.engines.dynamics.base import DynamicsRequest
from lizrcl_flows.engines.dynamics.gpumd_files import RESTART_FILE, TRAJECTORY_FILE, thermo_interval
from lizrcl_flows.engines.finished import finished_facts, mark_finished
from lizrcl_flows.gpumd import read_thermo
from lizrcl_flows.gpumd.extended_xyz import FrameFormat, format_lattice, format_periodicity
from lizrcl_flows.gpumd.netcdf_writer import NetcdfWriter
from lizrcl_flows.gpumd.source import SourceFrame, open_trajectory
from lizrcl_flows.science.thermo import summarise

FOLDER = "joined"
TABLE_FILE = "pieces.json"
FS_PER_PS = 1000.0

WHOLE_VECTORS_A = 1e-3
"""A shift this near to whole cell vectors is one; single precision keeps 60 A to 4e-6 A."""


@dataclass(frozen=True)
class Sampled:
    """A piece with frames.

    Attributes
    ----------
    work
        Folder of its files.
    trajectory
        Name of its file of frames.
    begins
        Steps of the run before it.
    """

    work: Path
    trajectory: str
    begins: int
    n_frames: int


@dataclass(frozen=True)
class Joined:
    """All pieces in one: frames, a summary of ``thermo.out``, and further files that are worth keeping."""

    trajectory: Path
    thermo: ThermoSummary
    files: tuple[Path, ...]


def join(
    request: DynamicsRequest, sampled: Sequence[Sampled], works: Sequence[Path], directory: Path, digest: str
) -> Joined:
    """Join the pieces of a run in the folder ``joined`` of its directory, or find them joined there.

    Parameters
    ----------
    sampled
        Pieces with frames, in order; none where the run ended before.
    works
        Folders of all pieces, in order.
    digest
        SHA-256 of what was joined.
    """
    folder = directory / FOLDER
    name = sampled[0].trajectory if sampled else TRAJECTORY_FILE
    if finished_facts(folder, digest) is None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        with_frames = [piece for piece in sampled if piece.n_frames]
        (folder / name).touch()
        if with_frames:
            with open_trajectory(with_frames[0].work / name) as source:
                species = source.species
            _write(_continuous(with_frames, request), species, folder / name)
        _join_thermo([piece.work for piece in sampled], folder / "thermo.out")
        shutil.copy(works[0] / "model.xyz", folder / "model.xyz")
        if (works[-1] / RESTART_FILE).exists():
            shutil.copy(works[-1] / RESTART_FILE, folder / RESTART_FILE)
        (folder / TABLE_FILE).write_text(_table(works), encoding="utf-8")
        mark_finished(folder, digest)
    thermo = folder / "thermo.out"
    interval_fs = thermo_interval(request) * request.time_step_fs
    kept = (thermo, folder / "model.xyz", folder / RESTART_FILE, folder / TABLE_FILE)
    return Joined(
        folder / name,
        summarise(read_thermo(thermo), request.n_atoms, interval_fs),
        tuple(path for path in kept if path.exists()),
    )


def _continuous(sampled: Sequence[Sampled], request: DynamicsRequest) -> Iterator[SourceFrame]:
    """Yield the frames of all pieces with the times and the unwrapped positions of one run."""
    last: SourceFrame | None = None
    for piece in sampled:
        constant, images = _shift_after(last)
        with open_trajectory(piece.work / piece.trajectory) as source:
            for number, frame in enumerate(source.frames(), 1):
                time_fs = request.time_step_fs * (piece.begins + number * request.sample_every)
                unwrapped = None if frame.unwrapped is None else frame.unwrapped + constant + images @ frame.cell
                last = replace(frame, time_ps=time_fs / FS_PER_PS, unwrapped=unwrapped)
                yield last


def _shift_after(last: SourceFrame | None) -> tuple[Array, Array]:
    """Return the shift of what follows a frame: a constant (A) and cell vectors, each (n, 3); one of them is zero."""
    if last is None or last.unwrapped is None:
        return np.zeros((1, 3)), np.zeros((1, 3))
    shift = last.unwrapped - np.asarray(last.positions, dtype=np.float64)
    images = np.rint(shift @ np.linalg.inv(last.cell))
    if np.abs(shift - images @ last.cell).max() < WHOLE_VECTORS_A:
        return np.zeros((1, 3)), images
    return shift, np.zeros((1, 3))


def _write(frames: Iterator[SourceFrame], species: Sequence[str], path: Path) -> None:
    if path.suffix == ".nc":
        with NetcdfWriter(path, species) as writer:
            for frame in frames:
                positions = np.asarray(frame.positions, dtype=np.float64)
                writer.append(frame.time_ps or 0.0, frame.cell, positions, unwrapped=frame.unwrapped)
        return
    with path.open("w", encoding="utf-8") as file:
        file.writelines(_as_xyz(frames, species))


def _as_xyz(frames: Iterator[SourceFrame], species: Sequence[str]) -> Iterator[str]:
    """Yield frames as extended XYZ: geometry only, since energies of a model look like labels to other programs."""
    layouts = {
        width: FrameFormat(species, [("pos", 3, "%.10f"), ("unwrapped_position", 3, "%.10f")][:width])
        for width in (1, 2)
    }
    for frame in frames:
        arrays = [frame.positions, *([] if frame.unwrapped is None else [frame.unwrapped])]
        time_fs = (frame.time_ps or 0.0) * FS_PER_PS
        header = f"Time={time_fs:.10g} {format_periodicity(frame.pbc)} {format_lattice(frame.cell)}"
        yield layouts[len(arrays)].render(header, arrays)


def _join_thermo(works: Sequence[Path], target: Path) -> None:
    with target.open("wb") as file:
        for path in (work / "thermo.out" for work in works):
            if path.exists():
                content = path.read_bytes()
                file.write(content[: content.rfind(b"\n") + 1])  # a run that was broken off may end within a line


def _table(works: Sequence[Path]) -> str:
    """Return what each piece was asked to do, and how it went."""
    rows = []
    for work in works:
        facts = json.loads((work.parent / "piece.json").read_text(encoding="utf-8"))
        told = {key: value for key, value in facts.items() if key not in ("base", "work")}
        rows.append({**told, "run_in": (work / "run.in").read_text(encoding="utf-8").splitlines()})
    return json.dumps(rows, indent=1) + "\n"
