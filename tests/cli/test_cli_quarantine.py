"""`lizrcl label quarantine`: what is printed, what is changed, and what is not."""

import json

import pytest

from lizrcl_flows.documents import Label

pytestmark = pytest.mark.mongo


def test_quarantine_names_the_coefficient_and_release_undoes_it(lizrcl, filled) -> None:
    label = filled.labels[0]
    planned = lizrcl("label", "quarantine", label, "--dry-run", "--plan")
    assert planned.code == 0
    assert filled.archive.get(Label, label).status == "accepted"
    assert "would be quarantined" in planned.err
    done = lizrcl("label", "quarantine", label[:14], "--why", "another SCF solution")
    assert done.code == 0
    assert "1 dataset, 1 evaluation, 1 generation, 2 models, 1 committee" in done.out
    assert filled.transport in done.out
    assert "0.01230  0.001100" in done.out
    assert filled.archive.get(Label, label).status == "quarantined"
    (event,) = [event for event in filled.archive.events(label) if event.kind == "quarantine"]
    assert event.why == "another SCF solution"
    assert event.who
    again = lizrcl("label", "quarantine", label, "--why", "twice")
    assert again.code == 2
    assert "is quarantined" in again.err
    released = lizrcl("label", "quarantine", label, "--release", "--why", "it was right", "--json")
    assert json.loads(released.out)["status"] == "accepted"
    assert filled.archive.get(Label, label).status == "accepted"


def test_as_json_with_a_plan(lizrcl, stored) -> None:
    outcome = lizrcl("label", "quarantine", stored.labels[0], "--dry-run", "--plan", "--json")
    content = json.loads(outcome.out)
    assert content["dry_run"] is True
    assert [entry["id"] for entry in content["transports"]] == [stored.transport]
    assert content["transports"][0]["diffusivity"] == 0.0123
    assert content["counts"]["model"] == len(content["models"]) == 2
    assert content["plan"]["datasets"] == [stored.dataset]
    assert content["plan"]["models"] == sorted(stored.models)
    assert content["plan"]["transports"] == [stored.transport]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["lab_zz", "--why", "x"], 3, "'lab_zz'"),
        (["FAILED", "--why", "x"], 2, "is failed: only an accepted one"),
        (["ACCEPTED"], 2, "--why: a reason is needed"),
        (["ACCEPTED", "--release", "--why", "x"], 2, "only one in quarantine"),
    ],
)
def test_bad_input(lizrcl, stored, arguments: list[str], code: int, words: str) -> None:
    given = {"FAILED": stored.failed_label, "ACCEPTED": stored.labels[1]}
    outcome = lizrcl("label", "quarantine", *(given.get(part, part) for part in arguments))
    assert outcome.code == code
    assert words in outcome.err
    assert stored.archive.get(Label, stored.labels[1]).status == "accepted"
