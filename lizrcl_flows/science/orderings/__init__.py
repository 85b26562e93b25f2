"""Ordered cells of a partially occupied crystal: all or the lowest, ranked by their electrostatic energy."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from pydantic import JsonValue

from lizrcl_flows.documents import Origin, Structure
from lizrcl_flows.errors import LizrclError
from lizrcl_flows.science.crystals import find_space_group
from lizrcl_flows.science.occupancies import PartialStructure
from lizrcl_flows.science.orderings.search import Found, Method, OrderingRequest, ranked, search
from lizrcl_flows.science.orderings.sublattices import SYMPREC_A, VACANCY, OrderingCell
from lizrcl_flows.science.structures import structure_from_atoms

__all__ = ["Ordering", "OrderingRequest", "Orderings", "find_orderings", "keep_lowest", "ordered_structures"]

_MOST_INTEGER = 1 << 53  # larger ones are no integers in JSON and in the database


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
    method
        How it was found.
    """

    cell: OrderingCell = field(repr=False)
    occupation: tuple[str, ...]
    multiplicity: int
    ewald_energy_ev: float
    rank: int
    space_group: str
    space_group_number: int
    method: Method


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
    found, n_raw = search(partial, request)
    counted = all(batch.method == "enumeration" for batch in found)
    return Orderings(
        partial=partial,
        request=request,
        n_raw=n_raw,
        n_unique=sum(len(batch.codes) for batch in found) if counted else None,
        method="enumeration" if counted else "swap_monte_carlo",
        lowest=tuple(_ordering(*entry, rank) for rank, entry in enumerate(ranked(found, request.n_lowest))),
    )


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
    order = sorted((i for i, e in enumerate(per_atom) if math.isfinite(e)), key=lambda i: (round(per_atom[i], 7), i))
    if not order:
        raise LizrclError(f"none of {len(ordered)} orderings was relaxed to a finite energy")
    kept = []
    for rank, index in enumerate(order[:n_lowest]):
        geometry = geometries[index]
        parameters: dict[str, JsonValue] = {
            **ordered[index].origin.parameters,
            **geometry.origin.parameters,
            "energy_rank": rank,
            "energy_ev_per_atom": per_atom[index],
            "n_relaxed": len(order),
        }
        kept.append(geometry.revised(origin=geometry.origin.model_copy(update={"parameters": parameters})))
    return kept


def _ordering(found: Found, place: int, rank: int) -> Ordering:
    book, code = found.book, found.codes[place : place + 1]
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
    return Ordering(
        cell=cell,
        occupation=tuple(occupation),
        multiplicity=int(found.multiplicities[place]),
        ewald_energy_ev=float(found.energies_ev[place]),
        rank=rank,
        space_group=symbol,
        space_group_number=number,
        method=found.method,
    )


def _structure(orderings: Orderings, ordering: Ordering, phase: str | None, region: str | None) -> Structure:
    from ase import Atoms

    cell, partial = ordering.cell, orderings.partial
    elements = list(dict.fromkeys(element for shares in partial.occupancies for element in shares))
    sites = [site for element in elements for site, occupant in enumerate(ordering.occupation) if occupant == element]
    atoms = Atoms(
        [ordering.occupation[site] for site in sites],
        scaled_positions=cell.fractional[sites],
        cell=cell.cell,
        pbc=True,
    )
    parameters: dict[str, JsonValue] = {
        "method": ordering.method,
        "n_raw": orderings.n_raw if orderings.n_raw < _MOST_INTEGER else float(orderings.n_raw),
        "n_unique": orderings.n_unique,
        "multiplicity": ordering.multiplicity,
        "ewald_rank": ordering.rank,
        "ewald_energy_ev": round(ordering.ewald_energy_ev, 8),
        "space_group": ordering.space_group,
        "ordered_supercell": cell.supercell.tolist(),
        "fixed": list(orderings.request.fixed),
        "parent_sha256": partial.sha256(),
    }
    if ordering.method == "swap_monte_carlo":
        parameters |= {"seed": orderings.request.seed, "sweeps": orderings.request.sweeps}
    origin = Origin(kind="ordering", source=partial.source, parameters=parameters)
    return structure_from_atoms(atoms, origin=origin, phase=phase, region=region)
