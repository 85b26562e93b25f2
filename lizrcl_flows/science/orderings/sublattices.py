"""What can be ordered in a crystal: its sublattices, their numbers of atoms, the symmetry that exchanges sites."""

import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.errors import InputError
from lizrcl_flows.science.occupancies import PartialStructure, holds_one_atom
from lizrcl_flows.science.orderings.supercells import Integers, lattice_points

VACANCY = ""
"""What stands for the atom of an empty site."""

SYMPREC_A = 0.01
"""Distance (A) within which a symmetry must bring sites onto sites."""

MOST_CELLS_TRIED = 120
"""Up to which multiple of a cell whole numbers of atoms are looked for."""

ONE_CELL: Integers = np.eye(3, dtype=np.int64)


@dataclass(frozen=True)
class Sublattice:
    """Sites that share the same kinds of atoms.

    Attributes
    ----------
    sites
        Indices of the sites in their `OrderingCell`.
    counts
        Element and number of its atoms, in alphabetical order; the empty name of `VACANCY`, if any, is the last.
    """

    sites: tuple[int, ...]
    counts: tuple[tuple[str, int], ...]

    @property
    def n_raw(self) -> int:
        """Number of ways to put these atoms on these sites, symmetric ones counted each."""
        ways = math.factorial(len(self.sites))
        for _, count in self.counts:
            ways //= math.factorial(count)
        return ways


@dataclass(frozen=True, eq=False)
class OrderingCell:
    """A supercell of a partially occupied crystal, with what is settled and what is to be ordered in it.

    Attributes
    ----------
    partial
        The crystal.
    supercell
        Vectors of the supercell in units of the cell's, in rows, shape (3, 3).
    fractional
        Sites in fractional coordinates of the supercell, shape (n_sites, 3).
    settled
        Of each site the element that always holds it, `VACANCY` on the sites of sublattices.
    sublattices
        What is to be ordered.
    permutations
        Where each symmetry of the crystal takes each site, shape (n_operations, n_sites); those that are the same on
        all sublattices stand once.
    translations
        Those among them that are translations by whole cells, the identity left out, shape (n_cells - 1, n_sites).
    """

    partial: PartialStructure
    supercell: Integers
    fractional: Array
    settled: tuple[str, ...]
    sublattices: tuple[Sublattice, ...]
    permutations: Integers
    translations: Integers

    @property
    def cell(self) -> Array:
        """Vectors of the supercell in rows (A), shape (3, 3)."""
        return np.asarray(self.supercell @ self.partial.cell)

    @property
    def n_cells(self) -> int:
        """Number of cells in the supercell."""
        return abs(round(float(np.linalg.det(self.supercell))))

    @property
    def n_raw(self) -> int:
        """Number of ways to order it, symmetric ones counted each."""
        return math.prod(sublattice.n_raw for sublattice in self.sublattices)


def ordering_cell(
    partial: PartialStructure,
    supercell: Integers = ONE_CELL,
    *,
    fixed: Sequence[str] = (),
    symprec_a: float = SYMPREC_A,
) -> OrderingCell:
    """Find out what there is to be ordered in a supercell.

    Sites that the same elements share, in whatever proportion, are one sublattice: an atom may be on any of them. So 6
    Li on the 12 sites of two kinds of alpha-Li2ZrCl6 are ordered in 924 ways, and not in 20 x 20.

    Parameters
    ----------
    partial
        The crystal.
    supercell
        Its vectors in units of the cell's, in rows, shape (3, 3).
    fixed
        Elements that are not ordered: their most occupied sites are filled and their other ones left out.
    symprec_a
        Distance (A) within which a symmetry must bring sites onto sites.

    Raises
    ------
    InputError
        If the occupancies give no whole numbers of atoms in this cell, or `fixed` elements cannot be.
    """
    groups = _groups(partial)
    kept, filled = _settle(partial, groups, fixed)
    points = lattice_points(supercell)
    inverse = np.linalg.inv(supercell.astype(np.float64))
    fractional = _in_cell(((partial.fractional[kept][:, None] + points[None]) @ inverse).reshape(-1, 3))
    parent_of = np.repeat(kept, len(points))
    sublattices = tuple(
        Sublattice(tuple(map(int, np.flatnonzero(np.isin(parent_of, sites)))), counts)
        for sites, counts in _whole_counts(partial, groups, len(points))
        if not set(sites) & set(filled)
    )
    operations = crystal_operations(partial, fixed, symprec_a)
    moved = list(_moves(operations, supercell, points, fractional, supercell @ partial.cell))
    if any(misses.max() > 10 * symprec_a or len(set(target)) < len(target) for target, misses, _ in moved):
        raise InputError(
            f"{partial.source}: symmetries found within {symprec_a:g} A do not bring all sites onto sites; "
            "coordinates with more digits are needed"
        )
    shifts = [target for target, _, whole in moved if whole]
    active = [site for sublattice in sublattices for site in sublattice.sites]
    return OrderingCell(
        partial=partial,
        supercell=supercell,
        fractional=fractional,
        settled=tuple(filled.get(int(parent), VACANCY) for parent in parent_of),
        sublattices=sublattices,
        permutations=_distinct(np.array([target for target, _, _ in moved]), active),
        translations=np.array(shifts, dtype=np.int64).reshape(-1, len(parent_of)),
    )


def crystal_operations(
    partial: PartialStructure, fixed: Sequence[str] = (), symprec_a: float = SYMPREC_A
) -> list[tuple[Integers, Array]]:
    """Return the symmetries of a crystal, sites of one sublattice being alike whatever their occupancy.

    Parameters
    ----------
    partial, fixed, symprec_a
        See `ordering_cell`.

    Returns
    -------
    list of tuple
        Rotation (3, 3) and translation (3,) on fractional column vectors, as spglib finds them.

    Raises
    ------
    InputError
        If spglib finds none, as where sites are on top of each other, or `fixed` elements cannot be.
    """
    import spglib

    groups = _groups(partial)
    kept, filled = _settle(partial, groups, fixed)
    sublattice = {site: f"sublattice {index}" for index, (sites, _) in enumerate(groups) for site in sites}
    kinds = [filled.get(int(site)) or sublattice[int(site)] for site in kept]
    numbers = [sorted(set(kinds)).index(kind) + 1 for kind in kinds]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # spglib 2.8 about its own ways to say that it failed
        found = spglib.get_symmetry((partial.cell, partial.fractional[kept], numbers), symprec=symprec_a)
    if found is None:
        raise InputError(
            f"{partial.source}: no symmetry of the crystal is found within {symprec_a:g} A; look for sites that stand "
            "twice"
        )
    pairs = zip(found["rotations"], found["translations"], strict=True)
    return [(np.asarray(rotation, dtype=np.int64), np.asarray(shift)) for rotation, shift in pairs]


Group = tuple[tuple[int, ...], tuple[str, ...]]
"""Sites of the crystal's own cell and the elements that share them."""


def _groups(partial: PartialStructure) -> list[Group]:
    shared = partial.shared_sites
    kinds = sorted({tuple(partial.occupancies[site]) for site in shared})
    return [(tuple(site for site in shared if tuple(partial.occupancies[site]) == kind), kind) for kind in kinds]


def _settle(
    partial: PartialStructure, groups: Sequence[Group], fixed: Sequence[str]
) -> tuple[npt.NDArray[np.int64], dict[int, str]]:
    """Return the sites that stay and the element on those that are not ordered."""
    for element in fixed:
        if element not in partial.composition():
            raise InputError(f"{partial.source}: '{element}' is to be fixed, but there is none in the crystal")
    filled = {i: next(iter(shares)) for i, shares in enumerate(partial.occupancies) if holds_one_atom(shares)}
    left_out: set[int] = set()
    for sites, elements in groups:
        if not set(elements) & set(fixed):
            continue
        if len(elements) > 1:
            raise InputError(
                f"{partial.source}: {', '.join(sorted(set(elements) & set(fixed)))} cannot be fixed, for "
                f"{' and '.join(elements)} share sites; an element that shares its sites with none can"
            )
        full = _most_occupied(partial, sites, elements[0])
        filled.update(dict.fromkeys(full, elements[0]))
        left_out.update(set(sites) - set(full))
    kept = np.array([site for site in range(partial.n_sites) if site not in left_out], dtype=np.int64)
    return kept, filled


def _most_occupied(partial: PartialStructure, sites: Sequence[int], element: str) -> list[int]:
    """Return the sites that hold all atoms of an element when its most occupied kinds of sites are filled."""
    average = sum(partial.occupancies[site][element] for site in sites)
    n_atoms = round(average)
    full: list[int] = []
    for occupancy in sorted({partial.occupancies[site][element] for site in sites}, reverse=True):
        if len(full) < n_atoms:
            full += [site for site in sites if partial.occupancies[site][element] == occupancy]
    if len(full) != n_atoms or abs(average - n_atoms) > _leeway(len(sites)):
        raise InputError(
            f"{partial.source}: {element} cannot be fixed: its {average:g} atoms do not fill its most occupied kinds "
            "of sites just so; leave it to be ordered"
        )
    return full


def _whole_counts(
    partial: PartialStructure, groups: Sequence[Group], n_cells: int
) -> Iterator[tuple[tuple[int, ...], tuple[tuple[str, int], ...]]]:
    for sites, elements in groups:
        average = {symbol: sum(partial.occupancies[site][symbol] for site in sites) for symbol in elements}
        counts = _rounded(average, len(sites), n_cells)
        if counts is None:
            raise InputError(_not_whole(partial, sites, average, n_cells))
        yield sites, counts


def _rounded(average: dict[str, float], n_sites: int, n_cells: int) -> tuple[tuple[str, int], ...] | None:
    """Return whole numbers of atoms in so many cells, or None where occupancies do not give them."""
    counts = {symbol: round(n_cells * atoms) for symbol, atoms in average.items()}
    leeway = _leeway(n_cells * n_sites)
    if any(abs(n_cells * average[symbol] - count) > leeway for symbol, count in counts.items()):
        return None
    vacant = n_cells * n_sites - sum(counts.values())
    if vacant < 0:
        return None
    present = [(symbol, count) for symbol, count in sorted(counts.items()) if count]
    return tuple([*present, (VACANCY, vacant)] if vacant else present)


def _leeway(n_sites: int) -> float:
    """Return by how much a number of atoms may miss a whole one: files round occupancies to two or three digits."""
    return min(0.005 * n_sites, 0.1)


def _not_whole(partial: PartialStructure, sites: Sequence[int], average: dict[str, float], n_cells: int) -> str:
    labels = ", ".join(dict.fromkeys(partial.labels[site] for site in sites))
    atoms = ", ".join(f"{n_cells * count:.4g} {symbol}" for symbol, count in average.items())
    whole = next((n for n in range(1, MOST_CELLS_TRIED + 1) if _rounded(average, len(sites), n)), None)
    advice = (
        f"supercells of {whole} cells (or a multiple) have them"
        if whole
        else f"no supercell of up to {MOST_CELLS_TRIED} cells has them: correct the occupancies"
    )
    cells = "the cell" if n_cells == 1 else f"{n_cells} cells"
    return (
        f"{partial.source}: the occupancies of site {labels} give {atoms} for the {n_cells * len(sites)} sites of "
        f"{cells}, but whole numbers of atoms are needed; {advice}"
    )


def _moves(
    operations: Sequence[tuple[Integers, Array]], supercell: Integers, points: Integers, fractional: Array, cell: Array
) -> Iterator[tuple[Integers, Array, bool]]:
    """Yield where each symmetry takes each site, by how much it misses (A), and whether it moves by whole cells only.

    Symmetries that change the lattice of the supercell are none of an ordered one and are left out.
    """
    from scipy.spatial import cKDTree

    inverse = np.linalg.inv(supercell.astype(np.float64))
    parent = fractional @ supercell
    tree = cKDTree(fractional, boxsize=1.0)
    for rotation, translation in operations:
        turned = supercell @ rotation.T @ inverse
        if not np.allclose(turned, np.round(turned), atol=1e-6):
            continue
        whole = np.array_equal(rotation, ONE_CELL) and np.allclose(translation, np.round(translation), atol=1e-6)
        for point in points:
            images = _in_cell((parent @ rotation.T + translation + point) @ inverse)
            _, target = tree.query(images)
            offset = images - fractional[target]
            misses = np.linalg.norm((offset - np.round(offset)) @ cell, axis=1)
            yield target.astype(np.int64), misses, whole and bool(point.any())


def _in_cell(fractional: Array) -> Array:
    wrapped = fractional % 1.0
    return np.where(wrapped > 1 - 1e-9, 0.0, wrapped)


def _distinct(permutations: Integers, active: Sequence[int]) -> Integers:
    _, first = np.unique(permutations[:, list(active)], axis=0, return_index=True)
    return np.asarray(permutations[np.sort(first)])
