"""What every labelling engine promises, and what the ASE engine adds."""

import json

import numpy as np
import pytest
from ase.data import chemical_symbols

from lizrcl_flows.documents import Level
from lizrcl_flows.documents.spec import LevelSpec
from lizrcl_flows.engines.labelling import ENGINES, make_labeller
from lizrcl_flows.engines.labelling.ase import AseLabeller
from lizrcl_flows.errors import InputError

TBLITE = {"method": "GFN1-xTB", "max_iterations": 300, "accuracy": 1.0, "verbosity": 0}


class LabellerContract:
    """Inherit, give the fixtures `engine` and `failing_engine`, and the promises are tested."""

    @pytest.fixture
    def engine(self):
        raise NotImplementedError

    @pytest.fixture
    def failing_engine(self):
        """Return an engine whose calculations fail, at the same structure."""
        raise NotImplementedError

    @pytest.fixture
    def structure(self, crystal):
        return crystal

    @pytest.fixture
    def result(self, engine, structure, tmp_path):
        return engine.label(structure, tmp_path / "label")

    def test_it_travels_unchanged(self, engine, round_trips):
        for arrived in round_trips(engine):
            assert arrived == engine
            assert arrived.level().id == engine.level().id

    def test_level_is_a_document_of_its_settings(self, engine):
        level = engine.level()
        assert isinstance(level, Level)
        assert level.code
        assert level.code_version
        assert level.id == engine.level().id

    def test_it_says_which_elements_it_covers(self, engine, structure):
        engine.require(sorted({chemical_symbols[number] for number in structure.numbers}))

    def test_accepted_label_is_complete(self, result, structure):
        assert result.accepted
        assert result.reason == ""
        assert np.isfinite(result.energy)
        assert result.forces.shape == (structure.n_atoms, 3)
        assert np.isfinite(result.forces).all()
        assert np.abs(result.forces.sum(axis=0)).max() < 0.1
        assert result.attempts >= 1
        assert result.wall_s > 0
        assert result.core_hours > 0
        assert result.executable
        assert all(path.is_file() for path in result.files)
        if result.stress is not None:
            assert result.stress.shape == (3, 3)
            assert result.stress == pytest.approx(result.stress.T)

    def test_force_is_the_derivative_of_the_energy(self, engine, structure, result, tmp_path):
        step, energies = 0.01, []
        for sign in (1, -1):
            positions = structure.positions.copy()
            positions[1, 0] += sign * step
            moved = engine.label(structure.revised(positions=positions), tmp_path / f"moved{sign}")
            energies.append(moved.energy)
        assert result.forces[1, 0] == pytest.approx(-(energies[0] - energies[1]) / (2 * step), abs=5e-3)

    def test_equal_input_gives_equal_bits(self, engine, structure, result, tmp_path):
        again = engine.label(structure, tmp_path / "again")
        assert again.energy == result.energy
        assert again.forces.tobytes() == result.forces.tobytes()

    def test_rerun_finds_the_finished_label(self, engine, structure, result, tmp_path):
        again = engine.label(structure, tmp_path / "label")
        assert (again.energy, again.wall_s, again.attempts) == (result.energy, result.wall_s, result.attempts)
        assert again.forces.tobytes() == result.forces.tobytes()
        assert again.files == result.files

    def test_a_label_of_another_structure_is_not_taken_for_this_one(self, engine, structure, result, tmp_path):
        positions = structure.positions.copy()
        positions[0, 0] += 0.1
        other = engine.label(structure.revised(positions=positions), tmp_path / "label")
        assert other.energy != result.energy

    def test_failure_is_a_result_with_one_sentence(self, failing_engine, structure, tmp_path):
        result = failing_engine.label(structure, tmp_path / "failed")
        assert not result.accepted
        assert result.energy is None
        assert result.forces is None
        assert result.stress is None
        assert result.reason
        assert "\n" not in result.reason
        assert failing_engine.label(structure, tmp_path / "failed").reason == result.reason

    def test_overlapping_atoms_are_refused_before_anything_is_computed(self, engine, structure, tmp_path):
        positions = structure.positions.copy()
        positions[1] = positions[0] + [0.3, 0, 0]
        result = engine.label(structure.revised(positions=positions), tmp_path / "overlap")
        assert not result.accepted
        assert "atoms 0" in result.reason
        assert "0.300 A apart" in result.reason
        assert result.attempts == 0


def toy(**parameters):
    return AseLabeller(calculator="toy_calculator:ToyIonic", parameters=parameters)


class TestAseWithAnalyticCalculator(LabellerContract):
    @pytest.fixture
    def engine(self):
        return toy()

    @pytest.fixture
    def failing_engine(self):
        return toy(misbehave="not_converged")


class TestAseWithTightBinding(LabellerContract):
    @pytest.fixture
    def engine(self):
        return AseLabeller(calculator="tblite.ase:TBLite", parameters=TBLITE)

    @pytest.fixture
    def failing_engine(self):
        return AseLabeller(calculator="tblite.ase:TBLite", parameters={**TBLITE, "max_iterations": 1}, max_attempts=1)

    @pytest.fixture
    def structure(self, lithium_chloride):
        return lithium_chloride


def test_every_registered_engine_can_be_built_and_an_unknown_one_is_refused():
    assert set(ENGINES) == {"ase", "cp2k", "vasp"}
    spec = LevelSpec(calculator="toy_calculator:ToyIonic", parameters={"delay_s": 0.0}, note="toy", max_attempts=3)
    engine = make_labeller(spec)
    assert engine == AseLabeller("toy_calculator:ToyIonic", {"delay_s": 0.0}, "toy", 3)
    named = LevelSpec(calculator="mace", file="x.model")
    assert make_labeller(named) == AseLabeller("mace", file="x.model")
    with pytest.raises(InputError, match=r"no engine 'siesta', accepted: ase, "):
        make_labeller(spec.model_copy(update={"engine": "siesta"}))


def test_level_names_code_version_functional_and_parameters():
    level = AseLabeller(calculator="tblite.ase:TBLite", parameters=TBLITE, note="for learning").level()
    from importlib.metadata import version

    assert (level.engine, level.code, level.code_version) == ("ase", "tblite.ase:TBLite", version("tblite"))
    assert level.functional == "GFN1-xTB"
    assert level.parameters == TBLITE
    assert level.note == "for learning"
    assert AseLabeller(calculator="tblite.ase:TBLite", parameters={**TBLITE, "accuracy": 0.1}).level().id != level.id
    assert AseLabeller(calculator="tblite.ase:TBLite", parameters=TBLITE, max_attempts=5).level().id == level.id


def test_level_of_a_lone_module_holds_the_hash_of_its_source():
    assert toy().level().code_version.startswith("sha256:")
    assert toy().level().functional is None


@pytest.mark.parametrize(
    ("misbehave", "words"),
    [
        ("raise", "ToyIonic failed: RuntimeError: ToyIonic was told to raise"),
        ("not_converged", "SCFError: SCF not converged in 300 cycles"),
        ("nan", "forces that are not finite"),
        ("net_force", "add up to 13.5 eV/A, more than 0.1"),
        ("crash", "its process was ended by signal 9 (SIGKILL)"),
    ],
)
def test_every_kind_of_failure_has_its_reason(misbehave, words, crystal, tmp_path):
    result = toy(misbehave=misbehave).label(crystal, tmp_path)
    assert not result.accepted
    assert words in result.reason
    assert result.attempts == 2


def test_a_failure_that_passes_is_tried_again(crystal, tmp_path):
    result = toy(misbehave="crash", once=str(tmp_path / "marker")).label(crystal, tmp_path / "label")
    assert result.accepted
    assert result.attempts == 2


def test_a_calculator_that_hangs_is_ended(crystal, tmp_path):
    engine = AseLabeller("toy_calculator:ToyIonic", {"delay_s": 60.0}, max_attempts=1, time_limit_s=1.5)
    result = engine.label(crystal, tmp_path)
    assert "ended at its time limit after 2 s" in result.reason or "after 1 s" in result.reason


def test_a_calculator_without_stress_gives_none(crystal, tmp_path):
    result = toy(misbehave="no_stress").label(crystal, tmp_path)
    assert result.accepted
    assert result.stress is None


def test_stress_and_energy_are_those_of_the_calculator(crystal, tmp_path):
    from toy_calculator import ToyIonic

    from lizrcl_flows.science.structures import atoms_from_structure

    atoms = atoms_from_structure(crystal)
    atoms.calc = ToyIonic()
    result = toy().label(crystal, tmp_path)
    assert result.energy == atoms.get_potential_energy()
    assert (result.forces == atoms.get_forces()).all()
    assert (result.stress == atoms.get_stress(voigt=False)).all()


def test_threads_are_set_before_the_libraries_are_loaded(crystal, tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    (tmp_path / "telling_calculator.py").write_text(
        "import os\nfrom toy_calculator import ToyIonic\n"
        "class Telling(ToyIonic):\n"
        "    def calculate(self, *args, **kwargs):\n"
        "        print('threads', os.environ['OMP_NUM_THREADS'])\n"
        "        super().calculate(*args, **kwargs)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    result = AseLabeller("telling_calculator:Telling").label(crystal, tmp_path / "label")
    assert result.accepted
    assert "threads 1" in (tmp_path / "label" / "stdout.txt").read_text()
    assert (tmp_path / "label" / "stdout.txt") in result.files


def test_a_missing_module_names_what_to_install():
    with pytest.raises(
        InputError, match=r"needs the module 'no_such_code', which is not installed: pip install no_such"
    ):
        AseLabeller("no_such_code.ase:Code").level()


@pytest.mark.parametrize("calculator", ["", "tblite.ase", "tblite.ase:", ":TBLite"])
def test_an_import_path_that_is_none_is_refused(calculator):
    with pytest.raises(InputError, match="should be an import path module:Class"):
        AseLabeller(calculator)


@pytest.mark.parametrize(
    ("engine", "words"),
    [
        (AseLabeller("toy_calculator:NoSuchClass"), "no attribute 'NoSuchClass'"),
        (AseLabeller("toy_calculator:ToyIonic", {"misbehave": "", "unknown": 1, "atoms": 5}), "cannot be made"),
    ],
)
def test_a_calculator_that_cannot_be_made_stops_all_labels(engine, words, crystal, tmp_path):
    with pytest.raises(InputError, match=words):
        engine.label(crystal, tmp_path)
    assert not (tmp_path / "label.json").exists()


def test_a_label_file_that_was_cut_short_is_computed_anew(crystal, tmp_path):
    result = toy().label(crystal, tmp_path)
    path = tmp_path / "label.json"
    path.write_text(path.read_text()[:200])
    assert toy().label(crystal, tmp_path).energy == result.energy
    assert json.loads(path.read_text())["energy"] == result.energy


def test_an_unknown_field_in_a_workflow_file_is_refused():
    content = {**toy().as_dict(), "max_attemps": 3}
    with pytest.raises(InputError, match="AseLabeller has no field 'max_attemps', accepted: calculator, parameters"):
        AseLabeller.from_dict(content)
