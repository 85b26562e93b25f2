"""Documents as JSON, with the document models as the schemas of the OpenAPI description."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse

from lizrcl_flows.dashboard.pages.document import PAGE, listing, plain
from lizrcl_flows.documents import DOCUMENTS, Document, Record
from lizrcl_flows.documents.quantities import Count
from lizrcl_flows.science.wording import jsonable

Filter = Annotated[str, Query(max_length=2000, description="MongoDB filter as JSON: comparisons of fields only")]
Sort = Annotated[str, Query(max_length=200, description="fields, comma-separated; '-' before one: largest first")]
Number = Annotated[int, Query(ge=1, le=100_000, description=f"{PAGE} documents each")]
Arrays = Annotated[bool, Query(description="numbers of arrays too")]

DESCRIPTION = (
    "Every document of the archive, as the models of lizrcl_flows.documents describe it: units stand beside the types. "
    "Arrays come with arrays=true only. The pages of the dashboard have a JSON form as well: add ?format=json."
)
_ITEMS = {"f": "number", "u": "integer", "i": "integer"}
"""JSON type of the numbers of an array, by the kind of their dtype."""


class Documents(Record):
    """One page of the documents that meet a filter."""

    collection: str
    n: Count
    page: Count
    per_page: Count
    mongo: str
    documents: list[dict[str, Any]]


class Problem(Record):
    """Why there is no answer."""

    error: str


_PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "a parameter is not accepted"},
    404: {"model": Problem, "description": "there is no such document"},
    503: {"model": Problem, "description": "the database does not answer"},
}


def add_api(app: FastAPI) -> None:
    """Add `/api/COLLECTION` and `/api/COLLECTION/ID` for every kind of document; reading only.

    Parameters
    ----------
    app
        Its ``state.reader`` reads from the archive.
    """
    for kind in DOCUMENTS:
        place = f"/api/{kind.collection}"
        _add(app, place, _list_of(kind), Documents, f"Find documents: {kind.collection}")
        _add(app, f"{place}/{{document_id}}", _one_of(kind), kind, (kind.__doc__ or "").split("\n")[0])
    app.openapi = lambda: _description(app)  # type: ignore[method-assign]  # as FastAPI's documentation has it


def _add(app: FastAPI, path: str, endpoint: Callable[..., Response], model: type[Record], summary: str) -> None:
    told: dict[int | str, dict[str, Any]] = {200: {"model": model, "description": summary}, **_PROBLEMS}
    app.add_api_route(path, endpoint, methods=["GET"], summary=summary, responses=told, response_class=JSONResponse)
    app.add_api_route(path, endpoint, methods=["HEAD"], include_in_schema=False)


def _list_of(kind: type[Document]) -> Callable[..., Response]:
    def find(request: Request, query: Filter = "", sort: Sort = "", page: Number = 1) -> Response:
        found = request.app.state.reader.read(listing, kind.collection, query, sort, page)
        told = {name: found[name] for name in ("collection", "n", "page", "per_page", "documents")}
        return JSONResponse(jsonable({**told, "mongo": found["queries"]["documents"]}))

    find.__name__ = f"find_{kind.collection}"
    return find


def _one_of(kind: type[Document]) -> Callable[..., Response]:
    def get(request: Request, document_id: str, arrays: Arrays = False) -> Response:
        found = request.app.state.reader.read(lambda archive: archive.get(kind, document_id))
        return JSONResponse(jsonable(plain(found, arrays=arrays)))

    get.__name__ = f"get_{kind.__name__.lower()}"
    return get


def _description(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI description of everything under `/api/`, made once."""
    if app.openapi_schema is None:
        routes = [route for route in app.routes if getattr(route, "path", "").startswith("/api/")]
        made = get_openapi(title="lizrcl", version="1", description=DESCRIPTION, routes=routes)
        app.openapi_schema = _as_json(made)
    return app.openapi_schema


def _as_json(node: Any) -> Any:
    """Return a schema in which arrays are lists of lists, as JSON has them, and not the bytes of the database."""
    if isinstance(node, list):
        return [_as_json(part) for part in node]
    if not isinstance(node, dict):
        return node
    if node.get("format") == "binary" and "dtype" in node:
        return _nested(node)
    made = {key: _as_json(part) for key, part in node.items()}
    arrays = [name for name, part in node.get("properties", {}).items() if _has_array(part)]
    if arrays and "required" in made:
        made["required"] = [name for name in made["required"] if name not in arrays]
    return made


def _has_array(node: dict[str, Any]) -> bool:
    return any("dtype" in choice for choice in (node, *node.get("anyOf", ())))


def _nested(node: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"type": _ITEMS[node["dtype"].lstrip("<>=|")[0]], "unit": node["unit"]}
    for length in reversed(node["shape"]):
        made = {"type": "array", "items": made}
        if isinstance(length, int):
            made |= {"minItems": length, "maxItems": length}
    kept: dict[str, Any] = {name: node[name] for name in ("title", "description") if name in node}
    return {**made, **kept, "shape": node["shape"]}
