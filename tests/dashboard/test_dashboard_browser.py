"""The pages in Chromium: atoms are counted, and nobody else is asked for anything."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.mongo]

ARGUMENTS = ["--no-sandbox", "--headless=new", "--disable-background-networking", "--enable-unsafe-swiftshader"]
"""3Dmol draws by WebGL, which Chromium does in software where there is no GPU."""


@pytest.fixture
def tab() -> Iterator[Any]:
    """A page of a browser."""
    sync_api = pytest.importorskip("playwright.sync_api")
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("no chromium here")
    with sync_api.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield browser.new_page()
        browser.close()


def test_pages_ask_this_host_alone_and_show_every_atom(tab: Any, sample: Any, address: str) -> None:
    asked: list[str] = []
    refused: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.on("console", lambda said: refused.append(said.text) if "Content Security Policy" in said.text else None)
    candidate = tab.request.get(f"{address}/campaigns/shown/map?format=json").json()["candidates"][0]
    for path in ("/", "/campaigns/shown", "/production/shown", f"/lineage/{candidate['_id']}"):
        tab.goto(address + path)
        assert tab.locator("h1").count() == 1
    tab.goto(f"{address}/documents/{candidate['_id']}")
    tab.wait_for_selector(".viewer[data-atoms]")
    assert tab.get_attribute(".viewer", "data-atoms") == str(candidate["n_atoms"])
    tab.goto(f"{address}/campaigns/shown/map")
    tab.wait_for_selector("#chemiscope[data-ready]")
    assert tab.get_attribute("#chemiscope", "data-ready") == "yes", tab.text_content("#map-status")
    assert int(tab.get_attribute("#chemiscope", "data-points")) > 1
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []
    assert refused == []
