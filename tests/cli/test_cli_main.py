"""The entry point: instant help, one sentence for whatever is wrong, the exit codes of DESIGN."""

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from lizrcl_flows.cli.main import COMMANDS, cli, describe
from lizrcl_flows.errors import BackendError, EngineError, InputError, IntegrityError, NotFoundError

HEAVY = (
    "jobflow",
    "atomate2",
    "pymatgen",
    "maggma",
    "calorine",
    "dscribe",
    "fireworks",
    "numpy",
    "pydantic",
    "pymongo",
)

PROBE = """
import json, resource, sys
from lizrcl_flows.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit as left:
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"code": left.code, "cpu_s": used.ru_utime + used.ru_stime, "modules": sorted(sys.modules)}))
"""


@pytest.mark.parametrize(
    "arguments", [["--help"], ["campaign", "--help"], ["label", "find", "--help"], ["demo", "--help"]]
)
def test_help_is_instant_and_imports_nothing_heavy(arguments: list[str]) -> None:
    ran = subprocess.run([sys.executable, "-c", PROBE, *arguments], capture_output=True, text=True, check=True)
    seen = json.loads(ran.stdout.splitlines()[-1])
    assert seen["code"] == 0
    assert not [name for name in HEAVY if name in seen["modules"]]
    assert seen["cpu_s"] < 0.5


def test_help_lists_every_command_with_its_summary() -> None:
    text = " ".join(CliRunner().invoke(cli, ["--help"]).output.split())
    for name, command in COMMANDS.items():
        assert f"{name} {command.summary}"[:60] in text


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_and_verb_can_be_loaded_and_explains_itself(name: str) -> None:
    command = COMMANDS[name].load()
    verbs = command.commands.values() if isinstance(command, click.Group) else [command]
    for verb in verbs:
        assert verb.help
        assert CliRunner().invoke(verb, ["--help"]).exit_code == 0


SERVING = {"serve"}
READING = {"list", "plan", "show", "find", "stats", "status", "check", "search", "diff"}
WRITING = {
    *("new", "initial", "start", "run", "advance", "pause", "resume"),
    *("extend", "promote", "rollback", "quarantine"),
    *("init", "stop", "export", "write", "build", "order", "import"),
}


@pytest.mark.parametrize("name", list(COMMANDS))
def test_reading_verbs_have_json_and_writing_verbs_have_dry_run(name: str) -> None:
    command = COMMANDS[name].load()
    for verb, found in (command.commands if isinstance(command, click.Group) else {}).items():
        options = {option for parameter in found.params for option in parameter.opts}
        if verb in SERVING:  # it answers requests until it is stopped
            continue
        assert verb in READING | WRITING, f"{name} {verb}: say whether it reads or writes"
        assert ("--json" if verb in READING else "--dry-run") in options, f"{name} {verb}"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (EngineError("a"), 1),
        (InputError("a"), 2),
        (NotFoundError("a"), 3),
        (IntegrityError("a"), 4),
        (BackendError("a"), 5),
        (ZeroDivisionError("a"), 1),
        (KeyboardInterrupt(), 130),
        (click.UsageError("a"), 2),
    ],
)
def test_exit_codes(error: BaseException, code: int) -> None:
    sentence, got = describe(error)
    assert got == code
    assert "\n" not in sentence


def test_an_unforeseen_error_says_how_to_see_the_traceback() -> None:
    sentence, _ = describe(ZeroDivisionError("division by zero"))
    assert "ZeroDivisionError: division by zero" in sentence
    assert "--debug" in sentence


@pytest.mark.parametrize(
    ("arguments", "code", "wanted"),
    [
        (["campain"], 2, "did you mean 'campaign'"),
        (["campaign", "statsu"], 2, "did you mean 'status'"),
        (["label", "find", "--limit", "x"], 2, "--limit"),
        (["label", "find", "--status", "good"], 2, "'accepted', 'failed', 'quarantined'"),
        (["candidate", "find", "--query", "{eps: 1}"], 2, "not JSON"),
        (["candidate", "find", "--query", "[1]"], 2, "a JSON object is expected"),
        (["label", "find", "--fields", "energi"], 2, "did you mean 'energy'"),
        (["structure", "find", "--formula", "Li2 ZrCl6"], 2, "not a chemical formula"),
        (["system", "show", "nowhere"], 3, "neither a shipped one"),
        (["system", "check", "nowhere.yaml"], 3, "'nowhere.yaml' does not exist"),
        (["campaign", "new", "nowhere.yaml"], 3, "'nowhere.yaml' does not exist"),
    ],
)
def test_bad_input_is_one_sentence_without_traceback(lizrcl, arguments: list[str], code: int, wanted: str) -> None:
    outcome = lizrcl(*arguments)
    assert outcome.code == code
    assert outcome.out == ""
    assert outcome.err.startswith("lizrcl: error: ")
    assert outcome.err.count("\n") == 1
    assert wanted in outcome.err


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ("name: a\nsystem: demo\nexploraton: {}\n", "unknown key 'exploraton'; did you mean 'exploration'?"),
        ("name: a\nsystem: demo\nexploration: {steps: many}\n", "exploration.steps: 'many'"),
        ("name: a\nsystem: demo\nscreening: {eps_lo: -}\n", "a.yaml"),
        ("name: a\n", "key 'system' is missing"),
        ("- a\n", "a mapping of keys to values is expected"),
        ("name: a\nsystem: demo\nelements: [Li, Zr]\n", "holds Cl"),
        ("name: a\nsystem: demo\nphases: [{name: x, structure: nowhere.cif}]\nproduction: []\n", "nowhere.cif"),
    ],
)
def test_check_names_file_key_and_value(lizrcl, tmp_path: Path, content: str, wanted: str) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(content, encoding="utf-8")
    outcome = lizrcl("system", "check", str(file))
    assert outcome.code in (2, 3)
    assert outcome.err.count("\n") == 1
    assert wanted in outcome.err


def test_check_shows_what_a_good_file_leads_to(lizrcl, tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    phases = "phases: [{name: alpha, structure: Li2ZrCl6_alpha_ordered, supercell: [1, 2, 1]}]\n"
    file.write_text(f"name: a\nsystem: demo\n{phases}", encoding="utf-8")
    outcome = lizrcl("system", "check", str(file), "--json")
    content = json.loads(outcome.out)
    assert outcome.code == 0
    assert [(phase["phase"], phase["n_atoms"]) for phase in content["phases"]] == [("alpha", 54)]


def test_no_database_is_exit_code_5(lizrcl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIZRCL_DB_URI", "mongodb://user:secret@127.0.0.1:1/")
    monkeypatch.setenv("LIZRCL_DB_TIMEOUT_S", "0.2")
    for arguments in (["label", "find"], ["campaign", "status", "x"], ["lineage", "lab_0"], ["generation", "list"]):
        outcome = lizrcl(*arguments)
        assert outcome.code == 5
        assert outcome.err.count("\n") == 1
        assert "127.0.0.1:1" in outcome.err
        assert "secret" not in outcome.err
    monkeypatch.delenv("LIZRCL_DB_URI")
    monkeypatch.setenv("LIZRCL_DATA_DIR", str(tmp_path))
    outcome = lizrcl("campaign", "list")
    assert outcome.code == 5
    assert "lizrcl db start" in outcome.err


def test_a_bad_setting_names_its_variable(lizrcl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIZRCL_THREADS", "many")
    outcome = lizrcl("doctor")
    assert outcome.code == 2
    assert "LIZRCL_THREADS" in outcome.err


def test_output_into_a_closed_pipe_is_not_an_error() -> None:
    command = f"{sys.executable} -c 'from lizrcl_flows.cli.main import main; main()' system show demo | head -1"
    ran = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False)
    assert ran.stderr == ""
    assert ran.stdout == "system: demo\n"
