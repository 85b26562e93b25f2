"""What comes next is read from the archive, and submitted once."""

import time

import pytest

from lizrcl_flows.documents import Campaign, Committee, ConvergenceEvidence, Generation, Origin, Structure, Trajectory
from lizrcl_flows.jobs.turns import PRODUCTION, advance, next_step, submit_once, submit_part, turn_id
from lizrcl_flows.systems import load_campaign

pytestmark = pytest.mark.mongo


class Recorder:
    """A workflow manager that remembers what it was given."""

    def __init__(self, *, dies=False):
        self.flows: dict[str, list[int]] = {}
        self.dies = dies

    def find(self, turn):
        return self.flows.get(turn, [])

    def submit(self, flow, turn, campaign):
        self.flows[turn] = [len(self.flows) + 1]
        if self.dies:
            raise KeyboardInterrupt
        return self.flows[turn]


class Maker:
    manager = "fireworks"

    def make_turn(self, campaign, turn):
        return f"flow of {turn}"


def store(archive, **overrides):
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
    return campaign


def close(archive, campaign, index, *, met=False, stalled=""):
    evidence = ConvergenceEvidence(n_frames_in_target=9, fraction_above_eps_lo=0.0 if met else 0.5, met=met)
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


def test_generations_follow_each_other_until_the_limit_then_production_then_the_end(archive):
    campaign = store(archive)
    assert step(archive, campaign).turn == 0
    for index in (0, 1):
        close(archive, campaign, index)
        assert (step(archive, campaign).turn, step(archive, campaign).state) == (index + 1, "running")
    close(archive, campaign, 2)
    assert (step(archive, campaign).turn, step(archive, campaign).state) == (PRODUCTION, "at_limit")
    archive.open_turn(turn_id(campaign.id, PRODUCTION), campaign.id, PRODUCTION)
    archive.mark(turn_id(campaign.id, PRODUCTION), "closed")
    assert (step(archive, campaign).turn, step(archive, campaign).state) == (None, "complete")


def test_a_converged_campaign_goes_to_production_before_the_limit(archive):
    campaign = store(archive, max_generations=9)
    for index, met in enumerate([False, True, True]):
        close(archive, campaign, index, met=met)
    assert (step(archive, campaign).turn, step(archive, campaign).state) == (PRODUCTION, "converged")


def test_one_good_generation_is_not_convergence(archive):
    campaign = store(archive, max_generations=9)
    for index, met in enumerate([False, False, True]):
        close(archive, campaign, index, met=met)
    assert step(archive, campaign).turn == 3


def test_a_spent_budget_ends_learning(archive):
    campaign = store(archive, budget={"labels": 10})
    close(archive, campaign, 0)
    archive.spend(campaign.id, labels=10, key="test")
    assert (step(archive, campaign).turn, step(archive, campaign).state) == (PRODUCTION, "out_of_budget")


def test_a_stalled_generation_stops_the_campaign_with_its_reason(archive):
    campaign = store(archive)
    close(archive, campaign, 0, stalled="none of the 6 labels was accepted")
    report = advance(archive, campaign.id, Maker(), Recorder())
    assert (report.turn, report.state, report.submitted) == (None, "stalled", False)
    assert archive.get(Campaign, campaign.id).state == "stalled"
    assert archive.events(campaign.id)[-1].why == "none of the 6 labels was accepted"


def test_a_paused_campaign_submits_nothing(archive):
    campaign, submitter = store(archive), Recorder()
    archive.record_event(campaign.id, "state", field="state", value="paused")
    assert advance(archive, campaign.id, Maker(), submitter).turn is None
    assert submitter.flows == {}


def test_advancing_again_submits_nothing_again(archive):
    campaign, submitter = store(archive), Recorder()
    assert advance(archive, campaign.id, Maker(), submitter).submitted
    assert not advance(archive, campaign.id, Maker(), submitter).submitted
    assert list(submitter.flows) == [turn_id(campaign.id, 0)]
    assert archive.get(Campaign, campaign.id).state == "running"


def test_a_crash_after_the_submission_does_not_submit_twice(archive, monkeypatch):
    campaign, dying = store(archive), Recorder(dies=True)
    with pytest.raises(KeyboardInterrupt):
        submit_once(archive, campaign, 0, Maker(), dying)
    name = turn_id(campaign.id, 0)
    assert archive.turn(name)["state"] == "submitting"
    dying.dies = False
    submit_once(archive, campaign, 0, Maker(), dying)
    assert dying.flows == {name: [1]}
    assert archive.turn(name)["state"] == "submitted"


def test_a_lease_keeps_others_out_until_it_ends(archive, monkeypatch):
    campaign, submitter = store(archive), Recorder()
    name = turn_id(campaign.id, 0)
    archive.open_turn(name, campaign.id, 0)
    assert archive.lease(name, "another host:1", 1.0)
    assert not submit_once(archive, campaign, 0, Maker(), submitter)
    assert submitter.flows == {}
    time.sleep(1.1)
    assert submit_once(archive, campaign, 0, Maker(), submitter)


def test_a_turn_whose_workflow_was_lost_with_the_queue_is_submitted_again(archive):
    campaign, manager = store(archive), Recorder()
    assert submit_once(archive, campaign, 0, Maker(), manager)
    assert not submit_once(archive, campaign, 0, Maker(), manager)
    manager.flows.clear()
    assert submit_once(archive, campaign, 0, Maker(), manager)
    assert not submit_once(archive, campaign, 0, Maker(), manager)
    archive.mark(turn_id(campaign.id, 0), "closed")
    manager.flows.clear()
    assert not submit_once(archive, campaign, 0, Maker(), manager)


def test_a_production_closed_by_an_older_version_is_known_by_its_runs(archive):
    campaign = store(archive)
    for index in range(3):
        close(archive, campaign, index)
    old, new = (
        Committee(campaign="test", generation=index, members=(f"mod_{index}",), elements=("Li",), dataset="dat_0")
        for index in (0, 2)
    )
    cell = campaign.phases["alpha"]
    run = {"ensemble": "nvt", "temperature_k": 300, "steps": 10, "time_step_fs": 1, "sample_every": 1, "seed": 0}
    kept = {"n_atoms": 1, "formula": "Li", "n_frames": 10, "health": {"status": "ok"}, "engine": "gpumd"}
    archive.put_many(
        [old, Trajectory(purpose="production", structure=cell, committee=old.id, campaign="test", **run, **kept)]
    )
    archive.open_turn(turn_id(campaign.id, PRODUCTION), campaign.id, PRODUCTION)
    archive.mark(turn_id(campaign.id, PRODUCTION), "closed", transports=[])
    assert step(archive, campaign).state == "complete"
    archive.put(new)
    submitter = Recorder()
    for _ in range(2):
        report = advance(archive, campaign.id, Maker(), submitter)
        assert report.turn == f"{PRODUCTION}/{new.id}"
    assert list(submitter.flows) == [f"{campaign.id}/{PRODUCTION}/{new.id}"]
    report = submit_part(archive, archive.get(Campaign, campaign.id), PRODUCTION, Maker(), submitter)
    assert not report.submitted
