"""What the person who started the demo sees while it runs: a live panel at a terminal, plain lines in a file."""

import time
from collections import Counter
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from lizrcl_flows.cli.output import console, number, say
from lizrcl_flows.cli.progress import generation_sentence
from lizrcl_flows.flows.progress import Progress, Stage

if TYPE_CHECKING:
    from rich.console import RenderableType

BAR_WIDTH = 24
LINE_SECONDS = 10.0
"""Least time between two lines about one stage that goes on."""


@dataclass(frozen=True)
class Snapshot:
    """The campaign at one moment.

    Attributes
    ----------
    elapsed_s
        Time since the demo started (s).
    progress
        The running turn and its stages.
    rows
        Closed generations, as `generation_row` gives them.
    running
        Names of the jobs at work.
    queue
        Fireworks by state.
    labels_spent
        Labels asked for so far.
    """

    elapsed_s: float
    progress: Progress
    rows: tuple[dict[str, Any], ...]
    running: tuple[str, ...]
    queue: Counter[str]
    labels_spent: int


class Display(Protocol):
    """Something that shows snapshots."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    def update(self, snapshot: Snapshot) -> None:
        """Show what is new."""
        ...


def make_display() -> Display:
    """Return the display that fits stderr."""
    return LiveDisplay() if console(error=True).is_terminal else LineDisplay()


def clock(seconds: float) -> str:
    """Return a duration as minutes and seconds."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


class LineDisplay:
    """One line for each change, for logs and pipes."""

    def __init__(self) -> None:
        self.last: dict[str, tuple[str, float]] = {}
        self.n_rows = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pass

    def update(self, snapshot: Snapshot) -> None:
        """Write a line for each stage whose counts changed and for each generation that closed."""
        for row in snapshot.rows[self.n_rows :]:
            say(f"[{clock(snapshot.elapsed_s)}] generation {row['generation']} closed: {generation_sentence(row)}")
        self.n_rows = len(snapshot.rows)
        for stage in snapshot.progress.stages:
            self._tell(stage, f"{snapshot.progress.title}: {stage.name}", snapshot.elapsed_s)

    def _tell(self, stage: Stage, name: str, elapsed_s: float) -> None:
        total = "" if stage.total is None else f"/{stage.total}"
        line = f"{stage.done}{total}" + (f" ({stage.note})" if stage.note else "")
        before, when = self.last.get(name, ("", -LINE_SECONDS))
        if not stage.done or line == before or (not stage.finished and elapsed_s - when < LINE_SECONDS):
            return
        say(f"[{clock(elapsed_s)}] {name} {line}")
        self.last[name] = (line, elapsed_s)


class LiveDisplay:
    """A panel that is drawn anew several times a second."""

    def __init__(self) -> None:
        from rich.live import Live

        self.snapshot: Snapshot | None = None
        self.received = time.monotonic()
        self.live = Live(get_renderable=self.render, console=console(error=True), refresh_per_second=4, transient=False)

    def __enter__(self) -> Self:
        self.live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.live.__exit__(kind, error, traceback)

    def update(self, snapshot: Snapshot) -> None:
        """Show a snapshot from the next drawing on."""
        self.snapshot = snapshot
        self.received = time.monotonic()

    def render(self) -> "RenderableType":
        """Return what is drawn now."""
        if self.snapshot is None:
            return "starting workers ..."
        return panel(self.snapshot, time.monotonic() - self.received)


def panel(snapshot: Snapshot, age_s: float = 0.0) -> "RenderableType":
    """Return the live panel: generations so far, stages of the running turn with bars, what is at work."""
    from rich.console import Group
    from rich.panel import Panel
    from rich.text import Text

    parts: list[RenderableType] = []
    if snapshot.rows:
        parts += [_generations(snapshot.rows), ""]
    parts.append(_stages(snapshot.progress.stages))
    at_work = ", ".join(snapshot.running) or "nothing just now"
    parts += ["", Text(f"at work: {at_work}", style="dim", overflow="ellipsis", no_wrap=True)]
    title = f"[bold]{snapshot.progress.title}[/bold]  {clock(snapshot.elapsed_s + age_s)}"
    subtitle = f"{snapshot.labels_spent} labels so far   Ctrl-C stops; the same command resumes"
    return Panel(Group(*parts), title=title, title_align="left", subtitle=subtitle, subtitle_align="left")


def _generations(rows: tuple[dict[str, Any], ...]) -> "RenderableType":
    from rich.table import Table

    made = Table.grid(padding=(0, 2))
    for _ in range(4):
        made.add_column(no_wrap=True)
    made.add_row("", "explored", "selected", "labelled", "eps median/max", "hold-out F (eV/A)", style="dim")
    for row in rows:
        eps = "" if row["eps_median"] is None else f"{number(row['eps_median'], 2)} / {number(row['eps_max'], 2)}"
        errors = " -> ".join(number(row[key], 3) for key in ("rmse_force_before", "rmse_force_after") if row[key])
        cells = (f"gen {row['generation']}", *(str(row[key]) for key in ("explored", "selected", "labelled")))
        made.add_row(*cells, eps, errors)
    return made


def _stages(stages: tuple[Stage, ...]) -> "RenderableType":
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    made = Table.grid(padding=(0, 2))
    made.add_column(min_width=20, no_wrap=True)
    made.add_column(width=BAR_WIDTH)
    made.add_column(justify="right", no_wrap=True)
    made.add_column(style="dim", no_wrap=True)
    for stage in stages:
        bar = ProgressBar(total=max(stage.total or 0, 1), completed=stage.done + stage.partial, width=BAR_WIDTH)
        count = "" if stage.total is None else f"{stage.done}/{stage.total}"
        made.add_row(stage.name, bar, f"[green]{count}[/green]" if stage.finished else count, stage.note)
    return made
