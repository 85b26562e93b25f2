"""How long a turn takes with the workers that there are."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from lizrcl_flows.errors import InputError
from lizrcl_flows.flows.observed_costs import StageCost
from lizrcl_flows.jobs.context import CATEGORIES
from lizrcl_flows.science.costs import Estimate, total
from lizrcl_flows.science.planned_work import LABEL, Work

JOB_S = 0.1
"""What FireWorks takes for one job of a worker that runs many."""

ATOM_FRAME_S = 1e-4
"""What screening takes for one atom of a frame, by a committee of four."""


@dataclass(frozen=True)
class Workers:
    """How many workers there are of each category, and the cores of one calculation.

    Attributes
    ----------
    count
        By category; one where absent.
    cores
        By category; as measured, or one, where absent.
    """

    count: Mapping[str, int] = field(default_factory=dict)
    cores: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def parsed(cls, text: str) -> "Workers":
        """Read ``dft=20x32,gpu=4``: 20 workers whose labels run on 32 cores each, 4 for training and dynamics.

        Raises
        ------
        InputError
            If it is not written so.
        """
        count, cores = dict[str, int](), dict[str, float]()
        for part in filter(None, text.replace(" ", "").split(",")):
            category, equals, number = part.partition("=")
            if not equals:
                category, number = "", part
            workers, times, each = number.partition("x")
            accepted = workers.isdigit() and int(workers) > 0 and (not times or (each.isdigit() and int(each) > 0))
            if (category and category not in CATEGORIES) or not accepted:
                raise InputError(
                    f"--workers '{part}' is not understood; accepted is a number of workers for everything, or "
                    f"dft=20,gpu=4 by category ({', '.join(CATEGORIES)}), or dft=20x32 where a label runs on 32 cores"
                )
            for name in [category] if category else CATEGORIES:
                count[name] = int(workers)
                if each:
                    cores[name] = float(each)
        return cls(count, cores)

    def of(self, category: str) -> int:
        """Return how many workers take jobs of a category."""
        return self.count.get(category, 1)


def wall_hours(
    core_hours: Mapping[str, Estimate],
    tasks: Mapping[str, int],
    sources: Mapping[str, StageCost],
    workers: Workers,
    work: Work,
    n_jobs: int,
) -> Estimate:
    """Return the hours from the first to the last job of a turn, whose stages follow each other.

    Parameters
    ----------
    tasks
        Jobs of a stage that can run at the same time.
    n_jobs
        Fireworks of the turn.
    """
    stages = []
    for stage, number in tasks.items():
        category = "dft" if stage == LABEL else "gpu"
        at_once = min(number, workers.of(category))
        rounds = -(-number // at_once)
        cores = workers.cores.get(category, sources[stage].cores)
        stages.append(core_hours[stage].times(rounds / (number * cores)))
    screened = sum(size * count for size, count in work.frames.items()) if isinstance(work.turn, int) else 0
    around = n_jobs * JOB_S / max(workers.of("cpu"), 1) + screened * ATOM_FRAME_S
    return total([*stages, Estimate(around / 3600)])
