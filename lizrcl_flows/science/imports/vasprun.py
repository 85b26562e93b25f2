"""vasprun.xml, read as a stream: what a label and its level of theory need, and nothing else.

Eigenvalues, densities of states and projections, which are most of the file, are passed over. Of a file that was cut
short everything before the cut is used.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, BinaryIO
from xml.parsers import expat

import numpy as np

from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.science.imports.incar_tags import plain_value
from lizrcl_flows.science.imports.records import ComputedFrame
from lizrcl_flows.science.imports.vasp import VaspRun, ionic_reason, stress_of_kilobar

_SKIPPED = frozenset(
    [
        *("eigenvalues", "dos", "projected", "dielectricfunction", "dynmat", "time", "eigenvalues_kpoints_opt"),
        *("projected_kpoints_opt", "primitive_cell", "orbital", "born_charges", "epsilon"),
    ]
)
_ATTRIBUTED = ("i", "v", "varray", "structure", "array", "generation")
_VECTORS = ("basis", "positions", "forces", "stress", "kpointlist")


@dataclass
class _Step:
    """One ionic step as far as it was read."""

    vectors: dict[str, Array] = field(default_factory=dict)
    energies: dict[str, float] = field(default_factory=dict)
    electronic: dict[str, float] = field(default_factory=dict)
    n_scf: int = 0


class _Reader:
    """Handlers of the XML parser, and what they have collected."""

    def __init__(self) -> None:
        self.run = VaspRun()
        self.steps: list[_Step] = []
        self._stack: list[str] = []
        self._names: list[str] = []
        self._text: list[str] = []
        self._vector: list[str] | None = None
        self._step: _Step | None = None
        self._initial: dict[str, Array] = {}
        self._energies: dict[str, float] = {}
        self._cells: list[str] = []
        self._skipping = 0
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self._attach()
        self._ends: dict[str, Callable[[str], None]] = {
            "i": self._end_value,
            "v": self._end_row,
            "varray": self._end_vectors,
            "c": self._end_cell,
            "rc": self._end_table_row,
            "scstep": self._end_electronic,
            "energy": self._end_energy,
            "calculation": self._end_calculation,
            "structure": self._end_structure,
            "kpoints": self._end_kpoints,
            "atoms": self._end_count,
        }

    def _attach(self) -> None:
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = None

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag in _SKIPPED:
            self._skipping = 1
            self.parser.StartElementHandler = self._skip_start
            self.parser.EndElementHandler = self._skip_end
            return
        self._stack.append(tag)
        if tag in _ATTRIBUTED:
            self._names.append((attributes.get("name") or attributes.get("param") or "").strip())
        if tag in ("i", "v", "c", "atoms"):
            self._text.clear()
            self.parser.CharacterDataHandler = self._text.append
        elif tag == "varray":
            self._vector = [] if self._names[-1] in _VECTORS else None
        elif tag == "calculation":
            self._step = _Step()
        elif tag == "generation":
            self.run.mesh_style = self._names[-1]

    def _skip_start(self, _tag: str, _attributes: dict[str, str]) -> None:
        self._skipping += 1

    def _skip_end(self, _tag: str) -> None:
        self._skipping -= 1
        if not self._skipping:
            self._attach()

    def _end(self, tag: str) -> None:
        self.parser.CharacterDataHandler = None
        self._stack.pop()
        name = self._names.pop() if tag in _ATTRIBUTED else ""
        handler = self._ends.get(tag)
        if handler is not None:
            handler(name)

    @property
    def _section(self) -> str:
        return self._stack[1] if len(self._stack) > 1 else ""

    def _end_value(self, name: str) -> None:
        text = "".join(self._text)
        if self._section in ("incar", "parameters", "generator"):
            self._target().setdefault(name, text.strip())  # names come again for response functions
        elif self._step is not None and self._stack[-1] == "energy":
            self._energies[name] = _number(text)

    def _end_row(self, name: str) -> None:
        if self._vector is not None:
            self._vector.append("".join(self._text))
        elif self._section in ("incar", "parameters"):
            self._target().setdefault(name, "".join(self._text).split())
        elif self._section == "kpoints" and name == "divisions":
            self.run.mesh = tuple(int(part) for part in "".join(self._text).split())

    def _target(self) -> dict[str, Any]:
        sections = {"incar": self.run.given, "parameters": self.run.effective, "generator": self.run.generator}
        return sections[self._section]

    def _end_vectors(self, name: str) -> None:
        if self._vector is None:
            return
        values = _numbers(" ".join(self._vector).split())
        self._vector = None
        if self._section == "kpoints":
            self.run.n_k_points = len(values) // 3
        elif self._step is not None:
            self._step.vectors[name] = values.reshape(-1, 3)
        elif self._section == "structure":
            self._initial[name] = values.reshape(-1, 3)

    def _end_structure(self, name: str) -> None:
        if self._step is None and name == "initialpos":
            self.run.initial_cell = self._initial.get("basis")

    def _end_cell(self, _name: str) -> None:
        self._cells.append("".join(self._text).strip())

    def _end_table_row(self, _name: str) -> None:
        if self._section == "atominfo":
            table = self._names[-1] if self._names else ""
            if table == "atoms":
                self.run.symbols.append(self._cells[0])
            elif table == "atomtypes":
                self.run.types.append((self._cells[1], self._cells[4] if len(self._cells) > 4 else ""))
        self._cells = []

    def _end_count(self, _name: str) -> None:
        self.run.n_atoms = int("".join(self._text))

    def _end_kpoints(self, _name: str) -> None:
        self.run.mesh = self.run.mesh or ()

    def _end_energy(self, _name: str) -> None:
        if self._step is not None:
            inside = self._stack[-1] == "scstep"
            (self._step.electronic if inside else self._step.energies).update(self._energies)
        self._energies = {}

    def _end_electronic(self, _name: str) -> None:
        if self._step is not None:
            self._step.n_scf += 1

    def _end_calculation(self, _name: str) -> None:
        if self._step is not None:
            self.steps.append(self._step)
        self._step = None


def read_vasprun(stream: BinaryIO) -> tuple[VaspRun, list[ComputedFrame], str]:
    """Read a vasprun.xml.

    Returns
    -------
    run
        What the head of the file says of the level of theory.
    frames
        One for each complete ionic step; energies in eV, forces in eV/A, stress in eV/A^3 (tension positive).
    fault
        What is wrong with the file in a few words; empty where nothing is.
    """
    reader = _Reader()
    fault = ""
    try:
        reader.parser.ParseFile(stream)
    except expat.ExpatError as error:
        what = "the file ends early" if error.code in (3, 5) else expat.ErrorString(error.code)
        fault = f"line {error.lineno}: {what}; the {len(reader.steps)} complete ionic steps before are used"
    except EOFError:
        fault = f"the compressed file ends early; the {len(reader.steps)} complete ionic steps before are used"
    except (ValueError, IndexError, KeyError) as error:
        fault = f"line {reader.parser.CurrentLineNumber}: not as VASP writes it ({error})"
    run = reader.run
    run.program = " ".join(run.generator.get(key, "") for key in ("program", "version", "subversion")).strip()
    run.version = run.generator.get("version", "").strip()
    steps = enumerate(reader.steps, 1)
    return run, [frame for number, step in steps if (frame := _frame(run, number, step)) is not None], fault


def _frame(run: VaspRun, number: int, step: _Step) -> ComputedFrame | None:
    """Return an ionic step as arrays; None where it has no geometry."""
    numbers = run.atomic_numbers()
    cell, positions = step.vectors.get("basis"), step.vectors.get("positions")
    if numbers is None or cell is None or positions is None or len(positions) != len(numbers):
        return None
    forces, stress = step.vectors.get("forces"), step.vectors.get("stress")
    energy, last = step.energies.get("e_fr_energy"), step.electronic
    return ComputedFrame(
        number=number,
        numbers=numbers,
        cell=cell,
        positions=positions @ cell,
        energy=energy,
        energy_zero=_extrapolated(energy, last),
        forces=forces,
        stress=None if stress is None else stress_of_kilobar(stress),
        n_scf=step.n_scf,
        reason=ionic_reason(run, step.n_scf),
    )


def _extrapolated(energy: float | None, last: dict[str, float]) -> float | None:
    """Return the energy without smearing: that of the step itself is wrong in many releases of VASP.

    The difference is taken from the last electronic step, as ASE and pymatgen do.
    """
    if energy is None or not {"e_fr_energy", "e_0_energy"} <= set(last):
        return None
    return energy + last["e_0_energy"] - last["e_fr_energy"]


def _numbers(words: list[str]) -> Array:
    try:
        return np.array(words, dtype=np.float64)
    except ValueError:
        return np.array([_number(word) for word in words])


def _number(text: str) -> float:
    """Return a number; not-a-number for the asterisks that Fortran writes where one does not fit."""
    value = np.nan if "*" in text else plain_value("", text)
    return float(value) if isinstance(value, int | float) else np.nan
