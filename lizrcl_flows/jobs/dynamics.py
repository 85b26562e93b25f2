"""One molecular-dynamics run as a document: found where it is there, computed once where it is not."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lizrcl_flows.archive import Archive
from lizrcl_flows.documents import Campaign, Committee, Structure, Trajectory
from lizrcl_flows.documents.spec import ConditionSpec
from lizrcl_flows.engines.dynamics.base import Dynamics, DynamicsRequest
from lizrcl_flows.jobs.context import count_cost, provenance, work_directory
from lizrcl_flows.jobs.training import committee_files
from lizrcl_flows.settings import load_settings


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


@dataclass(frozen=True)
class Driver:
    """What gives the forces: a committee, whose first member drives the run, or a level of theory.

    Attributes
    ----------
    engine
        Dynamics engine as the trajectory names it.
    """

    engine: str
    committee: Committee | None = None
    level: str | None = None

    @property
    def parent(self) -> str:
        """Id of the document that the run descends from beside its structure."""
        return self.committee.id if self.committee is not None else str(self.level)


def trajectory_id(archive: Archive, campaign: Campaign, plan: RunPlan, driver: Driver) -> str:
    """Return the id that the trajectory of a run has, or will have."""
    structure = archive.get(Structure, campaign.cell(plan.phase))
    return Trajectory.id_for(**_identity(campaign, plan, structure, driver))


def run_once(archive: Archive, campaign: Campaign, plan: RunPlan, driver: Driver, dynamics: Dynamics) -> str:
    """Return the id of the run's trajectory; the run is computed unless it is in the archive."""
    structure = archive.get(Structure, campaign.cell(plan.phase))
    identity = _identity(campaign, plan, structure, driver)
    name = Trajectory.id_for(**identity)
    if not archive.exists(Trajectory, name):
        with work_directory(name) as directory:
            archive.put(_integrated(archive, structure, identity, (plan, driver, dynamics), directory))
    count_cost(archive, campaign, archive.get(Trajectory, name))
    return name


def _integrated(
    archive: Archive,
    structure: Structure,
    identity: dict[str, Any],
    run: tuple[RunPlan, Driver, Dynamics],
    directory: Path,
) -> Trajectory:
    """Run the dynamics and return the trajectory's document, its files stored."""
    plan, driver, dynamics = run
    members = committee_files(archive, driver.committee, directory / "committee") if driver.committee else ()
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
    )
    result = dynamics.run(request, directory / "run")
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
        health=result.health,
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
    }
