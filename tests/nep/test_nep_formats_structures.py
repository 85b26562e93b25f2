"""train.xyz and test.xyz: what GPUMD's rules make of a file, exact round trips, sentences for mistakes."""

import numpy as np
import pytest

from lizrcl_flows.errors import InputError
from lizrcl_flows.nep import LabelledFrame, read_structures, write_structures
from lizrcl_flows.nep.structures import format_structure

CELL = np.array([[5.0, 0.0, 0.0], [1.0, 6.0, 0.0], [0.5, 0.25, 7.0]])
VOLUME = 5.0 * 6.0 * 7.0
LATTICE = 'lattice="5 0 0 1 6 0 0.5 0.25 7"'
ATOMS = "Zr 0 0 0 1 2 3\nO 1.5 2.5 3.5 -1 -2 -3\n"
PROPERTIES = "properties=species:S:1:pos:R:3:force:R:3"


def read(tmp_path, text):
    (tmp_path / "train.xyz").write_text(text)
    return read_structures(tmp_path / "train.xyz")


def frame_with(tmp_path, pairs, atoms=ATOMS, properties=PROPERTIES):
    return read(tmp_path, f"2\n{LATTICE} {properties} {pairs}\n{atoms}")[0]


def random_frames(n, seed=0):
    rng = np.random.default_rng(seed)
    for i in range(n):
        n_atoms = int(rng.integers(1, 30))
        yield LabelledFrame(
            tuple(rng.choice(["Li", "Zr", "Cl", "O"], n_atoms).tolist()),
            rng.normal(size=(3, 3)) + 10 * np.eye(3),
            rng.normal(scale=1e3, size=(n_atoms, 3)),
            float(rng.normal() * 1e5),
            rng.normal(scale=10 ** rng.uniform(-9, 2), size=(n_atoms, 3)),
            rng.normal(size=6) if i % 3 else None,
            float(rng.uniform(0.1, 100)) if i % 2 else 1.0,
            0.0 if i % 5 == 0 else 1.0,
        )


def test_round_trip_is_exact(tmp_path):
    frames = list(random_frames(40))
    write_structures(tmp_path / "train.xyz", frames)
    again = read_structures(tmp_path / "train.xyz")
    assert len(again) == len(frames)
    for one, other in zip(frames, again, strict=True):
        assert (one.species, one.energy, one.weight, one.energy_weight) == (
            other.species,
            other.energy,
            other.weight,
            other.energy_weight,
        )
        for name in ("cell", "positions", "forces"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        assert (one.virial is None) == (other.virial is None)
        if one.virial is not None:
            np.testing.assert_array_equal(one.virial, other.virial)


def test_ase_and_calorine_read_the_same(tmp_path):
    from ase.io import read as ase_read

    frames = list(random_frames(3, seed=4))
    write_structures(tmp_path / "train.xyz", frames)
    for frame, atoms in zip(frames, ase_read(tmp_path / "train.xyz", index=":"), strict=True):
        assert atoms.get_chemical_symbols() == list(frame.species)
        np.testing.assert_allclose(atoms.get_forces(), frame.forces, rtol=1e-15)
        assert atoms.get_potential_energy() == frame.energy
        assert atoms.pbc.all()


def test_what_calorine_writes_is_read(tmp_path):
    from ase import Atoms
    from ase.calculators.singlepoint import SinglePointCalculator
    from calorine.nep import write_structures as calorine_writes

    rng = np.random.default_rng(1)
    atoms = Atoms("Zr2O4", positions=rng.uniform(0, 5, (6, 3)), cell=CELL, pbc=True)
    stress = rng.normal(size=6)
    forces = rng.normal(size=(6, 3))
    atoms.calc = SinglePointCalculator(atoms, energy=-12.5, forces=forces, stress=stress)
    calorine_writes(str(tmp_path / "train.xyz"), [atoms])
    (frame,) = read_structures(tmp_path / "train.xyz")
    assert frame.energy == pytest.approx(-12.5)
    np.testing.assert_allclose(frame.forces, forces, atol=1e-7)
    xx, yy, zz, yz, xz, xy = -stress * VOLUME
    np.testing.assert_allclose(frame.virial, [xx, yy, zz, xy, yz, xz], atol=1e-5)


def test_second_line_is_read_as_gpumd_does(tmp_path):
    text = (
        '2\nCONFIG_TYPE="some Thing" Lattice = " 5 0 0  1 6 0  0.5 0.25 7 " pbc="F F F" Energy=-7.25 uuid=a=b '
        "Properties=species:S:1:pos:R:3:magmom:R:1:forces:R:3:tags:I:1 Weight=2.5\n"
        "zr 0 0 0 9 1 2 3 0\nO 1.5 2.5 3.5 9 -1 -2 -3 0\n\n"
    )
    (frame,) = read(tmp_path, text)
    assert frame.species == ("Zr", "O")
    np.testing.assert_array_equal(frame.cell, CELL)
    np.testing.assert_array_equal(frame.forces, [[1, 2, 3], [-1, -2, -3]])
    assert (frame.energy, frame.weight, frame.energy_weight, frame.virial) == (-7.25, 2.5, 1.0, None)
    assert frame.pbc == (True, True, True)


def test_virial_keeps_the_later_of_two_equal_components(tmp_path):
    frame = frame_with(tmp_path, 'energy=1 virial="1 2 3 4 5 6 7 8 9"')
    np.testing.assert_array_equal(frame.virial, [1, 5, 9, 4, 8, 7])


def test_stress_has_the_opposite_sign(tmp_path):
    frame = frame_with(tmp_path, 'energy=1 stress="1 2 3 2 5 6 3 6 9"')
    np.testing.assert_allclose(frame.virial, -VOLUME * np.array([1, 5, 9, 2, 6, 3]))


def test_virial_and_stress_together(tmp_path):
    virial = -VOLUME * 0.01
    both = f'energy=1 stress="0.01 0 0 0 0.01 0 0 0 0.01" virial="{virial + 1e-4} 0 0 0 {virial} 0 0 0 {virial}"'
    np.testing.assert_allclose(frame_with(tmp_path, both).virial[0], virial + 1e-4, rtol=1e-14)
    with pytest.raises(InputError, match=r"train.xyz, line 2: virial and stress differ by 2.1 eV/atom"):
        frame_with(tmp_path, 'energy=1 stress="0.02 0 0 0 0 0 0 0 0" virial="0 0 0 0 0 0 0 0 0"')


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (f"2\n{LATTICE} {PROPERTIES}\n{ATOMS}", "line 2: energy= is missing"),
        (f"2\n{PROPERTIES} energy=1\n{ATOMS}", "line 2: lattice= is missing"),
        (f"2\n{LATTICE} energy=1\n{ATOMS}", "line 2: properties= should be"),
        (f"2\n{LATTICE} energy=1 properties=species:S:1:pos:R:3\n{ATOMS}", "line 2: properties= lacks forces"),
        (f"2\n{LATTICE} energy=1 properties=species:S:1:pos:R:2:force:R:3\n{ATOMS}", "pos has 2 columns"),
        (f"2\n{LATTICE} {PROPERTIES} energy=one\n{ATOMS}", "line 2: energy=one should be numbers"),
        (f"2\n{LATTICE} {PROPERTIES} energy=nan\n{ATOMS}", "line 2: energy should be 1 finite numbers"),
        (f'2\nlattice="1 2 3" {PROPERTIES} energy=1\n{ATOMS}', "line 2: lattice should be 9 finite numbers"),
        (f'2\nlattice="1 2 3 1 2 3 4 5 6" {PROPERTIES} energy=1\n{ATOMS}', "line 2: the lattice has no volume"),
        (f"2\n{LATTICE} {PROPERTIES} energy=1 weight=0\n{ATOMS}", "line 2: weight=0 should be above 0 to 100"),
        (f"2\n{LATTICE} {PROPERTIES} energy=1 energy_weight=-1\n{ATOMS}", "energy_weight=-1 should be from 0 to 100"),
        (f"two\n{LATTICE} {PROPERTIES} energy=1\n{ATOMS}", "line 1: 'two' should be the number of atoms"),
        (f"0\n{LATTICE} {PROPERTIES} energy=1\n", "line 1: '0' should be the number of atoms"),
        (
            f"3\n{LATTICE} {PROPERTIES} energy=1\n{ATOMS}",
            "line 4: the file ends inside the frame that begins in line 1",
        ),
        ("2\n", "line 1: the file ends inside the frame"),
        (f"1\n{LATTICE} {PROPERTIES} energy=1\n{ATOMS}", "line 4: 'O 1.5 .*' should be the number of atoms"),
        (
            f"2\n{LATTICE} {PROPERTIES} energy=1\nZr 0 0 0 1 2 3\nO 1 2 3 4 5\n",
            "line 4: 6 columns, where properties= declares 7",
        ),
        (
            f"2\n{LATTICE} {PROPERTIES} energy=1\nZr 0 0 0 1 2 3\nQq 1 2 3 4 5 6\n",
            "line 4: 'Qq' is not a chemical symbol",
        ),
        (f"2\n{LATTICE} {PROPERTIES} energy=1\nZr 0 0 0 1 2 3 4\nO 1 2 3 4 5\n", "line 3: 8 columns"),
        (f"2\n{LATTICE} {PROPERTIES} energy=1\nZr 0 0 0 1 2 3\nO 1 2 3 4 5 six\n", "lines 3 to 4: a position or force"),
        (f"2\n{LATTICE} {PROPERTIES} energy=1\nZr 0 0 0 1 2 3\nO 1 2 3 4 5 nan\n", "lines 3 to 4: .* not finite"),
        (f"2\n{LATTICE} {PROPERTIES} energy=1\n{ATOMS}\n2\n{LATTICE}\n", "line 5: an empty line"),
    ],
)
def test_mistakes_are_named_with_their_line(text, sentence, tmp_path):
    with pytest.raises(InputError, match=f"train.xyz, {sentence}|train.xyz.*{sentence}"):
        read(tmp_path, text)


def test_second_frame_is_named_by_its_own_lines(tmp_path):
    good = f"2\n{LATTICE} {PROPERTIES} energy=1\n{ATOMS}"
    with pytest.raises(InputError, match=r"train.xyz, line 6: energy= is missing"):
        read(tmp_path, good + good.replace("energy=1", ""))


def test_a_set_without_structures_is_not_written(tmp_path):
    with pytest.raises(InputError, match="would hold no structure"):
        write_structures(tmp_path / "train.xyz", [])
    assert read(tmp_path, "") == []


def test_weights_are_written_where_they_differ():
    plain = LabelledFrame(("Zr",), CELL, np.zeros((1, 3)), 0.0, np.zeros((1, 3)))
    assert "weight" not in format_structure(plain)
    weighted = LabelledFrame(("Zr",), CELL, np.zeros((1, 3)), 0.0, np.zeros((1, 3)), None, 2.0, 0.5)
    assert " weight=2.0 energy_weight=0.5 " in format_structure(weighted)
