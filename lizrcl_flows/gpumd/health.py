"""Noticing that a run has blown up, and saying so in ``health.json``."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lizrcl_flows.errors import EngineError
from lizrcl_flows.gpumd.extended_xyz import FloatArray
from lizrcl_flows.gpumd.model_xyz import replace_file
from lizrcl_flows.gpumd.system import System

HEALTH_FILE = "health.json"


class BlownUpError(EngineError):
    """A run left the bounds of `HealthLimits`.

    Attributes
    ----------
    step
        Step at which it was noticed.
    """

    def __init__(self, reason: str, step: int) -> None:
        super().__init__(reason)
        self.step = step


@dataclass(frozen=True)
class HealthLimits:
    """Bounds of a run. They are wide: what leaves them is not physics.

    Attributes
    ----------
    temperature_factor, temperature_margin_k
        The temperature may reach the hottest target times the factor, plus the margin (K).
    volume_factor
        The volume may grow or shrink by this factor.
    distance_a
        No two atoms may come closer than this (A).
    distance_interval
        Steps between looks at the distances; they are looked at before every written frame as well.
    """

    temperature_factor: float = 5.0
    temperature_margin_k: float = 2000.0
    volume_factor: float = 2.0
    distance_a: float = 0.5
    distance_interval: int = 100


class Watch:
    """Checks one run against its limits.

    Parameters
    ----------
    system
        The system at the start of the run.
    hottest_k
        Highest target temperature of the run (K).
    limits
        The bounds.
    """

    def __init__(self, system: System, hottest_k: float, limits: HealthLimits) -> None:
        self._system = system
        self._limits = limits
        self._hottest_k = limits.temperature_factor * hottest_k + limits.temperature_margin_k
        self._largest_kinetic = self._hottest_k / max(system.temperature(1.0), 1e-300)
        volume = system.volume
        self._volumes = (volume / limits.volume_factor, volume * limits.volume_factor)

    def check(self, step: int, kinetic: float) -> None:
        """Look at temperature and volume; cheap enough for every step.

        Raises
        ------
        BlownUpError
            A bound is passed.
        """
        if not kinetic <= self._largest_kinetic:  # also true for NaN
            temperature = self._system.temperature(kinetic)
            raise BlownUpError(
                f"The run blew up at step {step}: temperature {temperature:.4g} K, above {self._hottest_k:.0f} K.", step
            )
        volume = self._system.volume
        low, high = self._volumes
        if not low <= volume <= high:
            raise BlownUpError(
                f"The run blew up at step {step}: volume {volume:.6g} A^3, outside {low:.6g} to {high:.6g} A^3.", step
            )

    def check_distances(self, step: int) -> None:
        """Look for atoms that came too close.

        Raises
        ------
        BlownUpError
            Two atoms are closer than the bound.
        """
        system = self._system
        pair = closest_pair_within(system.positions, system.cell, system.pbc, self._limits.distance_a)
        if pair is not None:
            first, second, distance = pair
            raise BlownUpError(
                f"The run blew up at step {step}: atoms {first} ({system.species[first]}) and {second} "
                f"({system.species[second]}) are {distance:.3f} A apart, below {self._limits.distance_a} A.",
                step,
            )


def closest_pair_within(
    positions: FloatArray, cell: FloatArray, pbc: npt.NDArray[np.bool_], bound: float
) -> tuple[int, int, float] | None:
    """Closest pair of atoms below a distance, by a sweep along the longest direction of the cell.

    Parameters
    ----------
    positions
        Positions (A), shape (N, 3).
    cell
        Cell vectors in rows (A), shape (3, 3); no direction is thinner than twice the bound.
    pbc
        Periodic directions, shape (3,).
    bound
        Distance (A).

    Returns
    -------
    tuple or None
        Indices of the two atoms and their distance (A), or None where no pair is closer than the bound.
    """
    inverse = np.linalg.inv(cell)
    heights = 1.0 / np.linalg.norm(inverse, axis=0)
    fractional = positions @ inverse
    periodic = pbc.astype(np.float64)
    fractional -= np.floor(fractional) * periodic
    axis = int(np.argmax(heights))
    order = np.argsort(fractional[:, axis], kind="stable")
    ordered = fractional[order]
    reach = bound / float(heights[axis])
    best: tuple[int, int, float] | None = None
    for offset in range(1, len(positions) // 2 + 1):
        difference = np.roll(ordered, -offset, axis=0) - ordered
        difference -= np.rint(difference) * periodic
        near = np.flatnonzero(np.abs(difference[:, axis]) < reach)
        if near.size == 0:
            break
        distances = np.linalg.norm(difference[near] @ cell, axis=1)
        nearest = int(np.argmin(distances))
        if distances[nearest] < (bound if best is None else best[2]):
            first = int(near[nearest])
            one, other = sorted((int(order[first]), int(order[(first + offset) % len(order)])))
            best = (one, other, float(distances[nearest]))
    return best


def write_health(directory: Path, **values: Any) -> None:
    """Write ``health.json`` in one step.

    Parameters
    ----------
    directory
        Where.
    **values
        ``status`` (``running``, ``ok`` or ``blown_up``), ``reason``, ``step``, and what else is worth knowing.
    """
    replace_file(directory / HEALTH_FILE, json.dumps(values, indent=2, sort_keys=True) + "\n")
