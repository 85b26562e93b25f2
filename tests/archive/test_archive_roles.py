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
from bson import json_util
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from lizrcl_flows.archive import Archive, mongod
from lizrcl_flows.archive.audit import audit
from lizrcl_flows.archive.worker_config import write_worker_config
from lizrcl_flows.cli.diagnosis.database import database as database_check
from lizrcl_flows.cli.main import main
from lizrcl_flows.documents import Campaign, Document, Structure
from lizrcl_flows.errors import BackendError
from lizrcl_flows.settings import Settings

pytestmark = pytest.mark.mongo

ROOT = Path(__file__).parents[2]
PASSWORD = "for-the-test-only"


PASSWORDS = {f"LIZRCL_{user}_PASSWORD": f"{user}-for-the-test-only" for user in ("OWNER", "WORKER", "READER")}

# what mongosh offers the script: process.env, and runCommand, which throws what the server answers as an error
MONGOSH = """
const process = {env: JSON.parse(environment())};
const db = {getSiblingDB: (name) => ({runCommand: (command) => {
  const answer = JSON.parse(send(name, JSON.stringify(command)));
  if (answer.error) throw new Error(answer.error);
  return answer.result;
}})};
"""


def run_init_script(client: MongoClient, environment: dict[str, str]) -> None:
    """Run fw_configs/mongo-init.js itself, as the container does, by a JavaScript engine of the tests."""
    import quickjs

    def send(name: str, command: str) -> str:
        try:
            result = client[name].command(json.loads(command))
        except OperationFailure as error:
            return json.dumps({"error": str(error)})
        return json_util.dumps({"result": result})

    context = quickjs.Context()
    context.add_callable("environment", lambda: json.dumps(environment))
    context.add_callable("send", send)
    context.eval(MONGOSH)
    context.eval((ROOT / "fw_configs" / "mongo-init.js").read_text())


@pytest.fixture(scope="module")
def server(mongod_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Host and port of a mongod like docker-compose.yml's: authentication, a key file, a replica set of one."""
    folder = tmp_path_factory.mktemp("auth")
    key = folder / "replica.key"
    key.write_text("onlyfortests" * 10)  # base64, as mongod wants it
    key.chmod(0o600)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(mongod.find_mongod(mongod_settings)), "--fork", "--replSet", "rs0", "--keyFile", str(key)]
    command += ["--dbpath", str(folder), "--port", str(port), "--oplogSize", "16"]
    command += ["--logpath", str(folder / "log"), "--bind_ip", "127.0.0.1", "--nounixsocket"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    with MongoClient("127.0.0.1", port, directConnection=True) as client:
        member = {"_id": 0, "host": f"127.0.0.1:{port}"}
        client.admin.command("replSetInitiate", {"_id": "rs0", "members": [member]})
        while not client.admin.command("hello")["isWritablePrimary"]:
            time.sleep(0.02)
        client.admin.command("createUser", "admin", pwd=PASSWORD, roles=["root"])
    yield f"127.0.0.1:{port}"
    process = mongod.running(folder)
    assert process is not None
    os.kill(process.pid, 15)
    while not mongod.has_ended(process.pid):
        time.sleep(0.02)


@pytest.fixture(scope="module")
def address(server: str) -> str:
    """Host and port of the server after the init script."""
    with MongoClient(f"mongodb://admin:{PASSWORD}@{server}/") as client:
        run_init_script(client, PASSWORDS)
    return server


def _uri(address: str, user: str) -> str:
    return f"mongodb://lizrcl_{user}:{user.upper()}-for-the-test-only@{address}/?authSource=lizrcl"


def _open(address: str, user: str, folder: Path, **options: Any) -> Archive:
    return Archive.connect(settings=Settings(db_uri=_uri(address, user), data_dir=folder, db_timeout_s=5.0), **options)


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


JOBS = """
from jobflow import Flow, Response, job

@job
def spread(n):
    made = [double(number) for number in range(n)]
    for each in made:
        each.update_config({"manager_config": {"_category": "cpu"}, "pass_manager_config": True})
    return Response(replace=Flow(made, output=[each.output for each in made]))

@job
def double(number):
    return 2 * number

@job(data="big")
def large(numbers):
    return {"numbers": numbers, "big": list(range(1000))}
"""

# a process of its own: FireWorks imports its whole test suite when it looks for tasks
LAUNCH = """
import sys
from fireworks import LaunchPad
from fireworks.scripts.lpad_run import lpad
from fireworks.scripts.rlaunch_run import rlaunch
from jobflow import Flow
from jobflow.managers.fireworks import flow_to_workflow
from pymongo.errors import OperationFailure
from jobs_of_the_test import large, spread

owner = LaunchPad(host=sys.argv[1], name="lizrcl", uri_mode=True, strm_lvl="CRITICAL")
owner.reset("", require_password=False)
first = spread(3)
last = large(first.output)
for each in (first, last):
    each.update_config({"manager_config": {"_category": "cpu"}, "pass_manager_config": True})
flow_to_workflow(Flow([first, last]), store=None).to_file("flow.json")
lpad(["-s", "add", "flow.json"])
rlaunch(["-s", "rapidfire", "--sleep", "1"])
print(*sorted(state for fw_id in owner.get_fw_ids() for state in [owner.get_fw_by_id(fw_id).state]))
worker = LaunchPad.auto_load()
worker.rerun_fw(1)
worker.detect_lostruns(expiration_secs=0, rerun=True, refresh=True)
print(owner.get_fw_by_id(1).state)
try:
    worker.reset("", require_password=False)
except OperationFailure as error:
    print("refused", error.code)
print(owner.workflows.count_documents({}), owner.launches.count_documents({}) > 0)
owner.reset("", require_password=False)
print(owner.workflows.count_documents({}))
"""


def test_a_worker_adds_launches_and_spreads_and_does_not_reset(owner: Archive, address: str, tmp_path: Path) -> None:
    """By the commands, a workflow that grows while it runs, with an output in GridFS, and the housekeeping."""
    variables = write_worker_config(tmp_path / "config", _uri(address, "worker"), "lizrcl")
    (tmp_path / "jobs_of_the_test.py").write_text(JOBS)
    search = os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", "")))
    environment = {**os.environ, **variables, "PYTHONPATH": search}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, "-c", LAUNCH, owner.uri]
    ran = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    said = [line for line in ran.stdout.splitlines() if not re.match(r"\d{4}-", line)]  # without FireWorks' log
    assert said[-5:] == [" ".join(["COMPLETED"] * 6), "READY", "refused 13", "1 True", "0"], ran.stdout + ran.stderr
    outputs = {record["name"]: record["output"] for record in owner.connection["outputs"].find()}
    assert outputs["large"]["numbers"] == [0, 2, 4]
    assert outputs["large"]["big"]["blob_uuid"]
    assert owner.connection["blobs.files"].count_documents({}) == 1


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
    uri = f"mongodb://lizrcl_worker:wrong@{address}/?authSource=lizrcl"
    with pytest.raises(BackendError, match="Authentication failed") as caught:
        Archive.connect(settings=Settings(db_uri=uri, data_dir=tmp_path, db_timeout_s=5.0))
    assert "wrong" not in str(caught.value)
    found = next(database_check(Settings(db_uri=uri, data_dir=tmp_path, db_timeout_s=5.0)))
    assert (found.status, "wrong" in found.found + found.advice) == ("problem", False)
    assert "`lizrcl config write`" in found.advice


@pytest.fixture
def lizrcl(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Any:
    """Run a command line as one of the users."""
    for name in [name for name in os.environ if name.startswith(("LIZRCL_", "FW_", "JOBFLOW_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LIZRCL_DATA_DIR", str(tmp_path))

    def run(user: str, *arguments: str) -> tuple[int, str]:
        monkeypatch.setenv("LIZRCL_DB_URI", _uri(address, user))
        capfd.readouterr()
        with pytest.raises(SystemExit) as left:
            main([*arguments])
        return int(left.value.code or 0), capfd.readouterr().out

    return run


def test_the_commands_of_each_role(owner: Archive, lizrcl: Any, make: Any, tmp_path: Path) -> None:
    """The owner sets up, the reader looks, the worker sees what is wrong; none of them needs more than its role."""
    make.world(owner, tmp_path)
    assert lizrcl("owner", "db", "init")[0] == 0
    assert lizrcl("reader", "audit")[0] == 0
    assert lizrcl("reader", "db", "check")[0] == 0
    code, said = lizrcl("reader", "structure", "find", "--json")
    assert (code, len(json.loads(said))) == (0, owner.count(Structure, {}))
    assert lizrcl("reader", "db", "init")[0] == 5
    for user, rights in (("reader", "may only read"), ("worker", "may do what workers need"), ("owner", "everything")):
        code, said = lizrcl(user, "doctor", "--json")
        checks = {check["subject"]: check for check in json.loads(said)["checks"]}
        assert rights in checks["database user"]["found"]
        assert checks["collections, indexes"]["status"] == "ok", checks["collections, indexes"]
        assert checks["queue"]["status"] == "ok", checks["queue"]
        assert "LaunchPad" not in checks  # `db init` made its counter


def test_the_script_changes_nothing_where_a_password_is_missing(server: str) -> None:
    environment = {**PASSWORDS, "LIZRCL_DB_NAME": "other"}
    with MongoClient(f"mongodb://admin:{PASSWORD}@{server}/") as client:
        del environment["LIZRCL_READER_PASSWORD"]
        with pytest.raises(Exception, match="LIZRCL_READER_PASSWORD is not set"):
            run_init_script(client, environment)
        assert client["other"].command("rolesInfo")["roles"] == []
        assert client["other"].command("usersInfo")["users"] == []


def test_the_script_run_again_brings_roles_and_passwords_up_to_date(server: str) -> None:
    with MongoClient(f"mongodb://admin:{PASSWORD}@{server}/") as client:
        environment = {**PASSWORDS, "LIZRCL_DB_NAME": "again"}
        run_init_script(client, environment)
        wanted = client["again"].command("rolesInfo", showPrivileges=True)["roles"]
        client["again"].command("updateRole", "lizrcl_worker", privileges=[], roles=["dbOwner"])
        run_init_script(client, environment | {"LIZRCL_WORKER_PASSWORD": "new"})
        assert client["again"].command("rolesInfo", showPrivileges=True)["roles"] == wanted
    with MongoClient(f"mongodb://lizrcl_worker:new@{server}/?authSource=again") as client:
        assert client["again"]["labels"].count_documents({}) == 0


def test_the_roles_know_every_collection(address: str) -> None:
    from lizrcl_flows.archive.schema import MODELS
    from lizrcl_flows.archive.setup import PLAIN

    with MongoClient(f"mongodb://admin:{PASSWORD}@{address}/") as client:
        role = client["lizrcl"].command("rolesInfo", "lizrcl_worker", showPrivileges=True)["roles"][0]
    granted = {p["resource"]["collection"] for p in role["privileges"] if "find" in p["actions"]}
    assert {*MODELS, *PLAIN} <= granted


def test_the_compose_file_asks_for_passwords_and_listens_at_home() -> None:
    service = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["mongo"]
    assert all(value.startswith("${") for key, value in service["environment"].items() if "PASSWORD" in key)
    assert service["ports"] == ["${LIZRCL_DB_BIND:-127.0.0.1}:27017:27017"]
    assert "./fw_configs/mongo-init.js:/docker-entrypoint-initdb.d/mongo-init.js:ro" in service["volumes"]
