"""Plans against sums made by hand: jobs, budgets, and core hours that follow a law the labels were given."""

import numpy as np
import pytest

from lizrcl_flows.documents import (
    Campaign,
    Committee,
    Generation,
    Health,
    Label,
    Level,
    Origin,
    PhaseTiming,
    Provenance,
    Structure,
    Trajectory,
)
from lizrcl_flows.errors import InputError
from lizrcl_flows.flows.campaign import CampaignMaker
from lizrcl_flows.flows.forecasts import outlook
from lizrcl_flows.flows.planning import plan_campaign
from lizrcl_flows.flows.wall_times import Workers
from lizrcl_flows.jobs.beginning import new_campaign
from lizrcl_flows.systems import load_campaign


def spec(**overrides):
    return load_campaign({"name": "planned", "system": "demo", **overrides})


def law(n_atoms):
    return 2e-5 * n_atoms**2.2


def put_labels(archive, level, sizes, *, campaign="planned", generation=0, cost=law):
    archive.put(level)
    for number, n_atoms in enumerate(sizes):
        rng = np.random.default_rng([number, generation, len(campaign)])
        structure = Structure(
            campaign=campaign,
            n_atoms=n_atoms,
            numbers=[3] * n_atoms,
            cell=np.eye(3) * 20,
            positions=rng.uniform(0, 20, (n_atoms, 3)),
            formula="Li",
            chemical_system="Li",
            origin=Origin(kind="perturbed"),
        )
        label = Label(
            campaign=campaign,
            generation=generation,
            structure=structure.id,
            level=level.id,
            status="accepted",
            n_atoms=n_atoms,
            energy=0.0,
            forces=np.zeros((n_atoms, 3)),
            formula="Li",
            core_hours=cost(n_atoms),
            wall_s=3600 * cost(n_atoms) / 8,
            parents=(structure.id, level.id),
        )
        archive.put_many([structure, label])


def test_without_a_database_jobs_and_work_are_counted_and_priors_say_so():
    plan = plan_campaign(spec(), None)
    assert [turn.work.turn for turn in plan.turns] == [0, 1, 2, 3, "production"]
    first, second = plan.turns[:2]
    assert (first.work.n_labels, first.work.n_holdout) == (32, 12)
    assert first.jobs["dft"] == 2 + 8 + 3
    assert first.jobs["gpu"] == 4
    assert second.jobs["dft"] == 1 + 3
    assert second.jobs["gpu"] == 4 + 4
    assert second.work.md_steps == 4 * 5000
    assert plan.sources["label"].source == "a rough prior for tblite.ase:TBLite"
    assert not any(source.fitted for source in plan.sources.values())
    assert plan.cost.low < plan.cost.value < plan.cost.high
    assert plan.cost.value == pytest.approx(sum(turn.cost.value for turn in plan.turns))
    assert plan.ends == "the limit of 3 generations is reached, unless it converges before"
    assert plan.warnings == []


def test_the_jobs_of_a_turn_are_those_that_it_is_submitted_with_and_what_fans_out():
    wanted = spec(production=[])
    cell = "str_" + "0" * 20
    campaign = Campaign(name="planned", spec=wanted, phases={"ideal": cell, "alpha": cell})
    submitted = CampaignMaker.from_spec(wanted).make_turn(campaign, 1)
    plan = plan_campaign(wanted, None)
    fanned_out = 3 + 4 + 4 + 1  # batches of labels, runs, members, their committee
    assert sum(plan.turns[1].jobs.values()) == len(submitted.jobs) + fanned_out


def test_a_budget_of_labels_ends_the_plan_and_is_not_exceeded():
    plan = plan_campaign(spec(budget={"labels": 60}, max_generations=9), None)
    labels = [turn.work.n_labels + turn.work.n_holdout for turn in plan.turns if turn.work.turn != "production"]
    assert labels == [44, 12, 4]
    assert plan.ends == "the budget of 60 labels is spent in generation 2"


def test_a_budget_of_core_hours_ends_the_plan():
    free = plan_campaign(spec(max_generations=9), None)
    budget = 1.5 * free.turns[0].cost.value + 2 * free.turns[1].cost.value
    plan = plan_campaign(spec(max_generations=9, budget={"core_hours": budget}), None)
    learning = [turn for turn in plan.turns if turn.work.turn != "production"]
    assert 1 < len(learning) < 6
    paid = learning if learning[-1].work.n_labels else learning[:-1]  # the last one may explore and find nothing left
    assert sum(turn.cost.value for turn in paid) <= budget
    assert "the budget leaves no label" in plan.ends or "core hours is spent" in plan.ends
    small = plan_campaign(spec(budget={"core_hours": free.turns[0].cost.value / 2}), None)
    assert any("is spent by generation 0" in sentence for sentence in small.warnings)


def test_more_workers_take_less_time():
    alone, many = (plan_campaign(spec(), None, Workers.parsed(text)) for text in ("", "dft=4x2,gpu=4"))
    assert many.wall_hours.value < alone.wall_hours.value / 2
    assert many.cost == alone.cost
    assert Workers.parsed("3").of("gpu") == 3
    for wrong in ("dtf=3", "dft", "dft=0", "gpu=2x"):
        with pytest.raises(InputError, match="--workers"):
            Workers.parsed(wrong)


def test_gpumd_is_priced_as_such_where_it_is_asked_for():
    assert "lizrcl-nep" in plan_campaign(spec(), None, gpumd=False).sources["train"].source
    assert "GPUMD" in plan_campaign(spec(), None, gpumd=True).sources["train"].source


@pytest.mark.mongo
def test_core_hours_of_labels_are_fitted_to_those_in_the_database(archive):
    level = CampaignMaker.from_spec(spec()).generation.labeller.level()
    put_labels(archive, level, [9, 18, 27, 54, 108] * 6, campaign="another")
    plan = plan_campaign(spec(), archive)
    stage = plan.sources["label"]
    assert stage.source == "30 labels of this level"
    assert stage.cores == pytest.approx(8.0)
    assert stage.law.exponent == pytest.approx(2.2, abs=0.15)
    expected = 22 * (law(36) + law(27))
    assert plan.turns[0].core_hours["label"].value == pytest.approx(expected, rel=0.12)
    assert plan.turns[0].core_hours["label"].low < expected < plan.turns[0].core_hours["label"].high
    assert plan.turns[0].core_hours["label"].spread < 0.3
    prior = plan_campaign(spec(), None).turns[0].core_hours["label"]
    assert prior.spread > 0.5


@pytest.mark.mongo
def test_labels_of_another_level_of_the_code_count_for_less(archive):
    level = CampaignMaker.from_spec(spec()).generation.labeller.level()
    other = Level(engine="ase", code=level.code, code_version="0.1")
    foreign = Level(engine="vasp", code="vasp", code_version="6.4")
    put_labels(archive, other, [27, 54] * 5, campaign="another")
    put_labels(archive, foreign, [27] * 5, campaign="third", cost=lambda _: 40.0)
    stage = plan_campaign(spec(), archive).sources["label"]
    assert stage.source == "10 labels of other levels of the same code"
    assert stage.law.predict([27]).value == pytest.approx(law(27), rel=0.3)
    assert stage.law.predict([27]).spread > np.log(2)


@pytest.mark.mongo
def test_closed_generations_are_compared_with_what_was_known_before_them(archive):
    campaign = new_campaign(archive, spec(max_generations=4))
    level = CampaignMaker.from_spec(spec()).generation.labeller.level()
    put_labels(archive, level, [36, 27] * 22)
    put_labels(archive, level, [36, 27] * 6, generation=1, cost=lambda n_atoms: 3 * law(n_atoms))
    for index, hours in enumerate((22 * (law(36) + law(27)), 18 * (law(36) + law(27)))):
        timing = PhaseTiming(stage="label", wall_s=1.0, core_hours=hours)
        archive.put(
            Generation(
                campaign="planned",
                generation=index,
                campaign_id=campaign.id,
                index=index,
                n_labelled=32 if index == 0 else 12,
                timings=(timing,),
                parents=(campaign.id,),
            )
        )
    seen = outlook(archive, archive.get(Campaign, campaign.id))
    first, second = seen.closed
    assert (first.planned_labels, first.labels, second.planned_labels, second.labels) == (44, 44, 12, 12)
    assert first.predicted["label"].spread > 0.5  # a prior: nothing had been computed
    known = 6 * (law(36) + law(27))
    assert second.predicted["label"].value == pytest.approx(known, rel=0.1)
    assert second.spent["label"] == pytest.approx(3 * known)
    assert seen.n_generations == 3
    assert seen.n_labels == 3 * 12
    assert seen.core_hours.value > 3 * known


@pytest.mark.mongo
def test_runs_of_this_shape_price_dynamics_and_a_blown_up_run_counts_as_far_as_it_came(archive):
    campaign = new_campaign(archive, spec())
    cell = campaign.phases["ideal"]
    committee = Committee(campaign="planned", generation=0, members=("mod_0",), elements=("Li",), dataset="dat_0")
    archive.put(committee)
    for seed, (status, steps) in enumerate([("ok", 5000)] * 6 + [("blown_up", 500)] * 6):
        archive.put(
            Trajectory(
                campaign="planned",
                generation=1,
                purpose="exploration",
                structure=cell,
                committee=committee.id,
                n_atoms=36,
                formula="Cl6Li2Zr",
                ensemble="nvt",
                temperature_k=500,
                steps=5000,
                time_step_fs=1.0,
                sample_every=100,
                seed=seed,
                engine="gpumd",
                n_frames=50,
                health=Health(status=status, reason="" if status == "ok" else "hot", last_step=steps),
                core_hours=36 * steps * 1e-9,
                wall_s=1.0,
                provenance=Provenance(executable="lizrcl-gpumd"),
                parents=(cell, committee.id),
            )
        )
    source = plan_campaign(archive.get(Campaign, campaign.id), archive).sources["explore"]
    assert source.source == "12 runs with this shape"
    assert source.law.predict([36 * 5000]).value == pytest.approx(36 * 5000e-9, rel=0.1)
    assert source.law.exponent == pytest.approx(1.0, abs=0.05)


@pytest.mark.mongo
def test_what_a_running_turn_has_done_still_counts_as_to_do(archive):
    campaign = new_campaign(archive, spec(budget={"labels": 60}, max_generations=9))
    level = CampaignMaker.from_spec(spec()).generation.labeller.level()
    put_labels(archive, level, [27] * 5)
    archive.spend(campaign.id, labels=5, core_hours=5 * law(27), key="test")
    plan = plan_campaign(archive.get(Campaign, campaign.id), archive)
    assert (plan.labels_spent, plan.core_hours_spent) == (0, pytest.approx(0.0, abs=1e-12))
    assert sum(turn.work.n_labels + turn.work.n_holdout for turn in plan.turns) == 60
