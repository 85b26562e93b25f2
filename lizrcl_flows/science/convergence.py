"""When a campaign has learnt what it came for: no doubtful frame left under the conditions that matter."""

from collections.abc import Sequence

import numpy as np

from lizrcl_flows.documents import ConvergenceEvidence
from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.documents.spec import ConvergenceSpec


def convergence_evidence(
    temperatures_k: Array, pressures_gpa: Array, eps: Array, spec: ConvergenceSpec, eps_lo: float
) -> ConvergenceEvidence:
    """Judge the explored frames of one generation against the target conditions.

    Parameters
    ----------
    temperatures_k, pressures_gpa
        Set points of the runs that the frames come from, shape (n,); 0 GPa where a run has no set pressure.
    eps
        Committee deviation of each frame (eV/A), shape (n,). A value that is not finite counts as doubtful.
    spec
        Highest temperature and pressure of the target, and the share of doubtful frames that is allowed.
    eps_lo
        From this deviation on (eV/A) a frame is doubtful.

    Returns
    -------
    ConvergenceEvidence
        With the missing in words where the criterion is not met; no explored frame in the target is no convergence.
    """
    inside = (np.asarray(temperatures_k) <= spec.temperature_max_k) & (
        np.abs(np.asarray(pressures_gpa)) <= spec.pressure_max_gpa
    )
    target = f"T <= {spec.temperature_max_k:g} K and P <= {spec.pressure_max_gpa:g} GPa"
    n_frames = int(inside.sum())
    if n_frames == 0:
        missing = f"no frame was explored at {target}"
        return ConvergenceEvidence(n_frames_in_target=0, fraction_above_eps_lo=None, met=False, missing=missing)
    n_doubtful = int((~(np.asarray(eps)[inside] < eps_lo)).sum())
    fraction = n_doubtful / n_frames
    met = fraction <= spec.fraction_above_eps_lo
    missing = (
        ""
        if met
        else f"{n_doubtful} of {n_frames} frames at {target} have eps >= {eps_lo:g} eV/A ({fraction:.2%}), "
        f"{spec.fraction_above_eps_lo:.2%} would be accepted"
    )
    return ConvergenceEvidence(n_frames_in_target=n_frames, fraction_above_eps_lo=fraction, met=met, missing=missing)


def is_converged(evidence: Sequence[ConvergenceEvidence | None], spec: ConvergenceSpec) -> bool:
    """Tell whether the last `spec.n_generations` generations all met the criterion.

    Parameters
    ----------
    evidence
        Of each generation in order, the newest last; None for one that explored nothing.
    """
    last = list(evidence)[-spec.n_generations :]
    return len(last) == spec.n_generations and all(entry is not None and entry.met for entry in last)
