"""What a campaign file asks for, counted by hand; what contradicts itself in it; priors of the engines."""

import pytest

from lizrcl_flows.science.cost_priors import LATENCY_ATOMS, dynamics_size, label_prior, sampling_prior
from lizrcl_flows.science.plan_warnings import contradictions
from lizrcl_flows.science.planned_work import cells_of, first_work, generation_work, production_work
from lizrcl_flows.systems import load_campaign

SIZES = {"ideal": 36, "alpha": 27}


def spec(**overrides):
    return load_campaign({"name": "x", "system": "demo", **overrides})


def study():
    return load_campaign({"name": "x", "system": "zro2_li2zrcl6"})


def test_generation_0_of_the_demo():
    work = first_work(spec(), cells_of(spec(), SIZES))
    assert (work.n_labels, work.n_holdout, work.md_steps) == (32, 12, 0)
    assert work.stages["label"].sizes == [36, 27]
    assert work.stages["label"].counts == [22, 22]
    assert work.stages["train"].sizes == [3000 * 4 * 31.5]
    assert work.stages["train"].counts == [4]
    assert work.stages["prepare"].count == 0


def test_a_generation_of_the_loop():
    wanted = spec(exploration={"steps": 1000, "sample_every": 50, "runs_per_phase": 3})
    cells = cells_of(wanted, SIZES)
    work = generation_work(wanted, cells, 2, n_labels=12, n_train=56)
    assert work.md_steps == 3 * 2 * 1000
    assert work.stages["explore"].sizes == [36_000, 27_000]
    assert work.stages["explore"].n_jobs == 6
    assert work.frames == {36: 60, 27: 60}
    assert generation_work(wanted, cells, 2, n_labels=0, n_train=56).stages["train"].count == 0
    on_gpu = generation_work(wanted, cells, 2, n_labels=12, n_train=56, on_gpu=True)
    assert on_gpu.stages["explore"].sizes == [(36 + LATENCY_ATOMS) * 1000, (27 + LATENCY_ATOMS) * 1000]


def test_batches_and_bags_bound_a_training():
    few = spec(training={"batch": 1000, "bagging": 0.5, "steps": 10})
    work = generation_work(few, cells_of(few, SIZES), 1, n_labels=12, n_train=40)
    assert work.stages["train"].sizes == [10 * 20 * 31.5]


def test_production_counts_supercells_and_equilibration():
    work = production_work(spec(), cells_of(spec(), SIZES))
    assert work.stages["produce"].sizes == [27 * 8 * 65_000] * 2  # at two temperatures
    assert work.frames == {216: 2 * 600}


def test_interfaces_that_are_not_built_are_taken_at_their_largest():
    sizes = {phase.name: 50 for phase in study().phases}
    cells = cells_of(study(), sizes)
    assert len(cells.assumed) == 10 * 2 * 2
    assert set(cells.pool) == {phase.name for phase in study().phases if phase.explored} | set(cells.assumed)
    assert len(cells.explored) == 7 + 10
    assert cells.explored["cubic-ideal.1"] == 200
    built = cells_of(study(), {**sizes, "cubic-ideal.1": 90, "cubic-ideal.2": 96})
    assert len(built.assumed) == 36
    assert built.explored["cubic-ideal.1"] == 90
    work = first_work(study(), cells)
    assert work.stages["sample"].count == 4 * (7 + 40)
    assert work.stages["prepare"].count == 6 + 20 + 6 + 10 * 2 * 6  # crystals, orderings of alpha and beta, interfaces


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        ({"budget": {"labels": 3}}, "budget.labels 3 is less than one batch of labels (labelling.batch_size 4)"),
        ({"budget": {"labels": 44}}, "spent by generation 0, which asks for 32 labels to train on and 12 to hold out"),
        ({"budget": {"labels_per_generation": 2}}, "labels_per_generation 2 is less than one batch"),
        ({"screening": {"eps_lo": 0.0}}, "every frame is doubtful"),
        ({"exploration": {"sample_every": 6000}}, "none is judged"),
        ({"screening": {"decorrelation_fs": 1e5}}, "one candidate of each run at most"),
        ({"screening": {"mode": "adaptive", "n_candidates_min": 999}}, "more than the 200 frames"),
        ({"selection": {"quotas": [{"phase": "beta"}]}}, "phase 'beta' is not explored; explored are ideal, alpha"),
        ({"selection": {"quotas": [{"region": "interface"}]}}, "no explored phase is of region 'interface'"),
        ({"selection": {"quotas": [{"temperature_min_k": 2000}]}}, "(500 to 1100 K do)"),
        (
            {"selection": {"quotas": [{"phase": p, "min_share": 0.6} for p in ("ideal", "alpha")]}},
            "the least shares by phase add up to 1.2",
        ),
        ({"convergence": {"temperature_max_k": 400}}, "no condition of exploration lies within 0 to 400 K"),
        ({"convergence": {"temperature_min_k": 2000}}, "nothing converges"),
        ({"max_generations": 1}, "the campaign cannot converge"),
        ({"initial": {"n_holdout": 0}}, "there is no hold-out set"),
    ],
)
def test_what_contradicts_itself(overrides, sentence):
    found = contradictions(spec(**overrides))
    assert any(sentence in entry for entry in found), found


def test_the_shipped_systems_do_not_contradict_themselves():
    assert contradictions(spec()) == []
    assert contradictions(study()) == []


@pytest.mark.parametrize(
    ("engine", "calculator", "exponent"),
    [
        ("vasp", "", 2.5),
        ("cp2k", "", 2.5),
        ("ase", "tblite.ase:TBLite", 2.4),
        ("ase", "gpaw:GPAW", 2.5),
        ("ase", "chgnet", 1.0),
        ("ase", "sevenn.calculator:SevenNetCalculator", 1.0),
        ("ase", "mine.module:Calculator", 2.0),
    ],
)
def test_priors_know_the_engines(engine, calculator, exponent):
    assert label_prior(engine, calculator).exponent == exponent


def test_slower_models_cost_more():
    assert sampling_prior("mace").cost > sampling_prior("chgnet").cost > sampling_prior("nep").cost
    assert dynamics_size(100, 10, on_gpu=False) == 1000
