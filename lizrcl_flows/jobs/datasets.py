"""Jobs that collect labels into the data sets of a campaign."""

import time
from collections.abc import Sequence
from typing import Any, cast

from jobflow import job

from lizrcl_flows.archive import Archive
from lizrcl_flows.documents import Campaign, Dataset, Label, Level, canonical_sha256
from lizrcl_flows.documents.campaigns import EXTENSION
from lizrcl_flows.errors import InputError, LizrclError
from lizrcl_flows.jobs.context import open_archive, provenance
from lizrcl_flows.jobs.submitters import FireWorksSubmitter

SETTLING_S = 5.0
"""Longer than `lpad detect_lostruns --rerun` takes from marking a job as fizzled to putting it back into the queue."""


@job
def extend_dataset(campaign_id: str, index: int, asked: dict[str, Any] | None, split: str) -> dict[str, Any]:
    """Add the accepted labels of these structures to the data set; with none, the data set stays what it was.

    Labels are looked up by what they are named by, not by what earlier jobs returned, so that a batch that was lost
    costs its own labels and nothing else; those that come too late join the set of the next generation. What was added
    first stands: a rerun, or labels that were repaired since, must not give one generation two training sets.

    Parameters
    ----------
    asked
        What `label_structures` returned: ids of ``structures`` and the ``level``.

    Raises
    ------
    LizrclError
        If labels were asked for and none came: their jobs should be rerun.
    """
    if asked is None:
        raise LizrclError(f"the labels of generation {index} ({split}) were not submitted: rerun that job")
    with open_archive() as archive:
        key = f"{EXTENSION}/{index}/{split}"
        decided = archive.recorded_event(campaign_id, key)
        if decided is None:
            campaign = archive.get(Campaign, campaign_id)
            outcome = _extend(archive, campaign, index, split, asked)
            why = f"{outcome['n_labelled']} labels joined the {split} set"
            decided = archive.record_event(campaign_id, EXTENSION, value=outcome, why=why, key=key)
        return cast("dict[str, Any]", decided.value)


def _extend(archive: Archive, campaign: Campaign, index: int, split: str, asked: dict[str, Any]) -> dict[str, Any]:
    level = asked["level"]
    wanted = [Label.id_for(structure=structure, level=level) for structure in asked["structures"]]
    labels = {label.id: label for label in archive.find(Label, {"_id": {"$in": wanted}})}
    if len(labels) < len(wanted):
        _require_settled(archive)
        labels = {label.id: label for label in archive.find(Label, {"_id": {"$in": wanted}})}
    lost = [name for name in wanted if name not in labels]
    if wanted and len(lost) == len(wanted):
        raise LizrclError(
            f"none of the {len(wanted)} labels of generation {index} ({split}) came: see why with "
            "`lpad get_fws -s FIZZLED -d more`, then `lpad rerun_fws -s FIZZLED`"
        )
    parent = dataset_before(archive, campaign, split, index)
    imported = imported_datasets(archive, campaign, level) if split == "train" and index == 0 else []
    if imported:
        parent = imported[0]
    if parent is not None:
        _require_level(archive, parent, level)
    before = archive.dataset_labels(parent) if parent else []
    older = [name for dataset in imported[1:] for name in archive.dataset_labels(dataset)]
    withdrawn = quarantined(archive, [*before, *older])
    older = [name for name in older if name not in withdrawn]
    older += _late(archive, campaign, index, split, level) if index else []
    known = set(before)
    accepted = [name for name in wanted if name in labels and labels[name].status == "accepted"]
    added = [name for name in dict.fromkeys([*older, *accepted]) if name not in known]
    refused = [labels[name] for name in wanted if name in labels and labels[name].status != "accepted"]
    failed = [label.reason or f"label is {label.status}" for label in refused]
    dataset_id = parent
    kept = [name for name in before if name not in withdrawn]
    if len(kept) < len(before):  # what is withdrawn ends the chain: the new set begins one of its own
        parts, parent, imported = [*kept, *added], None, []
    else:
        parts = added
    if parts:
        whole = [*kept, *added]
        dataset = Dataset(
            campaign=campaign.name,
            generation=index,
            parent=parent,
            added=tuple(parts),
            split=split,
            level=level,
            n_labels=len(whole),
            manifest_sha256=canonical_sha256(whole),
            parents=tuple(dict.fromkeys([*([parent] if parent else []), *imported, *parts])),
            provenance=provenance(),
        )
        dataset_id = archive.put(dataset)
    return {
        "dataset": dataset_id,
        "added": added,
        "n_labelled": len(accepted),
        "n_failed": len(failed) + len(lost),
        "reasons": sorted(set(failed)) + ([f"{len(lost)} labels were lost with their job"] if lost else []),
    }


def quarantined(archive: Archive, labels: Sequence[str]) -> set[str]:
    """Return those labels that are in quarantine: they stay in the archive, and new data sets leave them out."""
    criteria = {"_id": {"$in": list(labels)}, "status": "quarantined"}
    return {record["_id"] for record in archive.find_records(Label, criteria, fields=["_id"])}


def _require_level(archive: Archive, dataset: str, level: str) -> None:
    there = archive.get(Dataset, dataset).level
    if there != level:
        told = difference(archive.get(Level, there), archive.get(Level, level))
        raise LizrclError(f"data set {dataset} is of another level of theory than the new labels: {told}")


def imported_datasets(archive: Archive, campaign: Campaign, level: str) -> list[str]:
    """Return the ids of the imported data sets that a campaign begins with.

    Raises
    ------
    InputError, NotFoundError
        If one is of another level of theory, or not in the archive.
    """
    found = []
    for name in campaign.current.initial.datasets:
        dataset = archive.get(Dataset, archive.resolve(Dataset, name))
        if dataset.level != level:
            theirs, ours = archive.get(Level, dataset.level), archive.get(Level, level)
            raise InputError(
                f"initial.datasets: {dataset.id} is of another level of theory: {difference(theirs, ours)}"
            )
        found.append(dataset.id)
    return found


def difference(there: Level, here: Level) -> str:
    """Say in what two levels of theory differ, as part of a sentence."""
    for name in Level.identity:
        if getattr(there, name) != getattr(here, name):
            return f"its {name} is {getattr(there, name)!r}, that of {here.id} is {getattr(here, name)!r}"
    return f"it is {there.id}, not {here.id}"


def _require_settled(archive: Archive) -> None:
    """See that labels that are missing will not come: their jobs have fizzled for good.

    A batch whose worker died is fizzled for a moment while `lpad detect_lostruns --rerun` puts it back into the queue,
    and in that moment another worker may begin the job that collects. That one has to give way: FireWorks has reset it.

    Raises
    ------
    LizrclError
        If they are being computed again.
    """
    fw_id = provenance().fw_id
    if fw_id is None:
        return
    time.sleep(SETTLING_S)
    with FireWorksSubmitter(archive.uri, archive.database_name) as submitter:
        again = submitter.unsettled_parents(fw_id)
    if again:
        raise LizrclError(f"labels are being computed again by Fireworks {', '.join(map(str, again))}")


def dataset_before(archive: Archive, campaign: Campaign, split: str, index: int) -> str | None:
    """Return the data set that a generation starts from: the newest of the generations before it.

    The campaign's events say which it is; the data set itself may have been made by another campaign, for the same
    labels in the same order are the same document.
    """
    for earlier in range(index - 1, -1, -1):
        decided = archive.recorded_event(campaign.id, f"{EXTENSION}/{earlier}/{split}")
        if decided is not None:
            return cast("dict[str, str | None]", decided.value)["dataset"]
    return None


def _late(archive: Archive, campaign: Campaign, index: int, split: str, level: str) -> list[str]:
    """Return accepted labels of earlier generations, oldest first; those in the set already are among them."""
    criteria = {
        "campaign": campaign.name,
        "generation": {"$lt": index},
        "purpose": split,
        "level": level,
        "status": "accepted",
    }
    found = archive.find_records(Label, criteria, fields=["_id", "generation"], sort=[("generation", 1), ("_id", 1)])
    return [record["_id"] for record in found]
