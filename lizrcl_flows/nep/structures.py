"""train.xyz and test.xyz: labelled structures in the extended XYZ dialect of GPUMD's ``nep``.

A frame is a line with the number of atoms, a line of ``key=value`` pairs, and a line for every atom. Structures are
always periodic. ``virial`` is positive when compressed, ``stress`` (ASE's sign) positive when stretched.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lizrcl_flows.errors import InputError
from lizrcl_flows.nep.elements import ATOMIC_NUMBERS
from lizrcl_flows.nep.files import read_text, write_text
from lizrcl_flows.nep.frames import PERIODIC, FloatArray

VIRIAL_PLACES = (0, 4, 8, 3, 7, 6)
"""Where xx yy zz xy yz zx stand among nine numbers; of two equal ones GPUMD keeps the later."""

LARGEST_DISAGREEMENT = 1e-3
"""eV/atom by which a virial and a stress of the same structure may differ."""

_PAIR = re.compile(r"""([a-z_][\w-]*)\s*=\s*(?:"([^"]*)"|'([^']*)'|(\S+))""")


@dataclass(frozen=True, eq=False)
class LabelledFrame:
    """A structure with its labels.

    Attributes
    ----------
    species
        Chemical symbols, N of them.
    cell
        Lattice vectors in rows (A), shape (3, 3).
    positions
        A, shape (N, 3).
    energy
        Total energy (eV).
    forces
        eV/A, shape (N, 3).
    virial
        Total virial xx yy zz xy yz zx (eV), compression positive, shape (6,); None where there is no such label.
    weight
        Factor of all errors of the structure.
    energy_weight
        Factor of its energy error; 0 takes the structure out of the energy loss.
    """

    species: tuple[str, ...]
    cell: FloatArray
    positions: FloatArray
    energy: float
    forces: FloatArray
    virial: FloatArray | None = None
    weight: float = 1.0
    energy_weight: float = 1.0

    @property
    def pbc(self) -> tuple[bool, bool, bool]:
        """Always periodic."""
        return PERIODIC


class _Header:
    """The second line of a frame."""

    def __init__(self, line: str, where: str) -> None:
        self.where = where
        self.values = {m[1]: m[2] or m[3] or m[4] or "" for m in _PAIR.finditer(line.lower())}

    def numbers(self, key: str, count: int) -> FloatArray | None:
        """Values of a key, shape (count,), or None where it is absent."""
        text = self.values.get(key)
        if text is None:
            return None
        words = text.split()
        try:
            values = np.array(words, dtype=np.float64)
        except ValueError:
            raise InputError(f"{self.where}: {key}={text} should be numbers.") from None
        if len(words) != count or not np.isfinite(values).all():
            raise InputError(f"{self.where}: {key} should be {count} finite numbers, but is '{text}'.")
        return values

    def need(self, key: str, count: int) -> FloatArray:
        """Values of a mandatory key."""
        values = self.numbers(key, count)
        if values is None:
            raise InputError(f"{self.where}: {key}= is missing.")
        return values

    def factor(self, key: str, low: float) -> float:
        """Return a weight; 1 where it is absent."""
        values = self.numbers(key, 1)
        if values is None:
            return 1.0
        if not low <= values[0] <= 100.0 or (key == "weight" and values[0] == 0.0):
            raise InputError(
                f"{self.where}: {key}={values[0]:g} should be {'above' if key == 'weight' else 'from'} 0 to 100."
            )
        return float(values[0])

    def columns(self) -> tuple[dict[str, int], int]:
        """First column of each property that is needed, and the number of columns."""
        text = self.values.get("properties", "")
        words = text.split(":")
        if len(words) < 3 or len(words) % 3 or not all(width.isdigit() for width in words[2::3]):
            raise InputError(f"{self.where}: properties= should be name:type:columns and so on, but is '{text}'.")
        places: dict[str, int] = {}
        total = 0
        for name, width in zip(words[::3], map(int, words[2::3]), strict=True):
            key = "forces" if name == "force" else name
            wanted = {"species": 1, "pos": 3, "forces": 3}.get(key)
            if wanted is not None and width != wanted:
                raise InputError(f"{self.where}: {name} has {width} columns, but should have {wanted}.")
            places[key] = total
            total += width
        for key in ("species", "pos", "forces"):
            if key not in places:
                raise InputError(f"{self.where}: properties= lacks {key}.")
        return places, total


def read_structures(path: str | Path) -> list[LabelledFrame]:
    """Read labelled structures.

    Parameters
    ----------
    path
        A train.xyz or test.xyz.

    Raises
    ------
    InputError
        The file does not exist, ends inside a frame, or a line is not as GPUMD's ``nep`` needs it; file and line are
        named.
    """
    return list(_frames(read_text(path).splitlines(), str(path)))


def _frames(lines: Sequence[str], name: str) -> Iterator[LabelledFrame]:
    row = 0
    while row < len(lines):
        if not lines[row].strip():
            if any(line.strip() for line in lines[row:]):
                raise InputError(f"{name}, line {row + 1}: an empty line stands where a number of atoms should.")
            return
        try:
            n_atoms = int(lines[row])
        except ValueError:
            n_atoms = 0
        if n_atoms < 1:
            raise InputError(f"{name}, line {row + 1}: '{lines[row].strip()}' should be the number of atoms.")
        if row + 2 + n_atoms > len(lines):
            raise InputError(
                f"{name}, line {len(lines)}: the file ends inside the frame that begins in line {row + 1}."
            )
        yield _frame(_Header(lines[row + 1], f"{name}, line {row + 2}"), lines, (name, row + 2, n_atoms))
        row += 2 + n_atoms


def _frame(header: _Header, lines: Sequence[str], place: tuple[str, int, int]) -> LabelledFrame:
    """Build a frame; ``place`` is the file, the row of the first atom and the number of atoms."""
    name, row, n_atoms = place
    columns, width = header.columns()
    words = " ".join(lines[row : row + n_atoms]).split()
    species = tuple(symbol.capitalize() for symbol in words[columns["species"] :: width])
    if len(words) != n_atoms * width or not ATOMIC_NUMBERS.keys() >= set(species):
        raise _wrong_line(lines, place, width, columns["species"])
    try:
        positions = _vectors(words, columns["pos"], width)
        forces = _vectors(words, columns["forces"], width)
    except ValueError:
        raise InputError(f"{name}, lines {row + 1} to {row + n_atoms}: a position or force is not a number.") from None
    if not (np.isfinite(positions).all() and np.isfinite(forces).all()):
        raise InputError(f"{name}, lines {row + 1} to {row + n_atoms}: a position or force is not finite.")
    cell = header.need("lattice", 9).reshape(3, 3)
    if abs(np.linalg.det(cell)) < 1e-9:
        raise InputError(f"{header.where}: the lattice has no volume.")
    return LabelledFrame(
        species,
        cell,
        positions,
        float(header.need("energy", 1)[0]),
        forces,
        _virial(header, cell, n_atoms),
        header.factor("weight", 0.0),
        header.factor("energy_weight", 0.0),
    )


def _vectors(words: list[str], first: int, width: int) -> FloatArray:
    return np.array([words[first + axis :: width] for axis in range(3)], dtype=np.float64).T.copy()


def _wrong_line(lines: Sequence[str], place: tuple[str, int, int], width: int, species: int) -> InputError:
    name, row, n_atoms = place
    for number in range(row, row + n_atoms):
        words = lines[number].split()
        if len(words) != width:
            return InputError(f"{name}, line {number + 1}: {len(words)} columns, where properties= declares {width}.")
        if words[species].capitalize() not in ATOMIC_NUMBERS:
            return InputError(f"{name}, line {number + 1}: '{words[species]}' is not a chemical symbol from H to Pu.")
    return InputError(f"{name}, line {row + 1}: the atom lines do not fit properties=.")


def _virial(header: _Header, cell: FloatArray, n_atoms: int) -> FloatArray | None:
    virial, stress = header.numbers("virial", 9), header.numbers("stress", 9)
    from_stress = None if stress is None else -stress * abs(np.linalg.det(cell))
    if virial is not None and from_stress is not None:
        difference = float(np.abs(virial - from_stress).max()) / n_atoms
        if difference > LARGEST_DISAGREEMENT:
            raise InputError(
                f"{header.where}: virial and stress differ by {difference:.3g} eV/atom; virial should be "
                "-stress * volume."
            )
    given = from_stress if virial is None else virial
    return None if given is None else given[list(VIRIAL_PLACES)]


def format_structure(frame: LabelledFrame) -> str:
    """Text of one frame; every number reads back as the same float64."""
    pairs = [
        f'Lattice="{_numbers(frame.cell)}"',
        "Properties=species:S:1:pos:R:3:forces:R:3",
        f"energy={float(frame.energy)!r}",
    ]
    if frame.virial is not None:
        xx, yy, zz, xy, yz, zx = np.asarray(frame.virial, dtype=np.float64)
        pairs.append(f'virial="{_numbers(np.array([xx, xy, zx, xy, yy, yz, zx, yz, zz]))}"')
    if frame.weight != 1.0:
        pairs.append(f"weight={float(frame.weight)!r}")
    if frame.energy_weight != 1.0:
        pairs.append(f"energy_weight={float(frame.energy_weight)!r}")
    pairs.append('pbc="T T T"')
    rows = np.concatenate([np.asarray(frame.positions), np.asarray(frame.forces)], axis=1)
    body = "".join([f"{symbol} %r %r %r %r %r %r\n" for symbol in frame.species]) % tuple(rows.ravel().tolist())
    return f"{len(frame.species)}\n{' '.join(pairs)}\n{body}"


def _numbers(values: FloatArray) -> str:
    return " ".join(repr(value) for value in np.asarray(values, dtype=np.float64).ravel().tolist())


def write_structures(path: str | Path, frames: Iterable[LabelledFrame]) -> None:
    """Write train.xyz or test.xyz; the file appears whole or not at all.

    Raises
    ------
    InputError
        There are no structures.
    """
    text = "".join([format_structure(frame) for frame in frames])
    if not text:
        raise InputError(f"{path} would hold no structure; at least one is needed.")
    write_text(path, text)
