"""What the system costs a label: FireWorks, archive and files, measured with a labeller that does nothing.

Run as ``python benchmarks/orchestration.py [N ...]``. A server of its own is started in a temporary folder; N labels
are submitted and run by a real ``rlaunch rapidfire``, in batches of one (as far as a workflow allows) and of ten. The
reference is FireWorks itself: jobs that return at once, in the same run on the same server.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from fireworks import LaunchPad
from jobflow import Flow, job
from jobflow.managers.fireworks import flow_to_workflow

from lizrcl_flows.archive import Archive, server
from lizrcl_flows.archive.worker_config import write_worker_config
from lizrcl_flows.documents import Label, Level, Structure
from lizrcl_flows.engines.labelling.base import LabelResult
from lizrcl_flows.engines.labelling.record import write_label
from lizrcl_flows.engines.serial import Engine
from lizrcl_flows.flows.campaigns import new_campaign
from lizrcl_flows.flows.labelling import label_and_collect
from lizrcl_flows.jobs.labelling import MAX_BATCHES
from lizrcl_flows.jobs.routing import in_category
from lizrcl_flows.jobs.submitters import FireWorksSubmitter
from lizrcl_flows.science.perturbation import perturb
from lizrcl_flows.settings import Settings
from lizrcl_flows.systems import load_campaign

COUNTS = (100, 500, 3000)
N_REFERENCE = 200


@dataclass
class NothingLabeller(Engine):
    """Labels with zeros, at once: what remains is the system's own time."""

    name: str = "nothing"

    def level(self) -> Level:
        """Return a level of no theory."""
        return Level(engine="ase", code=self.name, code_version="1")

    def require(self, elements: Iterable[str]) -> None:
        """Label whatever there is."""

    def label(self, structure: Structure, directory: Path, seconds: float | None = None) -> LabelResult:  # noqa: ARG002
        """Return zeros, through the file on disk as every engine does."""
        zeros = np.zeros((structure.n_atoms, 3))
        result = LabelResult(accepted=True, energy=0.0, forces=zeros, stress=np.zeros((3, 3)), executable="nothing")
        return write_label(directory, structure.id, self.level().id, result)


@job
def nothing(number: int) -> int:
    return number


def rapidfire(folder: Path) -> float:
    started = time.perf_counter()
    rlaunch = str(Path(sys.executable).parent / "rlaunch")
    done = subprocess.run([rlaunch, "rapidfire"], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    return time.perf_counter() - started


def busy_seconds(launchpad: LaunchPad, name: str) -> float:
    """Return the span of the launches whose Firework's name begins so: without the start of the process."""
    ids = [fw["fw_id"] for fw in launchpad.fireworks.find({"name": re.compile(f"^{name}")}, {"fw_id": 1})]
    launches = list(launchpad.launches.find({"fw_id": {"$in": ids}, "state": "COMPLETED"}, {"state_history": 1}))
    stamps = [entry["created_on"] for launch in launches for entry in launch["state_history"]]
    moments = [datetime.fromisoformat(stamp) if isinstance(stamp, str) else stamp for stamp in stamps]
    return (max(moments) - min(moments)).total_seconds()


def structures_of(archive: Archive, campaign: Any, count: int) -> list[str]:
    first = archive.count(Structure)  # others than those of the run before
    parent = archive.get(Structure, next(iter(campaign.phases.values())))
    made = [
        perturb(parent, np.random.default_rng(seed), strain=(0.01, 0.03), rattle_a=(0.03, 0.1), geometry_factor=0.6)
        for seed in range(first, first + count)
    ]
    return archive.put_many([structure.revised(campaign=campaign.name, generation=0) for structure in made])


def labels(archive: Archive, folder: Path, count: int, batch: int) -> tuple[float, float, float]:
    """Return seconds to submit, seconds a label within rapidfire, and seconds a label from start to end."""
    spec = load_campaign({"name": f"b{count}-{batch}", "system": "demo", "labelling": {"batch_size": batch}})
    campaign = new_campaign(archive, spec)
    chosen = structures_of(archive, campaign, count)
    jobs, _ = label_and_collect((campaign.id, 0), chosen, "train", NothingLabeller())
    with FireWorksSubmitter(archive.uri, archive.database_name) as submitter:
        launchpad = submitter.launchpad
        launchpad.reset("", require_password=False)
        started = time.perf_counter()
        submitter.submit(Flow(jobs), f"bench-{count}-{batch}", campaign.name)
        added = time.perf_counter() - started
        whole = rapidfire(folder)
        made = archive.count(Label, {"campaign": campaign.name, "status": "accepted"})
        if made != count:
            raise SystemExit(f"{made} labels were made, not {count}")
        submit = added + busy_seconds(launchpad, "submit labels")
        return submit, busy_seconds(launchpad, "label train") / count, whole / count


def reference(archive: Archive, folder: Path) -> float:
    with FireWorksSubmitter(archive.uri, archive.database_name) as submitter:
        submitter.launchpad.reset("", require_password=False)
        flow = Flow([in_category(nothing(number), "cpu", "nothing") for number in range(N_REFERENCE)])
        submitter.launchpad.add_wf(flow_to_workflow(flow, store=None))
        rapidfire(folder)
        return busy_seconds(submitter.launchpad, "nothing") / N_REFERENCE


def main() -> None:
    counts = [int(word) for word in sys.argv[1:]] or list(COUNTS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = Settings(data_dir=folder / "data")
        server.start(settings)
        try:
            with Archive.connect(settings=settings) as archive:
                archive.init()
                variables = write_worker_config(folder / "config", archive.uri, archive.database_name)
                here = os.pathsep.join(filter(None, [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]))
                os.environ.update(variables, LIZRCL_DATA_DIR=str(folder / "data"), PYTHONPATH=here)
                compare(archive, folder, counts)
        finally:
            server.stop(settings)


def compare(archive: Archive, folder: Path, counts: list[int]) -> None:
    bare = reference(archive, folder)
    print(f"reference: FireWorks and jobflow, {N_REFERENCE} jobs that return at once: {bare * 1e3:.0f} ms a job")
    print(f"{'labels':>7} {'batch':>6} {'submit s':>9} {'ms/label':>9} {'with start':>11} {'/ reference':>12}")
    figures = []
    for count in counts:
        for batch in (1, 10):
            submit, busy, whole = labels(archive, folder, count, batch)
            size = max(batch, -(-count // MAX_BATCHES))
            print(f"{count:7d} {size:6d} {submit:9.1f} {busy * 1e3:9.1f} {whole * 1e3:11.1f} {busy / bare:11.2f}x")
            figures.append({"labels": count, "batch": size, "submit_s": submit, "label_s": busy})
    print("asked: 150 ms a label, flat; 500 labels submitted in 10 s (lower is better)")
    print(json.dumps(figures))


if __name__ == "__main__":
    import orchestration  # under this name the workers find its labeller and its job

    orchestration.main()
