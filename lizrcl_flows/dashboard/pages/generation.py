"""One turn of the loop, and what it changed against the one before."""

from typing import Any

from lizrcl_flows.archive import Archive
from lizrcl_flows.archive.browsing import Counts, Query
from lizrcl_flows.documents import Generation
from lizrcl_flows.flows.generation_difference import difference
from lizrcl_flows.flows.progress import generation_row

MOST_SELECTED = 100


def generation(archive: Archive, generation_id: str) -> dict[str, Any]:
    """Return what a generation did.

    Raises
    ------
    NotFoundError, InputError
        If there is no such generation; if several begin like that.
    """
    turn = archive.get(Generation, generation_id)
    before = Query("generations", {"campaign_id": turn.campaign_id, "index": turn.index - 1}, ("index",))
    after = Query("generations", {"campaign_id": turn.campaign_id, "index": turn.index + 1}, ("index",))
    neighbours = {name: _first(query.records(archive)) for name, query in (("previous", before), ("next", after))}
    place = {"campaign": turn.campaign, "generation": turn.index}
    selected = Query(
        "candidates",
        {**place, "verdict": "selected"},
        ("phase", "formula", "temperature_k", "time_fs", "eps", "score", "reason", "structure"),
        (("eps", -1),),
        limit=MOST_SELECTED,
    )
    verdicts = Counts("candidates", place, ("verdict", "reason"))
    previous = neighbours["previous"]
    return {
        **_told(turn),
        "holdout": {key: value for key, value in generation_row(archive, turn).items() if "rmse" in key},
        **neighbours,
        "difference": difference(archive, archive.get(Generation, previous), turn) if previous else None,
        "selected": selected.records(archive),
        "verdicts": verdicts.rows(archive),
        "queries": {
            "generation": str(Query("generations", {"_id": turn.id})),
            "difference": str(before),
            "selected": str(selected),
            "verdicts": str(verdicts),
        },
    }


def _first(records: list[dict[str, Any]]) -> str | None:
    return records[0]["_id"] if records else None


def _told(turn: Generation) -> dict[str, Any]:
    content = turn.model_dump(mode="json", by_alias=True, exclude={"selection_radii"})
    return {"id": content.pop("_id"), **content}
