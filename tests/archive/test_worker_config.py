import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lizrcl_flows.archive import Archive
from lizrcl_flows.archive.jobstore import store_spec
from lizrcl_flows.archive.worker_config import CLUSTER, PATIENCE_MS, Place, worker_files, write_worker_config

FLOW = """
import operator
from fireworks import LaunchPad
from jobflow import Flow, job
from jobflow.managers.fireworks import flow_to_workflow

add = job(operator.add)
first = add(1, 2)
second = add(first.output, 10)
flow = Flow([first, second], output=second.output)
for each, category in ((first, "cpu"), (second, "dft")):
    each.update_config({"manager_config": {"_category": category}, "pass_manager_config": True})
launchpad = LaunchPad.auto_load()
launchpad.reset("", require_password=False)
launchpad.add_wf(flow_to_workflow(flow, store=None, metadata={"campaign": "c", "generation_id": "g"}))
"""

AWKWARD_URI = "mongodb://worker:p%40ss%2Fw:rd@db.example:27017/?authSource=a#b&tls=true"


@pytest.fixture
def environment(archive: Archive, tmp_path: Path) -> dict[str, str]:
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    return {**clean, **write_worker_config(tmp_path / "config", archive.uri, archive.database_name)}


@pytest.mark.mongo
def test_a_flow_runs_through_fireworks_with_the_written_files(
    archive: Archive, environment: dict[str, str], tmp_path: Path
) -> None:
    launches = tmp_path / "launches"
    launches.mkdir()
    run = {"cwd": launches, "env": environment, "capture_output": True, "text": True, "timeout": 120}
    submitted = subprocess.run([sys.executable, "-c", FLOW], check=False, **run)
    assert submitted.returncode == 0, submitted.stderr
    rlaunch = Path(sys.executable).parent / "rlaunch"
    only_cpu = ["-w", str(tmp_path / "config" / "my_fworker_cpu.yaml")]
    ran = subprocess.run([rlaunch, *only_cpu, "rapidfire", "--nlaunches", "1"], check=False, **run)
    assert ran.returncode == 0, ran.stderr
    states = {firework["spec"]["_category"]: firework["state"] for firework in archive.connection["fireworks"].find()}
    assert states == {"cpu": "COMPLETED", "dft": "READY"}
    ran = subprocess.run([rlaunch, "rapidfire", "--nlaunches", "1"], check=False, **run)
    assert ran.returncode == 0, ran.stderr
    outputs = sorted(document["output"] for document in archive.connection["outputs"].find())
    assert outputs == [3, 13]
    indexes = archive.connection["workflows"].index_information()
    assert any("metadata.generation_id" in str(index["key"]) for index in indexes.values())


def test_files_are_private_and_name_the_database(tmp_path: Path) -> None:
    uri = "mongodb://worker:secret@db.example:27017/?authSource=lizrcl"
    environment = write_worker_config(tmp_path, uri, "lizrcl")
    assert environment["LIZRCL_DB_URI"] == uri
    for name in ("FW_config.yaml", "my_launchpad.yaml", "jobflow.yaml", "my_fworker.yaml", "my_fworker_gpu.yaml"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    assert yaml.safe_load((tmp_path / "my_launchpad.yaml").read_text())["uri_mode"] is True
    assert yaml.safe_load((tmp_path / "my_fworker.yaml").read_text())["category"] == ["cpu", "dft", "gpu"]
    write_worker_config(tmp_path, "mongodb://other/", "lizrcl")
    assert yaml.safe_load((tmp_path / "my_launchpad.yaml").read_text())["host"] == "mongodb://other/"
    assert not list(tmp_path.glob(".*"))


def test_values_come_through_yaml_unchanged(tmp_path: Path) -> None:
    """URIs with signs that YAML knows, names that it takes for something else, folders with blanks."""
    place = Place(tmp_path / "a b: c", AWKWARD_URI, "1e3", "host", CLUSTER)
    files = {name: yaml.safe_load(text) for name, text in worker_files(place).items()}
    assert files["my_launchpad.yaml"]["host"] == AWKWARD_URI
    assert files["my_launchpad.yaml"]["name"] == "1e3"
    assert files["jobflow.yaml"] == {"JOB_STORE": store_spec(AWKWARD_URI, "1e3")}
    assert files["FW_config.yaml"]["LAUNCHPAD_LOC"] == str(tmp_path / "a b: c" / "my_launchpad.yaml")


def test_no_worker_counts_as_lost_while_it_waits_for_the_database(tmp_path: Path) -> None:
    place = Place(tmp_path, "mongodb://h/", "d", "host", CLUSTER)
    fw_config = yaml.safe_load(worker_files(place)["FW_config.yaml"])
    assert fw_config["RUN_EXPIRATION_SECS"] > fw_config["PING_TIME_SECS"] + PATIENCE_MS / 1000
