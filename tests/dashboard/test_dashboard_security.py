"""Who may read the dashboard, and what its answers carry; no database is needed for that."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from lizrcl_flows.dashboard.app import create_app
from lizrcl_flows.dashboard.command import check_token
from lizrcl_flows.errors import InputError
from lizrcl_flows.settings import Settings

TOKEN = "a-token-of-some-length"


def app_of(folder: Path, token: str | None = None) -> FastAPI:
    """An application whose database is away: nothing listens on port 1."""
    settings = Settings(db_uri="mongodb://127.0.0.1:1", data_dir=folder, db_timeout_s=0.1)
    return create_app(settings, token)


class Asking:
    """A reader with a cookie jar."""

    def __init__(self, app: FastAPI) -> None:
        self.transport = httpx.ASGITransport(app)
        self.cookies = httpx.Cookies()

    def request(self, method: str, path: str, **rest: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            place = {"transport": self.transport, "base_url": "http://testserver", "cookies": self.cookies}
            async with httpx.AsyncClient(**place) as client:
                answer = await client.request(method, path, **rest)
                self.cookies.update(client.cookies)
                return answer

        return asyncio.run(ask())

    def get(self, path: str, **rest: Any) -> httpx.Response:
        return self.request("GET", path, **rest)


def client_of(folder: Path, token: str | None = None) -> Asking:
    return Asking(app_of(folder, token))


def test_every_route_only_reads(tmp_path: Path) -> None:
    routes = [route for route in app_of(tmp_path).routes if hasattr(route, "methods")]
    assert len(routes) > 10
    assert {method for route in routes for method in route.methods} == {"GET", "HEAD"}


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_writing_is_refused(tmp_path: Path, method: str) -> None:
    for path in ("/", "/documents/lab_0", "/static/dashboard.css", "/api/labels"):
        assert client_of(tmp_path).request(method, path).status_code == 405


def test_answers_carry_protection(tmp_path: Path) -> None:
    for path in ("/", "/static/dashboard.js", "/nowhere", "/api/openapi.json"):
        headers = client_of(tmp_path).get(path).headers
        policy = headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy
        assert "unsafe-eval" not in policy
        assert "http" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


def test_a_database_that_is_away_is_told_in_one_sentence(tmp_path: Path) -> None:
    answer = client_of(tmp_path).get("/")
    assert answer.status_code == 503
    assert "no database answers" in answer.text
    assert "Traceback" not in answer.text
    assert "error" in client_of(tmp_path).get("/?format=json").json()


def test_the_token_comes_by_header_cookie_or_once_in_the_address(tmp_path: Path) -> None:
    client = client_of(tmp_path, TOKEN)
    for path in ("/static/dashboard.css", "/", "/api/openapi.json"):
        assert client.get(path).status_code == 401
        assert client.get(path, headers={"Authorization": "Bearer something-else"}).status_code == 401
        assert client.get(path, params={"token": "something-else"}).status_code == 401
    assert client.get("/api/openapi.json", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    moved = client.get("/api/openapi.json", params={"token": TOKEN, "a": "1"})
    assert (moved.status_code, moved.headers["location"]) == (303, "/api/openapi.json?a=1")
    assert "HttpOnly" in moved.headers["set-cookie"]
    assert client.get("/api/openapi.json").status_code == 200  # by the cookie


def test_the_token_does_not_lead_to_another_host(tmp_path: Path) -> None:
    moved = client_of(tmp_path, TOKEN).get(f"http://testserver//elsewhere.org/?token={TOKEN}")
    assert moved.headers["location"] == "/elsewhere.org/"


def test_beyond_loopback_a_token_is_needed() -> None:
    check_token("127.0.0.1", None)
    check_token("0.0.0.0", TOKEN)
    with pytest.raises(InputError, match="LIZRCL_DASHBOARD_TOKEN is needed"):
        check_token("0.0.0.0", None)
    with pytest.raises(InputError, match="at least 16"):
        check_token("127.0.0.1", "short")
