"""Committees: who explores after a rollback, and members whose training diverges."""

from dataclasses import dataclass

import numpy as np
import pytest

from lizrcl_flows.documents import Campaign, Committee, Dataset, FileRef, Generation, Label, Model, canonical_sha256
from lizrcl_flows.engines.serial import Engine
from lizrcl_flows.engines.training.base import DivergedError
from lizrcl_flows.engines.training.nep import NepTrainer
from lizrcl_flows.errors import EngineError
from lizrcl_flows.jobs.context import derived_seed
from lizrcl_flows.jobs.training import committee_of, train_member
from lizrcl_flows.science.structures import load_structure
from lizrcl_flows.systems import load_campaign

pytestmark = pytest.mark.mongo


@pytest.fixture
def campaign(archive, archive_settings, monkeypatch):
    monkeypatch.setenv("LIZRCL_DB_URI", archive_settings.db_uri)
    monkeypatch.setenv("LIZRCL_DB_NAME", archive_settings.db_name)
    monkeypatch.setenv("LIZRCL_DATA_DIR", str(archive_settings.data_dir))
    cell = load_structure("Li2ZrCl6_alpha_ordered", phase="alpha")
    archive.put(cell)
    spec = load_campaign({"name": "test", "system": "demo", "training": {"steps": 20, "max_attempts": 2}})
    made = Campaign(name="test", campaign="test", spec=spec, phases={"ideal": cell.id, "alpha": cell.id})
    archive.put(made)
    return made


@pytest.fixture
def dataset(archive, campaign):
    """Three labels; what they say does not matter here."""
    cell = load_structure("Li2ZrCl6_alpha_ordered", phase="alpha")
    labels = []
    for number in range(3):
        rng = np.random.default_rng(number)
        moved = cell.revised(positions=cell.positions + rng.normal(scale=0.05, size=cell.positions.shape))
        forces = rng.normal(size=(cell.n_atoms, 3))
        label = Label(
            structure=archive.put(moved),
            level="lev_00000000000000000000",
            status="accepted",
            n_atoms=cell.n_atoms,
            energy=-85.0 + number,
            forces=forces - forces.mean(axis=0),
            formula=cell.formula,
        )
        labels.append(archive.put(label))
    return archive.put(
        Dataset(
            campaign="test",
            generation=0,
            added=tuple(labels),
            split="train",
            level="lev_00000000000000000000",
            n_labels=3,
            manifest_sha256=canonical_sha256(labels),
        )
    )


@dataclass
class Unlucky(Engine):
    """Really trains, unless the seed is one of those with which it diverges."""

    seeds: tuple[int, ...] = ()

    def train(self, request, directory):
        if request.seed in self.seeds:
            raise DivergedError("training broke down at step 3: the loss is not finite")
        trainer = NepTrainer(command="lizrcl-nep", steps=20, n_max=(2, 2), basis_size=(3, 3), neurons=3, batch=3)
        return trainer.train(request, directory)


def test_a_member_that_diverges_is_trained_with_another_seed_and_says_so(archive, campaign, dataset):
    first = derived_seed(campaign.spec.seed, "train", 0, 1)
    model = archive.get(Model, train_member.original(campaign.id, 0, dataset, 1, Unlucky((first,))))
    assert model.seed == derived_seed(campaign.spec.seed, "train", 0, 1, 1) != first
    assert model.diverged == (f"seed {first}: training broke down at step 3: the loss is not finite",)
    calm = archive.get(Model, train_member.original(campaign.id, 0, dataset, 2, Unlucky()))
    assert calm.diverged == ()


def test_a_member_that_always_diverges_is_an_error_with_every_seed_in_it(campaign, dataset):
    seeds = (derived_seed(campaign.spec.seed, "train", 0, 0), derived_seed(campaign.spec.seed, "train", 0, 0, 1))
    with pytest.raises(
        EngineError, match=rf"member 0 of generation 0 diverged with every seed: seed {seeds[0]}: .*{seeds[1]}"
    ):
        train_member.original(campaign.id, 0, dataset, 0, Unlucky(seeds))


def _committee(archive, index, state):
    reference = FileRef(name="nep.txt", sha256="0" * 64, n_bytes=1, uri="gridfs:" + "0" * 64)
    model = Model(
        campaign="test",
        generation=index,
        member=0,
        dataset=f"dat_{index:020d}",
        seed=index,
        hyperparameters={},
        trainer="nep",
        elements=("Li", "Zr", "Cl"),
        n_parameters=1,
        nep_txt=reference,
    )
    committee = Committee(
        campaign="test",
        generation=index,
        members=(archive.put(model),),
        elements=("Li", "Zr", "Cl"),
        dataset=model.dataset,
    )
    generation = Generation(campaign="test", generation=index, campaign_id="cam_x", index=index, state=state)
    archive.put(generation)
    return archive.put(committee)


def test_a_committee_that_was_rolled_back_explores_nothing(archive):
    good, bad = _committee(archive, 0, "closed"), _committee(archive, 1, "rolled_back")
    assert committee_of(archive, "test").id == good
    assert committee_of(archive, "test", up_to=1).id == good
    assert committee_of(archive, "test", dataset="dat_" + "1".zfill(20)).id == bad
    newer = _committee(archive, 2, "closed")
    assert committee_of(archive, "test").id == newer
    assert committee_of(archive, "test", up_to=1).id == good
