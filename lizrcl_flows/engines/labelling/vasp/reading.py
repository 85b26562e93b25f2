"""What VASP left: its numbers in our units and signs, and whether it computed what it was asked for."""

import gzip
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.engines.labelling.vasp.inputs import Sent
from lizrcl_flows.engines.labelling.vasp.tags import deviation, physical

KILOBAR_PER_EV_A3 = 1602.1766208
"""1 eV/A^3 in kB (CODATA 2014, as in VASP 6)."""

_SAME_PLACE_A = 1e-5
"""Atoms closer than this are at the same place: vasprun.xml has 8 digits of fractional coordinates."""

_PARAMETERS = {
    "ENMAX": "ENCUT",
    **{name: name for name in ("EDIFF", "GGA", "ISMEAR", "ISPIN", "KSPACING", "LASPH", "LREAL", "PREC", "SIGMA")},
}
"""Names in vasprun.xml of what VASP made of its input, and the tags they come from."""


@dataclass(frozen=True)
class Reading:
    """The content of a finished run.

    Attributes
    ----------
    reason
        Why it is no label, in a sentence; nothing where it may be one.
    converged
        True where self-consistency was reached.
    energy
        Free energy (eV), dispersion included.
    energy_zero
        Energy extrapolated to no smearing (eV).
    forces
        Forces (n_atoms, 3), eV/A, in the order of the structure.
    stress
        Stress (3, 3), eV/A^3, tension positive.
    n_scf
        Electronic steps.
    version
        Of the program, such as 6.4.2.
    executable
        Program and version in words.
    cores
        Cores that it ran on.
    elapsed_s
        Seconds that it says it took.
    """

    reason: str = ""
    converged: bool = False
    energy: float = float("nan")
    energy_zero: float = float("nan")
    forces: Array = field(default_factory=lambda: np.zeros((0, 3)))
    stress: Array = field(default_factory=lambda: np.zeros((3, 3)))
    n_scf: int = 0
    version: str = ""
    executable: str = ""
    cores: int = 1
    elapsed_s: float = 0.0


def read_run(directory: Path, sent: Sent) -> Reading | None:
    """Read vasprun.xml and OUTCAR of a run and compare them with what was sent; None where it did not finish."""
    from pymatgen.io.vasp.inputs import Incar
    from pymatgen.io.vasp.outputs import Vasprun

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an unconverged run is told by its result
        try:
            run = Vasprun(directory / "vasprun.xml", parse_dos=False, parse_eigen=False, parse_potcar_file=False)
            step = run.ionic_steps[-1]
            final = {name: float(step[name]) for name in ("e_fr_energy", "e_0_energy")}
            forces, kilobars = np.array(step["forces"], dtype=float), np.array(step["stress"], dtype=float)
            electronic = step["electronic_steps"]
            incar = Incar.from_file(directory / "INCAR")
        except Exception:  # whatever the parser meets in a file that was cut short
            return None
    outcar = _text(directory / "OUTCAR")
    in_order = np.full((len(sent.order), 3), np.nan)
    if forces.shape == in_order.shape:
        in_order[sent.order] = forces
    generator = [str(run.generator.get(name, "")).strip() for name in ("program", "version", "subversion")]
    generator[0] = generator[0].lower()  # pymatgen writes Vasp
    return Reading(
        reason=_difference(run, sent) or _changed_tags(run, sent, incar, directory),
        converged=bool(run.converged_electronic),
        energy=final["e_fr_energy"],
        energy_zero=final["e_fr_energy"] + _smearing_correction(electronic),
        forces=in_order,
        stress=-kilobars / KILOBAR_PER_EV_A3,
        n_scf=len(electronic),
        version=generator[1],
        executable=" ".join(word for word in generator if word),
        cores=cores_in(directory),
        elapsed_s=_elapsed_s(outcar),
    )


def archive_vasprun(directory: Path, target: Path) -> Path:
    """Compress vasprun.xml so that equal content gives an equal file, and return it."""
    partial = target.with_name(f".{target.name}")
    with partial.open("wb") as raw, gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as packed:
        packed.write((directory / "vasprun.xml").read_bytes())
    return partial.replace(target)


def fits_version(version: str, wanted: str) -> bool:
    """Tell whether a version, such as 6.4.2, is one that is wanted, or begins with it (6.4)."""
    parts, start = version.split("."), wanted.split(".")
    return parts[: len(start)] == start


def _smearing_correction(electronic: list[Mapping[str, Any]]) -> float:
    """Return what extrapolation to no smearing adds to the free energy (eV).

    It is taken from the last electronic step: ``e_0_energy`` at the end of the ionic step is wrong in vasprun.xml
    (VASP forum, thread 16942), and the energies of the electronic steps lack the dispersion.
    """
    last = electronic[-1]
    return float(last["e_0_energy"]) - float(last["e_fr_energy"])


def _difference(run: Any, sent: Sent) -> str:
    """Return how the calculation differs from what was sent: its atoms, its cell, its potentials."""
    found = run.ionic_steps[-1]["structure"]
    symbols = tuple(str(symbol) for symbol in run.atomic_symbols)
    if symbols != sent.symbols:
        return f"VASP computed {' '.join(symbols)} in place of the atoms that were sent"
    cell = np.array(found.lattice.matrix)
    moved = np.abs(cell - sent.cell).max()
    if moved > _SAME_PLACE_A:
        return f"the cell that VASP computed differs by {moved:.3g} A from the one that was sent"
    offset = np.array(found.frac_coords) - sent.positions @ np.linalg.inv(sent.cell)
    distance = np.linalg.norm((offset - np.round(offset)) @ sent.cell, axis=1)
    if distance.max() > _SAME_PLACE_A:
        atom = int(distance.argmax())
        return f"atom {int(sent.order[atom])} was {distance[atom]:.3g} A from where it was sent"
    for element, title in zip(sent.elements(), run.potcar_symbols, strict=False):
        potcar = sent.potcars[element]
        agrees = title.split() == potcar.title.split() if potcar.path else potcar.symbol in title.split()
        if not agrees:
            return f"VASP read the POTCAR '{title}' for {element}, not '{potcar.title}'"
    return ""


def _changed_tags(run: Any, sent: Sent, incar: Mapping[str, Any], directory: Path) -> str:
    """Return which tag is not the level's any more, in INCAR as it is now and in what VASP says it read."""
    wanted = physical(sent.tags)
    parameters = {tag: run.parameters[name] for name, tag in _PARAMETERS.items() if name in run.parameters}
    changed = (
        deviation(wanted, incar, complete=True)
        or deviation(wanted, run.incar, complete=False)
        or deviation(wanted, parameters, complete=False)
        or ("a KPOINTS file, not KSPACING" if (directory / "KPOINTS").exists() else "")
    )
    return f"the calculation ran with {changed}: it is not at the level of theory" if changed else ""


def cores_in(directory: Path) -> int:
    """Return the cores of a run: "running on 4 total cores", or "running 4 mpi-ranks, with 2 threads/rank"."""
    outcar = _text(directory / "OUTCAR")
    threads = re.search(r"running\s+(\d+)\s+mpi-ranks?,\s+with\s+(\d+)\s+threads?/rank", outcar)
    if threads:
        return int(threads[1]) * int(threads[2])
    ranks = re.search(r"running on\s+(\d+)\s+total cores", outcar)
    return int(ranks[1]) if ranks else 1


def _elapsed_s(outcar: str) -> float:
    found = re.search(r"Elapsed time \(sec\):\s*([\d.]+)", outcar)
    return float(found[1]) if found else 0.0


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
