"""What a user does with campaigns: make one, start it on FireWorks or run it here, advance, pause and resume it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lizrcl_flows.archive import Archive
from lizrcl_flows.documents import Campaign
from lizrcl_flows.errors import InputError
from lizrcl_flows.flows.campaign import CampaignMaker
from lizrcl_flows.flows.initial import InitialMaker
from lizrcl_flows.jobs.beginning import new_campaign
from lizrcl_flows.jobs.submitters import FireWorksSubmitter
from lizrcl_flows.jobs.turns import AdvanceReport, advance, turn_id

__all__ = ["find_campaign", "new_campaign", "run_campaign", "run_initial", "set_paused", "start_campaign"]


def find_campaign(archive: Archive, name_or_id: str) -> Campaign:
    """Return a campaign by its name or by (a unique prefix of) its id.

    Raises
    ------
    NotFoundError
        If there is none.
    """
    by_name = list(archive.find(Campaign, {"name": name_or_id}))
    return by_name[0] if by_name else archive.get(Campaign, name_or_id)


def start_campaign(archive: Archive, campaign_id: str) -> AdvanceReport:
    """Submit whatever comes next to the LaunchPad; calling it again changes nothing.

    Raises
    ------
    InputError
        If the campaign names an engine, or a model file, that is not there.
    """
    campaign = archive.get(Campaign, campaign_id)
    maker = CampaignMaker.from_spec(campaign.current)
    maker.generation.initial.check(campaign.current.elements)
    with FireWorksSubmitter(archive.uri, archive.database_name) as submitter:
        submitter.prepare()
        return advance(archive, campaign_id, maker, submitter)


def run_campaign(
    archive: Archive,
    campaign_id: str,
    job_store: Any,
    directory: Path,
    on_turn: Callable[[AdvanceReport], None] | None = None,
) -> Campaign:
    """Run a campaign on this machine, one turn after the other, until it has ended.

    Interrupted, it is simply called again: finished documents are found, not computed twice.

    Raises
    ------
    InputError
        If the turn to run is on the LaunchPad already, or the campaign names a model file that is not there.
    """
    from jobflow import run_locally

    campaign = archive.get(Campaign, campaign_id)
    maker = CampaignMaker.from_spec(campaign.current, manager="local")
    maker.generation.initial.check(campaign.current.elements)
    while True:
        report = advance(archive, campaign_id, maker, None)
        if on_turn is not None:
            on_turn(report)
        if report.turn is None:
            return archive.get(Campaign, campaign_id)
        campaign = archive.get(Campaign, campaign_id)
        maker = maker.revised(campaign.current) if campaign.changes else maker
        name = turn_id(campaign_id, report.turn)
        archive.open_turn(name, campaign_id, report.turn)
        _require_not_queued(archive, name)
        archive.mark(name, "submitted", manager="local")
        run_locally(
            maker.make_turn(campaign, report.turn),
            store=job_store,
            create_folders=True,
            root_dir=directory,
            ensure_success=True,
            raise_immediately=True,
            log=False,
        )


def run_initial(archive: Archive, campaign_id: str, job_store: Any, directory: Path) -> Campaign:
    """Make the labelled data set of generation 0 on this machine, and stop there; `run_campaign` goes on from it.

    Interrupted, it is simply called again: what is in the archive or on the disk is not computed twice.

    Raises
    ------
    InputError
        If generation 0 is on the LaunchPad already, or the campaign names an engine or a model file that is not there.
    """
    from jobflow import run_locally

    campaign = archive.get(Campaign, campaign_id)
    maker = InitialMaker.from_spec(campaign.current)
    maker.check(campaign.current.elements)
    _require_not_queued(archive, turn_id(campaign_id, 0))
    run_locally(
        maker.make(campaign),
        store=job_store,
        create_folders=True,
        root_dir=directory,
        ensure_success=True,
        raise_immediately=True,
        log=False,
    )
    return archive.get(Campaign, campaign_id)


def _require_not_queued(archive: Archive, turn: str) -> None:
    """Refuse to run here what workers of the LaunchPad are running."""
    record = archive.turn(turn) or {}
    if record.get("state") == "submitted" and "fw_ids" in record["info"]:
        raise InputError(f"turn {turn} is on the LaunchPad already; `rlaunch rapidfire` runs it")


def set_paused(archive: Archive, campaign_id: str, *, paused: bool, who: str, why: str) -> str:
    """Pause a campaign after its running generation, or let it go on. Returns the state."""
    state = "paused" if paused else "running"
    archive.record_event(campaign_id, "state", field="state", value=state, who=who, why=why)
    return state
