import json

import numpy as np
import pytest
import spglib
from ase import Atoms
from ase.build import molecule
from ase.io import write
from ase.neighborlist import neighbor_list

from lizrcl_flows.documents import Origin
from lizrcl_flows.errors import InputError, NotFoundError
from lizrcl_flows.gpumd import TrajectoryFrame
from lizrcl_flows.science.structures import (
    atoms_from_structure,
    bundled_names,
    bundled_partial_names,
    bundled_sources,
    load_structure,
    structure_from_atoms,
    structure_from_frame,
    supercell,
)

FILE = Origin(kind="file", source="test")
ROCK_SALT_CIF = """data_test
_cell_length_a 5.14
_cell_length_b 5.14
_cell_length_c 5.14
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'F m -3 m'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
{sites}
"""


def test_the_ordered_crystals_are_bundled():
    assert bundled_names() == [
        "Li2ZrCl6_alpha_ordered",
        "Li2ZrCl6_beta_ordered",
        "Li2ZrCl6_ideal_P-31c",
        "ZrO2_cubic_Fm-3m",
        "ZrO2_monoclinic_P21c",
        "ZrO2_ortho_Pbca",
        "ZrO2_ortho_Pca21",
        "ZrO2_tetragonal_P42nmc",
    ]


@pytest.mark.filterwarnings("ignore:Set OLD_ERROR_HANDLING:DeprecationWarning")  # spglib 2.8 on its own API
@pytest.mark.parametrize("name", bundled_names())
def test_bundled_crystal_is_what_its_source_says(name):
    source = bundled_sources()[name]
    structure = load_structure(name, phase="p", region="bulk")
    atoms = atoms_from_structure(structure)
    assert structure.formula == ("Cl6Li2Zr" if name.startswith("Li") else "O2Zr")
    assert structure.chemical_system == ("Cl-Li-Zr" if name.startswith("Li") else "O-Zr")
    assert (structure.phase, structure.region, structure.origin.kind) == ("p", "bulk", "bundled")
    assert (atoms.numbers == 40).sum() == source["formula_units"]

    dataset = spglib.get_symmetry_dataset((atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers), symprec=1e-4)
    assert (dataset.number, dataset.international) == (source["space_group_number"], source["space_group"])

    density = atoms.get_masses().sum() * 1.66053906660 / atoms.get_volume()
    assert density == pytest.approx(source["density_g_per_cm3"], abs=2e-3)

    neighbours = source["zr_neighbour_distances_a"]
    centre, other, distance = neighbor_list("ijd", atoms, 3.2)
    for zirconium in np.flatnonzero(atoms.numbers == 40):
        anions = np.isin(atoms.numbers[other], (8, 17)) & (centre == zirconium)
        nearest = np.sort(distance[anions])[: neighbours["count"]]
        assert len(nearest) == neighbours["count"]
        assert neighbours["min"] - 1e-3 < nearest[0]
        assert nearest[-1] < neighbours["max"] + 1e-3
        # crystal chemistry, whatever the source: Shannon radii give Zr-O 2.1-2.3 and Zr-Cl 2.5 A, and a gap behind
        assert nearest.mean() == pytest.approx(2.5 if name.startswith("Li") else 2.17, abs=0.09)
        assert np.sort(distance[anions])[neighbours["count"] :].min(initial=9.9) > neighbours["max"] + 0.4


def test_every_bundled_crystal_names_source_and_confidence():
    for source in bundled_sources().values():
        assert len(source["source"]) > 30
        assert source["confidence"] in {"high", "medium-high", "medium", "medium-low"}


def test_the_studys_bulk_cells_have_its_numbers_of_atoms():
    assert supercell(load_structure("Li2ZrCl6_alpha_ordered"), (6, 6, 4)).n_atoms == 3888
    assert supercell(load_structure("Li2ZrCl6_ideal_P-31c"), (6, 6, 4)).n_atoms == 2592


@pytest.mark.parametrize(("file_name", "file_format"), [("POSCAR", "vasp"), ("a.cif", "cif"), ("a.extxyz", "extxyz")])
def test_files_of_three_formats_give_the_same_geometry(tmp_path, file_name, file_format):
    wanted = load_structure("ZrO2_monoclinic_P21c")
    path = tmp_path / file_name
    write(path, atoms_from_structure(wanted), format=file_format)
    found = load_structure(path, phase="monoclinic")
    assert found.formula == wanted.formula
    assert found.origin.source == file_name
    vectors = atoms_from_structure(found), atoms_from_structure(wanted)
    lengths = [np.sort(atoms.get_all_distances(mic=True).ravel()) for atoms in vectors]
    np.testing.assert_allclose(lengths[0], lengths[1], atol=1e-5)


def test_ids_of_shipped_crystals_stay_what_stored_documents_rest_on():
    ids = {name: load_structure(name).id for name in bundled_names()}
    assert ids["Li2ZrCl6_alpha_ordered"] == "str_c89408f80da489cb7379"
    assert ids["Li2ZrCl6_ideal_P-31c"] == "str_6a573591e45d98831164"


def test_poscar_and_extended_xyz_keep_the_id(tmp_path):
    wanted = load_structure("Li2ZrCl6_ideal_P-31c")
    write(tmp_path / "a.vasp", atoms_from_structure(wanted), format="vasp", sort=False)
    write(tmp_path / "a.xyz", atoms_from_structure(wanted), format="extxyz")
    assert load_structure(tmp_path / "a.xyz").id == wanted.id
    np.testing.assert_allclose(load_structure(tmp_path / "a.vasp").positions, wanted.positions, atol=1e-7)


def test_a_cif_with_charges_and_only_a_space_group_symbol_is_read(tmp_path):
    path = tmp_path / "salt.cif"
    path.write_text(ROCK_SALT_CIF.format(sites="Li1 Li1+ 0 0 0 1.0\nCl1 Cl1- 0.5 0.5 0.5 1.0"))
    found = load_structure(path)
    assert (found.n_atoms, found.formula) == (8, "ClLi")


def test_partial_occupancy_is_refused_in_one_sentence(tmp_path):
    path = tmp_path / "partial.cif"
    path.write_text(ROCK_SALT_CIF.format(sites="Li1 Li 0 0 0 0.5\nCl1 Cl 0.5 0.5 0.5 1"))
    with pytest.raises(InputError, match=r"partial\.cif: site Li1 is partially occupied \(Li 0\.5\)"):
        load_structure(path)


def test_mixed_site_is_refused(tmp_path):
    path = tmp_path / "mixed.cif"
    path.write_text(ROCK_SALT_CIF.format(sites="Li1 Li 0 0 0 0.5\nNa1 Na 0 0 0 0.5\nCl1 Cl 0.5 0.5 0.5 1"))
    with pytest.raises(InputError, match=r"site Li1 is partially occupied \(Li 0\.5, Na 0\.5\)"):
        load_structure(path)


def test_overlapping_atoms_are_reported_with_their_indices(tmp_path):
    path = tmp_path / "overlap.xyz"
    write(path, Atoms("LiClLi", positions=[[0, 0, 0], [2.5, 0, 0], [9.9, 0, 0]], cell=[10, 10, 10], pbc=True))
    with pytest.raises(InputError, match=r"overlap\.xyz: atoms 0 \(Li\) and 2 \(Li\) are 0\.100 A apart"):
        load_structure(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.cif", "this is not a CIF", "not readable as cif"),
        ("a.cif", "", "a.cif"),
        ("POSCAR", "title\n1.0\n1 0 0\n", "not readable as vasp"),
        ("a.pdb", "ATOM", "expected a CIF"),
        ("a.xyz", "2\nno cell here\nLi 0 0 0\nCl 2 0 0\n", "has no periodic cell"),
        ("POSCAR", "flat\n1.0\n3 0 0\n0 3 0\n3 3 0\nLi\n1\nDirect\n0 0 0\n", "the cell is singular"),
    ],
)
def test_a_broken_file_is_named(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(InputError, match=message) as caught:
        load_structure(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_several_structures_in_one_file_are_refused(tmp_path):
    atoms = atoms_from_structure(load_structure("ZrO2_cubic_Fm-3m"))
    write(tmp_path / "two.xyz", [atoms, atoms])
    with pytest.raises(InputError, match="holds 2 structures, one is expected"):
        load_structure(tmp_path / "two.xyz")


def test_an_unknown_name_lists_the_bundled_ones():
    with pytest.raises(NotFoundError, match="ZrO2_cubic_Fm-3m"):
        load_structure("ZrO2_hexagonal")


def test_supercell_keeps_density_and_distances_and_descends_from_the_same():
    cell = load_structure("ZrO2_monoclinic_P21c", phase="monoclinic")
    large = supercell(cell, (2, 1, 3))
    assert large.n_atoms == 6 * cell.n_atoms
    assert (large.formula, large.phase, large.parents) == (cell.formula, "monoclinic", cell.parents)
    assert large.origin.parameters == {"supercell": [2, 1, 3]}
    reference = atoms_from_structure(cell).repeat((2, 1, 3))
    np.testing.assert_allclose(large.positions, reference.positions, atol=1e-7)
    np.testing.assert_allclose(large.cell, reference.cell.array, atol=1e-7)
    assert supercell(cell, (1, 1, 1)) is cell
    with pytest.raises(InputError, match="whole numbers from 1"):
        supercell(cell, (2, 0, 1))


def test_atoms_survive_the_round_trip_and_are_independent():
    atoms = molecule("H2O")
    structure = structure_from_atoms(atoms, origin=FILE, campaign="c", generation=3, parents=("str_0",))
    assert (structure.formula, structure.chemical_system) == ("H2O", "H-O")
    assert (structure.campaign, structure.generation, structure.parents) == ("c", 3, ("str_0",))
    back = atoms_from_structure(structure)
    np.testing.assert_allclose(back.positions, atoms.positions, atol=1e-8)
    assert not back.pbc.any()
    back.positions += 1
    np.testing.assert_allclose(structure.positions, atoms.positions, atol=1e-8)


def test_formula_is_reduced_and_alphabetical():
    atoms = Atoms("Zr2O2Cl4Li6", positions=np.arange(42).reshape(14, 3), cell=[50, 50, 50], pbc=True)
    structure = structure_from_atoms(atoms, origin=FILE)
    assert (structure.formula, structure.chemical_system) == ("Cl2Li3OZr", "Cl-Li-O-Zr")
    with pytest.raises(ValueError, match="no atom"):
        structure_from_atoms(Atoms(cell=[5, 5, 5], pbc=True), origin=FILE)


def test_a_frame_gives_the_id_of_its_geometry():
    structure = load_structure("ZrO2_cubic_Fm-3m")
    frame = TrajectoryFrame(
        species=tuple(atoms_from_structure(structure).get_chemical_symbols()),
        cell=np.array(structure.cell),
        positions=np.array(structure.positions),
        pbc=np.array([True, True, True]),
        **dict.fromkeys(
            ("time_fs", "velocities", "unwrapped_positions", "masses", "groups", "eps", "eps_atoms", "prediction")
        ),
    )
    found = structure_from_frame(frame, origin=FILE, phase="cubic", region="bulk", parents=("tra_1",))
    assert found.id == structure.id
    assert (found.phase, found.parents) == ("cubic", ("tra_1",))


def test_sources_are_plain_json_with_one_entry_per_file():
    json.dumps(bundled_sources(), allow_nan=False)
    assert sorted(bundled_sources()) == sorted([*bundled_names(), *bundled_partial_names()])
