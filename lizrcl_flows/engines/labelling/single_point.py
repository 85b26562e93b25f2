"""One single point with any ASE calculator, as a program of its own.

It reads ``request.json`` in the current directory and leaves ``outcome.json`` there. A process for each label costs
0.2 s and buys what nothing else does: a calculator that crashes takes nobody with it, threads are set before the
libraries are loaded, and no label depends on the one before (some calculators start from their last density).
"""

import importlib
import json
from pathlib import Path
from typing import Any

from lizrcl_flows.engines.processes import replace_text

REQUEST_FILE = "request.json"
OUTCOME_FILE = "outcome.json"


def main() -> None:
    """Compute what the request asks for; the outcome says ``done``, ``failed`` or ``misconfigured``."""
    directory = Path.cwd()
    request = json.loads((directory / REQUEST_FILE).read_text(encoding="utf-8"))
    replace_text(directory / OUTCOME_FILE, json.dumps(compute(request)))


def compute(request: dict[str, Any]) -> dict[str, Any]:
    """Return energy (eV), forces (eV/A) and stress (eV/A^3) of a request, or what stood in the way."""
    from ase import Atoms

    module, _, name = request["calculator"].partition(":")
    try:
        calculator = getattr(importlib.import_module(module), name)(**request["parameters"])
    except Exception as error:  # whatever importing and making a calculator of anybody's raises
        return {"status": "misconfigured", "reason": in_one_line(error)}
    atoms = Atoms(
        request["numbers"],
        positions=request["positions"],
        cell=request["cell"],
        pbc=request["pbc"],
        calculator=calculator,
    )
    try:
        energy = float(atoms.get_potential_energy())
        forces = atoms.get_forces().tolist()
        stress = _stress(atoms)
    except Exception as error:  # whatever a calculation of anybody's raises
        return {"status": "failed", "reason": in_one_line(error)}
    return {"status": "done", "energy": energy, "forces": forces, "stress": stress}


def _stress(atoms: Any) -> list[list[float]] | None:
    from ase.calculators.calculator import PropertyNotImplementedError

    if not all(atoms.pbc):
        return None
    try:
        stress: list[list[float]] = atoms.get_stress(voigt=False).tolist()
    except (PropertyNotImplementedError, NotImplementedError):
        return None
    return stress


def in_one_line(error: Exception) -> str:
    """Return type and first line of what an exception says."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__


if __name__ == "__main__":
    main()
