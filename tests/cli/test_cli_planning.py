"""`lizrcl campaign plan` with and without a database, and what `status` tells of costs and of the last generation."""

import json
from pathlib import Path

import pytest

from lizrcl_flows.archive import Archive
from lizrcl_flows.documents import (
    Campaign,
    ConvergenceEvidence,
    Generation,
    PhaseTiming,
)
from lizrcl_flows.documents.campaigns import GateResult, LedgerEntry


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    content = "name: small\nsystem: demo\nbudget: {labels: 40}\nselection: {quotas: [{phase: beta}]}\n"
    path.write_text(content, encoding="utf-8")
    return path


def test_a_file_is_planned_without_a_database(lizrcl, monkeypatch, file: Path, tmp_path: Path) -> None:
    monkeypatch.setenv("LIZRCL_DATA_DIR", str(tmp_path / "nothing"))
    for name in ("LIZRCL_DB_URI", "LIZRCL_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)
    outcome = lizrcl("campaign", "plan", file, "--workers", "dft=2,gpu=1")
    assert outcome.code == 0
    assert "no database" in outcome.err
    assert "a rough prior for tblite" in outcome.out
    assert "warning: budget.labels 40 is spent by generation 0" in outcome.out
    assert "warning: selection.quotas.0: phase 'beta' is not explored" in outcome.out
    content = json.loads(lizrcl("campaign", "plan", file, "--json").out)
    assert content["turns"][0]["labels"] + content["turns"][0]["holdout"] == 44
    assert content["ends"] == "the budget of 40 labels is spent in generation 0"
    assert content["core_hours"]["low"] < content["core_hours"]["value"] < content["core_hours"]["high"]
    assert content["bytes"] == pytest.approx(sum(content["bytes_by_kind"].values()))
    wrong = lizrcl("campaign", "plan", file, "--workers", "dtf=2")
    assert wrong.code == 2
    assert "accepted is" in wrong.err


def test_what_is_missing_here_is_told(lizrcl, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LIZRCL_DATA_DIR", str(tmp_path / "nothing"))
    monkeypatch.setenv("LIZRCL_NEP_COMMAND", "no-such-nep")
    monkeypatch.delenv("LIZRCL_DB_URI", raising=False)
    path = tmp_path / "nep.yaml"
    path.write_text("name: a\nsystem: demo\nlabelling: {calculator: nep, file: none.txt}\n", encoding="utf-8")
    content = json.loads(lizrcl("campaign", "plan", path, "--json").out)
    assert any("none.txt" in sentence for sentence in content["missing"])
    assert any("no-such-nep" in sentence for sentence in content["missing"])


@pytest.mark.mongo
def test_status_tells_costs_and_what_the_last_generation_found(
    lizrcl, configured, archive: Archive, tmp_path: Path
) -> None:
    path = tmp_path / "small.yaml"
    path.write_text("name: small\nsystem: demo\n", encoding="utf-8")
    campaign = lizrcl("campaign", "new", path).out.strip()
    missing = "9 of 10 frames have eps >= 0.3 eV/A"
    evidence = ConvergenceEvidence(n_frames_in_target=10, fraction_above_eps_lo=0.9, met=False, missing=missing)
    cells = [
        LedgerEntry(phase="ideal", ensemble="nvt", temperature_k=t, n_runs=1, n_explored=10, n_flagged=n, eps_max=0.5)
        for t, n in ((500, 1), (900, 8), (1100, 0), (700, 3))
    ]
    gate = GateResult(name="holdout rmse_force", unit="eV/A", before=0.1, after=0.2, passed=False, why="100 -> 200")
    for index in (0, 1):
        archive.put(
            Generation(
                campaign="small",
                generation=index,
                campaign_id=campaign,
                index=index,
                n_labelled=32 if index == 0 else 12,
                timings=(PhaseTiming(stage="label", wall_s=360.0, core_hours=0.1),),
                convergence=evidence if index else None,
                ledger=tuple(cells) if index else (),
                gates=(gate,) if index else (),
                parents=(campaign,),
            )
        )
    text = lizrcl("campaign", "status", "small").out
    assert f"generation 1 has not converged: {missing}" in text
    assert "worst cells of the grid: ideal nvt 900 K (8 of 10 frames doubtful" in text
    assert "1100 K" not in text
    assert "gates not passed: holdout rmse_force 100 -> 200" in text
    assert "generation 1 took 0.10 core hours, predicted" in text
    assert "to come, at the most: 2 generations, 24 labels" in text
    content = json.loads(lizrcl("campaign", "status", "small", "--json").out)
    assert content["last"]["missing"] == missing
    assert len(content["last"]["ledger"]) == 4
    assert content["costs"]["generations"][0]["labels_planned"] == 44
    assert content["costs"]["to_come"]["generations"] == 2
    planned = json.loads(lizrcl("campaign", "plan", "small", "--json").out)
    assert [turn["turn"] for turn in planned["turns"]] == [2, 3, "production"]
    assert archive.get(Campaign, campaign).state == "new"
