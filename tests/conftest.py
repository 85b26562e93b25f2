"""A real MongoDB for the tests that need one: one embedded mongod a session, one database a test."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from lizrcl_flows.archive import Archive
from lizrcl_flows.archive.server import start, stop
from lizrcl_flows.errors import BackendError
from lizrcl_flows.settings import Settings


@pytest.fixture(scope="session")
def mongod_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings of an embedded server that runs for the whole session."""
    memory = Path("/dev/shm")  # each test makes some forty files, which a disk syncs one by one
    base = memory / f"lizrcl-{secrets.token_hex(4)}" if memory.is_dir() else tmp_path_factory.mktemp("mongod")
    settings = Settings(data_dir=base, db_timeout_s=20.0)
    try:
        start(settings)
    except BackendError as error:
        pytest.skip(str(error))
    yield settings
    stop(settings)
    if memory in base.parents:
        import shutil

        shutil.rmtree(base)


@pytest.fixture(scope="session")
def mongod_uri(mongod_settings: Settings) -> str:
    """URI of the session's mongod."""
    from lizrcl_flows.archive.connection import embedded_uri

    return embedded_uri(mongod_settings)


@pytest.fixture
def archive_settings(mongod_uri: str, tmp_path: Path) -> Settings:
    """Settings that name a database of the test's own."""
    name = f"test_{secrets.token_hex(6)}"
    return Settings(db_uri=mongod_uri, db_name=name, data_dir=tmp_path / "data", db_timeout_s=20.0)


@pytest.fixture
def archive(archive_settings: Settings) -> Iterator[Archive]:
    """An initialised archive in a database of its own, dropped afterwards."""
    opened = Archive.connect(settings=archive_settings)
    opened.init()
    yield opened
    opened.connection.client.drop_database(opened.database_name)
    opened.close()
