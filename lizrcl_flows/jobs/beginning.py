"""How a campaign begins: its structures checked and stored, its first turn submitted."""

from typing import Any

from jobflow import job

from lizrcl_flows.archive import Archive
from lizrcl_flows.documents import Campaign
from lizrcl_flows.documents.spec import CampaignSpec
from lizrcl_flows.errors import InputError
from lizrcl_flows.jobs.context import open_archive
from lizrcl_flows.jobs.submitters import FireWorksSubmitter
from lizrcl_flows.jobs.turns import TurnMaker, advance
from lizrcl_flows.science.geometry import shortest_contact
from lizrcl_flows.science.structures import load_structure, supercell


@job
def begin_campaign(spec: dict[str, Any], maker: TurnMaker) -> dict[str, str]:
    """Store the campaign and submit generation 0: the one Firework of a file in launchpad/."""
    with open_archive() as archive:
        campaign = new_campaign(archive, CampaignSpec.from_dict(spec))
        with FireWorksSubmitter(archive.uri, archive.database_name) as submitter:
            report = advance(archive, campaign.id, maker, submitter)
        return {"campaign": campaign.id, "state": report.state, "sentence": report.sentence}


def new_campaign(archive: Archive, spec: CampaignSpec, *, dry_run: bool = False) -> Campaign:
    """Check a campaign's structures, store them and the campaign; the same file twice is one campaign.

    Raises
    ------
    InputError
        If a structure holds an element that the campaign does not list or atoms that overlap, or if another campaign
        has the name already.
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
        structures[phase.name] = supercell(cell, phase.supercell).revised(
            campaign=spec.name, parents=(), phase=phase.name, region=phase.region
        )
    campaign = Campaign(
        name=spec.name,
        campaign=spec.name,
        spec=spec,
        phases={name: structure.id for name, structure in structures.items()},
        parents=tuple(dict.fromkeys(structure.id for structure in structures.values())),
    )
    for other in archive.find(Campaign, {"name": spec.name}):
        if other.id != campaign.id:
            raise InputError(
                f"campaign '{spec.name}' exists already with other contents ({other.id}); give this one another name"
            )
    if not dry_run and not archive.exists(Campaign, campaign.id):
        archive.put_many(list(structures.values()))
        archive.put(campaign)
    return campaign
