"""Where a turn's workflow goes: FireWorks is shipped, another manager is another class of two methods."""

from typing import Any, Protocol, Self


class Submitter(Protocol):
    """A workflow manager that can say whether it has a turn already."""

    def find(self, turn: str) -> list[int]:
        """Return the ids of the turn's workflow if it is there, else an empty list."""
        ...

    def submit(self, flow: Any, turn: str, campaign: str) -> list[int]:
        """Hand over the flow of a turn and return its ids."""
        ...


class FireWorksSubmitter:
    """The LaunchPad in the archive's own database; a context manager that closes its connection.

    Parameters
    ----------
    uri, database
        Of the archive: one URI serves LaunchPad, JobStore and documents.
    """

    def __init__(self, uri: str, database: str) -> None:
        from fireworks import LaunchPad

        self.launchpad = LaunchPad(host=uri, name=database, uri_mode=True, strm_lvl="ERROR")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.launchpad.connection.close()

    def prepare(self) -> None:
        """Create the LaunchPad's counter and indexes where they are missing; an existing queue is left alone."""
        if self.launchpad.fw_id_assigner.find_one({}) is None:
            self.launchpad.reset("", require_password=False)

    def find(self, turn: str) -> list[int]:
        """Look the workflow up by the turn in its metadata."""
        workflow = self.launchpad.workflows.find_one({"metadata.generation_id": turn}, {"nodes": 1})
        return sorted(workflow["nodes"]) if workflow else []

    def unsettled_parents(self, fw_id: int) -> list[int]:
        """Return the Fireworks right before one in its workflow that have neither completed nor fizzled."""
        workflow = self.launchpad.workflows.find_one({"nodes": fw_id}, {"links": 1}) or {"links": {}}
        parents = [int(parent) for parent, children in workflow["links"].items() if fw_id in children]
        unsettled = {"fw_id": {"$in": parents}, "state": {"$nin": ["COMPLETED", "FIZZLED"]}}
        return sorted(entry["fw_id"] for entry in self.launchpad.fireworks.find(unsettled, {"fw_id": 1}))

    def submit(self, flow: Any, turn: str, campaign: str) -> list[int]:
        """Add the flow as one workflow. No store travels with it: workers read their own jobflow.yaml."""
        from jobflow.managers.fireworks import flow_to_workflow

        workflow = flow_to_workflow(flow, store=None, metadata={"generation_id": turn, "campaign": campaign})
        return sorted(self.launchpad.add_wf(workflow).values())
