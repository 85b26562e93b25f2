"""When a campaign has learnt what it came for: no doubtful frame left under the conditions that matter."""

from collections.abc import Sequence

import numpy as np

from lizrcl_flows.documents import ConvergenceEvidence
from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.documents.campaigns import GateResult
from lizrcl_flows.documents.spec import ConvergenceSpec, ExplorationSpec
from lizrcl_flows.science.grid import Cell, Ledgers, n_refined, target_cells
from lizrcl_flows.science.ledger import key_of


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


def not_seen_lately(
    cells: Sequence[Cell], ledgers: Ledgers, index: int, exploration: ExplorationSpec, spec: ConvergenceSpec
) -> str:
    """Say which cells of the target were not explored in the last generations, or nothing.

    Looked at are as many generations as the convergence asks for, or as it takes to walk over the whole grid once.

    Parameters
    ----------
    cells
        The grid.
    ledgers
        What each generation did in it, by its index, this one included.
    index
        Of this generation.
    """
    n_runs = exploration.runs_per_phase * len({cell.phase for cell in cells})
    walking = n_runs - n_refined(n_runs, exploration.refined_share)
    window = max(spec.n_generations, -(-len(cells) // walking))
    seen = {
        key_of(entry)
        for number, entries in ledgers.items()
        if index - window < number <= index
        for entry in entries
        if entry.n_explored
    }
    target = target_cells(cells, spec)
    missing = [cell for cell in target if cell.key not in seen]
    if not missing:
        return ""
    cell = missing[0]
    example = f"{cell.phase} {cell.condition.ensemble} {cell.condition.temperature_k:g} K"
    last = f"the last {window} generations" if window > 1 else "this generation"
    return f"{len(missing)} of the {len(target)} cells of the target yielded no frame in {last}, such as {example}"


def complete_evidence(
    evidence: ConvergenceEvidence,
    spec: ConvergenceSpec,
    fresh_rmse_force: tuple[float | None, float | None],
    gates: Sequence[GateResult],
    not_seen: str = "",
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
    not_seen
        From `not_seen_lately`.

    Returns
    -------
    ConvergenceEvidence
        Met where the explored frames, the fresh errors and the gates all say so, as far as the campaign asks; what is
        missing is added to the words.
    """
    now, before = fresh_rmse_force
    failed = [gate for gate in gates if not gate.passed]
    missing = [words for words in (evidence.missing, not_seen) if words]
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
