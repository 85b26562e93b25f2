"""What must agree between collections: every document with its lineage node, its events and its projected fields."""

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

from lizrcl_flows.archive.connection import Connection, Content
from lizrcl_flows.archive.events import projected
from lizrcl_flows.documents import BY_PREFIX, Document

T = TypeVar("T")

BATCH = 2000


def batches(items: Iterable[T], size: int = BATCH) -> Iterator[list[T]]:
    """Yield items in lists of a given size."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def ids_of(connection: Connection, collection: str, criteria: Content | None = None) -> Iterator[str]:
    """Yield the ids of a collection, from its index alone where there is no filter."""
    hint = {} if criteria else {"hint": "_id_"}
    for record in connection[collection].find(criteria or {}, {"_id": 1}, batch_size=50_000, **hint):
        yield record["_id"]


def missing_from(connection: Connection, collection: str, ids: Sequence[str]) -> list[str]:
    """Return those ids that a collection does not hold, in their order."""
    found = {record["_id"] for record in connection[collection].find({"_id": {"$in": list(ids)}}, {"_id": 1})}
    return [name for name in ids if name not in found]


def documents_without_node(connection: Connection, kind: type[Document]) -> Iterator[str]:
    """Yield documents that no lineage node stands for."""
    for ids in batches(ids_of(connection, kind.collection)):
        yield from missing_from(connection, "lineage", ids)


def nodes_without_document(connection: Connection) -> Iterator[str]:
    """Yield lineage nodes that stand for no document: a write that a crash cut short, or a document removed by hand."""
    for ids in batches(ids_of(connection, "lineage")):
        grouped: dict[str, list[str]] = {}
        for name in ids:
            grouped.setdefault(name.partition("_")[0], []).append(name)
        for prefix, members in grouped.items():
            kind = BY_PREFIX.get(prefix)
            yield from missing_from(connection, kind.collection, members) if kind else members


def projection_faults(
    connection: Connection, kind: type[Document], records: Sequence[Content]
) -> Iterator[tuple[str, str, Any, Any]]:
    """Yield (id, field, stored value, value that the events say) where the two differ; None where no event says any.

    Parameters
    ----------
    records
        Documents with at least `_id` and the projected fields.
    """
    if not kind.projections or not records:
        return
    histories: dict[str, list[Content]] = {record["_id"]: [] for record in records}
    criteria = {"subject": {"$in": list(histories)}, "field": {"$ne": None}}
    for event in connection["events"].find(criteria).sort([("subject", 1), ("at", 1), ("_id", 1)]):
        histories[event["subject"]].append(event)
    for record in records:
        values = projected(histories[record["_id"]])
        for field in kind.projections:
            wanted = values.get(field)
            if wanted is None and field not in record:  # written before documents of this kind had the field
                continue
            if wanted is None or not _agree(record.get(field), wanted):
                yield record["_id"], field, record.get(field), wanted


def _agree(stored: Any, wanted: Any) -> bool:
    """Compare a stored value with what the events say; sums agree up to the order in which they were added."""
    if isinstance(stored, float) and isinstance(wanted, int | float):
        return math.isclose(stored, wanted, rel_tol=1e-9, abs_tol=1e-12)
    return bool(stored == wanted)
