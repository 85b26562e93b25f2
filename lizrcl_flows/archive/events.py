"""The append-only log of what happened to documents, and the fields of documents that follow from it.

A projected field (state of a campaign, status of a label, budget spent) holds what the events say: the last `state`
event's value, or for events of kind `spend` the sum of their values.
"""

import secrets
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError
from pymongo import DESCENDING
from pymongo.client_session import ClientSession
from pymongo.errors import DuplicateKeyError

from lizrcl_flows.archive.connection import Connection, Content
from lizrcl_flows.documents import BY_PREFIX, Campaign, Document, Event, now_utc
from lizrcl_flows.errors import InputError, NotFoundError

SPEND = "spend"
_MILLISECOND = timedelta(milliseconds=1)


def kind_of(document_id: str) -> type[Document]:
    """Return the document class that an id belongs to.

    Raises
    ------
    InputError
        If the id begins with no known prefix.
    """
    prefix = document_id.partition("_")[0]
    if prefix not in BY_PREFIX or "_" not in document_id:
        known = ", ".join(f"{name}_" for name in BY_PREFIX)
        raise InputError(f"'{document_id}' is not the id of a document; ids begin with one of {known}")
    return BY_PREFIX[prefix]


def initial_events(kind: type[Document], record: Content) -> list[Content]:
    """Return the events that give the projected fields of a new document their first values."""
    return [
        Event(
            id=f"{record['_id']}/created/{field}",
            subject=record["_id"],
            kind="state",
            field=field,
            value=record[field],
            who=record["provenance"].get("host") or "",
            why="as written",
            at=record["created_at"],
        ).model_dump(by_alias=True)
        for field in kind.projections
    ]


def projected(events: Iterable[Content]) -> dict[str, Any]:
    """Return the field values that a document's events, oldest first, amount to."""
    values: dict[str, Any] = {}
    for event in events:
        field = event["field"]
        if field is None:
            continue
        values[field] = values.get(field, 0) + event["value"] if event["kind"] == SPEND else event["value"]
    return values


class EventLog:
    """Events of one archive."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def of(self, subject: str) -> list[Event]:
        """Return the events of a document, oldest first."""
        found = self.connection["events"].find({"subject": subject}).sort([("at", 1), ("_id", 1)])
        return [Event.model_validate(event) for event in found]

    def recorded(self, subject: str, key: str) -> Event | None:
        """Return the event of a document that was recorded under this key, or None."""
        found = self.connection["events"].find_one({"_id": f"{subject}/{key}"})
        return None if found is None else Event.model_validate(found)

    def record(self, event: Event, key: str | None) -> Event:
        """Append an event and update the field that it projects; an event whose key is there already is not repeated.

        Raises
        ------
        NotFoundError, InputError
            If the subject does not exist; if the field is not projected or does not accept the value.
        """
        kind = kind_of(event.subject)
        identifier = f"{event.subject}/{key or _unique(event.at)}"
        if key is not None:
            known = self.connection["events"].find_one({"_id": identifier})
            if known is not None:
                return Event.model_validate(known)
        self._validate(kind, event)

        def write(session: ClientSession | None) -> Event:
            at = self._after_latest(event, session)
            stored = event.model_copy(update={"id": identifier, "at": at})
            self._append(stored, session)
            if event.field is not None:
                change = {"$set": {event.field: event.value}}
                self.connection[kind.collection].update_one({"_id": event.subject}, change, session=session)
            return stored

        try:
            return self.connection.in_transaction(write)
        except DuplicateKeyError:  # another process recorded the same key in the meantime
            return Event.model_validate(self.connection["events"].find_one({"_id": identifier}))

    def spend(self, campaign_id: str, amounts: Content, key: str) -> bool:
        """Add to the spent budget of a campaign, once for each key; return whether it was new.

        Parameters
        ----------
        amounts
            Projected field (`labels_spent`, `core_hours_spent`) to what is added.
        """
        if not self.connection["campaigns"].count_documents({"_id": campaign_id}, limit=1):
            raise NotFoundError(f"no document '{campaign_id}' in collection campaigns")
        events = [
            Event(id=f"{campaign_id}/{SPEND}/{field}/{key}", subject=campaign_id, kind=SPEND, field=field, value=amount)
            for field, amount in amounts.items()
            if amount
        ]
        present = {"_id": {"$in": [event.id for event in events]}}
        if not events or self.connection["events"].count_documents(present) == len(events):
            if not self.connection.transactions:
                self._sum_up(campaign_id, [event.field for event in events])
            return False

        def write(session: ClientSession | None) -> bool:
            for event in events:
                self._append(event, session)
            increments = {event.field: event.value for event in events}
            self.connection["campaigns"].update_one({"_id": campaign_id}, {"$inc": increments}, session=session)
            return True

        if not self.connection.transactions:
            return self._spend_without_transaction(campaign_id, events)
        try:
            return self.connection.in_transaction(write)
        except DuplicateKeyError:
            return False

    def _spend_without_transaction(self, campaign_id: str, events: Sequence[Event]) -> bool:
        new = 0
        for event in events:
            try:
                self._append(event, None)
                new += 1
            except DuplicateKeyError:  # written by a process that may have died before it summed up
                continue
        self._sum_up(campaign_id, [event.field for event in events])
        return new > 0

    def _sum_up(self, campaign_id: str, fields: Iterable[str | None]) -> None:
        """Set spent fields to the sum of their events; sums only grow, so that processes cannot undo each other."""
        totals = projected(event.model_dump() for event in self.of(campaign_id))
        sums = {field: totals[field] for field in fields if field in totals}
        if sums:
            self.connection["campaigns"].update_one({"_id": campaign_id}, {"$max": sums})

    def _append(self, event: Event, session: ClientSession | None) -> None:
        self.connection["events"].insert_one(event.model_dump(by_alias=True), session=session)

    def _after_latest(self, event: Event, session: ClientSession | None) -> datetime:
        """Return a time after every event of the subject, so that clocks that disagree cannot swap their order."""
        latest = self.connection["events"].find_one(
            {"subject": event.subject}, {"at": 1}, sort=[("at", DESCENDING)], session=session
        )
        return max(event.at, latest["at"] + _MILLISECOND) if latest else event.at

    def _validate(self, kind: type[Document], event: Event) -> None:
        record = self.connection[kind.collection].find_one({"_id": event.subject})
        if record is None:
            raise NotFoundError(f"no document '{event.subject}' in collection {kind.collection}")
        if event.field is None:
            return
        if event.field not in kind.projections:
            choices = ", ".join(kind.projections) or "none"
            raise InputError(
                f"field '{event.field}' of {event.subject} cannot change; what can in {kind.collection}: {choices}"
            )
        try:
            kind.from_record({**record, event.field: event.value})
        except ValidationError as error:
            reason = error.errors()[0]["msg"]
            raise InputError(f"{event.subject} does not accept {event.field} = {event.value!r}: {reason}") from error


def spent_fields(labels: int, core_hours: float) -> Content:
    """Return the projected fields of a campaign that a calculation adds to.

    Raises
    ------
    InputError
        If an amount is negative: budgets are spent, never earned.
    """
    if labels < 0 or not core_hours >= 0:
        raise InputError(f"labels {labels} and core hours {core_hours} must not be negative")
    amounts = {"labels_spent": labels, "core_hours_spent": float(core_hours)}
    return {field: amount for field, amount in amounts.items() if field in Campaign.projections}


def _unique(at: datetime) -> str:
    return f"{(at or now_utc()).strftime('%Y%m%dT%H%M%S.%f')}-{secrets.token_hex(4)}"
