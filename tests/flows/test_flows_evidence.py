"""Replay and audit on a campaign that FireWorks ran: equal to what was used, and each planted fault is found."""

import json
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lizrcl_flows.archive import Archive
from lizrcl_flows.archive.audit import AuditReport, audit
from lizrcl_flows.archive.worker_config import write_worker_config
from lizrcl_flows.documents import (
    BY_COLLECTION,
    Campaign,
    Candidate,
    Dataset,
    Evaluation,
    FileRef,
    Generation,
    Label,
    Level,
    Model,
    Structure,
    Trajectory,
    canonical_sha256,
)
from lizrcl_flows.documents.campaigns import EXTENDED, SELECTION
from lizrcl_flows.flows.campaigns import new_campaign, start_campaign
from lizrcl_flows.jobs.auditing import EVERYTHING, Sample, deepen
from lizrcl_flows.jobs.replay import replay
from lizrcl_flows.settings import Settings
from lizrcl_flows.systems import load_campaign

pytestmark = pytest.mark.mongo

CALCULATORS = Path(__file__).parents[1] / "calculators"

TINY = {
    "name": "tiny",
    "system": "demo",
    "max_generations": 1,
    "phases": [{"name": "ideal", "structure": "Li2ZrCl6_ideal_P-31c"}],
    "initial": {"n_structures": 3, "n_holdout": 2, "strain_min": 0.01, "strain_max": 0.03, "rattle_a": [0.03, 0.1]},
    "training": {"committee_size": 2, "n_max": [2, 2], "basis_size": [3, 3], "neurons": 3, "steps": 40, "batch": 3},
    "exploration": {
        "conditions": [{"ensemble": "nvt", "temperature_k": 600}],
        "steps": 60,
        "sample_every": 10,
        "runs_per_phase": 1,
    },
    "screening": {"eps_lo": 1e-4, "eps_hi": 50.0, "decorrelation_fs": 10},
    "selection": {"n_structures": 2},
    "validation": {"energy_volume": False, "map_structures": 0, "gate_error_margin": 1.0},
    "budget": {"labels": 20},
    "production": [],
    "labelling": {"engine": "ase", "calculator": "toy_calculator:ToyIonic", "note": "tests", "batch_size": 3},
}


@dataclass
class World:
    """A finished campaign, which a test may spoil: what it was like comes back afterwards."""

    archive: Archive
    campaign: Campaign

    def first(self, of: Any, **criteria: Any) -> Any:
        return next(self.archive.find(of, criteria, sort=[("_id", 1)], limit=1))

    def change(self, document: Any, **changes: Any) -> None:
        """Change a stored document and nothing else."""
        where = self.archive.connection[document.collection]
        where.update_one({"_id": document.id}, {"$set": changes}, bypass_document_validation=True)

    def forge(self, document: Any, **changes: Any) -> None:
        """Change a document with its digest and its lineage node, as somebody would who knows how."""
        forged = document.revised(**changes)
        record = {**forged.to_record(), "_id": document.id}
        digest = type(document).from_record({**record, "digest": ""}).digest
        self.change(document, **{key: value for key, value in {**record, "digest": digest}.items() if key != "_id"})
        node = {"digest": digest, "parents": list(forged.parents)}
        self.archive.connection["lineage"].update_one({"_id": document.id}, {"$set": node})

    def audit(self) -> AuditReport:
        report = audit(self.archive)
        deepen(self.archive, report)
        return report


@pytest.fixture(scope="module")
def finished(mongod_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Run two generations with FireWorks."""
    folder = tmp_path_factory.mktemp("evidence")
    settings = Settings(db_uri=mongod_uri, db_name=f"test_{secrets.token_hex(6)}", data_dir=folder / "data")
    with Archive.connect(settings=settings) as archive, pytest.MonkeyPatch.context() as patch:
        variables = write_worker_config(folder / "config", archive.uri, archive.database_name)
        variables |= {"LIZRCL_DATA_DIR": str(folder / "data"), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(CALCULATORS)}
        for name, value in variables.items():
            patch.setenv(name, value)
        patch.syspath_prepend(str(CALCULATORS))
        spec = load_campaign(TINY)
        # the demo's calculator has parameters of its own, which merging would keep
        spec = spec.model_copy(update={"labelling": spec.labelling.model_copy(update={"parameters": {}})})
        campaign = new_campaign(archive, spec)
        start_campaign(archive, campaign.id)
        (folder / "launches").mkdir()
        rlaunch = [str(Path(sys.executable).parent / "rlaunch"), "-s", "rapidfire"]
        with (folder / "rlaunch.log").open("w") as log:
            subprocess.run(rlaunch, cwd=folder / "launches", check=True, timeout=180, stdout=log, stderr=log)
        assert archive.count(Generation) == 2, (folder / "rlaunch.log").read_text()[-3000:]
        yield World(archive, archive.get(Campaign, campaign.id))
        archive.connection.client.drop_database(archive.database_name)


@pytest.fixture
def world(finished: World) -> Iterator[World]:
    """The campaign; every collection is put back as it was."""
    database = finished.archive.connection.database
    before = {name: list(database[name].find()) for name in database.list_collection_names()}
    yield finished
    for name, records in before.items():
        if list(database[name].find()) != records:
            database[name].delete_many({})
            database[name].insert_many(records, bypass_document_validation=True)


def test_an_untouched_campaign_passes_and_everything_was_looked_at(finished: World) -> None:
    report = finished.audit()
    assert report.findings == []
    assert report.unproven == []
    assert report.n_inputs == 2
    assert report.n_predictions > 10
    assert report.n_launches == len(finished.archive.connection["fireworks"].distinct("fw_id"))


def test_what_is_beyond_the_sample_is_said_and_everything_can_be_asked_for(finished: World) -> None:
    report = AuditReport()
    deepen(finished.archive, report, sample=Sample(n_frames=5, n_evaluations=1, n_structures=1, n_candidates=1))
    assert (report.n_inputs, report.n_predictions, report.findings) == (1, 2, [])
    assert [told.what for told in report.unproven] == [
        "1 of 2 training sets were not written again, the oldest ones: 5 frames are the limit"
    ]
    report = AuditReport()
    deepen(finished.archive, report, sample=EVERYTHING)
    evaluations = finished.archive.find(Evaluation, {"kind": {"$ne": "curves"}})
    candidates = finished.archive.count(Candidate, {"committee": {"$ne": None}})
    assert report.n_predictions == sum(evaluation.n_structures for evaluation in evaluations) + candidates
    assert report.ok


def _a_force(world: World) -> str:
    label = world.first(Label)
    forces = label.forces.copy()
    forces[1, 0] += 1e-9
    world.change(label, forces=forces.astype("<f8").tobytes())
    return label.id


def _a_potential(world: World) -> str:
    model = world.first(Model)
    chunks = world.archive.connection["files.chunks"]
    chunk: Any = chunks.find_one({"files_id": model.nep_txt.sha256})
    data = bytearray(chunk["data"])
    data[-3] ^= 1
    chunks.update_one({"_id": chunk["_id"]}, {"$set": {"data": bytes(data)}})
    return model.id


def _a_digest(world: World) -> str:
    label = world.first(Label)
    world.change(label, energy=label.energy + 1.0, digest=label.revised(energy=label.energy + 1.0).digest)
    return label.id


def _what_the_trainer_read(world: World) -> str:
    label = world.first(Label, purpose="train", generation=0)
    world.forge(label, energy=label.energy + 1e-4)
    return world.first(Model, generation=0, member=0).id


def _a_prediction(world: World) -> str:
    evaluation = world.first(Evaluation, kind="holdout")
    predicted = evaluation.energy_predicted.copy()
    predicted[0] += 1e-4
    world.forge(evaluation, energy_predicted=predicted)
    return evaluation.id


def _an_eps(world: World) -> str:
    candidate = world.first(Candidate)
    world.forge(candidate, eps=candidate.eps * 1.1)
    return candidate.id


def _an_edge(world: World) -> str:
    model = world.first(Model)
    world.forge(model, parents=())
    return model.id


def _an_order(world: World) -> str:
    dataset = world.first(Dataset, split="train", parent=None)
    world.forge(dataset, added=dataset.added[::-1])
    return dataset.id


def _two_levels(world: World) -> str:
    before = world.first(Dataset, split="train", parent=None)
    label, level = world.first(Label), Level(engine="ase", code="another", code_version="1")
    other = label.revised(level=level.id, parents=(label.structure, level.id))
    other = other.revised(provenance=label.provenance)
    whole = [*world.archive.dataset_labels(before.id), other.id]
    content = {"parent": before.id, "added": (other.id,), "level": level.id, "n_labels": len(whole)}
    manifest = canonical_sha256(whole)
    mixed = before.revised(**content, manifest_sha256=manifest, parents=(before.id, other.id))
    world.archive.put_many([level, other, mixed])
    return mixed.id


def _labelled_twice(world: World) -> str:
    label = world.first(Label)
    twin = "lab_" + "f" * 20
    connection = world.archive.connection
    for name in ("labels", "lineage"):
        connection[name].insert_one({**connection[name].find_one({"_id": label.id}), "_id": twin})
    for event in list(connection["events"].find({"subject": label.id})):
        connection["events"].insert_one({**event, "_id": event["_id"].replace(label.id, twin), "subject": twin})
    return twin


def _a_finished_launch(world: World) -> str:
    evaluation = world.first(Evaluation, kind="train", generation=0)
    for name, key in (("evaluations", "_id"), ("lineage", "_id"), ("events", "subject")):
        world.archive.connection[name].delete_many({key: evaluation.id})
    return f"firework {evaluation.provenance.fw_id}"


def _a_document_of_no_launch(world: World) -> str:
    trajectory = world.first(Trajectory)
    world.forge(trajectory, provenance=trajectory.provenance.model_copy(update={"fw_id": 9999}))
    return trajectory.id


def _a_state(world: World) -> str:
    label = world.first(Label)
    world.change(label, status="quarantined")
    return label.id


FAULTS: list[tuple[Callable[[World], str], str]] = [
    (_a_force, "its digest contradicts"),
    (_a_potential, "it has changed"),
    (_a_digest, "another digest than its lineage node"),
    (_what_the_trainer_read, "was trained on something else than the archive holds"),
    (_a_prediction, "its stored models and labels say"),
    (_an_eps, "the stored committee says"),
    (_an_edge, "not among its parents"),
    (_an_order, "has a chain of labels that its manifest contradicts"),
    (_two_levels, "mixes levels"),
    (_labelled_twice, "twice at one level"),
    (_a_finished_launch, "which it returned, is not in the archive"),
    (_a_document_of_no_launch, "which is not on the LaunchPad"),
    (_a_state, "status is 'quarantined', but its events say 'accepted'"),
]


@pytest.mark.parametrize(("plant", "words"), FAULTS, ids=[plant.__name__.strip("_") for plant, _ in FAULTS])
def test_a_planted_fault_is_found(world: World, plant: Callable[[World], str], words: str) -> None:
    about = plant(world)
    report = world.audit()
    assert not report.ok
    told = [(found.document, found.what) for found in report.findings]
    assert any(document == about and words in what for document, what in told), told


def test_both_generations_are_what_was_used(finished: World, tmp_path: Path) -> None:
    for generation in finished.archive.find(Generation, {}, sort=[("index", 1)]):
        done = replay(finished.archive, generation, tmp_path / str(generation.index))
        assert [(part.name, part.why) for part in done.parts if not part.equal] == []
        assert done.proven
        names = {part.name.partition(" dat_")[0] for part in done.parts}
        assert {"candidates", "selection", "train set", "member 1: nep.in"} <= names
        for member, model in enumerate(finished.archive.find(Model, {"generation": generation.index})):
            text = (tmp_path / str(generation.index) / f"member_{member}" / "train.xyz").read_text()
            assert text.count("Lattice=") == len(finished.archive.dataset_labels(model.dataset))
    decided = finished.archive.recorded_event(finished.campaign.id, f"{SELECTION}/1")
    stored = FileRef.model_validate(decided.value["explored_eps"])
    assert (tmp_path / "1" / "explored_eps.npz").read_bytes() == finished.archive.read_file(stored)


def _differing(world: World, tmp_path: Path, index: int) -> dict[str, bool | None]:
    done = replay(world.archive, world.first(Generation, index=index), tmp_path / "out")
    return {part.name.partition(":")[0].partition(" dat_")[0]: part.equal for part in done.parts if not part.equal}


def test_what_was_changed_since_does_not_matter(world: World, tmp_path: Path) -> None:
    changes = {"selection.n_structures": 1, "screening.eps_lo": 0.5}
    world.archive.record_event(world.campaign.id, EXTENDED, field="changes", value=changes, key=f"{EXTENDED}/1")
    world.archive.spend(world.campaign.id, labels=50, key="later")
    assert _differing(world, tmp_path, 1) == {}


def test_a_replay_names_the_part_that_differs(world: World, tmp_path: Path) -> None:
    world.forge(world.first(Candidate, verdict="selected"), verdict="spare", reason="forged")
    label = world.first(Label, purpose="train", generation=1)
    world.forge(label, energy=label.energy + 1e-4)
    assert _differing(world, tmp_path, 1) == {"candidates": False, "member 0": False, "member 1": False}


def test_what_was_not_recorded_is_not_provable(world: World, tmp_path: Path) -> None:
    events = world.archive.connection["events"]
    events.delete_many({"_id": f"{world.campaign.id}/{SELECTION}/1"})
    for model in world.archive.find(Model, {"generation": 1}):
        world.forge(model, provenance=model.provenance.model_copy(update={"inputs_sha256": None}))
    told = {"candidates": None, "selection": None, "member 0": None, "member 1": None}
    assert _differing(world, tmp_path, 1) == told


def test_on_the_command_line(
    world: World, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from ase.io import read

    from lizrcl_flows.cli.main import main

    monkeypatch.setenv("LIZRCL_DB_URI", world.archive.uri)
    monkeypatch.setenv("LIZRCL_DB_NAME", world.archive.database_name)

    def lizrcl(*arguments: str) -> tuple[int, str, str]:
        capfd.readouterr()
        with pytest.raises(SystemExit) as left:
            main(list(arguments))
        said = capfd.readouterr()
        return int(left.value.code or 0), said.out, said.err

    out = tmp_path / "out"
    code, said, _ = lizrcl("replay", "1", "--out", str(out))
    assert code == 0
    assert {Path(line).relative_to(out).as_posix() for line in said.splitlines()} == {
        *(f"member_{member}/{name}" for member in range(2) for name in ("nep.in", "train.xyz")),
        *("candidates.xyz", "explored_eps.npz", "selection.json"),
    }
    frames = read(out / "candidates.xyz", ":")
    assert len(frames) == world.archive.count(Candidate)
    assert {frame.info["structure"] for frame in frames} <= {s.id for s in world.archive.find(Structure, {})}
    assert lizrcl("replay", "1", "--out", str(out))[0] == 2
    code, said, _ = lizrcl("replay", "1", "--check", "--json")
    assert code == 0
    assert json.loads(said)["proven"] is True
    world.forge(world.first(Candidate), score=1.25)
    code, said, error = lizrcl("replay", "1", "--check")
    assert code == 4
    assert "DIFFERS" in said
    assert "candidates" in error
    code, said, _ = lizrcl("audit", "--campaign", "tiny", "--json")
    assert code == 0
    assert json.loads(said)["n_launches"] > 20
    assert set(BY_COLLECTION) <= set(world.archive.connection.database.list_collection_names())
