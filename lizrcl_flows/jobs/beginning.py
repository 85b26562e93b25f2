"""How a campaign begins: its structures checked and stored, its first turn submitted."""

from collections.abc import Mapping, Sequence

from jobflow import job

from lizrcl_flows.archive import Archive
from lizrcl_flows.documents import Campaign, Dataset, Level, Structure
from lizrcl_flows.documents.campaigns import CRYSTALS
from lizrcl_flows.documents.spec import CampaignSpec
from lizrcl_flows.engines.labelling import make_labeller
from lizrcl_flows.errors import InputError
from lizrcl_flows.jobs.context import open_archive
from lizrcl_flows.jobs.datasets import difference
from lizrcl_flows.jobs.submitters import FireWorksSubmitter
from lizrcl_flows.jobs.turns import TurnMaker, advance, submit_part
from lizrcl_flows.science.phases import starting_crystals
from lizrcl_flows.science.structures import supercell


@job
def begin_campaign(spec: CampaignSpec, maker: TurnMaker, part: str | None = None) -> dict[str, str]:
    """Store the campaign and submit what comes next, or one part of it: the one Firework of a file in launchpad/.

    Parameters
    ----------
    part
        "initial" (only the first training set) or "production"; the whole campaign where none.
    """
    with open_archive() as archive:
        campaign = new_campaign(archive, spec)
        with FireWorksSubmitter(archive.uri, archive.database_name) as submitter:
            if part is None:
                report = advance(archive, campaign.id, maker, submitter)
            else:
                report = submit_part(archive, archive.get(Campaign, campaign.id), part, maker, submitter)
        return {"campaign": campaign.id, "state": report.state, "sentence": report.sentence}


def new_campaign(archive: Archive, spec: CampaignSpec, *, dry_run: bool = False) -> Campaign:
    """Check a campaign's structures, store them and the campaign; the same file twice is one campaign.

    Raises
    ------
    InputError
        If a structure holds an element that the campaign does not list or atoms that overlap, or if another campaign
        has the name already.
    """
    crystals = {
        name: [crystal.revised(campaign=spec.name, parents=()) for crystal in found]
        for name, found in starting_crystals(spec).items()
    }
    structures = {phase.name: supercell(crystals[phase.name][0], phase.supercell) for phase in spec.phases}
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
    _check_imported(archive, campaign)
    if not dry_run:
        if not archive.exists(Campaign, campaign.id):
            archive.put_many(list(structures.values()))
            archive.put(campaign)
        _keep_crystals(archive, campaign, crystals)
    return campaign


def _check_imported(archive: Archive, campaign: Campaign) -> None:
    """See that the data sets that the training set begins with are there, for training, and of the campaign's level."""
    if not campaign.current.initial.datasets:
        return
    level = make_labeller(campaign.current.labelling).level()
    for name in campaign.current.initial.datasets:
        dataset = archive.get(Dataset, archive.resolve(Dataset, name))
        if dataset.split != "train":
            raise InputError(f"initial.datasets: {dataset.id} is a hold-out set; accepted are sets for training")
        if dataset.level != level.id:
            raise InputError(
                f"initial.datasets: {dataset.id} is of another level of theory: "
                f"{difference(archive.get(Level, dataset.level), level)}; if the labels are of this level, import them "
                "again with `--level-of` and this campaign file"
            )


def _keep_crystals(archive: Archive, campaign: Campaign, crystals: Mapping[str, Sequence[Structure]]) -> None:
    """Store the crystals that jobs order, relax or build interfaces of: workers need not have the user's files."""
    spec = campaign.current
    wanted = {side for pair in spec.interfaces for side in (pair.film, pair.substrate)}
    wanted |= {phase.name for phase in spec.phases if phase.ordering or phase.relaxed}
    for name in sorted(wanted):
        ids = archive.put_many(crystals[name])
        archive.record_event(
            campaign.id, CRYSTALS, value={name: ids}, why=f"{name} begins with these", key=f"{CRYSTALS}/{name}"
        )
