"""Committees: members against themselves alone, the spread by its definition, mixed headers."""

import threading

import numpy as np
import pytest

from lizrcl_flows.errors import InputError
from lizrcl_flows.nep import Committee, force_spread, write_nep_txt

FOUR = ("Li", "Zr", "Cl", "O")


def test_members_are_what_they_are_alone(make_model, make_frame):
    models = [make_model(seed=seed) for seed in range(5)]
    frames = [make_frame(FOUR, n_atoms, seed=n_atoms) for n_atoms in (5, 40, 17)]
    together = Committee(models).evaluate(frames)
    for member, model in enumerate(models):
        for one, result in zip(Committee([model]).evaluate(frames), together, strict=True):
            np.testing.assert_allclose(result.energies[member], one.energies[0], atol=1e-11)
            np.testing.assert_allclose(result.forces[member], one.forces[0], atol=1e-11)
            np.testing.assert_allclose(result.virial[member], one.virial[0], atol=1e-10)


def test_shapes_and_sums(make_model, make_frame):
    frame = make_frame(FOUR, 11)
    result = Committee([make_model(seed=seed) for seed in range(3)]).evaluate([frame])[0]
    assert result.energy.shape == (3,)
    assert result.energies.shape == (3, 11)
    assert result.forces.shape == (3, 11, 3)
    assert result.virial.shape == (3, 3, 3)
    assert result.eps_atoms.shape == (11,)
    np.testing.assert_allclose(result.energies.sum(axis=1), result.energy, rtol=1e-12)
    np.testing.assert_allclose(result.forces.sum(axis=1), 0, atol=1e-12)


def test_spread_is_the_population_deviation(make_model, make_frame):
    frame = make_frame(FOUR, 20)
    result = Committee([make_model(seed=seed) for seed in range(4)]).evaluate([frame])[0]
    deviation = [np.sqrt(sum(np.var(result.forces[:, i, x], ddof=0) for x in range(3))) for i in range(20)]
    np.testing.assert_allclose(result.eps_atoms, deviation, rtol=1e-12)
    assert result.eps == max(result.eps_atoms) > 0.01


def test_spread_of_known_forces():
    forces = np.zeros((2, 3, 3))
    forces[0, 1], forces[1, 1] = [3.0, 0, 4.0], [-3.0, 0, -4.0]
    np.testing.assert_allclose(force_spread(forces), [0, 5.0, 0])
    np.testing.assert_allclose(force_spread(forces + 1e6), [0, 5.0, 0], rtol=1e-9)
    assert not force_spread(forces[:1]).any()


def test_equal_members_agree(make_model, make_frame):
    result = Committee([make_model()] * 4).evaluate([make_frame(FOUR, 20)])[0]
    assert result.eps < 1e-11


def test_members_of_different_headers(make_header, make_model, make_frame):
    species = ("O", "Cl", "Zr", "Li")
    headers = [
        make_header(),
        make_header(neurons=5),
        make_header(),
        make_header(species=species),
        make_header(version=3),
    ]
    models = [make_model(header, seed) for seed, header in enumerate(headers)]
    committee = Committee(models)
    assert committee.member_groups == [[0, 2], [1], [3], [4]]
    frame = make_frame(FOUR, 21)
    result = committee.evaluate([frame, frame])[1]
    for member, model in enumerate(models):
        alone = Committee([model]).evaluate([frame])[0]
        np.testing.assert_allclose(result.forces[member], alone.forces[0], atol=1e-11)
        assert result.energy[member] == pytest.approx(alone.energy[0], abs=1e-10)
        np.testing.assert_allclose(result.virial[member], alone.virial[0], atol=1e-10)


def test_files_are_read_in_order(tmp_path, make_model, make_frame, make_header):
    for seed in range(3):
        write_nep_txt(tmp_path / f"nep{seed}.txt", make_model(seed=seed), full_precision=True)
    committee = Committee.from_files([tmp_path / f"nep{seed}.txt" for seed in (2, 0, 1)])
    assert len(committee) == 3
    assert committee.species == FOUR
    np.testing.assert_array_equal(committee.models[1].parameters, make_model(seed=0).parameters)
    write_nep_txt(tmp_path / "other.txt", make_model(make_header(species=("Li", "Zr"))))
    with pytest.raises(InputError, match=r"other.txt has the types Li Zr, but .*nep0.txt has Li Zr Cl O"):
        Committee.from_files([tmp_path / "nep0.txt", tmp_path / "other.txt"])
    with pytest.raises(InputError, match="at least one model"):
        Committee.from_files([])


def test_ase_atoms_and_generators_are_frames(make_model, make_frame):
    from ase import Atoms

    committee = Committee([make_model()])
    frame = make_frame(FOUR, 15, pbc=(True, False, True))
    atoms = Atoms(frame.species, positions=frame.positions, cell=frame.cell, pbc=frame.pbc)
    results = committee.evaluate(item for item in (frame, atoms))
    np.testing.assert_array_equal(results[0].forces, results[1].forces)
    np.testing.assert_array_equal(committee.descriptors(frame), committee.descriptors(atoms))


def test_many_frames_come_back_in_order(make_model, make_frame, make_header):
    committee = Committee([make_model(make_header(neurons=2, n_max=(1, 1)))])
    kinds = [make_frame(FOUR, n_atoms) for n_atoms in (1, 3, 2)]
    results = committee.evaluate((kinds[i % 3] for i in range(601)), threads=2)
    single = [committee.evaluate([frame])[0].energy[0] for frame in kinds]
    assert [result.energy[0] for result in results] == [single[i % 3] for i in range(601)]
    rows = committee.descriptors_of((kinds[i % 3] for i in range(7)), threads=2)
    assert [len(row) for row in rows] == [1, 3, 2, 1, 3, 2, 1]
    np.testing.assert_array_equal(rows[4], committee.descriptors(kinds[1]))


def test_evaluation_lets_other_threads_run(make_model, make_frame):
    committee = Committee([make_model(seed=seed) for seed in range(4)])
    frames = [make_frame(FOUR, 60)] * 40
    running, ticks = threading.Event(), 0
    results: list = []

    def work():
        running.set()
        results.append(committee.evaluate(frames))

    thread = threading.Thread(target=work)
    thread.start()
    running.wait()
    while thread.is_alive():
        ticks += 1
    thread.join()
    assert len(results[0]) == 40
    assert ticks > 100
