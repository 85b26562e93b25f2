"""The report of a campaign and of a production run: one page that needs nothing else, numbers and lineage with it."""

import base64
import csv
import gzip
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from lizrcl_flows.documents import Analysis, Trajectory, Transport

pytestmark = pytest.mark.mongo


class Page(HTMLParser):
    """What a browser would ask for and what it would show."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.downloads: dict[str, str] = {}
        self.tags: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.append(tag)
        self.sources += [found[name] for name in ("src", "href") if found.get(name)]
        if "download" in found:
            self.downloads[found["download"]] = found["href"]

    def handle_data(self, data):
        self.text += data


def content(link):
    head, _, body = link.partition(",")
    raw = base64.b64decode(body)
    return (gzip.decompress(raw) if "gzip" in head else raw).decode("utf-8")


def coefficient(run, **changes):
    lag = np.linspace(1, 50, 20)
    told = {
        "trajectories": (run,),
        "species": "Li",
        "protocol": "gls_blocks",
        "temperature_k": 700.0,
        "phase": "alpha",
        "n_ions": 2,
        "n_frames": 100,
        "status": "resolved",
        "diffusivity": 0.02,
        "diffusivity_std": 0.001,
        "n_lags": 20,
        "lag_ps": lag,
        "msd_a2": 0.12 * lag + 0.9,
        "msd_xyz_a2": np.stack([0.04 * lag + 0.3] * 3, axis=1),
        "diffusivity_xyz": (0.02, 0.02, 0.02),
        "diffusivity_xyz_std": (0.002, 0.002, 0.002),
        "parents": (run,),
        **changes,
    }
    return Transport(**told)


def law(runs, sources):
    return Transport(
        kind="arrhenius",
        trajectories=runs,
        species="Li",
        protocol="gls_blocks",
        sources=sources,
        temperature_k=300.0,
        phase="alpha",
        n_ions=2,
        n_frames=300,
        status="resolved",
        diffusivity=1e-5,
        activation_energy=0.29,
        activation_energy_std=0.01,
        ln_prefactor=1.0,
        fit_covariance=(0.04, 0.002, 1e-4),
        temperatures_k=(600.0, 700.0),
        n_lags=0,
        lag_ps=np.zeros(0),
        msd_a2=np.zeros(0),
        parents=sources,
    )


def analysis(filled, run, kind, tmp_path, arrays=None, **told):
    stored = None
    if arrays:
        path = tmp_path / f"{kind}.npz"
        np.savez_compressed(path, **arrays)
        stored = filled.archive.put_file(path)
    document = Analysis(
        kind=kind,
        trajectory=run,
        definition=f"how {kind} is <defined>",
        n_frames=10,
        arrays=stored,
        parents=(run,),
        **told,
    )
    return filled.archive.put(document)


RDF = {
    "r_a": np.linspace(0, 5, 50),
    "pairs": np.array(["Li-Cl"]),
    "g": np.ones((1, 50)),
    "running": np.linspace(0, 6, 50)[None],
}


def test_the_page_of_a_run_needs_nothing_else_and_carries_its_numbers(lizrcl, filled, tmp_path: Path):
    rng = np.random.default_rng(0)
    # a run of its own: the shared one may have analyses
    run = filled.archive.put(filled.archive.get(Trajectory, filled.production).revised(seed=77))
    stored = filled.archive.put(coefficient(run))
    shapes = {
        "volume_a3": rng.normal(22, 1, 9000),
        "csm": rng.gamma(2, 1, 9000),
        "cn": np.full(9000, 6),
        "regions": np.array(["bulk"] * 9000),
    }
    polyhedra = analysis(filled, run, "polyhedra", tmp_path, shapes, results={"cn_6_share": 1.0})
    rdf = analysis(filled, run, "rdf", tmp_path, RDF, parameters={"r_max_a": 5.0})
    analysis(filled, run, "layers", tmp_path, {"times_ps": np.arange(3.0)})
    analysis(filled, run, "density", tmp_path, status="not_possible", reason="the cell has no layers")
    outcome = lizrcl("report", run[:12], "--out", tmp_path / "r")
    assert outcome.code == 0, outcome.err
    paths = [Path(line) for line in outcome.out.split()]
    assert [path.name for path in paths[:2]] == ["report.html", "report.pdf"]
    assert {path.name for path in paths[4:]} == {"displacement.png", "rdf.png", "polyhedra.png"}
    page = Page(paths[0].read_text(encoding="utf-8"))
    assert all(source.startswith(("data:", "#")) for source in page.sources)
    assert "script" not in page.tags
    assert "link" not in page.tags
    for told in ("not possible: the cell has no layers", "the stored arrays lack layer_z_a", "how rdf is <defined>"):
        assert told in page.text
    for name in (stored, polyhedra, rdf):
        assert f"lizrcl lineage {name}" in page.text
    rows = list(csv.DictReader(io.StringIO(content(page.downloads["rdf.csv"]))))
    assert [float(row["neighbours Li-Cl"]) for row in rows] == pytest.approx(RDF["running"][0], abs=1e-6)
    packed = json.loads(content(page.downloads["polyhedra.json.gz"]))
    assert packed["ids"] == [polyhedra]
    assert packed["columns"]["volume_a3"] == pytest.approx(shapes["volume_a3"], rel=1e-6)
    beside = (tmp_path / "r" / "numbers" / "rdf.csv").read_text(encoding="utf-8")
    assert beside == content(page.downloads["rdf.csv"])
    told = json.loads((tmp_path / "r" / "report.json").read_text(encoding="utf-8"))
    assert {entry["kind"] for entry in told["analyses"]} == {"polyhedra", "rdf", "layers", "density"}
    pdf = (tmp_path / "r" / "report.pdf").read_bytes()
    assert pdf.startswith(b"%PDF")
    assert len(re.findall(rb"/Type /Page\b", pdf)) == 1 + 3  # one page of text, three figures


def test_a_campaign_shows_the_arrhenius_law_and_its_runs(lizrcl, filled, tmp_path: Path):
    first = filled.archive.get(Trajectory, filled.production)
    second = filled.archive.put(first.revised(temperature_k=600.0))
    third = filled.archive.put(first.revised(temperature_k=500.0))
    put = filled.archive.put
    warm = put(coefficient(filled.production))
    cold = put(coefficient(second, temperature_k=600.0, diffusivity=0.01))
    slow = {"status": "not_resolved", "reason": "too short", "diffusivity": None, "diffusivity_upper_bound": 0.004}
    put(coefficient(third, temperature_k=500.0, **slow))
    fitted = put(law((filled.production, second), (warm, cold)))
    analysis(filled, filled.production, "rdf", tmp_path, RDF)
    outcome = lizrcl("report", "small", "--out", tmp_path / "r")
    assert outcome.code == 0, outcome.err
    names = {Path(line).name for line in outcome.out.split()}
    assert {"arrhenius.png", "msd.png", f"{filled.production}_rdf.png", f"{second}_displacement.png"} <= names
    page = Page((tmp_path / "r" / "report.html").read_text(encoding="utf-8"))
    assert "Ea = 0.290 +- 0.010 eV over 2 temperatures, 600 to 700 K" in page.text
    rows = list(csv.DictReader(io.StringIO(content(page.downloads["arrhenius.csv"]))))
    measured = {float(row["temperature_k"]): row["diffusivity_a2_per_ps"] for row in rows if row["temperature_k"]}
    assert measured[600.0] == "0.01"
    assert measured[500.0] == ""
    assert [row["law_transport"] for row in rows if row["law_transport"]] == [fitted]
    assert [row["upper_bound_a2_per_ps"] for row in rows if row["temperature_k"] == "500.0"] == ["0.004"]


@pytest.mark.parametrize(
    ("name", "code", "wanted"),
    [
        ("large", 3, "known: small"),
        ("tra_00000000000000000000", 3, "no document 'tra_00000000000000000000' in collection trajectories"),
        ("tra_", 2, "is not unique"),
    ],
)
def test_a_report_of_nothing(lizrcl, stored, tmp_path: Path, name: str, code: int, wanted: str):
    outcome = lizrcl("report", name, "--out", tmp_path / "r")
    assert outcome.code == code
    assert wanted in outcome.err
    assert not (tmp_path / "r").exists()


def test_a_run_of_which_nothing_is_known_has_a_report(lizrcl, stored, tmp_path: Path):
    outcome = lizrcl("report", stored.exploration, "--out", tmp_path / "r")
    assert outcome.code == 0, outcome.err
    text = (tmp_path / "r" / "report.html").read_text(encoding="utf-8")
    assert "No analysis of this run is stored." in text
    assert "exploration" in text


def test_points_of_two_committees_keep_their_own_laws():
    from lizrcl_flows.cli.report_production import arrhenius_shown

    points, laws = [], []
    for turn in range(2):
        runs = (f"tra_{turn}0", f"tra_{turn}1")
        warm = coefficient(runs[0], temperature_k=700.0, diffusivity=0.02 * (1 + 9 * turn))
        cold = coefficient(runs[1], temperature_k=600.0, diffusivity=0.01 * (1 + 9 * turn))
        points += [warm, cold]
        laws += [law(runs, (warm.id, cold.id))]
    (shown,) = arrhenius_shown([*points, *laws])
    drawn = [sorted(bar.lines[0].get_ydata()) for bar in shown.figure.axes[0].containers]
    assert drawn == [pytest.approx([1e-6, 2e-6]), pytest.approx([1e-5, 2e-5])]
    assert set(shown.ids) == {entry.id for entry in (*points, *laws)}
