"""Campaigns and their generations: what was asked for, and what one turn of the loop did."""

from collections.abc import Mapping
from functools import cached_property
from typing import ClassVar, Literal

from pydantic import Field, JsonValue

from lizrcl_flows.documents.base import Document, FileRef, Record
from lizrcl_flows.documents.quantities import (
    CoreHours,
    Count,
    Force,
    Fraction,
    Index,
    Number,
    Pressure,
    Seconds,
    Temperature,
)
from lizrcl_flows.documents.spec import CampaignSpec
from lizrcl_flows.errors import NotFoundError

PREPARED = "prepared"
"""Kind of the events of a campaign that say which cells were ordered, relaxed or built."""

CRYSTALS = "crystals"
"""Kind of the events of a campaign that say which crystals a phase begins with, supercell not included."""

INITIAL_SELECTION = "initial_selection"
"""Kind and key of the event of a campaign that says which structures were chosen for the first labels."""

SELECTION = "selection"
"""Kind of the events of a campaign that say what the screening of a generation found and chose."""

EXTENSION = "extension"
"""Kind of the events of a campaign that say which labels joined a data set, once for each generation and split."""

EXPLORATION = "exploration"
"""Kind of the events of a campaign that say which runs explore a generation."""

EXTENDED = "extended"
"""Kind of the events of a campaign that change what its file says, as far as that may change."""

REOPENED = "reopened"
"""Kind of the events of a campaign that had ended and was extended, with the key ``reopened/<index>``: what the
generations up to that index met or lacked does not end it any more."""

CampaignState = Literal["new", "running", "paused", "converged", "out_of_budget", "at_limit", "stalled", "complete"]
GenerationState = Literal["running", "closed", "converged", "stalled", "promoted", "rolled_back"]


def changed(spec: CampaignSpec, changes: Mapping[str, JsonValue]) -> CampaignSpec:
    """Return a campaign file with some of its keys changed.

    Parameters
    ----------
    changes
        Values as in a campaign file, by dotted key: ``{"budget.labels": 500}``.

    Raises
    ------
    pydantic.ValidationError
        If there is no such key, or a value is not accepted.
    """
    if not changes:
        return spec
    content = spec.model_dump(mode="json")
    for key, value in changes.items():
        *above, last = key.split(".")
        place = content
        for part in above:
            place = place[part]
        place[last] = value
    return CampaignSpec.model_validate(content)


class Campaign(Document):
    """The campaign file as validated. Its state is what the events say."""

    prefix: ClassVar[str] = "cam"
    collection: ClassVar[str] = "campaigns"
    identity: ClassVar[tuple[str, ...]] = ("spec", "phases")
    projections: ClassVar[tuple[str, ...]] = ("state", "labels_spent", "core_hours_spent", "prepared", "changes")

    name: str
    spec: CampaignSpec
    phases: dict[str, str] = Field(description="structure id of each phase as it starts, supercell included")
    prepared: dict[str, str] = Field(
        default_factory=dict,
        description="structure id of each phase that was relaxed and each interface that was built, by its name",
    )
    changes: dict[str, JsonValue] = Field(
        default_factory=dict, description="what was changed since, by the key of the campaign file: budget.labels, ..."
    )
    state: CampaignState = "new"
    labels_spent: Count = Field(default=0, description="labels asked for so far, failed ones included")
    core_hours_spent: CoreHours = 0.0

    @cached_property
    def current(self) -> CampaignSpec:
        """The campaign file with the changes that were made since: what every job goes by."""
        return changed(self.spec, self.changes)

    def cell(self, phase: str) -> str:
        """Return the structure id of a phase or interface: as prepared where it was, else as it starts.

        Raises
        ------
        NotFoundError
            If it is neither a phase nor an interface that was built.
        """
        found = self.prepared.get(phase) or self.phases.get(phase)
        if found is None:
            known = ", ".join({**self.phases, **self.prepared})
            raise NotFoundError(f"campaign {self.name} has no cell '{phase}'; there are {known}")
        return found

    def pool_cells(self) -> dict[str, str]:
        """Return structure ids, by name, of the cells that the first training set covers: interfaces kept included."""
        listed = [phase.name for phase in self.spec.phases]
        explored = [phase.name for phase in self.spec.phases if phase.explored]
        built = [name for name in self.prepared if name not in listed]
        return {name: self.cell(name) for name in (*explored, *built)}

    def explored_phases(self) -> list[str]:
        """Return the names that the loop explores: phases of the campaign file, then interfaces as they were built."""
        listed = [phase.name for phase in self.spec.phases if phase.explored]
        built = [name for name in self.spec.interface_names() if name in self.prepared]
        return [*listed, *built]


class RejectionCount(Record):
    """How many frames one reason removed."""

    reason: str
    count: Count


class ConvergenceEvidence(Record):
    """What the decision to go on or to stop rests on."""

    n_frames_in_target: Count = Field(description="explored frames within the target temperatures and pressures")
    fraction_above_eps_lo: Fraction | None = Field(description="of those; none where no frame was in the target")
    fresh_rmse_force: Force | None = Field(default=None, description="of the fresh labels under the old committee")
    fresh_rmse_force_before: Force | None = Field(default=None, description="the same, a generation earlier")
    gates_passed: bool | None = None
    met: bool
    missing: str = Field(default="", description="what is missing, in words")


class LedgerEntry(Record):
    """What one generation did in one cell of the grid: a phase under a condition."""

    phase: str
    ensemble: Literal["nvt", "npt"]
    temperature_k: Temperature
    pressure_gpa: Pressure | None = None
    n_runs: Count = 0
    n_blown_up: Count = Field(default=0, description="runs that ended before their last step")
    n_explored: Count = Field(default=0, description="frames that were judged, by us or by GPUMD's `active`")
    n_flagged: Count = Field(default=0, description="frames with eps >= eps_lo")
    n_candidates: Count = Field(default=0, description="frames that passed every filter")
    n_selected: Count = 0
    eps_max: Force | None = Field(default=None, description="largest finite eps")


class GateResult(Record):
    """One regression gate: a quantity of the new committee against that of the one before."""

    name: str = Field(description="holdout rmse_force, energy_volume <phase>, barrier <phase> <number>, ...")
    unit: str
    before: Number | None = None
    after: Number | None = None
    limit: Number | None = Field(default=None, description="what `after` may be at most")
    passed: bool
    why: str = ""


class PhaseTiming(Record):
    """Time that one stage of a generation took, summed over its jobs."""

    stage: str
    wall_s: Seconds
    core_hours: CoreHours


class Generation(Document):
    """One turn of the loop, written when it is closed.

    Its id is known before: it names campaign and index, so that the turn is submitted, closed and counted once.
    """

    prefix: ClassVar[str] = "gen"
    collection: ClassVar[str] = "generations"
    identity: ClassVar[tuple[str, ...]] = ("campaign_id", "index")
    projections: ClassVar[tuple[str, ...]] = ("state",)

    campaign_id: str
    index: Index
    state: GenerationState = "closed"
    n_trajectories: Count = 0
    n_explored: Count = Field(default=0, description="frames that the committee judged")
    n_accurate: Count = Field(default=0, description="frames with eps < eps_lo")
    n_candidates: Count = Field(default=0, description="frames that passed every filter")
    n_rejected: tuple[RejectionCount, ...] = ()
    n_selected: Count = 0
    n_labelled: Count = 0
    n_failed: Count = 0
    eps_max: Force | None = Field(default=None, description="largest finite eps of the explored frames")
    eps_median: Force | None = None
    selection_radii: tuple[Number, ...] = Field(
        default=(), description="distance of the worst covered candidate once each pick is made"
    )
    dataset: str | None = Field(default=None, description="training set after this generation")
    committee_before: str | None = None
    committee_after: str | None = None
    evaluation_before: str | None = None
    evaluation_after: str | None = None
    evaluation_fresh: str | None = Field(default=None, description="fresh labels under the committee that chose them")
    evaluation_train: str | None = None
    evaluation_curves: str | None = Field(default=None, description="energy-volume curves and barriers")
    ledger: tuple[LedgerEntry, ...] = ()
    gates: tuple[GateResult, ...] = ()
    eps_lo_used: Force | None = Field(default=None, description="lower threshold; in mode adaptive it moves")
    n_control: Count = Field(default=0, description="labels drawn at random, an unbiased control")
    explored_eps: FileRef | None = Field(
        default=None,
        description="npz: run, frame, time_fs, eps (n,) of every explored frame, eps_atoms end to end, n_atoms (n,); "
        "trajectories, models, metric, ddof",
    )
    note: str = Field(default="", description="what is worth knowing of screening and selection, in words")
    convergence: ConvergenceEvidence | None = None
    stalled_reason: str = ""
    timings: tuple[PhaseTiming, ...] = ()
