import numpy as np

from lizrcl_flows.science.descriptors import mean_descriptors
from lizrcl_flows.science.structures import load_structure, supercell


class Counting:
    """Describes an atom by its atomic number and the inverse of the cell's volume per atom."""

    def descriptors(self, frame):
        return np.column_stack([frame.numbers, np.full(len(frame), len(frame) / frame.get_volume())])


def test_one_row_per_structure_holds_the_mean_over_its_atoms():
    cell = load_structure("ZrO2_cubic_Fm-3m")
    found = mean_descriptors(Counting(), [cell, supercell(cell, (2, 1, 1)), load_structure("Li2ZrCl6_ideal_P-31c")])
    np.testing.assert_allclose(found[0], [(40 + 16) / 3, 12 / 5.09**3])
    np.testing.assert_allclose(found[1], found[0])
    assert found.shape == (3, 2)
    assert found[2, 0] == (2 * 3 + 40 + 6 * 17) / 9


def test_no_structures_give_an_empty_array():
    assert mean_descriptors(Counting(), []).size == 0
