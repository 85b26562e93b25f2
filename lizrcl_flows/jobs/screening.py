"""The job that judges explored frames with the committee and chooses which of them are worth a label."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from jobflow import job

from lizrcl_flows.archive import Archive
from lizrcl_flows.documents import Campaign, Candidate, Committee, Label, Offence, Origin, Structure, Trajectory
from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.engines.selection.base import Pool, Selection, Selector
from lizrcl_flows.gpumd import TrajectoryFrame, read_dump_xyz
from lizrcl_flows.jobs.context import derived_seed, open_archive, provenance, work_directory
from lizrcl_flows.jobs.datasets import dataset_before
from lizrcl_flows.jobs.training import committee_files, committee_of, labelled_structures
from lizrcl_flows.nep import Committee as NepCommittee
from lizrcl_flows.science.convergence import convergence_evidence
from lizrcl_flows.science.descriptors import mean_descriptors, nep_environments
from lizrcl_flows.science.geometry import shortest_contact
from lizrcl_flows.science.screening import Judged, count_rejections, eps_statistics, screen_frames
from lizrcl_flows.science.structures import structure_from_frame

FRAMES_PER_CALL = 64
"""Frames that the committee evaluates in one call: enough to fill the threads, few enough for any memory."""


@dataclass(frozen=True)
class _Found:
    """A frame about which the committee disagrees."""

    trajectory: Trajectory
    structure: Structure
    eps_atoms: Array


@job
def screen_and_select(campaign_id: str, index: int, trajectories: list[str], selector: Selector) -> dict[str, Any]:
    """Judge every explored frame, write the doubtful ones as candidates, return what to label and the counts."""
    with open_archive() as archive, work_directory(f"{campaign_id}-g{index}-screen") as directory:
        campaign = archive.get(Campaign, campaign_id)
        committee = committee_of(archive, campaign.name, up_to=index - 1)
        if committee is None:
            return {"structures": []}
        runs = archive.get_many(Trajectory, [name for name in trajectories if name])
        evaluator = NepCommittee.from_files(committee_files(archive, committee, directory))
        judged: list[Judged] = []
        found: dict[tuple[int, int], _Found] = {}
        for run, trajectory in enumerate(runs):
            path = archive.fetch_file(trajectory.files[0], directory / f"run{run}")
            judged.extend(_judge(campaign, trajectory, path, evaluator, (run, found)))
        asked = {"campaign": campaign.name, "purpose": {"$ne": "ranking"}}
        known = {label.structure for label in archive.find(Label, asked)}
        contact = partial(_contact, found, campaign.current.screening.geometry_factor)
        doubtful, n_accurate = screen_frames(judged, campaign.current.screening, known, contact)
        pool = [frame for frame in doubtful if not frame.reason]
        chosen = _choose(archive, campaign, index, evaluator, [(f, found[f.run, f.frame]) for f in pool], selector)
        scores = {(pool[i].run, pool[i].frame): score for i, score in zip(chosen.indices, chosen.scores, strict=True)}
        archive.put_many([found[frame.run, frame.frame].structure for frame in doubtful])
        archive.put_many(
            [
                _candidate(campaign, index, committee, frame, found[place], score=scores.get(place))
                for frame in doubtful
                for place in [(frame.run, frame.frame)]
            ]
        )
        eps = np.array([frame.eps for frame in judged])
        eps_max, eps_median = eps_statistics(eps)
        evidence = convergence_evidence(
            np.array([runs[frame.run].temperature_k for frame in judged]),
            np.array([runs[frame.run].pressure_gpa or 0.0 for frame in judged]),
            eps,
            campaign.current.convergence,
            campaign.current.screening.eps_lo,
        )
        return {
            "structures": [found[pool[i].run, pool[i].frame].structure.id for i in chosen.indices],
            "n_trajectories": len(runs),
            "n_explored": len(judged),
            "n_accurate": n_accurate,
            "n_candidates": len(pool),
            "n_rejected": [count.model_dump() for count in count_rejections(doubtful)],
            "n_selected": len(chosen.indices),
            "eps_max": eps_max,
            "eps_median": eps_median,
            "selection_radii": list(chosen.radii),
            "convergence": evidence.model_dump(),
        }


def _judge(
    campaign: Campaign,
    trajectory: Trajectory,
    path: Path,
    evaluator: NepCommittee,
    place: tuple[int, dict[tuple[int, int], _Found]],
) -> Iterator[Judged]:
    """Evaluate the frames of one run; keep structure and per-atom eps of those that the committee doubts."""
    run, found = place
    with read_dump_xyz(path) as frames:
        number = 0
        while chunk := list(islice(frames, FRAMES_PER_CALL)):
            for frame, result in zip(chunk, evaluator.evaluate(chunk), strict=True):
                time_fs = frame.time_fs or (number + 1) * trajectory.sample_every * trajectory.time_step_fs
                structure_id = ""
                if not result.eps < campaign.current.screening.eps_lo:
                    structure = _structure(campaign, trajectory, frame, number)
                    found[run, number] = _Found(trajectory, structure, result.eps_atoms)
                    structure_id = structure.id
                yield Judged(run=run, frame=number, time_fs=time_fs, eps=float(result.eps), structure_id=structure_id)
                number += 1


def _structure(campaign: Campaign, trajectory: Trajectory, frame: TrajectoryFrame, number: int) -> Structure:
    return structure_from_frame(
        frame,
        origin=Origin(kind="exploration", source=trajectory.id, parameters={"frame": number}),
        phase=trajectory.phase,
        region=trajectory.region,
        parents=(trajectory.id,),
    ).revised(campaign=campaign.name, generation=trajectory.generation, provenance=provenance())


def _contact(found: Mapping[tuple[int, int], _Found], factor: float, judged: Judged) -> Offence | None:
    return shortest_contact(found[judged.run, judged.frame].structure, factor)


def _choose(
    archive: Archive,
    campaign: Campaign,
    index: int,
    evaluator: NepCommittee,
    pool: Sequence[tuple[Judged, _Found]],
    selector: Selector,
) -> Selection:
    """Select within the budget of labels, as different from the training set and from each other as can be."""
    n_wanted = campaign.current.selection.n_structures
    if campaign.current.budget.labels is not None:
        n_wanted = min(n_wanted, max(0, campaign.current.budget.labels - campaign.labels_spent))
    if not pool or n_wanted == 0:
        return Selection(indices=(), scores=())
    dataset = dataset_before(archive, campaign, "train", index)
    labelled = labelled_structures(archive, archive.dataset_labels(dataset)) if dataset else []
    known = [structure for structure, _ in labelled]
    rng = np.random.default_rng(derived_seed(campaign.current.seed, "select", index))
    return selector.select(_pool(evaluator, pool, known, selector), n_wanted, rng)


def _pool(
    evaluator: NepCommittee, pool: Sequence[tuple[Judged, _Found]], known: Sequence[Structure], selector: Selector
) -> Pool:
    """Describe candidates and training set as the selector needs it."""
    structures, eps = [found.structure for _, found in pool], np.array([judged.eps for judged, _ in pool])
    if selector.needs == "rows":
        return Pool(mean_descriptors(evaluator, structures), mean_descriptors(evaluator, known), eps)
    atoms = nep_environments(evaluator, structures, [found.eps_atoms for _, found in pool])
    known_atoms = nep_environments(evaluator, known)
    return Pool(atoms.means(), known_atoms.means(), eps, environments=atoms, known_environments=known_atoms)


def _candidate(
    campaign: Campaign, index: int, committee: Committee, judged: Judged, found: _Found, *, score: float | None
) -> Candidate:
    """Return the document of a frame; one that was chosen has a score."""
    spare = "not chosen within the number of labels of this generation"
    trajectory, structure = found.trajectory, found.structure
    return Candidate(
        campaign=campaign.name,
        generation=index,
        structure=structure.id,
        trajectory=trajectory.id,
        committee=committee.id,
        frame=judged.frame,
        time_fs=judged.time_fs,
        temperature_k=trajectory.temperature_k,
        pressure_gpa=trajectory.pressure_gpa,
        phase=trajectory.phase,
        eps=judged.eps if np.isfinite(judged.eps) else float("inf"),
        n_models=len(committee.members),
        models=committee.members,
        n_atoms=structure.n_atoms,
        eps_atoms=found.eps_atoms,
        formula=structure.formula,
        score=score,
        verdict="rejected" if judged.reason else "spare" if score is None else "selected",
        reason=judged.reason or (spare if score is None else ""),
        offence=judged.offence,
        parents=(structure.id, trajectory.id, committee.id),
        provenance=provenance(),
    )
