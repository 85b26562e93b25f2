"""How a campaign begins: its structures checked and stored, its first turn submitted."""

import json
from collections.abc import Mapping, Sequence

from jobflow import job

from lizrcl_flows.archive import Archive
from lizrcl_flows.documents import Campaign, Dataset, Level, Structure
from lizrcl_flows.documents.campaigns import CRYSTALS
from lizrcl_flows.documents.changes import differences, reason_against
from lizrcl_flows.documents.spec import CampaignSpec
from lizrcl_flows.engines.labelling import make_labeller
from lizrcl_flows.errors import InputError
from lizrcl_flows.jobs.context import open_archive
from lizrcl_flows.jobs.datasets import difference
from lizrcl_flows.jobs.submitters import FireWorksSubmitter
from lizrcl_flows.jobs.turns import TurnMaker, advance, submit_part
from lizrcl_flows.science.phases import starting_crystals
from lizrcl_flows.science.structures import supercell

_SHORT = 60
"""Characters of a value that a message repeats."""


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
        has the name already; the sentence says in which keys they differ, and which of these may change.
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
            if other.phases == campaign.phases and other.current == spec:
                return other  # the file has been brought up to what the campaign goes by since it was extended
            raise InputError(_taken(other, spec))
    _check_imported(archive, campaign)
    if not dry_run:
        if not archive.exists(Campaign, campaign.id):
            archive.put_many(list(structures.values()))
            archive.put(campaign)
        _keep_crystals(archive, campaign, crystals)
    return campaign


def _taken(other: Campaign, spec: CampaignSpec) -> str:
    """Return why a changed file is no new campaign of that name: what differs, and what of it may change."""
    found = differences(other.current, spec)
    if not found:
        return (
            f"campaign '{spec.name}' exists already ({other.id}) with other structures under the same file; give this "
            "one another name"
        )
    refused = {key: reason for key in found if (reason := reason_against(key))}
    told = ", ".join(f"{key} {_short(old)} there and {_short(new)} in the file" for key, (old, new) in found.items())
    if refused:
        key, reason = next(iter(refused.items()))
        advice = f"{key} cannot change, because {reason}; give this one another name"
    else:
        wanted = " ".join(f"{key}={_short(new)}" for key, (_, new) in found.items())
        advice = f"`lizrcl campaign extend {spec.name} {wanted}` changes it"
    return f"campaign '{spec.name}' exists already with other contents ({other.id}): {told}; {advice}"


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= _SHORT else "..."


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
