"""The audit: recompute every id and digest, follow every edge both ways, read every file, re-derive every data set.

What needs the engines (training inputs, predictions) is in `lizrcl_flows.jobs.auditing`.
"""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ValidationError

from lizrcl_flows.archive.archive import Archive
from lizrcl_flows.archive.connection import Connection, Content, backend_errors
from lizrcl_flows.archive.consistency import batches, missing_from, nodes_without_document, projection_faults
from lizrcl_flows.archive.launches import launch_faults, n_finished
from lizrcl_flows.archive.queries import id_range
from lizrcl_flows.documents import (
    BY_PREFIX,
    DOCUMENTS,
    Campaign,
    Dataset,
    Document,
    FileRef,
    Label,
    canonical_sha256,
)
from lizrcl_flows.documents.base import ID_LENGTH
from lizrcl_flows.errors import LizrclError, NotFoundError

Progress = Callable[[str, int, int], None]
"""Called with the stage, how much of it is done and how much there is."""

MADE_FROM: dict[str, tuple[str, ...]] = {
    "lab": ("structure", "level"),
    "dat": ("parent", "added"),
    "mod": ("dataset", "start"),
    "com": ("members",),
    "tra": ("structure", "committee"),
    "can": ("structure", "trajectory", "committee"),
    "eva": ("committee",),
    "tsp": ("trajectories",),
    "ana": ("trajectory",),
}
"""Fields that name what a document of a kind was made from."""

_BATCH = 500
_ID = re.compile(rf"^({'|'.join(BY_PREFIX)})_[0-9a-f]{{{ID_LENGTH}}}$")


@dataclass(frozen=True)
class Finding:
    """Something that is wrong with one document."""

    document: str
    what: str


@dataclass
class AuditReport:
    """What an audit looked at and found.

    Attributes
    ----------
    n_edges
        References from one document to another that were followed.
    n_launches
        Fireworks that have finished and whose documents were looked for.
    n_inputs
        Members whose training inputs were written again and compared.
    n_predictions
        Stored predictions that were computed again.
    unproven
        What could not be looked at, and why.
    """

    n_documents: int = 0
    n_edges: int = 0
    n_files: int = 0
    n_launches: int = 0
    n_inputs: int = 0
    n_predictions: int = 0
    seconds: float = 0.0
    findings: list[Finding] = field(default_factory=list)
    unproven: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def as_dict(self) -> dict[str, Any]:
        """Return a JSON-able mapping."""
        counts = {name: value for name, value in vars(self).items() if name.startswith("n_")}
        lists = {name: [vars(finding) for finding in getattr(self, name)] for name in ("findings", "unproven")}
        return {"ok": self.ok, **counts, "seconds": round(self.seconds, 2), **lists}


def audit(archive: Archive, campaign: str | None = None, progress: Progress | None = None) -> AuditReport:
    """Check everything that is stored against itself.

    Parameters
    ----------
    campaign
        Name or id of a campaign: its documents and everything they were made from; all documents by default.

    Raises
    ------
    NotFoundError
        If there is no such campaign.
    """
    started = time.monotonic()
    with backend_errors(archive.uri):
        auditor = _Auditor(archive, progress or (lambda *_: None))
        auditor.run(_scope(archive, campaign) if campaign else None)
        auditor.check_launches({_name(archive, campaign)} if campaign else None)
    auditor.report.seconds = time.monotonic() - started
    return auditor.report


class _Auditor:
    def __init__(self, archive: Archive, progress: Progress) -> None:
        self.archive = archive
        self.connection: Connection = archive.connection
        self.progress = progress
        self.report = AuditReport()
        self.files: dict[tuple[str, str], tuple[FileRef, list[str]]] = {}
        self.writers: dict[str, tuple[int, str | None]] = {}
        self.labelled: dict[tuple[str, str], str] = {}

    def run(self, scope: set[str] | None) -> None:
        for kind in DOCUMENTS:
            total = len(_of_kind(scope, kind)) if scope is not None else self._count(kind)
            done = 0
            for records in self._records(kind, scope):
                self._check_batch(kind, records)
                done += len(records)
                self.progress(kind.collection, done, total)
        if scope is None:
            for name in nodes_without_document(self.connection):
                self._found(name, "has a lineage node and no document")
        else:
            for kind in DOCUMENTS:
                for ids in batches(_of_kind(scope, kind)):
                    for name in missing_from(self.connection, kind.collection, ids):
                        self._found(name, "is named by others and is not in the archive")
        self._check_files()

    def check_launches(self, campaigns: set[str] | None) -> None:
        """Compare the LaunchPad with the documents, both ways."""
        self.report.n_launches = n_finished(self.connection, campaigns)
        for about, what in launch_faults(self.connection, self.writers, campaigns):
            self._found(about, what)

    def _count(self, kind: type[Document]) -> int:
        return int(self.connection[kind.collection].estimated_document_count())

    def _records(self, kind: type[Document], scope: set[str] | None) -> Iterator[list[Content]]:
        collection = self.connection[kind.collection]
        if scope is None:
            yield from batches(collection.find({}, batch_size=_BATCH), _BATCH)
            return
        for ids in batches(_of_kind(scope, kind), _BATCH):
            yield list(collection.find({"_id": {"$in": ids}}))

    def _found(self, document_id: str, what: str) -> None:
        self.report.findings.append(Finding(document_id, what))

    def _check_batch(self, kind: type[Document], records: Sequence[Content]) -> None:
        self.report.n_documents += len(records)
        documents = [document for record in records for document in self._read(kind, record)]
        for document in documents:
            self._check_content(document)
            self._check_own_edges(document)
            if document.provenance.fw_id is not None:
                self.writers[document.id] = (document.provenance.fw_id, document.provenance.job_uuid)
            for ref in _file_refs(document):
                self.files.setdefault((ref.uri, ref.sha256), (ref, []))[1].append(document.id)
        self._check_edges(documents)
        for name, projection, stored, wanted in projection_faults(self.connection, kind, records):
            told = f"its events say {wanted!r}" if wanted is not None else "no event says so"
            self._found(name, f"{projection} is {stored!r}, but {told}")
        for document in documents:
            if isinstance(document, Dataset):
                self._check_dataset(document)

    def _read(self, kind: type[Document], record: Content) -> Iterator[Document]:
        try:
            yield kind.from_record(record)
        except (ValidationError, ValueError) as error:
            reason = error.errors()[0] if isinstance(error, ValidationError) else {"msg": str(error), "loc": ()}
            place = ".".join(str(part) for part in reason["loc"])
            self._found(str(record["_id"]), f"cannot be read: {place} {reason['msg']}".replace("  ", " "))

    def _check_content(self, document: Document) -> None:
        if document.compute_id() != document.id:
            self._found(document.id, f"has content whose id is {document.compute_id()}")
        if document.compute_digest() != document.digest:
            self._found(document.id, "has content that its digest contradicts: it was changed after it was written")

    def _check_own_edges(self, document: Document) -> None:
        """See that what a document was made from is among its parents: else the way back down to it is cut."""
        parents = set(document.parents)
        for name in MADE_FROM.get(document.prefix, ()):
            value = getattr(document, name)
            for other in (value,) if isinstance(value, str) else value or ():
                if other not in parents:
                    self._found(document.id, f"names {other} as its {name} and not among its parents")
        if isinstance(document, Label):
            first = self.labelled.setdefault((document.structure, document.level), document.id)
            if first != document.id:
                self._found(document.id, f"labels structure {document.structure} twice at one level: so does {first}")

    def _check_edges(self, documents: Sequence[Document]) -> None:
        """Compare documents with their lineage nodes and follow every id that they name."""
        named = {document.id: _named_ids(document) for document in documents}
        nodes = self.archive.lineage.nodes(list(named))
        everything = list({other for others in named.values() for other in others})
        absent = {name for part in batches(everything) for name in missing_from(self.connection, "lineage", part)}
        for document in documents:
            self.report.n_edges += len(named[document.id])
            node = nodes.get(document.id)
            if node is None:
                self._found(document.id, "has no lineage node")
            elif node["digest"] != document.digest:
                self._found(document.id, "has another digest than its lineage node: one of them was changed")
            elif tuple(node["parents"]) != document.parents:
                self._found(document.id, "has other parents than its lineage node")
            for other in sorted(absent & named[document.id]):
                self._found(document.id, f"names {other}, which is not in the archive")

    def _check_dataset(self, dataset: Dataset) -> None:
        """Re-derive a data set: its chain, its manifest, and that each label added was accepted and of its level."""
        try:
            labels = self.archive.dataset_labels(dataset.id)
        except LizrclError as error:
            self._found(dataset.id, f"cannot be put together: {error}")
            return
        if dataset.parent is not None:
            above = self.connection["datasets"].find_one({"_id": dataset.parent}, {"level": 1, "split": 1}) or {}
            if above.get("level") != dataset.level:
                self._found(dataset.id, f"mixes levels: it extends {dataset.parent}, which is of {above.get('level')}")
        if canonical_sha256(labels) != dataset.manifest_sha256:
            self._found(dataset.id, "has a chain of labels that its manifest contradicts")
        if len(labels) != dataset.n_labels or len(set(labels)) != len(labels):
            self._found(dataset.id, f"says {dataset.n_labels} labels, its chain holds {len(set(labels))}")
        for ids in batches(dataset.added):
            found = self.connection["labels"].find({"_id": {"$in": ids}}, {"level": 1})
            accepted = self._accepted_at(ids, dataset.created_at)
            for label in found:
                if label["level"] != dataset.level:
                    self._found(dataset.id, f"mixes levels: label {label['_id']} is of {label['level']}")
                if not accepted.get(label["_id"], False):
                    self._found(dataset.id, f"holds label {label['_id']}, which was not accepted when it was made")

    def _accepted_at(self, labels: Sequence[str], moment: datetime) -> dict[str, bool]:
        """Return for each label whether its status was `accepted` at a moment, as the events tell.

        A label's first status counts even if the clock of the host that wrote it was ahead.
        """
        accepted: dict[str, bool] = {}
        criteria = {"subject": {"$in": list(labels)}, "field": "status"}
        for event in self.connection["events"].find(criteria).sort([("subject", 1), ("at", 1)]):
            if event["at"] <= moment or event["subject"] not in accepted:
                accepted[event["subject"]] = event["value"] == "accepted"
        return accepted

    def _check_files(self) -> None:
        for done, (ref, owners) in enumerate(self.files.values(), 1):
            fault = self.archive.file_fault(ref)
            if fault:
                for owner in owners:
                    self._found(owner, fault)
            self.report.n_files += 1
            self.progress("files", done, len(self.files))


def _name(archive: Archive, campaign: str) -> str:
    """Return the name of a campaign from its name or id.

    Raises
    ------
    NotFoundError
        If there is no such campaign.
    """
    criteria = {"$or": [{"name": campaign}, id_range(campaign)]} if campaign.startswith("cam_") else {"name": campaign}
    found = list(archive.find_records(Campaign, criteria, fields=["name"], limit=2))
    if not found:
        raise NotFoundError(f"no campaign '{campaign}' in the archive")
    return str(found[0]["name"])


def _scope(archive: Archive, campaign: str) -> set[str]:
    """Return the ids of a campaign's documents and of everything that they were made from."""
    lineage = archive.connection["lineage"]
    new = list(lineage.find({"campaign": _name(archive, campaign)}, {"parents": 1}))
    scope = {node["_id"] for node in new}
    while new:
        parents = {parent for node in new for parent in node["parents"]} - scope
        scope |= parents
        new = [node for ids in batches(list(parents)) for node in lineage.find({"_id": {"$in": ids}}, {"parents": 1})]
    return scope


def _of_kind(scope: set[str] | None, kind: type[Document]) -> list[str]:
    return sorted(name for name in scope or () if name.startswith(f"{kind.prefix}_"))


def _named_ids(document: Document) -> set[str]:
    """Return every document that a document names: its parents, and ids in its own fields."""
    named = set(document.parents)
    for name in type(document).model_fields:
        value = getattr(document, name)
        if name != "id" and isinstance(value, str) and _ID.match(value):
            named.add(value)
        elif isinstance(value, tuple) and value and isinstance(value[0], str):
            named.update(item for item in value if isinstance(item, str) and _ID.match(item))
    return named


def _file_refs(value: Any) -> Iterator[FileRef]:
    """Yield every file reference anywhere inside a document."""
    if isinstance(value, FileRef):
        yield value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _file_refs(getattr(value, name))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _file_refs(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _file_refs(item)
