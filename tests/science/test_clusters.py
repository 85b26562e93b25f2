import subprocess
import sys

import numpy as np
import pytest

from lizrcl_flows.science.clusters import principal_axes, representatives, standardised

NONE = np.zeros((0, 0))


def blobs(sizes, width=20, seed=0, spread=0.3):
    """Rows around well separated centres, and the number of the centre of each."""
    rng = np.random.default_rng(seed)
    centres = 6 * np.random.default_rng(77).normal(size=(len(sizes), width))
    labels = np.repeat(np.arange(len(sizes)), sizes)
    return centres[labels] + spread * rng.normal(size=(len(labels), width)), labels


@pytest.mark.parametrize(("n_rows", "width"), [(300, 40), (60, 500), (1500, 1100)])
def test_axes_are_those_of_scikit_learn_on_standardised_columns(n_rows, width):
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import StandardScaler

    rng = np.random.default_rng(1)
    rows = (rng.normal(size=(n_rows, 8)) * np.geomspace(4, 0.5, 8)) @ rng.normal(size=(8, width))
    rows += 0.2 * rng.normal(size=rows.shape) + 10 * rng.normal(size=width)
    scaled = StandardScaler().fit_transform(rows)
    oracle = PCA(5, svd_solver="covariance_eigh" if width < n_rows else "full").fit(scaled)
    expected = oracle.transform(scaled)
    coordinates, ratio = principal_axes(rows, 5)
    np.testing.assert_allclose(ratio, oracle.explained_variance_ratio_, rtol=1e-4)
    signs = np.sign((coordinates * expected).sum(axis=0))
    np.testing.assert_allclose(coordinates * signs, expected, atol=1e-4 * np.abs(expected).max())


def test_axes_point_to_where_their_largest_loading_is_positive():
    rng = np.random.default_rng(2)
    rows = rng.normal(size=(50, 1)) * np.array([1.0, -1, 1]) + 0.01 * rng.normal(size=(50, 3))
    coordinates, _ = principal_axes(rows, 1)
    assert np.corrcoef(coordinates[:, 0], rows[:, 0])[0, 1] > 0.99  # equal loadings: the first column decides
    turned, _ = principal_axes(-rows, 1)
    np.testing.assert_allclose(turned, -coordinates, atol=1e-5)


def test_components_that_do_not_exist_are_zero():
    rows = np.outer(np.arange(4.0), [1.0, 2.0, 0.0])
    coordinates, ratio = principal_axes(rows, 5)
    assert coordinates.shape == (4, 5)
    assert ratio == pytest.approx([1, 0, 0, 0, 0], abs=1e-6)
    assert principal_axes(np.ones((3, 4)), 2)[0].tolist() == [[0, 0]] * 3
    assert principal_axes(np.zeros((0, 4)), 2)[0].shape == (0, 2)
    with pytest.raises(ValueError, match="not a finite number"):
        principal_axes(np.array([[1.0, np.inf], [0.0, 1.0]]), 2)


def test_rounding_is_not_blown_up():
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(40, 3))
    rows[:, 1] = 5 + 1e-7 * rng.normal(size=40)
    rows[:, 2] *= 1e-9
    scaled = standardised(rows)
    np.testing.assert_allclose(scaled[:, 0], (rows[:, 0] - rows[:, 0].mean()) / rows[:, 0].std(), atol=1e-6)
    assert not scaled[:, 1:].any()


def test_each_cluster_gives_the_row_nearest_to_its_middle_the_largest_first():
    sizes = [5, 40, 12, 30]
    pool, labels = blobs(sizes)
    picks = representatives(pool, NONE, 4)
    assert labels[picks.indices].tolist() == [1, 3, 2, 0]
    assert picks.sizes.tolist() == [40, 30, 12, 5]
    assert (np.diff(picks.radii) <= 0).all()
    few = representatives(pool, NONE, 4, n_components=2)
    scaled = standardised(pool)
    places = scaled @ np.linalg.svd(scaled, full_matrices=False)[2][:2].T
    for pick in few.indices:
        members = np.flatnonzero(labels == labels[pick])
        middle = places[members].mean(axis=0)
        assert pick == members[np.argmin(np.linalg.norm(places[members] - middle, axis=1))]


def test_clusters_with_something_known_yield_their_places():
    pool, labels = blobs([20, 20, 20, 20])
    known, others = blobs([20, 20, 20, 20], seed=5)
    assert set(labels[representatives(pool, known[others < 2], 2).indices]) == {2, 3}
    five = representatives(pool, known[others == 1], 5)
    assert {0, 2, 3} <= set(labels[five.indices[:4]])


def test_where_all_is_known_the_largest_clusters_fill_up():
    pool, _ = blobs([20, 8])
    known = pool + 1e-3
    picks = representatives(pool, known, 6)
    assert len(set(picks.indices.tolist())) == 6
    assert len(representatives(pool, known, 99).indices) == 28


@pytest.mark.parametrize("with_known", [True, False])
def test_a_copy_is_never_taken(with_known):
    rows = np.random.default_rng(6).normal(size=(20, 8))
    pool = np.concatenate([rows, rows[::-1], rows])
    known = rows[:5] if with_known else NONE
    picks = representatives(pool, known, 60)
    chosen = {tuple(pool[i]) for i in picks.indices}
    assert len(picks.indices) == len(chosen) == (15 if with_known else 20)
    assert picks.sizes.sum() == len(chosen)


def test_rows_that_differ_only_where_no_component_looks():
    rows = np.repeat(np.arange(3.0), 4)[:, None] * np.ones(5)
    rows[:, 4] += 1e-5 * np.arange(12)
    picks = representatives(rows, NONE, 8, n_components=1)
    assert 3 <= len(set(picks.indices.tolist())) == len(picks.indices) <= 8


def test_nothing_one_and_wrong_input():
    one = np.ones((1, 4))
    assert representatives(one, NONE, 3).indices.tolist() == [0]
    assert representatives(one, one, 3).indices.tolist() == []
    assert representatives(np.zeros((0, 4)), one, 3).indices.tolist() == []
    assert representatives(one, NONE, 0).indices.tolist() == []
    assert representatives(np.ones((3, 4)), NONE, 3).indices.tolist() == [0]
    with pytest.raises(ValueError, match="known rows have 3 descriptors, the pool has 4"):
        representatives(one, np.ones((2, 3)), 1)
    with pytest.raises(ValueError, match="not a finite number"):
        representatives(np.array([[1.0, np.nan]]), NONE, 1)


CHOICE = """
import sys
import numpy as np
import threadpoolctl
from lizrcl_flows.science.clusters import principal_axes, representatives
rng = np.random.default_rng(8)
rows = (rng.normal(size=(3000, 30)) @ rng.normal(size=(30, 80))).astype(np.float32)
picks = representatives(rows, rows[:40] + 0.1, 150)
coordinates, _ = principal_axes(rows, 3)
pools = [pool["num_threads"] for pool in threadpoolctl.threadpool_info()]
print(max(pools), picks.indices.tolist(), picks.radii.tolist(), coordinates.sum(axis=0).tolist())
"""


def test_the_choice_does_not_depend_on_the_number_of_threads():
    """In processes of their own, where the number of threads is set before anything is loaded."""
    said = []
    for threads in ("1", "3"):
        environment = {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads, "PATH": ""}
        done = subprocess.run(
            [sys.executable, "-c", CHOICE], capture_output=True, text=True, check=True, env=environment
        )
        used, _, choice = done.stdout.partition(" ")
        assert int(used) == int(threads)
        said.append(choice)
    assert said[0] == said[1]
