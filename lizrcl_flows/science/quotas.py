"""How many labels a generation may ask for, of which kinds and at what cost, and how a selection is fitted into that.

Nothing here is random and nothing knows how candidates are compared: the selector is a function that ranks some of
them, given those that are chosen already. Where no bound interferes, the choice is the selector's own.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lizrcl_flows.documents.spec import BudgetSpec, QuotaSpec

_ROUNDING = 1e-9
"""A share times a number may come out a hair off the whole number that is meant."""


@dataclass(frozen=True)
class Option:
    """What bounds look at in a frame.

    Attributes
    ----------
    temperature_k
        Set point of its run.
    core_hours
        What its label is expected to cost; None where that is not known.
    """

    phase: str | None
    region: str | None
    temperature_k: float | None
    core_hours: float | None = None


@dataclass(frozen=True)
class Ranked:
    """One candidate as a selector ranked it: its number, and score and radius in the selector's measure."""

    index: int
    score: float
    radius: float | None = None


Ranking = Callable[[Sequence[int], Sequence[int], int], Sequence[Ranked]]
"""Rank candidates: numbers that are allowed, numbers that are chosen already, how many are wanted."""


@dataclass(frozen=True)
class Means:
    """What a generation may spend on labels.

    Attributes
    ----------
    labels
        Their number.
    core_hours
        For all of them together; None without a limit.
    why
        In words, where the budget allows less than what is wanted.
    """

    labels: int
    core_hours: float | None = None
    why: str = ""


def means_within(
    n_wanted: int, budget: BudgetSpec, labels_spent: int, hours_spent: tuple[float, float], reserved: float
) -> Means:
    """Return what is left for the labels of a generation.

    Parameters
    ----------
    n_wanted
        Labels that the campaign file asks for in a generation.
    labels_spent
        By the campaign so far.
    hours_spent
        Core hours spent by the campaign so far, and by this generation so far.
    reserved
        Core hours that this generation needs after its labels: the training that follows.
    """
    left = {"n_structures": n_wanted}
    if budget.labels_per_generation is not None:
        left["budget.labels_per_generation"] = budget.labels_per_generation
    if budget.labels is not None:
        left["budget.labels"] = max(0, budget.labels - labels_spent)
    tightest = min(left, key=lambda name: left[name])
    hours = {
        name: max(0.0, limit - spent - reserved)
        for name, limit, spent in (
            ("budget.core_hours", budget.core_hours, hours_spent[0]),
            ("budget.core_hours_per_generation", budget.core_hours_per_generation, hours_spent[1]),
        )
        if limit is not None
    }
    why = []
    if left[tightest] < n_wanted:
        why.append(f"{tightest} leaves {left[tightest]} of {n_wanted} labels")
    if hours and min(hours.values()) <= 0:
        why.append(f"{min(hours, key=lambda name: hours[name])} leaves nothing for labels")
    return Means(left[tightest], min(hours.values()) if hours else None, "; ".join(why))


def n_controls(n_labels: int, random_share: float) -> int:
    """Return how many of the labels are drawn at random: the nearest number, and one at least where two are asked."""
    if random_share <= 0 or n_labels < 2:
        return n_labels if random_share >= 1 else 0
    return min(n_labels, max(1, math.floor(random_share * n_labels + 0.5)))


class Allowance:
    """Labels that a generation may still ask for.

    A quota's shares are of the number of labels that the generation may ask for. `max_share` is always kept, but one
    label is allowed unless it is 0; `min_share` is kept as far as candidates reach and no other bound forbids it.

    Parameters
    ----------
    means
        Number and cost.
    quotas
        Bounds on parts of them; a frame may be in several.
    """

    def __init__(self, means: Means, quotas: Sequence[QuotaSpec] = ()) -> None:
        self.n_left = means.labels
        self.hours_left = means.core_hours
        self.quotas = tuple(quotas)
        self._taken = [0] * len(self.quotas)
        self._most = [_at_most(quota, means.labels) for quota in self.quotas]
        self._least = [math.ceil(quota.min_share * means.labels - _ROUNDING) for quota in self.quotas]
        self._tried = False

    def admits(self, option: Option) -> bool:
        """Tell whether one more label of this kind is within all bounds.

        A label of unknown cost is admitted once where core hours are limited: then its cost is known.
        """
        if self.n_left < 1 or any(self._taken[i] >= self._most[i] for i in self._of(option)):
            return False
        if self.hours_left is None:
            return True
        if option.core_hours is None:
            return self.hours_left > 0 and not self._tried
        return option.core_hours <= self.hours_left

    def take(self, option: Option) -> None:
        """Count one label of this kind."""
        self.n_left -= 1
        for i in self._of(option):
            self._taken[i] += 1
        if self.hours_left is not None:
            self._tried |= option.core_hours is None
            self.hours_left = max(0.0, self.hours_left - (option.core_hours or 0.0))

    def limit_to(self, options: Sequence[Option]) -> list[str]:
        """Ask of each quota no more than there are candidates; return in words where that is less than its share."""
        short = []
        for i, quota in enumerate(self.quotas):
            reach = self._taken[i] + sum(covers(quota, option) for option in options)
            wanted = min(self._least[i], self._most[i])
            if reach < wanted:
                short.append(f"{describe(quota)} should have {wanted} labels and {reach} candidates are there")
            self._least[i] = min(wanted, reach)
        return short

    def outstanding(self, option: Option | None = None) -> int:
        """Return how many labels are reserved for quotas, once a label of this kind is taken; at most."""
        more = set(self._of(option)) if option else set()
        return sum(max(0, least - self._taken[i] - (i in more)) for i, least in enumerate(self._least))

    def lacking(self, number: int) -> int:
        """Return how many labels a quota, by its number, has less than its least share; at most what is left."""
        return min(self.n_left, max(0, self._least[number] - self._taken[number]))

    def _of(self, option: Option) -> list[int]:
        return [i for i, quota in enumerate(self.quotas) if covers(quota, option)]


def covers(quota: QuotaSpec, option: Option) -> bool:
    """Tell whether a quota speaks of a frame; a frame without a region counts as bulk."""
    if quota.phase is not None and quota.phase != option.phase:
        return False
    if quota.region is not None and quota.region != (option.region or "bulk"):
        return False
    low, high = quota.temperature_min_k, quota.temperature_max_k
    if low is None and high is None:
        return True
    temperature = option.temperature_k
    return temperature is not None and (low is None or temperature >= low) and (high is None or temperature <= high)


def describe(quota: QuotaSpec) -> str:
    """Name what a quota speaks of, for a sentence."""
    parts = [f"phase {quota.phase}"] if quota.phase else []
    parts += [f"region {quota.region}"] if quota.region else []
    parts += [f"T >= {quota.temperature_min_k:g} K"] if quota.temperature_min_k is not None else []
    parts += [f"T <= {quota.temperature_max_k:g} K"] if quota.temperature_max_k is not None else []
    return "the quota of " + ", ".join(parts)


def fill(options: Sequence[Option], allowance: Allowance, rank: Ranking) -> tuple[list[Ranked], list[str]]:
    """Choose candidates within an allowance.

    The ranking of all candidates is followed as long as enough labels stay for quotas that have less than their least
    share. Those then get theirs, each by a ranking of its own candidates that knows what is chosen; what is still left
    goes to the others, by a ranking of all that the bounds allow.

    Parameters
    ----------
    options
        The candidates.
    allowance
        Bounds; it is used up.
    rank
        The selector.

    Returns
    -------
    picks
        In order of choice.
    short
        In words, where there are fewer candidates than the least share of a quota.
    """
    short = allowance.limit_to(options)
    choice = _Choice(options, allowance, rank)
    choice.follow(choice.allowed(), allowance.n_left, reserving=True)
    for number, quota in enumerate(allowance.quotas):
        choice.follow(choice.allowed(quota), allowance.lacking(number), reserving=False)
    while allowance.n_left > 0 and choice.follow(choice.allowed(), allowance.n_left, reserving=False):
        pass
    return choice.picks, short


class _Choice:
    """Picks as they are made."""

    def __init__(self, options: Sequence[Option], allowance: Allowance, rank: Ranking) -> None:
        self._options, self._allowance, self._rank = options, allowance, rank
        self.picks: list[Ranked] = []

    def allowed(self, quota: QuotaSpec | None = None) -> list[int]:
        """Return the candidates that all bounds admit; of one quota where it is given."""
        taken = {pick.index for pick in self.picks}
        return [
            i
            for i, option in enumerate(self._options)
            if i not in taken and self._allowance.admits(option) and (quota is None or covers(quota, option))
        ]

    def follow(self, numbers: Sequence[int], n: int, *, reserving: bool) -> int:
        """Take of a ranking what bounds admit, less what is reserved for quotas; return how many were taken."""
        before = len(self.picks)
        ranking = self._rank(numbers, [pick.index for pick in self.picks], n) if numbers and n > 0 else ()
        for pick in ranking:
            option = self._options[pick.index]
            reserved = self._allowance.outstanding(option) if reserving else 0
            if self._allowance.admits(option) and self._allowance.n_left > reserved:
                self._allowance.take(option)
                self.picks.append(pick)
        return len(self.picks) - before


def _at_most(quota: QuotaSpec, n_labels: int) -> int:
    if quota.max_share <= 0:
        return 0
    return max(1, math.floor(quota.max_share * n_labels + _ROUNDING))
