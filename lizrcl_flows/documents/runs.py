"""Molecular-dynamics runs."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from lizrcl_flows.documents.base import Document, FileRef, Record
from lizrcl_flows.documents.quantities import (
    CoreHours,
    Count,
    Energy,
    EnergyPerAtom,
    Force,
    Index,
    Number,
    Pressure,
    Seconds,
    Seed,
    Temperature,
    TimeFs,
    Volume,
)
from lizrcl_flows.units import Unit


class ThermoSummary(Record):
    """Means over the run (second half)."""

    temperature_k: Temperature | None = None
    temperature_std_k: Temperature | None = None
    pressure_gpa: Pressure | None = None
    volume_a3: Volume | None = None
    potential_energy: Energy | None = None
    energy_drift: EnergyPerAtom | None = Field(default=None, description="change of the total energy over the run")
    temperature_error_k: Temperature | None = Field(default=None, description="standard error of the mean, from blocks")
    energy_drift_per_ns: Annotated[float, Unit("eV/atom/ns")] | None = Field(
        default=None, description="slope of the total energy, from blocks"
    )
    energy_drift_error_per_ns: Annotated[float, Unit("eV/atom/ns")] | None = None
    volume_change: Number | None = Field(
        default=None, description="mean volume of the last fifth over that of the first, minus one"
    )
    n_not_finite: Count | None = Field(default=None, description="rows with a value that is no number, where any is")


class Health(Record):
    """Whether the run can be trusted."""

    status: Literal["ok", "blown_up", "failed"]
    reason: str = ""
    last_step: Count | None = None
    warnings: tuple[str, ...] = Field(
        default=(), description="production: what speaks against using the run as it stands, a sentence each"
    )


class Trajectory(Document):
    """One molecular-dynamics run."""

    prefix: ClassVar[str] = "tra"
    collection: ClassVar[str] = "trajectories"
    identity: ClassVar[tuple[str, ...]] = (
        "purpose",
        "structure",
        "committee",
        "supercell",
        "ensemble",
        "temperature_k",
        "pressure_gpa",
        "steps",
        "equilibration_steps",
        "time_step_fs",
        "sample_every",
        "seed",
        "engine",
        "campaign",
        "generation",
        "level",
        "active_threshold",
        "equilibration_temperature_k",
        "heating_steps",
        "correct_velocity_every",
        "member",
    )
    added_later: ClassVar[tuple[str, ...]] = (
        "level",
        "active_threshold",
        "equilibration_temperature_k",
        "heating_steps",
        "correct_velocity_every",
        "member",
    )

    purpose: Literal["sampling", "exploration", "production"]
    structure: str
    committee: str | None = Field(description="one of its members drives the run; none where a `level` does")
    member: Index = Field(default=0, description="place in the committee of the member that drives the run")
    level: str | None = Field(
        default=None, description="level of theory that drives a run of purpose sampling: a foundation model, say"
    )
    supercell: tuple[Count, Count, Count] = (1, 1, 1)
    n_atoms: Count
    formula: str
    phase: str | None = None
    region: str | None = None
    cell: str | None = Field(default=None, description="phase or interface of the campaign file that it began with")
    ensemble: Literal["nve", "nvt", "npt"]
    temperature_k: Temperature
    pressure_gpa: Pressure | None = None
    steps: Count
    equilibration_steps: Count = 0
    equilibration_temperature_k: Temperature | None = Field(
        default=None, description="where the run began: equilibrated there, heated, and equilibrated again"
    )
    heating_steps: Count = Field(default=0, description="steps from there to the temperature of the run")
    correct_velocity_every: Count = Field(
        default=0, description="steps between removals of linear and angular momentum; 0: none"
    )
    piece_steps: Count | None = Field(
        default=None, description="longest piece that the run was done in; absent where it was one run of the program"
    )
    n_pieces: Count = Field(default=1, description="runs of the program that it was done in")
    time_step_fs: TimeFs
    sample_every: Count = Field(description="steps between stored frames, or between checks of `active`")
    active_threshold: Force | None = Field(
        default=None, description="GPUMD's `active`: frames were stored where its deviation exceeds this; else all"
    )
    seed: Seed
    seeded: bool = Field(default=True, description="false where the program draws random numbers of its own")
    engine: str
    n_frames: Count = Field(description="whole frames in the stored trajectory")
    n_checked: Count | None = Field(
        default=None, description="frames that `active` judged; absent where all are stored"
    )
    thermo: ThermoSummary = ThermoSummary()
    health: Health
    files: tuple[FileRef, ...] = ()
    wall_s: Seconds = 0.0
    core_hours: CoreHours = 0.0

    @model_validator(mode="after")
    def _driven_by_one(self) -> Self:
        if (self.committee is None) == (self.level is None):
            raise ValueError("a trajectory is driven by a committee or by a level, not by both and not by neither")
        return self
