"""`db check`: whether the database is complete, what a crash left half-done, and putting that right.

The audit asks whether what is stored is true; the check asks whether the store itself is in order.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from lizrcl_flows.archive.archive import Archive
from lizrcl_flows.archive.connection import Connection, backend_errors
from lizrcl_flows.archive.consistency import (
    batches,
    documents_without_node,
    missing_from,
    nodes_without_document,
    projection_faults,
)
from lizrcl_flows.archive.events import initial_events
from lizrcl_flows.archive.schema import schema_sha256, validators
from lizrcl_flows.archive.setup import FILES, INDEXES, initialise, read_meta
from lizrcl_flows.archive.writing import lineage_node
from lizrcl_flows.documents import DOCUMENTS, Document


@dataclass
class Problem:
    """Something that is not in order, and whether it has been put right."""

    subject: str
    what: str
    repaired: bool = False


@dataclass
class CheckReport:
    """What a check found."""

    problems: list[Problem] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing is left to put right."""
        return all(problem.repaired for problem in self.problems)

    def as_dict(self) -> dict[str, Any]:
        """Return a JSON-able mapping."""
        return {"ok": self.ok, "problems": [vars(problem) for problem in self.problems]}


def check(archive: Archive, *, repair: bool = False) -> CheckReport:
    """Look for what is missing or half-written, and put it right where asked.

    With `repair` no worker should be writing: what looks like a write cut short may be one under way.

    Raises
    ------
    BackendError
        If the database cannot be used, or repairing is asked of a read-only connection.
    """
    report = CheckReport()
    with backend_errors(archive.uri):
        connection = archive.connection
        if repair:
            connection.require_writable()
        structure = list(structure_problems(connection))
        if structure and repair:
            initialise(connection)
            left = {(problem.subject, problem.what) for problem in structure_problems(connection)}
            for problem in structure:
                problem.repaired = (problem.subject, problem.what) not in left
        report.problems += structure
        for step in (_nodes, _documents, _projections, _uploads):
            report.problems += list(step(connection, repair=repair))
    return report


def structure_problems(connection: Connection) -> Iterator[Problem]:
    """Yield collections, validators and indexes that are missing or out of date."""
    meta = read_meta(connection)
    if meta is None:
        yield Problem("meta", "is missing: the database is not initialised")
    elif meta.get("schema_sha256") != schema_sha256():
        yield Problem("meta", "was written with validators of other document models")
    existing = {each["name"]: each.get("options", {}) for each in connection.database.list_collections()}
    for name, validator in validators().items():
        if name not in existing:
            yield Problem(name, "is missing")
        elif existing[name].get("validator") != validator or existing[name].get("validationAction") != "error":
            yield Problem(name, "has no validator, or not the one of its document model")
    for collection in sorted({index.collection for index in INDEXES}):
        present = connection[collection].index_information() if collection in existing else {}
        for index in INDEXES:
            if index.collection == collection and index.name not in present:
                yield Problem(collection, f"lacks the index {index.name}")


def _nodes(connection: Connection, *, repair: bool) -> Iterator[Problem]:
    """Find nodes whose document never arrived; they are removed if nothing was made from them."""
    for name in nodes_without_document(connection):
        problem = Problem(name, "has a lineage node and no document: a write was cut short")
        if repair and not connection["lineage"].count_documents({"parents": name}, limit=1):
            connection["events"].delete_many({"subject": name})
            connection["lineage"].delete_one({"_id": name})
            problem.repaired = True
        yield problem


def _documents(connection: Connection, *, repair: bool) -> Iterator[Problem]:
    """Find documents without their lineage node; it is written anew if the document is what its digest says."""
    for kind in DOCUMENTS:
        for name in documents_without_node(connection, kind):
            problem = Problem(name, "has no lineage node")
            record = connection[kind.collection].find_one({"_id": name})
            if repair and record is not None and _is_sound(kind, record):
                node = lineage_node(kind, record)
                connection["lineage"].replace_one({"_id": name}, node, upsert=True)
                problem.repaired = True
            yield problem


def _projections(connection: Connection, *, repair: bool) -> Iterator[Problem]:
    """Find state fields that differ from the events; the events are right, and a missing first event is written."""
    for kind in DOCUMENTS:
        if not kind.projections:
            continue
        wanted = dict.fromkeys(("created_at", "provenance", *kind.projections), 1)
        for records in batches(connection[kind.collection].find({}, wanted)):
            for name, projection, stored, told in projection_faults(connection, kind, records):
                problem = Problem(name, f"{projection} is {stored!r}, its events say {told!r}")
                if repair and told is not None:
                    connection[kind.collection].update_one({"_id": name}, {"$set": {projection: told}})
                    problem.repaired = True
                elif repair:
                    record = next(record for record in records if record["_id"] == name)
                    first = [event for event in initial_events(kind, record) if event["field"] == projection]
                    connection["events"].insert_many(first)
                    problem.repaired = True
                yield problem


def _uploads(connection: Connection, *, repair: bool) -> Iterator[Problem]:
    """Find parts of files whose upload was cut short."""
    chunks = connection[f"{FILES}.chunks"]
    owners = (group["_id"] for group in chunks.aggregate([{"$group": {"_id": "$files_id"}}]))
    for names in batches(owners):
        for name in missing_from(connection, f"{FILES}.files", names):
            if repair:
                chunks.delete_many({"files_id": name})
            yield Problem(name, "is a file whose upload was cut short", repaired=repair)


def _is_sound(kind: type[Document], record: dict[str, Any]) -> bool:
    try:
        document = kind.from_record(record)
    except ValidationError:
        return False
    return document.compute_digest() == document.digest and document.compute_id() == document.id
