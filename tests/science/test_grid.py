"""Where a generation explores: the whole grid in turn, and more where the committee knows least."""

import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lizrcl_flows.documents.campaigns import LedgerEntry
from lizrcl_flows.documents.spec import ConditionSpec, ConvergenceSpec
from lizrcl_flows.science.grid import (
    Cell,
    allocate,
    doubts,
    every_cell_failed,
    grid,
    is_barren,
    n_refined,
    target_cells,
    visits_of,
)

CONDITIONS = (
    ConditionSpec(ensemble="nvt", temperature_k=300),
    ConditionSpec(ensemble="nvt", temperature_k=1500),
    ConditionSpec(ensemble="npt", temperature_k=600, pressure_gpa=0.01),
    ConditionSpec(ensemble="npt", temperature_k=600, pressure_gpa=1.0),
)


def entry_of(cell, **counts):
    """Return what one generation did in a cell: a healthy run of 100 frames where nothing else is said."""
    key = cell.key
    values = {"n_runs": 1, "n_explored": 100, **counts}
    return LedgerEntry(phase=key[0], ensemble=key[1], temperature_k=key[2], pressure_gpa=key[3] or None, **values)


def play(cells, n_generations, n_runs, share, outcome=lambda cell: {}):
    """Explore for some generations; return where each went, and the ledgers."""
    ledgers, walks = {}, []
    for index in range(1, n_generations + 1):
        runs = allocate(cells, ledgers, n_runs, share, index)
        walks.append(runs)
        ledgers[index] = [entry_of(run.cell, **outcome(run.cell)) for run in runs]
    return walks, ledgers


@st.composite
def explorations(draw):
    n_phases, n_conditions = draw(st.integers(1, 5)), draw(st.integers(1, 7))
    conditions = [ConditionSpec(ensemble="nvt", temperature_k=100.0 * (n + 1)) for n in range(n_conditions)]
    cells = grid([f"p{n}" for n in range(n_phases)], conditions)
    counts = st.fixed_dictionaries(
        {"n_flagged": st.integers(0, 100), "n_blown_up": st.integers(0, 1), "n_candidates": st.integers(0, 5)}
    )
    outcomes = {cell.key: draw(counts) for cell in cells}
    n_runs = n_phases * draw(st.integers(1, 4))
    return cells, n_runs, draw(st.sampled_from([0.0, 0.25, 0.5, 0.9, 1.0])), lambda cell: outcomes[cell.key]


@settings(max_examples=40, deadline=None)
@given(explorations())
def test_every_cell_is_visited_in_time_whatever_was_found(exploration):
    cells, n_runs, share, outcome = exploration
    walking = n_runs - n_refined(n_runs, share)
    first, period = math.ceil(len(cells) / n_runs), math.ceil(len(cells) / walking)
    walks, _ = play(cells, 2 * period + first, n_runs, share, outcome)
    assert all(len(runs) == n_runs for runs in walks)
    assert all(sum(run.refined for run in runs) == n_runs - walking for runs in walks)
    everywhere = {cell.key for cell in cells}
    for start, length in [(0, first), *((start, period) for start in range(len(walks) - period + 1))]:
        assert {run.cell.key for runs in walks[start : start + length] for run in runs} == everywhere


@settings(max_examples=20, deadline=None)
@given(explorations())
def test_the_same_history_leads_to_the_same_runs(exploration):
    cells, n_runs, share, outcome = exploration
    assert play(cells, 4, n_runs, share, outcome) == play(cells, 4, n_runs, share, outcome)


@settings(max_examples=40, deadline=None)
@given(explorations())
def test_refinement_gathers_at_most_a_quarter_in_a_cell(exploration):
    cells, n_runs, share, outcome = exploration
    walks, ledgers = play(cells, 8, n_runs, share, outcome)
    cap = math.ceil(n_runs / 4)
    for number, runs in enumerate(walks):
        walked = Counter(run.cell.key for run in runs if not run.refined)
        refined = Counter(run.cell.key for run in runs if run.refined)
        before = {index: ledgers[index] for index in range(1, number + 1)}
        n_fertile = sum(not is_barren(list(visits.values())) for visits in visits_of(cells, before).values())
        if n_fertile * cap >= n_runs:
            assert all(walked[key] + count <= cap for key, count in refined.items())


@pytest.mark.parametrize(("n_phases", "runs_per_phase"), [(1, 1), (2, 1), (2, 2), (4, 1), (3, 2)])
def test_phases_and_conditions_are_taken_in_turn(n_phases, runs_per_phase):
    cells = grid([f"p{n}" for n in range(n_phases)], CONDITIONS)
    walks, _ = play(cells, 4 * len(cells), n_phases * runs_per_phase, 0.0)
    for runs in walks:
        assert set(Counter(run.cell.phase for run in runs).values()) == {runs_per_phase}
        conditions = Counter(run.cell.condition for run in runs)
        spread = [conditions[condition] for condition in CONDITIONS]
        assert max(spread) - min(spread) <= 2
    total = Counter(run.cell.key for runs in walks for run in runs)
    assert max(total.values()) - min(total.values()) <= 1


def test_another_seed_walks_another_way():
    cells = grid(["a", "b"], CONDITIONS)
    assert len({allocate(cells, {}, 2, 0.5, seed) for seed in range(20)}) > 4


def test_refined_runs_go_where_most_frames_are_flagged_and_leave_when_it_is_learnt():
    cells = grid(["a", "b"], CONDITIONS)
    worst = cells[5]
    flagged = {1: [entry_of(cell, n_flagged=60 if cell == worst else 2, n_candidates=3) for cell in cells]}
    runs = allocate(cells, flagged, 8, 0.5, 0)
    assert Counter(run.cell for run in runs)[worst] == 2  # a quarter of eight
    learnt = {**flagged, 2: [entry_of(cell, n_flagged=0 if cell == worst else 8) for cell in cells]}
    estimates = doubts(cells, learnt)
    assert estimates[worst.key] > estimates[cells[0].key]  # 60 % a generation ago still counts
    for index in range(3, 8):
        learnt[index] = [entry_of(cell, n_flagged=0 if cell == worst else 8) for cell in cells]
    assert min(doubts(cells, learnt).items(), key=lambda item: item[1])[0] == worst.key


def test_doubt_is_the_weighted_share_drawn_to_the_average_by_one_run():
    a, b, c = cells = grid(["p"], CONDITIONS[:3])
    ledgers = {1: [entry_of(a, n_flagged=40), entry_of(b, n_flagged=10)], 2: [entry_of(a, n_flagged=10)]}
    average = (0.5 * 0.4 + 0.5 * 0.1 + 0.1) / 2.0
    assert doubts(cells, ledgers) == pytest.approx(
        {
            a.key: (0.5 * 0.4 + 0.1 + average) / 2.5,
            b.key: (0.5 * 0.1 + average) / 1.5,
            c.key: average,
        }
    )
    assert set(doubts(cells, {}).values()) == {1.0}


def test_a_run_that_blew_up_counts_as_all_unknown():
    a, b = cells = grid(["p"], CONDITIONS[:2])
    ledgers = {1: [entry_of(a, n_flagged=30, n_candidates=3), entry_of(b, n_explored=3, n_blown_up=1, n_candidates=1)]}
    assert doubts(cells, ledgers)[b.key] > doubts(cells, ledgers)[a.key]
    twice = {1: [entry_of(b, n_runs=2, n_blown_up=1), entry_of(a)]}
    assert doubts(cells, twice)[b.key] == pytest.approx((1.0 + 1 / 3) / 3)


def test_a_cell_that_only_blows_up_is_refined_last_and_still_visited():
    cells = grid(["a"], CONDITIONS)
    hot = cells[1]

    def outcome(cell):
        return {"n_explored": 0, "n_blown_up": 1} if cell == hot else {"n_flagged": 5, "n_candidates": 2}

    walks, ledgers = play(cells, 12, 4, 0.5, outcome)
    assert is_barren([e for index in ledgers for e in ledgers[index] if e.temperature_k == 1500])
    later = [run for runs in walks[4:] for run in runs if run.cell == hot]
    assert later
    assert not any(run.refined for run in later)
    only = {index: [entry_of(cell, n_explored=0, n_blown_up=1) for cell in cells] for index in (1, 2)}
    assert len(allocate(cells, only, 4, 0.5, 0)) == 4  # there is nowhere better to go


def test_when_every_cell_has_failed_there_is_nothing_left_to_try():
    cells = grid(["a", "b"], CONDITIONS[:2])
    lost = {"n_explored": 0, "n_blown_up": 1}
    ledgers = {1: [entry_of(cell, **lost) for cell in cells[:3]]}
    assert not every_cell_failed(cells, {})
    assert not every_cell_failed(cells, ledgers)
    ledgers[2] = [entry_of(cells[3], **lost)]
    assert every_cell_failed(cells, ledgers)
    ledgers[3] = [entry_of(cells[0])]
    assert not every_cell_failed(cells, ledgers)


def test_a_grid_that_was_extended_visits_what_is_new_first():
    old = grid(["a"], CONDITIONS[:2])
    ledgers = {1: [entry_of(cell, n_flagged=50, n_candidates=5) for cell in old]}
    new = grid(["a"], CONDITIONS[1:])
    runs = allocate(new, ledgers, 2, 0.5, 0)
    assert [run.cell for run in runs] == list(new[1:])


def test_the_pressure_of_nvt_and_a_condition_listed_twice_make_no_new_cells():
    odd = ConditionSpec(ensemble="nvt", temperature_k=300, pressure_gpa=5.0)
    assert grid(["a"], (CONDITIONS[0], odd, CONDITIONS[0])) == (Cell("a", CONDITIONS[0]),)
    with pytest.raises(ValueError, match="no cell"):
        allocate((), {}, 1, 0.5, 0)


def test_the_target_is_a_part_of_the_grid():
    cells = grid(["a", "b"], CONDITIONS)
    target = ConvergenceSpec(temperature_min_k=300, temperature_max_k=1000, pressure_max_gpa=0.1)
    assert [(cell.phase, cell.condition) for cell in target_cells(cells, target)] == [
        (phase, condition) for phase in "ab" for condition in (CONDITIONS[0], CONDITIONS[2])
    ]
