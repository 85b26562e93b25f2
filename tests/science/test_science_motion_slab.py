"""Slabs: heights in cells of any shape, the oxide as the frame of reference, interfaces and regions."""

import numpy as np
import pytest
from ase.data import chemical_symbols

from lizrcl_flows.errors import InputError
from lizrcl_flows.science.interfaces.build import sides
from lizrcl_flows.science.interfaces.presets import build_study_cell
from lizrcl_flows.science.motion.layers import find_layers
from lizrcl_flows.science.motion.slab import (
    areas_of_cells,
    at_all_frames,
    circular_mean,
    fractional_heights,
    heights_of_cells,
    normal,
    oxide_atoms,
    oxide_slab,
    regions,
)

TILTED = np.array([[10.0, 0.0, 0.0], [3.0, 9.0, 0.0], [2.0, -1.0, 30.0]])


def rolled(cell, axis):
    """Put the vector and the coordinate of the normal on another axis."""
    return np.roll(np.roll(cell, axis + 1, axis=0), axis + 1, axis=1)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_heights_are_distances_along_the_normal_even_if_c_is_tilted(axis):
    cell = rolled(TILTED, axis)
    n = normal(cell, axis)
    assert n == pytest.approx(np.eye(3)[axis])
    assert heights_of_cells(cell, axis) == pytest.approx([30.0])
    assert areas_of_cells(cell, axis) == pytest.approx([90.0])
    positions = np.random.default_rng(0).uniform(-20, 60, (5, 7, 3))
    fraction = fractional_heights(positions, cell, axis)
    assert fraction * 30.0 == pytest.approx(positions @ n % 30.0)


def test_the_normal_is_on_the_side_of_its_vector():
    left_handed = np.diag([10.0, 10.0, -20.0])
    assert normal(left_handed, 2) == pytest.approx([0, 0, -1])
    assert heights_of_cells(left_handed, 2) == pytest.approx([20.0])


def test_a_breathing_cell_keeps_fractions():
    cells = TILTED * np.linspace(0.98, 1.02, 6)[:, None, None]
    fraction = np.random.default_rng(1).uniform(0, 1, (4, 3))
    positions = np.einsum("ni,tij->tnj", fraction, cells)
    assert fractional_heights(positions, cells, 1) == pytest.approx(np.broadcast_to(fraction[:, 1], (6, 4)))
    centred = fractional_heights(positions, cells, 1, centre=np.full(6, fraction[0, 1]))
    assert np.abs(centred[:, 0] - np.rint(centred[:, 0])).max() < 1e-12
    assert centred.max() < 1.0
    assert centred.min() >= 0.0


def test_circular_means_cross_the_boundary():
    assert float(circular_mean(np.array([0.98, 0.02]))) % 1.0 == pytest.approx(0.0, abs=1e-12)
    assert float(circular_mean(np.array([0.9, 0.0]))) == pytest.approx(0.95)


def slab_fractions(rng, start_a, height_a=60.0, n_frames=50, shift_a=15.0):
    """Twelve oxide layers, 1.8 A apart, that move through the boundary while they vibrate."""
    layers = start_a + 1.8 * np.arange(12)
    atoms = np.repeat(layers, 20)
    drift = np.linspace(0, shift_a, n_frames)
    z = atoms + drift[:, None] + 0.08 * rng.standard_normal((n_frames, len(atoms)))
    return z / height_a % 1.0, layers, drift


@pytest.mark.parametrize("start_a", [5.0, 30.0, 50.0])
def test_interfaces_follow_the_oxide_across_the_boundary(start_a):
    height = 60.0
    fraction, layers, drift = slab_fractions(np.random.default_rng(2), start_a)
    slab = oxide_slab(fraction, np.full(50, height))
    planes = np.stack([layers[0] + drift, layers[-1] + drift], axis=1) / height
    away = slab.planes - planes
    assert np.abs(away - np.rint(away)).max() * height < 0.1
    centre = slab.centre - (layers.mean() + drift) / height
    assert np.abs(centre - np.rint(centre)).max() * height < 0.05
    assert np.abs(np.diff(slab.centre)).max() * height < 0.6  # continuous
    assert len(slab.lower) == len(slab.upper) == 20


def test_a_lone_atom_moves_no_interface():
    fraction, layers, _ = slab_fractions(np.random.default_rng(3), 20.0, shift_a=0.0)
    fraction[:, 7] = 0.1  # two layers' worth below the surface, among 240 atoms
    fraction[30:, 9] = 0.9  # an atom that leaves the lowest layer later on
    slab = oxide_slab(fraction, np.full(50, 60.0))
    assert slab.planes[:, 0] * 60 == pytest.approx(layers[0], abs=0.15)
    assert slab.planes[:, 1] * 60 == pytest.approx(layers[-1], abs=0.1)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_regions_are_within_eight_angstrom_of_either_interface(axis):
    height = 60.0
    z = np.array([1.0, 7.9, 8.1, 30.0, 51.9, 52.1, 59.9, 22.0])
    cell = rolled(np.diag([10.0, 10.0, height]), axis)
    positions = np.zeros((4, len(z), 3))
    positions[:, :, axis] = z
    fraction = fractional_heights(positions, cell, axis)
    planes = np.tile([0.0, 0.5], (4, 1))
    near = regions(fraction, planes, np.full(4, height))
    assert near[0].tolist() == [True, True, False, True, False, True, True, False]
    assert (near == near[0]).all()


def test_what_is_known_in_some_frames_is_interpolated_across_the_boundary():
    known = np.array([[0.9, 0.1], [0.1, 0.3], [0.2, 0.5]])
    found = at_all_frames(known, np.array([1, 3, 5]), 7)
    assert found.shape == (7, 2)
    assert found[:, 0] == pytest.approx([0.9, 0.9, 1.0, 1.1, 1.15, 1.2, 1.2])
    assert at_all_frames(known[:, 1], np.array([1, 3, 5]), 7)[4] == pytest.approx(0.4)


def test_the_oxide_is_oxygen_and_the_zr_around_it():
    # ZrO2-like column below, ZrCl6 with one bridging O above; the cell puts one neighbour across the boundary
    species = ["Zr", "O", "O", "O", "Zr", "Cl", "Cl", "Cl", "Cl", "O", "Li"]
    positions = np.array(
        [
            [1.0, 1.0, 1.0],
            [1.0, 1.0, 3.1],
            [10.9, 1.0, 1.0],
            [1.0, 3.1, 1.0],
            [5.0, 5.0, 10.0],
            [5.0, 5.0, 12.5],
            [7.5, 5.0, 10.0],
            [5.0, 7.5, 10.0],
            [2.5, 5.0, 10.0],
            [5.0, 5.0, 7.9],
            [3.0, 1.0, 1.0],
        ]
    )
    found = oxide_atoms(species, positions, np.diag([12.0, 12.0, 20.0]))
    assert found.tolist() == [True] * 4 + [False] * 5 + [True, False]


def test_the_oxide_of_a_cell_of_the_study_is_its_substrate():
    cell = build_study_cell("study-1")
    species = [chemical_symbols[number] for number in cell.numbers]
    found = oxide_atoms(species, cell.positions, cell.cell)
    assert (found == (sides(cell) == 0)).all()
    fraction = fractional_heights(cell.positions[None], cell.cell, 2)
    height = heights_of_cells(cell.cell, 2)
    slab = oxide_slab(fraction[:, found], height)
    # O and Zr of the outermost planes of ZrO2(111), 0.74 A apart, two O to one Zr
    oxide = np.sort(fraction[0, found] * height)
    assert slab.planes[0] * height == pytest.approx([oxide[0] + 0.74, oxide[-1] - 0.74], abs=0.05)
    lithium = np.array([symbol == "Li" for symbol in species])
    assert find_layers(fraction[0, lithium], float(height[0])).n_atoms.tolist() == [196] * 8
    near = regions(fraction[:, lithium], slab.planes, height)
    assert near.sum() == 2 * 196


def test_what_is_no_slab_is_one_sentence():
    with pytest.raises(InputError, match="no O, so there is no oxide"):
        oxide_atoms(["Li", "Cl"], np.zeros((2, 3)), np.eye(3) * 10)
    with pytest.raises(InputError, match="no slab"):
        oxide_slab(np.tile(np.linspace(0, 1, 60, endpoint=False), (3, 1)), np.full(3, 60.0))
    with pytest.raises(InputError, match="no interfaces"):
        oxide_slab(np.zeros((3, 0)), np.full(3, 60.0))
    with pytest.raises(InputError, match="region has no ions"):
        regions(np.full((2, 3), 0.5), np.zeros((2, 1)), np.full(2, 60.0))
    with pytest.raises(InputError, match="axis 3"):
        normal(np.eye(3), 3)
    with pytest.raises(InputError, match="no atom"):
        fractional_heights(np.zeros((2, 0, 3)), np.eye(3), 2)
    with pytest.raises(InputError, match="2 cells of 3 frames"):
        fractional_heights(np.zeros((3, 1, 3)), np.tile(np.eye(3), (2, 1, 1)), 2)
