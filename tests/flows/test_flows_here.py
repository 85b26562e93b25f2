"""`lizrcl campaign run`: one machine, no queue; killed and called again it ends with the same documents."""

import signal
import subprocess
import time

import pytest

from lizrcl_flows.documents import Model
from lizrcl_flows.errors import InputError
from lizrcl_flows.flows.campaigns import find_campaign, run_campaign, start_campaign

pytestmark = pytest.mark.mongo


def start_run(workplace, programs):
    with (workplace.directory / "run.log").open("a") as log:
        return subprocess.Popen(
            [str(programs / "lizrcl"), "campaign", "run", "small"], stdout=log, stderr=subprocess.STDOUT
        )


def test_killed_in_training_and_called_again_it_ends_the_same(workplace, programs):
    archive = workplace.archive
    workplace.campaign()
    process = start_run(workplace, programs)
    deadline = time.monotonic() + 120
    while not archive.count(Model, {}):  # one member is done, the next one is at work
        assert process.poll() is None, (workplace.directory / "run.log").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert find_campaign(archive, "small").state == "running"
    assert start_run(workplace, programs).wait(200) == 0, (workplace.directory / "run.log").read_text()
    assert find_campaign(archive, "small").state == "complete"
    resumed = workplace.ids()
    archive.connection.client.drop_database(archive.database_name)
    archive.init()
    run_campaign(archive, workplace.campaign().id, workplace.job_store, workplace.launches)
    assert workplace.ids() == resumed


def test_what_is_on_the_launchpad_is_not_run_here_as_well(workplace):
    campaign = workplace.campaign()
    start_campaign(workplace.archive, campaign.id)
    with pytest.raises(InputError, match="is on the LaunchPad already"):
        run_campaign(workplace.archive, campaign.id, workplace.job_store, workplace.launches)
