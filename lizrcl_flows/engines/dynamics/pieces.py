"""A long run as pieces that fit into the wall time of a queue: many runs of the program, one trajectory.

Each piece is a run of the program in a folder of its own, ``piece_000`` and so on, from the state in which the last one
ended (``dump_restart``: cell, positions, velocities). A finished piece is marked on the disk, so that whatever happens
at most the piece that runs is repeated. Nothing of the physics is lost at a joint: the thermostats of GPUMD have no
memory but the velocities. What is new is the stream of random numbers, whose seed follows from that of the run and the
number of the piece; a run in pieces is another sample of the same ensemble than a run without, and with
``lizrcl-gpumd`` the same one every time.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from lizrcl_flows.documents import Health
from lizrcl_flows.engines.dynamics.base import DynamicsRequest, DynamicsResult, GoesOn, RunStage, UnfinishedRunError
from lizrcl_flows.engines.dynamics.gpumd_files import RESTART_FILE, thermo_interval
from lizrcl_flows.engines.dynamics.joining import Sampled, join
from lizrcl_flows.engines.processes import replace_text
from lizrcl_flows.engines.serial import Engine
from lizrcl_flows.errors import EngineError, InputError, LizrclError

PIECE_FILE = "piece.json"
MAX_STARTS = 3
"""Starts of one piece without an end after which the wall time is taken to be too short for it."""

_NOT_PHYSICS = ("structure", "potentials", "threads", "piece_steps", "start", "keeps_restart")
_NOT_PHYSICS_OF_ENGINE = ("command", "release")


@dataclass(frozen=True)
class Part:
    """A part of a run: some steps of one stage before sampling, or of sampling.

    Attributes
    ----------
    begins, steps
        Steps of the run before it, and its own.
    stage
        Its temperatures; none where it is sampled.
    """

    begins: int
    steps: int
    stage: RunStage | None = None


@dataclass(frozen=True)
class Piece:
    """A finished piece of a run; what a rerun must know of it.

    Attributes
    ----------
    base
        SHA-256 of what the whole run is.
    work
        Folder of its files, in that of the run.
    """

    base: str
    number: int
    begins: int
    steps: int
    sampled: bool
    seed: int
    work: str
    trajectory: str
    n_frames: int
    health: dict[str, Any]
    version: str
    executable: str
    wall_s: float
    core_hours: float
    inputs_sha256: str
    seeded: bool
    fault: str

    @property
    def ends(self) -> int:
        """Steps of the run until its end."""
        return self.begins + self.steps


def run_in_pieces(
    engine: Engine,
    run_piece: Callable[[DynamicsRequest, Path], DynamicsResult],
    request: DynamicsRequest,
    directory: Path,
    goes_on: GoesOn | None = None,
) -> DynamicsResult:
    """Do what remains of a run, piece after piece, and join them at its end.

    Parameters
    ----------
    engine
        Whose settings are part of what the run is.
    run_piece
        Runs a request as a whole in a directory, or finds it finished there.
    request
        The run, with `piece_steps`. Another number of them than before holds for the pieces that are still to come.
    directory
        Of the run.
    goes_on
        Asked before each piece; none does all of them.

    Raises
    ------
    InputError
        If a piece would hold no frame, or the run is one of GPUMD's ``active``.
    UnfinishedRunError
        If it was not to go on.
    EngineError
        If a piece was begun too often without an end.
    """
    _check(request)
    base = _digest_of_run(engine, request)
    total = sum(stage.steps for stage in request.first_stages) + request.steps
    pieces: list[Piece] = []
    n_new = 0
    while not _ended(pieces, total):
        place = directory / f"piece_{len(pieces):03d}"
        piece = _recorded(place, base, pieces)
        if piece is None:
            part = next_part(request, pieces[-1].ends if pieces else 0)
            expected_s = _expected_s(pieces, part)
            if goes_on is not None and not goes_on(expected_s):
                raise UnfinishedRunError(n_new, part.begins, total, expected_s)
            asked = _request_of(request, part, pieces, directory)
            piece = _run_part(run_piece, asked, place, (base, part, len(pieces)))
            n_new += 1
        pieces.append(piece)
    return _result_of(request, pieces, directory)


def next_part(request: DynamicsRequest, done: int) -> Part:
    """Return what comes after so many steps of a run: at most `piece_steps` of one stage, or whole frames."""
    begins, longest = 0, request.piece_steps or request.steps
    for stage in request.first_stages:
        inside = done - begins
        if inside < stage.steps:
            steps = min(longest, stage.steps - inside)
            slope = (stage.end_k - stage.start_k) / stage.steps
            ends_k = stage.end_k if inside + steps == stage.steps else stage.start_k + slope * (inside + steps)
            return Part(done, steps, RunStage(steps, stage.start_k + slope * inside, ends_k))
        begins += stage.steps
    whole_frames = longest // request.sample_every * request.sample_every
    return Part(done, min(whole_frames, begins + request.steps - done))


def piece_seed(seed: int, number: int) -> int:
    """Return the seed (31 bits) of a piece; the first one has that of the run."""
    if number == 0:
        return seed
    return int.from_bytes(hashlib.sha256(f"{seed}/piece/{number}".encode()).digest()[:4], "little") >> 1


def _check(request: DynamicsRequest) -> None:
    if request.active_threshold is not None:
        raise InputError("a run whose frames are chosen by `active` cannot be done in pieces; leave piece_steps out")
    if request.piece_steps is not None and request.piece_steps < request.sample_every:
        raise InputError(
            f"piece_steps {request.piece_steps} is not accepted: a piece holds one frame at least, so it is not less "
            f"than sample_every, {request.sample_every}"
        )


def _digest_of_run(engine: Engine, request: DynamicsRequest) -> str:
    """Return a SHA-256 of all that makes the run what it is; not of where and in how many steps it is computed."""
    told = {field.name: getattr(request, field.name) for field in fields(request) if field.name not in _NOT_PHYSICS}
    told["stages"] = [[stage.steps, stage.start_k, stage.end_k] for stage in request.stages]
    told["structure"] = request.structure.id
    told["potentials"] = [hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in request.potentials]
    told["engine"] = {key: value for key, value in engine.as_dict().items() if key not in _NOT_PHYSICS_OF_ENGINE}
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()


def _ended(pieces: list[Piece], total: int) -> bool:
    return bool(pieces) and (pieces[-1].ends >= total or pieces[-1].health["status"] != "ok")


def _recorded(place: Path, base: str, before: list[Piece]) -> Piece | None:
    """Return a piece that is finished and goes on from the ones before it, or None."""
    try:
        piece = Piece(**json.loads((place / PIECE_FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    follows = piece.begins == (before[-1].ends if before else 0)
    return piece if follows and piece.base == base else None


def _expected_s(pieces: list[Piece], part: Part) -> float:
    """Return the seconds that a part will take, going by the longest piece; 0 where there is none."""
    longest = max(pieces, key=lambda piece: piece.steps, default=None)
    return longest.wall_s * part.steps / longest.steps if longest else 0.0


def _request_of(request: DynamicsRequest, part: Part, before: list[Piece], directory: Path) -> DynamicsRequest:
    return replace(
        request,
        stages=(part.stage,) if part.stage else (),
        equilibration_steps=0,
        steps=0 if part.stage else part.steps,
        seed=piece_seed(request.seed, len(before)),
        piece_steps=None,
        start=directory / before[-1].work / RESTART_FILE if before else None,
        keeps_restart=True,
        thermo_every=thermo_interval(request),
    )


def _run_part(
    run_piece: Callable[[DynamicsRequest, Path], DynamicsResult],
    request: DynamicsRequest,
    place: Path,
    which: tuple[str, Part, int],
) -> Piece:
    base, part, number = which
    place.mkdir(parents=True, exist_ok=True)
    (place / PIECE_FILE).unlink(missing_ok=True)
    tally = _count_start(place, part, number)
    try:
        result = run_piece(request, place)
    except LizrclError:  # no verdict on the wall time
        tally.unlink()
        raise
    piece = Piece(
        base=base,
        number=number,
        begins=part.begins,
        steps=part.steps,
        sampled=part.stage is None,
        seed=request.seed,
        work=str(result.trajectory.parent.relative_to(place.parent)),
        trajectory=result.trajectory.name,
        n_frames=result.n_frames,
        health=result.health.as_dict(),
        version=result.version,
        executable=result.executable,
        wall_s=result.wall_s,
        core_hours=result.core_hours,
        inputs_sha256=result.inputs_sha256,
        seeded=result.seeded,
        fault=result.fault,
    )
    replace_text(place / PIECE_FILE, json.dumps(piece.__dict__, indent=1) + "\n")
    tally.unlink()
    return piece


def _count_start(place: Path, part: Part, number: int) -> Path:
    """Count a start of a piece; return the file of the count.

    Raises
    ------
    EngineError
        If it was begun too often. The count begins anew then: somebody who runs it again will have changed something.
    """
    tally = place / "starts"
    starts = int(tally.read_text(encoding="utf-8")) if tally.exists() else 0
    if starts >= MAX_STARTS:
        tally.unlink()
        raise EngineError(
            f"piece {number} of the run ({part.steps} steps from step {part.begins} on) was begun {starts} times and "
            "never reached its end: the worker died or its wall time is too short for it; a smaller piece_steps, or "
            "more wall time, is needed"
        )
    tally.write_text(str(starts + 1), encoding="utf-8")
    return tally


def _result_of(request: DynamicsRequest, pieces: list[Piece], directory: Path) -> DynamicsResult:
    sampled = [
        Sampled(directory / piece.work, piece.trajectory, piece.begins, piece.n_frames)
        for piece in pieces
        if piece.sampled
    ]
    digest = hashlib.sha256("\n".join(piece.inputs_sha256 for piece in pieces).encode()).hexdigest()
    joined = join(request, sampled, [directory / piece.work for piece in pieces], directory, digest)
    health, first = Health.from_dict(pieces[-1].health), pieces[0]
    if health.last_step is not None:
        health = health.model_copy(update={"last_step": pieces[-1].begins + health.last_step})
    return DynamicsResult(
        trajectory=joined.trajectory,
        n_frames=sum(piece.n_frames for piece in pieces),
        thermo=joined.thermo,
        health=health,
        version=first.version,
        executable=first.executable,
        wall_s=sum(piece.wall_s for piece in pieces),
        core_hours=sum(piece.core_hours for piece in pieces),
        files=joined.files,
        inputs_sha256=digest,
        seeded=all(piece.seeded for piece in pieces),
        fault="; ".join(f"piece {piece.number}: {piece.fault}" for piece in pieces if piece.fault),
        n_pieces=len(pieces),
    )
