"""VaspLabeller with the stand-in of tests/programs: the real atomate2, custodian and pymatgen around it."""

import gzip
import json
import os
import shlex
import signal
import sys
import time
import warnings
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest

from lizrcl_flows.documents.spec import LevelSpec
from lizrcl_flows.engines.labelling import make_labeller
from lizrcl_flows.engines.labelling.vasp import VaspLabeller
from lizrcl_flows.engines.labelling.vasp.inputs import Sent
from lizrcl_flows.engines.labelling.vasp.potentials import Potcar
from lizrcl_flows.engines.labelling.vasp.reading import cores_in, fits_version, read_run
from lizrcl_flows.engines.labelling.vasp.running import end_processes, mark_of
from lizrcl_flows.engines.labelling.vasp.tags import DEFAULT_TAGS, same_value, tags_of_level
from lizrcl_flows.errors import EngineError, InputError

HERE = Path(__file__).parent
STAND_IN = HERE.parent / "programs" / "stand_in_vasp.py"
POTCARS = {"Li": "Li_sv", "Zr": "Zr_sv", "Cl": "Cl"}


def _contract():
    spec = spec_from_file_location("labeller_contract", HERE / "test_engines_labelling.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.LabellerContract


LabellerContract = _contract()


@pytest.fixture(autouse=True)
def stand_in(monkeypatch, tmp_path):
    """Put the stand-in in VASP's place; return a function that makes it misbehave."""
    for name in list(os.environ):
        if name.startswith(("ATOMATE2_", "STAND_IN_VASP_", "PMG_")):
            monkeypatch.delenv(name)
    settings = tmp_path / "atomate2.yaml"
    settings.write_text("SYMPREC: 0.1\n")
    monkeypatch.setenv("ATOMATE2_CONFIG_FILE", str(settings))
    monkeypatch.setenv("ATOMATE2_VASP_CMD", shlex.join([sys.executable, str(STAND_IN)]))
    monkeypatch.setenv("STAND_IN_VASP_LOG", str(tmp_path / "starts.log"))

    def told(**settings):
        for name, value in settings.items():
            monkeypatch.setenv(f"STAND_IN_VASP_{name.upper()}", str(value))

    return told


@pytest.fixture
def starts(tmp_path):
    """Return a function that tells the processes and folders of all starts so far."""

    def read():
        log = tmp_path / "starts.log"
        lines = log.read_text().splitlines() if log.exists() else []
        return [(int(line.split()[0]), Path(line.split(maxsplit=1)[1])) for line in lines]

    return read


@pytest.fixture
def library(monkeypatch, tmp_path):
    """Make a library of POTCARs with nothing of VASP's in them."""
    folder = tmp_path / "potcars"
    for symbol in (*POTCARS.values(), "Zr"):
        write_potcar(folder / "POT_GGA_PAW_PBE_54" / symbol / "POTCAR", symbol)
    monkeypatch.setenv("PMG_VASP_PSP_DIR", str(folder))
    return folder


def write_potcar(path, symbol, *, extra="", number="1.0"):
    element = symbol.split("_")[0]
    lines = [
        f"  PAW_PBE {symbol} 01Jan2001",
        "  4.00000000000000000",
        " parameters from PSCTR are:",
        *([extra] if extra else []),
        f"   VRHFIN ={element}: none",
        "   LEXCH  = PE",
        f"   TITEL  = PAW_PBE {symbol} 01Jan2001",
        "   POMASS =    1.000; ZVAL   =    4.000    mass and valenz",
        "   ENMAX  =  300.000; ENMIN  =  200.000 eV",
        " Error from kinetic energy argument (eV)",
        "END of PSCTR-controll parameters",
        f" local part\n  {number}",
        " End of Dataset",
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def make(**settings):
    return VaspLabeller(**{"dispersion": "D3-BJ", "potcar_spec": True, **settings})


@pytest.fixture(scope="session")
def interleaved(crystal):
    """Li2ZrCl6 with its species taking turns, in a left-handed cell."""
    order = np.random.default_rng(7).permutation(crystal.n_atoms)
    return crystal.revised(
        numbers=crystal.numbers[order], positions=crystal.positions[order], cell=crystal.cell[[1, 0, 2]]
    )


def alive(pid):
    """Tell whether a process runs; one that is gone may wait for whoever is to hear of it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def toy_atoms(structure):
    from toy_calculator import ToyIonic

    from lizrcl_flows.science.structures import atoms_from_structure

    atoms = atoms_from_structure(structure)
    atoms.calc = ToyIonic()
    return atoms


class TestVaspWithPotcarLibrary(LabellerContract):
    @pytest.fixture
    def engine(self, library):
        return make(potcar_spec=False, potentials=POTCARS)

    @pytest.fixture
    def failing_engine(self, stand_in, engine):
        stand_in(misbehave="crash")
        return make(potcar_spec=False, potentials=POTCARS, max_attempts=1)

    @pytest.fixture
    def structure(self, interleaved):
        return interleaved

    def test_numbers_are_those_of_an_independent_evaluation_in_the_order_sent(self, result, structure, tmp_path):
        atoms = toy_atoms(structure)
        assert result.energy == pytest.approx(atoms.get_potential_energy(), abs=2e-8)
        assert result.energy_zero - result.energy == pytest.approx(0.02 * 0.05 * structure.n_atoms, abs=2e-8)
        np.testing.assert_allclose(result.forces, atoms.get_forces(), atol=2e-8)
        np.testing.assert_allclose(result.stress, atoms.get_stress(voigt=False), atol=1e-10)
        assert np.abs(result.stress).max() > 1e-3
        assert result.n_scf == 12
        assert result.executable == "vasp 6.4.2 (stand-in of the tests) serial"
        assert result.core_hours == pytest.approx(4 * result.wall_s / 3600)
        start = tmp_path / "label" / "start-1"
        assert (start / "POSCAR").read_text().splitlines()[5].split() == ["Li", "Zr", "Cl"]
        assert (start / "POTCAR").read_text().count("End of Dataset") == 3
        assert not (start / "POTCAR.spec").exists()
        assert [path.name for path in result.files] == ["label.json", "vasprun.xml.gz"]


def test_stress_is_the_derivative_of_the_energy_and_tension_is_positive(lithium_chloride, tmp_path):
    engine, step = make(), 1e-3
    result = engine.label(lithium_chloride, tmp_path / "label")
    volume = abs(np.linalg.det(lithium_chloride.cell))
    for axes in ((0, 0), (1, 2)):
        energies = []
        for sign in (1, -1):
            strain = np.eye(3)
            strain[axes] += sign * step
            strained = lithium_chloride.revised(
                cell=lithium_chloride.cell @ strain.T, positions=lithium_chloride.positions @ strain.T
            )
            energies.append(engine.label(strained, tmp_path / f"{axes}{sign}").energy)
        slope = (energies[0] - energies[1]) / (2 * step * volume)
        assert result.stress[axes] == pytest.approx(slope, abs=2e-6)
    stretched = lithium_chloride.revised(cell=1.2 * lithium_chloride.cell, positions=1.2 * lithium_chloride.positions)
    assert np.trace(engine.label(stretched, tmp_path / "stretched").stress) > 0


def test_equal_runs_are_archived_as_equal_files(lithium_chloride, tmp_path):
    packed = [make().label(lithium_chloride, tmp_path / name).files[1].read_bytes() for name in "ab"]
    assert packed[0] == packed[1]
    assert gzip.decompress(packed[0]) == (tmp_path / "a" / "start-1" / "vasprun.xml").read_bytes()


@pytest.mark.parametrize(
    ("misbehave", "words", "attempts"),
    [
        ("crash", "VASP left no complete output: forrtl: severe (174): SIGSEGV", 2),
        ("killed", "VASP left no complete output: it said nothing", 2),
        ("return_code", "VASP ended with return code 3", 2),
        ("unconverged", "did not converge in 200 electronic steps (custodian tried ALGO = All", 2),
        ("atoms", "was 0.257 A from where it was sent", 1),
        ("cell", "the cell that VASP computed differs by 0.0513 A", 1),
        ("tags", "ran with ENCUT = 400.0, not 550.0: it is not at the level of theory", 1),
        ("positive", "above that of the separate atoms", 1),
        ("nan", "VASP gave forces that are not finite numbers", 1),
        ("net_force", "add up to 1.6 eV/A, more than 0.1", 1),
    ],
)
def test_every_kind_of_failure_has_its_reason(misbehave, words, attempts, stand_in, starts, lithium_chloride, tmp_path):
    stand_in(misbehave=misbehave)
    result = make().label(lithium_chloride, tmp_path / "label")
    assert not result.accepted
    assert words in result.reason
    assert result.energy is None
    assert (result.attempts, len(starts())) == (attempts, attempts)
    assert "== OUTCAR" in (tmp_path / "label" / "ending.txt").read_text()
    assert json.loads((tmp_path / "label" / "label.json").read_text())["reason"] == result.reason


def test_a_crash_that_passes_is_tried_again_in_a_folder_of_its_own(stand_in, starts, lithium_chloride, tmp_path):
    stand_in(misbehave="crash", once=tmp_path / "marker")
    result = make().label(lithium_chloride, tmp_path / "label")
    assert result.accepted
    assert result.attempts == 2
    assert [folder.name for _, folder in starts()] == ["start-1", "start-2"]


def test_what_custodian_may_change_is_recorded_and_the_label_accepted(stand_in, lithium_chloride, tmp_path):
    plain = make().label(lithium_chloride, tmp_path / "plain")
    stand_in(misbehave="unconverged", until="ALGO=All")
    result = make().label(lithium_chloride, tmp_path / "label")
    assert result.accepted
    assert result.attempts == 2
    assert result.energy == plain.energy
    corrections = json.loads((tmp_path / "label" / "corrections.json").read_text())
    assert corrections == [{"errors": ["Unconverged"], "tags": {"ALGO": "All", "ISEARCH": 1}}]
    assert tmp_path / "label" / "corrections.json" in result.files


def test_a_label_for_which_custodian_changed_the_physics_is_refused(stand_in, lithium_chloride, tmp_path):
    message = "BRMIX: very serious problems"
    stand_in(misbehave="message", message=message, until="ISYM=0")
    result = make(max_attempts=3).label(lithium_chloride, tmp_path / "label")
    assert not result.accepted
    assert "ran with ISYM = 0, not VASP's default: it is not at the level of theory" in result.reason
    assert "custodian tried IMIX = 1, ISYM = 0" in result.reason


def test_what_custodian_objects_to_is_no_label(stand_in, starts, lithium_chloride, tmp_path):
    stand_in(misbehave="message", message="Error EDDDAV: Call to ZHEGV failed")
    result = make().label(lithium_chloride, tmp_path / "label")
    assert result.reason.startswith("custodian found edddav, and trying ALGO = All")
    assert len(starts()) == 2


def test_a_calculation_that_hangs_is_ended_at_its_time_limit(stand_in, starts, lithium_chloride, tmp_path):
    stand_in(misbehave="hang")
    result = make(time_limit_s=0.7).label(lithium_chloride, tmp_path / "label")
    assert not result.accepted
    assert not result.interrupted
    assert "VASP was ended at its time limit after 1 s" in result.reason
    assert result.attempts == 2
    assert not any(alive(pid) for pid, _ in starts())
    assert make().label(lithium_chloride, tmp_path / "label").reason == result.reason


def test_a_worker_whose_time_is_up_leaves_nothing_running_and_nothing_finished(
    stand_in, starts, lithium_chloride, tmp_path
):
    assert make().label(lithium_chloride, tmp_path / "label", seconds=-1.0).interrupted
    assert not starts()
    make().label(lithium_chloride, tmp_path / "imports")
    stand_in(misbehave="stubborn", once=tmp_path / "marker")  # SIGTERM does not end it
    result = make(time_limit_s=100.0).label(lithium_chloride, tmp_path / "label", seconds=0.8)
    assert result.interrupted
    assert not result.accepted
    assert result.reason.startswith("the time of the worker was up after")
    assert not alive(starts()[1][0])
    assert not (tmp_path / "label" / "label.json").exists()
    assert not list((tmp_path / "label").glob("start-*"))
    assert make().label(lithium_chloride, tmp_path / "label").accepted


def start_worker(work):
    """Return the process id of a worker that does this and no more; it has all modules already."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python 3.12 warns of forks beside threads
        pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(1)
    return pid


def test_after_a_killed_worker_its_vasp_is_ended_and_the_label_computed_anew(
    stand_in, starts, lithium_chloride, tmp_path
):
    label = tmp_path / "label"
    make().label(lithium_chloride, tmp_path / "imports")
    stand_in(misbehave="hang", once=tmp_path / "marker")
    worker = start_worker(lambda: make().label(lithium_chloride, label))
    try:
        deadline = time.monotonic() + 60
        while len(starts()) < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        orphan = starts()[1][0]
        os.kill(worker, signal.SIGKILL)
        os.waitpid(worker, 0)
        assert alive(orphan)  # custodian gave it a session of its own
        result = make().label(lithium_chloride, label)
        assert result.accepted
        assert result.attempts == 1
        assert not alive(orphan)
        assert [folder.name for _, folder in starts()] == ["start-1", "start-1", "start-2"]
    finally:
        end_processes(mark_of(label))


def test_a_run_that_finished_while_nobody_watched_is_read_and_not_repeated(
    stand_in, starts, lithium_chloride, crystal, tmp_path
):
    label = tmp_path / "label"
    first = make().label(lithium_chloride, label)
    (label / "label.json").unlink()
    found = make().label(lithium_chloride, label)
    assert len(starts()) == 1
    assert (found.energy, found.forces.tobytes()) == (first.energy, first.forces.tobytes())
    assert (found.wall_s, found.attempts) == (1.0, 1)  # as OUTCAR tells
    assert (label / "label.json").exists()

    (label / "label.json").unlink()
    assert make(parameters={"ENCUT": 500}).label(lithium_chloride, label).accepted  # another level
    assert len(starts()) == 2
    (label / "label.json").unlink()
    vasprun = label / "start-1" / "vasprun.xml"
    vasprun.write_bytes(vasprun.read_bytes()[:-2000])
    assert make().label(lithium_chloride, label).energy == first.energy
    assert len(starts()) == 3


def test_vasp_of_another_version_makes_no_label(stand_in, lithium_chloride, tmp_path):
    stand_in(version="5.4.4")
    with pytest.raises(EngineError, match=r"this is VASP 5\.4\.4, and the level is of version 6: run the one it names"):
        make().label(lithium_chloride, tmp_path / "label")
    assert not (tmp_path / "label" / "label.json").exists()
    stand_in(version="6.5.1")
    assert make().label(lithium_chloride, tmp_path / "label").executable.startswith("vasp 6.5.1")
    assert [fits_version("6.4.2", wanted) for wanted in ("6", "6.4", "6.4.2", "6.40", "6.4.20")] == [
        True,
        True,
        True,
        False,
        False,
    ]


def test_vasp_that_is_not_there_stops_all_labels(stand_in, monkeypatch, lithium_chloride, tmp_path):
    stand_in(misbehave="no_start")
    with pytest.raises(EngineError, match=r"did not start VASP \(.*libmkl_core.*check ATOMATE2_VASP_CMD"):
        make().label(lithium_chloride, tmp_path / "label")
    monkeypatch.setenv("ATOMATE2_VASP_CMD", "no_such_vasp")
    with pytest.raises(EngineError, match=r"program 'no_such_vasp' is neither on the PATH nor .* ATOMATE2_VASP_CMD"):
        make().label(lithium_chloride, tmp_path / "label")
    (tmp_path / "atomate2.yaml").write_text("VASP_INCAR_UPDATES: 3\n")
    with pytest.raises(EngineError, match=r"atomate2's settings \(.*atomate2.yaml\) cannot be read: .*VASP_INCAR_UPD"):
        make().label(lithium_chloride, tmp_path / "label")
    monkeypatch.setenv("ATOMATE2_CONFIG_FILE", str(tmp_path / "none.yaml"))
    with pytest.raises(EngineError, match=r"ATOMATE2_CONFIG_FILE names '.*none.yaml', which is not a file"):
        make().label(lithium_chloride, tmp_path / "label")
    assert not (tmp_path / "label" / "label.json").exists()


def test_tags_of_the_machine_reach_vasp_and_none_of_them_can_change_the_level(monkeypatch, lithium_chloride, tmp_path):
    monkeypatch.setenv("ATOMATE2_VASP_INCAR_UPDATES", '{"NCORE": 4}')
    engine = make(parameters={"kpar": 2})
    assert engine.level().id == make().level().id
    assert engine.label(lithium_chloride, tmp_path / "label").accepted
    incar = (tmp_path / "label" / "start-1" / "INCAR").read_text()
    assert "NCORE = 4" in incar
    assert "KPAR = 2" in incar
    monkeypatch.setenv("ATOMATE2_VASP_INCAR_UPDATES", '{"ENCUT": 400}')
    with pytest.raises(InputError, match=r"VASP_INCAR_UPDATES has ENCUT = 400\.0, which would change every label"):
        make().label(lithium_chloride, tmp_path / "other")


def test_gamma_only_vasp_is_run_for_a_single_k_point_where_one_is_named(monkeypatch, lithium_chloride, tmp_path):
    command = os.environ["ATOMATE2_VASP_CMD"]
    coarse = make(parameters={"KSPACING": 2.0})
    assert coarse.label(lithium_chloride, tmp_path / "standard").executable.startswith("vasp 6.4.2")
    monkeypatch.setenv("ATOMATE2_VASP_GAMMA_CMD", f"env STAND_IN_VASP_VERSION=6.9 {command}")
    assert coarse.label(lithium_chloride, tmp_path / "gamma").executable.startswith("vasp 6.9")
    assert make().label(lithium_chloride, tmp_path / "mesh").executable.startswith("vasp 6.4.2")


def test_a_structure_outside_the_level_is_refused_before_anything_is_computed(lithium_chloride, starts, tmp_path):
    result = make(potentials={"Li": "Li_sv"}).label(lithium_chloride, tmp_path / "element")
    assert result.reason.startswith("the level names no POTCAR for Cl, only for Li")
    slab = lithium_chloride.revised(pbc=(True, True, False))
    assert "periodic in all directions" in make().label(slab, tmp_path / "slab").reason
    assert not starts()


def test_atomate2s_own_double_of_vasp_accepts_the_inputs(monkeypatch, lithium_chloride, tmp_path):
    from types import SimpleNamespace

    from atomate2.utils.testing.vasp import monkeypatch_vasp
    from jobflow import CURRENT_JOB

    first = make().label(lithium_chloride, tmp_path / "first")
    for folder in ("inputs", "outputs"):
        (tmp_path / "reference" / folder).mkdir(parents=True)
    for name in ("INCAR", "POSCAR", "POTCAR.spec"):
        (tmp_path / "reference" / "inputs" / name).write_bytes((tmp_path / "first/start-1" / name).read_bytes())
    for name in ("INCAR", "OUTCAR", "CONTCAR", "vasprun.xml", "vasp.out"):
        (tmp_path / "reference" / "outputs" / name).write_bytes((tmp_path / "first/start-1" / name).read_bytes())
    monkeypatch.setattr(CURRENT_JOB, "job", SimpleNamespace(name="label"))
    with pytest.MonkeyPatch.context() as patch:
        for mock in monkeypatch_vasp(patch, tmp_path):
            mock({"label": "reference"})
            again = make().label(lithium_chloride, tmp_path / "again")
            assert (again.accepted, again.energy) == (True, first.energy)
            assert again.forces.tobytes() == first.forces.tobytes()
            with pytest.raises(EngineError, match=r"INCAR value of ENCUT is inconsistent: expected 550\.0, got 500\.0"):
                make(parameters={"ENCUT": 500}).label(lithium_chloride, tmp_path / "other")


def test_level_says_what_changes_an_energy_and_nothing_else(library):
    level = make().level()
    assert (level.engine, level.code, level.code_version) == ("vasp", "vasp", "6")
    assert (level.functional, level.dispersion, level.cutoff_ev, level.k_spacing) == ("PBE", "D3-BJ", 550.0, 0.3)
    assert level.parameters == {
        "EDIFF": 1e-6,
        "ENCUT": 550.0,
        "GGA": "Pe",
        "ISMEAR": 0,
        "ISPIN": 1,
        "IVDW": 12,
        "KGAMMA": True,
        "KSPACING": 0.3,
        "LASPH": True,
        "LMAXMIX": 4,
        "LREAL": False,
        "NSW": 0,
        "PREC": "Accurate",
        "SIGMA": 0.05,
    }
    assert [(entry.element, entry.title, entry.sha256) for entry in level.potentials] == [
        ("Cl", "Cl", None),
        ("Li", "Li_sv", None),
        ("O", "O", None),
        ("Zr", "Zr_sv", None),
    ]
    assert level.id == "lev_cb83148e1d5d9a9c1a03"  # as in every archive so far
    same = [{"encut": 550}, {"ALGO": "All", "NELM": 500}, {"NCORE": 8, "LWAVE": True}]
    assert {make(parameters=parameters).level().id for parameters in same} == {level.id}
    assert make(time_limit_s=5.0, max_attempts=7, note="for tests").level().id == level.id
    other = [{"ENCUT": 551}, {"ISMEAR": -5}, {"ISYM": 0}, {"LASPH": None}, {"LREAL": "Auto"}]
    levels = [make(parameters=parameters) for parameters in other]
    levels += [
        make(dispersion=None),
        make(functional="PBEsol"),
        make(version="6.4"),
        make(potcar_spec=False, potentials=POTCARS),
    ]
    levels += [make(potentials={**POTCARS, "Zr": "Zr"})]
    ids = {engine.level().id for engine in levels}
    assert len(ids | {level.id}) == len(levels) + 1


def test_level_holds_the_content_of_the_potcars_wherever_they_lie(library, monkeypatch, tmp_path):
    engine = make(potcar_spec=False, potentials=POTCARS)
    level = engine.level()
    assert [entry.title for entry in level.potentials] == [
        "PAW_PBE Cl 01Jan2001",
        "PAW_PBE Li_sv 01Jan2001",
        "PAW_PBE Zr_sv 01Jan2001",
    ]
    assert all(len(entry.sha256) == 64 for entry in level.potentials)
    elsewhere = tmp_path / "elsewhere" / "potpaw_PBE.54"
    for symbol in POTCARS.values():
        write_potcar(elsewhere / f"POTCAR.{symbol}", symbol, extra="   SHA256 =  00ff\n   COPYR  = none")
        plain = (elsewhere / f"POTCAR.{symbol}").read_bytes()
        (elsewhere / f"POTCAR.{symbol}").unlink()
        (elsewhere / f"POTCAR.{symbol}.gz").write_bytes(gzip.compress(plain))
    monkeypatch.setenv("PMG_VASP_PSP_DIR", str(elsewhere.parent))
    assert engine.level().id == level.id
    write_potcar(elsewhere / "Cl" / "POTCAR", "Cl", number="1.1")
    assert engine.level().id != level.id


def test_a_missing_potcar_says_what_to_set(library, monkeypatch, tmp_path):
    with pytest.raises(InputError, match=r"POTCAR 'Zr_pv' is not in .*POT_GGA_PAW_PBE_54 .*there are Zr, Zr_sv"):
        make(potcar_spec=False, potentials={"Zr": "Zr_pv"}).level()
    with pytest.raises(InputError, match="there is none for Na"):
        make(potcar_spec=False, potentials={"Na": "Na"}).level()
    with pytest.raises(InputError, match=r"has no folder POT_PAW_PBE_64 or .*: POTCARs of PBE_64 are expected as <PMG"):
        make(potcar_spec=False, potcar_functional="PBE_64").level()
    (library / "POT_GGA_PAW_PBE_54" / "Cl" / "POTCAR").write_text("nothing")
    with pytest.raises(InputError, match="Cl/POTCAR is no POTCAR: it has no TITEL"):
        make(potcar_spec=False, potentials=POTCARS).level()
    monkeypatch.setenv("PMG_VASP_PSP_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="nowhere, which is not a folder"):
        make(potcar_spec=False).level()
    from pymatgen.core import SETTINGS

    monkeypatch.delenv("PMG_VASP_PSP_DIR")
    monkeypatch.delitem(SETTINGS, "PMG_VASP_PSP_DIR", raising=False)
    with pytest.raises(
        InputError, match=r"not known on this machine: set PMG_VASP_PSP_DIR .* to the folder that holds them as <PMG"
    ):
        make(potcar_spec=False).level()


def test_a_campaign_file_builds_the_engine():
    spec = LevelSpec(
        engine="vasp",
        dispersion="D3-BJ",
        functional="PBEsol",
        potentials={"Li": "Li", "Cl": "Cl"},
        parameters={"encut": 600, "potcar_functional": "PBE_64", "potcar_spec": True},
        version="6.4.2",
        time_limit_s=3600,
        max_attempts=3,
        note="production",
    )
    assert make_labeller(spec) == VaspLabeller(
        functional="PBEsol",
        dispersion="D3-BJ",
        potentials={"Li": "Li", "Cl": "Cl"},
        parameters={"encut": 600},
        version="6.4.2",
        potcar_functional="PBE_64",
        potcar_spec=True,
        note="production",
        max_attempts=3,
        time_limit_s=3600,
    )
    assert make_labeller(LevelSpec(engine="vasp")) == VaspLabeller()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"functional": "B97"}, "functional 'B97' is not one that the vasp engine knows, accepted: PBE, PBEsol"),
        ({"dispersion": "D4"}, "dispersion 'D4' is not known, accepted: D3-BJ, D3-zero, or none"),
        ({"functional": "r2SCAN"}, "no damping parameters for r2SCAN, set VDW_S8, VDW_A1, VDW_A2"),
        ({"parameters": {"ENCUTT": 500}}, "INCAR tag ENCUTT is not one that VASP knows, did you mean ENCUT"),
        ({"parameters": {"ENCUT": "high"}}, "INCAR tag ENCUT = 'high' should be a number"),
        ({"parameters": {"ISPIN": 1.5}}, r"INCAR tag ISPIN = 1\.5 should be a whole number"),
        ({"parameters": {"LASPH": 1}}, "INCAR tag LASPH = 1 should be true or false"),
        ({"parameters": {"ENCUT": None}}, "INCAR tag ENCUT cannot be left to VASP"),
        ({"parameters": {"NSW": 10}}, "INCAR tag NSW cannot be set: a label is one single point"),
        ({"parameters": {"GGA": "PS"}}, "INCAR tag GGA cannot be set: the functional is chosen by `functional`"),
        ({"parameters": {"MAGMOM": [1, 2]}}, "MAGMOM cannot be set: a level sets the same tags for every structure"),
        ({"parameters": {"ALGO": "CHI"}}, "ALGO = CHI is no way to a total energy, accepted: Normal, Fast"),
        ({"parameters": {"IVDW": 4}}, "IVDW = 4: the dispersion is already chosen as D3-BJ"),
        ({"dispersion": None, "parameters": {"IVDW": 11}}, "IVDW = 11: write it as `dispersion: D3-zero`"),
        ({"potentials": {"Zr": "Li_sv"}}, "'Li_sv' is no POTCAR of Zr, accepted: names such as Zr or Zr_sv"),
        ({"potcar_functional": "PBE_99"}, "potcar_functional 'PBE_99' is not known, accepted: PBE_52, PBE_54, PBE_64"),
        ({"potcar_spec": "yes"}, "potcar_spec = 'yes' should be true or false"),
    ],
)
def test_settings_that_cannot_be_used_are_told_in_a_sentence(settings, words):
    with pytest.raises(InputError, match=words) as caught:
        make(**settings)
    assert "\n" not in str(caught.value)


def test_keys_of_another_engine_are_refused():
    with pytest.raises(InputError, match="calculator = 'tblite' is a key of the engine ase, not of vasp"):
        make_labeller(LevelSpec(engine="vasp", calculator="tblite"))


def test_every_default_tag_is_one_that_can_be_set_or_is_refused_on_purpose():
    given = {name: value for name, value in DEFAULT_TAGS.items() if name != "NSW"}
    assert tags_of_level("PBE", None, given) == tags_of_level("PBE", None, {})


REAL_TAGS = {
    "vasprun_pstress.xml": {"PSTRESS": 1.0},
    "vasprun_dfpt.xml": {
        "PREC": "Accurate",
        "ADDGRID": True,
        "IBRION": 0,
        "EDIFF": 1e-8,
        "EDIFFG": -1e-5,
        "NSW": 0,
        "ISIF": 2,
        "ENCUT": 400.0,
        "LREAL": False,
        "ISMEAR": 0,
        "SIGMA": 0.1,
        "GGA": "Pe",
        "LEPSILON": True,
    },
}


@pytest.mark.parametrize("name", REAL_TAGS)
def test_output_of_a_real_vasp_is_read_as_ase_reads_it(name, tmp_path):
    """Files of VASP 6.3 that come with ASE: diamond under pressure, NaCl."""
    import ase.test
    from ase.io import read
    from pymatgen.io.vasp.inputs import Incar

    source = Path(ase.test.__file__).parent / "testdata" / "vasp" / name
    if not source.exists():
        pytest.skip("this ASE brings no output of VASP")
    (tmp_path / "vasprun.xml").write_bytes(source.read_bytes())
    atoms = read(source)
    tags = REAL_TAGS[name]
    Incar(tags).write_file(tmp_path / "INCAR")
    symbols = tuple(atoms.get_chemical_symbols())
    potcars = {symbol: Potcar(symbol, symbol, symbol) for symbol in symbols}
    order = np.arange(len(atoms))
    reading = read_run(tmp_path, Sent(order, symbols, atoms.cell.array, atoms.positions, tags, potcars))
    assert reading.reason == ""
    assert reading.converged
    enthalpy = tags.get("PSTRESS", 0.0) / 1602.1766208 * atoms.get_volume()  # which ASE takes off: PSTRESS is refused
    assert reading.energy - enthalpy == pytest.approx(atoms.get_potential_energy(force_consistent=True), abs=1e-8)
    assert reading.energy_zero - enthalpy == pytest.approx(atoms.get_potential_energy(), abs=1e-8)
    np.testing.assert_allclose(reading.forces, atoms.get_forces(), atol=1e-10)
    np.testing.assert_allclose(reading.stress, atoms.get_stress(voigt=False), rtol=1e-6, atol=1e-10)
    assert reading.executable.startswith("vasp 6.3.")
    tightened = read_run(
        tmp_path, Sent(order, symbols, atoms.cell.array, atoms.positions, {**tags, "ENCUT": 550.0}, potcars)
    )
    assert "it is not at the level of theory" in tightened.reason


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("Pe", "PE", True),
        ("Accurate", "accura", True),
        ("Normal", "Accurate", False),
        (550.0, 550, True),
        (1e-6, 1e-5, False),
        (False, False, True),
        (False, 0, False),
        (False, "Auto", False),
        (False, " .FALSE. ", True),
        (True, "T", True),
        ([1, 2], (1, 2), True),
        ("", "PE", False),
    ],
)
def test_values_are_compared_as_vasp_reads_them(first, second, same):
    assert same_value(first, second) is same


def test_cores_are_counted_as_either_vasp_prints_them(tmp_path):
    outcar = tmp_path / "OUTCAR"
    assert cores_in(tmp_path) == 1
    outcar.write_text(" running on   24 total cores\n distrk:  each k-point on   24 cores,    1 groups\n")
    assert cores_in(tmp_path) == 24
    outcar.write_text(" running    8 mpi-ranks, with    3 threads/rank, on    1 nodes\n")
    assert cores_in(tmp_path) == 24


def test_every_element_of_a_campaign_needs_a_potcar():
    engine = VaspLabeller(potentials={"Li": "Li_sv", "Cl": "Cl"}, potcar_spec=True)
    engine.require(["Li", "Cl"])
    with pytest.raises(InputError, match=r"labelling.potentials: vasp is told no potential of Zr, only of Li, Cl"):
        engine.require(["Li", "Zr", "Cl"])
