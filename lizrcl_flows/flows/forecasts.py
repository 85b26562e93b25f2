"""What generations are predicted to cost: those to come, and those that are closed by what was known before them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lizrcl_flows.archive import Archive
from lizrcl_flows.documents import Campaign, Dataset, Generation
from lizrcl_flows.documents.spec import CampaignSpec
from lizrcl_flows.flows.observed_costs import Observations, StageCost
from lizrcl_flows.flows.planning_inputs import Progress, cell_sizes, imported_labels, progress_of
from lizrcl_flows.science.costs import Estimate, total
from lizrcl_flows.science.planned_work import (
    EXPLORE,
    LABEL,
    STAGES,
    TRAIN,
    Cells,
    Work,
    cells_of,
    first_work,
    generation_work,
    production_work,
)
from lizrcl_flows.science.quotas import means_within


class Forecast:
    """Work and core hours of the turns of a campaign, at the most.

    Parameters
    ----------
    sources
        What calculations cost, by stage.
    on_gpu
        Whether GPUMD runs the dynamics.
    """

    def __init__(
        self, spec: CampaignSpec, cells: Cells, sources: Mapping[str, StageCost], *, on_gpu: bool = False
    ) -> None:
        self.spec, self.cells, self.sources, self.on_gpu = spec, cells, sources, on_gpu

    def turns(self, progress: Progress, n_imported: int = 0) -> tuple[list[Work], str]:
        """Return the turns to come, and why learning ends with the last generation among them."""
        works, ends = [], progress.why
        if progress.learning:
            for work, reason in self._generations(progress, n_imported):
                works.append(work)
                ends = reason
        if self.spec.production and progress.production:
            works.append(production_work(self.spec, self.cells, on_gpu=self.on_gpu))
        return works, ends

    def _generations(self, progress: Progress, n_imported: int) -> Iterator[tuple[Work, str]]:
        labels, hours, n_train = progress.labels, progress.core_hours, progress.n_train or n_imported
        for index in range(progress.index, max(self.spec.max_generations, progress.index) + 1):
            work = self.generation(index, labels, hours, n_train)
            n_train += work.n_labels
            labels += work.n_labels + work.n_holdout
            hours += total(self.core_hours(work).values()).value
            ends = self._ends(index, labels, hours, work)
            yield work, ends
            if ends:
                return

    def generation(self, index: int, labels: int, hours: float, n_train: int) -> Work:
        """Return the work of a generation, with as many labels as the budgets leave.

        Parameters
        ----------
        labels, hours
            Labels and core hours that are spent before it.
        n_train
            Labels of the training set before it.
        """
        if index == 0:
            return first_work(self.spec, self.cells, n_imported=n_train)
        spec, wanted = self.spec, self.spec.selection.n_structures

        def work(n_labels: int) -> Work:
            after = n_train + n_labels
            return generation_work(spec, self.cells, index, n_labels=n_labels, n_train=after, on_gpu=self.on_gpu)

        costs = self.core_hours(work(wanted))
        explored = costs[EXPLORE].value
        means = means_within(wanted, spec.budget, labels, (hours + explored, explored), costs[TRAIN].value)
        n_labels = means.labels
        if means.core_hours is not None and costs[LABEL].value > 0:
            n_labels = min(n_labels, int(means.core_hours / (costs[LABEL].value / wanted)))
        return work(max(0, n_labels))

    def _ends(self, index: int, labels: int, hours: float, work: Work) -> str:
        budget = self.spec.budget
        if budget.labels is not None and labels >= budget.labels:
            return f"the budget of {budget.labels} labels is spent in generation {index}"
        if budget.core_hours is not None and hours >= budget.core_hours:
            return f"the budget of {budget.core_hours:g} core hours is spent in generation {index}"
        if index and not work.n_labels:
            return f"the budget leaves no label in generation {index}"
        if index >= self.spec.max_generations:
            return f"the limit of {self.spec.max_generations} generations is reached, unless it converges before"
        return ""

    def core_hours(self, work: Work) -> dict[str, Estimate]:
        """Return the core hours of a turn by stage."""
        return {
            stage: self.sources[stage].law.predict(amount.sizes, amount.counts) for stage, amount in work.stages.items()
        }

    def totals(self, works: Sequence[Work]) -> dict[str, Estimate]:
        """Return the core hours of all turns by stage: the error of a law does not average out over turns."""
        found = {}
        for stage in STAGES:
            amounts = [work.stages[stage] for work in works if stage in work.stages]
            sizes = [size for amount in amounts for size in amount.sizes]
            counts = [count for amount in amounts for count in amount.counts]
            if sizes:
                found[stage] = self.sources[stage].law.predict(sizes, counts)
        return found


@dataclass(frozen=True)
class Comparison:
    """A closed generation as it was predicted by what had been computed before it, and what it took.

    Attributes
    ----------
    predicted, spent
        Core hours by stage.
    planned_labels, labels
        At the most, hold-out included; and asked for.
    """

    index: int
    planned_labels: int
    labels: int
    predicted: Mapping[str, Estimate]
    spent: Mapping[str, float]


@dataclass(frozen=True)
class Outlook:
    """What a campaign was predicted to take, took, and is predicted to take from now on.

    Attributes
    ----------
    closed
        Generations that are closed.
    n_generations, n_labels, core_hours
        Still to come, production included in the core hours; at the most.
    ends
        Why learning ends.
    """

    closed: Sequence[Comparison]
    n_generations: int
    n_labels: int
    core_hours: Estimate
    ends: str


def outlook(archive: Archive, campaign: Campaign) -> Outlook:
    """Compare predictions with what was spent, and predict the rest."""
    spec = campaign.current
    observed = Observations.read(archive, spec)
    cells = cells_of(spec, cell_sizes(campaign, archive))
    closed = list(_compared(archive, campaign, cells, observed))
    forecast = Forecast(spec, cells, observed.costs().by_stage(), on_gpu=observed.on_gpu[1])
    works, ends = forecast.turns(progress_of(archive, campaign), imported_labels(archive, spec))
    generations = [work for work in works if isinstance(work.turn, int)]
    labels = sum(work.n_labels + work.n_holdout for work in generations)
    return Outlook(closed, len(generations), labels, total(forecast.totals(works).values()), ends)


def _compared(archive: Archive, campaign: Campaign, cells: Cells, observed: Observations) -> Iterator[Comparison]:
    spec, labels, hours, n_train = campaign.current, 0, 0.0, imported_labels(archive, campaign.current)
    for turn in archive.find(Generation, {"campaign_id": campaign.id}, sort=[("index", 1)]):
        sources = observed.costs(before=turn.index).by_stage()
        forecast = Forecast(spec, cells, sources, on_gpu=observed.on_gpu[1])
        work = forecast.generation(turn.index, labels, hours, n_train)
        spent = {timing.stage: timing.core_hours for timing in turn.timings}
        asked = turn.n_labelled + turn.n_failed + (work.n_holdout if turn.index == 0 else 0)
        predicted = {stage: hours for stage, hours in forecast.core_hours(work).items() if hours.value}
        yield Comparison(turn.index, work.n_labels + work.n_holdout, asked, predicted, spent)
        labels += asked
        hours += sum(spent.values())
        n_train = archive.get(Dataset, turn.dataset).n_labels if turn.dataset else n_train
