"""Change what a campaign's file says while it runs or after it has ended, as far as that may change."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

from pydantic import JsonValue, ValidationError

from lizrcl_flows.archive import Archive
from lizrcl_flows.documents import Campaign, Committee, Generation
from lizrcl_flows.documents.campaigns import EXTENDED, REOPENED, changed
from lizrcl_flows.documents.changes import flattened, leaves, reason_against
from lizrcl_flows.documents.spec import CampaignSpec, ProductionSpec
from lizrcl_flows.errors import InputError
from lizrcl_flows.jobs.turns import PRODUCTION, NextStep, next_step, reopening_key, turn_id
from lizrcl_flows.science.convergence import is_converged
from lizrcl_flows.systems import validation_sentence

_ATTEMPTS = 8


@dataclass(frozen=True)
class More:
    """How much more a campaign may do or spend; None: no change.

    Attributes
    ----------
    generations
        More than the limit; where learning has ended, more than there are.
    labels, core_hours
        More than the budget.
    """

    generations: int | None = None
    labels: int | None = None
    core_hours: float | None = None


@dataclass(frozen=True)
class Extension:
    """What an extension changed.

    Attributes
    ----------
    changed
        Value before and after, by the key of the campaign file.
    reopened
        Whether learning had ended and goes on.
    step
        What comes next.
    notes
        What to know besides, a sentence each.
    """

    campaign: Campaign
    changed: dict[str, tuple[JsonValue, JsonValue]]
    reopened: bool
    step: NextStep
    notes: list[str] = field(default_factory=list)


def extend_campaign(  # noqa: PLR0913  what is changed, and who says so
    archive: Archive,
    campaign_id: str,
    changes: Mapping[str, JsonValue],
    more: More,
    *,
    who: str = "",
    why: str = "",
    dry_run: bool = False,
) -> Extension:
    """Change keys of a campaign's file; a campaign that has ended goes on, at any time and any number of times.

    Jobs that begin afterwards go by the new values, those of a running turn included.

    Parameters
    ----------
    changes
        New values by dotted key.

    Raises
    ------
    InputError
        If a key does not exist or may not change, a value is not accepted, or nothing would change.
    """
    for _ in range(_ATTEMPTS):
        before = archive.get(Campaign, campaign_id)
        closed = list(archive.find(Generation, {"campaign_id": before.id}, sort=[("index", 1)]))
        ended = _learning_has_ended(archive, before, closed)
        after = _after(archive, before, {**changes, **_more(before, more, closed[-1].index if ended else None)})
        told = _told(before, after)
        reopened = ended and _overrules(archive, after, closed)
        if not told and not reopened:
            raise InputError(f"campaign '{before.name}' goes by these values already: nothing would change")
        if dry_run or not told or _record(archive, before, after, who=who, why=why or _sentence(told)):
            break
    else:
        raise InputError(f"campaign '{before.name}' is being changed by others at the same moment; try again")
    index = closed[-1].index if reopened else None
    if index is not None and not dry_run:
        reason = why or f"goes on: {_sentence(told)}"
        archive.record_event(before.id, REOPENED, value={"after": index}, who=who, why=reason, key=reopening_key(index))
    step = next_step(archive, after, reopened=index)
    if not dry_run and ended and step.state != before.state:
        reason = f"extended ({_sentence(told)}): {step.why}"
        archive.record_event(before.id, "state", field="state", value=step.state, who=who, why=reason)
    notes = list(_notes(archive, before, step, told, closed, ended=ended))
    return Extension(after, told, ended and isinstance(step.turn, int), step, notes)


def _learning_has_ended(archive: Archive, campaign: Campaign, closed: Sequence[Generation]) -> bool:
    """Tell whether nothing more would be learnt as things stand, a pause left aside."""
    if not closed:
        return False
    awake = Campaign.from_record({**campaign.to_record(), "state": "running"})
    return not isinstance(next_step(archive, awake).turn, int)


def _more(campaign: Campaign, more: More, ended_at: int | None) -> dict[str, JsonValue]:
    """Return the keys of what is asked for in addition to what there is.

    Parameters
    ----------
    ended_at
        Last generation, where learning has ended.
    """
    spec, found = campaign.current, dict[str, JsonValue]()
    for name, value in (("generations", more.generations), ("labels", more.labels), ("core-hours", more.core_hours)):
        if value is not None and value <= 0:
            raise InputError(f"--{name} {value:g}: how many more, 1 at least")
    if more.generations is not None:
        found["max_generations"] = (ended_at if ended_at is not None else spec.max_generations) + more.generations
    if more.labels is not None:
        if spec.budget.labels is None:
            raise InputError("--labels: the campaign has no limit of labels; budget.labels=N sets one")
        found["budget.labels"] = max(spec.budget.labels, campaign.labels_spent) + more.labels
    if more.core_hours is not None:
        if spec.budget.core_hours is None:
            raise InputError("--core-hours: the campaign has no limit of core hours; budget.core_hours=H sets one")
        found["budget.core_hours"] = max(spec.budget.core_hours, campaign.core_hours_spent) + more.core_hours
    return found


def _after(archive: Archive, campaign: Campaign, changes: Mapping[str, JsonValue]) -> Campaign:
    """Return the campaign with its changes, checked."""
    asked = flattened(changes)
    if not asked:
        raise InputError("say what changes: KEY=VALUE, --generations, --labels or --core-hours")
    for key in asked:
        reason = reason_against(key)
        if reason:
            raise InputError(f"{key} of campaign '{campaign.name}' cannot change: {reason}")
    try:
        spec = changed(campaign.spec, {**campaign.changes, **asked})
    except ValidationError as error:
        raise InputError(validation_sentence(error)) from error
    submitted = archive.turn(turn_id(campaign.id, PRODUCTION)) is not None
    if submitted and _whole_runs(spec) != _whole_runs(campaign.current):
        raise InputError(
            f"production of campaign '{campaign.name}' cannot change but for piece_steps: its runs have been "
            "submitted, and those of a later committee are compared with them"
        )
    original, now = leaves(campaign.spec), leaves(spec)
    keys = dict.fromkeys([*campaign.changes, *asked])
    merged = {key: now[key] for key in keys if now[key] != original[key]}
    return Campaign.from_record({**campaign.to_record(), "changes": merged})


def _whole_runs(spec: CampaignSpec) -> list[ProductionSpec]:
    """Return the production runs of a campaign file; in which pieces they are done does not matter to them."""
    return [run.model_copy(update={"piece_steps": None}) for run in spec.production]


def _record(archive: Archive, before: Campaign, after: Campaign, *, who: str, why: str) -> bool:
    """Record the changes unless somebody else has changed the campaign meanwhile; return whether it was done."""
    keys = (f"{EXTENDED}/{number}" for number in count(1))
    key = next(key for key in keys if archive.recorded_event(before.id, key) is None)
    if archive.get(Campaign, before.id).changes != before.changes:
        return False
    value = dict(after.changes)
    event = archive.record_event(before.id, EXTENDED, field="changes", value=value, who=who, why=why, key=key)
    return bool(event.value == value)


def _overrules(archive: Archive, campaign: Campaign, closed: Sequence[Generation]) -> bool:
    """Tell whether what the generations have met or lacked has to be overruled for learning to go on.

    Raises
    ------
    InputError
        If there is nothing to go on from.
    """
    if not archive.count(Committee, {"campaign": campaign.name}):
        raise InputError(
            f"campaign '{campaign.name}' cannot go on: it has no committee ({closed[-1].stalled_reason}); a new "
            "campaign can begin with other settings"
        )
    evidence = [generation.convergence for generation in closed]
    return bool(closed[-1].stalled_reason) or is_converged(evidence, campaign.current.convergence)


def _told(before: Campaign, after: Campaign) -> dict[str, tuple[JsonValue, JsonValue]]:
    old, new = leaves(before.current), leaves(after.current)
    return {key: (old[key], value) for key, value in new.items() if old.get(key) != value}


def _sentence(told: Mapping[str, tuple[JsonValue, JsonValue]]) -> str:
    return ", ".join(f"{key} {old} -> {new}" for key, (old, new) in told.items()) or "nothing changed in the file"


def _notes(
    archive: Archive,
    before: Campaign,
    step: NextStep,
    told: Mapping[str, object],
    closed: Sequence[Generation],
    *,
    ended: bool,
) -> Iterator[str]:
    if ended and not isinstance(step.turn, int):
        yield f"learning does not go on yet: {step.why}"
    if isinstance(step.turn, int) and archive.turn(turn_id(before.id, PRODUCTION)) is not None:
        yield "production was submitted with the committee of its time; it runs again with that of the end of learning"
    index = closed[-1].index + 1 if closed else 0
    running = archive.turn(turn_id(before.id, index))
    of_runs = [key for key in told if key.startswith(("exploration.", "screening.", "selection."))]
    if running is not None and running["state"] == "submitted" and of_runs:
        yield f"generation {index} is running: those of its jobs that have not begun go by the new {', '.join(of_runs)}"
