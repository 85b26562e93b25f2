"""The map of structures: groups stay together, the same seed gives the same map."""

import numpy as np
import pytest

from lizrcl_flows.science.validation.maps import tsne_map


def test_three_groups_stay_three_groups():
    rng = np.random.default_rng(1)
    centres = rng.normal(scale=3, size=(3, 20))
    rows = np.concatenate([centre + 0.3 * rng.normal(size=(15, 20)) for centre in centres])
    xy = tsne_map(rows, 5)
    group = np.repeat(np.arange(3), 15)
    distance = np.linalg.norm(xy[:, None] - xy[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    assert (group[distance.argmin(axis=1)] == group).all()


@pytest.mark.parametrize("rows", [np.zeros((6, 3)), np.eye(4)])
def test_few_or_equal_structures_have_places_too(rows):
    xy = tsne_map(rows, 0)
    assert xy.shape == (len(rows), 2)
    assert np.isfinite(xy).all()
    assert np.array_equal(xy, tsne_map(rows, 0))


def test_three_structures_are_no_map():
    with pytest.raises(ValueError, match="3 structures are too few"):
        tsne_map(np.eye(3), 0)
