"""Orderings against programs of others, bsym and icet."""

from collections import Counter

import numpy as np
import pytest
from ase import Atoms
from pymatgen.core import Lattice
from pymatgen.core import Structure as Crystal

from lizrcl_flows.science.occupancies import PartialStructure, load_partial
from lizrcl_flows.science.orderings import OrderingRequest, find_orderings

pytestmark = pytest.mark.filterwarnings("ignore:.*OLD_ERROR_HANDLING.*:DeprecationWarning")  # how they call spglib
ALPHA, BETA = (load_partial(name) for name in ("Li2ZrCl6_alpha_P-3m1_partial", "Li2ZrCl6_beta_C2m_partial"))
FCC = PartialStructure(
    np.array([[0.0, 2.0, 2.0], [2.0, 0.0, 2.0], [2.0, 2.0, 0.0]]),
    np.zeros((1, 3)),
    ({"Au": 0.5, "Cu": 0.5},),
    ("Au1",),
    "fcc",
)


def template(partial: PartialStructure, repeat: tuple[int, int, int]) -> Crystal:
    """The crystal with Na on every site that is to be ordered."""
    symbols = ["Na" if i in partial.shared_sites else next(iter(s)) for i, s in enumerate(partial.occupancies)]
    crystal = Crystal(Lattice(partial.cell), symbols, partial.fractional)
    crystal.make_supercell(repeat)
    return crystal


@pytest.mark.parametrize(
    ("partial", "repeat", "wanted", "n_unique"),
    [
        (ALPHA, (1, 1, 1), {"Li": 6, "Mg": 6}, 96),
        (BETA, (1, 1, 1), {"Li": 4, "Mg": 2}, 6),
        (BETA, (1, 1, 2), {"Li": 8, "Mg": 4}, 77),
    ],
)
def test_distinct_orderings_and_multiplicities_are_those_of_bsym(partial, repeat, wanted, n_unique):
    substitutions = pytest.importorskip("bsym.interface.pymatgen")
    theirs = substitutions.unique_structure_substitutions(template(partial, repeat), "Na", wanted)
    ours = find_orderings(partial, OrderingRequest(supercell=repeat, n_lowest=0))
    assert len(theirs) == ours.n_unique == n_unique
    assert Counter(s.number_of_equivalent_configurations for s in theirs) == Counter(
        ordering.multiplicity for ordering in ours.lowest
    )


def test_several_species_on_one_kind_of_site_are_those_of_bsym():
    substitutions = pytest.importorskip("bsym.interface.pymatgen")
    cubic = PartialStructure(np.eye(3) * 3.0, np.zeros((1, 3)), ({"K": 0.25, "Li": 0.25},), ("K1",), "cubic")
    theirs = substitutions.unique_structure_substitutions(template(cubic, (2, 2, 2)), "Na", {"K": 2, "Li": 2, "Mg": 4})
    request = OrderingRequest(supercell=(2, 2, 2), n_lowest=0, charges={"K": 1, "Li": -1})
    ours = find_orderings(cubic, request)
    assert Counter(s.number_of_equivalent_configurations for s in theirs) == Counter(
        ordering.multiplicity for ordering in ours.lowest
    )


@pytest.mark.external
@pytest.mark.parametrize(("partial", "n_unique"), [(ALPHA, 96), (BETA, 6)])
def test_distinct_orderings_of_one_cell_are_as_many_as_icet_finds(partial, n_unique):
    tools = pytest.importorskip("icet.tools")
    shared = set(partial.shared_sites)
    symbols = [next(iter(shares)) for shares in partial.occupancies]
    atoms = Atoms(symbols, scaled_positions=partial.fractional, cell=partial.cell, pbc=True)
    vacant = partial.n_sites - sum(partial.composition().values())
    concentration = {"X": (vacant / partial.n_sites,) * 2}
    allowed = [[symbol, "X"] if i in shared else [symbol] for i, symbol in enumerate(symbols)]
    theirs = sum(1 for _ in tools.enumerate_structures(atoms, [1], allowed, concentration_restrictions=concentration))
    ours = find_orderings(partial, OrderingRequest(n_lowest=0))
    assert theirs == ours.n_unique == n_unique


@pytest.mark.external
def test_orderings_of_all_supercells_up_to_a_size_are_as_many_as_icet_finds():
    tools = pytest.importorskip("icet.tools")
    atoms = Atoms("Au", positions=[[0, 0, 0]], cell=FCC.cell, pbc=True)
    theirs = Counter(
        len(cell)
        for cell in tools.enumerate_structures(
            atoms, range(1, 7), ["Au", "Cu"], concentration_restrictions={"Au": (0.5, 0.5)}
        )
    )
    request = OrderingRequest(max_cells=6, n_lowest=0, charges={"Au": 1, "Cu": -1})
    ours = find_orderings(FCC, request)
    assert Counter(ordering.cell.n_cells for ordering in ours.lowest) == theirs
