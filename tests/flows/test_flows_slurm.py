"""A campaign under a scheduler: qlaunch submits pilots to a stand-in for Slurm, one kind for each category."""

import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from lizrcl_flows.flows.campaigns import find_campaign, start_campaign
from lizrcl_flows.jobs.submitters import FireWorksSubmitter

pytestmark = pytest.mark.mongo

CATEGORIES = ("cpu", "dft", "gpu")
SLURM = Path(__file__).parents[1] / "programs" / "slurm"


class Site:
    """A cluster of one machine: its configuration as `lizrcl config write` renders it, its jobs, its queue."""

    def __init__(self, workplace, programs, tmp_path, monkeypatch):
        self.workplace, self.programs, self.config = workplace, programs, tmp_path / "site"
        self.state = tmp_path / "slurm"
        self.state.mkdir()
        monkeypatch.setenv("FAKE_SLURM", str(self.state))
        monkeypatch.setenv("PATH", os.pathsep.join([str(SLURM), str(programs), os.environ["PATH"]]))
        queues = [f"--queue-{category}={category}" for category in CATEGORIES]
        options = [*queues, "--account=mine", "--walltime=00:10:00", "--reserve=00:05:00"]
        command = [programs / "lizrcl", "config", "write", self.config, *options]
        subprocess.run(command, check=True, capture_output=True)
        for path in self.config.glob("my_qadapter_*.yaml"):  # a test has no minutes to wait for work
            path.write_text(re.sub(r"--sleep \d+", "--sleep 1", path.read_text()))

    def qlaunch(self, category):
        folder = self.workplace.directory / f"launches_{category}"
        folder.mkdir()
        options = ["-l", self.config / "my_launchpad.yaml"]
        options += [
            "-w",
            self.config / f"my_fworker_{category}.yaml",
            "-q",
            self.config / f"my_qadapter_{category}.yaml",
        ]
        command = [self.programs / "qlaunch", "-s", *options, "rapidfire"]
        command += ["-m", "1", "--nlaunches", "infinite", "--sleep", "1"]
        return subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def jobs(self):
        return [path.read_text().split("\n") for path in sorted(self.state.glob("*.job"))]

    def end(self):
        for job in self.jobs():
            if job[4] == "RUNNING":
                os.killpg(int(job[3]), 9)

    def said(self):
        """Return what went wrong in the pilots, for the message of a test that fails."""
        errors = self.workplace.directory.glob("launches_*/**/*.error")
        return "\n".join(f"{path}:\n{path.read_text()[-2000:]}" for path in errors if path.stat().st_size)


@pytest.fixture
def site(workplace, programs, tmp_path, monkeypatch):
    made = Site(workplace, programs, tmp_path, monkeypatch)
    yield made
    made.end()


def test_three_kinds_of_worker_run_a_campaign(site, workplace):
    archive = workplace.archive
    start_campaign(archive, workplace.campaign(production=[], max_generations=1).id)
    launchers = [site.qlaunch(category) for category in CATEGORIES]
    try:
        end = time.monotonic() + 200
        while find_campaign(archive, "small").state != "complete":
            assert time.monotonic() < end, site.said()
            time.sleep(0.5)
    finally:
        for launcher in launchers:
            launcher.kill()
            launcher.wait()
    assert {job[1] for job in site.jobs()} == set(CATEGORIES)
    assert len(site.jobs()) >= len(CATEGORIES)
    with FireWorksSubmitter(archive.uri, archive.database_name) as submitter:
        fireworks = list(submitter.launchpad.fireworks.find({}, {"spec._category": 1, "launches": 1, "state": 1}))
        workers = {
            launch["launch_id"]: launch["fworker"]["category"] for launch in submitter.launchpad.launches.find({})
        }
    assert {firework["state"] for firework in fireworks} == {"COMPLETED"}
    for firework in fireworks:
        assert workers[firework["launches"][-1]] == firework["spec"]["_category"]
    assert {firework["spec"]["_category"] for firework in fireworks} == set(CATEGORIES)
