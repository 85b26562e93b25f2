"""Jobs around labels: label in batches, collect what came back into a data set."""

from pathlib import Path
from typing import Any

import numpy as np
from jobflow import Flow, Response, job

from lizrcl_flows.archive import Archive
from lizrcl_flows.documents import Campaign, Dataset, Label, Structure, canonical_sha256
from lizrcl_flows.engines.labelling.base import LabelEngine, LabelResult
from lizrcl_flows.errors import LizrclError
from lizrcl_flows.jobs.context import count_cost, open_archive, provenance, work_directory
from lizrcl_flows.jobs.routing import in_category

MAX_STARTS = 3
"""Starts of one label after which a worker that dies is taken as the label's fault."""


@job
def label_structures(campaign_id: str, index: int, structures: list[str], purpose: str, labeller: LabelEngine) -> Any:
    """Fan out: one Firework for each batch of structures; the ids are all that travels."""
    structures = structures or []
    with open_archive() as archive:
        size = archive.get(Campaign, campaign_id).spec.labelling.batch_size
    batches = [structures[start : start + size] for start in range(0, len(structures), size)]
    jobs = [
        in_category(label_batch(campaign_id, index, batch, purpose, labeller), "dft", f"label {purpose} {number}")
        for number, batch in enumerate(batches)
    ]
    return Response(output=structures, detour=Flow(jobs, name=f"label {purpose}") if jobs else None)


@job
def label_batch(campaign_id: str, index: int, structures: list[str], purpose: str, labeller: LabelEngine) -> list[str]:
    """Label one batch. A label that fails is a document with its reason; the batch goes on."""
    with open_archive() as archive:
        campaign = archive.get(Campaign, campaign_id)
        level_id = archive.put(labeller.level())
        ids = []
        for structure in archive.get_many(Structure, structures):
            label_id = Label.id_for(structure=structure.id, level=level_id)
            if not archive.exists(Label, label_id):
                with work_directory(label_id) as directory:
                    result = _attempt(labeller, structure, directory)
                    label = _label_document(structure, level_id, result).revised(
                        campaign=campaign.name,
                        generation=index,
                        purpose=purpose,
                        raw=tuple(archive.put_file(path) for path in result.files),
                        provenance=provenance(campaign.spec.labelling.engine, executable=result.executable or None),
                    )
                    archive.put(label)
            count_cost(archive, campaign, archive.get(Label, label_id))
            ids.append(label_id)
        return ids


@job
def extend_dataset(
    campaign_id: str, index: int, structures: list[str], split: str, labeller: LabelEngine
) -> dict[str, Any]:
    """Add the accepted labels of these structures to the data set; with none, the data set stays what it was.

    Labels are looked up by what they are named by, not by what earlier jobs returned, so that a batch that was lost
    costs its own labels and nothing else.
    """
    with open_archive() as archive:
        campaign = archive.get(Campaign, campaign_id)
        level_id = archive.put(labeller.level())
        wanted = [Label.id_for(structure=structure, level=level_id) for structure in structures]
        labels = {label.id: label for label in archive.find(Label, {"_id": {"$in": wanted}})}
        parent = dataset_before(archive, campaign.name, split, index)
        before = archive.dataset_labels(parent) if parent else []
        added = [name for name in wanted if name in labels and labels[name].status == "accepted" and name not in before]
        failed = [labels[name].reason for name in wanted if name in labels and labels[name].status != "accepted"]
        lost = sum(name not in labels for name in wanted)
        dataset_id = parent
        if added:
            dataset = Dataset(
                campaign=campaign.name,
                generation=index,
                parent=parent,
                added=tuple(added),
                split=split,
                level=level_id,
                n_labels=len(before) + len(added),
                manifest_sha256=canonical_sha256([*before, *added]),
                parents=(*([parent] if parent else []), *added),
                provenance=provenance(),
            )
            dataset_id = archive.put(dataset)
        return {
            "dataset": dataset_id,
            "added": added,
            "n_labelled": len(added),
            "n_failed": len(failed) + lost,
            "reasons": sorted(set(failed)) + ([f"{lost} labels were lost with their job"] if lost else []),
        }


def dataset_before(archive: Archive, campaign: str, split: str, index: int) -> str | None:
    """Return the data set that a generation starts from: the newest of the generations before it."""
    criteria = {"campaign": campaign, "split": split, "generation": {"$lt": index}}
    newest = archive.find(Dataset, criteria, sort=[("generation", -1)], limit=1)
    return next((dataset.id for dataset in newest), None)


def _attempt(labeller: LabelEngine, structure: Structure, directory: Path) -> LabelResult:
    """Run the engine unless this very label has killed its worker too often; FireWorks itself has no such cap."""
    tally = directory / "starts"
    starts = int(tally.read_text()) if tally.exists() else 0
    if starts >= MAX_STARTS:
        return LabelResult(accepted=False, reason=f"the worker died {starts} times while it computed this label")
    tally.write_text(str(starts + 1))
    try:
        return labeller.label(structure, directory)
    except LizrclError as error:
        return LabelResult(accepted=False, reason=str(error))


def _label_document(structure: Structure, level_id: str, result: LabelResult) -> Label:
    return Label(
        structure=structure.id,
        level=level_id,
        status="accepted" if result.accepted else "failed",
        reason=result.reason,
        n_atoms=structure.n_atoms,
        energy=result.energy if result.accepted else None,
        energy_zero=result.energy_zero if result.accepted else None,
        forces=result.forces if result.accepted else None,
        stress=result.stress if result.accepted else None,
        max_force=float(np.linalg.norm(result.forces, axis=1).max()) if result.forces is not None else None,
        n_scf=result.n_scf,
        attempts=result.attempts,
        wall_s=result.wall_s,
        core_hours=result.core_hours,
        formula=structure.formula,
        phase=structure.phase,
        region=structure.region,
        parents=(structure.id, level_id),
    )
