"""Making a database ready: collections, validators, indexes, and the meta document that says which version wrote it."""

import logging
from dataclasses import dataclass
from typing import Any

from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.errors import CollectionInvalid, OperationFailure

from lizrcl_flows.archive.connection import UNAUTHORISED, Connection, Content
from lizrcl_flows.archive.schema import schema_sha256, validators
from lizrcl_flows.documents import DOCUMENTS, SCHEMA_VERSION, now_utc
from lizrcl_flows.errors import BackendError

log = logging.getLogger(__name__)

NAMESPACE_EXISTS = 48
META = "meta"
FILES = "files"
PLAIN = (META, "turns", "attempts", f"{FILES}.files", f"{FILES}.chunks", "outputs")
"""Collections without a validator: bookkeeping, GridFS and jobflow's outputs."""


@dataclass(frozen=True)
class Index:
    """One index: collection, keys in order ("-" before a key: descending), whether it is unique."""

    collection: str
    keys: tuple[str, ...]
    unique: bool = False

    @property
    def name(self) -> str:
        """Return the name under which it is created."""
        return "_".join(self.keys).replace("-", "")

    def model(self) -> IndexModel:
        """Return it as pymongo wants it."""
        keys = [(key.lstrip("-"), DESCENDING if key.startswith("-") else ASCENDING) for key in self.keys]
        return IndexModel(keys, name=self.name, unique=self.unique)


_PLACE = (("campaign", "generation"),)
_EXTRA: dict[str, tuple[tuple[str, ...], ...]] = {
    "campaigns": (("name",),),
    "structures": (("phase", "generation"), ("formula",), ("chemical_system", "n_atoms")),
    "candidates": (
        ("phase", "generation"),
        ("formula",),
        ("eps",),
        ("verdict", "generation"),
        ("campaign", "verdict", "eps"),
        ("trajectory",),
        ("structure",),
    ),
    "labels": (
        ("phase", "generation"),
        ("formula",),
        ("status", "generation"),
        ("structure",),
        ("level",),
        ("max_force",),
    ),
    "datasets": (("campaign", "split", "n_labels"), ("parent",), ("added",)),
    "models": (("dataset",),),
    "committees": (("members",),),
    "evaluations": (("committee", "kind"),),
    "generations": (("campaign_id", "index"),),
    "trajectories": (("phase", "generation"), ("formula",), ("structure",), ("committee",)),
    "transports": (("trajectories",), ("species", "temperature_k")),
    "analyses": (("trajectory", "kind"),),
    "lineage": (("parents", "_id"), ("kind", "campaign"), ("campaign", "generation")),
    "events": (("subject", "-at"), ("kind", "at")),
    "attempts": (("subject",),),
    "turns": (("campaign_id", "turn"),),
}

INDEXES: tuple[Index, ...] = (
    *(Index(kind.collection, keys) for kind in DOCUMENTS for keys in _PLACE),
    *(Index(collection, keys) for collection, choices in _EXTRA.items() for keys in choices),
    Index(f"{FILES}.chunks", ("files_id", "n"), unique=True),
    Index(f"{FILES}.files", ("filename", "uploadDate")),
    Index("outputs", ("uuid", "index"), unique=True),
)
"""Every index of the archive; jobflow's own store creates none, and its reference lookup grows without."""


def read_meta(connection: Connection) -> Content | None:
    """Return the meta document, or None in a database that is not initialised.

    Raises
    ------
    BackendError
        If a newer version of the package wrote the database.
    """
    meta = connection[META].find_one({"_id": "archive"})
    if meta is not None and meta["schema_version"] > SCHEMA_VERSION:
        raise BackendError(
            f"{connection.location} holds documents of schema version {meta['schema_version']}, but this lizrcl_flows "
            f"reads up to {SCHEMA_VERSION}; install a newer one"
        )
    return meta


def initialise(connection: Connection) -> None:
    """Create what is missing and bring validators up to date; may be called any number of times.

    Raises
    ------
    BackendError
        If the user of the URI may not do this.
    """
    connection.require_writable()
    read_meta(connection)
    try:
        existing = set(connection.database.list_collection_names())
        for name, validator in validators().items():
            _ensure_validated(connection, name, validator, exists=name in existing)
        for name in PLAIN:
            if name not in existing:
                _create(connection, name)
        for collection in sorted({index.collection for index in INDEXES}):
            models = [index.model() for index in INDEXES if index.collection == collection]
            connection[collection].create_indexes(models)
    except OperationFailure as error:
        if error.code in UNAUTHORISED:
            raise BackendError(
                f"the user of {connection.location} may not create collections; let the owner run `lizrcl db init`"
            ) from error
        raise
    content = {"schema_version": SCHEMA_VERSION, "schema_sha256": schema_sha256(), "initialised_at": now_utc()}
    connection[META].update_one({"_id": "archive"}, {"$set": content}, upsert=True)


def ensure_initialised(connection: Connection) -> None:
    """Initialise a database that is new, or whose validators come from other models than ours."""
    meta = read_meta(connection)
    if meta is not None and meta.get("schema_sha256") == schema_sha256():
        return
    try:
        initialise(connection)
    except BackendError:
        if meta is None:
            raise
        log.warning("validators differ from the document models and may not be changed by this user")


def _ensure_validated(connection: Connection, name: str, validator: Content, *, exists: bool) -> None:
    # moderate: a document of an earlier model can still have its projected state updated
    options: Content = {"validator": validator, "validationAction": "error", "validationLevel": "moderate"}
    if exists:
        connection.database.command("collMod", name, **options)
    else:
        _create(connection, name, **options)


def _create(connection: Connection, name: str, **options: Any) -> None:
    try:
        connection.database.create_collection(name, check_exists=False, **options)
    except CollectionInvalid:  # another process was faster
        pass
    except OperationFailure as error:
        if error.code != NAMESPACE_EXISTS:
            raise
