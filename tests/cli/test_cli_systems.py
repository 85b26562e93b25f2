import json
from pathlib import Path

import pytest

from lizrcl_flows.systems import load_system

PHASES = {
    "cubic": ("Fm-3m", 6.206),
    "tetragonal": ("P4_2/nmc", 6.113),
    "monoclinic": ("P2_1/c", 5.810),
    "Pca21": ("Pca2_1", 6.047),
    "Pbca": ("Pbca", 6.059),
    "ideal": ("P-31c", 2.599),
    "alpha": ("P-3m1", 2.562),
    "beta": ("C2/m", 2.562),
}
"""Space group, of the average crystal where sites are partially occupied, and density (g/cm3)."""


def test_check_of_the_shipped_system_knows_its_phases(lizrcl) -> None:
    outcome = lizrcl("system", "check", "zro2_li2zrcl6", "--json")
    content = json.loads(outcome.out)
    assert outcome.code == 0
    assert (content["file"], content["kind"], content["ok"]) == ("zro2_li2zrcl6", "system", True)
    assert [phase["phase"] for phase in content["phases"]] == list(PHASES)
    for phase in content["phases"]:
        space_group, density = PHASES[phase["phase"]]
        assert (phase["average_space_group"] or phase["space_group"]) == space_group
        assert phase["density_g_cm3"] == pytest.approx(density, abs=2e-3)
        assert phase["symprec_a"] == 0.01
        assert phase["confidence"] in {"high", "medium-high", "medium", "medium-low"}
        assert phase["structure"]
        assert phase["formula"]
        assert phase["n_atoms"] >= 40


def test_check_prints_space_group_and_density(lizrcl) -> None:
    outcome = lizrcl("system", "check", "zro2_li2zrcl6")
    header, _, *rows = outcome.out.splitlines()
    assert "space group" in header
    assert "g/cm3" in header
    for row, (name, (space_group, density)) in zip(rows, PHASES.items(), strict=True):
        assert row.split()[0] == name
        assert space_group in row
        assert f"{density:.3f}" in row
    assert "zro2_li2zrcl6: a valid system" in outcome.err


def test_check_takes_a_users_cif_with_and_without_partial_occupancies(lizrcl, tmp_path: Path) -> None:
    data = Path(__file__).parents[2] / "lizrcl_flows" / "science" / "data" / "structures"
    full, partial, campaign = tmp_path / "full.cif", tmp_path / "partial.cif", tmp_path / "mine.yaml"
    full.write_bytes((data / "Li2ZrCl6_ideal_P-31c.cif").read_bytes())
    partial.write_bytes((data / "Li2ZrCl6_beta_C2m_partial.cif").read_bytes())
    head = f"name: mine\nsystem: demo\nproduction: []\nphases:\n- {{name: ideal, structure: {full}}}\n"
    campaign.write_text(f"{head}- {{name: beta, structure: {partial}, ordering: {{}}}}\n", encoding="utf-8")
    content = json.loads(lizrcl("system", "check", str(campaign), "--json").out)
    assert content["kind"] == "campaign"
    ideal, beta = content["phases"]
    assert (ideal["space_group"], ideal["average_space_group"], ideal["confidence"]) == ("P-31c", None, None)
    assert (beta["space_group"], beta["average_space_group"]) == ("C2", "C2/m")
    campaign.write_text(f"{head}- {{name: beta, structure: {partial}}}\n", encoding="utf-8")
    outcome = lizrcl("system", "check", str(campaign))
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1
    assert f"{campaign}: {partial}: site Li1 is partially occupied" in outcome.err
    assert "`ordering` section" in outcome.err


def test_check_takes_a_system_file_and_says_what_it_is(lizrcl, tmp_path: Path) -> None:
    import yaml

    file = tmp_path / "own.yaml"
    file.write_text(yaml.safe_dump(load_system("demo")), encoding="utf-8")
    outcome = lizrcl("system", "check", str(file))
    assert outcome.code == 0
    assert f"{file}: a valid system file" in outcome.err


def test_a_name_that_is_neither_file_nor_system_lists_the_systems(lizrcl) -> None:
    outcome = lizrcl("system", "check", "zro2")
    assert outcome.code == 3
    assert "file 'zro2' does not exist" in outcome.err
    assert "zro2_li2zrcl6" in outcome.err
