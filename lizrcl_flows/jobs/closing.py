"""The last jobs of a turn: write down what the generation did, and send the next one on its way."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

from jobflow import job

from lizrcl_flows.archive import Archive
from lizrcl_flows.documents import (
    Campaign,
    ConvergenceEvidence,
    Evaluation,
    Generation,
    Label,
    Model,
    PhaseTiming,
    RejectionCount,
    Trajectory,
)
from lizrcl_flows.documents.campaigns import GateResult, LedgerEntry
from lizrcl_flows.documents.spec import ConvergenceSpec, ExplorationSpec
from lizrcl_flows.jobs.context import open_archive, provenance
from lizrcl_flows.jobs.exploration import ledgers_before
from lizrcl_flows.jobs.submitters import FireWorksSubmitter
from lizrcl_flows.jobs.training import committee_of
from lizrcl_flows.jobs.turns import INITIAL, PRODUCTION, AdvanceReport, TurnMaker, advance, turn_id
from lizrcl_flows.jobs.validation import gate_results
from lizrcl_flows.science.convergence import complete_evidence, not_seen_lately
from lizrcl_flows.science.grid import every_cell_failed, grid

COUNTS = (
    "n_trajectories",
    "n_explored",
    "n_accurate",
    "n_candidates",
    "n_selected",
    "n_control",
    "eps_max",
    "eps_median",
    "eps_lo_used",
)


@job
def close_generation(
    campaign_id: str,
    index: int,
    explored: dict[str, Any] | None,
    labelled: dict[str, Any],
    maker: TurnMaker,
    evaluations: dict[str, str | None],
) -> dict[str, Any]:
    """Write the generation's document and submit the next turn, each exactly once.

    Parameters
    ----------
    evaluations
        Ids of what was evaluated in this generation: fresh, holdout, train, curves.
    """
    with open_archive() as archive:
        campaign = archive.get(Campaign, campaign_id)
        generation_id = turn_id(campaign_id, index)
        if not archive.exists(Generation, generation_id):
            archive.put(_generation(archive, campaign, index, explored or {}, labelled or {}, evaluations or {}))
        archive.mark(generation_id, "closed")
        return _go_on(archive, campaign_id, maker)


@job
def close_production(
    campaign_id: str,
    transports: list[list[str]],
    maker: TurnMaker,
    turn: str = PRODUCTION,
    trajectories: Sequence[str] = (),
    analyses: Sequence[list[str]] = (),
) -> dict[str, Any]:
    """Mark a production as done, with the committees that drove its runs; the campaign is complete.

    It waits for the analyses as well: who sees a complete campaign may stop its workers.
    """
    with open_archive() as archive:
        committees = sorted({str(run.committee) for run in archive.get_many(Trajectory, tuple(trajectories))})
        measured = [name for group in transports for name in group]
        told: dict[str, Any] = {"committees": committees} if committees else {}
        if analyses:
            told["analyses"] = [name for group in analyses for name in group]
        archive.mark(turn_id(campaign_id, turn), "closed", transports=measured, **told)
        return _go_on(archive, campaign_id, maker)


@job
def close_initial(campaign_id: str, extended: list[dict[str, Any]]) -> dict[str, Any]:
    """Mark the first training set as made, so that generation 0 may go on from it."""
    with open_archive() as archive:
        name = turn_id(campaign_id, INITIAL)
        if archive.turn(name) is not None:  # `lizrcl campaign initial` runs the same flow without a turn
            archive.mark(name, "closed")
    return {"datasets": [outcome["dataset"] for outcome in extended if outcome]}


def _go_on(archive: Archive, campaign_id: str, maker: TurnMaker) -> dict[str, Any]:
    """Submit what comes next where FireWorks runs us; on one machine the loop outside does it."""
    campaign = archive.get(Campaign, campaign_id)
    if campaign.changes and hasattr(maker, "revised"):
        maker = maker.revised(campaign.current)
    by_fireworks = getattr(maker, "manager", "fireworks") == "fireworks"
    opened = FireWorksSubmitter(archive.uri, archive.database_name) if by_fireworks else nullcontext()
    with opened as submitter:
        report: AdvanceReport = advance(archive, campaign_id, maker, submitter)
    return {"state": report.state, "turn": report.turn, "sentence": report.sentence}


def _generation(
    archive: Archive,
    campaign: Campaign,
    index: int,
    explored: Mapping[str, Any],
    labelled: Mapping[str, Any],
    evaluations: Mapping[str, str | None],
) -> Generation:
    before, after = _committees(archive, campaign, index)
    evaluation_before = _holdout(archive, before)
    evaluation_after = _holdout(archive, after)
    counts = {name: explored[name] for name in COUNTS if explored.get(name) is not None}
    ledger = tuple(LedgerEntry(**entry) for entry in explored.get("ledger", ()))
    ledgers = {**ledgers_before(archive, campaign.id, index), index: ledger} if index else {}
    cells = grid(campaign.explored_phases(), campaign.current.exploration.conditions)
    stalled = _stalled(index, labelled, after)
    if not stalled and index and not counts.get("n_explored") and every_cell_failed(cells, ledgers):
        stalled = f"by generation {index} every run in every cell of the grid has failed before its first sample"
    gates = gate_results(archive, campaign, index, before, after)
    documents = (before, after, labelled.get("dataset"), evaluation_before, evaluation_after, *evaluations.values())
    return Generation(
        campaign=campaign.name,
        generation=index,
        campaign_id=campaign.id,
        index=index,
        state="stalled" if stalled else "closed" if all(gate.passed for gate in gates) else "rolled_back",
        n_rejected=tuple(RejectionCount(**count) for count in explored.get("n_rejected", ())),
        selection_radii=tuple(explored.get("selection_radii", ())),
        n_labelled=labelled.get("n_labelled", 0),
        n_failed=labelled.get("n_failed", 0),
        dataset=labelled.get("dataset"),
        committee_before=before,
        committee_after=after,
        evaluation_before=evaluation_before,
        evaluation_after=evaluation_after,
        evaluation_fresh=evaluations.get("fresh"),
        evaluation_train=evaluations.get("train"),
        evaluation_curves=evaluations.get("curves"),
        ledger=ledger,
        gates=gates,
        convergence=_evidence(
            archive,
            campaign,
            index,
            explored.get("convergence"),
            (evaluations.get("fresh"), gates, not_seen_lately(cells, ledgers, index, *_asked(campaign))),
        ),
        stalled_reason=stalled,
        timings=_timings(archive, campaign.name, index),
        parents=tuple(dict.fromkeys([campaign.id, *(name for name in documents if name)])),
        provenance=provenance(),
        **counts,
    )


def _asked(campaign: Campaign) -> tuple[ExplorationSpec, ConvergenceSpec]:
    return campaign.current.exploration, campaign.current.convergence


def _evidence(
    archive: Archive,
    campaign: Campaign,
    index: int,
    told: Mapping[str, Any] | None,
    tried: tuple[str | None, Sequence[GateResult], str],
) -> ConvergenceEvidence | None:
    """Put together what the decision to go on or to stop rests on; none where nothing was explored."""
    if not told:
        return None
    fresh, gates, not_seen = tried
    earlier = archive.find(Generation, {"campaign_id": campaign.id, "index": index - 1}, limit=1)
    evidence = next((generation.convergence for generation in earlier), None)
    errors = (_force_error(archive, fresh), evidence.fresh_rmse_force if evidence else None)
    return complete_evidence(ConvergenceEvidence(**told), campaign.current.convergence, errors, gates, not_seen)


def _force_error(archive: Archive, evaluation: str | None) -> float | None:
    if evaluation is None:
        return None
    groups = {group.group: group for group in archive.get(Evaluation, evaluation).groups}
    return groups["all"].rmse_force if "all" in groups else None


def _committees(archive: Archive, campaign: Campaign, index: int) -> tuple[str | None, str | None]:
    """Return the committee that explored and the one that the generation ends with."""
    before = committee_of(archive, campaign.name, up_to=index - 1) if index else None
    after = committee_of(archive, campaign.name, up_to=index)
    return before.id if before else None, after.id if after else None


def _holdout(archive: Archive, committee: str | None) -> str | None:
    found = archive.find(Evaluation, {"committee": committee, "kind": "holdout"}, limit=1) if committee else ()
    return next((evaluation.id for evaluation in found), None)


def _stalled(index: int, labelled: Mapping[str, Any], committee: str | None) -> str:
    """Return why the loop cannot go on, or nothing."""
    asked = labelled.get("n_labelled", 0) + labelled.get("n_failed", 0)
    if asked and not labelled.get("n_labelled"):
        reasons = "; ".join(labelled.get("reasons", ())) or "no reason was given"
        return f"none of the {asked} labels of generation {index} was accepted: {reasons}"
    if committee is None:
        return f"generation {index} ended without a committee"
    return ""


def _timings(archive: Archive, campaign: str, index: int) -> tuple[PhaseTiming, ...]:
    ranking = {"purpose": "ranking"}
    stages: tuple[tuple[str, type[Label | Model | Trajectory], dict[str, Any]], ...] = (
        ("prepare", Label, ranking),
        ("label", Label, {"purpose": {"$ne": "ranking"}}),
        ("train", Model, {}),
        ("explore", Trajectory, {}),
    )
    timings = []
    for stage, kind, criteria in stages:
        place = {"campaign": campaign, "generation": index, **criteria}
        records = list(archive.find_records(kind, place, fields=["wall_s", "core_hours"]))
        if records:
            wall, hours = (sum(record[name] for record in records) for name in ("wall_s", "core_hours"))
            timings.append(PhaseTiming(stage=stage, wall_s=wall, core_hours=hours))
    return tuple(timings)
