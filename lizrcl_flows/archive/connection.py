"""The way to the database: finding it, checking that it may be used, and saying in one sentence why it may not."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from pymongo import MongoClient, WriteConcern
from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import (
    ConfigurationError,
    ConnectionFailure,
    DocumentTooLarge,
    InvalidURI,
    OperationFailure,
    PyMongoError,
    WriteError,
)
from pymongo.read_concern import ReadConcern

from lizrcl_flows.archive import mongod
from lizrcl_flows.errors import BackendError, InputError, IntegrityError
from lizrcl_flows.settings import Settings

P = ParamSpec("P")
R = TypeVar("R")
Content = dict[str, Any]
"""A stored document or a part of one, as the driver gives it."""

STATE_FILE = "mongod.json"
"""File under <data_dir>/mongo in which the embedded server says where it listens."""

DURABLE = WriteConcern(w="majority", j=True)
DOCUMENT_FAILED_VALIDATION = 121
UNAUTHORISED = (13, 18, 8000)


@dataclass(frozen=True)
class Connection:
    """An open connection.

    Attributes
    ----------
    uri
        As given, credentials included: never print it, print `location`.
    transactions
        Whether the server has them (a replica set or a sharded cluster).
    """

    client: MongoClient
    database: Database
    uri: str
    transactions: bool
    read_only: bool

    def __getitem__(self, collection: str) -> Collection:
        return self.database[collection]

    @property
    def location(self) -> str:
        """Return URI and database without credentials."""
        return f"{without_credentials(self.uri)} database {self.database.name}"

    def in_transaction(self, write: Callable[[ClientSession | None], R]) -> R:
        """Run writes in one transaction, again where another writer was in the way; one by one where there are none."""
        if not self.transactions:
            return write(None)
        with self.client.start_session() as session:
            return session.with_transaction(write, write_concern=DURABLE, read_concern=ReadConcern("snapshot"))

    def require_writable(self) -> None:
        """Refuse to write through a connection that was opened for reading.

        Raises
        ------
        BackendError
            If it was.
        """
        if self.read_only:
            raise BackendError(f"{self.location} was opened read-only; nothing can be written through it")


def without_credentials(uri: str) -> str:
    """Return a MongoDB URI that may be printed: user name and password replaced."""
    return re.sub(r"(//)[^/@]*@", r"\1***@", uri)


def open_connection(uri: str | None, settings: Settings, *, read_only: bool) -> Connection:
    """Connect and look who answers.

    Raises
    ------
    BackendError
        If no database is named or it does not answer in time.
    InputError
        If the URI is malformed.
    """
    address = uri or settings.db_uri or embedded_uri(settings)
    try:
        client: MongoClient = MongoClient(
            address,
            tz_aware=True,
            serverSelectionTimeoutMS=int(settings.db_timeout_s * 1000),
            connectTimeoutMS=int(settings.db_timeout_s * 1000),
            appname="lizrcl",
        )
    except (InvalidURI, ConfigurationError, ValueError) as error:
        raise InputError(f"'{without_credentials(address)}' is not a MongoDB URI: {error}") from error
    try:
        with backend_errors(address):
            hello = client.admin.command("hello")
    except BackendError:
        client.close()
        raise
    database = client.get_database(settings.db_name, write_concern=DURABLE)
    transactions = "setName" in hello or hello.get("msg") == "isdbgrid"
    return Connection(client, database, address, transactions, read_only)


def server_folder(settings: Settings) -> Path:
    """Return the folder of the embedded server: data files in `db`, its log and its state file."""
    return settings.data_dir.expanduser().resolve() / "mongo"


def embedded_uri(settings: Settings) -> str:
    """Return the URI of the embedded server as its state file gives it.

    Raises
    ------
    BackendError
        If there is no such server, or it does not run.
    """
    folder = server_folder(settings)
    try:
        uri = str(json.loads((folder / STATE_FILE).read_text())["uri"])
    except (OSError, ValueError, KeyError) as error:
        raise BackendError(
            f"no database: run `lizrcl db start` or set LIZRCL_DB_URI (looked for an embedded server in {folder})"
        ) from error
    if mongod.running(folder / "db") is None:
        raise BackendError(f"the embedded database in {folder} does not run: `lizrcl db start` starts it")
    return uri


@contextmanager
def backend_errors(uri: str) -> Iterator[None]:
    """Turn the driver's errors into ours.

    Raises
    ------
    BackendError
        If the database is unreachable, refuses the user or fails.
    IntegrityError
        If it refuses a document because its validator does.
    """
    try:
        yield
    except PyMongoError as error:
        raise _translated(error, without_credentials(uri)) from error


def _translated(error: PyMongoError, place: str) -> BackendError | IntegrityError:
    reason = _first_sentence(error)
    if isinstance(error, DocumentTooLarge):
        return BackendError(f"a document exceeds MongoDB's 16 MB: {reason}")
    if isinstance(error, ConnectionFailure):
        return BackendError(
            f"no database answers at {place} ({reason}); `lizrcl db start` starts the embedded one, "
            "LIZRCL_DB_URI names another"
        )
    if _code(error) == DOCUMENT_FAILED_VALIDATION:
        return IntegrityError(f"the database refuses a document that breaks its schema: {_violation(error)}")
    if isinstance(error, OperationFailure) and error.code in UNAUTHORISED:
        return BackendError(f"the database at {place} does not allow this to the user of the URI: {reason}")
    return BackendError(f"the database at {place} failed: {reason}")


def _code(error: PyMongoError) -> int | None:
    if isinstance(error, OperationFailure) and error.details:
        failures = error.details.get("writeErrors") or [error.details]
        return int(failures[0].get("code") or error.code or 0)
    return error.code if isinstance(error, OperationFailure) else None


def _violation(error: PyMongoError) -> str:
    """Return id and field of the first document that a validator refused."""
    details: Content = dict(error.details or {}) if isinstance(error, OperationFailure | WriteError) else {}
    failure = (details.get("writeErrors") or [details])[0]
    rules = failure.get("errInfo", {}).get("details", {}).get("schemaRulesNotSatisfied", [])
    return (
        f"{failure.get('errInfo', {}).get('failingDocumentId', 'unknown id')}: {json.dumps(rules, default=str)[:400]}"
    )


def _first_sentence(error: PyMongoError) -> str:
    """Return the reason without the driver's dump of the topology."""
    text = str(error).split(", Timeout:")[0].split(", full error:")[0]
    return text.split(" (configured timeouts")[0].strip()


def guarded(method: Callable[P, R]) -> Callable[P, R]:
    """Let a method of the archive raise our errors only; its object has a `connection`."""

    @wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        connection: Connection = getattr(args[0], "connection")  # noqa: B009  the type of args[0] is open
        with backend_errors(connection.uri):
            return method(*args, **kwargs)

    return call
