"""What the roles of fw_configs/mongo-init.js allow, on a mongod with authentication."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from lizrcl_flows.archive import Archive, mongod
from lizrcl_flows.archive.audit import audit
from lizrcl_flows.documents import Campaign, Document
from lizrcl_flows.errors import BackendError
from lizrcl_flows.settings import Settings

pytestmark = pytest.mark.mongo

ROOT = Path(__file__).parents[2]
PASSWORD = "for-the-test-only"


def roles() -> dict[str, list[dict[str, Any]]]:
    script = (ROOT / "fw_configs" / "mongo-init.js").read_text()
    found = re.search(r"/\* begin roles \*/(.*)/\* end roles \*/", script, re.DOTALL)
    assert found
    loaded: dict[str, list[dict[str, Any]]] = json.loads(found.group(1))
    return loaded


@pytest.fixture(scope="module")
def address(mongod_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Host and port of a mongod with authentication, the archive's roles and one user of each."""
    folder = tmp_path_factory.mktemp("auth")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        str(mongod.find_mongod(mongod_settings)),
        "--fork",
        "--auth",
        "--dbpath",
        str(folder),
        "--port",
        str(port),
    ]
    command += ["--logpath", str(folder / "log"), "--bind_ip", "127.0.0.1", "--nounixsocket"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    with MongoClient("127.0.0.1", port, directConnection=True) as client:
        client.admin.command("createUser", "admin", pwd=PASSWORD, roles=["root"])
    with MongoClient(f"mongodb://admin:{PASSWORD}@127.0.0.1:{port}/") as client:
        database = client["lizrcl"]
        for role, grants in roles().items():
            privileges = [
                {"resource": {"db": "lizrcl", "collection": collection}, "actions": grant["actions"]}
                for grant in grants
                for collection in grant["collections"]
            ]
            database.command("createRole", role, privileges=privileges, roles=[])
        for user, role in (("owner", "dbOwner"), ("worker", "lizrcl_worker"), ("reader", "lizrcl_reader")):
            database.command("createUser", user, pwd=PASSWORD, roles=[role])
    yield f"127.0.0.1:{port}"
    process = mongod.running(folder)
    assert process is not None
    os.kill(process.pid, 15)
    while not mongod.has_ended(process.pid):
        time.sleep(0.02)


def _open(address: str, user: str, folder: Path, **options: Any) -> Archive:
    uri = f"mongodb://{user}:{PASSWORD}@{address}/?authSource=lizrcl"
    return Archive.connect(settings=Settings(db_uri=uri, data_dir=folder, db_timeout_s=5.0), **options)


@pytest.fixture
def owner(address: str, tmp_path: Path) -> Iterator[Archive]:
    with _open(address, "owner", tmp_path) as opened:
        opened.init()
        yield opened
        opened.connection.client.drop_database("lizrcl")


def test_a_worker_does_its_work_and_no_more(owner: Archive, address: str, make: Any, tmp_path: Path) -> None:
    with _open(address, "worker", tmp_path) as worker:
        world: dict[str, list[Document]] = make.world(worker, tmp_path)
        campaign, label = world["cam"][0].id, world["lab"][0]
        worker.record_event(label.id, "quarantine", field="status", value="quarantined")
        worker.spend(campaign, labels=1, key="a")
        worker.open_turn("g", campaign, 0)
        assert worker.lease("g", "me", 10)
        worker.mark("g", "closed")
        assert worker.get(Campaign, campaign).labels_spent == 1
        for collection, change in (
            ("labels", lambda c: c.delete_many({})),
            ("events", lambda c: c.update_many({}, {"$set": {"value": 0}})),
            ("events", lambda c: c.delete_many({})),
            ("files.chunks", lambda c: c.delete_many({})),
            ("lineage", lambda c: c.drop()),
        ):
            with pytest.raises(OperationFailure) as caught:
                change(worker.connection[collection])
            assert caught.value.code == 13
        with pytest.raises(BackendError, match="let the owner run `lizrcl db init`"):
            worker.init()
    assert audit(owner).ok


# a process of its own: FireWorks imports its whole test suite when it looks for tasks
LAUNCH = """
import sys
from fireworks import Firework, FWorker, LaunchPad, ScriptTask, Workflow
from fireworks.core.rocket_launcher import launch_rocket

owner, worker = (LaunchPad(host=uri, name="lizrcl", uri_mode=True, strm_lvl="CRITICAL") for uri in sys.argv[1:])
owner.reset("", require_password=False)
worker.add_wf(Workflow([Firework(ScriptTask.from_str("true"))]))
assert launch_rocket(worker, FWorker(), strm_lvl="CRITICAL")
print(worker.get_fw_by_id(1).state)
worker.rerun_fw(1)
print(worker.get_fw_by_id(1).state)
"""


def test_a_worker_launches_and_submits(owner: Archive, address: str, tmp_path: Path) -> None:
    worker = f"mongodb://worker:{PASSWORD}@{address}/?authSource=lizrcl"
    command = [sys.executable, "-c", LAUNCH, owner.uri, worker]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert [line for line in ran.stdout.splitlines() if line.isupper()] == ["COMPLETED", "READY"], ran.stderr


def test_a_reader_reads_everything_and_writes_nothing(owner: Archive, address: str, make: Any, tmp_path: Path) -> None:
    world = make.world(owner, tmp_path)
    with _open(address, "reader", tmp_path, read_only=True) as reader:
        assert reader.get(Campaign, world["cam"][0].id) == world["cam"][0]
        assert audit(reader).ok
    with _open(address, "reader", tmp_path) as reader:
        with pytest.raises(BackendError, match="does not allow this to the user of the URI"):
            reader.put(make.structure())
        with pytest.raises(OperationFailure):
            reader.connection["fireworks"].insert_one({})


def test_a_wrong_password_is_one_sentence(address: str, tmp_path: Path) -> None:
    uri = f"mongodb://worker:wrong@{address}/?authSource=lizrcl"
    with pytest.raises(BackendError, match="Authentication failed") as caught:
        Archive.connect(settings=Settings(db_uri=uri, data_dir=tmp_path, db_timeout_s=5.0))
    assert "wrong" not in str(caught.value)


def test_the_roles_know_every_collection() -> None:
    from lizrcl_flows.archive.schema import MODELS
    from lizrcl_flows.archive.setup import PLAIN

    granted = {collection for grant in roles()["lizrcl_worker"] for collection in grant["collections"]}
    assert {*MODELS, *PLAIN} <= granted


def test_the_compose_file_asks_for_passwords_and_listens_at_home() -> None:
    service = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["mongo"]
    assert all(value.startswith("${") for key, value in service["environment"].items() if "PASSWORD" in key)
    assert service["ports"] == ["${LIZRCL_DB_BIND:-127.0.0.1}:27017:27017"]
    assert "./fw_configs/mongo-init.js:/docker-entrypoint-initdb.d/mongo-init.js:ro" in service["volumes"]
