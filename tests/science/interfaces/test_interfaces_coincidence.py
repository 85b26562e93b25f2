import itertools

import numpy as np
import pytest

from lizrcl_flows.errors import InputError
from lizrcl_flows.science.interfaces.coincidence import (
    coincidence_of,
    find_coincidences,
    principal_strains,
    von_mises_strain,
)
from lizrcl_flows.science.interfaces.lattices import normal_form


def hexagonal(a):
    return np.array([[a, 0.0], [-a / 2, a * np.sqrt(3) / 2]])


def oblique(seed):
    rng = np.random.default_rng(seed)
    basis = np.diag(rng.uniform(3, 6, 2)) + np.array([[0, 0], [rng.uniform(-2.5, 2.5), 0]])
    angle = rng.uniform(0, 6)
    return basis @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])


def brute_force(film, substrate, max_area, max_strain):
    """Every pair of primitive matrices with entries up to 4 that fits, as normal forms of both together."""
    span = range(-4, 5)
    matrices = np.array([((a, b), (c, d)) for a, b, c, d in itertools.product(span, repeat=4) if a * d - b * c > 0])
    cells = matrices @ substrate
    keep = np.linalg.det(cells) <= max_area
    substrates = np.unique(normal_form(matrices[keep]), axis=0)
    found = set()
    films = matrices[np.linalg.det(matrices @ film) <= 1.6 * max_area]
    for matrix in substrates:
        original, strained = films @ film, matrix @ substrate
        stretch = np.linalg.svd(np.linalg.inv(original) @ strained, compute_uv=False)
        for fitting in films[np.abs(stretch - 1).max(axis=1) <= max_strain]:
            rows = np.concatenate([fitting, matrix], axis=1)
            minors = [round(np.linalg.det(rows[:, [i, j]])) for i in range(4) for j in range(i + 1, 4)]
            if np.gcd.reduce(minors) == 1:
                found.add(tuple(normal_form(rows[None])[0].ravel().tolist()))
    return found


@pytest.mark.parametrize("seed", range(6))
def test_nothing_is_missed_and_nothing_invented(seed):
    film, substrate = oblique(seed), oblique(seed + 100)
    max_area = 4 * abs(np.linalg.det(substrate))
    found = find_coincidences((film, substrate), max_area, 0.12)
    forms = {
        tuple(normal_form(np.concatenate([c.film_matrix, c.substrate_matrix], axis=1)[None])[0].ravel().tolist())
        for c in found
    }
    assert len(forms) == len(found)
    known = brute_force(film, substrate, max_area, 0.12)
    # reduced cells of so small an index have small entries, so the brute force sees all of those
    assert known <= forms
    for c in found:
        assert c.max_strain <= 0.12 + 1e-9
        assert c.area_a2 <= max_area + 1e-6


@pytest.mark.parametrize("seed", range(4))
def test_the_choice_of_the_basis_changes_nothing(seed):
    film, substrate = oblique(seed), oblique(seed + 50)
    plain = find_coincidences((film, substrate), 150, 0.05)
    turned = find_coincidences((np.array([[2, 3], [1, 2]]) @ film, np.array([[1, 0], [-4, 1]]) @ substrate), 150, 0.05)
    keys = [[(round(c.area_a2, 4), *np.round(c.mismatch, 6), c.n_film) for c in found] for found in (plain, turned)]
    assert sorted(keys[0]) == sorted(keys[1])
    assert plain


@pytest.mark.parametrize("seed", range(4))
def test_cells_are_right_handed_and_their_strain_is_what_it_says(seed):
    film, substrate = oblique(seed), oblique(seed + 20)
    for c in find_coincidences((film, substrate), 200, 0.04):
        original, strained = np.array(c.film_matrix) @ film, np.array(c.substrate_matrix) @ substrate
        assert np.linalg.det(original) > 0
        assert np.linalg.det(strained) > 0
        # independent of the code: eigenvalues of the metric of the strained cell in that of the original
        squares = np.linalg.eigvals(np.linalg.inv(original @ original.T) @ (strained @ strained.T))
        np.testing.assert_allclose(np.sort(np.sqrt(squares.real) - 1), np.sort(c.mismatch), atol=1e-9)
        assert c.n_film == round(np.linalg.det(c.film_matrix))
        assert c.film_area_a2 == pytest.approx(np.linalg.det(original))
        assert abs(c.mismatch[0]) >= abs(c.mismatch[1]) - 1e-12


def test_the_studys_first_cell_is_found_in_its_orientation():
    """7 cells of ideal Li2ZrCl6 (6.218 A) on 12 of cubic ZrO2 (5.15 A): 1654 A^2 and 0.40 %."""
    found = find_coincidences((hexagonal(6.218), hexagonal(5.15 / np.sqrt(2))), 1700.0, 0.005)
    parallel = [c for c in found if (c.n_film, c.n_substrate) == (49, 144) and c.rotation_deg % 60 < 1e-6]
    assert parallel
    for c in parallel:
        assert c.area_a2 == pytest.approx(1653.8, abs=0.1)
        np.testing.assert_allclose(c.mismatch, 12 * 5.15 / np.sqrt(2) / (7 * 6.218) - 1, atol=1e-9)


def test_symmetry_leaves_one_of_six_equal_orientations_and_counts_them():
    bases = hexagonal(6.29), hexagonal(5.09 / np.sqrt(2))
    plain = find_coincidences(bases, 60, 0.02)
    assert [c.multiplicity for c in plain] == [1] * 6
    sixfold = [np.linalg.matrix_power(np.array([[1, 1], [-1, 0]]), n) for n in range(6)]
    merged = find_coincidences(bases, 60, 0.02, (np.array(sixfold), np.array([np.eye(2, dtype=int)] * 6)))
    assert [c.multiplicity for c in merged] == [6]
    assert merged[0].area_a2 == pytest.approx(plain[0].area_a2)


def test_repeats_of_a_smaller_cell_are_not_listed():
    same = hexagonal(4.0)
    found = find_coincidences((same, same), 4 * 4 * np.sqrt(3) * 4, 1e-6)
    assert {c.n_film for c in found if c.rotation_deg % 60 < 1e-6} == {1}


def test_long_thin_cells_are_sheared_more_than_once():
    film = np.array([[3.0, 0.0], [0.0, 40.0]])
    substrate = np.array([[3.0, 0.0], [1.4, 40.0]])
    found = find_coincidences((film, substrate), 121, 0.10)
    shears = {c.film_matrix for c in found if c.n_substrate == 1}
    assert len(shears) >= 6


def test_strains_of_known_deformations():
    square = np.eye(2) * 3
    assert principal_strains(square, square * 1.02) == pytest.approx((0.02, 0.02))
    assert principal_strains(square, square @ np.diag([1.01, 0.96])) == pytest.approx((-0.04, 0.01))
    turn = np.array([[0.0, 1.0], [-1.0, 0.0]])
    assert principal_strains(square, square @ np.diag([1.01, 0.96]) @ turn) == pytest.approx((-0.04, 0.01))
    # uniaxial in the plane, none across: sqrt(2/3 (4/9 + 1/9 + 1/9)) = 2/3
    assert von_mises_strain((0.03, 0.0)) == pytest.approx(0.02)
    assert von_mises_strain((0.03, 0.03)) == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("area", "strain", "message"), [(0, 0.1, "max_area_a2"), (50, 0.4, "max_strain"), (50, -1, "max_strain")]
)
def test_limits_out_of_range_are_refused(area, strain, message):
    with pytest.raises(InputError, match=message):
        find_coincidences((hexagonal(4), hexagonal(5)), area, strain)


def test_a_mirrored_common_cell_is_refused():
    with pytest.raises(InputError, match="determinants must be positive"):
        coincidence_of((hexagonal(4), hexagonal(5)), ((0, 1), (1, 0)), ((1, 0), (0, 1)))


def test_areas_too_small_for_any_cell_give_nothing():
    assert find_coincidences((hexagonal(6), hexagonal(5)), 10, 0.1) == []
