"""What a database is like, for `lizrcl doctor`: who we are to it, what it lacks, where a configuration points to."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pymongo.errors import OperationFailure

from lizrcl_flows.archive.archive import Archive
from lizrcl_flows.archive.check import Problem, structure_problems
from lizrcl_flows.archive.connection import UNAUTHORISED, Content, backend_errors

Rights = Literal["everything", "worker", "reader", "too few"]

_NEEDED: dict[Rights, tuple[tuple[str, str], ...]] = {
    "everything": (("labels", "insert"), ("labels", "collMod"), ("labels", "createIndex"), ("launches", "remove")),
    "worker": (
        *(("labels", "insert"), ("events", "insert"), ("outputs", "update"), ("files.chunks", "insert")),
        *(("fireworks", "remove"), ("launches", "insert"), ("workflows", "update"), ("blobs.files", "insert")),
    ),
    "reader": (("labels", "find"), ("fireworks", "find"), ("outputs", "find")),
}
"""Collection and action that stand for a role of fw_configs/mongo-init.js, the widest role first."""


@dataclass(frozen=True)
class Access:
    """Who the user of the URI is.

    Attributes
    ----------
    user
        Its name; none where the server asks for none.
    rights
        What it may do: everything, what a worker needs, reading, or not even that.
    """

    user: str | None
    rights: Rights


def access(archive: Archive) -> Access:
    """Ask the server who we are and what we may do.

    Raises
    ------
    BackendError
        If it does not answer.
    """
    with backend_errors(archive.uri):
        info = archive.connection.database.command("connectionStatus", showPrivileges=True)["authInfo"]
    users = [f"{user['user']}" for user in info["authenticatedUsers"]]
    if not users:
        return Access(None, "everything")
    privileges = info["authenticatedUserPrivileges"]
    for rights, needed in _NEEDED.items():
        if all(_allowed(privileges, archive.database_name, name, action) for name, action in needed):
            return Access(users[0], rights)
    return Access(users[0], "too few")


def _allowed(privileges: Iterable[Content], database: str, collection: str, action: str) -> bool:
    return any(
        action in privilege["actions"] and _covers(privilege["resource"], database, collection)
        for privilege in privileges
    )


def _covers(resource: Mapping[str, Any], database: str, collection: str) -> bool:
    if resource.get("anyResource"):
        return True
    named = resource.get("db") in ("", database) and resource.get("collection") in ("", collection)
    return named and "db" in resource


def missing_structure(archive: Archive) -> list[Problem] | None:
    """Return which collections, validators and indexes are missing, or None where the user may not see them.

    Raises
    ------
    BackendError
        If the database does not answer.
    """
    with backend_errors(archive.uri):
        try:
            return list(structure_problems(archive.connection))
        except OperationFailure as error:
            if error.code in UNAUTHORISED:
                return None
            raise


@dataclass(frozen=True)
class Turn:
    """One turn of a campaign that is not closed.

    Attributes
    ----------
    campaign
        Name of the campaign.
    state
        submitting or submitted.
    fireworks
        Ids of its workflow's first Fireworks, where it is on the LaunchPad.
    claimed
        Whether a process may be submitting it at this moment.
    """

    campaign: str
    turn: str
    state: str
    fireworks: tuple[int, ...]
    claimed: bool


def running_campaigns(archive: Archive) -> dict[str, list[Turn]]:
    """Return the turns under way of every campaign in state `running`, by the campaign's name.

    Raises
    ------
    BackendError
        If the database does not answer.
    """
    with backend_errors(archive.uri):
        campaigns = archive.connection["campaigns"].find({"state": "running"}, {"name": 1})
        names = {record["_id"]: record["name"] for record in campaigns}
        claimed = {"$gt": ["$leased_until", "$$NOW"]}
        pipeline = [
            {"$match": {"campaign_id": {"$in": list(names)}, "state": {"$ne": "closed"}}},
            {"$project": {"campaign_id": 1, "turn": 1, "state": 1, "info.fw_ids": 1, "claimed": claimed}},
        ]
        under_way: dict[str, list[Turn]] = {name: [] for name in names.values()}
        for record in archive.connection["turns"].aggregate(pipeline):
            name = names[record["campaign_id"]]
            ids = tuple(record.get("info", {}).get("fw_ids") or ())
            under_way[name].append(Turn(name, str(record["turn"]), record["state"], ids, bool(record["claimed"])))
        return under_way


def place(uri: str, database: str) -> tuple[tuple[str, ...], str]:
    """Return hosts and database of a URI such that two ways of writing the same place are equal.

    Credentials and options do not matter; a port that is not given is MongoDB's, and 127.0.0.1 is localhost.
    """
    found = re.match(r"mongodb(?:\+srv)?://(?:[^@/]*@)?([^/?]*)", uri)
    hosts = (found.group(1) if found else uri).lower().split(",")
    whole = [host if re.search(r":\d+$", host) else f"{host}:27017" for host in hosts]
    return tuple(sorted(host.replace("127.0.0.1", "localhost") for host in whole)), database
