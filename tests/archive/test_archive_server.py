"""The embedded mongod: started, found, killed, started again; and one sentence for each reason why it cannot."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from lizrcl_flows.archive import Archive, mongod, server
from lizrcl_flows.archive.connection import embedded_uri, without_credentials
from lizrcl_flows.documents import Structure
from lizrcl_flows.errors import BackendError, InputError
from lizrcl_flows.settings import Settings

pytestmark = pytest.mark.mongo

WRITER = """
import sys
sys.path.insert(0, {tests!r})
from conftest import Make
from lizrcl_flows.archive import Archive
make = Make()
with Archive.connect() as archive:
    while True:
        print(archive.put(make.structure()), flush=True)
"""


@pytest.fixture
def settings(tmp_path: Path, mongod_uri: str) -> Iterator[Settings]:
    """Settings of a server of the test's own, stopped at the end; skipped where no mongod runs."""
    made = Settings(data_dir=tmp_path / "data", db_timeout_s=5.0)
    yield made
    if server.stop(made):
        assert mongod.running(server.folder(made) / "db") is None


def _pid(settings: Settings) -> int:
    return int(server.status(settings)["pid"])


def _kill(settings: Settings) -> None:
    pid = _pid(settings)
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while not mongod.has_ended(pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_start_is_found_from_anywhere_and_stopped(settings: Settings, make: Any) -> None:
    assert server.status(settings)["running"] is False
    assert not server.stop(settings)
    uri = server.start(settings)
    assert server.start(settings) == uri
    state = server.status(settings)
    assert (state["running"], state["uri"], state["database"]) == (True, uri, "lizrcl")
    assert json.loads((server.folder(settings) / "mongod.json").read_text())["pid"] == state["pid"]
    with Archive.connect(settings=settings) as archive:
        assert archive.connection.transactions
        written = archive.put(make.structure())
    assert os.getsid(state["pid"]) != os.getsid(0)
    stopped = "from lizrcl_flows.archive.server import stop; from lizrcl_flows.settings import Settings\n"
    stopped += f"print(stop(Settings(data_dir={str(settings.data_dir)!r})))"
    assert (
        subprocess.run([sys.executable, "-c", stopped], capture_output=True, text=True, check=True).stdout == "True\n"
    )
    assert server.status(settings)["uri"] is None
    with pytest.raises(BackendError, match=r"embedded database in .*mongo does not run: `lizrcl db start`"):
        Archive.connect(settings=settings)
    with pytest.raises(BackendError, match=r"no database answers at mongodb://127.0.0.1.*`lizrcl db start`"):
        Archive.connect(uri, settings=settings.model_copy(update={"db_timeout_s": 0.3}))
    assert server.start(settings) == uri
    with Archive.connect(settings=settings) as archive:
        assert archive.exists(Structure, written)


def test_nothing_acknowledged_is_lost_when_mongod_and_its_writer_are_killed(settings: Settings) -> None:
    server.start(settings)
    script = WRITER.format(tests=str(Path(__file__).parent))
    environment = {**os.environ, "LIZRCL_DATA_DIR": str(settings.data_dir), "LIZRCL_DB_TIMEOUT_S": "2"}
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as writer:
        assert writer.stdout is not None
        acknowledged = [writer.stdout.readline().strip() for _ in range(60)]
        _kill(settings)
        writer.kill()
        acknowledged += [line.strip() for line in writer.stdout if len(line) == 25]
    server.start(settings)
    with Archive.connect(settings=settings) as archive:
        stored = {structure.id for structure in archive.find(Structure, {})}
        assert len(acknowledged) >= 60
        assert set(acknowledged) <= stored
        nodes = {node["_id"] for node in archive.connection["lineage"].find()}
        assert nodes == stored


def _bind(listener: socket.socket, port: int) -> None:
    """Take a port that a server has just left; the system may need a moment to give it back."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return listener.bind(("127.0.0.1", port))
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


@contextmanager
def _other_program(port: int) -> Iterator[None]:
    """Hold a port and hang up on everyone."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _bind(listener, port)
        listener.listen()

        def serve() -> None:
            with suppress(OSError):
                while True:
                    listener.accept()[0].close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def test_a_port_that_was_taken_meanwhile_is_given_up(settings: Settings, make: Any) -> None:
    first = server.start(settings)
    with Archive.connect(settings=settings) as archive:
        written = archive.put(make.structure())
    port = server.status(settings)["port"]
    server.stop(settings)
    with _other_program(port):
        second = server.start(settings)
        assert second != first
        with Archive.connect(settings=settings) as archive:
            assert archive.exists(Structure, written)
        server.stop(settings)
        fixed = settings.model_copy(update={"db_port": port})
        with pytest.raises(BackendError, match=rf"port {port} is in use by another program; set LIZRCL_DB_PORT"):
            server.start(fixed)


def test_a_lock_left_behind_by_another_program_is_no_obstacle(settings: Settings) -> None:
    data_files = server.folder(settings) / "db"
    server.start(settings)
    _kill(settings)
    assert (data_files / "mongod.lock").read_text()
    (data_files / "mongod.lock").write_text(f"{os.getpid()}\n")
    (server.folder(settings) / "mongod.json").unlink()
    assert mongod.running(data_files) is None
    server.start(settings)
    assert server.status(settings)["pid"] not in (None, os.getpid())


def test_a_lost_state_file_is_written_again(settings: Settings) -> None:
    uri = server.start(settings)
    (server.folder(settings) / "mongod.json").unlink()
    with pytest.raises(BackendError, match="no database: run `lizrcl db start` or set LIZRCL_DB_URI"):
        embedded_uri(settings)
    assert server.start(settings) == uri
    assert embedded_uri(settings) == uri


def test_data_of_a_newer_mongod(settings: Settings) -> None:
    place = server.folder(settings)
    place.mkdir(parents=True)
    (place / "mongod.json").write_text(json.dumps({"version": "8.2.1", "port": 1}))
    with pytest.raises(BackendError, match=r"were written by mongod 8\.2\.1, this one is 6\.0\.5"):
        server.start(settings)


def test_a_full_disk(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    real = shutil.disk_usage(settings.data_dir.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: real._replace(free=30_000_000))
    with pytest.raises(BackendError, match=r"is full: 30 MB are free, mongod needs 629 MB"):
        server.start(settings)


def test_a_folder_that_cannot_be_used(tmp_path: Path, mongod_uri: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BackendError, match=r"data directory .*file/data/mongo cannot be made: Not a directory"):
        server.start(Settings(data_dir=tmp_path / "file" / "data"))


def _program(path: Path, body: str) -> str:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


LIBRARY = "mongod: error while loading shared libraries: libcrypto.so.3: cannot open shared object file"
GLIBC = "mongod: /lib/libc.so.6: version `GLIBC_2.34' not found (required by mongod)"


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (
            f'echo "{LIBRARY}" >&2; exit 127',
            r"the shared library libcrypto\.so\.3 \(OpenSSL 3\) is missing; install it",
        ),
        (f'echo "{GLIBC.replace("`", "")}" | sed "s/GLIBC/\\`GLIBC/" >&2; exit 1', r"it needs GLIBC_2\.34 or later"),
        ("exit 3", "cannot run on this machine: it ended without a message"),
        ('[ "$1" = --version ] && echo "db version v6.0.5" || exit 14', r"mongod did not start: it left no log"),
        ('[ "$1" = --version ] && echo "db version v6.0.5"; exit 0', "mongod ended right after its start"),
    ],
)
def test_programs_that_do_not_run(tmp_path: Path, body: str, sentence: str) -> None:
    settings = Settings(data_dir=tmp_path / "data", mongod=_program(tmp_path / "mongod", body))
    with pytest.raises(BackendError, match=sentence):
        server.start(settings)


def test_a_program_that_is_not_there_or_of_another_machine(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="LIZRCL_MONGOD names 'no-such-mongod'"):
        mongod.find_mongod(Settings(data_dir=tmp_path, mongod="no-such-mongod"))
    alien = tmp_path / "alien"
    alien.write_bytes(b"\x7fELF\x01\x01" + bytes(100))
    alien.chmod(0o755)
    with pytest.raises(BackendError, match=r"alien cannot run on this machine \(Exec format error\)"):
        mongod.version_of(alien)


def test_the_reason_of_a_death_is_read_from_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    good: dict[str, Any] = {"s": "I", "msg": "Waiting for connections"}
    bad: dict[str, Any] = {"s": "E", "msg": "Odd", "attr": {"error": "something"}}
    log.write_text("\n".join(json.dumps(line) for line in (good, bad, good)))
    assert mongod.reason_of_death(log) == 'Odd {"error": "something"}'
    log.write_text(json.dumps({**bad, "attr": {"error": "28: No space left on device"}}))
    assert mongod.reason_of_death(log) == "the disk is full"


def test_credentials_are_never_shown(tmp_path: Path) -> None:
    uri = "mongodb://worker:s3cret@127.0.0.1:1/?authSource=x"
    assert without_credentials(uri) == "mongodb://***@127.0.0.1:1/?authSource=x"
    settings = Settings(data_dir=tmp_path, db_timeout_s=0.2)
    with pytest.raises(BackendError) as caught:
        Archive.connect(uri, settings=settings)
    assert "s3cret" not in str(caught.value)
    with pytest.raises(InputError, match="is not a MongoDB URI") as malformed:
        Archive.connect("mongodb://worker:s3cret@host:port", settings=settings)
    assert "s3cret" not in str(malformed.value)
    with pytest.raises(InputError, match="is not a MongoDB URI"):
        Archive.connect("http://somewhere", settings=settings)


def test_a_database_of_a_newer_version_is_refused(
    archive: Archive, archive_settings: Settings, make: Callable[..., Any]
) -> None:
    archive.connection["meta"].update_one({}, {"$set": {"schema_version": 99}})
    with pytest.raises(
        BackendError, match=r"holds documents of schema version 99, but this lizrcl_flows reads up to 1"
    ):
        Archive.connect(settings=archive_settings)
