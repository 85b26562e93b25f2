"""Classes of displacements, and maps of environments."""

import numpy as np
import pytest

from lizrcl_flows.errors import InputError
from lizrcl_flows.science.motion.displacement_classes import CLASSES, classify, net_displacement
from lizrcl_flows.science.motion.environment_map import environment_map, neighbour_purity


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize(
    ("across", "along", "name"),
    [
        (0.99, 0.99, "immobile"),
        (0.0, 0.0, "immobile"),
        (0.99, -1.0, "z"),
        (0.0, 5.0, "z"),
        (1.0, 0.99, "xy"),
        (5.0, 0.0, "xy"),
        (1.0, 1.01, "mixed_z"),
        (2.0, -3.0, "mixed_z"),
        (1.01, 1.0, "mixed_xy"),
        (3.0, 2.0, "mixed_xy"),
        (1.0, 1.0, "mixed_xy"),
        (2.5, -2.5, "mixed_xy"),
    ],
)
def test_corners_and_ties(axis, across, along, name):
    displacement = np.zeros((1, 3))
    displacement[0, axis], displacement[0, (axis + 1) % 3] = along, across
    found = classify(displacement, axis)
    assert CLASSES[found.labels[0]] == name
    assert found.counts.tolist() == [int(name == each) for each in CLASSES]
    assert (found.along_a[0], found.across_a[0]) == pytest.approx((abs(along), abs(across)))


def test_every_ion_has_one_class_whatever_the_direction_of_the_normal():
    rng = np.random.default_rng(0)
    displacement = 2 * rng.standard_normal((500, 3))
    found = classify(displacement)
    assert found.counts.sum() == 500
    assert found.shares.sum() == pytest.approx(1.0)
    turn, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    turned = classify(displacement @ turn.T, axis=3.0 * turn[:, 2])
    assert turned.labels.tolist() == found.labels.tolist()
    among = np.arange(500) < 100
    assert classify(displacement, among=among).labels.tolist() == found.labels[:100].tolist()
    assert found.shares_std == pytest.approx(np.sqrt(found.shares * (1 - found.shares) / 500))


def test_displacements_begin_where_the_run_has_settled():
    paths = np.zeros((301, 2, 3))
    paths[:200, 0] += np.arange(200)[:, None] * 0.1
    paths[200:, 0] = 20.0
    paths[250:, 1] = [0.0, 3.0, -1.0]
    assert net_displacement(paths, 10.0) == pytest.approx(np.array([[0.0] * 3, [0.0, 3.0, -1.0]]))
    assert net_displacement(paths, 10.0, settled_after_ps=0.0)[0] == pytest.approx([20.0] * 3)


def test_vibration_passes_for_mobility_unless_ends_are_medians():
    paths = 0.3 * np.random.default_rng(1).standard_normal((250, 3000, 3))
    plain = classify(net_displacement(paths, 10.0))
    median = classify(net_displacement(paths, 10.0, n_median=5))
    assert 1 - plain.shares[0] == pytest.approx(0.08, abs=0.02)  # 0.062 in the plane, 0.018 along the normal
    assert 1 - median.shares[0] < 0.002


def test_separate_clouds_stay_apart_in_a_map():
    rng = np.random.default_rng(2)
    labels = np.repeat([0, 1], 80)
    rows = rng.standard_normal((160, 20)) + 8.0 * labels[:, None]
    found = environment_map(rows, seed=3)
    assert neighbour_purity(found.embedding, labels) > 0.99
    assert neighbour_purity(found.embedding, rng.permutation(labels)) == pytest.approx(0.5, abs=0.08)
    assert found.kept.tolist() == list(range(160))
    assert found.parameters["perplexity"] == 30.0
    assert environment_map(rows, seed=3).embedding.tolist() == found.embedding.tolist()


def test_a_map_of_many_environments_is_of_some_of_them():
    rows = np.random.default_rng(4).standard_normal((300, 5))
    found = environment_map(rows, most=60)
    assert found.embedding.shape == (60, 2)
    assert (np.diff(found.kept) > 0).all()
    assert found.kept[-1] > 100
    assert found.parameters["n_environments"] == 300


def test_bad_input_is_one_sentence():
    with pytest.raises(InputError, match="too short"):
        net_displacement(np.zeros((200, 1, 3)), 10.0)
    with pytest.raises(InputError, match="no ion"):
        net_displacement(np.zeros((300, 0, 3)), 10.0)
    with pytest.raises(InputError, match="region is empty"):
        classify(np.zeros((2, 3)), among=np.zeros(2, dtype=bool))
    with pytest.raises(InputError, match="axis 4"):
        classify(np.zeros((2, 3)), axis=4)
    with pytest.raises(InputError, match="threshold"):
        classify(np.zeros((2, 3)), threshold_a=0.0)
    with pytest.raises(InputError, match="3 environments"):
        environment_map(np.zeros((3, 2)))
    with pytest.raises(InputError, match="finite"):
        environment_map(np.full((10, 2), np.nan))
    with pytest.raises(InputError, match="at least 2"):
        neighbour_purity(np.zeros((1, 2)), np.zeros(1))
