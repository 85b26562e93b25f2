import tracemalloc

import numpy as np
import pytest

from lizrcl_flows.science.selection import farthest_point


def by_definition(pool, known, n):
    """Farthest-point sampling in plain double precision, every distance by subtraction."""
    indices, distances = [], []
    nearest = np.full(len(pool), np.inf)
    for row in known if len(known) else [pool.mean(axis=0)]:
        nearest = np.minimum(nearest, np.linalg.norm(pool - row, axis=1))
    while len(indices) < min(n, len(pool)) and (nearest.max() > 0 or not (len(known) or indices)):
        pick = int(np.argmax(nearest))
        distances.append(nearest[pick])
        to_pick = np.linalg.norm(pool - pool[pick], axis=1)
        nearest = np.minimum(nearest, to_pick) if len(known) or indices else to_pick
        indices.append(pick)
    return indices, distances


@pytest.mark.parametrize("n_known", [0, 1, 40])
@pytest.mark.parametrize("seed", range(4))
def test_it_picks_what_the_definition_picks(seed, n_known):
    rng = np.random.default_rng(seed)
    pool, known = rng.normal(size=(150, 30)), rng.normal(size=(n_known, 30))
    indices, distances = farthest_point(pool, known, 25)
    expected, expected_distances = by_definition(pool, known, 25)
    assert indices.tolist() == expected
    np.testing.assert_allclose(distances, expected_distances, rtol=1e-12)


def test_it_picks_what_the_definition_picks_where_single_precision_cannot_tell():
    rng = np.random.default_rng(10)
    directions = rng.normal(size=(400, 12))
    directions /= np.linalg.norm(directions, axis=1)[:, None]
    pool = directions * (1 + 1e-10 * rng.integers(0, 1000, 400))[:, None] + 3.0  # distances that differ by 1e-10
    known = np.full((1, 12), 3.0)
    assert len(np.unique(np.linalg.norm(pool - 3.0, axis=1).astype(np.float32))) < 20
    assert farthest_point(pool, known, 60)[0].tolist() == by_definition(pool, known, 60)[0]


def test_it_picks_what_the_definition_picks_on_a_lattice_full_of_ties():
    axis = np.arange(6.0)
    pool = np.array(np.meshgrid(axis, axis, axis, indexing="ij")).reshape(3, -1).T
    for known in (pool[[0]], pool[[100, 7]] + 0.5, np.zeros((0, 3))):
        assert farthest_point(pool, known, 216)[0].tolist() == by_definition(pool, known, 216)[0]


def test_many_rows_and_known_ones_far_away_and_single_precision():
    rng = np.random.default_rng(11)
    centres = 20 * rng.normal(size=(9, 40))
    pool = (centres[rng.integers(9, size=3000)] + rng.normal(size=(3000, 40))).astype(np.float32)
    known = (centres[rng.integers(5, size=600)] + rng.normal(size=(600, 40)) + 0.1).astype(np.float32)
    known[:3] *= 1e4
    indices, distances = farthest_point(pool, known, 60)
    expected, expected_distances = by_definition(pool.astype(float), known.astype(float), 60)
    assert indices.tolist() == expected
    np.testing.assert_allclose(distances, expected_distances, rtol=1e-12)


def test_the_pool_is_copied_in_single_precision_only():
    rng = np.random.default_rng(12)
    pool, known = rng.normal(size=(20_000, 63)), rng.normal(size=(400, 63))
    tracemalloc.start()
    farthest_point(pool, known, 20)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.0 * pool.nbytes


def test_known_rows_in_several_chunks_all_count():
    rng = np.random.default_rng(1)
    pool, known = rng.normal(size=(60, 5)), rng.normal(size=(5000, 5))
    known[4990:] = pool[:10]
    indices, _ = farthest_point(pool, known, 60)
    assert sorted(indices) == list(range(10, 60))


def test_distances_do_not_increase():
    pool = np.random.default_rng(2).normal(size=(500, 12))
    _, distances = farthest_point(pool, pool[:3] + 0.1, 200)
    assert (np.diff(distances) <= 1e-6).all()


@pytest.mark.parametrize("with_known", [True, False])
def test_a_copy_is_never_taken(with_known):
    rows = np.random.default_rng(3).normal(size=(20, 8))
    pool = np.concatenate([rows, rows[::-1], rows])
    known = rows[:5] if with_known else np.zeros((0, 0))
    indices, distances = farthest_point(pool, known, 60)
    chosen = {tuple(pool[i]) for i in indices}
    assert len(indices) == len(chosen) == (15 if with_known else 20)
    assert (distances > 0).all()


def test_rows_that_differ_less_than_single_precision_shows_are_still_told_apart():
    pool = np.zeros((6, 3))
    pool[0] = 1000.0
    pool[1:5] = np.arange(4)[:, None] * 1e-4
    pool[5] = pool[4]
    indices, distances = farthest_point(pool, np.zeros((0, 0)), 6)
    assert len(indices) == 5
    assert not {4, 5} <= set(indices.tolist())
    assert (distances > 0).all()


def test_it_is_the_same_every_time_and_ties_go_to_the_first():
    corners = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]])
    first, _ = farthest_point(corners, np.array([[0.5, 0.5]]), 4)
    assert first.tolist()[0] == 0
    again, _ = farthest_point(corners, np.array([[0.5, 0.5]]), 4)
    assert first.tolist() == again.tolist()


def test_clusters_are_visited_before_any_is_visited_twice():
    rng = np.random.default_rng(4)
    centres = rng.normal(size=(7, 16)) * 10
    pool = np.concatenate([centre + rng.normal(scale=0.1, size=(100, 16)) for centre in centres])
    indices, _ = farthest_point(pool, np.zeros((0, 0)), 7)
    assert sorted(i // 100 for i in indices) == list(range(7))


def test_one_row_nothing_and_too_much():
    one = np.ones((1, 4))
    assert farthest_point(one, np.zeros((0, 0)), 3)[0].tolist() == [0]
    assert farthest_point(one, one, 3)[0].tolist() == []
    assert farthest_point(np.zeros((0, 4)), one, 3)[0].tolist() == []
    assert farthest_point(one, np.zeros((0, 0)), 0)[0].tolist() == []
    assert len(farthest_point(np.arange(12.0).reshape(3, 4), one, 99)[0]) == 3


def test_wrong_rows_are_refused():
    with pytest.raises(ValueError, match="known rows have 3 descriptors, the pool has 4"):
        farthest_point(np.ones((2, 4)), np.ones((2, 3)), 1)
    with pytest.raises(ValueError, match="not a finite number"):
        farthest_point(np.array([[1.0, np.nan]]), np.zeros((0, 2)), 1)
