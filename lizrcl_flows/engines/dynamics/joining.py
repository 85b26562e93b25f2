"""The pieces of a run as one trajectory: times go on, and so do unwrapped positions.

Unwrapped positions of a piece start from the wrapped ones of its restart file. Each piece is shifted, atom by atom, by
the difference to where the piece before left the atom. That is a constant, so that the path is continuous and its
displacements are those of the program, also in a cell that changes; whole cell vectors that change with the cell would
add their fluctuation to every atom that ever crossed a boundary.
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lizrcl_flows.documents import ThermoSummary
from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.engines.dynamics.base import DynamicsRequest
from lizrcl_flows.engines.dynamics.gpumd_files import RESTART_FILE, TRAJECTORY_FILE, thermo_interval
from lizrcl_flows.engines.finished import finished_facts, mark_finished
from lizrcl_flows.gpumd import TrajectoryFrame, read_dump_xyz, read_model_xyz, read_thermo
from lizrcl_flows.gpumd.extended_xyz import FrameFormat, format_lattice, format_periodicity
from lizrcl_flows.science.thermo import summarise

FOLDER = "joined"
TABLE_FILE = "pieces.json"


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
        _write_frames(_continuous(sampled, request), folder / name)
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


def _continuous(sampled: Sequence[Sampled], request: DynamicsRequest) -> Iterator[TrajectoryFrame]:
    """Yield the frames of all pieces with the times and the unwrapped positions of one run."""
    last: Array | None = None
    for piece in sampled:
        shift: Array | float = 0.0 if last is None else last - read_model_xyz(piece.work / "model.xyz").positions
        with read_dump_xyz(piece.work / piece.trajectory) as frames:
            for number, frame in enumerate(frames, 1):
                time_fs = request.time_step_fs * (piece.begins + number * request.sample_every)
                last = None if frame.unwrapped_positions is None else frame.unwrapped_positions + shift
                yield replace(frame, time_fs=time_fs, unwrapped_positions=last)


def _write_frames(frames: Iterator[TrajectoryFrame], path: Path) -> None:
    """Write frames as extended XYZ: geometry only, since energies of a model look like labels to other programs."""
    layout: FrameFormat | None = None
    with path.open("w", encoding="utf-8") as file:
        for frame in frames:
            unwrapped = frame.unwrapped_positions
            if layout is None:
                columns = [("pos", 3, "%.10f")]
                columns += [("unwrapped_position", 3, "%.10f")] if unwrapped is not None else []
                layout = FrameFormat(frame.species, columns)
            header = f"Time={frame.time_fs:.10g} {format_periodicity(frame.pbc)} {format_lattice(frame.cell)}"
            file.write(layout.render(header, [frame.positions, *([unwrapped] if unwrapped is not None else [])]))


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
