"""Density along the normal, layers, populations and glide, against planted ones."""

import numpy as np
import pytest

from lizrcl_flows.errors import InputError
from lizrcl_flows.science.motion.density import counts_by_frame, density_map
from lizrcl_flows.science.motion.glide import layer_glide
from lizrcl_flows.science.motion.layers import find_layers, layer_populations
from lizrcl_flows.science.motion.slab import (
    areas_of_cells,
    fractional_heights,
    heights_of_cells,
    plane_vectors,
)


def planted_layers(rng, per_layer, n_frames, first=0.0, noise=0.01):
    """Return fractions of ions in evenly spaced layers, `per_layer` of them in each."""
    n_layers = len(per_layer)
    places = np.repeat(first + np.arange(n_layers) / n_layers, per_layer)
    return (places + noise * rng.standard_normal((n_frames, len(places)))) % 1.0


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_planted_layers_of_196_ions_are_found_in_a_breathing_cell(axis):
    rng = np.random.default_rng(0)
    n_frames, height, area = 60, 48.0, 30.0 * 32.0
    fraction = planted_layers(rng, [196] * 8, n_frames, first=0.0)  # the first layer is on the boundary
    cell = np.roll(np.roll(np.diag([30.0, 32.0, height]), axis + 1, axis=0), axis + 1, axis=1)
    cells = cell * (1 + 0.01 * rng.standard_normal(n_frames))[:, None, None]
    inside = rng.uniform(-1, 2, (n_frames, fraction.shape[1], 3))
    inside[:, :, axis] = fraction + rng.integers(-2, 3, fraction.shape)  # unwrapped
    positions = np.einsum("tni,tij->tnj", inside, cells).astype(np.float32)
    heights, areas = heights_of_cells(cells, axis), areas_of_cells(cells, axis)
    found = density_map(fractional_heights(positions, cells, axis, centre=-1 / 16), heights, areas, 10.0, n_bins=8)
    assert (found.counts == 196).all()
    assert found.density.mean() == pytest.approx(8 * 196 / (height * area), rel=0.01)
    assert found.z_edges_a[[0, -1]] == pytest.approx([0.0, heights.mean()])
    assert found.times_ps[[0, -1]] == pytest.approx([0.0, 590.0])


def test_counts_are_conserved_exactly_in_every_window():
    rng = np.random.default_rng(1)
    fraction = rng.uniform(0, 1, (205, 97))
    fraction[3, 4], fraction[5, 6] = 0.0, np.nextafter(1.0, 0.0)
    assert (counts_by_frame(fraction, 33).sum(axis=1) == 97).all()
    found = density_map(fraction, np.full(205, 40.0), np.full(205, 100.0), 10.0, n_bins=33, window_ps=100.0)
    assert len(found.counts) == len(found.times_ps) == 21
    assert found.counts.sum(axis=1) == pytest.approx(97, abs=1e-9)
    assert (found.density * 40.0 * 100.0 / 33).sum(axis=1) == pytest.approx(97)
    assert found.times_ps[:2] == pytest.approx([45.0, 145.0])
    assert found.times_ps[-1] == pytest.approx(2020.0)


@pytest.mark.parametrize("first", [0.0, 0.05, 0.97])
def test_layers_are_parted_by_gaps_across_the_boundary_too(first):
    rng = np.random.default_rng(2)
    fraction = planted_layers(rng, [4, 2, 4, 2], 1, first=first, noise=0.004)[0]
    layers = find_layers(fraction, 24.0)
    assert sorted(layers.n_atoms.tolist()) == [2, 2, 4, 4]
    assert (np.diff(layers.fraction) > 0.2).all()
    for layer in range(4):
        away = fraction[layers.index == layer] - layers.fraction[layer]
        assert np.abs(away - np.rint(away)).max() < 0.02
    # atoms planted together are in one layer
    assert len(set(layers.index[:4].tolist())) == len(set(layers.index[4:6].tolist())) == 1


def test_populations_of_alpha_are_two_to_one():
    rng = np.random.default_rng(3)
    fraction = planted_layers(rng, [200, 100] * 3, 100, first=0.98)
    moved = rng.integers(0, 900, (100, 20))
    fraction[np.arange(100)[:, None], moved] += 0.5  # half a cell is an odd number of layers
    layers = find_layers(np.repeat(np.arange(6) / 6 + 0.98, 2) % 1.0, 60.0)
    found = layer_populations(fraction % 1.0, layers.fraction, 60.0, 10.0)
    assert (found.population.sum(axis=1) == 900).all()
    expected = (600 - 20 * (2 / 3 - 1 / 3)) / (300 + 20 * (2 / 3 - 1 / 3))
    assert found.rich_to_poor == pytest.approx(expected, abs=4 * found.rich_to_poor_std)
    assert 0 < found.rich_to_poor_std < 0.05
    assert found.mean.sum() == pytest.approx(900)
    assert found.layer_z_a == pytest.approx(60.0 * layers.fraction)


def test_the_error_of_the_ratio_covers_its_scatter():
    rng = np.random.default_rng(4)
    inside = 0
    for _ in range(40):
        # every ion is in a rich layer with the probability 2/3 and stays for 25 frames
        rich = np.repeat(rng.random((8, 120)) < 2 / 3, 25, axis=0)
        found = layer_populations(np.where(rich, 0.25, 0.75), np.array([0.25, 0.75]), 12.0, 10.0)
        inside += abs(found.rich_to_poor - 2.0) < found.rich_to_poor_std
    assert 17 <= inside <= 36


def test_layers_that_do_not_alternate_have_no_ratio():
    fraction = np.tile([0.1, 0.4, 0.7], (5, 1))
    assert layer_populations(fraction, np.array([0.1, 0.4, 0.7]), 30.0, 10.0).rich_to_poor is None
    assert layer_populations(fraction * 0 + 0.1, np.array([0.1, 0.6]), 30.0, 10.0).rich_to_poor is None


def crystal(rng, n_layers=6, n_frames=600, per_side=6, axis=2):
    """Return paths of atoms in hexagonal layers 6 A apart that vibrate and drift, their layers and the cell."""
    a, b = np.array([6.4, 0.0, 0.0]), np.array([-3.2, 6.4 * 0.75**0.5, 0.0])
    grid = np.array([i * a + j * b for i in range(per_side) for j in range(per_side)])
    sites = np.concatenate([grid + np.array([0.3 * layer, 0.1, 6.0 * layer]) for layer in range(n_layers)])
    cell = np.array([per_side * a, per_side * b, [1.0, 0.5, 6.0 * n_layers]])
    paths = sites + 0.2 * rng.standard_normal((n_frames, len(sites), 3)) + np.linspace(0, 3, n_frames)[:, None, None]
    cell = np.roll(np.roll(cell, axis + 1, axis=0), axis + 1, axis=1)
    index = find_layers(fractional_heights(np.roll(paths, axis + 1, axis=2), cell, axis)[0], 6.0 * n_layers).index
    return np.roll(paths, axis + 1, axis=2), index, cell, np.roll(np.stack([a, b]), axis + 1, axis=1)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_planted_glide_is_found_in_its_frame(axis):
    paths, index, cell, _ = crystal(np.random.default_rng(5), axis=axis)
    vector = np.roll([1.9, 1.1, 0.0], axis + 1)
    layer = int(index[100])
    paths[321:, index == layer] += vector
    found = layer_glide(paths, index, plane_vectors(cell, axis), 10.0 * np.arange(600))
    assert [event.layer for event in found.events] == sorted([layer, (layer + 1) % 6])
    for event in found.events:
        assert abs(event.frame - 321) <= 1
        assert event.time_ps == pytest.approx(10.0 * event.frame)
        assert event.size_a == pytest.approx(np.hypot(1.9, 1.1), abs=0.15)  # 2.2 A
        assert event.vector_a == pytest.approx(vector if event.layer == layer else -vector, abs=0.15)
    assert found.displacement_a[400:, layer].mean() == pytest.approx(2.195, abs=0.05)
    assert found.displacement_a[:320].max() < 0.3


def test_a_slow_glide_is_one_event_and_a_glide_and_back_are_two():
    paths, index, cell, _ = crystal(np.random.default_rng(6), n_layers=2)
    course = np.interp(np.arange(600), [200, 230, 450, 451], [0.0, 2.2, 2.2, 0.0])
    paths[:, index == 1, 0] += course[:, None]
    found = layer_glide(paths, index, plane_vectors(cell, 2), 10.0 * np.arange(600))
    events = [event for event in found.events if event.layer == 1]
    assert len(events) == 2
    assert abs(events[0].frame - 215) <= 3
    assert abs(events[1].frame - 451) <= 1
    assert events[0].vector_a == pytest.approx([2.2, 0, 0], abs=0.2)
    assert events[1].vector_a == pytest.approx([-2.2, 0, 0], abs=0.2)


def test_what_does_not_last_or_leads_to_the_same_stacking_is_no_glide():
    paths, index, cell, translations = crystal(np.random.default_rng(7), n_layers=3)
    paths[100:103, index == 1, 0] += 2.2  # 30 ps
    paths[300:, index == 2, 0] += 6.4  # a translation of the crystal
    times = 10.0 * np.arange(600)
    found = layer_glide(paths, index, translations, times)
    assert found.events == ()
    assert found.displacement_a[400:].max() < 0.3
    by_cell = layer_glide(paths, index, plane_vectors(cell, 2), times)
    assert {round(event.size_a) for event in by_cell.events} == {6}
    paths[598:, index == 1, 0] += 2.2  # too late to be kept
    assert layer_glide(paths, index, translations, times).events == ()


def test_sparse_frames_show_a_glide_too():
    paths, index, cell, _ = crystal(np.random.default_rng(8), n_frames=100, n_layers=4)
    paths[40:, index == 2, 1] -= 2.2
    found = layer_glide(paths, index, plane_vectors(cell, 2), 200.0 * np.arange(100))
    assert {(event.layer, event.frame) for event in found.events} == {(2, 40), (3, 40)}


def test_what_has_no_layers_is_one_sentence():
    with pytest.raises(InputError, match="no layers"):
        find_layers(np.linspace(0, 1, 100, endpoint=False), 30.0)
    with pytest.raises(InputError, match="no atoms"):
        find_layers(np.zeros(0), 30.0)
    with pytest.raises(InputError, match="no ions"):
        layer_populations(np.zeros((3, 0)), np.array([0.5]), 30.0, 10.0)
    with pytest.raises(InputError, match="no layers"):
        layer_populations(np.zeros((3, 1)), np.zeros(0), 30.0, 10.0)
    with pytest.raises(InputError, match="no ions whose density"):
        density_map(np.zeros((3, 0)), np.ones(3), np.ones(3), 10.0)
    with pytest.raises(InputError, match="1 layers"):
        layer_glide(np.zeros((5, 2, 3)), np.zeros(2, dtype=int), np.eye(3)[:2], np.arange(5.0))
    with pytest.raises(InputError, match="1 frames"):
        layer_glide(np.zeros((1, 2, 3)), np.arange(2), np.eye(3)[:2], np.arange(1.0))
