"""The job that makes the pool of generation 0 and chooses from it what is labelled first.

The pool holds strained and rattled copies of every cell and, where the campaign asks for sampling, the frames of the
foundation model's dynamics. Where it is larger than the number of labels, the selector chooses, and every member of the
pool becomes a candidate with its place in the map, its score and its verdict.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jobflow import job

from lizrcl_flows.archive import Archive
from lizrcl_flows.documents import (
    Campaign,
    Candidate,
    Dataset,
    Label,
    Offence,
    Origin,
    RejectionCount,
    Structure,
    Trajectory,
)
from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.documents.campaigns import INITIAL_SELECTION
from lizrcl_flows.engines.selection.base import Pool, Selection, Selector
from lizrcl_flows.gpumd import read_dump_xyz
from lizrcl_flows.jobs.context import derived_seed, open_archive, provenance, work_directory
from lizrcl_flows.jobs.sampling import sampled_trajectories
from lizrcl_flows.science.clusters import principal_axes
from lizrcl_flows.science.environments import Environments
from lizrcl_flows.science.geometry import shortest_contact
from lizrcl_flows.science.perturbation import perturb
from lizrcl_flows.science.soap import soap_environments, soap_rows
from lizrcl_flows.science.structures import structure_from_frame
from lizrcl_flows.settings import load_settings


@dataclass(frozen=True)
class _Member:
    """One structure of the pool; `number` is the frame of its run, or its number among the perturbed ones."""

    structure: Structure
    number: int
    trajectory: Trajectory | None = None
    time_fs: float = 0.0
    reason: str = ""
    offence: Offence | None = None


@job
def choose_initial(campaign_id: str, selector: Selector) -> dict[str, Any]:
    """Make the pool, choose from it, store both; return the ids to train on, those to hold out, and the counts."""
    with open_archive() as archive:
        campaign = archive.get(Campaign, campaign_id)
        known = _chosen_before(archive, campaign_id)
        if known is not None:
            return known
        with work_directory(f"{campaign_id}-initial") as directory:
            choice = decide_initial(archive, campaign, selector, directory)
        archive.put_many(choice.structures)
        archive.put_many(choice.candidates)
        archive.record_event(
            campaign_id, INITIAL_SELECTION, value=choice.outcome, why="first structures chosen", key=INITIAL_SELECTION
        )
        return choice.outcome


@dataclass(frozen=True)
class InitialChoice:
    """The first choice, before anything is written: what its event says, and the documents of the pool."""

    outcome: dict[str, Any]
    structures: Sequence[Structure]
    candidates: Sequence[Candidate]


def decide_initial(archive: Archive, campaign: Campaign, selector: Selector, directory: Path) -> InitialChoice:
    """Make the pool of generation 0 and choose from it; nothing is written but files in the directory."""
    initial = campaign.current.initial
    n_train, n_holdout = _affordable(campaign)
    holdout = list(_perturbed(archive, campaign, "holdout", n_holdout))
    n_made = (initial.n_perturbed or n_train) if n_train else 0
    made = list(_perturbed(archive, campaign, "train", n_made))
    chosen: dict[str, Any] = {"train": [member.structure.id for member in made]}
    pool, candidates = made, list[Candidate]()
    if n_train and (initial.sampling is not None or len(made) > n_train):
        frames = list(_frames(archive, campaign, directory))
        pool = _judged(campaign, [*made, *frames], {member.structure.id for member in holdout})
        chosen, candidates = _chosen(archive, campaign, pool, selector)
    chosen["holdout"] = [member.structure.id for member in holdout]
    return InitialChoice(chosen, [member.structure for member in (*holdout, *pool)], candidates)


def _affordable(campaign: Campaign) -> tuple[int, int]:
    """Return how many structures are labelled for training and for the hold-out, within the campaign's budget.

    Where the budget does not reach for both, a quarter of it at the most goes to the hold-out.
    """
    initial, budget = campaign.current.initial, campaign.current.budget.labels
    left = None if budget is None else budget - campaign.labels_spent
    if left is None or left >= initial.n_structures + initial.n_holdout:
        return initial.n_structures, initial.n_holdout
    n_holdout = min(initial.n_holdout, max(left, 0) // 4)
    return min(initial.n_structures, max(left, 0) - n_holdout), n_holdout


def _chosen_before(archive: Archive, campaign_id: str) -> dict[str, Any] | None:
    """Return an earlier choice. It stands: labels made since would steer the selector elsewhere."""
    wanted = f"{campaign_id}/{INITIAL_SELECTION}"
    found = next((event.value for event in archive.events(campaign_id) if event.id == wanted), None)
    return dict(found) if isinstance(found, dict) else None


def _perturbed(archive: Archive, campaign: Campaign, split: str, count: int) -> Iterator[_Member]:
    """Yield strained and rattled copies, cell after cell in turn."""
    initial = campaign.current.initial
    cells = {name: archive.get(Structure, cell) for name, cell in campaign.pool_cells().items()}
    names = list(cells)
    for number in range(count):
        child = perturb(
            cells[names[number % len(names)]],
            np.random.default_rng(derived_seed(campaign.current.seed, split, number)),
            strain=(initial.strain_min, initial.strain_max),
            rattle_a=initial.rattle_a,
            geometry_factor=campaign.current.screening.geometry_factor,
        )
        yield _Member(child.revised(campaign=campaign.name, generation=0, provenance=provenance()), number)


def _frames(archive: Archive, campaign: Campaign, directory: Path) -> Iterator[_Member]:
    """Yield the frames of all sampling runs."""
    for run, trajectory in enumerate(sampled_trajectories(archive, campaign)):
        path = archive.fetch_file(trajectory.files[0], directory / f"run{run}")
        with read_dump_xyz(path) as frames:
            for number, frame in enumerate(frames):
                structure = structure_from_frame(
                    frame,
                    origin=Origin(kind="sampling", source=trajectory.id, parameters={"frame": number}),
                    phase=trajectory.phase,
                    region=trajectory.region,
                    parents=(trajectory.id,),
                ).revised(campaign=campaign.name, generation=0, provenance=provenance())
                time_fs = frame.time_fs or (number + 1) * trajectory.sample_every * trajectory.time_step_fs
                yield _Member(structure, number, trajectory, time_fs)


def _judged(campaign: Campaign, pool: Sequence[_Member], seen: set[str]) -> list[_Member]:
    """Mark what cannot be chosen: atoms that are too close, structures that the pool or the hold-out has already."""
    judged = []
    for member in pool:
        offence = shortest_contact(member.structure, campaign.current.screening.geometry_factor)
        if offence is not None:
            judged.append(replace(member, reason="atoms too close", offence=offence))
        elif member.structure.id in seen:
            judged.append(replace(member, reason="structure already known"))
        else:
            judged.append(member)
        seen.add(member.structure.id)
    return judged


def _chosen(
    archive: Archive, campaign: Campaign, pool: Sequence[_Member], selector: Selector
) -> tuple[dict[str, Any], list[Candidate]]:
    """Choose from the pool; return ids and counts, and every member as a candidate."""
    usable = [member for member in pool if not member.reason]
    rows = _rows(campaign, [member.structure for member in usable])
    choice = _select(archive, campaign, usable, rows, selector)
    places, explained = principal_axes(rows, 2)  # the map shows the pool; what is known has no place in it
    scores = dict(zip(choice.indices, choice.scores, strict=True))
    unusable = [_candidate(campaign, member) for member in pool if member.reason]
    judged = [
        _candidate(campaign, member, scores.get(i), (float(places[i, 0]), float(places[i, 1])), picked=i in scores)
        for i, member in enumerate(usable)
    ]
    reasons = sorted({member.reason for member in pool if member.reason})
    rejected = [
        RejectionCount(reason=reason, count=sum(member.reason == reason for member in pool)) for reason in reasons
    ]
    outcome = {
        "train": [usable[i].structure.id for i in choice.indices],
        "n_trajectories": len({member.trajectory.id for member in pool if member.trajectory is not None}),
        "n_explored": len(pool),
        "n_candidates": len(usable),
        "n_selected": len(choice.indices),
        "selection_radii": list(choice.radii),
        "n_rejected": [count.model_dump() for count in rejected],
        "map_explained": [float(share) for share in explained],
    }
    return outcome, [*judged, *unusable]


def _select(
    archive: Archive, campaign: Campaign, usable: Sequence[_Member], rows: Array, selector: Selector
) -> Selection:
    """Select within the budget of labels; what is labelled already is where the selection starts from."""
    initial = campaign.current.initial
    wanted, _ = _affordable(campaign)
    labelled = {"campaign": campaign.name, "purpose": {"$in": ["train", "import"]}, "status": "accepted"}
    labels = list(archive.find(Label, labelled))
    for name in initial.datasets:
        labels += archive.get_many(Label, archive.dataset_labels(archive.resolve(Dataset, name)))
    known = archive.get_many(Structure, list(dict.fromkeys(label.structure for label in labels)))
    environments: tuple[Environments | None, Environments | None] = (None, None)
    if selector.needs == "environments":
        preset, elements = initial.selection.soap, campaign.current.elements
        structures = [member.structure for member in usable]
        environments = soap_environments(structures, known, elements, preset, load_settings().threads)
    pool = Pool(
        descriptors=rows,
        known=_rows(campaign, known),
        eps=np.zeros(len(usable)),
        environments=environments[0],
        known_environments=environments[1],
    )
    return selector.select(pool, wanted, np.random.default_rng(derived_seed(campaign.current.seed, "initial")))


def _rows(campaign: Campaign, structures: Sequence[Structure]) -> Array:
    return soap_rows(
        structures,
        campaign.current.elements,
        campaign.current.initial.selection.soap,
        n_jobs=load_settings().threads,
    )


def _candidate(
    campaign: Campaign,
    member: _Member,
    score: float | None = None,
    place: tuple[float, float] | None = None,
    *,
    picked: bool = False,
) -> Candidate:
    structure, trajectory = member.structure, member.trajectory
    spare = "not chosen within the number of first labels"
    return Candidate(
        campaign=campaign.name,
        generation=0,
        structure=structure.id,
        trajectory=trajectory.id if trajectory else None,
        committee=None,
        pool=campaign.id,
        frame=member.number,
        time_fs=member.time_fs,
        temperature_k=trajectory.temperature_k if trajectory else None,
        pressure_gpa=trajectory.pressure_gpa if trajectory else None,
        phase=structure.phase,
        eps=None,
        eps_atoms=None,
        n_models=0,
        models=(),
        n_atoms=structure.n_atoms,
        formula=structure.formula,
        score=score,
        map_xy=place,
        verdict="rejected" if member.reason else "selected" if picked else "spare",
        reason=member.reason or ("" if picked else spare),
        offence=member.offence,
        parents=(structure.id, *([trajectory.id] if trajectory else [])),
        provenance=provenance(),
    )
