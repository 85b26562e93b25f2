"""Jobs of generation 0 that run dynamics with the foundation model, whose frames join the first pool."""

from collections.abc import Iterator
from typing import Any

from jobflow import Flow, Response, job

from lizrcl_flows.archive import Archive
from lizrcl_flows.documents import Campaign, Structure, Trajectory
from lizrcl_flows.documents.spec import ConditionSpec, SamplingSpec
from lizrcl_flows.engines.dynamics.base import LevelledDynamics
from lizrcl_flows.jobs.context import derived_seed, open_archive
from lizrcl_flows.jobs.dynamics import Driver, RunPlan, run_once
from lizrcl_flows.jobs.routing import in_category


@job
def sample_phases(campaign_id: str, sampler: LevelledDynamics) -> Any:
    """Fan out: one run for each cell of the pool and each condition of the campaign file."""
    with open_archive() as archive:
        campaign = archive.get(Campaign, campaign_id)
        runs = list(sampling_runs(archive, campaign))
    jobs = [
        in_category(sample(campaign_id, phase, number, sampler), "gpu", f"sample {phase} {_words(condition)}")
        for phase, number, condition in runs
    ]
    return Response(output=campaign_id, detour=Flow(jobs, name="sample") if jobs else None)


@job
def sample(campaign_id: str, phase: str, number: int, sampler: LevelledDynamics) -> str:
    """Run the foundation model in one condition; return the trajectory's id."""
    with open_archive() as archive:
        campaign = archive.get(Campaign, campaign_id)
        sampling = _sampling(campaign)
        plan = RunPlan(
            purpose="sampling",
            index=0,
            phase=phase,
            condition=sampling.conditions[number],
            steps=sampling.steps,
            time_step_fs=sampling.time_step_fs,
            sample_every=sampling.sample_every,
            seed=_seed(campaign, phase, number),
        )
        return run_once(archive, campaign, plan, Driver("ase", level=archive.put(sampler.level())), sampler)


def sampling_runs(archive: Archive, campaign: Campaign) -> Iterator[tuple[str, int, ConditionSpec]]:
    """Yield phase, number of the condition and condition of every run; cells that are too large are left out."""
    sampling = campaign.current.initial.sampling
    if sampling is None:
        return
    for phase, structure_id in campaign.pool_cells().items():
        if archive.get(Structure, structure_id).n_atoms <= sampling.max_atoms:
            for number, condition in enumerate(sampling.conditions):
                yield phase, number, condition


def sampled_trajectories(archive: Archive, campaign: Campaign) -> list[Trajectory]:
    """Return the sampling runs of a campaign, in the order of `sampling_runs`."""
    found = archive.find(Trajectory, {"campaign": campaign.name, "purpose": "sampling"})
    by_seed = {run.seed: run for run in found}
    wanted = (_seed(campaign, phase, number) for phase, number, _ in sampling_runs(archive, campaign))
    return [by_seed[seed] for seed in wanted if seed in by_seed]


def _seed(campaign: Campaign, phase: str, number: int) -> int:
    return derived_seed(campaign.current.seed, "sample", phase, number)


def _sampling(campaign: Campaign) -> SamplingSpec:
    if campaign.current.initial.sampling is None:
        raise ValueError(f"campaign {campaign.name} has no section initial.sampling")
    return campaign.current.initial.sampling


def _words(condition: ConditionSpec) -> str:
    pressure = f" {condition.pressure_gpa:g} GPa" if condition.ensemble == "npt" else ""
    return f"{condition.ensemble} {condition.temperature_k:g} K{pressure}"
