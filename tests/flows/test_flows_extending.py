"""A campaign's file changes in what may change, at any time; an ended campaign goes on; what may not says why."""

import pytest

from lizrcl_flows.documents import Campaign, Committee, ConvergenceEvidence, Generation, Origin, Structure
from lizrcl_flows.documents.campaigns import EXTENDED
from lizrcl_flows.documents.changes import changeable_keys, differences, reason_against
from lizrcl_flows.errors import InputError
from lizrcl_flows.flows.campaigns import set_paused
from lizrcl_flows.flows.extending import More, extend_campaign
from lizrcl_flows.jobs.beginning import new_campaign
from lizrcl_flows.jobs.turns import PRODUCTION, advance, next_step, turn_id
from lizrcl_flows.systems import load_campaign

NO_MORE = More()


def store(archive, *, committee=True, **overrides):
    cell = Structure(
        n_atoms=1,
        numbers=[3],
        cell=[[3, 0, 0], [0, 3, 0], [0, 0, 3]],
        positions=[[0, 0, 0]],
        formula="Li",
        chemical_system="Li",
        origin=Origin(kind="bundled"),
    )
    archive.put(cell)
    spec = load_campaign({"name": "test", "system": "demo", "max_generations": 2, **overrides})
    campaign = Campaign(
        name="test", spec=spec, phases={phase.name: cell.id for phase in spec.phases}, parents=(cell.id,)
    )
    archive.put(campaign)
    if committee:
        archive.put(
            Committee(campaign="test", generation=0, members=("mod_0",), elements=("Li",), dataset="dat_0", parents=())
        )
    return campaign


def close(archive, campaign, *met, first=0, stalled=""):
    for index, good in enumerate(met, start=first):
        evidence = ConvergenceEvidence(n_frames_in_target=9, fraction_above_eps_lo=0.0 if good else 0.5, met=good)
        archive.put(
            Generation(
                campaign="test",
                generation=index,
                campaign_id=campaign.id,
                index=index,
                convergence=evidence if index else None,
                stalled_reason=stalled,
                parents=(campaign.id,),
            )
        )


def step(archive, campaign):
    return next_step(archive, archive.get(Campaign, campaign.id))


def now(archive, campaign):
    return archive.get(Campaign, campaign.id)


@pytest.mark.mongo
def test_a_change_between_turns_is_an_event_and_what_jobs_go_by(archive):
    campaign = store(archive)
    done = extend_campaign(
        archive, campaign.id, {"screening.eps_hi": 4, "budget": {"labels": 500}}, NO_MORE, why="more"
    )
    assert done.changed == {"screening.eps_hi": (5.0, 4.0), "budget.labels": (100, 500)}
    entry = now(archive, campaign)
    assert (entry.current.screening.eps_hi, entry.current.budget.labels) == (4.0, 500)
    assert entry.spec.screening.eps_hi == 5.0
    assert entry.digest == campaign.digest
    event = archive.events(campaign.id)[-1]
    assert (event.kind, event.field, event.why) == (EXTENDED, "changes", "more")
    extend_campaign(archive, campaign.id, {"screening.eps_hi": 5.0}, NO_MORE)
    assert now(archive, campaign).changes == {"budget.labels": 500}


@pytest.mark.mongo
def test_a_dry_run_changes_nothing(archive):
    campaign = store(archive)
    done = extend_campaign(archive, campaign.id, {}, More(generations=3), dry_run=True)
    assert done.changed == {"max_generations": (2, 5)}
    assert now(archive, campaign).changes == {}


@pytest.mark.mongo
@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"seed": 3}, "seed of campaign 'test' cannot change: all random numbers"),
        ({"training.neurons": 30}, "training.neurons of campaign 'test' cannot change: committees"),
        ({"labelling": {"calculator": "chgnet"}}, "labelling.calculator of campaign 'test' cannot change: it would be"),
        ({"exploration.engine": "ase"}, "exploration.engine of campaign 'test' cannot change"),
        ({"budget.lables": 3}, "no key 'budget.lables'; did you mean 'budget.labels'?"),
        ({"budget.labels": -3}, "budget.labels: -3 is not accepted"),
        ({"screening.eps_lo": 9.0}, "eps_hi must be larger than eps_lo"),
        ({"budget": 3}, "budget is a section"),
        ({"max_generations": 2}, "nothing would change"),
        ({}, "say what changes"),
    ],
)
def test_what_may_not_change_says_why(archive, changes, sentence):
    campaign = store(archive)
    with pytest.raises(InputError) as refused:
        extend_campaign(archive, campaign.id, changes, NO_MORE)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)
    assert now(archive, campaign).changes == {}


@pytest.mark.mongo
def test_a_campaign_at_its_limit_goes_on_for_so_many_generations_more(archive):
    campaign = store(archive, production=[])
    close(archive, campaign, False, False, False)
    advance(archive, campaign.id, None, None)
    assert now(archive, campaign).state == "complete"
    done = extend_campaign(archive, campaign.id, {}, More(generations=2))
    assert done.reopened
    assert now(archive, campaign).state == "running"
    assert step(archive, campaign).turn == 3
    close(archive, campaign, False, False, first=3)
    assert step(archive, campaign).why == "the limit of 4 generations is reached"


@pytest.mark.mongo
def test_a_converged_campaign_goes_on_and_converges_by_later_generations_only(archive):
    campaign = store(archive, max_generations=9)
    close(archive, campaign, False, True, True)
    advance(archive, campaign.id, None, None)
    assert now(archive, campaign).state == "converged"
    extend_campaign(archive, campaign.id, {}, More(generations=5))
    assert step(archive, campaign).turn == 3
    close(archive, campaign, True, first=3)
    assert step(archive, campaign).turn == 4
    close(archive, campaign, True, first=4)
    assert step(archive, campaign).state == "converged"


@pytest.mark.mongo
def test_a_spent_budget_that_stays_spent_is_said(archive):
    campaign = store(archive, budget={"labels": 10})
    close(archive, campaign, False)
    archive.spend(campaign.id, labels=10, key="test")
    advance(archive, campaign.id, None, None)
    done = extend_campaign(archive, campaign.id, {}, More(generations=4))
    assert not done.reopened
    assert done.notes == ["learning does not go on yet: the budget of 10 labels is spent"]
    assert extend_campaign(archive, campaign.id, {}, More(labels=5)).reopened
    assert step(archive, campaign).turn == 1


@pytest.mark.mongo
def test_a_stalled_campaign_goes_on_unless_it_has_no_committee(archive):
    campaign = store(archive, max_generations=9)
    close(archive, campaign, False)
    close(archive, campaign, False, first=1, stalled="none of the labels was accepted")
    advance(archive, campaign.id, None, None)
    extend_campaign(archive, campaign.id, {"labelling.time_limit_s": 900}, NO_MORE)
    assert (now(archive, campaign).state, step(archive, campaign).turn) == ("running", 2)


@pytest.mark.mongo
def test_without_a_committee_there_is_nothing_to_go_on_from(archive):
    campaign = store(archive, committee=False)
    close(archive, campaign, False, stalled="generation 0 ended without a committee")
    with pytest.raises(InputError, match="it has no committee"):
        extend_campaign(archive, campaign.id, {}, More(generations=2))


@pytest.mark.mongo
def test_after_production_learning_goes_on_and_production_runs_again_with_the_new_committee(archive):
    campaign = store(archive)
    first = next(archive.find(Committee, {})).id
    close(archive, campaign, False, False, False)
    archive.open_turn(turn_id(campaign.id, PRODUCTION), campaign.id, PRODUCTION)
    archive.mark(turn_id(campaign.id, PRODUCTION), "closed", committees=[first])
    advance(archive, campaign.id, None, None)
    with pytest.raises(InputError, match="cannot change but for piece_steps: its runs have been submitted"):
        extend_campaign(archive, campaign.id, {"production": []}, NO_MORE)
    pieces = [{**campaign.spec.production[0].model_dump(mode="json"), "piece_steps": 5000}]
    extend_campaign(archive, campaign.id, {"production": pieces}, NO_MORE)
    assert now(archive, campaign).current.production[0].piece_steps == 5000
    done = extend_campaign(archive, campaign.id, {}, More(generations=1))
    assert "it runs again with that of the end of learning" in done.notes[0]
    assert step(archive, campaign).turn == 3
    close(archive, campaign, False, first=3)
    assert step(archive, campaign).state == "complete"  # generation 3 brought no committee
    newer = Committee(campaign="test", generation=3, members=("mod_3",), elements=("Li",), dataset="dat_3", parents=())
    archive.put(newer)
    again = step(archive, campaign)
    assert (again.turn, again.state) == (f"{PRODUCTION}/{newer.id}", "at_limit")
    archive.open_turn(turn_id(campaign.id, again.turn), campaign.id, again.turn)
    archive.mark(turn_id(campaign.id, again.turn), "closed", committees=[newer.id])
    assert step(archive, campaign).state == "complete"
    generation = next(archive.find(Generation, {"index": 3}))
    archive.record_event(generation.id, "rollback", field="state", value="rolled_back")
    assert step(archive, campaign).state == "complete"  # the committee before has been through the first production


@pytest.mark.mongo
def test_pause_extend_and_resume_in_any_order(archive):
    campaign = store(archive, max_generations=9)
    close(archive, campaign, False, True, True)
    advance(archive, campaign.id, None, None)
    set_paused(archive, campaign.id, paused=True, who="me", why="")
    extend_campaign(archive, campaign.id, {}, More(generations=2))
    assert (now(archive, campaign).state, step(archive, campaign).turn) == ("paused", None)
    set_paused(archive, campaign.id, paused=False, who="me", why="")
    assert step(archive, campaign).turn == 3


@pytest.mark.mongo
def test_during_a_turn_the_note_says_which_jobs_see_it(archive):
    campaign = store(archive)
    archive.open_turn(turn_id(campaign.id, 0), campaign.id, 0)
    archive.mark(turn_id(campaign.id, 0), "submitted", fw_ids=[1])
    done = extend_campaign(archive, campaign.id, {"selection.n_structures": 5}, NO_MORE)
    assert done.notes == [
        "generation 0 is running: those of its jobs that have not begun go by the new selection.n_structures"
    ]
    assert step(archive, campaign).turn == 0


@pytest.mark.mongo
def test_two_changes_at_once_lose_none(archive, monkeypatch):
    campaign = store(archive)
    get, raced = archive.get, []

    def racing(kind, name):
        found = get(kind, name)
        if kind is Campaign and not raced:
            raced.append(True)
            extend_campaign(archive, campaign.id, {"budget.labels": 7}, NO_MORE)
        return found

    monkeypatch.setattr(archive, "get", racing)
    extend_campaign(archive, campaign.id, {"budget.core_hours": 3.0}, NO_MORE)
    assert now(archive, campaign).changes == {"budget.labels": 7, "budget.core_hours": 3.0}


@pytest.mark.mongo
def test_a_changed_file_of_the_same_name_says_what_differs(archive):
    content = {"name": "twice", "system": "demo"}
    first = new_campaign(archive, load_campaign(content))
    with pytest.raises(InputError) as refused:
        new_campaign(archive, load_campaign({**content, "seed": 9, "budget": {"labels": 7}}))
    assert "seed 1 there and 9 in the file" in str(refused.value)
    assert "seed cannot change" in str(refused.value)
    wanted = load_campaign({**content, "budget": {"labels": 7}})
    with pytest.raises(InputError, match=r"`lizrcl campaign extend twice budget\.labels=7` changes it"):
        new_campaign(archive, wanted)
    extend_campaign(archive, first.id, {"budget.labels": 7}, NO_MORE)
    assert new_campaign(archive, wanted).id == first.id
    assert archive.count(Campaign) == 1


def test_every_key_may_change_or_says_why_not():
    spec = load_campaign({"name": "a", "system": "zro2_li2zrcl6"})
    other = load_campaign({"name": "b", "system": "demo"})
    keys = differences(spec, other)
    assert {"name", "elements", "phases", "labelling.engine", "training.neurons"} <= set(keys)
    for key in keys:
        assert bool(reason_against(key)) == (key not in changeable_keys())
