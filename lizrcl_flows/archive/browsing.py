"""Queries that can be shown: what a page lists, and how mongosh would ask for the same."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pymongo.errors import ExecutionTimeout, OperationFailure

from lizrcl_flows.archive.archive import Archive
from lizrcl_flows.archive.connection import UNAUTHORISED, Content, backend_errors
from lizrcl_flows.errors import InputError

LONGEST_MS = 3000
"""Time that the server may spend on one query of a page (ms)."""

MOST_COUNTED = 1_000_000
"""Documents up to which a query counts; there are this many or more where it returns this number."""


@dataclass(frozen=True)
class Query:
    """One query of a collection.

    Attributes
    ----------
    criteria
        MongoDB filter.
    fields
        Dotted paths to bring back; everything where empty.
    sort
        Paths with 1 or -1.
    limit
        Most documents; 0: all.
    hint
        Name of the index to go by, where the server is known to choose a slower one.
    """

    collection: str
    criteria: Mapping[str, Any] = field(default_factory=dict)
    fields: Sequence[str] = ()
    sort: Sequence[tuple[str, int]] = ()
    skip: int = 0
    limit: int = 0
    hint: str = ""

    def __str__(self) -> str:
        """Return the query as one types it into mongosh."""
        fields = f", {shown(dict.fromkeys(self.fields, 1))}" if self.fields else ""
        text = f"db.{self.collection}.find({shown(self.criteria)}{fields})"
        if self.sort:
            text += f".sort({shown(dict(self.sort))})"
        if self.skip:
            text += f".skip({self.skip})"
        if self.limit:
            text += f".limit({self.limit})"
        return text + (f".hint({json.dumps(self.hint)})" if self.hint else "")

    def records(self, archive: Archive) -> list[Content]:
        """Return what is found, as plain mappings.

        Raises
        ------
        InputError
            If the database does not accept the filter, or would take too long over it.
        BackendError
            If the database does not answer.
        """
        projection = dict.fromkeys(self.fields, 1) if self.fields else None
        with backend_errors(archive.uri), _filter_errors(str(self)):
            cursor = archive.connection[self.collection].find(dict(self.criteria), projection)
            cursor = cursor.max_time_ms(LONGEST_MS).skip(self.skip).limit(self.limit)
            cursor = cursor.hint(self.hint) if self.hint else cursor
            return list(cursor.sort(list(self.sort)) if self.sort else cursor)

    def total(self, archive: Archive, most: int = MOST_COUNTED) -> int:
        """Return how many documents match, whatever `skip` and `limit` are, up to a number.

        Raises
        ------
        InputError, BackendError
            As `records`.
        """
        with backend_errors(archive.uri), _filter_errors(str(self)):
            found = archive.connection[self.collection]
            if not self.criteria:
                return int(found.estimated_document_count(maxTimeMS=LONGEST_MS))
            return int(found.count_documents(dict(self.criteria), limit=most, maxTimeMS=LONGEST_MS))


@dataclass(frozen=True)
class Counts:
    """How many documents have each combination of values of some fields.

    Attributes
    ----------
    fields
        That the documents are grouped by.
    """

    collection: str
    criteria: Mapping[str, Any]
    fields: tuple[str, ...]

    @property
    def pipeline(self) -> list[dict[str, Any]]:
        """The aggregation."""
        groups = {name.replace(".", "_"): f"${name}" for name in self.fields}
        return [{"$match": dict(self.criteria)}, {"$group": {"_id": groups, "n": {"$sum": 1}}}, {"$sort": {"n": -1}}]

    def __str__(self) -> str:
        """Return the aggregation as one types it into mongosh."""
        return f"db.{self.collection}.aggregate({shown(self.pipeline)})"

    def rows(self, archive: Archive) -> list[Content]:
        """Return the values of each group and ``n``, the largest first.

        Raises
        ------
        InputError, BackendError
            As `Query.records`.
        """
        with backend_errors(archive.uri), _filter_errors(str(self)):
            found = archive.connection[self.collection].aggregate(self.pipeline, maxTimeMS=LONGEST_MS)
            return [{**record["_id"], "n": record["n"]} for record in found]


@dataclass(frozen=True)
class Distinct:
    """Which values a field has among some documents."""

    collection: str
    criteria: Mapping[str, Any]
    field: str

    def __str__(self) -> str:
        """Return the query as one types it into mongosh."""
        return f"db.{self.collection}.distinct({json.dumps(self.field)}, {shown(self.criteria)})"

    def values(self, archive: Archive) -> list[Any]:
        """Return the values, none left out, in order.

        Raises
        ------
        InputError, BackendError
            As `Query.records`.
        """
        with backend_errors(archive.uri), _filter_errors(str(self)):
            found = archive.connection[self.collection].distinct(self.field, dict(self.criteria), maxTimeMS=LONGEST_MS)
            return sorted(value for value in found if value is not None)


@contextmanager
def _filter_errors(query: str) -> Iterator[None]:
    """Turn the server's opinion of a query into ours."""
    try:
        yield
    except ExecutionTimeout as error:
        raise InputError(
            f"the database took longer than {LONGEST_MS / 1000:g} s over {query}; narrow it, by campaign and "
            "generation say"
        ) from error
    except OperationFailure as error:
        if error.code in UNAUTHORISED:
            raise
        reason = str(error).partition(", full error")[0]
        raise InputError(f"the database does not accept {query}: {reason}") from error


def shown(value: Any) -> str:
    """Return a filter or a pipeline as mongosh reads it."""
    if isinstance(value, Mapping):
        inner = ", ".join(f"{_key(str(key))}: {shown(item)}" for key, item in value.items())
        return f"{{{inner}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(shown(item) for item in value)}]"
    if isinstance(value, datetime):
        return f'ISODate("{value.isoformat()}")'
    return json.dumps(value, ensure_ascii=False, default=str)


def _key(name: str) -> str:
    return name if name.lstrip("$").isidentifier() else json.dumps(name, ensure_ascii=False)
