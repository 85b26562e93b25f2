"""The fields of a document for people: names, values, units and meanings as its model declares them."""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from pydantic import BaseModel

from lizrcl_flows.documents import BY_PREFIX, Document, FileRef
from lizrcl_flows.science.wording import text

LAST = ("parents", "provenance", "created_at", "schema_version", "digest")
"""Bookkeeping: shown after everything else."""

MOST_ITEMS = 12
"""Items of a list that are shown; the JSON form has all."""

MOST_ROWS = 60
DIGITS = 8

ID = re.compile(rf"(?:{'|'.join(BY_PREFIX)})_[0-9a-f]{{20}}")

Node = Mapping[str, Any]


@cache
def schema_of(kind: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON schema of a model, names as in Python."""
    return kind.model_json_schema(by_alias=False)


class Fields:
    """Turns a document into rows of a table.

    Parameters
    ----------
    kind
        Class of the document.
    """

    def __init__(self, kind: type[BaseModel]) -> None:
        self.schema = schema_of(kind)

    def rows(self, document: Document) -> list[dict[str, Any]]:
        """Return a row for each field that says something, bookkeeping last.

        Returns
        -------
        list of dict
            ``name``, ``unit`` (or ''), ``meaning`` (or ''), and one of ``text``, ``items`` (with ``more``), ``rows``
            (of a part or a mapping), ``table`` (header and rows of a list of parts).
        """
        names = [name for name in type(document).model_fields if name not in LAST and name != "id"]
        found = (self.row(name, getattr(document, name), self.schema) for name in (*names, *LAST))
        return [row for row in found if row is not None]

    def row(self, name: str, value: Any, parent: Node) -> dict[str, Any] | None:
        """Return one row, or None where the field says nothing."""
        if _is_empty(value):
            return None
        node = self._resolved(parent).get("properties", {}).get(name, {})
        told = {"name": name, "unit": self.unit(node), "meaning": str(node.get("description", "")).split("\n")[0]}
        return told | self._shown(value, node)

    def _shown(self, value: Any, node: Node) -> dict[str, Any]:
        if isinstance(value, np.ndarray):
            return {"text": array_words(value)}
        if isinstance(value, BaseModel):
            return {"rows": self._parts(value, node)}
        if isinstance(value, Mapping):
            bare = {"unit": "", "meaning": ""}
            return {
                "rows": [{"name": str(key), **bare, **self._shown(value[key], {})} for key in list(value)[:MOST_ROWS]]
            }
        if isinstance(value, Sequence) and not isinstance(value, str):
            if value and isinstance(value[0], BaseModel):
                inner = self._resolved(node).get("items", {})
                alone = len(value) == 1 and not isinstance(value[0], FileRef)
                return {"rows": self._parts(value[0], inner)} if alone else {"table": self._table(value, node)}
            more = max(0, len(value) - MOST_ITEMS)
            return {"items": [exact(item) for item in value[:MOST_ITEMS]], "more": more}
        return {"text": exact(value)}

    def _parts(self, value: BaseModel, node: Node) -> list[dict[str, Any]]:
        found = (self.row(name, getattr(value, name), node) for name in type(value).model_fields)
        return [row for row in found if row is not None]

    def _table(self, value: Sequence[BaseModel], node: Node) -> dict[str, Any]:
        """Return a list of parts as a table: columns that are empty throughout are left out."""
        columns = [
            name
            for name in type(value[0]).model_fields
            if any(not _is_empty(getattr(part, name)) for part in value) and not isinstance(value[0], FileRef)
        ]
        inner = self._resolved(self._resolved(node).get("items", {})).get("properties", {})
        units = {name: self.unit(inner.get(name, {})) for name in columns}
        return {
            "header": [f"{name} ({units[name]})" if units[name] else name for name in columns],
            "rows": [[_cell(getattr(part, name)) for name in columns] for part in value[:MOST_ROWS]],
            "more": max(0, len(value) - MOST_ROWS),
        }

    def unit(self, node: Node) -> str:
        """Return the unit that a field's schema declares, or '' where it is a pure number or none."""
        choices = [node, *node.get("anyOf", ()), *node.get("prefixItems", ())]
        choices += [node["items"]] if isinstance(node.get("items"), Mapping) else []
        for choice in list(choices):
            choices += choice.get("prefixItems", ())
        found = next((str(choice["unit"]) for choice in choices if "unit" in choice), "")
        return "" if found == "1" else found

    def _resolved(self, node: Node) -> Node:
        """Return what a reference, or the one choice that is not null, stands for."""
        for choice in (node, *node.get("anyOf", ())):
            if "$ref" in choice:
                found: Node = self.schema["$defs"][choice["$ref"].rsplit("/", 1)[-1]]
                return found
        return next((choice for choice in node.get("anyOf", ()) if choice.get("type") in ("array", "object")), node)


def exact(value: Any) -> str:
    """Return a value as text, numbers with all digits that mean something."""
    if isinstance(value, float):
        return f"{value:.{DIGITS}g}"
    if isinstance(value, list | tuple) and value:
        return ", ".join(exact(item) for item in value)
    return text(value)


def _cell(value: Any) -> str:
    if isinstance(value, BaseModel):
        kept = {name: getattr(value, name) for name in type(value).model_fields}
        return text({name: item for name, item in kept.items() if not _is_empty(item)})
    if isinstance(value, Sequence) and not isinstance(value, str) and len(value) > MOST_ITEMS:
        return f"{text(list(value[:MOST_ITEMS]))}, and {len(value) - MOST_ITEMS} more"
    return text(value)


def _is_empty(value: Any) -> bool:
    if isinstance(value, BaseModel):
        return all(_is_empty(getattr(value, name)) for name in type(value).model_fields)
    return value is None or (isinstance(value, str | tuple | list | dict) and not value)


def array_words(array: np.ndarray[Any, Any]) -> str:
    """Return shape and range of an array in words."""
    shape = " x ".join(str(length) for length in array.shape)
    finite = array[np.isfinite(array)] if array.size else array
    if not finite.size:
        return f"{shape} numbers"
    absent = f", {array.size - finite.size} of them not a number" if finite.size < array.size else ""
    return f"{shape} numbers from {text(float(finite.min()))} to {text(float(finite.max()))}{absent}"


def file_refs(document: Document) -> list[FileRef]:
    """Return every file that a document refers to, each once."""
    found: dict[str, FileRef] = {}
    for name in type(document).model_fields:
        value = getattr(document, name)
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, FileRef):
                found.setdefault(f"{part.sha256}/{part.name}", part)
    return list(found.values())
