"""What a generation did in each cell of the grid, counted from its runs and its frames."""

import math

import pytest

from lizrcl_flows.documents import Health, Trajectory
from lizrcl_flows.documents.campaigns import LedgerEntry
from lizrcl_flows.science.ledger import accumulate, cell_key, key_of, ledger_entries
from lizrcl_flows.science.screening import Judged


def run_of(cell="ideal", ensemble="nvt", temperature_k=600.0, pressure_gpa=None, status="ok", **values):
    return Trajectory(
        purpose="exploration",
        structure="str_00000000000000000000",
        committee="com_00000000000000000000",
        n_atoms=18,
        formula="Cl6Li2Zr",
        phase="of the crystal",
        cell=cell,
        ensemble=ensemble,
        temperature_k=temperature_k,
        pressure_gpa=pressure_gpa,
        steps=100,
        time_step_fs=1.0,
        sample_every=10,
        seed=1,
        engine="gpumd",
        n_frames=3,
        health=Health(status=status),
        **values,
    )


def frames(run, *eps):
    return [
        Judged(run=run, frame=number, time_fs=10.0 * number, eps=value, structure_id="")
        for number, value in enumerate(eps)
    ]


def test_runs_of_one_cell_are_one_entry():
    runs = [
        run_of(),
        run_of(ensemble="npt", pressure_gpa=0.1),
        run_of(status="blown_up"),
        run_of("film-substrate.1", ensemble="npt", pressure_gpa=0.0),
    ]
    judged = [*frames(0, 0.1, 0.3, 0.29), *frames(1, 0.4), *frames(2, 0.5, math.inf, math.nan)]
    entries = ledger_entries(runs, judged, {(0, 1)}, 0.3, {(0, 1), (1, 0), (2, 0)})
    assert entries == (
        LedgerEntry(
            phase="ideal",
            ensemble="nvt",
            temperature_k=600,
            n_runs=2,
            n_blown_up=1,
            n_explored=6,
            n_flagged=4,
            n_candidates=2,
            n_selected=1,
            eps_max=0.5,
        ),
        LedgerEntry(
            phase="ideal",
            ensemble="npt",
            temperature_k=600,
            pressure_gpa=0.1,
            n_runs=1,
            n_explored=1,
            n_flagged=1,
            n_candidates=1,
            eps_max=0.4,
        ),
        LedgerEntry(phase="film-substrate.1", ensemble="npt", temperature_k=600, pressure_gpa=0.0, n_runs=1),
    )


def test_frames_that_active_checked_and_did_not_store_are_counted():
    runs = [run_of(active_threshold=0.297, n_checked=200), run_of(active_threshold=0.297, n_checked=100, cell="alpha")]
    ideal, alpha = ledger_entries(runs, frames(0, 0.298, 0.4), (), 0.3)
    assert (ideal.n_explored, ideal.n_flagged, ideal.eps_max) == (200, 1, 0.4)
    assert (alpha.n_explored, alpha.n_flagged, alpha.eps_max) == (100, 0, None)


def test_a_run_from_before_cells_were_kept_is_known_by_its_phase():
    (entry,) = ledger_entries([run_of(cell=None)], (), (), 0.3)
    assert entry.phase == "of the crystal"


def test_ledgers_add_up():
    one = ledger_entries([run_of()], frames(0, 0.2, 0.4), {(0, 1)}, 0.3)
    other = ledger_entries([run_of("alpha"), run_of()], [*frames(0, 0.1), *frames(1, 0.9)], (), 0.3)
    ideal, alpha = accumulate([one, other, ()])
    assert (ideal.n_runs, ideal.n_explored, ideal.n_flagged, ideal.n_selected) == (2, 3, 2, 1)
    assert ideal.eps_max == 0.9
    assert alpha == other[0]
    assert accumulate([]) == ()


@pytest.mark.parametrize(("ensemble", "pressure", "key"), [("nvt", 5.0, 0.0), ("nvt", None, 0.0), ("npt", 5.0, 5.0)])
def test_the_pressure_names_a_cell_only_in_npt(ensemble, pressure, key):
    assert cell_key("a", ensemble, 300.0, pressure) == ("a", ensemble, 300.0, key)
    entry = LedgerEntry(phase="a", ensemble=ensemble, temperature_k=300.0, pressure_gpa=pressure)
    assert key_of(entry) == cell_key("a", ensemble, 300.0, pressure)
