"""Any document: its fields with units, its files, its history, its structure; and lists of documents."""

import json
from collections.abc import Mapping
from typing import Any

from lizrcl_flows.archive import Archive
from lizrcl_flows.archive.browsing import Query
from lizrcl_flows.archive.describing import details
from lizrcl_flows.archive.events import kind_of
from lizrcl_flows.archive.provenance_export import kind_name
from lizrcl_flows.archive.queries import checked_filter, field_of
from lizrcl_flows.dashboard.pages.fields import Fields, file_refs
from lizrcl_flows.dashboard.pages.structures import structure_id_of
from lizrcl_flows.documents import BY_COLLECTION, Document, FileRef
from lizrcl_flows.errors import InputError, NotFoundError
from lizrcl_flows.science.document_tables import NOUNS, value_at

PAGE = 50
"""Documents on one page of a list."""

LONGEST_QUERY = 2000
DEEPEST = 100_000
"""Documents that a list goes through page by page."""

SHORT_JSON = 20_000
"""Characters of JSON that stand on the page itself."""

MOST_EVENTS = 50

Content = dict[str, Any]


def find_document(archive: Archive, document_id: str) -> Document:
    """Return the document of any kind that an id, or the beginning of one, names.

    Raises
    ------
    NotFoundError
        If there is none, or an id cannot look like that.
    InputError
        If several begin like that.
    """
    try:
        kind = kind_of(document_id)
    except InputError as error:
        raise NotFoundError(str(error)) from error
    return archive.get(kind, document_id)


def plain(document: Document, *, arrays: bool = False) -> Content:
    """Return a document as JSON has it, without its arrays unless they are asked for."""
    skipped = set() if arrays else set(document.array_specs())
    return document.model_dump(mode="json", by_alias=True, exclude=skipped)


def document(archive: Archive, document_id: str) -> Content:
    """Return what is known of a document.

    Raises
    ------
    NotFoundError, InputError
        As `find_document`.
    """
    found = find_document(archive, document_id)
    events = archive.events(found.id)
    raw = json.dumps(plain(found), indent=2, ensure_ascii=False, default=str)
    return {
        "id": found.id,
        "kind": kind_name(found.prefix),
        "collection": found.collection,
        "summary": details(archive, [found.id]).get(found.id, ""),
        "campaign": found.campaign,
        "generation": found.generation,
        "fields": Fields(type(found)).rows(found),
        "files": [ref.model_dump() for ref in file_refs(found)],
        "structure": structure_id_of(found),
        "events": [event.model_dump(mode="json", by_alias=True) for event in events[-MOST_EVENTS:]],
        "n_events": len(events),
        "raw": raw if len(raw) <= SHORT_JSON else None,
        "queries": {
            "document": str(Query(found.collection, {"_id": found.id})),
            "events": str(Query("events", {"subject": found.id}, (), (("at", 1),))),
        },
    }


def file_of(archive: Archive, document_id: str, sha256: str) -> FileRef:
    """Return the file of a document that has a digest.

    Raises
    ------
    NotFoundError
        If the document has no such file.
    """
    document = find_document(archive, document_id)
    found = next((ref for ref in file_refs(document) if ref.sha256 == sha256), None)
    if found is None:
        raise NotFoundError(f"{document.id} has no file with the SHA-256 {sha256}")
    return found


def listing(archive: Archive, collection: str, query: str, sort: str, page: int) -> Content:
    """Return one page of the documents of a kind that meet a filter.

    Parameters
    ----------
    query
        MongoDB filter as JSON, comparisons only; '' for all.
    sort
        Fields, comma-separated, '-' before one for largest first; '' for the usual order.
    page
        From 1.

    Raises
    ------
    NotFoundError
        If there is no such kind.
    InputError
        If the filter or the order is not accepted.
    """
    kind = BY_COLLECTION.get(collection)
    if kind is None:
        raise NotFoundError(f"no collection '{collection}'; there are {', '.join(BY_COLLECTION)}")
    noun = next((noun for noun in NOUNS.values() if noun.kind == kind.__name__), None)
    columns = [(column.path, column.title) for column in noun.columns] if noun else _usual_columns(kind)
    order = sort_keys(kind, sort or (noun.sort if noun and query else "_id"))
    wanted = Query(
        collection, parsed_filter(kind, query), [path for path, _ in columns], order, (page - 1) * PAGE, PAGE
    )
    if wanted.skip > DEEPEST:
        raise InputError(f"page {page} is beyond the {DEEPEST} documents that a list goes through; narrow the query")
    records = wanted.records(archive)
    return {
        "collection": collection,
        "collections": list(BY_COLLECTION),
        "query": query,
        "sort": sort,
        "page": page,
        "per_page": PAGE,
        "n": wanted.total(archive),
        "columns": [{"path": path, "title": title} for path, title in columns],
        "documents": [{path: value_at(record, path) for path, _ in columns} for record in records],
        "queries": {"documents": str(wanted)},
    }


def _usual_columns(kind: type[Document]) -> list[tuple[str, str]]:
    names = [name for name in ("name", "index", "state") if name in kind.model_fields]
    return [("_id", "id"), ("campaign", "campaign"), *((name, name) for name in names), ("created_at", "created")]


def parsed_filter(kind: type[Document], query: str) -> dict[str, Any]:
    """Return a user's filter if it only compares fields of documents of a kind.

    Raises
    ------
    InputError
        If it is not a JSON object, too long, or asks for something else than comparisons.
    """
    if not query.strip():
        return {}
    if len(query) > LONGEST_QUERY:
        raise InputError(f"query: {len(query)} characters are more than the {LONGEST_QUERY} that are accepted")
    try:
        content = json.loads(query)
    except (json.JSONDecodeError, RecursionError) as error:
        raise InputError(f'query: this is not JSON such as {{"n_atoms": {{"$gte": 30}}}}: {query}') from error
    if not isinstance(content, Mapping):
        raise InputError(f"query: a JSON object is expected, got {query}")
    try:
        return checked_filter(kind, content)
    except InputError as error:
        raise InputError(f"query: {error}") from error


def sort_keys(kind: type[Document], sort: str) -> list[tuple[str, int]]:
    """Return path and direction of each field of an order such as ``generation,-eps``.

    Raises
    ------
    InputError
        If documents have no such field.
    """
    names = [name.strip() for name in sort.split(",") if name.strip()]
    try:
        return [(field_of(kind, name.removeprefix("-")), -1 if name.startswith("-") else 1) for name in names]
    except InputError as error:
        raise InputError(f"sort: {error}") from error
