import numpy as np
import pytest
from ase.build import bulk

from lizrcl_flows.documents import Origin
from lizrcl_flows.science.crystals import describe_crystal
from lizrcl_flows.science.structures import (
    bundled_names,
    bundled_sources,
    load_structure,
    structure_from_atoms,
    supercell,
)

FILE = Origin(kind="file", source="test")


@pytest.mark.parametrize("name", bundled_names())
def test_facts_of_the_bundled_crystals_are_those_of_their_sources(name):
    source = bundled_sources()[name]
    facts = describe_crystal(load_structure(name))
    assert (facts.space_group, facts.space_group_number) == (source["space_group"], source["space_group_number"])
    assert facts.formula_units == source["formula_units"]
    assert facts.density_g_cm3 == pytest.approx(source["density_g_per_cm3"], abs=2e-3)
    assert facts.shortest_distance_a < source["zr_neighbour_distances_a"]["min"] + 1e-3


def test_a_supercell_has_the_facts_of_its_cell():
    cell = load_structure("ZrO2_monoclinic_P21c")
    one, many = describe_crystal(cell), describe_crystal(supercell(cell, (2, 1, 2)))
    assert many.space_group == one.space_group
    assert many.density_g_cm3 == pytest.approx(one.density_g_cm3)
    assert many.volume_per_atom_a3 == pytest.approx(one.volume_per_atom_a3)
    assert (one.formula_units, many.formula_units) == (4, 16)
    assert many.shortest_distance_a == pytest.approx(one.shortest_distance_a)


def test_textbook_numbers_of_rock_salt():
    facts = describe_crystal(structure_from_atoms(bulk("NaCl", "rocksalt", a=5.6402, cubic=True), origin=FILE))
    assert (facts.space_group, facts.space_group_number) == ("Fm-3m", 225)
    assert facts.density_g_cm3 == pytest.approx(2.163, abs=2e-3)
    assert facts.formula_units == 4
    assert facts.volume_per_formula_unit_a3 == pytest.approx(5.6402**3 / 4)
    assert facts.shortest_distance_a == pytest.approx(5.6402 / 2)
    assert facts.shortest_pair == ("Cl", "Na")


def test_the_tolerance_decides_what_is_symmetric_and_is_stated():
    atoms = bulk("NaCl", "rocksalt", a=5.64, cubic=True)
    atoms.positions[0, 0] += 0.03
    structure = structure_from_atoms(atoms, origin=FILE)
    assert describe_crystal(structure, symprec_a=0.1).space_group == "Fm-3m"
    distorted = describe_crystal(structure)
    assert distorted.symprec_a == 0.01
    assert distorted.space_group == "P4mm"


def test_one_atom_is_closest_to_its_own_image_in_the_shortest_direction():
    skew = bulk("Cu", a=3.6)
    facts = describe_crystal(structure_from_atoms(skew, origin=FILE))
    assert facts.shortest_distance_a == pytest.approx(3.6 / np.sqrt(2))
    assert facts.shortest_pair == ("Cu", "Cu")
    skew.set_cell(np.array([[1, 0, 0], [3, 1, 0], [0, 2, 1]]) @ skew.cell.array, scale_atoms=False)
    facts = describe_crystal(structure_from_atoms(skew, origin=FILE))
    assert facts.shortest_distance_a == pytest.approx(3.6 / np.sqrt(2))
