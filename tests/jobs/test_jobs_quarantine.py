"""Labels in quarantine: later data sets leave them out, what rests on them is named, the retraining is the smallest."""

from pathlib import Path

import numpy as np
import pytest

from lizrcl_flows.archive.audit import audit
from lizrcl_flows.documents import (
    Campaign,
    Committee,
    Dataset,
    Health,
    Label,
    Level,
    Model,
    Structure,
    Trajectory,
    Transport,
    canonical_sha256,
)
from lizrcl_flows.errors import InputError
from lizrcl_flows.jobs.datasets import extend_dataset
from lizrcl_flows.jobs.quarantine import blast_radius, retraining_plan, set_quarantine
from lizrcl_flows.jobs.training import bag
from lizrcl_flows.science.structures import load_structure
from lizrcl_flows.systems import load_campaign

pytestmark = pytest.mark.mongo


class Stored:
    """A campaign whose labels are numbers at random; data sets are made by the job itself."""

    def __init__(self, archive, bagging: float = 1.0):
        self.archive = archive
        self.cell = load_structure("Li2ZrCl6_alpha_ordered", phase="alpha")
        training = {"steps": 20, "bagging": bagging}
        spec = load_campaign({"name": "test", "system": "demo", "training": training})
        self.level = Level(engine="ase", code="tests", code_version="1")
        phases = {"ideal": self.cell.id, "alpha": self.cell.id}
        self.campaign = Campaign(name="test", campaign="test", spec=spec, phases=phases, parents=(self.cell.id,))
        archive.put_many([self.cell, self.level, self.campaign])

    def labels(self, generation: int, numbers: range) -> list[Label]:
        made = []
        for number in numbers:
            rng = np.random.default_rng(number)
            moved = self.cell.positions + rng.normal(scale=0.05, size=self.cell.positions.shape)
            structure = self.cell.revised(positions=moved, parents=(self.cell.id,))
            label = Label(
                campaign="test",
                generation=generation,
                structure=structure.id,
                level=self.level.id,
                status="accepted",
                n_atoms=self.cell.n_atoms,
                energy=-85.0 + number,
                forces=rng.normal(size=(self.cell.n_atoms, 3)),
                formula=self.cell.formula,
                parents=(structure.id, self.level.id),
            )
            self.archive.put_many([structure, label])
            made.append(label)
        return made

    def extend(self, generation: int, labels: list[Label]) -> dict:
        asked = {"structures": [label.structure for label in labels], "level": self.level.id}
        return extend_dataset.original(self.campaign.id, generation, asked, "train")

    def produce(self, generation: int, dataset: str, folder: Path) -> tuple[Committee, Trajectory, Transport]:
        """Write two members that stand for trained ones, a production run and its coefficient."""
        path = folder / "nep.txt"
        path.write_text("nep4 3 Li Zr Cl\n")
        labels = self.archive.dataset_labels(dataset)
        models = [
            Model(
                campaign="test",
                generation=generation,
                member=member,
                dataset=dataset,
                seed=member,
                bag_sha256=canonical_sha256(bag(labels, self.campaign.spec.training.bagging, member)),
                hyperparameters={},
                trainer="nep",
                elements=("Li", "Zr", "Cl"),
                n_parameters=10,
                core_hours=1.5,
                nep_txt=self.archive.put_file(path),
                parents=(dataset,),
            )
            for member in range(2)
        ]
        members = tuple(model.id for model in models)
        place = {"campaign": "test", "generation": generation}
        elements = ("Li", "Zr", "Cl")
        committee = Committee(members=members, elements=elements, dataset=dataset, parents=members, **place)
        run = Trajectory(
            purpose="production",
            structure=self.cell.id,
            committee=committee.id,
            n_atoms=self.cell.n_atoms,
            formula=self.cell.formula,
            ensemble="nvt",
            temperature_k=700.0,
            steps=100,
            time_step_fs=1.0,
            sample_every=10,
            seed=1,
            engine="gpumd",
            n_frames=10,
            health=Health(status="ok"),
            core_hours=4.0,
            parents=(self.cell.id, committee.id),
            **place,
        )
        coefficient = Transport(
            trajectories=(run.id,),
            species="Li",
            protocol="gls_blocks",
            temperature_k=700.0,
            n_ions=4,
            n_frames=10,
            status="resolved",
            diffusivity=0.05,
            diffusivity_std=0.01,
            n_lags=1,
            lag_ps=[0.1],
            msd_a2=[0.1],
            parents=(run.id,),
            **place,
        )
        self.archive.put_many([*models, committee, run, coefficient])
        return committee, run, coefficient


@pytest.fixture
def environment(archive_settings, monkeypatch):
    monkeypatch.setenv("LIZRCL_DB_URI", archive_settings.db_uri)
    monkeypatch.setenv("LIZRCL_DB_NAME", archive_settings.db_name)
    monkeypatch.setenv("LIZRCL_DATA_DIR", str(archive_settings.data_dir))


@pytest.fixture
def stored(archive, environment):
    return Stored(archive)


def _quarantine(stored: Stored, label: Label, **options) -> str:
    current = stored.archive.get(Label, label.id)
    return set_quarantine(stored.archive, current, why="another SCF solution", who="me", **options)


def test_later_data_sets_leave_the_label_out_and_take_it_back_after_release(archive, stored) -> None:
    first, later, last = stored.labels(0, range(4)), stored.labels(1, range(4, 6)), stored.labels(2, range(6, 7))
    before = stored.extend(0, first)["dataset"]
    assert _quarantine(stored, first[1]) == "quarantined"
    extended = stored.extend(1, later)
    kept = [first[0], first[2], first[3], *later]
    assert archive.dataset_labels(extended["dataset"]) == [label.id for label in kept]
    assert extended["added"] == [label.id for label in later]
    made = archive.get(Dataset, extended["dataset"])
    assert made.parent is None
    assert before not in made.parents
    assert (made.n_labels, made.manifest_sha256) == (5, canonical_sha256([label.id for label in kept]))
    assert first[1].id in archive.dataset_labels(before)
    assert stored.extend(1, later)["dataset"] == made.id
    assert _quarantine(stored, first[1], release=True) == "accepted"
    again = archive.get(Dataset, stored.extend(2, last)["dataset"])
    assert again.parent == made.id
    assert set(again.added) == {first[1].id, last[0].id}
    assert audit(archive).findings == []
    assert [(event.kind, event.value) for event in archive.events(first[1].id)][1:] == [
        ("quarantine", "quarantined"),
        ("release", "accepted"),
    ]


def test_a_label_in_quarantine_among_the_new_ones_counts_as_failed(archive, stored) -> None:
    new = stored.labels(0, range(3))
    _quarantine(stored, new[0])
    outcome = stored.extend(0, new)
    assert archive.dataset_labels(outcome["dataset"]) == [new[1].id, new[2].id]
    assert (outcome["n_labelled"], outcome["n_failed"]) == (2, 1)
    assert outcome["reasons"] == ["label is quarantined"]


def test_a_generation_without_new_labels_still_leaves_it_out(archive, stored) -> None:
    first = stored.labels(0, range(3))
    before = stored.extend(0, first)["dataset"]
    assert stored.extend(1, [])["dataset"] == before
    _quarantine(stored, first[0])
    cleaned = stored.extend(2, [])["dataset"]
    assert archive.dataset_labels(cleaned) == [first[1].id, first[2].id]


def test_what_rests_on_a_label_and_the_smallest_retraining(archive, stored, tmp_path) -> None:
    first, later = stored.labels(0, range(3)), stored.labels(1, range(3, 5))
    before = stored.extend(0, first)["dataset"]
    old, _, _ = stored.produce(0, before, tmp_path)
    archive.connection["trajectories"].delete_many({})
    archive.connection["transports"].delete_many({})
    archive.connection["lineage"].delete_many({"kind": {"$in": ["tra", "tsp"]}})
    after = stored.extend(1, later)["dataset"]
    new, run, coefficient = stored.produce(1, after, tmp_path)
    radius = blast_radius(archive, first[0])
    assert radius.counts == {"dataset": 2, "model": 4, "committee": 2, "trajectory": 1, "transport": 1}
    assert [record["diffusivity"] for record in radius.documents["tsp"]] == [0.05]
    plan = retraining_plan(archive, radius)
    assert plan.datasets == [after]
    assert plan.models == sorted(new.members)
    assert (plan.trajectories, plan.transports) == ([run.id], [coefficient.id])
    assert (plan.training_core_hours, plan.production_core_hours, plan.core_hours) == (3.0, 4.0, 7.0)
    assert plan.kept == {"test generation 0": len(old.members)}
    assert blast_radius(archive, later[0]).counts["model"] == 2


def test_models_whose_bag_left_the_label_out_are_spared(archive, environment, tmp_path) -> None:
    stored = Stored(archive, bagging=0.5)
    labels = stored.labels(0, range(4))
    dataset = stored.extend(0, labels)["dataset"]
    committee, run, _ = stored.produce(0, dataset, tmp_path)
    seen = [set(bag([label.id for label in labels], 0.5, member)) for member in range(2)]
    in_one = next(label for label in labels if sum(label.id in each for each in seen) == 1)
    radius = blast_radius(archive, in_one)
    hit = [name for name, each in zip(committee.members, seen, strict=True) if in_one.id in each]
    assert [record["_id"] for record in radius.documents["mod"]] == hit
    assert set(radius.spared) == set(committee.members) - set(hit)
    assert [record["_id"] for record in radius.documents["tra"]] == [run.id]
    assert retraining_plan(archive, radius).models == hit


@pytest.mark.parametrize(("release", "words"), [(True, "only one in quarantine"), (False, "only an accepted one")])
def test_what_cannot_be(archive, stored, release: bool, words: str) -> None:
    (label,) = stored.labels(0, range(1))
    if not release:
        _quarantine(stored, label)
    with pytest.raises(InputError, match=words):
        _quarantine(stored, label, release=release)


def test_structures_made_with_a_tainted_committee_stay_what_they_are(archive, stored, tmp_path) -> None:
    first = stored.labels(0, range(2))
    _, run, _ = stored.produce(0, stored.extend(0, first)["dataset"], tmp_path)
    met = stored.cell.revised(positions=stored.cell.positions + 0.1, parents=(run.id,))
    label = stored.labels(1, range(9, 10))[0].revised(structure=met.id, parents=(met.id, stored.level.id))
    archive.put_many([met, label])
    counts = blast_radius(archive, first[0]).counts
    assert counts["structure"] == 1
    assert "label" not in counts
    assert archive.get(Structure, met.id).parents == (run.id,)
