"""Relaxation with any ASE calculator, a foundation model or a NEP file for example."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lizrcl_flows.documents import Level, Origin, Structure, now_utc
from lizrcl_flows.documents.spec import FoundationSpec
from lizrcl_flows.engines.calculators import CalculatorChoice, compute_apart
from lizrcl_flows.engines.finished import FINISHED_FILE, finished_facts, inputs_sha256, mark_finished
from lizrcl_flows.engines.processes import sole_use
from lizrcl_flows.engines.relaxation.base import RelaxationResult
from lizrcl_flows.engines.relaxation.descent import STEPS_FILE
from lizrcl_flows.engines.serial import Engine
from lizrcl_flows.errors import InputError
from lizrcl_flows.science.geometry import describe_contact, shortest_contact
from lizrcl_flows.settings import load_settings

PROGRAM = "lizrcl_flows.engines.relaxation.descent"
CELLS = ("free", "fixed", "c_only")
OPTIMISERS = ("FIRE", "BFGS", "LBFGS")


@dataclass
class AseRelaxer(Engine):
    """Descend in positions and cell, each relaxation in a process of its own.

    The cell moves through its logarithmic strain: ASE's ``FrechetCellFilter``.

    Parameters
    ----------
    calculator, file, parameters
        See `engines.calculators.CalculatorChoice`.
    cell
        ``free``; ``fixed``; or ``c_only``: the plane of the first two vectors keeps its shape and only its distance to
        the next plane moves, as for an interface whose in-plane strain is given.
    fmax_ev_per_a
        Largest force on an atom at which it has ended (eV/A).
    smax_gpa
        Largest component of the residual stress at which it has ended (GPa), among those that the cell is free in.
    max_steps
        Steps after which it has not converged.
    pressure_gpa
        External pressure (GPa) where the cell moves.
    optimiser
        ``FIRE``, which is robust; ``BFGS`` or ``LBFGS``, which need fewer steps close to the minimum.
    threads
        Threads of one relaxation; the setting of this machine where absent.
    time_limit_s
        Seconds that it may take; no limit where none.
    volume_factor
        A cell that grows or shrinks by more has exploded.
    overlap_factor
        Atoms closer than this share of the sum of their covalent radii at the end: it has exploded.
    """

    calculator: str
    file: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    cell: str = "free"
    fmax_ev_per_a: float = 0.05
    smax_gpa: float = 0.1
    max_steps: int = 500
    pressure_gpa: float = 0.0
    optimiser: str = "FIRE"
    threads: int | None = None
    time_limit_s: float | None = None
    volume_factor: float = 2.0
    overlap_factor: float = 0.5

    def __post_init__(self) -> None:
        self._choice()
        for name, accepted in (("cell", CELLS), ("optimiser", OPTIMISERS)):
            if getattr(self, name) not in accepted:
                raise InputError(f"relaxation: {name} '{getattr(self, name)}' is none of {', '.join(accepted)}")
        for name in ("fmax_ev_per_a", "smax_gpa", "max_steps"):
            if not getattr(self, name) > 0:
                raise InputError(f"relaxation: {name} {getattr(self, name)} should be greater than 0")

    @classmethod
    def from_spec(cls, spec: FoundationSpec, **settings: Any) -> "AseRelaxer":
        """Build the engine with the potential that a campaign file describes and further fields of the engine."""
        return cls.from_dict({**spec.model_dump(), **settings})

    def level(self) -> Level:
        """Return the level of theory that relaxes.

        Raises
        ------
        InputError
            If the calculator's package is not installed, or its model file is missing.
        """
        return self._choice().level()

    def require(self, elements: Iterable[str]) -> None:
        """See that the calculator can work here and knows these elements, as far as that is cheap to tell.

        Raises
        ------
        InputError
            If its package, its model file or an element is missing.
        """
        self._choice().require(elements)

    def relax(self, structure: Structure, directory: Path) -> RelaxationResult:
        """Relax, or find the same relaxation finished in the directory.

        Raises
        ------
        InputError
            If the calculator cannot be made, or the cell of a structure is to move that is not periodic in all
            directions.
        """
        if self.cell != "fixed" and not all(structure.pbc):
            raise InputError(
                f"relaxation: structure {structure.id} is not periodic in all directions, so only cell 'fixed' is "
                f"accepted, not '{self.cell}'"
            )
        level_id = self.level().id
        digest = self._digest(structure, level_id)
        with sole_use(directory) as lock:
            facts = finished_facts(directory, digest)
            if facts is None:
                facts = self._compute(structure, directory, lock)
                mark_finished(directory, digest, **facts)
        return self._result(structure, directory, level_id, facts)

    def _threads(self) -> int:
        return self.threads or load_settings().threads

    def _choice(self) -> CalculatorChoice:
        return CalculatorChoice(self.calculator, self.file, self.parameters)

    def _settings(self) -> dict[str, Any]:
        """Return what decides about the result, beside structure and level."""
        names = ("cell", "fmax_ev_per_a", "smax_gpa", "max_steps", "pressure_gpa", "optimiser", "volume_factor")
        return {name: getattr(self, name) for name in names}

    def _digest(self, structure: Structure, level_id: str) -> str:
        asked = {
            **self._settings(),
            "overlap_factor": self.overlap_factor,
            "structure": structure.id,
            "level": level_id,
        }
        return inputs_sha256({"request": json.dumps(asked, sort_keys=True).encode()})

    def _compute(self, structure: Structure, directory: Path, lock: int) -> dict[str, Any]:
        """Run the program and judge what it left; ``status`` is ``done`` where there is a geometry to trust."""
        request = {
            "calculator": self._choice().request(),
            "numbers": structure.numbers.tolist(),
            "positions": structure.positions.tolist(),
            "vectors": structure.cell.tolist(),
            "pbc": structure.pbc,
            **self._settings(),
        }
        finished, outcome = compute_apart(
            PROGRAM, request, directory, lock, threads=self._threads(), time_limit_s=self.time_limit_s
        )
        return {
            "n_steps": 0,
            "converged": False,
            **outcome,
            **self._verdict(structure, outcome),
            "wall_s": finished.wall_s,
        }

    def _verdict(self, structure: Structure, outcome: dict[str, Any]) -> dict[str, Any]:
        title = self._choice().title
        if outcome["status"] != "done":
            return {"reason": f"{title} failed: {outcome['reason']}"}
        contact = shortest_contact(self._moved(structure, outcome), self.overlap_factor)
        if contact is not None:
            return {
                "status": "failed",
                "converged": False,
                "reason": f"after {outcome['n_steps']} steps with {title}, {describe_contact(contact)}, less than "
                f"{contact.threshold:.3f} A: atoms overlap",
            }
        if outcome["converged"]:
            return {"reason": ""}
        stress = f" and stress {outcome['max_stress_gpa']:.3g} GPa ({self.smax_gpa:g})" if self.cell != "fixed" else ""
        return {
            "reason": f"not converged in {outcome['n_steps']} steps: largest force {outcome['max_force']:.3g} eV/A "
            f"({self.fmax_ev_per_a:g} asked for){stress}"
        }

    def _result(self, structure: Structure, directory: Path, level_id: str, facts: dict[str, Any]) -> RelaxationResult:
        choice = self._choice()
        sound = facts["status"] == "done"
        stress = facts["stress"] if sound else None
        return RelaxationResult(
            structure=self._moved(structure, facts, self._origin(structure, level_id, facts)) if sound else structure,
            energy=facts["energy"] if sound else np.nan,
            forces=np.array(facts["forces"]) if sound else np.full((structure.n_atoms, 3), np.nan),
            stress=None if stress is None else np.array(stress),
            converged=facts["converged"],
            n_steps=facts["n_steps"],
            reason=facts["reason"],
            wall_s=facts["wall_s"],
            core_hours=facts["wall_s"] * self._threads() / 3600,
            executable=f"{choice.title} {choice.version()}",
            files=tuple(path for path in (directory / name for name in (FINISHED_FILE, STEPS_FILE)) if path.exists()),
        )

    def _origin(self, structure: Structure, level_id: str, facts: dict[str, Any]) -> Origin:
        moves = self.cell != "fixed"
        return Origin(
            kind="relaxed",
            source=structure.id,
            parameters={
                "calculator": self._choice().title,
                "level": level_id,
                "cell": self.cell,
                "optimiser": self.optimiser,
                "n_steps": facts["n_steps"],
                "converged": facts["converged"],
                "energy_change_ev": facts["energy"] - facts["energy_start"],
                "fmax_ev_per_a": self.fmax_ev_per_a,
                "max_force_ev_per_a": facts["max_force"],
                "pressure_gpa": self.pressure_gpa if moves else None,
                "smax_gpa": self.smax_gpa if moves else None,
                "max_stress_gpa": facts["max_stress_gpa"] if moves else None,
            },
        )

    def _moved(self, structure: Structure, facts: dict[str, Any], origin: Origin | None = None) -> Structure:
        return structure.revised(
            cell=facts["cell"],
            positions=facts["positions"],
            origin=origin or structure.origin,
            parents=(structure.id,),
            created_at=now_utc(),
        )
