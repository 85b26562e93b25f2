"""The compiled kernel against calorine, finite differences and identities of the formulas."""

import subprocess
import sys

import numpy as np
import pytest
from lizrcl_flows.nep._kernel import instruction_sets
from numpy.polynomial import Legendre

from lizrcl_flows.errors import InputError
from lizrcl_flows.nep import Committee, Evaluator, Frame, NepModel, Zbl, write_nep_txt

FOUR = ("Li", "Zr", "Cl", "O")

SHAPES = {
    "three-body": {"four_body": False},
    "four-body": {},
    "five-body": {"five_body": True},
    "only five-body": {"four_body": False, "five_body": True},
    "one type": {"species": ("Zr",)},
    "two types": {"species": ("Zr", "O")},
    "per-type cutoffs": {"cutoffs": ((5.0, 4.0), (6.0, 4.5), (7.0, 5.0), (5.5, 5.0))},
    "zbl": {"zbl": Zbl(1.0, 2.0)},
    "typewise zbl": {"zbl": Zbl(1.25, 2.5, 0.65)},
    "n_max 0": {"n_max": (0, 0), "basis_size": (0, 0)},
    "n_max 4 6": {"n_max": (4, 6), "basis_size": (8, 8), "neurons": 30},
    "n_max 12 8": {"n_max": (12, 8), "basis_size": (16, 12), "neurons": 7},
    "short cutoff": {"cutoffs": ((4.0, 3.0),) * 4},
    "one neuron": {"neurons": 1},
}


def relabel(frame, species):
    return Frame(tuple(species[i % len(species)] for i in range(len(frame.species))), frame.cell, frame.positions)


def calorine(path, frame):
    from ase import Atoms
    from calorine.calculators import CPUNEP

    atoms = Atoms(frame.species, positions=frame.positions, cell=frame.cell, pbc=True, calculator=CPUNEP(str(path)))
    return atoms.get_potential_energy(), atoms.get_forces(), -atoms.get_stress(voigt=False) * atoms.get_volume()


def assert_same(result, member, reference):
    energy, forces, virial = reference
    n_atoms = len(forces)
    assert abs(result.energy[member] - energy) / n_atoms < 1e-10
    np.testing.assert_allclose(result.forces[member], forces, rtol=0, atol=1e-9)
    np.testing.assert_allclose(result.virial[member] / n_atoms, virial / n_atoms, rtol=0, atol=1e-9)
    assert np.abs(forces).max() > 1e-3 or n_atoms == 1


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_agrees_with_calorine(shape, tmp_path, make_header, make_model, make_frame):
    header = make_header(**SHAPES[shape])
    model = make_model(header)
    write_nep_txt(tmp_path / "nep.txt", model, full_precision=True)
    frame = make_frame(header.species, 40)
    assert_same(Committee([model]).evaluate([frame])[0], 0, calorine(tmp_path / "nep.txt", frame))


def test_sixteen_types_agree_with_calorine(tmp_path, make_header, make_model, make_frame, sixteen_elements):
    header = make_header(species=sixteen_elements, n_max=(4, 4), basis_size=(8, 8), neurons=10, five_body=True)
    model = make_model(header)
    write_nep_txt(tmp_path / "nep.txt", model, full_precision=True)
    frame = make_frame(sixteen_elements, 48)
    assert_same(Committee([model]).evaluate([frame])[0], 0, calorine(tmp_path / "nep.txt", frame))


@pytest.mark.parametrize("n_atoms", [1, 2, 7, 250])
def test_small_and_large_cells_agree_with_calorine(n_atoms, tmp_path, make_model, make_frame):
    model = make_model()
    write_nep_txt(tmp_path / "nep.txt", model, full_precision=True)
    frame = make_frame(FOUR, n_atoms)
    assert_same(Committee([model]).evaluate([frame])[0], 0, calorine(tmp_path / "nep.txt", frame))


def test_strongly_sheared_cell_agrees_with_calorine(tmp_path, make_model, make_frame):
    model = make_model()
    write_nep_txt(tmp_path / "nep.txt", model, full_precision=True)
    frame = make_frame(FOUR, 24)
    cell = np.array(frame.cell)
    other = np.array([cell[0], cell[1] + 2 * cell[0], cell[2] + cell[0] - 2 * cell[1]])
    sheared = Frame(frame.species, other, frame.positions)
    result = Committee([model]).evaluate([sheared, frame])
    assert_same(result[0], 0, calorine(tmp_path / "nep.txt", frame))
    np.testing.assert_allclose(result[0].forces, result[1].forces, atol=1e-10)


def test_typewise_zbl_agrees_with_calorine_for_all_elements(tmp_path, make_header, make_model):
    """Pairs of every element with itself and with hydrogen at distances within the repulsion."""
    from lizrcl_flows.nep.elements import SYMBOLS

    worst = 0.0
    for first in range(0, len(SYMBOLS), 16):
        species = tuple(dict.fromkeys(("H", *SYMBOLS[first : first + 16])))
        header = make_header(species=species, n_max=(1, 1), basis_size=(2, 2), neurons=2, zbl=Zbl(2.0, 4.0, 0.7))
        model = make_model(header)
        write_nep_txt(tmp_path / "nep.txt", model, full_precision=True)
        committee = Committee([model])
        for symbol in species:
            frame = Frame((symbol, symbol, "H"), 12 * np.eye(3), [[0, 0, 0], [0.6, 0.9, 0.1], [1.1, 0.2, 0.7]])
            energy, forces, _ = calorine(tmp_path / "nep.txt", frame)
            result = committee.evaluate([frame])[0]
            worst = max(
                worst,
                abs(result.energy[0] - energy) / abs(energy),
                np.abs(result.forces[0] - forces).max() / np.abs(forces).max(),
            )
    assert worst < 1e-11


@pytest.mark.parametrize("name", instruction_sets())
def test_all_instruction_sets_agree(name, make_model, make_frame):
    models = [make_model(seed=seed) for seed in range(3)]
    frame = make_frame(FOUR, 60)
    best, other = Committee(models).evaluate([frame])[0], Committee(models, name).evaluate([frame])[0]
    np.testing.assert_allclose(other.energies, best.energies, atol=1e-11)
    np.testing.assert_allclose(other.forces, best.forces, atol=1e-10)
    np.testing.assert_allclose(other.virial, best.virial, atol=1e-9)


@pytest.mark.parametrize("pbc", [(True, True, True), (False, False, False), (True, True, False), (False, True, False)])
@pytest.mark.parametrize("version", [3, 4])
def test_forces_are_the_slope_of_the_energy(pbc, version, make_header, make_model, make_frame):
    header = make_header(version=version, five_body=True, zbl=Zbl(1.0, 2.5), n_max=(4, 4), neurons=9)
    committee = Committee([make_model(header)])
    frame = make_frame(FOUR, 12, pbc=pbc)
    step = 1e-4
    moved = []
    for atom, axis in np.ndindex(4, 3):
        for sign in (1, -1, 2, -2):
            positions = frame.positions.copy()
            positions[atom, axis] += sign * step
            moved.append(Frame(frame.species, frame.cell, positions, pbc))
    energy = np.array([result.energy[0] for result in committee.evaluate(moved)]).reshape(4, 3, 4)
    slope = (8 * (energy[..., 0] - energy[..., 1]) - (energy[..., 2] - energy[..., 3])) / (12 * step)
    forces = committee.evaluate([frame])[0].forces[0][:4]
    np.testing.assert_allclose(forces, -slope, rtol=1e-7, atol=1e-7)


def test_virial_is_the_slope_of_the_energy_with_strain(make_header, make_model, make_frame):
    committee = Committee([make_model(make_header(zbl=Zbl(1.0, 2.5)))])
    frame = make_frame(FOUR, 10)
    step = 1e-4
    virial = committee.evaluate([frame])[0].virial[0]
    for a, b in np.ndindex(3, 3):
        energies = []
        for sign in (1, -1, 2, -2):
            strain = np.eye(3)
            strain[a, b] += sign * step
            energies.append(
                committee.evaluate([Frame(frame.species, frame.cell @ strain, frame.positions @ strain)])[0].energy[0]
            )
        slope = (8 * (energies[0] - energies[1]) - (energies[2] - energies[3])) / (12 * step)
        assert virial[a, b] == pytest.approx(-slope, rel=1e-6, abs=1e-6)


def test_open_boundaries_are_a_cell_that_is_far_too_large(make_model, make_frame):
    committee = Committee([make_model()])
    frame = make_frame(FOUR, 20)
    cluster = Frame(frame.species, np.zeros((3, 3)), frame.positions, (False, False, False))
    lonely = Frame(frame.species, 60 * np.eye(3), frame.positions)
    slab = Frame(frame.species, np.diag([60.0, 60.0, 0.0]), frame.positions, (True, True, False))
    reference, *others = committee.evaluate([lonely, cluster, slab])
    for other in others:
        np.testing.assert_allclose(other.forces, reference.forces, atol=1e-11)
        np.testing.assert_allclose(other.energy, reference.energy, atol=1e-11)


def invariants_of(header, distances, directions, n_atoms_type=0):
    """Angular descriptors of an atom whose neighbours are all of one type, with c = 1 for one Chebyshev function."""
    values = np.zeros(header.n_parameters)
    values[header.network_size * header.n_networks + 1 + (header.n_max[0] + 1) * (header.basis_size[0] + 1) :] = 1.0
    model = NepModel(header, values, np.ones(header.n_descriptors), (10, 10))
    positions = np.concatenate([np.zeros((1, 3)), np.asarray(directions) * np.asarray(distances)[:, None]])
    frame = Frame(("Zr",) * len(positions), np.zeros((3, 3)), positions, (False,) * 3)
    return Committee([model]).descriptors(frame)[0][1:]


@pytest.fixture
def lone_header(make_header):
    def make(l_max, four_body=False, five_body=False):
        return make_header(
            species=("Zr",),
            n_max=(0, 0),
            basis_size=(0, 0),
            l_max=l_max,
            four_body=four_body,
            five_body=five_body,
            neurons=1,
        )

    return make


def neighbours(n, seed):
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(n, 3))
    directions /= np.linalg.norm(directions, axis=1)[:, None]
    distances = rng.uniform(2.0, 4.5, n)
    return distances, directions, 0.5 * (1 + np.cos(np.pi * distances / 5.0))


def test_three_body_invariants_obey_the_addition_theorem(lone_header):
    """q_l = (2l+1)/(4 pi) sum_jk g_j g_k P_l(u_j . u_k) checks harmonics and constants without any reference."""
    distances, directions, g = neighbours(7, seed=3)
    q = invariants_of(lone_header(8), distances, directions)
    cosines = np.clip(directions @ directions.T, -1, 1)
    for l_value in range(1, 9):
        expected = (2 * l_value + 1) / (4 * np.pi) * g @ Legendre.basis(l_value)(cosines) @ g
        assert q[l_value - 1] == pytest.approx(expected, rel=1e-12)


def test_four_body_invariant_is_a_determinant(lone_header):
    distances, directions, g = neighbours(6, seed=4)
    q = invariants_of(lone_header(2, four_body=True), distances, directions)[-1]
    quadrupole = np.einsum("j,ja,jb->ab", g, directions, directions) - np.eye(3) * g.sum() / 3
    assert q == pytest.approx(-0.809943929279723 * np.linalg.det(quadrupole), rel=1e-12)


def test_five_body_invariant_is_the_square_of_the_dipole(lone_header):
    distances, directions, g = neighbours(6, seed=5)
    q = invariants_of(lone_header(1, five_body=True), distances, directions)
    assert q[-1] == pytest.approx(7 / 15 * (3 / (4 * np.pi)) ** 2 * (g @ directions @ (g @ directions)) ** 2, rel=1e-12)
    assert q[-1] == pytest.approx(7 / 15 * q[0] ** 2, rel=1e-12)


def test_version_3_is_version_4_with_equal_networks(make_header, make_model, make_frame):
    three = make_model(make_header(version=3, neurons=11))
    four = NepModel(make_header(neurons=11), three.parameters_by_type, three.q_scaler, (1, 1))
    frame = make_frame(FOUR, 30)
    one, other = (Committee([model]).evaluate([frame])[0] for model in (three, four))
    np.testing.assert_array_equal(one.forces, other.forces)


def test_descriptors_agree_with_calorine(tmp_path, make_header, make_model, make_frame):
    from ase import Atoms
    from calorine.nep import get_descriptors

    model = make_model(make_header(five_body=True))
    write_nep_txt(tmp_path / "nep.txt", model, full_precision=True)
    frame = make_frame(FOUR, 30)
    atoms = Atoms(frame.species, positions=frame.positions, cell=frame.cell, pbc=True)
    expected = get_descriptors(atoms, str(tmp_path / "nep.txt"))
    np.testing.assert_allclose(
        Committee([model, make_model(seed=5)]).descriptors(frame), expected, rtol=1e-10, atol=1e-13
    )


def test_forces_do_not_depend_on_the_choice_of_the_cell_or_on_wrapping(make_model, make_frame):
    committee = Committee([make_model()])
    frame = make_frame(FOUR, 18)
    cell = np.array(frame.cell)
    shifts = np.random.default_rng(0).integers(-40, 40, (18, 3))
    double = Frame(
        frame.species * 2, cell * [[2], [1], [1]], np.concatenate([frame.positions, frame.positions + cell[0]])
    )
    one, unwrapped, two = committee.evaluate(
        [frame, Frame(frame.species, cell, frame.positions + shifts @ cell), double]
    )
    np.testing.assert_allclose(unwrapped.forces, one.forces, atol=1e-9)
    np.testing.assert_allclose(two.forces[0], np.tile(one.forces[0], (2, 1)), atol=1e-10)
    assert two.energy[0] == pytest.approx(2 * one.energy[0], rel=1e-12)


@pytest.mark.parametrize("n_atoms", [20, 700])
def test_results_do_not_depend_on_the_number_of_threads(n_atoms, make_model, make_frame):
    committee = Committee([make_model(seed=seed) for seed in range(2)])
    frames = [make_frame(FOUR, n_atoms, seed=seed) for seed in range(1 if n_atoms > 100 else 5)]
    serial, parallel = committee.evaluate(frames, threads=1), committee.evaluate(frames, threads=3)
    for one, other in zip(serial, parallel, strict=True):
        np.testing.assert_array_equal(one.forces, other.forces)
        np.testing.assert_array_equal(one.virial, other.virial)
        np.testing.assert_array_equal(one.energy, other.energy)


@pytest.mark.parametrize(
    ("frame", "sentence"),
    [
        (Frame(("Li", "Li"), 9 * np.eye(3), [[0, 0, 0], [9, 0, 0]]), "atoms 1 and 2 are at the same place"),
        (Frame(("Li",), 9 * np.eye(3), [[np.nan, 0, 0]]), "atom 1 is not a finite number"),
        (Frame(("Li",), np.zeros((3, 3)), [[0.0, 0, 0]]), "lattice vector 1 is zero"),
        (Frame(("Li",), np.ones((3, 3)), [[0.0, 0, 0]]), "no volume"),
        (Frame(("Li", "Xe"), 9 * np.eye(3), np.zeros((2, 3))), "Frame 1: Element Xe .* Li Zr Cl O"),
        (Frame(("Li", "Li"), 9 * np.eye(3), np.zeros((3, 3))), "2 species but positions of shape"),
    ],
)
def test_impossible_structures_are_refused(frame, sentence, make_model):
    with pytest.raises(InputError, match=sentence):
        Committee([make_model()]).evaluate([frame])


def test_no_frames_and_empty_frames(make_model):
    committee = Committee([make_model(seed=seed) for seed in range(2)])
    assert committee.evaluate([]) == []
    result = committee.evaluate([Frame((), 9 * np.eye(3), np.zeros((0, 3)))])[0]
    assert result.forces.shape == (2, 0, 3)
    assert result.eps == 0.0
    np.testing.assert_array_equal(result.energy, [0.0, 0.0])


def walk(frame, steps, size, strain, seed=2):
    """A system that drifts, turns its cell into another one and comes back into the cell now and then."""
    rng = np.random.default_rng(seed)
    cell, positions = np.array(frame.cell), np.array(frame.positions)
    for step in range(steps):
        change = np.eye(3) + strain * rng.normal(size=(3, 3))
        cell = cell @ change
        positions = positions @ change + size * rng.normal(size=positions.shape)
        if step % 10 == 9:
            positions = positions + cell[step % 3]
        yield cell.copy(), positions.copy()


@pytest.mark.parametrize(
    ("size", "strain", "most"), [(0.02, 0.0, 0.6), (0.02, 0.002, 0.9), (0.3, 0.0, 1.0), (0.0, 0.004, 0.9)]
)
def test_neighbour_lists_with_a_skin_miss_nothing(size, strain, most, make_model, make_frame):
    committee = Committee([make_model(seed=seed) for seed in range(2)])
    frame = make_frame(FOUR, 30)
    evaluator = Evaluator(committee, skin=1.0)
    types = evaluator.types_of(frame.species)
    pbc = (True, True, True)
    steps = 30
    for cell, positions in walk(frame, steps, size, strain):
        arrays = evaluator.evaluate_arrays(types, cell, positions, pbc)
        exact = committee.evaluate([Frame(frame.species, cell, positions)])[0]
        np.testing.assert_allclose(arrays.forces, exact.forces, atol=1e-9)
        np.testing.assert_allclose(arrays.virial, exact.virial, atol=1e-8)
    assert evaluator.rebuilds <= most * steps


def test_evaluator_gives_one_member_alone(make_model, make_frame, make_header):
    models = [make_model(), make_model(make_header(neurons=9), seed=1), make_model(seed=2)]
    committee = Committee(models)
    frame = make_frame(FOUR, 25)
    evaluator = Evaluator(committee)
    types, pbc = evaluator.types_of(frame.species), frame.pbc
    exact = committee.evaluate([frame])[0]
    every = evaluator.evaluate_arrays(types, frame.cell, frame.positions, pbc)
    np.testing.assert_allclose(every.forces, exact.forces, atol=1e-11)
    np.testing.assert_allclose(every.energy, exact.energy, atol=1e-10)
    for member in range(3):
        one = evaluator.evaluate_arrays(types, frame.cell, frame.positions, pbc, member)
        np.testing.assert_allclose(one.forces, exact.forces[member], atol=1e-11)
        np.testing.assert_allclose(one.energies, exact.energies[member], atol=1e-11)
        assert one.energy == pytest.approx(exact.energy[member], abs=1e-10)


def test_evaluator_recovers_after_an_error(make_model, make_frame):
    committee = Committee([make_model()])
    frame = make_frame(FOUR, 10)
    evaluator = Evaluator(committee)
    types = evaluator.types_of(frame.species)
    broken = frame.positions.copy()
    broken[3] = np.inf
    before = evaluator.evaluate_arrays(types, frame.cell, frame.positions, frame.pbc)
    with pytest.raises(InputError, match="atom 4 is not a finite number"):
        evaluator.evaluate_arrays(types, frame.cell, broken, frame.pbc)
    after = evaluator.evaluate_arrays(types, frame.cell, frame.positions, frame.pbc)
    np.testing.assert_array_equal(before.forces, after.forces)


def test_importing_the_package_costs_nothing():
    code = (
        "import sys, lizrcl_flows.nep, lizrcl_flows.nep.committee, lizrcl_flows.nep.structures\n"
        "heavy = {'ase', 'calorine', 'scipy', 'pymatgen', 'lizrcl_flows.nep._kernel'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
