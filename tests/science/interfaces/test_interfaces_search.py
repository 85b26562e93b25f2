import warnings
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from lizrcl_flows.errors import InputError
from lizrcl_flows.science.interfaces.coincidence import principal_strains
from lizrcl_flows.science.interfaces.crystals import crystal_of
from lizrcl_flows.science.interfaces.oriented import orient
from lizrcl_flows.science.interfaces.search import (
    LIMITS,
    InterfaceLimits,
    best_of_each_pair,
    given_match,
    match_planes,
    search_interfaces,
    smallest_of_each_strain,
)
from lizrcl_flows.science.structures import atoms_from_structure

TRAINING = LIMITS["training"]


def test_the_presets_are_the_studys():
    assert (TRAINING.max_area_a2, TRAINING.max_strain) == (120, 0.10)
    assert (LIMITS["production"].max_area_a2, LIMITS["production"].max_strain) == (200, 0.01)


@pytest.mark.parametrize("preset", ["training", "production"])
def test_cubic_111_matches_ideal_001_below_one_percent(bulk, preset):
    best = search_interfaces(bulk["cubic"], bulk["ideal"], LIMITS[preset])[0]
    assert best.film.plane.conventional == (1, 1, 1)
    assert best.substrate.plane.conventional == (0, 0, 1)
    assert (best.coincidence.n_film, best.coincidence.n_substrate) == (3, 1)
    assert best.coincidence.mismatch == pytest.approx([6.29 / (5.09 * np.sqrt(1.5)) - 1] * 2, abs=1e-6)
    assert best.coincidence.max_strain < 0.01


@pytest.mark.parametrize(("film", "substrate"), [("cubic", "ideal"), ("tetragonal", "ideal"), ("pca21", "ideal")])
def test_matches_are_within_limits_in_order_and_reproducible(bulk, film, substrate):
    found = search_interfaces(bulk[film], bulk[substrate], TRAINING)
    keys = [(round(m.coincidence.max_strain, 7), round(m.coincidence.area_a2, 4)) for m in found]
    assert keys == sorted(keys)
    assert all(strain <= 0.1 and area <= 120 for strain, area in keys)
    again = search_interfaces(bulk[film], bulk[substrate], TRAINING)
    assert [m.facts() for m in found] == [m.facts() for m in again]
    assert found[0].facts()["film_bulk"] == bulk[film].id


def invariants(match):
    found = match.coincidence
    return (
        found.n_film,
        found.n_substrate,
        *np.round([found.area_a2, found.film_area_a2, *found.mismatch], 5),
        *np.round([match.film.spacing_a, match.substrate.spacing_a], 5),
    )


@pytest.mark.parametrize(
    ("film", "substrate"),
    [
        pytest.param("tetragonal", "ideal"),
        pytest.param("cubic", "pca21", marks=pytest.mark.slow),
        pytest.param("monoclinic", "alpha"),
    ],
)
def test_leaving_out_equal_pairs_of_planes_loses_nothing(bulk, film, substrate):
    crystals = [crystal_of(bulk[name]) for name in (film, substrate)]
    every = [hkl for hkl in product((-1, 0, 1), repeat=3) if any(hkl)]
    faces = [[orient(c, c.plane(hkl, "primitive")) for hkl in every] for c in crystals]
    everything = {invariants(m) for pair in product(*faces) for m in match_planes(*pair, TRAINING)}
    assert {invariants(m) for m in search_interfaces(bulk[film], bulk[substrate], TRAINING)} == everything


def test_a_sandwich_has_fewer_matches_than_an_interface_with_vacuum(bulk):
    both = [len(search_interfaces(bulk["pca21"], bulk["ideal"], replace(TRAINING, n_interfaces=n))) for n in (2, 1)]
    assert both[0] < both[1]


def test_the_number_of_atoms_is_a_limit(bulk):
    found = search_interfaces(bulk["tetragonal"], bulk["ideal"], replace(TRAINING, max_atoms=90))
    assert found
    assert max(match.n_atoms for match in found) <= 90
    assert len(found) < len(search_interfaces(bulk["tetragonal"], bulk["ideal"], TRAINING))


def test_planes_can_be_given(bulk):
    found = search_interfaces(bulk["tetragonal"], bulk["ideal"], TRAINING, (1, 0, 1))
    assert {match.film.plane.conventional for match in found} == {(1, 0, 1)}
    found = search_interfaces(bulk["tetragonal"], bulk["ideal"], InterfaceLimits(200, 0.03), (1, 0, 1), (1, 0, 1))
    assert {(m.coincidence.n_film, m.coincidence.n_substrate) for m in found} >= {(7, 2)}


def test_phases_that_do_not_match_are_told_what_comes_closest(bulk):
    with pytest.raises(
        InputError,
        match=r"monoclinic and alpha do not match within area up to 200 A\^2, strain up to 1 %; "
        r"the closest is monoclinic \(010\) / alpha \(201\) with 166\.7 A\^2, strain 1\.50 % and \d+ atoms",
    ):
        search_interfaces(bulk["monoclinic"], bulk["alpha"], LIMITS["production"], (0, 1, 0), (2, 0, 1))


def test_an_area_too_small_for_any_cell_is_told_the_next_one(bulk):
    with pytest.raises(
        InputError, match=r"cubic and ideal do not match .* the closest is cubic \(111\) / ideal \(001\) with 34\.3 A"
    ):
        search_interfaces(bulk["cubic"], bulk["ideal"], InterfaceLimits(20, 0.01))


def test_a_larger_area_for_one_pair_is_the_second_step(side):
    faces = side("ideal", (0, 0, 1)), side("cubic", (1, 1, 1))
    found = match_planes(*faces, InterfaceLimits(1700, 0.006))
    front = smallest_of_each_strain(found)
    areas = [m.coincidence.area_a2 for m in front]
    strains = [m.coincidence.max_strain for m in front]
    assert areas == sorted(areas)
    assert strains == sorted(strains, reverse=True)
    assert min(strains) == found[0].coincidence.max_strain
    for match in found:
        assert any(
            f.coincidence.area_a2 <= match.coincidence.area_a2 + 1e-6
            and f.coincidence.max_strain <= match.coincidence.max_strain + 1e-9
            for f in front
        )


def test_the_best_of_each_pair_of_planes_comes_first(bulk):
    found = search_interfaces(bulk["cubic"], bulk["ideal"], TRAINING)
    best = best_of_each_pair(found)
    assert len(best) == len({match.planes for match in found}) == 6
    assert best[0] is found[0]
    assert [found.index(match) for match in best] == sorted(found.index(match) for match in best)


def test_a_match_can_be_given_by_its_matrices(epitaxial):
    found = epitaxial.coincidence
    again = given_match(epitaxial.film, epitaxial.substrate, (found.film_matrix, found.substrate_matrix))
    assert replace(again.coincidence, multiplicity=found.multiplicity) == found
    assert again.layers == epitaxial.layers


ZSL_CASES = [
    ("tetragonal", (1, 0, 1), "ideal", (1, 0, 1), 200, 0.03),
    ("monoclinic", (0, 1, 0), "alpha", (2, 0, 1), 200, 0.03),
    ("cubic", (1, 1, 1), "ideal", (0, 0, 1), 140, 0.05),
    ("pca21", (0, 0, 1), "ideal", (0, 0, 1), 130, 0.10),
    ("pbca", (1, 0, 0), "alpha", (0, 0, 1), 130, 0.10),
]


@pytest.fixture
def zsl(monkeypatch):
    """pymatgen's search without numba, whose compilation takes longer than all of these tests."""
    from pymatgen.analysis.interfaces import zsl

    for name, function in list(vars(zsl).items()):
        if hasattr(function, "py_func"):
            monkeypatch.setattr(zsl, name, function.py_func)
    return zsl.ZSLGenerator


def saturated(film, substrate):
    """Return by how many times a pair of integer cells repeats a smaller one."""
    rows = np.concatenate([film, substrate], axis=1)
    minors = [round(np.linalg.det(rows[:, [i, j]])) for i in range(4) for j in range(i + 1, 4)]
    return int(np.gcd.reduce(minors))


@pytest.mark.parametrize(("film", "film_hkl", "substrate", "substrate_hkl", "max_area", "tolerance"), ZSL_CASES)
def test_every_match_of_pymatgens_zsl_within_the_strain_is_one_of_ours(
    side, zsl, film, film_hkl, substrate, substrate_hkl, max_area, tolerance
):
    """Zur and McGill compare lengths and angles; what they find within the principal strain must be among ours.

    They do not ask which side a plane is seen from, so both sides are searched here.
    """
    lower = side(substrate, substrate_hkl)
    uppers = [side(film, tuple(sign * index for index in film_hkl)) for sign in (1, -1)]
    upper = uppers[0]
    ours = {
        (m.coincidence.n_film, m.coincidence.n_substrate, *np.round(m.coincidence.mismatch, 4))
        for face in uppers
        for m in match_planes(face, lower, InterfaceLimits(max_area * (1 + tolerance) ** 2, tolerance))
    }
    vectors = [np.column_stack([s.basis, np.zeros(2)]) for s in (upper, lower)]
    generator = zsl(
        max_area=max_area,
        max_length_tol=tolerance,
        max_angle_tol=tolerance,
        bidirectional=True,
        max_area_ratio_tol=2.2 * tolerance,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = list(generator(*vectors))
    assert found
    compared = 0
    for match in found:
        cells = [np.asarray(v)[:, :2] for v in (match.film_sl_vectors, match.substrate_sl_vectors)]
        strains = principal_strains(*cells)
        if abs(strains[0]) > tolerance:
            continue
        matrices = [np.rint(c @ np.linalg.inv(s.basis)).astype(int) for c, s in zip(cells, (upper, lower), strict=True)]
        repeats = saturated(*matrices)
        sizes = [round(abs(np.linalg.det(m))) / repeats for m in matrices]
        assert any(
            (n_film, n_substrate) == tuple(sizes) and np.allclose(mismatch, strains, atol=2e-4)
            for n_film, n_substrate, *mismatch in ours
        ), (sizes, strains)
        compared += 1
    assert compared


def test_the_smallest_cell_is_that_of_pymatgens_builder(bulk, epitaxial, zsl):
    """Same plane, area and strain as CoherentInterfaceBuilder, from its own cut of the crystal."""
    from pymatgen.analysis.interfaces import CoherentInterfaceBuilder
    from pymatgen.core import Structure
    from pymatgen.io.ase import AseAtomsAdaptor

    ideal = AseAtomsAdaptor.get_structure(atoms_from_structure(bulk["ideal"]))
    crystal = crystal_of(bulk["cubic"])
    cubic = Structure(crystal.lattice, crystal.numbers, crystal.fractional)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        builder = CoherentInterfaceBuilder(
            substrate_structure=cubic,
            film_structure=ideal,
            film_miller=(0, 0, 1),
            substrate_miller=(1, 1, 1),
            zslgen=zsl(max_area=60, max_length_tol=0.02, max_angle_tol=0.02, bidirectional=True),
        )
        smallest = min(builder.zsl_matches, key=lambda m: m.match_area)
    assert smallest.match_area == pytest.approx(epitaxial.coincidence.film_area_a2, rel=0.02)
    cells = [np.asarray(v) for v in (smallest.film_sl_vectors, smallest.substrate_sl_vectors)]
    metrics = [np.linalg.cholesky(c @ c.T) for c in cells]
    assert principal_strains(*metrics) == pytest.approx(epitaxial.coincidence.mismatch, abs=1e-6)
