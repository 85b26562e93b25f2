"""What FireWorks is doing for a campaign, read with the rights of a reader: no LaunchPad is opened."""

from dataclasses import dataclass
from datetime import datetime

from lizrcl_flows.archive.archive import Archive
from lizrcl_flows.archive.connection import Connection, backend_errors

_MOST_RUNNING = 50


@dataclass(frozen=True)
class RunningJob:
    """A Firework at work.

    Attributes
    ----------
    since
        When its launch began (UTC), where that is known.
    """

    fw_id: int
    name: str
    host: str
    directory: str
    since: datetime | None


@dataclass(frozen=True)
class QueueState:
    """Fireworks of a campaign: how many in each state, and those at work (the first fifty)."""

    counts: dict[str, int]
    running: tuple[RunningJob, ...]


def queue_state(archive: Archive, campaign: str) -> QueueState:
    """Return what the queue holds for a campaign.

    Parameters
    ----------
    campaign
        Its name.

    Raises
    ------
    BackendError
        If the database does not answer.
    """
    with backend_errors(archive.uri):
        connection = archive.connection
        workflows = connection["workflows"].find({"metadata.campaign": campaign}, {"nodes": 1})
        nodes = [node for workflow in workflows for node in workflow["nodes"]]
        if not nodes:
            return QueueState({}, ())
        grouped = connection["fireworks"].aggregate(
            [{"$match": {"fw_id": {"$in": nodes}}}, {"$group": {"_id": "$state", "n": {"$sum": 1}}}]
        )
        counts = {record["_id"]: int(record["n"]) for record in grouped}
        running = _running(connection, nodes) if counts.get("RUNNING") else ()
    return QueueState(dict(sorted(counts.items())), running)


def _running(connection: Connection, nodes: list[int]) -> tuple[RunningJob, ...]:
    criteria = {"fw_id": {"$in": nodes}, "state": "RUNNING"}
    at_work = connection["fireworks"].find(criteria, {"name": 1, "fw_id": 1, "launches": 1})
    fireworks = list(at_work.sort("fw_id", 1).limit(_MOST_RUNNING))
    names = [entry["launches"][-1] for entry in fireworks if entry.get("launches")]
    found = connection["launches"].find(
        {"launch_id": {"$in": names}}, {"launch_id": 1, "host": 1, "launch_dir": 1, "time_start": 1}
    )
    launches = {launch["launch_id"]: launch for launch in found}
    jobs = []
    for entry in fireworks:
        launch = launches.get((entry.get("launches") or [None])[-1], {})
        since = _moment(launch.get("time_start"))
        place = str(launch.get("host") or ""), str(launch.get("launch_dir") or "")
        jobs.append(RunningJob(entry["fw_id"], entry["name"], *place, since))
    return tuple(jobs)


def _moment(value: object) -> datetime | None:
    """Return a time as FireWorks writes it: text, or a moment."""
    if isinstance(value, datetime):
        return value
    try:
        return datetime.fromisoformat(str(value)) if value else None
    except ValueError:
        return None
