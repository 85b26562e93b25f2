"""What a campaign will do, cost and take at the most, before anything of it is submitted."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from lizrcl_flows.archive import Archive
from lizrcl_flows.documents import Campaign
from lizrcl_flows.documents.spec import CampaignSpec
from lizrcl_flows.flows.campaign import CampaignMaker
from lizrcl_flows.flows.forecasts import Forecast
from lizrcl_flows.flows.observed_costs import Observations, StageCost
from lizrcl_flows.flows.planning_inputs import (
    Progress,
    cell_sizes,
    imported_labels,
    level_of,
    missing_here,
    progress_of,
    static_jobs,
    unstored,
)
from lizrcl_flows.flows.storage_rates import StorageRates, storage_rates
from lizrcl_flows.flows.wall_times import Workers, wall_hours
from lizrcl_flows.jobs.labelling import MAX_BATCHES
from lizrcl_flows.jobs.turns import PRODUCTION
from lizrcl_flows.science.costs import Estimate, total
from lizrcl_flows.science.plan_warnings import contradictions
from lizrcl_flows.science.planned_work import PRODUCE, TRAIN, Cells, Work, cells_of

LARGE_WORKFLOW = 500
"""Fireworks of one workflow from which on FireWorks gets slow."""


@dataclass(frozen=True)
class TurnPlan:
    """What one turn does at the most.

    Attributes
    ----------
    jobs
        Fireworks by category.
    core_hours
        By stage.
    wall_hours
        With the workers that there are.
    n_bytes
        Storage, by what it is.
    """

    work: Work
    jobs: Mapping[str, int]
    core_hours: Mapping[str, Estimate]
    wall_hours: Estimate
    n_bytes: Mapping[str, float]

    @property
    def cost(self) -> Estimate:
        """Core hours of all stages."""
        return total(self.core_hours.values())


@dataclass(frozen=True)
class CampaignPlan:
    """What a campaign does from now on, at the most.

    Attributes
    ----------
    turns
        Generations and production that are still to come.
    core_hours
        By stage, over all turns: errors of a law do not average out over turns.
    sources
        What the costs of each stage rest on.
    ends
        Why learning ends with the last of these generations.
    labels_spent, core_hours_spent
        By the generations that are closed.
    """

    spec: CampaignSpec
    turns: Sequence[TurnPlan]
    core_hours: Mapping[str, Estimate]
    sources: Mapping[str, StageCost]
    storage: StorageRates
    ends: str
    labels_spent: int = 0
    core_hours_spent: float = 0.0
    missing: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def cost(self) -> Estimate:
        """Core hours of all stages and turns."""
        return total(self.core_hours.values())

    @property
    def wall_hours(self) -> Estimate:
        """Wall time of all turns, which follow each other."""
        value = sum(turn.wall_hours.value for turn in self.turns)
        return Estimate(value, max((turn.wall_hours.spread for turn in self.turns), default=0.0))


def plan_campaign(
    source: CampaignSpec | Campaign,
    archive: Archive | None,
    workers: Workers | None = None,
    *,
    gpumd: bool | None = None,
) -> CampaignPlan:
    """Plan a campaign file, or what remains of a campaign.

    Parameters
    ----------
    archive
        Where costs are measured; None plans by priors alone. A campaign needs it.
    workers
        Who does it; one worker of each category where absent.
    gpumd
        Whether GPUMD's own programs train and run; where absent, as the campaign did, or as this machine would.

    Raises
    ------
    InputError
        If an engine refuses its settings, or a structure of the file cannot be used.
    """
    campaign = source if isinstance(source, Campaign) else unstored(source)
    spec = campaign.current
    maker = CampaignMaker.from_spec(spec)
    missing = list(missing_here(maker, spec))
    observed = Observations.read(archive, spec, level_of(maker), gpumd=gpumd)
    cells = cells_of(spec, cell_sizes(source, archive))
    forecast = Forecast(spec, cells, observed.costs().by_stage(), on_gpu=observed.on_gpu[1])
    progress = progress_of(archive, campaign) if archive is not None and isinstance(source, Campaign) else Progress()
    works, ends = forecast.turns(progress, imported_labels(archive, spec))
    static = {turn: static_jobs(maker, campaign, cells, turn) for turn in (0, 1, PRODUCTION)}
    planner = _Planner(forecast, static, storage_rates(archive, spec), workers or Workers())
    plan = CampaignPlan(
        spec,
        [planner.turn(work) for work in works],
        forecast.totals(works),
        forecast.sources,
        planner.storage,
        ends,
        progress.labels,
        progress.core_hours,
        missing,
    )
    plan.warnings.extend([*contradictions(spec), *_plan_warnings(plan, cells)])
    return plan


class _Planner:
    """Adds jobs, wall time and storage to what is forecast of a turn."""

    def __init__(
        self, forecast: Forecast, static: Mapping[int | str, Counter[str]], storage: StorageRates, workers: Workers
    ) -> None:
        self.forecast, self.static, self.storage, self.workers = forecast, static, storage, workers

    def turn(self, work: Work) -> TurnPlan:
        """Return the plan of a turn."""
        jobs, batches = self._jobs(work)
        hours = self.forecast.core_hours(work)
        tasks = {stage: amount.n_jobs or batches for stage, amount in work.stages.items() if amount.count}
        wall = wall_hours(hours, tasks, self.forecast.sources, self.workers, work, sum(jobs.values()))
        return TurnPlan(work, dict(sorted(jobs.items())), hours, wall, self.storage.bytes_of(work, sum(jobs.values())))

    def _jobs(self, work: Work) -> tuple[Counter[str], int]:
        """Return the Fireworks of a turn by category, and how many of them are batches of labels."""
        jobs = Counter(self.static[min(work.turn, 1) if isinstance(work.turn, int) else work.turn])
        batch = self.forecast.spec.labelling.batch_size
        batches = sum(min(-(-number // batch), MAX_BATCHES) for number in (work.n_labels, work.n_holdout))
        jobs["dft"] += batches
        for stage, amount in work.stages.items():
            jobs["gpu"] += amount.n_jobs if stage != PRODUCE else 0
        jobs["cpu"] += int(bool(work.stages.get(TRAIN) and work.stages[TRAIN].count))
        return jobs, batches


def _plan_warnings(plan: CampaignPlan, cells: Cells) -> Iterator[str]:
    budget = plan.spec.budget
    first = next((turn for turn in plan.turns if turn.work.turn == 0), None)
    if budget.core_hours is not None and first is not None and first.cost.value >= budget.core_hours:
        yield (
            f"budget.core_hours {budget.core_hours:g} is spent by generation 0, which is predicted to take "
            f"{first.cost.value:.3g}: nothing is explored"
        )
    if "leaves no label" in plan.ends:
        yield f"{plan.ends}: it would explore and find no label that it may ask for"
    for turn in plan.turns:
        if sum(turn.jobs.values()) > LARGE_WORKFLOW:
            yield (
                f"turn {turn.work.turn} has {sum(turn.jobs.values())} Fireworks, more than {LARGE_WORKFLOW}: a larger "
                "labelling.batch_size keeps the queue quick"
            )
            break
    if cells.assumed:
        yield (
            f"{len(cells.assumed)} interfaces are not built yet; they are planned with the largest number of atoms "
            "that is allowed (max_atoms), an upper bound"
        )
