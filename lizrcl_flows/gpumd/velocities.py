"""Drawing velocities, and taking momentum out of them."""

import numpy as np
import numpy.typing as npt

from lizrcl_flows.gpumd.extended_xyz import FloatArray
from lizrcl_flows.gpumd.system import EV_PER_U_A2_FS2, System
from lizrcl_flows.units import BOLTZMANN_EV_PER_K


def draw_velocities(system: System, temperature_k: float, rng: np.random.Generator) -> None:
    """Give the mobile atoms Maxwell-Boltzmann velocities of exactly one temperature, without momentum.

    Parameters
    ----------
    system
        Its velocities (A/fs) are set.
    temperature_k
        Temperature (K); the velocities are scaled to it.
    rng
        Source of the normal deviates.
    """
    width = np.sqrt(BOLTZMANN_EV_PER_K * temperature_k / (EV_PER_U_A2_FS2 * system.masses))
    system.velocities[:] = rng.standard_normal((len(system), 3)) * width[:, None]
    mobile = system.mobile
    system.velocities[~mobile] = 0.0
    _remove_from(system, mobile)
    kinetic = system.kinetic_energy()
    if kinetic > 0.0:
        system.velocities *= np.sqrt(temperature_k / system.temperature(kinetic))


def remove_momentum(system: System, groups: npt.NDArray[np.int64] | None = None) -> None:
    """Take linear and angular momentum out of the mobile atoms; the kinetic energy is given back by scaling.

    Parameters
    ----------
    system
        Its velocities (A/fs) are changed.
    groups
        Label of each atom, shape (N,), to treat each group by itself; None treats all atoms together.
    """
    before = system.kinetic_energy()
    mobile = system.mobile
    labels = np.zeros(len(system), dtype=np.int64) if groups is None else groups
    for label in np.unique(labels):
        _remove_from(system, mobile & (labels == label))
    after = system.kinetic_energy()
    if after > 0.0:
        system.velocities *= np.sqrt(before / after)


def _remove_from(system: System, atoms: npt.NDArray[np.bool_]) -> None:
    """Linear, then angular momentum about the centre of mass, of the chosen atoms."""
    if not atoms.any():
        return
    masses = system.masses[atoms, None]
    velocities = system.velocities[atoms]
    velocities -= (masses * velocities).sum(axis=0) / masses.sum()
    arms = system.positions[atoms]
    arms = arms - (masses * arms).sum(axis=0) / masses.sum()
    rotation = _angular_velocity(masses, arms, velocities)
    system.velocities[atoms] = velocities - np.cross(rotation, arms)


def _angular_velocity(masses: FloatArray, arms: FloatArray, velocities: FloatArray) -> FloatArray:
    """Angular velocity (1/fs) of a body with the same angular momentum; zero about an axis without inertia."""
    momentum = (masses * np.cross(arms, velocities)).sum(axis=0)
    inertia = (masses * arms**2).sum() * np.eye(3) - (masses * arms).T @ arms
    rotation: FloatArray = np.linalg.pinv(inertia, rcond=1e-10, hermitian=True) @ momentum
    return rotation
