"""The frames of a generation's exploration: judged by the committee once, structures read where they are needed."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lizrcl_flows.archive import Archive
from lizrcl_flows.documents import Candidate, Committee, Origin, Structure, Trajectory
from lizrcl_flows.gpumd import TrajectoryFrame, read_dump_xyz
from lizrcl_flows.jobs.context import provenance
from lizrcl_flows.nep import Committee as NepCommittee
from lizrcl_flows.science.quotas import Option
from lizrcl_flows.science.screening import Judged
from lizrcl_flows.science.structures import structure_from_frame

FRAMES_PER_CALL = 64
"""Frames that the committee evaluates in one call: enough to fill the threads, few enough for any memory."""

EpsAtoms = npt.NDArray[np.float32]


@dataclass(frozen=True)
class ExploredFrames:
    """Every frame of some runs with the committee's opinion; frames are numbered from 0 through all runs.

    Attributes
    ----------
    runs, paths
        The runs and where the frames of each are.
    judged
        One entry for each frame, without the id of its structure.
    eps_atoms
        Committee deviation of its atoms (eV/A), shape (n_atoms,) each.
    """

    campaign: str
    runs: Sequence[Trajectory]
    paths: Sequence[Path]
    judged: Sequence[Judged]
    eps_atoms: Sequence[EpsAtoms]

    @classmethod
    def judge(
        cls, campaign: str, runs: Sequence[Trajectory], paths: Sequence[Path], evaluator: NepCommittee, threads: int
    ) -> "ExploredFrames":
        """Evaluate every frame with every member."""
        judged: list[Judged] = []
        eps_atoms: list[EpsAtoms] = []
        for run, (trajectory, path) in enumerate(zip(runs, paths, strict=True)):
            with read_dump_xyz(path) as frames:
                number = 0
                while chunk := list(islice(frames, FRAMES_PER_CALL)):
                    for frame, result in zip(chunk, evaluator.evaluate(chunk, threads), strict=True):
                        time_fs = frame.time_fs or (number + 1) * trajectory.sample_every * trajectory.time_step_fs
                        judged.append(Judged(run, number, time_fs, float(result.eps), structure_id=""))
                        eps_atoms.append(result.eps_atoms.astype(np.float32))
                        number += 1
        return cls(campaign, runs, paths, judged, eps_atoms)

    @property
    def eps(self) -> npt.NDArray[np.float64]:
        """Committee deviation of each frame (eV/A), shape (n,)."""
        return np.array([frame.eps for frame in self.judged], dtype=float)

    @property
    def n_unwritten(self) -> npt.NDArray[np.int64]:
        """Frames of each run that GPUMD's ``active`` judged and did not write, shape (n_runs,)."""
        written = np.bincount(np.array([frame.run for frame in self.judged], dtype=np.int64), minlength=len(self.runs))
        checked = [run.n_checked for run in self.runs]
        missing = [0 if n is None else max(0, n - int(here)) for n, here in zip(checked, written, strict=True)]
        return np.array(missing, dtype=np.int64)

    def structures(self, numbers: Iterable[int]) -> dict[int, Structure]:
        """Read the structures of some frames."""
        wanted: dict[int, dict[int, int]] = {}
        for number in numbers:
            frame = self.judged[number]
            wanted.setdefault(frame.run, {})[frame.frame] = number
        return {
            places[position]: self._structure(run, position, frame)
            for run, places in sorted(wanted.items())
            for position, frame in _frames(self.paths[run], max(places))
            if position in places
        }

    def option(self, number: int, core_hours: float | None) -> Option:
        """Return what bounds on the labels look at in a frame."""
        run = self.runs[self.judged[number].run]
        return Option(run.cell or run.phase, run.region, run.temperature_k, core_hours)

    def save(self, path: Path, committee: Committee) -> None:
        """Write eps of every frame and of its atoms, with what is needed to know whose it is; equal bytes each time.

        Half precision holds eps of the atoms to three digits.
        """
        metric, ddof = (Candidate.model_fields[name].default for name in ("eps_metric", "eps_ddof"))
        frames = self.judged
        np.savez_compressed(
            path,
            allow_pickle=False,
            run=np.array([frame.run for frame in frames], dtype="<i4"),
            frame=np.array([frame.frame for frame in frames], dtype="<i4"),
            time_fs=np.array([frame.time_fs for frame in frames], dtype="<f8"),
            eps=self.eps.astype("<f8"),
            n_atoms=np.array([len(part) for part in self.eps_atoms], dtype="<i4"),
            eps_atoms=np.concatenate([np.zeros(0), *self.eps_atoms]).clip(max=6e4).astype("<f2"),
            trajectories=np.array([run.id for run in self.runs], dtype=str),
            models=np.array(committee.members, dtype=str),
            metric=np.array(metric),
            ddof=np.array(ddof),
        )

    def _structure(self, run: int, number: int, frame: TrajectoryFrame) -> Structure:
        trajectory = self.runs[run]
        return structure_from_frame(
            frame,
            origin=Origin(kind="exploration", source=trajectory.id, parameters={"frame": number}),
            phase=trajectory.phase,
            region=trajectory.region,
            parents=(trajectory.id,),
        ).revised(campaign=self.campaign, generation=trajectory.generation, provenance=provenance())


def fetch_frames(archive: Archive, runs: Sequence[Trajectory], directory: Path) -> list[Path]:
    """Write the file with the frames of each run below a directory; return the paths."""
    return [archive.fetch_file(run.files[0], directory / f"run{number}") for number, run in enumerate(runs)]


def _frames(path: Path, last: int) -> Iterator[tuple[int, TrajectoryFrame]]:
    """Read frames with their numbers, up to a last one."""
    with read_dump_xyz(path) as frames:
        yield from enumerate(islice(frames, last + 1))
