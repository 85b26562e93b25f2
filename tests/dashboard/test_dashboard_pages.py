"""The pages as HTML: every link leads somewhere, nothing is loaded from elsewhere, text stays text."""

import re
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest

pytestmark = pytest.mark.mongo

MOST_PAGES = 90
HERE = Path(str(files("lizrcl_flows.dashboard")))


class Page(HTMLParser):
    """What a browser would load, follow and run."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.inline: list[str] = []
        self.text = ""
        self.script = False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.inline += [name for name in found if name.startswith("on") or name == "style"]
        for name in ("src", "hx-get", "data-view", "data-map", "srcset", "action"):
            if found.get(name):
                self.loaded.append(found[name])
        if tag == "link":
            self.loaded.append(found["href"])
        elif tag == "a":
            self.links.append(found["href"])
        if tag == "style" or (tag == "script" and "src" not in found):
            self.inline.append(tag)

    def handle_data(self, data):
        self.text += data


def pages_of(ids):
    return {
        "home": "/",
        "overview": "/campaigns/shown",
        "generation": f"/generations/{ids['generation 2']}",
        "map": "/campaigns/shown/map",
        "map of all": "/campaigns/shown/map?generation=all",
        "document": f"/documents/{ids['candidate']}",
        "campaign document": f"/documents/{ids['campaign']}",
        "lineage": f"/lineage/{ids['dataset']}",
        "production": "/production/shown",
        "list": "/collections/labels",
    }


NAMES = tuple(pages_of(dict.fromkeys(("generation 2", "candidate", "campaign", "dataset"), "")))


@pytest.mark.parametrize("name", NAMES)
def test_a_page_loads_from_here_and_runs_nothing_of_its_own(client, sample, name: str) -> None:
    answer = client.get(pages_of(sample.ids)[name])
    assert answer.status_code == 200
    page = Page(answer.text)
    assert all(place.startswith(("/", "data:,")) and not place.startswith("//") for place in page.loaded)
    assert page.inline == []
    for place in page.loaded:
        if place.startswith("/"):
            assert client.get(place).status_code == 200, place


@pytest.mark.parametrize("name", NAMES)
def test_a_page_has_a_json_form_and_its_queries(client, sample, name: str) -> None:
    address = pages_of(sample.ids)[name]
    told = client.get(address, params={"format": "json"} | dict(client.get(address).url.params)).json()
    text = Page(client.get(address).text).text
    assert told["queries"]
    for query in told["queries"].values():
        assert query.startswith("db.")
        assert query in text


def test_every_link_leads_somewhere(client) -> None:
    waiting, seen = ["/"], {"/"}
    while waiting and len(seen) < MOST_PAGES:
        place = waiting.pop(0)
        answer = client.get(place)
        assert answer.status_code == 200, (place, answer.text[:300])
        if not answer.headers["content-type"].startswith("text/html"):
            continue
        for link in Page(answer.text).links:
            whole = urljoin(place, link)
            assert urlsplit(whole).netloc == ""
            if whole not in seen:
                seen.add(whole)
                waiting.append(whole)
    kinds = {urlsplit(place).path.split("/")[1] for place in seen}
    assert {"campaigns", "generations", "documents", "lineage", "production", "collections"} <= kinds


def test_own_scripts_and_styles_name_no_other_host() -> None:
    for path in (*(HERE / "static").glob("*.*"), *(HERE / "templates").iterdir()):
        assert not re.search(r"(https?:)?//[a-z0-9-]+\.[a-z]", path.read_text(encoding="utf-8")), path.name


def test_text_of_documents_stays_text(client, sample) -> None:
    for place in ("/campaigns/shown", f"/documents/{sample.ids['failed_label']}", "/collections/labels"):
        answer = client.get(place).text
        assert "&lt;b&gt;&amp; more" in answer
        assert "<b>& more" not in answer
    assert "&lt;script&gt;" in client.get("/campaigns/shown").text


@pytest.mark.parametrize(
    ("place", "status", "sentence"),
    [
        ("/documents/lab_ffffffffffffffffffff", 404, "no document"),
        ("/documents/nonsense", 404, "not the id of a document"),
        ("/campaigns/nowhere", 404, "no document 'nowhere'"),
        ("/campaigns/nowhere/map", 404, "no document 'nowhere'"),
        ("/production/nowhere", 404, "no document 'nowhere'"),
        ("/generations/gen_ffffffffffffffffffff", 404, "no document"),
        ("/lineage/com_ffffffffffffffffffff", 404, "no document"),
        ("/collections/passwords", 404, "no collection"),
        ("/nowhere", 404, "no such page"),
        ("/static/../app.py", 404, "no such page"),
        ('/collections/labels?query={"$where": "1"}', 400, "$where"),
        ("/collections/labels?page=0", 400, "page"),
        ("/campaigns/shown/map?generation=-1", 400, "generation"),
        ("/lineage/{level}/branch?direction=sideways&kind=lab", 400, "direction"),
        ("/lineage/{level}/branch?direction=down&kind=$wh", 400, "kind"),
    ],
)
def test_what_is_wrong_is_told_in_one_sentence(client, sample, place: str, status: int, sentence: str) -> None:
    place = place.replace("{level}", sample.ids["level"])
    answer = client.get(place)
    assert answer.status_code == status
    page = Page(answer.text)
    assert sentence in page.text
    assert "Traceback" not in page.text
    told = client.get(place, params=dict(answer.url.params) | {"format": "json"})
    assert told.status_code == status
    assert sentence in told.json()["error"]


def test_head_is_answered_without_a_body(client, sample) -> None:
    for place in ("/", "/campaigns/shown?format=json", "/static/dashboard.css", f"/api/labels/{sample.ids['label']}"):
        answer = client.head(place)
        assert answer.status_code == 200
        assert answer.content == b""


def test_a_file_comes_as_an_attachment_with_its_bytes(client, sample) -> None:
    told = client.get(f"/documents/{sample.ids['model']}?format=json").json()
    (ref,) = told["files"]
    answer = client.get(f"/documents/{sample.ids['model']}/files/{ref['sha256']}")
    assert answer.headers["content-disposition"] == "attachment"
    assert answer.content.startswith(b"nep4 3 Li Zr Cl")
    assert len(answer.content) == ref["n_bytes"]


def test_a_line_of_the_lineage_opens_to_its_members(client, sample) -> None:
    page = client.get(f"/lineage/{sample.ids['dataset']}").text
    assert "<b>18 labels</b>" in page
    assert "lab_" not in Page(page).text
    opened = client.get(f"/lineage/{sample.ids['dataset']}/branch?direction=up&kind=lab").text
    assert opened.count('class="branch"') == 18
    below = client.get(f"/lineage/{sample.ids['label']}/step?direction=up").text
    assert sample.ids["level"] in below


def test_a_reader_of_the_database_is_enough(client, sample) -> None:
    """Nothing is written by any page: the archive would refuse."""
    before = {name: sample.archive.connection[name].estimated_document_count() for name in ("events", "meta", "turns")}
    for place in pages_of(sample.ids).values():
        client.get(place)
    after = {name: sample.archive.connection[name].estimated_document_count() for name in before}
    assert after == before
