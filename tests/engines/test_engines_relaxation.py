"""What every relaxation engine promises, and what the ASE engine adds."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from lizrcl_flows.documents import Level, Origin
from lizrcl_flows.documents.spec import FoundationSpec
from lizrcl_flows.engines.relaxation import ENGINES, make_relaxer
from lizrcl_flows.engines.relaxation.ase import AseRelaxer
from lizrcl_flows.errors import InputError
from lizrcl_flows.science.structures import atoms_from_structure, structure_from_atoms
from lizrcl_flows.units import GPA_PER_EV_A3

TOY = "toy_calculator:ToyIonic"


class RelaxerContract:
    """Inherit, give the fixtures `engine` (cell free, forces to 0.01 eV/A) and `short`, and the promises are tested."""

    @pytest.fixture
    def engine(self):
        raise NotImplementedError

    @pytest.fixture
    def short(self):
        """Return the same engine with three steps at most."""
        raise NotImplementedError

    @pytest.fixture
    def energy_of(self):
        """Return a function from a structure to its energy, computed without the engine."""
        raise NotImplementedError

    @pytest.fixture
    def structure(self, lithium_chloride):
        return lithium_chloride.revised(phase="rock salt", region="bulk")

    def test_it_travels_unchanged(self, engine, round_trips):
        for arrived in round_trips(engine):
            assert arrived == engine
            assert arrived.level().id == engine.level().id

    def test_a_minimum_is_found_and_documented(self, engine, structure, energy_of, tmp_path):
        result = engine.relax(structure, tmp_path / "run")
        relaxed = result.structure
        assert result.converged
        assert result.reason == ""
        assert result.n_steps > 0
        assert np.linalg.norm(result.forces, axis=1).max() <= 0.01
        assert np.abs(result.stress).max() * GPA_PER_EV_A3 <= 0.1
        assert result.energy == pytest.approx(energy_of(relaxed), abs=1e-6)
        assert result.energy < energy_of(structure)
        assert (relaxed.numbers == structure.numbers).all()
        assert (relaxed.phase, relaxed.region, relaxed.parents) == ("rock salt", "bulk", (structure.id,))
        assert relaxed.id != structure.id
        assert (relaxed.origin.kind, relaxed.origin.source) == ("relaxed", structure.id)
        told = relaxed.origin.parameters
        assert told["level"] == engine.level().id
        assert told["converged"] is True
        assert told["n_steps"] == result.n_steps
        assert told["energy_change_ev"] == pytest.approx(result.energy - energy_of(structure), abs=1e-6)
        assert result.wall_s > 0
        assert result.core_hours == pytest.approx(result.wall_s / 3600)
        assert result.executable
        assert all(path.is_file() for path in result.files)
        assert isinstance(engine.level(), Level)

    def test_rerun_finds_the_finished_relaxation(self, engine, short, structure, tmp_path):
        first = engine.relax(structure, tmp_path / "run")
        again = engine.relax(structure, tmp_path / "run")
        assert again.wall_s == first.wall_s
        assert again.structure.id == first.structure.id
        assert again.energy == first.energy
        assert again.forces.tobytes() == first.forces.tobytes()
        assert again.files == first.files
        other = short.relax(structure, tmp_path / "run")
        assert other.n_steps == 3

    def test_equal_input_gives_equal_bits(self, short, structure, tmp_path):
        runs = [short.relax(structure, tmp_path / name) for name in ("a", "b")]
        assert runs[0].structure.positions.tobytes() == runs[1].structure.positions.tobytes()
        assert runs[0].energy == runs[1].energy

    def test_out_of_steps_is_a_result_with_its_reason(self, short, structure, energy_of, tmp_path):
        result = short.relax(structure, tmp_path / "run")
        assert not result.converged
        assert "not converged in 3 steps: largest force" in result.reason
        assert result.structure.origin.parameters["converged"] is False
        assert result.energy == pytest.approx(energy_of(result.structure), abs=1e-6)


def toy(**settings):
    return AseRelaxer(TOY, **{"fmax_ev_per_a": 0.01, **settings})


def toy_energy(structure):
    from toy_calculator import ToyIonic

    atoms = atoms_from_structure(structure)
    atoms.calc = ToyIonic()
    return atoms.get_potential_energy()


class TestAseWithAnalyticCalculator(RelaxerContract):
    @pytest.fixture
    def engine(self):
        return toy()

    @pytest.fixture
    def short(self):
        return toy(max_steps=3)

    @pytest.fixture
    def energy_of(self):
        return toy_energy


class TestAseWithNep(RelaxerContract):
    @pytest.fixture
    def structure(self, pairs):
        return pairs[0][0].revised(phase="rock salt", region="bulk")

    @pytest.fixture
    def engine(self, potential):
        return AseRelaxer("nep", str(potential), fmax_ev_per_a=0.01)

    @pytest.fixture
    def short(self, potential):
        return AseRelaxer("nep", str(potential), fmax_ev_per_a=0.01, max_steps=3)

    @pytest.fixture
    def energy_of(self, potential):
        from lizrcl_flows.nep import NepCalculator

        def compute(structure):
            atoms = atoms_from_structure(structure)
            atoms.calc = NepCalculator(potential)
            return atoms.get_potential_energy()

        return compute


def rock_salt(a):
    from ase.build import bulk

    atoms = bulk("LiCl", "rocksalt", a=a, cubic=True)
    return structure_from_atoms(atoms, origin=Origin(kind="import", source="test"))


@pytest.mark.parametrize(("pressure_gpa", "optimiser"), [(0.0, "FIRE"), (5.0, "LBFGS")])
def test_lattice_constant_is_that_of_the_least_enthalpy(pressure_gpa, optimiser, tmp_path):
    """The oracle is a search along the one free number of a cubic crystal."""
    enthalpy = minimize_scalar(
        lambda a: toy_energy(rock_salt(a)) + pressure_gpa / GPA_PER_EV_A3 * a**3, bounds=(4.0, 6.0), method="bounded"
    )
    engine = toy(smax_gpa=1e-3, pressure_gpa=pressure_gpa, optimiser=optimiser)
    result = engine.relax(rock_salt(5.3), tmp_path / "run")
    assert result.converged
    assert np.diag(result.structure.cell) == pytest.approx([enthalpy.x] * 3, rel=2e-5)
    assert -np.diag(result.stress) * GPA_PER_EV_A3 == pytest.approx([pressure_gpa] * 3, abs=1e-3)


def test_fixed_cell_stays(lithium_chloride, tmp_path):
    result = toy(cell="fixed").relax(lithium_chloride, tmp_path / "run")
    assert result.converged
    assert (result.structure.cell == lithium_chloride.cell).all()
    assert np.abs(result.stress).max() * GPA_PER_EV_A3 > 0.1


@pytest.fixture(scope="module")
def rotation():
    """Some proper rotation."""
    matrix, _ = np.linalg.qr(np.random.default_rng(8).normal(size=(3, 3)))
    return matrix * np.linalg.det(matrix)


def test_in_plane_strain_is_kept_whatever_the_orientation(lithium_chloride, rotation, tmp_path):
    """A monoclinic cell that is stretched in its plane: a and b stay, the stress along the normal vanishes."""
    strain = np.array([[1.03, 0.02, 0.0], [0.02, 0.97, 0.0], [0.1, 0.05, 1.0]])
    strained = lithium_chloride.revised(
        cell=lithium_chloride.cell @ strain, positions=lithium_chloride.positions @ strain
    )
    turned = strained.revised(cell=strained.cell @ rotation, positions=strained.positions @ rotation)
    engine = toy(cell="c_only", smax_gpa=0.01)
    results = [engine.relax(start, tmp_path / start.id) for start in (strained, turned)]
    for start, result in zip((strained, turned), results, strict=True):
        assert result.converged
        assert result.structure.cell[:2] == pytest.approx(start.cell[:2], abs=1e-7)
        assert result.structure.cell[2] != pytest.approx(start.cell[2], abs=1e-3)
        normal = np.cross(*result.structure.cell[:2])
        normal /= np.linalg.norm(normal)
        assert abs(normal @ result.stress @ normal) * GPA_PER_EV_A3 < 0.01
        assert np.abs(result.stress).max() * GPA_PER_EV_A3 > 0.1
        assert result.energy == pytest.approx(toy_energy(result.structure), abs=1e-6)
    assert results[1].energy == pytest.approx(results[0].energy, abs=1e-4)
    assert results[1].structure.cell == pytest.approx(results[0].structure.cell @ rotation, abs=2e-3)
    assert results[1].forces == pytest.approx(results[0].forces @ rotation, abs=0.02)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"misbehave": "nan"}, "it gave an energy, forces or a stress that are not finite numbers"),
        ({"misbehave": "raise"}, "failed: RuntimeError: ToyIonic was told to raise"),
        ({"misbehave": "crash"}, "its process was ended by signal 9 (SIGKILL)"),
        ({"misbehave": "no_stress"}, "it gives no stress, so only positions can be relaxed: cell 'fixed'"),
        ({"misbehave": "raise", "below_a": 2.6}, "failed: at step "),
    ],
)
def test_a_calculator_that_fails_is_a_result(parameters, words, tmp_path):
    start = rock_salt(5.3)
    result = toy(parameters=parameters).relax(start, tmp_path / "run")
    assert not result.converged
    assert words in result.reason
    assert "\n" not in result.reason
    assert result.structure == start
    assert np.isnan(result.energy)
    assert np.isnan(result.forces).all()
    assert result.forces.shape == (8, 3)
    assert result.stress is None


def test_a_cell_that_explodes_is_a_result(tmp_path):
    result = toy(volume_factor=1.1).relax(rock_salt(4.0), tmp_path / "run")
    assert not result.converged
    assert "the cell exploded or collapsed" in result.reason
    assert result.n_steps == 0


def test_atoms_that_end_inside_each_other_are_no_structure(lithium_chloride, tmp_path):
    result = toy(overlap_factor=1.5, max_steps=1).relax(lithium_chloride, tmp_path / "run")
    assert "atoms overlap" in result.reason
    assert result.structure == lithium_chloride


def test_an_element_that_is_unknown_is_a_result(potential, pairs, tmp_path):
    structure = pairs[0][0].revised(numbers=[8, *pairs[0][0].numbers[1:]])
    result = AseRelaxer("nep", str(potential)).relax(structure, tmp_path / "run")
    assert not result.converged
    assert result.reason == "nep (nep.txt) failed: it knows Li, Cl, Zr, not O"


def test_a_cell_that_is_no_crystals_stays(tmp_path):
    from ase import Atoms

    molecule = structure_from_atoms(
        Atoms("LiCl", positions=[[0, 0, 0], [2.6, 0, 0]]), origin=Origin(kind="import", source="test")
    )
    with pytest.raises(InputError, match=r"structure str_\w+ is not periodic in all directions, so only cell 'fixed'"):
        toy().relax(molecule, tmp_path / "free")
    result = toy(cell="fixed").relax(molecule, tmp_path / "fixed")
    assert result.converged
    assert result.stress is None


def test_a_relaxation_that_hangs_is_ended(lithium_chloride, tmp_path):
    result = toy(parameters={"delay_s": 60.0}, time_limit_s=1.5).relax(lithium_chloride, tmp_path / "run")
    assert "ended at its time limit" in result.reason


def test_factory_builds_and_refuses():
    spec = FoundationSpec(calculator=TOY, parameters={"delay_s": 0.0}, fmax_ev_per_a=0.03, max_steps=7)
    assert make_relaxer(spec, cell="c_only") == AseRelaxer(
        TOY, None, {"delay_s": 0.0}, cell="c_only", fmax_ev_per_a=0.03, max_steps=7
    )
    assert set(ENGINES) == {"ase"}
    with pytest.raises(InputError, match="relaxation: there is no engine 'lammps', accepted: ase"):
        make_relaxer(spec, engine="lammps")
    with pytest.raises(InputError, match="AseRelaxer has no field 'fmax'"):
        make_relaxer(spec, fmax=1)
    with pytest.raises(InputError, match="relaxation: cell 'open' is none of free, fixed, c_only"):
        make_relaxer(spec, cell="open")
    with pytest.raises(InputError, match="relaxation: optimiser 'CG' is none of FIRE, BFGS, LBFGS"):
        make_relaxer(spec, optimiser="CG")
    with pytest.raises(InputError, match="relaxation: smax_gpa 0 should be greater than 0"):
        make_relaxer(spec, smax_gpa=0)
    with pytest.raises(InputError, match="calculator 'emt' should be an import path module:Class"):
        make_relaxer(FoundationSpec(calculator="emt"))
