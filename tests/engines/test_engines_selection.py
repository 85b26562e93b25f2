"""What every selection engine promises."""

import numpy as np
import pytest

from lizrcl_flows.documents.spec import SelectionSpec
from lizrcl_flows.engines.selection import ENGINES, make_selector
from lizrcl_flows.engines.selection.base import Pool
from lizrcl_flows.engines.selection.farthest_point import FarthestPointSelector
from lizrcl_flows.engines.selection.random import RandomSelector
from lizrcl_flows.errors import InputError


def pool_of(n, n_known=5, seed=0):
    rng = np.random.default_rng(seed)
    return Pool(descriptors=rng.normal(size=(n, 4)), known=rng.normal(size=(n_known, 4)), eps=rng.uniform(size=n))


class SelectorContract:
    @pytest.fixture
    def engine(self):
        raise NotImplementedError

    def test_it_travels_unchanged(self, engine, round_trips):
        for arrived in round_trips(engine):
            assert arrived == engine

    @pytest.mark.parametrize(("n_pool", "n_wanted"), [(20, 6), (3, 6), (1, 1), (20, 20)])
    def test_choice_holds_different_candidates(self, engine, n_pool, n_wanted):
        selection = engine.select(pool_of(n_pool), n_wanted, np.random.default_rng(1))
        assert len(selection.indices) == min(n_pool, n_wanted) == len(set(selection.indices)) == len(selection.scores)
        assert set(selection.indices) <= set(range(n_pool))
        assert all(isinstance(index, int) for index in selection.indices)
        assert np.isfinite(selection.scores).all()

    def test_equal_generators_give_equal_choices(self, engine):
        choices = [engine.select(pool_of(30), 8, np.random.default_rng(7)) for _ in range(2)]
        assert choices[0] == choices[1]

    @pytest.mark.parametrize("n_known", [0, 3])
    def test_an_empty_pool_gives_an_empty_choice(self, engine, n_known):
        pool = Pool(np.empty((0, 4)), np.zeros((n_known, 4)), np.empty(0))
        assert engine.select(pool, 5, np.random.default_rng(0)).indices == ()

    def test_it_works_without_known_structures(self, engine):
        assert len(engine.select(pool_of(10, n_known=0), 4, np.random.default_rng(0)).indices) == 4


class TestFarthestPoint(SelectorContract):
    @pytest.fixture
    def engine(self):
        return FarthestPointSelector()

    def test_it_takes_the_corners_of_what_is_not_known(self, engine):
        line = np.array([[0.0], [1.0], [4.0], [10.0]])
        selection = engine.select(Pool(line, np.array([[0.0]]), np.zeros(4)), 2, np.random.default_rng(0))
        assert selection.indices == (3, 2)
        assert selection.scores == pytest.approx((10.0, 4.0))


class TestRandom(SelectorContract):
    @pytest.fixture
    def engine(self):
        return RandomSelector()

    def test_the_draw_depends_on_the_generator_and_is_even(self, engine):
        pool = pool_of(10)
        rng = np.random.default_rng(3)
        counts = np.zeros(10)
        for _ in range(2000):
            counts[list(engine.select(pool, 3, rng).indices)] += 1
        assert counts == pytest.approx(600, abs=110)  # binomial with sigma 20.5


def test_factory_knows_all_engines_and_refuses_others():
    for name, kind in (("farthest_point", FarthestPointSelector), ("random", RandomSelector)):
        assert isinstance(make_selector(SelectionSpec(engine=name, n_structures=3)), kind)
        assert name in ENGINES
    with pytest.raises(InputError, match="no engine 'clusters', accepted: farthest_point, random"):
        make_selector(SelectionSpec(n_structures=3).model_copy(update={"engine": "clusters"}))
