"""Molecular dynamics by ``gpumd``, GPUMD's own or ours, through their files."""

import logging
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lizrcl_flows.documents.spec import ExplorationSpec
from lizrcl_flows.engines.dynamics.base import DynamicsRequest, DynamicsResult, GoesOn
from lizrcl_flows.engines.dynamics.gpumd_files import (
    CHECKED_FRAMES_FILE,
    CHECKS_FILE,
    NETCDF_FILE,
    TRAJECTORY_FILE,
    hottest_k,
    model_of,
    result_of,
    run_in_of,
    strip_predictions,
)
from lizrcl_flows.engines.dynamics.gpumd_health import judge, survey_frames
from lizrcl_flows.engines.dynamics.pieces import run_in_pieces
from lizrcl_flows.engines.finished import finished_facts, inputs_sha256, mark_finished, write_inputs
from lizrcl_flows.engines.processes import find_program, is_ours, last_words, run_program, sole_use, version_in
from lizrcl_flows.engines.serial import Engine
from lizrcl_flows.errors import EngineError
from lizrcl_flows.gpumd import Release, read_active, render_run_in
from lizrcl_flows.gpumd.model_xyz import render_model_xyz
from lizrcl_flows.gpumd.release import NEWEST
from lizrcl_flows.settings import load_settings

log = logging.getLogger(__name__)

OUR_PROGRAM = "lizrcl-gpumd"
RUN_FOLDER = "gpumd"


@dataclass
class GpumdDynamics(Engine):
    """Run ``gpumd`` with the committee's first member, in a fresh directory.

    Where a request has an `active_threshold`, GPUMD's ``active`` evaluates all members on the way and the trajectory is
    what it wrote, as geometry with the deviation that it found; its table of checks is among the files.

    Parameters
    ----------
    command
        Program with its own arguments, such as ``srun -n 1 gpumd``; that of the worker's settings where none.
    release
        Release of GPUMD whose dialect ``run.in`` is written in, such as "5.6", or "5.6+" for a development snapshot
        after it; where none it is read from the program's banner.
    thermostat_steps, barostat_steps
        Relaxation times of temperature and cell, in time steps.
    elastic_gpa
        Rough elastic constant (GPa) for each component of the cell: it scales how fast the cell moves, not where to.
    correct_velocity_every
        Steps between removals of linear and angular momentum; 0 leaves them alone. The thermostat conserves the linear
        momentum, and the angular momentum of a periodic cell is no constant of motion.
    """

    command: str | None = None
    release: str | None = None
    thermostat_steps: float = 100.0
    barostat_steps: float = 1000.0
    elastic_gpa: float = 50.0
    correct_velocity_every: int = 0

    @classmethod
    def from_spec(cls, spec: ExplorationSpec, command: str | None = None) -> "GpumdDynamics":  # noqa: ARG003
        """Build the engine that a campaign file describes; the conditions come with each request."""
        return cls(command=command)

    def run(self, request: DynamicsRequest, directory: Path, goes_on: GoesOn | None = None) -> DynamicsResult:
        """Run, or find the same run finished in the directory.

        Raises
        ------
        InputError
            If the structure has an element that the potential does not know.
        EngineError
            If the program is missing, refuses its input, or is ended from outside.
        UnfinishedRunError
            If a run of pieces was not to go on.
        """
        if request.piece_steps is not None:
            return run_in_pieces(self, self._run_whole, request, directory, goes_on)
        return self._run_whole(request, directory)

    def _run_whole(self, request: DynamicsRequest, directory: Path) -> DynamicsResult:
        argv = find_program(self.command or load_settings().resolved_gpumd_command(), "LIZRCL_GPUMD_COMMAND")
        ours = is_ours(argv, OUR_PROGRAM)
        if ours:
            argv = [*argv, "--threads", str(request.threads)]
        with sole_use(directory) as lock:
            wanted = list(self._wanted(request, self._releases(argv, directory, lock, ours=ours)))
            facts = next(filter(None, (finished_facts(directory, inputs_sha256(inputs)) for inputs in wanted)), None)
            if facts is None:
                facts = _run_afresh(argv, request, directory, wanted, lock)
        return result_of(directory / RUN_FOLDER, request, facts, seeded=ours or request.ensemble == "nve")

    def _wanted(self, request: DynamicsRequest, releases: list[Release]) -> Iterator[dict[str, bytes]]:
        """Yield the inputs to try: with NetCDF first where it is asked for, in each dialect that can say it."""
        if request.trajectory_format == "netcdf":
            for release in releases:
                if release.unified_dump_syntax:  # older ones write no unwrapped positions to NetCDF
                    yield self._inputs(request, release, netcdf=True)
        yield from (self._inputs(request, release) for release in releases)

    def _inputs(self, request: DynamicsRequest, release: Release, *, netcdf: bool = False) -> dict[str, bytes]:
        potentials = {"nep.txt": Path(request.potentials[0])}
        if request.active_threshold is not None:
            potentials |= {f"nep_{number}.txt": Path(path) for number, path in enumerate(request.potentials) if number}
        run_in = run_in_of(request, self, list(potentials), netcdf=netcdf)
        return {
            "model.xyz": render_model_xyz(model_of(request)).encode(),
            "run.in": render_run_in(run_in, release).encode(),
            **{name: path.read_bytes() for name, path in potentials.items()},
        }

    def _releases(self, argv: list[str], directory: Path, lock: int, *, ours: bool) -> list[Release]:
        """Return the dialects to try. A development snapshot after 5.6 still says 5.6 and may want the newer one."""
        if self.release is not None:
            return [Release.parse(self.release)]
        if ours:
            return [NEWEST]
        probe = directory / "probe"
        probe.mkdir(exist_ok=True)
        run_program(argv, probe, lock, time_limit_s=60)
        release = Release.from_banner((probe / "stdout.txt").read_text(encoding="utf-8", errors="replace"))
        if release is None:
            raise EngineError(f"{argv[0]} printed no version: {last_words(probe)}")
        return [release, NEWEST] if (release.major, release.minor) == (NEWEST.major, NEWEST.minor) else [release]


def _run_afresh(
    argv: list[str], request: DynamicsRequest, directory: Path, wanted: list[dict[str, bytes]], lock: int
) -> dict[str, Any]:
    """Run with the first inputs that the program accepts; only a refused dump keyword is worth another dialect."""
    work = directory / RUN_FOLDER
    for inputs in wanted:
        facts = _run_once(argv, request, directory, inputs, lock)
        if facts is not None:
            return facts
        if "dump" not in last_words(work):
            break
    raise EngineError(f"{argv[0]} did not run in {work}: {last_words(work)}")


def _run_once(
    argv: list[str], request: DynamicsRequest, directory: Path, inputs: dict[str, bytes], lock: int
) -> dict[str, Any] | None:
    """Run the program afresh; return what to remember, or None where it would not begin."""
    work = directory / RUN_FOLDER
    shutil.rmtree(work, ignore_errors=True)
    write_inputs(work, inputs)
    finished = run_program(argv, work, lock, threads=request.threads)
    n_checked = _take_checked_frames(work)
    trajectory = NETCDF_FILE if (work / NETCDF_FILE).exists() else TRAJECTORY_FILE
    n_frames, fault = survey_frames(work / trajectory, request.n_atoms) if request.steps else (0, "")
    health = judge(work, finished, hottest_k(request), n_frames)
    if health is None:
        log.warning("run refused directory=%s program=%s said=%s", work, argv[0], last_words(work))
        return None
    facts = {
        "n_frames": n_frames,
        "n_checked": n_checked,
        "trajectory": trajectory,
        "fault": fault,
        "health": health.as_dict(),
        "version": version_in(work),
        "executable": " ".join(argv),
        "wall_s": finished.wall_s,
    }
    digest = inputs_sha256(inputs)
    mark_finished(directory, digest, inputs_sha256=digest, **facts)
    return {"inputs_sha256": digest, **facts}


def _take_checked_frames(work: Path) -> int | None:
    """Make the frames that ``active`` wrote the trajectory; return how many it checked, or None where it did not."""
    if not (work / CHECKS_FILE).exists():
        return None
    (work / CHECKED_FRAMES_FILE).touch()
    strip_predictions(work / CHECKED_FRAMES_FILE, work / TRAJECTORY_FILE)
    return len(read_active(work / CHECKS_FILE).eps)
