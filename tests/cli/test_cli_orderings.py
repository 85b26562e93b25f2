import json
from pathlib import Path

import numpy as np
import pytest

from lizrcl_flows.science.crystals import describe_crystal
from lizrcl_flows.science.structures import load_structure

BETA, ALPHA = "Li2ZrCl6_beta_C2m_partial", "Li2ZrCl6_alpha_P-3m1_partial"


def test_order_prints_counts_and_the_lowest(lizrcl) -> None:
    outcome = lizrcl("structure", "order", ALPHA, "--n", "5")
    assert outcome.code == 0
    header, _, *rows = outcome.out.splitlines()
    assert header.split()[:2] == ["rank", "above"]
    assert [row.split()[0] for row in rows] == list("01234")
    assert rows[1].split()[3:] == ["6", "C2", "1", "27"]
    assert "P-3m1, 2.562 g/cm3, 12 of 33 sites partially occupied" in outcome.err
    assert "924 orderings, 96 of them distinct; the 5 lowest listed" in outcome.err


def test_order_gives_json_and_all_on_demand(lizrcl) -> None:
    outcome = lizrcl("structure", "order", BETA, "--n", "0", "--json")
    content = json.loads(outcome.out)
    assert (content["crystal"], content["space_group"]) == (BETA, "C2/m")
    assert (content["n_raw"], content["n_unique"], content["method"]) == (15, 6, "enumeration")
    assert sum(row["multiplicity"] for row in content["orderings"]) == 15
    assert content["orderings"][0]["above_lowest_mev_per_atom"] == 0
    assert "all listed" in outcome.err


@pytest.mark.parametrize("file_format", ["xyz", "cif"])
def test_order_writes_files_that_are_read_back(lizrcl, tmp_path: Path, file_format: str) -> None:
    folder = tmp_path / "cells"
    arguments = ("structure", "order", BETA, "--n", "2", "-o", str(folder), "--format", file_format, "--json")
    planned = json.loads(lizrcl(*arguments, "--dry-run").out)
    assert not folder.exists()
    written = json.loads(lizrcl(*arguments).out)
    assert written == planned
    paths = [Path(row["file"]) for row in written["orderings"]]
    assert sorted(folder.iterdir()) == paths == [folder / f"{BETA}_{rank}.{file_format}" for rank in (0, 1)]
    for path, row in zip(paths, written["orderings"], strict=True):
        read = load_structure(path)
        assert describe_crystal(read).space_group == row["space_group"]
        if file_format == "xyz":
            assert read.id == row["structure"]


def test_order_takes_a_users_cif_supercells_and_fixed_elements(lizrcl, tmp_path: Path) -> None:
    data = Path(__file__).parents[2] / "lizrcl_flows" / "science" / "data" / "structures"
    file = tmp_path / "mine.cif"
    file.write_bytes((data / f"{ALPHA}_M2M3.cif").read_bytes())
    free = json.loads(lizrcl("structure", "order", str(file), "--n", "1", "--json").out)
    fixed = json.loads(lizrcl("structure", "order", str(file), "--fix", "Zr", "--n", "1", "--json").out)
    assert (free["n_raw"], free["n_unique"], fixed["n_raw"], fixed["n_unique"]) == (5544, 524, 924, 96)
    larger = lizrcl("structure", "order", BETA, "--supercell", "1", "1", "2", "--n", "1", "--json")
    assert json.loads(larger.out)["orderings"][0]["supercell"] == np.diag([1, 1, 2]).tolist()
    sizes = json.loads(lizrcl("structure", "order", BETA, "--max-cells", "2", "--json").out)
    assert {row["n_cells"] for row in sizes["orderings"]} == {1, 2}


def test_order_says_when_it_searched_instead_of_going_through_all(lizrcl) -> None:
    outcome = lizrcl("structure", "order", ALPHA, "--max-raw", "900", "--n", "2", "--seed", "3", "--json")
    content = json.loads(outcome.out)
    assert (content["method"], content["n_unique"], content["seed"]) == ("swap_monte_carlo", None, 3)
    assert content["orderings"][0]["space_group"] == "P-3m1"
    assert "924 orderings are too many to go through: the 2 lowest that swap Monte Carlo met (seed 3)" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "code", "wanted"),
    [
        (["nowhere.cif"], 3, "Li2ZrCl6_beta_C2m_partial"),
        (["ZrO2_cubic_Fm-3m"], 2, "all 12 sites are full, there is nothing to order"),
        ([ALPHA, "--supercell", "1", "1", "2", "--max-cells", "2"], 2, "exclude each other"),
        ([ALPHA, "--charge", "Zr"], 2, "--charge Zr: an element and its charge are expected"),
        ([ALPHA, "--charge", "Zr=3"], 2, "add up to -3 e"),
        ([ALPHA, "--fix", "O"], 2, "there is none in the crystal"),
        ([ALPHA, "--supercell", "2", "2", "1", "--n", "0"], 2, "too many to go through"),
    ],
)
def test_order_answers_bad_input_in_one_sentence(lizrcl, arguments: list[str], code: int, wanted: str) -> None:
    outcome = lizrcl("structure", "order", *arguments)
    assert outcome.code == code
    assert outcome.out == ""
    assert wanted in outcome.err.splitlines()[-1]
    assert "Traceback" not in outcome.err
