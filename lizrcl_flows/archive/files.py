"""Files by their content: GridFS under the SHA-256, larger ones in a folder named by the settings.

A file that is already there is not written again; one whose upload was cut short is completed by the next upload of
the same content, because every chunk has its place (file, number) and is written only if it is missing.
"""

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from pymongo import UpdateOne

from lizrcl_flows.archive.connection import Connection, Content
from lizrcl_flows.archive.setup import FILES
from lizrcl_flows.documents import FileRef, now_utc
from lizrcl_flows.errors import InputError, IntegrityError, NotFoundError

CHUNK_BYTES = 255 * 1024
"""GridFS's own chunk size; part of the layout, so it never changes."""

_CHUNKS_PER_WRITE = 32
_READ_BYTES = 1 << 20


class Files:
    """Files of one archive.

    Parameters
    ----------
    file_store
        Folder of the files that are larger than `gridfs_max_bytes`.
    """

    def __init__(self, connection: Connection, file_store: Path, gridfs_max_bytes: int) -> None:
        self.connection = connection
        self.file_store = file_store
        self.gridfs_max_bytes = gridfs_max_bytes

    def put(self, path: Path, name: str | None) -> FileRef:
        """Store a file.

        Raises
        ------
        NotFoundError
            If the file does not exist.
        """
        if not path.is_file():
            raise NotFoundError(f"'{path}' is not a file")
        digest, n_bytes = _sha256(path)
        if n_bytes > self.gridfs_max_bytes:
            uri = f"file:{self._into_file_store(path, digest)}"
        else:
            self._into_gridfs(path, digest, n_bytes)
            uri = f"gridfs:{digest}"
        return FileRef(name=name or path.name, sha256=digest, n_bytes=n_bytes, uri=uri)

    def stream(self, ref: FileRef) -> Iterator[bytes]:
        """Yield the stored bytes of a file in order, whatever they are.

        Raises
        ------
        IntegrityError
            If the file, or a part of it, is missing.
        """
        scheme, _, place = ref.uri.partition(":")
        if scheme == "gridfs":
            return self._from_gridfs(ref, place)
        if scheme == "file":
            return self._from_file_store(ref, place)
        raise InputError(f"file {ref.name}: '{ref.uri}' is neither gridfs:<sha256> nor file:<path>")

    def read(self, ref: FileRef) -> bytes:
        """Return the content of a file.

        Raises
        ------
        IntegrityError
            If it is missing or is not what its SHA-256 says.
        """
        content = b"".join(self.stream(ref))
        self._verify(ref, hashlib.sha256(content).hexdigest())
        return content

    def fetch(self, ref: FileRef, directory: Path) -> Path:
        """Write a file into a directory under its name and return its path; nothing half-written stays behind.

        Raises
        ------
        IntegrityError
            If it is missing or is not what its SHA-256 says.
        """
        directory.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256()
        with _atomic(directory / Path(ref.name).name) as out:
            for part in self.stream(ref):
                digest.update(part)
                out.write(part)
            self._verify(ref, digest.hexdigest())
        return directory / Path(ref.name).name

    def fault(self, ref: FileRef) -> str | None:
        """Return what is wrong with a stored file, or None."""
        digest = hashlib.sha256()
        try:
            for part in self.stream(ref):
                digest.update(part)
            self._verify(ref, digest.hexdigest())
        except (IntegrityError, InputError) as error:
            return str(error)
        return None

    def _verify(self, ref: FileRef, digest: str) -> None:
        if digest != ref.sha256:
            raise IntegrityError(
                f"file {ref.name} ({ref.uri}) has the SHA-256 {digest}, but {ref.sha256} was stored: it has changed"
            )

    def _into_gridfs(self, path: Path, digest: str, n_bytes: int) -> None:
        files, chunks = self.connection[f"{FILES}.files"], self.connection[f"{FILES}.chunks"]
        if files.count_documents({"_id": digest, "length": n_bytes}, limit=1):
            return
        requests: list[UpdateOne] = []
        for number, part in enumerate(_parts(path, CHUNK_BYTES)):
            place = {"files_id": digest, "n": number}
            requests.append(UpdateOne(place, {"$setOnInsert": {"data": part}}, upsert=True))
            if len(requests) == _CHUNKS_PER_WRITE:
                chunks.bulk_write(requests, ordered=False)
                requests = []
        if requests:
            chunks.bulk_write(requests, ordered=False)
        entry = {"length": n_bytes, "chunkSize": CHUNK_BYTES, "uploadDate": now_utc(), "filename": path.name}
        files.update_one({"_id": digest}, {"$setOnInsert": entry}, upsert=True)

    def _from_gridfs(self, ref: FileRef, digest: str) -> Iterator[bytes]:
        entry = self.connection[f"{FILES}.files"].find_one({"_id": digest})
        if entry is None:
            raise IntegrityError(f"file {ref.name} (gridfs:{digest}) is not in the archive")
        wanted = -(-entry["length"] // entry["chunkSize"])
        present = 0
        for chunk in self._chunks(digest):
            if chunk["n"] != present:
                break
            present += 1
            yield bytes(chunk["data"])
        if present != wanted:
            raise IntegrityError(f"file {ref.name} (gridfs:{digest}) lacks part {present + 1} of {wanted}")

    def _chunks(self, digest: str) -> Iterator[Content]:
        return iter(self.connection[f"{FILES}.chunks"].find({"files_id": digest}).sort("n", 1))

    def _into_file_store(self, path: Path, digest: str) -> str:
        place = f"{digest[:2]}/{digest}"
        target = self.file_store / place
        if not target.is_file() or target.stat().st_size != path.stat().st_size:
            target.parent.mkdir(parents=True, exist_ok=True)
            with _atomic(target) as out:
                for part in _parts(path, _READ_BYTES):
                    out.write(part)
        return place

    def _from_file_store(self, ref: FileRef, place: str) -> Iterator[bytes]:
        path = self.file_store / place
        if not path.is_file():
            raise IntegrityError(f"file {ref.name} is not in the file store: {path} is missing")
        return _parts(path, _READ_BYTES)


@contextmanager
def _atomic(target: Path) -> Iterator[BinaryIO]:
    """Write a file beside its place and move it there when it is complete and on the disk."""
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        with part.open("xb") as handle:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _sha256(path: Path) -> tuple[str, int]:
    digest, n_bytes = hashlib.sha256(), 0
    for part in _parts(path, _READ_BYTES):
        digest.update(part)
        n_bytes += len(part)
    return digest.hexdigest(), n_bytes


def _parts(path: Path, size: int) -> Iterator[bytes]:
    with path.open("rb") as handle:
        while part := handle.read(size):
            yield part
