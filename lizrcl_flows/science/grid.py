"""The grid of exploration, every phase and interface under every condition, and where a generation's runs go.

Part of the runs walks over the grid: the cell that has waited longest comes first, so that with B such runs a
generation and K cells each cell is visited at least once in ceil(K / B) generations. Among cells that have waited
equally long, phases and conditions are taken in turn.

The rest is refined: it goes where the committee has known least. How little it knows of a cell is the share of frames
over the threshold, averaged over runs with recent generations counting more and drawn towards the average of the grid
by the weight of one run; a run that blew up counts as all unknown. Of these runs, too, each further one in the same
generation counts less (d'Hondt's quotients), and a cell gets at most a quarter of a generation's runs.

A cell where runs blow up before they yield anything would look worst for ever. Once that has happened in its two latest
visits it gets no refined runs while another cell can take them; the walk goes on visiting it, at full length, and finds
out when a better committee has made it worth exploring.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lizrcl_flows.documents.campaigns import LedgerEntry
from lizrcl_flows.documents.spec import ConditionSpec, ConvergenceSpec
from lizrcl_flows.science.ledger import CellKey, accumulate, cell_key, key_of

MAX_SHARE = 0.25
"""Largest part of a generation's runs that the refinement may gather in one cell."""

DECAY = 0.5
"""Weight of a generation's runs against those of the generation after it."""

PRIOR_RUNS = 1.0
"""Runs that the average of the grid counts for in the estimate for one cell."""

BARREN_VISITS = 2
"""Generations in a row without a usable frame after which a cell is refined last."""

Ledgers = Mapping[int, Sequence[LedgerEntry]]
"""What earlier generations did, by their index."""


@dataclass(frozen=True)
class Cell:
    """A phase or interface under one condition."""

    phase: str
    condition: ConditionSpec

    @property
    def key(self) -> CellKey:
        """What the ledger calls it."""
        condition = self.condition
        return cell_key(self.phase, condition.ensemble, condition.temperature_k, condition.pressure_gpa)


@dataclass(frozen=True)
class Allotted:
    """One run of a generation: where, and whether it is refinement."""

    cell: Cell
    refined: bool


def grid(phases: Sequence[str], conditions: Sequence[ConditionSpec]) -> tuple[Cell, ...]:
    """Return every cell once, phase by phase; a condition that is listed twice is one."""
    cells: dict[CellKey, Cell] = {}
    for phase in phases:
        for condition in conditions:
            cell = Cell(phase, condition)
            cells.setdefault(cell.key, cell)
    return tuple(cells.values())


def n_refined(n_runs: int, refined_share: float) -> int:
    """Return how many runs of a generation are refinement; at least one walks over the grid."""
    return max(0, min(n_runs - 1, math.floor(refined_share * n_runs + 1e-9)))


def allocate(
    cells: Sequence[Cell], ledgers: Ledgers, n_runs: int, refined_share: float, seed: int
) -> tuple[Allotted, ...]:
    """Return where the runs of one generation go, in the order of the grid.

    Parameters
    ----------
    cells
        The grid.
    ledgers
        What the generations before did. Cells that are no longer in the grid are passed over.
    n_runs
        Runs of this generation.
    refined_share
        Part of them that is refinement; while there are cells that were never visited, those come first.
    seed
        Decides between cells that nothing else tells apart.

    Returns
    -------
    tuple of Allotted
        Exactly `n_runs`; the same for the same arguments.
    """
    if not cells:
        raise ValueError("there is no cell to explore")
    state = _Allocation(cells, ledgers, seed)
    refined = n_refined(n_runs, refined_share)
    runs = [Allotted(state.walk(), refined=False) for _ in range(n_runs - refined)]
    cap = max(1, math.ceil(MAX_SHARE * n_runs))
    runs += [Allotted(state.refine(cap), refined=True) for _ in range(refined)]
    place = {cell.key: number for number, cell in enumerate(cells)}
    return tuple(sorted(runs, key=lambda run: (place[run.cell.key], run.refined)))


class _Allocation:
    """What is known of each cell, and what it has got so far in this generation."""

    def __init__(self, cells: Sequence[Cell], ledgers: Ledgers, seed: int) -> None:
        self._cells = cells
        self._visits = visits_of(cells, ledgers)
        self._doubt = doubts(cells, ledgers)
        self._rank = np.random.default_rng(seed).permutation(len(cells)).tolist()
        self._now: Counter[CellKey] = Counter()
        self._phase_now: Counter[str] = Counter()
        self._condition_now: Counter[CellKey] = Counter()
        entries = [entry for visits in self._visits.values() for entry in visits.values()]
        self._phase_ever: Counter[str] = Counter()
        self._condition_ever: Counter[CellKey] = Counter()
        for entry in entries:
            self._phase_ever[entry.phase] += entry.n_runs
            self._condition_ever[_condition(key_of(entry))] += entry.n_runs

    def walk(self) -> Cell:
        """Take the cell that has waited longest."""
        return self._take(min(range(len(self._cells)), key=self._turn))

    def refine(self, cap: int) -> Cell:
        """Take a cell that was never visited, else the one that the committee knows least for the runs it has got."""
        numbers = range(len(self._cells))
        new = [n for n in numbers if not self._visits[self._cells[n].key] and not self._now[self._cells[n].key]]
        if new:
            return self._take(min(new, key=self._turn))
        fertile = [n for n in numbers if not is_barren(list(self._visits[self._cells[n].key].values()))]
        below = [n for n in fertile if self._now[self._cells[n].key] < cap]
        return self._take(min(below or fertile or numbers, key=self._quotient))

    def _turn(self, number: int) -> tuple[int, ...]:
        key = self._cells[number].key
        return (
            self._now[key],
            max(self._visits[key], default=-1),
            self._phase_now[key[0]],
            self._condition_now[_condition(key)],
            self._phase_ever[key[0]],
            self._condition_ever[_condition(key)],
            self._rank[number],
        )

    def _quotient(self, number: int) -> tuple[float, ...]:
        key = self._cells[number].key
        return (-self._doubt[key] / (1 + self._now[key]), *self._turn(number))

    def _take(self, number: int) -> Cell:
        cell = self._cells[number]
        self._now[cell.key] += 1
        self._phase_now[cell.phase] += 1
        self._condition_now[_condition(cell.key)] += 1
        return cell


def _condition(key: CellKey) -> CellKey:
    return ("", *key[1:])


def visits_of(cells: Sequence[Cell], ledgers: Ledgers) -> dict[CellKey, dict[int, LedgerEntry]]:
    """Return for each cell what was done in it, by generation, the earliest first."""
    visits: dict[CellKey, dict[int, LedgerEntry]] = {cell.key: {} for cell in cells}
    for index in sorted(ledgers):
        for entry in accumulate([ledgers[index]]):
            if key_of(entry) in visits and entry.n_runs:
                visits[key_of(entry)][index] = entry
    return visits


def doubts(cells: Sequence[Cell], ledgers: Ledgers) -> dict[CellKey, float]:
    """Return how little the committee has known of each cell: 0 for nothing doubtful, 1 for nothing known.

    A cell that was never visited has the average of the grid, and 1 where nothing was visited at all.
    """
    newest = max(ledgers, default=0)
    sums: dict[CellKey, tuple[float, float]] = {}
    for key, visits in visits_of(cells, ledgers).items():
        weights = {index: DECAY ** (newest - index) * entry.n_runs for index, entry in visits.items()}
        unknown = sum(weights[index] * _unknown(entry) for index, entry in visits.items())
        sums[key] = unknown, sum(weights.values())
    weight = sum(total for _, total in sums.values())
    average = sum(unknown for unknown, _ in sums.values()) / weight if weight else 1.0
    return {key: (unknown + PRIOR_RUNS * average) / (total + PRIOR_RUNS) for key, (unknown, total) in sums.items()}


def _unknown(entry: LedgerEntry) -> float:
    flagged = entry.n_flagged / entry.n_explored if entry.n_explored else 0.0
    return min(1.0, max(flagged, entry.n_blown_up / entry.n_runs))


def is_barren(visits: Sequence[LedgerEntry]) -> bool:
    """Tell whether the latest visits to a cell found much that is unknown and nothing that can be used.

    Parameters
    ----------
    visits
        Entries of one cell, one a generation, the earliest first.
    """
    latest = visits[-BARREN_VISITS:]
    return len(latest) == BARREN_VISITS and all(
        entry.n_blown_up + entry.n_flagged > 0 and not entry.n_candidates + entry.n_selected for entry in latest
    )


def every_cell_failed(cells: Sequence[Cell], ledgers: Ledgers) -> bool:
    """Tell whether every cell was visited and none yielded a single frame the last time: nothing is left to try."""
    visits = visits_of(cells, ledgers)
    latest = [max(entries) for entries in visits.values() if entries]
    return len(latest) == len(cells) and all(
        not visits[cell.key][index].n_explored for cell, index in zip(cells, latest, strict=True)
    )


def target_cells(cells: Sequence[Cell], target: ConvergenceSpec) -> tuple[Cell, ...]:
    """Return the cells of the grid within the conditions that a campaign is to converge in."""
    return tuple(
        cell
        for cell in cells
        if target.temperature_min_k <= cell.condition.temperature_k <= target.temperature_max_k
        and cell.key[3] <= target.pressure_max_gpa
    )
