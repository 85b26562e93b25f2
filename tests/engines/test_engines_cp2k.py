"""The CP2K engine with atomate2's real input sets, real outputs of CP2K 2023.1 and a stand-in for the program."""

import gzip
import json
import os
import shlex
import subprocess
import sys
import time
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest

from lizrcl_flows.documents.spec import LevelSpec
from lizrcl_flows.engines.labelling import make_labeller
from lizrcl_flows.engines.labelling.cp2k import Cp2kLabeller
from lizrcl_flows.engines.labelling.cp2k.data import find_entry, find_installation, read_entries
from lizrcl_flows.engines.labelling.cp2k.output import BOHR_A, HARTREE_EV, difference, read_output
from lizrcl_flows.engines.labelling.cp2k.work import fits_version
from lizrcl_flows.errors import EngineError, InputError
from lizrcl_flows.science.structures import atoms_from_structure, structure_from_atoms
from lizrcl_flows.units import GPA_PER_EV_A3

HERE = Path(__file__).parent
DATA = HERE / "data"
COMMAND = shlex.join([sys.executable, str(HERE.parent / "programs" / "stand_in_cp2k.py")])


def _contract():
    spec = spec_from_file_location("labeller_contract", HERE / "test_engines_labelling.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.LabellerContract


LabellerContract = _contract()


@pytest.fixture(autouse=True)
def _program(monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith("STAND_IN_CP2K_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("ATOMATE2_CP2K_CMD", COMMAND)
    monkeypatch.delenv("CP2K_DATA_DIR", raising=False)
    monkeypatch.setenv("STAND_IN_CP2K_DATA", str(DATA / "cp2k"))
    monkeypatch.setenv("STAND_IN_CP2K_LOG", str(tmp_path / "starts.log"))
    find_installation.cache_clear()


@pytest.fixture
def misbehave(monkeypatch):
    def told(how, **more):
        for name, value in {"MISBEHAVE": how, **more}.items():
            monkeypatch.setenv(f"STAND_IN_CP2K_{name}", str(value))

    return told


@pytest.fixture
def starts(tmp_path):
    log = tmp_path / "starts.log"
    return lambda: len(log.read_text().splitlines()) if log.exists() else 0


def runs(pid):
    """Tell whether a process is there, and not only its entry that nobody has asked for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def input_of(directory, number=1):
    return (directory / f"start-{number}" / "cp2k.inp").read_text()


class TestCp2k(LabellerContract):
    @pytest.fixture
    def engine(self):
        return Cp2kLabeller(dispersion="D3-BJ")

    @pytest.fixture
    def failing_engine(self, misbehave):
        misbehave("abort")
        return Cp2kLabeller()

    @pytest.fixture
    def structure(self, lithium_chloride):
        return lithium_chloride


def test_numbers_are_those_of_the_calculator_behind_the_stand_in(crystal, tmp_path):
    """Units, signs and the order of atoms: interleaved Li, Cl and Zr in a hexagonal cell."""
    from toy_calculator import ToyIonic

    order = np.random.default_rng(3).permutation(crystal.n_atoms)
    mixed = crystal.revised(numbers=crystal.numbers[order], positions=crystal.positions[order] + 0.02)
    atoms = atoms_from_structure(mixed)
    atoms.calc = ToyIonic()
    result = Cp2kLabeller().label(mixed, tmp_path)
    assert result.energy == pytest.approx(atoms.get_potential_energy(), abs=1e-9)
    assert result.forces == pytest.approx(atoms.get_forces(), abs=1e-6)
    assert result.stress == pytest.approx(atoms.get_stress(voigt=False), abs=1e-9)
    assert result.n_scf == 7
    assert result.executable == "CP2K 2023.1 git:0000000"


def test_input_says_what_the_level_says(lithium_chloride, tmp_path):
    engine = Cp2kLabeller(dispersion="D3-BJ", threads=2)
    result = engine.label(lithium_chloride, tmp_path)
    text = input_of(tmp_path)
    for line in (
        "CUTOFF 400.0",
        "REL_CUTOFF 50.0",
        "EPS_SCF 1e-06",
        "EPS_PGF_ORB 1e-08",
        "USE_FINER_GRID True",
        "UKS False",
        "TYPE DFTD3(BJ)",
        "REFERENCE_FUNCTIONAL PBE",
        "R_CUTOFF [angstrom] 16.0",
        "STRESS_TENSOR ANALYTICAL",
        "METHOD BROYDEN_MIXING",
        "RUN_TYPE ENERGY_FORCE",
        "BASIS_SET DZVP-MOLOPT-SR-GTH",
        "POTENTIAL GTH-PBE-q7",
    ):
        assert line in text
    for word in ("SMEAR", "&OT", "AUX_FIT", "CUBE", "PDOS", "KPOINTS"):
        assert word not in text
    for file, name in (("BASIS_MOLOPT", "BASIS"), ("GTH_POTENTIALS", "POTENTIAL")):
        used = read_entries(tmp_path / "start-1" / name)
        assert [entry.element for entry in used] == ["Cl", "Li"]
        known = {(potential.element, potential.sha256) for potential in engine.level().potentials}
        assert {(entry.element, entry.sha256) for entry in used} <= known
        assert all(entry in read_entries(DATA / "cp2k" / file) for entry in used)
    assert result.core_hours == pytest.approx(2 * result.wall_s / 3600)
    archived = {path.name: path for path in result.files}
    assert gzip.decompress(archived["cp2k.inp.gz"].read_bytes()).decode() == text


def test_odd_electrons_have_spins(lithium_chloride, tmp_path):
    atoms = atoms_from_structure(lithium_chloride)
    odd = structure_from_atoms(atoms[1:], origin=lithium_chloride.origin)
    Cp2kLabeller().label(odd, tmp_path / "odd")
    assert "UKS True" in input_of(tmp_path / "odd")
    Cp2kLabeller(parameters={"spin_polarized": "always"}).label(lithium_chloride, tmp_path / "always")
    assert "UKS True" in input_of(tmp_path / "always")


def test_inputs_for_zirconium_and_oxygen(crystal, tmp_path):
    mixed = crystal.revised(numbers=np.where(crystal.numbers == 17, 8, crystal.numbers))
    from lizrcl_flows.engines.labelling.cp2k.deck import Scf

    Cp2kLabeller().deck(DATA / "cp2k").write(mixed, tmp_path, Scf())
    text = (tmp_path / "cp2k.inp").read_text()
    assert "VDW_POTENTIAL" not in text
    assert text.count("&KIND") == 3
    assert [entry.n_electrons for entry in read_entries(tmp_path / "POTENTIAL")] == [3, 6, 12]


def test_settings_of_atomate2_do_not_change_the_level(lithium_chloride, tmp_path, monkeypatch):
    monkeypatch.setenv("ATOMATE2_CP2K_INPUT_UPDATES", '{"FORCE_EVAL": {"DFT": {"MGRID": {"CUTOFF": 100}}}}')
    Cp2kLabeller().label(lithium_chloride, tmp_path)
    assert "CUTOFF 400.0" in input_of(tmp_path)


# --- levels


def test_level_needs_no_cp2k_and_tells_everything(monkeypatch):
    monkeypatch.setenv("ATOMATE2_CP2K_CMD", "/no/such/cp2k")
    level = Cp2kLabeller(dispersion="D3-BJ", note="open").level()
    assert (level.engine, level.code, level.code_version) == ("cp2k", "CP2K", "any")
    assert (level.functional, level.dispersion, level.note) == ("PBE", "D3-BJ", "open")
    assert level.cutoff_ev == pytest.approx(400 * 13.605693)
    named = [(potential.element, potential.title) for potential in level.potentials]
    assert named[:2] == [("Cl", "GTH-PBE-q7"), ("Cl", "DZVP-MOLOPT-SR-GTH")]
    assert len(named) == 8
    assert all(len(potential.sha256) == 64 for potential in level.potentials)


def test_levels_differ_by_what_changes_an_energy_and_by_nothing_else():
    level = Cp2kLabeller().level()
    others = [
        Cp2kLabeller(dispersion="D3-BJ"),
        Cp2kLabeller(dispersion="D3-zero"),
        Cp2kLabeller(parameters={"cutoff_ry": 500}),
        Cp2kLabeller(parameters={"basis": "SZV-MOLOPT-SR-GTH"}),
        Cp2kLabeller(parameters={"basis": {"Cl": "TZVP-MOLOPT-GTH"}}),
        Cp2kLabeller(potentials={"Li": "GTH-PBE"}),
        Cp2kLabeller(version="2023"),
    ]
    assert len({level.id, *(engine.level().id for engine in others)}) == 8
    same = [
        Cp2kLabeller(command="mpirun cp2k.psmp", threads=4, max_attempts=1, time_limit_s=5.0, note="x"),
        Cp2kLabeller(parameters={"cutoff_ry": 400, "dispersion_cutoff_a": 8.0}),  # 400 is 400.0; no dispersion here
        Cp2kLabeller(potentials={"Zr": "GTH-PBE", "Li": "GTH-PBE", "O": "GTH-PBE-q6", "Cl": "GTH-PBE"}),
    ]
    assert {engine.level().id for engine in same} == {level.id}


def test_a_campaign_file_names_it():
    spec = LevelSpec(
        engine="cp2k", dispersion="D3-BJ", potentials={"Li": "GTH-PBE"}, version="2023", parameters={"cutoff_ry": 300}
    )
    expected = Cp2kLabeller(
        dispersion="D3-BJ", potentials={"Li": "GTH-PBE"}, version="2023", parameters={"cutoff_ry": 300}
    )
    assert make_labeller(spec) == expected
    with pytest.raises(InputError, match="calculator = 'mace' is a key of the engine ase, not of cp2k"):
        make_labeller(LevelSpec(engine="cp2k", calculator="mace"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"functional": "LDA"}, "functional 'LDA' has no pseudopotentials here, accepted: PBE"),
        ({"dispersion": "D4"}, "dispersion 'D4' should be D3-BJ or D3-zero, or none"),
        ({"parameters": {"cutof_ry": 1}}, "no parameter 'cutof_ry', did you mean 'cutoff_ry'"),
        ({"parameters": {"cutoff_ry": "high"}}, "cutoff_ry = 'high' should be a number"),
        ({"parameters": {"cutoff_ry": -1.0}}, r"cutoff_ry = -1\.0 should be greater than 0"),
        ({"parameters": {"finer_xc_grid": 1}}, "finer_xc_grid = 1 should be true or false"),
        ({"parameters": {"spin_polarized": True}}, "spin_polarized = True should be 'odd' or 'always'"),
        ({"parameters": {"basis": 3}}, "basis = 3 should be a name"),
        ({"parameters": {"basis": "TZVP-MOLOPT-GTH"}}, "no basis set 'TZVP-MOLOPT-GTH' for Li, accepted: DZVP"),
        ({"potentials": {"Zr": "GTH-PBE-q4"}}, "no pseudopotential 'GTH-PBE-q4' for Zr, accepted: GTH-PBE-q12"),
        ({"potentials": {"Xx": "GTH-PBE"}}, "for Xx, accepted: none"),
    ],
)
def test_settings_that_cannot_be_used_are_told_in_a_sentence(changes, words):
    with pytest.raises(InputError, match=words):
        Cp2kLabeller(**changes)


# --- what CP2K 2023.1 wrote


def test_real_output_is_read_in_our_units(lithium_chloride):
    """Of LiCl at 400 Ry with D3(BJ); numbers as they stand in the file, converted by hand."""
    output = read_output(DATA / "cp2k_licl.out")
    assert (output.version, output.revision, output.finished, output.n_scf) == ("2023.1", "git:b888bd8", True, 13)
    assert output.energy == pytest.approx(-90.347913266428904 * 27.21138602, abs=1e-4)
    assert output.forces[3] * BOHR_A / HARTREE_EV == pytest.approx([-0.00500883, 0.00018543, 0.00292043], abs=1e-12)
    assert output.forces.shape == (8, 3)
    # CP2K prints a pressure of -1.41 GPa: the crystal wants to shrink, which is a tension
    assert np.trace(output.stress) / 3 * GPA_PER_EV_A3 == pytest.approx(1.40974215923)
    assert output.stress[0, 2] * GPA_PER_EV_A3 == pytest.approx(-5.09376496689e-02)
    assert output.cell == pytest.approx(5.13 * np.eye(3))
    assert output.total_s == pytest.approx(201.039)
    assert difference(output, lithium_chloride) == ""


def test_real_outputs_that_are_no_labels():
    unconverged = read_output(DATA / "cp2k_unconverged.out")
    assert unconverged.finished
    assert unconverged.n_scf is None
    assert unconverged.energy is not None
    aborted = read_output(DATA / "cp2k_abort.out")
    assert aborted.error == "Use the LSD option for an odd number of electrons"
    assert not aborted.finished
    assert aborted.forces is None


def test_a_real_output_is_a_label_of_its_structure_only(lithium_chloride, tmp_path, starts):
    """A run that ended while its worker was gone is found; the worker of another structure computes."""
    engine = Cp2kLabeller(dispersion="D3-BJ")
    start = tmp_path / "start-1"
    start.mkdir()
    (start / "cp2k.out").write_bytes((DATA / "cp2k_licl.out").read_bytes())
    request = {"structure": lithium_chloride.id, "level": engine.level().id}
    (start / "request.json").write_text(json.dumps(request))
    found = engine.label(lithium_chloride, tmp_path)
    assert found.accepted
    assert starts() == 0
    assert found.wall_s == pytest.approx(201.039)
    assert found.core_hours == pytest.approx(201.039 / 3600)
    moved = lithium_chloride.revised(positions=lithium_chloride.positions + 0.01)
    assert "0.01 A from those that were sent" in difference(read_output(start / "cp2k.out"), moved)
    assert engine.label(moved, tmp_path).energy != found.energy
    assert starts() == 1


def test_an_output_that_was_cut_short_is_not_taken(lithium_chloride, tmp_path, starts):
    engine = Cp2kLabeller()
    engine.label(lithium_chloride, tmp_path)
    (tmp_path / "label.json").unlink()
    output = tmp_path / "start-1" / "cp2k.out"
    output.write_text(output.read_text()[:-200])
    assert engine.label(lithium_chloride, tmp_path).accepted
    assert starts() == 2
    assert sorted(path.name for path in tmp_path.glob("start-*")) == ["start-1", "start-2"]


def test_every_entry_of_the_data_is_the_one_that_the_level_names(tmp_path):
    entry = find_entry(DATA / "cp2k", "GTH_POTENTIALS", "Zr", "GTH-PBE")
    assert (entry.n_electrons, entry.names) == (12, ("GTH-PBE-q12", "GTH-PBE"))
    text = (DATA / "cp2k" / "GTH_POTENTIALS").read_text()
    (tmp_path / "GTH_POTENTIALS").write_text(text.replace("7.79605677", "7.79605678").replace("    ", "  "))
    with pytest.raises(EngineError, match="GTH-PBE-q12 of Zr is not that of the level of theory"):
        find_entry(tmp_path, "GTH_POTENTIALS", "Zr", "GTH-PBE")
    assert find_entry(tmp_path, "GTH_POTENTIALS", "Cl", "GTH-PBE").n_electrons == 7  # space does not count
    shorter = tmp_path / "shorter"
    shorter.mkdir()
    (shorter / "GTH_POTENTIALS").write_text(text.partition("Zr")[0])
    with pytest.raises(EngineError, match="it has no GTH-PBE-q12 for Zr"):
        find_entry(shorter, "GTH_POTENTIALS", "Zr", "GTH-PBE")


# --- what goes wrong


@pytest.mark.parametrize(
    ("problem", "words", "n_starts"),
    [
        ("abort", "CP2K gave up: Cholesky decomposition failed. Matrix ill conditioned ?", 1),
        ("unconverged", "CP2K's self-consistent field did not converge", 2),
        ("crash", "CP2K was ended by signal 11 (SIGSEGV)", 2),
        ("atoms", "not about this structure: its atoms are up to 0.01 A from those that were sent", 1),
        ("cell", "its cell is not the one that was sent", 1),
        ("net_force", "the forces of CP2K add up to 0.514 eV/A, more than 0.1", 1),
        ("asterisks", "CP2K gave forces that are not finite numbers", 1),
        ("no_stress", "has no energy, forces or stress in the form of 2023.1", 1),
    ],
)
def test_every_kind_of_failure_has_its_reason(problem, words, n_starts, lithium_chloride, misbehave, starts, tmp_path):
    misbehave(problem)
    result = Cp2kLabeller().label(lithium_chloride, tmp_path)
    assert not result.accepted
    assert words in result.reason
    assert result.energy is None
    assert (result.attempts, starts()) == (n_starts, n_starts)
    assert not result.interrupted
    assert any(path.name == "cp2k.out.gz" for path in result.files)


def test_the_second_attempt_is_gentler_at_the_same_level(lithium_chloride, misbehave, starts, tmp_path):
    misbehave("unconverged", ONCE=tmp_path / "marker")
    result = Cp2kLabeller().label(lithium_chloride, tmp_path)
    assert result.accepted
    assert (result.attempts, starts()) == (2, 2)
    texts = [input_of(tmp_path, number).splitlines() for number in (1, 2)]
    changed = {line.split()[0] for line in set(texts[0]) ^ set(texts[1])}
    assert changed == {"MAX_SCF", "ALPHA", "NBUFFER"}


def test_a_first_attempt_of_a_worker_that_died_is_not_repeated(lithium_chloride, misbehave, starts, tmp_path):
    misbehave("unconverged", ONCE=tmp_path / "marker")
    engine = Cp2kLabeller(max_attempts=1)
    assert not engine.label(lithium_chloride, tmp_path).accepted
    (tmp_path / "label.json").unlink()
    result = Cp2kLabeller(max_attempts=2).label(lithium_chloride, tmp_path)
    assert (result.accepted, result.attempts, starts()) == (True, 2, 2)
    assert "ALPHA 0.1" in input_of(tmp_path, 2)


def test_a_calculation_over_its_own_limit_has_failed(lithium_chloride, misbehave, starts, tmp_path):
    misbehave("hang")
    result = Cp2kLabeller(time_limit_s=3.0).label(lithium_chloride, tmp_path, seconds=60.0)
    assert result.reason == "CP2K was ended at its time limit after 3 s"
    assert not result.interrupted
    assert starts() == 1
    assert (tmp_path / "label.json").exists()


def test_when_the_workers_time_is_up_there_is_no_verdict(lithium_chloride, misbehave, starts, tmp_path):
    misbehave("hang", ONCE=tmp_path / "marker")
    engine = Cp2kLabeller(time_limit_s=60.0)
    result = engine.label(lithium_chloride, tmp_path, seconds=3.0)
    assert result.interrupted
    assert "time of the worker was up" in result.reason
    assert not (tmp_path / "label.json").exists()
    assert engine.label(lithium_chloride, tmp_path, seconds=60.0).accepted
    assert starts() == 2


def test_a_killed_worker_leaves_nothing_that_is_taken_and_no_program(lithium_chloride, misbehave, starts, tmp_path):
    misbehave("hang", ONCE=tmp_path / "marker")
    program = (
        "import json, sys; from pathlib import Path\n"
        "from lizrcl_flows.documents import Structure\n"
        "from lizrcl_flows.engines.labelling.cp2k import Cp2kLabeller\n"
        "structure = Structure.model_validate_json(Path(sys.argv[1]).read_text())\n"
        "Cp2kLabeller().label(structure, Path(sys.argv[2]))\n"
    )
    (tmp_path / "structure.json").write_text(lithium_chloride.model_dump_json())
    directory = tmp_path / "label"
    arguments = [sys.executable, "-c", program, str(tmp_path / "structure.json"), str(directory)]
    worker = subprocess.Popen(arguments, start_new_session=True)
    deadline = time.monotonic() + 60
    while not starts() and worker.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    pid = int((tmp_path / "starts.log").read_text().split()[0])
    worker.kill()
    worker.wait()
    assert runs(pid)  # CP2K has outlived its worker
    assert Cp2kLabeller().label(lithium_chloride, directory).accepted
    assert not runs(pid)


def test_elements_without_pseudopotential_and_slabs_are_refused(lithium_chloride, tmp_path, starts):
    engine = Cp2kLabeller(potentials={"Li": "GTH-PBE"})
    result = engine.label(lithium_chloride, tmp_path / "elements")
    assert "names no pseudopotential for Cl, only for Li" in result.reason
    slab = lithium_chloride.revised(pbc=(True, True, False))
    assert "periodic in all directions" in Cp2kLabeller().label(slab, tmp_path / "slab").reason
    assert starts() == 0


# --- workers that cannot compute any label


@pytest.mark.parametrize(
    ("environment", "changes", "words"),
    [
        (
            {"ATOMATE2_CP2K_CMD": "no-such-cp2k"},
            {},
            "program 'no-such-cp2k' is neither on the PATH .* ATOMATE2_CP2K_CMD",
        ),
        ({"ATOMATE2_CP2K_CMD": "cat"}, {}, "--version' names no version of CP2K"),
        (
            {"STAND_IN_CP2K_DATA": "/no/such/folder"},
            {},
            "'/no/such/folder' has no file GTH_POTENTIALS: set CP2K_DATA_DIR",
        ),
        ({"CP2K_DATA_DIR": "/no/such"}, {}, "'/no/such' has no file GTH_POTENTIALS"),
        ({}, {"version": "2024"}, "this is CP2K 2023.1, and the level is of version 2024"),
        ({"STAND_IN_CP2K_MISBEHAVE": "no_start"}, {}, r"did not start CP2K \(.*libxc"),
    ],
)
def test_a_worker_that_can_compute_no_label_says_so(
    environment, changes, words, lithium_chloride, monkeypatch, tmp_path
):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(EngineError, match=words):
        Cp2kLabeller(**changes).label(lithium_chloride, tmp_path)
    assert not (tmp_path / "label.json").exists()


def test_versions_fit_by_their_beginning():
    assert fits_version("2023.1", None)
    assert fits_version("2023.1", "2023")
    assert fits_version("2023.1", "2023.1")
    assert not fits_version("2023.10", "2023.1")
