"""Jobs that run dynamics: exploration in search of unknown structures, and production with the final committee."""

from dataclasses import dataclass
from typing import Any

from jobflow import job

from lizrcl_flows.archive import Archive
from lizrcl_flows.documents import Campaign, Committee, Structure, Trajectory
from lizrcl_flows.documents.spec import ConditionSpec, ProductionSpec
from lizrcl_flows.engines.dynamics.base import Dynamics, DynamicsRequest
from lizrcl_flows.errors import LizrclError
from lizrcl_flows.jobs.context import count_cost, derived_seed, open_archive, provenance, work_directory
from lizrcl_flows.jobs.training import committee_files, committee_of
from lizrcl_flows.settings import load_settings


@job
def explore(campaign_id: str, index: int, phase: str, run: int, dynamics: Dynamics) -> str:
    """Run one piece of exploration with the committee of the generation before; return the trajectory's id."""
    with open_archive() as archive:
        campaign = archive.get(Campaign, campaign_id)
        exploration = campaign.spec.exploration
        condition = condition_of(campaign, index, phase, run)
        planned = _Plan(
            purpose="exploration",
            phase=phase,
            condition=condition,
            steps=exploration.steps,
            equilibration_steps=0,
            time_step_fs=exploration.time_step_fs,
            sample_every=exploration.sample_every,
            supercell=(1, 1, 1),
            seed=derived_seed(campaign.spec.seed, "explore", index, phase, run),
        )
        return _run(archive, campaign, index, planned, dynamics)


@job
def produce(campaign_id: str, number: int, dynamics: Dynamics) -> str:
    """Run one production trajectory of the campaign with its newest committee; return the trajectory's id."""
    with open_archive() as archive:
        campaign = archive.get(Campaign, campaign_id)
        production: ProductionSpec = campaign.spec.production[number]
        committee = _committee(archive, campaign, None)
        planned = _Plan(
            purpose="production",
            phase=production.phase,
            condition=ConditionSpec(
                ensemble=production.ensemble,
                temperature_k=production.temperature_k,
                pressure_gpa=production.pressure_gpa,
            ),
            steps=production.steps,
            equilibration_steps=production.equilibration_steps,
            time_step_fs=production.time_step_fs,
            sample_every=production.sample_every,
            supercell=production.supercell,
            seed=derived_seed(campaign.spec.seed, "produce", number, committee.id),
        )
        return _run(archive, campaign, committee.generation or 0, planned, dynamics)


@dataclass(frozen=True)
class _Plan:
    """What makes one run different from another."""

    purpose: str
    phase: str
    condition: ConditionSpec
    steps: int
    equilibration_steps: int
    time_step_fs: float
    sample_every: int
    supercell: tuple[int, int, int]
    seed: int


def condition_of(campaign: Campaign, index: int, phase: str, run: int) -> ConditionSpec:
    """Return the condition of a run: phases and generations walk through the list so that it is covered evenly."""
    exploration = campaign.spec.exploration
    names = [spec.name for spec in campaign.spec.phases]
    turn = (index - 1) * exploration.runs_per_phase + run + names.index(phase)
    return exploration.conditions[turn % len(exploration.conditions)]


def _committee(archive: Archive, campaign: Campaign, up_to: int | None) -> Committee:
    committee = committee_of(archive, campaign.name, up_to=up_to)
    if committee is None:
        raise LizrclError(f"campaign {campaign.name} has no committee to run dynamics with")
    return committee


def _run(archive: Archive, campaign: Campaign, index: int, plan: _Plan, dynamics: Dynamics) -> str:
    up_to = index - 1 if plan.purpose == "exploration" else None
    committee = _committee(archive, campaign, up_to)
    structure = archive.get(Structure, campaign.phases[plan.phase])
    identity = _identity(campaign, index, plan, structure, committee)
    trajectory_id = Trajectory.id_for(**identity)
    if not archive.exists(Trajectory, trajectory_id):
        _integrate(archive, structure, committee, plan, dynamics, identity)
    count_cost(archive, campaign, archive.get(Trajectory, trajectory_id))
    return trajectory_id


def _integrate(
    archive: Archive,
    structure: Structure,
    committee: Committee,
    plan: _Plan,
    dynamics: Dynamics,
    identity: dict[str, Any],
) -> None:
    """Run the dynamics and write the trajectory's document."""
    with work_directory(Trajectory.id_for(**identity)) as directory:
        request = DynamicsRequest(
            structure=structure,
            potentials=committee_files(archive, committee, directory / "committee"),
            elements=committee.elements,
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
        )
        result = dynamics.run(request, directory / "run")
        copies = plan.supercell[0] * plan.supercell[1] * plan.supercell[2]
        archive.put(
            Trajectory(
                **identity,
                n_atoms=structure.n_atoms * copies,
                formula=structure.formula,
                phase=structure.phase,
                region=structure.region,
                n_frames=result.n_frames,
                thermo=result.thermo,
                health=result.health,
                files=tuple(archive.put_file(path) for path in (result.trajectory, *result.files)),
                wall_s=result.wall_s,
                core_hours=result.core_hours,
                parents=(structure.id, committee.id),
                seeded=result.seeded,
                provenance=provenance(
                    identity["engine"],
                    engine_version=result.version,
                    executable=result.executable,
                    inputs_sha256=result.inputs_sha256 or None,
                ),
            )
        )


def _identity(
    campaign: Campaign, index: int, plan: _Plan, structure: Structure, committee: Committee
) -> dict[str, Any]:
    return {
        "purpose": plan.purpose,
        "structure": structure.id,
        "committee": committee.id,
        "supercell": plan.supercell,
        "ensemble": plan.condition.ensemble,
        "temperature_k": plan.condition.temperature_k,
        "pressure_gpa": plan.condition.pressure_gpa if plan.condition.ensemble == "npt" else None,
        "steps": plan.steps,
        "equilibration_steps": plan.equilibration_steps,
        "time_step_fs": plan.time_step_fs,
        "sample_every": plan.sample_every,
        "seed": plan.seed,
        "engine": campaign.spec.exploration.engine,
        "campaign": campaign.name,
        "generation": index,
    }
