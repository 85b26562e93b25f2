import numpy as np
import pytest

from lizrcl_flows.documents import ConvergenceEvidence
from lizrcl_flows.documents.campaigns import GateResult, LedgerEntry
from lizrcl_flows.documents.spec import ConditionSpec, ConvergenceSpec, ExplorationSpec
from lizrcl_flows.science.convergence import complete_evidence, convergence_evidence, is_converged, not_seen_lately
from lizrcl_flows.science.grid import grid

SPEC = ConvergenceSpec(temperature_max_k=1000, pressure_max_gpa=0.1, fraction_above_eps_lo=0.02, n_generations=2)
MET = convergence_evidence(np.array([300.0]), np.array([0.0]), np.array([0.1]), SPEC, 0.3)
NOT_MET = convergence_evidence(np.array([300.0]), np.array([0.0]), np.array([0.4]), SPEC, 0.3)


def test_frames_outside_the_target_do_not_count():
    temperatures = np.array([300.0, 1000, 1100, 2000, 300, 300])
    pressures = np.array([0.0, 0.1, 0.0, 0.0, 0.2, -0.2])
    eps = np.array([0.1, 0.2, 9, 9, 9, 9])
    evidence = convergence_evidence(temperatures, pressures, eps, SPEC, 0.3)
    assert (evidence.n_frames_in_target, evidence.fraction_above_eps_lo, evidence.met) == (2, 0.0, True)
    assert evidence.missing == ""


def test_a_doubtful_frame_is_at_eps_lo_or_above_or_not_a_number():
    eps = np.array([0.3, np.nan, np.inf, 0.299999])
    evidence = convergence_evidence(np.full(4, 300.0), np.zeros(4), eps, SPEC, 0.3)
    assert evidence.fraction_above_eps_lo == 0.75
    assert "3 of 4 frames at T <= 1000 K and P <= 0.1 GPa have eps >= 0.3 eV/A (75.00%)" in evidence.missing


@pytest.mark.parametrize(("n_doubtful", "met"), [(2, True), (3, False)])
def test_the_allowed_share_is_allowed(n_doubtful, met):
    eps = np.zeros(100)
    eps[:n_doubtful] = 1.0
    assert convergence_evidence(np.full(100, 300.0), np.zeros(100), eps, SPEC, 0.3).met is met


def test_no_frame_in_the_target_is_no_convergence():
    evidence = convergence_evidence(np.array([2000.0]), np.array([0.0]), np.array([0.0]), SPEC, 0.3)
    assert (evidence.met, evidence.fraction_above_eps_lo) == (False, None)
    assert "no frame was explored at T <= 1000 K" in evidence.missing


@pytest.mark.parametrize(
    ("history", "converged"),
    [
        ([], False),
        ([MET], False),
        ([MET, MET], True),
        ([NOT_MET, MET, MET], True),
        ([MET, MET, NOT_MET], False),
        ([MET, NOT_MET, MET], False),
        ([MET, None], False),
    ],
)
def test_the_last_generations_must_all_meet_it(history, converged):
    assert is_converged(history, SPEC) is converged


def test_fresh_labels_must_be_no_surprise_where_that_is_asked():
    spec = ConvergenceSpec(fresh_error_change=0.1)
    met = ConvergenceEvidence(n_frames_in_target=10, fraction_above_eps_lo=0.0, met=True)
    assert complete_evidence(met, spec, (0.20, 0.21), []).met
    assert complete_evidence(met, spec, (0.25, 0.21), []).met  # it does not fall any more
    assert complete_evidence(met, spec, (None, 0.21), []).met  # nothing was worth a label
    falling = complete_evidence(met, spec, (0.15, 0.21), [])
    assert not falling.met
    assert "0.150 eV/A (0.210 a generation earlier); a fall of 10% at most" in falling.missing
    assert "nothing to compare with yet" in complete_evidence(met, spec, (0.15, None), []).missing
    assert complete_evidence(met, ConvergenceSpec(), (0.15, None), []).met


def test_gates_count_where_that_is_asked():
    met = ConvergenceEvidence(n_frames_in_target=10, fraction_above_eps_lo=0.0, met=True)
    passed = GateResult(name="holdout rmse_force", unit="eV/A", passed=True)
    gates = [passed, GateResult(name="x", unit="eV", passed=False)]
    assert complete_evidence(met, ConvergenceSpec(), (None, None), gates).met
    asked = complete_evidence(met, ConvergenceSpec(gates=True), (None, None), gates)
    assert (asked.met, asked.gates_passed) == (False, False)
    assert asked.missing == "1 regression gates failed: x"
    assert complete_evidence(met, ConvergenceSpec(gates=True), (None, None), gates[:1]).gates_passed is True


def test_the_target_has_a_lowest_temperature():
    spec = ConvergenceSpec(temperature_min_k=300.0)
    found = convergence_evidence(np.array([100.0, 300.0]), np.zeros(2), np.array([9.0, 0.1]), spec, 0.3)
    assert (found.n_frames_in_target, found.met) == (1, True)


def test_a_target_that_was_not_explored_is_no_convergence():
    conditions = [ConditionSpec(ensemble="nvt", temperature_k=t) for t in (300, 600, 2000)]
    cells = grid(["alpha"], conditions)
    exploration = ExplorationSpec(conditions=conditions, runs_per_phase=2, refined_share=0.5)
    spec = ConvergenceSpec(n_generations=2)

    def seen(*temperatures, frames=5):
        return tuple(
            LedgerEntry(phase="alpha", ensemble="nvt", temperature_k=t, n_runs=1, n_explored=frames)
            for t in temperatures
        )

    ledgers = {1: seen(300, 2000), 2: seen(2000), 3: seen(300)}
    told = not_seen_lately(cells, ledgers, 3, exploration, spec)
    assert told == "1 of the 2 cells of the target yielded no frame in the last 3 generations, such as alpha nvt 600 K"
    assert not_seen_lately(cells, {**ledgers, 3: seen(600)}, 3, exploration, spec) == ""
    assert "1 of the 2 cells" in not_seen_lately(cells, {**ledgers, 3: seen(600, frames=0)}, 3, exploration, spec)
    met = ConvergenceEvidence(n_frames_in_target=10, fraction_above_eps_lo=0.0, met=True)
    assert complete_evidence(met, spec, (None, None), [], told).missing == told
