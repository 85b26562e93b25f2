"""Jobs that run dynamics with the committee: in search of unknown structures, and production with the final one."""

from jobflow import job

from lizrcl_flows.archive import Archive
from lizrcl_flows.documents import Campaign, Committee
from lizrcl_flows.documents.spec import ConditionSpec, ProductionSpec
from lizrcl_flows.engines.dynamics.base import Dynamics
from lizrcl_flows.errors import LizrclError
from lizrcl_flows.jobs.context import derived_seed, open_archive
from lizrcl_flows.jobs.dynamics import Driver, RunPlan, run_once
from lizrcl_flows.jobs.training import committee_of


@job
def explore(campaign_id: str, index: int, phase: str, run: int, dynamics: Dynamics) -> str:
    """Run one piece of exploration with the committee of the generation before; return the trajectory's id."""
    with open_archive() as archive:
        campaign = archive.get(Campaign, campaign_id)
        exploration = campaign.current.exploration
        plan = RunPlan(
            purpose="exploration",
            index=index,
            phase=phase,
            condition=condition_of(campaign, index, phase, run),
            steps=exploration.steps,
            time_step_fs=exploration.time_step_fs,
            sample_every=exploration.sample_every,
            seed=derived_seed(campaign.current.seed, "explore", index, phase, run),
        )
        driver = Driver(exploration.engine, _committee(archive, campaign, index - 1))
        return run_once(archive, campaign, plan, driver, dynamics)


@job
def produce(campaign_id: str, number: int, dynamics: Dynamics) -> str:
    """Run one production trajectory of the campaign with its newest committee; return the trajectory's id."""
    with open_archive() as archive:
        campaign = archive.get(Campaign, campaign_id)
        production: ProductionSpec = campaign.current.production[number]
        committee = _committee(archive, campaign, None)
        plan = RunPlan(
            purpose="production",
            index=committee.generation or 0,
            phase=production.phase,
            condition=ConditionSpec(
                ensemble=production.ensemble,
                temperature_k=production.temperature_k,
                pressure_gpa=production.pressure_gpa,
            ),
            steps=production.steps,
            time_step_fs=production.time_step_fs,
            sample_every=production.sample_every,
            seed=derived_seed(campaign.current.seed, "produce", number, committee.id),
            equilibration_steps=production.equilibration_steps,
            supercell=production.supercell,
        )
        return run_once(archive, campaign, plan, Driver(campaign.current.exploration.engine, committee), dynamics)


def condition_of(campaign: Campaign, index: int, phase: str, run: int) -> ConditionSpec:
    """Return the condition of a run: phases and generations walk through the list so that it is covered evenly."""
    exploration = campaign.current.exploration
    place = campaign.explored_phases().index(phase)
    turn = (index - 1) * exploration.runs_per_phase + run + place
    return exploration.conditions[turn % len(exploration.conditions)]


def _committee(archive: Archive, campaign: Campaign, up_to: int | None) -> Committee:
    committee = committee_of(archive, campaign.name, up_to=up_to)
    if committee is None:
        raise LizrclError(f"campaign {campaign.name} has no committee to run dynamics with")
    return committee
