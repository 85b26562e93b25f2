"""Why something is missing: the jobs that failed first, the end of what they said, and how to repeat them.

FireWorks' collections are only read, so that the role of a reader suffices.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lizrcl_flows.archive.archive import Archive
from lizrcl_flows.archive.connection import Connection, Content, backend_errors
from lizrcl_flows.archive.events import kind_of
from lizrcl_flows.documents import DOCUMENTS, Campaign, Generation, Label
from lizrcl_flows.errors import InputError, NotFoundError

STDERR_LINES = 12
"""Lines of a traceback, or of a file of a program's errors, that are shown."""

_ERROR_FILES = ("FW_job*.error", "*.stderr", "stderr*", "std_err.txt")
_READ_BYTES = 20_000

_LEVEL = 5
"""Place of the level of theory among the arguments of `label_batch`; the structures are third."""


@dataclass(frozen=True)
class RootCause:
    """A Firework that failed, and nothing before it did.

    Attributes
    ----------
    name, campaign
        Of the Firework.
    turn
        Turn of the campaign that its workflow is: id of a generation, say.
    reason
        Last line of the traceback.
    stderr
        End of the traceback, and of files of errors in its directory where this machine sees them.
    directory
        Where it ran.
    host
        On which machine.
    n_waiting
        Fireworks that wait for it.
    command
        What repeats it.
    """

    fw_id: int
    name: str
    campaign: str
    turn: str
    reason: str
    stderr: str
    directory: str
    host: str
    n_waiting: int
    command: str

    def as_dict(self) -> dict[str, Any]:
        """Return a JSON-able mapping."""
        return dict(vars(self))


def root_causes(archive: Archive, subject: str) -> list[RootCause]:
    """Return the failed jobs behind a campaign, a turn, a document or a Firework; none where nothing failed.

    Parameters
    ----------
    subject
        Whole id of a campaign (all its workflows), of a generation or another turn (its workflow), of any other
        document (the job that wrote it and those before it), of a label that never came (the batch that was to compute
        it); or the number of a Firework (itself and those before it).

    Raises
    ------
    NotFoundError
        If there is no such Firework.
    """
    with backend_errors(archive.uri):
        found = {cause.fw_id: cause for cause in _causes(archive, subject)}
    return [found[fw_id] for fw_id in sorted(found)]


def firework(archive: Archive, fw_id: int) -> Content:
    """Return name, state and campaign of a Firework, and the ids of the documents that it wrote.

    Raises
    ------
    NotFoundError
        If there is none with this number.
    """
    with backend_errors(archive.uri):
        found = archive.connection["fireworks"].find_one({"fw_id": fw_id}, {"name": 1, "state": 1})
        if found is None:
            raise NotFoundError(f"no Firework {fw_id} in {archive.location}")
        workflow = _workflow_of(archive.connection, fw_id) or {}
        documents = [
            record["_id"]
            for kind in DOCUMENTS
            for record in archive.connection[kind.collection].find({"provenance.fw_id": fw_id}, {"_id": 1})
        ]
    campaign = (workflow.get("metadata") or {}).get("campaign")
    return {"fw_id": fw_id, "name": found["name"], "state": found["state"], "campaign": campaign, "wrote": documents}


def _causes(archive: Archive, subject: str) -> Iterator[RootCause]:
    connection = archive.connection
    if subject.isdigit():
        workflow = _workflow_of(connection, int(subject))
        if workflow is None:
            raise NotFoundError(f"no Firework {subject} in {archive.location}")
        yield from _first_failures(connection, workflow, _up_to(workflow, int(subject)))
        return
    for workflow in _workflows(archive, subject):
        yield from _first_failures(connection, workflow, set(workflow["nodes"]))
    fw_id = _written_by(archive, subject)
    workflow = _workflow_of(connection, fw_id) if fw_id is not None else None
    if workflow is not None and fw_id is not None:
        yield from _first_failures(connection, workflow, _up_to(workflow, fw_id))


def _workflows(archive: Archive, subject: str) -> Iterator[Content]:
    """Yield the workflows that a campaign or a turn consists of."""
    workflows = archive.connection["workflows"]
    if subject.startswith(f"{Campaign.prefix}_"):
        record = archive.connection["campaigns"].find_one({"_id": subject}, {"name": 1})
        if record is not None:
            yield from workflows.find({"metadata.campaign": record["name"]})
    yield from workflows.find({"metadata.generation_id": subject})


def _written_by(archive: Archive, subject: str) -> int | None:
    """Return the Firework that wrote a document, or that was to compute a label."""
    try:
        kind = kind_of(subject)
    except InputError:
        return None
    if kind in (Campaign, Generation):
        return None
    record = archive.connection[kind.collection].find_one({"_id": subject}, {"provenance.fw_id": 1})
    if record is not None:
        fw_id = (record.get("provenance") or {}).get("fw_id")
        return None if fw_id is None else int(fw_id)
    return _batch_of(archive.connection, subject) if kind is Label else None


def _batch_of(connection: Connection, label_id: str) -> int | None:
    """Return the failed batch that was to compute a label: its id follows from structure and level."""
    function = "spec._tasks.job.function.@callable"
    for entry in connection["fireworks"].find({"state": "FIZZLED", function: "label_batch"}, {"fw_id": 1, "spec": 1}):
        for task in entry["spec"]["_tasks"]:
            arguments = task["job"]["function_args"]
            if len(arguments) <= _LEVEL or not isinstance(arguments[_LEVEL], str):
                continue
            if label_id in {Label.id_for(structure=name, level=arguments[_LEVEL]) for name in arguments[2]}:
                return int(entry["fw_id"])
    return None


def _workflow_of(connection: Connection, fw_id: int) -> Content | None:
    found: Content | None = connection["workflows"].find_one({"nodes": fw_id})
    return found


def _up_to(workflow: Content, fw_id: int) -> set[int]:
    """Return a Firework and everything before it."""
    before: dict[int, list[int]] = {}
    for parent, children in workflow["links"].items():
        for child in children:
            before.setdefault(child, []).append(int(parent))
    return _reached(before, fw_id)


def _reached(following: dict[int, list[int]], start: int) -> set[int]:
    reached, front = {start}, [start]
    while front:
        front = [name for each in front for name in following.get(each, ()) if name not in reached]
        reached.update(front)
    return reached


def _first_failures(connection: Connection, workflow: Content, among: set[int]) -> Iterator[RootCause]:
    criteria = {"fw_id": {"$in": sorted(among)}, "state": "FIZZLED"}
    fizzled = {entry["fw_id"]: entry for entry in connection["fireworks"].find(criteria, {"spec": 0})}
    links = {int(parent): list(children) for parent, children in workflow["links"].items()}
    later = {name for fw_id in fizzled for name in _reached(links, fw_id) - {fw_id}}
    metadata = workflow.get("metadata") or {}
    for fw_id in sorted(set(fizzled) - later):
        launch = _last_launch(connection, fizzled[fw_id])
        said = _said(launch)
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        directory = str(launch.get("launch_dir") or "")
        yield RootCause(
            fw_id=fw_id,
            name=fizzled[fw_id]["name"],
            campaign=str(metadata.get("campaign") or ""),
            turn=str(metadata.get("generation_id") or ""),
            reason=lines[-1] if lines else "no traceback was stored",
            stderr="\n".join([*_end(said), *_error_files(directory)]),
            directory=directory,
            host=str(launch.get("host") or ""),
            n_waiting=len(_reached(links, fw_id)) - 1,
            command=f"lpad rerun_fws -i {fw_id}",
        )


def _last_launch(connection: Connection, entry: Content) -> Content:
    names: Iterable[int] = entry.get("launches") or entry.get("archived_launches") or [None]
    return connection["launches"].find_one({"launch_id": list(names)[-1]}) or {}


def _said(launch: Content) -> str:
    stored = (launch.get("action") or {}).get("stored_data") or {}
    return str((stored.get("_exception") or {}).get("_stacktrace") or "")


def _end(content: str) -> list[str]:
    return [line.rstrip() for line in content.splitlines() if line.strip()][-STDERR_LINES:]


def _error_files(directory: str) -> Iterator[str]:
    """Yield the ends of files of errors in a launch directory, where this machine sees it."""
    if not directory or not Path(directory).is_dir():
        return
    for path in sorted({path for pattern in _ERROR_FILES for path in Path(directory).glob(pattern)}):
        with path.open("rb") as handle:
            handle.seek(max(0, path.stat().st_size - _READ_BYTES))
            lines = _end(handle.read().decode(errors="replace"))
        if lines:
            yield f"{path.name}:"
            yield from lines
