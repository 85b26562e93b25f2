"""What a crystal is in a few numbers: space group, density, formula units, volume, shortest distance."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from math import gcd

import numpy as np

from lizrcl_flows.documents import Structure
from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.science.occupancies import PartialStructure

SYMPREC_A = 0.01
"""Distance (A) within which atoms count as symmetric."""

GRAMS_PER_CM3 = 1.66053906892
"""One atomic mass unit per cubic angstrom (CODATA 2022)."""


@dataclass(frozen=True)
class CrystalFacts:
    """A crystal in numbers; of a partially occupied one, those of its average.

    Attributes
    ----------
    space_group, space_group_number
        International symbol and number, as spglib finds them; atoms of one element are alike, whatever their phase.
    symprec_a
        Distance (A) within which atoms count as symmetric.
    density_g_cm3
        Mass density (g/cm3), with the standard atomic weights.
    formula_units
        How many reduced formulas are in the cell.
    volume_per_formula_unit_a3, volume_per_atom_a3
        Volume of the cell (A^3) over formula units and over atoms.
    shortest_distance_a
        Shortest distance between two atoms (A); between two full sites where sites are partially occupied.
    shortest_pair
        Their elements.
    """

    space_group: str
    space_group_number: int
    symprec_a: float
    density_g_cm3: float
    formula_units: int
    volume_per_formula_unit_a3: float
    volume_per_atom_a3: float
    shortest_distance_a: float
    shortest_pair: tuple[str, str]


def describe_crystal(crystal: Structure | PartialStructure, symprec_a: float = SYMPREC_A) -> CrystalFacts:
    """Return what a periodic crystal is in numbers.

    Parameters
    ----------
    crystal
        A structure that is periodic in three directions, or a partially occupied one.
    symprec_a
        Distance (A) within which atoms count as symmetric.
    """
    sites = _sites(crystal)
    atoms = {symbol: float(count) for symbol, count in sites.atoms.items()}
    volume_a3 = abs(float(np.linalg.det(crystal.cell)))
    symbol, number = find_space_group(crystal.cell, sites.fractional, sites.kinds, symprec_a)
    units = _formula_units(atoms)
    distance_a, pair = _shortest(crystal.cell, sites)
    return CrystalFacts(
        space_group=symbol,
        space_group_number=number,
        symprec_a=symprec_a,
        density_g_cm3=_mass(atoms) / volume_a3 * GRAMS_PER_CM3,
        formula_units=units,
        volume_per_formula_unit_a3=volume_a3 / units,
        volume_per_atom_a3=volume_a3 / sum(atoms.values()),
        shortest_distance_a=distance_a,
        shortest_pair=pair,
    )


def find_space_group(
    cell: Array, fractional: Array, kinds: Sequence[str], symprec_a: float = SYMPREC_A
) -> tuple[str, int]:
    """Return international symbol and number of a space group, as spglib finds them.

    Parameters
    ----------
    cell
        Cell vectors in rows (A), shape (3, 3).
    fractional
        Fractional coordinates, shape (n, 3).
    kinds
        What is on each site; sites of one kind are alike.
    symprec_a
        Distance (A) within which sites count as symmetric.

    Returns
    -------
    tuple
        ``("P1", 1)`` where spglib finds nothing.
    """
    import spglib

    names = sorted(set(kinds))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # spglib 2.8 about its own ways to say that it failed
        found = spglib.get_symmetry_dataset(
            (cell, fractional, [names.index(kind) + 1 for kind in kinds]), symprec=symprec_a
        )
    return ("P1", 1) if found is None else (str(found.international), int(found.number))


@dataclass(frozen=True, eq=False)
class _Sites:
    fractional: Array
    kinds: tuple[str, ...]
    full: tuple[bool, ...]
    atoms: dict[str, float]


def _sites(crystal: Structure | PartialStructure) -> _Sites:
    if isinstance(crystal, PartialStructure):
        shared = set(crystal.shared_sites)
        kinds = tuple(
            " ".join(f"{symbol} {share:.4f}" if i in shared else symbol for symbol, share in shares.items())
            for i, shares in enumerate(crystal.occupancies)
        )
        full = tuple(i not in shared for i in range(crystal.n_sites))
        return _Sites(crystal.fractional, kinds, full, crystal.composition())
    from ase.data import chemical_symbols

    symbols = tuple(chemical_symbols[number] for number in crystal.numbers)
    atoms = {symbol: float(symbols.count(symbol)) for symbol in sorted(set(symbols))}
    fractional = crystal.positions @ np.linalg.inv(crystal.cell)
    return _Sites(fractional, symbols, (True,) * len(symbols), atoms)


def _mass(atoms: dict[str, float]) -> float:
    from ase.data import atomic_masses, atomic_numbers

    return sum(float(atomic_masses[atomic_numbers[symbol]]) * count for symbol, count in atoms.items())


def _formula_units(atoms: dict[str, float]) -> int:
    counts = [round(count) for count in atoms.values()]
    whole = all(abs(count - exact) < 0.01 * max(exact, 1) for count, exact in zip(counts, atoms.values(), strict=True))
    return max(1, reduce(gcd, counts)) if whole else 1


def _shortest(cell: Array, sites: _Sites) -> tuple[float, tuple[str, str]]:
    """Return the shortest distance between full sites (A) and their elements; lengths of the cell count too."""
    from ase import Atoms
    from ase.neighborlist import neighbor_list

    kept = [i for i, full in enumerate(sites.full) if full] or list(range(len(sites.kinds)))
    points = Atoms(numbers=[1] * len(kept), scaled_positions=sites.fractional[kept], cell=cell, pbc=True)
    reach = float(np.linalg.norm(cell, axis=1).min()) + 1e-6  # an atom's own image is never further
    volume = abs(float(np.linalg.det(cell)))
    reach = min(reach, 2.0 * float((volume / len(kept)) ** (1 / 3)))
    first, second, distances = neighbor_list("ijd", points, reach)
    nearest = np.lexsort((second, first, np.round(distances, 6)))[0]
    names = sorted(sites.kinds[kept[index]].split(" ")[0] for index in (first[nearest], second[nearest]))
    return float(distances[nearest]), (names[0], names[1])
