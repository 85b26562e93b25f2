"""Files of other programs: their numbers against independent ones, their levels of theory, what is wrong with them."""

import gzip
import math
import os
import re
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import read, write

from lizrcl_flows.documents import Level
from lizrcl_flows.errors import InputError, NotFoundError
from lizrcl_flows.science.imports.extended_xyz import XyzKeys
from lizrcl_flows.science.imports.incar_tags import level_parameters, plain_value
from lizrcl_flows.science.imports.level_files import described_level, read_level_file
from lizrcl_flows.science.imports.methods import (
    Method,
    differences,
    dispersion_name,
    functional_name,
    level_of,
    merged,
    method_of,
    with_k_spacing,
)
from lizrcl_flows.science.imports.reading import ReadOptions, find_sources, read_source

TESTS = Path(__file__).parent.parent
STAND_IN = TESTS / "programs" / "stand_in_vasp.py"
INCAR = {
    "ENCUT": "550",
    "GGA": "Pe",
    "IVDW": "12",
    "ISMEAR": "0",
    "SIGMA": "0.05",
    "EDIFF": "1e-06",
    "PREC": "Accurate",
}
INCAR |= {"KSPACING": "0.3", "LASPH": ".TRUE.", "LREAL": ".FALSE.", "NSW": "0", "NCORE": "4", "LWAVE": "False"}
COLUMNS = "Properties=species:S:1:pos:R:3:forces:R:3"
LATTICE = 'Lattice="4 0 0 0 5 0 0 0 6" pbc="T T T"'


@pytest.fixture(scope="module")
def crystal() -> Atoms:
    """A rattled cell of LiCl."""
    atoms = bulk("LiCl", "rocksalt", a=5.13, cubic=True)
    atoms = atoms[np.argsort(atoms.numbers, kind="stable")]
    atoms.rattle(0.05, seed=1)
    return atoms


@pytest.fixture(scope="module")
def toy():
    """The potential behind the stand-in, evaluated in another way."""
    sys.path.insert(0, str(TESTS / "calculators"))
    from toy_calculator import ToyIonic

    yield ToyIonic
    sys.path.remove(str(TESTS / "calculators"))


def run_vasp(folder: Path, atoms: Atoms, incar: dict[str, str] = INCAR, **settings: str) -> Path:
    """Run the stand-in for VASP in a folder; return its vasprun.xml."""
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "POSCAR", atoms, format="vasp")
    (folder / "INCAR").write_text("".join(f"{tag} = {value}\n" for tag, value in incar.items()))
    names = dict.fromkeys(atoms.get_chemical_symbols())
    (folder / "POTCAR.spec").write_text("\n".join(names) + "\n")
    told = {f"STAND_IN_VASP_{name.upper()}": value for name, value in settings.items()}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STAND_IN_VASP_")}
    command = [sys.executable, str(STAND_IN)]
    subprocess.run(command, cwd=folder, env={**environment, **told}, capture_output=True, check=False)
    return folder / "vasprun.xml"


@pytest.fixture(scope="module")
def vasprun(tmp_path_factory, crystal) -> Path:
    return run_vasp(tmp_path_factory.mktemp("run"), crystal)


def content_of(path: Path, **options):
    (source,) = find_sources([path])
    return read_source(source, ReadOptions(**options))


def edited(path: Path, target: Path, *changes: tuple[str, str]) -> Path:
    text = path.read_text()
    for old, new in changes:
        assert re.search(old, text), old
        text = re.sub(old, new, text)
    target.write_text(text)
    return target


def test_a_vasprun_gives_the_numbers_of_the_calculator_behind_it(vasprun, crystal, toy) -> None:
    (frame,) = content_of(vasprun).frames
    crystal.calc = toy(dispersion=True)
    assert frame.reason == ""
    assert frame.numbers.tolist() == crystal.numbers.tolist()
    assert frame.positions == pytest.approx(crystal.positions, abs=1e-7)
    assert frame.energy == pytest.approx(crystal.get_potential_energy(), abs=1e-6)
    assert frame.energy_zero == pytest.approx(frame.energy + 0.02 * 0.05 * len(crystal), abs=1e-6)
    assert frame.forces == pytest.approx(crystal.get_forces(), abs=1e-6)
    assert frame.stress == pytest.approx(crystal.get_stress(voigt=False), abs=1e-7)
    assert frame.n_scf == 12


def test_pymatgen_and_ase_read_the_same_from_that_file(vasprun) -> None:
    from pymatgen.io.vasp import Vasprun

    (frame,) = content_of(vasprun).frames
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = Vasprun(str(vasprun), parse_dos=False, parse_eigen=False, parse_potcar_file=False).ionic_steps[0]
        atoms = read(vasprun, format="vasp-xml")
    assert np.array_equal(frame.forces, theirs["forces"])
    assert frame.stress == pytest.approx(np.array(theirs["stress"]) * -0.1 / 160.21766208, abs=1e-12)
    assert frame.energy == theirs["e_fr_energy"] == atoms.calc.results["free_energy"]
    assert frame.energy_zero == pytest.approx(atoms.get_potential_energy(), abs=1e-9)
    assert frame.positions == pytest.approx(atoms.positions, abs=1e-12)
    assert frame.stress == pytest.approx(atoms.get_stress(voigt=False), rel=1e-5)


def test_stress_is_the_derivative_of_the_energy(tmp_path, crystal) -> None:
    step, energies = 1e-3, []
    for sign in (-1, 1):
        strained = crystal.copy()
        strained.set_cell(crystal.cell * (1 + sign * step), scale_atoms=True)
        energies.append(content_of(run_vasp(tmp_path / str(sign), strained)).frames[0].energy)
    stress = content_of(run_vasp(tmp_path / "0", crystal)).frames[0].stress
    derivative = (energies[1] - energies[0]) / (2 * step) / crystal.get_volume()
    assert np.trace(stress) == pytest.approx(derivative, rel=2e-3)


def test_a_vasprun_tells_its_level_of_theory(vasprun) -> None:
    method = content_of(vasprun).method
    assert (method.code, method.code_version, method.functional, method.dispersion) == ("vasp", "6.4.2", "PBE", "D3-BJ")
    assert (method.cutoff_ev, method.k_spacing) == (550.0, 0.3)
    assert method.potentials == {"Li": "PAW_PBE Li 01Jan2000", "Cl": "PAW_PBE Cl 01Jan2000"}
    settled = {"EDIFF": 1e-6, "ISMEAR": 0, "SIGMA": 0.05, "ISPIN": 1, "LASPH": True, "LREAL": False, "PREC": "Accurate"}
    assert method.parameters == settled


def test_labels_of_our_own_vasp_engine_and_imported_ones_agree_about_the_level(vasprun) -> None:
    own = Level(
        engine="vasp",
        code="vasp",
        code_version="6.4",
        functional="PBE",
        dispersion="D3-BJ",
        cutoff_ev=550.0,
        k_spacing=0.3,
        potentials=({"element": "Cl", "title": "Cl"}, {"element": "Li", "title": "PAW_PBE Li 01Jan2000"}),
        parameters={
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
        },
    )
    found = content_of(vasprun).method
    assert differences(method_of(own), found) == []
    other = own.revised(parameters={**own.parameters, "ADDGRID": True})
    assert [difference.what for difference in differences(method_of(other), found)] == ["ADDGRID"]
    assert method_of(level_of(found)) == replace(found, mesh_spacing=None)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ((('name="ENCUT"> 550', 'name="ENCUT"> 520'),), "ENCUT"),
        ((('name="GGA">Pe', 'name="GGA">PS'),), "functional"),
        ((('name="IVDW"> 12', 'name="IVDW"> 11'),), "dispersion"),
        (((r'name="version" type="string">6.4.2', 'name="version" type="string">6.3.0'),), "version"),
        ((("PAW_PBE Li 01Jan2000", "PAW_PBE Li_sv 10Sep2004"),), "the potential of Li"),
        ((('name="SIGMA">      0.05', 'name="SIGMA">      0.1'),), "SIGMA"),
        ((("</incar>", '<i name="AGGAX"> 0.5 </i>\n</incar>'),), "AGGAX"),
        ((("</incar>", '<i type="logical" name="LSORBIT"> T </i>\n</incar>'),), "LSORBIT"),
        ((("</incar>", '<i type="int" name="KPAR"> 4 </i><i type="int" name="ALGO">Fast</i>\n</incar>'),), None),
        ((("</incar>", '<i type="logical" name="LSORBIT"> F </i>\n</incar>'),), None),
        (((r'"divisions"> \d+ \d+ \d+', '"divisions"> 2 2 2'),), "KSPACING"),
    ],
)  # fmt: skip
def test_what_changes_energies_makes_another_level_and_nothing_else(vasprun, tmp_path, changes, what) -> None:
    other = content_of(edited(vasprun, tmp_path / "vasprun.xml", *changes)).method
    found = [difference.what for difference in differences(content_of(vasprun).method, other)]
    assert found[:1] == ([what] if what else [])


def test_files_of_other_elements_may_share_a_level(vasprun, tmp_path) -> None:
    zirconia = bulk("ZrO2", "fluorite", a=5.09)
    first, second = content_of(vasprun).method, content_of(run_vasp(tmp_path, zirconia)).method
    assert differences(first, second) == []
    assert set(merged(first, second).potentials) == {"Li", "Cl", "Zr", "O"}


def test_hubbard_values_are_compared_by_element() -> None:
    first = level_parameters({"LDAU": "T", "LDAUU": ["3.0", "0"]}, {}, ["Zr", "O"])
    second = level_parameters({"LDAU": "T", "LDAUU": ["0", "4.0"]}, {}, ["Li", "Zr"])
    assert first["LDAUU"] == {"Zr": 3, "O": 0}
    methods = [Method("vasp", "6.4.2", parameters=parameters) for parameters in (first, second)]
    assert [difference.what for difference in differences(*methods)] == ["LDAUU of Zr"]


def test_a_mesh_of_its_own_follows_a_rule_only_if_it_is_dense_enough(vasprun, tmp_path) -> None:
    method = content_of(edited(vasprun, tmp_path / "vasprun.xml", ('.*name="KSPACING"> +0.3.*\n', ""))).method
    spacing = 2 * math.pi / 5.13 / 5
    assert (method.k_spacing, method.parameters["KPOINTS"]) == (None, "Gamma 5 5 5")
    assert method.mesh_spacing == pytest.approx(spacing)
    assert with_k_spacing(method, 0.25) == replace(
        method, k_spacing=0.25, parameters={k: v for k, v in method.parameters.items() if k != "KPOINTS"}
    )
    assert with_k_spacing(method, 0.2) == method


@pytest.mark.parametrize(
    ("tags", "titles", "name"),
    [
        ({"GGA": "PE"}, {}, "PBE"),
        ({"GGA": "--"}, {"Li": "PAW_PBE Li 17Jan2003"}, "PBE"),
        ({}, {"Li": "PAW Li 17Jan2003"}, "LDA"),
        ({"METAGGA": "R2scan"}, {"Li": "PAW_PBE Li 17Jan2003"}, "r2SCAN"),
        ({"GGA": "PE", "LHFCALC": "T", "HFSCREEN": "0.2"}, {}, "HSE06"),
        ({"GGA": "PE", "LHFCALC": "T"}, {}, "PBE0"),
        ({"GGA": "BO", "LUSE_VDW": "T"}, {}, "optB88 + vdW kernel"),
        ({"GGA": "PE  ! of Perdew"}, {}, "PBE"),
    ],
)
def test_functionals_are_named(tags, titles, name) -> None:
    assert functional_name(tags, titles) == name


def test_dispersion_and_values_are_named_in_one_way() -> None:
    assert [dispersion_name(value) for value in (0, "11", 12.0, 77)] == [None, "D3-zero", "D3-BJ", "IVDW 77"]
    assert [plain_value("PREC", word) for word in ("accura", "Accurate", "normal")] == [
        "Accurate",
        "Accurate",
        "Normal",
    ]
    assert [plain_value("LASPH", word) for word in (".TRUE.", "T", False)] == [True, True, False]
    assert [plain_value("LREAL", word) for word in ("Auto", "A", ".FALSE.")] == ["Auto", "Auto", False]


@pytest.fixture(scope="module")
def dynamics(tmp_path_factory, crystal) -> Path:
    """A vasprun.xml of three ionic steps, the second of which has not converged."""
    folder = tmp_path_factory.mktemp("dynamics")
    steps, text = [], ""
    for step in range(3):
        atoms = crystal.copy()
        atoms.rattle(0.02, seed=step)
        settings = {"misbehave": "unconverged"} if step == 1 else {}
        text = run_vasp(folder / str(step), atoms, **settings).read_text()
        steps.append(re.search(r"<calculation>.*</calculation>\n", text, re.DOTALL)[0])
    path = folder / "vasprun.xml"
    path.write_text(re.sub(r"<calculation>.*</calculation>\n", "".join(steps).replace("\\", ""), text, flags=re.DOTALL))
    return path


def test_every_ionic_step_is_a_frame_and_says_whether_it_converged(dynamics) -> None:
    frames = content_of(dynamics).frames
    assert [frame.number for frame in frames] == [1, 2, 3]
    assert [bool(frame.reason) for frame in frames] == [False, True, False]
    assert "had not converged after 60 (NELM = 60)" in frames[1].reason
    assert len({frame.energy for frame in frames}) == 3
    assert [frame.number for frame in content_of(dynamics, last_only=True).frames] == [3]


@pytest.mark.parametrize("compressed", [False, True])
def test_of_a_file_that_was_cut_short_the_whole_steps_are_used(dynamics, tmp_path, compressed) -> None:
    data = dynamics.read_bytes()
    if compressed:
        packed = gzip.compress(data, 1)
        path = tmp_path / "vasprun.xml.gz"
        path.write_bytes(packed[: int(len(packed) * 0.9)])
    else:
        path = tmp_path / "vasprun.xml"
        path.write_bytes(data[: data.rindex(b"<calculation>") + 900])
    content = content_of(path)
    assert [frame.number for frame in content.frames] == [1, 2]
    assert "ends early; the 2 complete ionic steps before are used" in content.problems[0]
    assert content.problems[0].startswith(path.name)


@pytest.mark.parametrize(
    ("misbehave", "words"), [("nan", "the forces are not finite"), ("net_force", "add up to 1.6 eV/A, more than 0.1")]
)
def test_numbers_that_make_no_sense_are_no_label(tmp_path, crystal, misbehave, words) -> None:
    path = run_vasp(tmp_path, crystal, misbehave=misbehave)
    assert words in content_of(path).frames[0].reason
    assert (content_of(path, net_force=2.0).frames[0].reason == "") is (misbehave == "net_force")


def test_atoms_that_overlap_are_no_label(tmp_path, vasprun) -> None:
    doubled = Atoms(
        "LiClLiCl", positions=[(0, 0, 0), (2.5, 0, 0), (0, 0.3, 0), (2.5, 2.5, 0)], cell=[5, 5, 5], pbc=True
    )
    doubled = doubled[np.argsort(doubled.numbers, kind="stable")]
    assert "atoms overlap" in content_of(run_vasp(tmp_path, doubled)).frames[0].reason


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ((("</incar>", '<i type="int" name="ICHARG"> 11</i>\n</incar>'),), "ICHARG = 11: the density was kept fixed"),
        ((("</incar>", '<i type="int" name="IMAGES"> 4</i>\n</incar>'),), "chain of images"),
        ((("<rc><c>Li", "<rc><c>Qq"),), "unknown elements Qq"),
        (((r"<calculation>(.|\n)*</calculation>\n", ""),), "no complete ionic step"),
    ],
)
def test_what_can_be_no_label_at_all_is_said(vasprun, tmp_path, changes, words) -> None:
    content = content_of(edited(vasprun, tmp_path / "vasprun.xml", *changes))
    assert content.frames == ()
    assert words in content.problems[0]
    assert "\n" not in content.problems[0]


def test_a_file_that_is_no_xml_is_said(tmp_path) -> None:
    (tmp_path / "vasprun.xml").write_text("no xml\n")
    assert content_of(tmp_path / "vasprun.xml").problems[0].startswith("vasprun.xml: line 1")


def test_steps_without_forces_or_electrons_are_no_labels(vasprun, tmp_path) -> None:
    bare = edited(vasprun, tmp_path / "vasprun.xml", (r'<varray name="forces" >(.|\n)*?</varray>\n', ""))
    assert content_of(bare).frames[0].reason == "the calculation has no forces"
    learnt = edited(vasprun, tmp_path / "vasprun.1.xml", (r"<scstep>(.|\n)*</scstep>\n", ""))
    assert "no electronic step" in content_of(learnt).frames[0].reason


OUTCAR = """ vasp.6.4.2 20Jul23 (build for a test) complex
 INCAR:
   EDIFF = 1e-06
   ENCUT = 550
   IVDW = 12
   KSPACING = 0.3
   NELM = 5
   PREC = Accurate
 POTCAR:    PAW_PBE Li_sv 10Sep2004
 POTCAR:    PAW_PBE Cl 06Sep2000
 POTCAR:    PAW_PBE Li_sv 10Sep2004
 POTCAR:    PAW_PBE Cl 06Sep2000
   VRHFIN =Li: 1s2s2p
   TITEL  = PAW_PBE Li_sv 10Sep2004
   VRHFIN =Cl: s2p5
   TITEL  = PAW_PBE Cl 06Sep2000
 generate k-points for:    5    6    4
   number of dos      NEDOS =    301   number of ions     NIONS =      2
   k-points           NKPTS =      1   k-points in BZ     NKDIM =      1   number of bands    NBANDS=     16
   PREC   = accura    normal or accurate (medium, high low for compatibility)
   ISPIN  =      1    spin polarized calculation?
   LASPH  =      T    aspherical Exc in radial PAW
   METAGGA=      F    non-selfconsistent MetaGGA calc.
   LREAL  =      F    real-space projection
   ISMEAR =     0;   SIGMA  =   0.05  broadening in eV -4-tet -1-fermi 0-gaus
   GGA     =    PE    GGA type
   ions per type =               1   1
 k-points in reciprocal lattice and weights: made for a test
   0.00000000  0.00000000  0.00000000       1.000
"""
OUTCAR_STEP = """{iterations}
{end}
  in kB      10.00000    20.00000    30.00000     4.00000     5.00000     6.00000
 VOLUME and BASIS-vectors are now :
      direct lattice vectors                 reciprocal lattice vectors
     4.500000000  0.000000000  0.000000000     0.222222222  0.000000000  0.000000000
     0.000000000  4.000000000  0.000000000     0.000000000  0.250000000  0.000000000
     0.000000000  0.000000000  6.000000000     0.000000000  0.000000000  0.166666667
 POSITION                                       TOTAL-FORCE (eV/Angst)
 -----------------------------------------------------------------------------------
      0.00000      0.00000      0.00000         0.100000      0.200000      0.300000
      2.10000      2.00000      3.00000        -0.100000     -0.200000     -0.300000
 -----------------------------------------------------------------------------------
    total drift:                                0.000000      0.000000      0.000000
  FREE ENERGIE OF THE ION-ELECTRON SYSTEM (eV)
  ---------------------------------------------------
  free  energy   TOTEN  =        -7.{number}2345678 eV

  energy  without entropy=       -7.10000000  energy(sigma->0) =       -7.{number}1000000
"""


def outcar(path: Path, *steps: tuple[int, bool]) -> Path:
    """Write an OUTCAR whose ionic steps took so many electronic steps and reached EDIFF or not."""
    text = OUTCAR
    for number, (n_scf, reached) in enumerate(steps, 1):
        iterations = "\n".join(f"----- Iteration {number:6d}({step + 1:4d})  -----" for step in range(n_scf))
        end = "------- aborting loop because EDIFF is reached -------" if reached else ""
        text += OUTCAR_STEP.format(iterations=iterations, end=end, number=number)
    path.write_text(text)
    return path


def test_an_outcar_gives_its_numbers_and_its_level(tmp_path) -> None:
    content = content_of(outcar(tmp_path / "OUTCAR", (4, True), (5, False), (3, False)))
    first, *others = content.frames
    assert content.problems == ()
    assert (first.energy, first.energy_zero, first.n_scf) == (-7.12345678, -7.11, 4)
    assert first.forces.tolist() == [[0.1, 0.2, 0.3], [-0.1, -0.2, -0.3]]
    xx, yy, zz, xy, yz, zx = (-kilobar / 1602.1766208 for kilobar in (10, 20, 30, 4, 5, 6))
    assert first.stress == pytest.approx(np.array([[xx, xy, zx], [xy, yy, yz], [zx, yz, zz]]), rel=1e-6)
    assert [first.reason, *(frame.reason.split(" after")[0] for frame in others)] == [
        "",
        "the electronic steps had not converged",
        "the electronic steps ended",
    ]
    method = content.method
    assert (method.functional, method.dispersion, method.cutoff_ev, method.k_spacing) == ("PBE", "D3-BJ", 550.0, 0.3)
    assert method.potentials == {"Li": "PAW_PBE Li_sv 10Sep2004", "Cl": "PAW_PBE Cl 06Sep2000"}


def test_an_outcar_and_a_vasprun_of_the_same_settings_share_their_level(tmp_path, vasprun) -> None:
    titles = (("Li 01Jan2000", "Li_sv 10Sep2004"), ("Cl 01Jan2000", "Cl 06Sep2000"))
    retitled = edited(vasprun, tmp_path / "vasprun.xml", *titles)
    methods = [content_of(path).method for path in (retitled, outcar(tmp_path / "OUTCAR", (4, True)))]
    assert differences(*methods) == []


@pytest.mark.parametrize("text", ["", "nothing of VASP\n", OUTCAR])
def test_an_outcar_without_a_step_is_said(tmp_path, text) -> None:
    (tmp_path / "OUTCAR").write_text(text)
    content = content_of(tmp_path / "OUTCAR")
    assert content.frames == ()
    assert content.problems[0].startswith("OUTCAR: ")


FORCES = "0.5 -0.25 0.125", "-0.5 0.25 -0.125"
ROWS = f"Li 0.0 0.0 0.0 {FORCES[0]}\nCl 2.0 2.5 3.0 {FORCES[1]}\n"
TENSOR = np.array([[0.01, 0.002, 0.003], [0.002, 0.02, 0.004], [0.003, 0.004, 0.03]])


def xyz(path: Path, *headers: str, rows: str = ROWS) -> Path:
    path.write_text("".join(f"2\n{header}\n{rows}" for header in headers))
    return path


def words(values: np.ndarray) -> str:
    return " ".join(repr(float(value)) for value in np.ravel(values))


@pytest.mark.parametrize(
    ("header", "has_stress"),
    [
        (f'energy=-7.5 virial="{words(-TENSOR * 120)}" {LATTICE} {COLUMNS}', True),  # GPUMD
        (f'energy=-7.5 stress="{words(TENSOR)}" {LATTICE} {COLUMNS}', True),  # ASE
        (f'Energy=-7.5 stress="0.01 0.02 0.03 0.004 0.003 0.002" {LATTICE} {COLUMNS}', True),  # Voigt
        (f'REF_energy=-7.5 REF_stress="{words(TENSOR)}" {LATTICE} {COLUMNS.replace("forces", "REF_forces")}', True),
        (f'REF_energy=-7.5 REF_virials="{words(-TENSOR * 120)}" {LATTICE} {COLUMNS.replace("forces", "force")}', True),
        (f'energy=-7.4 free_energy=-7.5 {LATTICE} {COLUMNS} config_type="a=b c"', False),
        (f"label_energy=-7.5 {LATTICE} {COLUMNS.replace('forces', 'label_forces')} status=accepted", False),
    ],
)
def test_dialects_of_extended_xyz(tmp_path, header, has_stress) -> None:
    content = content_of(xyz(tmp_path / "a.xyz", header))
    (frame,) = content.frames
    assert content.problems == ()
    assert (frame.energy, frame.reason) == (-7.5, "")
    assert frame.energy_zero == (-7.4 if "free_energy" in header else None)
    assert words(frame.forces) == " ".join(repr(float(number)) for number in " ".join(FORCES).split())
    assert (frame.stress == pytest.approx(TENSOR, abs=1e-12)) if has_stress else frame.stress is None
    assert frame.numbers.tolist() == [3, 17]


def test_what_ase_writes_and_reads_is_read_alike(tmp_path, crystal, toy) -> None:
    atoms = crystal.copy()
    atoms.calc = toy()
    atoms.get_potential_energy(), atoms.get_stress()
    write(tmp_path / "a.extxyz", atoms)
    frame, theirs = content_of(tmp_path / "a.extxyz").frames[0], read(tmp_path / "a.extxyz")
    assert np.array_equal(frame.forces, theirs.get_forces())
    assert frame.energy == theirs.get_potential_energy()
    assert frame.stress == pytest.approx(theirs.get_stress(voigt=False), abs=1e-15)
    assert frame.stress == pytest.approx(atoms.get_stress(voigt=False), abs=1e-7)


@pytest.mark.parametrize(
    ("header", "rows", "sentence"),
    [
        (f"{LATTICE} {COLUMNS} temperature=3", ROWS, "no energy; it has temperature, accepted are energy, REF_energy"),
        (f"energy=1 {LATTICE} Properties=species:S:1:pos:R:3:velo:R:3", ROWS, "its columns are species, pos, velo;"),
        (f"energy=1 {COLUMNS}", ROWS, "no Lattice; nine numbers"),
        (f"energy=1 {LATTICE} {COLUMNS}", ROWS.replace("Li", "Lx"), "unknown elements Lx; chemical symbols"),
        (f"energy=1 REF_energy=2 {LATTICE} {COLUMNS}", ROWS, "energy and REF_energy differ; --energy-key says"),
        (f'energy=1 stress="{words(TENSOR)}" virial="{words(TENSOR * 120)}" {LATTICE} {COLUMNS}', ROWS,
         "virial and stress differ by 3.6 eV/atom"),
        (f"energy=one {LATTICE} {COLUMNS}", ROWS, 'energy="one" should be 1 number'),
        (f"energy=1 {LATTICE.replace('5', '0')} {COLUMNS}", ROWS, "the cell is singular"),
        (f"energy=1 {LATTICE} {COLUMNS}", ROWS.replace("2.5", "nan"), "position is not a finite number"),
    ],
)  # fmt: skip
def test_a_frame_that_is_no_label_is_named_and_the_others_go_on(tmp_path, header, rows, sentence) -> None:
    good = f"2\nenergy=1 {LATTICE} {COLUMNS}\n{ROWS}"
    (tmp_path / "b.xyz").write_text(f"{good}2\n{header}\n{rows}{good}")
    content = content_of(tmp_path / "b.xyz")
    assert [frame.number for frame in content.frames] == [1, 3]
    (problem,) = content.problems
    assert problem.startswith("b.xyz, ")
    assert "frame 2" in problem or "line 6" in problem
    assert sentence in problem


def test_keys_may_be_named(tmp_path) -> None:
    path = xyz(tmp_path / "a.xyz", f"energy=1 REF_energy=2 mace_energy=3 {LATTICE} {COLUMNS}")
    assert content_of(path, keys=XyzKeys(energy="REF_energy")).frames[0].energy == 2.0
    assert content_of(path, keys=XyzKeys(energy="mace_energy")).frames[0].energy == 3.0


def test_a_frame_that_its_file_calls_quarantined_is_left_out(tmp_path) -> None:
    path = xyz(tmp_path / "a.xyz", f'energy=1 {LATTICE} {COLUMNS} status=quarantined reason="a typo"')
    (frame,) = content_of(path).frames
    assert (frame.reason, frame.tentative) == ("the file calls it quarantined: a typo", True)


def test_a_malformed_xyz_is_used_up_to_there(tmp_path) -> None:
    header = f"energy=1 {LATTICE} {COLUMNS}"
    path = xyz(tmp_path / "a.xyz", header, header)
    path.write_text(path.read_text() + "2\n" + header + "\nLi 0 0\n")
    content = content_of(path)
    assert len(content.frames) == 2
    assert content.problems == (
        "a.xyz, line 9: the file ends inside the frame of 2 atoms that starts here; the 2 frames before are used",
    )


def test_which_files_of_a_folder_are_read(tmp_path) -> None:
    for name in ("a/vasprun.xml", "a/OUTCAR", "b/c/OUTCAR.gz", "b/vasprun.relax1.xml.gz", "b/train.xyz", "b/notes"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "a/vasprun.xml.gz").touch()
    names = [(source.name, source.kind) for source in find_sources([tmp_path])]
    assert names == [("a/vasprun.xml", "vasprun"), ("b/c/OUTCAR.gz", "outcar"), ("b/vasprun.relax1.xml.gz", "vasprun")]
    assert [source.kind for source in find_sources([tmp_path / "b/train.xyz", tmp_path / "b/train.xyz"])] == ["extxyz"]
    with pytest.raises(InputError, match=r"notes: what the file holds cannot be told from its name"):
        find_sources([tmp_path / "b/notes"])
    with pytest.raises(NotFoundError, match=r"nowhere' does not exist"):
        find_sources([tmp_path / "nowhere"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty: holds nothing to import, accepted are vasprun"):
        find_sources([tmp_path / "empty"])


def test_levels_are_described_in_files(tmp_path) -> None:
    path = tmp_path / "level.yaml"
    path.write_text(
        "code: cp2k\ncode_version: '2024.1'\nfunctional: PBE\ncutoff_ev: 5442.3\npotentials: {Li: GTH-q3}\n"
        "parameters: {EPS_SCF: 1e-6}\n"
    )
    level = read_level_file(path)
    assert (level.engine, level.code, level.potentials[0].title) == ("import", "cp2k", "GTH-q3")
    assert level.parameters == {"EPS_SCF": 1e-6}
    (tmp_path / "level.json").write_text(level.model_dump_json(by_alias=True))
    assert read_level_file(tmp_path / "level.json").id == level.id


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("code: vasp\nfunctonal: PBE\n", "unknown key 'functonal'; did you mean 'functional'?"),
        ("functional: PBE\n", "key 'code' is missing"),
        ("code: vasp\ncutoff_ev: high\n", "cutoff_ev: Input should be a valid number.* got 'high'"),
        ("- vasp\n", "a mapping with the keys engine, code"),
        ("a: [\n", "level.yaml: while parsing"),
    ],
)
def test_a_level_file_that_does_not_fit_is_said(tmp_path, text, sentence) -> None:
    (tmp_path / "level.yaml").write_text(text)
    with pytest.raises(InputError, match=sentence):
        read_level_file(tmp_path / "level.yaml")
    assert described_level({"code": "x"}, "here").code_version == "unspecified"
