"""Training as a whole: a teacher's potential is learned, to the same bits for a seed, through interruptions too."""

from dataclasses import replace

import numpy as np
import pytest

from lizrcl_flows.errors import InputError
from lizrcl_flows.nep import Committee, LabelledFrame, NepHeader, NepIn, NepModel, Zbl
from lizrcl_flows.nep.training import TrainingOptions, train

SPECIES = ("Li", "Zr", "Cl")
CONFIG = NepIn(
    species=SPECIES,
    cutoff=((5.0, 4.0),),
    n_max=(3, 3),
    basis_size=(5, 5),
    neuron=8,
    lambda_1=0.0,
    lambda_2=0.0,
    lambda_v=0.1,
    batch=4,
    generation=400,
    output_interval=100,
)


def geometries(generator, count, species_of=lambda generator: ("Li", "Li", "Zr", "Cl", "Cl", "Cl", "Cl", "Cl")):
    grid = np.array([(x, y, z) for x in (0, 0.5) for y in (0, 0.5) for z in (0, 0.5)])
    for _ in range(count):
        cell = np.eye(3) * 5.4 + generator.normal(0, 0.15, (3, 3))
        yield species_of(generator), cell, (grid + generator.normal(0, 0.03, grid.shape)) @ cell


def label(committee, species, cell, positions, references=None):
    from lizrcl_flows.nep import Frame

    result = committee.evaluate([Frame(species, cell, positions)])[0]
    virial = result.virial[0][[0, 1, 2, 0, 1, 2], [0, 1, 2, 1, 2, 0]]
    energy = result.energy[0] + sum((references or {}).get(symbol, 0.0) for symbol in species)
    return LabelledFrame(tuple(species), cell, positions, float(energy), result.forces[0], virial)


@pytest.fixture(scope="module")
def teacher():
    """A smooth random potential with forces of the order of 1 eV/A."""
    generator = np.random.default_rng(11)
    header = NepHeader(4, SPECIES, ((5.0, 4.0),) * 3, (2, 2), (4, 4), 4, True, False, 6)
    model = NepModel(
        header, generator.normal(0, 0.6, header.n_parameters), np.full(header.n_descriptors, 0.15), (100, 50)
    )
    return Committee([model])


@pytest.fixture(scope="module")
def frames(teacher):
    generator = np.random.default_rng(12)
    return [label(teacher, *geometry) for geometry in geometries(generator, 24)]


@pytest.fixture(scope="module")
def held_out(teacher):
    generator = np.random.default_rng(13)
    return [label(teacher, *geometry) for geometry in geometries(generator, 10)]


def force_rmse(model, frames):
    results = Committee([model]).evaluate(frames)
    return np.sqrt(np.mean([(r.forces[0] - f.forces) ** 2 for r, f in zip(results, frames, strict=True)]))


def test_learns_a_teacher(frames, held_out):
    result = train(CONFIG, frames, held_out)
    spread = np.std([f.forces for f in held_out])
    assert result.steps == 400
    assert result.reason == "all steps done"
    assert result.train.force < 0.08 * spread
    assert result.test.force < 0.2 * spread
    assert force_rmse(result.model, frames) == pytest.approx(result.train.force, rel=1e-6)
    assert force_rmse(result.model, held_out) == pytest.approx(result.test.force, rel=1e-6)
    energies = [r.energy[0] for r in Committee([result.model]).evaluate(frames)]
    errors = np.array([(e - f.energy) / 8 for e, f in zip(energies, frames, strict=True)])
    assert errors.mean() == pytest.approx(0, abs=1e-9)
    assert np.std(errors) == pytest.approx(result.train.energy, rel=1e-6)
    assert [row.step for row in result.rows] == [100, 200, 300, 400]
    assert result.rows[-1].train == (result.train.energy, result.train.force, result.train.virial)
    assert result.rows[-1].total < 0.2 * result.rows[0].total


def test_same_seed_same_bits_whatever_the_threads(frames):
    short = replace(CONFIG, generation=40)
    one, again, threaded, other = (
        train(short, frames, options=TrainingOptions(seed=seed, threads=threads)).model
        for seed, threads in ((3, 1), (3, 1), (3, 2), (4, 1))
    )
    np.testing.assert_array_equal(one.parameters, again.parameters)
    np.testing.assert_array_equal(one.parameters, threaded.parameters)
    np.testing.assert_array_equal(one.q_scaler, threaded.q_scaler)
    assert not np.array_equal(one.parameters, other.parameters)


class Interrupt(Exception):
    """The process is gone."""


class InterruptAt:
    """An observer that ends a training after some rows."""

    def __init__(self, rows):
        self.left, self.started_after = rows, None

    def row(self, row):
        self.left -= 1
        if self.left == 0:
            raise Interrupt

    def snapshot(self, model):
        pass

    def resumed(self, step):
        self.started_after = step


def test_interrupted_training_goes_on_as_if_nothing_had_happened(tmp_path, frames, held_out):
    config = replace(CONFIG, generation=60, output_interval=7, lambda_1=0.01, lambda_2=0.01)
    whole = train(config, frames, held_out, TrainingOptions(seed=5))
    options = TrainingOptions(seed=5, checkpoint=tmp_path / "checkpoint.npz", checkpoint_seconds=0.0)
    with pytest.raises(Interrupt):
        train(config, frames, held_out, options, InterruptAt(3))
    watcher = InterruptAt(-1)
    rest = train(config, frames, held_out, options, watcher)
    assert watcher.started_after == 20
    np.testing.assert_array_equal(rest.model.parameters, whole.model.parameters)
    assert rest.rows[1:] == whole.rows[-len(rest.rows) + 1 :]
    finished = train(config, frames, held_out, options)
    np.testing.assert_array_equal(finished.model.parameters, whole.model.parameters)


def test_checkpoint_of_another_training_is_refused(tmp_path, frames):
    config = replace(CONFIG, generation=3)
    options = TrainingOptions(seed=5, checkpoint=tmp_path / "checkpoint.npz")
    train(config, frames, options=options)
    with pytest.raises(InputError, match=r"checkpoint.npz belongs to other inputs.*remove it"):
        train(config, frames[1:], options=options)
    (tmp_path / "checkpoint.npz").write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(InputError, match=r"checkpoint.npz is not a checkpoint"):
        train(config, frames, options=options)


def test_absolute_energies_of_several_compositions(teacher):
    """Energies of the elements differ by hundreds of eV; nep.txt alone predicts them."""
    references = {"Li": -203.0, "Zr": -1290.0, "Cl": -408.0}
    generator = np.random.default_rng(14)
    compositions = [("Li", "Li", "Zr", "Cl", "Cl", "Cl", "Cl", "Cl"), ("Zr", "Zr", "Cl", "Cl", "Cl", "Cl", "Li", "Cl")]
    compositions.append(("Li",) * 4 + ("Cl",) * 4)
    data = [
        label(teacher, *geometry, references)
        for species in compositions
        for geometry in geometries(generator, 8, lambda _, species=species: species)
    ]
    result = train(replace(CONFIG, generation=300), data)
    assert result.train.energy < 0.01
    energies = [r.energy[0] for r in Committee([result.model]).evaluate(data)]
    errors = np.array([(e - f.energy) / 8 for e, f in zip(energies, data, strict=True)])
    assert np.sqrt(np.mean(errors**2)) == pytest.approx(result.train.energy, rel=1e-4)


def test_start_from_a_potential(teacher, frames):
    first = train(replace(CONFIG, generation=200), frames)
    more = train(replace(CONFIG, generation=1), frames, options=TrainingOptions(start=first.model))
    assert more.train.force < 1.05 * first.train.force
    with pytest.raises(InputError, match="another header"):
        train(replace(CONFIG, neuron=9), frames, options=TrainingOptions(start=first.model))


def test_start_keeps_constant_neurons(teacher):
    references = {"Li": -20.0, "Zr": -90.0, "Cl": -40.0}
    generator = np.random.default_rng(15)
    compositions = [("Li", "Li", "Zr", "Cl", "Cl", "Cl", "Cl", "Cl"), ("Zr", "Zr", "Cl", "Cl", "Cl", "Cl", "Li", "Cl")]
    data = [
        label(teacher, *geometry, references)
        for species in compositions
        for geometry in geometries(generator, 6, lambda _, species=species: species)
    ]
    first = train(replace(CONFIG, generation=150), data)
    more = train(replace(CONFIG, generation=30), data, options=TrainingOptions(start=first.model, learning_rate=1e-4))
    assert more.train.energy < 1.2 * first.train.energy + 1e-4


def test_bag_leaves_structures_out(frames):
    bag = (0, 1, 2, 2, 3, 3)
    result = train(replace(CONFIG, generation=300), frames, options=TrainingOptions(bag=bag))
    assert force_rmse(result.model, frames[:4]) < 0.5 * force_rmse(result.model, frames[4:])


def test_early_stop_returns_the_best(frames, held_out):
    config = replace(CONFIG, generation=3000, output_interval=10, batch=1)
    result = train(config, frames[:2], held_out, TrainingOptions(early_stop_rows=6))
    assert result.reason == "no better on the test set"
    assert result.steps < 3000
    losses = [row.test[0] + row.test[1] + 0.1 * row.test[2] for row in result.rows]
    assert losses[-1] == pytest.approx(min(losses), rel=0.05)


def test_time_limit(frames):
    result = train(replace(CONFIG, generation=10**6), frames, options=TrainingOptions(seconds=0.5))
    assert result.reason == "time is up"
    assert 10 < result.steps < 10**5


def test_repulsion_is_not_learned(teacher, frames):
    """With ZBL in the potential the network learns the rest, as well as if there had been no repulsion."""
    (model,) = teacher.models
    repulsive = Committee([replace(model, header=replace(model.header, zbl=Zbl(1.5, 3.0)))])
    labelled = [label(repulsive, f.species, f.cell, f.positions) for f in frames]
    assert np.std([f.forces for f in labelled]) > 2 * np.std([f.forces for f in frames])
    config = replace(CONFIG, generation=300)
    result = train(replace(config, zbl=3.0), labelled)
    assert result.model.header.zbl == Zbl(1.5, 3.0)
    assert force_rmse(result.model, labelled) == pytest.approx(result.train.force, rel=1e-6)
    assert result.train.force == pytest.approx(train(config, frames).train.force, rel=0.2)


def test_neighbours_have_a_margin(frames):
    model = train(replace(CONFIG, generation=1), frames).model
    cell, positions = frames[0].cell, frames[0].positions
    shifts = np.array([(x, y, z) for x in range(-2, 3) for y in range(-2, 3) for z in range(-2, 3)]) @ cell
    distances = np.linalg.norm(positions[:, None, None] - positions[None, :, None] - shifts, axis=-1)
    counts = ((distances < 5.0) & (distances > 1e-6)).sum(axis=(1, 2))
    assert model.max_neighbours[0] >= 1.3 * counts.max()


def test_nothing_to_train_on():
    with pytest.raises(InputError, match="no training structures"):
        train(CONFIG, [])


def test_version_3_is_refused(frames):
    with pytest.raises(InputError, match=r"version 3 .* accepted is 4"):
        train(replace(CONFIG, version=3), frames)


def test_atoms_on_top_of_each_other_are_named(frames):
    bad = replace(frames[3], positions=np.zeros_like(frames[3].positions))
    with pytest.raises(InputError, match=r"structure 2 .*cannot be used"):
        train(CONFIG, [frames[0], bad])
