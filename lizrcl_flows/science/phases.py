"""The starting structures of a campaign, checked before anything rests on them."""

from lizrcl_flows.documents import Structure
from lizrcl_flows.documents.spec import CampaignSpec
from lizrcl_flows.errors import InputError
from lizrcl_flows.science.geometry import shortest_contact
from lizrcl_flows.science.structures import load_structure, supercell


def starting_structures(spec: CampaignSpec) -> dict[str, Structure]:
    """Return the cell of each phase as it is explored, supercell included.

    Raises
    ------
    InputError
        If a structure cannot be read, holds an element that the campaign does not list, or atoms that overlap.
    """
    structures = {}
    for phase in spec.phases:
        cell = load_structure(phase.structure, phase=phase.name, region=phase.region)
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
        structures[phase.name] = supercell(cell, phase.supercell)
    return structures
