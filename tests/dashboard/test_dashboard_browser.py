"""The pages in Chromium: atoms and points are counted in what is drawn, and no other host is asked for anything."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.mongo]

ARGUMENTS = ["--no-sandbox", "--headless=new", "--disable-background-networking", "--enable-unsafe-swiftshader"]
"""WebGL, by which structures and points are drawn, is done in software where there is no GPU."""

ATOMS = "document.querySelector('.viewer').viewer.getModel().selectedAtoms({{elem: '{}'}}).length"

SHOWN = "document.getElementById('chemiscope').visualizer"

PLACE = f"""number => {{
  const plot = {SHOWN}.map._plot, {{left, top}} = plot.getBoundingClientRect(), {{xaxis, yaxis}} = plot._fullLayout;
  const {{x, y}} = plot.data[0];
  return [left + xaxis._offset + xaxis.d2p(x[number]), top + yaxis._offset + yaxis.d2p(y[number])];
}}"""
"""Where on the screen a point of the map is."""

DRAWN = """selector => {
  const canvas = document.querySelector(selector + ' canvas');
  const copy = Object.assign(document.createElement('canvas'), {width: canvas.width, height: canvas.height});
  const context = copy.getContext('2d');
  context.drawImage(canvas, 0, 0);
  const data = new Uint32Array(context.getImageData(0, 0, copy.width, copy.height).data.buffer);
  return new Set(data).size;
}"""
"""Number of colours of a canvas: one where nothing is drawn."""


class Tab:
    """A page of the browser with a record of what it asked for and complained about."""

    def __init__(self, page: Any, address: str) -> None:
        self.page = page
        self.address = address
        self.asked: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)

    def open(self, place: str) -> Any:
        self.page.goto(self.address + place)
        self.page.wait_for_load_state("networkidle")
        return self.page

    def others(self) -> list[str]:
        """Return what was asked of another host."""
        return [url for url in self.asked if not url.startswith((self.address + "/", "data:", "blob:"))]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api")
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("no chromium here")
    with sync_api.sync_playwright() as started:
        running = started.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield running
        running.close()


@pytest.fixture
def tab(browser: Any, address: str) -> Iterator[Tab]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    made = Tab(context.new_page(), address)
    yield made
    context.close()
    assert made.others() == []
    assert made.complaints == []


def test_charts_are_drawn(tab: Tab) -> None:
    for place, n in (("/campaigns/shown", 2), ("/production/shown", 2)):
        page = tab.open(place)
        plots = "Array.from(document.querySelectorAll('.plot')).map(each => each.plot.series.length - 1)"
        assert len(page.evaluate(plots)) == n
        assert page.evaluate(DRAWN, ".plot") > 3
    assert page.evaluate(plots) == [5, 2]  # displacements of five; points and a law
    points = page.evaluate("document.querySelectorAll('.plot')[1].plot.data[1].filter(value => value > 0).length")
    assert points == 4


def test_every_atom_of_a_structure_is_drawn_and_may_be_coloured_by_eps(tab: Tab, sample: Any) -> None:
    page = tab.open(f"/documents/{sample.ids['candidate']}")
    page.wait_for_selector(".viewer[data-atoms]")
    assert [page.evaluate(ATOMS.format(symbol)) for symbol in ("Li", "Zr", "Cl")] == [6, 3, 18]
    assert page.evaluate(DRAWN, ".viewer") > 50
    assert page.locator(".viewed .dot").count() == 3
    page.select_option(".viewed select", index=1)
    colour = (
        "document.querySelector('.viewer').viewer.getModel().selectedAtoms({}).map(a => a.style.sphere.colorfunc(a))"
    )
    assert len(set(page.evaluate(colour))) > 10


def test_a_document_without_a_structure_loads_no_viewer(tab: Tab, sample: Any) -> None:
    page = tab.open(f"/documents/{sample.ids['dataset']}")
    assert page.locator(".viewer").count() == 0
    assert not any("3Dmol" in url for url in tab.asked)


def test_the_map_has_every_point_and_a_click_shows_its_structure(tab: Tab) -> None:
    page = tab.open("/campaigns/shown/map?generation=2")
    page.wait_for_selector("#chemiscope[data-ready]")
    assert page.get_attribute("#chemiscope", "data-ready") == "yes", page.text_content("#map-status")
    assert page.evaluate(f"{SHOWN}.map._plot.data[0].x.length") == 20
    data = page.request.get(f"{tab.address}/campaigns/shown/map/data?generation=2").json()
    for number in (12, 3):
        place = page.evaluate(PLACE, number)
        page.mouse.move(*place)
        page.wait_for_timeout(400)  # plotly takes a click for one on what it has seen the mouse over
        page.mouse.click(*place)
        page.wait_for_function(
            "name => document.querySelector('#map-status a').textContent === name", arg=data["ids"][number]
        )
    assert page.get_attribute("#map-status a", "href") == f"/documents/{data['ids'][3]}"
    atoms = f"Array.from({SHOWN}.structure._cellsData.values())[0].viewer._viewer.getModel().selectedAtoms({{}})"
    page.wait_for_function(f"() => {atoms}.length === {data['structures'][3]['size']}")
    assert any(f"/structures/{data['structures'][12]['data']}/chemiscope" in url for url in tab.asked)


def test_the_map_is_coloured_by_what_is_asked_for(tab: Tab) -> None:
    page = tab.open("/campaigns/shown/map?generation=all")
    page.wait_for_selector("#chemiscope[data-ready='yes']")
    assert page.get_attribute("#chemiscope", "data-points") == "60"
    for word, name in (("region", "region number"), ("generation", "generation"), ("eps", "eps")):
        page.click(f".colours button:text-is('{word}')")
        assert page.evaluate(f"{SHOWN}.saveSettings().map.color.property") == name
        if word == "region":
            assert page.text_content(".colours small") == "0: bulk, 1: interface"


def test_a_data_set_is_one_line_until_it_is_opened(tab: Tab, sample: Any) -> None:
    page = tab.open(f"/lineage/{sample.ids['dataset']}")
    line = page.locator("summary:has-text('18 labels')")
    assert page.locator(".leaf .branch").count() == 0
    line.locator("b").click()
    page.wait_for_selector(".leaf .branch")
    assert page.locator(".leaf .branch").count() == 18
    page.locator(".leaf .branch summary small").first.click()
    page.wait_for_selector(".leaf .leaf .branch")
    kinds = [text.split()[0] for text in page.locator(".leaf .leaf .branch summary").all_text_contents()]
    assert kinds == ["level", "structure"]


@pytest.mark.parametrize("width", [400, 1280])
def test_no_page_is_wider_than_its_screen(browser: Any, address: str, sample: Any, width: int) -> None:
    places = ["/", "/campaigns/shown", "/campaigns/shown/map", "/production/shown", "/collections/labels"]
    places += [f"/documents/{sample.ids[name]}" for name in ("campaign", "candidate", "label", "law", "evaluation")]
    places += [f"/generations/{sample.ids['generation 2']}", f"/lineage/{sample.ids['law']}"]
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme="dark")
    page = context.new_page()
    wide = []
    for place in places:
        page.goto(address + place)
        page.wait_for_timeout(200)
        if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
            wide.append(place)
    context.close()
    assert wide == []
