"""The application: which address shows which page, as HTML or as JSON."""

from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from fastapi.templating import Jinja2Templates
from markupsafe import Markup, escape
from starlette.exceptions import HTTPException
from starlette.middleware.base import BaseHTTPMiddleware

from lizrcl_flows.archive import Archive
from lizrcl_flows.dashboard.api import add_api
from lizrcl_flows.dashboard.pages.candidate_map import candidate_map, chemiscope_structure, map_data
from lizrcl_flows.dashboard.pages.document import document, file_of, find_document, listing
from lizrcl_flows.dashboard.pages.fields import ID
from lizrcl_flows.dashboard.pages.generation import generation
from lizrcl_flows.dashboard.pages.lineage import branch, lineage, step
from lizrcl_flows.dashboard.pages.overview import home, overview
from lizrcl_flows.dashboard.pages.production import production
from lizrcl_flows.dashboard.pages.structures import view
from lizrcl_flows.dashboard.security import guard
from lizrcl_flows.errors import BackendError, InputError, LizrclError, NotFoundError
from lizrcl_flows.science.wording import jsonable, number, text
from lizrcl_flows.settings import Settings

HERE = Path(__file__).parent
Content = dict[str, Any]
Format = Annotated[Literal["html", "json"], Query(description="json: the values of the page")]
Direction = Annotated[Literal["up", "down"], Query()]
Turn = Annotated[str, Query(pattern="^(|all|[0-9]{1,5})$", description="index, or all; the last one where absent")]
Kind = Annotated[str, Query(pattern="^[a-z]{3}$", description="prefix of the ids")]
Number = Annotated[int, Query(ge=0, le=1_000_000)]
STATUS_OF_ERRORS = {NotFoundError: 404, InputError: 400, BackendError: 503}

HEADINGS = {
    "temperature_k": "T (K)",
    "pressure_gpa": "P (GPa)",
    "time_fs": "time (fs)",
    "time_step_fs": "step (fs)",
    "eps": "eps (eV/A)",
    "n_atoms": "atoms",
    "n_frames": "frames",
}
"""Headings of columns whose fields have units."""

PATIENCE_S = 4.0
"""How long a page waits for a database that is away."""

LARGEST_FILE = 64 * 1024**2
"""Bytes of a file that is sent: it passes through memory."""


class Reader:
    """The archive, opened read-only when it is first asked for and anew after it was away."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings.model_copy(update={"db_timeout_s": min(settings.db_timeout_s, PATIENCE_S)})
        self._archive: Archive | None = None
        self._lock = Lock()

    def read(self, page: Callable[..., Any], *arguments: Any) -> Any:
        """Return what a page says."""
        try:
            return page(self._opened(), *arguments)
        except BackendError:
            self.close()
            raise

    def _opened(self) -> Archive:
        with self._lock:
            if self._archive is None:
                self._archive = Archive.connect(settings=self.settings, read_only=True)
            return self._archive

    def close(self) -> None:
        """Give the connection up."""
        with self._lock:
            if self._archive is not None:
                self._archive.close()
            self._archive = None


def create_app(settings: Settings, token: str | None = None) -> FastAPI:
    """Return the dashboard of the archive that the settings name.

    Parameters
    ----------
    token
        What every reader must show; None lets everyone read who reaches the address.
    """
    app = FastAPI(title="lizrcl dashboard", openapi_url="/api/openapi.json", docs_url=None, redoc_url=None)
    app.state.reader = Reader(settings)
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")
    app.state.templates = _templates()
    _add_pages(app)
    _add_parts(app)
    add_api(app)

    async def guarded(request: Request, call_next: Any) -> Response:
        return await guard(request, call_next, token)

    app.add_middleware(GZipMiddleware, minimum_size=2000, compresslevel=4)
    app.add_middleware(BaseHTTPMiddleware, dispatch=guarded)
    for kind in (LizrclError, HTTPException, RequestValidationError):
        app.add_exception_handler(kind, _failed)
    app.router.add_event_handler("shutdown", app.state.reader.close)
    return app


def _templates() -> Jinja2Templates:
    templates = Jinja2Templates(directory=HERE / "templates")
    templates.env.trim_blocks = templates.env.lstrip_blocks = True
    templates.env.filters |= {
        "text": text,
        "number": number,
        "linked": _linked,
        "plain": jsonable,
        "thousandth": lambda value: None if value is None else 1000 * value,  # eV as meV
    }
    templates.env.globals |= {"headings": HEADINGS, "json_of": _json_of}
    return templates


def _linked(value: Any) -> Markup:
    """Return a value with the ids in it as links."""
    return Markup(ID.sub(r'<a class="id" href="/documents/\g<0>">\g<0></a>', str(escape(value))))


def _json_of(request: Request) -> str:
    """Return the address of the JSON form of a page."""
    return str(request.url.include_query_params(format="json").replace(scheme="", netloc=""))


def _answer(request: Request, template: str, form: str, page: Callable[..., Content], *arguments: Any) -> Response:
    content = request.app.state.reader.read(page, *arguments)
    if form == "json":
        return JSONResponse(jsonable(content))
    answer: Response = request.app.state.templates.TemplateResponse(request, template, {"page": content})
    return answer


def _add_pages(app: FastAPI) -> None:
    """Add the addresses that people open."""

    @app.api_route("/", methods=["GET", "HEAD"])
    def all_campaigns(request: Request, format: Format = "html") -> Response:  # noqa: A002  the name in the address
        return _answer(request, "home.html", format, home)

    @app.api_route("/campaigns/{name}", methods=["GET", "HEAD"])
    def one_campaign(request: Request, name: str, format: Format = "html") -> Response:  # noqa: A002
        return _answer(request, "campaign.html", format, overview, name)

    @app.api_route("/campaigns/{name}/map", methods=["GET", "HEAD"])
    def map_page(request: Request, name: str, generation: Turn = "", format: Format = "html") -> Response:  # noqa: A002
        return _answer(request, "map.html", format, candidate_map, name, generation)

    @app.api_route("/generations/{name}", methods=["GET", "HEAD"])
    def one_generation(request: Request, name: str, format: Format = "html") -> Response:  # noqa: A002
        return _answer(request, "generation.html", format, generation, name)

    @app.api_route("/documents/{name}", methods=["GET", "HEAD"])
    def one_document(request: Request, name: str, format: Format = "html") -> Response:  # noqa: A002
        return _answer(request, "document.html", format, document, name)

    @app.api_route("/lineage/{name}", methods=["GET", "HEAD"])
    def one_lineage(request: Request, name: str, format: Format = "html") -> Response:  # noqa: A002
        return _answer(request, "lineage.html", format, lineage, name)

    @app.api_route("/production/{name}", methods=["GET", "HEAD"])
    def one_production(request: Request, name: str, format: Format = "html") -> Response:  # noqa: A002
        return _answer(request, "production.html", format, production, name)


def _add_parts(app: FastAPI) -> None:
    """Add the addresses that pages ask for more."""

    @app.api_route("/lineage/{name}/branch", methods=["GET", "HEAD"])
    def lineage_branch(
        request: Request,
        name: str,
        direction: Direction,
        kind: Kind,
        page: Number = 0,
        format: Format = "html",  # noqa: A002
    ) -> Response:
        return _answer(request, "branch.html", format, branch, name, direction, kind, page)

    @app.api_route("/lineage/{name}/step", methods=["GET", "HEAD"])
    def lineage_step(request: Request, name: str, direction: Direction, format: Format = "html") -> Response:  # noqa: A002
        return _answer(request, "step.html", format, step, name, direction)

    @app.api_route("/collections/{name}", methods=["GET", "HEAD"])
    def list_of_documents(
        request: Request,
        name: str,
        query: Annotated[str, Query(max_length=2000)] = "",
        sort: Annotated[str, Query(max_length=200)] = "",
        page: Annotated[int, Query(ge=1, le=100_000)] = 1,
        format: Format = "html",  # noqa: A002
    ) -> Response:
        return _answer(request, "list.html", format, listing, name, query, sort, page)

    @app.api_route("/documents/{name}/view", methods=["GET", "HEAD"])
    def view_of_document(request: Request, name: str) -> Response:
        return JSONResponse(jsonable(request.app.state.reader.read(_view, name)))

    @app.api_route("/documents/{name}/files/{sha256}", methods=["GET", "HEAD"])
    def file_of_document(request: Request, name: str, sha256: str) -> Response:
        content = request.app.state.reader.read(_file, name, sha256)
        headers = {"Content-Disposition": "attachment"}  # nothing that was stored is shown as a page
        return Response(content, media_type="application/octet-stream", headers=headers)

    @app.api_route("/campaigns/{name}/map/data", methods=["GET", "HEAD"])
    def data_of_map(request: Request, name: str, generation: Turn = "") -> Response:
        return JSONResponse(jsonable(request.app.state.reader.read(map_data, name, generation)))

    @app.api_route("/structures/{name}/chemiscope", methods=["GET", "HEAD"])
    def map_structure(request: Request, name: str) -> Response:
        return JSONResponse(jsonable(request.app.state.reader.read(chemiscope_structure, name)))


def _view(archive: Archive, name: str) -> Content:
    return view(archive, find_document(archive, name))


def _file(archive: Archive, name: str, sha256: str) -> bytes:
    ref = file_of(archive, name, sha256)
    if ref.n_bytes > LARGEST_FILE:
        raise InputError(
            f"{ref.name} has {ref.n_bytes} bytes, more than the {LARGEST_FILE} sent here: use `lizrcl ... export`"
        )
    return archive.read_file(ref)


def _failed(request: Request, error: Exception) -> Response:
    """Answer an error with one sentence, as a page or as JSON."""
    status, sentence = _told(error)
    if request.query_params.get("format") == "json" or request.url.path.startswith("/api/"):
        return JSONResponse({"error": sentence}, status)
    content = {"page": {"status": status, "sentence": sentence}}
    answer: Response = request.app.state.templates.TemplateResponse(request, "error.html", content, status)
    return answer


def _told(error: Exception) -> tuple[int, str]:
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        return 400, f"{first['loc'][-1]}: {first['msg']}"
    if isinstance(error, HTTPException):
        return error.status_code, "There is no such page." if error.status_code == 404 else str(error.detail)
    status = next((code for kind, code in STATUS_OF_ERRORS.items() if isinstance(error, kind)), 500)
    return status, f"{' '.join(str(error).split())}."
