"""Turns of the loop: decide what comes next and submit it exactly once.

A turn is one workflow: generation 0, 1, 2 ... and, when learning has ended, production; once more where another
committee is in force afterwards, because learning went on or people decided so. What comes next is read from the closed
generations in the archive, never from the state of a process, so the same step can be taken by the last job of a turn,
by `lizrcl campaign advance` and by the loop on one machine, in any order and any number of times.
"""

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from lizrcl_flows.archive import Archive
from lizrcl_flows.documents import Campaign, Committee, Generation, Trajectory
from lizrcl_flows.documents.campaigns import REOPENED
from lizrcl_flows.errors import InputError
from lizrcl_flows.jobs.submitters import Submitter
from lizrcl_flows.jobs.training import committee_of
from lizrcl_flows.science.convergence import is_converged

LEASE_SECONDS = 60.0
"""Time in which a submission must be done before another process may take it over."""

PRODUCTION = "production"
"""The first production; a later one is called ``production/<committee>`` by the id of the committee that drives it."""

INITIAL = "initial"
"""The turn that only makes the first training set; generation 0 then finds what it made."""


class TurnMaker(Protocol):
    """What builds the workflow of a turn; `lizrcl_flows.flows.CampaignMaker` does."""

    def make_turn(self, campaign: Campaign, turn: int | str) -> Any:
        """Return the flow of a generation (its index), of production or of the first training set."""
        ...


@dataclass(frozen=True)
class NextStep:
    """What the archive says should happen.

    Attributes
    ----------
    turn
        Index of the generation to run, "production" (or "production/..."), or None where there is nothing to run.
    state, why
        State that the campaign has reached, and the reason in words.
    """

    turn: int | str | None
    state: str
    why: str


@dataclass(frozen=True)
class AdvanceReport:
    """What one call of `advance` did."""

    turn: int | str | None
    submitted: bool
    state: str
    sentence: str


def is_production(turn: int | str | None) -> bool:
    """Tell whether a turn is the first production of a campaign or a later one."""
    return isinstance(turn, str) and turn.partition("/")[0] == PRODUCTION


def committee_of_turn(turn: str) -> str | None:
    """Return the committee that a later production names; None for the first one, which takes the newest."""
    return turn.partition("/")[2] or None


def turn_id(campaign_id: str, turn: int | str) -> str:
    """Return the unique name of a turn: the generation's document id, or `<campaign>/production` or `.../initial`."""
    if isinstance(turn, str):
        return f"{campaign_id}/{turn}"
    return Generation.id_for(campaign_id=campaign_id, index=turn)


def advance(archive: Archive, campaign_id: str, maker: TurnMaker, submitter: Submitter | None) -> AdvanceReport:
    """Take the next step of a campaign once; safe to call at any time, from anywhere.

    Parameters
    ----------
    submitter
        Where the workflow goes; None records the campaign's state and leaves running to the caller.
    """
    campaign = archive.get(Campaign, campaign_id)
    step = next_step(archive, campaign)
    if step.state != campaign.state:
        archive.record_event(campaign_id, "state", field="state", value=step.state, who=_me(), why=step.why)
    if step.turn is None or submitter is None:
        return AdvanceReport(step.turn, submitted=False, state=step.state, sentence=step.why)
    submitted = submit_once(archive, campaign, step.turn, maker, submitter)
    name = f"generation {step.turn}" if isinstance(step.turn, int) else step.turn
    sentence = f"{name} submitted" if submitted else f"{name} had been submitted already"
    return AdvanceReport(step.turn, submitted=submitted, state=step.state, sentence=sentence)


def submit_once(archive: Archive, campaign: Campaign, turn: int | str, maker: TurnMaker, submitter: Submitter) -> bool:
    """Submit one turn unless it is, or is being, submitted by anyone.

    A crash after the workflow reached the LaunchPad and before the turn was marked is found by the workflow's own
    metadata; two callers at once are kept apart by the lease. A turn whose workflow is gone, because somebody has reset
    the queue, is submitted anew: what was finished is in the archive.
    """
    name = turn_id(campaign.id, turn)
    archive.open_turn(name, campaign.id, turn)
    record = archive.turn(name) or {}
    if record.get("state") == "submitted" and record["info"].get("fw_ids") and not submitter.find(name):
        archive.reopen_turn(name)
    if not archive.lease(name, _me(), LEASE_SECONDS):  # only a turn in state "submitting" can be leased
        return False
    found = submitter.find(name)
    ids = found or submitter.submit(maker.make_turn(campaign, turn), name, campaign.name)
    archive.mark(name, "submitted", fw_ids=ids)
    return not found


def next_step(archive: Archive, campaign: Campaign, *, reopened: int | None = None) -> NextStep:
    """Read from the archive what comes next.

    Parameters
    ----------
    reopened
        Generation that an extension is about to overrule, beside those that extensions have overruled.
    """
    closed = list(archive.find(Generation, {"campaign_id": campaign.id}, sort=[("index", 1)]))
    if campaign.state == "paused":
        return NextStep(None, "paused", "the campaign is paused; `lizrcl campaign resume` goes on")
    if not closed:
        return _first_step(archive, campaign)
    last = _reopened(archive, campaign, closed) if reopened is None else reopened
    if closed[-1].stalled_reason and closed[-1].index > last:
        return NextStep(None, "stalled", closed[-1].stalled_reason)
    ended = _ended(campaign, closed, last)
    if ended is None:
        index = closed[-1].index + 1
        return NextStep(index, "running", f"generation {index} goes on from generation {index - 1}")
    return _after_learning(archive, campaign, *ended)


def _first_step(archive: Archive, campaign: Campaign) -> NextStep:
    """Return generation 0, unless workers are making its training set: each label would be computed twice."""
    initial = archive.turn(turn_id(campaign.id, INITIAL))
    if initial is not None and initial["state"] == "submitted":
        return NextStep(
            None, "running", "the first training set is on the LaunchPad; when it is done, generation 0 goes on from it"
        )
    return NextStep(0, "running", "generation 0 makes the first training set")


def submit_part(
    archive: Archive, campaign: Campaign, part: str, maker: TurnMaker, submitter: Submitter
) -> AdvanceReport:
    """Submit the first training set or production by itself, once.

    Raises
    ------
    InputError
        If the campaign is not where this part can begin.
    """
    step = next_step(archive, campaign)
    first = archive.turn(turn_id(campaign.id, 0))
    if part == INITIAL and (step.turn not in (0, None) or (first is not None and first["state"] != "submitting")):
        return AdvanceReport(INITIAL, submitted=False, state=step.state, sentence="generation 0 was submitted already")
    turn = part
    if part == PRODUCTION:
        _require_ready_for_production(archive, campaign, step)
        turn = production_to_come(archive, campaign) or PRODUCTION
    submitted = submit_once(archive, campaign, turn, maker, submitter)
    name = {INITIAL: "the first training set", PRODUCTION: "production"}[part]
    sentence = f"{name} submitted" if submitted else f"{name} had been submitted already"
    return AdvanceReport(part, submitted=submitted, state=step.state, sentence=sentence)


def _require_ready_for_production(archive: Archive, campaign: Campaign, step: NextStep) -> None:
    if not campaign.current.production:
        raise InputError(f"campaign {campaign.name} has no production runs in its file")
    if isinstance(step.turn, int):
        raise InputError(
            f"campaign {campaign.name} is learning ({step.why}); production follows by itself when it has learnt, or "
            f"now after `lizrcl campaign pause {campaign.name}`"
        )
    if not archive.count(Committee, {"campaign": campaign.name}):
        raise InputError(f"campaign {campaign.name} has no committee yet, which production needs")


def _after_learning(archive: Archive, campaign: Campaign, state: str, why: str) -> NextStep:
    if not campaign.current.production:
        return NextStep(None, "complete", why)
    turn = production_to_come(archive, campaign)
    if turn is None:
        return NextStep(None, "complete", f"{why}; production is done")
    again = committee_of_turn(turn)
    return NextStep(turn, state, f"{why}; production goes on with committee {again}" if again else why)


def production_to_come(archive: Archive, campaign: Campaign) -> str | None:
    """Return the production that is to run next, or None where the committee in force has been through one."""
    first = archive.turn(turn_id(campaign.id, PRODUCTION))
    if first is None or first["state"] != "closed":
        return PRODUCTION
    committee = committee_of(archive, campaign.name)
    if committee is None or committee.id in _produced_first(archive, campaign, first):
        return None
    later = f"{PRODUCTION}/{committee.id}"
    turn = archive.turn(turn_id(campaign.id, later))
    return None if turn is not None and turn["state"] == "closed" else later


def _produced_first(archive: Archive, campaign: Campaign, turn: Mapping[str, Any]) -> set[str]:
    """Return the committees of the first production; turns closed by an older version do not name them."""
    told = turn["info"].get("committees")
    if told is None:
        criteria = {"campaign": campaign.name, "purpose": "production"}
        told = [record["committee"] for record in archive.find_records(Trajectory, criteria, fields=["committee"])]
    return set(told)


def reopening_key(index: int) -> str:
    """Return the key of the event by which a campaign goes on although it had ended with this generation."""
    return f"{REOPENED}/{index}"


def _reopened(archive: Archive, campaign: Campaign, closed: list[Generation]) -> int:
    """Return the last generation that an extension has overruled, or -1; older ones than count are not looked at."""
    recent = closed[-campaign.current.convergence.n_generations :]
    overruled = (
        turn.index for turn in reversed(recent) if archive.recorded_event(campaign.id, reopening_key(turn.index))
    )
    return next(overruled, -1)


def _ended(campaign: Campaign, closed: list[Generation], reopened: int) -> tuple[str, str] | None:
    spec = campaign.current
    counted = [generation.convergence for generation in closed if generation.index > reopened]
    if is_converged(counted, spec.convergence):
        return "converged", f"converged: {spec.convergence.n_generations} generations in a row met the criterion"
    if spec.budget.labels is not None and campaign.labels_spent >= spec.budget.labels:
        return "out_of_budget", f"the budget of {spec.budget.labels} labels is spent"
    if spec.budget.core_hours is not None and campaign.core_hours_spent >= spec.budget.core_hours:
        return "out_of_budget", f"the budget of {spec.budget.core_hours:g} core hours is spent"
    if spec.budget.core_hours is not None and closed[-1].n_candidates and not closed[-1].n_selected:
        return "out_of_budget", f"the budget of {spec.budget.core_hours:g} core hours leaves no label"
    if closed[-1].index >= spec.max_generations:
        return "at_limit", f"the limit of {spec.max_generations} generations is reached"
    return None


def _me() -> str:
    return f"{platform.node()}:{os.getpid()}"
