"""How well the committee's eps tells its true error: rank, scale, and a bound that holds nine times out of ten."""

import math
from collections.abc import Sequence

import numpy as np
from ase.data import chemical_symbols

from lizrcl_flows.documents import Calibration
from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.science.parity import Predictions

COVERAGE = 0.9
"""Share of the errors that a bound from eps should cover."""


def calibration(
    eps: Array, max_force_error: Array, groups: Sequence[str | None] | None = None, group: str = "all"
) -> Calibration:
    """Tell how well eps ranks and scales the true force error.

    Parameters
    ----------
    eps
        Committee deviation of each structure (eV/A), shape (n,).
    max_force_error
        Largest force error in each structure (eV/A), shape (n,).
    groups
        Group of each structure, such as its phase. With two groups or more the bound for a structure comes from the
        structures of the other groups, which asks whether eps means the same everywhere; otherwise from all other
        structures, where about 90 % holds by construction unless ratios are tied.

    group
        What these structures are called.

    Returns
    -------
    Calibration
        ``spearman`` is the rank correlation (None below three structures or for constant values), ``scale`` is
        sqrt(mean error^2 / mean eps^2) (above 1 the committee is overconfident), ``coverage_90`` is the share of errors
        below eps times the conformal 90 % quantile of the ratio error/eps among the others (None where fewer than nine
        others are left, which is too few for that quantile to exist), ``factor_90`` that quantile among all (split
        conformal prediction): eps times it bounds nine of ten errors of structures like these.
    """
    eps, error = np.asarray(eps, dtype=float), np.asarray(max_force_error, dtype=float)
    usable = np.isfinite(eps) & np.isfinite(error) & (eps > 0)
    labels = np.array([str(name) for name in groups])[usable] if groups is not None else np.array([])
    eps, error = eps[usable], error[usable]
    scale = float(np.sqrt((error**2).mean() / (eps**2).mean())) if eps.size else None
    return Calibration(
        group=group,
        n_structures=int(usable.size),
        spearman=_spearman(eps, error),
        scale=scale,
        coverage_90=_coverage(eps, error, labels),
        factor_90=_quantile(error / eps),
    )


def calibration_groups(predictions: Predictions) -> tuple[Calibration, ...]:
    """Return the calibration of everything, by phase and by element.

    A structure is judged by its largest eps and its largest force error, the atoms of an element one by one.
    """
    eps, error = predictions.eps, predictions.max_force_error
    found = [calibration(eps, error, predictions.phases)]
    for phase in sorted({phase for phase in predictions.phases if phase}):
        chosen = np.array([name == phase for name in predictions.phases])
        found.append(calibration(eps[chosen], error[chosen], group=f"phase:{phase}"))
    for number in np.unique(predictions.numbers):
        chosen = predictions.numbers == number
        name = f"element:{chemical_symbols[int(number)]}"
        found.append(_of_atoms(predictions.eps_atoms[chosen], predictions.force_error[chosen], name))
    return tuple(found)


def _of_atoms(eps: Array, error: Array, group: str) -> Calibration:
    """Return the calibration of many atoms: every other one tells the bound, the rest test it."""
    usable = np.isfinite(eps) & np.isfinite(error) & (eps > 0)
    eps, error = eps[usable], error[usable]
    bound = _quantile(error[::2] / eps[::2])
    tested = error[1::2] / eps[1::2]
    return Calibration(
        group=group,
        n_structures=int(usable.size),
        spearman=_spearman(eps, error),
        scale=float(np.sqrt((error**2).mean() / (eps**2).mean())) if eps.size else None,
        coverage_90=float((tested <= bound).mean()) if bound is not None and tested.size else None,
        factor_90=_quantile(error / eps),
    )


def _quantile(ratio: Array) -> float | None:
    """Return the conformal quantile: the smallest bound that covers its share of one more value like these."""
    rank = math.ceil(COVERAGE * (len(ratio) + 1))
    return float(np.partition(ratio, rank - 1)[rank - 1]) if 0 < rank <= len(ratio) else None


def _coverage(eps: Array, error: Array, groups: Array) -> float | None:
    ratio = error / eps
    across = len(np.unique(groups)) > 1
    covered = []
    for i in range(len(ratio)):
        others = ratio[groups != groups[i]] if across else np.delete(ratio, i)
        rank = math.ceil(COVERAGE * (len(others) + 1))
        if rank > len(others):
            return None
        covered.append(ratio[i] <= np.partition(others, rank - 1)[rank - 1])
    return float(np.mean(covered)) if covered else None


def _spearman(first: Array, second: Array) -> float | None:
    if len(first) < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    from scipy.stats import rankdata

    return float(np.corrcoef(rankdata(first), rankdata(second))[0, 1])
