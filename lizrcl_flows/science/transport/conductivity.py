"""Ionic conductivity from a diffusion coefficient and the density of the ions."""

from dataclasses import dataclass

import numpy as np

from lizrcl_flows.errors import InputError
from lizrcl_flows.units import BOLTZMANN_EV_PER_K, ELEMENTARY_CHARGE_C

_MS_PER_CM = 1e-8 / 1e-30 * 10
"""A^2/ps in m^2/s, 1/A^3 in 1/m^3, S/m in mS/cm."""


@dataclass(frozen=True)
class Conductivity:
    """A conductivity with an interval.

    Attributes
    ----------
    ms_per_cm
        Value (mS/cm).
    low, high
        One standard uncertainty of its logarithm below and above (mS/cm).
    ln_std
        That standard uncertainty.
    haven
        Haven ratio that it was divided by; None for independent ions (Nernst-Einstein).
    """

    ms_per_cm: float
    low: float
    high: float
    ln_std: float
    n_ions: int
    volume_a3: float
    temperature_k: float
    charge: float
    haven: float | None = None


def conductivity(  # noqa: PLR0913 - the quantities of the Nernst-Einstein relation
    diffusivity: float,
    std: float,
    n_ions: int,
    volume_a3: float,
    temperature_k: float,
    *,
    charge: float = 1,
    haven: float | None = None,
    haven_std: float | None = None,
) -> Conductivity:
    """Return the conductivity ``n q^2 D / (k T H)`` (Nernst-Einstein relation; H = 1 for independent ions).

    The interval is symmetric in the logarithm, as an extrapolated coefficient may be uncertain by a factor.

    Parameters
    ----------
    diffusivity, std
        Tracer diffusion coefficient and standard uncertainty (A^2/ps). Where its logarithm is known to s, `std` is
        `diffusivity` times s.
    n_ions, volume_a3
        Ions in the mean volume of the cell at this temperature (A^3).
    temperature_k
        Temperature (K).
    charge
        Of one ion (e).
    haven, haven_std
        Haven ratio and its standard uncertainty; without it the ions are taken as independent.

    Raises
    ------
    InputError
        If a quantity that must be positive is not.
    """
    _check(diffusivity=diffusivity, n_ions=n_ions, volume_a3=volume_a3, temperature_k=temperature_k)
    ratio = 1.0
    if haven is not None:
        _check(haven=haven)
        ratio = haven
    relative = float(np.hypot(std / diffusivity, (haven_std or 0.0) / ratio))
    if not relative >= 0 or std < 0:
        raise InputError(f"std: {std:g} A^2/ps is no standard uncertainty, a number of at least 0 is needed")
    density = n_ions / volume_a3
    value = (
        density * charge**2 * ELEMENTARY_CHARGE_C * diffusivity / (BOLTZMANN_EV_PER_K * temperature_k * ratio)
    ) * _MS_PER_CM
    spread = float(np.exp(relative))
    return Conductivity(
        value, value / spread, value * spread, relative, n_ions, volume_a3, temperature_k, charge, haven
    )


def _check(**positive: float) -> None:
    for name, value in positive.items():
        if not (value > 0 and np.isfinite(value)):
            raise InputError(f"{name}: {value:g} is not accepted, a positive number is needed")
