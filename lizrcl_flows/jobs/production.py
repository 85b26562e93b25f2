"""Jobs of production: long runs with one committee, in pieces that fit into the wall time of workers."""

from typing import Any

from jobflow import Flow, Response, job

from lizrcl_flows.archive import Archive
from lizrcl_flows.documents import Campaign, Committee, Structure
from lizrcl_flows.documents.spec import ConditionSpec, ProductionSpec
from lizrcl_flows.documents.spec_learning import STUDY_CELLS
from lizrcl_flows.engines.dynamics.base import Dynamics, UnfinishedRunError
from lizrcl_flows.errors import InputError, LizrclError
from lizrcl_flows.jobs.context import derived_seed, open_archive
from lizrcl_flows.jobs.dynamics import Driver, RunPlan, run_once, trajectory_id
from lizrcl_flows.jobs.routing import in_category
from lizrcl_flows.jobs.training import committee_of
from lizrcl_flows.jobs.wall_time import fits, seconds_left, wait_for_the_end


@job
def produce(campaign_id: str, number: int, dynamics: Dynamics, committee: str | None = None) -> Any:
    """Run one production trajectory of the campaign; return the trajectory's id.

    What this worker cannot finish before the end of its wall time is handed over, as a job of its own, which goes on
    from the last finished piece.

    Parameters
    ----------
    number
        Of the run: the entries of the campaign file in order, each with its temperatures in order.
    committee
        Id of the committee that drives it; the newest one in force where none.
    """
    with open_archive() as archive:
        campaign = archive.get(Campaign, campaign_id)
        driving = _committee(archive, campaign, committee)
        member = _member(campaign, number, driving)
        driver = Driver(campaign.current.exploration.engine, driving, member=member)
        plan = production_plan(archive, campaign, number, driving)
        try:
            return run_once(archive, campaign, plan, driver, dynamics, lambda next_s: fits(seconds_left(), next_s))
        except UnfinishedRunError as stop:
            left = seconds_left()
            if left is not None and not stop.n_new:
                wait_for_the_end(left)
            title = f"produce {plan.phase} {plan.condition.temperature_k:g} K continued"
            rest = in_category(produce(campaign_id, number, dynamics, driving.id), "gpu", title)
            name = trajectory_id(archive, campaign, plan, driver)
            return Response(output=name, detour=Flow([rest], name=title))


def production_plan(archive: Archive, campaign: Campaign, number: int, committee: Committee) -> RunPlan:
    """Return what makes one production run of a campaign; a cell of the study is built and stored on the way.

    Raises
    ------
    InputError
        If the campaign file has no such run.
    """
    runs = ProductionSpec.runs(campaign.current.production)
    if number >= len(runs):
        raise InputError(f"campaign {campaign.name} has no production run {number}: its file names {len(runs)}")
    run, temperature_k = runs[number]
    heated = run.equilibration_temperature_k not in (None, temperature_k)
    return RunPlan(
        purpose="production",
        index=committee.generation or 0,
        phase=run.phase,
        condition=ConditionSpec(ensemble=run.ensemble, temperature_k=temperature_k, pressure_gpa=run.pressure_gpa),
        steps=run.steps,
        time_step_fs=run.time_step_fs,
        sample_every=run.sample_every,
        seed=derived_seed(campaign.current.seed, "produce", number, committee.id),
        equilibration_steps=run.equilibration_steps,
        supercell=run.supercell,
        structure=_study_cell(archive, campaign, run.phase),
        equilibration_temperature_k=run.equilibration_temperature_k if heated else None,
        heating_steps=run.heating_steps if heated else 0,
        correct_velocity_every=run.correct_velocity_every,
        piece_steps=run.piece_steps,
        trajectory_format=run.trajectory_format,
    )


def _member(campaign: Campaign, number: int, committee: Committee) -> int:
    """Return the place of the member that drives a run.

    Raises
    ------
    InputError
        If the committee has no such member, or the campaign file no such run.
    """
    runs = ProductionSpec.driven_runs(campaign.current.production)
    member = runs[number][2] if number < len(runs) else 0
    if member >= len(committee.members):
        raise InputError(
            f"campaign {campaign.name}: production asks for {member + 1} members or more, but {committee.id} has "
            f"{len(committee.members)}"
        )
    return member


def _study_cell(archive: Archive, campaign: Campaign, phase: str) -> str | None:
    """Return the structure of a cell of the study, stored now; None for a cell that the campaign has."""
    if phase not in STUDY_CELLS or phase in campaign.phases or phase in campaign.prepared:
        return None
    from lizrcl_flows.science.interfaces.presets import build_study_cell, study_match

    cell, match = build_study_cell(phase), study_match(phase)
    # the crystals are bundled with the package: their own history is not part of the campaign
    crystals = [
        side.crystal.structure.revised(campaign=campaign.name, parents=()) for side in (match.film, match.substrate)
    ]
    for made in (*crystals, cell.revised(campaign=campaign.name)):
        if not archive.exists(Structure, made.id):
            archive.put(made)
    return cell.id


def _committee(archive: Archive, campaign: Campaign, name: str | None) -> Committee:
    if name is not None:
        return archive.get(Committee, name)
    committee = committee_of(archive, campaign.name)
    if committee is None:
        raise LizrclError(f"campaign {campaign.name} has no committee to run dynamics with")
    return committee
