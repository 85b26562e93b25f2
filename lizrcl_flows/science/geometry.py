"""Distances between atoms: which pair is closer than atoms can be."""

import numpy as np
import numpy.typing as npt

from lizrcl_flows.documents import Offence, Structure
from lizrcl_flows.documents.arrays import Array

_CLEARANCE_A = 1.0
"""How far beyond the atoms the box of a non-periodic direction reaches."""

_MOST_CUBES = 1_000_000


def shortest_contact(structure: Structure, factor: float) -> Offence | None:
    """Return the pair of atoms that breaks ``r_ij >= factor * (R_i + R_j)`` by most.

    R are the covalent radii of Cordero et al., Dalton Trans. 2008, 2832. Every periodic image counts, an atom's own
    images included.

    Parameters
    ----------
    structure
        Any cell; in directions without periodicity there are no images.
    factor
        Share of the sum of the radii that two atoms must keep; 0 switches the rule off.

    Returns
    -------
    Offence or None
        The pair with the smallest ``r_ij / (factor * (R_i + R_j))``, distance and limit in A; None if no pair breaks
        the rule.
    """
    return find_contact(structure.numbers, (structure.cell, structure.pbc), structure.positions, factor)


def find_contact(
    numbers: Array, box: tuple[Array, tuple[bool, bool, bool]], positions: Array, factor: float
) -> Offence | None:
    """Return what `shortest_contact` returns, for plain arrays.

    Parameters
    ----------
    numbers
        Atomic numbers, shape (N,).
    box
        Cell vectors in rows (A), shape (3, 3), and the periodic directions.
    positions
        Cartesian positions (A), shape (N, 3).
    factor
        See `shortest_contact`.
    """
    from ase.data import chemical_symbols, covalent_radii

    radii = covalent_radii[numbers]
    reach = 2 * factor * float(radii.max(initial=0.0))
    if reach <= 0:
        return None
    first, second, distances = _pairs_within(reach, positions, box)
    limits = factor * (radii[first] + radii[second])
    ratios = distances / limits
    if ratios.size == 0 or not ratios.min() < 1:
        return None
    # equal ratios are common in crystals, so the lowest atom indices decide
    worst = np.lexsort((second, first, ratios))[0]
    pair = (int(first[worst]), int(second[worst]))
    return Offence(
        quantity="distance_a",
        value=float(distances[worst]),
        threshold=float(limits[worst]),
        atoms=pair,
        species=(chemical_symbols[numbers[pair[0]]], chemical_symbols[numbers[pair[1]]]),
    )


def describe_contact(offence: Offence) -> str:
    """Return an offending pair in words, with atoms counted from zero: ``atoms 3 (Zr) and 7 (O) are 0.80 A apart``."""
    named = [f"{index} ({symbol})" for index, symbol in zip(offence.atoms, offence.species, strict=True)]
    if offence.atoms[0] == offence.atoms[1]:
        return f"atom {named[0]} and its own periodic image are {offence.value:.3f} A apart"
    return f"atoms {' and '.join(named)} are {offence.value:.3f} A apart"


def keep_decorrelated(times_fs: Array, eps: Array, min_separation_fs: float) -> npt.NDArray[np.bool_]:
    """Choose frames of one run that are far enough apart in time, the most uncertain first.

    Parameters
    ----------
    times_fs
        Time of each frame (fs), shape (n,), in any order.
    eps
        Committee deviation of each frame (eV/A), shape (n,). Of equal ones the earlier frame wins.
    min_separation_fs
        Smallest time between two frames that are kept (fs).

    Returns
    -------
    ndarray of bool
        Shape (n,); True where the frame is kept.
    """
    times = np.asarray(times_fs, dtype=float)
    kept = np.zeros(len(times), dtype=bool)
    for i in np.lexsort((times, -np.asarray(eps, dtype=float))):
        if not kept.any() or np.abs(times[kept] - times[i]).min() >= min_separation_fs:
            kept[i] = True
    return kept


def _pairs_within(
    reach: float, positions: Array, box: tuple[Array, tuple[bool, bool, bool]]
) -> tuple[Array, Array, Array]:
    """Return first and second atom (first <= second) and distance (A) of every pair within `reach` (A)."""
    from pymatgen.optimization.neighbors import find_points_in_spheres

    cell, pbc = box
    points = np.ascontiguousarray(positions, dtype=np.float64)
    periodic = np.array(pbc, dtype=np.int64)
    lattice = np.ascontiguousarray(cell if periodic.all() else _filled_cell(cell, pbc, points, reach))
    # the search divides space into cubes of this length: small ones would fill the memory where a cell is nearly empty
    cube = float((abs(np.linalg.det(lattice)) / _MOST_CUBES) ** (1 / 3))
    first, second, images, distances = find_points_in_spheres(
        points, points, r=reach, pbc=periodic, lattice=lattice, tol=1e-8, min_r=max(1.0, cube)
    )
    # every pair is found from both sides; an atom is its own neighbour only in another image
    once = (first < second) | ((first == second) & (images != 0).any(axis=1))
    return first[once], second[once], distances[once]


def _filled_cell(cell: Array, pbc: tuple[bool, bool, bool], points: Array, reach: float) -> Array:
    """Replace the vectors of non-periodic directions by ones that leave room around the atoms."""
    from ase.geometry import complete_cell

    kept = np.where(np.array(pbc)[:, None], cell, 0.0)
    filled = complete_cell(kept)
    span = float(np.ptp(points, axis=0).max(initial=0.0)) + 2 * (reach + _CLEARANCE_A)
    for axis in range(3):
        if not pbc[axis]:
            filled[axis] *= span / np.linalg.norm(filled[axis])
    return np.asarray(filled, dtype=np.float64)
