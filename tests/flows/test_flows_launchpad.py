"""The FireWorks way from the first command: start the database, `lpad add` the shipped file, let a worker begin."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lizrcl_flows.archive import Archive
from lizrcl_flows.archive.server import stop
from lizrcl_flows.documents import Campaign
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
        run("lpad", "add", LAUNCHPAD / "demo.json", **variables)
        run("rlaunch", "singleshot", **variables)
        with Archive.connect(settings=load_settings(db_uri=variables["LIZRCL_DB_URI"])) as archive:
            campaign = next(iter(archive.find(Campaign, {"name": "demo"})))
            assert campaign.state == "running"
            names = {firework["name"] for firework in archive.connection["fireworks"].find({})}
        assert {"begin demo", "choose first structures", "close generation"} <= names
    finally:
        stop(load_settings())
