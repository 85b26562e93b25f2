"""Molecular dynamics with any ASE calculator, as a program of its own.

It reads ``model.xyz``, ``run.in`` and ``request.json`` in the current directory and integrates as ``lizrcl-gpumd``
does: the same thermostat and barostat, the same files, the same bounds of health. Only the forces are another's.
"""

from pathlib import Path
from typing import Any

import numpy as np

from lizrcl_flows.engines.calculation import CalculatorError, answer, evaluate, make_atoms
from lizrcl_flows.errors import InputError
from lizrcl_flows.gpumd import ModelXyz, NptScr, Plan, make_plan, read_model_xyz, read_run_in
from lizrcl_flows.gpumd.extended_xyz import FloatArray
from lizrcl_flows.gpumd.health import HEALTH_FILE, BlownUpError, write_health
from lizrcl_flows.gpumd.simulation import Options, simulate


class CalculatorForces:
    """An ASE calculator as what drives a simulation.

    Parameters
    ----------
    calculator
        Of a request: `engines.calculators.CalculatorChoice.request`.
    model
        The system.

    Raises
    ------
    CalculatorError
        If the calculator cannot be made, or does not know an element of the system.
    """

    def __init__(self, calculator: dict[str, Any], model: ModelXyz) -> None:
        from ase.data import atomic_numbers

        self.title = calculator["title"]
        self.atoms = make_atoms(
            {
                "calculator": calculator,
                "numbers": [atomic_numbers[symbol] for symbol in model.species],
                "positions": model.positions,
                "cell": model.cell,
                "pbc": model.pbc,
            }
        )

    def compute(self, cell: FloatArray, positions: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        """Energy (eV), forces (eV/A) and virial (eV); the virial is NaN where the calculator has no stress.

        Raises
        ------
        InputError
            The calculator fails, or gives what is no number.
        """
        self.atoms.set_cell(cell)
        self.atoms.set_positions(positions)
        try:
            energy, forces, stress = evaluate(self.atoms)
        except CalculatorError as error:
            raise InputError(f"{self.title} failed: {error}") from error
        if not (np.isfinite(energy) and np.isfinite(forces).all()):
            raise InputError(f"{self.title} gave an energy or forces that are not finite numbers")
        virial = np.full((3, 3), np.nan) if stress is None else -stress * self.atoms.get_volume()
        return energy, forces, virial

    def compute_all(self, cell: FloatArray, positions: FloatArray) -> FloatArray:
        """Evaluate the forces (eV/A) as those of a committee of one, shape (1, N, 3)."""
        return self.compute(cell, positions)[1][None]

    def atom_energies(self, cell: FloatArray, positions: FloatArray) -> FloatArray:
        """Energies of the atoms (eV), shape (N,), from the calculators that have them."""
        self.compute(cell, positions)
        energies: FloatArray = self.atoms.get_potential_energies()
        return energies


def compute(request: dict[str, Any]) -> dict[str, Any]:
    """Carry out ``run.in``; how it went is in ``health.json``, which is there once the first forces are."""
    directory = Path.cwd()
    plan = make_plan(read_run_in(directory / "run.in"), read_model_xyz(directory / "model.xyz"))
    forces = CalculatorForces(request["calculator"], plan.model)
    _check_first_forces(plan, forces)
    write_health(directory, status="running", reason="", step=0)
    try:
        outcome = simulate(plan, forces, Options(directory, request["seed"]))
    except BlownUpError as error:
        write_health(directory, status="blown_up", reason=str(error), step=error.step)
        return {}
    except InputError as error:  # atoms overlap at the start
        (directory / HEALTH_FILE).unlink()
        raise CalculatorError(str(error)) from error
    write_health(directory, status="ok", reason="", step=outcome.steps)
    return {}


def _check_first_forces(plan: Plan, forces: CalculatorForces) -> None:
    """Find out now what would stop the run at its first step.

    Raises
    ------
    CalculatorError
        If the calculator fails at the start, or has no stress for a cell that moves.
    """
    try:
        _, _, virial = forces.compute(plan.model.cell, plan.model.positions)
    except InputError as error:
        raise CalculatorError(str(error)) from error
    if np.isnan(virial).any() and any(isinstance(stage.ensemble, NptScr) for stage in plan.stages):
        raise CalculatorError(f"{forces.title} gives no stress, which the ensemble npt needs")


if __name__ == "__main__":
    answer(compute)
