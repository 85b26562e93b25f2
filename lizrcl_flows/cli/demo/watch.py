"""The demo's watch: look at archive and queue, keep the workers alive, notice the end and the failures."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

from lizrcl_flows.cli.demo.caretaker import Caretaker
from lizrcl_flows.cli.demo.display import Display, Snapshot
from lizrcl_flows.cli.demo.underway import with_runs_under_way
from lizrcl_flows.cli.demo.workers import Workers
from lizrcl_flows.cli.output import say
from lizrcl_flows.cli.queue import ACTIVE, Failure, Queue
from lizrcl_flows.errors import EngineError
from lizrcl_flows.flows.progress import ENDED, campaign_progress, closed_generations, generation_row

if TYPE_CHECKING:
    from lizrcl_flows.archive import Archive
    from lizrcl_flows.documents import Campaign

INTERVAL_SECONDS = 1.0

PATIENCE_SECONDS = 15.0
"""How long nothing may be at work before the campaign counts as stuck: a turn needs a moment to submit the next."""

STDERR_FILE = "FW_job.error"
"""Where `rlaunch --local_redirect` puts what a job writes to its stderr."""

STDERR_LINES = 8


def watch(archive: "Archive", campaign_id: str, workers: Workers, display: Display) -> "Campaign":
    """Show a campaign until it has ended.

    Raises
    ------
    EngineError
        If jobs failed and nothing else can go on; the sentence names the first cause.
    """
    with Queue.of(archive) as queue:
        return _watch(archive, campaign_id, workers, display, queue)


def _watch(archive: "Archive", campaign_id: str, workers: Workers, display: Display, queue: Queue) -> "Campaign":
    from lizrcl_flows.documents import Campaign

    began = idle_since = time.monotonic()
    told: set[int] = set()
    caretaker = Caretaker(workers, queue)
    while True:
        campaign = archive.get(Campaign, campaign_id)
        snapshot = take_snapshot(archive, campaign, queue, workers.directory / "work", time.monotonic() - began)
        display.update(snapshot)
        if campaign.state in ENDED:
            return campaign
        failures = queue.failures(campaign.name)
        for failure in failures:
            if failure.fw_id not in told:
                told.add(failure.fw_id)
                say(f"job '{failure.name}' failed: {failure.reason}")
        if any(snapshot.queue[state] for state in ACTIVE):
            idle_since = time.monotonic()
            caretaker.look()
        elif failures or time.monotonic() - idle_since > PATIENCE_SECONDS:
            raise EngineError(_stuck(campaign.name, failures))
        time.sleep(INTERVAL_SECONDS)


def take_snapshot(archive: "Archive", campaign: "Campaign", queue: Queue, work_dir: Path, elapsed_s: float) -> Snapshot:
    """Read what a display needs from the archive, the queue and the files of runs under way."""
    return Snapshot(
        elapsed_s=elapsed_s,
        progress=with_runs_under_way(campaign_progress(archive, campaign), campaign, work_dir),
        rows=tuple(generation_row(archive, turn) for turn in closed_generations(archive, campaign)),
        running=tuple(queue.running(campaign.name)),
        queue=queue.counts(campaign.name),
        labels_spent=campaign.labels_spent,
    )


def _stuck(name: str, failures: list[Failure]) -> str:
    if not failures:
        return f"campaign '{name}' is not at its end, but no job is waiting or running; run the demo again to go on"
    first = failures[0]
    for line in last_errors(Path(first.directory)):
        say(f"  | {line}")
    return (
        f"job '{first.name}' (Firework {first.fw_id}) failed and nothing can go on without it: {first.reason} "
        f"(its output: {first.directory})"
    )


def last_errors(directory: Path) -> list[str]:
    """Return the last lines that a job wrote to its stderr."""
    path = directory / STDERR_FILE
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return [line for line in lines if line.strip()][-STDERR_LINES:]
