"""Bars on stderr that show how far a long command is, at a terminal only."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lizrcl_flows.cli.output import console

Progress = Callable[[str, int, int], None]
"""Is told the stage in words, what is done of it, and all that there is."""


@contextmanager
def progress_bars() -> Iterator[Progress]:
    """Show one bar for each stage; they vanish when all is done."""
    screen = console(error=True)
    if not screen.is_terminal:
        yield lambda _stage, _done, _total: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as Bars

    with Bars(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), console=screen, transient=True
    ) as bars:
        tasks = {}

        def update(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield update
