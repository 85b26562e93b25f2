"""The base of all documents: frozen, complete, with content ids, digests and array fields with declared units."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticUndefined

from lizrcl_flows.documents.arrays import ArraySpec
from lizrcl_flows.documents.canonical import canonical_sha256
from lizrcl_flows.documents.quantities import Bytes, Count, Index

SCHEMA_VERSION = 1
"""Version of the documents that this package writes; a newer one in a database is refused, never guessed at."""

ID_LENGTH = 20


class Record(BaseModel):
    """A frozen part of a document or of a campaign file; unknown keys are errors."""

    added_later: ClassVar[tuple[str, ...]] = ()
    """Fields younger than the first stored documents: they enter an id only where they say more than their default."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, populate_by_name=True)

    def as_dict(self) -> dict[str, Any]:
        """Return a JSON-able mapping with the class name, as monty, jobflow and FireWorks expect it."""
        content = self.model_dump(mode="json", by_alias=True)
        return {"@module": type(self).__module__, "@class": type(self).__qualname__, **content}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Rebuild from `as_dict`."""
        return cls.model_validate({key: value for key, value in content.items() if not key.startswith("@")})


class FileRef(Record):
    """A file that belongs to a document, named by its content."""

    name: str = Field(description="File name as it was written by the program")
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    n_bytes: Bytes
    uri: str = Field(description="gridfs:<sha256> or file:<path in the file store>")


class Provenance(Record):
    """Who computed a document, where and with what."""

    job_uuid: str | None = None
    flow_uuid: str | None = None
    fw_id: Index | None = None
    launch_id: Index | None = None
    host: str | None = None
    package_version: str | None = None
    engine: str | None = None
    engine_version: str | None = None
    executable: str | None = Field(default=None, description="command that ran")
    inputs_sha256: str | None = Field(default=None, description="SHA-256 of the executable or of the input files")


def now_utc() -> datetime:
    """Return the time in UTC, at the millisecond that MongoDB keeps."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


class Document(Record):
    """One immutable document of one collection.

    The id is `<prefix>_<20 hex>` of the canonical content of the fields in `identity`; the digest covers every field
    but `digest` itself and the `projections`, whose values the append-only collection `events` defines.
    """

    prefix: ClassVar[str]
    collection: ClassVar[str]
    identity: ClassVar[tuple[str, ...]]
    projections: ClassVar[tuple[str, ...]] = ()

    id: str = Field(default="", alias="_id", description="content id")
    schema_version: Count = SCHEMA_VERSION
    created_at: datetime = Field(default_factory=now_utc, description="UTC")
    campaign: str | None = Field(default=None, description="name of the campaign that wrote the document first")
    generation: Index | None = None
    provenance: Provenance = Provenance()
    parents: tuple[str, ...] = Field(default=(), description="ids of the documents that this one was made from")
    digest: str = Field(default="", description="SHA-256 of the canonical content as written")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        self._shape_arrays()
        if not self.id:
            object.__setattr__(self, "id", self.compute_id())
        if not self.digest:
            object.__setattr__(self, "digest", self.compute_digest())
        return self

    @classmethod
    def array_specs(cls) -> dict[str, ArraySpec]:
        """Return dtype, shape and unit of every array field."""
        specs = {}
        for name, field in cls.model_fields.items():
            for mark in [*field.metadata, *_inner_marks(field.annotation)]:
                if isinstance(mark, ArraySpec):
                    specs[name] = mark
        return specs

    def _shape_arrays(self) -> None:
        for name, spec in self.array_specs().items():
            array = getattr(self, name)
            if array is None:
                continue
            wanted = tuple(getattr(self, axis) if isinstance(axis, str) else axis for axis in spec.shape)
            shape = tuple(-1 if length is None else length for length in wanted)
            try:
                shaped = array.reshape(shape)
            except ValueError as error:
                raise ValueError(f"{name} holds {array.size} numbers, expected shape {wanted}") from error
            shaped.setflags(write=False)
            object.__setattr__(self, name, shaped)

    def compute_id(self) -> str:
        """Return the id that the content of this document demands."""
        return self.id_for(**{name: getattr(self, name) for name in self.identity})

    @classmethod
    def id_for(cls, **identity: Any) -> str:
        """Return the id that a document with these identity fields will have, before its results are there.

        Raises
        ------
        KeyError
            If the fields are not exactly those of `identity`; those of `added_later` may be left to their default.
        """
        if not set(cls.identity) - set(cls.added_later) <= set(identity) <= set(cls.identity):
            raise KeyError(f"{cls.__name__} is named by {cls.identity}, not by {tuple(identity)}")
        content = {
            name: _plain(identity[name], _everything)
            for name in cls.identity
            if name in identity and not _unsaid(cls, name, identity[name])
        }
        return f"{cls.prefix}_{canonical_sha256({'kind': cls.prefix, **content})[:ID_LENGTH]}"

    def compute_digest(self) -> str:
        """Return the SHA-256 of everything that may not change after the document is written."""
        skipped = {"digest", *self.projections}
        content = _told(self)
        return canonical_sha256({name: value for name, value in content.items() if name not in skipped})

    def revised(self, **changes: Any) -> Self:
        """Return a new document with some fields changed and id and digest computed anew; only before it is written."""
        content = {name: getattr(self, name) for name in type(self).model_fields}
        return type(self)(**{**content, **changes, "id": "", "digest": ""})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Document) and self.id == other.id and self.digest == other.digest

    def __hash__(self) -> int:
        return hash((self.id, self.digest))

    def to_record(self) -> dict[str, Any]:
        """Return the document as it is stored: `_id`, plain values, arrays as little-endian bytes."""
        return self.model_dump(mode="python", by_alias=True)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Rebuild a document from what `to_record` stored."""
        return cls.model_validate(dict(record))


def _inner_marks(annotation: Any) -> list[Any]:
    """Return the annotation marks inside a union such as ``Array | None``."""
    marks: list[Any] = list(getattr(annotation, "__metadata__", ()))
    for part in getattr(annotation, "__args__", ()):
        marks.extend(_inner_marks(part))
    return marks


def _told(record: BaseModel) -> dict[str, Any]:
    """Return the fields that say more than their default does.

    A field that a later version adds with a default leaves the digests of older documents as they are; hence the
    default of a stored field never changes without a new `SCHEMA_VERSION`.
    """
    content = {}
    for name, field in type(record).model_fields.items():
        value = getattr(record, name)
        default = PydanticUndefined if field.is_required() or field.default_factory else field.default
        if not (type(value) is type(default) and not isinstance(value, np.ndarray) and value == default):
            content[name] = _plain(value, _told)
    return content


def _everything(record: BaseModel) -> dict[str, Any]:
    return {
        name: _plain(getattr(record, name), _everything)
        for name in type(record).model_fields
        if not _unsaid(type(record), name, getattr(record, name))
    }


def _unsaid(kind: type[BaseModel], name: str, value: Any) -> bool:
    """Tell whether a field that older documents lack holds what they mean by lacking it."""
    later: tuple[str, ...] = getattr(kind, "added_later", ())
    return name in later and value == kind.model_fields[name].get_default(call_default_factory=True)


def _plain(value: Any, of_record: Callable[[BaseModel], dict[str, Any]]) -> Any:
    """Return a value as nested mappings and lists."""
    if isinstance(value, BaseModel):
        return of_record(value)
    if isinstance(value, list | tuple):
        return [_plain(item, of_record) for item in value]
    if isinstance(value, Mapping):
        return {key: _plain(item, of_record) for key, item in value.items()}
    return value
