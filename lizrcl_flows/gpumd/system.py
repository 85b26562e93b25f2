"""The state of a molecular-dynamics run and what follows from it: temperature, pressure, momenta.

Units: eV, A, fs, u, K. Velocities are in A/fs, so a kinetic energy is ``0.5 m v^2`` times `EV_PER_U_A2_FS2`.
"""

from typing import Protocol

import numpy as np
import numpy.typing as npt

from lizrcl_flows.errors import InputError
from lizrcl_flows.gpumd.extended_xyz import FloatArray
from lizrcl_flows.gpumd.model_xyz import ModelXyz
from lizrcl_flows.units import BOLTZMANN_EV_PER_K

EV_PER_U_A2_FS2 = 1.66053906660e-27 * 1e10 / 1.602176634e-19
"""Energy (eV) of 1 u A^2/fs^2: atomic mass constant (CODATA 2018) and the exact elementary charge."""


class ForceField(Protocol):
    """What drives the dynamics. It knows the species and the periodicity of its system."""

    def compute(self, cell: FloatArray, positions: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        """Energy (eV), forces (eV/A, shape (N, 3)) and virial (eV, shape (3, 3), compression positive).

        The arrays belong to the caller until the next call. Positions need not lie inside the cell.
        """
        ...


class System:
    """Atoms in motion.

    Parameters
    ----------
    model
        Where they start.

    Attributes
    ----------
    species, masses, pbc, groups
        As in `ModelXyz`; masses (u) are always there.
    cell
        Cell vectors in rows (A), shape (3, 3).
    positions
        Positions (A), shape (N, 3), followed across the periodic boundaries.
    velocities
        Velocities (A/fs), shape (N, 3).
    energy, forces, virial
        Of the present positions: eV, eV/A and eV.
    time_fs
        Time since the start (fs).
    """

    def __init__(self, model: ModelXyz) -> None:
        self.species = model.species
        self.pbc = model.pbc
        self.groups = model.groups
        self.masses = np.array(model.masses_or_standard(), dtype=np.float64)
        self.cell = np.array(model.cell, dtype=np.float64)
        self.positions = np.array(model.positions, dtype=np.float64)
        self.velocities = np.zeros_like(self.positions)
        if model.velocities is not None:
            self.velocities[:] = model.velocities
        self.energy = 0.0
        self.forces = np.zeros_like(self.positions)
        self.virial = np.zeros((3, 3))
        self.time_fs = 0.0
        self._momentum_factor = (EV_PER_U_A2_FS2 * self.masses)[:, None]
        self._fixed: npt.NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.species)

    def evaluate(self, force_field: ForceField) -> None:
        """Bring energy, forces and virial up to date with the positions."""
        self.energy, forces, self.virial = force_field.compute(self.cell, self.positions)
        if self._fixed is None:
            self.forces = forces
        else:
            self.forces = np.where(self._fixed[:, None], 0.0, forces)

    def fix(self, atoms: npt.NDArray[np.bool_] | None) -> None:
        """Hold atoms in place (mask of shape (N,)), or let all go (None).

        Raises
        ------
        InputError
            No atom would be left to move.
        """
        if atoms is not None and bool(atoms.all()):
            raise InputError("fix holds every atom in place; at least one should move.")
        self._fixed = atoms
        if atoms is not None:
            self.velocities[atoms] = 0.0

    @property
    def mobile(self) -> npt.NDArray[np.bool_]:
        """Mask of the atoms that move, shape (N,)."""
        return np.ones(len(self), dtype=bool) if self._fixed is None else ~self._fixed

    @property
    def degrees_of_freedom(self) -> int:
        """Number of independent velocity components.

        The total momentum is zero and stays zero, so three are not free unless atoms are held in place. GPUMD counts
        all 3 N; a cell of 54 atoms is then 2 % hotter than it was asked to be.
        """
        if self._fixed is not None:
            return 3 * int(np.count_nonzero(~self._fixed))
        return max(3 * len(self) - 3, 1)

    @property
    def volume(self) -> float:
        """Volume of the cell (A^3)."""
        a, b, c = self.cell.tolist()
        volume: float = abs(
            a[0] * (b[1] * c[2] - b[2] * c[1]) - a[1] * (b[0] * c[2] - b[2] * c[0]) + a[2] * (b[0] * c[1] - b[1] * c[0])
        )
        return volume

    def kinetic_energy(self) -> float:
        """Kinetic energy (eV)."""
        velocities = self.velocities
        return 0.5 * float(np.vdot(self._momentum_factor * velocities, velocities))

    def kinetic_tensor(self) -> FloatArray:
        """Sum of ``m v v`` (eV), shape (3, 3); its trace is twice the kinetic energy."""
        tensor: FloatArray = (self._momentum_factor * self.velocities).T @ self.velocities
        return tensor

    def temperature(self, kinetic_energy: float) -> float:
        """Temperature (K) of a kinetic energy (eV)."""
        return 2.0 * kinetic_energy / (self.degrees_of_freedom * BOLTZMANN_EV_PER_K)

    def pressure(self) -> FloatArray:
        """Pressure tensor (eV/A^3) with the kinetic part; compression is positive. Shape (3, 3)."""
        tensor: FloatArray = (self.kinetic_tensor() + self.virial) / self.volume
        return tensor

    def wrapped_positions(self) -> FloatArray:
        """Positions (A) moved into the cell along its periodic directions, shape (N, 3)."""
        fractional = np.linalg.solve(self.cell.T, self.positions.T).T
        shift = np.floor(fractional)
        shift[:, ~self.pbc] = 0.0
        wrapped: FloatArray = self.positions - shift @ self.cell
        return wrapped

    def snapshot(self) -> ModelXyz:
        """Give the present state as a model, positions wrapped: what ``restart.xyz`` holds."""
        return ModelXyz(
            self.species, self.cell, self.wrapped_positions(), self.pbc, self.masses, self.velocities, self.groups
        )
