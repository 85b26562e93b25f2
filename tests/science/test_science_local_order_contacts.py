"""Residence in shells and fragments of polyhedra against chains that are known."""

import numpy as np
import pytest

from lizrcl_flows.errors import InputError
from lizrcl_flows.science.local_order.chains import chain_fragments
from lizrcl_flows.science.local_order.residence import contacts_from, contacts_within, residence

DT_PS = 2.0


def two_state(rng, n_frames, n_pairs, leave, enter):
    """A Markov chain for each pair: in contact or not, started in equilibrium; shape (T, pairs, 1)."""
    state = rng.random(n_pairs) < enter / (enter + leave)
    table = np.empty((n_frames, n_pairs, 1), dtype=bool)
    for row in table:
        row[:, 0] = state
        state = np.where(state, rng.random(n_pairs) >= leave, rng.random(n_pairs) < enter)
    return table


@pytest.mark.parametrize("n_frames", [30, 400])
def test_residence_time_of_a_markov_chain(n_frames):
    leave, enter, n_pairs = 0.04, 0.02, 120_000 // n_frames
    found = residence(contacts_from(two_state(np.random.default_rng(0), n_frames, n_pairs, leave, enter)), DT_PS)
    # runs of 30 frames are much shorter than many contacts, and the time is still right
    assert abs(found.tau_ps - DT_PS / -np.log(1 - leave)) < 3.5 * found.tau_std_ps
    assert found.tau_std_ps / found.tau_ps < 0.05
    lags = np.arange(len(found.times_ps))
    share = enter / (enter + leave)
    early = lags < 15
    assert np.allclose(found.continuous[early], (1 - leave) ** lags[early], atol=0.02)
    assert np.allclose(found.intermittent, share + (1 - share) * (1 - leave - enter) ** lags, atol=0.06)
    assert found.continuous[0] == found.intermittent[0] == 1
    assert found.times_ps[1] == DT_PS


def test_standard_error_is_the_scatter_of_runs():
    rng = np.random.default_rng(1)
    runs = [residence(contacts_from(two_state(rng, 100, 30, 0.05, 0.05)), DT_PS) for _ in range(60)]
    scatter = np.std([run.tau_ps for run in runs])
    assert 0.75 < np.mean([run.tau_std_ps for run in runs]) / scatter < 1.35


def test_survival_functions_are_those_of_their_definition():
    table = np.random.default_rng(2).random((40, 5, 3)) < 0.6
    found = residence(contacts_from(table), 1.0, longest_ps=39.0)
    for lag in range(40):
        origins = table[: 40 - lag].sum()
        unbroken = np.lib.stride_tricks.sliding_window_view(table, lag + 1, axis=0).all(axis=-1).sum()
        assert found.continuous[lag] == pytest.approx(unbroken / origins)
        assert found.intermittent[lag] == pytest.approx((table[: 40 - lag] & table[lag:]).sum() / origins)


def test_short_absences_are_no_exits_if_asked_for():
    seen = np.array([1, 1, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0], dtype=bool)[:, None, None]
    strict, lenient = (residence(contacts_from(seen), 1.0, gap_ps=gap) for gap in (0.0, 1.0))
    assert (strict.n_contacts, strict.n_exits) == (3, 3)
    assert (lenient.n_contacts, lenient.n_exits) == (2, 2)
    assert strict.tau_ps == pytest.approx(1 / -np.log(1 - 3 / 6))
    assert lenient.tau_ps == pytest.approx(1 / -np.log(1 - 2 / 7))


def test_contact_without_end_gives_a_bound():
    found = residence(contacts_from(np.ones((11, 3, 1), dtype=bool)), 2.0)
    assert found.tau_ps is None
    assert found.tau_std_ps is None
    assert found.tau_at_least_ps == pytest.approx(3 * 10 * 2.0 / 3)
    assert np.all(found.continuous == 1)
    assert found.mean_occupancy == 3


def test_classes_of_centres_are_told_apart():
    rng = np.random.default_rng(3)
    table = np.concatenate([two_state(rng, 300, 200, leave, 0.1) for leave in (0.02, 0.2)], axis=2)
    contacts = contacts_from(table)
    slow, fast = (residence(contacts.of(centres=np.array(mask)), 1.0) for mask in ([True, False], [False, True]))
    assert slow.tau_ps == pytest.approx(1 / -np.log(0.98), rel=0.1)
    assert fast.tau_ps == pytest.approx(1 / -np.log(0.8), rel=0.1)
    assert contacts.of(ions=np.arange(200) < 1).ion.max() == 0
    with pytest.raises(InputError, match="3 entries"):
        contacts.of(centres=np.array([True, True, False]))


@pytest.mark.parametrize("moving", [True, False])
def test_contacts_are_found_across_the_walls_of_the_cell(moving):
    cell = 10.0 * np.eye(3)
    centres = np.array([[0.5, 5, 5], [5.0, 5, 5]])
    ions = np.array([[[9.5, 5, 5], [5, 5, 7.5]], [[28.0, 5, 5], [5, -5, 6]]])
    found = contacts_within(ions, np.array([centres, centres]) if moving else centres, cell, 2.0)
    assert list(zip(found.frame, found.ion, found.centre, strict=True)) == [(0, 0, 0), (1, 1, 1)]
    assert (found.n_frames, found.n_ions, found.n_centres) == (2, 2, 2)


def test_residence_needs_contacts_and_frames():
    with pytest.raises(InputError, match="ever in a shell"):
        residence(contacts_from(np.zeros((5, 2, 1), dtype=bool)), 1.0)
    with pytest.raises(InputError, match="2 frames"):
        residence(contacts_from(np.ones((2, 2, 1), dtype=bool)), 1.0)


def corner_chain(n, cell_a=40.0, start=0.0):
    """A row of n octahedra along x, 4 A apart, that share corners; ligands at 2 A."""
    centres = np.array([[start + 4.0 * k, 20.0, 20.0] for k in range(n)])
    along = np.array([[start + 4.0 * k - 2, 20.0, 20.0] for k in range(n + 1)])
    sides = [centre + side for centre in centres for side in ([0, 2, 0], [0, -2, 0], [0, 0, 2], [0, 0, -2])]
    return centres, np.concatenate([along, sides])


def fragments_of(centres, ligands, cell):
    positions = np.concatenate([centres, ligands])
    return chain_fragments(positions, cell, np.arange(len(centres)), np.arange(len(centres), len(positions)), 2.1)


@pytest.mark.parametrize("start", [10.0, -6.0, 36.0])
@pytest.mark.parametrize("n", [1, 2, 5])
def test_chains_of_octahedra_anywhere_in_the_cell(n, start):
    centres, ligands = corner_chain(n, start=start)
    wrapped = np.mod(ligands, 40.0)
    found = fragments_of(np.mod(centres, 40.0), wrapped, 40.0 * np.eye(3))
    assert found.sizes.tolist() == [n]
    assert found.counts.tolist() == [1]
    assert (found.corner, found.edge, found.face) == (n - 1, 0, 0)
    assert not found.endless.any()


def test_chain_through_the_whole_cell_is_endless():
    centres, ligands = corner_chain(10)
    found = fragments_of(centres, ligands[np.arange(len(ligands)) != 10], 40.0 * np.eye(3))
    assert found.sizes.tolist() == [10]
    assert found.corner == 10
    assert found.endless.tolist() == [True]
    # one octahedron in a cell of its own size shares corners with its images
    alone = fragments_of(centres[:1], ligands[[0]], np.diag([4.0, 40.0, 40.0]))
    assert (alone.sizes.tolist(), alone.corner, alone.endless.tolist()) == ([1], 1, [True])
    # two in a cell share two ligands, but with different images: corners, not an edge
    pair = fragments_of(centres[:2], ligands[:2], np.diag([8.0, 40.0, 40.0]))
    assert (pair.sizes.tolist(), pair.corner, pair.edge, pair.endless.tolist()) == ([2], 2, 0, [True])


def test_shared_corners_edges_and_faces():
    r = 2.0
    edge = r * np.sqrt(2)
    centres = np.array([[0, 0, 0], [edge, 0, 0], [0, 20, 0], [2, 20, 0], [20, 0, 20]], dtype=float)
    shared_edge = [[edge / 2, edge / 2, 0], [edge / 2, -edge / 2, 0]]
    radius = np.sqrt(r**2 - 1)
    shared_face = [[1, 20 + radius * np.cos(a), radius * np.sin(a)] for a in np.arange(3) * 2 * np.pi / 3]
    found = fragments_of(centres, np.array(shared_edge + shared_face), 40.0 * np.eye(3))
    assert found.sizes.tolist() == [1, 2]
    assert found.counts.tolist() == [1, 2]
    assert (found.corner, found.edge, found.face) == (0, 1, 1)
    assert found.bonds.tolist() == [[0, 1], [2, 3]]
    assert found.labels[0] == found.labels[1] != found.labels[2]
