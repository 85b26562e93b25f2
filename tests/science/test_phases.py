"""Starting structures: checked against the campaign before anything rests on them."""

import pytest

from lizrcl_flows.errors import InputError
from lizrcl_flows.science.phases import starting_structures
from lizrcl_flows.systems import load_campaign

OVERLAPPING = """2
Lattice="5 0 0 0 5 0 0 0 5" Properties=species:S:1:pos:R:3 pbc="T T T"
Li 0 0 0
Cl 1.5 0 0
"""


def campaign(phases, **overrides):
    return load_campaign({"name": "test", "system": "demo", "phases": phases, "production": [], **overrides})


def test_supercells_are_built_and_named_by_phase():
    cells = starting_structures(
        campaign([{"name": "ideal", "structure": "Li2ZrCl6_ideal_P-31c", "supercell": [2, 1, 1]}])
    )
    assert cells["ideal"].n_atoms == 36
    assert cells["ideal"].phase == "ideal"


def test_an_element_that_the_campaign_does_not_list_is_named():
    with pytest.raises(
        InputError, match="phase oxide: structure ZrO2_cubic_Fm-3m holds O, but the campaign's elements"
    ):
        starting_structures(campaign([{"name": "oxide", "structure": "ZrO2_cubic_Fm-3m"}]))


def test_atoms_that_overlap_are_named_with_their_distance(tmp_path):
    path = tmp_path / "close.extxyz"
    path.write_text(OVERLAPPING)
    with pytest.raises(InputError, match=r"atoms \(0, 1\) \(Li-Cl\) overlap: 1.500 A apart, at least 1.610 A"):
        starting_structures(campaign([{"name": "close", "structure": str(path)}]))
