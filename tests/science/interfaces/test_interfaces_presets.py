import numpy as np
import pytest

from lizrcl_flows.errors import InputError, NotFoundError
from lizrcl_flows.science.geometry import shortest_contact
from lizrcl_flows.science.interfaces.build import BuildOptions, sides
from lizrcl_flows.science.interfaces.presets import (
    STUDY_CELLS,
    build_study_cell,
    scaled,
    study_match,
    study_options,
)
from lizrcl_flows.science.interfaces.search import InterfaceLimits, match_planes, search_interfaces
from lizrcl_flows.science.structures import load_structure

# arXiv:2601.22612: ZrO2 side, Li2ZrCl6 side
FORMULAS = {
    "study-1": ({"O": 3456, "Zr": 1728}, {"Cl": 4704, "Li": 1568, "Zr": 784}),
    "study-2": ({"O": 3584, "Zr": 1792}, {"Cl": 3456, "Li": 1152, "Zr": 576}),
    "study-3": ({"O": 3024, "Zr": 1512}, {"Cl": 3456, "Li": 1152, "Zr": 576}),
    "study-4": ({"O": 3072, "Zr": 1536}, {"Cl": 3456, "Li": 1152, "Zr": 576}),
}
N_ATOMS = {"study-1": 12240, "study-2": 10560, "study-3": 9720, "study-4": 9792}
LARGEST_STRAIN = {"study-1": 0.005, "study-2": 0.01, "study-3": 0.01, "study-4": 0.015}
CELLS = {"study-1": (49, 144), "study-2": (2, 7), "study-3": (1, 3), "study-4": (1, 6)}


@pytest.fixture(scope="module")
def built():
    return {name: build_study_cell(name) for name in STUDY_CELLS}


@pytest.mark.parametrize("name", list(STUDY_CELLS))
def test_the_production_cells_have_the_studys_atoms(built, name):
    made = built[name]
    facts = made.origin.parameters
    assert made.n_atoms == N_ATOMS[name]
    assert (facts["substrate_composition"], facts["film_composition"]) == FORMULAS[name]
    counts = [np.unique(made.numbers[sides(made) == s], return_counts=True)[1].tolist() for s in (0, 1)]
    assert sorted(counts[0]) == sorted(FORMULAS[name][0].values())
    assert sorted(counts[1]) == sorted(FORMULAS[name][1].values())


@pytest.mark.parametrize("name", list(STUDY_CELLS))
def test_the_production_cells_are_sound(built, name):
    made = built[name]
    facts = made.origin.parameters
    assert shortest_contact(made, 0.7) is None
    assert np.linalg.det(made.cell) > 0
    assert max(map(abs, facts["film_strain"])) < LARGEST_STRAIN[name]
    assert facts["substrate_strain"] == pytest.approx([0, 0], abs=1e-9)
    assert facts["film_stoichiometric"]
    assert facts["substrate_neutral"]
    assert (facts["preset"], facts["n_interfaces"]) == (name, 2)
    assert made.origin.kind == "interface"
    match = study_match(name)
    for oriented, side, number in ((match.film, "film", 1), (match.substrate, "substrate", 0)):
        assert {facts["film_bulk"], facts["substrate_bulk"]} == set(made.parents)
        crystal = oriented.crystal.structure
        bulk = crystal.n_atoms / abs(np.linalg.det(crystal.cell))
        unstrained = facts[f"{side}_cells"] * oriented.area_a2 * np.linalg.det(facts["repeat"])
        density = (sides(made) == number).sum() / (unstrained * facts[f"{side}_thickness_a"])
        assert density == pytest.approx(bulk, rel=1e-6)


@pytest.mark.parametrize("name", list(STUDY_CELLS))
def test_the_search_finds_the_match_again(name):
    match = study_match(name)
    given = match.coincidence
    limits = InterfaceLimits(given.area_a2 + 1, given.max_strain + 1e-4)
    found = [m.coincidence for m in match_planes(match.film, match.substrate, limits)]
    same = [c for c in found if (c.film_matrix, c.substrate_matrix) == (given.film_matrix, given.substrate_matrix)]
    assert len(same) == 1
    assert (same[0].n_film, same[0].n_substrate) == CELLS[name]


def test_the_first_cell_is_12_on_7_in_parallel_with_1654_square_angstroms():
    found = study_match("study-1").coincidence
    assert found.area_a2 == pytest.approx(1653.8, abs=0.1)
    assert found.max_strain == pytest.approx(0.0040, abs=5e-5)
    assert found.rotation_deg % 60 == pytest.approx(0, abs=1e-6)


def test_the_third_plane_is_the_studys_in_the_primitive_cell():
    plane = study_match("study-3").substrate.plane
    assert plane.primitive == (2, 2, -1)
    assert plane.conventional == (-1, -1, 5)


def test_the_conventional_reading_of_that_plane_has_no_such_cell():
    cubic = scaled(load_structure("ZrO2_cubic_Fm-3m"), (5.15, 5.15, 5.15))
    with pytest.raises(InputError, match="do not match within area up to 200"):
        search_interfaces(
            load_structure("Li2ZrCl6_alpha_ordered"), cubic, InterfaceLimits(200, 0.01), (0, 0, 1), (2, 2, -1)
        )


def test_options_replace_those_of_the_preset(built):
    default = study_options("study-2")
    assert (default.layers, default.repeat, default.gap_a) == ((9, 8), ((4, 0), (0, 4)), 2.3)
    small = build_study_cell("study-2", BuildOptions(layers=(2, 3)))
    assert small.n_atoms == 2 * 2 * 18 + 7 * 3 * 6
    assert small.id != built["study-2"].id


def test_an_unknown_preset_lists_the_known_ones():
    with pytest.raises(NotFoundError, match="study-1, study-2, study-3, study-4"):
        study_match("study-5")


def test_scaling_keeps_angles_and_fractional_positions_and_says_so():
    crystal = load_structure("ZrO2_monoclinic_P21c")
    longer = scaled(crystal, (5.2, 5.3, 5.4))
    np.testing.assert_allclose(np.linalg.norm(longer.cell, axis=1), (5.2, 5.3, 5.4), atol=1e-7)
    fractions = [s.positions @ np.linalg.inv(s.cell) for s in (crystal, longer)]
    np.testing.assert_allclose(*fractions, atol=1e-7)
    assert longer.origin.parameters["lengths_a"] == [5.2, 5.3, 5.4]
    assert longer.parents == (crystal.id,)
    with pytest.raises(InputError, match="above 0 A"):
        scaled(crystal, (5.2, 5.3, 0))
