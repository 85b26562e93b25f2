"""A small campaign that is real in every part: toy labels, NEP training, dynamics, database, FireWorks."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lizrcl_flows.archive import Archive
from lizrcl_flows.archive.jobstore import job_store
from lizrcl_flows.archive.worker_config import write_worker_config
from lizrcl_flows.documents import DOCUMENTS, Campaign
from lizrcl_flows.flows.campaigns import new_campaign
from lizrcl_flows.systems import load_campaign

CALCULATORS = Path(__file__).parents[1] / "calculators"
BIN = Path(sys.executable).parent

SMALL = {
    "system": "demo",
    "max_generations": 1,
    "phases": [
        {"name": "ideal", "structure": "Li2ZrCl6_ideal_P-31c"},
        {"name": "alpha", "structure": "Li2ZrCl6_alpha_ordered"},
    ],
    "initial": {"n_structures": 6, "n_holdout": 3, "strain_min": 0.01, "strain_max": 0.04, "rattle_a": [0.03, 0.12]},
    "training": {
        "committee_size": 4,
        "n_max": [2, 2],
        "basis_size": [4, 4],
        "neurons": 5,
        "steps": 150,
        "batch": 3,
    },
    "exploration": {
        "conditions": [
            {"ensemble": "nvt", "temperature_k": 600},
            {"ensemble": "npt", "temperature_k": 900, "pressure_gpa": 0.1},
        ],
        "steps": 200,
        "sample_every": 20,
        "runs_per_phase": 1,
    },
    "screening": {"eps_lo": 0.02, "eps_hi": 20.0, "decorrelation_fs": 20},
    "selection": {"n_structures": 3},
    "production": [
        {
            "phase": "alpha",
            "temperature_k": 400,
            "ensemble": "nvt",
            "equilibration_steps": 100,
            "steps": 600,
            "sample_every": 10,
        }
    ],
    # models as small as these get worse and better by chance; a test of the gates sets its own
    "validation": {"gate_error_margin": 1.0},
    "budget": {"labels": 40},
}


def toy_level(**parameters):
    return {
        "engine": "ase",
        "calculator": "toy_calculator:ToyIonic",
        "parameters": parameters,
        "note": "pair potential of the tests",
        "batch_size": 2,
    }


@pytest.fixture
def toy(monkeypatch):
    """Make the toy calculator importable here and in workers."""
    monkeypatch.syspath_prepend(str(CALCULATORS))
    path = os.pathsep.join(part for part in (str(CALCULATORS), os.environ.get("PYTHONPATH", "")) if part)
    monkeypatch.setenv("PYTHONPATH", path)


class Workplace:
    """Settings, worker configuration and launch directory of one test."""

    def __init__(self, archive: Archive, directory: Path, monkeypatch: pytest.MonkeyPatch):
        self.archive, self.directory = archive, directory
        self.launches = directory / "launches"
        self.launches.mkdir()
        variables = write_worker_config(directory / "config", archive.uri, archive.database_name)
        variables |= {
            "LIZRCL_DATA_DIR": str(directory / "data"),
            "LIZRCL_DB_URI": archive.uri,
            "LIZRCL_DB_NAME": archive.database_name,
            "OMP_NUM_THREADS": "1",
        }
        for name, value in variables.items():
            monkeypatch.setenv(name, str(value))
        monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        self.job_store = job_store(archive.uri, archive.database_name)
        self.job_store.connect()
        self.config = Path(variables["FW_CONFIG_FILE"]).parent

    def campaign(self, name: str = "small", level: dict | None = None, **overrides) -> Campaign:
        """Make a campaign like SMALL; `level` holds the toy calculator's parameters."""
        spec = load_campaign({**SMALL, "name": name, **overrides, "labelling": toy_level()})
        # the demo's calculator has parameters of its own, which merging would keep
        labelling = spec.labelling.model_copy(update={"parameters": level or {}})
        return new_campaign(self.archive, spec.model_copy(update={"labelling": labelling}))

    def ids(self) -> dict[str, list[str]]:
        """Every document's id, by collection."""
        return {
            kind.collection: sorted(record["_id"] for record in self.archive.find_records(kind, {}, fields=["_id"]))
            for kind in DOCUMENTS
        }

    def rlaunch(self, *arguments: str) -> subprocess.Popen:
        with (self.directory / "rlaunch.log").open("a") as log:
            return subprocess.Popen(
                [str(BIN / "rlaunch"), "-s", *(arguments or ("rapidfire",))],
                cwd=self.launches,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def lpad(self, *arguments: str) -> str:
        done = subprocess.run(
            [str(BIN / "lpad"), *arguments], cwd=self.launches, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def finish(self, timeout: float = 240) -> None:
        worker = self.rlaunch()
        try:
            assert worker.wait(timeout) == 0, (self.directory / "rlaunch.log").read_text()[-3000:]
        finally:
            worker.kill()


@pytest.fixture
def programs():
    """Where the programs of this environment are."""
    return BIN


@pytest.fixture
def workplace(archive, tmp_path, monkeypatch, toy):
    place = Workplace(archive, tmp_path, monkeypatch)
    yield place
    place.job_store.close()
