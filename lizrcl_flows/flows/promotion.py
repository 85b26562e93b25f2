"""Which generation's committee explores and produces, where people decide it and not the gates."""

from collections.abc import Sequence
from dataclasses import dataclass

from lizrcl_flows.archive import Archive
from lizrcl_flows.documents import Campaign, Committee, Generation
from lizrcl_flows.errors import InputError, NotFoundError
from lizrcl_flows.science.validation.gates import failed, in_force


@dataclass(frozen=True)
class Decision:
    """What a promotion or a rollback comes to.

    Attributes
    ----------
    generations
        Indices whose state changes.
    state
        Their new state.
    committee
        Committee that is in force then.
    sentence
        All that in words.
    """

    generations: tuple[int, ...]
    state: str
    committee: str
    sentence: str


def promote(archive: Archive, campaign: Campaign, index: int, *, who: str, why: str, dry_run: bool = False) -> Decision:
    """Put a generation's committee in force that failed a gate or was rolled back.

    Raises
    ------
    InputError
        If a turn is running; if the generation is in force, ended without a committee of its own, or a newer one is in
        force.
    NotFoundError
        If there is no such closed generation.
    """
    turns = _idle_turns(archive, campaign)
    turn = _turn(campaign, turns, index)
    name = f"generation {index} of campaign '{campaign.name}'"
    committee = _own_committee(archive, turn)
    if committee is None:
        raise InputError(f"{name} trained no committee, so there is nothing to promote")
    if in_force(turn):
        raise InputError(f"{name} is {turn.state} and in force; only one that was rolled back can be promoted")
    newer = [other.index for other in _in_force(archive, turns) if other.index > index]
    if newer:
        raise InputError(
            f"generation {newer[-1]} is newer than {index} and in force: roll back from generation {newer[0]} on first"
        )
    missed = failed(turn.gates)
    told = f", although it failed {missed}" if missed else ""
    sentence = f"{name} is promoted{told}; committee {committee} explores and produces from now on"
    decision = Decision((index,), "promoted", committee, sentence)
    return decision if dry_run else _recorded(archive, [turn], decision, "promotion", (who, why))


def roll_back(
    archive: Archive, campaign: Campaign, index: int | None = None, *, who: str, why: str, dry_run: bool = False
) -> Decision:
    """Take a generation, and every later one, out of force: the committee before it explores and produces.

    Labels and data sets stay; the next training begins from all of them.

    Parameters
    ----------
    index
        The first generation that is taken out of force; the newest one that is in force where none.

    Raises
    ------
    InputError
        If a turn is running; if the generation is not in force, or no other one would be.
    NotFoundError
        If there is no such closed generation.
    """
    turns = _idle_turns(archive, campaign)
    standing = _in_force(archive, turns)
    if index is None:
        if not standing:
            raise InputError(f"campaign '{campaign.name}' has no committee in force that could be rolled back")
        index = standing[-1].index
    turn = _turn(campaign, turns, index)
    if turn not in standing:
        reason = "is rolled back already" if not in_force(turn) else "trained no committee"
        raise InputError(f"generation {index} of campaign '{campaign.name}' {reason}")
    left = [other for other in standing if other.index < index]
    if not left:
        raise InputError(
            f"generation {index} is the first of campaign '{campaign.name}' with a committee in force; without it none "
            "would be left to go on with"
        )
    gone = [other for other in standing if other.index >= index]
    committee = str(left[-1].committee_after)
    names = ", ".join(str(other.index) for other in gone)
    sentence = (
        f"generation{'s' if len(gone) > 1 else ''} {names} of campaign '{campaign.name}' rolled back; committee "
        f"{committee} of generation {left[-1].index} explores and produces from now on, and no label is lost"
    )
    decision = Decision(tuple(other.index for other in gone), "rolled_back", committee, sentence)
    return decision if dry_run else _recorded(archive, gone, decision, "rollback", (who, why))


def _recorded(
    archive: Archive, turns: Sequence[Generation], decision: Decision, kind: str, told: tuple[str, str]
) -> Decision:
    who, why = told
    for turn in sorted(turns, key=lambda turn: -turn.index):  # interrupted, the older ones are still in force
        archive.record_event(turn.id, kind, field="state", value=decision.state, who=who, why=why)
    return decision


def _idle_turns(archive: Archive, campaign: Campaign) -> list[Generation]:
    """Return the closed generations of a campaign of which no turn is running.

    Runs and screening of one turn must have one committee.
    """
    open_turns = [turn["turn"] for turn in archive.turns(campaign.id) if turn["state"] != "closed"]
    if open_turns:
        name = f"generation {open_turns[0]}" if isinstance(open_turns[0], int) else open_turns[0]
        raise InputError(
            f"{name} of campaign '{campaign.name}' is running with the committee in force: "
            f"`lizrcl campaign pause {campaign.name}`, and decide when it is closed"
        )
    return list(archive.find(Generation, {"campaign_id": campaign.id}, sort=[("index", 1)]))


def _turn(campaign: Campaign, turns: Sequence[Generation], index: int) -> Generation:
    for turn in turns:
        if turn.index == index:
            return turn
    known = f"closed are 0 to {turns[-1].index}" if turns else "none is closed yet"
    raise NotFoundError(f"campaign '{campaign.name}' has no closed generation {index}; {known}")


def _in_force(archive: Archive, turns: Sequence[Generation]) -> list[Generation]:
    """Return the generations whose own committee may explore, oldest first."""
    return [turn for turn in turns if in_force(turn) and _own_committee(archive, turn) is not None]


def _own_committee(archive: Archive, turn: Generation) -> str | None:
    """Return the committee that a generation trained; one that gained no label ends with an older one's."""
    if turn.committee_after is None or turn.committee_after == turn.committee_before:
        return None
    trained = archive.get(Committee, turn.committee_after).generation
    return turn.committee_after if trained == turn.index else None
