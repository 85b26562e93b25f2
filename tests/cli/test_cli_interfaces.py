"""`lizrcl interface`: searching matches and building cells, without a database."""

import json
from pathlib import Path

import numpy as np
import pytest
from ase.io import read, write

from lizrcl_flows.science.structures import atoms_from_structure, load_structure


def test_cubic_on_ideal_has_a_match_below_one_percent(lizrcl):
    ran = lizrcl("interface", "search", "cubic", "ideal")
    assert ran.code == 0
    first = next(line for line in ran.out.splitlines() if line.lstrip().startswith("1 "))
    assert ran.out.split()[:4] == ["#", "cubic", "prim.", "ideal"]
    assert first.split()[1:8] == ["(111)", "(111)", "(001)", "(001)", "34.3", "+0.90", "+0.90"]
    assert "distinct matches of 6 pairs of planes" in ran.err


def test_json_has_every_match_with_indices_in_both_bases(lizrcl):
    found = json.loads(lizrcl("interface", "search", "cubic", "ideal", "--limit", "1", "--json").out)
    assert len(found) > 5
    best = found[0]
    assert (best["film_hkl_conventional"], best["film_hkl_primitive"]) == ([1, 1, 1], [1, 1, 1])
    assert best["film_bulk"] == load_structure("ZrO2_cubic_Fm-3m").id
    assert best["max_strain"] < 0.01
    assert best["n_atoms"] == 45
    assert [match["number"] for match in found] == list(range(1, len(found) + 1))
    assert all(match["unit_area_a2"] <= 120 and match["max_strain"] <= 0.1 for match in found)


def test_limits_and_planes_can_be_given(lizrcl):
    given = ("--max-area", 80, "--max-strain", 0.05, "--max-miller", 1, "--max-atoms", 60, "--film-hkl", "1,1,1")
    found = json.loads(lizrcl("interface", "search", "cubic", "ideal", *given, "--json").out)
    assert found
    assert all(match["film_hkl_conventional"] == [1, 1, 1] for match in found)
    assert all(match["n_atoms"] <= 60 for match in found)


def test_a_short_table_says_that_it_is_cut(lizrcl):
    ran = lizrcl("interface", "search", "cubic", "ideal", "--limit", "2")
    assert "the first 2 are shown" in ran.err


def test_no_match_is_one_sentence_with_the_closest(lizrcl):
    given = ("--preset", "production", "--film-hkl", "0 1 0", "--substrate-hkl", "2 0 1")
    ran = lizrcl("interface", "search", "monoclinic", "alpha", *given)
    assert ran.code == 2
    assert ran.out == ""
    assert ran.err.count("\n") == 1
    assert "the closest is monoclinic (010) / alpha (201) with 166.7 A^2, strain 1.50 %" in ran.err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("search", "ortho", "ideal"), 3, "may be any of ZrO2_ortho_Pbca, ZrO2_ortho_Pca21"),
        (("search", "rutile", "ideal"), 3, "crystal 'rutile' is neither a file nor one of the bundled"),
        (("search", "cubic", "ideal", "--film-hkl", "1,1"), 2, "'1,1' is not 3 whole numbers, such as 1,1,1"),
        (("search", "cubic", "ideal", "--film-hkl", "0,0,0"), 2, "not all of them zero"),
        (("search", "cubic", "ideal", "--max-strain", "0.5"), 2, "max_strain 0.5 is not accepted"),
        (("search", "cubic", "ideal", "--max-miller", "0"), 2, "a whole number from 1 on"),
        (("build",), 2, "needs --preset study-1"),
        (("build", "--preset", "study-9"), 2, "study-9"),
        (("build", "--preset", "study-1", "--film", "cubic"), 2, "--film does not go with --preset"),
        (("build", "--film", "ideal", "--substrate", "cubic", "--match", "99"), 2, "--match 99: the search finds"),
        (("build", "--film", "ideal", "--substrate", "cubic", "--film-termination", "99"), 2, "numbered from 1"),
        (("build", "--film", "ideal", "--substrate", "cubic", "--gap", "0.4"), 2, "a gap above 0.4 A"),
        (("build", "--film", "ideal", "--substrate", "cubic", "--film-matrix", "1,0,0,1"), 2, "matrices need all of"),
    ],
)
def test_bad_input_is_one_sentence(lizrcl, tmp_path, monkeypatch, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    ran = lizrcl("interface", *arguments)
    assert (ran.code, ran.out) == (code, "")
    assert message in ran.err
    assert "Traceback" not in ran.err
    assert not list(tmp_path.iterdir())


def test_the_studys_first_cell_is_written(lizrcl, tmp_path):
    path = tmp_path / "cell.xyz"
    ran = lizrcl("interface", "build", "--preset", "study-1", "-o", path)
    assert ran.code == 0
    assert "12240" in ran.out
    assert f"{path}: written" in ran.err
    atoms = read(path)
    assert len(atoms) == 12240
    assert atoms.symbols.formula.count() == {"Zr": 2512, "O": 3456, "Li": 1568, "Cl": 4704}
    side = atoms.arrays["side"]
    assert set(atoms.numbers[side == 0]) == {8, 40}
    assert set(atoms.numbers[side == 1]) == {3, 17, 40}
    assert (np.diff(side) >= 0).all()
    assert atoms.pbc.all()
    assert atoms.info["preset"] == "study-1"
    assert atoms.info["n_interfaces"] == 2
    assert list(atoms.info["substrate_hkl_conventional"]) == [1, 1, 1]
    assert atoms.info["film_composition"] == "Cl4704 Li1568 Zr784"


def test_the_file_is_the_document(lizrcl, tmp_path):
    path = tmp_path / "cell.xyz"
    content = json.loads(
        lizrcl("interface", "build", "--film", "ideal", "--substrate", "cubic", "-o", path, "--json").out
    )
    assert (content["file"], content["written"], content["n_atoms"]) == (str(path), True, 45)
    assert load_structure(path).id == content["structure"]
    assert content["film_termination"]["polar"] is False
    assert content["gap_a"] == 2.5
    before = path.read_bytes()
    assert lizrcl("interface", "build", "--film", "ideal", "--substrate", "cubic", "-o", path).code == 0
    assert path.read_bytes() == before


def test_a_dry_run_writes_nothing(lizrcl, tmp_path):
    path = tmp_path / "cell.xyz"
    ran = lizrcl("interface", "build", "--preset", "study-4", "-o", path, "--dry-run", "--json")
    assert json.loads(ran.out)["written"] is False
    assert json.loads(ran.out)["n_atoms"] == 9792
    assert "would be written" in ran.err
    assert not path.exists()


def test_everything_can_be_chosen(lizrcl, tmp_path):
    chosen = ("--film-hkl", "0,0,1", "--substrate-hkl", "1,1,1", "--match", 1, "--layers", "2,4", "--vacuum", 15)
    chosen += ("--strain-on", "shared", "--registry", 0.5, 0.25, "--repeat", "2,1", "--substrate-termination", 1)
    ran = lizrcl("interface", "build", "--film", "ideal", "--substrate", "cubic", *chosen, "--dry-run", "--json")
    facts = json.loads(ran.out)
    assert (facts["film_layers"], facts["substrate_layers"]) == (2, 4)
    assert (facts["n_interfaces"], facts["vacuum_a"], facts["strain_on"]) == (1, 15, "shared")
    assert (facts["registry"], facts["repeat"]) == ([0.5, 0.25], [[2, 0], [0, 1]])
    assert facts["n_atoms"] == 2 * (2 * 18 + 3 * 4 * 3)


def test_matrices_make_the_cell_of_the_search(lizrcl):
    sides = ("--film", "ideal", "--substrate", "cubic", "--film-hkl", "0,0,1", "--substrate-hkl", "1,1,1")
    searched = json.loads(lizrcl("interface", "build", *sides, "--dry-run", "--json").out)
    given = [",".join(str(n) for row in searched[f"{side}_matrix"] for n in row) for side in ("film", "substrate")]
    matrices = ("--film-matrix", given[0], "--substrate-matrix", given[1])
    again = json.loads(lizrcl("interface", "build", *sides, *matrices, "--dry-run", "--json").out)
    assert again["structure"] == searched["structure"]


def test_a_users_file_is_a_crystal_too(lizrcl, tmp_path):
    path = tmp_path / "zirconia.cif"
    write(path, atoms_from_structure(load_structure("ZrO2_cubic_Fm-3m")), format="cif")
    found = json.loads(lizrcl("interface", "search", path, "ideal", "--json").out)
    assert found[0]["film"] == "zirconia"
    assert found[0]["max_strain"] < 0.01


def test_candidates_are_relaxed_and_ranked(lizrcl, tmp_path, monkeypatch):
    folder = str(Path(__file__).parents[1] / "calculators")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PYTHONPATH", folder)
    chosen = ("--relax", "toy_calculator:ToyIonic", "--first", 2, "--workdir", tmp_path, "--max-steps", 3, "--json")
    ran = lizrcl("interface", "search", "cubic", "ideal", "--max-area", 40, *chosen)
    assert ran.code == 0, ran.err
    ranking = json.loads(ran.out)
    assert [entry["rank"] for entry in ranking] == [1, 2]
    energies = [entry["interface_energy_j_per_m2"] for entry in ranking]
    assert energies == sorted(energies)
    assert {entry["n_atoms"] for entry in ranking} == {45}
    assert [entry["converged"] for entry in ranking] == [False, False]
    assert "not converged in 3 steps" in ran.err
    # what was relaxed already is found and not done again
    table = lizrcl("interface", "search", "cubic", "ideal", "--max-area", 40, *chosen[:-1])
    assert table.code == 0
    assert "J/m^2" in table.out
