"""The archive: every document, file and event of the campaigns, written once and found again."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from lizrcl_flows.archive.connection import Connection, backend_errors, guarded, open_connection
from lizrcl_flows.archive.events import EventLog, spent_fields
from lizrcl_flows.archive.files import Files
from lizrcl_flows.archive.lineage import Lineage
from lizrcl_flows.archive.queries import id_range, one_match, projection
from lizrcl_flows.archive.setup import ensure_initialised, initialise, read_meta
from lizrcl_flows.archive.turns import Turns
from lizrcl_flows.archive.writing import Writer
from lizrcl_flows.documents import Dataset, Document, Event, FileRef
from lizrcl_flows.documents.base import ID_LENGTH
from lizrcl_flows.errors import NotFoundError
from lizrcl_flows.settings import Settings, load_settings

D = TypeVar("D", bound=Document)
Sort = Sequence[tuple[str, int]]

_IDS_SHOWN = 6


class Archive:
    """The documents of all campaigns in one MongoDB database.

    Made by `Archive.connect`; a context manager. All methods raise `BackendError` if the database cannot be used.

    Attributes
    ----------
    uri
        As given, credentials included: for programs, never for people (`location` is for people).
    database_name
        Database of the archive, of FireWorks' LaunchPad and of jobflow's JobStore.
    """

    def __init__(self, connection: Connection, settings: Settings) -> None:
        self.connection = connection
        self.uri = connection.uri
        self.database_name = connection.database.name
        self.location = connection.location
        self.lineage = Lineage(connection)
        self._events = EventLog(connection)
        self._files = Files(connection, settings.resolved_file_store(), settings.gridfs_max_bytes)
        self._turns = Turns(connection)
        self._writer = Writer(connection)
        self._ready = False

    @classmethod
    def connect(cls, uri: str | None = None, *, settings: Settings | None = None, read_only: bool = False) -> Self:
        """Open the archive.

        Parameters
        ----------
        uri
            MongoDB URI; without it the one of the settings, without that the embedded server's.
        settings
            Settings of this machine; read from the environment where absent.
        read_only
            Refuse every write, and need no more rights than reading.

        Raises
        ------
        BackendError
            If no database is named, none answers, or a newer version of this package has written it.
        InputError
            If the URI is malformed.
        """
        settings = settings or load_settings()
        connection = open_connection(uri, settings, read_only=read_only)
        try:
            with backend_errors(connection.uri):
                read_meta(connection)
        except Exception:
            connection.client.close()
            raise
        return cls(connection, settings)

    def close(self) -> None:
        """Close the connection."""
        self.connection.client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @guarded
    def init(self) -> None:
        """Create collections, validators and indexes where they are missing; any number of times."""
        initialise(self.connection)
        self._ready = True

    # --- documents -------------------------------------------------------------------------------------------------

    def put(self, document: Document) -> str:
        """Write a document with its lineage node and first events; return its id.

        The same document again changes nothing; another result under the same id is kept as an attempt.

        Raises
        ------
        IntegrityError
            If a parent is not in the archive, or the database's schema refuses the document.
        """
        return self.put_many([document])[0]

    @guarded
    def put_many(self, documents: Iterable[Document]) -> list[str]:
        """Write documents in bulk, parents first; return their ids in the order given.

        Raises
        ------
        IntegrityError
            As for `put`; bulks (1,000 documents) that were complete before stay.
        """
        self._prepare()
        return self._writer.put_many(documents)

    @guarded
    def get(self, kind: type[D], document_id: str) -> D:
        """Return one document by its id or by the beginning of it.

        Raises
        ------
        NotFoundError, InputError
            If there is none; if several begin like that.
        """
        collection = self.connection[kind.collection]
        record = collection.find_one({"_id": document_id})
        if record is None:
            record = collection.find_one({"_id": self.resolve(kind, document_id)})
        if record is None:  # dropped between the two queries
            raise NotFoundError(f"no document '{document_id}' in collection {kind.collection}")
        return kind.from_record(record)

    @guarded
    def resolve(self, kind: type[Document], prefix: str) -> str:
        """Return the id that begins with a prefix.

        Raises
        ------
        NotFoundError, InputError
            If there is none; if several begin like that.
        """
        whole = len(prefix) == len(kind.prefix) + 1 + ID_LENGTH
        criteria = {"_id": prefix} if whole else id_range(prefix)
        found = self.connection[kind.collection].find(criteria, {"_id": 1}).sort("_id", 1).limit(_IDS_SHOWN)
        return one_match([record["_id"] for record in found], kind.collection, prefix)

    @guarded
    def get_many(self, kind: type[D], ids: Sequence[str]) -> list[D]:
        """Return documents in the order of their ids.

        Raises
        ------
        NotFoundError
            If one is missing.
        """
        found = {document.id: document for document in self.find(kind, {"_id": {"$in": list(ids)}})}
        missing = [name for name in ids if name not in found]
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise NotFoundError(f"no document '{missing[0]}'{more} in collection {kind.collection}")
        return [found[name] for name in ids]

    @guarded
    def exists(self, kind: type[Document], document_id: str) -> bool:
        """Return whether a document is there."""
        return bool(self.connection[kind.collection].count_documents({"_id": document_id}, limit=1))

    def find(
        self, kind: type[D], criteria: Mapping[str, Any], sort: Sort | None = None, limit: int | None = None
    ) -> Iterator[D]:
        """Yield the documents that match a MongoDB filter (`query` makes one from plain criteria)."""
        for record in self.find_records(kind, criteria, sort=sort, limit=limit, arrays=True):
            yield kind.from_record(record)

    def find_records(
        self,
        kind: type[Document],
        criteria: Mapping[str, Any],
        *,
        fields: Sequence[str] | None = None,
        sort: Sort | None = None,
        limit: int | None = None,
        arrays: bool = False,
    ) -> Iterator[dict[str, Any]]:
        """Yield matching documents as plain mappings, without the arrays unless they are asked for.

        Parameters
        ----------
        fields
            Fields to bring back, dotted paths included; all by default. `_id` always comes.
        arrays
            Bring back array fields as well, as little-endian bytes.
        """
        with backend_errors(self.uri):
            wanted = projection(kind, list(fields) if fields else None, arrays=arrays)
            cursor = self.connection[kind.collection].find(criteria, wanted)
            if sort:
                cursor = cursor.sort(list(sort))
            if limit:
                cursor = cursor.limit(limit)
            yield from cursor

    @guarded
    def count(self, kind: type[Document], criteria: Mapping[str, Any] | None = None) -> int:
        """Return how many documents match."""
        return self.connection[kind.collection].count_documents(criteria or {})

    # --- files -----------------------------------------------------------------------------------------------------

    @guarded
    def put_file(self, path: Path | str, name: str | None = None) -> FileRef:
        """Store a file under its content and return the reference that a document carries.

        Parameters
        ----------
        name
            Name in the reference; the file's own by default.

        Raises
        ------
        NotFoundError
            If there is no such file.
        """
        self._prepare()
        return self._files.put(Path(path), name)

    @guarded
    def read_file(self, ref: FileRef) -> bytes:
        """Return the content of a stored file.

        Raises
        ------
        IntegrityError
            If it is missing or is not what its SHA-256 says.
        """
        return self._files.read(ref)

    @guarded
    def fetch_file(self, ref: FileRef, directory: Path | str) -> Path:
        """Write a stored file into a directory (made where missing) under its name and return its path.

        Raises
        ------
        IntegrityError
            If it is missing or is not what its SHA-256 says.
        """
        return self._files.fetch(ref, Path(directory))

    @guarded
    def file_fault(self, ref: FileRef) -> str | None:
        """Return what is wrong with a stored file, or None."""
        return self._files.fault(ref)

    # --- events ----------------------------------------------------------------------------------------------------

    @guarded
    def record_event(  # noqa: PLR0913  the fields of an event
        self,
        subject: str,
        kind: str,
        *,
        field: str | None = None,
        value: Any = None,
        who: str = "",
        why: str = "",
        key: str | None = None,
    ) -> Event:
        """Append an event to a document's history and update the field that follows from it, in one transaction.

        Parameters
        ----------
        field, value
            Projected field (such as `status`) and its new value; none for a note.
        key
            Makes the call idempotent: an event of this subject with this key is recorded once.

        Raises
        ------
        NotFoundError, InputError
            If the subject does not exist; if its field cannot change or does not accept the value.
        """
        self._prepare()
        return self._events.record(Event(subject=subject, kind=kind, field=field, value=value, who=who, why=why), key)

    @guarded
    def events(self, subject: str) -> list[Event]:
        """Return the history of a document, oldest first."""
        return self._events.of(subject)

    @guarded
    def recorded_event(self, subject: str, key: str) -> Event | None:
        """Return the event of a document that was recorded under this key, or None where there is none."""
        return self._events.recorded(subject, key)

    @guarded
    def spend(self, campaign_id: str, *, labels: int = 0, core_hours: float = 0.0, key: str) -> bool:
        """Add to what a campaign has spent, once for each key (the id of what it was spent on).

        Returns
        -------
        bool
            Whether it was new.
        """
        self._prepare()
        return self._events.spend(campaign_id, spent_fields(labels, core_hours), key)

    # --- data sets and turns ---------------------------------------------------------------------------------------

    @guarded
    def dataset_labels(self, dataset_id: str) -> list[str]:
        """Return the ordered label ids of a data set: those of its oldest ancestor first.

        Raises
        ------
        NotFoundError
            If the data set, or one that it extends, is not there.
        """
        return self.lineage.dataset_labels(self.resolve(Dataset, dataset_id))

    @guarded
    def open_turn(self, turn_id: str, campaign_id: str, turn: int | str) -> bool:
        """Create the record of a turn (a generation's index, or "production"); return whether it is new."""
        self._prepare()
        return self._turns.open(turn_id, campaign_id, turn)

    @guarded
    def lease(self, turn_id: str, holder: str, seconds: float) -> bool:
        """Claim the submission of a turn for some time; return whether it is ours."""
        self._prepare()
        return self._turns.lease(turn_id, holder, seconds)

    @guarded
    def reopen_turn(self, turn_id: str) -> bool:
        """Take a turn whose workflow was lost with the queue back to `submitting`; return whether that was done."""
        return self._turns.reopen(turn_id)

    @guarded
    def mark(self, turn_id: str, state: str, **info: Any) -> None:
        """Move a turn to `submitting`, `submitted` or `closed`, never back, and note what is known about it.

        Raises
        ------
        NotFoundError, InputError
            If there is no such turn; if the state is unknown.
        """
        self._prepare()
        self._turns.mark(turn_id, state, info)

    @guarded
    def turn(self, turn_id: str) -> dict[str, Any] | None:
        """Return a turn (campaign_id, turn, state, holder, info), or None."""
        return self._turns.get(turn_id)

    @guarded
    def turns(self, campaign_id: str) -> list[dict[str, Any]]:
        """Return the turns of a campaign: generations by index, then production."""
        return self._turns.of(campaign_id)

    def _prepare(self) -> None:
        """Refuse to write where reading was asked for; initialise a new database on the first write."""
        if not self._ready:
            self.connection.require_writable()
            ensure_initialised(self.connection)
            self._ready = True
