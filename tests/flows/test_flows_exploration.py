"""Where the runs of a generation go: decided once, from what the generations before found, and then really run."""

from collections import Counter

import pytest

from lizrcl_flows.documents import Campaign, Generation, Trajectory
from lizrcl_flows.documents.campaigns import EXPLORATION, LedgerEntry
from lizrcl_flows.engines.dynamics.gpumd import GpumdDynamics
from lizrcl_flows.errors import LizrclError
from lizrcl_flows.flows.campaigns import run_campaign
from lizrcl_flows.flows.progress import _exploration_stages
from lizrcl_flows.jobs.exploration import explore, ledgers_before, planned_runs, submit_exploration
from lizrcl_flows.jobs.turns import turn_id

pytestmark = pytest.mark.mongo

HOT = {"ensemble": "nvt", "temperature_k": 2500}
CONDITIONS = [
    {"ensemble": "nvt", "temperature_k": 400},
    {"ensemble": "npt", "temperature_k": 600, "pressure_gpa": 0.1},
    HOT,
]

QUICK = {
    "training": {"committee_size": 2, "n_max": [2, 2], "basis_size": [4, 4], "neurons": 5, "steps": 60, "batch": 3},
    "initial": {"n_structures": 4, "n_holdout": 1, "strain_min": 0.01, "strain_max": 0.04, "rattle_a": [0.03, 0.12]},
    "production": [],
}


def exploration(**changes):
    return {"conditions": CONDITIONS, "steps": 100, "sample_every": 20, "runs_per_phase": 2, **changes}


def close(archive, campaign, index, entries):
    """Write a generation as if it had explored these cells."""
    generation = Generation(
        id=turn_id(campaign.id, index),
        campaign=campaign.name,
        generation=index,
        campaign_id=campaign.id,
        index=index,
        ledger=tuple(entries),
    )
    archive.put(generation)


def entry(run, **counts):
    where = {name: run[name] for name in ("phase", "ensemble", "temperature_k")}
    pressure = run["pressure_gpa"] if run["ensemble"] == "npt" else None
    return LedgerEntry(**where, pressure_gpa=pressure, **{"n_runs": 1, "n_explored": 5, **counts})


def cell(run):
    return run["phase"], run["temperature_k"]


def test_the_first_generations_cover_the_grid_and_then_the_worst_cell_gets_more(workplace):
    campaign = workplace.campaign(exploration=exploration(runs_per_phase=4))
    archive = workplace.archive
    first = planned_runs(campaign, 1, ledgers_before(archive, campaign.id, 1))
    assert Counter(run["phase"] for run in first) == {"ideal": 4, "alpha": 4}
    assert len({cell(run) for run in first}) == 6
    assert {(run["phase"], run["run"]) for run in first} == {(p, n) for p in ("ideal", "alpha") for n in range(4)}
    bad = ("alpha", 600.0)
    flagged = [entry(run, n_flagged=4 if cell(run) == bad else 0, n_candidates=1) for run in first]
    close(archive, campaign, 0, ())
    close(archive, campaign, 1, flagged)
    second = planned_runs(campaign, 2, ledgers_before(archive, campaign.id, 2))
    assert sum(cell(run) == bad for run in second) == 2  # a quarter of eight
    assert any(cell(run) == bad and run["refined"] for run in second)
    assert ledgers_before(archive, campaign.id, 1) == {0: ()}


def test_runs_are_decided_once_and_run_as_decided(workplace):
    archive = workplace.archive
    spec = {"max_generations": 1, "exploration": exploration(active_every=20), **QUICK}
    campaign = run_campaign(
        archive,
        workplace.campaign(**spec, screening={"eps_lo": 0.03, "eps_hi": 1e3}).id,
        workplace.job_store,
        workplace.launches,
    )
    (event,) = [event for event in archive.events(campaign.id) if event.kind == EXPLORATION]
    assert event.why == "2 runs walk over the grid, 2 go where the committee knows least"
    trajectories = list(archive.find(Trajectory, {"purpose": "exploration"}))
    assert len(trajectories) == len(event.value) == 4
    assert {(run.cell, run.temperature_k) for run in trajectories} == {cell(run) for run in event.value}
    for run in trajectories:
        assert run.active_threshold == pytest.approx(0.03 * 0.99)
        assert run.n_frames <= run.n_checked <= 100 // 20
        assert "active.out" in {file.name for file in run.files}

    # a file that changed since, or another worker's settings, change nothing about a generation that was begun
    archive.record_event(campaign.id, "extended", field="changes", value={"exploration.runs_per_phase": 5})
    dynamics = GpumdDynamics(command="lizrcl-gpumd")
    before = workplace.ids()
    again = submit_exploration.original(campaign.id, 1, dynamics)
    assert again.output["plan"] == event.value
    assert sorted(again.output["trajectories"]) == sorted(run.id for run in trajectories)
    assert [job.config.manager_config for job in again.detour.jobs] == [{"_category": "gpu"}] * 4
    ids = [explore.original(campaign.id, 1, run, dynamics) for run in event.value]
    assert ids == again.output["trajectories"]
    assert workplace.ids() == before
    campaign = archive.get(Campaign, campaign.id)
    explored = next(iter(_exploration_stages(archive, campaign, 1)))
    assert (explored.done, explored.total) == (4, 4)
    assert next(iter(_exploration_stages(archive, campaign, 2))).total == 10
    following = submit_exploration.original(campaign.id, 2, dynamics)
    assert len(following.detour.jobs) == 10

    # a run that blows up is a trajectory with the frames before it
    wild = {**event.value[0], "run": 99, "time_step_fs": 30.0, "steps": 4000, "sample_every": 1, **HOT}
    blown = archive.get(Trajectory, explore.original(campaign.id, 1, wild, dynamics))
    assert blown.health.status == "blown_up"
    assert 0 < blown.n_frames <= blown.n_checked < 4000


def test_a_campaign_that_blows_up_in_every_cell_stalls_and_says_so(workplace):
    violent = {"conditions": [HOT], "steps": 200, "sample_every": 100, "time_step_fs": 200.0, "runs_per_phase": 1}
    made = workplace.campaign(max_generations=3, exploration=violent, **QUICK)
    campaign = run_campaign(workplace.archive, made.id, workplace.job_store, workplace.launches)
    assert campaign.state == "stalled"
    trajectories = list(workplace.archive.find(Trajectory, {"purpose": "exploration"}))
    assert [(run.n_frames, run.health.status) for run in trajectories] == [(0, "blown_up")] * 2
    last = list(workplace.archive.find(Generation, {}, sort=[("index", 1)]))[-1]
    assert last.stalled_reason.startswith("by generation 1 every run in every cell of the grid has failed")


def test_without_a_committee_nothing_is_submitted(workplace):
    campaign = workplace.campaign()
    with pytest.raises(LizrclError, match="campaign small has no committee to run dynamics with"):
        submit_exploration.original(campaign.id, 1, GpumdDynamics())
    assert not [event for event in workplace.archive.events(campaign.id) if event.kind == EXPLORATION]
