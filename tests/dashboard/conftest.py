"""An archive as a campaign of three generations and its production leave it, and the dashboard over it."""

import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import uvicorn
from fastapi import FastAPI

from lizrcl_flows.archive import Archive
from lizrcl_flows.dashboard.app import create_app
from lizrcl_flows.documents import (
    Analysis,
    Calibration,
    Campaign,
    Candidate,
    Committee,
    ConvergenceEvidence,
    Dataset,
    Document,
    Evaluation,
    Generation,
    Health,
    Label,
    Level,
    Model,
    Offence,
    Origin,
    ParityGroup,
    PhaseTiming,
    RejectionCount,
    Structure,
    Trajectory,
    Transport,
    canonical_sha256,
)
from lizrcl_flows.documents.campaigns import GateResult, LedgerEntry
from lizrcl_flows.science.structures import load_structure
from lizrcl_flows.science.transport.arrhenius import arrhenius
from lizrcl_flows.settings import Settings
from lizrcl_flows.systems import load_campaign

NAME = "shown"
N_GENERATIONS = 3
N_LABELS = 6
"""New labels of each generation."""

TEMPERATURES_K = (600.0, 700.0, 800.0, 900.0)
ENERGY_EV, LN_D0 = 0.3, 2.0
"""The Arrhenius law that the coefficients follow."""

REASON = "SCF not converged in 300 steps <b>& more</b>"


@dataclass
class Sample:
    """The archive and the ids of what is in it, by what it is."""

    archive: Archive
    settings: Settings
    ids: dict[str, str] = field(default_factory=dict)
    campaign: str = NAME


class Story:
    """Writes the documents of a campaign one after the other."""

    def __init__(self, archive: Archive, folder: Path) -> None:
        self.archive = archive
        self.folder = folder
        self.rng = np.random.default_rng(1)
        self.ids: dict[str, str] = {}

    def put(self, *documents: Document) -> list[str]:
        return self.archive.put_many(documents)

    def structure(self, start: Structure, generation: int, **changes: Any) -> Structure:
        moved = start.positions + self.rng.normal(0, 0.05, start.positions.shape)
        told = {"campaign": NAME, "generation": generation, "region": "bulk", "origin": Origin(kind="exploration")}
        return start.revised(positions=moved, **{**told, **changes})

    def label(self, structure: Structure, level: str, generation: int, **changes: Any) -> Label:
        told = {
            "status": "accepted",
            "energy": -4.1 * structure.n_atoms + self.rng.normal(0, 0.2),
            "forces": self.rng.normal(0, 0.3, (structure.n_atoms, 3)),
            "stress": np.eye(3) * 1e-3,
            "max_force": 1.1,
            "wall_s": 12.0,
            "core_hours": 0.01,
        }
        return Label(
            campaign=NAME,
            generation=generation,
            structure=structure.id,
            level=level,
            n_atoms=structure.n_atoms,
            formula=structure.formula,
            phase=structure.phase,
            region="bulk",
            parents=(structure.id, level),
            **{**told, **changes},
        )

    def file(self, name: str, content: str) -> Any:
        path = self.folder / name
        path.write_text(content, encoding="utf-8")
        return self.archive.put_file(path)

    def begin(self) -> None:
        spec = load_campaign({"name": NAME, "system": "demo", "budget": {"labels": 60, "core_hours": 40}})
        self.start = load_structure("Li2ZrCl6_alpha_ordered", phase="alpha")
        ideal = load_structure("Li2ZrCl6_ideal_P-31c", phase="ideal")
        self.level = Level(engine="ase", code="tblite.ase:TBLite", code_version="1", note="for tests")
        self.campaign = Campaign(
            name=NAME,
            campaign=NAME,
            spec=spec,
            phases={"alpha": self.start.id, "ideal": ideal.id},
            parents=(self.start.id, ideal.id),
        )
        self.put(self.start, ideal, self.level, self.campaign)
        self.dataset: Dataset | None = None
        self.committee: Committee | None = None
        self.evaluation: Evaluation | None = None
        self.labelled: list[str] = []

    def turn(self, index: int) -> None:
        candidates, exploration = self.explore(index)
        chosen = [each for each in candidates if each.verdict == "selected"]
        found = {each.id: each for each in self.archive.get_many(Structure, [each.structure for each in chosen])}
        structures = [found[each.structure] for each in chosen]
        labels = [self.label(structure, self.level.id, index) for structure in structures]
        failed = self.structure(self.start, index)
        bad = self.label(
            failed, self.level.id, index, status="failed", reason=REASON, energy=None, forces=None, max_force=None
        )
        self.put(failed, bad, *labels)
        self.ids.update(failed_label=bad.id, label=labels[0].id, structure=structures[0].id)
        self.learn(index, labels)
        self.close(index, candidates, exploration)

    def explore(self, index: int) -> tuple[list[Candidate], list[Trajectory]]:
        """Return candidates: perturbed structures of a pool in generation 0, frames of runs later."""
        runs = [self.run("exploration", temperature, index) for temperature in (500.0, 900.0)] if index else []
        self.put(*runs)
        made, structures = [], []
        for number in range(20):
            structure = self.structure(self.start, index, region="interface" if number % 5 == 0 else "bulk")
            selected = number < N_LABELS
            near = not selected and number % 2 == 0
            offence = Offence(quantity="distance_a", value=1.1, threshold=1.6, atoms=(0, 5), species=("Li", "Cl"))
            told: dict[str, Any] = {
                "verdict": "selected" if selected else ("rejected" if near else "spare"),
                "reason": "" if selected else ("atoms too close" if near else "quota"),
                "offence": offence if near else None,
                "formula": structure.formula,
                "phase": "alpha",
                "campaign": NAME,
                "generation": index,
                "structure": structure.id,
                "n_atoms": structure.n_atoms,
                "frame": number,
                "time_fs": 100.0 * number,
            }
            place = {"trajectory": None, "committee": None, "pool": self.campaign.id, "eps": None, "eps_atoms": None}
            parents: tuple[str, ...] = (structure.id,)
            if index and self.committee is not None:
                run = runs[number % len(runs)]
                eps = self.rng.uniform(0.05, 0.4, structure.n_atoms)
                place = {"trajectory": run.id, "committee": self.committee.id, "eps": eps.max(), "eps_atoms": eps}
                told |= {"temperature_k": run.temperature_k, "models": self.committee.members, "n_models": 2}
                parents = (structure.id, run.id, self.committee.id)
            else:
                told |= {"temperature_k": None, "models": (), "n_models": 0}
                told["map_xy"] = tuple(self.rng.normal(size=2))
            structures.append(structure)
            made.append(Candidate(parents=parents, **told, **place))
        self.put(*structures, *made)
        self.ids["candidate"] = made[0].id
        return made, runs

    def run(self, purpose: str, temperature: float, index: int, **changes: Any) -> Trajectory:
        assert self.committee is not None
        told = {"steps": 5000, "n_frames": 50, "files": (), "region": "bulk"}
        return Trajectory(
            campaign=NAME,
            generation=index,
            purpose=purpose,
            structure=self.start.id,
            committee=self.committee.id,
            n_atoms=self.start.n_atoms,
            formula=self.start.formula,
            phase="alpha",
            ensemble="nvt",
            temperature_k=temperature,
            time_step_fs=1.0,
            sample_every=100,
            seed=index,
            engine="gpumd",
            health=Health(status="ok"),
            parents=(self.start.id, self.committee.id),
            **{**told, **changes},
        )

    def learn(self, index: int, labels: list[Label]) -> None:
        before = self.dataset
        self.labelled += [label.id for label in labels]
        self.dataset = Dataset(
            campaign=NAME,
            generation=index,
            parent=before.id if before else None,
            added=tuple(label.id for label in labels),
            split="train",
            level=self.level.id,
            n_labels=len(self.labelled),
            manifest_sha256=canonical_sha256(self.labelled),
            parents=(*((before.id,) if before else ()), *(label.id for label in labels)),
        )
        models = [
            Model(
                campaign=NAME,
                generation=index,
                member=member,
                dataset=self.dataset.id,
                seed=member,
                hyperparameters={"type": [3, "Li", "Zr", "Cl"], "generation": 3000},
                trainer="nep",
                elements=("Li", "Zr", "Cl"),
                n_parameters=1200,
                nep_txt=self.file("nep.txt", f"nep4 3 Li Zr Cl\nmember {member} of {index}\n"),
                parents=(self.dataset.id,),
            )
            for member in range(2)
        ]
        names = tuple(model.id for model in models)
        self.committee = Committee(
            campaign=NAME,
            generation=index,
            members=names,
            elements=("Li", "Zr", "Cl"),
            dataset=self.dataset.id,
            parents=names,
        )
        self.put(self.dataset, *models, self.committee)
        self.evaluation_before, self.evaluation = self.evaluation, self.evaluate(index)
        self.put(self.evaluation)
        self.ids.update(dataset=self.dataset.id, model=names[0], committee=self.committee.id)
        self.ids["evaluation"] = self.evaluation.id

    def evaluate(self, index: int) -> Evaluation:
        assert self.committee is not None
        assert self.dataset is not None
        energies = self.rng.normal(-4.1, 0.05, N_LABELS)
        force = 0.15 * 0.6**index
        told = {"n_structures": N_LABELS, "n_atoms": 27 * N_LABELS, "rmse_energy": 0.004 * 0.7**index}
        return Evaluation(
            campaign=NAME,
            generation=index,
            committee=self.committee.id,
            kind="holdout",
            dataset=self.dataset.id,
            labels_sha256=canonical_sha256("holdout"),
            n_structures=N_LABELS,
            n_atoms=27 * N_LABELS,
            groups=(
                ParityGroup(group="all", rmse_force=force, **told),
                ParityGroup(group="phase:alpha", rmse_force=1.2 * force, **told),
            ),
            calibration=Calibration(n_structures=N_LABELS, spearman=0.8, scale=1.4, coverage_90=0.9),
            energy_predicted=energies + 0.003,
            energy_label=energies,
            eps=np.linspace(0.05, 0.3, N_LABELS),
            max_force_error=np.append(np.linspace(0.06, 0.4, N_LABELS - 1), np.nan),
            parents=(self.committee.id, self.dataset.id),
        )

    def close(self, index: int, candidates: list[Candidate], runs: list[Trajectory]) -> None:
        assert self.committee is not None
        assert self.dataset is not None
        assert self.evaluation is not None
        told: dict[str, Any] = {}
        if index:
            share = 0.3 / index**2
            cells = {"phase": "alpha", "ensemble": "nvt", "n_runs": 1, "n_explored": 50, "n_flagged": int(50 * share)}
            told = {
                "eps_median": 0.2 / index,
                "eps_max": 0.9 / index,
                "n_rejected": (RejectionCount(reason="atoms too close", count=7),),
                "ledger": tuple(
                    LedgerEntry(temperature_k=run.temperature_k, eps_max=0.9 / index, **cells) for run in runs
                ),
                "gates": (
                    GateResult(
                        name="holdout rmse_force", unit="eV/A", before=0.15, after=0.09, limit=0.18, passed=index > 1
                    ),
                ),
                "convergence": ConvergenceEvidence(
                    n_frames_in_target=100,
                    fraction_above_eps_lo=share,
                    met=False,
                    missing=f"{share:.0%} of the frames lie above eps_lo",
                ),
                "evaluation_before": self.evaluation_before.id if self.evaluation_before else None,
            }
        generation = Generation(
            campaign=NAME,
            generation=index,
            campaign_id=self.campaign.id,
            index=index,
            n_trajectories=len(runs),
            n_explored=50 * len(runs),
            n_candidates=len(candidates),
            n_selected=N_LABELS,
            n_labelled=N_LABELS,
            n_failed=1,
            dataset=self.dataset.id,
            committee_after=self.committee.id,
            evaluation_after=self.evaluation.id,
            timings=(PhaseTiming(stage="label", wall_s=80.0, core_hours=0.02),),
            parents=(self.campaign.id, self.dataset.id, self.committee.id, self.evaluation.id),
            **told,
        )
        self.put(generation)
        self.ids[f"generation {index}"] = generation.id
        self.archive.spend(self.campaign.id, labels=N_LABELS + 1, core_hours=1.5, key=generation.id)

    def produce(self) -> None:
        inverse = 1 / (8.617333262e-5 * np.array(TEMPERATURES_K))
        exact = np.exp(LN_D0 - ENERGY_EV * inverse)
        dump = self.file("dump.xyz", "2\nLattice\n")
        runs = [
            self.run("production", temperature, N_GENERATIONS - 1, steps=200000, n_frames=2000, files=(dump,))
            for temperature in TEMPERATURES_K
        ]
        self.put(*runs)
        measured = [self.coefficient(run, value) for run, value in zip(runs, exact, strict=True)]
        unresolved = measured[0].revised(
            trajectories=(runs[0].id,),
            species="Zr",
            status="not_resolved",
            reason="the run is too short",
            diffusivity=None,
            diffusivity_std=None,
        )
        self.put(*measured, unresolved)
        fit = arrhenius(np.array(TEMPERATURES_K), exact, 0.05 * exact)
        sources = tuple(entry.id for entry in measured)
        law = measured[0].revised(
            kind="arrhenius",
            trajectories=tuple(run.id for run in runs),
            sources=sources,
            temperature_k=300.0,
            diffusivity=fit.diffusivity_at,
            diffusivity_std=None,
            diffusivity_low=fit.low,
            diffusivity_high=fit.high,
            activation_energy=fit.activation_energy_ev,
            activation_energy_std=fit.activation_energy_std_ev,
            ln_prefactor=fit.ln_d0,
            fit_covariance=fit.covariance,
            temperatures_k=TEMPERATURES_K,
            n_lags=0,
            lag_ps=np.zeros(0),
            msd_a2=np.zeros(0),
            parents=sources,
        )
        analysis = Analysis(
            campaign=NAME,
            kind="coordination",
            trajectory=runs[0].id,
            parameters={"cutoff_a": 3.2},
            definition="neighbours within the cutoff",
            temperature_k=TEMPERATURES_K[0],
            phase="alpha",
            n_frames=100,
            results={"coordination_zr_cl": 6.0, "pairs": []},
            parents=(runs[0].id,),
        )
        self.put(law, analysis)
        self.ids.update(trajectory=runs[0].id, transport=measured[0].id, law=law.id, analysis=analysis.id)

    def coefficient(self, run: Trajectory, value: float) -> Transport:
        lag = np.linspace(0.0, 50, 400)
        return Transport(
            campaign=NAME,
            generation=run.generation,
            trajectories=(run.id,),
            species="Li",
            protocol="gls_blocks",
            temperature_k=run.temperature_k,
            phase="alpha",
            n_ions=6,
            n_frames=2000,
            status="resolved",
            diffusivity=value,
            diffusivity_std=0.05 * value,
            n_lags=len(lag),
            lag_ps=lag,
            msd_a2=6 * value * lag + 0.9 * (lag > 0),
            parents=(run.id,),
        )

    def queue(self) -> None:
        """Leave a failed and a running Firework, as FireWorks writes them."""
        database = self.archive.connection.database
        database["workflows"].insert_one(
            {
                "nodes": [1, 2, 3],
                "links": {"1": [2], "2": [], "3": []},
                "state": "FIZZLED",
                "metadata": {"campaign": NAME, "generation_id": self.ids["generation 2"]},
            }
        )
        said = {"_exception": {"_stacktrace": "Traceback\n  File label.py\nEngineError: SCF not converged <script>"}}
        database["fireworks"].insert_many(
            [
                {"fw_id": 1, "name": "label_batch", "state": "FIZZLED", "launches": [1], "spec": {"_tasks": []}},
                {"fw_id": 2, "name": "train", "state": "WAITING", "launches": [], "spec": {"_tasks": []}},
                {"fw_id": 3, "name": "explore", "state": "RUNNING", "launches": [2], "spec": {"_tasks": []}},
            ]
        )
        database["launches"].insert_many(
            [
                {"launch_id": 1, "host": "node1", "launch_dir": "/nowhere/1", "action": {"stored_data": said}},
                {
                    "launch_id": 2,
                    "host": "node2",
                    "launch_dir": "/nowhere/2",
                    "time_start": datetime(2026, 11, 27, 12, tzinfo=UTC),
                },
            ]
        )


def tell(archive: Archive, folder: Path) -> dict[str, str]:
    """Fill an archive; return the ids of what is in it."""
    story = Story(archive, folder)
    story.begin()
    for index in range(N_GENERATIONS):
        story.turn(index)
    story.produce()
    archive.record_event(story.campaign.id, "state", field="state", value="running", who="tests", why="started")
    story.queue()
    return {"campaign": story.campaign.id, "level": story.level.id, **story.ids}


@pytest.fixture(scope="package")
def sample(mongod_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sample]:
    """The archive of a campaign, for tests that only read."""
    folder = tmp_path_factory.mktemp("shown")
    settings = Settings(
        db_uri=mongod_uri, db_name=f"test_{secrets.token_hex(6)}", data_dir=folder / "data", db_timeout_s=20.0
    )
    with Archive.connect(settings=settings) as archive:
        archive.init()
        yield Sample(archive, settings, tell(archive, folder))
        archive.connection.client.drop_database(archive.database_name)


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """Serve an application on a free port of this machine; give its address."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", ws="none"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started:
        assert thread.is_alive()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(20)


@pytest.fixture(scope="package")
def address(sample: Sample) -> Iterator[str]:
    """Where the dashboard over the sample is served."""
    with served(create_app(sample.settings)) as place:
        yield place


@pytest.fixture(scope="package")
def client(address: str) -> Iterator[httpx.Client]:
    """Ask the dashboard over the sample."""
    with httpx.Client(base_url=address, timeout=30) as asking:
        yield asking
