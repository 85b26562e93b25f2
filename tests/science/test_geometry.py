import itertools

import numpy as np
import pytest
from ase.data import atomic_numbers, covalent_radii

from lizrcl_flows.documents import Origin, Structure
from lizrcl_flows.science.geometry import describe_contact, find_contact, keep_decorrelated, shortest_contact
from lizrcl_flows.science.structures import load_structure, supercell

PERIODIC = (True, True, True)


def brute_force(numbers, cell, positions, pbc, factor):
    """Smallest r / (factor (Ri + Rj)) over all pairs and the images around the cell."""
    best = (np.inf, 0.0)
    reach = [range(-3, 4) if periodic else (0,) for periodic in pbc]
    for shift in itertools.product(*reach):
        image = positions + np.array(shift) @ cell
        distance = np.linalg.norm(positions[:, None] - image[None], axis=-1)
        limit = factor * (covalent_radii[numbers][:, None] + covalent_radii[numbers][None])
        ratio = distance / limit
        if shift == (0, 0, 0):
            np.fill_diagonal(ratio, np.inf)
        place = np.unravel_index(np.argmin(ratio), ratio.shape)
        best = min(best, (ratio[place], distance[place]))
    return best


@pytest.mark.parametrize("pbc", [PERIODIC, (True, True, False), (False, False, False)])
@pytest.mark.parametrize("seed", range(8))
def test_it_agrees_with_every_image_counted_by_hand(seed, pbc):
    rng = np.random.default_rng(seed)
    cell = np.diag(rng.uniform(4, 7, 3)) + rng.uniform(-1.5, 1.5, (3, 3))
    n = int(rng.integers(2, 9))
    numbers = rng.choice([3, 8, 17, 40], n)
    positions = rng.uniform(-1, 2, (n, 3)) @ cell  # not wrapped into the cell
    ratio, distance = brute_force(numbers, cell, positions, pbc, 0.7)
    found = find_contact(numbers, (cell, pbc), positions, 0.7)
    if ratio >= 1:
        assert found is None
    else:
        assert found.value == pytest.approx(distance, abs=1e-9)
        assert found.value / found.threshold == pytest.approx(ratio, abs=1e-9)


def test_a_planted_contact_across_the_boundary_is_named():
    positions = np.array([[0.1, 5.0, 5.0], [9.9, 5.0, 5.0], [5.0, 5.0, 5.0]])
    offence = find_contact(np.array([40, 8, 3]), (10 * np.eye(3), PERIODIC), positions, 0.7)
    assert (offence.quantity, offence.atoms, offence.species) == ("distance_a", (0, 1), ("Zr", "O"))
    assert offence.value == pytest.approx(0.2)
    assert offence.threshold == pytest.approx(0.7 * (1.75 + 0.66))
    assert describe_contact(offence) == "atoms 0 (Zr) and 1 (O) are 0.200 A apart"


def test_an_atom_can_be_too_close_to_its_own_image():
    offence = find_contact(np.array([40]), (np.diag([2.0, 8.0, 8.0]), PERIODIC), np.zeros((1, 3)), 0.7)
    assert offence.atoms == (0, 0)
    assert offence.value == pytest.approx(2.0)
    assert "its own periodic image" in describe_contact(offence)


def test_the_radii_are_cordero_and_the_limit_is_where_they_say():
    radii = {"Li": 1.28, "O": 0.66, "Cl": 1.02, "Zr": 1.75}
    for (first, r1), (second, r2) in itertools.product(radii.items(), repeat=2):
        numbers = np.array([atomic_numbers[first], atomic_numbers[second]])
        limit = 0.7 * (r1 + r2)
        for distance, refused in ((limit - 1e-6, True), (limit + 1e-6, False)):
            positions = np.array([[0, 0, 0], [distance, 0, 0]])
            found = find_contact(numbers, (20 * np.eye(3), PERIODIC), positions, 0.7)
            assert (found is not None) is refused


@pytest.mark.parametrize("name", ["Li2ZrCl6_alpha_ordered", "Li2ZrCl6_ideal_P-31c", "ZrO2_tetragonal_P42nmc"])
def test_real_crystals_pass(name):
    assert shortest_contact(load_structure(name), 0.7) is None


def test_factor_zero_switches_the_rule_off_and_atoms_on_one_point_are_found():
    crystal = load_structure("ZrO2_cubic_Fm-3m")
    positions = np.array(crystal.positions)
    positions[5] = positions[2]
    content = {name: getattr(crystal, name) for name in ("n_atoms", "numbers", "cell", "formula", "chemical_system")}
    broken = Structure(**content, positions=positions, origin=Origin(kind="file"))
    assert shortest_contact(broken, 0.0) is None
    offence = shortest_contact(broken, 0.7)
    assert (offence.atoms, offence.value) == ((2, 5), 0.0)


def test_a_cell_of_twelve_thousand_atoms_is_searched_whole():
    crystal = supercell(load_structure("ZrO2_cubic_Fm-3m"), (10, 10, 10))
    positions = np.array(crystal.positions)
    positions[11_777] = positions[11_000] + [0.3, 0.4, 0.0]
    offence = find_contact(crystal.numbers, (crystal.cell, PERIODIC), positions, 0.7)
    assert offence.atoms == (11_000, 11_777)
    assert offence.value == pytest.approx(0.5)


@pytest.mark.parametrize("pbc", [PERIODIC, (False, False, False)])
def test_a_nearly_empty_cell_is_no_trouble(pbc):
    positions = np.array([[0.0, 0, 0], [7e4, 7e4, 7e4], [7e4, 7e4, 7e4 + 0.5], [-3e4, 0, 0]])
    offence = find_contact(np.array([3, 17, 40, 8]), (1e5 * np.eye(3), pbc), positions, 0.7)
    assert offence.atoms == (1, 2)
    assert offence.value == pytest.approx(0.5, abs=1e-6)


def test_decorrelation_prefers_uncertain_frames_and_keeps_the_distance():
    times = np.array([0.0, 10, 20, 30, 40, 50])
    eps = np.array([0.1, 0.5, 0.4, 0.9, 0.2, 0.3])
    assert keep_decorrelated(times, eps, 20).tolist() == [False, True, False, True, False, True]
    assert keep_decorrelated(times, eps, 0).all()
    assert keep_decorrelated(times, eps, 1000).tolist() == [False, False, False, True, False, False]
    assert keep_decorrelated(np.array([]), np.array([]), 10).shape == (0,)


def test_of_equal_frames_the_earlier_one_is_kept_whatever_the_order():
    times = np.array([30.0, 0, 10, 20])
    kept = keep_decorrelated(times, np.ones(4), 15)
    assert sorted(times[kept]) == [0.0, 20.0]
