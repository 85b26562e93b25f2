"""A run in GPUMD's files: the input that asks for it, and what the output says of it."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from lizrcl_flows.documents import Health, ThermoSummary
from lizrcl_flows.engines.dynamics.base import DynamicsRequest, DynamicsResult
from lizrcl_flows.engines.processes import replace_text
from lizrcl_flows.errors import InputError
from lizrcl_flows.gpumd import (
    Active,
    Command,
    CorrectVelocity,
    DumpFrames,
    DumpNetcdf,
    DumpRestart,
    DumpThermo,
    Ensemble,
    ModelXyz,
    NptScr,
    Nve,
    NvtBdp,
    Potential,
    Run,
    RunIn,
    TimeStep,
    Velocity,
    read_model_xyz,
    read_thermo,
)
from lizrcl_flows.science.thermo import summarise

TRAJECTORY_FILE = "dump.xyz"
NETCDF_FILE = "all.nc"

RESTART_FILE = "restart.xyz"
CHECKS_FILE = "active.out"
CHECKED_FRAMES_FILE = "active.xyz"
_KEPT_FILES = ("thermo.out", "run.in", "model.xyz", "health.json", "stdout.txt", CHECKS_FILE)
_PREDICTION = re.compile(r' (?:energy|virial|stress)=(?:"[^"]*"|\S+)')


class Integration(Protocol):
    """How the engines of this family integrate, whatever gives the forces.

    Attributes
    ----------
    thermostat_steps, barostat_steps
        Relaxation times of temperature and cell, in time steps.
    elastic_gpa
        Rough elastic constant (GPa) for each component of the cell: it scales how fast the cell moves, not where to.
    correct_velocity_every
        Steps between removals of linear and angular momentum; 0 leaves them alone.
    """

    thermostat_steps: float
    barostat_steps: float
    elastic_gpa: float
    correct_velocity_every: int


def run_in_of(
    request: DynamicsRequest, integration: Integration, potentials: Sequence[str], *, netcdf: bool = False
) -> RunIn:
    """Return the commands of a run: what comes before sampling without output, then sampling.

    With several potentials GPUMD's ``active`` samples: frames are stored where the deviation is large. A run without
    sampled steps writes ``thermo.out`` in its last stage, so that its health can be judged.

    Parameters
    ----------
    request
        The run.
    integration
        Thermostat, barostat and corrections.
    potentials
        What the ``potential`` lines say; the first drives the run.
    netcdf
        Whether frames go to AMBER NetCDF.
    """
    stages = request.first_stages
    first_k = stages[0].start_k if stages else request.temperature_k
    commands: list[Command] = [
        *(Potential(potential) for potential in potentials),
        # those of a restart file stand, but some releases of GPUMD take them up at this line only; ours takes the seed
        Velocity(first_k, request.seed),
        TimeStep(request.time_step_fs),
    ]
    interval = request.correct_velocity_every or integration.correct_velocity_every
    correction = [CorrectVelocity(interval)] if interval else []
    for number, stage in enumerate(stages, 1):
        ends = not request.steps and number == len(stages)
        output = [DumpThermo(max(1, stage.steps // 200)), *_restart(request, stage.steps)] if ends else []
        ensemble = _ensemble(request, integration, stage.start_k, stage.end_k)
        commands += [ensemble, *correction, *output, Run(stage.steps)]
    if request.steps:
        commands += [
            _ensemble(request, integration, request.temperature_k, request.temperature_k),
            *correction,
            DumpThermo(thermo_interval(request)),
            _sampling(request, len(potentials), netcdf=netcdf),
            *_restart(request, request.steps),
            Run(request.steps),
        ]
    return RunIn(tuple(commands))


def _restart(request: DynamicsRequest, steps: int) -> list[Command]:
    return [DumpRestart(steps)] if request.keeps_restart else []


def _sampling(request: DynamicsRequest, n_potentials: int, *, netcdf: bool) -> Command:
    if request.active_threshold is not None and n_potentials > 1:
        return Active(
            request.sample_every,
            has_velocity=False,
            has_force=False,
            has_uncertainty=False,
            threshold=request.active_threshold,
        )
    if netcdf:
        return DumpNetcdf(request.sample_every, NETCDF_FILE, ("unwrapped_position",))
    return DumpFrames(request.sample_every, TRAJECTORY_FILE, ("unwrapped_position",))


def strip_predictions(frames: Path, target: Path) -> None:
    """Copy frames without energy, virial and stress: they are a model's and look like labels to other programs."""
    lines = frames.read_text(encoding="utf-8").splitlines(keepends=True)
    replace_text(target, "".join(_PREDICTION.sub("", line) if "Properties=" in line else line for line in lines))


def _ensemble(request: DynamicsRequest, integration: Integration, start_k: float, end_k: float) -> Ensemble:
    if request.ensemble == "nve":
        return Nve()
    thermostat = NvtBdp(start_k, end_k, integration.thermostat_steps)
    if request.ensemble == "nvt":
        return thermostat
    return NptScr.hydrostatic(
        request.structure.cell,
        request.pressure_gpa or 0.0,
        integration.elastic_gpa,
        thermostat,
        integration.barostat_steps,
    )


def thermo_interval(request: DynamicsRequest) -> int:
    """Return the steps between rows of thermo.out: at least some hundred rows, never rarer than frames.

    In a run of pieces they divide the steps between frames, so that the rows of all pieces are equally spaced.
    """
    if request.thermo_every:
        return request.thermo_every
    steps = max(1, min(request.sample_every, request.steps // 200))
    if request.piece_steps is not None:
        return next(interval for interval in range(steps, 0, -1) if request.sample_every % interval == 0)
    return steps


def model_of(request: DynamicsRequest) -> ModelXyz:
    """Return what a run starts from: the structure, repeated as asked, or the restart file.

    Raises
    ------
    InputError
        If the structure has an element that is not among those of the request.
    """
    from ase.data import chemical_symbols

    if request.start is not None:
        return read_model_xyz(request.start)
    structure = request.structure
    species = tuple(chemical_symbols[number] for number in structure.numbers)
    unknown = sorted(set(species) - set(request.elements))
    if unknown:
        raise InputError(
            f"structure {structure.id} holds {', '.join(unknown)}, the potential knows {', '.join(request.elements)}"
        )
    model = ModelXyz(species, structure.cell, structure.positions, np.array(structure.pbc))
    return model.replicated(request.supercell)


def hottest_k(request: DynamicsRequest) -> float:
    """Return the highest temperature (K) that a run aims at."""
    return max([request.temperature_k, *(max(stage.start_k, stage.end_k) for stage in request.stages)])


def result_of(work: Path, request: DynamicsRequest, facts: dict[str, Any], *, seeded: bool) -> DynamicsResult:
    """Return what a finished run left in a directory.

    Parameters
    ----------
    work
        Where it ran.
    request
        What was asked for.
    facts
        What was remembered: ``n_frames``, ``health``, ``version``, ``executable``, ``wall_s``, ``inputs_sha256``;
        ``n_checked`` where frames were stored by ``active``, ``trajectory`` where it is no extended XYZ, ``fault``.
    seeded
        Whether all random numbers followed from the seed.
    """
    thermo = work / "thermo.out"
    interval_fs = thermo_interval(request) * request.time_step_fs
    return DynamicsResult(
        trajectory=work / facts.get("trajectory", TRAJECTORY_FILE),
        n_frames=facts["n_frames"],
        thermo=summarise(read_thermo(thermo), request.n_atoms, interval_fs) if thermo.exists() else ThermoSummary(),
        health=Health.from_dict(facts["health"]),
        version=facts["version"],
        executable=facts["executable"],
        wall_s=facts["wall_s"],
        core_hours=facts["wall_s"] * request.threads / 3600,
        files=tuple(path for path in (work / name for name in _KEPT_FILES) if path.exists()),
        inputs_sha256=facts["inputs_sha256"],
        seeded=seeded,
        n_checked=facts.get("n_checked"),
        fault=facts.get("fault", ""),
    )
