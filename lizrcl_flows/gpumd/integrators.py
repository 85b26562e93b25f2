"""Velocity Verlet with stochastic velocity rescaling and stochastic cell rescaling.

Thermostat: G. Bussi, D. Donadio, M. Parrinello, J. Chem. Phys. 126, 014101 (2007). Barostat: M. Bernetti, G. Bussi,
J. Chem. Phys. 153, 114107 (2020); its anisotropic forms follow from the same balance, as shown in `CellRescaling`.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from lizrcl_flows.gpumd.commands import Ensemble, NptScr, NvtBdp
from lizrcl_flows.gpumd.extended_xyz import FloatArray
from lizrcl_flows.gpumd.system import EV_PER_U_A2_FS2, ForceField, System
from lizrcl_flows.units import BOLTZMANN_EV_PER_K, GPA_PER_EV_A3

FROZEN_ABOVE_GPA = 2000.0
"""An elastic constant above this holds its component of the cell still, as in GPUMD."""


@dataclass(frozen=True)
class VelocityRescaling:
    """Stochastic velocity rescaling: the kinetic energy follows its canonical distribution.

    Attributes
    ----------
    tau_steps
        Relaxation time in steps.
    """

    tau_steps: float

    def factor(self, kinetic: float, target: float, degrees: int, rng: np.random.Generator) -> float:
        """Draw the scaling of the velocities for one step: equation A7 of Bussi et al. (2007).

        Parameters
        ----------
        kinetic
            Present kinetic energy (eV), above 0.
        target
            Mean kinetic energy at the target temperature (eV).
        degrees
            Number of degrees of freedom; ``degrees - 1`` squared normal deviates add up to one chi-square deviate.
        rng
            Source of randomness.
        """
        decay = math.exp(-1.0 / self.tau_steps)
        share = (1.0 - decay) * target / (degrees * kinetic)
        normal = rng.standard_normal()
        others = rng.chisquare(degrees - 1) if degrees > 1 else 0.0
        squared = decay + share * (normal * normal + others) + 2.0 * normal * (decay * share) ** 0.5
        return math.sqrt(squared)


class CellRescaling:
    """Stochastic cell rescaling in the isotropic, orthorhombic and triclinic forms of ``npt_scr``.

    The cell and the positions are multiplied by exp(e) and the velocities by exp(-e), with a symmetric strain e. This
    keeps the phase-space volume, so the density of the isothermal-isobaric ensemble with respect to strain is
    V exp(-(K + U + P0 V)/kT). Its logarithmic derivatives are 1 - V (P0 - P)_aa/kT for e_aa and -2 V (P0 - P)_ab/kT
    for e_ab = e_ba, with P the pressure tensor of the present velocities and virial. Overdamped motion with the
    diffusion coefficients D = kT/(3 C tau V) (diagonal) and kT/(6 C tau V) (off-diagonal) that leaves this density
    unchanged is, in the sense of Ito, de = -(P0 - P) dt/(3 C tau) + sqrt(2 D dt) R: the derivative of the 1/V in D
    cancels the 1. For one common strain e = ln(V)/3 it is the equation of Bernetti and Bussi (2020) with the
    compressibility 1/C.

    Parameters
    ----------
    command
        Pressures, elastic constants and relaxation time.
    """

    _PAIRS = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))

    def __init__(self, command: NptScr) -> None:
        elastic = np.array(command.elastic_gpa)
        self._isotropic = len(elastic) == 1
        self._pairs = self._PAIRS[: max(len(elastic), 3)]
        self._target = np.array(command.pressure_gpa) / GPA_PER_EV_A3
        rate = GPA_PER_EV_A3 / (3.0 * elastic * command.tau_p_steps)
        self._rate = np.where(elastic > FROZEN_ABOVE_GPA, 0.0, rate)
        self._noise = np.array([2.0, 2.0, 2.0, 1.0, 1.0, 1.0])[: len(elastic)]

    def strain(self, pressure: FloatArray, volume: float, temperature_k: float, rng: np.random.Generator) -> FloatArray:
        """Strain of one step.

        Parameters
        ----------
        pressure
            Pressure tensor with its kinetic part (eV/A^3), shape (3, 3).
        volume
            Volume (A^3).
        temperature_k
            Target temperature (K).
        rng
            Source of randomness.

        Returns
        -------
        numpy.ndarray
            Symmetric strain, shape (3, 3).
        """
        strain = np.zeros((3, 3))
        spread = BOLTZMANN_EV_PER_K * temperature_k / volume
        if self._isotropic:
            rate = self._rate[0]
            # three equal diagonal elements move as one: a third of the variance of an independent one
            drift = (np.trace(pressure) / 3.0 - self._target[0]) * rate
            strain.flat[::4] = drift + (2.0 * spread * rate / 3.0) ** 0.5 * rng.standard_normal()
            return strain
        present = np.array([pressure[pair] for pair in self._pairs])
        deviates = rng.standard_normal(len(self._pairs))
        steps = (present - self._target) * self._rate + np.sqrt(self._noise * spread * self._rate) * deviates
        for (first, second), step in zip(self._pairs, steps, strict=True):
            strain[first, second] = strain[second, first] = step
        return strain


class TemperatureRamp(Protocol):
    """Part of a command that has a temperature at either end of the run."""

    @property
    def start_k(self) -> float:
        """Temperature at the start (K)."""
        ...

    @property
    def end_k(self) -> float:
        """Temperature at the end (K)."""
        ...


class Integrator:
    """Moves a system by one step at a time.

    Parameters
    ----------
    system
        It is changed in place; its forces must be up to date before the first step.
    force_field
        What drives it.
    ensemble
        ``ensemble`` line.
    rng
        Source of all randomness of the run.
    """

    def __init__(self, system: System, force_field: ForceField, ensemble: Ensemble, rng: np.random.Generator) -> None:
        self._system = system
        self._force_field = force_field
        self._rng = rng
        self._thermostat: VelocityRescaling | None = None
        self._barostat: CellRescaling | None = None
        self._ramp: TemperatureRamp | None = None
        if isinstance(ensemble, NvtBdp):
            self._thermostat, self._ramp = VelocityRescaling(ensemble.tau_steps), ensemble
        elif isinstance(ensemble, NptScr):
            self._thermostat, self._ramp = VelocityRescaling(ensemble.tau_t_steps), ensemble
            self._barostat = CellRescaling(ensemble)
        self._acceleration = 1.0 / (EV_PER_U_A2_FS2 * system.masses)[:, None]
        self._half_target = 0.5 * BOLTZMANN_EV_PER_K * system.degrees_of_freedom
        self._degrees = system.degrees_of_freedom
        self._buffer = np.empty_like(system.positions)

    def step(self, step_fs: float, fraction: float) -> float:
        """Advance by one time step.

        Parameters
        ----------
        step_fs
            Time step (fs).
        fraction
            How far the run has got, 0 to 1, for a temperature that changes.

        Returns
        -------
        float
            Kinetic energy after the step (eV).
        """
        system = self._system
        ramp = self._ramp
        target_k = 0.0 if ramp is None else ramp.start_k + (ramp.end_k - ramp.start_k) * fraction
        if self._barostat is None:
            self._kick(0.5 * step_fs)
            self._drift(step_fs)
        else:
            # the forces still belong to these positions, so the pressure is taken before anything moves
            strain = self._barostat.strain(system.pressure(), system.volume, target_k, self._rng)
            self._kick(0.5 * step_fs)
            self._drift(0.5 * step_fs)
            self._deform(strain)
            self._drift(0.5 * step_fs)
        system.evaluate(self._force_field)
        self._kick(0.5 * step_fs)
        system.time_fs += step_fs
        kinetic = system.kinetic_energy()
        if self._thermostat is not None and kinetic > 0.0:
            factor = self._thermostat.factor(kinetic, self._half_target * target_k, self._degrees, self._rng)
            system.velocities *= factor
            kinetic *= factor * factor
        return kinetic

    def _kick(self, time_fs: float) -> None:
        system, buffer = self._system, self._buffer
        np.multiply(system.forces, self._acceleration, out=buffer)
        buffer *= time_fs
        system.velocities += buffer

    def _drift(self, time_fs: float) -> None:
        np.multiply(self._system.velocities, time_fs, out=self._buffer)
        self._system.positions += self._buffer

    def _deform(self, strain: FloatArray) -> None:
        """Multiply cell and positions by exp(strain), velocities by exp(-strain)."""
        system = self._system
        square = strain @ strain
        cube = square @ strain / 6.0
        even, odd = np.eye(3) + 0.5 * square, strain + cube
        stretch = even + odd
        system.cell = system.cell @ stretch
        system.positions[:] = system.positions @ stretch
        system.velocities[:] = system.velocities @ (even - odd)
