"""Writing documents: each with its lineage node and first events, once, whatever happens in between."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

import bson
from pymongo import ReplaceOne
from pymongo.client_session import ClientSession
from pymongo.errors import BulkWriteError, DuplicateKeyError

from lizrcl_flows.archive.connection import Connection, Content
from lizrcl_flows.archive.events import initial_events
from lizrcl_flows.documents import Document, Event, now_utc
from lizrcl_flows.errors import IntegrityError

BULK = 1000
"""Most documents in one transaction."""

BULK_BYTES = 32 * 1024**2
"""Most bytes of arrays in one transaction: far below the server's cache, which must hold it until it commits."""

DUPLICATE_KEY = 11000
BOOKKEEPING = frozenset({"digest", "created_at", "provenance"})
"""Fields that differ between two runs of the same thing without the thing being another one."""


@dataclass(frozen=True)
class Entry:
    """A document ready to be written: its class and its record, lineage node and first events."""

    kind: type[Document]
    record: Content
    node: Content
    events: list[Content]

    @classmethod
    def of(cls, document: Document) -> "Entry":
        """Prepare a document."""
        kind, record = type(document), document.to_record()
        return cls(kind, record, lineage_node(kind, record), initial_events(kind, record))


def lineage_node(kind: type[Document], record: Content) -> Content:
    """Return the lineage node of a stored document."""
    return {
        "_id": record["_id"],
        "kind": kind.prefix,
        "parents": list(record["parents"]),
        "campaign": record["campaign"],
        "generation": record["generation"],
        "digest": record["digest"],
    }


class Writer:
    """Writes documents into one archive."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def put_many(self, documents: Iterable[Document]) -> list[str]:
        """Write documents, parents first, in bulks of one transaction each; return their ids in the order given.

        Raises
        ------
        IntegrityError
            If a document names a parent that neither the archive nor the call holds, or if the database refuses it.
        """
        given = list(documents)
        ids = [document.id for document in given]
        for bulk in _bulks(_parents_first(given)):
            entries = [Entry.of(document) for document in bulk]
            self._require_parents(entries)
            for attempt in _attempts():
                try:
                    self.connection.in_transaction(lambda session, e=entries, a=attempt: self._write(e, session, a))  # type: ignore[misc]
                    break
                except (DuplicateKeyError, BulkWriteError) as error:
                    if not _is_duplicate(error) or attempt == LAST_ATTEMPT:
                        raise
        return ids

    def _write(self, entries: Sequence[Entry], session: ClientSession | None, attempt: int) -> None:
        for collection in dict.fromkeys(entry.kind.collection for entry in entries):
            group = [entry for entry in entries if entry.kind.collection == collection]
            present = self._present(collection, group, session)
            new = [entry for entry in group if entry.record["_id"] not in present]
            if self.connection.transactions:
                self._insert(collection, new, session, replace=attempt > 0)
            else:
                new = self._insert_in_order(collection, new)
                present = self._present(collection, [entry for entry in group if entry not in new], session)
            self._keep_attempts(group, present, new, session)

    def _insert(
        self, collection: str, entries: Sequence[Entry], session: ClientSession | None, *, replace: bool
    ) -> None:
        """Insert in a transaction; `replace` where nodes without their document stand in the way."""
        if not entries:
            return
        database = self.connection
        nodes = [entry.node for entry in entries]
        events = [event for entry in entries for event in entry.events]
        for name, records in (("lineage", nodes), ("events", events)):
            if records and replace:
                requests = [ReplaceOne({"_id": record["_id"]}, record, upsert=True) for record in records]
                database[name].bulk_write(requests, session=session)
            elif records:
                database[name].insert_many(records, session=session)
        database[collection].insert_many([entry.record for entry in entries], session=session)

    def _insert_in_order(self, collection: str, entries: Sequence[Entry]) -> list[Entry]:
        """Insert without transactions: node, events, document, so that a document never lacks what goes with it.

        Returns those that landed. Where a crash had left a node behind, it is brought into line with the document.
        """
        if not entries:
            return []
        stale = self._insert_missing("lineage", [entry.node for entry in entries])
        stale |= self._insert_missing("events", [event for entry in entries for event in entry.events])
        lost = self._insert_missing(collection, [entry.record for entry in entries])
        landed = [entry for entry in entries if entry.record["_id"] not in lost]
        for entry in landed:
            for name, record in [("lineage", entry.node), *(("events", event) for event in entry.events)]:
                if record["_id"] in stale:
                    self.connection[name].replace_one({"_id": record["_id"]}, record)
        return landed

    def _insert_missing(self, collection: str, records: Sequence[Content]) -> set[str]:
        """Insert what is not there and return the ids that were."""
        if not records:
            return set()
        try:
            self.connection[collection].insert_many(records, ordered=False)
        except BulkWriteError as error:
            if not _is_duplicate(error):
                raise
            return {failure["keyValue"]["_id"] for failure in error.details["writeErrors"]}
        return set()

    def _present(self, collection: str, entries: Sequence[Entry], session: ClientSession | None) -> dict[str, Content]:
        if not entries:
            return {}
        ids = [entry.record["_id"] for entry in entries]
        found = self.connection[collection].find({"_id": {"$in": ids}}, {"digest": 1}, session=session)
        return {record["_id"]: record for record in found}

    def _keep_attempts(
        self,
        entries: Sequence[Entry],
        present: Content,
        new: Sequence[Entry],
        session: ClientSession | None,
    ) -> None:
        """Keep a second result for a document that exists: beside the first one, never in its place."""
        landed = {entry.record["digest"] for entry in new}
        for entry in entries:
            first = present.get(entry.record["_id"])
            if first is None or entry.record["digest"] in landed or first["digest"] == entry.record["digest"]:
                continue
            stored = self.connection[entry.kind.collection].find_one({"_id": first["_id"]}, session=session)
            if stored is not None and not same_content(entry.kind, stored, entry.record):
                self._keep(entry, session)

    def _keep(self, entry: Entry, session: ClientSession | None) -> None:
        subject, digest = entry.record["_id"], entry.record["digest"]
        attempt = {"subject": subject, "digest": digest, "record": entry.record, "at": now_utc()}
        event = Event(id=f"{subject}/attempt/{digest}", subject=subject, kind="attempt", value=digest)
        event = event.model_copy(update={"why": "a later result of the same request; the first one stands"})
        records = (("attempts", attempt), ("events", event.model_dump(by_alias=True)))
        for name, record in records:
            identifier = {"_id": f"{subject}/attempt/{digest}"}
            self.connection[name].update_one(
                identifier,
                {"$setOnInsert": {k: v for k, v in record.items() if k != "_id"}},
                upsert=True,
                session=session,
            )

    def _require_parents(self, entries: Sequence[Entry]) -> None:
        own = {entry.record["_id"] for entry in entries}
        wanted = {parent for entry in entries for parent in entry.record["parents"]} - own
        if not wanted:
            return
        found = {node["_id"] for node in self.connection["lineage"].find({"_id": {"$in": list(wanted)}}, {"_id": 1})}
        for entry in entries:
            missing = [parent for parent in entry.record["parents"] if parent not in found and parent not in own]
            if missing:
                raise IntegrityError(
                    f"{entry.record['_id']} names the parent {missing[0]}, which is not in the archive; parents are "
                    "written first"
                )


def same_content(kind: type[Document], first: Content, second: Content) -> bool:
    """Return whether two records of one id differ in nothing but time and place of writing and projected fields."""
    skipped = {*BOOKKEEPING, *kind.projections}
    names = [name for name in kind.model_fields if name not in skipped and name != "id"]
    return bool(
        bson.encode({name: first.get(name) for name in names})
        == bson.encode({name: second.get(name) for name in names})
    )


LAST_ATTEMPT = 4


def _attempts() -> Iterator[int]:
    return iter(range(LAST_ATTEMPT + 1))


def _is_duplicate(error: DuplicateKeyError | BulkWriteError) -> bool:
    if isinstance(error, DuplicateKeyError):
        return True
    failures: list[Any] = error.details["writeErrors"]
    return bool(failures) and all(failure["code"] == DUPLICATE_KEY for failure in failures)


def _bulks(documents: Iterable[Document]) -> Iterator[list[Document]]:
    """Yield documents in groups that one transaction holds with ease, by number and by size of their arrays."""
    bulk: list[Document] = []
    n_bytes = 0
    for document in documents:
        size = sum(getattr(getattr(document, name), "nbytes", 0) for name in document.array_specs())
        if bulk and (len(bulk) == BULK or n_bytes + size > BULK_BYTES):
            yield bulk
            bulk, n_bytes = [], 0
        bulk.append(document)
        n_bytes += size
    if bulk:
        yield bulk


def _parents_first(documents: Sequence[Document]) -> list[Document]:
    """Return each document once, after those of its parents that are in the same call."""
    unique = {document.id: document for document in reversed(documents)}
    seen: set[str] = set()
    ordered = True
    for document in documents:
        ordered = ordered and all(parent in seen or parent not in unique for parent in document.parents)
        seen.add(document.id)
    if ordered and len(unique) == len(documents):
        return list(documents)
    graph = {name: [parent for parent in document.parents if parent in unique] for name, document in unique.items()}
    try:
        return [unique[name] for name in TopologicalSorter(graph).static_order()]
    except CycleError as error:
        raise IntegrityError(f"documents name each other as parents: {' -> '.join(error.args[1])}") from error
