"""One relaxation with any ASE calculator, as a program of its own.

It reads ``request.json`` in the current directory and leaves ``outcome.json`` and a table of its steps there. Whether
it has converged is judged here, by the largest force on an atom and the largest component of the residual stress:
ASE's own criterion measures the stress in units that depend on the number of atoms.
"""

from pathlib import Path
from typing import Any

import numpy as np

from lizrcl_flows.engines.calculation import CalculatorError, answer, evaluate, in_one_line, make_atoms
from lizrcl_flows.units import GPA_PER_EV_A3

STEPS_FILE = "steps.txt"
_HEADER = "# step energy_ev max_force_ev_per_a max_stress_gpa volume_a3\n"


class _Relaxation:
    """Atoms on their way down, in the orientation in which the plane of the first two cell vectors is horizontal."""

    def __init__(self, request: dict[str, Any]) -> None:
        self.request = request
        self.atoms = make_atoms({**request, "cell": request["vectors"]})
        self.cell_moves = request["cell"] != "fixed"
        self.rotation = np.eye(3)
        if request["cell"] == "c_only":
            standard, self.rotation = self.atoms.cell.standard_form()
            self.atoms.set_cell(standard, scale_atoms=True)
        self.pressure = request["pressure_gpa"] / GPA_PER_EV_A3
        self.start_volume = abs(float(np.linalg.det(self.atoms.cell.array)))

    def optimiser(self) -> Any:
        """Return ASE's optimiser on the atoms, and on the cell where it moves."""
        import ase.filters
        import ase.optimize

        target = self.atoms
        if self.cell_moves:
            mask = [0, 0, 1, 0, 0, 0] if self.request["cell"] == "c_only" else None
            target = ase.filters.FrechetCellFilter(self.atoms, mask=mask, scalar_pressure=self.pressure)
        return getattr(ase.optimize, self.request["optimiser"])(target, logfile=None)

    def measure(self) -> dict[str, Any]:
        """Return energy, forces, stress and their largest values; the force on an atom is its length.

        Raises
        ------
        CalculatorError
            If the calculator fails, has no stress for a cell that moves, or the structure has left all bounds.
        """
        energy, forces, stress = evaluate(self.atoms)
        if self.cell_moves and stress is None:
            raise CalculatorError("it gives no stress, so only positions can be relaxed: cell 'fixed'")
        volume = abs(float(np.linalg.det(self.atoms.cell.array)))
        self._check_bounds(energy, forces, stress, volume)
        residual = np.zeros((3, 3)) if stress is None else stress + self.pressure * np.eye(3)
        if self.request["cell"] == "c_only":
            residual = residual[2:, 2:]
        return {
            "energy": energy,
            "forces": forces @ self.rotation,
            "stress": None if stress is None else self.rotation.T @ stress @ self.rotation,
            "max_force": float(np.linalg.norm(forces, axis=1).max()),
            "max_stress_gpa": float(np.abs(residual).max()) * GPA_PER_EV_A3 if self.cell_moves else 0.0,
            "volume": volume,
        }

    def _check_bounds(self, energy: float, forces: Any, stress: Any, volume: float) -> None:
        finite = np.isfinite(energy) and np.isfinite(forces).all() and (stress is None or np.isfinite(stress).all())
        if not finite:
            raise CalculatorError("it gave an energy, forces or a stress that are not finite numbers")
        factor = self.request["volume_factor"]
        if self.cell_moves and not 1 / factor <= volume / self.start_volume <= factor:
            raise CalculatorError(
                f"the cell exploded or collapsed: {volume:.4g} A^3 after {self.start_volume:.4g} A^3 at the start"
            )

    def is_converged(self, measured: dict[str, Any]) -> bool:
        """Tell whether forces and stress are below what was asked for."""
        request = self.request
        return bool(
            measured["max_force"] <= request["fmax_ev_per_a"] and measured["max_stress_gpa"] <= request["smax_gpa"]
        )

    def geometry(self) -> dict[str, Any]:
        """Return cell and positions in the orientation of the start."""
        cell = self.atoms.cell.array @ self.rotation
        return {"cell": cell.tolist(), "positions": (self.atoms.positions @ self.rotation).tolist()}


def compute(request: dict[str, Any]) -> dict[str, Any]:
    """Relax, and return geometry, energies (eV), forces (eV/A), stress (eV/A^3), ``n_steps`` and ``converged``."""
    relaxation = _Relaxation(request)
    optimiser = relaxation.optimiser()
    with Path(STEPS_FILE).open("w", encoding="utf-8") as table:
        table.write(_HEADER)
        try:
            first, last, converged = _descend(relaxation, optimiser, table)
        except CalculatorError as error:
            if not optimiser.nsteps:
                raise
            raise CalculatorError(f"at step {optimiser.nsteps}, {error}") from error
    return {
        **relaxation.geometry(),
        "energy": last["energy"],
        "energy_start": first["energy"],
        "forces": last["forces"].tolist(),
        "stress": None if last["stress"] is None else last["stress"].tolist(),
        "max_force": last["max_force"],
        "max_stress_gpa": last["max_stress_gpa"],
        "n_steps": optimiser.nsteps,
        "converged": converged,
    }


def _descend(relaxation: _Relaxation, optimiser: Any, table: Any) -> tuple[dict[str, Any], dict[str, Any], bool]:
    """Step until converged or out of steps; return the first and the last measurement and whether it converged."""
    first = measured = relaxation.measure()
    steps = optimiser.irun(fmax=0.0, steps=relaxation.request["max_steps"])
    while True:
        table.write(
            f"{optimiser.nsteps} {measured['energy']:.8f} {measured['max_force']:.6f} "
            f"{measured['max_stress_gpa']:.5f} {measured['volume']:.5f}\n"
        )
        table.flush()
        if relaxation.is_converged(measured):
            return first, measured, True
        try:
            if optimiser.nsteps == 0:
                next(steps)  # looks at the start and does not move yet
            if next(steps, None) is None:
                return first, measured, False
        except CalculatorError:
            raise
        except Exception as error:  # whatever a calculator raises inside the optimiser
            raise CalculatorError(in_one_line(error)) from error
        measured = relaxation.measure()


if __name__ == "__main__":
    answer(compute)
