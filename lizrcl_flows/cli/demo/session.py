"""One run of the demo: its folder, its database, its campaign, its workers, and that all of them end well."""

import fcntl
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lizrcl_flows.cli.demo.display import make_display
from lizrcl_flows.cli.demo.summary import print_summary
from lizrcl_flows.cli.demo.watch import watch
from lizrcl_flows.cli.demo.workers import Workers, end_leftover_workers
from lizrcl_flows.cli.output import say
from lizrcl_flows.cli.queue import Queue
from lizrcl_flows.errors import EngineError, InputError

if TYPE_CHECKING:
    from lizrcl_flows.archive import Archive
    from lizrcl_flows.documents import Campaign
    from lizrcl_flows.settings import Settings

NAME = "demo"
MARK = "lizrcl_demo.lock"
"""File that shows that a folder is the demo's, locked while one runs."""


def introduction(workdir: Path, n_workers: int) -> tuple[str, ...]:
    """Return what will happen, in three lines."""
    processes = "1 worker process" if n_workers == 1 else f"{n_workers} worker processes"
    return (
        f"A campaign on bulk Li2ZrCl6 with {processes}; all of it stays in {workdir}/.",
        "It labels strained crystals, trains four NEP models, explores, labels what they do not know, and so on.",
        "Labels are GFN1-xTB: quantum mechanics, but not PBE and not fit for ZrO2. Learn from it, do not publish it.",
    )


def delete_demo(workdir: Path, *, ask: bool) -> None:
    """Delete the folder of an earlier demo, its database included.

    Raises
    ------
    InputError
        If the folder is not a demo's, or holds one that runs.
    """
    if not workdir.exists():
        return
    if not (workdir / MARK).exists() and any(workdir.iterdir()):
        raise InputError(f"'{workdir}' is not the folder of a demo; it is not deleted, choose another --workdir")
    if ask:
        click.confirm(f"delete the earlier demo in {workdir}/ with its database?", abort=True, err=True)
    with exclusive(workdir):
        from lizrcl_flows.archive import server

        end_leftover_workers(workdir)
        server.stop(demo_settings(workdir))
    shutil.rmtree(workdir)


@contextmanager
def exclusive(workdir: Path) -> Iterator[None]:
    """Keep a second demo out of the same folder.

    Raises
    ------
    InputError
        If there is one.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    with (workdir / MARK).open("a", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InputError(f"another demo runs in '{workdir}'; wait for it or choose another --workdir") from error
        yield


def demo_settings(workdir: Path) -> "Settings":
    """Return the settings of a demo: the user's, but with data under its folder and a database of its own."""
    from lizrcl_flows.settings import load_settings

    return load_settings(data_dir=workdir.resolve(), db_uri=None, db_name="lizrcl", file_store=None, work_dir=None)


def run_demo(workdir: Path, n_workers: int, generations: int | None) -> None:
    """Run or resume the demo in a folder and print its results.

    Raises
    ------
    EngineError
        If the campaign stalled or a job failed that it cannot do without.
    """
    settings = demo_settings(workdir)
    with interruptible(), exclusive(workdir), _database(settings) as uri:
        from lizrcl_flows.archive import Archive

        archive = Archive.connect(uri, settings=settings)
        try:
            campaign = _campaign(archive, generations)
            ended = _run(archive, campaign, workdir, n_workers)
            if ended.state == "stalled":
                stalled = [event.why for event in archive.events(ended.id) if event.value == "stalled"]
                raise EngineError(f"the campaign stalled: {stalled[-1] if stalled else 'no reason was given'}")
            print_summary(archive, ended, workdir)
        finally:
            archive.close()


@contextmanager
def _database(settings: "Settings") -> Iterator[str]:
    """Start the demo's database, unless it runs already, and stop it if a demo started it: this one or a killed one."""
    from lizrcl_flows.archive import server

    started_here = settings.data_dir / "mongod_started_by_demo"
    if not server.status(settings)["running"]:
        started_here.touch()
    uri = server.start(settings)
    say(f"database: {settings.data_dir / 'mongo'}")
    try:
        yield uri
    finally:
        if started_here.exists():
            server.stop(settings)
            started_here.unlink()


@contextmanager
def interruptible() -> Iterator[None]:
    """Let SIGTERM end the demo as Ctrl-C does: workers first, then the database."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _campaign(archive: "Archive", generations: int | None) -> "Campaign":
    """Return the folder's campaign, made if there is none."""
    from lizrcl_flows.documents import Campaign

    found = next(iter(archive.find(Campaign, {"name": NAME}, limit=1)), None)
    if found is not None:
        _require_same_length(found, generations)
        say(f"campaign: {found.id}, {found.state}")
        return found
    from lizrcl_flows.flows.campaigns import new_campaign
    from lizrcl_flows.systems import load_campaign

    content: dict[str, object] = {"name": NAME, "system": NAME}
    if generations is not None:
        content["max_generations"] = generations - 1
    campaign = new_campaign(archive, load_campaign(content))
    say(f"campaign: {campaign.id}, new")
    return campaign


def _require_same_length(campaign: "Campaign", generations: int | None) -> None:
    planned = campaign.current.max_generations + 1
    if generations not in (None, planned):
        raise InputError(
            f"--generations {generations}: the demo in this folder was made with {planned}; leave the option out to "
            "go on, or add --fresh to start anew"
        )


def _run(archive: "Archive", campaign: "Campaign", workdir: Path, n_workers: int) -> "Campaign":
    from lizrcl_flows.flows.campaigns import start_campaign

    if campaign.state == "complete":
        say("everything was done before; nothing is computed again")
        return campaign
    _recover(archive, campaign, workdir)
    start_campaign(archive, campaign.id)
    environment, fworker_file = _worker_environment(archive, workdir, n_workers)
    with Workers(workdir, environment, fworker_file, n_workers) as workers, make_display() as display:
        return watch(archive, campaign.id, workers, display)


def _recover(archive: "Archive", campaign: "Campaign", workdir: Path) -> None:
    """Bring back what an interrupted demo left: workers, lost jobs, locks, failed jobs."""
    leftover = end_leftover_workers(workdir)
    with Queue.of(archive) as queue:
        lost = queue.release(campaign.name) if queue.counts(campaign.name) else []
    if leftover or lost:
        say(f"resuming: {len(lost)} interrupted job{'s' * (len(lost) != 1)} back to the queue")


def _worker_environment(archive: "Archive", workdir: Path, n_workers: int) -> tuple[dict[str, str], Path]:
    """Write the workers' configuration; return their environment and the worker file that takes every category."""
    from lizrcl_flows.archive.worker_config import write_worker_config

    directory = workdir / "config"
    variables = write_worker_config(directory, archive.uri, archive.database_name)
    threads = max(1, (os.cpu_count() or 1) // n_workers)
    programs = str(Path(sys.executable).parent)
    environment = {
        **{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
        **variables,
        "LIZRCL_DATA_DIR": str(workdir),
        "LIZRCL_DB_NAME": archive.database_name,
        "LIZRCL_THREADS": str(threads),
        "OMP_NUM_THREADS": "1",
        "PATH": os.pathsep.join((programs, os.environ.get("PATH", ""))),
    }
    return environment, directory / "my_fworker.yaml"
