"""Ordered cells of a partially occupied crystal: all or the lowest, ranked by their electrostatic energy."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from pydantic import JsonValue

from lizrcl_flows.documents import Origin, Structure
from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.errors import InputError, LizrclError
from lizrcl_flows.science.crystals import find_space_group
from lizrcl_flows.science.occupancies import PartialStructure
from lizrcl_flows.science.ordering_codes import CodeBook, Codes, repeats_itself, representatives
from lizrcl_flows.science.ordering_energies import EwaldModel, ewald_model
from lizrcl_flows.science.structures import structure_from_atoms
from lizrcl_flows.science.sublattices import (
    SYMPREC_A,
    VACANCY,
    OrderingCell,
    ordering_cell,
    symmetry_operations,
)
from lizrcl_flows.science.supercells import Integers, compact, distinct_supercells
from lizrcl_flows.science.swap_monte_carlo import SWEEPS, anneal

MOST_RAW = 5_000_000
"""Orderings, symmetric ones counted each, up to which all are gone through; above, Monte Carlo looks for the lowest."""

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
        Charge of each element (e); those that it does not name have the formal charges of `ordering_energies`.
    method
        `auto` enumerates up to `max_raw` orderings and else searches by Monte Carlo.
    max_raw
        Up to how many orderings, symmetric ones counted each, are enumerated.
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


@dataclass(frozen=True)
class Ordering:
    """One way to put the atoms on the sites.

    Attributes
    ----------
    cell
        The supercell that it belongs to.
    occupation
        Element of each site of `cell`, empty where there is none.
    multiplicity
        How many symmetric orderings of the cell it stands for.
    ewald_energy_ev
        Energy of the point charges (eV per supercell).
    rank
        Place by energy per cell, from 0.
    space_group, space_group_number
        Of the ordered cell.
    """

    cell: OrderingCell = field(repr=False)
    occupation: tuple[str, ...]
    multiplicity: int
    ewald_energy_ev: float
    rank: int
    space_group: str
    space_group_number: int


@dataclass(frozen=True)
class Orderings:
    """What was found.

    Attributes
    ----------
    partial
        The crystal.
    request
        What was asked for.
    n_raw
        Number of orderings, symmetric ones counted each.
    n_unique
        Number of those that no symmetry makes equal; None after a Monte Carlo search, which cannot count them.
    method
        How they were found.
    lowest
        The orderings of lowest energy, the lowest first.
    """

    partial: PartialStructure
    request: OrderingRequest
    n_raw: int
    n_unique: int | None
    method: Method
    lowest: tuple[Ordering, ...]


def find_orderings(partial: PartialStructure, request: OrderingRequest | None = None) -> Orderings:
    """Find the orderings of a crystal, without symmetric copies, and rank them by the energy of their point charges.

    Parameters
    ----------
    partial
        The crystal.
    request
        Supercell, elements and how many; by default the 20 lowest of the crystal's own cell.

    Returns
    -------
    Orderings
        Equal energies are ordered by the sites that are occupied, so that the result is always the same. With
        `max_cells`, an ordering that repeats itself within its supercell is counted in the smaller one only.

    Raises
    ------
    InputError
        If occupancies give no whole numbers of atoms, an element has no charge, charges do not add up to zero, or there
        are too many orderings for what was asked.
    """
    request = request or OrderingRequest()
    cells = _cells(partial, request)
    n_raw = sum(cell.n_raw for cell in cells)
    method = _method(partial, request, n_raw)
    found: list[_Found] = []
    n_unique = 0
    rng = np.random.default_rng(request.seed)
    for cell in cells:
        book = CodeBook(cell)
        model = ewald_model(book, request.charges)
        if method == "enumeration":
            batches = _enumerated(book, model, skip_repeated=request.max_cells is not None)
        else:
            codes = anneal(book, model, rng, request.n_lowest, request.sweeps)
            batches = iter([_Found(book, codes, _multiplicities(book, codes), model.energies(book.decode(codes)))])
        for batch in batches:
            n_unique += len(batch.codes)
            found.append(batch)
    lowest = tuple(_ordering(*entry, rank=rank) for rank, entry in enumerate(_ranked(found, request.n_lowest)))
    return Orderings(partial, request, n_raw, n_unique if method == "enumeration" else None, method, lowest)


def ordered_structures(orderings: Orderings, phase: str | None = None, region: str | None = None) -> list[Structure]:
    """Return the orderings as structures, the lowest first; counts, multiplicity and rank are in their origin.

    Parameters
    ----------
    orderings
        From `find_orderings`.
    phase, region
        Stored with the structures.
    """
    return [_structure(orderings, ordering, phase, region) for ordering in orderings.lowest]


def keep_lowest(
    ordered: Sequence[Structure],
    energies_ev: Sequence[float],
    n_lowest: int = 1,
    *,
    relaxed: Sequence[Structure] | None = None,
) -> list[Structure]:
    """Keep the orderings whose energy per atom is lowest after relaxation.

    Parameters
    ----------
    ordered
        From `ordered_structures`.
    energies_ev
        Energy of each after relaxation (eV per structure); not a number where the relaxation failed.
    n_lowest
        How many to keep.
    relaxed
        Their relaxed geometries, which are then returned; by default the ordered ones.

    Returns
    -------
    list of Structure
        The lowest first. Their origin keeps what it said, has all that the ordering's said (counts, multiplicity, Ewald
        rank), and the rank among the relaxed ones as `energy_rank`.

    Raises
    ------
    LizrclError
        If no relaxation succeeded.
    """
    geometries = ordered if relaxed is None else relaxed
    per_atom = [energy / cell.n_atoms for energy, cell in zip(energies_ev, ordered, strict=True)]
    ranked = sorted((i for i, e in enumerate(per_atom) if math.isfinite(e)), key=lambda i: (round(per_atom[i], 7), i))
    if not ranked:
        raise LizrclError(f"none of {len(ordered)} orderings was relaxed to a finite energy")
    kept = []
    for rank, index in enumerate(ranked[:n_lowest]):
        geometry = geometries[index]
        parameters: dict[str, JsonValue] = {
            **ordered[index].origin.parameters,
            **geometry.origin.parameters,
            "energy_rank": rank,
            "energy_ev_per_atom": per_atom[index],
            "n_relaxed": len(ranked),
        }
        kept.append(geometry.revised(origin=geometry.origin.model_copy(update={"parameters": parameters})))
    return kept


@dataclass(frozen=True, eq=False)
class _Found:
    book: CodeBook
    codes: Codes
    multiplicities: Array
    energies_ev: Array


def _cells(partial: PartialStructure, request: OrderingRequest) -> list[OrderingCell]:
    """Return the supercells that are ordered.

    Raises
    ------
    InputError
        If none of them has whole numbers of atoms.
    """
    if request.max_cells is None:
        if min(request.supercell) < 1:
            raise InputError(
                f"a supercell of {request.supercell} is not possible, three whole numbers from 1 on are needed"
            )
        return [ordering_cell(partial, np.diag(request.supercell).astype(np.int64), fixed=request.fixed)]
    if request.max_cells < 1:
        raise InputError(f"supercells of up to {request.max_cells} cells are not possible, 1 or more are needed")
    cells: list[OrderingCell] = []
    refusal: InputError | None = None
    for n_cells in range(1, request.max_cells + 1):
        try:
            cells += [ordering_cell(partial, form, fixed=request.fixed) for form in _supercells(partial, n_cells)]
        except InputError as error:
            refusal = refusal or error
    if not cells and refusal:
        raise refusal
    return cells


def _supercells(partial: PartialStructure, n_cells: int) -> Iterator[Integers]:
    kinds = [" ".join(shares) + (" *" if i in set(partial.shared_sites) else "") for i, shares in enumerate(partial.occupancies)]
    rotations = [rotation for rotation, _ in symmetry_operations(partial.cell, partial.fractional, kinds)]
    for form in distinct_supercells(n_cells, rotations):
        yield compact(form, partial.cell)


def _method(partial: PartialStructure, request: OrderingRequest, n_raw: int) -> Method:
    if request.method == "swap_monte_carlo":
        return _monte_carlo(partial, request, n_raw)
    if n_raw <= request.max_raw:
        return "enumeration"
    if request.method == "enumeration":
        raise InputError(
            f"{partial.source}: {n_raw:,} orderings are more than the {request.max_raw:,} that are gone through; "
            "a smaller supercell, a fixed element, a larger max_raw or the method swap_monte_carlo is needed"
        )
    return _monte_carlo(partial, request, n_raw)


def _monte_carlo(partial: PartialStructure, request: OrderingRequest, n_raw: int) -> Method:
    if request.n_lowest < 1:
        raise InputError(
            f"{partial.source}: not all of {n_raw:,} orderings can be listed; ask for the n lowest, which Monte Carlo "
            "looks for, a smaller supercell, or fix an element"
        )
    return "swap_monte_carlo"


def _enumerated(book: CodeBook, model: EwaldModel, *, skip_repeated: bool) -> Iterator[_Found]:
    for codes, multiplicities in representatives(book):
        if skip_repeated and book.cell.n_cells > 1:
            new = ~repeats_itself(book, codes)
            codes, multiplicities = codes[new], multiplicities[new]  # noqa: PLW2901 - the rest belongs to smaller cells
        yield _Found(book, codes, multiplicities, model.energies(book.decode(codes)))


def _multiplicities(book: CodeBook, codes: Codes) -> Array:
    same = np.zeros(len(codes), dtype=np.int64)
    for table in book.tables:
        same += (book.image(codes, table) == codes).all(axis=1)
    return np.asarray(len(book.tables) // np.maximum(same, 1))


Entry = tuple[CodeBook, Codes, int, float]


def _ranked(found: Sequence[_Found], n_lowest: int) -> list[Entry]:
    """Return the lowest by energy per cell; of equal ones the smaller supercell and the smaller code first."""
    per_cell = np.concatenate([batch.energies_ev / batch.book.cell.n_cells for batch in found])
    batch_of = np.concatenate([np.full(len(batch.codes), i) for i, batch in enumerate(found)])
    within = np.concatenate([np.arange(len(batch.codes)) for batch in found])
    # batches and codes come in ascending order, so that a stable sort breaks ties by them
    order = np.argsort(np.round(per_cell, 6), kind="stable")[: n_lowest or None]
    entries = []
    for batch, k in zip(batch_of[order], within[order], strict=True):
        source = found[batch]
        entries.append(
            (source.book, source.codes[k : k + 1], int(source.multiplicities[k]), float(source.energies_ev[k]))
        )
    return entries


def _ordering(book: CodeBook, code: Codes, multiplicity: int, energy_ev: float, *, rank: int) -> Ordering:
    cell = book.cell
    occupation = list(cell.settled)
    for sublattice in cell.sublattices:
        for site in sublattice.sites:
            occupation[site] = sublattice.counts[-1][0]
    for (site, element), is_set in zip(book.bits, book.decode(code)[0], strict=True):
        if is_set:
            occupation[site] = element
    held = np.array([element != VACANCY for element in occupation])
    elements = [element for element in occupation if element != VACANCY]
    symbol, number = find_space_group(cell.cell, cell.fractional[held], elements, SYMPREC_A)
    return Ordering(cell, tuple(occupation), multiplicity, energy_ev, rank, symbol, number)


def _structure(orderings: Orderings, ordering: Ordering, phase: str | None, region: str | None) -> Structure:
    from ase import Atoms

    cell, partial = ordering.cell, orderings.partial
    elements = list(dict.fromkeys(element for shares in partial.occupancies for element in shares))
    sites = [
        site for element in elements for site, occupant in enumerate(ordering.occupation) if occupant == element
    ]
    atoms = Atoms(
        [ordering.occupation[site] for site in sites],
        scaled_positions=cell.fractional[sites],
        cell=cell.cell,
        pbc=True,
    )
    parameters: dict[str, JsonValue] = {
        "method": orderings.method,
        "n_raw": orderings.n_raw,
        "n_unique": orderings.n_unique,
        "multiplicity": ordering.multiplicity,
        "ewald_rank": ordering.rank,
        "ewald_energy_ev": round(ordering.ewald_energy_ev, 8),
        "space_group": ordering.space_group,
        "supercell": cell.supercell.tolist(),
        "fixed": list(orderings.request.fixed),
        "parent_sha256": partial.sha256(),
    }
    if orderings.method == "swap_monte_carlo":
        parameters |= {"seed": orderings.request.seed, "sweeps": orderings.request.sweeps}
    origin = Origin(kind="ordering", source=partial.source, parameters=parameters)
    return structure_from_atoms(atoms, origin=origin, phase=phase, region=region)
