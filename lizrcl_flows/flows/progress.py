"""What a campaign has done and is doing, read from the archive alone: generations and stages of the running turn."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from lizrcl_flows.archive import Archive
    from lizrcl_flows.documents import Campaign, Generation

PRODUCTION = "production"
ENDED = ("complete", "stalled", "paused")
"""States in which nothing more happens by itself."""

LEARNT = ("converged", "out_of_budget", "at_limit")
"""States in which learning has ended and production is what remains."""

TRANSPORT_PROTOCOLS = 2
"""Our estimator and the study's protocol: every production run is measured by both."""


@dataclass(frozen=True)
class Stage:
    """One step of a turn: how much of it is done.

    Attributes
    ----------
    name
        In words, as a verb.
    done, total
        Documents written and expected; None where it is not known yet how many there will be.
    note
        What is remarkable, such as failed labels.
    partial
        What is under way, in units of `done`, where that is known.
    """

    name: str
    done: int
    total: int | None
    note: str = ""
    partial: float = 0.0

    @property
    def finished(self) -> bool:
        """Whether everything expected is there."""
        return self.total is not None and self.done >= self.total


@dataclass(frozen=True)
class Progress:
    """Where a campaign stands: its state, the running turn and the stages of that turn in order."""

    state: str
    turn: int | str | None
    stages: tuple[Stage, ...]

    @property
    def title(self) -> str:
        """Name the turn as a person would."""
        if self.turn is None:
            return f"campaign {self.state}"
        return f"generation {self.turn}" if isinstance(self.turn, int) else self.turn


def closed_generations(archive: "Archive", campaign: "Campaign") -> "list[Generation]":
    """Return the generations of a campaign that are closed, in order."""
    from lizrcl_flows.documents import Generation

    return list(archive.find(Generation, {"campaign_id": campaign.id}, sort=[("index", 1)]))


def campaign_progress(archive: "Archive", campaign: "Campaign") -> Progress:
    """Return what the campaign is at."""
    if campaign.state in ENDED:
        return Progress(campaign.state, None, ())
    if campaign.state in LEARNT:
        return Progress(campaign.state, PRODUCTION, _production_stages(archive, campaign))
    index = len(closed_generations(archive, campaign))
    first = _initial_stages(archive, campaign) if index == 0 else _exploration_stages(archive, campaign, index)
    return Progress(campaign.state, index, (*first, *_learning_stages(archive, campaign, index)))


def _initial_stages(archive: "Archive", campaign: "Campaign") -> tuple[Stage, ...]:
    initial = campaign.current.initial
    wanted = initial.n_structures + initial.n_holdout
    perturbed = (initial.n_perturbed or initial.n_structures) + initial.n_holdout
    place = {"campaign": campaign.name, "generation": 0}
    made = _count(archive, "Structure", {**place, "origin.kind": "perturbed"})
    first = (*_preparing_stages(archive, campaign, place), Stage("make structures", made, perturbed))
    return (*first, _labels(archive, place, wanted))


def _preparing_stages(archive: "Archive", campaign: "Campaign", place: dict[str, Any]) -> tuple[Stage, ...]:
    """Return what comes before the first structures are perturbed, as far as the campaign file asks for it."""
    from lizrcl_flows.documents.campaigns import PREPARED

    spec, stages = campaign.current, []
    wanted = sum(phase.relaxed or phase.ordering is not None for phase in spec.phases) + len(spec.interfaces)
    if wanted:
        done = sum(event.kind == PREPARED and event.field is None for event in archive.events(campaign.id))
        stages.append(Stage("prepare phases and interfaces", done, wanted))
    if spec.initial.sampling is not None:
        sampling = spec.initial.sampling
        runs = _count(archive, "Trajectory", {**place, "purpose": "sampling"})
        small = {"_id": {"$in": list(campaign.pool_cells().values())}, "n_atoms": {"$lte": sampling.max_atoms}}
        ready = not wanted or bool(campaign.prepared)
        total = _count(archive, "Structure", small) * len(sampling.conditions) if ready else None
        stages.append(Stage("sample with the foundation model", runs, total))
    return tuple(stages)


def _exploration_stages(archive: "Archive", campaign: "Campaign", index: int) -> tuple[Stage, ...]:
    from lizrcl_flows.documents.campaigns import EXPLORATION

    place = {"campaign": campaign.name, "generation": index}
    runs = {**place, "purpose": "exploration"}
    decided = archive.recorded_event(campaign.id, f"{EXPLORATION}/{index}")
    planned = len(campaign.explored_phases()) * campaign.current.exploration.runs_per_phase
    blown = _count(archive, "Trajectory", {**runs, "health.status": {"$ne": "ok"}})
    explored = Stage(
        "explore by dynamics",
        _count(archive, "Trajectory", runs),
        len(cast("list[Any]", decided.value)) if decided else planned,
        note=f"{blown} stopped early" if blown else "",
    )
    doubtful = _count(archive, "Candidate", place)
    selected = _count(archive, "Candidate", {**place, "verdict": "selected"})
    note = f"{doubtful} doubtful frames" if doubtful else ""
    wanted = selected if doubtful else None
    return (explored, Stage("screen and select", selected, wanted, note), _labels(archive, place, wanted))


def _labels(archive: "Archive", place: dict[str, Any], wanted: int | None) -> Stage:
    asked = {**place, "purpose": {"$ne": "ranking"}}
    failed = _count(archive, "Label", {**asked, "status": {"$ne": "accepted"}})
    return Stage("label", _count(archive, "Label", asked), wanted, f"{failed} failed" if failed else "")


def _learning_stages(archive: "Archive", campaign: "Campaign", index: int) -> tuple[Stage, ...]:
    place = {"campaign": campaign.name, "generation": index}
    return (
        Stage("train committee", _count(archive, "Model", place), campaign.current.training.committee_size),
        Stage("evaluate on hold-out", _count(archive, "Evaluation", {**place, "kind": "holdout"}), 1),
    )


def _production_stages(archive: "Archive", campaign: "Campaign") -> tuple[Stage, ...]:
    from lizrcl_flows.documents import Trajectory
    from lizrcl_flows.jobs.training import committee_of

    committee = committee_of(archive, campaign.name)  # runs of an earlier one are done already
    wanted = sum(len(run.temperatures) for run in campaign.current.production)
    place = {"campaign": campaign.name, "purpose": "production", "committee": committee.id if committee else None}
    names = [record["_id"] for record in archive.find_records(Trajectory, place, fields=["_id"])]
    measured = _count(archive, "Transport", {"trajectories": {"$in": names}})
    return (
        Stage("production dynamics", len(names), wanted),
        Stage("measure diffusion", measured, wanted * TRANSPORT_PROTOCOLS),
    )


def _count(archive: "Archive", kind: str, criteria: dict[str, Any]) -> int:
    import lizrcl_flows.documents

    return int(archive.count(getattr(lizrcl_flows.documents, kind), criteria))


def generation_row(archive: "Archive", generation: "Generation") -> dict[str, Any]:
    """Return what one generation did, with its errors on the fixed hold-out before and after.

    Energies are in eV/atom, forces and eps in eV/A.
    """
    before, after = (holdout_errors(archive, name) for name in _evaluations(generation))
    return {
        "generation": generation.index,
        "id": generation.id,
        "state": generation.state,
        "runs": generation.n_trajectories,
        "explored": generation.n_explored,
        "rejected": {entry.reason: entry.count for entry in generation.n_rejected},
        "candidates": generation.n_candidates,
        "selected": generation.n_selected,
        "labelled": generation.n_labelled,
        "failed": generation.n_failed,
        "eps_median": generation.eps_median,
        "eps_max": generation.eps_max,
        "rmse_force_before": before[0],
        "rmse_force_after": after[0],
        "rmse_energy_before": before[1],
        "rmse_energy_after": after[1],
        "stalled_reason": generation.stalled_reason,
    }


def _evaluations(generation: "Generation") -> tuple[str | None, str | None]:
    return generation.evaluation_before, generation.evaluation_after


def holdout_errors(archive: "Archive", evaluation_id: str | None) -> tuple[float | None, float | None]:
    """Return RMSE of forces (eV/A) and energies (eV/atom) over a whole evaluation, or None where there is none."""
    from lizrcl_flows.documents import Evaluation

    if evaluation_id is None:
        return None, None
    found = archive.find_records(Evaluation, {"_id": evaluation_id}, fields=["groups"])  # without what was predicted
    groups = (group for record in found for group in record["groups"])
    whole = next((group for group in groups if group["group"] == "all"), None)
    return (whole["rmse_force"], whole["rmse_energy"]) if whole else (None, None)
