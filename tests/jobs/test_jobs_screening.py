"""Screening and selection over a real database: every explored frame is accounted for, and a decision stands."""

import io

import ase.io
import numpy as np
import pytest

from lizrcl_flows.documents import (
    Campaign,
    Candidate,
    Committee,
    FileRef,
    Health,
    Label,
    Model,
    Trajectory,
)
from lizrcl_flows.documents.campaigns import SELECTION, LedgerEntry
from lizrcl_flows.documents.spec import SelectionSpec
from lizrcl_flows.engines.selection import ENGINES, make_selector
from lizrcl_flows.jobs.screening import CONTROL, screen_and_select
from lizrcl_flows.jobs.selecting import describe, label_cost, label_means
from lizrcl_flows.nep import Committee as NepCommittee
from lizrcl_flows.nep import NepHeader, NepModel, write_nep_txt
from lizrcl_flows.science.descriptors import mean_descriptors
from lizrcl_flows.science.perturbation import perturb
from lizrcl_flows.science.structures import atoms_from_structure, load_structure
from lizrcl_flows.systems import load_campaign

PHASES = [
    {"name": "ideal", "structure": "Li2ZrCl6_ideal_P-31c"},
    {"name": "alpha", "structure": "Li2ZrCl6_alpha_ordered"},
]
CELLS = {phase["name"]: load_structure(phase["structure"], phase=phase["name"], region="bulk") for phase in PHASES}
N_FRAMES = 30
HEADER = NepHeader(
    version=4,
    species=("Li", "Zr", "Cl"),
    cutoffs=((5.0, 4.0),) * 3,
    n_max=(4, 4),
    basis_size=(6, 6),
    l_max=4,
    four_body=False,
    five_body=False,
    neurons=4,
)


def model(seed):
    rng = np.random.default_rng(seed)
    parameters = rng.normal(scale=0.3, size=HEADER.n_parameters)
    return NepModel(HEADER, parameters, rng.uniform(0.05, 0.2, HEADER.n_descriptors), (100, 100))


@pytest.fixture(scope="module")
def committee():
    return NepCommittee([model(0), model(1), model(2)])


@pytest.mark.parametrize("engine", ENGINES)
def test_every_selector_finds_in_the_pool_what_it_needs(engine, committee):
    cell = CELLS["ideal"]
    rng = np.random.default_rng(2)
    known = [perturb(cell, np.random.default_rng(seed), (0.0, 0.01), (0.01, 0.02)) for seed in range(6)]
    positions = known[0].positions.copy()
    positions[0] += (0.9, 0.0, 0.0)  # one atom of 18 is where none has been
    structures = [*known[1:], known[0].revised(positions=positions)]
    eps_atoms = [rng.uniform(size=structure.n_atoms).astype(np.float32) for structure in structures]
    selector = make_selector(SelectionSpec(engine=engine, n_structures=2))
    pool = describe(committee, selector, structures, eps_atoms, known)
    np.testing.assert_allclose(pool.descriptors, mean_descriptors(committee, structures), rtol=1e-5)
    np.testing.assert_allclose(pool.eps, [part.max() for part in eps_atoms], rtol=1e-6)
    assert (pool.environments is not None) == (selector.needs == "environments")
    choice = selector.select(pool, 2, np.random.default_rng(0))
    if engine != "random":
        assert choice.indices == (5,)
    rest = pool.part([0, 2, 5], [4])
    assert len(rest.descriptors) == 3
    assert len(rest.known) == 7
    if engine != "random":
        assert selector.select(rest, 1, np.random.default_rng(0)).indices == (2,)


def explored_frames(phase, seed):
    """Thirty frames that go farther and farther from the crystal, 50 fs apart."""
    rng = np.random.default_rng(seed)
    cell = CELLS[phase]
    frames = []
    for number in range(N_FRAMES):
        atoms = atoms_from_structure(cell)
        atoms.positions += rng.normal(scale=0.01 + 0.005 * number, size=atoms.positions.shape)
        atoms.info["Time"] = 50.0 * (number + 1)
        frames.append(atoms)
    return frames


class Explored:
    """A campaign whose generation 1 has run its exploration: one run for each phase."""

    def __init__(self, archive, committee, folder, **overrides):
        self.archive, self.folder = archive, folder
        spec = load_campaign({"name": "seen", "system": "demo", "phases": PHASES, "production": [], **overrides})
        cells = {name: cell.id for name, cell in CELLS.items()}
        self.campaign = Campaign(name="seen", spec=spec, phases=cells, parents=tuple(cells.values()))
        members = [self._member(number, one) for number, one in enumerate(committee.models)]
        self.committee = Committee(
            campaign="seen",
            generation=0,
            members=tuple(member.id for member in members),
            elements=HEADER.species,
            dataset="dat_0",
        )
        self.frames = {phase: explored_frames(phase, seed) for seed, phase in enumerate(CELLS)}
        self.runs = [self._run(phase, temperature) for phase, temperature in zip(CELLS, (300.0, 900.0), strict=True)]
        archive.put_many([*CELLS.values(), self.campaign, *members, self.committee, *self.runs])
        self.eps = np.array([r.eps for frames in self.frames.values() for r in committee.evaluate(frames)])

    def _member(self, number, one):
        write_nep_txt(self.folder / "nep.txt", one)
        return Model(
            campaign="seen",
            generation=0,
            member=number,
            dataset="dat_0",
            seed=number,
            hyperparameters={},
            trainer="nep",
            elements=HEADER.species,
            n_parameters=HEADER.n_parameters,
            nep_txt=self.archive.put_file(self.folder / "nep.txt"),
            core_hours=0.5,
        )

    def _run(self, phase, temperature_k):
        ase.io.write(self.folder / "dump.xyz", self.frames[phase], format="extxyz")
        return Trajectory(
            campaign="seen",
            generation=1,
            purpose="exploration",
            structure=CELLS[phase].id,
            committee=self.committee.id,
            n_atoms=CELLS[phase].n_atoms,
            formula=CELLS[phase].formula,
            phase=phase,
            region="bulk",
            cell=phase,
            ensemble="nvt",
            temperature_k=temperature_k,
            steps=1500,
            time_step_fs=1.0,
            sample_every=50,
            seed=1,
            engine="gpumd",
            n_frames=N_FRAMES,
            health=Health(status="ok"),
            files=(self.archive.put_file(self.folder / "dump.xyz"),),
            core_hours=0.25,
            parents=(CELLS[phase].id, self.committee.id),
        )

    def screen(self, engine="farthest_point"):
        selector = make_selector(SelectionSpec(engine=engine, n_structures=1))
        return screen_and_select.original(self.campaign.id, 1, [run.id for run in self.runs], selector)

    def candidates(self):
        return list(self.archive.find(Candidate, {"campaign": "seen"}))


@pytest.fixture
def make(archive, committee, monkeypatch, tmp_path):
    monkeypatch.setenv("LIZRCL_DB_URI", archive.uri)
    monkeypatch.setenv("LIZRCL_DB_NAME", archive.database_name)
    monkeypatch.setenv("LIZRCL_DATA_DIR", str(tmp_path / "data"))

    def made(**overrides):
        return Explored(archive, committee, tmp_path, **overrides)

    return made


def thresholds(eps_lo, eps_hi=1e3, **more):
    return {"eps_lo": eps_lo, "eps_hi": eps_hi, "decorrelation_fs": 100, **more}


def failed_label(structure, generation, core_hours=0.0):
    return Label(
        campaign="seen",
        generation=generation,
        purpose="train",
        structure=structure,
        level="lev_0",
        status="failed",
        reason="of the test",
        n_atoms=27,
        formula="x",
        core_hours=core_hours,
    )


@pytest.mark.mongo
def test_every_explored_frame_is_accounted_for_and_a_decision_stands(make, archive):
    place = make(screening=thresholds(0.065, 0.095), selection={"n_structures": 4, "random_share": 0.5, "quotas": []})
    outcome = place.screen()
    found = place.candidates()
    control = {candidate.structure for candidate in found if candidate.control}
    chosen = {candidate.structure for candidate in found if candidate.verdict == "selected"}
    assert set(outcome["structures"]) == chosen
    assert set(outcome["control"]) == control
    assert len(control) == outcome["n_control"] == 2
    assert outcome["n_selected"] == len(outcome["structures"]) == 4
    rejected = sum(count["count"] for count in outcome["n_rejected"])
    assert outcome["n_accurate"] + rejected + outcome["n_candidates"] == outcome["n_explored"] == 2 * N_FRAMES
    assert outcome["n_accurate"] == int((place.eps < 0.065).sum())
    for candidate in found:
        run = list(CELLS).index(candidate.phase)
        assert candidate.eps == pytest.approx(place.eps[run * N_FRAMES + candidate.frame], rel=1e-6)
        assert (candidate.n_models, candidate.models) == (3, place.committee.members)
        assert candidate.eps_atoms.max() == pytest.approx(candidate.eps, rel=1e-6)
        assert (candidate.offence is not None) == (candidate.verdict == "rejected" and "known" not in candidate.reason)
        assert candidate.reason == CONTROL or not candidate.control
    ledger = [LedgerEntry(**entry) for entry in outcome["ledger"]]
    assert [entry.phase for entry in ledger] == list(CELLS)
    assert sum(entry.n_selected for entry in ledger) == 4
    assert sum(entry.n_candidates for entry in ledger) == outcome["n_candidates"]
    with np.load(io.BytesIO(archive.read_file(FileRef(**outcome["explored_eps"])))) as stored:
        np.testing.assert_allclose(stored["eps"], place.eps, rtol=1e-6)
        assert stored["eps_atoms"].shape == (stored["n_atoms"].sum(),)
        assert tuple(stored["models"]) == place.committee.members
        assert (str(stored["metric"]), int(stored["ddof"])) == ("max_atom_force_deviation", 0)
    # labels have come since, and money has been spent: another run of the job says what the first one said
    archive.put_many(failed_label(name, 1) for name in outcome["structures"])
    archive.spend(place.campaign.id, labels=4, core_hours=1.0, key="x")
    assert place.screen() == outcome
    assert len(place.candidates()) == len(found)
    assert [event.kind for event in archive.events(place.campaign.id)].count(SELECTION) == 1


@pytest.mark.mongo
def test_without_the_event_the_same_is_decided_again(make, archive):
    wish = {"n_structures": 5, "random_share": 0.4, "quotas": []}
    place = make(screening=thresholds(0.3), selection=wish)
    first = place.screen("random")
    archive.connection["events"].delete_many({"kind": SELECTION})
    archive.connection["candidates"].delete_many({})
    assert place.screen("random") == first


@pytest.mark.mongo
def test_controls_are_drawn_from_accurate_frames_too(make):
    place = make(screening=thresholds(99.0), selection={"n_structures": 30, "random_share": 0.4, "quotas": []})
    outcome = place.screen()
    assert outcome["n_candidates"] == 0
    assert outcome["n_control"] == outcome["n_selected"] == 12
    assert {candidate.verdict for candidate in place.candidates()} == {"selected"}
    assert min(candidate.eps for candidate in place.candidates()) < np.median(place.eps)
    assert outcome["note"] == "all 60 explored frames have eps < 99 eV/A: there is nothing to label"


@pytest.mark.mongo
def test_quotas_and_budgets_hold_together(make):
    quota = {"phase": "ideal", "max_share": 0.25}
    hot = {"temperature_min_k": 800, "min_share": 0.5}
    place = make(
        screening=thresholds(0.05),
        selection={"n_structures": 50, "random_share": 0.25, "quotas": [quota, hot]},
        budget={"labels": 100, "labels_per_generation": 8},
    )
    outcome = place.screen("environments")
    chosen = [candidate for candidate in place.candidates() if candidate.verdict == "selected"]
    assert len(chosen) == outcome["n_selected"] == 8
    assert sum(candidate.phase == "ideal" for candidate in chosen) <= 2
    assert sum(candidate.temperature_k >= 800 for candidate in chosen) >= 4
    assert "budget.labels_per_generation leaves 8 of 50 labels" in outcome["note"]


@pytest.mark.mongo
def test_the_adaptive_threshold_finds_candidates_where_eps_lo_finds_none(make):
    rule = thresholds(99.0, mode="adaptive", candidate_rate=0.1, n_candidates_min=4)
    place = make(screening=rule, selection={"n_structures": 3})
    outcome = place.screen()
    assert outcome["eps_lo_used"] == pytest.approx(np.sort(place.eps)[-6], rel=1e-6)
    assert outcome["n_explored"] - outcome["n_accurate"] == 6
    assert outcome["n_selected"] == 3
    assert "eps_lo was lowered from 99" in outcome["note"]
    assert outcome["convergence"]["fraction_above_eps_lo"] == 0.0  # which asks for the threshold of the file


@pytest.mark.mongo
def test_a_budget_of_nothing_selects_nothing_and_says_so(make, archive):
    place = make(screening=thresholds(0.05), selection={"n_structures": 3}, budget={"labels": 5})
    archive.spend(place.campaign.id, labels=5, key="x")
    outcome = place.screen()
    assert outcome["structures"] == []
    assert outcome["n_candidates"] > 0
    assert {candidate.verdict for candidate in place.candidates()} <= {"spare", "rejected"}
    assert "budget.labels leaves 0 of 3 labels" in outcome["note"]


@pytest.mark.mongo
def test_core_hours_are_predicted_from_the_labels_so_far(make, archive):
    budget = {"labels": 100, "core_hours_per_generation": 4.0}
    place = make(screening=thresholds(0.05), selection={"n_structures": 20}, budget=budget)
    assert label_cost(archive, place.campaign, 1)(CELLS["alpha"]) is None
    assert label_means(archive, place.campaign, 1).core_hours == 4.0 - 2 * 0.25 - 3 * 0.5  # explored, to be trained
    rng = np.random.default_rng(0)
    hours = 0.3 * rng.lognormal(sigma=0.05, size=30)
    archive.put_many(failed_label(f"str_{number}", 0, cost) for number, cost in enumerate(hours))
    cost = label_cost(archive, place.campaign, 1)(CELLS["alpha"])
    assert 0.3 < cost < 0.5
    outcome = place.screen()
    chosen = [candidate for candidate in place.candidates() if candidate.verdict == "selected"]
    assert 0 < len(chosen) == outcome["n_selected"] < 20
    assert sum(0.3 * (candidate.n_atoms / 27) ** 2.5 for candidate in chosen) <= 2.0
