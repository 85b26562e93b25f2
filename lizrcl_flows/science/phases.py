"""The starting structures of a campaign, checked before anything rests on them."""

from lizrcl_flows.documents import Structure
from lizrcl_flows.documents.spec import CampaignSpec, PhaseSpec
from lizrcl_flows.errors import InputError
from lizrcl_flows.science.geometry import shortest_contact
from lizrcl_flows.science.occupancies import load_partial
from lizrcl_flows.science.orderings import OrderingRequest, find_orderings, ordered_structures
from lizrcl_flows.science.structures import load_structure, supercell


def starting_structures(spec: CampaignSpec) -> dict[str, Structure]:
    """Return the cell of each phase as it starts, supercell included; see `starting_crystals`."""
    phases = {phase.name: phase for phase in spec.phases}
    return {
        name: supercell(crystals[0], phases[name].supercell)
        for name, crystals in starting_crystals(spec, n_lowest=1).items()
    }


def starting_crystals(spec: CampaignSpec, n_lowest: int | None = None) -> dict[str, list[Structure]]:
    """Return the crystals of each phase without supercell: one, or the orderings to choose from, checked.

    Parameters
    ----------
    n_lowest
        How many orderings of a partially occupied crystal; by default as many as are relaxed.

    Raises
    ------
    InputError
        If a structure cannot be read, holds an element that the campaign does not list, or atoms that overlap.
    """
    found = {}
    for phase in spec.phases:
        crystals = phase_crystals(phase, n_lowest)
        cell = crystals[0]
        foreign = sorted(set(cell.chemical_system.split("-")) - set(spec.elements))
        if foreign:
            raise InputError(
                f"phase {phase.name}: structure {phase.structure} holds {', '.join(foreign)}, "
                f"but the campaign's elements are {', '.join(spec.elements)}"
            )
        offence = shortest_contact(cell, spec.screening.geometry_factor)
        if offence:
            raise InputError(
                f"phase {phase.name}: in structure {phase.structure} atoms {offence.atoms} "
                f"({'-'.join(offence.species)}) overlap: {offence.value:.3f} A apart, "
                f"at least {offence.threshold:.3f} A is accepted"
            )
        found[phase.name] = crystals
    return found


def phase_crystals(phase: PhaseSpec, n_lowest: int | None = None) -> list[Structure]:
    """Return the crystal of a phase without its supercell; of a partially occupied one the orderings to choose from.

    Parameters
    ----------
    n_lowest
        How many orderings, the lowest in Ewald energy first; by default as many as are relaxed.

    Raises
    ------
    InputError
        If the structure cannot be read, or cannot be ordered as the phase asks.
    """
    if phase.ordering is None:
        return [load_structure(phase.structure, phase=phase.name, region=phase.region)]
    ordering = phase.ordering
    request = OrderingRequest(
        supercell=ordering.supercell,
        max_cells=ordering.max_cells,
        fixed=ordering.fixed,
        n_lowest=n_lowest or ordering.n_relaxed,
        charges=ordering.charges,
        max_raw=ordering.max_enumerated,
        seed=ordering.seed,
    )
    try:
        found = find_orderings(load_partial(phase.structure), request)
    except InputError as error:
        raise InputError(f"phase {phase.name}: {error}") from None
    return ordered_structures(found, phase=phase.name, region=phase.region)
