"""`lizrcl demo`: make, run, watch and report a campaign of the demo system on this machine."""

import os
from pathlib import Path

import click

from lizrcl_flows.cli.output import say


@click.command()
@click.option(
    "--workdir",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("lizrcl_demo"),
    show_default=True,
    help="Everything is kept under this folder.",
)
@click.option("--generations", type=click.IntRange(2), help="How many, the first training set included; default: 3.")
@click.option("--workers", type=click.IntRange(1), help="Worker processes; default: one a core, at most 4.")
@click.option("--fresh/--resume", default=False, help="Start anew (asks before it deletes), or go on (default).")
@click.option("--yes", is_flag=True, help="With --fresh: do not ask.")
@click.option("--dry-run", is_flag=True, help="Say what would be done and change nothing.")
def demo(workdir: Path, generations: int | None, workers: int | None, fresh: bool, yes: bool, dry_run: bool) -> None:
    """Run a whole active-learning campaign here: real labels, training, dynamics, database and queue.

    It takes about four minutes on two cores. Run again, it resumes what was interrupted and repeats nothing.
    """
    from lizrcl_flows.cli.demo.session import delete_demo, introduction, run_demo

    n_workers = workers or max(1, min(4, os.cpu_count() or 1))
    for line in introduction(workdir, n_workers):
        say(line)
    if dry_run:
        earlier = workdir.exists()
        verb = "deleted, and a new one would start" if fresh else "gone on with"
        say(f"the demo in {workdir}/ would be {verb}" if earlier else f"a new demo would start in {workdir}/")
        return
    if fresh:
        delete_demo(workdir, ask=not yes)
    try:
        run_demo(workdir.resolve(), n_workers, generations)
    except KeyboardInterrupt:
        say(f"\nstopped; `lizrcl demo --workdir {workdir}` goes on where it was")
        raise
