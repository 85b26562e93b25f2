"""When a campaign has learnt what it came for: no doubtful frame left under the conditions that matter."""

from collections.abc import Sequence

import numpy as np

from lizrcl_flows.documents import ConvergenceEvidence
from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.documents.campaigns import GateResult
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
    temperatures = np.asarray(temperatures_k)
    inside = (
        (temperatures >= spec.temperature_min_k)
        & (temperatures <= spec.temperature_max_k)
        & (np.abs(np.asarray(pressures_gpa)) <= spec.pressure_max_gpa)
    )
    lowest = f"{spec.temperature_min_k:g} <= " if spec.temperature_min_k else ""
    target = f"{lowest}T <= {spec.temperature_max_k:g} K and P <= {spec.pressure_max_gpa:g} GPa"
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


def complete_evidence(
    evidence: ConvergenceEvidence,
    spec: ConvergenceSpec,
    fresh_rmse_force: tuple[float | None, float | None],
    gates: Sequence[GateResult],
) -> ConvergenceEvidence:
    """Add what is known once the labels are made and the new committee has been tried.

    Parameters
    ----------
    evidence
        Of the explored frames, from `convergence_evidence`.
    fresh_rmse_force
        Force error (eV/A) on the fresh labels under the committee that chose them: of this generation, and of the one
        before. None where there was no label: nothing was found that was worth one.
    gates
        Regression gates that the new committee was put through.

    Returns
    -------
    ConvergenceEvidence
        Met where the explored frames, the fresh errors and the gates all say so, as far as the campaign asks; what is
        missing is added to the words.
    """
    now, before = fresh_rmse_force
    failed = [gate for gate in gates if not gate.passed]
    missing = [evidence.missing] if evidence.missing else []
    if spec.fresh_error_change is not None and now is not None and not _flat(now, before, spec.fresh_error_change):
        told = "nothing to compare with yet" if before is None else f"{before:.3f} a generation earlier"
        missing.append(
            f"the force error on fresh labels is {now:.3f} eV/A ({told}); a fall of "
            f"{spec.fresh_error_change:.0%} at most would be accepted"
        )
    if spec.gates and failed:
        missing.append(f"{len(failed)} regression gates failed: {', '.join(gate.name for gate in failed)}")
    return evidence.model_copy(
        update={
            "fresh_rmse_force": now,
            "fresh_rmse_force_before": before,
            "gates_passed": not failed if gates else None,
            "met": not missing,
            "missing": "; ".join(missing),
        }
    )


def _flat(now: float, before: float | None, change: float) -> bool:
    """Tell whether an error has stopped falling: what it still falls by is small, or it does not fall at all."""
    return before is not None and (before - now) <= change * before


def is_converged(evidence: Sequence[ConvergenceEvidence | None], spec: ConvergenceSpec) -> bool:
    """Tell whether the last `spec.n_generations` generations all met the criterion.

    Parameters
    ----------
    evidence
        Of each generation in order, the newest last; None for one that explored nothing.
    """
    last = list(evidence)[-spec.n_generations :]
    return len(last) == spec.n_generations and all(entry is not None and entry.met for entry in last)
