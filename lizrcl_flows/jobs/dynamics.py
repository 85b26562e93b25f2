"""One molecular-dynamics run as a document: found where it is there, computed once where it is not."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lizrcl_flows.archive import Archive
from lizrcl_flows.documents import Campaign, Committee, Health, Structure, Trajectory
from lizrcl_flows.documents.spec import ConditionSpec
from lizrcl_flows.engines.dynamics.base import (
    Dynamics,
    DynamicsRequest,
    DynamicsResult,
    GoesOn,
    RunStage,
    UnfinishedRunError,
)
from lizrcl_flows.errors import EngineError
from lizrcl_flows.jobs.context import count_cost, provenance, work_directory
from lizrcl_flows.jobs.training import committee_files
from lizrcl_flows.jobs.wall_time import seconds_left, worker_end
from lizrcl_flows.science.run_health import run_warnings
from lizrcl_flows.settings import load_settings

MAX_IDLE_WORKERS = 3
"""Workers, one after the other, whose time is too short for the next piece of a run, before it is given up."""


@dataclass(frozen=True)
class RunPlan:
    """What makes one run different from another.

    Attributes
    ----------
    index
        Generation that the run belongs to.
    sample_every, active_threshold
        Steps between samples; where a threshold (eV/A) is given, an engine that can check them with GPUMD's ``active``
        stores only those above it.
    structure
        Id of the structure, where it is no cell of the campaign.
    equilibration_temperature_k, heating_steps
        Where given, the run begins there with as many equilibration steps as later, and is heated in so many steps.
    correct_velocity_every
        Steps between removals of momentum; 0 leaves it alone.
    piece_steps
        Longest piece of the run; one piece where none.
    """

    purpose: str
    index: int
    phase: str
    condition: ConditionSpec
    steps: int
    time_step_fs: float
    sample_every: int
    seed: int
    equilibration_steps: int = 0
    supercell: tuple[int, int, int] = (1, 1, 1)
    active_threshold: float | None = None
    structure: str | None = None
    equilibration_temperature_k: float | None = None
    heating_steps: int = 0
    correct_velocity_every: int = 0
    piece_steps: int | None = None
    trajectory_format: Literal["xyz", "netcdf"] = "xyz"

    @property
    def stages(self) -> tuple[RunStage, ...]:
        """What comes before the equilibration at the temperature of the run."""
        first_k, last_k = self.equilibration_temperature_k, self.condition.temperature_k
        if first_k is None:
            return ()
        return (RunStage(self.equilibration_steps, first_k, first_k), RunStage(self.heating_steps, first_k, last_k))


@dataclass(frozen=True)
class Driver:
    """What gives the forces: a committee, one of whose members drives the run, or a level of theory.

    Attributes
    ----------
    engine
        Dynamics engine as the trajectory names it.
    member
        Place of the driving member in the committee.
    """

    engine: str
    committee: Committee | None = None
    level: str | None = None
    member: int = 0

    @property
    def parent(self) -> str:
        """Id of the document that the run descends from beside its structure."""
        return self.committee.id if self.committee is not None else str(self.level)


def trajectory_id(archive: Archive, campaign: Campaign, plan: RunPlan, driver: Driver) -> str:
    """Return the id that the trajectory of a run has, or will have."""
    return Trajectory.id_for(**_identity(campaign, plan, _structure(archive, campaign, plan), driver))


def run_once(
    archive: Archive,
    campaign: Campaign,
    plan: RunPlan,
    driver: Driver,
    dynamics: Dynamics,
    goes_on: GoesOn | None = None,
) -> str:
    """Return the id of the run's trajectory; the run is computed unless it is in the archive.

    Raises
    ------
    UnfinishedRunError
        If `goes_on` did not let the next piece of the run begin; called again, it goes on from there.
    """
    structure = _structure(archive, campaign, plan)
    identity = _identity(campaign, plan, structure, driver)
    name = Trajectory.id_for(**identity)
    if not archive.exists(Trajectory, name):
        with work_directory(name) as directory:
            try:
                document = _integrated(archive, structure, identity, (plan, driver, dynamics, goes_on), directory)
            except UnfinishedRunError as stop:
                count_idle_worker(directory, stop)
                raise
            archive.put(document)
    count_cost(archive, campaign, archive.get(Trajectory, name))
    return name


def _structure(archive: Archive, campaign: Campaign, plan: RunPlan) -> Structure:
    return archive.get(Structure, plan.structure or campaign.cell(plan.phase))


def count_idle_worker(directory: Path, stop: UnfinishedRunError) -> None:
    """Remember a worker whose time was too short for the next piece of a run, until one gets on with it.

    Raises
    ------
    EngineError
        If that holds for several workers in a row: no piece fits.
    """
    note = directory / "idle_workers"
    left, end = seconds_left(), worker_end()
    if stop.n_new or left is None:
        note.unlink(missing_ok=True)
        return
    ends = {*(note.read_text(encoding="utf-8").split() if note.exists() else ()), str(end)}
    note.write_text("\n".join(sorted(ends)), encoding="utf-8")
    if len(ends) >= MAX_IDLE_WORKERS:
        note.unlink()
        raise EngineError(
            f"{stop}; the next piece needs about {stop.next_s:.0f} s, and {len(ends)} workers one after the other had "
            f"less, the last one {max(left, 0):.0f} s: no piece fits; a smaller piece_steps or more wall time is needed"
        )


def _integrated(
    archive: Archive,
    structure: Structure,
    identity: dict[str, Any],
    run: tuple[RunPlan, Driver, Dynamics, GoesOn | None],
    directory: Path,
) -> Trajectory:
    """Run the dynamics and return the trajectory's document, its files stored."""
    plan, driver, dynamics, goes_on = run
    members = committee_files(archive, driver.committee, directory / "committee") if driver.committee else []
    members = [*members[driver.member :], *members[: driver.member]]
    request = DynamicsRequest(
        structure=structure,
        potentials=members,
        elements=driver.committee.elements if driver.committee else tuple(structure.chemical_system.split("-")),
        ensemble=plan.condition.ensemble,
        temperature_k=plan.condition.temperature_k,
        pressure_gpa=identity["pressure_gpa"],
        steps=plan.steps,
        equilibration_steps=plan.equilibration_steps,
        time_step_fs=plan.time_step_fs,
        sample_every=plan.sample_every,
        seed=plan.seed,
        supercell=plan.supercell,
        threads=load_settings().threads,
        active_threshold=plan.active_threshold,
        stages=plan.stages,
        correct_velocity_every=plan.correct_velocity_every,
        trajectory_format=plan.trajectory_format,
        piece_steps=plan.piece_steps,
    )
    result = _run(dynamics, request, directory / "run", goes_on)
    return Trajectory(
        **identity,
        n_atoms=structure.n_atoms * plan.supercell[0] * plan.supercell[1] * plan.supercell[2],
        formula=structure.formula,
        phase=structure.phase,
        region=structure.region,
        cell=plan.phase,
        n_frames=result.n_frames,
        n_checked=result.n_checked,
        thermo=result.thermo,
        health=_health(plan, result),
        piece_steps=plan.piece_steps,
        n_pieces=result.n_pieces,
        files=tuple(archive.put_file(path) for path in (result.trajectory, *result.files)),
        wall_s=result.wall_s,
        core_hours=result.core_hours,
        parents=(structure.id, driver.parent),
        seeded=result.seeded,
        provenance=provenance(
            driver.engine,
            engine_version=result.version,
            executable=result.executable,
            inputs_sha256=result.inputs_sha256 or None,
        ),
    )


def _run(dynamics: Dynamics, request: DynamicsRequest, directory: Path, goes_on: GoesOn | None) -> DynamicsResult:
    """Run; an engine of somebody else's need not know pieces."""
    if request.piece_steps is None:
        return dynamics.run(request, directory)
    return dynamics.run(request, directory, goes_on)


def _health(plan: RunPlan, result: DynamicsResult) -> Health:
    """Return the health of a run; that of a production run with what speaks against using it."""
    if plan.purpose != "production":
        return result.health
    length_ns = plan.steps * plan.time_step_fs * 1e-6
    warnings = run_warnings(result.thermo, plan.condition.temperature_k, length_ns, fault=result.fault)
    return result.health.model_copy(update={"warnings": warnings})


def _identity(campaign: Campaign, plan: RunPlan, structure: Structure, driver: Driver) -> dict[str, Any]:
    return {
        "purpose": plan.purpose,
        "structure": structure.id,
        "committee": driver.committee.id if driver.committee else None,
        "level": driver.level,
        "supercell": plan.supercell,
        "ensemble": plan.condition.ensemble,
        "temperature_k": plan.condition.temperature_k,
        "pressure_gpa": plan.condition.pressure_gpa if plan.condition.ensemble == "npt" else None,
        "steps": plan.steps,
        "equilibration_steps": plan.equilibration_steps,
        "time_step_fs": plan.time_step_fs,
        "sample_every": plan.sample_every,
        "active_threshold": plan.active_threshold,
        "seed": plan.seed,
        "engine": driver.engine,
        "campaign": campaign.name,
        "generation": plan.index,
        "equilibration_temperature_k": plan.equilibration_temperature_k,
        "heating_steps": plan.heating_steps,
        "correct_velocity_every": plan.correct_velocity_every,
        "member": driver.member,
    }
