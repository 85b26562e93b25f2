from pathlib import Path

import numpy as np
import pytest
from ase.io import write
from pymatgen.io.cif import CifParser

from lizrcl_flows.errors import InputError, NotFoundError
from lizrcl_flows.science.crystals import describe_crystal
from lizrcl_flows.science.occupancies import load_partial, partial_from_structure
from lizrcl_flows.science.structures import (
    atoms_from_structure,
    bundled_partial_names,
    bundled_sources,
    load_structure,
)

DATA = Path(__file__).parents[2] / "lizrcl_flows" / "science" / "data" / "structures"
CELL = """_cell_length_a 5.14
_cell_length_b 5.14
_cell_length_c 5.14
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
"""
CIF = """data_test
{cell}_symmetry_space_group_name_H-M 'F m -3 m'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
{sites}
"""


def cif(folder: Path, sites: str, cell: str = CELL) -> Path:
    path = folder / "crystal.cif"
    path.write_text(CIF.format(cell=cell, sites=sites), encoding="utf-8")
    return path


def test_three_partially_occupied_crystals_are_bundled():
    assert bundled_partial_names() == [
        "Li2ZrCl6_alpha_P-3m1_partial",
        "Li2ZrCl6_alpha_P-3m1_partial_M2M3",
        "Li2ZrCl6_beta_C2m_partial",
    ]


@pytest.mark.parametrize("name", bundled_partial_names())
def test_average_crystal_is_what_its_source_says(name):
    source = bundled_sources()[name]
    partial = load_partial(name)
    facts = describe_crystal(partial, symprec_a=1e-4)
    units = source["formula_units"]
    assert (facts.space_group_number, facts.space_group) == (source["space_group_number"], source["space_group"])
    assert facts.formula_units == units
    assert facts.density_g_cm3 == pytest.approx(source["density_g_per_cm3"], abs=2e-3)
    assert partial.composition() == pytest.approx({"Cl": 6 * units, "Li": 2 * units, "Zr": units})
    assert facts.volume_per_formula_unit_a3 == pytest.approx(206.0, abs=0.05)


@pytest.mark.parametrize("name", bundled_partial_names())
def test_sites_and_occupancies_are_those_that_pymatgen_reads(name):
    partial = load_partial(name)
    wanted = CifParser(DATA / f"{name}.cif").parse_structures(primitive=False, on_error="raise")[0]
    assert partial.n_sites == len(wanted)
    for site in wanted:
        offset = partial.fractional - site.frac_coords
        near = np.argmin(np.linalg.norm((offset - np.round(offset)) @ partial.cell, axis=1))
        assert partial.occupancies[near] == pytest.approx(site.species.as_dict(), abs=1e-6)
    assert abs(np.linalg.det(partial.cell)) == pytest.approx(wanted.volume)


def test_zr_of_the_partial_crystals_has_six_cl_at_the_lengths_of_the_source():
    from ase import Atoms
    from ase.neighborlist import neighbor_list

    for name in bundled_partial_names():
        partial, bonds = load_partial(name), bundled_sources()[name]["zr_neighbour_distances_a"]
        symbols = [next(iter(shares)) for shares in partial.occupancies]
        average = Atoms(symbols, scaled_positions=partial.fractional, cell=partial.cell, pbc=True)
        centre, other, distance = neighbor_list("ijd", average, 3.2)
        of_zr = (average.numbers[centre] == 40) & (average.numbers[other] == 17)
        lengths = [distance[of_zr & (centre == zr)] for zr in np.flatnonzero(average.numbers == 40)]
        assert all(len(found) == bonds["count"] for found in lengths)
        assert np.min(lengths) == pytest.approx(bonds["min"], abs=2e-3)
        assert np.max(lengths) == pytest.approx(bonds["max"], abs=2e-3)


def test_species_on_one_position_share_a_site_and_the_rest_is_vacant(tmp_path):
    partial = load_partial(cif(tmp_path, "Li1 Li 0 0 0 0.5\nNa1 Na 0 0 0 0.25\nCl1 Cl1- 0.5 0.5 0.5 1(1)"))
    assert partial.n_sites == 8
    assert partial.shared_sites == (0, 1, 2, 3)
    assert dict(partial.occupancies[0]) == {"Li": 0.5, "Na": 0.25}
    assert partial.labels[0] == "Li1/Na1"
    assert partial.composition() == {"Cl": 4, "Li": 2, "Na": 1}
    assert partial.source == "crystal.cif"


def test_the_digest_tells_occupancies_apart_and_not_names(tmp_path):
    first = load_partial(cif(tmp_path, "Li1 Li 0 0 0 0.5\nCl1 Cl 0.5 0.5 0.5 1"))
    renamed = load_partial(cif(tmp_path, "LiA Li 0 0 0 0.5\nClA Cl 0.5 0.5 0.5 1"))
    fuller = load_partial(cif(tmp_path, "Li1 Li 0 0 0 0.75\nCl1 Cl 0.5 0.5 0.5 1"))
    assert first.sha256() == renamed.sha256() != fuller.sha256()


def test_no_occupancy_means_full_and_thirds_of_four_digits_are_special_positions(tmp_path):
    path = tmp_path / "alpha.cif"
    text = (DATA / "Li2ZrCl6_alpha_P-3m1_partial.cif").read_text(encoding="utf-8")
    path.write_text(text.replace("0.3333333333", "0.3333").replace("0.6666666667", "0.6667"), encoding="utf-8")
    assert load_partial(path).n_sites == load_partial("Li2ZrCl6_alpha_P-3m1_partial").n_sites == 33
    path.write_text(
        CIF.format(cell=CELL, sites="Li1 Li 0 0 0\nCl1 Cl 0.5 0.5 0.5").replace("_atom_site_occupancy\n", "")
    )
    assert load_partial(path).shared_sites == ()
    assert load_partial(cif(tmp_path, "Li1 Li 0 0 0 .\nCl1 Cl 0.5 0.5 0.5 .")).shared_sites == ()


def test_an_ordered_structure_is_one_with_full_sites(tmp_path):
    structure = load_structure("Li2ZrCl6_ideal_P-31c")
    write(tmp_path / "POSCAR", atoms_from_structure(structure), format="vasp")
    for partial in (partial_from_structure(structure), load_partial(tmp_path / "POSCAR")):
        assert partial.shared_sites == ()
        assert partial.composition() == {"Cl": 12, "Li": 4, "Zr": 2}
        assert describe_crystal(partial).space_group == "P-31c"
    assert load_partial("ZrO2_cubic_Fm-3m").source == "ZrO2_cubic_Fm-3m"


@pytest.mark.parametrize(
    ("sites", "message"),
    [
        (
            "Li1 Li 0 0 0 0.7\nNa1 Na 0 0 0 0.5\nCl1 Cl .5 .5 .5 1",
            r"site Li1/Na1 \(Li 0.7, Na 0.5\): the occupancies add",
        ),
        ("Li1 Li 0 0 0 1.3\nCl1 Cl .5 .5 .5 1", "add up to 1.3, at most 1 is accepted"),
        ("Li1 Li 0 0 0 -0.2\nCl1 Cl .5 .5 .5 1", "site Li1: an occupancy of -0.2 is not accepted"),
        ("Li1 Li 0 0 0 half\nCl1 Cl .5 .5 .5 1", "site Li1: occupancy 'half' is not a number"),
        ("Li1 Li 0 0 x 1\nCl1 Cl .5 .5 .5 1", "site Li1: coordinate z 'x' is not a number"),
        ("Li1 Li 0 0 0 1\nLi2 Li 0.05 0 0 0.5\nCl1 Cl .5 .5 .5 1", "sites Li1 and Li2 overlap: 0.257 A apart"),
        ("Qq1 Qq 0 0 0 1", "site Qq1: 'Qq' is no element"),
        ("Li1 Li 0 0 0 0", "there is no atom"),
    ],
)
def test_bad_occupancies_are_one_sentence_that_names_file_and_site(tmp_path, sites, message):
    path = cif(tmp_path, sites)
    with pytest.raises(InputError, match=message) as caught:
        load_partial(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("", "has no cell; a CIF gives it as _cell_length_a"),
        (CELL.replace("a 5.14", "a 0"), "is singular"),
        (CELL.replace("90", "150"), "is singular"),
        (CELL.replace("a 5.14", "a long"), "three lengths and three angles are expected"),
    ],
)
def test_a_cif_without_a_cell_is_refused(tmp_path, cell, message):
    with pytest.raises(InputError, match=message):
        load_partial(cif(tmp_path, "Li1 Li 0 0 0 0.5\nCl1 Cl 0.5 0.5 0.5 1", cell))


def test_sites_that_are_never_held_both_may_be_close(tmp_path):
    partial = load_partial(cif(tmp_path, "Li1 Li 0.05 0 0 0.1\nCl1 Cl 0.5 0.5 0.5 1"))
    assert partial.composition()["Li"] == pytest.approx(2.4)


def test_what_is_no_crystal_file_is_refused(tmp_path):
    with pytest.raises(NotFoundError, match="Li2ZrCl6_beta_C2m_partial"):
        load_partial("Li2ZrCl6_gamma")
    path = tmp_path / "a.cif"
    for content in ("", "this is not a CIF", CIF.format(cell=CELL, sites="Li1 Li 0 0 0 1") * 2):
        path.write_text(content.replace("data_test", "data_other", 1), encoding="utf-8")
        with pytest.raises(InputError, match=r"a\.cif"):
            load_partial(path)


def test_a_partially_occupied_structure_says_how_to_order_it(tmp_path):
    with pytest.raises(InputError, match=r"`ordering` section.*`lizrcl structure order Li2ZrCl6_beta_C2m_partial`"):
        load_structure("Li2ZrCl6_beta_C2m_partial")
    with pytest.raises(InputError, match=r"the occupancies add up to 1\.3, at most 1 is accepted"):
        load_structure(cif(tmp_path, "Li1 Li 0 0 0 1.3\nCl1 Cl 0.5 0.5 0.5 1"))
