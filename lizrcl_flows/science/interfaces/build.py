"""From a match to a periodic cell: slabs cut, strained onto a common cell, stacked, checked."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lizrcl_flows.documents import Origin, Structure
from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.errors import InputError
from lizrcl_flows.science.geometry import describe_contact, find_contact
from lizrcl_flows.science.interfaces.coincidence import Matrix, principal_strains, von_mises_strain
from lizrcl_flows.science.interfaces.lattices import basis_of_metric, lattice_points, metric_rows
from lizrcl_flows.science.interfaces.oriented import OrientedCrystal
from lizrcl_flows.science.interfaces.search import InterfaceMatch
from lizrcl_flows.science.interfaces.terminations import Termination
from lizrcl_flows.science.structures import structure_from_atoms

StrainOn = Literal["film", "substrate", "shared"]

ONCE: Matrix = ((1, 0), (0, 1))


@dataclass(frozen=True)
class BuildOptions:
    """How a match becomes a cell.

    Attributes
    ----------
    layers
        Spacings of film and substrate; those of the match by default.
    gap_a
        Distance between the outermost atoms of the two slabs (A), at both interfaces of a sandwich.
    vacuum_a
        None for a periodic sandwich with two interfaces; else the empty height above the film (A), with one interface.
    strain_on
        Which side gives way: the film, the substrate, or both to their mean metric.
    registry
        In-plane displacement of the film, in fractions of the common cell.
    repeat
        Supercell of the common cell, integer rows.
    overlap_factor
        Every pair must keep ``r_ij >= overlap_factor * (R_i + R_j)``, see `science.geometry.shortest_contact`.
    """

    layers: tuple[int, int] | None = None
    gap_a: float = 2.5
    vacuum_a: float | None = None
    strain_on: StrainOn = "film"
    registry: tuple[float, float] = (0.0, 0.0)
    repeat: Matrix = ONCE
    overlap_factor: float = 0.7

    @property
    def n_interfaces(self) -> int:
        """Two in a periodic sandwich, one with vacuum."""
        return 2 if self.vacuum_a is None else 1


@dataclass(frozen=True, eq=False)
class Slab:
    """Atoms of one side, before it is strained.

    Attributes
    ----------
    numbers
        (n,).
    fractional
        In-plane positions in fractions of the cell, (n, 2).
    heights_a
        Above the lowest atom (A), (n,).
    """

    numbers: Array
    fractional: Array
    heights_a: Array


def cut_slab(oriented: OrientedCrystal, termination: Termination, layers: int, cell: Array) -> Slab:
    """Cut a slab of a crystal between two planes.

    Parameters
    ----------
    oriented, termination
        The crystal and where it is cut.
    layers
        Spacings, the last one incomplete if the two cuts differ.
    cell
        In-plane cell, integer rows in the in-plane vectors, positive determinant.

    Raises
    ------
    InputError
        If there is no layer, or no atom between the cuts.
    """
    if layers < 1:
        raise InputError(f"a slab of {layers} layers of {oriented.crystal.name} is not possible, at least 1 is needed")
    lower, upper = termination.span(layers)
    steps = np.arange(math.floor(lower) - 1, math.ceil(upper) + 1)
    heights = oriented.heights[None] + steps[:, None]
    inside = (heights > lower) & (heights < upper)
    if not inside.any():
        raise InputError(f"{oriented.crystal.name}: no atom between the cuts {termination.label} of {layers} layers")
    step, atom = np.nonzero(inside)
    flat = oriented.in_plane[atom] + steps[step, None] * oriented.offset
    points = lattice_points(cell)
    fractional = (flat[:, None] + points[None]).reshape(-1, 2) @ np.linalg.inv(cell)
    raised = np.repeat(heights[step, atom], len(points)) * oriented.spacing_a
    return Slab(np.repeat(oriented.numbers[atom], len(points)), fractional, raised - raised.min())


def build_interface(
    match: InterfaceMatch,
    film: Termination,
    substrate: Termination,
    options: BuildOptions | None = None,
) -> Structure:
    """Build the cell of an interface: the substrate below, the film above, c upright.

    Heights within the slabs stay those of the bulk; a slab strained in its plane is not thinned or thickened.

    Parameters
    ----------
    match
        The planes and their common cell.
    film, substrate
        Where each side is cut.
    options
        Thickness, gap, registry and so on.

    Returns
    -------
    Structure
        First the atoms of the substrate, then those of the film; what it is made of stands in `origin.parameters`, its
        parents are the two bulk documents (substrate, film).

    Raises
    ------
    InputError
        If atoms are too close, or a number makes no cell.
    """
    from ase import Atoms

    chosen = options or BuildOptions()
    _check(chosen)
    layers = chosen.layers or match.layers
    repeat = np.array(chosen.repeat)
    cells = [repeat @ np.array(m) for m in (match.coincidence.film_matrix, match.coincidence.substrate_matrix)]
    top = cut_slab(match.film, film, layers[0], cells[0])
    bottom = cut_slab(match.substrate, substrate, layers[1], cells[1])
    in_plane = common_cell((cells[0] @ match.film.basis, cells[1] @ match.substrate.basis), chosen.strain_on)
    moved = top.fractional + np.array(chosen.registry) @ np.linalg.inv(repeat)
    flat = np.vstack([_wrapped(bottom.fractional), _wrapped(moved)]) @ in_plane
    outer = chosen.gap_a if chosen.vacuum_a is None else chosen.vacuum_a
    thickness = float(bottom.heights_a.max())
    heights = np.concatenate([bottom.heights_a, top.heights_a + thickness + chosen.gap_a]) + outer / 2
    cell = np.zeros((3, 3))
    cell[:2, :2] = in_plane
    cell[2, 2] = thickness + chosen.gap_a + float(top.heights_a.max()) + outer
    numbers = np.concatenate([bottom.numbers, top.numbers])
    positions = np.column_stack([flat, heights])
    _refuse_overlap((numbers, cell, positions), len(bottom.numbers), match, chosen)
    parameters = {
        **match.facts(),
        **_side("film", match.film, film, top, layers[0]),
        **_side("substrate", match.substrate, substrate, bottom, layers[1]),
        **_strains(cells, (match.film.basis, match.substrate.basis), in_plane),
        **_cell_facts(chosen, in_plane),
    }
    return structure_from_atoms(
        Atoms(numbers=numbers, positions=positions, cell=cell, pbc=True),
        origin=Origin(kind="interface", source=match.planes, parameters=parameters),
        phase=f"{match.substrate.crystal.name}|{match.film.crystal.name}",
        region="interface",
        parents=(match.substrate.plane.bulk, match.film.plane.bulk),
    )


def common_cell(bases: tuple[Array, Array], strain_on: StrainOn) -> Array:
    """Return the in-plane cell (A) that film and substrate are brought to, the first vector along x.

    Parameters
    ----------
    bases
        The cell on the unstrained film and on the unstrained substrate, rows (A), each (2, 2).
    strain_on
        Which of them gives way.
    """
    film, substrate = (metric_rows(basis) for basis in bases)
    metrics = {"film": substrate, "substrate": film, "shared": (film + substrate) / 2}
    return basis_of_metric(metrics[strain_on])


def sides(structure: Structure) -> Array:
    """Return 0 for each atom of the substrate and 1 for each of the film, from what `build_interface` wrote."""
    facts = structure.origin.parameters
    n_substrate, n_film = facts.get("n_substrate"), facts.get("n_film")
    if not isinstance(n_substrate, int) or not isinstance(n_film, int):
        raise InputError(f"structure {structure.id} is no interface: its origin does not say which atoms are the film")
    return np.repeat([0, 1], [n_substrate, n_film])


def _check(options: BuildOptions) -> None:
    if options.strain_on not in ("film", "substrate", "shared"):
        raise InputError(f"strain_on '{options.strain_on}' is not one of film, substrate, shared")
    for name, value in (("gap_a", options.gap_a), ("vacuum_a", options.vacuum_a)):
        if value is not None and not (math.isfinite(value) and value > 0):
            raise InputError(f"{name} {value:g} is not accepted, a distance above 0 A is")
    (a, b), (c, d) = options.repeat
    if a * d - b * c < 1:
        raise InputError(f"repeat {options.repeat}: a matrix of whole numbers with a positive determinant is needed")


def _wrapped(fractional: Array) -> Array:
    return fractional - np.floor(fractional + 1e-9)


def _refuse_overlap(
    atoms: tuple[Array, Array, Array], n_substrate: int, match: InterfaceMatch, options: BuildOptions
) -> None:
    numbers, cell, positions = atoms
    contact = find_contact(numbers, (cell, (True, True, True)), positions, options.overlap_factor)
    if contact is None:
        return
    owners = ["the film" if index >= n_substrate else "the substrate" for index in contact.atoms]
    if owners[0] == owners[1]:
        where, remedy = f"both of {owners[0]}", "less strain is needed"
    else:
        where = f"of {owners[0]} and {owners[1]}"
        remedy = f"a gap above {options.gap_a:g} A, another registry or another termination is needed"
    raise InputError(
        f"{match.planes}: {describe_contact(contact)} ({where}), "
        f"at least {contact.threshold:.3f} A is accepted; {remedy}"
    )


def _side(side: str, oriented: OrientedCrystal, termination: Termination, slab: Slab, layers: int) -> dict[str, object]:
    counts = composition(slab.numbers)
    return {
        f"{side}_termination": termination.facts(),
        f"{side}_layers": layers,
        f"{side}_thickness_a": layers * oriented.spacing_a,
        f"{side}_composition": counts,
        f"{side}_stoichiometric": _same_ratio(counts, composition(oriented.numbers)),
        f"{side}_neutral": termination.neutral,
        f"{side}_polar": termination.polar,
        f"n_{side}": len(slab.numbers),
    }


def composition(numbers: Array) -> dict[str, int]:
    """Return the number of atoms of each element, in alphabetical order."""
    from ase.data import chemical_symbols

    kinds, counts = np.unique(numbers, return_counts=True)
    return dict(sorted((chemical_symbols[kind], int(count)) for kind, count in zip(kinds, counts, strict=True)))


def _same_ratio(first: Mapping[str, int], second: Mapping[str, int]) -> bool:
    totals = sum(first.values()), sum(second.values())
    return set(first) == set(second) and all(first[key] * totals[1] == second[key] * totals[0] for key in first)


def _strains(cells: list[Array], bases: tuple[Array, Array], in_plane: Array) -> dict[str, object]:
    facts: dict[str, object] = {}
    for side, cell, basis in zip(("film", "substrate"), cells, bases, strict=True):
        strains = principal_strains(cell @ basis, in_plane)
        facts[f"{side}_strain"] = list(strains)
        facts[f"{side}_von_mises"] = von_mises_strain(strains)
    return facts


def _cell_facts(options: BuildOptions, in_plane: Array) -> dict[str, object]:
    return {
        "strain_on": options.strain_on,
        "registry": list(options.registry),
        "repeat": [list(row) for row in options.repeat],
        "area_a2": float(in_plane[0, 0] * in_plane[1, 1]),
        "n_interfaces": options.n_interfaces,
        "gap_a": options.gap_a,
        "second_gap_a": options.gap_a if options.vacuum_a is None else None,
        "vacuum_a": options.vacuum_a,
        "overlap_factor": options.overlap_factor,
        "order": "substrate, then film",
    }
