"""`lizrcl lineage` where a job failed: what failed first, what it said, and the command that repeats it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from fireworks import Firework, LaunchPad, PyTask, ScriptTask, Workflow

from lizrcl_flows.documents import Campaign, Generation, Label
from lizrcl_flows.jobs.submitters import FireWorksSubmitter

pytestmark = pytest.mark.mongo


@pytest.fixture(scope="module")
def failed(stored, tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """Run a workflow of the campaign whose first job succeeds and whose second one fails; two more wait."""
    folder = tmp_path_factory.mktemp("launches")
    generation = Generation.id_for(campaign_id=stored.campaign, index=1)
    with FireWorksSubmitter(stored.archive.uri, stored.archive.database_name) as submitter:
        submitter.prepare()
        launchpad: LaunchPad = submitter.launchpad
        said = "int('1o')"
        works = Firework([ScriptTask.from_str("echo fine")], name="explore", fw_id=-1)
        fails = Firework([PyTask(func="builtins.eval", args=[said])], name="train member 0", fw_id=-2)
        waits = Firework([ScriptTask.from_str("echo on")], name="committee", fw_id=-3)
        closes = Firework([ScriptTask.from_str("echo on")], name="close generation", fw_id=-4)
        links = {works: [fails], fails: [waits], waits: [closes]}
        metadata = {"campaign": "small", "generation_id": generation}
        ids = launchpad.add_wf(Workflow([works, fails, waits, closes], links, metadata=metadata))
        (folder / "my_launchpad.yaml").write_text(launchpad.to_format("yaml"))
        rlaunch = [str(Path(sys.executable).parent / "rlaunch"), "-s", "-l", "my_launchpad.yaml"]
        subprocess.run([*rlaunch, "rapidfire", "--nlaunches", "2"], cwd=folder, check=True, timeout=60)
        launch = launchpad.launches.find_one({"fw_id": ids[-2]})
        (Path(launch["launch_dir"]) / "FW_job-7.error").write_text("slurmstepd: oom-kill event\n")
    return {"works": ids[-1], "fails": ids[-2], "waits": ids[-3], "closes": ids[-4]}


@pytest.mark.parametrize("subject", ["campaign", "generation", "waits", "closes", "fails"])
def test_the_first_failure_comes_first(lizrcl, stored, failed: dict[str, int], subject: str) -> None:
    generation = Generation.id_for(campaign_id=stored.campaign, index=1)
    name = {"campaign": stored.campaign, "generation": generation}.get(subject) or str(failed[subject])
    outcome = lizrcl("lineage", name)
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    assert lines[0].startswith(f"Firework {failed['fails']} (train member 0) of campaign small failed: ValueError:")
    assert "invalid literal for int()" in lines[0]
    assert lines[0].endswith("2 more wait for it")
    assert "slurmstepd: oom-kill event" in outcome.out
    assert f"  repeat it: lpad rerun_fws -i {failed['fails']}" in lines
    (cause,) = json.loads(lizrcl("lineage", name, "--json").out)["failures"]
    assert cause["fw_id"] == failed["fails"]
    assert Path(cause["directory"], "FW_job-7.error").is_file()
    assert cause["command"] == f"lpad rerun_fws -i {failed['fails']}"


def test_what_did_not_fail_says_nothing(lizrcl, stored, failed: dict[str, int]) -> None:
    for name in (str(failed["works"]), stored.transport, stored.labels[0]):
        outcome = lizrcl("lineage", name)
        assert outcome.code == 0
        assert "failed:" not in outcome.out
        assert "failures" not in json.loads(lizrcl("lineage", stored.transport, "--json").out)
    assert "explore) is COMPLETED" in lizrcl("lineage", str(failed["works"])).out
    missing = lizrcl("lineage", "99999")
    assert missing.code == 3
    assert "99999" in missing.err


def test_a_label_that_never_came_leads_to_its_batch(lizrcl, stored, failed: dict[str, int]) -> None:
    """Jobs as jobflow stores them; the batch is fizzled as a lost worker leaves it."""
    from jobflow import Flow

    from lizrcl_flows.engines.labelling.ase import AseLabeller
    from lizrcl_flows.jobs.labelling import label_batch

    level = stored.archive.get(Label, stored.labels[0]).level
    campaign = stored.archive.get(Campaign, stored.campaign)
    labeller = AseLabeller(calculator=campaign.spec.labelling.calculator)
    wanted = [stored.structures[-1], stored.structures[-2]]
    batch = label_batch(campaign.id, 1, wanted, "train", labeller, level)
    with FireWorksSubmitter(stored.archive.uri, stored.archive.database_name) as submitter:
        (fw_id,) = submitter.submit(Flow([batch]), "another turn", "other")
        submitter.launchpad.fireworks.update_one({"fw_id": fw_id}, {"$set": {"state": "FIZZLED"}})
        missing = Label.id_for(structure=wanted[1], level=level)
        assert not stored.archive.exists(Label, missing)
        content = json.loads(lizrcl("lineage", missing, "--json").out)
        assert [cause["fw_id"] for cause in content["failures"]] == [fw_id]
        assert content["parents"] == []
        assert "is not in the archive yet" in lizrcl("lineage", missing).out
