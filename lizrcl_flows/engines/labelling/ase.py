"""Labels from any ASE calculator."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lizrcl_flows.documents import Level, Structure
from lizrcl_flows.documents.spec import LevelSpec
from lizrcl_flows.engines.calculators import CalculatorChoice, compute_apart
from lizrcl_flows.engines.labelling.base import LabelResult
from lizrcl_flows.engines.labelling.objections import NET_FORCE_TOLERANCE, OVERLAP_FACTOR, objection, refusal
from lizrcl_flows.engines.labelling.patience import Patience
from lizrcl_flows.engines.labelling.record import read_label, write_label
from lizrcl_flows.engines.processes import Finished, sole_use
from lizrcl_flows.engines.serial import Engine

PROGRAM = "lizrcl_flows.engines.labelling.single_point"


@dataclass
class AseLabeller(Engine):
    """Energy, forces and stress from an ASE calculator, each label in a process of its own.

    Parameters
    ----------
    calculator, file, parameters, dispersion, functional
        See `engines.calculators.CalculatorChoice`.
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
    overlap_factor: float = OVERLAP_FACTOR
    net_force_tolerance: float = NET_FORCE_TOLERANCE

    file: str | None = None
    dispersion: str | None = None
    functional: str | None = None

    def __post_init__(self) -> None:
        self._choice()

    @classmethod
    def from_spec(cls, spec: LevelSpec) -> "AseLabeller":
        """Build the engine that a campaign file describes."""
        return cls(
            calculator=spec.calculator,
            parameters=dict(spec.parameters),
            note=spec.note,
            max_attempts=spec.max_attempts,
            file=spec.file,
            time_limit_s=spec.time_limit_s,
            dispersion=spec.dispersion,
            functional=spec.functional,
        )

    def level(self) -> Level:
        """Return the level of theory: the calculator, its version and every parameter that was given.

        Raises
        ------
        InputError
            If the calculator's module is not installed here, or its model file is missing.
        """
        return self._choice().level(self.note)

    def require(self, elements: Iterable[str]) -> None:
        """See that the calculator is installed, and knows the elements where it says so.

        Raises
        ------
        InputError
            If it is not, or does not.
        """
        self._choice().require(elements)

    def label(self, structure: Structure, directory: Path, seconds: float | None = None) -> LabelResult:
        """Compute one label, or find it finished in the directory.

        Parameters
        ----------
        seconds
            Time that is left to the worker; a calculation that needs longer is interrupted.

        Raises
        ------
        InputError
            If the calculator cannot be imported or made from its parameters: every label would fail alike.
        """
        level_id = self.level().id
        with sole_use(directory) as lock:
            result = read_label(directory, structure.id, level_id)
            if result is None:
                result = refusal(structure, self.overlap_factor)
                if result is None:
                    result = self._attempt_all(structure, directory, lock, seconds)
                if not result.interrupted:
                    result = write_label(directory, structure.id, level_id, result)
        return result

    def _attempt_all(self, structure: Structure, directory: Path, lock: int, seconds: float | None) -> LabelResult:
        patience = Patience(seconds, self.time_limit_s, self.threads)
        while True:
            finished, outcome = self._attempt(structure, directory, lock, patience.limit_s)
            interrupted = patience.count(finished)
            if interrupted is not None:
                return interrupted
            reason = self._objection(outcome, structure.n_atoms)
            if not reason or patience.attempts >= self.max_attempts:
                break
        numbers = {} if reason else outcome
        stress = numbers.get("stress")
        return LabelResult(
            accepted=not reason,
            reason=reason,
            energy=numbers.get("energy"),
            energy_zero=numbers.get("energy_zero"),
            forces=np.array(numbers["forces"]) if numbers else None,
            stress=None if stress is None else np.array(stress),
            attempts=patience.attempts,
            wall_s=patience.wall_s,
            core_hours=patience.core_hours,
            executable=f"{self._choice().title} {self._choice().version()}",
            files=tuple(path for path in (directory / "stdout.txt", directory / "stderr.txt") if path.stat().st_size),
        )

    def _attempt(
        self, structure: Structure, directory: Path, lock: int, limit_s: float | None
    ) -> tuple[Finished, dict[str, Any]]:
        request = {
            "calculator": self._choice().request(),
            "numbers": structure.numbers.tolist(),
            "cell": structure.cell.tolist(),
            "positions": structure.positions.tolist(),
            "pbc": structure.pbc,
        }
        return compute_apart(PROGRAM, request, directory, lock, threads=self.threads, time_limit_s=limit_s)

    def _objection(self, outcome: dict[str, Any], n_atoms: int) -> str:
        """Return why an outcome is no label, in one sentence, or nothing."""
        title = self._choice().title
        if outcome["status"] == "failed":
            return f"{title} failed: {outcome['reason']}"
        return objection(
            title, outcome["energy"], outcome["forces"], outcome["stress"], n_atoms, self.net_force_tolerance
        )

    def _choice(self) -> CalculatorChoice:
        return CalculatorChoice(self.calculator, self.file, self.parameters, self.dispersion, self.functional)
