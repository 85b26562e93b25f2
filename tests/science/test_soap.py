import warnings

import numpy as np
import pytest

from lizrcl_flows.errors import InputError
from lizrcl_flows.science import soap
from lizrcl_flows.science.environments import farthest_environments
from lizrcl_flows.science.perturbation import perturb
from lizrcl_flows.science.soap import soap_environments, soap_rows
from lizrcl_flows.science.structures import atoms_from_structure, load_structure, supercell

ELEMENTS = ("Li", "Zr", "O", "Cl")
IDEAL = load_structure("Li2ZrCl6_ideal_P-31c", phase="ideal")
CUBIC = load_structure("ZrO2_cubic_Fm-3m", phase="cubic")


@pytest.fixture(scope="module")
def structures():
    return [perturb(cell, np.random.default_rng(seed)) for cell in (IDEAL, CUBIC) for seed in range(3)]


@pytest.mark.parametrize(("preset", "width"), [("paper", 3696), ("fast", 1500)])
def test_rows_are_those_of_dscribe(structures, preset, width):
    from dscribe.descriptors import SOAP

    n_max, l_max = {"paper": (8, 6), "fast": (6, 4)}[preset]
    described = SOAP(r_cut=5.0, n_max=n_max, l_max=l_max, sigma=0.5, average="inner", species=ELEMENTS, periodic=True)
    rows = soap_rows(structures, ELEMENTS, preset)
    assert rows.shape == (6, width)
    assert rows.dtype == np.float32
    expected = described.create([atoms_from_structure(structure) for structure in structures])
    np.testing.assert_allclose(rows, expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max())


def test_a_row_knows_neither_the_size_of_the_cell_nor_the_order_of_the_elements(structures):
    rows = soap_rows([structures[0], supercell(structures[0], (1, 2, 1))], ELEMENTS, "fast")
    np.testing.assert_allclose(rows[0], rows[1], atol=1e-4 * np.abs(rows).max())
    np.testing.assert_array_equal(soap_rows(structures[:1], ("Cl", "O", "Zr", "Li"), "fast"), rows[:1])


def test_processes_change_nothing_and_do_not_stay(structures, monkeypatch):
    import multiprocessing

    expected = soap_rows(structures, ELEMENTS, "fast")
    monkeypatch.setattr(soap, "_STRUCTURES_AT_ONCE", 2)
    monkeypatch.setattr(soap, "_FEWEST_PIECES", 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(soap_rows(structures, ELEMENTS, "fast", n_jobs=2), expected)
    assert multiprocessing.active_children() == []


def test_reduced_environments_keep_the_distances_of_full_ones(structures):
    from dscribe.descriptors import SOAP

    pool, known = soap_environments(structures[:4], structures[4:], ELEMENTS, "fast", n_components=16)
    assert pool.rows.dtype == np.float32
    assert pool.rows.shape == (sum(structure.n_atoms for structure in structures[:4]), 16)
    assert known.frames[-1] == 1
    described = SOAP(r_cut=5.0, n_max=6, l_max=4, sigma=0.5, species=ELEMENTS, periodic=True)
    full = np.concatenate([described.create(atoms_from_structure(structure)) for structure in structures])
    numbers = np.concatenate([pool.numbers, known.numbers])
    reduced = np.concatenate([pool.rows, known.rows])
    for number in (3, 8, 17, 40):
        ours, theirs = (rows[numbers == number].astype(float) for rows in (reduced, full))
        distances = [np.linalg.norm(rows[:, None] - rows[None], axis=2) for rows in (ours, theirs)]
        assert np.abs(distances[0] - distances[1]).max() < 0.02 * distances[1].max()


def test_what_is_known_covers_what_is_like_it(structures):
    pool, known = soap_environments([*structures[:3], structures[4]], structures[:3], ELEMENTS, "fast")
    picks = farthest_environments(pool, known, 4)
    assert picks.frames.tolist() == [3]


def test_a_sample_is_spread_over_all_structures_and_holds_every_element(structures, monkeypatch):
    monkeypatch.setattr(soap, "_SAMPLED_STRUCTURES", 4)
    monkeypatch.setattr(soap, "_SAMPLED_ATOMS", 5)
    sample = soap._sample(structures)
    assert len({structure.id for structure, _ in sample} & {structure.id for structure in structures}) == 4
    numbers = np.concatenate([structure.numbers[atoms] for structure, atoms in sample])
    kinds, counts = np.unique(numbers, return_counts=True)
    assert kinds.tolist() == [3, 8, 17, 40]
    assert counts.max() <= 5
    pool, _ = soap_environments(structures, [], ELEMENTS, "fast", n_components=8)
    assert np.isfinite(pool.rows).all()


def test_nothing_gives_nothing_and_a_foreign_element_is_named(structures):
    assert soap_rows([], ELEMENTS, "fast").shape == (0, 1500)
    empty = soap_environments([], [], ELEMENTS, "fast")
    assert [len(part.rows) for part in empty] == [0, 0]
    pool, known = soap_environments(structures[:1], [], ELEMENTS, "fast")
    assert (len(pool.rows), len(known.rows)) == (structures[0].n_atoms, 0)
    with pytest.raises(InputError, match=r"structure str_\w+ holds O, but the elements to describe are Li, Zr, Cl"):
        soap_rows(structures, ("Li", "Zr", "Cl"), "fast")
