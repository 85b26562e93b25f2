"""A server without transactions: the order of writes is such that a crash tears nothing that cannot be put right."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo.errors import AutoReconnect

from lizrcl_flows.archive import Archive, mongod
from lizrcl_flows.archive.audit import audit
from lizrcl_flows.archive.check import check
from lizrcl_flows.documents import Campaign, Label
from lizrcl_flows.errors import IntegrityError
from lizrcl_flows.settings import Settings

pytestmark = pytest.mark.mongo


@pytest.fixture(scope="module")
def standalone_uri(mongod_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URI of a mongod that is no replica set."""
    folder = tmp_path_factory.mktemp("standalone")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(mongod.find_mongod(mongod_settings)), "--fork", "--dbpath", str(folder), "--port", str(port)]
    command += ["--logpath", str(folder / "log"), "--bind_ip", "127.0.0.1", "--nounixsocket"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    yield f"mongodb://127.0.0.1:{port}/"
    process = mongod.running(folder)
    assert process is not None
    os.kill(process.pid, 15)
    while not mongod.has_ended(process.pid):
        time.sleep(0.02)


@pytest.fixture
def archive(standalone_uri: str, tmp_path: Path) -> Iterator[Archive]:
    name = f"test_{os.urandom(4).hex()}"
    with Archive.connect(settings=Settings(db_uri=standalone_uri, db_name=name, data_dir=tmp_path)) as opened:
        opened.init()
        yield opened
        opened.connection.client.drop_database(name)


def test_everything_works_without_transactions(archive: Archive, make: Any, tmp_path: Path) -> None:
    assert not archive.connection.transactions
    world = make.world(archive, tmp_path)
    campaign = world["cam"][0].id
    archive.record_event(world["lab"][0].id, "quarantine", field="status", value="quarantined")
    for _ in range(2):
        archive.spend(campaign, labels=3, core_hours=0.5, key="a")
    archive.spend(campaign, labels=1, key="b")
    found = archive.get(Campaign, campaign)
    assert (found.labels_spent, found.core_hours_spent) == (4, 0.5)
    second = make.label(world["str"][1], world["lev"][0])
    archive.put_many([second, second])
    assert archive.get(Label, second.id) == world["lab"][1]
    assert archive.connection["attempts"].count_documents({}) == 1
    assert audit(archive).findings == []
    assert check(archive).problems == []


@pytest.mark.parametrize("writes", [0, 1, 2])
def test_a_write_that_is_cut_short_is_completed_by_the_next(
    archive: Archive, make: Any, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    structure, level = make.structure(), make.level()
    label, later = make.label(structure, level), make.label(structure, level)
    archive.put_many([structure, level])
    real = archive._writer._insert_missing
    done: list[str] = []

    def dies(collection: str, records: Any) -> set[str]:
        if len(done) == writes:
            raise AutoReconnect("the process was killed here")
        done.append(collection)
        return real(collection, records)

    monkeypatch.setattr(archive._writer, "_insert_missing", dies)
    with pytest.raises(Exception, match="killed here"):
        archive.put(label)
    monkeypatch.undo()
    assert done == ["lineage", "events"][:writes]
    assert not archive.exists(Label, label.id)
    torn = [problem.what for problem in check(archive).problems]
    assert torn == (["has a lineage node and no document: a write was cut short"] if writes else [])
    archive.put(later)
    assert archive.get(Label, later.id) == later
    assert audit(archive).findings == []
    assert check(archive).problems == []


def test_check_removes_what_nobody_completes(archive: Archive, make: Any) -> None:
    structure = make.structure()
    archive.connection["lineage"].insert_one(
        {"_id": structure.id, "kind": "str", "parents": [], "campaign": None, "generation": None, "digest": "d"}
    )
    report = check(archive, repair=True)
    assert [problem.subject for problem in report.problems] == [structure.id]
    assert report.ok
    assert archive.connection["lineage"].count_documents({}) == 0


def test_validators_hold_here_as_well(archive: Archive, make: Any) -> None:
    broken = make.structure()
    object.__setattr__(broken, "formula", 7)
    with pytest.raises(IntegrityError, match="formula"), pytest.warns(UserWarning, match="formula"):
        archive.put(broken)
    assert check(archive, repair=True).ok
