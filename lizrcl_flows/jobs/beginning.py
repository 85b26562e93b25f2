"""How a campaign begins: its structures checked and stored, its first turn submitted."""

from jobflow import job

from lizrcl_flows.archive import Archive
from lizrcl_flows.documents import Campaign
from lizrcl_flows.documents.spec import CampaignSpec
from lizrcl_flows.errors import InputError
from lizrcl_flows.jobs.context import open_archive
from lizrcl_flows.jobs.submitters import FireWorksSubmitter
from lizrcl_flows.jobs.turns import TurnMaker, advance
from lizrcl_flows.science.phases import starting_structures


@job
def begin_campaign(spec: CampaignSpec, maker: TurnMaker) -> dict[str, str]:
    """Store the campaign and submit generation 0: the one Firework of a file in launchpad/."""
    with open_archive() as archive:
        campaign = new_campaign(archive, spec)
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
    structures = {
        name: cell.revised(campaign=spec.name, parents=()) for name, cell in starting_structures(spec).items()
    }
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
