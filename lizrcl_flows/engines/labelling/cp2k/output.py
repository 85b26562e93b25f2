"""Reading what CP2K prints: energy, forces, stress, and whether they are to be believed.

Written for the output of CP2K 2023.1. Units there: energy in Hartree, forces in Hartree/Bohr, stress in GPa with the
sign of a pressure (positive where the crystal is compressed), positions and cell in A.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lizrcl_flows.documents import Structure
from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.units import GPA_PER_EV_A3

HARTREE_EV = 27.211386245988
"""CODATA 2018; CP2K 2023.1 converts with CODATA 2006, the same to 1e-8."""

BOHR_A = 0.529177210903
RYDBERG_EV = HARTREE_EV / 2

_NUMBER = r"[-+]?\d+\.\d+(?:[EeDd][-+]?\d+)?"
_ENERGY = re.compile(r"^ ENERGY\| Total FORCE_EVAL .*:\s+(\S+)\s*$", re.MULTILINE)
_ATOM = re.compile(rf"^\s+\d+\s+\d+\s+[A-Z][a-z]?\s+(\d+)\s+({_NUMBER})\s+({_NUMBER})\s+({_NUMBER})\s", re.MULTILINE)
_STRESS = re.compile(rf"^ STRESS\|\s+[xyz]\s+({_NUMBER})\s+({_NUMBER})\s+({_NUMBER})\s*$", re.MULTILINE)
_CELL = re.compile(rf"^ CELL\| Vector [abc] \[angstrom\]:\s+({_NUMBER})\s+({_NUMBER})\s+({_NUMBER})", re.MULTILINE)
_PLACES_A = 2e-6
"""Positions are printed with six decimals."""

_CELL_PLACES_A = 2e-3
"""Cell vectors with three."""


@dataclass(frozen=True)
class Output:
    """What an output file says.

    Attributes
    ----------
    version, revision
        Of CP2K; empty where it does not say.
    finished
        True where CP2K came to its regular end.
    n_scf
        Electronic steps; none where it did not converge.
    error
        The message with which CP2K gave up, or empty.
    cores
        Message passing processes times threads.
    total_s
        Wall time (s) that CP2K measured, or zero.
    energy
        eV; none where absent.
    numbers, positions, cell
        Atomic numbers (n,), positions (n, 3) and cell (3, 3) in A, rounded as printed.
    forces
        (n, 3), eV/A; none where absent.
    stress
        (3, 3), eV/A^3, tension positive; none where absent.
    """

    version: str
    revision: str
    finished: bool
    n_scf: int | None
    error: str
    cores: int
    total_s: float
    energy: float | None
    numbers: Array
    positions: Array
    cell: Array
    forces: Array | None
    stress: Array | None


def read_output(path: Path) -> Output:
    """Read an output file; what it lacks is none or empty."""
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    energy = _ENERGY.search(text)
    converged = re.search(r"\*\*\* SCF run converged in\s+(\d+) steps", text)
    coordinates = _section(text, "MODULE QUICKSTEP: ATOMIC COORDINATES IN ANGSTROM")
    atoms = _ATOM.findall(coordinates)
    total = re.search(r"^ CP2K\s+1\s+1\.0\s+\S+\s+\S+\s+\S+\s+(\S+)\s*$", text, re.MULTILINE)
    return Output(
        version=_word(r"CP2K\| version string:\s+CP2K version (\S+)", text),
        revision=_word(r"CP2K\| source code revision number:\s+(\S+)", text),
        finished="PROGRAM ENDED AT" in text,
        n_scf=int(converged[1]) if converged and "SCF run NOT converged" not in text else None,
        error=_abort_message(text),
        cores=int(_word(r"GLOBAL\| Total number of message passing processes\s+(\d+)", text) or 1)
        * int(_word(r"GLOBAL\| Number of threads for this process\s+(\d+)", text) or 1),
        total_s=float(total[1]) if total else 0.0,
        energy=float(energy[1]) * HARTREE_EV if energy else None,
        numbers=np.array([int(atom[0]) for atom in atoms], dtype=int),
        positions=np.array([atom[1:] for atom in atoms], dtype=float).reshape(-1, 3),
        cell=np.array(_CELL.findall(text)[:3], dtype=float),
        forces=_forces(text),
        stress=_stress(text),
    )


def difference(output: Output, structure: Structure) -> str:
    """Return in words where an output is not about the structure that was sent, or nothing."""
    if output.numbers.tolist() != structure.numbers.tolist():
        return f"it computed {len(output.numbers)} atoms in another order or of other elements than were sent"
    shift = np.abs(output.positions - structure.positions).max()
    if shift > _PLACES_A:
        return f"its atoms are up to {shift:.3g} A from those that were sent"
    if output.cell.shape != (3, 3) or np.abs(output.cell - structure.cell).max() > _CELL_PLACES_A:
        return "its cell is not the one that was sent"
    return ""


def _forces(text: str) -> Array | None:
    table = _section(text, "ATOMIC FORCES in [a.u.]").splitlines()
    rows = [line.split() for line in table]
    values = [row[3:6] for row in rows if len(row) == 6 and row[0].isdigit()]
    return np.array([[_number(word) for word in row] for row in values]) * (HARTREE_EV / BOHR_A) if values else None


def _stress(text: str) -> Array | None:
    table = _section(text, "STRESS| Analytical stress tensor [GPa]")
    rows = _STRESS.findall(table)
    if len(rows) < 3:
        return None
    pressure = np.array(rows[:3], dtype=float)
    # printed to twelve digits, so the two halves agree; the mean makes them equal to the last bit
    stress: Array = -(pressure + pressure.T) / 2 / GPA_PER_EV_A3
    return stress


def _section(text: str, heading: str) -> str:
    """Return the lines after the last heading, up to the first empty line that follows them."""
    _, found, rest = text.rpartition(heading)
    return "\n" + rest.lstrip("\n").split("\n\n")[0] if found else ""


def _number(word: str) -> float:
    """Return a number; a field that is too narrow for it is full of asterisks in Fortran."""
    return float("nan") if "*" in word else float(word)


def _word(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    return found[1] if found else ""


def _abort_message(text: str) -> str:
    """Return the message of CP2K's box with the ABORT sign, without the drawing and the place in its source."""
    _, found, rest = text.partition("[ABORT]")
    if not found:
        return ""
    lines = rest.split("\n ****")[0].splitlines()[1:]
    words = [line[20:].rstrip(" *").strip() for line in lines]
    return " ".join(word for word in words if word and not re.fullmatch(r"\S+\.F:\d+", word))
