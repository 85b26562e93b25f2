import numpy as np
import pytest
from ase import Atoms
from pymatgen.core import Lattice
from pymatgen.core import Structure as PymatgenStructure
from pymatgen.core.surface import Slab

from lizrcl_flows.documents import Origin
from lizrcl_flows.science.charges import FORMAL_CHARGES
from lizrcl_flows.science.interfaces.build import cut_slab
from lizrcl_flows.science.interfaces.crystals import crystal_of
from lizrcl_flows.science.interfaces.oriented import orient
from lizrcl_flows.science.interfaces.terminations import (
    find_cuts,
    find_terminations,
    formal_charges,
    formula_units,
)
from lizrcl_flows.science.structures import structure_from_atoms

CHARGE_OF = {3: 1, 40: 4, 17: -1, 8: -2}
PLANES = [
    *(("cubic", (1, 1, 1)), ("cubic", (0, 0, 1)), ("cubic", (5, 1, 1)), ("tetragonal", (1, 0, 1))),
    *(
        ("monoclinic", (0, 1, 0)),
        ("pca21", (0, 0, 1)),
        ("ideal", (0, 0, 1)),
        ("ideal", (1, 0, 1)),
        ("alpha", (0, 0, 1)),
    ),
]


def slab_charges(side, termination, layers):
    """Charges (e) and heights (A) of a slab of one surface cell."""
    slab = cut_slab(side, termination, layers, np.eye(2, dtype=int))
    return np.array([CHARGE_OF[n] for n in slab.numbers], dtype=float), slab


def test_fluorite_111_is_cut_between_oxygen_layers_first(side):
    found = find_terminations(side("cubic", (1, 1, 1)))
    best = found[0]
    assert best.label == "O|O"
    assert (best.polar, best.neutral, best.stoichiometric, best.symmetric) == (False, True, True, True)
    # of the eight O of a Zr one stands above the next gap, and one below
    assert dict(best.bottom.broken_bonds) == {"Zr-O": 2}
    assert best.bottom.gap_a == pytest.approx(5.09 * np.sqrt(3) / 6, abs=1e-6)
    assert len(find_cuts(side("cubic", (1, 1, 1)))) == 3
    assert all(other.polar for other in found if other.label in ("Zr|O", "O|Zr") and other.bottom == other.top)


def test_fluorite_001_is_polar_and_its_symmetric_slab_is_not_stoichiometric(side):
    found = find_terminations(side("cubic", (0, 0, 1)))
    assert all(termination.polar for termination in found if termination.stoichiometric)
    symmetric = [termination for termination in found if termination.symmetric]
    assert {termination.label for termination in symmetric} == {"O2|O2", "Zr|Zr"}
    assert not any(termination.stoichiometric for termination in symmetric)
    assert [t.neutral for t in symmetric] == [False, False]


def test_ideal_001_parts_between_its_layers_and_breaks_nothing(side):
    best = find_terminations(side("ideal", (0, 0, 1)))[0]
    assert best.label == "Cl3|Cl3"
    assert dict(best.bottom.broken_bonds) == {}
    assert not best.polar
    assert best.bottom.gap_a == pytest.approx(2 * 0.1277 * 11.85, abs=1e-3)


@pytest.mark.parametrize(("name", "hkl"), PLANES)
def test_naturalness_orders_terminations(side, name, hkl):
    found = find_terminations(side(name, hkl))
    keys = [(t.polar, not t.stoichiometric) for t in found]
    assert keys == sorted(keys)
    plain = [t.broken_valence_per_a2 for t in found if not t.polar and t.stoichiometric]
    assert plain == sorted(plain) or max(np.diff(sorted(plain))) < 1e-6


@pytest.mark.parametrize(("name", "hkl"), PLANES)
def test_polarity_and_neutrality_agree_with_the_slabs_themselves(side, name, hkl):
    oriented = side(name, hkl)
    for termination in find_terminations(oriented)[:20]:
        dipoles = []
        for layers in (2, 3, 4):
            charges, slab = slab_charges(oriented, termination, layers)
            assert bool(abs(charges.sum()) < 1e-9) is termination.neutral
            dipoles.append(charges @ slab.heights_a)
        if not termination.neutral:
            assert termination.polar
            continue
        # the dipole of a slab grows with its thickness if, and only if, the surfaces are charged
        growth = np.diff(dipoles) / oriented.spacing_a / oriented.area_a2
        np.testing.assert_allclose(growth, growth[0], atol=1e-6)
        assert bool(abs(growth[0]) > 1e-4) is termination.polar
        if termination.bottom == termination.top:
            assert growth[0] == pytest.approx(termination.top.charge_per_a2, abs=1e-6)


@pytest.mark.parametrize(("name", "hkl"), PLANES)
def test_polar_slabs_are_those_that_pymatgen_calls_polar(side, name, hkl):
    oriented = side(name, hkl)
    for termination in [t for t in find_terminations(oriented) if t.bottom == t.top][:6]:
        _, slab = slab_charges(oriented, termination, 3)
        height = float(slab.heights_a.max()) + 20
        cell = np.zeros((3, 3))
        cell[:2, :2], cell[2, 2] = oriented.basis, height
        sites = np.column_stack([slab.fractional % 1, (slab.heights_a + 10) / height])
        species = [{3: "Li", 40: "Zr", 17: "Cl", 8: "O"}[number] for number in slab.numbers]
        frame = PymatgenStructure(Lattice(cell), species, sites)
        oracle = Slab(Lattice(cell), species, sites, hkl, frame, 0, np.eye(3))
        oracle.add_oxidation_state_by_element(dict(FORMAL_CHARGES))
        assert bool(oracle.is_polar(tol_dipole_per_unit_area=1e-4 * 3 * oriented.spacing_a)) is termination.polar


@pytest.mark.parametrize(("name", "hkl"), PLANES)
def test_composition_is_what_the_slab_holds(side, name, hkl):
    oriented = side(name, hkl)
    whole = np.bincount(oriented.numbers, minlength=41) / len(oriented.numbers)
    for termination in find_terminations(oriented)[:30]:
        slab = cut_slab(oriented, termination, 2, np.eye(2, dtype=int))
        shares = np.bincount(slab.numbers, minlength=41) / len(slab.numbers)
        assert np.allclose(shares, whole) is termination.stoichiometric
        extra = len(oriented.numbers) if termination.bottom == termination.top else termination.n_partial
        assert len(slab.numbers) == len(oriented.numbers) + extra
        spread = termination.span(2)[1] - termination.span(2)[0]
        assert slab.heights_a.max() <= spread * oriented.spacing_a


def count_broken(oriented, height):
    """Bonds through a plane, counted from the atoms of a thick slab without periodicity across it."""
    cut = find_cuts(oriented)[0]
    termination = next(t for t in find_terminations(oriented) if t.bottom == t.top and t.bottom.height == cut.height)
    slab = cut_slab(oriented, termination, 7, 3 * np.eye(2, dtype=int))
    cell = np.zeros((3, 3))
    cell[:2, :2], cell[2, 2] = 3 * oriented.basis, 1.0
    flat = (slab.fractional % 1) @ cell[:2, :2]
    lowest = min(oriented.heights[oriented.heights > cut.height], default=1 + oriented.heights.min())
    z = slab.heights_a + (lowest - cut.height) * oriented.spacing_a
    plane = (3 + (height - cut.height) % 1) * oriented.spacing_a
    atoms = Atoms(slab.numbers, np.column_stack([flat, z]), cell=cell, pbc=[True, True, False])
    distances = atoms.get_all_distances(mic=True)
    cations, anions = (np.flatnonzero([CHARGE_OF[n] * sign > 0 for n in slab.numbers]) for sign in (1, -1))
    counts = {}
    for metal, ligand in {(a, b) for a in slab.numbers[cations] for b in slab.numbers[anions]}:
        rows, columns = cations[slab.numbers[cations] == metal], anions[slab.numbers[anions] == ligand]
        block = distances[np.ix_(rows, columns)]
        bonded = block <= 1.25 * block.min() + 1e-6
        across = (z[rows][:, None] < plane) != (z[columns][None] < plane)
        symbol = {3: "Li", 40: "Zr", 17: "Cl", 8: "O"}
        counts[f"{symbol[metal]}-{symbol[ligand]}"] = int((bonded & across).sum()) / 9
    return {species: number for species, number in counts.items() if number}


@pytest.mark.parametrize(("name", "hkl"), [("cubic", (1, 1, 1)), ("cubic", (0, 0, 1)), ("tetragonal", (1, 0, 1))])
def test_broken_bonds_are_those_that_cross_the_cut(side, name, hkl):
    oriented = side(name, hkl)
    for cut in find_cuts(oriented):
        assert dict(cut.broken_bonds) == count_broken(oriented, cut.height)


def test_distinct_terminations_are_not_turned_into_each_other(side):
    # a two-fold screw along c and none along b: half as many along c as cuts squared
    along_c = side("pca21", (0, 0, 1))
    assert len(find_terminations(along_c)) == len(find_cuts(along_c)) ** 2 // 2
    # P4_2/nmc (001): the four-fold screw makes the upper half of the cell equal to the lower
    along_four = side("tetragonal", (0, 0, 1))
    assert len(find_terminations(along_four)) == len(find_cuts(along_four)) ** 2 // 2


def test_charges_of_other_crystals_are_guessed_or_unknown():
    rock_salt = Atoms("Mg4O4", cell=[4.2] * 3, pbc=True, scaled_positions=_rock_salt())
    crystal = crystal_of(structure_from_atoms(rock_salt, origin=Origin(kind="file")))
    assert sorted(formal_charges(orient(crystal, crystal.plane((1, 0, 0)))).tolist()) == [-2.0, 2.0]
    assert not find_terminations(orient(crystal, crystal.plane((1, 0, 0))))[0].polar
    assert all(t.polar for t in find_terminations(orient(crystal, crystal.plane((1, 1, 1)))) if t.stoichiometric)
    alloy = Atoms("FeCr", cell=[2.9] * 3, pbc=True, scaled_positions=[[0, 0, 0], [0.5, 0.5, 0.5]])
    metal = crystal_of(structure_from_atoms(alloy, origin=Origin(kind="file")))
    found = find_terminations(orient(metal, metal.plane((1, 1, 0))))
    assert [(t.polar, t.neutral, t.stoichiometric) for t in found] == [(None, None, True)]


def _rock_salt():
    faces = np.array([(0, 0, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0)])
    return np.vstack([faces, faces + np.array([0.5, 0, 0])])


def test_formula_units_are_the_common_divisor():
    assert formula_units({"Li": 1568, "Zr": 784, "Cl": 4704}) == 784
