"""A real MongoDB for the tests that need one: one embedded mongod a session, one database a test."""

import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from lizrcl_flows.archive import Archive
from lizrcl_flows.archive.check import check
from lizrcl_flows.archive.schema import MODELS
from lizrcl_flows.archive.server import start, stop
from lizrcl_flows.archive.setup import META, PLAIN
from lizrcl_flows.errors import BackendError
from lizrcl_flows.settings import Settings

NEEDED_BYTES = 2 * 1024**3
"""Free memory file system from which on the tests' database lives there; containers often have 64 MB."""


@pytest.fixture(scope="session")
def mongod_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings of an embedded server that runs for the whole session."""
    memory = Path("/dev/shm")  # each test makes some forty files, which a disk syncs one by one
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > NEEDED_BYTES
    base = memory / f"lizrcl-{secrets.token_hex(4)}" if roomy else tmp_path_factory.mktemp("mongod")
    settings = Settings(data_dir=base, db_timeout_s=20.0)
    try:
        start(settings)
    except BackendError as error:
        if os.environ.get("CI"):  # there, a database that does not start is a failure
            raise
        pytest.skip(str(error))
    yield settings
    stop(settings)
    if memory in base.parents:
        shutil.rmtree(base)


@pytest.fixture(scope="session")
def mongod_uri(mongod_settings: Settings) -> str:
    """URI of the session's mongod."""
    from lizrcl_flows.archive.connection import embedded_uri

    return embedded_uri(mongod_settings)


@pytest.fixture(scope="session")
def spare_databases() -> list[str]:
    """Names of initialised, empty databases: making one takes longer than most tests."""
    return []


@pytest.fixture
def archive_settings(mongod_uri: str, spare_databases: list[str], tmp_path: Path) -> Settings:
    """Settings that name a database of the test's own."""
    name = spare_databases.pop() if spare_databases else f"test_{secrets.token_hex(6)}"
    return Settings(db_uri=mongod_uri, db_name=name, data_dir=tmp_path / "data", db_timeout_s=20.0)


@pytest.fixture
def archive(archive_settings: Settings, spare_databases: list[str]) -> Iterator[Archive]:
    """An initialised, empty archive in a database of its own."""
    opened = Archive.connect(settings=archive_settings)
    if opened.connection["meta"].find_one() is None:
        opened.init()
    yield opened
    if _emptied(opened):
        spare_databases.append(opened.database_name)
    else:
        opened.connection.client.drop_database(opened.database_name)
    opened.close()


def _emptied(archive: Archive) -> bool:
    """Remove all documents; return whether what remains is as good as new."""
    database = archive.connection.database
    for name in database.list_collection_names():
        if name not in (*MODELS, *PLAIN):
            database.drop_collection(name)
        elif name != META:
            database[name].delete_many({})
    try:
        return not check(archive).problems
    except BackendError:
        return False
