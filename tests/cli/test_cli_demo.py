"""The demo's parts: workers as real processes, the watch over a real queue, what the displays say."""

import io
import math
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lizrcl_flows.archive.worker_config import write_worker_config
from lizrcl_flows.cli.demo.caretaker import Caretaker
from lizrcl_flows.cli.demo.display import LineDisplay, Snapshot, panel
from lizrcl_flows.cli.demo.session import MARK, delete_demo, exclusive
from lizrcl_flows.cli.demo.underway import with_runs_under_way
from lizrcl_flows.cli.demo.watch import watch
from lizrcl_flows.cli.demo.workers import RESTART_SECONDS, Workers, end_leftover_workers
from lizrcl_flows.cli.queue import Queue
from lizrcl_flows.documents import Campaign, Transport
from lizrcl_flows.errors import EngineError, InputError
from lizrcl_flows.flows.progress import Progress, Stage, campaign_progress
from lizrcl_flows.jobs.routing import in_category
from lizrcl_flows.science.coefficient_words import coefficient_sentence

PATIENCE_S = 60.0

ROW = {
    "generation": 1,
    "explored": 240,
    "rejected": {"atoms too close": 3},
    "selected": 8,
    "labelled": 7,
    "failed": 1,
    "eps_median": 0.21,
    "eps_max": 1.73,
    "rmse_force_before": 0.12,
    "rmse_force_after": 0.09,
    "rmse_energy_before": 0.004,
    "rmse_energy_after": 0.002,
}


@pytest.fixture
def queue(filled) -> Iterator[Queue]:
    """A LaunchPad beside the small archive."""
    with Queue.of(filled.archive) as opened:
        opened.launchpad.reset("", require_password=False)
        yield opened


def _add(queue: Queue, *calls: tuple[Callable[..., object], object]) -> None:
    """Put calls into the queue, each waiting for the one before, as a turn of the small campaign."""
    from jobflow import Flow, job
    from jobflow.managers.fireworks import flow_to_workflow

    jobs = [job(function)(argument) for function, argument in calls]
    for number, made in enumerate(jobs):
        in_category(made, "cpu", f"job {number}")
    flow = Flow(jobs, order="linear", name="turn")
    queue.launchpad.add_wf(flow_to_workflow(flow, store=None, metadata={"campaign": "small", "generation_id": "x"}))


@pytest.fixture
def workers(filled, tmp_path: Path) -> Iterator[Workers]:
    variables = write_worker_config(tmp_path / "config", filled.archive.uri, filled.archive.database_name)
    environment = {**os.environ, **variables}
    made = Workers(tmp_path, environment, tmp_path / "config" / "my_fworker.yaml", 1)
    yield made
    made.stop()


def _wait(condition, what: str) -> None:
    until = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < until, f"{what} did not happen"
        time.sleep(0.1)


@pytest.mark.mongo
def test_a_killed_worker_is_started_again_and_its_job_goes_back_to_the_queue(workers: Workers, queue: Queue) -> None:
    _add(queue, (math.sqrt, 4.0), (time.sleep, 1000))
    caretaker = Caretaker(workers, queue)
    with workers:
        _wait(lambda: queue.running("small") == ["job 1"], "the second job")
        assert queue.counts("small") == Counter({"COMPLETED": 1, "RUNNING": 1})
        first = workers.processes[1]
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
        time.sleep(max(0.0, RESTART_SECONDS - (time.monotonic() - workers.started[1])) + 0.1)
        caretaker.look()
        assert workers.processes[1].pid != first.pid
        _wait(lambda: queue.running("small") == ["job 1"], "the second job again")
        launches = queue.launchpad.launches.count_documents({"state": "RUNNING"})
        assert launches == 1
    assert workers.processes == {}
    assert len(queue.release("small")) == 1
    assert queue.counts("small") == Counter({"COMPLETED": 1, "READY": 1})


@pytest.mark.mongo
def test_a_job_whose_end_was_written_by_half_is_not_waited_for(workers: Workers, queue: Queue) -> None:
    _add(queue, (math.sqrt, 4.0), (math.sqrt, 9.0))
    with workers:
        _wait(lambda: queue.counts("small")["COMPLETED"] == 2, "both jobs")
    first = queue.launchpad.fireworks.find_one({"name": "job 0"})["fw_id"]
    second = queue.launchpad.fireworks.find_one({"name": "job 1"})["fw_id"]
    # what a worker leaves that is killed between the end of its job and the note of it: the launch has ended, the
    # Firework says that it runs, its child waits
    queue.launchpad.fireworks.update_one({"fw_id": first}, {"$set": {"state": "RUNNING"}})
    queue.launchpad.fireworks.update_one({"fw_id": second}, {"$set": {"state": "WAITING", "launches": []}})
    queue.launchpad.workflows.update_one(
        {"nodes": first},
        {"$set": {f"fw_states.{first}": "RUNNING", f"fw_states.{second}": "WAITING", "locked": True}},
    )
    assert queue.locked() == [min(first, second)]
    assert queue.release("small") == [first]
    assert queue.locked() == []
    assert queue.counts("small") == Counter({"COMPLETED": 1, "READY": 1})


@pytest.mark.mongo
def test_the_lock_of_a_worker_that_was_killed_is_removed(workers: Workers, queue: Queue) -> None:
    _add(queue, (time.sleep, 1000))
    caretaker = Caretaker(workers, queue)
    with workers:
        _wait(lambda: queue.running("small"), "the job")
        _wait(lambda: not queue.locked(), "the end of the worker's own lock")
        os.killpg(workers.processes[1].pid, signal.SIGKILL)
        queue.launchpad.workflows.update_one({}, {"$set": {"locked": True}})
        workers.processes[1].wait()
        time.sleep(max(0.0, RESTART_SECONDS - (time.monotonic() - workers.started[1])) + 0.1)
        began = time.monotonic()
        caretaker.look()
        assert time.monotonic() - began < 30
        _wait(lambda: queue.running("small") and not queue.locked(), "the job again")


@pytest.mark.mongo
def test_workers_of_a_killed_demo_are_found_and_ended(workers: Workers, queue: Queue) -> None:
    _add(queue, (time.sleep, 1000))
    with workers:
        process = workers.processes[1]
        _wait(lambda: queue.running("small"), "the job")
        assert end_leftover_workers(workers.directory) == 1
        assert process.wait(timeout=10) == -signal.SIGKILL
        assert end_leftover_workers(workers.directory) == 0


@pytest.mark.mongo
def test_the_watch_names_the_first_cause_of_a_failure(
    workers: Workers, queue: Queue, filled, capfd: pytest.CaptureFixture[str]
) -> None:
    _add(queue, (math.sqrt, -1.0), (math.sqrt, 4.0))
    with workers, pytest.raises(EngineError, match=r"job 'job 0' \(Firework \d+\) failed and nothing can go on"):
        watch(filled.archive, filled.campaign, workers, LineDisplay())
    told = capfd.readouterr().err
    assert "job 'job 0' failed: ValueError: math domain error" in told
    assert "  | ValueError: math domain error" in told


@pytest.mark.mongo
def test_a_worker_that_cannot_start_is_given_up(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lizrcl_flows.cli.demo.workers.RESTART_SECONDS", 0.0)
    workers.environment["FW_CONFIG_FILE"] = "/nowhere/FW_config.yaml"
    workers.command[2] = "/nowhere/my_fworker.yaml"

    def go_on_for_ever() -> None:
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            workers.processes[1].wait()
            for number in workers.ended():
                workers.restart(number)

    with workers, pytest.raises(EngineError, match="right after every start"):
        go_on_for_ever()


@pytest.mark.mongo
def test_progress_counts_what_the_archive_holds(filled) -> None:
    progress = campaign_progress(filled.archive, filled.archive.get(Campaign, filled.campaign))
    assert progress.turn == 1
    assert progress.title == "generation 1"
    explore, screen, label, train, evaluate = progress.stages
    assert (explore.done, explore.total, explore.finished) == (1, 4, False)
    assert (screen.done, screen.total, screen.note) == (1, 1, "2 doubtful frames")
    assert (label.done, label.total) == (0, 1)
    assert (train.total, evaluate.total) == (4, 1)


@pytest.mark.mongo
def test_runs_under_way_move_the_bar_and_never_fill_it(filled, tmp_path: Path) -> None:
    campaign = filled.archive.get(Campaign, filled.campaign)
    steps = campaign.spec.training.steps
    progress = Progress("running", 1, (Stage("train committee", 2, 4), Stage("label", 0, 3)))
    half = f"{steps // 4} 0.2\n{steps // 2} 0.1\n{steps}"  # the last line is not written whole yet
    for member, text in ((2, half), (3, "")):
        folder = tmp_path / f"{campaign.id}-g1-m{member}" / "1" / "run"
        folder.mkdir(parents=True)
        (folder / "loss.out").write_text(text, encoding="utf-8")
    train, label = with_runs_under_way(progress, campaign, tmp_path).stages
    assert train.partial == pytest.approx(0.5)
    assert label.partial == 0
    (tmp_path / f"{campaign.id}-g1-m3" / "1" / "run" / "loss.out").write_text(f"{9 * steps} 1\n" * 2, encoding="utf-8")
    (tmp_path / f"{campaign.id}-g1-m2" / "1" / "run" / "loss.out").write_text(f"{9 * steps} 1\n" * 2, encoding="utf-8")
    train = with_runs_under_way(progress, campaign, tmp_path).stages[0]
    assert train.done + train.partial < 4


def _snapshot(elapsed_s: float, done: int) -> Snapshot:
    stages = (Stage("label", done, 8, "1 failed"), Stage("train committee", 0, 4))
    return Snapshot(elapsed_s, Progress("running", 2, stages), (ROW,), ("label train 0",), Counter(READY=1), 36)


def test_the_panel_fits_80_columns_and_shows_what_counts() -> None:
    from rich.console import Console

    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(panel(_snapshot(203.0, 5)))
    text = console.export_text()
    assert "generation 2  3:23" in text
    assert "gen 1  240       8         7         0.21 / 1.7      0.120 -> 0.0900" in text
    assert "5/8  1 failed" in text
    assert "at work: label train 0" in text
    assert max(len(line) for line in text.splitlines()) <= 80


def test_lines_are_few_and_the_last_one_always_comes(capsys: pytest.CaptureFixture[str]) -> None:
    with LineDisplay() as display:
        for second in range(9):
            display.update(_snapshot(float(second), second))
    told = capsys.readouterr().err.splitlines()
    assert told[0] == (
        "[0:00] generation 1 closed: 240 explored, 3 rejected, 8 selected, 7 labelled, 1 failed; "
        "eps median, max 0.21, 1.7 eV/A; hold-out RMSE 120 -> 90 meV/A, 4 -> 2 meV/atom"
    )
    assert told[1:] == ["[0:01] generation 2: label 1/8 (1 failed)", "[0:08] generation 2: label 8/8 (1 failed)"]


def test_a_dry_run_says_what_the_demo_is_and_changes_nothing(lizrcl, tmp_path: Path) -> None:
    outcome = lizrcl("demo", "--workdir", tmp_path / "d", "--dry-run")
    assert outcome.code == 0
    assert "GFN1-xTB" in outcome.err
    assert "not PBE" in outcome.err
    assert "a new demo would start" in outcome.err
    assert not (tmp_path / "d").exists()


def test_two_demos_do_not_share_a_folder(tmp_path: Path) -> None:
    with exclusive(tmp_path / "d"), pytest.raises(InputError, match="another demo runs"), exclusive(tmp_path / "d"):
        pass


def test_fresh_deletes_a_demo_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x", encoding="utf-8")
    with pytest.raises(InputError, match="not the folder of a demo"):
        delete_demo(tmp_path / "mine", ask=False)
    assert (tmp_path / "mine" / "thesis.tex").exists()
    with exclusive(tmp_path / "demo"):
        assert (tmp_path / "demo" / MARK).exists()
    delete_demo(tmp_path / "demo", ask=False)
    assert not (tmp_path / "demo").exists()


def _transport(**changes) -> Transport:
    content = {
        "trajectories": ("tra_" + "0" * 20,),
        "species": "Li",
        "protocol": "gls_blocks",
        "temperature_k": 700.0,
        "phase": "alpha",
        "n_ions": 12,
        "n_frames": 500,
        "status": "resolved",
        "n_lags": 1,
        "lag_ps": [1.0],
        "msd_a2": [0.5],
        "diffusivity": 0.05,
        "diffusivity_std": 0.004,
    }
    return Transport(**{**content, **changes})


def test_a_coefficient_is_told_with_its_uncertainty_or_its_reason() -> None:
    assert "D = 0.0500 +- 0.0040 A^2/ps = 5.00e-06 cm^2/s" in coefficient_sentence(_transport())
    untold = _transport(status="not_resolved", diffusivity=None, diffusivity_std=None, reason="only 3 hops were seen")
    assert "not resolved: only 3 hops were seen" in coefficient_sentence(untold)
    far = coefficient_sentence(_transport(frames_over_eps_lo=0.5))
    assert "50% of the frames checked are outside the trained domain" in far


def test_what_stands_behind_plus_minus_depends_on_the_protocol() -> None:
    ours, paper = (coefficient_sentence(_transport().revised(protocol=name)) for name in ("gls_blocks", "paper"))
    assert "the uncertainty is that of sampling" in ours
    assert "not an uncertainty" in paper
    assert "the uncertainty is that of sampling" not in paper
