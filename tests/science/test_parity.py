from dataclasses import dataclass

import numpy as np
import pytest
from ase.build import bulk

from lizrcl_flows.documents import Label, Origin
from lizrcl_flows.science.parity import Predictions, parity_groups
from lizrcl_flows.science.structures import load_structure, structure_from_atoms, supercell

SHIFT = {"Li": -2.0, "Zr": -9.0, "Cl": -3.0, "O": -5.0}


@dataclass
class Result:
    energy: np.ndarray
    forces: np.ndarray
    virial: np.ndarray
    eps: float
    eps_atoms: np.ndarray


def labelled(structure, rng, *, stress=True):
    tensor = rng.normal(scale=0.01, size=(3, 3))
    return Label(
        structure=structure.id,
        level="lev_0",
        status="accepted",
        n_atoms=structure.n_atoms,
        energy=-4.0 * structure.n_atoms + rng.normal(),
        forces=rng.normal(size=(structure.n_atoms, 3)),
        stress=tensor + tensor.T if stress else None,
        formula=structure.formula,
        phase=structure.phase,
    )


def predicted(structure, label, rng, noise, n_models=4):
    """A committee whose mean is off by exactly `noise(...)` and whose members scatter around it."""
    scatter = rng.normal(size=(n_models, structure.n_atoms, 3))
    scatter -= scatter.mean(axis=0)
    symbols = structure.numbers
    shift = sum({3: -2.0, 40: -9.0, 17: -3.0, 8: -5.0}[int(number)] for number in symbols)
    volume = abs(np.linalg.det(structure.cell))
    virial = -label.stress * volume if label.stress is not None else np.zeros((3, 3))
    virial_error = structure.n_atoms * noise["virial"] * np.ones((3, 3))
    return Result(
        energy=np.full(n_models, label.energy - shift + structure.n_atoms * noise["energy"]),
        forces=label.forces + noise["force"] * np.ones((structure.n_atoms, 3)) + scatter,
        virial=np.tile(virial + virial_error, (n_models, 1, 1)),
        eps=0.5,
        eps_atoms=np.full(structure.n_atoms, 0.5),
    )


@pytest.fixture
def pairs_and_results():
    rng = np.random.default_rng(0)
    structures = [
        load_structure("Li2ZrCl6_ideal_P-31c", phase="ideal", region="bulk"),
        load_structure("Li2ZrCl6_alpha_ordered", phase="alpha", region="bulk"),
        load_structure("ZrO2_cubic_Fm-3m", phase="cubic", region="interface"),
        supercell(load_structure("ZrO2_cubic_Fm-3m", phase="cubic"), (1, 1, 2)),
    ]
    pairs = [(s, labelled(s, rng, stress=s.phase != "alpha")) for s in structures]
    noises = [
        {"energy": 0.01, "force": 0.1, "virial": 0.02},
        {"energy": -0.03, "force": -0.2, "virial": 9.9},
        {"energy": 0.02, "force": 0.3, "virial": -0.04},
        {"energy": 0.02, "force": 0.3, "virial": -0.04},
    ]
    results = [predicted(s, label, rng, noise) for (s, label), noise in zip(pairs, noises, strict=True)]
    return pairs, results


def test_planted_errors_are_found_in_every_group(pairs_and_results):
    predictions = Predictions.from_results(*pairs_and_results, [SHIFT] * 4)
    groups = {group.group: group for group in parity_groups(predictions)}
    assert list(groups) == [
        "all",
        *("phase:alpha", "phase:cubic", "phase:ideal"),
        *("region:bulk", "region:interface"),
        *("element:Li", "element:O", "element:Cl", "element:Zr"),
    ]
    assert (groups["all"].n_structures, groups["all"].n_atoms) == (4, 18 + 27 + 12 + 24)
    assert groups["all"].rmse_energy == pytest.approx(np.sqrt((0.01**2 + 0.03**2 + 2 * 0.02**2) / 4))
    assert groups["all"].mae_energy == pytest.approx(0.02)
    squares = (18 * 0.1**2 + 27 * 0.2**2 + 36 * 0.3**2) / 81
    assert groups["all"].rmse_force == pytest.approx(np.sqrt(squares))
    assert groups["all"].max_force_error == pytest.approx(0.3 * np.sqrt(3))
    cubic = groups["phase:cubic"]
    assert (cubic.rmse_energy, cubic.rmse_force, cubic.mae_force, cubic.rmse_virial) == pytest.approx(
        (0.02, 0.3, 0.3, 0.04)
    )
    assert groups["region:interface"].n_structures == 1
    assert groups["element:O"].rmse_force == pytest.approx(0.3)
    assert groups["element:O"].rmse_energy is None
    assert (groups["element:Zr"].n_structures, groups["element:Zr"].n_atoms) == (4, 2 + 3 + 4 + 8)
    assert groups["element:Cl"].rmse_force == pytest.approx(np.sqrt((12 * 0.1**2 + 18 * 0.2**2) / 30))


def test_labels_without_stress_are_left_out_of_the_virial_only(pairs_and_results):
    predictions = Predictions.from_results(*pairs_and_results, [SHIFT] * 4)
    groups = {group.group: group for group in parity_groups(predictions)}
    assert groups["phase:alpha"].rmse_virial is None
    assert groups["phase:alpha"].rmse_energy == pytest.approx(0.03)
    assert groups["all"].rmse_virial == pytest.approx(np.sqrt((0.02**2 + 2 * 0.04**2) / 3))


def test_largest_force_error_of_each_structure(pairs_and_results):
    predictions = Predictions.from_results(*pairs_and_results, [SHIFT] * 4)
    np.testing.assert_allclose(predictions.max_force_error, np.sqrt(3) * np.array([0.1, 0.2, 0.3, 0.3]))
    np.testing.assert_array_equal(predictions.structure_of_atom, np.repeat([0, 1, 2, 3], [18, 27, 12, 24]))


def test_a_shift_that_differs_between_members_enters_by_its_mean(pairs_and_results):
    pairs, results = pairs_and_results
    shifts = [{name: value + delta for name, value in SHIFT.items()} for delta in (-0.1, 0.1, 0.3, -0.3)]
    same = Predictions.from_results(pairs, results, shifts)
    np.testing.assert_allclose(
        same.energy_predicted, Predictions.from_results(pairs, results, [SHIFT] * 4).energy_predicted
    )


def test_virial_is_minus_stress_times_volume():
    atoms = bulk("Li", "bcc", a=3.5)
    structure = structure_from_atoms(atoms, origin=Origin(kind="file"))
    label = Label(
        structure=structure.id,
        level="lev_0",
        status="accepted",
        n_atoms=1,
        energy=0.0,
        forces=np.zeros((1, 3)),
        stress=np.diag([0.01, 0.02, 0.03]),
        formula="Li",
    )
    result = Result(np.zeros(2), np.zeros((2, 1, 3)), np.zeros((2, 3, 3)), 0.1, np.full(1, 0.1))
    predictions = Predictions.from_results([(structure, label)], [result], [])
    np.testing.assert_allclose(predictions.virial_label[0], -np.diag([0.01, 0.02, 0.03]) * 3.5**3 / 2)


def test_arrays_survive_a_file(pairs_and_results, tmp_path):
    predictions = Predictions.from_results(*pairs_and_results, [SHIFT] * 4)
    np.savez_compressed(tmp_path / "a.npz", **predictions.arrays())
    with np.load(tmp_path / "a.npz") as stored:
        assert {"forces_predicted", "forces_label", "virial_label", "n_atoms", "numbers"} <= set(stored)
        np.testing.assert_array_equal(stored["forces_predicted"], predictions.forces_predicted)


def test_nothing_to_compare_is_refused(pairs_and_results):
    with pytest.raises(ValueError, match="no label"):
        Predictions.from_results([], [], [])
    (structure, _), *_ = pairs_and_results[0]
    failed = Label(structure=structure.id, level="l", status="failed", reason="x", n_atoms=1, formula="Li")
    with pytest.raises(ValueError, match="energy and forces"):
        Predictions.from_results([(structure, failed)], pairs_and_results[1][:1], [])
