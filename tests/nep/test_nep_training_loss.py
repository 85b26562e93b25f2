"""The loss with weights against its definition, and loss.out against errors counted afresh from the predictions."""

from dataclasses import replace

import numpy as np
import pytest

from lizrcl_flows.nep import Committee, LabelledFrame, NepHeader, NepIn, NepModel
from lizrcl_flows.nep.training import TrainingOptions, train
from lizrcl_flows.nep.training_data import ErrorWeights, References, TrainingData, fit_references
from lizrcl_flows.nep.training_loss import LossWeights, SquareSums

SPECIES = ("Li", "Cl")
CONFIG = NepIn(
    species=SPECIES,
    cutoff=((4.5, 4.0),),
    n_max=(2, 2),
    basis_size=(3, 3),
    l_max=2,
    four_body=False,
    neuron=3,
    lambda_1=0.0,
    lambda_2=0.0,
    lambda_e=2.0,
    lambda_f=0.7,
    lambda_v=0.4,
    lambda_shear=3.0,
    force_delta=0.5,
    type_weight=(1.0, 1.5),
    generation=1,
    output_interval=1,
)
WEIGHTS = ((3.0, 1.0), (0.3, 1.0), (1.0, 0.25), (2.0, 4.0), (1.0, 0.0))
"""`weight` and `energy_weight` of the structures."""
ROWS, COLUMNS = [0, 1, 2, 0, 1, 2], [0, 1, 2, 1, 2, 0]


@pytest.fixture(scope="module")
def model():
    generator = np.random.default_rng(31)
    header = NepHeader(4, SPECIES, ((4.5, 4.0),) * 2, (2, 2), (3, 3), 2, False, False, 3)
    parameters = generator.normal(0, 0.5, header.n_parameters)
    return NepModel(header, parameters, np.full(header.n_descriptors, 0.2), (100, 80))


@pytest.fixture(scope="module")
def frames():
    return random_frames(np.random.default_rng(32), WEIGHTS)


def random_frames(generator, weights):
    """Cells of 3, 4, 5 ... atoms with random labels; the second has no virial."""
    made = []
    grid = np.array([(x, y, z) for x in (0, 0.5) for y in (0, 0.5) for z in (0, 0.5)])
    for number, (weight, energy_weight) in enumerate(weights):
        atoms = 3 + number
        cell = 5 * np.eye(3) + generator.normal(0, 0.2, (3, 3))
        frame = LabelledFrame(
            tuple(generator.choice(SPECIES, atoms)),
            cell,
            (grid[:atoms] + generator.normal(0, 0.03, (atoms, 3))) @ cell,
            generator.normal(0, 2.0),
            generator.normal(size=(atoms, 3)),
            None if number == 1 else generator.normal(size=6),
        )
        made.append(replace(frame, weight=weight, energy_weight=energy_weight))
    return made


def differences(model, frames):
    """Energy errors (M,) per atom, and for every structure those of forces and virial."""
    results = Committee([model]).evaluate(frames)
    energies, forces, virials = [], [], []
    for frame, result in zip(frames, results, strict=True):
        atoms = len(frame.species)
        energies.append((result.energy[0] - frame.energy) / atoms)
        forces.append(result.forces[0] - frame.forces)
        virial = result.virial[0][ROWS, COLUMNS]
        virials.append(None if frame.virial is None else (virial - frame.virial) / atoms)
    return np.array(energies), forces, virials


def shift_of(model, frames):
    energies, _, _ = differences(model, frames)
    factors = np.array([frame.energy_weight for frame in frames])
    return np.sum(factors * energies) / np.sum(factors)


def plain_errors(model, frames, shift):
    """The columns of loss.out; `energy_weight` is the one weight in them, as in GPUMD."""
    energies, forces, virials = differences(model, frames)
    factors = np.array([frame.energy_weight for frame in frames])
    known = np.concatenate([virial for virial in virials if virial is not None])
    return (
        np.sqrt(np.mean(factors * (energies - shift) ** 2)),
        np.sqrt(np.mean(np.concatenate(forces) ** 2)),
        np.sqrt(np.mean(known**2)),
    )


def weighted_loss(model, frames, shift):
    energies, forces, virials = differences(model, frames)
    energy = force = virial = components = 0.0
    for frame, energy_error, force_error, virial_error in zip(frames, energies, forces, virials, strict=True):
        energy += frame.weight**2 * frame.energy_weight * (energy_error - shift) ** 2
        by_type = np.array([CONFIG.type_weight[SPECIES.index(symbol)] for symbol in frame.species])
        size = np.linalg.norm(frame.forces, axis=1)
        factor = by_type**2 * CONFIG.force_delta / (CONFIG.force_delta + size)
        force += frame.weight**2 * np.sum(factor * np.sum(force_error**2, axis=1))
        if virial_error is not None:
            shear = np.array([1, 1, 1, 9, 9, 9])
            virial += frame.weight**2 * np.sum(shear * virial_error**2)
            components += 6
    atoms = sum(len(frame.species) for frame in frames)
    terms = np.sqrt([energy / len(frames), force / (3 * atoms), virial / components])
    return np.array([CONFIG.lambda_e, CONFIG.lambda_f, CONFIG.lambda_v]) @ terms


def test_total_is_weighted_and_columns_are_not(model, frames):
    held_out = random_frames(np.random.default_rng(33), ((2.0, 0.5), (1.0, 3.0), (0.5, 1.0)))
    result = train(CONFIG, frames, held_out, TrainingOptions(start=model, learning_rate=1e-14))
    row, shift = result.rows[-1], shift_of(model, frames)
    assert row.train == pytest.approx(plain_errors(model, frames, shift), rel=1e-8)
    assert row.test == pytest.approx(plain_errors(model, held_out, shift), rel=1e-8)
    assert row.total == pytest.approx(weighted_loss(model, frames, shift), rel=1e-8)
    assert row.total != pytest.approx(np.dot((2.0, 0.7, 0.4), row.train), rel=0.1)
    assert shift_of(result.model, frames) == pytest.approx(0.0, abs=1e-9)


def test_unit_weights_make_both_the_same(model, frames):
    config = replace(CONFIG, type_weight=(), force_delta=0.0, lambda_shear=1.0)
    plain = [replace(frame, weight=1.0, energy_weight=1.0) for frame in frames]
    row = train(config, plain, options=TrainingOptions(start=model, learning_rate=1e-14)).rows[-1]
    assert row.train == pytest.approx(plain_errors(model, plain, shift_of(model, plain)), rel=1e-8)
    assert row.total == pytest.approx(np.dot((2.0, 0.7, 0.4), row.train), rel=1e-12)


def load(model, frames):
    data = TrainingData(model.header, ErrorWeights(CONFIG.type_weight, CONFIG.force_delta, CONFIG.lambda_shear))
    for frame in frames:
        data.add(frame, References(np.zeros(len(SPECIES)), 0.0), None)
    return data


def sums_of(data, model, parameters, structures):
    sums = SquareSums()
    evaluation = data.evaluate(parameters, model.q_scaler, structures, double_precision=True)
    sums.add(evaluation, data.counts(structures))
    return sums


def test_sums_of_two_batches_are_those_of_both_together(model, frames):
    data = load(model, frames)
    apart = SquareSums()
    for batch in (np.array([0, 3]), np.array([1, 2, 4])):
        evaluation = data.evaluate(model.parameters, model.q_scaler, batch, double_precision=True)
        apart.add(evaluation, data.counts(batch))
    whole = sums_of(data, model, model.parameters, data.everything()).errors()
    assert apart.errors().weighted == pytest.approx(whole.weighted, rel=1e-12)
    assert apart.errors().energy_shift == pytest.approx(whole.energy_shift, rel=1e-12)


def test_gradient_is_that_of_the_weighted_energies(model, frames):
    """Of the sum of root mean squares with the mean error left in, by central differences along random directions."""
    data, weights = load(model, frames), LossWeights(2.0, 0.7, 0.4)
    everything = data.everything()

    def loss(parameters):
        return sums_of(data, model, parameters, everything).errors(energy_shift=0.0).total(weights)

    counts, squares = data.counts(everything), sums_of(data, model, model.parameters, everything).weighted_squares
    coefficients = np.array([2.0, 0.7, 0.4]) / (2 * np.sqrt(squares * counts))
    evaluation = data.evaluate(model.parameters, model.q_scaler, everything, coefficients, double_precision=True)
    generator = np.random.default_rng(34)
    for _ in range(5):
        direction = generator.normal(size=len(model.parameters))
        near, far = (
            (loss(model.parameters + step * direction) - loss(model.parameters - step * direction)) / (2 * step)
            for step in (1e-5, 2e-5)
        )
        assert evaluation["gradient"] @ direction == pytest.approx((4 * near - far) / 3, rel=1e-7)


def test_energies_without_weight_do_not_set_the_references(frames):
    nonsense = [*frames, replace(frames[0], energy=1e4, energy_weight=0.0)]
    expected, found = fit_references(frames, SPECIES), fit_references(nonsense, SPECIES)
    assert found.shared == pytest.approx(expected.shared, rel=1e-12)
    np.testing.assert_allclose(found.by_type, expected.by_type, rtol=1e-12)
