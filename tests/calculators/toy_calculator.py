"""A fast analytic stand-in for a quantum-mechanical code: Born-Mayer repulsion and screened Coulomb for Li, Zr, Cl, O.

Named by import path, ``toy_calculator:ToyIonic``, with this folder on the Python path. Energy, forces and stress are
exact derivatives of each other; Li2ZrCl6 is bound and survives molecular dynamics at 300 K. Nothing else is claimed.
"""

import os
import signal
import time
from pathlib import Path

import numpy as np
from ase.calculators.calculator import Calculator, SCFError, all_changes

COULOMB_EV_A = 14.399645
CUTOFF_A = 6.0
DECAY_A = 0.28
SCREENING_A = 2.0
CHARGE_E = {3: 0.5657, 8: -1.1314, 17: -0.5657, 40: 2.2628}
RADIUS_A = {3: 0.477, 8: 1.276, 17: 1.6, 40: 0.923}
"""Radii whose sum makes the Born-Mayer energy 0.6 eV."""

BORN_MAYER_EV = 0.6
DISPERSION = {3: 1.41, 8: 12.7, 17: 26.2, 40: 5.66}
"""Square roots of the C6 coefficients (eV^1/2 A^3)."""
DAMPING_A = 2.5


class ToyIonic(Calculator):
    """Pair potential (B exp((R_i + R_j - r)/d) + k q_i q_j exp(-r/s)/r - C6/(r^6 + a^6)) (1 - (r/c)^2)^3.

    Parameters
    ----------
    misbehave
        What goes wrong: "" nothing, "raise" an exception, "not_converged" an SCFError, "nan" in one force, "net_force"
        a force that does not sum to zero, "crash" the process is gone, "no_stress" no stress is implemented.
    below_a
        Misbehave only where two atoms are closer than this (A); always where none.
    species
        Misbehave only for structures that contain this element; for all where empty.
    once
        A file: misbehave only while it is absent, and make it. "" misbehaves every time.
    delay_s
        Seconds to sleep before the work, for tests that interrupt it.
    """

    implemented_properties = ("energy", "free_energy", "forces", "stress")

    def __init__(self, *, misbehave="", below_a=None, species="", once="", delay_s=0.0, **kwargs):
        super().__init__(**kwargs)
        self.misbehave, self.below_a, self.species = misbehave, below_a, species
        self.once, self.delay_s = once, delay_s
        if misbehave == "no_stress":
            self.implemented_properties = ("energy", "free_energy", "forces")

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        if self.delay_s:
            time.sleep(self.delay_s)
        numbers = self.atoms.numbers
        unknown = sorted(set(numbers.tolist()) - set(CHARGE_E))
        if unknown:
            raise ValueError(f"ToyIonic knows Li, Zr, Cl and O, not atomic numbers {unknown}")
        energy, forces, virial, shortest = pair_sums(
            numbers, self.atoms.positions, self.atoms.cell.array, self.atoms.pbc
        )
        trouble = self._trouble(shortest)
        if trouble == "nan":
            forces[0, 0] = np.nan
        if trouble == "net_force":
            forces[:, 2] += 0.5
        self.results = {"energy": energy, "free_energy": energy, "forces": forces}
        if self.misbehave != "no_stress" and self.atoms.cell.rank == 3:
            stress = -virial / self.atoms.get_volume()
            self.results["stress"] = stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]

    def _trouble(self, shortest):
        if not self.misbehave or (self.below_a is not None and shortest >= self.below_a):
            return ""
        if self.species and self.species not in self.atoms.get_chemical_symbols():
            return ""
        if self.once:
            if Path(self.once).exists():
                return ""
            Path(self.once).touch()
        if self.misbehave == "raise":
            raise RuntimeError("ToyIonic was told to raise\nwith a second line")
        if self.misbehave == "not_converged":
            raise SCFError("SCF not converged in 300 cycles")
        if self.misbehave == "crash":
            os.kill(os.getpid(), signal.SIGKILL)
        return self.misbehave


def pair_sums(numbers, positions, cell, pbc):
    """Return energy (eV), forces (n, 3) in eV/A, virial (3, 3) in eV and the shortest distance (A)."""
    vectors, first, second = _pairs(positions, cell, pbc)
    distance = np.sqrt((vectors**2).sum(axis=1))
    charge = np.array([CHARGE_E.get(z, 0.0) for z in range(95)])[numbers]
    radius = np.array([RADIUS_A.get(z, 0.0) for z in range(95)])[numbers]
    dispersion = np.array([DISPERSION.get(z, 0.0) for z in range(95)])[numbers]
    damped = distance**6 + DAMPING_A**6
    attraction = -dispersion[first] * dispersion[second] / damped
    repulsion = BORN_MAYER_EV * np.exp((radius[first] + radius[second] - distance) / DECAY_A)
    coulomb = COULOMB_EV_A * charge[first] * charge[second] * np.exp(-distance / SCREENING_A) / distance
    inside = 1 - (distance / CUTOFF_A) ** 2
    value = repulsion + coulomb + attraction
    slope = -repulsion / DECAY_A - coulomb * (1 / SCREENING_A + 1 / distance) - 6 * attraction * distance**5 / damped
    derivative = slope * inside**3 - value * 6 * distance / CUTOFF_A**2 * inside**2
    pair_force = (derivative / distance)[:, None] * vectors  # on the first atom of each ordered pair
    forces = np.stack([np.bincount(first, pair_force[:, axis], len(numbers)) for axis in range(3)], axis=1)
    virial = -0.5 * vectors.T @ pair_force
    shortest = float(distance.min()) if len(distance) else np.inf
    return float(0.5 * (value * inside**3).sum()), forces, virial, shortest


def _pairs(positions, cell, pbc):
    """Return vectors (A) from the first to the second atom of every ordered pair within the cutoff, images included."""
    counts = [0, 0, 0]
    if any(pbc):
        heights = 1 / np.linalg.norm(np.linalg.inv(cell), axis=0)
        spread = np.ptp(positions @ np.linalg.inv(cell), axis=0)
        counts = [int(np.ceil(CUTOFF_A / heights[axis] + spread[axis])) if pbc[axis] else 0 for axis in range(3)]
    grid = np.stack(np.meshgrid(*[np.arange(-n, n + 1) for n in counts], indexing="ij"), axis=-1).reshape(-1, 3)
    difference = positions[None, :, :] - positions[:, None, :]
    vectors, first, second = [], [], []
    for shift in grid @ np.asarray(cell):
        shifted = difference + shift
        squared = np.einsum("ijk,ijk->ij", shifted, shifted)
        near = (squared < CUTOFF_A**2) & (squared > 0)
        i, j = np.nonzero(near)
        vectors.append(shifted[i, j])
        first.append(i)
        second.append(j)
    return np.concatenate(vectors), np.concatenate(first), np.concatenate(second)
