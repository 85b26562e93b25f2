"""docker-compose.yml: what it says as YAML, what the client says of it, and its worker's own command, run."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from lizrcl_flows.archive import Archive
from lizrcl_flows.jobs.submitters import FireWorksSubmitter

ROOT = Path(__file__).parents[2]
PASSWORDS = dict.fromkeys(
    ("MONGO_ADMIN_PASSWORD", "LIZRCL_OWNER_PASSWORD", "LIZRCL_WORKER_PASSWORD", "LIZRCL_READER_PASSWORD"),
    "for-the-test-only",
)


@pytest.fixture
def services() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return content["services"]


def test_passwords_are_asked_for_and_never_given(services: dict[str, Any]) -> None:
    said = [str(value) for service in services.values() for value in service["environment"].values()]
    asked = {name for name in PASSWORDS if any(f"${{{name}:?set {name}}}" in value for value in said)}
    assert asked == set(PASSWORDS)


def test_only_those_who_ask_get_a_worker(services: dict[str, Any]) -> None:
    worker = services["worker"]
    assert worker["profiles"] == ["worker"]
    assert worker["depends_on"] == {"mongo": {"condition": "service_healthy"}}
    assert worker["init"] is True
    assert "lizrcl_worker:" in worker["environment"]["LIZRCL_DB_URI"]


def test_the_dashboard_has_the_rights_of_a_reader(services: dict[str, Any]) -> None:
    dashboard = services["dashboard"]
    assert dashboard["profiles"] == ["dashboard"]
    assert "lizrcl_reader:" in dashboard["environment"]["LIZRCL_DB_URI"]
    assert dashboard["ports"] == ["${LIZRCL_DASHBOARD_BIND:-127.0.0.1}:8765:8765"]
    assert "LIZRCL_DASHBOARD_TOKEN" in dashboard["environment"]


def test_the_image_takes_only_what_is_there() -> None:
    """Everything that the Dockerfile copies exists and is let through by .dockerignore."""
    let_through = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = [
        source
        for line in (ROOT / "Dockerfile").read_text().splitlines()
        if line.startswith("COPY ")
        for source in line.split()[1:-1]
    ]
    assert sorted(copied) == sorted(let_through)
    assert all((ROOT / name).exists() for name in copied)


@pytest.mark.mongo
def test_the_worker_runs_jobs_of_its_category_until_it_is_stopped(
    archive: Archive, services: dict[str, Any], tmp_path: Path
) -> None:
    from fireworks import Firework, ScriptTask

    with FireWorksSubmitter(archive.uri, archive.database_name) as submitter:
        submitter.prepare()
        for category in ("cpu", "gpu"):
            submitter.launchpad.add_wf(Firework(ScriptTask.from_str("true"), spec={"_category": category}))
    shell, option, script = services["worker"]["command"]
    script = script.replace("$$", "$").replace("/run/lizrcl", str(tmp_path / "run"))
    environment = {
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), "/usr/bin", "/bin")),
        "HOME": str(tmp_path),
        "LIZRCL_DB_URI": archive.uri,
        "LIZRCL_DB_NAME": archive.database_name,
        "LIZRCL_DATA_DIR": str(tmp_path),
        "LIZRCL_CATEGORY": "cpu",
    }
    with (tmp_path / "log").open("wb") as log:
        worker = subprocess.Popen([shell, option, script], env=environment, cwd=tmp_path, stdout=log, stderr=log)
    states: dict[str, str] = {}
    deadline = time.monotonic() + 60
    while states.get("cpu") != "COMPLETED":
        assert worker.poll() is None, (tmp_path / "log").read_text()
        assert time.monotonic() < deadline, (tmp_path / "log").read_text()
        time.sleep(0.1)
        states = {each["spec"]["_category"]: each["state"] for each in archive.connection["fireworks"].find()}
    assert states == {"cpu": "COMPLETED", "gpu": "READY"}
    assert worker.poll() is None  # it waits for more
    worker.terminate()
    assert worker.wait(timeout=20) == -signal.SIGTERM


def compose_client() -> list[str] | None:
    """The command of a client that is there: Compose v2, or v1 as Debian ships it."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]):
            ran = subprocess.run([*command, "version"], capture_output=True, check=False, timeout=60)
            if ran.returncode == 0:
                return command
    return None


@pytest.mark.external
def test_the_client_accepts_the_file_and_asks_for_passwords() -> None:
    client = compose_client()
    if client is None:
        pytest.skip("no docker compose here")
    bare = {name: value for name, value in os.environ.items() if name not in PASSWORDS}
    run = {"cwd": ROOT, "capture_output": True, "text": True, "timeout": 120}
    good = subprocess.run([*client, "--profile", "worker", "config"], env=bare | PASSWORDS, check=False, **run)
    assert good.returncode == 0, good.stderr
    resolved = yaml.safe_load(good.stdout)["services"]
    assert set(resolved) == {"mongo", "worker"}
    assert "lizrcl_worker:for-the-test-only@mongo" in resolved["worker"]["environment"]["LIZRCL_DB_URI"]
    for name in PASSWORDS:
        without = {key: value for key, value in PASSWORDS.items() if key != name}
        refused = subprocess.run([*client, "config"], env=bare | without, check=False, **run)
        assert refused.returncode != 0
        assert f"set {name}" in refused.stderr
