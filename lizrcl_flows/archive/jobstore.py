"""jobflow's raw log of job outputs, kept in the archive's own database."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jobflow import JobStore

OUTPUTS = "outputs"
BLOBS = "blobs"


def store_spec(uri: str, database: str) -> dict[str, Any]:
    """Return the `JOB_STORE` entry of a jobflow.yaml: outputs as documents, data above 16 MB in GridFS."""
    place = {"uri": uri, "database": database}
    return {
        "docs_store": {"type": "MongoStore", "collection_name": OUTPUTS, **place},
        "additional_stores": {"data": {"type": "GridFSStore", "collection_name": BLOBS, **place}},
    }


def job_store(uri: str, database: str) -> "JobStore":
    """Return the JobStore of an archive, for runs on this machine.

    `Archive.init` makes the unique index (uuid, index) of its collection; without it every reference that a job
    resolves is a scan of all outputs.
    """
    from jobflow import JobStore

    store: JobStore = JobStore.from_dict_spec(store_spec(uri, database))
    return store
