"""A run in a handful of numbers: temperature, pressure, volume, energy."""

import math

import numpy as np

from lizrcl_flows.documents import ThermoSummary
from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.gpumd import Thermo
from lizrcl_flows.units import GPA_PER_EV_A3


def summarise(thermo: Thermo, n_atoms: int) -> ThermoSummary:
    """Return means over the second half of a run, and the drift of its total energy over the whole of it.

    Parameters
    ----------
    thermo
        Rows of ``thermo.out`` of one run, equally spaced in time.
    n_atoms
        Number of atoms in the cell.

    Returns
    -------
    ThermoSummary
        Temperature (K, mean and standard deviation), pressure (GPa, a third of the trace, compression positive),
        volume (A^3), potential energy (eV). The drift (eV/atom) is the slope of a straight line through the total
        energy times the length of the run. What is not finite, or needs more rows than there are, is None.
    """
    half = slice(len(thermo.temperature_k) // 2, None)
    temperature = thermo.temperature_k[half]
    pressure = np.trace(thermo.pressure[half], axis1=1, axis2=2) / 3 * GPA_PER_EV_A3
    return ThermoSummary(
        temperature_k=_mean(temperature),
        temperature_std_k=_finite(float(temperature.std())) if temperature.size else None,
        pressure_gpa=_mean(pressure),
        volume_a3=_mean(thermo.volume[half]),
        potential_energy=_mean(thermo.potential_energy[half]),
        energy_drift=_drift(thermo.kinetic_energy + thermo.potential_energy, n_atoms),
    )


def _drift(total_energy: Array, n_atoms: int) -> float | None:
    if len(total_energy) < 2 or n_atoms < 1 or not np.isfinite(total_energy).all():
        return None
    row = np.arange(len(total_energy)) - (len(total_energy) - 1) / 2
    slope = float(row @ total_energy / (row @ row))
    return slope * (len(total_energy) - 1) / n_atoms


def _mean(values: Array) -> float | None:
    return _finite(float(values.mean())) if values.size else None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
