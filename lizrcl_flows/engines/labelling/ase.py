"""Labels from any ASE calculator that an import path names."""

import importlib.util
import json
import os
import sys
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from lizrcl_flows.documents import Level, Offence, Structure
from lizrcl_flows.documents.spec import LevelSpec
from lizrcl_flows.engines.labelling.base import LabelResult
from lizrcl_flows.engines.labelling.record import read_label, write_label
from lizrcl_flows.engines.labelling.single_point import OUTCOME_FILE, REQUEST_FILE
from lizrcl_flows.engines.processes import Finished, replace_text, run_program, sole_use
from lizrcl_flows.engines.serial import Engine
from lizrcl_flows.errors import InputError
from lizrcl_flows.science.geometry import describe_contact, shortest_contact

EXTRAS = {"tblite": "lizrcl_flows[xtb]"}
"""What to install for a module that is missing; for any other the module's own name is given."""


@dataclass
class AseLabeller(Engine):
    """Energy, forces and stress from an ASE calculator, each label in a process of its own.

    Parameters
    ----------
    calculator
        Import path ``module:Class``.
    parameters
        Keyword arguments of the class; JSON values.
    note
        What the level is good for.
    max_attempts
        How often a calculation that fails is tried.
    threads
        Threads of one label. More than one makes the last digits of some codes depend on chance.
    time_limit_s
        Seconds that one attempt may take; no limit where none.
    overlap_factor
        Atoms closer than this share of the sum of their covalent radii are refused before anything is computed.
    net_force_tolerance
        Largest component of the sum of all forces (eV/A); more says that the calculation is not converged with respect
        to its real-space grid, or wrong.
    """

    calculator: str
    parameters: dict[str, Any] = field(default_factory=dict)
    note: str = ""
    max_attempts: int = 2
    threads: int = 1
    time_limit_s: float | None = None
    overlap_factor: float = 0.5
    net_force_tolerance: float = 0.1

    def __post_init__(self) -> None:
        module, colon, name = self.calculator.partition(":")
        if not (module and colon and name):
            raise InputError(
                f"labelling: calculator '{self.calculator}' should be an import path module:Class, "
                "such as tblite.ase:TBLite"
            )

    @classmethod
    def from_spec(cls, spec: LevelSpec) -> "AseLabeller":
        """Build the engine that a campaign file describes."""
        return cls(
            calculator=spec.calculator,
            parameters=dict(spec.parameters),
            note=spec.note,
            max_attempts=spec.max_attempts,
        )

    def level(self) -> Level:
        """Return the level of theory: the calculator, its version and every parameter that was given.

        Raises
        ------
        InputError
            If the calculator's module is not installed here.
        """
        functional = self.parameters.get("method", self.parameters.get("xc"))
        return Level(
            engine="ase",
            code=self.calculator,
            code_version=self._version(),
            functional=functional if isinstance(functional, str) else None,
            parameters=self.parameters,
            note=self.note,
        )

    def label(self, structure: Structure, directory: Path) -> LabelResult:
        """Compute one label, or find it finished in the directory.

        Raises
        ------
        InputError
            If the calculator cannot be imported or made from its parameters: every label would fail alike.
        """
        level_id = self.level().id
        with sole_use(directory) as lock:
            result = read_label(directory, structure.id, level_id)
            if result is None:
                contact = shortest_contact(structure, self.overlap_factor)
                result = _refusal(contact) if contact is not None else self._attempt_all(structure, directory, lock)
                result = write_label(directory, structure.id, level_id, result)
        return result

    def _attempt_all(self, structure: Structure, directory: Path, lock: int) -> LabelResult:
        wall_s, attempts = 0.0, 0
        while True:
            finished, outcome = self._attempt(structure, directory, lock)
            wall_s, attempts = wall_s + finished.wall_s, attempts + 1
            reason = self._objection(outcome, structure.n_atoms)
            if not reason or attempts >= self.max_attempts:
                break
        numbers = {} if reason else outcome
        stress = numbers.get("stress")
        return LabelResult(
            accepted=not reason,
            reason=reason,
            energy=numbers.get("energy"),
            forces=np.array(numbers["forces"]) if numbers else None,
            stress=None if stress is None else np.array(stress),
            attempts=attempts,
            wall_s=wall_s,
            core_hours=wall_s * self.threads / 3600,
            executable=f"{self.calculator} {self._version()}".strip(),
            files=tuple(path for path in (directory / "stdout.txt", directory / "stderr.txt") if path.stat().st_size),
        )

    def _attempt(self, structure: Structure, directory: Path, lock: int) -> tuple[Finished, dict[str, Any]]:
        request = {
            "calculator": self.calculator,
            "parameters": self.parameters,
            "numbers": structure.numbers.tolist(),
            "cell": structure.cell.tolist(),
            "positions": structure.positions.tolist(),
            "pbc": structure.pbc,
        }
        replace_text(directory / REQUEST_FILE, json.dumps(request))
        (directory / OUTCOME_FILE).unlink(missing_ok=True)
        finished = run_program(
            [sys.executable, "-m", "lizrcl_flows.engines.labelling.single_point"],
            directory,
            lock,
            threads=self.threads,
            environment={"PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)},
            time_limit_s=self.time_limit_s,
        )
        try:
            outcome: dict[str, Any] = json.loads((directory / OUTCOME_FILE).read_text(encoding="utf-8"))
        except FileNotFoundError:
            outcome = {"status": "failed", "reason": f"its process {finished.in_words()}"}
        if outcome["status"] == "misconfigured":
            raise InputError(
                f"labelling: calculator {self.calculator} cannot be made from {self.parameters}: {outcome['reason']}"
            )
        return finished, outcome

    def _objection(self, outcome: dict[str, Any], n_atoms: int) -> str:
        """Return why an outcome is no label, in one sentence, or nothing."""
        if outcome["status"] == "failed":
            return f"{self.calculator} failed: {outcome['reason']}"
        forces = np.array(outcome["forces"])
        if forces.shape != (n_atoms, 3):
            return f"{self.calculator} gave forces of shape {forces.shape} for {n_atoms} atoms"
        stress = outcome["stress"]
        for quantity, values in (("energy", outcome["energy"]), ("forces", forces), ("stress", stress or 0.0)):
            if not np.isfinite(values).all():
                return f"{self.calculator} gave {quantity} that are not finite numbers"
        net = np.abs(forces.sum(axis=0)).max()
        if net > self.net_force_tolerance:
            return (
                f"the forces of {self.calculator} add up to {net:.3g} eV/A, more than {self.net_force_tolerance:g}: "
                "the calculation is not converged with its grid"
            )
        return ""

    def _version(self) -> str:
        module = self.calculator.partition(":")[0].partition(".")[0]
        version = _version_of(module)
        if version is None:
            raise InputError(
                f"labelling: calculator '{self.calculator}' needs the module '{module}', which is not installed: "
                f"pip install {EXTRAS.get(module, module)}"
            )
        return version


def _refusal(contact: Offence) -> LabelResult:
    reason = f"{describe_contact(contact)}, less than {contact.threshold:.3f} A: atoms overlap, nothing was computed"
    return LabelResult(accepted=False, reason=reason, attempts=0)


@cache
def _version_of(module: str) -> str | None:
    """Return the version of a module's distribution, the hash of a lone module's source, or none where it is absent."""
    found = importlib.util.find_spec(module)
    if found is None:
        return None
    for name in (module, *metadata.packages_distributions().get(module, [])):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    if found.origin is None or not Path(found.origin).is_file():
        return "unknown"
    return f"sha256:{sha256(Path(found.origin).read_bytes()).hexdigest()[:16]}"
