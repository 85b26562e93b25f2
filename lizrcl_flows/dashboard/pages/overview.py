"""All campaigns at a glance, and one campaign: generations, curves, failures, budget, what runs now."""

from collections.abc import Iterable
from typing import Any

from lizrcl_flows.archive import Archive
from lizrcl_flows.archive.browsing import Counts, Query
from lizrcl_flows.archive.queue_state import queue_state
from lizrcl_flows.archive.root_causes import root_causes
from lizrcl_flows.documents import DOCUMENTS, Campaign
from lizrcl_flows.flows.campaigns import find_campaign
from lizrcl_flows.flows.progress import campaign_progress, closed_generations, generation_row

MOST_CAMPAIGNS = 100
MOST_FAILED = 20
"""Failed labels that the overview lists."""

Content = dict[str, Any]

_NEWEST = "created_at"


def home(archive: Archive) -> Content:
    """Return the newest campaigns and the number of documents of each kind."""
    fields = (
        "name",
        "state",
        "spec.system",
        "labels_spent",
        "core_hours_spent",
        "created_at",
        "spec.budget",
        "changes",
    )
    campaigns = Query("campaigns", {}, fields, ((_NEWEST, -1),), limit=MOST_CAMPAIGNS)
    records = campaigns.records(archive)
    closed = Counts("generations", {"campaign_id": {"$in": [record["_id"] for record in records]}}, ("campaign_id",))
    numbers = {row["campaign_id"]: row["n"] for row in closed.rows(archive)}
    return {
        "campaigns": [_campaign_row(record, numbers.get(record["_id"], 0)) for record in records],
        "documents": [
            {"collection": kind.collection, "n": Query(kind.collection).total(archive)} for kind in DOCUMENTS
        ],
        "queries": {"campaigns": str(campaigns), "generations": str(closed)},
    }


def _campaign_row(record: Content, closed: int) -> Content:
    budget = record["spec"]["budget"]
    return {
        "name": record["name"],
        "id": record["_id"],
        "system": record["spec"]["system"],
        "state": record["state"],
        "generations": closed,
        "labels_spent": record["labels_spent"],
        "labels_budget": record["changes"].get("budget.labels", budget["labels"]),
        "core_hours_spent": record["core_hours_spent"],
        "created_at": record["created_at"],
    }


def overview(archive: Archive, name: str) -> Content:
    """Return how one campaign stands.

    Raises
    ------
    NotFoundError, InputError
        If there is no such campaign; if several have that name.
    """
    campaign = find_campaign(archive, name)
    rows = [generation_row(archive, turn) for turn in closed_generations(archive, campaign)]
    progress = campaign_progress(archive, campaign)
    failed = Query(
        "labels",
        {"campaign": campaign.name, "status": {"$ne": "accepted"}},
        ("status", "reason", "generation", "phase", "attempts"),
        (("generation", -1), ("_id", 1)),
        limit=MOST_FAILED,
    )
    queue = queue_state(archive, campaign.name)
    return {
        **_standing(campaign),
        "turn": progress.turn,
        "stages": [vars(stage) for stage in progress.stages],
        "generations": rows,
        "curves": curves(rows),
        "jobs": {"counts": queue.counts, "running": [dict(vars(job)) for job in queue.running]},
        "failures": [cause.as_dict() for cause in root_causes(archive, campaign.id)],
        "failed_labels": failed.records(archive),
        "n_failed_labels": failed.total(archive),
        "queries": {
            "generations": str(Query("generations", {"campaign_id": campaign.id}, (), (("index", 1),))),
            "failed_labels": str(failed),
            "jobs": str(Query("workflows", {"metadata.campaign": campaign.name}, ("nodes", "state"))),
        },
    }


def _standing(campaign: Campaign) -> Content:
    budget = campaign.current.budget
    return {
        "name": campaign.name,
        "id": campaign.id,
        "system": campaign.spec.system,
        "state": campaign.state,
        "created_at": campaign.created_at,
        "labels_spent": campaign.labels_spent,
        "labels_budget": budget.labels,
        "core_hours_spent": campaign.core_hours_spent,
        "core_hours_budget": budget.core_hours,
        "changes": dict(campaign.changes),
    }


def curves(rows: Iterable[Content]) -> list[Content]:
    """Return the charts of errors and of eps against the generation; forces and eps in meV/A, energies in meV/atom."""
    kept = list(rows)

    def series(label: str, key: str) -> Content:
        values = [None if row[key] is None else 1000 * row[key] for row in kept]
        return {"label": label, "x": [row["generation"] for row in kept], "y": values}

    errors = [series("forces (meV/A)", "rmse_force_after"), series("energies (meV/atom)", "rmse_energy_after")]
    doubts = [series("median", "eps_median"), series("largest", "eps_max")]
    return [
        _chart("errors", "RMSE on the hold-out", "RMSE", errors),
        _chart("eps", "Disagreement of the committee on explored frames", "eps (meV/A)", doubts),
    ]


def _chart(name: str, title: str, unit: str, series: list[Content]) -> Content:
    return {
        "name": name,
        "title": title,
        "x": {"label": "generation", "whole": True},
        "y": {"label": unit, "log": True},
        "series": series,
    }
