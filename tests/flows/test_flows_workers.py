"""Workers that race, freeze, lose their database, run out of time or are of another version: labels stay whole."""

import gzip
import os
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from jobflow import Flow

from lizrcl_flows.archive.server import start, stop
from lizrcl_flows.documents import Dataset, Label, Level, Structure
from lizrcl_flows.flows.campaigns import find_campaign
from lizrcl_flows.flows.labelling import label_and_collect
from lizrcl_flows.jobs.submitters import FireWorksSubmitter
from lizrcl_flows.science.perturbation import perturb

pytestmark = pytest.mark.mongo

STAND_IN_VASP = Path(__file__).parents[1] / "programs" / "stand_in_vasp.py"


class Bench:
    """Labels of one campaign, submitted as a workflow of their own."""

    def __init__(self, workplace, launchpad, tmp_path):
        self.workplace, self.launchpad, self.archive = workplace, launchpad, workplace.archive
        self.tally, self.go = tmp_path / "tally", tmp_path / "go"

    def submit(self, count, batch=1, labeller=None, **options):
        from plain_labeller import PlainLabeller

        level = {"batch_size": batch}
        campaign = self.workplace.campaign(budget={"labels": 1000})
        spec = campaign.spec.model_copy(update={"labelling": campaign.spec.labelling.model_copy(update=level)})
        campaign = campaign.revised(name="labels", campaign="labels", spec=spec.model_copy(update={"name": "labels"}))
        self.archive.put(campaign)
        parent = self.archive.get(Structure, campaign.phases["ideal"])
        made = [
            perturb(parent, np.random.default_rng(n), strain=(0.0, 0.02), rattle_a=(0.01, 0.05), geometry_factor=0.5)
            for n in range(count)
        ]
        self.structures = self.archive.put_many([one.revised(campaign="labels", generation=0) for one in made])
        options = {name: self.structures[value] if name == "refused" else value for name, value in options.items()}
        labeller = labeller or PlainLabeller(str(self.tally), **options)
        jobs, _ = label_and_collect((campaign.id, 0), self.structures, "train", labeller)
        with FireWorksSubmitter(self.archive.uri, self.archive.database_name) as submitter:
            submitter.submit(Flow(jobs), "turn", "labels")
        return campaign

    def computed(self):
        return Counter(self.tally.read_text().split())

    def labels(self, **criteria):
        return list(self.archive.find(Label, {"campaign": "labels", **criteria}))

    def state(self, name):
        return [fw["state"] for fw in self.launchpad.fireworks.find({"name": {"$regex": f"^{name}"}}, {"state": 1})]

    def why(self, name):
        """Return what a Firework that fizzled left as its reason."""
        firework = self.launchpad.fireworks.find_one({"name": {"$regex": f"^{name}"}, "state": "FIZZLED"})
        launch = self.launchpad.launches.find_one({"launch_id": firework["launches"][-1]})
        return launch["action"]["stored_data"]["_exception"]["_stacktrace"]

    def wait(self, condition, timeout=60):
        end = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < end, "it did not come to that"
            time.sleep(0.05)


@pytest.fixture
def bench(workplace, tmp_path):
    with FireWorksSubmitter(workplace.archive.uri, workplace.archive.database_name) as submitter:
        submitter.prepare()
        yield Bench(workplace, submitter.launchpad, tmp_path)


def test_two_workers_race_and_every_label_is_made_once(bench):
    bench.submit(500, batch=20)
    workers = [bench.workplace.rlaunch() for _ in range(2)]
    assert [worker.wait(240) for worker in workers] == [0, 0]
    assert set(bench.computed().values()) == {1}
    assert len(bench.computed()) == 500
    assert len(bench.labels(status="accepted")) == 500
    assert find_campaign(bench.archive, "labels").labels_spent == 500
    assert [dataset.n_labels for dataset in bench.archive.find(Dataset, {})] == [500]
    assert bench.archive.connection["attempts"].count_documents({}) == 0


def test_a_frozen_worker_that_wakes_after_its_job_was_rerun_changes_nothing(bench):
    bench.submit(1, wait_for=str(bench.go))
    frozen = bench.workplace.rlaunch()
    try:
        bench.wait(bench.tally.exists)
        os.kill(frozen.pid, signal.SIGSTOP)
        time.sleep(1.1)
        bench.workplace.lpad("detect_lostruns", "--time", "1", "--rerun")
        bench.go.touch()
        bench.workplace.finish()
        before = [label.model_dump_json() for label in bench.labels()]
        os.kill(frozen.pid, signal.SIGCONT)
        assert frozen.wait(60) == 0
    finally:
        frozen.kill()
    assert [label.model_dump_json() for label in bench.labels()] == before
    assert find_campaign(bench.archive, "labels").labels_spent == 1
    assert bench.archive.count(Dataset, {}) == 1
    assert set(bench.state("")) == {"COMPLETED"}


def test_vasp_labels_through_fireworks_and_a_killed_worker(bench, monkeypatch, tmp_path):
    from lizrcl_flows.engines.labelling.vasp import VaspLabeller

    log, command = tmp_path / "vasp.log", f"{sys.executable} {STAND_IN_VASP}"
    for variable in ("ATOMATE2_VASP_CMD", "ATOMATE2_VASP_GAMMA_CMD"):
        monkeypatch.setenv(variable, command)
    monkeypatch.setenv("STAND_IN_VASP_LOG", str(log))
    monkeypatch.setenv("STAND_IN_VASP_DELAY_S", "120")
    bench.submit(2, batch=2, labeller=VaspLabeller(dispersion="D3-BJ", potcar_spec=True))
    worker = bench.workplace.rlaunch()
    bench.wait(log.exists)
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    monkeypatch.setenv("STAND_IN_VASP_DELAY_S", "0")
    time.sleep(1.1)
    bench.workplace.lpad("detect_lostruns", "--time", "1", "--rerun")
    bench.workplace.finish()
    labels = bench.labels(status="accepted")
    assert len(labels) == 2
    for label in labels:
        assert {"label.json", "vasprun.xml.gz"} <= {ref.name for ref in label.raw}
        assert label.provenance.executable.startswith("vasp 6")
        assert label.n_scf > 1
        assert label.core_hours > 0
        with gzip.open(bench.archive.fetch_file(label.raw[1], tmp_path / label.id)) as handle:
            assert b"e_fr_energy" in handle.read()
    level = bench.archive.get(Level, labels[0].level)
    assert (level.engine, level.functional, level.dispersion, level.cutoff_ev) == ("vasp", "PBE", "D3-BJ", 550.0)
    assert len(log.read_text().splitlines()) == 3  # two labels, and the start that was killed


def test_a_batch_that_fizzles_costs_its_labels_only_and_they_come_late(bench):
    campaign = bench.submit(4, refused=2)
    bench.workplace.finish()
    assert sorted(bench.state("label train")) == ["COMPLETED"] * 3 + ["FIZZLED"]
    assert "the program is not on this worker" in bench.why("label train 2")
    assert bench.state("extend data set train") == ["COMPLETED"]
    (dataset,) = bench.archive.find(Dataset, {})
    assert dataset.n_labels == 3
    outcome = bench.archive.recorded_event(campaign.id, "extension/0/train").value
    assert (outcome["n_labelled"], outcome["n_failed"]) == (3, 1)
    assert outcome["reasons"] == ["1 labels were lost with their job"]


def test_labels_that_are_computed_again_are_waited_for(bench):
    bench.submit(2)
    assert bench.workplace.rlaunch("singleshot").wait(60) == 0
    collecting = bench.launchpad.fireworks.find_one({"name": "extend data set train"})["fw_id"]
    labelling = [fw["fw_id"] for fw in bench.launchpad.fireworks.find({"name": {"$regex": "^label train"}})]
    with FireWorksSubmitter(bench.archive.uri, bench.archive.database_name) as submitter:
        assert submitter.unsettled_parents(collecting) == sorted(labelling)
        bench.workplace.finish()
        assert submitter.unsettled_parents(collecting) == []


def test_where_no_label_came_the_data_set_waits_for_a_repaired_worker(bench, monkeypatch):
    monkeypatch.setenv("PLAIN_VERSION", "1")
    bench.submit(2, batch=2)
    assert bench.workplace.rlaunch("singleshot").wait(60) == 0  # the level is told, the batch waits
    monkeypatch.setenv("PLAIN_VERSION", "2")
    bench.workplace.finish()
    assert "its code_version is '2', that of lev_" in bench.why("label train")
    assert "none of the 2 labels of generation 0 (train) came" in bench.why("extend data set")
    assert bench.labels() == []
    monkeypatch.setenv("PLAIN_VERSION", "1")
    bench.workplace.lpad("rerun_fws", "-s", "FIZZLED")
    bench.workplace.finish()
    assert len(bench.labels(status="accepted")) == 2
    assert bench.archive.count(Dataset, {}) == 1


def test_what_does_not_fit_into_a_worker_s_time_is_handed_to_the_next(bench, monkeypatch):
    bench.submit(3, batch=3, delay_s=4.0)
    monkeypatch.setenv("LIZRCL_WORKER_END", str(time.time() + 60 + 7))
    worker = bench.workplace.rlaunch("rapidfire", "--timeout", "6")
    assert worker.wait(90) == 0
    first = len(bench.labels())
    assert first < 3
    monkeypatch.delenv("LIZRCL_WORKER_END")
    bench.workplace.finish()
    assert len(bench.labels(status="accepted")) == 3
    assert set(bench.state("")) == {"COMPLETED"}
    assert any("continued" in fw["name"] for fw in bench.launchpad.fireworks.find({}, {"name": 1}))
    assert bench.archive.count(Dataset, {"n_labels": 3}) == 1


def test_a_database_that_is_away_when_a_label_ends_loses_nothing(tmp_path, monkeypatch, toy, mongod_settings):
    from lizrcl_flows.archive import Archive
    from lizrcl_flows.settings import Settings

    from .conftest import Workplace

    settings = Settings(data_dir=tmp_path / "own", db_timeout_s=20.0)
    start(settings)
    try:
        with Archive.connect(settings=settings) as archive:
            archive.init()
            place = Workplace(archive, tmp_path, monkeypatch)
            with FireWorksSubmitter(archive.uri, archive.database_name) as submitter:
                submitter.prepare()
                bench = Bench(place, submitter.launchpad, tmp_path)
                bench.submit(2, wait_for=str(bench.go))
                worker = place.rlaunch()
                bench.wait(bench.tally.exists)
                stop(settings)
                bench.go.touch()
                time.sleep(15)
                start(settings)
                assert worker.wait(120) == 0
                assert set(bench.state("")) == {"COMPLETED"}
                assert len(bench.labels(status="accepted")) == 2
                assert set(bench.computed().values()) == {1}
            place.job_store.close()
    finally:
        stop(settings)


def test_a_wrong_password_ends_a_worker_before_it_takes_a_job(bench):
    bench.submit(1)
    config = bench.workplace.config / "my_launchpad.yaml"
    config.write_text(config.read_text().replace("mongodb://", "mongodb://lizrcl_worker:wrong@", 1))
    worker = bench.workplace.rlaunch("singleshot")
    assert worker.wait(60) != 0
    assert "Authentication failed" in (bench.workplace.directory / "rlaunch.log").read_text()
    assert bench.state("submit labels") == ["READY"]
