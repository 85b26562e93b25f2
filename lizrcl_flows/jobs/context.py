"""What every job needs: the archive, its provenance, a seed of its own and a directory to work in."""

import fcntl
import hashlib
import logging
import os
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from lizrcl_flows.archive import Archive
from lizrcl_flows.documents import Campaign, Label, Model, Provenance, Trajectory
from lizrcl_flows.settings import load_settings

log = logging.getLogger(__name__)

CATEGORIES = ("cpu", "dft", "gpu")
"""FireWorks categories: light work, labels, training and dynamics."""


PATIENCE_S = 300.0
"""How long a job waits for a database that is away, where the settings do not say: a restart must cost no result."""


@contextmanager
def open_archive() -> Iterator[Archive]:
    """Connect to the archive that the settings of this worker name, for one job."""
    settings = load_settings()
    if "db_timeout_s" not in settings.model_fields_set:
        settings = load_settings(db_timeout_s=PATIENCE_S)
    archive = Archive.connect(settings=settings)
    try:
        yield archive
    finally:
        archive.close()


def provenance(engine: str | None = None, **extra: str | None) -> Provenance:
    """Describe who computes now: the job, the Firework it runs in, the host and the engine."""
    from jobflow import CURRENT_JOB

    job = CURRENT_JOB.job
    hosts = list(job.hosts) if job is not None else []
    return Provenance(
        job_uuid=job.uuid if job is not None else None,
        flow_uuid=hosts[-1] if hosts else None,
        fw_id=job.metadata.get("fw_id") if job is not None else None,
        host=platform.node(),
        package_version=version("lizrcl_flows"),
        engine=engine,
        **extra,
    )


def count_cost(archive: Archive, campaign: Campaign, document: Label | Model | Trajectory) -> None:
    """Count what a document cost against its campaign's budget, once.

    Called whether the document is new or found: a worker may have died between writing and counting. What another
    campaign paid for is free.
    """
    if document.campaign == campaign.name:
        labels = 1 if isinstance(document, Label) else 0
        archive.spend(campaign.id, labels=labels, core_hours=document.core_hours, key=document.id)


def derived_seed(*parts: object) -> int:
    """Return a seed (31 bits) that depends on its parts alone, so that a rerun draws the same numbers."""
    text = "/".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little") >> 1


@contextmanager
def work_directory(document_id: str) -> Iterator[Path]:
    """Give a job a directory of its own for the engine run behind one document.

    A rerun after a crash gets the same directory back and with it whatever had reached the disk. While another process
    still holds it (a frozen worker that may wake up), the next number is used, so that two never write to one place.
    The directory is removed when the job succeeds: what counts is in the archive by then.
    """
    settings = load_settings()
    base = (settings.work_dir or settings.data_dir / "work").resolve() / document_id
    for attempt in range(1, 100):
        directory = base / str(attempt)
        directory.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(base / f"{attempt}.lock", os.O_CREAT | os.O_RDWR)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            log.warning("work directory busy document=%s attempt=%d", document_id, attempt)
            continue
        try:
            yield directory
            _remove(directory)
        finally:
            os.close(descriptor)
        return
    raise RuntimeError(f"a hundred processes hold the work directories of {document_id}")


def _remove(directory: Path) -> None:
    """Remove a directory so that a kill on the way leaves nothing that a rerun takes for finished work."""
    leaving = directory.with_name(f"{directory.name}.leaving")
    shutil.rmtree(leaving, ignore_errors=True)
    try:
        directory.rename(leaving)
    except OSError:  # a file system that holds open files in place
        leaving = directory
    shutil.rmtree(leaving, ignore_errors=True)
