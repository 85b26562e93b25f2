"""Every new committee is tried on curves and on its own training set, once, and judged by the one before."""

import sys
from pathlib import Path

import numpy as np
import pytest

from lizrcl_flows.archive.audit import audit
from lizrcl_flows.documents import (
    Campaign,
    Committee,
    Dataset,
    Evaluation,
    Generation,
    Label,
    Level,
    Model,
    ParityGroup,
    Structure,
    canonical_sha256,
)
from lizrcl_flows.documents.campaigns import GateResult
from lizrcl_flows.documents.curves import EnergyVolumeCurve
from lizrcl_flows.documents.spec import TrainingSpec
from lizrcl_flows.engines.training import make_trainer
from lizrcl_flows.engines.training.base import TrainingRequest
from lizrcl_flows.flows.campaigns import new_campaign
from lizrcl_flows.jobs import validation
from lizrcl_flows.jobs.validation import evaluate_train, gate_results, validate_curves
from lizrcl_flows.science.perturbation import perturb
from lizrcl_flows.science.structures import atoms_from_structure, load_structure
from lizrcl_flows.science.validation.energy_volume import scaled_cells
from lizrcl_flows.systems import load_campaign

pytestmark = pytest.mark.mongo

CALCULATORS = Path(__file__).parents[1] / "calculators"
PHASES = [
    {"name": "ideal", "structure": "Li2ZrCl6_ideal_P-31c"},
    {"name": "alpha", "structure": "Li2ZrCl6_alpha_ordered"},
]
HOP = {"phase": "alpha", "atom": 0, "vacancy": 4, "vacancy_image": [-1, 0, 0], "n_images": 3, "fmax_ev_per_a": 0.1}
WISH = {"energy_volume": True, "hops": [HOP], "map_structures": 30}
SMALL = {"n_max": (3, 3), "basis_size": (6, 6), "l_max": (4, 0, 0), "neurons": 8, "batch": 6, "steps": 600}
SHIFT = {"Li": -1.0, "Zr": -1.5, "Cl": -1.0}


@pytest.fixture(scope="module")
def learnt(tmp_path_factory):
    """Labels of the toy potential, and the nep.txt of two models that were trained on them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(CALCULATORS))
        toy = sys.modules.get("toy_calculator") or __import__("toy_calculator")
    structures, labels = [], []
    for phase in PHASES:
        cell = load_structure(phase["structure"], phase=phase["name"], region="bulk")
        for seed in range(8):
            made = perturb(cell, np.random.default_rng(seed), (0.01, 0.04), (0.03, 0.15))
            structures.append(made.revised(campaign="tried", generation=0, parents=()))
    level = Level(engine="ase", code="toy_calculator:ToyIonic", code_version="1", note="of the tests")
    for made in structures:
        atoms = atoms_from_structure(made)
        atoms.calc = toy.ToyIonic()
        labels.append(
            Label(
                campaign="tried",
                generation=0,
                structure=made.id,
                level=level.id,
                status="accepted",
                n_atoms=made.n_atoms,
                energy=atoms.get_potential_energy(),
                forces=atoms.get_forces(),
                stress=atoms.get_stress(voigt=False),
                formula=made.formula,
                phase=made.phase,
                region="bulk",
                parents=(made.id, level.id),
            )
        )
    trainer = make_trainer(TrainingSpec(**SMALL))
    files = []
    for seed in range(2):
        request = TrainingRequest(
            pairs=list(zip(structures, labels, strict=True)),
            elements=("Li", "Zr", "Cl"),
            energy_shift=SHIFT,
            seed=seed,
            threads=1,
        )
        files.append(trainer.train(request, tmp_path_factory.mktemp("member")).nep_txt)
    return structures, labels, level, files


class Stored:
    """A campaign of one generation in an archive."""

    def __init__(self, archive, learnt, wish):
        structures, labels, level, files = learnt
        self.archive, self.level = archive, level
        spec = load_campaign({"name": "tried", "system": "demo", "phases": PHASES, "production": []})
        wanted = spec.model_validate({**spec.model_dump(mode="json"), "validation": wish})
        self.campaign = new_campaign(archive, wanted)
        names = tuple(label.id for label in labels)
        self.dataset = Dataset(
            campaign="tried",
            generation=0,
            added=names,
            split="train",
            level=level.id,
            n_labels=len(names),
            manifest_sha256=canonical_sha256(names),
            parents=names,
        )
        archive.put_many([*structures, level, *labels, self.dataset])
        self.committee = self.form(files, 0)

    def form(self, files, index, seed=0):
        models = [
            Model(
                campaign="tried",
                generation=index,
                member=member,
                dataset=self.dataset.id,
                seed=seed + member,
                hyperparameters={},
                trainer="nep",
                elements=("Li", "Zr", "Cl"),
                n_parameters=1,
                energy_shift=SHIFT,
                nep_txt=self.archive.put_file(file),
                parents=(self.dataset.id,),
            )
            for member, file in enumerate(files)
        ]
        members = tuple(model.id for model in models)
        committee = Committee(
            campaign="tried",
            generation=index,
            members=members,
            elements=("Li", "Zr", "Cl"),
            dataset=self.dataset.id,
            parents=members,
        )
        self.archive.put_many([*models, committee])
        return committee.id


@pytest.fixture
def make(archive, archive_settings, learnt, monkeypatch):
    monkeypatch.setenv("LIZRCL_DB_URI", str(archive_settings.db_uri))
    monkeypatch.setenv("LIZRCL_DB_NAME", archive_settings.db_name)
    monkeypatch.setenv("LIZRCL_DATA_DIR", str(archive_settings.data_dir))

    def made(**wish):
        return Stored(archive, learnt, wish)

    return made


def test_a_committee_is_tried_once_on_all_that_the_campaign_asks_for(make, archive):
    stored = make(**WISH)
    place = (stored.campaign.id, 0, stored.dataset.id)
    name = validate_curves.original(*place)
    found = archive.get(Evaluation, name)
    ideal, alpha = found.energy_volumes
    assert (ideal.phase, alpha.phase) == ("ideal", "alpha")
    for curve in (ideal, alpha):
        assert curve.problem == ""
        assert 20 < curve.v0 < 24
        assert 15 < curve.bulk_modulus < 60
        assert len(curve.energy_members) == 2
        assert curve.energy_label == ()
    (hop,) = found.hops
    assert hop.problem == ""
    assert hop.barrier_forward == pytest.approx(hop.barrier_backward, abs=0.1)
    assert 0.1 < hop.barrier_forward < 1.0
    assert found.n_structures == 7 + 7 + 5 == len(found.energy_predicted)
    # energies are those of the labels' zero, hops included
    assert found.energy_predicted[:7] == pytest.approx(ideal.energy)
    assert found.energy_predicted[14:] * 26 - found.energy_predicted[14] * 26 == pytest.approx(hop.energy, abs=1e-9)
    assert np.isnan(found.energy_label).all()
    assert found.map_xy.shape == (2 + 16, 2)
    assert found.map_structures[:2] == (stored.campaign.phases["ideal"], stored.campaign.phases["alpha"])
    for structure in (*ideal.structures, *alpha.structures, *hop.structures):
        assert archive.exists(Structure, structure)
    counts = archive.count(Structure), archive.count(Evaluation)
    assert validate_curves.original(*place) == name
    assert (archive.count(Structure), archive.count(Evaluation)) == counts
    assert audit(archive).ok
    # computed again, it is the same to the last bit
    archive.connection["evaluations"].delete_one({"_id": name})
    archive.connection["lineage"].delete_one({"_id": name})
    assert validate_curves.original(*place) == name
    again = archive.get(Evaluation, name)
    moments = ("created_at", "digest", "provenance")
    assert [getattr(again, key).__repr__() for key in type(again).model_fields if key not in moments] == [
        getattr(found, key).__repr__() for key in type(found).model_fields if key not in moments
    ]


def test_labels_of_the_very_structures_stand_beside_the_curve(make, archive):
    stored = make(energy_volume=True)
    cell = archive.get(Structure, stored.campaign.phases["ideal"])
    cells = scaled_cells(cell, 0.06, 7)
    archive.put_many(cells[:5])
    energies = [-40.0 - 0.1 * number for number in range(5)]
    for one, energy in zip(cells[:5], energies, strict=True):
        archive.put(
            Label(
                structure=one.id,
                level=stored.level.id,
                status="accepted",
                n_atoms=18,
                energy=energy,
                forces=np.zeros((18, 3)),
                formula=one.formula,
                parents=(one.id, stored.level.id),
            )
        )
    found = archive.get(Evaluation, validate_curves.original(stored.campaign.id, 0, stored.dataset.id))
    ideal, alpha = found.energy_volumes
    assert ideal.energy_label == pytest.approx([energy / 18 for energy in energies] + [None, None])
    assert alpha.energy_label == ()
    assert found.energy_label[:5] == pytest.approx(np.array(energies) / 18)
    assert np.isnan(found.energy_label[5:]).all()


def test_a_hop_that_cannot_be_is_a_problem_of_the_hop(make, archive):
    stored = make(hops=[{**HOP, "atom": 6}, HOP])
    found = archive.get(Evaluation, validate_curves.original(stored.campaign.id, 0, stored.dataset.id))
    bad, good = found.hops
    assert "atom 6 of phase 'alpha' is Zr" in bad.problem
    assert bad.structures == ()
    assert good.problem == ""
    assert found.n_structures == 5


@pytest.mark.parametrize(
    ("change", "wanted"), [({"phase": "gamma"}, "'gamma' is none of"), ({"species": "Na"}, "'Na'")]
)
def test_a_hop_of_another_phase_or_element_is_refused_before(make, change, wanted):
    with pytest.raises(ValueError, match=wanted):
        make(hops=[{**HOP, **change}])


def test_nothing_asked_for_is_nothing_done(make, archive):
    stored = make()
    assert validate_curves.original(stored.campaign.id, 0, stored.dataset.id) is None
    assert validate_curves.original(stored.campaign.id, 0, None) is None
    assert evaluate_train.original(stored.campaign.id, 0, None) is None
    assert archive.count(Evaluation) == 0


def test_the_training_set_is_compared_with_or_a_sample_of_it(make, archive, monkeypatch):
    stored = make()
    whole = archive.get(Evaluation, evaluate_train.original(stored.campaign.id, 0, stored.dataset.id))
    assert (whole.kind, whole.n_structures, whole.dataset) == ("train", 16, stored.dataset.id)
    errors = {group.group: group for group in whole.groups}
    assert errors["all"].rmse_force < 0.2
    assert errors["all"].rmse_energy < 0.02
    assert set(errors) >= {"phase:ideal", "phase:alpha", "region:bulk", "element:Li"}
    monkeypatch.setattr(validation, "TRAIN_SAMPLE", 5)
    names = {evaluate_train.original(stored.campaign.id, 0, stored.dataset.id) for _ in range(2)}
    assert len(names) == 1
    assert archive.get(Evaluation, names.pop()).n_structures == 5


# --- gates over an archive -----------------------------------------------------------------------------------------


def tried(archive, committee, index, rmse, offset):
    """Store what a committee achieved: errors on a hold-out, and a curve that is off by so much at one end (eV)."""
    arrays = {name: np.zeros(50) for name in ("energy_predicted", "energy_label", "eps", "max_force_error")}
    group = ParityGroup(group="all", n_structures=50, n_atoms=5000, rmse_force=rmse, rmse_energy=0.01)
    common = {"campaign": "tried", "generation": index, "n_atoms": 5000}
    common |= {"committee": committee, "parents": (committee,)}
    energy = (0.01, 0.0, 0.01, 0.02 + offset)
    curve = EnergyVolumeCurve(
        phase="ideal",
        n_atoms=18,
        structures=(),
        volume=(19, 20, 21, 22),
        energy=energy,
        energy_members=(energy, energy),
        eps=(0, 0, 0, 0),
    )
    archive.put_many(
        [
            Evaluation(
                **common,
                kind="holdout",
                labels_sha256=canonical_sha256("h"),
                n_structures=50,
                groups=(group,),
                **arrays,
            ),
            Evaluation(
                **common,
                kind="curves",
                labels_sha256=canonical_sha256("c"),
                n_structures=0,
                groups=(),
                energy_volumes=(curve,),
                **{name: np.zeros(0) for name in arrays},
            ),
        ]
    )


def test_a_committee_is_judged_by_the_one_before_and_by_the_one_held_back(make, archive, learnt):
    stored = make()
    files = learnt[3]
    first, second, third = (stored.form(files, index, seed=10 * index) for index in (1, 2, 3))
    tried(archive, first, 1, 0.10, 0.0)
    tried(archive, second, 2, 0.10, 0.05)
    tried(archive, third, 3, 0.16, 0.05)
    campaign = archive.get(Campaign, stored.campaign.id)
    assert gate_results(archive, campaign, 1, None, first) == ()
    assert gate_results(archive, campaign, 2, first, first) == ()
    gates = {gate.name: gate for gate in gate_results(archive, campaign, 2, first, second)}
    assert {name: gate.passed for name, gate in gates.items()} == {
        "holdout rmse_force": True,
        "holdout rmse_energy": True,
        "energy_volume ideal": False,
    }
    archive.put(
        Generation(
            campaign="tried",
            generation=2,
            campaign_id=campaign.id,
            index=2,
            state="rolled_back",
            committee_before=first,
            committee_after=second,
            gates=tuple(gates.values()),
            parents=(campaign.id, first, second),
        )
    )
    later = {gate.name: gate for gate in gate_results(archive, campaign, 3, first, third)}
    assert later["energy_volume ideal"].passed
    assert "held back before found the same" in later["energy_volume ideal"].why
    assert not later["holdout rmse_force"].passed
    assert isinstance(later["holdout rmse_force"], GateResult)
