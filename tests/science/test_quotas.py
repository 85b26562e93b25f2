"""Quotas and budgets: bounds are kept whatever the candidates are, and nothing changes where none interferes."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lizrcl_flows.documents.spec import BudgetSpec, QuotaSpec
from lizrcl_flows.science.quotas import Allowance, Means, Option, Ranked, covers, fill, means_within, n_controls

PHASES = ("ideal", "alpha", "beta")


def by_number(allowed, chosen, n):
    """Rank like a selector that likes low numbers."""
    return [Ranked(i, float(-i)) for i in sorted(set(allowed) - set(chosen))[:n]]


def options(phases, hours=None):
    return [Option(phase, None, 300.0, None if hours is None else hours[i]) for i, phase in enumerate(phases)]


def picked(phases, n, quotas=(), hours=None, budget=None):
    picks, short = fill(options(phases, hours), Allowance(Means(n, budget), quotas), by_number)
    return [pick.index for pick in picks], short


def test_without_bounds_the_choice_is_the_selector_s():
    asked = []

    def selector(allowed, chosen, n):
        asked.append((list(allowed), list(chosen), n))
        return [Ranked(3, 2.0, 1.5), Ranked(0, 1.0, 0.5)]

    picks, short = fill(options(["ideal"] * 4), Allowance(Means(2)), selector)
    assert picks == [Ranked(3, 2.0, 1.5), Ranked(0, 1.0, 0.5)]
    assert asked == [([0, 1, 2, 3], [], 2)]
    assert short == []


def test_a_phase_gets_no_more_than_its_share_and_others_fill_up():
    phases = ["ideal"] * 8 + ["alpha"] * 8
    assert picked(phases, 6)[0] == [0, 1, 2, 3, 4, 5]
    assert picked(phases, 6, [QuotaSpec(phase="ideal", max_share=0.5)])[0] == [0, 1, 2, 8, 9, 10]


def test_a_phase_gets_its_least_share_and_the_order_of_the_selector_stays():
    phases = ["ideal"] * 8 + ["alpha"] * 8
    assert picked(phases, 6, [QuotaSpec(phase="alpha", min_share=0.3)])[0] == [0, 1, 2, 3, 8, 9]
    # what the selector does by itself is not touched
    assert picked(phases[::-1], 6, [QuotaSpec(phase="alpha", min_share=0.3)])[0] == [0, 1, 2, 3, 4, 5]


def test_a_least_share_beyond_the_candidates_is_said_and_costs_no_label():
    chosen, short = picked(["ideal"] * 8 + ["alpha"], 4, [QuotaSpec(phase="alpha", min_share=0.5)])
    assert chosen == [0, 1, 2, 8]
    assert short == ["the quota of phase alpha should have 2 labels and 1 candidates are there"]


def test_a_share_of_nothing_is_nothing_and_any_other_allows_one():
    assert picked(["ideal"] * 3, 1, [QuotaSpec(phase="ideal", max_share=0.1)])[0] == [0]
    assert picked(["ideal"] * 3, 1, [QuotaSpec(phase="ideal", max_share=0.0)])[0] == []


@pytest.mark.parametrize(
    ("quota", "inside", "outside"),
    [
        (QuotaSpec(region="interface"), Option("a", "interface", 1.0), Option("a", None, 1.0)),
        (QuotaSpec(region="bulk"), Option("a", None, 1.0), Option("a", "interface", 1.0)),
        (QuotaSpec(temperature_min_k=900), Option("a", None, 900.0), Option("a", None, 899.0)),
        (QuotaSpec(temperature_max_k=900), Option("a", None, 900.0), Option("a", None, None)),
        (QuotaSpec(phase="a", temperature_min_k=900), Option("a", None, 1000.0), Option("b", None, 1000.0)),
    ],
)
def test_what_a_quota_speaks_of(quota, inside, outside):
    assert covers(quota, inside)
    assert not covers(quota, outside)


def test_core_hours_are_not_exceeded_and_cheaper_labels_are_still_taken():
    assert picked(["ideal"] * 4, 4, hours=[1.0, 5.0, 1.0, 1.0], budget=3.0)[0] == [0, 2, 3]
    assert picked(["ideal"] * 4, 4, hours=[1.0] * 4, budget=0.5)[0] == []


def test_labels_of_unknown_cost_are_tried_one_at_a_time():
    assert picked(["ideal"] * 4, 4, hours=[None] * 4, budget=3.0)[0] == [0]
    assert picked(["ideal"] * 4, 4, hours=[None] * 4, budget=0.0)[0] == []


@st.composite
def problems(draw):
    n = draw(st.integers(0, 25))
    phases = draw(st.lists(st.sampled_from(PHASES), min_size=n, max_size=n))
    temperatures = draw(st.lists(st.sampled_from([300.0, 900.0]), min_size=n, max_size=n))
    hours = draw(st.lists(st.floats(0.1, 5.0), min_size=n, max_size=n))
    shares = st.tuples(st.sampled_from([0.0, 0.1, 0.5]), st.sampled_from([0.5, 0.75, 1.0]))
    places = st.one_of(st.sampled_from(PHASES).map(lambda name: {"phase": name}), st.just({"temperature_min_k": 600.0}))
    quotas = [
        QuotaSpec(**place, min_share=low, max_share=high)
        for place, (low, high) in draw(st.lists(st.tuples(places, shares), max_size=4))
    ]
    found = [Option(*row) for row in zip(phases, [None] * n, temperatures, hours, strict=True)]
    return found, quotas, Means(draw(st.integers(0, 12)), draw(st.one_of(st.none(), st.floats(0, 20))))


@settings(max_examples=150, deadline=None)
@given(problems(), st.integers(0, 2**31))
def test_no_bound_is_ever_exceeded_and_nothing_is_chosen_twice(problem, seed):
    candidates, quotas, means = problem

    def by_lot(allowed, chosen, n):
        rng = np.random.default_rng([seed, len(chosen)])
        return [Ranked(allowed[i], 0.0) for i in rng.permutation(len(allowed))[:n]]

    picks = [pick.index for pick in fill(candidates, Allowance(means, quotas), by_lot)[0]]
    assert picks == [pick.index for pick in fill(candidates, Allowance(means, quotas), by_lot)[0]]
    assert len(set(picks)) == len(picks) <= means.labels
    if means.core_hours is not None:
        assert sum(candidates[i].core_hours for i in picks) <= means.core_hours + 1e-9
    taken = [sum(covers(quota, candidates[i]) for i in picks) for quota in quotas]
    for quota, count in zip(quotas, taken, strict=True):
        assert count <= max(1, math.floor(quota.max_share * means.labels + 1e-9))
    left = Allowance(means, quotas)
    for i in picks:
        left.take(candidates[i])
    rest = [i for i, option in enumerate(candidates) if i not in picks and left.admits(option)]
    assert not rest  # no label is wasted that the bounds would allow


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(PHASES), max_size=25), st.integers(1, 12), st.floats(0, 1))
def test_one_least_share_is_kept_as_far_as_candidates_reach(phases, n, share):
    chosen, _ = picked(phases, n, [QuotaSpec(phase="beta", min_share=share)])
    wanted = min(math.ceil(share * n - 1e-9), phases.count("beta"))
    assert sum(phases[i] == "beta" for i in chosen) >= wanted
    assert len(chosen) == min(n, len(phases))


@pytest.mark.parametrize(
    ("budget", "spent", "hours_spent", "labels", "hours", "why"),
    [
        ({}, 0, (0, 0), 12, None, ""),
        ({"labels": 100}, 95, (0, 0), 5, None, "budget.labels leaves 5 of 12 labels"),
        ({"labels": 100}, 120, (0, 0), 0, None, "budget.labels leaves 0 of 12 labels"),
        ({"labels_per_generation": 3, "labels": 100}, 95, (0, 0), 3, None, "budget.labels_per_generation leaves 3"),
        ({"core_hours": 50}, 0, (40, 5), 12, 8, ""),
        ({"core_hours": 50, "core_hours_per_generation": 9}, 0, (40, 5), 12, 2, ""),
        ({"core_hours": 50}, 0, (49, 5), 12, 0, "budget.core_hours leaves nothing for labels"),
    ],
)
def test_what_a_budget_leaves(budget, spent, hours_spent, labels, hours, why):
    found = means_within(12, BudgetSpec(**budget), spent, hours_spent, reserved=2.0)
    assert (found.labels, found.core_hours) == (labels, hours)
    assert found.why.startswith(why)
    assert bool(found.why) == bool(why)


@pytest.mark.parametrize(
    ("n", "share", "expected"), [(12, 0.0, 0), (12, 0.1, 1), (20, 0.1, 2), (3, 0.1, 1), (1, 0.1, 0), (5, 1.0, 5)]
)
def test_number_of_controls(n, share, expected):
    assert n_controls(n, share) == expected
