"""The demo's watch: look at archive and queue, keep the workers alive, notice the end and the failures."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

from lizrcl_flows.cli.demo.display import Display, Snapshot
from lizrcl_flows.cli.demo.workers import Workers
from lizrcl_flows.cli.output import say
from lizrcl_flows.cli.progress import ENDED, campaign_progress, closed_generations, generation_row
from lizrcl_flows.cli.queue import ACTIVE, Failure, Queue
from lizrcl_flows.errors import EngineError

if TYPE_CHECKING:
    from lizrcl_flows.archive import Archive
    from lizrcl_flows.documents import Campaign

INTERVAL_SECONDS = 1.0

PATIENCE_SECONDS = 15.0
"""How long nothing may be at work before the campaign counts as stuck: a turn needs a moment to submit the next."""

STDERR_LINES = 5


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
    while True:
        campaign = archive.get(Campaign, campaign_id)
        snapshot = take_snapshot(archive, campaign, queue, time.monotonic() - began)
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
            workers.keep_alive()
        elif failures or time.monotonic() - idle_since > PATIENCE_SECONDS:
            raise EngineError(_stuck(campaign.name, failures))
        time.sleep(INTERVAL_SECONDS)


def take_snapshot(archive: "Archive", campaign: "Campaign", queue: Queue, elapsed_s: float) -> Snapshot:
    """Read what a display needs."""
    return Snapshot(
        elapsed_s=elapsed_s,
        progress=campaign_progress(archive, campaign),
        rows=tuple(generation_row(archive, turn) for turn in closed_generations(archive, campaign)),
        running=tuple(queue.running(campaign.name)),
        queue=queue.counts(campaign.name),
        labels_spent=campaign.labels_spent,
    )


def _stuck(name: str, failures: list[Failure]) -> str:
    if not failures:
        return f"campaign '{name}' is not at its end, but no job is waiting or running; run the demo again to go on"
    first = failures[0]
    errors = last_errors(Path(first.directory)) or first.reason
    return f"job '{first.name}' (Firework {first.fw_id}) failed and nothing can go on without it: {errors}"


def last_errors(directory: Path) -> str:
    """Return the last lines that a job wrote to its stderr, in one line, or nothing."""
    path = directory / "FW_job.error"
    if not path.is_file():
        return ""
    lines = [line.strip() for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return " | ".join(lines[-STDERR_LINES:])
