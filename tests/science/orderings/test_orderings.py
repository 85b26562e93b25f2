import itertools
import math
from collections import Counter

import numpy as np
import pytest
from pymatgen.core import Lattice, PeriodicSite
from pymatgen.core import Structure as Crystal
from pymatgen.core.ewald import EwaldSummation

from lizrcl_flows.errors import InputError, LizrclError
from lizrcl_flows.science.charges import FORMAL_CHARGES
from lizrcl_flows.science.crystals import describe_crystal
from lizrcl_flows.science.occupancies import PartialStructure, load_partial
from lizrcl_flows.science.orderings import OrderingRequest, find_orderings, keep_lowest, ordered_structures
from lizrcl_flows.science.orderings.codes import CodeBook, representatives
from lizrcl_flows.science.orderings.sublattices import VACANCY, ordering_cell
from lizrcl_flows.science.orderings.supercells import compact, distinct_supercells, hermite_normal_form, lattice_points
from lizrcl_flows.science.structures import atoms_from_structure, load_structure, supercell

ALPHA = load_partial("Li2ZrCl6_alpha_P-3m1_partial")
SPREAD = load_partial("Li2ZrCl6_alpha_P-3m1_partial_M2M3")
BETA = load_partial("Li2ZrCl6_beta_C2m_partial")


def primitive_cubic(*shares: dict[str, float], a: float = 4.0, cell: np.ndarray | None = None) -> PartialStructure:
    """A primitive cubic lattice with one site, or a body-centred or CsCl one with two."""
    fractional = np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]])[: len(shares)]
    labels = tuple(f"{next(iter(site))}{i + 1}" for i, site in enumerate(shares))
    return PartialStructure(np.eye(3) * a if cell is None else cell, fractional, tuple(shares), labels, "cubic.cif")


def counts(partial: PartialStructure, repeat: tuple[int, int, int] = (1, 1, 1), **options) -> tuple[int, int, int]:
    """Return all orderings, distinct ones, and the sum of multiplicities."""
    book = CodeBook(ordering_cell(partial, np.diag(repeat), **options))
    found = list(representatives(book))
    return book.cell.n_raw, sum(len(codes) for codes, _ in found), sum(int(m.sum()) for _, m in found)


# ---------------------------------------------------------------- counting


@pytest.mark.parametrize(
    ("partial", "repeat", "options", "n_raw", "n_unique"),
    [
        (ALPHA, (1, 1, 1), {}, 924, 96),
        (SPREAD, (1, 1, 1), {}, 5544, 524),
        (SPREAD, (1, 1, 1), {"fixed": ("Zr",)}, 924, 96),
        (BETA, (1, 1, 1), {}, 15, 6),
        (ALPHA, (1, 1, 2), {}, 2704156, 113510),
    ],
    ids=["alpha", "alpha, Zr free", "alpha, Zr fixed", "beta", "alpha 1x1x2"],
)
def test_distinct_orderings_of_the_chlorides(partial, repeat, options, n_raw, n_unique):
    assert counts(partial, repeat, **options) == (n_raw, n_unique, n_raw)


def test_burnside_counts_the_orbits_of_every_case():
    """The number of orbits is the mean number of orderings that a symmetry leaves alone (Burnside)."""
    cases = [
        (ALPHA, (1, 1, 1)),
        (SPREAD, (1, 1, 1)),
        (BETA, (2, 1, 2)),
        (primitive_cubic({"Li": 0.25, "Na": 0.5}), (2, 2, 2)),
        (primitive_cubic({"Li": 0.5}, {"Mg": 0.5, "O": 0.5}), (2, 2, 1)),
    ]
    for partial, repeat in cases:
        cell = ordering_cell(partial, np.diag(repeat))
        total = sum(_left_alone(cell, permutation) for permutation in cell.permutations)
        assert total % len(cell.permutations) == 0
        assert counts(partial, repeat)[1] == total // len(cell.permutations)


def _left_alone(cell, permutation) -> int:
    """Count orderings that are constant on the cycles of a permutation, by multiplying out generating functions."""
    product = 1
    for sublattice in cell.sublattices:
        numbers = dict(sublattice.counts)
        kinds = [kind for kind, _ in sublattice.counts]
        ways = Counter({(0,) * len(kinds): 1})
        left = set(sublattice.sites)
        while left:
            start = site = min(left)
            length = 0
            while site in left:
                left.remove(site)
                site, length = int(permutation[site]), length + 1
            assert site == start
            ways = Counter(
                {
                    key: sum(ways[_less(key, k, length)] for k in range(len(kinds)))
                    for key in itertools.product(*(range(numbers[kind] + 1) for kind in kinds))
                }
            )
        product *= ways[tuple(numbers[kind] for kind in kinds)]
    return product


def _less(key: tuple[int, ...], k: int, length: int) -> tuple[int, ...]:
    return (*key[:k], key[k] - length, *key[k + 1 :])


def test_more_sites_than_bits_in_a_word_and_in_the_tables():
    lone = primitive_cubic({"Li": 1 / 64}, {"Cl": 1})
    assert counts(lone, (4, 4, 4)) == (64, 1, 64)
    for repeat in ((6, 6, 2), (6, 6, 4)):
        n_sites = math.prod(repeat)
        ways = math.comb(n_sites, 2)
        assert counts(primitive_cubic({"Li": 2 / n_sites}), repeat) == (ways, _distinct_pairs(*repeat), ways)


def _distinct_pairs(a: int, b: int, c: int) -> int:
    """Count difference vectors of a tetragonal torus under sign changes and the exchange of x and y."""
    folded = itertools.product(range(a // 2 + 1), range(b // 2 + 1), range(c // 2 + 1))
    return len({(*sorted((x, y)), z) for x, y, z in folded}) - 1


def test_every_code_is_met_once_and_survives_the_way_to_bits_and_back():
    book = CodeBook(ordering_cell(primitive_cubic({"Li": 0.25, "Na": 0.5}), np.diag([2, 2, 2])))
    codes = book.unrank(np.arange(book.cell.n_raw))
    assert len(np.unique(codes, axis=0)) == book.cell.n_raw == math.factorial(8) // (2 * 24 * 2)
    bits = book.decode(codes)
    assert (book.encode(bits) == codes).all()
    lithium = np.array([element == "Li" for _, element in book.bits])
    assert (bits[:, lithium].sum(axis=1) == 2).all()
    assert (bits[:, ~lithium].sum(axis=1) == 4).all()
    assert not (bits[:, lithium] & bits[:, ~lithium]).any()


# ---------------------------------------------------------------- supercells


def test_numbers_of_superlattices_are_those_in_the_literature():
    """Sublattices of index n: OEIS A001001; under cubic symmetry: Hart and Forcade, Phys. Rev. B 77 (2008) 224115."""
    identity = [np.eye(3, dtype=int)]
    assert [len(distinct_supercells(n, identity)) for n in range(1, 9)] == [1, 7, 13, 35, 31, 91, 57, 155]
    cubic = list(_signed_permutations())
    assert [len(distinct_supercells(n, cubic)) for n in range(1, 7)] == [1, 3, 3, 9, 5, 13]
    centred = np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]) / 2
    turns = [np.rint(np.linalg.inv(centred.T) @ r @ centred.T).astype(int) for r in cubic]
    assert [len(distinct_supercells(n, turns)) for n in range(1, 7)] == [1, 2, 3, 7, 5, 10]


def _signed_permutations():
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            yield np.eye(3, dtype=int)[list(order)] * np.array(signs)


def test_forms_bases_and_cells_of_a_supercell_belong_together():
    rng = np.random.default_rng(5)
    cell = np.array([[3.0, 0, 0], [0.5, 4, 0], [1, 1, 5]])
    for _ in range(50):
        matrix = rng.integers(-3, 4, size=(3, 3))
        size = abs(round(float(np.linalg.det(matrix))))
        if not size:
            continue
        form = hermite_normal_form(matrix)
        assert (form == np.triu(form)).all()
        assert abs(round(float(np.linalg.det(form)))) == size
        assert np.allclose(matrix @ np.linalg.inv(form), np.rint(matrix @ np.linalg.inv(form)))
        short = compact(form, cell)
        assert round(float(np.linalg.det(short))) == size
        assert (hermite_normal_form(short) == form).all()
        points = lattice_points(matrix)
        assert len(points) == size
        shares = points @ np.linalg.inv(matrix)
        assert len(np.unique(np.round(shares % 1 % 1, 6) % 1, axis=0)) == size


def test_up_to_a_size_every_ordering_stands_in_its_smallest_supercell():
    half = primitive_cubic({"Li": 0.5}, {"Cl": 0.5})
    charges = {"Li": 1, "Cl": -1}
    two = find_orderings(half, OrderingRequest(max_cells=2, n_lowest=0, charges=charges))
    four = find_orderings(half, OrderingRequest(max_cells=4, n_lowest=0, charges=charges))
    assert {o.cell.n_cells for o in four.lowest} == {2, 4}  # none in one cell or three: no whole numbers of atoms
    small = [o for o in four.lowest if o.cell.n_cells == 2]
    assert len(small) == len(two.lowest) == two.n_unique
    for ordering, structure in zip(four.lowest, ordered_structures(four), strict=True):
        primitive = Crystal(
            Lattice(structure.cell),
            atoms_from_structure(structure).get_chemical_symbols(),
            structure.positions,
            coords_are_cartesian=True,
        ).get_primitive_structure(tolerance=0.01)
        assert len(primitive) == structure.n_atoms == ordering.cell.n_cells


# ---------------------------------------------------------------- energies


@pytest.mark.parametrize("partial", [ALPHA, SPREAD, BETA], ids=["alpha", "alpha, Zr free", "beta"])
def test_one_matrix_gives_what_an_ewald_sum_of_the_ordered_cell_gives(partial):
    found = find_orderings(partial, OrderingRequest(n_lowest=0))
    structures = ordered_structures(found)
    for index in (0, 1, len(structures) // 2, len(structures) - 1):
        assert found.lowest[index].ewald_energy_ev == pytest.approx(_ewald(structures[index]), abs=1e-5)


def _ewald(structure) -> float:
    symbols = atoms_from_structure(structure).get_chemical_symbols()
    crystal = Crystal(Lattice(structure.cell), symbols, structure.positions, coords_are_cartesian=True)
    crystal.add_oxidation_state_by_element(
        {s: FORMAL_CHARGES.get(s, {"Na": 1, "F": -1}.get(s, 0)) for s in set(symbols)}
    )
    return EwaldSummation(crystal).total_energy


def test_the_matrix_holds_for_species_that_share_sites_and_for_supercells():
    shared = primitive_cubic({"Li": 0.25, "Zr": 0.125, "Na": 0.25}, {"F": 1.0})
    request = OrderingRequest(supercell=(2, 2, 2), n_lowest=0, charges={"Na": 1, "F": -1})
    found = find_orderings(shared, request)
    assert found.n_raw == math.factorial(8) // (2 * 2 * math.factorial(3))
    structures = ordered_structures(found)
    for index in (0, 5, len(structures) - 1):
        assert found.lowest[index].ewald_energy_ev == pytest.approx(_ewald(structures[index]), abs=1e-5)


def test_alpha_orderings_have_the_known_energies_and_the_shipped_model_is_one_of_them():
    found = find_orderings(ALPHA, OrderingRequest(n_lowest=0))
    energies = np.array([ordering.ewald_energy_ev for ordering in found.lowest])
    assert energies[0] == pytest.approx(-291.653, abs=1e-3)
    assert (np.diff(energies) > -1e-6).all()
    assert [ordering.rank for ordering in found.lowest] == list(range(96))
    assert sum(ordering.multiplicity for ordering in found.lowest) == 924
    # the model that has been shipped from the first version on is the lowest of space group C2
    lowest = next(ordering for ordering in found.lowest if ordering.space_group == "C2")
    assert _ewald(load_structure("Li2ZrCl6_alpha_ordered")) == pytest.approx(lowest.ewald_energy_ev, abs=1e-5)


def test_the_shipped_beta_is_the_lowest_of_its_orderings():
    found = find_orderings(BETA, OrderingRequest(n_lowest=0))
    assert (found.n_raw, found.n_unique, len(found.lowest)) == (15, 6, 6)
    assert found.lowest[0].space_group == "C2"
    shipped = load_structure("Li2ZrCl6_beta_ordered")
    assert _ewald(shipped) == pytest.approx(found.lowest[0].ewald_energy_ev, abs=1e-5)
    assert found.lowest[1].ewald_energy_ev > found.lowest[0].ewald_energy_ev + 0.01


def test_free_zr_gathers_in_one_layer_and_fixed_zr_does_not():
    free = find_orderings(SPREAD, OrderingRequest(n_lowest=1))
    fixed = find_orderings(SPREAD, OrderingRequest(n_lowest=1, fixed=("Zr",)))
    assert free.lowest[0].ewald_energy_ev - fixed.lowest[0].ewald_energy_ev == pytest.approx(-1.853, abs=1e-3)
    heights = []
    for found in (free, fixed):
        structure = ordered_structures(found)[0]
        z = (structure.positions @ np.linalg.inv(structure.cell))[structure.numbers == 40, 2]
        heights.append(np.abs(z - np.round(z)).max())
    assert heights[0] < 0.02
    assert heights[1] > 0.48
    assert ordered_structures(fixed)[0].origin.parameters["fixed"] == ["Zr"]


# ---------------------------------------------------------------- swap Monte Carlo


def test_monte_carlo_finds_the_lowest_of_all_that_are_enumerated():
    every = find_orderings(ALPHA, OrderingRequest(supercell=(1, 1, 2), n_lowest=10))
    searched = find_orderings(ALPHA, OrderingRequest(supercell=(1, 1, 2), n_lowest=10, method="swap_monte_carlo"))
    assert (every.method, searched.method) == ("enumeration", "swap_monte_carlo")
    assert (every.n_unique, searched.n_unique, searched.n_raw) == (113510, None, 2704156)
    assert [o.occupation for o in searched.lowest] == [o.occupation for o in every.lowest]
    assert [o.multiplicity for o in searched.lowest] == [o.multiplicity for o in every.lowest]
    np.testing.assert_allclose(
        [o.ewald_energy_ev for o in searched.lowest], [o.ewald_energy_ev for o in every.lowest], atol=1e-6
    )


@pytest.mark.parametrize("partial", [SPREAD, BETA], ids=["two sublattices", "fewer orderings than asked for"])
def test_monte_carlo_agrees_on_small_cells_too(partial):
    every = find_orderings(partial, OrderingRequest(n_lowest=8))
    searched = find_orderings(partial, OrderingRequest(n_lowest=8, method="swap_monte_carlo", sweeps=200))
    assert [o.occupation for o in searched.lowest] == [o.occupation for o in every.lowest]


def test_monte_carlo_with_several_species_on_a_site_keeps_its_energies_right():
    shared = primitive_cubic({"Li": 0.25, "Zr": 0.125, "Mg": 0.125}, {"F": 1.0})
    options = {"supercell": (2, 2, 2), "n_lowest": 5, "charges": {"Mg": 2, "F": -1}}
    every = find_orderings(shared, OrderingRequest(**options))
    searched = find_orderings(shared, OrderingRequest(**options, method="swap_monte_carlo", sweeps=100))
    assert [o.occupation for o in searched.lowest] == [o.occupation for o in every.lowest]


def test_a_seed_makes_the_search_repeatable_and_stands_in_the_document():
    request = OrderingRequest(supercell=(1, 1, 2), n_lowest=3, method="swap_monte_carlo", seed=7, sweeps=20)
    first, second = (ordered_structures(find_orderings(ALPHA, request)) for _ in range(2))
    assert [cell.id for cell in first] == [cell.id for cell in second]
    parameters = first[0].origin.parameters
    assert (parameters["method"], parameters["seed"], parameters["sweeps"]) == ("swap_monte_carlo", 7, 20)
    assert parameters["n_unique"] is None


@pytest.mark.slow
def test_where_enumeration_ends_the_search_goes_on_to_the_known_minimum():
    found = find_orderings(ALPHA, OrderingRequest(supercell=(2, 2, 2), n_lowest=3))
    assert (found.method, found.n_raw) == ("swap_monte_carlo", math.comb(96, 48))
    # the lowest ordering of one cell, repeated
    assert found.lowest[0].ewald_energy_ev / 8 == pytest.approx(-291.65304, abs=1e-4)
    stored = ordered_structures(found)[0].origin.parameters["n_raw"]
    assert stored == float(math.comb(96, 48))  # no integer of a database is that long


# ---------------------------------------------------------------- documents


def test_the_document_says_how_the_cell_was_ordered():
    found = find_orderings(ALPHA, OrderingRequest(n_lowest=3))
    structures = ordered_structures(found, phase="alpha", region="bulk")
    for rank, structure in enumerate(structures):
        assert (structure.formula, structure.n_atoms, structure.phase, structure.region) == (
            *("Cl6Li2Zr", 27),
            *("alpha", "bulk"),
        )
        assert (structure.origin.kind, structure.origin.source) == ("ordering", "Li2ZrCl6_alpha_P-3m1_partial")
        parameters = structure.origin.parameters
        assert (parameters["n_raw"], parameters["n_unique"], parameters["ewald_rank"]) == (924, 96, rank)
        assert parameters["multiplicity"] == found.lowest[rank].multiplicity
        assert parameters["method"] == "enumeration"
        assert parameters["ordered_supercell"] == np.eye(3).tolist()
        assert parameters["parent_sha256"] == ALPHA.sha256()
        assert describe_crystal(structure).space_group == parameters["space_group"]
    assert "seed" not in structures[0].origin.parameters
    repeated = supercell(structures[0], (1, 1, 2)).origin.parameters
    assert (repeated["supercell"], repeated["ewald_rank"]) == ([1, 1, 2], 0)


def test_the_ordered_cell_has_the_sites_of_the_average_and_nothing_overlaps():
    structure = ordered_structures(find_orderings(BETA, OrderingRequest(supercell=(2, 1, 1), n_lowest=1)))[0]
    assert structure.n_atoms == 36
    assert describe_crystal(structure).shortest_distance_a > 2.4
    assert describe_crystal(structure).density_g_cm3 == pytest.approx(describe_crystal(BETA).density_g_cm3)
    parents = [PeriodicSite("H", f, Lattice(BETA.cell)) for f in BETA.fractional]
    for position in structure.positions:
        fractional = position @ np.linalg.inv(BETA.cell)
        assert min(site.distance(PeriodicSite("H", fractional, Lattice(BETA.cell))) for site in parents) < 1e-6


def test_the_lowest_after_relaxation_keeps_both_ranks():
    ordered = ordered_structures(find_orderings(ALPHA, OrderingRequest(n_lowest=4)))
    energies = [-100.0, math.nan, -102.0, -101.0]
    kept = keep_lowest(ordered, energies, 2)
    assert [cell.id for cell in kept] == [ordered[2].id, ordered[3].id]
    for rank, cell in enumerate(kept):
        parameters = cell.origin.parameters
        assert parameters["energy_rank"] == rank
        assert parameters["n_relaxed"] == 3
        assert parameters["ewald_rank"] == rank + 2
        assert (parameters["n_raw"], parameters["n_unique"]) == (924, 96)
    assert kept[0].origin.parameters["energy_ev_per_atom"] == pytest.approx(-102 / 27)


def test_relaxed_geometries_take_over_what_the_ordering_said():
    ordered = ordered_structures(find_orderings(BETA, OrderingRequest(n_lowest=2)))
    relaxed = [
        cell.revised(
            positions=cell.positions + 0.1,
            origin=cell.origin.model_copy(update={"kind": "relaxed", "source": cell.id, "parameters": {"steps": 12}}),
        )
        for cell in ordered
    ]
    best = keep_lowest(ordered, [-10.0, -11.0], relaxed=relaxed)
    assert [cell.id for cell in best] == [relaxed[1].id]
    origin = best[0].origin
    assert (origin.kind, origin.source) == ("relaxed", ordered[1].id)
    assert (origin.parameters["steps"], origin.parameters["ewald_rank"], origin.parameters["energy_rank"]) == (12, 1, 0)
    assert origin.parameters["multiplicity"] == ordered[1].origin.parameters["multiplicity"]


def test_equal_energies_keep_the_order_of_ewald_and_no_energy_is_an_error():
    ordered = ordered_structures(find_orderings(BETA, OrderingRequest(n_lowest=3)))
    assert [cell.id for cell in keep_lowest(ordered, [-1.0, -1.0, -1.0], 3)] == [cell.id for cell in ordered]
    with pytest.raises(LizrclError, match="none of 3 orderings was relaxed"):
        keep_lowest(ordered, [math.nan] * 3)


def test_a_crystal_with_full_sites_has_one_ordering():
    found = find_orderings(load_partial("Li2ZrCl6_ideal_P-31c"))
    assert (found.n_raw, found.n_unique, found.method) == (1, 1, "enumeration")
    assert found.lowest[0].space_group == "P-31c"
    assert VACANCY not in found.lowest[0].occupation


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("partial", "request_", "message"),
    [
        (
            primitive_cubic({"Li": 0.4}, {"Cl": 1}),
            {"supercell": (1, 1, 2)},
            r"cubic\.cif: the occupancies of site Li1 give 0\.8 Li for the 2 sites of 2 cells.*supercells of 5 cells",
        ),
        (primitive_cubic({"Li": 0.4}, {"Cl": 1}), {"max_cells": 3}, "supercells of 5 cells"),
        (primitive_cubic({"Li": math.pi / 10}, {"Cl": 1}), {}, "supercells of 16 cells"),
        (primitive_cubic({"Y": 0.5}, {"Cl": 0.5}), {"supercell": (2, 1, 1)}, "no charge is known of Y"),
        (primitive_cubic({"Li": 0.5}, {"Cl": 1}), {"supercell": (2, 1, 1)}, r"2 Cl of -1, 1 Li of \+1 add up to -1 e"),
        (ALPHA, {"fixed": ("O",)}, "'O' is to be fixed, but there is none"),
        (ALPHA, {"fixed": ("Li",)}, "Li cannot be fixed: its 6 atoms do not fill its most occupied kinds"),
        (primitive_cubic({"Li": 0.5, "Na": 0.5}), {"fixed": ("Li",)}, "Li cannot be fixed, for Li and Na share sites"),
        (ALPHA, {"supercell": (2, 2, 1), "n_lowest": 0}, r"32,247,603,683,100 orderings of 4 cells are too many"),
        (ALPHA, {"max_raw": 900, "method": "enumeration"}, "924 orderings of 1 cells are too many .* up to 900 are"),
        (ALPHA, {"n_lowest": 0, "method": "swap_monte_carlo"}, "n_lowest from 1 on is needed"),
        (ALPHA, {"supercell": (1, 0, 1)}, "whole numbers from 1 on are needed"),
        (ALPHA, {"max_cells": 0}, "whole numbers from 1 on are needed"),
        (ALPHA, {"supercell": (6, 6, 4)}, "144 cells have 4,752 sites, more than the 2,000"),
    ],
)
def test_what_cannot_be_ordered_is_one_sentence(partial, request_, message):
    with pytest.raises(InputError, match=message) as caught:
        find_orderings(partial, OrderingRequest(**request_))
    assert "\n" not in str(caught.value)


def test_rounded_occupancies_are_taken_for_the_numbers_they_mean():
    thirds = PartialStructure(
        BETA.cell,
        BETA.fractional,
        tuple({s: 0.67 if s == "Li" else 1.0 for s in shares} for shares in BETA.occupancies),
        BETA.labels,
        "rounded",
    )
    assert counts(thirds) == (15, 6, 15)
