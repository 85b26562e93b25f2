"""Filters from plain criteria, and the fields that a query may name."""

import difflib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from bson import encode
from bson.errors import BSONError

from lizrcl_flows.documents import Document
from lizrcl_flows.errors import InputError, NotFoundError

BOUNDS = {"_min": "$gte", "_max": "$lte"}
SHOWN = 5
"""How many of several matches a message lists."""


def query(kind: type[Document], **criteria: Any) -> dict[str, Any]:
    """Return the MongoDB filter of criteria on the fields of a document.

    Parameters
    ----------
    kind
        Document class.
    **criteria
        Field names with the value wanted, or a list of values; `<field>_min` and `<field>_max` bound a number
        (inclusive). None means that the criterion is not used.

    Raises
    ------
    InputError
        If a criterion names no field of the document.

    Examples
    --------
    >>> from lizrcl_flows.documents import Candidate
    >>> query(Candidate, generation=3, eps_min=0.3)
    {'generation': 3, 'eps': {'$gte': 0.3}}
    """
    wanted: dict[str, Any] = {}
    for criterion, value in criteria.items():
        if value is None:
            continue
        field, operator = _field_of(kind, criterion)
        if operator:
            wanted.setdefault(field, {})[operator] = value
        elif isinstance(value, list | tuple | set | frozenset):
            wanted[field] = {"$in": list(value)}
        else:
            wanted[field] = value
    return wanted


def _field_of(kind: type[Document], criterion: str) -> tuple[str, str | None]:
    if criterion == "id":
        return "_id", None
    arrays = kind.array_specs()
    if criterion in kind.model_fields and criterion not in arrays:
        return criterion, None
    for ending, operator in BOUNDS.items():
        field = criterion.removesuffix(ending)
        if criterion.endswith(ending) and field in kind.model_fields and field not in arrays:
            return field, operator
    known = [name for name in kind.model_fields if name not in arrays]
    known += [f"{name}{ending}" for name in known for ending in BOUNDS]
    near = difflib.get_close_matches(criterion, known, n=1)
    hint = f"; did you mean '{near[0]}'?" if near else f"; known are {', '.join(sorted(kind.model_fields))}"
    raise InputError(f"{kind.collection} have no field '{criterion}'{hint}")


OPERATORS = frozenset(
    {
        *("$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$exists", "$type", "$mod"),
        *("$and", "$or", "$nor", "$not", "$all", "$elemMatch", "$size", "$regex", "$options"),
    }
)
"""What a user's filter may ask for: comparisons. Nothing that runs code ($where, $function, $accumulator, $expr)."""

LONGEST_REGEX = 200
"""Characters of a regular expression that is taken from a user."""

DATE = "$date"


def checked_filter(kind: type[Document], criteria: Mapping[str, Any]) -> dict[str, Any]:
    """Return a user's MongoDB filter if it only compares fields that documents of a kind have.

    Parameters
    ----------
    criteria
        As in mongosh; a moment is ``{"$date": "2026-11-27T12:00:00Z"}``, the id is ``_id`` or ``id``.

    Raises
    ------
    InputError
        If it names an operator that is not in `OPERATORS`, no field of the document, or holds what MongoDB cannot.
    """
    checked = _compared(kind, criteria)
    try:
        encode(checked)
    except (BSONError, OverflowError, UnicodeError) as error:
        shown = ascii(dict(criteria))
        raise InputError(
            f"filter {shown[:200]} is not accepted: whole numbers of at most 64 bits and plain text are ({error})"
        ) from None
    return checked


def _compared(kind: type[Document], criteria: Mapping[str, Any]) -> dict[str, Any]:
    checked: dict[str, Any] = {}
    for key, value in criteria.items():
        if key in ("$and", "$or", "$nor"):
            if not isinstance(value, list) or not all(isinstance(part, Mapping) for part in value):
                raise InputError(f"{key} takes a list of filters, got {value!r}")
            checked[key] = [_compared(kind, part) for part in value]
        elif key.startswith("$"):
            raise InputError(_refused(key))
        else:
            checked["_id" if key == "id" else field_of(kind, key)] = _checked_value(value)
    return checked


def field_of(kind: type[Document], path: str) -> str:
    """Return a dotted path as it is stored, if its first part is a field of a document.

    Raises
    ------
    InputError
        If it is none.
    """
    first = path.partition(".")[0]
    if first in ("id", "_id"):
        return "_id"
    if first in kind.model_fields:
        return path
    near = difflib.get_close_matches(first, kind.model_fields, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(sorted(kind.model_fields))}"
    raise InputError(f"{kind.collection} have no field '{first}'; {hint}")


def _checked_value(value: Any) -> Any:
    """Return what a field is compared with, moments made of their text."""
    if isinstance(value, list):
        return [_checked_value(part) for part in value]
    if not isinstance(value, Mapping):
        return value
    if set(value) == {DATE}:
        return _moment(value[DATE])
    for key, part in value.items():
        if key.startswith("$") and key not in OPERATORS:
            raise InputError(_refused(key))
        if key == "$regex" and not (isinstance(part, str) and len(part) <= LONGEST_REGEX):
            raise InputError(f"$regex: a text of at most {LONGEST_REGEX} characters is expected, got {part!r}")
    return {key: _checked_value(part) for key, part in value.items()}


def _moment(given: Any) -> datetime:
    try:
        moment = datetime.fromisoformat(str(given))
    except ValueError as error:
        raise InputError(f"{DATE}: '{given}' is not a moment such as 2026-11-27T12:00:00Z") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _refused(operator: str) -> str:
    return f"operator {operator} is not allowed in a filter; allowed are {', '.join(sorted(OPERATORS))}"


def id_range(prefix: str) -> dict[str, Any]:
    """Return the filter of all ids that begin with a prefix."""
    return {"_id": {"$gte": prefix, "$lt": prefix + "\uffff"}}


def one_match(found: list[str], collection: str, prefix: str) -> str:
    """Return the only match of an id or prefix.

    Raises
    ------
    NotFoundError, InputError
        If there is none; if there are several.
    """
    if not found:
        raise NotFoundError(f"no document '{prefix}' in collection {collection}")
    if len(found) > 1 and prefix not in found:
        shown = ", ".join(found[:SHOWN]) + (", ..." if len(found) > SHOWN else "")
        raise InputError(f"'{prefix}' is not unique in collection {collection}: {shown}")
    return prefix if prefix in found else found[0]


def projection(kind: type[Document], fields: list[str] | None, *, arrays: bool) -> Mapping[str, int] | None:
    """Return what a query is to bring back: the named fields, or everything, by default without the arrays."""
    if fields:
        return {"_id": 1, **dict.fromkeys(("_id" if name == "id" else name for name in fields), 1)}
    hidden = {} if arrays else dict.fromkeys(kind.array_specs(), 0)
    return hidden or None
