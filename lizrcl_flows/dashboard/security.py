"""What every answer carries, and who gets one."""

import hmac
from collections.abc import Awaitable, Callable
from urllib.parse import urlencode

from fastapi import Request, Response
from fastapi.responses import PlainTextResponse, RedirectResponse

COOKIE = "lizrcl_token"
NO_LOADING = "default-src 'none'"
_POLICY = (
    "default-src 'none'; script-src 'self'{script}; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
"""Inline styles are allowed because 3Dmol and chemiscope write style attributes and sheets; inline scripts never."""

Next = Callable[[Request], Awaitable[Response]]


def policy(path: str) -> str:
    """Return the content security policy of a page.

    The map alone may build code at run time: chemiscope's plots (plotly, regl) compile their drawing routines.
    """
    return _POLICY.format(script=" 'unsafe-eval'" if path.endswith("/map") else "")


async def guard(request: Request, call_next: Next, token: str | None) -> Response:
    """Answer readers who may read, and put the protective headers on the answer."""
    answer = _refusal(request, token) or await call_next(request)
    answer.headers["Content-Security-Policy"] = policy(request.url.path)
    answer.headers["X-Content-Type-Options"] = "nosniff"
    answer.headers["X-Frame-Options"] = "DENY"
    answer.headers["Referrer-Policy"] = "no-referrer"
    answer.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    answer.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    static = request.url.path.startswith("/static/")
    answer.headers["Cache-Control"] = "private, max-age=3600" if static else "no-store"
    return answer


def _refusal(request: Request, token: str | None) -> Response | None:
    if request.method not in ("GET", "HEAD"):
        return PlainTextResponse("The dashboard only reads: GET and HEAD.", 405, {"Allow": "GET, HEAD"})
    if token is None:
        return None
    once = request.query_params.get("token")
    if once is not None and _same(once, token):
        return _without_token(request, token)
    header = request.headers.get("authorization", "").removeprefix("Bearer ")
    if _same(header, token) or _same(request.cookies.get(COOKIE, ""), token):
        return None
    return PlainTextResponse("A token is needed: open this address once with ?token=...", 401)


def _without_token(request: Request, token: str) -> Response:
    """Move the token from the address, which browsers keep and show, into a cookie."""
    rest = urlencode([(name, value) for name, value in request.query_params.multi_items() if name != "token"])
    path = "/" + request.url.path.lstrip("/")  # "//host" would lead elsewhere
    answer = RedirectResponse(f"{path}?{rest}" if rest else path, 303)
    answer.set_cookie(COOKIE, token, httponly=True, samesite="strict", secure=request.url.scheme == "https")
    return answer


def _same(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode(), token.encode())
