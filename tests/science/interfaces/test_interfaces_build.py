import json

import numpy as np
import pytest
from ase.neighborlist import neighbor_list

from lizrcl_flows.documents import Structure
from lizrcl_flows.errors import InputError
from lizrcl_flows.science.geometry import shortest_contact
from lizrcl_flows.science.interfaces.build import BuildOptions, build_interface, common_cell, cut_slab, sides
from lizrcl_flows.science.interfaces.search import InterfaceLimits, match_planes
from lizrcl_flows.science.interfaces.terminations import find_terminations
from lizrcl_flows.science.structures import atoms_from_structure


def build(match, **options):
    film, substrate = (find_terminations(oriented)[0] for oriented in (match.film, match.substrate))
    return build_interface(match, film, substrate, BuildOptions(**options))


def test_the_smallest_cell_is_a_sandwich_of_45_atoms(epitaxial):
    made = build(epitaxial)
    facts = made.origin.parameters
    assert made.n_atoms == epitaxial.n_atoms == 45
    assert (made.formula, made.region, made.phase) == ("Cl12Li4O18Zr11", "interface", "cubic|ideal")
    assert facts["film_composition"] == {"Cl": 12, "Li": 4, "Zr": 2}
    assert facts["substrate_composition"] == {"O": 18, "Zr": 9}
    assert made.parents == (facts["substrate_bulk"], facts["film_bulk"])
    assert (facts["n_interfaces"], facts["gap_a"], facts["second_gap_a"], facts["vacuum_a"]) == (2, 2.5, 2.5, None)
    assert (facts["film_stoichiometric"], facts["substrate_neutral"], facts["film_polar"]) == (True, True, False)
    assert facts["film_hkl_conventional"] == [0, 0, 1]
    assert (facts["substrate_hkl_conventional"], facts["substrate_hkl_primitive"]) == ([1, 1, 1], [1, 1, 1])
    assert facts["area_a2"] == pytest.approx(np.linalg.det(made.cell[:2, :2]))
    json.dumps(facts, allow_nan=False)
    assert Structure.from_record(made.to_record()) == made


def test_gaps_are_measured_between_the_outermost_atoms(epitaxial):
    made = build(epitaxial, gap_a=2.8)
    heights, film = made.positions[:, 2], sides(made) == 1
    assert heights[film].min() - heights[~film].max() == pytest.approx(2.8)
    assert heights[~film].min() + made.cell[2, 2] - heights[film].max() == pytest.approx(2.8)


def test_with_vacuum_there_is_one_interface(epitaxial):
    made = build(epitaxial, vacuum_a=14.0)
    heights, film = made.positions[:, 2], sides(made) == 1
    assert heights[film].min() - heights[~film].max() == pytest.approx(2.5)
    assert heights[~film].min() + made.cell[2, 2] - heights[film].max() == pytest.approx(14.0)
    assert made.origin.parameters["n_interfaces"] == 1
    assert made.origin.parameters["second_gap_a"] is None


@pytest.mark.parametrize(
    ("strain_on", "film_strain", "substrate_strain"),
    [("film", -0.0089, 0.0), ("substrate", 0.0, 0.0090), ("shared", -0.00447, 0.0045)],
)
def test_the_strain_goes_where_it_is_told(epitaxial, strain_on, film_strain, substrate_strain):
    facts = build(epitaxial, strain_on=strain_on).origin.parameters
    assert facts["strain_on"] == strain_on
    assert facts["film_strain"] == pytest.approx([film_strain] * 2, abs=1e-4)
    assert facts["substrate_strain"] == pytest.approx([substrate_strain] * 2, abs=1e-4)
    assert facts["mismatch"] == pytest.approx([-0.00891] * 2, abs=1e-4)


def test_the_shared_cell_has_the_mean_metric():
    film, substrate = np.array([[4.0, 0], [-1.0, 5.0]]), np.array([[4.2, 0], [-1.3, 5.1]])
    cell = common_cell((film, substrate), "shared")
    np.testing.assert_allclose(2 * cell @ cell.T, film @ film.T + substrate @ substrate.T)
    assert cell[0, 1] == 0
    assert np.linalg.det(cell) > 0


PAIRS = [("tetragonal", (1, 0, 1), "ideal", (1, 0, 1)), ("alpha", (2, 0, 1), "monoclinic", (0, 1, 0))]


@pytest.mark.parametrize(("film", "film_hkl", "substrate", "substrate_hkl"), PAIRS)
def test_a_side_that_is_not_strained_is_the_bulk_crystal(side, film, film_hkl, substrate, substrate_hkl):
    """Inside an unstrained slab every atom has the neighbours of the bulk, to 1e-6 A, chirality included."""
    faces = side(film, film_hkl), side(substrate, substrate_hkl)
    match = match_planes(*faces, InterfaceLimits(200, 0.03))[0]
    for kept, number, oriented in (("substrate", 1, faces[0]), ("film", 0, faces[1])):
        made = build(match, strain_on=kept, layers=(9, 9))
        atoms = atoms_from_structure(made)[sides(made) == number]
        atoms.pbc = [True, True, False]
        middle = np.abs(atoms.positions[:, 2] - atoms.positions[:, 2].mean()) < 1.0
        wanted = surroundings(atoms_from_structure(oriented.crystal.structure))
        for found in surroundings(atoms, middle):
            assert min(np.abs(found - other).max() if len(found) == len(other) else 9.0 for other in wanted) < 1e-5


def surroundings(atoms, which=None):
    """For each atom: sorted distances, species and signed volumes of its neighbours within 4.6 A."""
    centre, other, distance, vector = neighbor_list("ijdD", atoms, 4.6)
    found = []
    for atom in np.flatnonzero(np.ones(len(atoms), bool) if which is None else which):
        mine = centre == atom
        rays, kinds = vector[mine], atoms.numbers[other[mine]].astype(float)
        # a pseudoscalar that tells a structure from its mirror image
        weights = [kinds, kinds * distance[mine], kinds**2]
        moments = [np.einsum("n,ni->i", w, rays / distance[mine][:, None] ** p) for p, w in enumerate(weights, start=1)]
        chirality = np.linalg.det(np.array(moments)) / 1e4
        found.append(np.concatenate([np.sort(distance[mine] + kinds), [chirality / 1e2]]))
    return found


def test_slabs_have_the_density_of_their_bulk(side):
    for name, hkl, layers in (("cubic", (5, 1, 1), 21), ("ideal", (0, 0, 1), 4), ("alpha", (2, 0, 1), 12)):
        oriented = side(name, hkl)
        matrix = np.array([[2, -1], [1, 3]])
        slab = cut_slab(oriented, find_terminations(oriented)[0], layers, matrix)
        volume = np.linalg.det(matrix) * oriented.area_a2 * layers * oriented.spacing_a
        structure = oriented.crystal.structure
        bulk = structure.n_atoms / abs(np.linalg.det(structure.cell))
        assert len(slab.numbers) / volume == pytest.approx(bulk, rel=1e-9)


def test_the_registry_moves_the_film_and_nothing_else(epitaxial):
    still, moved = build(epitaxial), build(epitaxial, registry=(0.25, 0.5))
    film = sides(still) == 1
    np.testing.assert_allclose(moved.positions[~film], still.positions[~film])
    apart = (moved.positions - still.positions)[film] @ np.linalg.inv(still.cell) - [0.25, 0.5, 0]
    np.testing.assert_allclose(apart, np.rint(apart), atol=1e-7)
    doubled = build(epitaxial, registry=(0.25, 0.5), repeat=((2, 0), (0, 1)))
    assert np.linalg.norm(doubled.cell[0]) == pytest.approx(2 * np.linalg.norm(still.cell[0]))


def test_a_supercell_of_the_cell_is_the_cell_of_the_supercell(epitaxial):
    small, large = build(epitaxial, registry=(0.1, 0.3)), build(epitaxial, registry=(0.1, 0.3), repeat=((2, 0), (0, 1)))
    repeated = atoms_from_structure(small).repeat((2, 1, 1))
    found = atoms_from_structure(large)
    for atoms in (repeated, found):
        atoms.wrap(eps=1e-5)
    rows = [np.round(np.column_stack([a.numbers, a.positions]), 4) + 0.0 for a in (repeated, found)]
    np.testing.assert_allclose(*[r[np.lexsort(r.T[::-1])] for r in rows], atol=2e-4)


def test_too_small_a_gap_names_the_pair_and_the_remedy(epitaxial):
    named = r"atoms \d+ \(\w+\) and \d+ \(\w+\) are .* \(of the substrate and the film\).* a gap above 0.3 A"
    with pytest.raises(InputError, match=named):
        build(epitaxial, gap_a=0.3)
    assert shortest_contact(build(epitaxial), 0.7) is None
    assert shortest_contact(build(epitaxial, gap_a=0.3, overlap_factor=0.0), 0.7) is not None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": (0, 3)}, "0 layers"),
        ({"gap_a": -1.0}, "gap_a"),
        ({"vacuum_a": 0.0}, "vacuum_a"),
        ({"strain_on": "both"}, "film, substrate, shared"),
        ({"repeat": ((0, 1), (1, 0))}, "positive determinant"),
    ],
)
def test_numbers_that_make_no_cell_are_refused(epitaxial, options, message):
    with pytest.raises(InputError, match=message):
        build(epitaxial, **options)


def test_sides_of_something_else_are_not_known(bulk):
    with pytest.raises(InputError, match="is no interface"):
        sides(bulk["cubic"])


def test_slabs_of_other_compositions_say_so(epitaxial):
    film = find_terminations(epitaxial.film)[0]
    oxygen_rich = next(t for t in find_terminations(epitaxial.substrate) if not t.stoichiometric and t.symmetric)
    facts = build_interface(epitaxial, film, oxygen_rich).origin.parameters
    assert facts["substrate_stoichiometric"] is False
    assert facts["substrate_neutral"] is False
    assert facts["substrate_polar"] is True
    assert facts["film_stoichiometric"] is True
