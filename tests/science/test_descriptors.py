import numpy as np
import pytest

from lizrcl_flows.documents import Label
from lizrcl_flows.nep import Committee, NepHeader, NepModel
from lizrcl_flows.science.descriptors import mean_descriptors, nep_environments
from lizrcl_flows.science.parity import Predictions, parity_groups
from lizrcl_flows.science.perturbation import perturb
from lizrcl_flows.science.selection import farthest_point
from lizrcl_flows.science.structures import atoms_from_structure, load_structure, supercell

IDEAL = load_structure("Li2ZrCl6_ideal_P-31c", phase="ideal")


def random_model(seed):
    header = NepHeader(
        version=4,
        species=("Li", "Zr", "Cl", "O"),
        cutoffs=((6.0, 5.0),) * 4,
        n_max=(4, 4),
        basis_size=(6, 6),
        l_max=4,
        four_body=True,
        five_body=False,
        neurons=8,
    )
    rng = np.random.default_rng(seed)
    parameters = rng.normal(scale=0.3, size=header.n_parameters)
    return NepModel(header, parameters, rng.uniform(0.05, 0.2, header.n_descriptors), (100, 100))


@pytest.fixture(scope="module")
def committee():
    return Committee([random_model(seed) for seed in range(4)])


def test_a_row_is_the_mean_over_the_atoms_and_does_not_know_the_size_of_the_cell(committee):
    child = perturb(IDEAL, np.random.default_rng(0))
    found = mean_descriptors(committee, [child, supercell(child, (2, 1, 1)), IDEAL])
    atomic = committee.descriptors(atoms_from_structure(child))
    np.testing.assert_allclose(found[0], atomic.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found[1], found[0], atol=1e-6)
    assert np.abs(found[2] - found[0]).max() > 1e-3
    assert found.shape == (3, committee.models[0].header.n_descriptors)


def test_no_structures_give_an_empty_array(committee):
    assert mean_descriptors(committee, []).size == 0


def test_environments_are_the_atomic_rows_with_their_eps(committee):
    structures = [perturb(IDEAL, np.random.default_rng(1)), supercell(IDEAL, (1, 1, 2))]
    eps = [np.arange(structure.n_atoms) / 10 for structure in structures]
    found = nep_environments(committee, structures, eps)
    np.testing.assert_allclose(found.means(), mean_descriptors(committee, structures), rtol=1e-5)
    np.testing.assert_array_equal(found.numbers, np.concatenate([structure.numbers for structure in structures]))
    np.testing.assert_array_equal(found.eps, np.concatenate(eps))
    assert found.rows.dtype == np.float32
    assert len(nep_environments(committee, []).rows) == 0


def test_farthest_points_visit_every_phase_first(committee):
    phases = ["Li2ZrCl6_ideal_P-31c", "ZrO2_cubic_Fm-3m", "ZrO2_monoclinic_P21c"]
    pool = [
        perturb(load_structure(name, phase=name), np.random.default_rng(seed), (0.0, 0.01), (0.01, 0.02))
        for name in phases
        for seed in range(5)
    ]
    indices, _ = farthest_point(mean_descriptors(committee, pool), np.zeros((0, 0)), 3)
    assert {pool[i].phase for i in indices} == set(phases)


def test_a_committee_agrees_with_labels_made_by_its_own_mean(committee):
    structures = [perturb(IDEAL, np.random.default_rng(seed)) for seed in range(3)]
    results = committee.evaluate([atoms_from_structure(structure) for structure in structures])
    shift = {"Li": -2.0, "Zr": -9.0, "Cl": -3.0}
    pairs = [
        (
            structure,
            Label(
                structure=structure.id,
                level="lev_0",
                status="accepted",
                n_atoms=structure.n_atoms,
                energy=float(result.energy.mean()) + 4 * -2.0 + 2 * -9.0 + 12 * -3.0,
                forces=result.forces.mean(axis=0),
                stress=-result.virial.mean(axis=0) / abs(np.linalg.det(structure.cell)),
                formula=structure.formula,
            ),
        )
        for structure, result in zip(structures, results, strict=True)
    ]
    everything = parity_groups(Predictions.from_results(pairs, results, [shift] * 4))[0]
    assert everything.rmse_energy < 1e-12
    assert everything.max_force_error < 1e-12
    assert everything.rmse_virial < 1e-12
    assert everything.r2_force == pytest.approx(1)
