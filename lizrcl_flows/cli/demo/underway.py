"""How far the runs are that have not reached the archive: read from the files that trainings and dynamics write."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lizrcl_flows.flows.progress import Progress, Stage

if TYPE_CHECKING:
    from lizrcl_flows.documents import Campaign

TAIL_BYTES = 4096


def with_runs_under_way(progress: Progress, campaign: "Campaign", work_dir: Path) -> Progress:
    """Return the progress with the part done of every run that writes into the work directory now.

    It only moves the bars: a file that cannot be read or is not there yet counts nothing.
    """
    stages = tuple(_advanced(stage, progress, campaign, work_dir) for stage in progress.stages)
    return replace(progress, stages=stages)


def _advanced(stage: Stage, progress: Progress, campaign: "Campaign", work_dir: Path) -> Stage:
    spec = campaign.current
    fractions: Iterable[float] = ()
    if stage.name == "train committee":
        files = work_dir.glob(f"{campaign.id}-g{progress.turn}-m*/*/**/loss.out")
        fractions = _fractions(files, lambda path: _last_number(path) / spec.training.steps)
    elif stage.name == "explore by dynamics":
        exploration = spec.exploration
        lines = _thermo_lines(exploration.steps, exploration.active_every or exploration.sample_every)
        fractions = _fractions(work_dir.glob("tra_*/*/**/thermo.out"), lambda path: _n_lines(path) / lines)
    elif stage.name == "production dynamics" and spec.production:
        runs = spec.production[0].runs(spec.production)
        run, _ = runs[min(stage.done, len(runs) - 1)]
        lines = _thermo_lines(run.steps, run.sample_every)
        fractions = _fractions(work_dir.glob("tra_*/*/**/thermo.out"), lambda path: _n_lines(path) / lines)
    left = max(0, (stage.total or 0) - stage.done)
    return replace(stage, partial=min(sum(fractions), max(0.0, left - 0.01)))


def _thermo_lines(steps: int, sample_every: int) -> float:
    """Return how many lines a finished run has written: one a sample, and two hundred at least."""
    return max(1.0, steps / max(1, min(sample_every, steps // 200)))


def _fractions(files: Iterable[Path], measure: Callable[[Path], float]) -> Iterator[float]:
    for path in files:
        try:
            yield min(1.0, measure(path))
        except (OSError, ValueError, IndexError):
            continue


def _last_number(path: Path) -> float:
    """Return the first number of the last whole line."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - TAIL_BYTES))
        whole = file.read().rpartition(b"\n")[0]
    return float(whole.rpartition(b"\n")[2].split()[0])


def _n_lines(path: Path) -> int:
    content = path.read_bytes()
    return content.count(b"\n") - content.count(b"#")
