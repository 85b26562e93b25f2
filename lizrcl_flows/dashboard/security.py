"""Who gets an answer, and what every answer carries."""

import hashlib
import hmac
import logging
import re
from collections.abc import Awaitable, Callable
from urllib.parse import urlencode, urlsplit

from fastapi import Request, Response
from fastapi.responses import PlainTextResponse, RedirectResponse

log = logging.getLogger(__name__)

COOKIE = "lizrcl_dashboard"
LOOPBACK = ("127.0.0.1", "::1", "localhost")
"""Names of this machine; without a token nobody is answered who calls it by another one."""

_STRICT = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_MAP = (
    "default-src 'none'; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""For the map alone: chemiscope and its plots write style sheets into the page, and pictures of themselves; and regl,
by which plotly draws points, compiles its drawing routines from text (without it: "WebGL is not supported")."""

_MAPS = re.compile("/campaigns/[^/]+/map")

Next = Callable[[Request], Awaitable[Response]]


def policy(path: str) -> str:
    """Return the content security policy of an address: nothing from another host, no script within a page."""
    return _MAP if _MAPS.fullmatch(path) else _STRICT


async def guard(request: Request, call_next: Next, token: str | None) -> Response:
    """Answer readers who may read, and put the protective headers on the answer.

    Parameters
    ----------
    token
        What a reader must show; None: everyone may read who calls this machine by a name of its own.
    """
    try:
        answer = _refusal(request, token) or await call_next(request)
    except Exception:  # an answer to what nobody foresaw is protected as well
        log.exception("page failed path=%s", request.url.path)
        answer = PlainTextResponse("This page failed; the log of the dashboard says where.", 500)
    static = request.url.path.startswith("/static/")
    answer.headers["Content-Security-Policy"] = policy(request.url.path)
    answer.headers["X-Content-Type-Options"] = "nosniff"
    answer.headers["X-Frame-Options"] = "DENY"
    answer.headers["Referrer-Policy"] = "no-referrer"
    answer.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    answer.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    answer.headers["Cache-Control"] = "private, no-cache" if static else "no-store"
    return answer


def _refusal(request: Request, token: str | None) -> Response | None:
    if request.method not in ("GET", "HEAD"):
        return PlainTextResponse("The dashboard only reads: GET and HEAD.", 405, {"Allow": "GET, HEAD"})
    if token is None:
        return None if _is_own_name(request) else PlainTextResponse("This host is not known here.", 421)
    once = request.query_params.get("token")
    if once is not None and _same(once, token):
        return _without_token(request, token)
    header = request.headers.get("authorization", "").removeprefix("Bearer ")
    if _same(header, token) or _same(request.cookies.get(COOKIE, ""), _derived(token)):
        return None
    return PlainTextResponse("A token is needed: open this address once with ?token=...", 401)


def _is_own_name(request: Request) -> bool:
    """Tell whether the caller used a name of this machine.

    A page of another host can have its name lead here (DNS rebinding), and would then read what it likes.
    """
    return urlsplit(f"//{request.headers.get('host', '')}").hostname in LOOPBACK


def _without_token(request: Request, token: str) -> Response:
    """Move the token from the address, which browsers keep and show, into a cookie."""
    rest = urlencode([(name, value) for name, value in request.query_params.multi_items() if name != "token"])
    path = "/" + request.url.path.lstrip("/")  # "//host" would lead elsewhere
    answer = RedirectResponse(f"{path}?{rest}" if rest else path, 303)
    # lax: the link may stand in a message; there is nothing that a request from elsewhere could change
    secure = request.url.scheme == "https"
    answer.set_cookie(COOKIE, _derived(token), httponly=True, samesite="lax", secure=secure)
    return answer


def _derived(token: str) -> str:
    """Return what the cookie holds: it opens the dashboard and does not tell the token."""
    return hmac.new(token.encode(), COOKIE.encode(), hashlib.sha256).hexdigest()


def _same(given: str, wanted: str) -> bool:
    """Compare in a time that does not depend on where the two differ."""
    return hmac.compare_digest(given.encode(), wanted.encode())
