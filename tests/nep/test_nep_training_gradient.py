"""The gradient of the training loss against central differences, for every kind of parameter and every term."""

from dataclasses import dataclass

import numpy as np
import pytest

from lizrcl_flows.errors import InputError
from lizrcl_flows.nep.model import NepHeader
from lizrcl_flows.nep.training_data import ErrorWeights, References, TrainingData, fit_references
from lizrcl_flows.nep.training_loss import LossWeights, RunningErrors, batch_sums
from lizrcl_flows.nep.training_parameters import places

SPECIES = ("Li", "Zr", "Cl")


@dataclass
class Labelled:
    species: tuple
    cell: np.ndarray
    positions: np.ndarray
    energy: float
    forces: np.ndarray
    virial: np.ndarray | None
    weight: float = 1.0
    energy_weight: float = 1.0


def random_frames(generator, count=3, species=SPECIES):
    """Small random cells with random labels; the cutoffs reach several images."""
    frames = []
    for i in range(count):
        atoms = 6 + i
        cell = np.eye(3) * 5.2 + generator.normal(0, 0.3, (3, 3))
        grid = np.array([(x, y, z) for x in (0, 0.5) for y in (0, 0.5) for z in (0, 0.5)])[:atoms]
        frames.append(
            Labelled(
                tuple(generator.choice(species, atoms)),
                cell,
                (grid + generator.normal(0, 0.04, grid.shape)) @ cell,
                generator.normal(),
                generator.normal(size=(atoms, 3)),
                None if i == 1 else generator.normal(size=6),
                weight=1.0 + 0.5 * i,
                energy_weight=1.0 - 0.3 * i,
            )
        )
    return frames


def header(l_max=4, four_body=True, five_body=True, species=SPECIES, n_max=(3, 2), basis_size=(5, 4)):
    cutoffs = tuple((5.0 - 0.2 * i, 4.0 - 0.1 * i) for i in range(len(species)))
    return NepHeader(4, species, cutoffs, n_max, basis_size, l_max, four_body, five_body, 5)


def load(head, frames, weights=None, threads=1):
    data = TrainingData(head, weights or ErrorWeights((1.0,) * head.n_types), threads)
    for frame in frames:
        data.add(frame, References(np.zeros(head.n_types), 0.0), None)
    return data


def random_model(head, generator):
    return generator.normal(0, 0.5, head.n_parameters), generator.uniform(0.05, 0.2, head.n_descriptors)


def kinds(head):
    """A few places of every kind of parameter."""
    at = places(head)
    return {
        "w0": at.w0[1, 2, ::3],
        "b0": at.b0[1],
        "w1": at.w1[2],
        "b1": np.array([at.b1]),
        "radial": at.radial[1, 1],
        "angular": at.angular[2, 1],
    }


@pytest.mark.parametrize("l_max", [2, 3, 4, 6, 8])
@pytest.mark.parametrize("more", [(False, False), (True, False), (True, True)])
def test_gradient_is_the_derivative(l_max, more):
    generator = np.random.default_rng(l_max)
    head = header(l_max, *more)
    data = load(head, random_frames(generator), ErrorWeights((1.0, 0.7, 1.3), 0.8, 1.5))
    parameters, scale = random_model(head, generator)
    batch = np.array([0, 1, 2, 2])

    def sums(values):
        return batch_sums(data.evaluate(values, scale, batch, double_precision=True))

    for term in range(3):
        coefficients = np.eye(3)[term]
        gradient = data.evaluate(parameters, scale, batch, coefficients, double_precision=True)["gradient"]
        size = np.abs(gradient).max()
        for kind, indices in kinds(head).items():
            for index in indices:
                step = np.zeros_like(parameters)
                step[index] = 2e-4
                # Richardson: the error of central differences falls with the fourth power of the step
                near = (sums(parameters + step) - sums(parameters - step))[term] / 4e-4
                far = (sums(parameters + 2 * step) - sums(parameters - 2 * step))[term] / 8e-4
                assert gradient[index] == pytest.approx((4 * near - far) / 3, rel=1e-6, abs=1e-7 * size), (term, kind)


def test_gradient_with_very_many_neighbours():
    """More angular neighbours than the adjoint pass holds at once."""
    generator = np.random.default_rng(20)
    head = NepHeader(4, SPECIES, ((7.5, 7.0),) * 3, (2, 2), (3, 3), 3, True, False, 4)
    data = load(head, random_frames(generator))
    assert data.neighbours()[1] > 80
    parameters, scale = random_model(head, generator)
    scale /= 20
    direction = generator.normal(size=head.n_parameters)

    def loss(step):
        return batch_sums(
            data.evaluate(parameters + step * direction, scale, data.everything(), double_precision=True)
        ).sum()

    gradient = data.evaluate(parameters, scale, data.everything(), np.ones(3), double_precision=True)["gradient"]
    near, far = ((loss(h) - loss(-h)) / (2 * h) for h in (1e-5, 2e-5))
    assert gradient @ direction == pytest.approx((4 * near - far) / 3, rel=1e-7)


def test_regularisation_gradient_is_the_derivative():
    generator = np.random.default_rng(0)
    weights, parameters = LossWeights(l1=0.3, l2=0.7), generator.normal(size=50)
    l1, l2, gradient = weights.regularisation(parameters)
    assert l1 == pytest.approx(0.3 * np.abs(parameters).mean())
    assert l2 == pytest.approx(0.7 * np.sqrt((parameters**2).mean()))
    for i in range(0, 50, 7):
        step = np.zeros(50)
        step[i] = 1e-6
        high, low = (sum(weights.regularisation(parameters + sign * step)[:2]) for sign in (1, -1))
        assert gradient[i] == pytest.approx((high - low) / 2e-6, rel=1e-6)


def test_single_precision_agrees_with_double():
    generator = np.random.default_rng(3)
    head = header()
    data = load(head, random_frames(generator))
    parameters, scale = random_model(head, generator)
    single, double = (
        data.evaluate(parameters, scale, data.everything(), np.ones(3), double_precision=flag)["gradient"]
        for flag in (False, True)
    )
    assert np.linalg.norm(single - double) < 1e-5 * np.linalg.norm(double)


@pytest.mark.parametrize("double_precision", [False, True])
def test_threads_do_not_change_a_bit(double_precision):
    generator = np.random.default_rng(4)
    head = header()
    frames = random_frames(generator, 3) * 9
    parameters, scale = random_model(head, generator)
    one, three = (
        load(head, frames, threads=threads).evaluate(
            parameters, scale, np.arange(27), np.ones(3), double_precision=double_precision
        )
        for threads in (1, 3)
    )
    for name, values in one.items():
        np.testing.assert_array_equal(values, three[name], err_msg=name)


@pytest.mark.parametrize("instruction_set", ["baseline", "avx2", "avx512"])
@pytest.mark.parametrize("l_max", [2, 3, 4, 5])
def test_instruction_sets_agree(instruction_set, l_max):
    from lizrcl_flows.nep._training import instruction_set as best

    order = ["baseline", "avx2", "avx512"]
    if order.index(instruction_set) > order.index(best()):
        pytest.skip(f"this processor has no {instruction_set}")
    generator = np.random.default_rng(l_max)
    head = header(l_max)
    data = load(head, random_frames(generator))
    parameters, scale = random_model(head, generator)
    for double_precision, tolerance in ((True, 1e-12), (False, 1e-5)):
        expected = data.evaluate(parameters, scale, data.everything(), np.ones(3), double_precision=True)["gradient"]
        data.kernel.use(instruction_set)
        found = data.evaluate(parameters, scale, data.everything(), np.ones(3), double_precision=double_precision)[
            "gradient"
        ]
        data.kernel.use("")
        assert np.linalg.norm(found - expected) < tolerance * np.linalg.norm(expected)


def test_many_atoms_are_one_structure():
    """A supercell has the energy, forces and gradient of its cell, whatever way its atoms are shared out."""
    generator = np.random.default_rng(5)
    head = header()
    small = random_frames(generator, 1)[0]
    shifts = np.array([(x, y, z) for x in range(5) for y in range(4) for z in range(4)]) @ small.cell
    copies = len(shifts)
    large = Labelled(
        small.species * copies,
        small.cell * np.array([[5], [4], [4]]),
        (shifts[:, None] + small.positions).reshape(-1, 3),
        small.energy * copies,
        np.tile(small.forces, (copies, 1)),
        small.virial * copies,
    )
    data = load(head, [small, large])
    parameters, scale = random_model(head, generator)
    one, many = (
        data.evaluate(parameters, scale, np.array([i]), np.array([1.0, n, 1.0]), double_precision=True)
        for i, n in ((0, float(copies)), (1, 1.0))
    )
    np.testing.assert_allclose(many["energy_error"], one["energy_error"], rtol=1e-10)
    np.testing.assert_allclose(many["force_sum"], copies * one["force_sum"], rtol=1e-10)
    scale_of = np.abs(one["gradient"]).max()
    np.testing.assert_allclose(many["gradient"], one["gradient"], rtol=1e-7, atol=1e-9 * scale_of)


def test_missing_virials_do_not_count():
    generator = np.random.default_rng(6)
    head = header()
    data = load(head, random_frames(generator))
    np.testing.assert_array_equal(data.counts(np.array([0, 1, 2])), [3, 3 * (6 + 7 + 8), 12])
    parameters, scale = random_model(head, generator)
    assert data.evaluate(parameters, scale, np.array([1]))["virial_sum"] == 0


def test_weights_multiply_errors_or_their_squares():
    generator = np.random.default_rng(7)
    head = header()
    frame = random_frames(generator, 1)[0]
    parameters, scale = random_model(head, generator)
    plain = load(head, [frame]).evaluate(parameters, scale, np.array([0]))
    frame.weight, frame.energy_weight = 2.0, 0.5
    heavy = load(head, [frame]).evaluate(parameters, scale, np.array([0]))
    np.testing.assert_allclose(batch_sums(heavy), batch_sums(plain) * [4 * 0.5, 4, 4])
    for name in ("energy_error", "plain_force_sum", "plain_virial_sum"):
        assert heavy[name] == pytest.approx(plain[name])


def test_references_are_used_where_compositions_differ():
    generator = np.random.default_rng(8)
    frames = random_frames(generator, 12)[:3] + random_frames(generator, 3)
    energies = np.array([-2.0, -9.0, -4.0])
    for frame in frames:
        frame.energy = sum(energies[SPECIES.index(s)] for s in frame.species) + 0.01 * generator.normal()
    found = fit_references(frames, SPECIES)
    for frame in frames:
        types = np.array([SPECIES.index(s) for s in frame.species], dtype=np.int32)
        assert found.energy(types) == pytest.approx(frame.energy, abs=0.1)


def test_one_composition_needs_one_energy():
    generator = np.random.default_rng(9)
    frames = [random_frames(generator, 1)[0] for _ in range(4)]
    for frame in frames:
        frame.species, frame.energy = ("Li", "Li", "Zr", "Cl", "Cl", "Cl"), -24.0 + 0.1 * generator.normal()
    found = fit_references(frames, SPECIES)
    assert not found.by_type.any()
    assert found.shared == pytest.approx(-4.0, abs=0.05)


def test_unknown_element_is_named():
    generator = np.random.default_rng(10)
    frame = random_frames(generator, 1)[0]
    frame.species = ("Li", "Zr", "Cl", "O", "Li", "Li")
    with pytest.raises(InputError, match=r"element O .* Li Zr Cl"):
        load(header(), [frame])


def test_coefficients_make_the_gradient_of_a_sum_of_rmse():
    """d(lambda sqrt(S/n)) = lambda / (2 n RMSE) dS, with the weight of very accurate energies limited."""
    counts = np.array([5.0, 3 * 5 * 40.0, 30.0])
    squares = np.array([0.04, 0.09, 0.01])
    found = RunningErrors(LossWeights(1.0, 2.0, 0.1), squares).coefficients(counts)
    np.testing.assert_allclose(found, np.array([1.0, 2.0, 0.1]) / (2 * counts * np.sqrt(squares)))
    squares[0] = 1e-8
    limited = RunningErrors(LossWeights(1.0, 2.0, 0.1), squares).coefficients(counts)
    assert limited[0] == pytest.approx(1 / (2 * 5 * 0.3 / np.sqrt(40)))
    alone = RunningErrors(LossWeights(1.0, 0.0, 0.0), squares).coefficients(counts)
    assert alone[0] == pytest.approx(1 / (2 * 5 * 1e-4))
