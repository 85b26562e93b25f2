"""The files: round trips, both dialects, other readers, and files that are broken."""

import logging

import numpy as np
import pytest

from lizrcl_flows.errors import InputError
from lizrcl_flows.gpumd import (
    ModelXyz,
    Release,
    read_active,
    read_dump_xyz,
    read_model_xyz,
    read_msd,
    read_thermo,
    standard_mass,
    write_model_xyz,
)
from lizrcl_flows.gpumd.masses import ATOMIC_MASSES
from lizrcl_flows.units import GPA_PER_EV_A3

DUMP_EXYZ = """2
Time=100.5 pbc="T T F" Lattice="5 0 0 0 6 0 0.5 0 7" energy=-3.25 virial="1 2 3 4 5 6 7 8 9" \
stress="0.1 0 0 0 0.1 0 0 0 0.1" Properties=species:S:1:pos:R:3:vel:R:3:forces:R:3:energy_atom:R:1
Li 0.1 0.2 0.3 0.01 0.02 0.03 1.0 2.0 3.0 -1.5
Cl 1.1 1.2 1.3 -0.01 -0.02 -0.03 -1.0 -2.0 -3.0 -1.75
"""
DUMP_XYZ = """2
Time=7 pbc="T T T" Lattice="5 0 0 0 6 0 0.5 0 7" \
Properties=species:S:1:pos:R:3:mass:R:1:group:I:2:unwrapped_position:R:3:velocity:R:3:force:R:3:potential:R:1
Li 0.1 0.2 0.3 6.94 0 1 5.1 0.2 0.3 0.01 0.02 0.03 1.0 2.0 3.0 -1.5
Cl 1.1 1.2 1.3 35.45 1 0 1.1 1.2 1.3 -0.01 -0.02 -0.03 -1.0 -2.0 -3.0 -1.75
"""
ACTIVE_XYZ = """1
Time=20 pbc="T T T" uncertainty=0.45 Lattice="5 0 0 0 5 0 0 0 5" energy=-1 virial="0 0 0 0 0 0 0 0 0" \
stress="0 0 0 0 0 0 0 0 0" Properties=species:S:1:pos:R:3:uncertainty:R:1
Zr 1 2 3 0.45
"""


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def model():
    rng = np.random.default_rng(5)
    return ModelXyz(
        species=("Li", "Zr", "Cl"),
        cell=np.array([[6.3, 0, 0], [-3.15, 5.456, 0], [0.1, 0.2, 11.8]]) + rng.normal(size=(3, 3)) * 1e-9,
        positions=rng.normal(size=(3, 3)) * 20,
        pbc=np.array([True, True, False]),
        masses=np.array([6.94, 91.224, 35.453]),
        velocities=rng.normal(size=(3, 3)) * 1e-3,
        groups=np.array([[0, 1], [1, 1], [2, 0]]),
    )


def test_model_xyz_comes_back_bit_by_bit(tmp_path, model):
    write_model_xyz(tmp_path / "model.xyz", model)
    back = read_model_xyz(tmp_path / "model.xyz")
    assert back.species == model.species
    for name in ("cell", "positions", "pbc", "masses", "velocities", "groups"):
        np.testing.assert_array_equal(getattr(back, name), getattr(model, name))
    assert [path.name for path in tmp_path.iterdir()] == ["model.xyz"]


def test_model_xyz_is_what_ase_reads(tmp_path, model):
    from ase.io import read

    write_model_xyz(tmp_path / "model.xyz", model)
    atoms = read(tmp_path / "model.xyz", format="extxyz")
    assert atoms.get_chemical_symbols() == list(model.species)
    np.testing.assert_allclose(atoms.positions, model.positions, rtol=1e-15)
    np.testing.assert_allclose(atoms.cell[:], model.cell, rtol=1e-15)
    np.testing.assert_array_equal(atoms.pbc, model.pbc)


def test_model_xyz_of_calorine_is_read(tmp_path, model):
    from ase import Atoms
    from calorine.gpumd import write_xyz

    atoms = Atoms(model.species, positions=model.positions, cell=model.cell, pbc=model.pbc)
    write_xyz(str(tmp_path / "model.xyz"), atoms, groupings=[[[0], [1, 2]], [[0, 1], [2]]])
    back = read_model_xyz(tmp_path / "model.xyz")
    assert back.species == model.species
    np.testing.assert_allclose(back.positions, model.positions, atol=1e-7)
    np.testing.assert_array_equal(back.groups, [[0, 0], [1, 0], [1, 1]])


def test_model_xyz_keeps_nothing_that_a_model_said(tmp_path):
    text = DUMP_EXYZ.replace("Time=100.5 ", "")
    back = read_model_xyz(write(tmp_path / "model.xyz", text))
    assert not {"energy", "forces", "virial", "stress"} & set(vars(back))
    assert back.velocities is not None
    assert back.masses is None


def test_replicated_model(model):
    doubled = model.replicated((2, 1, 3))
    assert len(doubled.species) == 18
    assert np.linalg.det(doubled.cell) == pytest.approx(6 * np.linalg.det(model.cell))
    np.testing.assert_allclose(doubled.positions[3:6], model.positions + model.cell[2])
    np.testing.assert_array_equal(doubled.groups[3:6], model.groups)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("3\n", "line 1: the file ends inside"),
        ("x\n", "line 1: 'x' should be the number of atoms"),
        (DUMP_EXYZ + DUMP_EXYZ, "more than one frame"),
        (DUMP_EXYZ.replace("Lattice", "Box"), 'line 2: Lattice="..."'),
        (DUMP_EXYZ.replace("0.5 0 7", "0.5 0"), "should be 9 numbers"),
        (DUMP_EXYZ.replace("0.5 0 7", "0 6 0"), "no volume"),
        (DUMP_EXYZ.replace('"T T F"', '"T T"'), "three of T and F"),
        (DUMP_EXYZ.replace("Properties", "Columns"), "line 2: Properties= is missing"),
        (DUMP_EXYZ.replace("pos:R:3", "pos:R:2"), "pos:R:3"),
        (DUMP_EXYZ.replace("energy_atom:R:1", "energy_atom:X:1"), "energy_atom:X:1"),
        (DUMP_EXYZ.replace(" -1.75", ""), "line 4: 10 columns where Properties declares 11"),
        (DUMP_EXYZ.replace("1.2 1.3", "1.2 abc"), "line 4: 'abc' should be a number"),
    ],
)
def test_broken_model_xyz_is_refused_with_the_line(tmp_path, text, words):
    path = write(tmp_path / "model.xyz", text)
    with pytest.raises(InputError, match=r"model\.xyz") as caught:
        read_model_xyz(path)
    assert words in str(caught.value)


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match="There is no file"):
        read_model_xyz(tmp_path / "model.xyz")


def test_dump_of_the_old_dialect(tmp_path):
    frames = list(read_dump_xyz(write(tmp_path / "dump.xyz", DUMP_EXYZ * 3)))
    assert len(frames) == 3
    frame = frames[1]
    assert frame.species == ("Li", "Cl")
    assert frame.time_fs == 100.5
    np.testing.assert_array_equal(frame.pbc, [True, True, False])
    np.testing.assert_array_equal(frame.cell, [[5, 0, 0], [0, 6, 0], [0.5, 0, 7]])
    np.testing.assert_array_equal(frame.velocities[0], [0.01, 0.02, 0.03])
    assert frame.prediction.energy == -3.25
    np.testing.assert_array_equal(frame.prediction.forces[1], [-1, -2, -3])
    np.testing.assert_array_equal(frame.prediction.virial[1], [4, 5, 6])
    np.testing.assert_array_equal(frame.prediction.atom_energies, [-1.5, -1.75])
    assert not hasattr(frame, "energy")
    assert not hasattr(frame, "forces")


def test_dump_of_the_new_dialect(tmp_path):
    (frame,) = read_dump_xyz(write(tmp_path / "li.xyz", DUMP_XYZ))
    np.testing.assert_array_equal(frame.masses, [6.94, 35.45])
    np.testing.assert_array_equal(frame.groups, [[0, 1], [1, 0]])
    np.testing.assert_array_equal(frame.unwrapped_positions[0], [5.1, 0.2, 0.3])
    np.testing.assert_array_equal(frame.velocities[1], [-0.01, -0.02, -0.03])
    np.testing.assert_array_equal(frame.prediction.forces[0], [1, 2, 3])
    assert frame.prediction.energy is None


def test_active_xyz_has_its_deviation(tmp_path):
    (frame,) = read_dump_xyz(write(tmp_path / "active.xyz", ACTIVE_XYZ))
    assert frame.eps == 0.45
    np.testing.assert_array_equal(frame.eps_atoms, [0.45])


def test_frames_with_text_columns_are_read(tmp_path):
    text = DUMP_EXYZ.replace("energy_atom:R:1", "site:S:1").replace("-1.5\n", "M1\n").replace("-1.75\n", "M2\n")
    (frame,) = read_dump_xyz(write(tmp_path / "dump.xyz", text))
    assert frame.species == ("Li", "Cl")
    np.testing.assert_array_equal(frame.prediction.forces[1], [-1, -2, -3])


def test_a_dump_cut_at_any_byte_gives_its_whole_frames_and_says_so(tmp_path, caplog):
    whole = DUMP_EXYZ * 2
    path = tmp_path / "dump.xyz"
    for length in range(1, len(whole) + 1):
        path.write_text(whole[:length], encoding="utf-8")
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            reader = read_dump_xyz(path)
            frames = list(reader)
        assert len(frames) == length // len(DUMP_EXYZ)
        at_end = length % len(DUMP_EXYZ) == 0
        assert (reader.cut_short is None) == at_end
        assert bool(caplog.records) != at_end
        if not at_end:
            assert "ends inside" in reader.cut_short


def test_a_broken_frame_in_the_middle_is_an_error(tmp_path):
    broken = DUMP_EXYZ + DUMP_EXYZ.replace("1.1 1.2 1.3", "1.1 1.2") + DUMP_EXYZ
    with read_dump_xyz(write(tmp_path / "dump.xyz", broken)) as frames:
        next(frames)
        with pytest.raises(InputError, match="line 8: 10 columns"):
            next(frames)


def test_reader_streams(tmp_path):
    """The first frame comes without the rest being read: a broken second one does no harm until it is reached."""
    with read_dump_xyz(write(tmp_path / "dump.xyz", DUMP_EXYZ + "nonsense\n")) as frames:
        assert next(frames).time_fs == 100.5


THERMO_ROW = "300 1.5 -20 1 2 3 4 5 6 10 0 0 0 11 0 0 1 12\n"


def test_thermo_with_header(tmp_path):
    header = "# num_atoms 4\n# dt_output {}\n# columns T KE PE\n"
    text = header.format("10 fs") + THERMO_ROW * 2 + header.format("0.0025 ps") + THERMO_ROW * 2
    thermo = read_thermo(write(tmp_path / "thermo.out", text))
    np.testing.assert_array_equal(thermo.temperature_k, [300] * 4)
    np.testing.assert_array_equal(thermo.kinetic_energy, [1.5] * 4)
    np.testing.assert_array_equal(thermo.potential_energy, [-20] * 4)
    np.testing.assert_allclose(thermo.pressure[0] * GPA_PER_EV_A3, [[1, 6, 5], [6, 2, 4], [5, 4, 3]])
    np.testing.assert_array_equal(thermo.cell[3], [[10, 0, 0], [0, 11, 0], [0, 1, 12]])
    np.testing.assert_allclose(thermo.volume, 1320.0)
    np.testing.assert_array_equal(thermo.time_fs, [10, 20, 22.5, 25])


def test_thermo_of_old_releases(tmp_path):
    thermo = read_thermo(write(tmp_path / "thermo.out", "300 1.5 -20 1 2 3 4 5 6 10 11 12\n"))
    np.testing.assert_array_equal(thermo.cell[0], np.diag([10, 11, 12]))
    assert np.isnan(thermo.interval_fs[0])


def test_empty_thermo(tmp_path):
    thermo = read_thermo(write(tmp_path / "thermo.out", "# dt_output 10\n"))
    assert thermo.temperature_k.shape == (0,)
    assert thermo.cell.shape == (0, 3, 3)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1 2 3\n", "line 1: 3 columns where 18 or 12"),
        (THERMO_ROW + "300 1\n", "line 2: 2 columns where 18"),
        (THERMO_ROW + THERMO_ROW.replace("1.5", "x"), "line 2: '300 x"),
    ],
)
def test_broken_thermo_is_refused_with_the_line(tmp_path, text, words):
    with pytest.raises(InputError) as caught:
        read_thermo(write(tmp_path / "thermo.out", text))
    assert words in str(caught.value)


def test_last_row_cut_short_is_left_out(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        thermo = read_thermo(write(tmp_path / "thermo.out", THERMO_ROW + THERMO_ROW[:-2]))
    assert len(thermo.temperature_k) == 1
    assert "line 2" in caplog.text


def test_active_out(tmp_path):
    active = read_active(write(tmp_path / "active.out", "# time\n10 0.2\n20 0.4\n"))
    np.testing.assert_array_equal(active.time_fs, [10, 20])
    np.testing.assert_array_equal(active.eps, [0.2, 0.4])
    assert read_active(write(tmp_path / "active.out", "")).eps.shape == (0,)
    with pytest.raises(InputError, match="line 1: 3 columns where 2"):
        read_active(write(tmp_path / "active.out", "1 2 3\n"))


def test_msd_of_all_groups(tmp_path):
    rows = "".join(" ".join(str(value) for value in [k * 0.1, *range(k, k + 12)]) + "\n" for k in range(3))
    result = read_msd(write(tmp_path / "msd.out", "# columns\n" + rows))
    np.testing.assert_allclose(result.time_ps, [0, 0.1, 0.2])
    np.testing.assert_array_equal(result.displacement[1], [[1, 2, 3], [7, 8, 9]])
    np.testing.assert_array_equal(result.diffusion[2], [[5, 6, 7], [11, 12, 13]])
    with pytest.raises(InputError, match="several runs"):
        read_msd(write(tmp_path / "msd.out", rows * 2))
    with pytest.raises(InputError, match="5 columns"):
        read_msd(write(tmp_path / "msd.out", "1 2 3 4 5\n"))


def test_masses_are_those_of_ase():
    from ase.data import atomic_masses, chemical_symbols

    assert len(ATOMIC_MASSES) == 94
    for number in range(1, 95):
        assert ATOMIC_MASSES[chemical_symbols[number]] == pytest.approx(atomic_masses[number], rel=1e-9)
    with pytest.raises(InputError, match="'Xx'"):
        standard_mass("Xx")


def test_releases():
    banner = "***\n*  Welcome to use GPUMD\n*  (Graphics Processing Units Molecular Dynamics)\n*  version 5.6\n"
    assert Release.from_banner(banner) == Release.parse("v5.6")
    assert Release.from_banner("nothing") is None
    assert str(Release.parse("5.6+")) == "5.6+"
    assert [Release.parse(text).unified_dump_syntax for text in ("4.0", "5.6", "5.6+", "5.7", "6.0")] == [
        False, False, True, True, True,
    ]  # fmt: skip
    assert [Release.parse(text).active_has_uncertainty for text in ("4.3", "4.4")] == [False, True]
    with pytest.raises(InputError, match=r"5\.6"):
        Release.parse("newest")
