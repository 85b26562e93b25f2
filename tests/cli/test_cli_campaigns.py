"""Campaign commands from a file to the LaunchPad, over a real database and queue."""

import json
from pathlib import Path

import pytest

from lizrcl_flows.archive import Archive
from lizrcl_flows.cli.queue import Queue
from lizrcl_flows.documents import Campaign, Structure
from lizrcl_flows.settings import Settings

pytestmark = pytest.mark.mongo


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text("name: small\nsystem: demo\nselection: {n_structures: 3}\n", encoding="utf-8")
    return path


def test_the_same_file_twice_is_one_campaign(lizrcl, configured: Settings, archive: Archive, file: Path) -> None:
    planned = lizrcl("campaign", "new", file, "--dry-run")
    assert planned.code == 0
    assert archive.count(Campaign) == archive.count(Structure) == 0
    first = lizrcl("campaign", "new", file)
    second = lizrcl("campaign", "new", file)
    assert first.out == second.out == planned.out
    assert archive.get(Campaign, first.out.strip()).spec.selection.n_structures == 3
    assert archive.count(Campaign) == 1
    assert [entry["name"] for entry in json.loads(lizrcl("campaign", "list", "--json").out)] == ["small"]


def test_another_campaign_of_that_name_is_refused(lizrcl, configured: Settings, file: Path) -> None:
    lizrcl("campaign", "new", file)
    file.write_text("name: small\nsystem: demo\nseed: 7\n", encoding="utf-8")
    outcome = lizrcl("campaign", "new", file)
    assert outcome.code == 2
    assert "'small' exists already" in outcome.err


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ("name: a\nsystem: demo\nbudget: {lables: 3}\n", "did you mean 'labels'?"),
        ("name: a\nsystem: demo\nelements: [Li, Zr]\n", "holds Cl"),
        ("name: a\nsystem: demo\nexploration: {time_step_fs: -1}\n", "unit: fs"),
    ],
)
def test_a_bad_file_stores_nothing(lizrcl, configured, archive: Archive, file: Path, content: str, wanted: str) -> None:
    file.write_text(content, encoding="utf-8")
    outcome = lizrcl("campaign", "new", file)
    assert outcome.code == 2
    assert wanted in outcome.err
    assert outcome.err.count("\n") == 1
    assert archive.count(Campaign) == archive.count(Structure) == 0


def test_start_submits_generation_0_once(lizrcl, configured: Settings, archive: Archive, file: Path) -> None:
    lizrcl("campaign", "new", file)
    planned = json.loads(lizrcl("campaign", "start", "small", "--dry-run", "--json").out)
    assert (planned["turn"], planned["submitted"]) == (0, False)
    first = json.loads(lizrcl("campaign", "start", "small", "--json").out)
    assert (first["turn"], first["submitted"], first["state"]) == (0, True, "running")
    again = json.loads(lizrcl("campaign", "advance", "small", "--json").out)
    assert (again["turn"], again["submitted"]) == (0, False)
    with Queue.of(archive) as queue:
        assert queue.launchpad.workflows.count_documents({}) == 1
        counts = queue.counts("small")
    status = json.loads(lizrcl("campaign", "status", "small", "--json").out)
    assert status["fireworks"] == dict(counts)
    assert counts["READY"] == 1


def test_a_paused_campaign_submits_nothing_until_it_is_resumed(
    lizrcl, configured, archive: Archive, file: Path
) -> None:
    lizrcl("campaign", "new", file)
    assert lizrcl("campaign", "pause", "small", "--why", "holiday").code == 0
    assert lizrcl("campaign", "pause", "small").code == 2
    assert "holiday" in lizrcl("campaign", "status", "small").out
    stopped = json.loads(lizrcl("campaign", "start", "small", "--json").out)
    assert (stopped["turn"], stopped["submitted"], stopped["state"]) == (None, False, "paused")
    assert lizrcl("campaign", "resume", "small", "--dry-run").code == 0
    assert json.loads(lizrcl("campaign", "status", "small", "--json").out)["state"] == "paused"
    assert lizrcl("campaign", "resume", "small").code == 0
    assert json.loads(lizrcl("campaign", "start", "small", "--json").out)["submitted"]


def test_launchpad_files_are_written_and_checked(lizrcl, tmp_path: Path) -> None:
    missing = lizrcl("launchpad", "write", "--out", tmp_path / "l", "--check")
    assert missing.code == 4
    assert not (tmp_path / "l").exists()
    written = lizrcl("launchpad", "write", "--out", tmp_path / "l")
    paths = [Path(line) for line in written.out.split()]
    assert paths
    assert all(json.loads(path.read_text())["fws"] for path in paths)
    assert lizrcl("launchpad", "write", "--out", tmp_path / "l", "--check").code == 0
    paths[0].write_text("{}", encoding="utf-8")
    assert lizrcl("launchpad", "write", "--out", tmp_path / "l", "--dry-run").out.split() == [str(paths[0])]
    assert lizrcl("launchpad", "write", "--out", tmp_path / "l", "--check").code == 4
