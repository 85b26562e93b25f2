"""Lineage nodes, events and superseded attempts: the records that tie the documents together."""

from datetime import datetime

from pydantic import Field, JsonValue

from lizrcl_flows.documents.base import Record, now_utc
from lizrcl_flows.documents.quantities import Index


class LineageNode(Record):
    """One small node per document, with the document's own id."""

    id: str = Field(alias="_id")
    kind: str = Field(description="prefix of the document: str, lab, mod, ...")
    parents: tuple[str, ...] = ()
    campaign: str | None = None
    generation: Index | None = None
    digest: str = Field(description="the document's digest, kept a second time so that neither can be changed alone")


class Event(Record):
    """Something that happened to a document: a change of state, a quarantine, a promotion. Append-only."""

    id: str = Field(default="", alias="_id")
    subject: str = Field(description="id of the document")
    kind: str = Field(description="state, quarantine, promotion, note, attempt")
    field: str | None = Field(default=None, description="projected field that this event sets")
    value: JsonValue = None
    who: str = ""
    why: str = ""
    at: datetime = Field(default_factory=now_utc)
