"""What commands share that run jobs on this machine: where they run, and where jobflow keeps their outputs."""

import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from lizrcl_flows.archive import Archive
    from lizrcl_flows.cli.demo.display import Snapshot
    from lizrcl_flows.documents import Campaign

Command = TypeVar("Command", bound=Callable[..., object])

INTERVAL_S = 1.0
"""Time between two looks at the archive."""

_AT_WORK = ("one job after the other, in this process",)


def workdir_option(command: Command) -> Command:
    """Add `--workdir` to a command that runs jobs here."""
    return click.option(
        "--workdir", type=click.Path(path_type=Path), help="Where jobs run; default: LIZRCL_DATA_DIR/runs/NAME."
    )(command)


def local_run(archive: "Archive", campaign: "Campaign", workdir: Path | None) -> tuple[Any, Path]:
    """Return the store of job outputs and the directory, made, in which a campaign's jobs run."""
    from lizrcl_flows.archive.jobstore import job_store
    from lizrcl_flows.settings import load_settings

    directory = workdir or load_settings().data_dir / "runs" / campaign.name
    directory.mkdir(parents=True, exist_ok=True)
    warnings.filterwarnings("ignore", message="cd is deprecated", category=FutureWarning)  # jobflow's use of monty
    # labels to train on and labels to hold out: their order does not matter
    warnings.filterwarnings("ignore", message="Some jobs are not connected", category=UserWarning)
    return job_store(archive.uri, archive.database_name), directory


@contextmanager
def shown(archive: "Archive", campaign_id: str) -> Iterator[None]:
    """Show how a campaign goes on while its jobs run in this process: a panel at a terminal, lines in a file."""
    from lizrcl_flows.cli.demo.display import make_display

    ended = threading.Event()
    with make_display() as display:

        def look() -> None:
            began = time.monotonic()
            while not ended.wait(INTERVAL_S):
                display.update(_snapshot(archive, campaign_id, time.monotonic() - began))

        watcher = threading.Thread(target=look, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            ended.set()
            watcher.join()


def _snapshot(archive: "Archive", campaign_id: str, elapsed_s: float) -> "Snapshot":
    from lizrcl_flows.cli.demo.display import Snapshot
    from lizrcl_flows.cli.demo.underway import with_runs_under_way
    from lizrcl_flows.documents import Campaign
    from lizrcl_flows.flows.progress import campaign_progress, closed_generations, generation_row
    from lizrcl_flows.settings import load_settings

    settings = load_settings()
    campaign = archive.get(Campaign, campaign_id)
    progress = campaign_progress(archive, campaign)
    return Snapshot(
        elapsed_s=elapsed_s,
        progress=with_runs_under_way(progress, campaign, settings.work_dir or settings.data_dir / "work"),
        rows=tuple(generation_row(archive, turn) for turn in closed_generations(archive, campaign)),
        running=_AT_WORK,
        queue=Counter(),
        labels_spent=campaign.labels_spent,
    )
