"""`lizrcl campaign extend` over a real database, and what `new` says about a changed file."""

import json
from pathlib import Path

import pytest

from lizrcl_flows.archive import Archive
from lizrcl_flows.documents import Campaign

pytestmark = pytest.mark.mongo


@pytest.fixture
def made(lizrcl, configured, tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text("name: small\nsystem: demo\n", encoding="utf-8")
    assert lizrcl("campaign", "new", path).code == 0
    return path


def test_keys_and_numbers_are_changed_and_told(lizrcl, archive: Archive, made: Path) -> None:
    arguments = ("budget.labels=200", "exploration.conditions=[{ensemble: nvt, temperature_k: 300}]")
    planned = lizrcl("campaign", "extend", "small", *arguments, "--generations", "4", "--dry-run")
    assert planned.code == 0
    assert "max_generations" in planned.out
    assert next(archive.find(Campaign, {})).changes == {}
    content = json.loads(lizrcl("campaign", "extend", "small", *arguments, "--why", "more time", "--json").out)
    assert content["changed"]["budget.labels"] == {"before": 100, "after": 200}
    assert next(archive.find(Campaign, {})).current.exploration.conditions[0].temperature_k == 300
    assert archive.events(content["id"])[-1].why == "more time"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["seed=3"], "seed of campaign 'small' cannot change"),
        (["budget.labels"], "not KEY=VALUE"),
        (["budget.labels=[1"], "not a YAML value"),
        (["--core-hours", "3"], "no limit of core hours; budget.core_hours=H sets one"),
        (["--labels", "0"], "--labels 0: how many more"),
        ([], "say what changes"),
    ],
)
def test_what_is_refused_is_one_sentence(lizrcl, made: Path, arguments: list[str], sentence: str) -> None:
    outcome = lizrcl("campaign", "extend", "small", *arguments)
    assert outcome.code == 2
    assert sentence in outcome.err
    assert outcome.err.count("\n") == 1


def test_a_changed_file_says_what_differs(lizrcl, made: Path) -> None:
    made.write_text("name: small\nsystem: demo\nbudget: {labels: 7}\n", encoding="utf-8")
    outcome = lizrcl("campaign", "new", made)
    assert outcome.code == 2
    assert "budget.labels 100 there and 7 in the file; `lizrcl campaign extend small budget.labels=7`" in outcome.err
