"""Production in launches as long as a worker has time for: one trajectory, whoever did which piece."""

import os
import time
from pathlib import Path

import pytest
from jobflow import Flow, run_locally

from lizrcl_flows.archive.jobstore import job_store
from lizrcl_flows.documents import Campaign, Committee, Dataset, Model, Structure, Trajectory
from lizrcl_flows.documents.canonical import canonical_sha256
from lizrcl_flows.engines.dynamics.base import UnfinishedRunError
from lizrcl_flows.engines.dynamics.gpumd import GpumdDynamics
from lizrcl_flows.errors import EngineError, InputError
from lizrcl_flows.jobs.beginning import new_campaign
from lizrcl_flows.jobs.closing import close_production
from lizrcl_flows.jobs.dynamics import count_idle_worker
from lizrcl_flows.jobs.production import produce, production_plan
from lizrcl_flows.jobs.turns import PRODUCTION, turn_id
from lizrcl_flows.jobs.wall_time import RESERVE_S, WORKER_END
from lizrcl_flows.science.run_health import run_warnings
from lizrcl_flows.systems import load_campaign

POTENTIAL = Path(__file__).parents[1] / "gpumd_golden" / "md" / "nep0.txt"
OURS = GpumdDynamics(command="lizrcl-gpumd")

HEATED = {
    "phase": "alpha",
    "temperatures_k": [300, 400],
    "equilibration_temperature_k": 300,
    "equilibration_steps": 20,
    "heating_steps": 40,
    "steps": 160,
    "sample_every": 10,
    "piece_steps": 40,
    "correct_velocity_every": 10,
}


class LocalMaker:
    """The loop on one machine does what comes next, not the last job of a turn."""

    manager = "local"

    def as_dict(self):
        return {"@module": type(self).__module__, "@class": type(self).__qualname__}

    @classmethod
    def from_dict(cls, content):
        return cls()


class Stored:
    """A campaign with a committee of one member, and what runs its jobs."""

    def __init__(self, archive, directory, production):
        self.archive, self.directory = archive, directory
        self.job_store = job_store(archive.uri, archive.database_name)
        phases = [{"name": "alpha", "structure": "Li2ZrCl6_alpha_ordered"}]
        spec = load_campaign({"name": "small", "system": "demo", "phases": phases, "production": production})
        self.campaign = new_campaign(archive, spec)
        self.dataset = Dataset(split="train", level="lev_0", added=(), n_labels=0, manifest_sha256=canonical_sha256([]))
        archive.put(self.dataset)
        self.committee = self.form(0)

    def form(self, index):
        model = Model(
            campaign="small",
            generation=index,
            member=0,
            dataset=self.dataset.id,
            seed=index,
            hyperparameters={},
            trainer="nep",
            elements=("Li", "Zr", "Cl", "O"),
            n_parameters=1,
            energy_shift={},
            nep_txt=self.archive.put_file(POTENTIAL),
            parents=(self.dataset.id,),
        )
        committee = Committee(
            campaign="small",
            generation=index,
            members=(model.id,),
            elements=("Li", "Zr", "Cl", "O"),
            dataset=self.dataset.id,
            parents=(model.id,),
        )
        self.archive.put_many([model, committee])
        return committee

    def run(self, numbers, turn=PRODUCTION, committee=None, engine=OURS):
        runs = [produce(self.campaign.id, number, engine, committee) for number in numbers]
        close = close_production(self.campaign.id, [], LocalMaker(), turn, [run.output for run in runs])
        self.archive.open_turn(turn_id(self.campaign.id, turn), self.campaign.id, turn)
        run_locally(
            Flow([*runs, close]),
            store=self.job_store,
            create_folders=True,
            root_dir=self.directory,
            ensure_success=True,
            raise_immediately=True,
            log=False,
        )

    def trajectories(self, **criteria):
        return sorted(self.archive.find(Trajectory, criteria), key=lambda run: run.temperature_k)


@pytest.fixture
def make(archive, archive_settings, monkeypatch, tmp_path):
    monkeypatch.setenv("LIZRCL_DB_URI", str(archive_settings.db_uri))
    monkeypatch.setenv("LIZRCL_DB_NAME", archive_settings.db_name)
    monkeypatch.setenv("LIZRCL_DATA_DIR", str(archive_settings.data_dir))
    monkeypatch.delenv(WORKER_END, raising=False)
    (tmp_path / "launches").mkdir()
    made = []

    def make_one(*production):
        made.append(Stored(archive, tmp_path / "launches", list(production)))
        return made[-1]

    yield make_one
    for stored in made:
        stored.job_store.connect()  # a store that was never used cannot be closed
        stored.job_store.close()


class ShortDays(GpumdDynamics):
    """The real engine on workers of an hour, each of which has half of what it needs left after two pieces."""

    def run(self, request, directory, goes_on=None):
        before = len(list(directory.glob("piece_*/piece.json")))

        def asked(expected_s):
            done = len(list(directory.glob("piece_*/piece.json"))) - before
            left = 3600.0 if done < 2 else expected_s / 2
            os.environ[WORKER_END] = str(time.time() + RESERVE_S + left)
            return goes_on(expected_s)

        return super().run(request, directory, asked)


@pytest.mark.mongo
def test_a_run_cut_into_launches_is_one_document_with_the_frames_of_the_uncut_one(make, monkeypatch):
    stored = make({**HEATED, "temperatures_k": [400]})
    monkeypatch.setenv(WORKER_END, str(time.time() + 3600))
    stored.run([0], engine=ShortDays(command="lizrcl-gpumd"))
    monkeypatch.delenv(WORKER_END)
    (cut,) = stored.trajectories()
    launches = list(stored.job_store.query({"name": {"$regex": "^produce"}}))
    assert len(launches) == 4
    assert (cut.n_pieces, cut.piece_steps, cut.n_frames, cut.health.status) == (7, 40, 16, "ok")
    assert (cut.equilibration_temperature_k, cut.heating_steps, cut.correct_velocity_every) == (300.0, 40, 10)
    assert cut.health.warnings == run_warnings(cut.thermo, 400, 160e-6)
    assert cut.thermo.energy_drift_per_ns is not None
    stored.archive.connection["trajectories"].delete_one({"_id": cut.id})
    stored.run([0])
    (uncut,) = stored.trajectories()
    assert (uncut.id, uncut.n_pieces) == (cut.id, cut.n_pieces)
    assert uncut.files[0].sha256 == cut.files[0].sha256
    assert uncut.thermo == cut.thermo


@pytest.mark.mongo
def test_production_again_with_another_committee_repeats_no_run_of_the_same(make):
    stored = make({**HEATED, "piece_steps": None})
    stored.run([0, 1])
    first = stored.trajectories()
    assert [(run.temperature_k, run.equilibration_temperature_k) for run in first] == [(300, None), (400, 300)]
    assert stored.archive.turn(turn_id(stored.campaign.id, PRODUCTION))["info"]["committees"] == [stored.committee.id]
    newer = stored.form(3)
    stored.run([0, 1], f"{PRODUCTION}/{newer.id}", newer.id)
    assert len(stored.trajectories()) == 4
    assert {run.generation for run in stored.trajectories(committee=newer.id)} == {3}
    stored.run([0, 1], f"{PRODUCTION}/{stored.committee.id}", stored.committee.id)
    assert len(stored.trajectories()) == 4
    spent = stored.archive.get(Campaign, stored.campaign.id).core_hours_spent
    assert spent == pytest.approx(sum(run.core_hours for run in stored.trajectories()))


@pytest.mark.mongo
def test_a_cell_of_the_study_is_a_cell_of_production(make):
    stored = make({**HEATED, "phase": "study-3"})
    plan = production_plan(stored.archive, stored.campaign, 1, stored.committee)
    cell = stored.archive.get(Structure, plan.structure)
    assert (cell.n_atoms, cell.region, plan.condition.temperature_k) == (9720, "interface", 400)
    with pytest.raises(InputError, match="has no production run 2: its file names 2"):
        production_plan(stored.archive, stored.campaign, 2, stored.committee)


def test_a_piece_that_fits_into_no_worker_s_time_is_told(tmp_path, monkeypatch):
    def worker(end, n_new=0):
        monkeypatch.setenv(WORKER_END, str(time.time() + 60 + end))
        count_idle_worker(tmp_path, UnfinishedRunError(n_new, 400, 1000, 7200.0))

    worker(100)
    worker(200, n_new=1)  # got on with it: the count begins anew
    worker(300)
    monkeypatch.setenv(WORKER_END, os.environ[WORKER_END])
    count_idle_worker(tmp_path, UnfinishedRunError(0, 400, 1000, 7200.0))  # the same worker takes it up again
    worker(400)
    words = r"400 of 1000 steps of the run are done; the next piece needs about 7200 s, and 3 workers .* less, .* 500 s"
    with pytest.raises(EngineError, match=words):
        worker(500)
    worker(600)


def test_a_run_of_before_keeps_its_id():
    """Heating, momentum and pieces came later; a run that has none of them is found by the id it had."""
    run = {
        "purpose": "production",
        "structure": "str_1",
        "committee": "com_1",
        "supercell": (1, 1, 1),
        "ensemble": "nvt",
    }
    run |= {"temperature_k": 300.0, "pressure_gpa": None, "steps": 1, "equilibration_steps": 0, "time_step_fs": 1.0}
    run |= {"sample_every": 1, "seed": 1, "engine": "gpumd", "campaign": "t", "generation": 0}
    later = {"equilibration_temperature_k": None, "heating_steps": 0, "correct_velocity_every": 0}
    assert Trajectory.id_for(**run) == Trajectory.id_for(**run, **later) == "tra_52fa435dc386ec671c5b"
    assert Trajectory.id_for(**run, **{**later, "heating_steps": 1}) != "tra_52fa435dc386ec671c5b"
