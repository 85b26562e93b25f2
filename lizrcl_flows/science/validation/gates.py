"""Regression gates: whether a new committee is good enough to take over from the one before it.

Every gate compares one quantity, `after`, with the most it may be, `limit`:

* errors on the hold-out, over everything, by phase and by region: at most `gate_error_margin` above those of the
  committee before. A root-mean-square error over n independent values is itself uncertain by 1/sqrt(2 n) of its value
  (n structures for an energy, n atoms for a force); twice that much is allowed on top, or many gates on a small
  hold-out would judge chance. A growth by no more than `gate_energy_mev_per_atom` or `gate_force_mev_per_a` is always
  allowed: a hold-out is like the first training set, and a committee that has to know hot structures as well gives a
  little of what it knew of those.
* energy-volume curves and barriers for which there are labels: their error against the labels, at most the margin above
  that of the committee before.
* those without labels: their change, at most the margin, or twice the spread of the committee before where that is
  more: what it did not claim to know, the new one may correct. A larger change is accepted once the committee of the
  generation before, which was held back, has found the same independently.

What cannot be compared is no reason against the new committee: it passes and says why.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lizrcl_flows.documents import Evaluation, Generation, ParityGroup
from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.documents.campaigns import GateResult
from lizrcl_flows.documents.curves import EnergyVolumeCurve, HopProfile
from lizrcl_flows.documents.spec_learning import ValidationSpec

STANDARD_ERRORS = 2.0
"""Of a hold-out error, by which it may grow on top of the margin."""

SPREADS = 2.0
"""Times the spread of the committee before that a quantity without labels may change."""

MEV = 1000.0


@dataclass(frozen=True)
class Tried:
    """What is known of one committee.

    Attributes
    ----------
    holdout
        Its errors on the fixed hold-out, or None.
    curves
        Its energy-volume curves and barriers, or None.
    """

    holdout: Evaluation | None = None
    curves: Evaluation | None = None


def gate_results(
    before: Tried, after: Tried, spec: ValidationSpec, held_back: Tried | None = None
) -> tuple[GateResult, ...]:
    """Judge a new committee by the one before.

    Parameters
    ----------
    before
        The committee in force.
    after
        The new one.
    held_back
        The committee of the generation in between that did not pass, if there was one.

    Returns
    -------
    tuple of GateResult
        Hold-out first, then curves, then barriers, each in the order of the evaluations; empty where the new committee
        was tried on nothing.
    """
    results = [*_error_gates(before.holdout, after.holdout, spec)]
    earlier, other = (tried.curves if tried else None for tried in (before, held_back))
    if after.curves is not None:
        curves, hops = after.curves.energy_volumes, after.curves.hops
        results += [_curve_gate(curve, _curve(earlier, curve), _curve(other, curve), spec) for curve in curves]
        results += [_barrier_gate(hop, _hop(earlier, hop), _hop(other, hop), spec) for hop in hops]
    return tuple(results)


def in_force(generation: Generation) -> bool:
    """Tell whether the committee that a closed generation ended with may explore and produce.

    A generation that fails a gate is closed as rolled back; people roll back and promote by hand.
    """
    return generation.state != "rolled_back"


def failed(gates: Sequence[GateResult]) -> str:
    """Return the gates that were not passed, as part of a sentence; empty where there is none."""
    return "; ".join(f"{gate.name}: {gate.why}" for gate in gates if not gate.passed)


# --- hold-out ------------------------------------------------------------------------------------------------------


def _error_gates(before: Evaluation | None, after: Evaluation | None, spec: ValidationSpec) -> Iterator[GateResult]:
    if after is None:
        return
    if before is not None and before.labels_sha256 != after.labels_sha256:
        before = None
    known = {group.group: group for group in before.groups} if before else {}
    for group in after.groups:
        if group.group.startswith("element:"):
            continue
        for what in (
            _Error("rmse_force", "eV/A", group.n_atoms, "atoms", spec.gate_force_mev_per_a / MEV),
            _Error("rmse_energy", "eV/atom", group.n_structures, "structures", spec.gate_energy_mev_per_atom / MEV),
        ):
            yield _error_gate(group, known.get(group.group), what, spec.gate_error_margin)


@dataclass(frozen=True)
class _Error:
    """A kind of error: field, unit, number of values that it is the mean of, what those are, growth always allowed."""

    quantity: str
    unit: str
    n: int
    counted: str
    floor: float


def _error_gate(after: ParityGroup, before: ParityGroup | None, what: _Error, margin: float) -> GateResult:
    name = f"holdout {what.quantity}" + ("" if after.group == "all" else f" {after.group}")
    new = getattr(after, what.quantity)
    old = getattr(before, what.quantity) if before is not None else None
    if old is None or new is None:
        why = "the committee before has no error on this hold-out"
        return GateResult(name=name, unit=what.unit, before=old, after=new, passed=True, why=why)
    noise = STANDARD_ERRORS / math.sqrt(2 * max(what.n, 1))
    relative, absolute = old * (1 + margin + noise), old + what.floor
    limit = max(relative, absolute)
    passed = bool(new <= limit)
    why = f"{MEV * old:.3g} -> {MEV * new:.3g} m{what.unit}"
    if not passed:
        share = f"{margin:.0%} more, and {noise:.0%} for {what.n} {what.counted}"
        allowed = share if relative >= absolute else f"{MEV * what.floor:.3g} more"
        why += f", more than {MEV * limit:.3g} m{what.unit} ({allowed})"
    return GateResult(name=name, unit=what.unit, before=old, after=new, limit=limit, passed=passed, why=why)


# --- energy-volume curves ------------------------------------------------------------------------------------------


def _curve_gate(
    after: EnergyVolumeCurve,
    before: EnergyVolumeCurve | None,
    held_back: EnergyVolumeCurve | None,
    spec: ValidationSpec,
) -> GateResult:
    name, unit, margin = after.name, "meV/atom", spec.gate_curve_mev_per_atom
    if before is None:
        return GateResult(name=name, unit=unit, passed=True, why="the committee before has no such curve")
    errors = [_label_error(curve.energy, after.energy_label) for curve in (before, after)]
    if errors[0] is not None and errors[1] is not None:
        return _against_labels(name, unit, (MEV * errors[0], MEV * errors[1]), margin)
    change = MEV * _shape_difference(before, after)
    spread = MEV * _rms(np.std(_shapes(before), axis=0))
    confirmed = MEV * _shape_difference(held_back, after) if held_back is not None else None
    return _changed(name, unit, (change, spread, margin), confirmed)


def _shape_difference(one: EnergyVolumeCurve, other: EnergyVolumeCurve) -> float:
    """Rms difference of two curves (eV/atom) once their means are taken off: offsets are the hold-out's matter."""
    return _rms(_centred(one.energy) - _centred(other.energy))


def _shapes(curve: EnergyVolumeCurve) -> Array:
    return np.array([_centred(row) for row in curve.energy_members])


def _centred(values: Sequence[float]) -> Array:
    array = np.asarray(values, dtype=float)
    return np.asarray(array - array.mean())


def _label_error(energy: Sequence[float], labels: Sequence[float | None]) -> float | None:
    """Rms error against labels once the mean of the error is taken off; None for fewer than three of them."""
    error = np.array([e - label for e, label in zip(energy, labels, strict=False) if label is not None])
    return _rms(error - error.mean()) if len(error) > 2 else None


# --- barriers ------------------------------------------------------------------------------------------------------


def _barrier_gate(
    after: HopProfile, before: HopProfile | None, held_back: HopProfile | None, spec: ValidationSpec
) -> GateResult:
    name, unit, margin = after.name, "eV", spec.gate_barrier_ev
    old, new = _barrier(before), _barrier(after)
    if before is None or old is None:
        why = "the committee before has no barrier for this hop"
        return GateResult(name=name, unit=unit, passed=True, why=why)
    if new is None:
        again = held_back is not None and _barrier(held_back) is None
        why = f"the barrier was lost: {after.problem}" + ("; so it was with the committee held back" if again else "")
        return GateResult(name=name, unit=unit, before=old, passed=again, why=why)
    own = [_barrier_error(hop) for hop in (before, after)]
    if own[0] is not None and own[1] is not None:
        return _against_labels(name, unit, (own[0], own[1]), margin)
    values = f"{old:.3f} -> {new:.3f} eV"
    change = _barrier_change(before, after)
    spread = max(before.barrier_forward_std or 0.0, before.barrier_backward_std or 0.0)
    confirmed = _barrier_change(held_back, after) if held_back and _barrier(held_back) is not None else None
    result = _changed(name, unit, (change, spread, margin), confirmed)
    return result.model_copy(update={"why": f"{values}: {result.why}"})


def _barrier(hop: HopProfile | None) -> float | None:
    """Forward barrier (eV) of a path that is one; None otherwise."""
    return hop.barrier_forward if hop is not None and not hop.problem else None


def _barrier_change(one: HopProfile, other: HopProfile) -> float:
    pairs = (
        (one.barrier_forward, other.barrier_forward),
        (one.barrier_backward, other.barrier_backward),
    )
    return max(abs(there - here) for here, there in pairs if here is not None and there is not None)


def _barrier_error(hop: HopProfile | None) -> float | None:
    """Error of the forward barrier (eV) against the labels of its images, where all of them have one."""
    if hop is None or hop.barrier_forward is None:
        return None
    known = [value for value in hop.energy_label if value is not None]
    return abs(hop.barrier_forward - max(known)) if known and len(known) == len(hop.energy) else None


# --- both ----------------------------------------------------------------------------------------------------------


def _against_labels(name: str, unit: str, errors: tuple[float, float], margin: float) -> GateResult:
    old, new = errors
    limit = old + margin
    passed = bool(new <= limit)
    why = f"error against labels {old:.3g} -> {new:.3g} {unit}"
    return GateResult(name=name, unit=unit, before=old, after=new, limit=limit, passed=passed, why=why)


def _changed(name: str, unit: str, numbers: tuple[float, float, float], confirmed: float | None) -> GateResult:
    """Judge a change: numbers are the change, the spread of the committee before, and the margin."""
    change, spread, margin = numbers
    limit = max(margin, SPREADS * spread)
    passed = bool(change <= limit)
    why = f"changed by {change:.3g} {unit}, the committee before knew it to {spread:.2g}"
    if not passed and confirmed is not None and confirmed <= margin:
        passed, why = True, f"{why}; the committee held back before found the same to {confirmed:.2g} {unit}"
    return GateResult(name=name, unit=unit, after=change, limit=limit, passed=passed, why=why)


def _curve(evaluation: Evaluation | None, like: EnergyVolumeCurve) -> EnergyVolumeCurve | None:
    """Return the curve of the same structures, so that a changed campaign file compares nothing that differs."""
    found = evaluation.energy_volumes if evaluation is not None else ()
    return next((curve for curve in found if curve.structures == like.structures), None)


def _hop(evaluation: Evaluation | None, like: HopProfile) -> HopProfile | None:
    """Return the same hop in the same cell."""
    found = evaluation.hops if evaluation is not None else ()
    return next((hop for hop in found if (hop.cell, hop.settings) == (like.cell, like.settings)), None)


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
