"""The job that judges explored frames with the committee and decides which of them are worth a label."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from jobflow import job

from lizrcl_flows.archive import Archive
from lizrcl_flows.documents import (
    Campaign,
    Candidate,
    Committee,
    ConvergenceEvidence,
    Offence,
    Structure,
    Trajectory,
)
from lizrcl_flows.documents.campaigns import SELECTION
from lizrcl_flows.engines.selection.base import Selector
from lizrcl_flows.jobs.context import open_archive, provenance, work_directory
from lizrcl_flows.jobs.explored import ExploredFrames, fetch_frames
from lizrcl_flows.jobs.selecting import Candidates, Chosen, choose, known_structures
from lizrcl_flows.jobs.training import committee_files, committee_of
from lizrcl_flows.nep import Committee as NepCommittee
from lizrcl_flows.science.convergence import convergence_evidence
from lizrcl_flows.science.geometry import shortest_contact
from lizrcl_flows.science.ledger import ledger_entries
from lizrcl_flows.science.screening import (
    Judged,
    count_rejections,
    eps_statistics,
    lower_threshold,
    screen_frames,
    screening_note,
)
from lizrcl_flows.settings import load_settings

SPARE = "not chosen within the number of labels of this generation"
CONTROL = "drawn at random as a control"

EPS_FILE = "explored_eps.npz"


@dataclass(frozen=True)
class _Screened:
    """What the filters make of the explored frames.

    Attributes
    ----------
    doubtful
        Frames with eps >= eps_lo by their number; a candidate has no reason.
    structures
        Of these frames, by the same numbers.
    """

    eps_lo: float
    doubtful: dict[int, Judged]
    structures: dict[int, Structure]
    n_accurate: int

    @property
    def candidates(self) -> list[int]:
        return [number for number, frame in self.doubtful.items() if not frame.reason]


@job
def screen_and_select(campaign_id: str, index: int, trajectories: list[str], selector: Selector) -> dict[str, Any]:
    """Judge every explored frame, write the doubtful ones as candidates, return what to label and the counts.

    What was decided first stands: a rerun, when labels have been computed and money has been spent, must not give one
    generation two selections.

    Returns
    -------
    dict
        ``structures``: ids of what is to be labelled, ``control``: of those among them that were drawn at random, the
        counts, thresholds, ledger and convergence evidence of the generation's document, ``note``: what is worth
        saying in words.
    """
    with open_archive() as archive:
        campaign = archive.get(Campaign, campaign_id)
        key = f"{SELECTION}/{index}"
        decided = archive.recorded_event(campaign_id, key)
        if decided is None:
            runs = archive.get_many(Trajectory, [name for name in trajectories if name])
            committee = _committee(archive, campaign, index, runs)
            if committee is None:
                return {"structures": []}
            with work_directory(f"{campaign_id}-g{index}-screen") as directory:
                decision = decide(archive, (campaign, index), (runs, committee), selector, directory)
                outcome = _written(archive, decision)
            why = outcome["note"] or f"{outcome['n_candidates']} candidates, {outcome['n_selected']} get a label"
            decided = archive.record_event(campaign_id, SELECTION, value=outcome, why=why, key=key)
        return cast("dict[str, Any]", decided.value)


@dataclass(frozen=True)
class Decision:
    """What screening and selection come to, before anything is written; the same archive gives the same.

    Attributes
    ----------
    outcome
        What the event of the campaign says, but for the reference to `explored_eps`.
    structures, candidates
        Documents, equally many, in the order of the frames.
    explored_eps
        File with eps of every explored frame.
    """

    outcome: dict[str, Any]
    structures: Sequence[Structure]
    candidates: Sequence[Candidate]
    explored_eps: Path


def decide(
    archive: Archive,
    place: tuple[Campaign, int],
    exploration: tuple[Sequence[Trajectory], Committee],
    selector: Selector,
    directory: Path,
) -> Decision:
    """Judge every frame of some runs and choose what to label; nothing is written but files in the directory.

    Parameters
    ----------
    place
        Campaign and index of the generation.
    exploration
        The runs, and the committee that judges their frames.
    """
    campaign, index = place
    runs, committee = exploration
    evaluator = NepCommittee.from_files(committee_files(archive, committee, directory))
    paths = fetch_frames(archive, runs, directory)
    explored = ExploredFrames.judge(campaign.name, runs, paths, evaluator, load_settings().threads)
    screened = _screen(explored, campaign, known_structures(archive, campaign, index))
    numbers = screened.candidates
    candidates = Candidates(
        numbers,
        [screened.structures[number] for number in numbers],
        [explored.eps_atoms[number] for number in numbers],
    )
    chosen = choose(archive, place, explored, candidates, (evaluator, selector))
    structures = {**screened.structures, **chosen.controls}
    scores = {pick.index: pick.score for pick in chosen.picks}
    told = sorted({*screened.doubtful, *chosen.controls})
    explored.save(directory / EPS_FILE, committee)
    notes = [
        screening_note(
            len(explored.judged), list(screened.doubtful.values()), campaign.current.screening, screened.eps_lo
        )
    ]
    outcome = {
        **_counts(explored, screened, campaign),
        "structures": [structures[number].id for number in (*scores, *chosen.controls)],
        "control": [structure.id for structure in chosen.controls.values()],
        "n_selected": len(scores) + len(chosen.controls),
        "n_control": len(chosen.controls),
        "selection_radii": [pick.radius for pick in chosen.picks if pick.radius is not None],
        "ledger": _ledger(explored, screened, {*scores, *chosen.controls}),
        "note": "; ".join(part for part in [*notes, *chosen.notes] if part),
    }
    documents = [
        _candidate(explored, number, (committee, structures[number]), screened, chosen, scores.get(number))
        for number in told
    ]
    return Decision(outcome, [structures[number] for number in told], documents, directory / EPS_FILE)


def _written(archive: Archive, decision: Decision) -> dict[str, Any]:
    """Store what was decided and return what the event says of it."""
    archive.put_many(decision.structures)
    archive.put_many(decision.candidates)
    reference = archive.put_file(decision.explored_eps)
    return {**decision.outcome, "explored_eps": reference.model_dump(mode="json")}


def _committee(archive: Archive, campaign: Campaign, index: int, runs: Sequence[Trajectory]) -> Committee | None:
    """Return the committee that explored, whatever was promoted or rolled back since."""
    names = [run.committee for run in runs if run.committee is not None]
    if names:
        return archive.get(Committee, names[0])
    return committee_of(archive, campaign.name, up_to=index - 1)


def _screen(explored: ExploredFrames, campaign: Campaign, known: set[str]) -> _Screened:
    spec = campaign.current.screening
    eps_lo = lower_threshold(explored.eps, spec)
    numbers = [number for number, frame in enumerate(explored.judged) if not frame.eps < eps_lo]
    structures = explored.structures(numbers)
    number_of = {(explored.judged[number].run, explored.judged[number].frame): number for number in numbers}
    named = [replace(explored.judged[number], structure_id=structures[number].id) for number in numbers]

    def contact(frame: Judged) -> Offence | None:
        return shortest_contact(structures[number_of[frame.run, frame.frame]], spec.geometry_factor)

    doubtful, _ = screen_frames(named, spec, known, contact, eps_lo)
    n_accurate = len(explored.judged) - len(doubtful) + int(explored.n_unwritten.sum())
    return _Screened(eps_lo, dict(zip(numbers, doubtful, strict=True)), structures, n_accurate)


def _counts(explored: ExploredFrames, screened: _Screened, campaign: Campaign) -> dict[str, Any]:
    eps_max, eps_median = eps_statistics(explored.eps)
    return {
        "n_trajectories": len(explored.runs),
        "n_explored": len(explored.judged) + int(explored.n_unwritten.sum()),
        "n_accurate": screened.n_accurate,
        "n_candidates": len(screened.candidates),
        "n_rejected": [count.model_dump() for count in count_rejections(list(screened.doubtful.values()))],
        "eps_max": eps_max,
        "eps_median": eps_median,
        "eps_lo_used": screened.eps_lo,
        "convergence": _evidence(explored, campaign).model_dump(),
    }


def _evidence(explored: ExploredFrames, campaign: Campaign) -> ConvergenceEvidence:
    """Judge all frames by eps_lo of the campaign file; what `active` did not write is below it."""
    of_run = [frame.run for frame in explored.judged]
    of_run += [run for run, count in enumerate(explored.n_unwritten) for _ in range(count)]
    runs = explored.runs
    return convergence_evidence(
        np.array([runs[run].temperature_k for run in of_run]),
        np.array([runs[run].pressure_gpa or 0.0 for run in of_run]),
        np.concatenate([explored.eps, np.zeros(int(explored.n_unwritten.sum()))]),
        campaign.current.convergence,
        campaign.current.screening.eps_lo,
    )


def _ledger(explored: ExploredFrames, screened: _Screened, selected: set[int]) -> list[dict[str, Any]]:
    def places(numbers: set[int]) -> set[tuple[int, int]]:
        return {(explored.judged[number].run, explored.judged[number].frame) for number in numbers}

    entries = ledger_entries(
        explored.runs, explored.judged, places(selected), screened.eps_lo, places(set(screened.candidates))
    )
    return [entry.model_dump(mode="json") for entry in entries]


def _candidate(
    explored: ExploredFrames,
    number: int,
    of: tuple[Committee, Structure],
    screened: _Screened,
    chosen: Chosen,
    score: float | None,
) -> Candidate:
    """Return the document of a frame; one that the selector chose has a score."""
    committee, structure = of
    frame = screened.doubtful.get(number, explored.judged[number])
    trajectory = explored.runs[frame.run]
    control = number in chosen.controls
    reason = CONTROL if control else frame.reason or (SPARE if score is None else "")
    rejected = bool(frame.reason) and not control
    return Candidate(
        campaign=explored.campaign,
        generation=structure.generation,
        structure=structure.id,
        trajectory=trajectory.id,
        committee=committee.id,
        frame=frame.frame,
        time_fs=frame.time_fs,
        temperature_k=trajectory.temperature_k,
        pressure_gpa=trajectory.pressure_gpa,
        phase=trajectory.phase,
        eps=frame.eps if np.isfinite(frame.eps) else float("inf"),
        n_models=len(committee.members),
        models=committee.members,
        n_atoms=structure.n_atoms,
        eps_atoms=explored.eps_atoms[number],
        formula=structure.formula,
        score=score,
        control=control,
        verdict="rejected" if rejected else "spare" if score is None and not control else "selected",
        reason=reason,
        offence=None if control else frame.offence,
        parents=(structure.id, trajectory.id, committee.id),
        provenance=provenance(),
    )
