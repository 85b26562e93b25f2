"""Files by their content, in GridFS and in the file store."""

from pathlib import Path

import gridfs
import numpy as np
import pytest

from lizrcl_flows.archive import Archive
from lizrcl_flows.archive.connection import open_connection
from lizrcl_flows.archive.files import CHUNK_BYTES, Files
from lizrcl_flows.errors import IntegrityError, NotFoundError
from lizrcl_flows.settings import Settings

pytestmark = pytest.mark.mongo


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "movie.xyz"
    path.write_bytes(np.random.default_rng(1).bytes(3 * CHUNK_BYTES + 17))
    return path


def test_a_file_comes_back_byte_for_byte(archive: Archive, large: Path, tmp_path: Path) -> None:
    ref = archive.put_file(large)
    assert (ref.name, ref.n_bytes, ref.uri) == ("movie.xyz", 3 * CHUNK_BYTES + 17, f"gridfs:{ref.sha256}")
    assert archive.read_file(ref) == large.read_bytes()
    fetched = archive.fetch_file(ref, tmp_path / "new" / "place")
    assert fetched == tmp_path / "new" / "place" / "movie.xyz"
    assert fetched.read_bytes() == large.read_bytes()
    assert archive.put_file(large, "other.xyz").model_copy(update={"name": ref.name}) == ref
    assert archive.connection["files.files"].count_documents({}) == 1
    assert archive.connection["files.chunks"].count_documents({}) == 4


def test_other_programs_read_it_as_gridfs(archive: Archive, large: Path) -> None:
    ref = archive.put_file(large)
    bucket = gridfs.GridFSBucket(archive.connection.database, bucket_name="files")
    assert bucket.open_download_stream(ref.sha256).read() == large.read_bytes()


def test_an_upload_cut_short_is_completed_by_the_next(archive: Archive, large: Path) -> None:
    ref = archive.put_file(large)
    archive.connection["files.files"].delete_one({})
    archive.connection["files.chunks"].delete_one({"n": 2})
    with pytest.raises(IntegrityError, match=rf"movie\.xyz \(gridfs:{ref.sha256}\) is not in the archive"):
        archive.read_file(ref)
    assert archive.put_file(large) == ref
    assert archive.read_file(ref) == large.read_bytes()


def test_a_changed_or_missing_part_is_refused(archive: Archive, large: Path, tmp_path: Path) -> None:
    ref = archive.put_file(large)
    chunks = archive.connection["files.chunks"]
    data = bytearray(chunks.find_one({"n": 1})["data"])
    data[100] ^= 1
    chunks.update_one({"n": 1}, {"$set": {"data": bytes(data)}})
    with pytest.raises(IntegrityError, match=r"movie\.xyz .* has changed"):
        archive.fetch_file(ref, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
    chunks.delete_one({"n": 3})
    with pytest.raises(IntegrityError, match="lacks part 4 of 4"):
        archive.read_file(ref)


def test_empty_and_missing_files(archive: Archive, tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    assert archive.read_file(archive.put_file(tmp_path / "empty")) == b""
    with pytest.raises(NotFoundError, match="absent"):
        archive.put_file(tmp_path / "absent")


def test_large_files_go_to_the_file_store(archive: Archive, archive_settings: Settings, large: Path) -> None:
    connection = open_connection(None, archive_settings, read_only=False)
    files = Files(connection, archive_settings.resolved_file_store(), CHUNK_BYTES)
    ref = files.put(large, None)
    assert ref.uri == f"file:{ref.sha256[:2]}/{ref.sha256}"
    assert archive.read_file(ref) == large.read_bytes()
    assert files.put(large, None) == ref
    assert connection["files.files"].count_documents({}) == 0
    stored = archive_settings.resolved_file_store() / ref.uri.removeprefix("file:")
    stored.write_bytes(stored.read_bytes()[:-1] + b"?")
    with pytest.raises(IntegrityError, match="has changed"):
        archive.read_file(ref)
    stored.unlink()
    with pytest.raises(IntegrityError, match="is missing"):
        archive.read_file(ref)
    connection.client.close()
