"""One coefficient from runs that several members of a committee drove: the part of the potential in its uncertainty."""

from dataclasses import dataclass

import numpy as np

from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.errors import InputError


@dataclass(frozen=True)
class MembersMean:
    """Geometric mean over members.

    Attributes
    ----------
    diffusivity
        Mean (A^2/ps).
    std
        Its standard uncertainty by sampling alone (A^2/ps).
    ln_spread
        Standard deviation of ln D between members beyond what sampling makes of it; 0 for a single one.
    """

    diffusivity: float
    std: float
    ln_spread: float


def mean_of_members(diffusivities: Array, stds: Array) -> MembersMean:
    """Average coefficients of the same run driven by different members.

    The scatter of ln D is that of sampling and that of the potentials; what is left after the former is subtracted, in
    variance, is the latter. It is what another committee would change, so it does not shrink with the number of
    members.

    Parameters
    ----------
    diffusivities, stds
        Of each member (A^2/ps), shape (n,).

    Raises
    ------
    InputError
        If there is none, or one is not positive.
    """
    values, errors = np.asarray(diffusivities, dtype=np.float64), np.asarray(stds, dtype=np.float64)
    if not values.size or values.shape != errors.shape or not (values > 0).all():
        raise InputError(f"{values.size} coefficients and {errors.size} uncertainties give no mean: positive ones do")
    relative = errors / values
    mean = float(np.exp(np.log(values).mean()))
    sampling = float(np.mean(relative**2))
    scatter = float(np.log(values).var(ddof=1)) if values.size > 1 else 0.0
    return MembersMean(
        mean, mean * float(np.sqrt(sampling / values.size)), float(np.sqrt(max(0.0, scatter - sampling)))
    )
