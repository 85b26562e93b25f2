"""The campaign file as validated: what a user may set, with its units, bounds and defaults.

A campaign file names a system and overrides what it wants; the system file holds the rest. Both end up here.
"""

from typing import ClassVar

from pydantic import Field, model_validator

from lizrcl_flows.documents.base import Record
from lizrcl_flows.documents.quantities import Seed
from lizrcl_flows.documents.spec_learning import (
    STUDY_CELLS,
    BudgetSpec,
    ConvergenceSpec,
    ExplorationSpec,
    HopSpec,
    LevelSpec,
    ProductionSpec,
    QuotaSpec,
    ScreeningSpec,
    SelectionSpec,
    TrainingSpec,
    ValidationSpec,
)
from lizrcl_flows.documents.spec_materials import (
    ConditionSpec,
    FoundationSpec,
    InitialSelectionSpec,
    InitialSpec,
    InterfaceSpec,
    Name,
    OrderingSpec,
    PhaseSpec,
    Positive,
    SamplingSpec,
    Symbol,
)

__all__ = [
    "BudgetSpec",
    "CampaignSpec",
    "ConditionSpec",
    "ConvergenceSpec",
    "ExplorationSpec",
    "FoundationSpec",
    "HopSpec",
    "InitialSelectionSpec",
    "InitialSpec",
    "InterfaceSpec",
    "LevelSpec",
    "OrderingSpec",
    "PhaseSpec",
    "ProductionSpec",
    "QuotaSpec",
    "SamplingSpec",
    "ScreeningSpec",
    "SelectionSpec",
    "TrainingSpec",
    "ValidationSpec",
]


class CampaignSpec(Record):
    """A complete campaign: the system's defaults with the user's choices on top."""

    added_later: ClassVar[tuple[str, ...]] = ("foundation", "interfaces", "validation")

    name: Name
    system: Name
    description: str = ""
    elements: tuple[Symbol, ...] = Field(min_length=1, description="species in the order of the NEP header")
    seed: Seed = 0
    max_generations: Positive = 25
    phases: tuple[PhaseSpec, ...] = Field(min_length=1)
    interfaces: tuple[InterfaceSpec, ...] = ()
    foundation: FoundationSpec | None = Field(
        default=None, description="potential that relaxes, ranks and samples before there is a committee"
    )
    initial: InitialSpec
    labelling: LevelSpec
    training: TrainingSpec
    exploration: ExplorationSpec
    screening: ScreeningSpec = ScreeningSpec()
    selection: SelectionSpec
    convergence: ConvergenceSpec = ConvergenceSpec()
    validation: ValidationSpec = ValidationSpec()
    production: tuple[ProductionSpec, ...] = ()
    budget: BudgetSpec = BudgetSpec()

    @model_validator(mode="after")
    def _members_exist(self) -> "CampaignSpec":
        for run in self.production:
            if run.members > self.training.committee_size:
                raise ValueError(
                    f"production: {run.members} members of phase '{run.phase}' are more than the committee's "
                    f"{self.training.committee_size}"
                )
        return self

    @model_validator(mode="after")
    def _names_exist(self) -> "CampaignSpec":
        phases = [phase.name for phase in self.phases]
        if len(set(phases)) != len(phases):
            raise ValueError(f"phases: the name of a phase stands twice in {phases}")
        if not self.interfaces and not any(phase.explored for phase in self.phases):
            raise ValueError(f"phases: none of {phases} is explored, so there is nothing to train on")
        known = [*phases, *self.interface_names()]
        if len(set(known)) != len(known):
            raise ValueError(f"interfaces: a name stands twice in {known}")
        for run in self.production:
            if run.phase not in (*known, *STUDY_CELLS):
                raise ValueError(f"production: phase '{run.phase}' is none of {known}")
        for pair in self.interfaces:
            for side in (pair.film, pair.substrate):
                if side not in phases:
                    raise ValueError(f"interfaces: phase '{side}' is none of {phases}")
        if self.screening.eps_hi <= self.screening.eps_lo:
            raise ValueError("screening: eps_hi must be larger than eps_lo")
        return self

    @model_validator(mode="after")
    def _frames_are_there(self) -> "CampaignSpec":
        wants = ["screening.mode 'adaptive'"] if self.screening.mode == "adaptive" else []
        wants += ["selection.random_share"] if self.selection.random_share > 0 else []
        if wants and self.exploration.active_every is not None:
            raise ValueError(
                f"exploration: active_every stores only frames above screening.eps_lo, but {wants[0]} needs all of "
                "them; leave active_every out, or that"
            )
        return self

    @model_validator(mode="after")
    def _foundation_is_there(self) -> "CampaignSpec":
        wants = [f"phases: {phase.name}: relaxed" for phase in self.phases if phase.relaxed]
        wants += ["initial: sampling"] if self.initial.sampling else []
        if wants and self.foundation is None:
            raise ValueError(f"{wants[0]} needs the section 'foundation', which names an ASE calculator")
        return self

    @model_validator(mode="after")
    def _hops_have_phases(self) -> "CampaignSpec":
        known = [*(phase.name for phase in self.phases), *self.interface_names()]
        for hop in self.validation.hops:
            if hop.phase not in known:
                raise ValueError(f"validation.hops: phase '{hop.phase}' is none of {known}")
            if hop.species not in self.elements:
                raise ValueError(f"validation.hops: species '{hop.species}' is none of {list(self.elements)}")
        return self

    def interface_names(self) -> list[str]:
        """Return the names of all interfaces that the loop may explore."""
        return [name for pair in self.interfaces for name in pair.names()]
