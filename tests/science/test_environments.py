import numpy as np
import pytest

from lizrcl_flows.science.environments import Environments, farthest_environments
from lizrcl_flows.science.structures import load_structure

NONE = Environments.of([], [])


def environments(rows, numbers, eps=None):
    """Structures with the same number of atoms each: rows (n_frames, n_atoms, D), numbers (n_atoms,)."""
    rows = np.asarray(rows, dtype=np.float32)
    n_frames, n_atoms, width = rows.shape
    return Environments(
        rows.reshape(-1, width),
        np.tile(numbers, n_frames),
        np.repeat(np.arange(n_frames), n_atoms),
        np.zeros(0) if eps is None else np.asarray(eps, dtype=float).ravel(),
    )


def drawn(seed, n_frames=30, numbers=(3, 3, 17, 17, 17, 40), width=9, known=False):
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(4, len(numbers), width))
    rows = centres[rng.integers(3 if known else 4, size=n_frames)]
    rows = rows + rng.uniform(0.05, 0.5, (n_frames, 1, 1)) * rng.normal(size=rows.shape)
    return environments(rows, numbers)


def by_definition(pool, known, n):
    """Max-min over environments in double precision, every distance by subtraction."""
    spreads = {}
    for number in np.unique(pool.numbers):
        rows = np.concatenate([part.rows[part.numbers == number] for part in (pool, known) if len(part.rows)])
        spreads[number] = np.sqrt(((rows.astype(float) - rows.mean(axis=0, dtype=float)) ** 2).sum(axis=1).mean())
    scale = {number: max(spread, 0.1 * max(spreads.values())) for number, spread in spreads.items()}
    covered = {number: [*known.rows[known.numbers == number].astype(float)] for number in scale}
    frames, distances = [], []
    while len(frames) < n:
        best = (False, -1.0, None)
        for atom, (row, number) in enumerate(zip(pool.rows.astype(float), pool.numbers, strict=True)):
            centres = covered[number] or [pool.rows[pool.numbers == number].mean(axis=0, dtype=float)]
            distance = min(np.linalg.norm(row - centre) for centre in centres) / scale[number]
            if (not covered[number], distance) > best[:2]:
                best = (not covered[number], distance, atom)
        if best[1] == 0:
            break
        frame = pool.frames[best[2]]
        frames.append(int(frame))
        distances.append(best[1])
        for atom in np.flatnonzero(pool.frames == frame):
            covered[pool.numbers[atom]].append(pool.rows[atom].astype(float))
    return frames, distances


@pytest.mark.parametrize("n_known", [0, 1, 12])
@pytest.mark.parametrize("seed", range(3))
def test_it_picks_what_the_definition_picks(seed, n_known):
    pool, known = drawn(seed), drawn(seed + 50, n_known, known=True) if n_known else NONE
    picks = farthest_environments(pool, known, 9)
    frames, distances = by_definition(pool, known, 10)
    assert picks.frames.tolist() == frames[:9]
    np.testing.assert_allclose(picks.distances, distances[:9], rtol=1e-5)
    np.testing.assert_allclose(picks.radii, distances[1:], rtol=1e-5)
    assert pool.frames[picks.atoms].tolist() == frames[:9]


def test_one_new_environment_among_a_hundred_is_found_where_the_mean_shows_nothing():
    rng = np.random.default_rng(0)
    rows = rng.normal(scale=0.1, size=(50, 100, 8))
    rows += rng.normal(scale=0.3, size=(50, 1, 1))  # what the means differ by
    rows[17, 42] += 2.0
    pool = environments(rows, np.full(100, 3))
    assert farthest_environments(pool, NONE, 1).frames.tolist() == [17]
    means = pool.means()
    assert np.argsort(-np.linalg.norm(means - means.mean(axis=0), axis=1)).tolist().index(17) > 5


def test_elements_are_compared_among_themselves_only():
    rows = np.zeros((3, 2, 2))
    rows[1, 0], rows[2, 0] = (1.0, 0.0), (0.0, 1.0)
    rows[:, 1] = (1.0, 0.0)
    rows[2, 1] = (0.0, 1.0)  # what Li has seen is new to Cl
    known = environments(rows[:2], [3, 17])
    pool = environments([[(0.0, 0.0), (0.0, 1.0)], [(1.0, 0.0), (1.0, 0.0)]], [3, 17])
    assert farthest_environments(pool, known, 2).frames.tolist() == [0]


def test_an_element_that_nothing_covers_comes_first():
    pool = environments([[(0.0, 0.0)], [(9.0, 9.0)]], [3])
    other = environments([[(0.0, 0.0)]], [40])
    both = Environments(np.concatenate([pool.rows, other.rows]), np.array([3, 3, 40]), np.array([0, 1, 2]), np.zeros(0))
    picks = farthest_environments(both, environments([[(0.0, 0.0)]], [3]), 5)
    assert picks.frames.tolist() == [2, 1]
    assert np.isfinite(picks.distances).all()


def test_all_atoms_of_a_pick_are_covered_and_copies_are_never_taken():
    half = drawn(5, n_frames=12)
    rows = half.rows.reshape(12, 6, -1)
    pool = environments(np.concatenate([rows, rows[::-1], rows]), half.numbers[:6])
    picks = farthest_environments(pool, environments(rows[:2], half.numbers[:6]), 99)
    assert sorted(frame % 12 if frame < 12 or frame >= 24 else 23 - frame for frame in picks.frames) == list(
        range(2, 12)
    )
    assert (picks.distances > 0).all()
    assert picks.radii[-1] == 0


def test_ties_go_to_the_earlier_structure_whatever_its_element():
    far, near = (1.0, 0.0), (0.0, 0.0)
    known = environments([[near, near]], [40, 3])
    for zirconium_first in (True, False):
        pool = environments(
            [[far, near], [near, far]] if zirconium_first else [[near, far], [far, near]],
            [40, 3],
        )
        picks = farthest_environments(pool, known, 2)
        assert picks.frames.tolist() == [0, 1]
        assert picks.distances[0] == picks.distances[1]


def test_eps_limits_what_a_structure_is_judged_by_but_not_what_it_covers():
    rows = np.zeros((3, 3, 2))
    rows[0, 2] = (5.0, 0.0)  # far, but the committee is sure of it
    rows[1, 0] = (1.0, 0.0)
    rows[2, 1] = (0.0, 0.5)
    eps = [[0.9, 0.8, 0.1], [0.9, 0.8, 0.1], [0.9, 0.8, 0.1]]
    pool = environments(rows, [3, 3, 3], eps)
    known = environments(np.zeros((1, 1, 2)), [3])
    assert farthest_environments(pool, known, 9, atoms_per_frame=2).frames.tolist() == [1, 2]
    assert farthest_environments(pool, known, 9).frames.tolist() == [0, 1, 2]
    assert pool.most_uncertain(2).tolist() == [0, 1, 3, 4, 6, 7]
    assert pool.most_uncertain(1).tolist() == [0, 3, 6]
    assert len(pool.most_uncertain(99)) == len(environments(rows, [3, 3, 3]).most_uncertain(1)) == 9
    rows[1, 2] = (5.0, 0.1)  # judged by none of its first two, covered nevertheless
    rows[2, 0] = (5.0, 0.1)
    first = farthest_environments(environments(rows, [3, 3, 3], eps), known, 1, atoms_per_frame=2)
    assert first.frames.tolist() == [2]


def test_structures_of_different_size_and_order_of_atoms():
    alpha, zirconia = load_structure("Li2ZrCl6_ideal_P-31c"), load_structure("ZrO2_cubic_Fm-3m")
    rng = np.random.default_rng(3)
    structures = [alpha, zirconia, alpha]
    rows = [rng.normal(size=(structure.n_atoms, 5)) for structure in structures]
    pool = Environments.of(structures, rows)
    np.testing.assert_allclose(pool.means(), [part.mean(axis=0) for part in rows], rtol=1e-5)
    first, rest = pool.split(1)
    assert (len(first.rows), len(rest.rows)) == (alpha.n_atoms, zirconia.n_atoms + alpha.n_atoms)
    assert rest.frames.tolist() == [0] * zirconia.n_atoms + [1] * alpha.n_atoms
    assert len(farthest_environments(rest, first, 5).frames) == 2
    assert pool.split(3)[1].means().shape == (0, 0)


def test_nothing_and_wrong_input():
    pool = drawn(1, n_frames=3)
    assert farthest_environments(NONE, pool, 3).frames.tolist() == []
    assert farthest_environments(pool, NONE, 0).frames.tolist() == []
    assert len(farthest_environments(pool, pool, 3).frames) == 0
    same = environments(np.ones((2, 3, 4)), [3, 17, 40])
    assert farthest_environments(same, NONE, 3).frames.tolist() == [0]
    with pytest.raises(ValueError, match="known rows have 4 descriptors, the pool has 9"):
        farthest_environments(pool, same, 1)
    with pytest.raises(ValueError, match="not a finite number"):
        farthest_environments(environments(np.full((1, 1, 2), np.nan), [3]), NONE, 1)
    with pytest.raises(ValueError, match="must follow each other"):
        Environments(np.zeros((2, 3)), np.zeros(2), np.array([1, 0]), np.zeros(0))
    with pytest.raises(ValueError, match="2 environments, 1 elements"):
        Environments(np.zeros((2, 3)), np.zeros(1), np.zeros(2), np.zeros(0))
    with pytest.raises(ValueError, match="3 values of eps"):
        Environments(np.zeros((2, 3)), np.zeros(2), np.zeros(2), np.zeros(3))


def test_parts_keep_the_atoms_of_their_structures_together():
    pool = drawn(3, n_frames=6)
    some = pool.part(np.array([4, 1]))
    assert some.frames.tolist() == [0] * 6 + [1] * 6
    np.testing.assert_array_equal(some.rows, np.concatenate([pool.rows[24:30], pool.rows[6:12]]))
    both = some.joined(pool.part(np.array([0])))
    assert both.frames.tolist() == [0] * 6 + [1] * 6 + [2] * 6
    np.testing.assert_array_equal(both.means(), pool.means()[[4, 1, 0]])
    assert NONE.joined(some) is some
    assert some.joined(NONE) is some
