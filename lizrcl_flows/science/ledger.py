"""The ledger of exploration: what each generation did in each cell of the grid."""

from collections.abc import Collection, Iterable, Sequence

import numpy as np

from lizrcl_flows.documents import Trajectory
from lizrcl_flows.documents.campaigns import LedgerEntry
from lizrcl_flows.science.screening import Judged

CellKey = tuple[str, str, float, float]
"""Phase or interface by its name in the campaign file, ensemble, temperature (K), pressure (GPa; 0 in NVT)."""


def cell_key(phase: str, ensemble: str, temperature_k: float, pressure_gpa: float | None) -> CellKey:
    """Return what names a cell of the grid; the pressure has no meaning in NVT."""
    return phase, ensemble, temperature_k, (pressure_gpa or 0.0) if ensemble == "npt" else 0.0


def key_of(entry: LedgerEntry) -> CellKey:
    """Return the cell that an entry is about."""
    return cell_key(entry.phase, entry.ensemble, entry.temperature_k, entry.pressure_gpa)


def ledger_entries(
    trajectories: Sequence[Trajectory],
    judged: Iterable[Judged],
    selected: Collection[tuple[int, int]],
    eps_lo: float,
    candidates: Collection[tuple[int, int]] = (),
) -> tuple[LedgerEntry, ...]:
    """Return what one generation did, one entry for each cell that it visited, in the order of its runs.

    Parameters
    ----------
    trajectories
        Its runs; `Judged.run` counts them from zero.
    judged
        Every frame that the committee evaluated. Of a run with GPUMD's ``active`` these are the frames that were
        written; that the others were below the threshold is known, and the run's `n_checked` counts them in.
    selected, candidates
        ``(run, frame)`` of the frames that get a label, and of those that passed every filter.
    eps_lo
        Threshold (eV/A) that this generation used.
    """
    frames: list[list[float]] = [[] for _ in trajectories]
    for frame in judged:
        frames[frame.run].append(frame.eps)
    entries = [
        LedgerEntry(
            phase=run.cell or run.phase or run.structure,
            ensemble="npt" if run.ensemble == "npt" else "nvt",
            temperature_k=run.temperature_k,
            pressure_gpa=run.pressure_gpa,
            n_runs=1,
            n_blown_up=int(run.health.status != "ok"),
            n_explored=len(frames[number]) if run.n_checked is None else run.n_checked,
            n_flagged=sum(not eps < eps_lo for eps in frames[number]),
            n_candidates=sum(run_number == number for run_number, _ in candidates),
            n_selected=sum(run_number == number for run_number, _ in selected),
            eps_max=max((eps for eps in frames[number] if np.isfinite(eps)), default=None),
        )
        for number, run in enumerate(trajectories)
    ]
    return accumulate([entries])


def accumulate(ledgers: Iterable[Iterable[LedgerEntry]]) -> tuple[LedgerEntry, ...]:
    """Add ledgers up: one entry for each cell, in the order in which the cells were first visited."""
    total: dict[CellKey, LedgerEntry] = {}
    for ledger in ledgers:
        for entry in ledger:
            before = total.get(key_of(entry))
            total[key_of(entry)] = entry if before is None else _sum(before, entry)
    return tuple(total.values())


def _sum(one: LedgerEntry, other: LedgerEntry) -> LedgerEntry:
    counts = ("n_runs", "n_blown_up", "n_explored", "n_flagged", "n_candidates", "n_selected")
    known = [value for value in (one.eps_max, other.eps_max) if value is not None]
    sums = {name: getattr(one, name) + getattr(other, name) for name in counts}
    return one.model_copy(update={**sums, "eps_max": max(known, default=None)})
