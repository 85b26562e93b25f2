"""Molecular-dynamics runs and the transport coefficients measured in them."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, JsonValue, model_validator

from lizrcl_flows.documents.arrays import Array, ArraySpec
from lizrcl_flows.documents.base import Document, FileRef, Record
from lizrcl_flows.documents.quantities import (
    AreaA2,
    CoreHours,
    Count,
    Diffusivity,
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

Lags = Annotated[Array, ArraySpec("<f8", ("n_lags",), "ps")]
Msd = Annotated[Array, ArraySpec("<f8", ("n_lags",), "A^2")]


class ThermoSummary(Record):
    """Means over the run (second half)."""

    temperature_k: Temperature | None = None
    temperature_std_k: Temperature | None = None
    pressure_gpa: Pressure | None = None
    volume_a3: Volume | None = None
    potential_energy: Energy | None = None
    energy_drift: EnergyPerAtom | None = Field(default=None, description="change of the total energy over the run")


class Health(Record):
    """Whether the run can be trusted."""

    status: Literal["ok", "blown_up", "failed"]
    reason: str = ""
    last_step: Count | None = None


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
    )
    added_later: ClassVar[tuple[str, ...]] = ("level", "active_threshold")

    purpose: Literal["sampling", "exploration", "production"]
    structure: str
    committee: str | None = Field(description="its first member drives the run; none where a `level` does")
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


class Transport(Document):
    """A transport coefficient with its uncertainty, its definition and the runs it comes from.

    `status` says whether the number means anything: a run that is too short to show diffusion has an upper bound and a
    reason instead of a coefficient.
    """

    prefix: ClassVar[str] = "tsp"
    collection: ClassVar[str] = "transports"
    identity: ClassVar[tuple[str, ...]] = ("kind", "trajectories", "species", "protocol", "parameters")

    kind: Literal["diffusion"] = "diffusion"
    trajectories: tuple[str, ...]
    species: str
    protocol: str = Field(description="estimator: gls_blocks, or paper")
    parameters: dict[str, JsonValue] = Field(default_factory=dict)
    temperature_k: Temperature
    phase: str | None = None
    n_ions: Count
    n_frames: Count
    status: Literal["resolved", "not_resolved", "not_diffusive"]
    reason: str = ""
    diffusivity: Diffusivity | None = Field(default=None, description="tracer diffusion coefficient, three dimensions")
    diffusivity_std: Diffusivity | None = Field(
        default=None,
        description="standard uncertainty of sampling; the error of the potential is not in it. "
        "Protocol paper: standard deviation over correlated lags, as the study quotes it",
    )
    diffusivity_upper_bound: Diffusivity | None = Field(
        default=None, description="what it does not exceed, at about 95 %; also where no coefficient is resolved"
    )
    msd_offset_a2: AreaA2 | None = Field(default=None, description="6 sigma^2 of the cage vibration")
    chi2_per_dof: Number | None = None
    n_hops_estimate: Number | None = None
    n_lags: Count
    lag_ps: Lags
    msd_a2: Msd
    force_deviation_max: Force | None = Field(default=None, description="largest eps of the committee along the run")
    frames_over_eps_lo: Annotated[float, Unit("1")] | None = Field(
        default=None, description="share of checked frames outside the trained domain"
    )
    n_checked: Index = 0
