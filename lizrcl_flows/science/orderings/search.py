"""Search for the orderings of a crystal: which supercells, all orderings or the lowest, and their ranking."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Literal

import numpy as np

from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.errors import InputError
from lizrcl_flows.science.occupancies import PartialStructure
from lizrcl_flows.science.orderings.codes import CodeBook, Codes, repeats_itself, representatives
from lizrcl_flows.science.orderings.energies import EwaldModel, ewald_model
from lizrcl_flows.science.orderings.sublattices import ONE_CELL, OrderingCell, crystal_operations, ordering_cell
from lizrcl_flows.science.orderings.supercells import Integers, compact, distinct_supercells
from lizrcl_flows.science.orderings.swap_monte_carlo import SWEEPS, anneal

MOST_RAW = 5_000_000
"""Orderings, symmetric ones counted each, up to which all are gone through; above, Monte Carlo looks for the lowest."""

MOST_SITES = 2_000
"""Sites of a supercell up to which an Ewald matrix is computed."""

Method = Literal["enumeration", "swap_monte_carlo"]


@dataclass(frozen=True)
class OrderingRequest:
    """What to order and how.

    Attributes
    ----------
    supercell
        How often the cell is repeated along its vectors.
    max_cells
        Instead of one supercell: every distinct one of up to so many cells.
    fixed
        Elements that are not ordered: their most occupied sites are filled and their other ones left out.
    n_lowest
        How many orderings to keep, the lowest in energy; 0: all.
    charges
        Charge of each element (e); those that it does not name have the formal charges of `orderings.energies`.
    method
        `auto` enumerates up to `max_raw` orderings of a supercell and else searches by Monte Carlo.
    max_raw
        Up to how many orderings of a supercell, symmetric ones counted each, are enumerated.
    seed
        Of the Monte Carlo search.
    sweeps
        Attempted exchanges per site and walker of the Monte Carlo search.
    """

    supercell: tuple[int, int, int] = (1, 1, 1)
    max_cells: int | None = None
    fixed: tuple[str, ...] = ()
    n_lowest: int = 20
    charges: Mapping[str, float] = field(default_factory=dict)
    method: Literal["auto", "enumeration", "swap_monte_carlo"] = "auto"
    max_raw: int = MOST_RAW
    seed: int = 0
    sweeps: int = SWEEPS


@dataclass(frozen=True, eq=False)
class Found:
    """Orderings of one supercell.

    Attributes
    ----------
    book
        The supercell and how its orderings are written.
    codes
        Canonical codes, shape (n, n_words).
    multiplicities
        How many symmetric orderings each stands for, shape (n,).
    energies_ev
        Of the point charges (eV per supercell), shape (n,).
    method
        How they were found.
    """

    book: CodeBook
    codes: Codes
    multiplicities: Array
    energies_ev: Array
    method: Method


def search(partial: PartialStructure, request: OrderingRequest) -> tuple[list[Found], int]:
    """Return the orderings of every supercell that was asked for, and how many there are, symmetric ones counted each.

    Raises
    ------
    InputError
        See `orderings.find_orderings`.
    """
    cells = _cells(partial, request)
    rng = np.random.default_rng(request.seed)
    found: list[Found] = []
    for cell in cells:
        book = CodeBook(cell)
        model = ewald_model(book, request.charges)
        found += (
            _enumerated(book, model)
            if _method(cell, request) == "enumeration"
            else [_annealed(book, model, rng, request)]
        )
    if request.max_cells is not None:
        found = [_without_repeats(batch) for batch in found]
    return found, sum(cell.n_raw for cell in cells)


def _cells(partial: PartialStructure, request: OrderingRequest) -> list[OrderingCell]:
    """Return the supercells that are ordered.

    Raises
    ------
    InputError
        If none of them has whole numbers of atoms, or one is too large.
    """
    if min(request.supercell) < 1 or (request.max_cells is not None and request.max_cells < 1):
        wrong = request.supercell if request.max_cells is None else request.max_cells
        raise InputError(f"a supercell of {wrong} is not possible, whole numbers from 1 on are needed")
    largest = request.max_cells or math.prod(request.supercell)
    if largest * partial.n_sites > MOST_SITES:
        raise InputError(
            f"{partial.source}: {largest} cells have {largest * partial.n_sites:,} sites, more than the {MOST_SITES:,} "
            "that are ordered at a time; order a smaller supercell and repeat it"
        )
    if request.max_cells is None:
        return [ordering_cell(partial, np.diag(request.supercell).astype(np.int64), fixed=request.fixed)]
    cells: list[OrderingCell] = []
    refusals: list[InputError] = []
    rotations = [rotation for rotation, _ in crystal_operations(partial, request.fixed)]
    for n_cells in range(1, request.max_cells + 1):
        forms = [ONE_CELL] if n_cells == 1 else _compact_supercells(partial, n_cells, rotations)
        try:
            cells += [ordering_cell(partial, form, fixed=request.fixed) for form in forms]
        except InputError as error:  # no whole numbers of atoms in so many cells, perhaps in more
            refusals.append(error)
    if not cells:
        raise refusals[0]
    return cells


def _compact_supercells(partial: PartialStructure, n_cells: int, rotations: Sequence[Integers]) -> list[Integers]:
    return [compact(form, partial.cell) for form in distinct_supercells(n_cells, rotations)]


def _method(cell: OrderingCell, request: OrderingRequest) -> Method:
    """Return how a supercell is ordered.

    Raises
    ------
    InputError
        If there are too many orderings for what was asked.
    """
    if request.method == "enumeration" or (request.method == "auto" and not request.n_lowest):
        if cell.n_raw > request.max_raw:
            raise InputError(
                f"{cell.partial.source}: {_counted(cell.n_raw)} orderings of {cell.n_cells} cells are too many to go "
                f"through, up to {request.max_raw:,} are; a smaller supercell, a fixed element, or only the n lowest "
                "by swap Monte Carlo are possible"
            )
        return "enumeration"
    if request.method == "swap_monte_carlo" and not request.n_lowest:
        raise InputError(
            "swap Monte Carlo finds the n lowest orderings and cannot list all; n_lowest from 1 on is needed"
        )
    if cell.n_raw == 1 or (request.method == "auto" and cell.n_raw <= request.max_raw):
        return "enumeration"
    return "swap_monte_carlo"


def _enumerated(book: CodeBook, model: EwaldModel) -> Iterator[Found]:
    for codes, multiplicities in representatives(book):
        yield Found(book, codes, multiplicities, model.energies(book.decode(codes)), "enumeration")


def _without_repeats(found: Found) -> Found:
    """Leave out the orderings that belong to a smaller supercell."""
    new = ~repeats_itself(found.book, found.codes)
    return replace(
        found,
        codes=found.codes[new],
        multiplicities=found.multiplicities[new],
        energies_ev=found.energies_ev[new],
    )


def _annealed(book: CodeBook, model: EwaldModel, rng: np.random.Generator, request: OrderingRequest) -> Found:
    codes = anneal(book, model, rng, request.n_lowest, request.sweeps)
    multiplicities = np.array([len(np.unique(book.orbit(code), axis=0)) for code in codes], dtype=np.int64)
    return Found(book, codes, multiplicities, model.energies(book.decode(codes)), "swap_monte_carlo")


def ranked(found: Sequence[Found], n_lowest: int) -> list[tuple[Found, int]]:
    """Return the lowest by energy per cell, each as its batch and its place there.

    Of equal ones the smaller supercell, then the smaller code comes first.
    """
    per_cell = np.concatenate([batch.energies_ev / batch.book.cell.n_cells for batch in found])
    batch_of = np.concatenate([np.full(len(batch.codes), i) for i, batch in enumerate(found)])
    within = np.concatenate([np.arange(len(batch.codes)) for batch in found])
    words = max(batch.codes.shape[1] for batch in found)
    codes = np.concatenate([np.pad(batch.codes, ((0, 0), (words - batch.codes.shape[1], 0))) for batch in found])
    size = np.concatenate([np.full(len(batch.codes), batch.book.cell.n_cells) for batch in found])
    order = np.lexsort((*codes.T[::-1], batch_of, size, np.round(per_cell, 6)))[: n_lowest or None]
    return [(found[batch], int(k)) for batch, k in zip(batch_of[order], within[order], strict=True)]


def _counted(number: int) -> str:
    """Return a number with its thousands apart, or as a power of ten where nobody would count the digits."""
    return f"{number:,}" if number < 10**15 else f"{Decimal(number):.1e}"
