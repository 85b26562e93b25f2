"""Pairs, radial distributions and coordination against brute force, crystals and the ideal gas."""

import numpy as np
import pytest

from lizrcl_flows.errors import InputError
from lizrcl_flows.science.local_order.coordination import Along, coordination, coordination_profile
from lizrcl_flows.science.local_order.neighbours import neighbour_pairs
from lizrcl_flows.science.local_order.rdf import radial_distribution

A_A = 5.64
"""Lattice constant of rock salt (A)."""

TRICLINIC = np.array([[7.0, 0.4, -0.3], [2.5, 6.0, 0.2], [-1.5, 2.0, 5.0]])


def rock_salt(n=1):
    """Return positions, cell and which atoms are Na."""
    basis = np.array([[0, 0, 0], [0, 1, 1], [1, 0, 1], [1, 1, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]]) / 2
    shifts = np.stack(np.meshgrid(*[np.arange(n)] * 3, indexing="ij"), -1).reshape(-1, 1, 3)
    positions = (shifts + basis).reshape(-1, 3) * A_A
    return positions, n * A_A * np.eye(3), np.tile(np.arange(8) < 4, n**3)


def brute_force(positions, cell, centres, neighbours, cutoff, reach=9):
    images = np.stack(np.meshgrid(*[np.arange(-reach, reach + 1)] * 3, indexing="ij"), -1).reshape(-1, 3)
    found = []
    for i in centres:
        for j in neighbours:
            d = np.linalg.norm(positions[j] + images @ cell - positions[i], axis=1)
            for image, distance in zip(images, d, strict=True):
                if distance <= cutoff and not (i == j and not image.any()):
                    found.append((i, j, *image))
    return sorted(found)


@pytest.mark.parametrize("cell", [TRICLINIC, TRICLINIC[[1, 0, 2]], 3.0 * np.eye(3), np.diag([2.0, 12.0, 5.0])])
@pytest.mark.parametrize("cutoff", [2.0, 5.5])
def test_pairs_are_all_images_in_cells_of_any_shape(cell, cutoff):
    rng = np.random.default_rng(0)
    positions = rng.uniform(-1.5, 1.5, size=(7, 3)) @ cell
    centres, neighbours = np.array([0, 2, 5]), np.array([1, 2, 3, 6])
    pairs = neighbour_pairs(positions, cell, centres, neighbours, cutoff)
    found = sorted(zip(pairs.i, pairs.j, *pairs.images.T, strict=True))
    assert found == brute_force(positions, cell, centres, neighbours, cutoff)
    assert np.allclose(pairs.vectors, positions[pairs.j] + pairs.images @ cell - positions[pairs.i], atol=1e-10)
    assert np.allclose(pairs.distances, np.linalg.norm(pairs.vectors, axis=1), atol=1e-12)
    assert np.all(np.diff(pairs.i) >= 0)


def test_pairs_of_all_atoms_agree_with_ase():
    from ase import Atoms
    from ase.neighborlist import neighbor_list

    rng = np.random.default_rng(1)
    cell = 3 * TRICLINIC
    positions = rng.uniform(size=(300, 3)) @ cell
    first, second, distances = neighbor_list("ijd", Atoms("Li300", positions=positions, cell=cell, pbc=True), 4.0)
    pairs = neighbour_pairs(positions, cell, np.ones(300, bool), np.ones(300, bool), 4.0)
    order, theirs = np.lexsort((pairs.distances, pairs.j, pairs.i)), np.lexsort((distances, second, first))
    assert np.array_equal(pairs.i[order], first[theirs])
    assert np.array_equal(pairs.j[order], second[theirs])
    assert np.allclose(pairs.distances[order], distances[theirs], atol=1e-9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"centres": np.zeros(8, bool)}, "no atoms to be centres"),
        ({"neighbours": np.array([], dtype=int)}, "no atoms to be neighbours"),
        ({"neighbours": np.zeros(3, bool)}, "3 entries for 8 atoms"),
        ({"centres": np.array([8])}, "not among the 8"),
        ({"cutoff_a": 0.0}, "positive"),
        ({"cutoff_a": 1e4}, "images of this cell"),
        ({"cell": np.ones((3, 3))}, "no volume"),
        ({"positions": np.full((8, 3), np.nan)}, "finite"),
    ],
)
def test_bad_input_is_one_sentence(change, message):
    positions, cell, sodium = rock_salt()
    given = {"positions": positions, "cell": cell, "centres": sodium, "neighbours": ~sodium, "cutoff_a": 3.0} | change
    with pytest.raises(InputError, match=message):
        neighbour_pairs(**given)


@pytest.mark.parametrize("n", [1, 3])
def test_coordination_of_rock_salt(n):
    positions, cell, sodium = rock_salt(n)
    assert np.all(coordination(positions, cell, sodium, ~sodium, 3.0) == 6)
    assert np.all(coordination(positions, cell, sodium, sodium, 4.2) == 12)
    assert coordination(positions, cell, np.flatnonzero(sodium)[::-1], ~sodium, 3.0).tolist() == [6] * int(sodium.sum())


@pytest.mark.parametrize("n", [1, 3])
def test_shells_of_rock_salt(n):
    positions, cell, sodium = rock_salt(n)
    between = radial_distribution(positions[None], cell, sodium, ~sodium, 7.0, 140)
    assert between.running_cn[np.searchsorted(between.r_a, [3.5, 5.5, 6.5])] == pytest.approx([6, 14, 38])
    assert A_A / 2 < between.first_minimum_a < A_A * np.sqrt(3) / 2
    assert between.first_shell_cn == pytest.approx(6)
    assert between.study_cutoff_cn == pytest.approx(6)
    among = radial_distribution(positions[None], cell, sodium, sodium, 7.0, 140)
    assert among.running_cn[np.searchsorted(among.r_a, [4.5, 6.0])] == pytest.approx([12, 18])


@pytest.mark.parametrize("same", [True, False])
def test_ideal_gas_has_no_structure(same):
    rng = np.random.default_rng(2)
    cells = np.array([3 * TRICLINIC, 3.1 * TRICLINIC])
    samples = rng.uniform(size=(2, 2000, 3)) @ cells
    first = np.arange(2000) < 1000
    found = radial_distribution(samples, cells, first, first if same else ~first, 8.0, 16)
    expected = 2 * 1000 * 999 / 2 if same else 2 * 1000 * 1000
    share = 4 / 3 * np.pi * np.diff(np.linspace(0, 8.0, 17) ** 3) / abs(np.linalg.det(cells[0]))
    assert np.all(np.abs(found.g - 1) < 4.5 / np.sqrt(expected * share))
    assert found.first_minimum_a is None
    assert found.first_shell_cn is None
    assert found.study_cutoff_cn == pytest.approx(1000 * 43 * np.pi * 4 / 3 / abs(np.linalg.det(cells[0])), rel=0.1)


def test_noisy_first_shell_ends_between_the_shells():
    rng = np.random.default_rng(3)
    positions, cell, sodium = rock_salt(3)
    samples = positions + rng.normal(scale=0.15, size=(4, *positions.shape))
    found = radial_distribution(samples, cell, sodium, ~sodium, 7.0, 140)
    assert 3.3 < found.first_minimum_a < 4.4
    assert found.first_shell_cn == pytest.approx(6, abs=0.05)


def test_distribution_needs_frames():
    positions, cell, sodium = rock_salt()
    with pytest.raises(InputError, match="0 frames"):
        radial_distribution(positions[None][:0], cell, sodium, ~sodium)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_profile_finds_planted_layers_from_any_origin(axis):
    # one centre per layer, with 0, 1, 2 and 3 neighbours, in a cell that breathes
    places = np.zeros((4, 3))
    places[:, axis] = np.array([0.05, 0.3, 0.55, 0.8]) * 40.0
    in_plane = 1.0 * np.eye(3)[axis - 1]
    around = [places[layer] + in_plane * side for layer in range(4) for side in (1, -1, 2)[:layer]]
    positions = np.concatenate([places, around])
    cell = np.diag([12.0, 12.0, 12.0])
    cell[axis, axis] = 40.0
    scales = np.array([1.0, 1.02, 0.98])
    cells, samples = scales[:, None, None] * cell, scales[:, None, None] * positions
    centres = np.arange(len(positions)) < 4
    along = Along(axis=axis, n_bins=4, reference=np.array([0.25, 0.25, 0.25]))
    found = coordination_profile(samples, cells, centres, {"O": ~centres}, 2.5, along)
    assert found.mean_cn["O"].tolist() == [1, 2, 3, 0]
    assert found.n_centres.tolist() == [1, 1, 1, 1]
    assert found.z_edges_a[-1] == pytest.approx(40.0)
    assert found.sem["O"].tolist() == [0, 0, 0, 0]


def test_profile_without_centres_in_a_layer_is_not_a_number_and_errors_come_from_frames():
    cell = 12.0 * np.eye(3)
    close, far = [[6, 6, 3.0], [6, 6, 4.0]], [[6, 6, 3.0], [6, 6, 9.0]]
    found = coordination_profile(
        np.array([close, far]), cell, np.array([0]), {"Cl": np.array([1])}, 2.0, Along(n_bins=2)
    )
    assert found.mean_cn["Cl"][0] == 0.5
    assert np.isnan(found.mean_cn["Cl"][1])
    # two frames, 1 and 0: standard deviation sqrt(1/2), over sqrt(2)
    assert found.sem["Cl"][0] == pytest.approx(0.5)
    with pytest.raises(InputError, match="axis 3"):
        coordination_profile(np.array([close]), cell, np.array([0]), {"Cl": np.array([1])}, 2.0, Along(axis=3))
