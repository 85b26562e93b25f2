"""The embedded database: a real mongod under the data directory, started and stopped from any process.

It runs as a replica set of one node, because only replica sets have transactions, with journalling, on a private port
of 127.0.0.1. What was acknowledged survives `kill -9`. It outlives the process that started it.
"""

import fcntl
import json
import logging
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from lizrcl_flows.archive import mongod
from lizrcl_flows.archive.connection import STATE_FILE, server_folder
from lizrcl_flows.errors import BackendError
from lizrcl_flows.settings import Settings

log = logging.getLogger(__name__)

REPLICA_SET = "rs0"
CACHE_GB = 0.5
OPLOG_MB = 512
MINIMUM_FREE_BYTES = 600 * 1024**2
"""Below this, mongod's journal (up to 300 MB) and a first data set would soon fill the disk."""

PORTS = range(20000, 32000)
"""Where a free port is looked for; ports above are given to outgoing connections and may be taken at any moment."""

ATTEMPTS_AT_A_PORT = 50
_PRIMARY_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 120.0
_START_TIMEOUT_S = 600.0
_ALREADY_INITIALISED = 23


def folder(settings: Settings) -> Path:
    """Return the folder of the embedded server: data files in `db`, its log and its state file."""
    return server_folder(settings)


def start(settings: Settings) -> str:
    """Start the embedded server, or find it running, and return its URI.

    Raises
    ------
    BackendError
        If there is no mongod that runs here, the folder cannot be used, the disk is full, the port is taken, the data
        are of a newer MongoDB, or the server dies: one sentence each.
    """
    program = mongod.find_mongod(settings)
    version = mongod.version_of(program)
    place = folder(settings)
    _make_folder(place)
    with _alone(place):
        process = mongod.running(place / "db")
        if process is None or process.port is None:
            _check_room(place)
            _check_version(place, version)
            port = settings.db_port or _port_of_before(place) or _free_port()
            _launch(program, place, port)
            process = mongod.running(place / "db")
        if process is None or process.port is None:
            raise BackendError(f"mongod ended right after its start: {mongod.reason_of_death(place / 'mongod.log')}")
        uri = f"mongodb://127.0.0.1:{process.port}/?replicaSet={REPLICA_SET}"
        _become_primary(process.port, place)
        state = {"uri": uri, "port": process.port, "pid": process.pid, "version": version, "program": str(program)}
        _write_state(place, state)
    log.info("mongod runs pid=%d port=%d folder=%s", process.pid, process.port, place)
    return uri


def stop(settings: Settings) -> bool:
    """Stop the embedded server cleanly and wait until it is gone; return whether one was running.

    Raises
    ------
    BackendError
        If it does not end.
    """
    place = folder(settings)
    process = mongod.running(place / "db")
    if process is None:
        return False
    with _alone(place):
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGTERM)
        deadline = time.monotonic() + _STOP_TIMEOUT_S
        while not mongod.has_ended(process.pid):
            if time.monotonic() > deadline:
                raise BackendError(f"mongod (pid {process.pid}) did not end within {_STOP_TIMEOUT_S:.0f} s")
            time.sleep(0.05)
    return True


def status(settings: Settings) -> dict[str, Any]:
    """Return what is known about the embedded server.

    Returns
    -------
    dict
        running, uri, database, pid, port, version, program, data_dir, log; those that do not apply are None.
    """
    place = folder(settings)
    state = _read_state(place)
    process = mongod.running(place / "db")
    return {
        "running": process is not None,
        "uri": state.get("uri") if process else None,
        "database": settings.db_name,
        "pid": process.pid if process else None,
        "port": process.port if process else None,
        "version": state.get("version"),
        "program": state.get("program"),
        "data_dir": str(place / "db"),
        "log": str(place / "mongod.log"),
    }


def _make_folder(place: Path) -> None:
    try:
        (place / "db").mkdir(parents=True, exist_ok=True)
        place.chmod(0o700)
    except OSError as error:
        raise BackendError(
            f"the data directory {place} cannot be made: {error.strerror}; set LIZRCL_DATA_DIR"
        ) from error
    if not os.access(place / "db", os.W_OK | os.X_OK):
        raise BackendError(f"the data directory {place} is not writable; set LIZRCL_DATA_DIR to one that is")


@contextmanager
def _alone(place: Path) -> Iterator[None]:
    """Let one process at a time start or stop the server."""
    try:
        handle = (place / "start.lock").open("w")
    except OSError as error:
        raise BackendError(f"the data directory {place} is not writable: {error.strerror}") from error
    with handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _check_room(place: Path) -> None:
    free = shutil.disk_usage(place).free
    if free < MINIMUM_FREE_BYTES:
        raise BackendError(
            f"the disk of {place} is full: {free / 1e6:.0f} MB are free, mongod needs {MINIMUM_FREE_BYTES / 1e6:.0f} MB"
        )


def _check_version(place: Path, version: str) -> None:
    written_by = _read_state(place).get("version")
    if written_by and mongod.newer(written_by, version):
        raise BackendError(
            f"the data in {place / 'db'} were written by mongod {written_by}, this one is {version}; set "
            f"LIZRCL_MONGOD to a mongod {written_by} or newer"
        )


def _port_of_before(place: Path) -> int | None:
    """Return the port that the server had, if it is still free, so that URIs written down stay good."""
    port = _read_state(place).get("port")
    return port if isinstance(port, int) and _is_free(port) else None


def _free_port() -> int:
    """Return a free port, below those that systems hand to outgoing connections: it is still free at the next start."""
    for _ in range(ATTEMPTS_AT_A_PORT):
        port = PORTS.start + secrets.randbelow(len(PORTS))
        if _is_free(port):
            return port
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _launch(program: Path, place: Path, port: int) -> None:
    if not _is_free(port):
        raise BackendError(f"port {port} is in use by another program; set LIZRCL_DB_PORT to another one, or to 0")
    command = [str(program), "--fork", "--dbpath", str(place / "db"), "--port", str(port), "--bind_ip", "127.0.0.1"]
    command += ["--replSet", REPLICA_SET, "--oplogSize", str(OPLOG_MB), "--wiredTigerCacheSizeGB", str(CACHE_GB)]
    command += ["--logpath", str(place / "mongod.log"), "--logappend", "--nounixsocket"]
    for parameter in ("diagnosticDataCollectionEnabled=false", "shutdownTimeoutMillisForSignaledShutdown=500"):
        command += ["--setParameter", parameter]
    try:
        ran = subprocess.run(
            command, capture_output=True, text=True, timeout=_START_TIMEOUT_S, check=False, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired as error:
        raise BackendError(
            f"mongod was not ready after {_START_TIMEOUT_S:.0f} s; its log is {place / 'mongod.log'}"
        ) from error
    if ran.returncode != 0:
        reason = mongod.reason_of_death(place / "mongod.log")
        raise BackendError(f"mongod did not start: {reason}; its log is {place / 'mongod.log'}")


def _become_primary(port: int, place: Path) -> None:
    """Make the node the primary of its replica set: initiate it once, and again under a new port."""
    member = {"_id": 0, "host": f"127.0.0.1:{port}"}
    client: MongoClient = MongoClient(
        "127.0.0.1", port, directConnection=True, serverSelectionTimeoutMS=int(_PRIMARY_TIMEOUT_S * 1000)
    )
    try:
        _configure(client, member)
        deadline = time.monotonic() + _PRIMARY_TIMEOUT_S
        while not client.admin.command("hello").get("isWritablePrimary"):
            if time.monotonic() > deadline:
                raise BackendError(f"mongod did not become primary; its log is {place / 'mongod.log'}")
            time.sleep(0.02)
    except PyMongoError as error:
        reason = mongod.reason_of_death(place / "mongod.log")
        raise BackendError(f"mongod started and could not be set up ({error}): {reason}") from error
    finally:
        client.close()


def _configure(client: MongoClient, member: dict[str, Any]) -> None:
    """Give the node its configuration, read from disk: a node that has just started denies having one."""
    config = client.get_database("local")["system.replset"].find_one()
    if config is None:
        try:
            client.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": [member]})
        except OperationFailure as error:
            if error.code != _ALREADY_INITIALISED:
                raise
    elif [each["host"] for each in config["members"]] != [member["host"]]:
        config |= {"members": [member], "version": config["version"] + 1}
        _reconfigure(client, config)


def _reconfigure(client: MongoClient, config: dict[str, Any]) -> None:
    """Force a configuration upon the node as soon as it has read its old one."""
    deadline = time.monotonic() + _PRIMARY_TIMEOUT_S
    while True:
        try:
            client.admin.command("replSetReconfig", config, force=True)
        except OperationFailure:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def _read_state(place: Path) -> dict[str, Any]:
    try:
        state = json.loads((place / STATE_FILE).read_text())
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


def _write_state(place: Path, state: dict[str, Any]) -> None:
    part = place / f"{STATE_FILE}.part"
    part.write_text(json.dumps(state, indent=2) + "\n")
    part.replace(place / STATE_FILE)
