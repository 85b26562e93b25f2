"""Jobs around labels: submitted in batches, computed one after the other, each a document whatever comes of it."""

from pathlib import Path
from typing import Any

import numpy as np
from jobflow import Flow, Response, job

from lizrcl_flows.archive import Archive
from lizrcl_flows.documents import Campaign, Label, Level, Structure
from lizrcl_flows.engines.labelling.base import LabelEngine, LabelResult
from lizrcl_flows.errors import InputError, LizrclError
from lizrcl_flows.jobs.context import count_cost, open_archive, provenance, work_directory
from lizrcl_flows.jobs.datasets import difference
from lizrcl_flows.jobs.routing import in_category
from lizrcl_flows.jobs.wall_time import TimeIsUpError, fits, seconds_left, wait_for_the_end

MAX_STARTS = 3
"""Starts of one label after which a worker that dies, or runs out of time, is taken as the label's fault."""

MAX_BATCHES = 300
"""Batches of one workflow. FireWorks rewrites the whole workflow at each state: 3,000 nodes cost 0.2 s a job."""


@job
def label_structures(campaign_id: str, index: int, structures: list[str], purpose: str, labeller: LabelEngine) -> Any:
    """Fan out: one Firework for each batch of structures; the ids are all that travels.

    Runs where labels run, because only there the level of theory can be told (its code, its potentials).
    """
    structures = structures or []
    with open_archive() as archive:
        wish = archive.get(Campaign, campaign_id).current.labelling.batch_size
        level = archive.put(labeller.level())
    size = max(wish, -(-len(structures) // MAX_BATCHES))
    batches = [structures[start : start + size] for start in range(0, len(structures), size)]
    jobs = [
        _batch_job((campaign_id, index, purpose), batch, labeller, level, str(number))
        for number, batch in enumerate(batches)
    ]
    output = {"structures": structures, "level": level}
    return Response(output=output, detour=Flow(jobs, name=f"label {purpose}") if jobs else None)


@job
def label_batch(
    campaign_id: str, index: int, structures: list[str], purpose: str, labeller: LabelEngine, level: str
) -> Any:
    """Label one batch. A label that fails is a document with its reason; the batch goes on.

    What this worker cannot finish before the end of its wall time is handed over, as a job of its own.
    """
    ids: list[str] = []
    with open_archive() as archive:
        campaign = archive.get(Campaign, campaign_id)
        _require_level(archive, labeller, level)
        longest_s = 0.0
        for number, structure in enumerate(archive.get_many(Structure, structures)):
            left = seconds_left()
            if not fits(left, longest_s):
                if left is not None and number == 0:
                    wait_for_the_end(left)
                return _handed_over((campaign_id, index, purpose), structures[number:], ids, labeller, level)
            try:
                label = _label(archive, campaign, (index, purpose), structure, labeller, level)
            except TimeIsUpError:
                return _handed_over((campaign_id, index, purpose), structures[number:], ids, labeller, level)
            longest_s = max(longest_s, label.wall_s)
            ids.append(label.id)
    return ids


def _label(
    archive: Archive,
    campaign: Campaign,
    place: tuple[int, str],
    structure: Structure,
    labeller: LabelEngine,
    level: str,
) -> Label:
    """Return the label of a structure: as the archive has it, or computed now."""
    index, purpose = place
    label_id = Label.id_for(structure=structure.id, level=level)
    if archive.exists(Label, label_id):
        label = archive.get(Label, label_id)
    else:
        with work_directory(label_id) as directory:
            result = _attempt(labeller, structure, directory, seconds_left())
            label = _label_document(structure, level, result).revised(
                campaign=campaign.name,
                generation=index,
                purpose=purpose,
                raw=tuple(archive.put_file(path) for path in result.files),
                provenance=provenance(campaign.current.labelling.engine, executable=result.executable or None),
            )
            archive.put(label)
    count_cost(archive, campaign, label)
    return label


def _batch_job(place: tuple[str, int, str], batch: list[str], labeller: LabelEngine, level: str, number: str) -> Any:
    campaign_id, index, purpose = place
    job = label_batch(campaign_id, index, batch, purpose, labeller, level)
    return in_category(job, "dft", f"label {purpose} {number}")


def _handed_over(
    place: tuple[str, int, str], rest: list[str], done: list[str], labeller: LabelEngine, level: str
) -> Response[Any]:
    return Response(output=done, detour=Flow([_batch_job(place, rest, labeller, level, "continued")]))


def _require_level(archive: Archive, labeller: LabelEngine, level: str) -> None:
    """Refuse to label where the level of theory is another one: a code or a potential of another version.

    Raises
    ------
    InputError
        If it differs; the sentence says in what.
    """
    here = labeller.level()
    if here.id == level:
        return
    told = difference(here, archive.get(Level, level))
    raise InputError(f"this worker would label at another level than the one that was submitted: {told}")


def _attempt(labeller: LabelEngine, structure: Structure, directory: Path, left: float | None = None) -> LabelResult:
    """Run the engine unless this very label has ended its worker too often; FireWorks itself has no such cap.

    Raises
    ------
    TimeIsUpError
        If the worker has to stop before the calculation is done.
    LizrclError
        If this worker cannot compute any label: a program, a potential or a package is missing. That is no verdict on
        the structure, and the job is to be rerun where they are.
    """
    tally = directory / "starts"
    starts = int(tally.read_text()) if tally.exists() else 0
    if starts >= MAX_STARTS:
        reason = f"the worker died or ran out of wall time {starts} times while it computed this label"
        return LabelResult(accepted=False, reason=reason)
    tally.write_text(str(starts + 1))
    try:
        result = labeller.label(structure, directory, left)
    except LizrclError:
        tally.write_text(str(starts))
        raise
    if result.interrupted:
        raise TimeIsUpError(result.reason)
    return result


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
