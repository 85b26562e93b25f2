"""Who may read the dashboard, and what its answers carry; no database is needed for that."""

import asyncio
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from lizrcl_flows.dashboard.app import create_app
from lizrcl_flows.dashboard.command import check_token, listen
from lizrcl_flows.errors import InputError
from lizrcl_flows.settings import Settings

TOKEN = "a-token-of-some-length"


@cache
def app_of(token: str | None = None) -> FastAPI:
    """An application whose database is away: nothing listens on port 1."""
    settings = Settings(db_uri="mongodb://127.0.0.1:1", data_dir=Path("nowhere"), db_timeout_s=0.1)
    return create_app(settings, token)


class Asking:
    """A reader with a cookie jar."""

    def __init__(self, app: FastAPI) -> None:
        self.transport = httpx.ASGITransport(app)
        self.cookies = httpx.Cookies()

    def request(self, method: str, path: str, **rest: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            place = {"transport": self.transport, "base_url": "http://127.0.0.1", "cookies": self.cookies}
            async with httpx.AsyncClient(**place) as client:
                answer = await client.request(method, path, **rest)
                self.cookies.update(client.cookies)
                return answer

        return asyncio.run(ask())

    def get(self, path: str, **rest: Any) -> httpx.Response:
        return self.request("GET", path, **rest)


def client_of(token: str | None = None) -> Asking:
    return Asking(app_of(token))


def test_every_route_only_reads() -> None:
    routes = [route for route in app_of().routes if hasattr(route, "methods")]
    assert len(routes) > 10
    assert {method for route in routes for method in route.methods} == {"GET", "HEAD"}


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_writing_is_refused(method: str) -> None:
    for path in ("/", "/documents/lab_0", "/static/dashboard.css", "/api/labels"):
        assert client_of().request(method, path).status_code == 405


def test_answers_carry_protection() -> None:
    for path in ("/", "/static/dashboard.js", "/nowhere", "/api/openapi.json"):
        headers = client_of().get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy
        assert headers["x-frame-options"] == "DENY"
        assert "server" not in headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


def test_the_map_alone_may_compile_what_it_draws_with() -> None:
    policy = client_of().get("/campaigns/any/map").headers["content-security-policy"]
    assert "script-src 'self' 'unsafe-eval';" in policy  # and no script within the page
    assert "http" not in policy
    assert "unsafe" not in client_of().get("/campaigns/map").headers["content-security-policy"]


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8765", "127.0.0.1.evil.example", ""])
def test_without_a_token_only_names_of_this_machine_are_answered(host: str) -> None:
    assert client_of().get("/api/openapi.json", headers={"Host": host}).status_code == 421
    with_token = {"Host": host, "Authorization": f"Bearer {TOKEN}"}
    assert client_of(TOKEN).get("/api/openapi.json", headers=with_token).status_code == 200


@pytest.mark.parametrize("host", ["127.0.0.1:8765", "localhost", "[::1]:8765"])
def test_names_of_this_machine_are_answered(host: str) -> None:
    assert client_of().get("/api/openapi.json", headers={"Host": host}).status_code == 200


def test_a_database_that_is_away_is_told_in_one_sentence() -> None:
    answer = client_of().get("/")
    assert answer.status_code == 503
    assert "no database answers" in answer.text
    assert "Traceback" not in answer.text
    assert "error" in client_of().get("/?format=json").json()


def test_the_token_comes_by_header_cookie_or_once_in_the_address() -> None:
    client = client_of(TOKEN)
    for path in ("/static/dashboard.css", "/", "/api/openapi.json"):
        assert client.get(path).status_code == 401
        assert client.get(path, headers={"Authorization": "Bearer something-else"}).status_code == 401
        assert client.get(path, params={"token": "something-else"}).status_code == 401
    assert client.get("/api/openapi.json", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    moved = client.get("/api/openapi.json", params={"token": TOKEN, "a": "1"})
    assert (moved.status_code, moved.headers["location"]) == (303, "/api/openapi.json?a=1")
    assert "HttpOnly" in moved.headers["set-cookie"]
    assert TOKEN not in moved.headers["set-cookie"]
    assert client.get("/api/openapi.json").status_code == 200  # by the cookie
    other = client_of("another-token-of-some-length")
    other.cookies = client.cookies
    assert other.get("/api/openapi.json").status_code == 401


def test_the_token_does_not_lead_to_another_host() -> None:
    moved = client_of(TOKEN).get(f"http://127.0.0.1//elsewhere.org/?token={TOKEN}")
    assert moved.headers["location"] == "/elsewhere.org/"


def test_beyond_loopback_a_token_is_needed() -> None:
    check_token("127.0.0.1", None)
    check_token("0.0.0.0", TOKEN)
    with pytest.raises(InputError, match="LIZRCL_DASHBOARD_TOKEN is needed"):
        check_token("0.0.0.0", None)
    with pytest.raises(InputError, match="at least 16"):
        check_token("127.0.0.1", "short")


def test_a_port_that_is_taken_is_told() -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"--port {port}"):
            listen("127.0.0.1", port)
    with pytest.raises(InputError, match="--host"):
        listen("no.such.host.invalid", 0)


def test_an_answer_to_what_nobody_foresaw_is_protected_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    client = client_of(None)
    monkeypatch.setattr("lizrcl_flows.dashboard.security._is_own_name", broken)
    answer = client.get("http://127.0.0.1/")
    assert answer.status_code == 500
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "Traceback" not in answer.text
