import itertools
import math

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from lizrcl_flows.documents import Origin
from lizrcl_flows.errors import InputError
from lizrcl_flows.science.interfaces.crystals import coprime, crystal_of, index_text
from lizrcl_flows.science.interfaces.oriented import orient
from lizrcl_flows.science.structures import load_structure, structure_from_atoms, supercell

FILE = Origin(kind="file", source="test")
NAMES = (
    *("Li2ZrCl6_alpha_ordered", "Li2ZrCl6_ideal_P-31c", "ZrO2_cubic_Fm-3m", "ZrO2_monoclinic_P21c"),
    *("ZrO2_ortho_Pbca", "ZrO2_ortho_Pca21", "ZrO2_tetragonal_P42nmc"),
)


@pytest.fixture(scope="module")
def crystals():
    return {name: crystal_of(load_structure(name)) for name in NAMES}


def test_the_fluorite_cell_has_four_primitive_ones(crystals):
    cubic = crystals["ZrO2_cubic_Fm-3m"]
    assert cubic.n_cells == 4
    np.testing.assert_allclose(cubic.lattice, 2.545 * (1 - np.eye(3)))
    assert sorted(cubic.numbers.tolist()) == [8, 8, 40]
    assert len(cubic.rotations) == 48


@pytest.mark.parametrize("name", NAMES)
def test_a_primitive_cell_is_a_part_of_the_crystal(crystals, name):
    crystal = crystals[name]
    structure = crystal.structure
    assert len(crystal.numbers) * crystal.n_cells == structure.n_atoms
    assert np.linalg.det(crystal.lattice) == pytest.approx(abs(np.linalg.det(structure.cell)) / crystal.n_cells)
    inverse = np.linalg.inv(structure.cell)
    for number, place in zip(crystal.numbers, crystal.fractional @ crystal.lattice, strict=True):
        apart = (structure.positions - place) @ inverse
        apart -= np.rint(apart)
        nearest = np.linalg.norm(apart @ structure.cell, axis=1).argmin()
        assert np.linalg.norm(apart[nearest] @ structure.cell) < 1e-4
        assert structure.numbers[nearest] == number


@pytest.mark.parametrize(
    ("conventional", "primitive"),
    [((1, 1, 1), (1, 1, 1)), ((0, 0, 1), (1, 1, 0)), ((5, 1, 1), (1, 3, 3)), ((-1, -1, 5), (2, 2, -1))],
)
def test_indices_of_fluorite_in_both_bases(crystals, conventional, primitive):
    cubic = crystals["ZrO2_cubic_Fm-3m"]
    plane = cubic.plane(conventional)
    assert (plane.primitive, plane.conventional) == (primitive, conventional)
    assert cubic.plane(primitive, "primitive") == plane
    assert plane.bulk == cubic.structure.id


def test_indices_survive_there_and_back_and_keep_their_direction(crystals):
    cubic = crystals["ZrO2_cubic_Fm-3m"]
    for hkl in itertools.product(range(-3, 4), repeat=3):
        if any(hkl):
            plane = cubic.plane(hkl)
            assert plane.conventional == coprime(hkl)
            assert cubic.plane(plane.primitive, "primitive") == plane
            normals = [
                np.linalg.inv(cell) @ index
                for cell, index in ((cubic.lattice, plane.primitive), (cubic.structure.cell, plane.conventional))
            ]
            assert np.linalg.norm(np.cross(*normals)) < 1e-9
            assert normals[0] @ normals[1] > 0


@pytest.mark.parametrize("lattice", ["bcc", "fcc", "sc", "hcp", "diamond"])
def test_other_lattices_reduce_to_their_primitive_cell(lattice):
    element = {"bcc": "Fe", "fcc": "Cu", "sc": "Po", "hcp": "Mg", "diamond": "Si"}[lattice]
    primitive = bulk(element, lattice, a=4.0, **({"c": 6.5} if lattice == "hcp" else {}))
    conventional = primitive if lattice == "hcp" else bulk(element, lattice, a=4.0, cubic=lattice != "sc")
    crystal = crystal_of(structure_from_atoms(conventional.repeat((2, 1, 3)), origin=FILE))
    assert len(crystal.numbers) == len(primitive)
    assert np.linalg.det(crystal.lattice) == pytest.approx(primitive.get_volume())


def test_a_left_handed_cell_gives_a_right_handed_crystal():
    structure = load_structure("ZrO2_monoclinic_P21c")
    atoms = Atoms(numbers=structure.numbers, positions=structure.positions, cell=structure.cell[[1, 0, 2]], pbc=True)
    crystal = crystal_of(structure_from_atoms(atoms, origin=FILE))
    assert np.linalg.det(crystal.lattice) > 0
    assert crystal.plane((1, 0, 0)).primitive == (-1, 0, 0)


def proper_operations(crystal):
    return [rotation for rotation in crystal.rotations if np.linalg.det(rotation) > 0]


@pytest.mark.parametrize("name", NAMES)
def test_distinct_planes_are_all_of_them_and_none_twice(crystals, name):
    crystal = crystals[name]
    planes = [plane.primitive for plane in crystal.distinct_planes(1)]
    orbits = {hkl: {tuple(np.array(hkl) @ r) for r in proper_operations(crystal)} for hkl in planes}
    for first, second in itertools.combinations(planes, 2):
        assert second not in orbits[first]
    everything = [hkl for hkl in itertools.product((-1, 0, 1), repeat=3) if any(hkl)]
    assert all(any(hkl in orbit for orbit in orbits.values()) for hkl in everything)


def test_the_two_sides_of_a_polar_axis_are_two_planes(crystals):
    planes = {plane.conventional for plane in crystals["ZrO2_ortho_Pca21"].distinct_planes(1)}
    assert {(0, 0, 1), (0, 0, -1)} <= planes
    assert (-1, 0, 0) not in planes
    # without an axis in the plane both sides of (010) count, although the crystal has an inversion centre
    assert {(0, 1, 0), (0, -1, 0)} <= {p.conventional for p in crystals["ZrO2_monoclinic_P21c"].distinct_planes(1)}


def test_the_nicest_of_equal_planes_is_named(crystals):
    named = {plane.conventional for plane in crystals["ZrO2_cubic_Fm-3m"].distinct_planes(1)}
    assert (1, 1, 1) in named
    assert (1, 0, 0) in named


def test_a_supercell_is_the_same_crystal_in_other_indices(crystals):
    doubled = crystal_of(supercell(load_structure("ZrO2_tetragonal_P42nmc"), (1, 1, 2)))
    assert doubled.n_cells == 2
    assert doubled.plane((1, 0, 2)).primitive in {(1, 0, 1), (0, 1, 1)}
    assert len(doubled.distinct_planes(1)) == len(crystals["ZrO2_tetragonal_P42nmc"].distinct_planes(1))


def test_what_is_no_plane_or_no_crystal_is_refused(crystals):
    cubic = crystals["ZrO2_cubic_Fm-3m"]
    with pytest.raises(InputError, match="not all of them zero"):
        cubic.plane((0, 0, 0))
    with pytest.raises(InputError, match="conventional, primitive"):
        cubic.plane((1, 0, 0), "reduced")
    with pytest.raises(InputError, match="whole number from 1 on"):
        cubic.distinct_planes(0)
    flat = structure_from_atoms(Atoms("Li", cell=[3, 3, 3], pbc=[True, True, False]), origin=FILE)
    with pytest.raises(InputError, match="not periodic in all directions"):
        crystal_of(flat)
    with pytest.raises(ValueError, match="belongs to"):
        orient(crystals["ZrO2_monoclinic_P21c"], cubic.plane((1, 0, 0)))


def test_indices_are_written_without_doubt():
    assert index_text((1, -1, 1)) == "(1-11)"
    assert index_text((12, 0, -1)) == "(12,0,-1)"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("hkl", [(0, 0, 1), (1, 1, 1), (2, -1, 3)])
def test_an_oriented_crystal_has_the_geometry_of_its_plane(crystals, name, hkl):
    crystal = crystals[name]
    side = orient(crystal, crystal.plane(hkl))
    reciprocal = np.linalg.inv(crystal.lattice)
    assert side.spacing_a == pytest.approx(1 / np.linalg.norm(reciprocal @ side.plane.primitive))
    assert side.area_a2 * side.spacing_a == pytest.approx(np.linalg.det(crystal.lattice))
    vectors = side.vectors @ crystal.lattice
    np.testing.assert_allclose(np.linalg.norm(vectors[:2], axis=1), np.linalg.norm(side.basis, axis=1))
    assert vectors[0] @ vectors[1] == pytest.approx(side.basis[0] @ side.basis[1])
    assert np.cross(vectors[0], vectors[1]) @ vectors[2] > 0
    assert ((side.heights >= 0) & (side.heights < 1)).all()


@pytest.mark.parametrize("name", NAMES)
def test_operations_of_the_surface_map_the_crystal_onto_itself(crystals, name):
    crystal = crystals[name]
    for plane in crystal.distinct_planes(1):
        side = orient(crystal, plane)
        operations = side.operations
        assert math.prod(operations.matrices.shape) >= 4
        for n in range(len(operations.sides)):
            flat = side.in_plane @ operations.matrices[n] + operations.shifts[n]
            heights = operations.sides[n] * side.heights + operations.lifts[n]
            lifted = np.floor(heights + 1e-6)
            flat = flat - lifted[:, None] * side.offset
            for place, height, number in zip(flat, heights - lifted, side.numbers, strict=True):
                apart = side.in_plane - place
                apart -= np.rint(apart)
                distance = np.linalg.norm(apart @ side.basis, axis=1) + np.abs(side.heights - height) * side.spacing_a
                nearest = distance.argmin()
                assert distance[nearest] < 1e-3
                assert side.numbers[nearest] == number
            # an isometry of the plane keeps its metric
            moved = operations.matrices[n] @ side.basis
            np.testing.assert_allclose(moved @ moved.T, side.basis @ side.basis.T, atol=1e-6)
