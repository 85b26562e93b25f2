"""Which planes of two crystals fit each other: the search, its limits, and the closest match where none fits."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal

import numpy as np

from lizrcl_flows.documents import Structure
from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.errors import InputError
from lizrcl_flows.science.interfaces.coincidence import (
    LARGEST_STRAIN,
    Coincidence,
    Matrix,
    coincidence_of,
    find_coincidences,
    von_mises_strain,
)
from lizrcl_flows.science.interfaces.crystals import Crystal, Hkl, Plane, crystal_of, index_text, plane_order
from lizrcl_flows.science.interfaces.oriented import OrientedCrystal, orient

_MOST_AREA_A2 = 1600.0


@dataclass(frozen=True)
class InterfaceLimits:
    """What a search accepts.

    Attributes
    ----------
    max_area_a2
        Largest area of the common cell on the substrate (A^2).
    max_strain
        Largest magnitude of a principal strain if the film took all of it.
    max_miller
        Largest Miller index, in the primitive cells.
    max_atoms
        Most atoms of the smallest cell with slabs of `slab_a`; None for no limit.
    slab_a
        Thickness that each slab reaches at least (A), for the number of atoms and layers.
    n_interfaces
        2 for a periodic sandwich, in which both sides of each slab meet the other; 1 with vacuum. Turning a sandwich
        over changes nothing, so it has fewer distinct matches.
    """

    max_area_a2: float
    max_strain: float
    max_miller: int = 1
    max_atoms: int | None = None
    slab_a: float = 8.0
    n_interfaces: Literal[1, 2] = 2


LIMITS = {
    "training": InterfaceLimits(max_area_a2=120.0, max_strain=0.10, max_miller=1),
    "production": InterfaceLimits(max_area_a2=200.0, max_strain=0.01, max_miller=2),
}
"""Areas and strains of arXiv:2601.22612; the largest indices are those that hold the study's planes."""


@dataclass(frozen=True, eq=False)
class InterfaceMatch:
    """A pair of planes with a common cell.

    Attributes
    ----------
    film, substrate
        The two crystals, normals up; the film goes on top.
    coincidence
        The common cell.
    layers
        Spacings of film and substrate that make slabs of the thickness asked for.
    """

    film: OrientedCrystal
    substrate: OrientedCrystal
    coincidence: Coincidence
    layers: tuple[int, int]

    @property
    def n_atoms(self) -> int:
        """Atoms of the common cell with slabs of `layers`."""
        cells = self.coincidence
        film = cells.n_film * self.layers[0] * len(self.film.numbers)
        return film + cells.n_substrate * self.layers[1] * len(self.substrate.numbers)

    @property
    def planes(self) -> str:
        """The planes in words, film first: ``cubic (111) / ideal (001)``, conventional indices."""
        sides = (self.film, self.substrate)
        return " / ".join(f"{side.crystal.name} {index_text(side.plane.conventional)}" for side in sides)

    def facts(self) -> dict[str, object]:
        """Return what is worth storing, as plain values.

        Matrices are in the surface vectors, surface vectors in the primitive cell.
        """
        found = self.coincidence
        return {
            **_side_facts("film", self.film),
            **_side_facts("substrate", self.substrate),
            "film_matrix": [list(row) for row in found.film_matrix],
            "substrate_matrix": [list(row) for row in found.substrate_matrix],
            "film_cells": found.n_film,
            "substrate_cells": found.n_substrate,
            "unit_area_a2": found.area_a2,
            "mismatch": list(found.mismatch),
            "max_strain": found.max_strain,
            "von_mises": von_mises_strain(found.mismatch),
            "rotation_deg": found.rotation_deg,
            "multiplicity": found.multiplicity,
        }


def search_interfaces(
    film: Structure,
    substrate: Structure,
    limits: InterfaceLimits,
    film_hkl: Sequence[int] | None = None,
    substrate_hkl: Sequence[int] | None = None,
) -> list[InterfaceMatch]:
    """Find every distinct match of two crystals within limits.

    Pairs of planes that rotations of either crystal, or mirror images of both, make equal are searched once; so are
    coincidences that the two planes' symmetry exchanges.

    Parameters
    ----------
    film, substrate
        Bulk structures.
    limits
        What is accepted.
    film_hkl, substrate_hkl
        Search this plane only, in conventional indices.

    Returns
    -------
    list of InterfaceMatch
        By strain, then area, then indices.

    Raises
    ------
    InputError
        If nothing fits; the sentence names the closest match.
    """
    crystals = crystal_of(film), crystal_of(substrate)
    pairs = _plane_pairs(crystals, limits, (film_hkl, substrate_hkl))
    matches = _search(pairs, limits)
    if matches:
        return matches
    raise InputError(_nothing_fits(crystals, pairs, limits))


def match_planes(film: OrientedCrystal, substrate: OrientedCrystal, limits: InterfaceLimits) -> list[InterfaceMatch]:
    """Find every distinct match of one pair of planes, also for areas far above those of a search.

    This is the second step after a search: the best common cell of a chosen pair up to the size of a production cell.

    Parameters
    ----------
    film, substrate
        The crystals with their normals up.
    limits
        What is accepted; `max_miller` plays no part.

    Returns
    -------
    list of InterfaceMatch
        By strain, then area; `smallest_of_each_strain` leaves what is worth considering.
    """
    layers = (_layers(film, limits.slab_a), _layers(substrate, limits.slab_a))
    found = find_coincidences(
        (film.basis, substrate.basis),
        limits.max_area_a2,
        limits.max_strain,
        shared_matrices(film, substrate, limits.n_interfaces),
    )
    matches = [InterfaceMatch(film, substrate, coincidence, layers) for coincidence in found]
    return [match for match in matches if limits.max_atoms is None or match.n_atoms <= limits.max_atoms]


def given_match(
    film: OrientedCrystal, substrate: OrientedCrystal, matrices: tuple[Matrix, Matrix], slab_a: float = 8.0
) -> InterfaceMatch:
    """Return the match that two matrices make, without a search.

    Parameters
    ----------
    film, substrate
        The crystals with their normals up.
    matrices
        The common cell in the in-plane vectors of film and substrate.
    slab_a
        Thickness that each slab reaches at least (A).

    Raises
    ------
    InputError
        If a determinant is not positive.
    """
    found = coincidence_of((film.basis, substrate.basis), *matrices)
    return InterfaceMatch(film, substrate, found, (_layers(film, slab_a), _layers(substrate, slab_a)))


def smallest_of_each_strain(matches: Sequence[InterfaceMatch]) -> list[InterfaceMatch]:
    """Return the matches than which no smaller one has less strain, by area."""
    kept: list[InterfaceMatch] = []
    for match in sorted(matches, key=lambda m: (round(m.coincidence.area_a2, 6), m.coincidence.max_strain)):
        if not kept or match.coincidence.max_strain < kept[-1].coincidence.max_strain - 1e-9:
            kept.append(match)
    return kept


def best_of_each_pair(matches: Sequence[InterfaceMatch]) -> list[InterfaceMatch]:
    """Return the first match of each pair of planes, in the order given."""
    first: dict[tuple[Hkl, Hkl], InterfaceMatch] = {}
    for match in matches:
        first.setdefault((match.film.plane.primitive, match.substrate.plane.primitive), match)
    return list(first.values())


def shared_operations(film: OrientedCrystal, substrate: OrientedCrystal, n_interfaces: int) -> tuple[Array, Array]:
    """Return the pairs of operations, as indices, that can act on both crystals at the same time.

    Both must be rotations or both none, and both must keep the normal or, in a sandwich, both turn it over.
    """
    first, second = film.operations, substrate.operations
    same = (first.proper[:, None] == second.proper) & (first.sides[:, None] == second.sides)
    if n_interfaces == 1:
        same &= second.sides == 1
    found = np.nonzero(same)
    return found[0], found[1]


def shared_matrices(film: OrientedCrystal, substrate: OrientedCrystal, n_interfaces: int) -> tuple[Array, Array]:
    """Return the distinct in-plane parts of `shared_operations`: two arrays (n, 2, 2)."""
    first, second = shared_operations(film, substrate, n_interfaces)
    matrices = np.concatenate([film.operations.matrices[first], substrate.operations.matrices[second]], axis=2)
    distinct = np.unique(matrices.reshape(-1, 8), axis=0).reshape(-1, 2, 4)
    return distinct[:, :, :2], distinct[:, :, 2:]


Pairs = list[tuple[OrientedCrystal, OrientedCrystal]]


def _plane_pairs(
    crystals: tuple[Crystal, Crystal],
    limits: InterfaceLimits,
    wanted: tuple[Sequence[int] | None, Sequence[int] | None],
) -> Pairs:
    sides = []
    for crystal, hkl in zip(crystals, wanted, strict=True):
        planes = [crystal.plane(hkl)] if hkl is not None else crystal.distinct_planes(limits.max_miller)
        sides.append([orient(crystal, plane) for plane in planes])
    film, substrate = sides
    if any(hkl is not None for hkl in wanted):
        return list(product(film, substrate))
    twins = [_twins(crystal, [side.plane for side in faces]) for crystal, faces in zip(crystals, sides, strict=True)]
    pairs: Pairs = []
    for i, j in product(range(len(film)), range(len(substrate))):
        equal = {(i, j)}
        for kind in ("mirrored", *(("turned",) if limits.n_interfaces == 2 else ())):
            equal |= {(twins[0][kind][a], twins[1][kind][b]) for a, b in equal}
        # a crystal without mirror images has none of its planes mirrored: -1 stands for that
        if (i, j) == min(pair for pair in equal if -1 not in pair):
            pairs.append((film[i], substrate[j]))
    return pairs


def _twins(crystal: Crystal, planes: Sequence[Plane]) -> dict[str, list[int]]:
    """Return, for each plane, which one its mirror image and its other side are equal to."""
    place: dict[Hkl, int] = {}
    for number, plane in enumerate(planes):
        place.update(dict.fromkeys(crystal.images(plane.primitive), number))
    mirrored = []
    for plane in planes:
        image = next(crystal.images(plane.primitive, proper=False), None)
        mirrored.append(-1 if image is None else place[image])
    h = [plane.primitive for plane in planes]
    return {"mirrored": mirrored, "turned": [place[(-x, -y, -z)] for x, y, z in h]}


def _search(pairs: Pairs, limits: InterfaceLimits) -> list[InterfaceMatch]:
    matches = [match for film, substrate in pairs for match in match_planes(film, substrate, limits)]
    return sorted(matches, key=_rank)


def _rank(match: InterfaceMatch) -> tuple[object, ...]:
    found = match.coincidence
    planes = (plane_order(match.film.plane.conventional), plane_order(match.substrate.plane.conventional))
    return (
        round(found.max_strain, 7),
        round(found.area_a2, 4),
        planes,
        found.film_matrix,
        found.substrate_matrix,
    )


def _layers(oriented: OrientedCrystal, slab_a: float) -> int:
    return max(1, int(np.ceil(slab_a / oriented.spacing_a - 1e-9)))


def _nothing_fits(crystals: tuple[Crystal, Crystal], pairs: Pairs, limits: InterfaceLimits) -> str:
    names = " and ".join(crystal.name for crystal in crystals)
    asked = f"area up to {limits.max_area_a2:g} A^2, strain up to {100 * limits.max_strain:g} %"
    if limits.max_atoms is not None:
        asked += f", up to {limits.max_atoms} atoms"
    closest = _closest(pairs, limits)
    if closest is None:
        return f"{names} have no common cell of {asked}, nor one near these limits; a larger area is needed"
    found = closest.coincidence
    return (
        f"{names} do not match within {asked}; the closest is {closest.planes} with {found.area_a2:.1f} A^2, "
        f"strain {100 * found.max_strain:.2f} % and {closest.n_atoms} atoms"
    )


def _closest(pairs: Pairs, limits: InterfaceLimits) -> InterfaceMatch | None:
    """Return the least strained match of the area asked for, or of the next larger area that has one."""
    wider = limits
    while wider.max_area_a2 <= max(_MOST_AREA_A2, limits.max_area_a2):
        strain = max(2 * limits.max_strain, 0.02)
        while strain < LARGEST_STRAIN:
            found = _search(pairs, replace(wider, max_strain=strain))
            if found:
                return found[0]
            strain *= 2
        wider = replace(wider, max_area_a2=2 * wider.max_area_a2, max_atoms=None)
    return None


def _side_facts(side: str, oriented: OrientedCrystal) -> dict[str, object]:
    plane = oriented.plane
    return {
        side: oriented.crystal.name,
        f"{side}_bulk": plane.bulk,
        f"{side}_hkl_conventional": list(plane.conventional),
        f"{side}_hkl_primitive": list(plane.primitive),
        f"{side}_primitive_cell": oriented.crystal.lattice.round(8).tolist(),
        f"{side}_surface_vectors": oriented.vectors[:2].tolist(),
        f"{side}_spacing_a": oriented.spacing_a,
    }
