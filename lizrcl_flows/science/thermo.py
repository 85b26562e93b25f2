"""A run in a handful of numbers: temperature, pressure, volume, energy."""

import math

import numpy as np

from lizrcl_flows.documents import ThermoSummary
from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.gpumd import Thermo
from lizrcl_flows.units import GPA_PER_EV_A3

N_BLOCKS = 10
"""Blocks whose spread gives the error of a mean or of a slope."""

PS_PER_NS = 1e3
FS_PER_PS = 1e3


def summarise(thermo: Thermo, n_atoms: int, interval_fs: float | None = None) -> ThermoSummary:
    """Return means over the second half of a run, and the drift of its total energy over the whole of it.

    Parameters
    ----------
    thermo
        Rows of ``thermo.out`` of one run, equally spaced in time.
    n_atoms
        Number of atoms in the cell.
    interval_fs
        Time between rows (fs); without it there is no drift for a time.

    Returns
    -------
    ThermoSummary
        Temperature (K, mean and standard deviation), pressure (GPa, a third of the trace, compression positive),
        volume (A^3), potential energy (eV). The drift (eV/atom) is the slope of a straight line through the total
        energy times the length of the run. What is not finite, or needs more rows than there are, is None.

    Errors are standard errors from 10 blocks of rows (Flyvbjerg and Petersen, J. Chem. Phys. 91, 461 (1989)), which
    hold where a block is longer than what it fluctuates by: `temperature_error_k` of the mean, and that of
    `energy_drift_per_ns` from the residuals of the block means about their straight line. `volume_change` compares the
    mean of the last fifth of the rows with that of the first.
    """
    half = slice(len(thermo.temperature_k) // 2, None)
    temperature = thermo.temperature_k[half]
    pressure = np.trace(thermo.pressure[half], axis1=1, axis2=2) / 3 * GPA_PER_EV_A3
    total_energy = thermo.kinetic_energy + thermo.potential_energy
    drift, drift_error = _drift_per_ns(total_energy, n_atoms, interval_fs)
    return ThermoSummary(
        temperature_k=_mean(temperature),
        temperature_std_k=_finite(float(temperature.std())) if temperature.size else None,
        pressure_gpa=_mean(pressure),
        volume_a3=_mean(thermo.volume[half]),
        potential_energy=_mean(thermo.potential_energy[half]),
        energy_drift=_drift(total_energy, n_atoms),
        temperature_error_k=_block_error(temperature),
        energy_drift_per_ns=drift,
        energy_drift_error_per_ns=drift_error,
        volume_change=_change(thermo.volume),
        n_not_finite=_n_not_finite(thermo) or None,
    )


def _n_not_finite(thermo: Thermo) -> int:
    told = np.column_stack([thermo.temperature_k, thermo.kinetic_energy, thermo.potential_energy, thermo.volume])
    return int((~np.isfinite(told)).any(axis=1).sum())


def _blocks(values: Array) -> Array | None:
    """Return the means of blocks of two rows at least; None where there are too few rows, or one is not finite."""
    size = len(values) // N_BLOCKS
    if size < 2 or not np.isfinite(values).all():
        return None
    means: Array = values[: size * N_BLOCKS].reshape(N_BLOCKS, size).mean(axis=1)
    return means


def _block_error(values: Array) -> float | None:
    means = _blocks(values)
    return None if means is None else float(means.std(ddof=1) / math.sqrt(N_BLOCKS))


def _drift_per_ns(total_energy: Array, n_atoms: int, interval_fs: float | None) -> tuple[float | None, float | None]:
    means = _blocks(total_energy)
    if means is None or interval_fs is None or n_atoms < 1:
        return None, None
    block_ns = len(total_energy) // N_BLOCKS * interval_fs / FS_PER_PS / PS_PER_NS
    time_ns = (np.arange(N_BLOCKS) - (N_BLOCKS - 1) / 2) * block_ns
    slope = float(time_ns @ means / (time_ns @ time_ns))
    rest = means - means.mean() - slope * time_ns
    error = math.sqrt(float(rest @ rest) / (N_BLOCKS - 2) / float(time_ns @ time_ns))
    return slope / n_atoms, error / n_atoms


def _change(volume: Array) -> float | None:
    fifth = len(volume) // 5
    if fifth < 1 or not np.isfinite(volume).all():
        return None
    return _finite(float(volume[-fifth:].mean() / volume[:fifth].mean() - 1))


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
