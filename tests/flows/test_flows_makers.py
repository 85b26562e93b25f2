"""Makers and engines survive the workflow file and the LaunchPad unchanged."""

import json

import pytest
from fireworks import Workflow
from jobflow.managers.fireworks import flow_to_workflow
from monty.json import MontyDecoder

from lizrcl_flows.documents import Campaign
from lizrcl_flows.flows.campaign import CampaignMaker
from lizrcl_flows.flows.launchpad_files import PARTS, launchpad_file, write_launchpad_files
from lizrcl_flows.jobs.submitters import FireWorksSubmitter
from lizrcl_flows.systems import load_campaign


@pytest.fixture
def campaign():
    spec = load_campaign({"name": "test", "system": "demo"})
    return Campaign(name="test", spec=spec, phases={phase.name: f"str_{phase.name}" for phase in spec.phases})


def makers_in(value):
    """Every CampaignMaker in a serialised workflow."""
    if isinstance(value, dict):
        if value.get("@class") == "CampaignMaker":
            yield MontyDecoder().process_decoded(value)
        for item in value.values():
            yield from makers_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from makers_in(item)


@pytest.mark.parametrize("turn", [0, 3, "production"])
def test_a_maker_survives_the_workflow_file(campaign, tmp_path, turn):
    maker = CampaignMaker.from_spec(campaign.spec)
    workflow = flow_to_workflow(maker.make_turn(campaign, turn), store=None)
    path = tmp_path / "turn.json"
    workflow.to_file(str(path))
    found = list(makers_in(json.loads(path.read_text())))
    assert found
    assert all(again == maker for again in found)
    assert len(Workflow.from_file(str(path)).fws) == len(workflow.fws)


@pytest.mark.parametrize("turn", [0, 3, "production"])
def test_every_job_has_a_category_and_carries_ids_only(campaign, turn):
    workflow = flow_to_workflow(CampaignMaker.from_spec(campaign.spec).make_turn(campaign, turn), store=None)
    for firework in workflow.fws:
        assert firework.spec["_category"] in ("cpu", "dft", "gpu")
        assert firework.to_dict()["spec"]["_tasks"][0].get("store") is None
        assert len(json.dumps(firework.to_dict(), default=str)) < 12_000


@pytest.mark.mongo
def test_a_maker_survives_the_launchpad(campaign, archive):
    maker = CampaignMaker.from_spec(campaign.spec)
    with FireWorksSubmitter(archive.uri, archive.database_name) as submitter:
        submitter.prepare()
        submitter.submit(maker.make_turn(campaign, 1), "gen_1", "test")
        stored = [firework["spec"] for firework in submitter.launchpad.fireworks.find({})]
    found = list(makers_in(json.loads(json.dumps(stored, default=str))))
    assert found
    assert all(again == maker for again in found)


def test_launchpad_files_are_the_same_every_time(tmp_path):
    names = [f"{system}_{part}.json" for system in ("demo", "zro2_li2zrcl6") for part in PARTS]
    assert launchpad_file("demo", "campaign") == launchpad_file("demo", "campaign")
    assert [path.name for path in write_launchpad_files(tmp_path)] == names
    assert write_launchpad_files(tmp_path, check=True) == []
    (tmp_path / names[0]).write_text("{}")
    assert write_launchpad_files(tmp_path, check=True) == [tmp_path / names[0]]
    assert (tmp_path / names[0]).read_text() == "{}"


def test_production_is_closed_when_every_run_is_measured_and_analysed(campaign):
    """Whoever sees a complete campaign may stop its workers, as the demo does."""
    flow = CampaignMaker.from_spec(campaign.spec).make_turn(campaign, "production")
    names = {job.uuid: job.name for job, _ in flow.iterflow()}
    closing = next(job for job, _ in flow.iterflow() if job.name == "close production")
    awaited = {names[uuid] for uuid in closing.input_uuids}
    assert {name for name in names.values() if name.startswith(("produce", "diffusion", "analyse", "fit"))} == awaited
    assert any(name.startswith("analyse") for name in awaited)
