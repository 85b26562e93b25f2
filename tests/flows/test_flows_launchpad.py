"""The FireWorks way from the first command: start the database, `lpad add` the shipped file, let a worker begin."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lizrcl_flows.archive import Archive
from lizrcl_flows.archive.server import stop
from lizrcl_flows.documents import Campaign, Committee, Dataset, Label, Transport
from lizrcl_flows.flows.campaign import CampaignMaker
from lizrcl_flows.flows.campaigns import find_campaign
from lizrcl_flows.jobs.beginning import begin_campaign
from lizrcl_flows.jobs.routing import in_category
from lizrcl_flows.jobs.submitters import FireWorksSubmitter
from lizrcl_flows.settings import load_settings

pytestmark = pytest.mark.mongo
BIN = Path(sys.executable).parent
LAUNCHPAD = Path(__file__).parents[2] / "launchpad"


def run(*command, **environment):
    done = subprocess.run(
        [str(BIN / command[0]), *map(str, command[1:])],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_shipped_file_begins_its_campaign(tmp_path, monkeypatch):
    for name in ("LIZRCL_DB_URI", "LIZRCL_DB_NAME", "PYTHONDONTWRITEBYTECODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LIZRCL_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    variables = json.loads(run("lizrcl", "db", "start", "--json"))["environment"]
    try:
        run("lpad", "add", LAUNCHPAD / "demo_campaign.json", **variables)
        run("rlaunch", "singleshot", **variables)
        with Archive.connect(settings=load_settings(db_uri=variables["LIZRCL_DB_URI"])) as archive:
            campaign = next(iter(archive.find(Campaign, {"name": "demo"})))
            assert campaign.state == "running"
            names = {firework["name"] for firework in archive.connection["fireworks"].find({})}
        assert {"begin demo campaign", "choose first structures", "close generation"} <= names
    finally:
        stop(load_settings())


def test_a_campaign_can_be_begun_in_parts(workplace):
    archive = workplace.archive
    spec = workplace.campaign().spec

    def begin(part):
        with FireWorksSubmitter(archive.uri, archive.database_name) as submitter:
            submitter.prepare()
            job = in_category(begin_campaign(spec, CampaignMaker.from_spec(spec), part), "cpu", f"begin {part}")
            submitter.submit(job, f"begin {part}", "small")
            workplace.finish()
            last = submitter.launchpad.fireworks.find_one({"name": f"begin {part}"}, sort=[("fw_id", -1)])
            launch = submitter.launchpad.launches.find_one({"launch_id": last["launches"][-1]})
            return launch["action"]["stored_data"].get("_exception", {}).get("_stacktrace", "")

    assert begin("initial") == ""
    assert archive.count(Dataset) == 2
    labels = archive.count(Label)
    assert archive.count(Committee) == 0
    assert "campaign small is learning" in begin("production")
    assert begin(None) == ""
    assert find_campaign(archive, "small").state == "complete"
    assert archive.count(Dataset) == 3
    assert archive.count(Label, {"generation": 0}) == labels
    transports = archive.count(Transport)
    assert transports
    assert begin("initial") == begin("production") == ""  # both had been submitted; nothing is doubled
    assert archive.count(Dataset) == 3
    assert archive.count(Transport) == transports
