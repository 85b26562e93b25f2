"""The lineage of a document, one step at a time: what is folded is counted, and fetched when it is opened."""

from typing import Any

from lizrcl_flows.archive import Archive
from lizrcl_flows.archive.browsing import Query
from lizrcl_flows.archive.describing import details
from lizrcl_flows.archive.families import families, members
from lizrcl_flows.archive.lineage import Direction
from lizrcl_flows.archive.provenance_export import kind_name
from lizrcl_flows.archive.root_causes import root_causes
from lizrcl_flows.dashboard.pages.document import find_document
from lizrcl_flows.documents import BY_PREFIX
from lizrcl_flows.errors import InputError
from lizrcl_flows.science.wording import plural

PAGE = 50
"""Documents that an opened line shows; more are fetched on demand."""

FEW = 3
"""As many documents of a kind stand open from the start."""


def lineage(archive: Archive, document_id: str) -> dict[str, Any]:
    """Return a document with what stands right above and right below it.

    Raises
    ------
    NotFoundError, InputError
        If there is no such document; if several begin like that.
    """
    document = find_document(archive, document_id)
    return {
        "id": document.id,
        "kind": kind_name(document.prefix),
        "summary": details(archive, [document.id]).get(document.id, ""),
        "campaign": document.campaign,
        "generation": document.generation,
        "up": step(archive, document.id, "up"),
        "down": step(archive, document.id, "down"),
        "failures": [cause.as_dict() for cause in root_causes(archive, document.id)],
        "queries": {
            "up": str(Query("lineage", {"_id": document.id}, ("parents",))),
            "down": str(Query("lineage", {"parents": document.id}, ("kind",))),
        },
    }


def step(archive: Archive, document_id: str, direction: Direction) -> dict[str, Any]:
    """Return the families right above or below a document; small ones with their members.

    Raises
    ------
    NotFoundError
        If there is no such document.
    """
    lines = []
    for family in families(archive, document_id, direction):
        name = kind_name(family.kind)
        line: dict[str, Any] = {"kind": family.kind, "n": family.n, "more": family.more}
        line["name"] = name if family.n == 1 else plural(name)
        if family.n <= FEW:
            line |= branch(archive, document_id, direction, family.kind)
        lines.append(line)
    return {"id": document_id, "direction": direction, "families": lines}


def branch(archive: Archive, document_id: str, direction: Direction, kind: str, page: int = 0) -> dict[str, Any]:
    """Return some members of a family, each with a few words.

    Parameters
    ----------
    page
        From 0, `PAGE` members each.

    Raises
    ------
    NotFoundError, InputError
        If there is no such document; if there is no such kind.
    """
    if kind not in BY_PREFIX:
        raise InputError(f"kind: '{kind}' is none; there are {', '.join(BY_PREFIX)}")
    names, more = members(archive, document_id, direction, kind, (page * PAGE, PAGE))
    told = details(archive, names)
    return {
        "id": document_id,
        "direction": direction,
        "kind": kind,
        "kind_name": kind_name(kind),
        "next": page + 1 if more else None,
        "members": [{"id": name, "summary": told.get(name, "")} for name in names],
    }
