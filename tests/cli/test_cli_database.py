"""The database commands, with the session's mongod and with embedded ones of their own."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from lizrcl_flows.archive.connection import STATE_FILE
from lizrcl_flows.settings import Settings

pytestmark = pytest.mark.mongo


def test_status_init_and_check_of_a_given_database(lizrcl, filled) -> None:
    status = json.loads(lizrcl("db", "status", "--json").out)
    assert status["running"]
    assert status["database"] == filled.archive.database_name
    assert lizrcl("db", "init").code == 0
    assert lizrcl("db", "check").code == 0


def test_check_finds_and_repairs_a_lost_lineage_node(lizrcl, filled) -> None:
    filled.archive.connection.database["lineage"].delete_one({"_id": filled.labels[0]})
    outcome = lizrcl("db", "check", "--json")
    assert outcome.code == 4
    assert filled.labels[0] in outcome.out
    assert lizrcl("db", "check", "--repair").code == 0
    assert lizrcl("db", "check").code == 0
    assert lizrcl("audit").code == 0


def test_a_newer_database_is_refused(lizrcl, filled) -> None:
    database = filled.archive.connection.database
    meta = database["meta"].find_one({})
    assert meta is not None
    database["meta"].update_one({"_id": meta["_id"]}, {"$set": {"schema_version": 999}})
    for arguments in (["label", "find"], ["campaign", "list"], ["db", "init"]):
        outcome = lizrcl(*arguments)
        assert outcome.code == 5
        assert "999" in outcome.err
        assert outcome.err.count("\n") == 1


def test_doctor_sees_the_database_and_the_programs(lizrcl, filled) -> None:
    outcome = lizrcl("doctor", "--json")
    content = json.loads(outcome.out)
    checks = {check["subject"]: check for check in content["checks"]}
    assert checks["database"]["status"] == "ok"
    assert checks["queue"]["status"] == "ok"
    assert {"training", "dynamics", "embedded mongod", "data folder"} <= set(checks)
    sources = {entry["name"]: entry["source"] for entry in content["settings"]}
    assert sources["db_uri"] == "environment (LIZRCL_DB_URI)"
    assert sources["threads"] == "default"
    assert outcome.code == (0 if all(check["status"] != "problem" for check in content["checks"]) else 1)


def test_doctor_says_what_to_do_about_a_missing_program(lizrcl, filled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIZRCL_NEP_COMMAND", "nowhere/nep --fast")
    outcome = lizrcl("doctor", "--json")
    assert outcome.code == 1
    training = next(check for check in json.loads(outcome.out)["checks"] if check["subject"] == "training")
    assert training["status"] == "problem"
    assert "nowhere/nep" in training["found"]
    assert "LIZRCL_NEP_COMMAND" in training["advice"]


def test_doctor_names_the_file_that_a_setting_comes_from(
    lizrcl, configured: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "lizrcl.toml"
    file.write_text("threads = 3\n", encoding="utf-8")
    monkeypatch.setenv("LIZRCL_CONFIG_FILE", str(file))
    entry = next(e for e in json.loads(lizrcl("doctor", "--json").out)["settings"] if e["name"] == "threads")
    assert entry == {"name": "threads", "value": "3", "source": str(file)}


def test_start_and_stop_of_an_embedded_database(lizrcl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIZRCL_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("LIZRCL_DB_URI", raising=False)
    monkeypatch.setenv("LIZRCL_DB_TIMEOUT_S", "1")
    planned = lizrcl("db", "start", "--dry-run")
    assert planned.code == 0
    assert not (tmp_path / "mongo").exists()
    outcome = lizrcl("db", "start")
    try:
        assert outcome.code == 0, outcome.err
        lines = [shlex.split(line) for line in outcome.out.splitlines()]
        assert all(words[0] == "export" for words in lines)
        variables = dict(words[1].split("=", 1) for words in lines)
        assert Path(variables["FW_CONFIG_FILE"]).is_file()
        assert Path(variables["JOBFLOW_CONFIG_FILE"]).is_file()
        uri = json.loads((tmp_path / "mongo" / STATE_FILE).read_text())["uri"]
        assert variables["LIZRCL_DB_URI"] == uri
        monkeypatch.setenv("LIZRCL_DB_URI", uri)  # as the lines just printed do
        status = json.loads(lizrcl("db", "status", "--json").out)
        assert (status["kind"], status["running"], status["uri"]) == ("embedded", True, uri)
        assert lizrcl("db", "check").code == 0
        assert json.loads(lizrcl("db", "start", "--json").out)["uri"] == uri
    finally:
        assert lizrcl("db", "stop").code == 0
    assert not json.loads(lizrcl("db", "status", "--json").out)["running"]
    assert lizrcl("label", "find").code == 5


def test_the_shell_can_evaluate_what_start_prints(configured: Settings, tmp_path: Path) -> None:
    call = f"{shlex.quote(sys.executable)} -c 'from lizrcl_flows.cli.main import main; main()' db start"
    ran = subprocess.run(
        ["bash", "-c", f'eval "$({call})" && echo "$LIZRCL_DB_NAME"'], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == configured.db_name
