"""OUTCAR, where there is no vasprun.xml: ionic steps by ASE's parsers, the level of theory from its own lines.

An OUTCAR has positions to 1e-5 A only, and says less of the level than vasprun.xml does.
"""

import re
import warnings
from collections.abc import Sequence
from typing import Any, TextIO

import numpy as np

from lizrcl_flows.science.imports.incar_tags import plain_value
from lizrcl_flows.science.imports.records import ComputedFrame
from lizrcl_flows.science.imports.vasp import VaspRun, element_of_title, ionic_reason

_TAGS = (
    *("PREC", "ENCUT", "ISPIN", "ISMEAR", "SIGMA", "EDIFF", "LREAL", "LASPH", "NELM", "GGA", "LHFCALC", "AEXX", "IVDW"),
    *("HFSCREEN", "LDAU", "LSORBIT", "LNONCOLLINEAR", "LDIPOL", "IDIPOL", "PSTRESS", "LUSE_VDW", "ICHARG", "NUPDOWN"),
    *("GGA_COMPAT", "EFIELD", "KSPACING", "METAGGA"),
)
_TAG = re.compile(rf"(?:^|;)\s*({'|'.join(sorted(_TAGS, key=len, reverse=True))})\s*=\s*([^\s;]+)")
_GIVEN = re.compile(r"^\s+([A-Z][A-Z0-9_]*)\s*=\s*(.+?)\s*$")
_HUBBARD = re.compile(r"(LDAUTYPE|LDAU[LUJ])\s*=\s*(.+?)\s*$")
_VERSION = re.compile(r"\s*vasp\.(\d\S*)")
_REACHED = "aborting loop because EDIFF is reached"
_ITERATION = " Iteration "


def read_outcar(stream: TextIO) -> tuple[VaspRun, list[ComputedFrame], str]:
    """Read an OUTCAR.

    Returns
    -------
    run, frames, fault
        As `read_vasprun` returns them.
    """
    from ase.io.vasp_parsers.vasp_outcar_parsers import (
        OutcarChunkParser,
        OutcarHeaderParser,
        ParseError,
        build_chunk,
        build_header,
    )

    run = VaspRun()
    try:
        head = build_header(stream)
        header = OutcarHeaderParser().build(head)
    except Exception as error:  # ASE's parsers raise whatever a broken file leads them to
        return run, [], f"no calculation that ASE can read ({_words(error)})"
    _read_head(run, head)
    run.symbols = list(header["symbols"])
    frames: list[ComputedFrame] = []
    fault = ""
    parser = OutcarChunkParser(header=header)
    first = 1  # the header ends with the line of the first electronic step
    while True:
        try:
            lines = build_chunk(stream)
        except (StopIteration, RuntimeError):
            break
        except EOFError:
            fault = "the compressed file ends early"
            break
        number = len(frames) + 1
        if number == 1:  # older releases name the dispersion correction only when they compute it
            for line in lines:
                if line.lstrip().startswith("IVDW"):
                    _read_tags(run, line)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # numbers that Fortran could not fit
                atoms = parser.build(lines)
        except (ParseError, ValueError, IndexError) as error:
            fault = f"ionic step {number} cannot be read ({_words(error)}); the steps before are used"
            break
        frames.append(_frame(run, number, atoms, first + sum(_ITERATION in line for line in lines), lines))
        run.initial_cell = frames[0].cell
        first = 0
    if not frames and not fault:
        fault = "no complete ionic step"
    return run, frames, fault


def _frame(run: VaspRun, number: int, atoms: Any, n_scf: int, lines: Sequence[str]) -> ComputedFrame:
    results = atoms.calc.results
    stress, free, zero = results.get("stress"), results.get("free_energy"), results.get("energy")
    reason = ionic_reason(run, n_scf)
    if not reason and not any(_REACHED in line for line in lines):
        reason = f"the electronic steps ended after {n_scf} without EDIFF reached"
    return ComputedFrame(
        number=number,
        numbers=np.asarray(atoms.numbers, dtype=np.int64),
        cell=atoms.cell.array,
        positions=atoms.positions,
        energy=free,
        energy_zero=zero,
        forces=results.get("forces"),
        stress=None if stress is None else _full(stress),
        n_scf=n_scf,
        reason=reason,
    )


def _full(voigt: Any) -> Any:
    xx, yy, zz, yz, xz, xy = voigt
    return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])


def _read_head(run: VaspRun, head: Sequence[str]) -> None:
    """Collect version, tags, potentials and k points from the lines before the first electronic step."""
    versions = (line for line in head if _VERSION.match(line))
    run.program = " ".join(next(versions, "").split())
    if version := _VERSION.match(run.program):
        run.version = version[1]
    echoed = False
    for line in head:
        words = line.split()
        if echoed := words[:1] == ["INCAR:"] or (echoed and _GIVEN.match(line) is not None):
            if given := _GIVEN.match(line):
                run.given[given[1]] = _echoed(given[2])
            continue
        _read_tags(run, line)
        if words[:2] == ["TITEL", "="]:
            title = " ".join(words[2:])
            run.types.append((element_of_title(title), title))
        elif words[:3] == ["generate", "k-points", "for:"]:
            run.mesh = tuple(int(word) for word in words[3:6])
        elif "NKPTS =" in line:
            run.n_k_points = int(line.split("NKPTS =")[1].split()[0])


def _read_tags(run: VaspRun, line: str) -> None:
    for found in _TAG.finditer(line):
        run.effective.setdefault(found[1], found[2])
    if hubbard := _HUBBARD.search(line):
        run.given.setdefault("LDAU", True)
        run.given.setdefault(hubbard[1], hubbard[2].split())


def _echoed(text: str) -> Any:
    words = text.split()
    return words if len(words) > 1 and all(isinstance(plain_value("", word), int | float) for word in words) else text


def _words(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
