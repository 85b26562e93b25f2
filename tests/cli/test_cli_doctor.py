"""`lizrcl doctor`: every finding provoked for real, every remedy tried."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from lizrcl_flows.archive import Archive
from lizrcl_flows.archive.worker_config import write_worker_config
from lizrcl_flows.cli.diagnosis import database as of_database
from lizrcl_flows.cli.diagnosis import programs as of_programs
from lizrcl_flows.cli.diagnosis.configuration import configuration_files, wall_time
from lizrcl_flows.cli.diagnosis.findings import Finding
from lizrcl_flows.cli.diagnosis.labelling import cp2k, potcars, vasp
from lizrcl_flows.cli.diagnosis.programs import disk, gpu, programs, work_directories
from lizrcl_flows.settings import Settings

DUMMY = Settings(db_uri="mongodb://localhost:1/")


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Start every check from an environment that says nothing."""
    for name in list(os.environ):
        if name.startswith(("LIZRCL_", "FW_", "JOBFLOW_", "ATOMATE2_", "PMG_", "SLURM_", "PBS_", "CP2K_")):
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home)


def by_subject(findings: Iterator[Finding]) -> dict[str, Finding]:
    return {finding.subject: finding for finding in findings}


def program(folder: Path, name: str, script: str) -> Path:
    """Make a program that can be run."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def commands_in(advice: str) -> list[list[str]]:
    return [shlex.split(span) for span in re.findall(r"`([^`]+)`", advice)]


# --- the queue -------------------------------------------------------------------------------------------------------

# processes of their own: FireWorks imports its whole test suite when it looks for tasks
STUCK = """
import os, signal, sys, threading, time
from fireworks import Firework, FWorker, LaunchPad, ScriptTask, Workflow
from fireworks.core.launchpad import WFLock
from fireworks.core.rocket_launcher import launch_rocket

launchpad = LaunchPad.auto_load()
launchpad.reset("", require_password=False)

def add(name, script, category):
    firework = Firework(ScriptTask.from_str(script), name=name, spec={"_category": category})
    launchpad.add_wf(Workflow([firework], metadata={"campaign": "small"}))

add("lost", "kill -9 $PPID", "cpu")            # 1
add("reserved", "true", "dft")                 # 2
add("locked", "true", "gpu")                   # 3
add("failed", "exit 3", "fails")               # 4
orphan = launchpad.fireworks.find_one({"name": "locked"}, {"_id": 0})
launchpad.fireworks.insert_one(orphan | {"fw_id": 99, "name": "orphan"})   # as a process killed within add_wf leaves it
launchpad.reserve_fw(FWorker(category="dft"), ".")
launch_rocket(launchpad, FWorker(category="fails"), strm_lvl="CRITICAL")
if os.fork() == 0:
    with WFLock(LaunchPad.auto_load(), 3):
        os.kill(os.getpid(), signal.SIGKILL)
os.wait()
launch_rocket(launchpad, FWorker(category="cpu"), strm_lvl="CRITICAL")     # the job kills this worker
"""

REMEDIES = """
import json, sys
from fireworks.scripts.lpad_run import lpad
for words in json.load(sys.stdin):
    lpad(["-s", *words])
"""


@pytest.mark.mongo
def test_whatever_is_stuck_is_found_and_the_advice_frees_it(
    archive: Archive, archive_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = write_worker_config(tmp_path / "config", archive.uri, archive.database_name)
    file = Path(variables["FW_CONFIG_FILE"])
    impatient = {"RUN_EXPIRATION_SECS": 0, "RESERVATION_EXPIRATION_SECS": 0}
    file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | impatient))
    for name in ("FW_CONFIG_FILE", "JOBFLOW_CONFIG_FILE"):
        monkeypatch.setenv(name, variables[name])
    monkeypatch.setattr(of_database, "LOCK_S", 0.1)
    run = {"cwd": tmp_path, "capture_output": True, "text": True, "timeout": 120}
    died = subprocess.run([sys.executable, "-c", STUCK], check=False, **run)
    assert died.returncode == -signal.SIGKILL, died.stderr

    found = by_subject(of_database.database(archive_settings))
    assert re.search(r"Fireworks 1$", found["lost jobs"].found)
    assert re.search(r"Fireworks 2$", found["reserved jobs"].found)
    assert re.search(r"Fireworks 3$", found["locked workflows"].found)
    assert re.search(r"campaign small: Fireworks 4$", found["failed jobs"].found)
    assert re.search(r"Fireworks 99$", found["orphans"].found)
    stuck = ("lost jobs", "reserved jobs", "locked workflows", "failed jobs", "orphans")
    assert "queue" not in found
    assert {found[subject].status for subject in stuck} == {"note"}

    advised = [words for subject in stuck for words in commands_in(found[subject].advice)]
    assert ["lizrcl", "campaign", "status", "small"] in advised
    typed = json.dumps([words[1:] for words in advised if words[0] == "lpad"])
    freed = subprocess.run([sys.executable, "-c", REMEDIES], input=typed, check=False, **run)
    assert freed.returncode == 0, freed.stderr
    found = by_subject(of_database.database(archive_settings))
    assert found["queue"].status == "ok"
    assert not {*stuck} & set(found)
    states = {record["fw_id"]: record["state"] for record in archive.connection["fireworks"].find()}
    assert states == {1: "READY", 2: "READY", 3: "READY", 4: "READY"}


LOOK = """
import json
from lizrcl_flows.cli.diagnosis.database import database
from lizrcl_flows.settings import load_settings
print(json.dumps({finding.subject: finding.found for finding in database(load_settings())}))
"""


@pytest.mark.mongo
def test_an_unknown_key_of_fireworks_is_a_finding_and_no_traceback(archive: Archive, tmp_path: Path) -> None:
    variables = write_worker_config(tmp_path / "config", archive.uri, archive.database_name)
    with Path(variables["FW_CONFIG_FILE"]).open("a") as handle:
        handle.write("RAPIDFIRE_NAP_SECS: 5\n")
    ran = subprocess.run(
        [sys.executable, "-c", LOOK],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "RAPIDFIRE_NAP_SECS" in json.loads(ran.stdout)["queue"]
    assert "Traceback" not in ran.stdout + ran.stderr


@pytest.mark.mongo
def test_a_turn_whose_workflow_is_gone_and_the_way_back(
    lizrcl: Any, archive: Archive, configured: Settings, tmp_path: Path
) -> None:
    """As docs/cluster.md says it: an empty queue, then `campaign advance`."""

    def look() -> list[Finding]:
        return [finding for finding in of_database.database(configured) if finding.subject == "campaigns"]

    (tmp_path / "mine.yaml").write_text("name: mine\nsystem: demo\n")
    assert lizrcl("campaign", "new", str(tmp_path / "mine.yaml")).code == 0
    assert look() == []
    assert lizrcl("campaign", "start", "mine").code == 0
    assert look() == []
    for name in ("fireworks", "workflows", "launches"):
        archive.connection[name].delete_many({})
    assert [(each.status, "no longer on the LaunchPad" in each.found) for each in look()] == [("problem", True)]
    advised = [words for words in commands_in(look()[0].advice) if words[0] == "lizrcl"]
    assert lizrcl(*advised[0][1:]).code == 0
    assert look() == []
    assert archive.connection["workflows"].count_documents({}) == 1
    archive.connection["turns"].update_many({}, {"$set": {"state": "submitting"}})  # a process died before it said so
    archive.connection["turns"].update_many({}, [{"$set": {"leased_until": "$$NOW"}}])
    assert [each.status for each in look()] == ["note"]
    assert lizrcl(*advised[0][1:]).code == 0
    assert look() == []
    assert archive.connection["workflows"].count_documents({}) == 1


# --- the database ----------------------------------------------------------------------------------------------------


@pytest.mark.mongo
def test_a_missing_index_and_a_missing_validator_are_found(lizrcl: Any, filled: Any, configured: Settings) -> None:
    assert by_subject(of_database.database(configured))["collections, indexes"].status == "ok"
    assert "lpad add" in by_subject(of_database.database(configured))["LaunchPad"].found
    database = filled.archive.connection.database
    database["outputs"].drop_index("uuid_index")
    database.command("collMod", "labels", validator={})
    found = by_subject(of_database.database(configured))["collections, indexes"]
    assert found.status == "problem"
    assert "outputs lacks the index uuid_index" in found.found
    assert "labels has no validator" in found.found
    assert ["lizrcl", "db", "init"] in commands_in(found.advice)
    assert lizrcl("db", "init").code == 0
    found_after = by_subject(of_database.database(configured))
    assert found_after["collections, indexes"].status == "ok"
    assert "LaunchPad" not in found_after


@pytest.mark.mongo
def test_a_database_of_a_newer_release_asks_for_an_update(filled: Any, configured: Settings) -> None:
    filled.archive.connection["meta"].update_one({"_id": "archive"}, {"$set": {"schema_version": 999}})
    found = by_subject(of_database.database(configured))["database"]
    assert found.status == "problem"
    assert "999" in found.found
    assert "update lizrcl_flows" in found.advice


@pytest.mark.mongo
def test_a_database_that_was_never_initialised(configured: Settings) -> None:
    empty = configured.model_copy(update={"db_name": "test_never_initialised"})
    found = by_subject(of_database.database(empty))
    assert found["collections, indexes"].found == "not initialised"
    assert found["database user"].status == "ok"


def test_a_database_that_does_not_answer(tmp_path: Path) -> None:
    away = Settings(db_uri="mongodb://127.0.0.1:9/", db_timeout_s=0.2, data_dir=tmp_path)
    found = by_subject(of_database.database(away))["database"]
    assert (found.status, "no database answers" in found.found) == ("problem", True)


def test_a_killed_embedded_server_is_told_from_none(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    assert by_subject(of_database.database(settings))["database"].found == "none runs"
    gone = subprocess.Popen(["true"])
    gone.wait()
    (tmp_path / "mongo" / "db").mkdir(parents=True)
    (tmp_path / "mongo" / "db" / "mongod.lock").write_text(f"{gone.pid}\n")
    found = by_subject(of_database.database(settings))["database"]
    assert f"process {gone.pid}" in found.found
    assert ["lizrcl", "db", "start"] in commands_in(found.advice)


# --- configuration ---------------------------------------------------------------------------------------------------

URI = "mongodb://lizrcl_worker:s3cret@db.example:27017/?authSource=lizrcl"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    variables = write_worker_config(tmp_path / "config", URI, "lizrcl")
    for name in ("FW_CONFIG_FILE", "JOBFLOW_CONFIG_FILE"):
        monkeypatch.setenv(name, variables[name])
    return tmp_path / "config"


def test_good_files_are_good(config: Path) -> None:
    same = Settings(db_uri="mongodb://somebody@db.example/?authSource=x", db_name="lizrcl")
    findings = by_subject(configuration_files(same))
    assert {name: finding.status for name, finding in findings.items()} == {
        "FW_CONFIG_FILE": "ok",
        "JOBFLOW_CONFIG_FILE": "ok",
    }


@pytest.mark.parametrize(
    ("name", "subject"), [("jobflow.yaml", "JOBFLOW_CONFIG_FILE"), ("my_launchpad.yaml", "LAUNCHPAD_LOC")]
)
def test_a_password_that_others_may_read(config: Path, name: str, subject: str) -> None:
    (config / name).chmod(0o644)
    (config / "FW_config.yaml").chmod(0o644)  # holds none
    findings = by_subject(configuration_files(Settings(db_uri=URI, db_name="lizrcl")))
    assert findings["FW_CONFIG_FILE"].status == "ok"
    found = findings[subject]
    assert found.status == "problem"
    assert "s3cret" not in found.found
    subprocess.run(commands_in(found.advice)[0], check=True)
    later = by_subject(configuration_files(Settings(db_uri=URI, db_name="lizrcl")))
    assert all(finding.status == "ok" for finding in later.values())


def test_files_of_another_database(config: Path) -> None:
    findings = by_subject(configuration_files(Settings(db_uri="mongodb://other.example/", db_name="lizrcl")))
    for subject in ("LaunchPad", "JobStore"):
        assert findings[subject].status == "problem"
        assert "db.example:27017" in findings[subject].found
        assert "other.example:27017" in findings[subject].found
        assert "s3cret" not in findings[subject].found
    findings = by_subject(configuration_files(Settings(db_uri=URI, db_name="elsewhere")))
    assert "lizrcl at" in findings["LaunchPad"].found


def test_files_that_are_missing_or_no_yaml(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (config / "jobflow.yaml").write_text("JOB_STORE: [}")
    (config / "my_launchpad.yaml").unlink()
    monkeypatch.setenv("ATOMATE2_CONFIG_FILE", str(config / "nothing.yaml"))
    findings = by_subject(configuration_files(DUMMY))
    assert "cannot be read as YAML" in findings["JOBFLOW_CONFIG_FILE"].found
    assert "not a file" in findings["LAUNCHPAD_LOC"].found
    assert "not a file" in findings["ATOMATE2_CONFIG_FILE"].found
    monkeypatch.delenv("FW_CONFIG_FILE")
    assert by_subject(configuration_files(DUMMY))["FW_CONFIG_FILE"].status == "note"


def test_a_file_that_fireworks_reads_instead(config: Path, tmp_path: Path) -> None:
    other = tmp_path / "home" / "FW_config.yaml"
    shutil.copy(config / "FW_config.yaml", other)
    findings = [f for f in configuration_files(DUMMY) if f.subject == "FW_CONFIG_FILE" and f.status == "problem"]
    assert [str(other) in finding.found for finding in findings] == [True]


@pytest.mark.parametrize("how", ["file", "variable"])
def test_settings_that_would_change_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    if how == "file":
        (tmp_path / "atomate2.yaml").write_text("VASP_CMD: x\nVASP_INCAR_UPDATES: {ENCUT: 300}\n")
        monkeypatch.setenv("ATOMATE2_CONFIG_FILE", str(tmp_path / "atomate2.yaml"))
    else:
        monkeypatch.setenv("ATOMATE2_VASP_INCAR_UPDATES", '{"ENCUT": 300}')
    found = by_subject(configuration_files(DUMMY))["atomate2's VASP_INCAR_UPDATES"]
    assert found.status == "problem"
    assert "300" in found.found


@pytest.mark.parametrize(
    ("variables", "status", "words"),
    [
        ({}, None, ""),
        ({"SLURM_JOB_ID": "7"}, "note", "LIZRCL_WORKER_END, SLURM_JOB_END_TIME"),
        ({"LIZRCL_WORKER_END": "soon"}, "problem", "'soon'"),
        ({"LIZRCL_WORKER_END": "+7200"}, "ok", "119 min left (LIZRCL_WORKER_END)"),
        ({"SLURM_JOB_END_TIME": "+7200"}, "ok", "119 min left (SLURM_JOB_END_TIME)"),
        ({"LIZRCL_WORKER_END": "-3600", "SLURM_JOB_ID": "7"}, "problem", "over 61 min ago"),
    ],
)
def test_the_wall_time_of_a_worker(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], status: str | None, words: str
) -> None:
    for name, value in variables.items():
        moment = str(time.time() + float(value) + 0.5) if value[0] in "+-" else value
        monkeypatch.setenv(name, moment)
    found = by_subject(wall_time(DUMMY)).get("wall time")
    assert (found.status if found else None) == status
    assert words in (found.found if found else "")


# --- programs --------------------------------------------------------------------------------------------------------


def test_vasp_and_its_launcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert "vasp_std is not on the PATH" in by_subject(vasp(DUMMY))["labels: VASP_CMD"].found
    there = program(tmp_path / "bin", "vasp_std", "exit 1")
    assert str(there) in by_subject(vasp(DUMMY))["labels: VASP_CMD"].found
    monkeypatch.setenv("ATOMATE2_VASP_CMD", "srun -n 4 vasp_std")
    found = by_subject(vasp(DUMMY))["labels: VASP_CMD"]
    assert (found.status, "srun is not on the PATH" in found.found) == ("note", True)
    (tmp_path / "atomate2.yaml").write_text("VASP_GAMMA_CMD: vasp_std\n")
    monkeypatch.setenv("ATOMATE2_CONFIG_FILE", str(tmp_path / "atomate2.yaml"))
    assert by_subject(vasp(DUMMY))["labels: VASP_GAMMA_CMD"].status == "ok"


def test_potcars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def look() -> Finding:
        return by_subject(potcars(DUMMY))["labels: POTCARs"]

    assert look().status == "note"
    root = tmp_path / "potcars"
    config = tmp_path / "home" / ".config"
    config.mkdir()
    (config / ".pmgrc.yaml").write_text(f"PMG_VASP_PSP_DIR: {root}\n")
    assert (look().status, "not a folder" in look().found) == ("problem", True)
    root.mkdir()
    assert (look().status, "no folder such as" in look().found) == ("problem", True)
    folder = root / "POT_GGA_PAW_PBE_54"
    for symbol in ("Li_sv", "O"):
        (folder / symbol).mkdir(parents=True)
        (folder / symbol / "POTCAR").write_text("for the test")
    (folder / "POTCAR.Cl.gz").write_bytes(b"")
    assert (look().status, look().found) == ("note", f"{folder} lacks Zr_sv")
    (folder / "POTCAR.Zr_sv").write_text("for the test")
    assert look().status == "ok"
    assert "POT_GGA_PAW_PBE_54" in look().found
    monkeypatch.setenv("PMG_VASP_PSP_DIR", str(tmp_path / "elsewhere"))  # wins over the file
    assert look().status == "problem"


def test_cp2k(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/bin")
    monkeypatch.setenv("ATOMATE2_CP2K_CMD", "my_cp2k")
    assert by_subject(cp2k(DUMMY))["labels: CP2K"].status == "note"
    program(tmp_path / "bin", "my_cp2k", "echo cannot open shared object file; exit 127")
    assert by_subject(cp2k(DUMMY))["labels: CP2K"].status == "problem"
    program(tmp_path / "bin", "my_cp2k", "echo ' CP2K version 2023.1'")
    assert "(2023.1)" in by_subject(cp2k(DUMMY))["labels: CP2K"].found
    monkeypatch.setenv("PMG_CP2K_DATA_DIR", str(tmp_path / "nowhere"))
    assert by_subject(cp2k(DUMMY))["labels: CP2K data"].status == "problem"
    monkeypatch.setenv("CP2K_DATA_DIR", str(tmp_path))
    found = by_subject(cp2k(DUMMY))["labels: CP2K data"]
    assert (found.status, found.advice) == ("problem", "`unset CP2K_DATA_DIR`")


def test_gpumd_and_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/bin")
    ours = Settings(db_uri=DUMMY.db_uri, nep_command="lizrcl-nep", gpumd_command="lizrcl-gpumd")
    theirs = Settings(db_uri=DUMMY.db_uri, nep_command="nep", gpumd_command="srun -n 1 gpumd")
    if not Path("/proc/driver/nvidia/gpus").is_dir():
        assert by_subject(gpu(ours))["GPU"].status == "ok"
        assert "qlaunch" in by_subject(gpu(theirs))["GPU"].advice
        program(tmp_path / "bin", "nvidia-smi", "echo 'GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-1)'")
        assert by_subject(gpu(theirs))["GPU"].found == "NVIDIA H100 80GB HBM3"
        assert "not used by" in by_subject(gpu(ours))["GPU"].found
    script = "echo '*    version 5.6'; [ -f nep.in ] || { echo 'no nep.in' >&2; touch trace; exit 1; }"
    program(tmp_path / "bin", "nep", script)
    program(tmp_path / "bin", "srun", "exit 1")
    found = by_subject(programs(theirs))
    assert found["training"].found == f"{tmp_path / 'bin' / 'nep'} (5.6)"
    assert "launcher" in found["dynamics"].found
    assert not Path("trace").exists()  # it ran in a folder of its own


HOLD = """
import os, sys
from pathlib import Path
from lizrcl_flows.engines.processes import run_program, sole_use
from lizrcl_flows.jobs.context import work_directory
with work_directory("lab_1") as directory, sole_use(directory / "run") as lock:
    run_program(["sleep", "60"], directory / "run", lock)
"""


def test_what_an_interrupted_job_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    assert by_subject(work_directories(settings)) == {}
    monkeypatch.setenv("LIZRCL_DATA_DIR", str(tmp_path / "data"))
    worker = subprocess.Popen([sys.executable, "-c", HOLD], start_new_session=True)
    try:
        record = tmp_path / "data" / "work" / "lab_1" / "1" / "run" / "running.lock"
        deadline = time.monotonic() + 60
        while not (record.is_file() and record.read_text().endswith("\n")):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert list(work_directories(settings)) == []  # its worker is at it
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()
        found = list(work_directories(settings))
        assert [finding.status for finding in found] == ["note", "note"]
        assert f"process {record.read_text().split()[0]} still runs in {record.parent}" in found[0].found
        assert "1 of interrupted jobs" in found[1].found
    finally:
        os.killpg(worker.pid, signal.SIGKILL)
    time.sleep(0.1)
    assert ["still runs" in finding.found for finding in work_directories(settings)] == [False]


def test_a_disk_that_is_nearly_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(data_dir=tmp_path / "new" / "data")
    free = shutil.disk_usage(tmp_path).free
    monkeypatch.setattr(of_programs, "LOW_DISK_BYTES", free // 2)
    assert by_subject(disk(settings))["data folder"].status == "ok"
    monkeypatch.setattr(of_programs, "LOW_DISK_BYTES", free * 2)
    assert by_subject(disk(settings))["data folder"].status == "note"
