"""FireWorks and the archive against each other: what finished has its documents, and documents have their Firework."""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from lizrcl_flows.archive.connection import Connection, Content
from lizrcl_flows.archive.consistency import batches, missing_from
from lizrcl_flows.documents import BY_PREFIX
from lizrcl_flows.documents.base import ID_LENGTH

_ID = re.compile(rf"^({'|'.join(BY_PREFIX)})_[0-9a-f]{{{ID_LENGTH}}}$")

Fault = tuple[str, str]
"""What it is about (id of a document, or ``firework N``), and what is wrong."""

Writers = Mapping[str, tuple[int, str | None]]
"""Firework and job of each document whose provenance names a Firework."""


def launch_faults(connection: Connection, writers: Writers, campaigns: Collection[str] | None) -> Iterator[Fault]:
    """Yield what is wrong between the LaunchPad and the archive; nothing where there is no LaunchPad.

    Parameters
    ----------
    campaigns
        Names of the campaigns to look at; all where None.
    """
    if connection["fireworks"].find_one({}, {"_id": 1}) is None:
        return
    jobs = dict(_jobs(connection, campaigns))
    yield from _without_documents(connection, jobs)
    yield from _without_firework(connection, writers)


def n_finished(connection: Connection, campaigns: Collection[str] | None) -> int:
    """Return how many Fireworks of campaigns have finished."""
    return sum(job["state"] == "COMPLETED" for _, job in _jobs(connection, campaigns))


def _jobs(connection: Connection, campaigns: Collection[str] | None) -> Iterator[tuple[int, Content]]:
    """Yield the number of every Firework of campaigns, with its state, job and what a batch of labels was to label."""
    wanted: Any = {"$exists": True} if campaigns is None else {"$in": list(campaigns)}
    found = connection["workflows"].find({"metadata.campaign": wanted}, {"nodes": 1})
    nodes = [node for workflow in found for node in workflow["nodes"]]
    task = "spec._tasks.job"
    fields = {"fw_id": 1, "name": 1, "state": 1, f"{task}.uuid": 1, f"{task}.index": 1}
    for ids in batches(nodes):
        for entry in connection["fireworks"].find({"fw_id": {"$in": ids}}, fields):
            tasks = (entry.get("spec") or {}).get("_tasks") or [{}]
            job = tasks[0].get("job") or {}
            told = {"name": entry["name"], "state": entry["state"], "uuid": job.get("uuid"), "index": job.get("index")}
            yield entry["fw_id"], told


def _without_documents(connection: Connection, jobs: Mapping[int, Content]) -> Iterator[Fault]:
    """Yield Fireworks that finished and left no output, or whose output names documents that are not there."""
    finished = {job["uuid"]: fw_id for fw_id, job in jobs.items() if job["state"] == "COMPLETED" and job["uuid"]}
    outputs: dict[str, set[str]] = {}
    for uuids in batches(finished):
        for record in connection["outputs"].find({"uuid": {"$in": uuids}}, {"uuid": 1, "output": 1}):
            outputs.setdefault(record["uuid"], set()).update(_ids_in(record.get("output")))
    everything = sorted({name for names in outputs.values() for name in names})
    absent = {name for part in batches(everything) for name in _missing(connection, part)}
    for uuid, fw_id in finished.items():
        about = f"firework {fw_id}"
        if uuid not in outputs:
            yield about, f"({jobs[fw_id]['name']}) has finished and left no output"
        for name in sorted(outputs.get(uuid, set()) & absent):
            yield about, f"({jobs[fw_id]['name']}) has finished, but {name}, which it returned, is not in the archive"


def _missing(connection: Connection, ids: list[str]) -> Iterator[str]:
    by_prefix: dict[str, list[str]] = {}
    for name in ids:
        by_prefix.setdefault(name.partition("_")[0], []).append(name)
    for prefix, names in by_prefix.items():
        yield from missing_from(connection, BY_PREFIX[prefix].collection, names)


def _ids_in(value: Any) -> Iterator[str]:
    """Yield every document id anywhere in the output of a job."""
    if isinstance(value, str):
        if _ID.match(value):
            yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _ids_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from _ids_in(item)


def _without_firework(connection: Connection, writers: Writers) -> Iterator[Fault]:
    """Yield documents whose provenance names a Firework that is not there, or that ran another job."""
    known: dict[int, Any] = {}
    for ids in batches({fw_id for fw_id, _ in writers.values()}):
        found = connection["fireworks"].find({"fw_id": {"$in": ids}}, {"fw_id": 1, "spec._tasks.job.uuid": 1})
        for entry in found:
            tasks = (entry.get("spec") or {}).get("_tasks") or [{}]
            known[entry["fw_id"]] = (tasks[0].get("job") or {}).get("uuid")
    for name, (fw_id, job) in writers.items():
        if fw_id not in known:
            yield name, f"was written by Firework {fw_id}, which is not on the LaunchPad"
        elif job is not None and known[fw_id] is not None and known[fw_id] != job:
            yield name, f"was written by job {job}, but Firework {fw_id} runs job {known[fw_id]}"
