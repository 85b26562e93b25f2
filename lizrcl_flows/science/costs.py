"""What calculations cost: power laws of the size, fitted to what has been computed, or rough priors where nothing has.

A cost is core hours; one hour of a GPU counts as one. The law is ``cost = a * size^b``, fitted by a Bayesian regression
in logarithms that outliers do not move (Huber's weights, his proposal 2 for the scatter: P. J. Huber and E. M.
Ronchetti, Robust Statistics, 2nd ed., Wiley 2009, chapter 7). Calculations of one size share an offset from the law,
since cells of different sizes are different substances; hence many labels of one or two sizes say much about those
sizes and little about the exponent, which then stays that of the prior.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from lizrcl_flows.documents.arrays import Array

INTERVAL = 1.645
"""Standard deviations on either side of a 90 % interval."""

HUBER = 1.345
"""From so many standard deviations on, a point counts as an outlier (95 % efficiency where there is none)."""

HUBER_VARIANCE = 0.7102
"""Mean square of a standard normal number clipped at `HUBER`."""

OFFSET = 0.2
"""Standard deviation, in the logarithm, of the offset that calculations of one size share."""

SCATTER_WEIGHT = 4.0
"""Points that the scatter of the prior is worth."""

_ROUNDS = 60


@dataclass(frozen=True)
class Estimate:
    """A predicted amount with its uncertainty; amounts of independent origin may be added.

    Attributes
    ----------
    value
        Expected amount, in core hours or hours.
    spread
        Standard deviation of its logarithm.
    """

    value: float = 0.0
    spread: float = 0.0

    @property
    def low(self) -> float:
        """Lower end of the 90 % interval."""
        return self.value * math.exp(-INTERVAL * self.spread)

    @property
    def high(self) -> float:
        """Upper end of the 90 % interval."""
        return self.value * math.exp(INTERVAL * self.spread)

    def __add__(self, other: "Estimate") -> "Estimate":
        """Add an amount whose error has nothing to do with this one's."""
        value = self.value + other.value
        if value <= 0:
            return Estimate()
        return Estimate(value, math.hypot(self.value * self.spread, other.value * other.spread) / value)

    def times(self, factor: float) -> "Estimate":
        """Return the amount multiplied by a number that is exact."""
        return Estimate(self.value * factor, self.spread)


def total(estimates: Iterable[Estimate]) -> Estimate:
    """Return the sum of independent amounts."""
    return sum(estimates, Estimate())


@dataclass(frozen=True)
class CostPrior:
    """What is believed of a cost before anything was computed.

    Attributes
    ----------
    size, cost
        So much (core hours) at this size.
    factor
        The cost is within this factor, up or down, with a probability of two thirds.
    exponent, exponent_sd
        Of the size.
    scatter
        Standard deviation of the logarithm of the cost of calculations of one size.
    """

    size: float
    cost: float
    factor: float
    exponent: float
    exponent_sd: float
    scatter: float = 0.25

    def widened(self, factor: float) -> "CostPrior":
        """Return a prior that is less sure of the cost by a further factor."""
        wider = math.exp(math.hypot(math.log(self.factor), math.log(factor)))
        return CostPrior(self.size, self.cost, wider, self.exponent, self.exponent_sd, self.scatter)


@dataclass(frozen=True)
class CostLaw:
    """``cost = a * size^b`` with its uncertainty.

    Attributes
    ----------
    reference
        Size at which `parameters` holds the logarithm of the cost.
    parameters, covariance
        Logarithm of the cost (core hours) at the reference, exponent, then the offsets of the sizes in `known`.
    scatter
        Standard deviation of the logarithm of the cost of calculations of one size.
    n_points
        Calculations that it rests on; 0: the prior alone.
    known
        Place of a size among the offsets, by the key that `_key` gives it.
    """

    reference: float
    parameters: Array
    covariance: Array
    scatter: float
    n_points: int = 0
    known: dict[int, int] = field(default_factory=dict)

    @property
    def exponent(self) -> float:
        """Power of the size."""
        return float(self.parameters[1])

    @property
    def exponent_sd(self) -> float:
        """Its standard uncertainty."""
        return float(math.sqrt(self.covariance[1, 1]))

    def widened(self, factor: float) -> "CostLaw":
        """Return a law that may be off as a whole by a further factor (two thirds of the cases within it)."""
        covariance = np.array(self.covariance)
        covariance[0, 0] += math.log(factor) ** 2
        return CostLaw(self.reference, self.parameters, covariance, self.scatter, self.n_points, self.known)

    def predict(self, sizes: Sequence[float] | Array, counts: Sequence[float] | Array | None = None) -> Estimate:
        """Return what calculations cost together.

        Parameters
        ----------
        sizes
            Sizes, shape (n,).
        counts
            Calculations of each size, shape (n,); one each where absent.
        """
        x = np.asarray(sizes, dtype=float)
        n = np.ones_like(x) if counts is None else np.asarray(counts, dtype=float)
        x, n = x[(n > 0) & (x > 0)], n[(n > 0) & (x > 0)]
        if not x.size:
            return Estimate()
        design, new = self._design(x)
        each = np.exp(design @ self.parameters + self.scatter**2 / 2)
        value = float(n @ each)
        share = n * each / value
        along = share @ design
        offsets: dict[int, float] = {}
        for size, part in zip(x[new], share[new], strict=True):
            offsets[_key(size)] = offsets.get(_key(size), 0.0) + float(part)
        variance = along @ self.covariance @ along + OFFSET**2 * sum(part**2 for part in offsets.values())
        variance += self.scatter**2 * float(share**2 @ (1 / n))
        return Estimate(value, math.sqrt(float(variance)))

    def _design(self, sizes: Array) -> tuple[Array, Array]:
        """Return the rows of the regression at these sizes, and which of the sizes are new."""
        design = np.zeros((sizes.size, self.parameters.size))
        design[:, 0], design[:, 1] = 1.0, np.log(sizes / self.reference)
        places = np.array([self.known.get(_key(size), -1) for size in sizes], dtype=int)
        seen = places >= 0
        design[np.flatnonzero(seen), 2 + places[seen]] = 1.0
        return design, ~seen


def fit_cost_law(sizes: Sequence[float] | Array, costs: Sequence[float] | Array, prior: CostPrior) -> CostLaw:
    """Fit a power law to what calculations cost.

    Parameters
    ----------
    sizes, costs
        Size and cost (core hours) of each calculation, shape (n,). Calculations that cost nothing are left out.
    prior
        What is believed of the law without them.

    Returns
    -------
    CostLaw
        The prior as a law where there is no calculation.
    """
    x, y = np.asarray(sizes, dtype=float), np.asarray(costs, dtype=float)
    used = (x > 0) & (y > 0) & np.isfinite(x) & np.isfinite(y)
    x, y = np.log(x[used] / prior.size), np.log(y[used])
    keys = [_key(size) for size in np.asarray(sizes, dtype=float)[used]]
    known = {key: place for place, key in enumerate(dict.fromkeys(keys))}
    groups = np.array([known[key] for key in keys], dtype=int)
    precision = np.diag([1 / math.log(prior.factor) ** 2, 1 / prior.exponent_sd**2, *([OFFSET**-2] * len(known))])
    start = np.array([math.log(prior.cost), prior.exponent, *([0.0] * len(known))])
    parameters, inverse, scatter = _solve((x, y, groups), start, precision, prior.scatter)
    return CostLaw(prior.size, parameters, inverse, scatter, int(x.size), known)


def _solve(
    points: tuple[Array, Array, Array], start: Array, precision: Array, scatter: float
) -> tuple[Array, Array, float]:
    """Return parameters, their covariance and the scatter, by weights that are repeated until they stand.

    Parameters
    ----------
    points
        Logarithms of size and cost, and the place of the size among the offsets, shape (n,) each.
    """
    x, y, groups = points
    believed, weights, parameters = scatter, np.ones(y.size), start
    inverse: Array = np.linalg.inv(precision)
    for _ in range(_ROUNDS if y.size else 0):
        matrix, right = _normal_equations(x, y, groups, weights, start.size)
        inverse = np.linalg.inv(matrix / scatter**2 + precision)
        parameters = inverse @ (right / scatter**2 + precision @ start)
        residuals = y - (parameters[0] + parameters[1] * x + parameters[2 + groups])
        clipped = np.clip(residuals, -HUBER * scatter, HUBER * scatter)
        squares = float(clipped @ clipped) / HUBER_VARIANCE
        before, scatter = scatter, math.sqrt((SCATTER_WEIGHT * believed**2 + squares) / (SCATTER_WEIGHT + y.size))
        weights = np.minimum(1.0, HUBER * scatter / np.maximum(np.abs(residuals), 1e-12))
        if abs(scatter - before) < 1e-4 * scatter:
            break
    return parameters, inverse, scatter


def _normal_equations(x: Array, y: Array, groups: Array, weights: Array, size: int) -> tuple[Array, Array]:
    """Return matrix and right side of the weighted regression on 1, x and the indicators of the groups."""
    basis = np.stack([np.ones_like(x), x])
    sums = np.array([np.bincount(groups, weights * row, size - 2) for row in (*basis, y)])
    matrix, right = np.zeros((size, size)), np.zeros(size)
    matrix[:2, :2], right[:2] = (basis * weights) @ basis.T, (basis * weights) @ y
    matrix[:2, 2:], matrix[2:, :2] = sums[:2], sums[:2].T
    matrix[2:, 2:], right[2:] = np.diag(sums[0]), sums[2]
    return matrix, right


def _key(size: float) -> int:
    """Return the same number for sizes that differ by less than some five hundredths."""
    return round(20 * math.log(size))
