"""How good an interface is: interface energies from total energies, and the ranking of candidates."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lizrcl_flows.documents import Structure
from lizrcl_flows.errors import InputError
from lizrcl_flows.science.interfaces.build import composition
from lizrcl_flows.science.interfaces.terminations import formula_units

EV_PER_A2_IN_J_PER_M2 = 16.02176634
"""The elementary charge in C times 1e20."""


@dataclass(frozen=True)
class RankedInterface:
    """A candidate and how it compares.

    Attributes
    ----------
    structure
        The candidate as built, with the facts of its making.
    energy_ev
        Its total energy.
    energy_per_atom_ev
        The same for each atom.
    interface_energy_j_per_m2
        See `interface_energy_j_per_m2`; None for slabs of another composition than the bulk's, or where the energy of a
        bulk is not known.
    composition
        Atoms of each element.
    rank
        Place, from 1, among the candidates that can be compared: all with an interface energy, or those of the same
        composition.
    above_lowest_j_per_m2
        Energy above the best of these, for the area of the interfaces.
    """

    structure: Structure
    energy_ev: float
    energy_per_atom_ev: float
    interface_energy_j_per_m2: float | None
    composition: Mapping[str, int]
    rank: int
    above_lowest_j_per_m2: float


def interface_energy_j_per_m2(
    energy_ev: float,
    bulk: Sequence[tuple[float, float]],
    area_a2: float,
    n_interfaces: int = 2,
    surface_energies_j_per_m2: tuple[float, float] | None = None,
) -> float:
    """Return the energy of an interface against the two bulk crystals.

    ``gamma = (E - sum_i n_i mu_i) / (n_interfaces A)`` for a sandwich, where both interfaces count and the result is
    their mean; with vacuum the surface energies of both sides are taken off as well: ``(E - sum_i n_i mu_i) / A -
    sigma_film - sigma_substrate``. This is the excess energy of Sutton and Balluffi, *Interfaces in Crystalline
    Materials* (1995), for slabs that have the composition of their bulk. Bulk energies of the unstrained crystals
    leave the strain energy in the result; energies of the bulk strained alike take it out.

    Parameters
    ----------
    energy_ev
        Total energy of the cell (eV).
    bulk
        Formula units and energy of one (eV) of each side.
    area_a2
        In-plane area of the cell (A^2).
    n_interfaces
        2 for a sandwich, 1 with vacuum.
    surface_energies_j_per_m2
        Of film and substrate, with vacuum; without them the result with vacuum contains them.

    Returns
    -------
    float
        J/m^2.
    """
    excess = (energy_ev - sum(number * energy for number, energy in bulk)) / (n_interfaces * area_a2)
    return excess * EV_PER_A2_IN_J_PER_M2 - sum(surface_energies_j_per_m2 or (0.0,))


def rank(
    candidates: Sequence[tuple[Structure, float]], bulk_energies_ev: Mapping[str, float] | None = None
) -> list[RankedInterface]:
    """Order candidates by energy, best first.

    Slabs with the composition of their bulk are ranked by interface energy, all in one list; others can be compared
    only with candidates of the same composition and number of interfaces, by energy for the area. Classes follow each
    other, the one with interface energies first. A candidate without a finite energy, whose relaxation failed, is left
    out.

    Parameters
    ----------
    candidates
        Interfaces as `build_interface` made them (their origin holds area and composition), each with its total
        energy (eV), usually that of its relaxed copy.
    bulk_energies_ev
        Energy of one formula unit (eV) by id of the bulk document, by the same method.

    Raises
    ------
    InputError
        If a structure is not one that `build_interface` made.
    """
    known = bulk_energies_ev or {}
    classes: dict[tuple[object, ...], list[tuple[float, int]]] = {}
    gammas: list[float | None] = []
    for number, (structure, energy) in enumerate(candidates):
        area, n_interfaces = _area(structure)
        if not math.isfinite(energy):
            gammas.append(None)
            continue
        gamma = _gamma(structure, energy, known)
        gammas.append(gamma)
        counts = composition(structure.numbers)
        per_area = energy / (n_interfaces * area) * EV_PER_A2_IN_J_PER_M2
        key = (0, n_interfaces) if gamma is not None else (1, n_interfaces, *counts.items(), round(area, 4))
        classes.setdefault(key, []).append((per_area if gamma is None else gamma, number))
    ranked = []
    for key in sorted(classes, key=str):
        members = sorted(classes[key])
        for place, (value, number) in enumerate(members, start=1):
            structure, energy = candidates[number]
            ranked.append(
                RankedInterface(
                    structure=structure,
                    energy_ev=energy,
                    energy_per_atom_ev=energy / structure.n_atoms,
                    interface_energy_j_per_m2=gammas[number],
                    composition=composition(structure.numbers),
                    rank=place,
                    above_lowest_j_per_m2=value - members[0][0],
                )
            )
    return ranked


def _area(structure: Structure) -> tuple[float, int]:
    facts = structure.origin.parameters
    area, n_interfaces = facts.get("area_a2"), facts.get("n_interfaces")
    if not isinstance(area, float) or not isinstance(n_interfaces, int):
        raise InputError(f"structure {structure.id} is no interface: its origin has no area_a2 and n_interfaces")
    return area, n_interfaces


def _gamma(structure: Structure, energy_ev: float, bulk_energies_ev: Mapping[str, float]) -> float | None:
    facts = structure.origin.parameters
    area, n_interfaces = _area(structure)
    bulk = []
    for side in ("film", "substrate"):
        energy = bulk_energies_ev.get(str(facts.get(f"{side}_bulk")))
        counts = facts.get(f"{side}_composition")
        if energy is None or not isinstance(counts, dict) or not facts.get(f"{side}_stoichiometric"):
            return None
        bulk.append((float(formula_units({str(key): int(str(count)) for key, count in counts.items()})), energy))
    return interface_energy_j_per_m2(energy_ev, bulk, area, n_interfaces)
