"""Jobs that run dynamics with the committee in search of structures that it does not know."""

from collections import Counter
from typing import Any, cast

from jobflow import Flow, Response, job

from lizrcl_flows.archive import Archive
from lizrcl_flows.documents import Campaign, Committee, Generation
from lizrcl_flows.documents.campaigns import EXPLORATION
from lizrcl_flows.documents.spec import ConditionSpec
from lizrcl_flows.engines.dynamics.base import Dynamics
from lizrcl_flows.errors import LizrclError
from lizrcl_flows.jobs.context import derived_seed, open_archive
from lizrcl_flows.jobs.dynamics import Driver, RunPlan, run_once, trajectory_id
from lizrcl_flows.jobs.production import produce  # noqa: F401  (workflows that were submitted before name it here)
from lizrcl_flows.jobs.routing import in_category
from lizrcl_flows.jobs.training import committee_of
from lizrcl_flows.science.grid import Ledgers, allocate, grid

ACTIVE_MARGIN = 0.99
"""GPUMD evaluates in single precision: it keeps frames from a little below eps_lo on, and our committee decides."""


@job
def submit_exploration(campaign_id: str, index: int, dynamics: Dynamics) -> Any:
    """Fan out: one Firework for each run of a generation, where the ledgers of the generations before say.

    What was decided first stands: a rerun, or a campaign file that has changed since, must not give one generation two
    sets of runs.
    """
    with open_archive() as archive:
        campaign = archive.get(Campaign, campaign_id)
        driver = Driver(campaign.current.exploration.engine, _committee(archive, campaign, index - 1))
        runs = _decided(archive, campaign, index)
        plans = [_plan(campaign, index, run) for run in runs]
        trajectories = [trajectory_id(archive, campaign, plan, driver) for plan in plans]
    jobs = [
        in_category(explore(campaign_id, index, run, dynamics), "gpu", f"explore {run['phase']} {run['run']}")
        for run in runs
    ]
    return Response(output={"plan": runs, "trajectories": trajectories}, detour=Flow(jobs, name=f"explore {index}"))


@job
def explore(campaign_id: str, index: int, run: dict[str, Any], dynamics: Dynamics) -> str:
    """Run one piece of exploration with the committee of the generation before; return the trajectory's id.

    Parameters
    ----------
    run
        One entry of the ``plan`` that `submit_exploration` returns.
    """
    with open_archive() as archive:
        campaign = archive.get(Campaign, campaign_id)
        driver = Driver(campaign.current.exploration.engine, _committee(archive, campaign, index - 1))
        return run_once(archive, campaign, _plan(campaign, index, run), driver, dynamics)


def planned_runs(campaign: Campaign, index: int, ledgers: Ledgers) -> list[dict[str, Any]]:
    """Return the runs of a generation: where, under which condition, how long, and which of a phase's runs it is.

    Parameters
    ----------
    ledgers
        What the generations before it did, by their index.
    """
    spec = campaign.current
    exploration, phases = spec.exploration, campaign.explored_phases()
    allotted = allocate(
        grid(phases, exploration.conditions),
        ledgers,
        exploration.runs_per_phase * len(phases),
        exploration.refined_share,
        derived_seed(spec.seed, "grid", index),
    )
    active = exploration.active_every
    length = {
        "steps": exploration.steps,
        "time_step_fs": exploration.time_step_fs,
        "sample_every": active or exploration.sample_every,
        "active_threshold": ACTIVE_MARGIN * spec.screening.eps_lo if active else None,
    }
    runs, of_phase = [], Counter[str]()
    for item in allotted:
        phase = item.cell.phase
        where = {"phase": phase, "run": of_phase[phase], **item.cell.condition.model_dump()}
        runs.append({**where, "refined": item.refined, **length})
        of_phase[phase] += 1
    return runs


def ledgers_before(archive: Archive, campaign_id: str, index: int) -> Ledgers:
    """Return what the closed generations before this one did in each cell of the grid, by their index."""
    earlier = {"campaign_id": campaign_id, "index": {"$lt": index}}
    return {generation.index: generation.ledger for generation in archive.find(Generation, earlier)}


def _decided(archive: Archive, campaign: Campaign, index: int) -> list[dict[str, Any]]:
    key = f"{EXPLORATION}/{index}"
    decided = archive.recorded_event(campaign.id, key)
    if decided is None:
        runs = planned_runs(campaign, index, ledgers_before(archive, campaign.id, index))
        n_refined = sum(run["refined"] for run in runs)
        why = f"{len(runs) - n_refined} runs walk over the grid, {n_refined} go where the committee knows least"
        decided = archive.record_event(campaign.id, EXPLORATION, value=runs, why=why, key=key)
    return cast("list[dict[str, Any]]", decided.value)


def _plan(campaign: Campaign, index: int, run: dict[str, Any]) -> RunPlan:
    names = ("ensemble", "temperature_k", "pressure_gpa")
    return RunPlan(
        purpose="exploration",
        index=index,
        phase=run["phase"],
        condition=ConditionSpec(**{name: run[name] for name in names}),
        steps=run["steps"],
        time_step_fs=run["time_step_fs"],
        sample_every=run["sample_every"],
        seed=derived_seed(campaign.current.seed, "explore", index, run["phase"], run["run"]),
        active_threshold=run["active_threshold"],
    )


def _committee(archive: Archive, campaign: Campaign, up_to: int | None) -> Committee:
    committee = committee_of(archive, campaign.name, up_to=up_to)
    if committee is None:
        raise LizrclError(f"campaign {campaign.name} has no committee to run dynamics with")
    return committee
