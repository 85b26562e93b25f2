"""What FireWorks knows about a campaign: counts by state, what failed first and why."""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from lizrcl_flows.archive import Archive

A_YEAR_S = 365 * 24 * 3600
"""Longer than any job is silent."""

ACTIVE = ("READY", "RESERVED", "RUNNING")
"""States in which a Firework is, or can be, at work."""


@dataclass(frozen=True)
class Failure:
    """A Firework that failed, and nothing before it did.

    Attributes
    ----------
    fw_id, name
        Of the Firework.
    reason
        Last line of its traceback.
    traceback
        All of it.
    directory
        Where it ran.
    """

    fw_id: int
    name: str
    reason: str
    traceback: str
    directory: str


class Queue:
    """The LaunchPad in the archive's database, for looking at it and for cleaning up; a context manager.

    Parameters
    ----------
    uri, database
        Of the archive.
    """

    def __init__(self, uri: str, database: str) -> None:
        from fireworks import LaunchPad

        self.launchpad = LaunchPad(host=uri, name=database, uri_mode=True, strm_lvl="CRITICAL")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.launchpad.connection.close()

    @classmethod
    def of(cls, archive: "Archive") -> "Queue":
        """Return the queue that lives beside an archive."""
        return cls(archive.uri, archive.database_name)

    def counts(self, campaign: str) -> Counter[str]:
        """Return how many Fireworks of a campaign (by name) are in each state."""
        found = self.launchpad.fireworks.find({"fw_id": {"$in": self._nodes(campaign)}}, {"state": 1})
        return Counter(firework["state"] for firework in found)

    def running(self, campaign: str) -> list[str]:
        """Return the names of the Fireworks that are at work now."""
        criteria = {"fw_id": {"$in": self._nodes(campaign)}, "state": "RUNNING"}
        found = self.launchpad.fireworks.find(criteria, {"name": 1, "fw_id": 1}).sort("fw_id", 1)
        return [firework["name"] for firework in found]

    def failures(self, campaign: str) -> list[Failure]:
        """Return the root causes: failed Fireworks none of whose parents failed, oldest first."""
        failures: list[Failure] = []
        for workflow in self.launchpad.workflows.find({"metadata.campaign": campaign}, {"links": 1, "nodes": 1}):
            criteria = {"fw_id": {"$in": workflow["nodes"]}, "state": "FIZZLED"}
            fizzled = {firework["fw_id"]: firework for firework in self.launchpad.fireworks.find(criteria)}
            followers = {child for name in fizzled for child in workflow["links"].get(str(name), ())}
            failures.extend(self._failure(fizzled[name]) for name in sorted(fizzled) if name not in followers)
        return sorted(failures, key=lambda failure: failure.fw_id)

    def lost(self, seconds: float) -> list[int]:
        """Return the Fireworks that say they run, but were silent for so long or had their end written by half."""
        _launches, fireworks, inconsistent = self.launchpad.detect_lostruns(expiration_secs=int(seconds))
        return sorted({*fireworks, *inconsistent})

    def release(self, campaign: str) -> list[int]:
        """Send back to the queue what an earlier run left running or failed; only while no worker is at work.

        What interrupted jobs had written is found, not computed again.

        Returns
        -------
        list of int
            The Fireworks.
        """
        self.launchpad.workflows.update_many({"metadata.campaign": campaign}, {"$unset": {"locked": True}})
        lost = self.release_launches(None)
        failed = [failure.fw_id for failure in self.failures(campaign)]
        for fw_id in failed:
            self.launchpad.rerun_fw(fw_id)
        return sorted({*lost, *failed})

    def release_launches(self, folder: Path | None) -> list[int]:
        """Send back the jobs of a dead worker, known by the folder it launched in; None: of all workers."""
        chosen = {"launch_dir": {"$regex": f"^{re.escape(str(folder))}/"}} if folder else {}
        _launches, lost, half_written = self.launchpad.detect_lostruns(
            expiration_secs=0, rerun=True, refresh=True, launch_query=chosen
        )
        return sorted({*lost, *half_written})

    def refresh(self) -> None:
        """Take note of jobs that ended while the worker that should have noted it was killed."""
        self.launchpad.detect_lostruns(expiration_secs=A_YEAR_S, refresh=True)

    def unlock(self, fw_id: int) -> None:
        """Remove the lock that a killed process left on the workflow of a Firework."""
        self.launchpad.workflows.update_many({"nodes": fw_id}, {"$unset": {"locked": True}})

    def locked(self) -> list[int]:
        """Return the first Firework of every workflow that a process holds locked."""
        found = self.launchpad.workflows.find({"locked": {"$exists": True}}, {"nodes": 1})
        return sorted(min(workflow["nodes"]) for workflow in found)

    def _nodes(self, campaign: str) -> list[int]:
        found = self.launchpad.workflows.find({"metadata.campaign": campaign}, {"nodes": 1})
        return [node for workflow in found for node in workflow["nodes"]]

    def _failure(self, firework: dict[str, Any]) -> Failure:
        launch = self.launchpad.launches.find_one({"launch_id": (firework.get("launches") or [None])[-1]}) or {}
        stored = (launch.get("action") or {}).get("stored_data") or {}
        traceback = str((stored.get("_exception") or {}).get("_stacktrace") or "")
        lines = [line.strip() for line in traceback.splitlines() if line.strip()]
        return Failure(
            fw_id=firework["fw_id"],
            name=firework["name"],
            reason=lines[-1] if lines else "no traceback was stored",
            traceback=traceback,
            directory=launch.get("launch_dir") or "",
        )
