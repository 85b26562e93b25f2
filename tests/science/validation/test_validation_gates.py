"""Regression gates: what stops a new committee and what does not."""

import math

import numpy as np
import pytest

from lizrcl_flows.documents import Evaluation, Generation, ParityGroup
from lizrcl_flows.documents.campaigns import GateResult
from lizrcl_flows.documents.curves import EnergyVolumeCurve, HopProfile
from lizrcl_flows.documents.spec_learning import HopSpec, ValidationSpec
from lizrcl_flows.science.validation.gates import Tried, failed, gate_results, in_force

SPEC = ValidationSpec()
STRICT = ValidationSpec(gate_energy_mev_per_atom=0.0, gate_force_mev_per_a=0.0)
VOLUME = (19.0, 20.0, 21.0, 22.0)
SHAPE = np.array([0.02, 0.0, 0.005, 0.03])
BEND = np.array([0.0, 0.0, 0.0, 0.02])


def evaluation(kind="holdout", groups=(), sha="a", **curves):
    arrays = {name: np.zeros(0) for name in ("energy_predicted", "energy_label", "eps", "max_force_error")}
    return Evaluation(
        committee="com_0", kind=kind, labels_sha256=sha, n_structures=0, n_atoms=0, groups=groups, **arrays, **curves
    )


def group(force=0.1, energy=0.01, name="all", n=2000):
    return ParityGroup(group=name, n_structures=n, n_atoms=50 * n, rmse_force=force, rmse_energy=energy)


def holdout(*groups, sha="a"):
    return Tried(holdout=evaluation(groups=groups, sha=sha))


def curve(shape=SHAPE, spread=0.0005, labels=(), phase="ideal", structures=("str_0",)):
    ramp = np.array([-1.0, 0.0, 0.0, 1.0])
    members = [shape + sign * spread * ramp * math.sqrt(2) for sign in (-1, 1)]  # rms of the spread is `spread`
    return EnergyVolumeCurve(
        phase=phase,
        n_atoms=18,
        structures=structures,
        volume=VOLUME,
        energy=tuple(map(float, np.mean(members, axis=0))),
        energy_members=tuple(tuple(map(float, row)) for row in members),
        eps=(0.0,) * 4,
        energy_label=tuple(labels),
    )


def hop(forward=0.4, backward=0.35, std=0.01, **changes):
    energy = (0.0, forward, forward - backward)
    values = {
        "phase": "alpha",
        "number": 0,
        "settings": HopSpec(phase="alpha", atom=0, vacancy=4),
        "cell": "str_0",
        "n_atoms": 26,
        "structures": (),
        "distance": (0.0, 1.0, 2.0),
        "energy": energy,
        "energy_members": (energy, energy),
        "eps": (0.0, 0.0, 0.0),
        "barrier_forward": forward,
        "barrier_backward": backward,
        "barrier_forward_std": std,
        "barrier_backward_std": std,
    }
    return HopProfile(**{**values, **changes})


def curves(*found):
    volumes = tuple(one for one in found if isinstance(one, EnergyVolumeCurve))
    hops = tuple(one for one in found if isinstance(one, HopProfile))
    return Tried(curves=evaluation("curves", energy_volumes=volumes, hops=hops))


def only(results):
    (result,) = results
    if result.limit is not None and "held back" not in result.why:
        assert result.passed == (result.after <= result.limit)
    return result


# --- hold-out ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("growth", "passed"), [(0.5, True), (1.0, True), (1.10, True), (1.14, False), (3.0, False)])
def test_an_error_may_grow_by_the_margin_and_the_noise_of_many_structures(growth, passed):
    results = gate_results(holdout(group()), holdout(group(force=0.1 * growth, energy=0.01 * growth)), STRICT)
    assert [result.name for result in results] == ["holdout rmse_force", "holdout rmse_energy"]
    assert [result.passed for result in results] == [passed, passed]
    assert results[0].limit == pytest.approx(0.1 * (1.1 + 2 / math.sqrt(2 * 100_000)))
    assert results[1].limit == pytest.approx(0.01 * (1.1 + 2 / math.sqrt(4000)))
    assert (results[0].before, results[0].after) == pytest.approx((0.1, 0.1 * growth))


@pytest.mark.parametrize(
    ("energy", "force", "passed"), [(0.0028, 0.034, True), (0.0032, 0.030, False), (0.001, 0.039, False)]
)
def test_a_growth_that_matters_to_nobody_is_allowed(energy, force, passed):
    # 1 meV/atom and 30 meV/A before; 2 meV/atom and 5 meV/A more are allowed in any case
    results = gate_results(holdout(group(0.030, 0.001)), holdout(group(force, energy)), SPEC)
    assert all(result.passed for result in results) == passed


@pytest.mark.parametrize("n", [4, 12, 100])
def test_a_committee_that_is_as_good_is_hardly_ever_stopped_by_chance(n):
    # errors of normal distribution: the energy gate of small hold-outs and of large ones
    rng = np.random.default_rng(n)
    stopped = 0
    for error in np.sqrt((rng.normal(size=(400, n)) ** 2).mean(axis=1)):
        before, after = (holdout(group(energy=0.01 * value, n=n)) for value in (1.0, float(error)))
        stopped += not gate_results(before, after, STRICT)[1].passed
    assert stopped / 400 < 0.05
    assert not gate_results(before, holdout(group(energy=0.03, n=n)), SPEC)[1].passed


def test_a_phase_or_a_region_alone_can_fail_and_an_element_is_no_gate():
    before = holdout(group(), group(name="phase:alpha"), group(name="region:interface"), group(name="element:Li"))
    worse = group(name="phase:alpha", force=0.2), group(name="region:interface", energy=0.02)
    after = holdout(group(), *worse, group(name="element:Li", force=0.9))
    results = gate_results(before, after, SPEC)
    assert {result.name for result in results if not result.passed} == {
        "holdout rmse_force phase:alpha",
        "holdout rmse_energy region:interface",
    }
    assert not any("element" in result.name for result in results)
    assert "phase:alpha: 100 -> 200 meV/A, more than" in failed(results)


def test_what_was_not_there_before_passes_and_says_why():
    after = holdout(group())
    for before in (Tried(), holdout(group(), sha="another hold-out"), holdout(group(name="phase:x"))):
        results = gate_results(before, after, SPEC)
        assert all(result.passed and result.limit is None and result.why for result in results)
    results = gate_results(Tried(), curves(curve(), hop()), SPEC)
    assert [(result.passed, result.limit) for result in results] == [(True, None), (True, None)]
    assert gate_results(holdout(group()), Tried(), SPEC) == ()


# --- curves --------------------------------------------------------------------------------------------------------


def test_a_curve_may_shift_but_not_change_its_shape():
    shifted = gate_results(curves(curve()), curves(curve(SHAPE + 0.5)), SPEC)
    assert only(shifted).passed
    assert only(shifted).after == pytest.approx(0.0, abs=1e-9)
    bent = only(gate_results(curves(curve()), curves(curve(SHAPE + BEND)), SPEC))
    assert not bent.passed
    assert bent.unit == "meV/atom"
    assert bent.after == pytest.approx(1000 * np.std(BEND))
    assert bent.limit == 5.0


def test_a_committee_that_did_not_know_a_curve_may_be_corrected():
    vague = curves(curve(spread=0.006))
    result = only(gate_results(vague, curves(curve(SHAPE + BEND)), SPEC))
    assert result.passed
    assert result.limit == pytest.approx(2 * 6.0)
    assert not only(gate_results(vague, curves(curve(SHAPE + 2.5 * BEND)), SPEC)).passed


def test_a_change_that_was_found_twice_is_accepted():
    bent = SHAPE + BEND
    held_back = curves(curve(bent + 0.001))
    assert only(gate_results(curves(curve()), curves(curve(bent)), SPEC, held_back)).passed
    elsewhere = curves(curve(SHAPE - BEND))
    assert not only(gate_results(curves(curve()), curves(curve(bent)), SPEC, elsewhere)).passed


def test_labels_decide_where_there_are_some():
    true = SHAPE + BEND
    better = only(gate_results(curves(curve()), curves(curve(true, labels=true - 4.0)), SPEC))
    assert better.passed
    assert (better.before, better.after) == pytest.approx((1000 * np.std(BEND), 0.0), abs=1e-6)
    worse = only(gate_results(curves(curve(true)), curves(curve(SHAPE - 0.5 * BEND[::-1], labels=true)), SPEC))
    assert not worse.passed
    assert "against labels" in worse.why


def test_other_structures_are_another_curve():
    result = only(gate_results(curves(curve(structures=("str_1",))), curves(curve(SHAPE * 3)), SPEC))
    assert result.passed
    assert "no such curve" in result.why


# --- barriers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("after", "passed"),
    [
        (hop(0.48, 0.43), True),
        (hop(0.32, 0.27), True),
        (hop(0.55, 0.35), False),
        (hop(0.4, 0.2), False),
        (hop(problem="forces on the band are 1.2 eV/A after 200 steps"), False),
    ],
)
def test_a_barrier_may_change_by_the_margin_both_ways(after, passed):
    result = only(gate_results(curves(hop()), curves(after), SPEC))
    assert result.passed == passed
    assert result.unit == "eV"
    assert result.name == "barrier alpha 0"


def test_a_barrier_that_was_not_known_or_was_found_twice_may_change():
    assert only(gate_results(curves(hop(std=0.1)), curves(hop(0.55)), SPEC)).passed
    assert only(gate_results(curves(hop(problem="lost")), curves(hop(0.9)), SPEC)).passed
    assert only(gate_results(curves(hop()), curves(hop(0.6)), SPEC, curves(hop(0.58)))).passed
    lost = hop(problem="both ends relax into the same place")
    assert only(gate_results(curves(hop()), curves(lost), SPEC, curves(lost))).passed
    other = HopSpec(phase="alpha", atom=1, vacancy=4)
    assert only(gate_results(curves(hop(settings=other)), curves(hop(0.9)), SPEC)).passed


def test_a_barrier_with_labels_is_judged_by_them():
    labels = (0.0, 0.6, 0.05)
    assert only(gate_results(curves(hop(energy_label=labels)), curves(hop(0.62, energy_label=labels)), SPEC)).passed
    worse = only(gate_results(curves(hop(0.6, energy_label=labels)), curves(hop(0.4, energy_label=labels)), SPEC))
    assert (worse.before, worse.after, worse.limit) == pytest.approx((0.0, 0.2, 0.1))
    assert not worse.passed


# --- states --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("state", "expected"), [("closed", True), ("promoted", True), ("rolled_back", False)])
def test_a_generation_is_in_force_unless_it_was_rolled_back(state, expected):
    gate = GateResult(name="x", unit="1", passed=False)
    assert in_force(Generation(campaign_id="cam_0", index=1, state=state, gates=(gate,))) == expected
