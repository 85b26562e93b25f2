"""Cost laws against data of known laws: exponents, intervals, outliers, and what a single size cannot tell."""

import numpy as np
import pytest

from lizrcl_flows.science.costs import OFFSET, CostPrior, Estimate, fit_cost_law, total

PRIOR = CostPrior(size=100, cost=4.0, factor=4, exponent=2.5, exponent_sd=0.5)


def law_of(sizes, rng, *, a=1e-4, b=2.0, scatter=0.1):
    return a * np.asarray(sizes, dtype=float) ** b * np.exp(rng.normal(0, scatter, len(sizes)))


def test_the_exponent_of_known_data_is_found():
    rng = np.random.default_rng(1)
    sizes = rng.integers(10, 300, 400)
    law = fit_cost_law(sizes, law_of(sizes, rng), PRIOR)
    assert law.exponent == pytest.approx(2.0, abs=0.08)
    assert abs(law.exponent - 2.0) < 3 * law.exponent_sd
    assert law.scatter == pytest.approx(0.1, rel=0.15)
    assert law.n_points == 400
    new = np.array([50, 150, 400])
    expected = float((1e-4 * new**2.0).sum()) * np.exp(0.1**2 / 2)
    estimate = law.predict(new)
    assert estimate.value == pytest.approx(expected, rel=0.15)
    assert estimate.low < expected < estimate.high


def test_a_tenth_of_outliers_moves_little():
    rng = np.random.default_rng(2)
    sizes = rng.integers(10, 300, 400)
    costs = law_of(sizes, rng)
    clean = fit_cost_law(sizes, costs, PRIOR)
    costs[rng.choice(400, 40, replace=False)] *= 30
    law = fit_cost_law(sizes, costs, PRIOR)
    assert law.exponent == pytest.approx(clean.exponent, abs=0.08)
    assert law.predict([100]).value == pytest.approx(clean.predict([100]).value, rel=0.15)
    least_squares = np.polyfit(np.log(sizes), np.log(costs), 1)
    assert np.exp(np.polyval(least_squares, np.log(100))) > 1.3 * 1e-4 * 100**2


def test_one_size_leaves_the_exponent_to_the_prior_and_is_sure_of_that_size():
    rng = np.random.default_rng(3)
    law = fit_cost_law([54] * 60, law_of([54] * 60, rng), PRIOR)
    assert law.exponent == pytest.approx(PRIOR.exponent, abs=0.15)
    assert law.exponent_sd == pytest.approx(PRIOR.exponent_sd, rel=0.15)
    here, far = law.predict([54] * 50), law.predict([216] * 50)
    assert here.value == pytest.approx(50 * 1e-4 * 54**2, rel=0.06)
    assert here.spread < 0.05
    assert far.spread > 0.5


def test_two_near_sizes_do_not_overrule_the_prior():
    rng = np.random.default_rng(4)
    sizes = [27, 36] * 50
    costs = law_of(sizes, rng, a=0.17 / 36**5, b=5.0)  # two substances of near sizes: a slope, but not one of size
    law = fit_cost_law(sizes, costs, PRIOR)
    assert law.exponent == pytest.approx(PRIOR.exponent, abs=1.0)
    assert law.exponent_sd > 0.3


def test_without_data_the_prior_is_the_law():
    law = fit_cost_law([], [], PRIOR)
    estimate = law.predict([100])
    assert law.n_points == 0
    assert estimate.value == pytest.approx(4.0, rel=0.05)
    assert estimate.low < 4.0 / 4 < 4.0 * 4 < estimate.high
    assert law.predict([200]).value / estimate.value == pytest.approx(2**2.5)


def test_nine_of_ten_intervals_hold_what_comes():
    rng = np.random.default_rng(5)
    pool, inside, n_trials = [20, 40, 80, 160], 0, 200
    for _ in range(n_trials):
        a, b = 4.0 * np.exp(rng.normal(0, np.log(4))), rng.normal(2.5, 0.5)
        offsets = {size: rng.normal(0, OFFSET) for size in [*pool, 240]}
        drawn = rng.choice(pool, 60)
        new = [240] * 20 + [40] * 20
        costs, wanted = (
            a
            * (np.array(sizes) / 100) ** b
            * np.exp([offsets[int(size)] for size in sizes])
            * np.exp(rng.normal(0, 0.25, len(sizes)))
            for sizes in (drawn, new)
        )
        estimate = fit_cost_law(drawn, costs, PRIOR).predict(new)
        inside += estimate.low <= wanted.sum() <= estimate.high
    assert 0.83 <= inside / n_trials <= 0.97


def test_counts_stand_for_repeated_sizes():
    law = fit_cost_law([50], [0.7], PRIOR)
    assert law.predict([50, 70], [3, 2]).value == pytest.approx(law.predict([50, 50, 50, 70, 70]).value)
    assert law.predict([50, 70], [3, 2]).spread == pytest.approx(law.predict([50, 50, 50, 70, 70]).spread)
    assert law.predict([50, 70], [0, 0]).value == law.predict([]).value == 0.0


def test_a_law_of_another_level_is_less_sure():
    law = fit_cost_law([50] * 9, [0.7] * 9, PRIOR)
    assert law.widened(3).predict([50]).spread ** 2 == pytest.approx(law.predict([50]).spread ** 2 + np.log(3) ** 2)
    assert PRIOR.widened(2).factor > PRIOR.factor


def test_independent_amounts_add():
    both = Estimate(3.0, 0.1) + Estimate(1.0, 0.6)
    assert both.value == 4.0
    assert both.spread == pytest.approx(np.hypot(0.3, 0.6) / 4)
    assert total([]) == Estimate()
    assert total([Estimate(), Estimate(2.0, 0.5)]) == Estimate(2.0, 0.5)
    assert Estimate(2.0, 0.5).times(3) == Estimate(6.0, 0.5)


def test_costs_of_nothing_and_nonsense_are_left_out():
    law = fit_cost_law([0, 50, 50, 50], [1.0, 0.0, np.nan, 0.5], PRIOR)
    assert law.n_points == 1
