"""Promotion, rollback and the comparison of generations, over a real database."""

import json

import numpy as np
import pytest

from lizrcl_flows.documents import (
    Campaign,
    Committee,
    Dataset,
    Evaluation,
    Generation,
    Label,
    Model,
    ParityGroup,
    RejectionCount,
    canonical_sha256,
)
from lizrcl_flows.documents.campaigns import EXTENDED, GateResult, LedgerEntry
from lizrcl_flows.documents.curves import EnergyVolumeCurve, HopProfile
from lizrcl_flows.documents.spec_learning import HopSpec
from lizrcl_flows.jobs.training import committee_of
from lizrcl_flows.jobs.turns import turn_id

pytestmark = pytest.mark.mongo

FAILED = GateResult(
    name="holdout rmse_force", unit="eV/A", before=0.1, after=0.2, limit=0.11, passed=False, why="100 -> 200 meV/A"
)
PASSED = FAILED.model_copy(update={"after": 0.09, "passed": True, "why": "100 -> 90 meV/A"})


def add_turn(filled, index, *, trained=True, **content):
    """Store a later generation with a committee of its own; return the id of the committee."""
    archive = filled.archive
    before = committee_of(archive, "small", up_to=index - 1).id
    after = before
    if trained:
        old = archive.get(Model, filled.models[0])
        models = [old.revised(generation=index, member=m, seed=100 * index + m) for m in range(2)]
        members = tuple(model.id for model in models)
        committee = Committee(
            campaign="small",
            generation=index,
            members=members,
            elements=("Li", "Zr", "Cl"),
            dataset=filled.dataset,
            parents=members,
        )
        archive.put_many([*models, committee])
        after = committee.id
    values = {"dataset": filled.dataset, "committee_before": before, "committee_after": after, **content}
    archive.put(
        Generation(
            campaign="small",
            generation=index,
            campaign_id=filled.campaign,
            index=index,
            parents=(filled.campaign, after),
            **values,
        )
    )
    return after


def state_of(filled, index):
    return filled.archive.get(Generation, turn_id(filled.campaign, index)).state


def in_use(filled):
    return committee_of(filled.archive, "small").id


def test_a_generation_that_failed_a_gate_is_promoted_by_hand(lizrcl, filled):
    new = add_turn(filled, 1, state="rolled_back", gates=(FAILED,))
    assert in_use(filled) == filled.committee
    planned = lizrcl("campaign", "promote", "small", "1", "--why", "the hold-out is old", "--dry-run")
    assert (planned.code, planned.out.strip()) == (0, new)
    assert in_use(filled) == filled.committee
    done = lizrcl("campaign", "promote", "small", "1", "--why", "the hold-out is old")
    assert done.out == planned.out
    assert "although it failed holdout rmse_force: 100 -> 200 meV/A" in done.err
    assert (state_of(filled, 1), in_use(filled)) == ("promoted", new)
    event = filled.archive.events(turn_id(filled.campaign, 1))[-1]
    assert (event.kind, event.value, event.why) == ("promotion", "promoted", "the hold-out is old")
    again = lizrcl("campaign", "promote", "small", "1", "--why", "x")
    assert (again.code, again.err.count("\n")) == (2, 1)
    assert "is promoted and in force" in again.err
    assert json.loads(lizrcl("audit", "--json").out)["ok"]


def test_rolling_back_takes_later_generations_along_and_can_be_undone(lizrcl, filled):
    first, second = add_turn(filled, 1, gates=(PASSED,)), add_turn(filled, 2, state="promoted")
    assert in_use(filled) == second
    outcome = lizrcl("campaign", "rollback", "small", "1", "--why", "labels were wrong")
    assert (outcome.code, outcome.out.strip()) == (0, filled.committee)
    assert "generations 1, 2 of campaign 'small' rolled back" in outcome.err
    assert [state_of(filled, index) for index in (0, 1, 2)] == ["closed", "rolled_back", "rolled_back"]
    assert in_use(filled) == filled.committee
    assert lizrcl("campaign", "promote", "small", "1", "--why", "they were not").out.strip() == first
    newest = lizrcl("campaign", "rollback", "small", "--why", "x")
    assert newest.out.strip() == filled.committee
    assert state_of(filled, 1) == "rolled_back"


def test_a_generation_without_a_committee_of_its_own_is_passed_over(lizrcl, filled):
    first = add_turn(filled, 1)
    add_turn(filled, 2, trained=False)
    assert "trained no committee" in lizrcl("campaign", "promote", "small", "2", "--why", "x").err
    assert "trained no committee" in lizrcl("campaign", "rollback", "small", "2", "--why", "x").err
    assert in_use(filled) == first
    assert lizrcl("campaign", "rollback", "small", "--why", "x").out.strip() == filled.committee
    assert (state_of(filled, 1), state_of(filled, 2)) == ("rolled_back", "closed")


@pytest.mark.parametrize(
    ("arguments", "code", "wanted"),
    [
        (["promote", "small", "7"], 3, "no closed generation 7; closed are 0 to 2"),
        (["promote", "small", "0"], 2, "is closed and in force"),
        (["promote", "small", "1"], 2, "generation 2 is newer than 1 and in force"),
        (["rollback", "small", "0"], 2, "generation 0 is the first of campaign 'small'"),
        (["rollback", "small", "1"], 2, "is rolled back already"),
        (["rollback", "nobody"], 3, "no campaign 'nobody'"),
        (["promote", "small", "-1"], 2, "-1"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(lizrcl, filled, arguments, code, wanted):
    add_turn(filled, 1, state="rolled_back")
    add_turn(filled, 2)
    outcome = lizrcl("campaign", *arguments, "--why", "x")
    assert outcome.code == code
    assert outcome.out == ""
    assert outcome.err.count("\n") == 1
    assert wanted in outcome.err
    assert [state_of(filled, index) for index in (0, 1, 2)] == ["closed", "rolled_back", "closed"]


def test_nothing_changes_under_a_running_turn(lizrcl, filled):
    add_turn(filled, 1)
    turn = turn_id(filled.campaign, 2)
    filled.archive.open_turn(turn, filled.campaign, 2)
    filled.archive.mark(turn, "submitted", manager="local")
    for arguments in (["rollback", "small"], ["promote", "small", "1"]):
        outcome = lizrcl("campaign", *arguments, "--why", "x")
        assert outcome.code == 2
        assert "generation 2 of campaign 'small' is running" in outcome.err
        assert "lizrcl campaign pause small" in outcome.err
    filled.archive.mark(turn, "closed")
    assert lizrcl("campaign", "rollback", "small", "--why", "x").code == 0


def test_why_is_asked_for(lizrcl, filled):
    assert "--why" in lizrcl("campaign", "rollback", "small").err


# --- diff ----------------------------------------------------------------------------------------------------------


def evaluation(filled, committee, index, kind, **content):
    n = content.pop("n", 4)
    arrays = {name: np.zeros(n) for name in ("energy_predicted", "energy_label", "eps", "max_force_error")}
    values = {"campaign": "small", "generation": index, "committee": committee, "parents": (committee,), "groups": ()}
    told = {**values, **arrays, **content}
    made = Evaluation(**told, kind=kind, labels_sha256=canonical_sha256(kind), n_structures=n, n_atoms=36)
    return filled.archive.put(made)


def tried(filled, committee, index, factor):
    groups = tuple(
        ParityGroup(group=name, n_structures=4, n_atoms=36, rmse_force=0.1 * factor, rmse_energy=0.004 * factor)
        for name in ("all", "phase:alpha")
    )
    curve = EnergyVolumeCurve(
        phase="alpha",
        n_atoms=9,
        structures=(),
        volume=(20.0,),
        energy=(-4.0,),
        energy_members=((-4.0,),),
        eps=(0.1,),
        v0=20.0 * factor,
        v0_std=0.1,
        bulk_modulus=30.0,
    )
    hop = HopProfile(
        phase="alpha",
        number=0,
        settings=HopSpec(phase="alpha", atom=0, vacancy=1),
        n_atoms=8,
        structures=(),
        distance=(),
        energy=(),
        energy_members=(),
        eps=(),
        barrier_forward=0.4 / factor,
        barrier_backward=0.4,
        problem="" if factor < 1 else "forces on the band are 1.2 eV/A after 200 steps",
    )
    return {
        "evaluation_after": evaluation(filled, committee, index, "holdout", groups=groups),
        "evaluation_curves": evaluation(filled, committee, index, "curves", n=0, energy_volumes=(curve,), hops=(hop,)),
    }


def test_what_changed_between_two_generations(lizrcl, filled):
    archive = filled.archive
    entry = LedgerEntry(phase="alpha", ensemble="nvt", temperature_k=500, n_runs=2, n_explored=100, n_flagged=9)
    first = add_turn(filled, 1)
    told = tried(filled, first, 1, 1.0)
    archive.connection["generations"].delete_one({"index": 1})
    archive.connection["lineage"].delete_one({"_id": turn_id(filled.campaign, 1)})
    archive.connection["events"].delete_many({"subject": turn_id(filled.campaign, 1)})
    add_turn(filled, 1, trained=False, ledger=(entry,), n_explored=100, **told)
    archive.record_event(filled.campaign, EXTENDED, field="changes", value={"screening.eps_lo": 0.25}, why="finer")
    more = Dataset(
        campaign="small",
        generation=2,
        parent=filled.dataset,
        added=(filled.failed_label,),
        split="train",
        level=archive.get(Label, filled.labels[0]).level,
        n_labels=7,
        manifest_sha256=canonical_sha256([*filled.labels, filled.failed_label]),
        parents=(filled.dataset, filled.failed_label),
    )
    archive.put(more)
    second = Committee(
        campaign="small",
        generation=2,
        members=filled.models[:1],
        elements=("Li", "Zr", "Cl"),
        dataset=more.id,
        parents=filled.models[:1],
    )
    archive.put(second)
    archive.put(
        Generation(
            campaign="small",
            generation=2,
            campaign_id=filled.campaign,
            index=2,
            dataset=more.id,
            committee_before=first,
            committee_after=second.id,
            n_explored=80,
            n_rejected=(RejectionCount(reason="atoms too close", count=3),),
            ledger=(entry.model_copy(update={"n_flagged": 2, "eps_max": 0.7}),),
            gates=(PASSED,),
            parents=(filled.campaign, second.id),
            **tried(filled, second.id, 2, 0.8),
        )
    )
    outcome = lizrcl("generation", "diff", "1", "2", "--campaign", "small", "--json")
    assert outcome.code == 0
    content = json.loads(outcome.out)
    assert (content["a"]["index"], content["b"]["index"]) == (1, 2)
    assert content["training_set"] == {"n_a": 6, "n_b": 7, "n_added": 1, "n_removed": 0}
    counts = {row["name"]: (row["a"], row["b"]) for row in content["counts"]}
    assert counts["frames explored"] == (100, 80)
    assert content["rejected"] == [{"reason": "atoms too close", "a": None, "b": 3}]
    errors = {(row["set"], row["group"], row["quantity"]): row for row in content["errors"]}
    assert errors["holdout", "phase:alpha", "rmse_force"]["a"] == pytest.approx(100)
    assert errors["holdout", "all", "rmse_energy"]["b"] == pytest.approx(3.2)
    assert errors["holdout", "all", "rmse_energy"]["same_labels"]
    curves = {(row["name"], row["quantity"]): row for row in content["curves"]}
    assert curves["energy_volume alpha", "v0"]["b"] == pytest.approx(16.0)
    assert curves["barrier alpha 0", "barrier_forward"]["b"] == pytest.approx(0.5)
    assert content["gates"] == [
        {
            "name": "holdout rmse_force",
            "unit": "eV/A",
            "a": None,
            "b": 0.09,
            "a_passed": None,
            "b_passed": True,
            "a_why": None,
            "b_why": "100 -> 90 meV/A",
        }
    ]
    (cell,) = content["ledger"]
    assert (cell["a"]["n_flagged"], cell["b"]["n_flagged"], cell["b"]["eps_max"]) == (9, 2, 0.7)
    settings = {row["key"]: (row["a"], row["b"]) for row in content["settings"]}
    assert settings == {"screening.eps_lo": (0.3, 0.25), "members": (2, 1)}
    text = lizrcl("generation", "diff", turn_id(filled.campaign, 1), "2").out
    for wanted in (
        "6 -> 7 labels (1 new, 0 gone)",
        "-20%",
        "20 ± 0.1",
        "0.0900 passed",
        "small 1, barrier alpha 0: forces on",
        "screening.eps_lo",
    ):
        assert wanted in text, text
    assert "alpha nvt 500 K" in text
    assert archive.get(Campaign, filled.campaign).current.screening.eps_lo == 0.25


def test_a_generation_that_is_not_there_cannot_be_compared(lizrcl, filled):
    outcome = lizrcl("generation", "diff", "0", "9")
    assert outcome.code == 3
    assert "no closed generation 9" in outcome.err


def test_the_report_shows_what_was_tried_and_where_it_explored(lizrcl, filled, tmp_path):
    entry = LedgerEntry(phase="alpha", ensemble="nvt", temperature_k=500, n_runs=2, n_explored=100, n_flagged=9)
    told = tried(filled, filled.committee, 1, 0.8)
    chart = {"map_structures": filled.structures[:4], "map_xy": np.eye(4)[:, :2]}
    old = filled.archive.get(Evaluation, told["evaluation_curves"])
    told["evaluation_curves"] = filled.archive.put(old.revised(labels_sha256="with a map", **chart))
    told["evaluation_fresh"] = evaluation(
        filled, filled.committee, 1, "fresh", eps=[0.1, 0.2, 0.3, 0.4], max_force_error=[0.1, 0.3, 0.4, 0.5]
    )
    told.pop("evaluation_after")
    add_turn(filled, 1, trained=False, ledger=(entry,), **told)
    outcome = lizrcl("report", "small", "--out", tmp_path / "report")
    assert outcome.code == 0, outcome.err
    written = {path.name for path in (tmp_path / "report").iterdir()}
    assert {"calibration.png", "ledger.png", "energy_volume.png", "hops.png", "structure_map.png"} <= written
    text = (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    assert "Ledger of generations 1 to 1" in text
