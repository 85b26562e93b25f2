"""What every selection engine promises."""

import numpy as np
import pytest

from lizrcl_flows.documents.spec import SelectionSpec
from lizrcl_flows.engines.selection import ENGINES, make_selector
from lizrcl_flows.engines.selection.base import Pool
from lizrcl_flows.engines.selection.clusters import ClusterSelector
from lizrcl_flows.engines.selection.environments import EnvironmentSelector
from lizrcl_flows.engines.selection.farthest_point import FarthestPointSelector
from lizrcl_flows.engines.selection.random import RandomSelector
from lizrcl_flows.errors import InputError
from lizrcl_flows.science.environments import Environments

NUMBERS = np.array([3, 17, 17])


def environments_of(rows):
    """Structures of three atoms each; rows (n, 3, D)."""
    return Environments(
        rows.reshape(-1, rows.shape[2]).astype(np.float32),
        np.tile(NUMBERS, len(rows)),
        np.repeat(np.arange(len(rows)), 3),
        np.zeros(0),
    )


def pool_of(n, n_known=5, seed=0, copies_of=None):
    """Draw rows and environments; `copies_of` lists candidates of which the pool holds one more each."""
    rng = np.random.default_rng(seed)
    atoms = rng.normal(size=(n + n_known, 3, 4))
    candidates, known = atoms[:n], atoms[n:]
    if copies_of is not None:
        candidates = np.concatenate([candidates, candidates[copies_of]])
    return Pool(
        descriptors=candidates.mean(axis=1),
        known=known.mean(axis=1),
        eps=rng.uniform(size=len(candidates)),
        environments=environments_of(candidates),
        known_environments=environments_of(known),
    )


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
        assert all(isinstance(number, float) for number in (*selection.scores, *selection.radii))

    def test_radii_tell_how_the_pool_is_covered(self, engine):
        radii = engine.select(pool_of(20), 20, np.random.default_rng(1)).radii
        assert len(radii) == 20
        assert min(radii[:5]) > 0
        assert (np.diff(radii) <= 1e-12).all()
        assert radii[-1] == pytest.approx(0, abs=1e-9)

    def test_it_says_what_it_needs(self, engine):
        assert engine.needs in ("rows", "environments")
        assert "needs" not in engine.as_dict()

    def test_equal_generators_give_equal_choices(self, engine):
        choices = [engine.select(pool_of(30), 8, np.random.default_rng(7)) for _ in range(2)]
        assert choices[0] == choices[1]

    @pytest.mark.parametrize("n_known", [0, 3])
    def test_an_empty_pool_gives_an_empty_choice(self, engine, n_known):
        pool = pool_of(0, n_known)
        assert engine.select(pool, 5, np.random.default_rng(0)).indices == ()

    def test_it_works_without_known_structures(self, engine):
        assert len(engine.select(pool_of(10, n_known=0), 4, np.random.default_rng(0)).indices) == 4


class TestFarthestPoint(SelectorContract):
    @pytest.fixture
    def engine(self):
        return FarthestPointSelector()

    def test_a_copy_is_never_chosen(self, engine):
        pool = pool_of(10, copies_of=[0, 3, 3])
        assert len(engine.select(pool, 13, np.random.default_rng(0)).indices) == 10

    def test_it_takes_the_corners_of_what_is_not_known(self, engine):
        line = np.array([[0.0], [1.0], [4.0], [10.0]])
        selection = engine.select(Pool(line, np.array([[0.0]]), np.zeros(4)), 2, np.random.default_rng(0))
        assert selection.indices == (3, 2)
        assert selection.scores == pytest.approx((10.0, 4.0))
        assert selection.radii == pytest.approx((4.0, 1.0))


class TestEnvironments(SelectorContract):
    @pytest.fixture
    def engine(self):
        return EnvironmentSelector(atoms_per_candidate=3)

    def test_a_new_environment_that_the_mean_hides_is_chosen(self, engine):
        atoms = np.zeros((3, 3, 2))
        atoms[0, 1:] += 0.5
        atoms[1, 1], atoms[1, 2] = (2.0, 0.0), (-2.0, 0.0)
        pool = Pool(
            atoms.mean(axis=1), np.zeros((1, 2)), np.zeros(3), environments_of(atoms), environments_of(atoms[2:])
        )
        assert engine.select(pool, 1, np.random.default_rng(0)).indices == (1,)
        assert FarthestPointSelector().select(pool, 1, np.random.default_rng(0)).indices == (0,)

    def test_a_copy_is_never_chosen(self, engine):
        pool = pool_of(10, copies_of=[0, 3, 3])
        assert len(engine.select(pool, 13, np.random.default_rng(0)).indices) == 10

    def test_a_pool_without_atoms_is_refused(self, engine):
        pool = Pool(np.ones((2, 4)), np.zeros((0, 0)), np.zeros(2))
        with pytest.raises(ValueError, match="needs the environments of the candidates"):
            engine.select(pool, 1, np.random.default_rng(0))


class TestClusters(SelectorContract):
    @pytest.fixture
    def engine(self):
        return ClusterSelector()

    def test_it_takes_the_middle_of_the_larger_clusters_first(self, engine):
        line = np.array([[0.0], [1.0], [2.0], [50.0], [51.0], [90.0]])
        selection = engine.select(Pool(line, np.zeros((0, 0)), np.zeros(6)), 3, np.random.default_rng(0))
        assert selection.indices == (1, 3, 5)
        assert selection.scores == (3.0, 2.0, 1.0)

    def test_a_copy_is_never_chosen(self, engine):
        pool = pool_of(10, copies_of=[0, 3, 3])
        assert len(engine.select(pool, 13, np.random.default_rng(0)).indices) == 10

    def test_two_components_as_in_the_study_or_as_many_as_needed(self):
        pool = pool_of(60, n_known=0)
        choices = [ClusterSelector(n).select(pool, 6, np.random.default_rng(0)).indices for n in (None, 2, 4)]
        assert choices[1] != choices[2] == choices[0]


class TestRandom(SelectorContract):
    @pytest.fixture
    def engine(self):
        return RandomSelector()

    def test_the_draw_depends_on_the_generator_and_is_even(self, engine):
        pool = pool_of(10)
        rng = np.random.default_rng(3)
        counts = np.zeros(10)
        for _ in range(400):
            counts[list(engine.select(pool, 3, rng).indices)] += 1
        assert counts == pytest.approx(120, abs=50)  # binomial with sigma 9.2


KINDS = {
    "clusters": ClusterSelector,
    "environments": EnvironmentSelector,
    "farthest_point": FarthestPointSelector,
    "random": RandomSelector,
}


def test_factory_knows_all_engines_and_refuses_others():
    assert KINDS.keys() == ENGINES.keys()
    for name, kind in KINDS.items():
        assert isinstance(make_selector(SelectionSpec(engine=name, n_structures=3)), kind)
    with pytest.raises(InputError, match="no engine 'lot', accepted: clusters, environments, farthest_point, random"):
        make_selector(SelectionSpec(n_structures=3).model_copy(update={"engine": "lot"}))


def test_settings_of_a_campaign_file_reach_the_engines():
    spec = SelectionSpec(engine="clusters", n_structures=3, n_components=2, atoms_per_candidate=5)
    assert make_selector(spec) == ClusterSelector(n_components=2)
    assert make_selector(spec.model_copy(update={"engine": "environments"})) == EnvironmentSelector(5)
