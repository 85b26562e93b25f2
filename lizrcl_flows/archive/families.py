"""One step of the lineage, page by page: how many documents of each kind stand right above and below one."""

from dataclasses import dataclass
from typing import Any

from lizrcl_flows.archive.archive import Archive
from lizrcl_flows.archive.browsing import Query
from lizrcl_flows.archive.lineage import DATASET, Direction
from lizrcl_flows.documents import BY_PREFIX, Label
from lizrcl_flows.errors import NotFoundError

MOST_COUNTED = 20_000
"""Documents of a family that are counted: a level of theory has all labels below it."""


@dataclass(frozen=True)
class Family:
    """The documents of one kind right above or below another.

    Attributes
    ----------
    kind
        Prefix of their ids.
    n
        How many there are, counted up to `MOST_COUNTED`.
    query
        What finds them.
    """

    kind: str
    n: int
    query: str

    @property
    def more(self) -> bool:
        """Whether there may be more than were counted."""
        return self.n >= MOST_COUNTED


def node(archive: Archive, document_id: str) -> dict[str, Any]:
    """Return the lineage node of a document.

    Raises
    ------
    NotFoundError
        If there is no such document.
    """
    found = archive.lineage.nodes([document_id]).get(document_id)
    if found is None:
        raise NotFoundError(f"no document '{document_id}' in collection lineage")
    return found


def families(archive: Archive, document_id: str, direction: Direction) -> list[Family]:
    """Return what a document was made from, or what was made from it, counted by kind.

    A data set that extends others has the labels of all of them, and the one that it extends.

    Raises
    ------
    NotFoundError
        If there is no such document.
    """
    found = node(archive, document_id)
    if direction == "down":
        queries = {kind: _below(document_id, kind) for kind in BY_PREFIX}
        counts = {kind: query.total(archive, MOST_COUNTED) for kind, query in queries.items()}
        return [Family(kind, n, str(queries[kind])) for kind, n in counts.items() if n]
    query = str(Query("lineage", {"_id": document_id}, ("parents",)))
    by_kind: dict[str, int] = {}
    for name in _above(archive, found):
        by_kind[name.partition("_")[0]] = by_kind.get(name.partition("_")[0], 0) + 1
    return [Family(kind, n, query) for kind, n in sorted(by_kind.items())]


def members(
    archive: Archive, document_id: str, direction: Direction, kind: str, page: tuple[int, int]
) -> tuple[list[str], bool]:
    """Return some of the ids of a family, in a fixed order, and whether there are more.

    Parameters
    ----------
    page
        How many to skip, and how many to return at most.

    Raises
    ------
    NotFoundError
        If there is no such document.
    """
    skip, limit = page
    found = node(archive, document_id)
    if direction == "down":
        records = _below(document_id, kind, skip, limit + 1).records(archive)
        return [record["_id"] for record in records[:limit]], len(records) > limit
    names = [name for name in _above(archive, found) if name.startswith(f"{kind}_")]
    return names[skip : skip + limit], len(names) > skip + limit


def _above(archive: Archive, found: dict[str, Any]) -> list[str]:
    parents: list[str] = found["parents"]
    if found["kind"] != DATASET or not any(name.startswith(f"{DATASET}_") for name in parents):
        return parents
    others = [name for name in parents if not name.startswith(f"{Label.prefix}_")]
    return [*others, *archive.dataset_labels(found["_id"])]


def _below(document_id: str, kind: str, skip: int = 0, limit: int = 0) -> Query:
    # ids begin with the kind, so that the index of parents and ids finds a family without reading a document
    place = {"parents": document_id, "_id": {"$gte": f"{kind}_", "$lt": f"{kind}`"}}
    return Query("lineage", place, ("_id",), (("_id", 1),), skip, limit)
