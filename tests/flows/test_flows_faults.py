"""Faults, by really killing things: the documents at the end are those of the undisturbed campaign."""

import multiprocessing
import os
import signal
import time

import pytest

from lizrcl_flows.archive import Archive
from lizrcl_flows.documents import Generation, Label
from lizrcl_flows.flows.campaigns import find_campaign, start_campaign
from lizrcl_flows.jobs.submitters import FireWorksSubmitter

pytestmark = pytest.mark.mongo

SLOWER = {
    "level": {"delay_s": 0.3},
    "training": {"committee_size": 4, "n_max": [4, 4], "basis_size": [6, 6], "neurons": 10, "steps": 600, "batch": 3},
    "exploration": {
        "conditions": [{"ensemble": "nvt", "temperature_k": 600}],
        "steps": 3000,
        "sample_every": 300,
        "runs_per_phase": 1,
    },
}
UNDISTURBED: dict[str, dict[str, list[str]]] = {}


@pytest.fixture
def launchpad(archive):
    with FireWorksSubmitter(archive.uri, archive.database_name) as submitter:
        submitter.prepare()
        yield submitter.launchpad


def wait_for_running(launchpad, name, worker, timeout=120):
    """Wait until a Firework with this name runs, and a moment longer, so that it is in the midst of its work."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        assert worker.poll() is None, "the worker ended before it could be killed"
        running = launchpad.fireworks.find_one({"state": "RUNNING", "name": {"$regex": f"^{name}"}}, {"fw_id": 1})
        if running:
            time.sleep(0.3)
            if launchpad.fireworks.find_one({"fw_id": running["fw_id"], "state": "RUNNING"}):
                return
        time.sleep(0.02)
    pytest.fail(f"no Firework '{name}' was seen running")


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    "stage", ["undisturbed", pytest.param("train member", marks=pytest.mark.slow), "label train", "explore"]
)
def test_a_killed_worker_loses_and_doubles_nothing(workplace, launchpad, stage):
    archive = workplace.archive
    start_campaign(archive, workplace.campaign(**SLOWER).id)
    if stage != "undisturbed":
        worker = workplace.rlaunch()
        wait_for_running(launchpad, stage, worker)
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()
        time.sleep(1.1)
        assert launchpad.fireworks.count_documents({"state": "RUNNING"}) == 1
        workplace.lpad("detect_lostruns", "--time", "1", "--rerun")
        if launchpad.fireworks.find_one({"state": "RUNNING"}):  # killed while FireWorks itself wrote that it was done
            workplace.lpad("detect_lostruns", "--time", "1", "--refresh")
    workplace.finish()
    assert find_campaign(archive, "small").state == "complete"
    UNDISTURBED.setdefault("ids", workplace.ids())
    assert workplace.ids() == UNDISTURBED["ids"]
    assert archive.count(Label, {}) == find_campaign(archive, "small").labels_spent


def _advance(campaign_id, barrier, results):
    with Archive.connect() as archive:
        barrier.wait()
        results.put(start_campaign(archive, campaign_id).submitted)


def test_many_processes_that_advance_at_once_submit_one_workflow(workplace, launchpad):
    campaign = workplace.campaign()
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(4), context.Queue()
    processes = [context.Process(target=_advance, args=(campaign.id, barrier, results)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert sorted(results.get(timeout=5) for _ in processes) == [False, False, False, True]
    assert launchpad.workflows.count_documents({}) == 1


def test_a_rerun_of_an_early_job_duplicates_nothing(workplace, launchpad):
    archive = workplace.archive
    start_campaign(archive, workplace.campaign().id)
    workplace.finish()
    before = workplace.ids()
    n_workflows = launchpad.workflows.count_documents({})
    first = launchpad.fireworks.find_one({"name": {"$regex": "^label train 0"}}, sort=[("fw_id", 1)])
    launchpad.rerun_fw(first["fw_id"])
    workplace.finish()
    assert workplace.ids() == before
    assert launchpad.workflows.count_documents({}) == n_workflows
    assert archive.count(Generation, {}) == 2


def test_a_calculation_that_dies_is_a_failed_label_and_not_a_dead_worker(workplace):
    archive = workplace.archive
    start_campaign(archive, workplace.campaign(level={"misbehave": "crash", "below_a": 2.05}).id)
    workplace.finish()
    dead = list(archive.find(Label, {"status": "failed"}))
    assert dead
    assert all("SIGKILL" in label.reason or "exit status" in label.reason for label in dead)
    assert find_campaign(archive, "small").state == "complete"
