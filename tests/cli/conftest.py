"""The command line as a function, and a small archive with one document of every kind."""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from lizrcl_flows.archive import Archive
from lizrcl_flows.cli.main import main
from lizrcl_flows.documents import (
    Analysis,
    Calibration,
    Campaign,
    Candidate,
    Committee,
    Dataset,
    Evaluation,
    Generation,
    Health,
    Label,
    Level,
    Model,
    Offence,
    Origin,
    ParityGroup,
    RejectionCount,
    Structure,
    Trajectory,
    Transport,
    canonical_sha256,
)
from lizrcl_flows.settings import Settings
from lizrcl_flows.systems import load_campaign

N_TRAIN = 6

OWN_NUMBERS = {
    "phases": [
        {"name": "ideal", "structure": "Li2ZrCl6_ideal_P-31c"},
        {"name": "alpha", "structure": "Li2ZrCl6_alpha_ordered"},
    ],
    "exploration": {"runs_per_phase": 2},
    "training": {"committee_size": 4, "steps": 3000},
    "budget": {"labels": 80},
}
"""What the tests count with, so that the demo system may change."""


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str


Run = Callable[..., Outcome]


@pytest.fixture
def lizrcl(capfd: pytest.CaptureFixture[str]) -> Run:
    """Run a command line in this process."""

    def run(*arguments: str) -> Outcome:
        capfd.readouterr()
        with pytest.raises(SystemExit) as left:
            main([str(argument) for argument in arguments])
        captured = capfd.readouterr()
        return Outcome(int(left.value.code or 0), captured.out, captured.err)

    return run


def _point_at(settings: Settings, patch: pytest.MonkeyPatch) -> None:
    patch.delenv("LIZRCL_CONFIG_FILE", raising=False)
    patch.setenv("LIZRCL_DB_URI", str(settings.db_uri))
    patch.setenv("LIZRCL_DB_NAME", settings.db_name)
    patch.setenv("LIZRCL_DATA_DIR", str(settings.data_dir))


@pytest.fixture
def configured(archive_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Point the command line at the test's database."""
    _point_at(archive_settings, monkeypatch)
    return archive_settings


@dataclass(frozen=True)
class Filled:
    """Ids of what the small archive holds."""

    archive: Archive
    campaign: str
    labels: tuple[str, ...]
    failed_label: str
    structures: tuple[str, ...]
    dataset: str
    models: tuple[str, ...]
    committee: str
    evaluation: str
    candidates: tuple[str, ...]
    exploration: str
    production: str
    generation: str
    transport: str
    analysis: str


def _structure(number: int, **origin: object) -> Structure:
    rng = np.random.default_rng(number)
    return Structure(
        campaign="small",
        generation=0,
        n_atoms=9,
        numbers=[3, 3, 40, 17, 17, 17, 17, 17, 17],
        cell=np.diag([6.0, 6.5, 7.0]),
        positions=rng.uniform(0, 6, (9, 3)),
        formula="Cl6Li2Zr",
        chemical_system="Cl-Li-Zr",
        phase="ideal" if number % 2 else "alpha",
        region="bulk",
        origin=Origin(kind="perturbed", source="test", parameters={"number": number}, **origin),
    )


def _label(structure: Structure, level: str, **changes: object) -> Label:
    rng = np.random.default_rng(structure.n_atoms)
    content = {
        "campaign": "small",
        "generation": 0,
        "structure": structure.id,
        "level": level,
        "status": "accepted",
        "n_atoms": structure.n_atoms,
        "energy": -123.456789012345,
        "forces": rng.normal(size=(structure.n_atoms, 3)),
        "stress": np.eye(3) * 1e-3,
        "max_force": 1.25,
        "formula": structure.formula,
        "phase": structure.phase,
        "region": "bulk",
        "parents": (structure.id, level),
    }
    return Label(**{**content, **changes})


def _trajectory(structure: str, committee: str, purpose: str, files: tuple = ()) -> Trajectory:
    return Trajectory(
        campaign="small",
        generation=1,
        purpose=purpose,
        structure=structure,
        committee=committee,
        n_atoms=9,
        formula="Cl6Li2Zr",
        phase="alpha",
        ensemble="nvt",
        temperature_k=700.0,
        steps=1000,
        time_step_fs=1.0,
        sample_every=10,
        seed=1,
        engine="gpumd",
        n_frames=100,
        health=Health(status="ok"),
        files=files,
        parents=(structure, committee),
    )


def _candidate(
    structure: Structure, trajectory: str, com: Committee, frame: int, eps: float, **rest: object
) -> Candidate:
    return Candidate(
        campaign="small",
        generation=1,
        structure=structure.id,
        trajectory=trajectory,
        committee=com.id,
        frame=frame,
        time_fs=10.0 * frame,
        temperature_k=700.0,
        phase="alpha",
        eps=eps,
        n_models=2,
        models=com.members,
        n_atoms=9,
        eps_atoms=np.full(9, eps),
        formula="Cl6Li2Zr",
        parents=(structure.id, trajectory, com.id),
        **rest,
    )


def _evaluation(committee: str, dataset: str, generation: int, rmse_force: float) -> Evaluation:
    energies = np.linspace(-4.1, -4.0, N_TRAIN)
    return Evaluation(
        campaign="small",
        generation=generation,
        committee=committee,
        kind="holdout",
        dataset=dataset,
        labels_sha256=canonical_sha256(["holdout", generation]),
        n_structures=N_TRAIN,
        n_atoms=9 * N_TRAIN,
        groups=(
            ParityGroup(group="all", n_structures=N_TRAIN, n_atoms=54, rmse_energy=0.002, rmse_force=rmse_force),
            ParityGroup(group="phase:alpha", n_structures=3, n_atoms=27, rmse_energy=0.002, rmse_force=rmse_force),
        ),
        calibration=Calibration(n_structures=N_TRAIN, spearman=0.8, scale=1.5, coverage_90=0.9),
        energy_predicted=energies + 0.002,
        energy_label=energies,
        eps=np.linspace(0.05, 0.3, N_TRAIN),
        max_force_error=np.linspace(0.06, 0.4, N_TRAIN),
        parents=(committee, dataset),
    )


@pytest.fixture
def filled(archive: Archive, configured: Settings, tmp_path: Path) -> Filled:
    """Make the small archive for one test, which may change it."""
    return _fill(archive, tmp_path)


@pytest.fixture(scope="module")
def stored(mongod_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    """Make the small archive once for the tests of a module that only read it."""
    folder = tmp_path_factory.mktemp("stored")
    settings = Settings(db_uri=mongod_uri, db_name=f"test_{secrets.token_hex(6)}", data_dir=folder / "data")
    with Archive.connect(settings=settings) as archive, pytest.MonkeyPatch.context() as patch:
        _point_at(settings, patch)
        yield _fill(archive, folder)
        archive.connection.client.drop_database(archive.database_name)


def _fill(archive: Archive, tmp_path: Path) -> Filled:
    """Store one campaign of two generations with everything that belongs to it, and nothing computed."""
    structures = [_structure(number) for number in range(N_TRAIN + 3)]
    spec = load_campaign({"name": "small", "system": "demo", **OWN_NUMBERS})
    campaign = Campaign(
        name="small",
        campaign="small",
        spec=spec,
        phases={"ideal": structures[1].id, "alpha": structures[0].id},
        parents=(structures[0].id, structures[1].id),
    )
    level = Level(engine="ase", code="tblite.ase:TBLite", code_version="1", note="a level for tests")
    labels = [_label(structure, level.id) for structure in structures[:N_TRAIN]]
    failed = _label(
        structures[N_TRAIN], level.id, status="failed", reason="not converged", energy=None, forces=None, max_force=None
    )
    names = tuple(label.id for label in labels)
    dataset = Dataset(
        campaign="small",
        generation=0,
        added=names,
        split="train",
        level=level.id,
        n_labels=N_TRAIN,
        manifest_sha256=canonical_sha256(names),
        parents=names,
    )
    archive.put_many([*structures, campaign, level, *labels, failed, dataset])
    models = []
    for member in range(2):
        path = tmp_path / "nep.txt"
        path.write_text(f"nep4 3 Li Zr Cl\nmember {member}\n", encoding="utf-8")
        models.append(
            Model(
                campaign="small",
                generation=0,
                member=member,
                dataset=dataset.id,
                seed=member,
                hyperparameters={"type": [3, "Li", "Zr", "Cl"]},
                trainer="nep",
                elements=("Li", "Zr", "Cl"),
                n_parameters=100,
                nep_txt=archive.put_file(path),
                parents=(dataset.id,),
            )
        )
    members = tuple(model.id for model in models)
    committee = Committee(
        campaign="small",
        generation=0,
        members=members,
        elements=("Li", "Zr", "Cl"),
        dataset=dataset.id,
        parents=members,
    )
    dump = tmp_path / "dump.xyz"
    dump.write_text("2\nLattice\n", encoding="utf-8")
    exploration = _trajectory(structures[0].id, committee.id, "exploration")
    production = _trajectory(structures[0].id, committee.id, "production", (archive.put_file(dump),))
    offence = Offence(quantity="distance_a", value=0.5, threshold=1.6, atoms=(0, 1), species=("Li", "Cl"))
    candidates = [
        _candidate(structures[N_TRAIN + 1], exploration.id, committee, 3, 0.4, verdict="selected"),
        _candidate(
            structures[N_TRAIN + 2],
            exploration.id,
            committee,
            7,
            9.0,
            verdict="rejected",
            reason="atoms too close",
            offence=offence,
        ),
    ]
    evaluation = _evaluation(committee.id, dataset.id, 0, 0.12)
    generation = Generation(
        campaign="small",
        generation=0,
        campaign_id=campaign.id,
        index=0,
        n_labelled=N_TRAIN,
        n_failed=1,
        n_explored=100,
        n_rejected=(RejectionCount(reason="atoms too close", count=1),),
        n_selected=1,
        eps_median=0.2,
        eps_max=9.0,
        dataset=dataset.id,
        committee_after=committee.id,
        evaluation_after=evaluation.id,
        parents=(campaign.id, dataset.id, committee.id, evaluation.id),
    )
    transport = Transport(
        campaign="small",
        generation=1,
        trajectories=(production.id,),
        species="Li",
        protocol="gls_blocks",
        temperature_k=700.0,
        phase="alpha",
        n_ions=2,
        n_frames=100,
        status="resolved",
        diffusivity=0.0123,
        diffusivity_std=0.0011,
        n_lags=5,
        lag_ps=np.arange(5) * 0.1,
        msd_a2=np.arange(5) * 0.3,
        parents=(production.id,),
    )
    analysis = Analysis(
        campaign="small",
        generation=1,
        kind="coordination",
        trajectory=production.id,
        parameters={"cutoff_a": 3.2},
        definition="neighbours within the cutoff",
        temperature_k=700.0,
        phase="alpha",
        n_frames=100,
        results={"coordination_zr_cl": 6.0},
        parents=(production.id,),
    )
    archive.put_many([*models, committee, exploration, production, *candidates, evaluation, generation])
    archive.put_many([transport, analysis])
    archive.spend(campaign.id, labels=N_TRAIN + 1, key="labels")
    return Filled(
        archive=archive,
        campaign=campaign.id,
        labels=names,
        failed_label=failed.id,
        structures=tuple(structure.id for structure in structures),
        dataset=dataset.id,
        models=members,
        committee=committee.id,
        evaluation=evaluation.id,
        candidates=tuple(candidate.id for candidate in candidates),
        exploration=exploration.id,
        production=production.id,
        generation=generation.id,
        transport=transport.id,
        analysis=analysis.id,
    )
