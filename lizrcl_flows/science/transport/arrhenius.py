"""Arrhenius law through diffusion coefficients of several temperatures, with the uncertainty of what it predicts."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.errors import InputError
from lizrcl_flows.units import BOLTZMANN_EV_PER_K

ROOM_TEMPERATURE_K = 300.0

LARGEST_CHI2 = 2.0
"""Per degree of freedom; above it the scatter of the points is larger than their errors, which are scaled to it."""

SMALLEST_PROBABILITY = 0.01
"""Below this chance that points on one line scatter as much as these, the law is said not to hold."""


@dataclass(frozen=True)
class ArrheniusFit:
    """``ln D = ln D0 - E / (k T)`` and what it predicts at one temperature.

    Attributes
    ----------
    activation_energy_ev, activation_energy_std_ev
        E and its standard uncertainty (eV).
    ln_d0
        Logarithm of the prefactor in A^2/ps.
    covariance
        Variance of `ln_d0`, covariance (eV), variance of the activation energy (eV^2).
    at_k
        Temperature of the prediction (K).
    diffusivity_at, low, high
        Coefficient there and one standard uncertainty of its logarithm below and above (A^2/ps).
    chi2_per_dof
        About 1 where the law holds and the errors are right; None for two points.
    non_arrhenius
        The points do not lie on one line within their errors: a change of phase or of mechanism.
    inflated
        The covariance was multiplied with `chi2_per_dof`.
    n
        Number of points.
    """

    activation_energy_ev: float
    activation_energy_std_ev: float
    ln_d0: float
    covariance: tuple[float, float, float]
    at_k: float
    diffusivity_at: float
    low: float
    high: float
    chi2_per_dof: float | None
    non_arrhenius: bool
    inflated: bool
    n: int

    @property
    def std_at(self) -> float:
        """Standard uncertainty of `diffusivity_at` to first order (A^2/ps)."""
        return self.diffusivity_at * float(np.log(self.high / self.diffusivity_at))

    def predict(self, temperatures_k: Array) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return coefficients (A^2/ps) at temperatures (K) and the standard uncertainties of their logarithms."""
        x = -1 / (BOLTZMANN_EV_PER_K * np.asarray(temperatures_k, dtype=np.float64))
        variance = self.covariance[0] + 2 * x * self.covariance[1] + x**2 * self.covariance[2]
        return np.exp(self.ln_d0 + self.activation_energy_ev * x), np.sqrt(np.maximum(variance, 0.0))


def arrhenius(
    temperatures_k: Array,
    diffusivities: Array,
    stds: Array,
    at_k: float = ROOM_TEMPERATURE_K,
    committee_spread: Array | float | None = None,
) -> ArrheniusFit:
    """Fit the Arrhenius law by weighted least squares of ln D and predict D at `at_k`.

    The weights are (D / std)^2. Only where the points scatter clearly more than their errors allow are these scaled.

    Parameters
    ----------
    temperatures_k
        Temperatures (K), shape (n,), at least two different ones; several runs at one temperature are welcome.
    diffusivities, stds
        Resolved coefficients and their standard uncertainties (A^2/ps), shape (n,).
    at_k
        Temperature of the prediction (K).
    committee_spread
        Standard deviation of ln D between the members of the committee at each temperature, shape (n,), or one for
        all: the error of the potential, which is added in quadrature to that of sampling.

    Raises
    ------
    InputError
        If there are fewer than two points or only one temperature, or a number is not positive.
    """
    kelvin, values, errors = (
        np.atleast_1d(np.asarray(x, dtype=np.float64)) for x in (temperatures_k, diffusivities, stds)
    )
    _check(kelvin, values, errors, at_k)
    spread = np.broadcast_to(np.asarray(0.0 if committee_spread is None else committee_spread, float), kelvin.shape)
    variances = (errors / values) ** 2 + spread**2
    fit = _fit_line(-1 / (BOLTZMANN_EV_PER_K * kelvin), np.log(values), variances)
    return _summary(fit, len(kelvin), at_k)


@dataclass(frozen=True)
class _Line:
    """A line around the weighted mean of its abscissa, where slope and height are independent."""

    centre: float
    height: float
    slope: float
    height_variance: float
    slope_variance: float
    chi2: float


def _fit_line(x: Array, y: Array, variances: Array) -> _Line:
    weights = 1 / variances
    total = float(weights.sum())
    centre, height = float(weights @ x) / total, float(weights @ y) / total
    spread = float(weights @ (x - centre) ** 2)
    slope = float(weights @ ((x - centre) * (y - height))) / spread
    chi2 = float(weights @ (y - height - slope * (x - centre)) ** 2)
    return _Line(centre, height, slope, 1 / total, 1 / spread, chi2)


def _summary(line: _Line, n: int, at_k: float) -> ArrheniusFit:
    from scipy.special import chdtrc

    dof = n - 2
    chi2_per_dof = line.chi2 / dof if dof else None
    non_arrhenius = bool(dof and chdtrc(dof, line.chi2) < SMALLEST_PROBABILITY)
    inflated = chi2_per_dof is not None and (non_arrhenius or (dof >= 2 and chi2_per_dof > LARGEST_CHI2))
    factor = chi2_per_dof if inflated and chi2_per_dof else 1.0
    height_variance, slope_variance = factor * line.height_variance, factor * line.slope_variance
    away = -1 / (BOLTZMANN_EV_PER_K * at_k) - line.centre
    ln_std = float(np.sqrt(height_variance + away**2 * slope_variance))
    ln_value = line.height + line.slope * away
    return ArrheniusFit(
        activation_energy_ev=line.slope,
        activation_energy_std_ev=float(np.sqrt(slope_variance)),
        ln_d0=line.height - line.slope * line.centre,
        covariance=(
            height_variance + line.centre**2 * slope_variance,
            -line.centre * slope_variance,
            slope_variance,
        ),
        at_k=at_k,
        diffusivity_at=float(np.exp(ln_value)),
        low=float(np.exp(ln_value - ln_std)),
        high=float(np.exp(ln_value + ln_std)),
        chi2_per_dof=chi2_per_dof,
        non_arrhenius=non_arrhenius,
        inflated=inflated,
        n=n,
    )


def _check(kelvin: Array, values: Array, errors: Array, at_k: float) -> None:
    if not kelvin.shape == values.shape == errors.shape or kelvin.ndim != 1:
        raise InputError(
            f"{kelvin.size} temperatures, {values.size} coefficients and {errors.size} uncertainties: "
            "an Arrhenius law needs as many of each"
        )
    for name, numbers, unit in (
        ("temperature", kelvin, "K"),
        ("diffusion coefficient", values, "A^2/ps"),
        ("standard uncertainty", errors, "A^2/ps"),
        ("temperature of the prediction", np.array([at_k]), "K"),
    ):
        wrong = numbers[~(np.isfinite(numbers) & (numbers > 0))]
        if wrong.size:
            raise InputError(f"{name} {wrong[0]:g} {unit} is not accepted, a positive number is needed")
    if len(np.unique(kelvin)) < 2:
        what = f"all {kelvin.size} are at {kelvin[0]:g} K" if kelvin.size else "there are none"
        raise InputError(f"an Arrhenius law needs coefficients at two temperatures at least, {what}")
