"""Parts of a campaign file: labels, training, exploration, selection, when it ends, production."""

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field, JsonValue, model_validator

from lizrcl_flows.documents.base import Record
from lizrcl_flows.documents.quantities import (
    CoreHours,
    Count,
    Force,
    Fraction,
    Length,
    Number,
    Pressure,
    Temperature,
    TimeFs,
)
from lizrcl_flows.documents.spec_materials import ConditionSpec, Name, Positive, Symbol
from lizrcl_flows.units import Unit


class LevelSpec(Record):
    """The level of theory of the labels and the engine that computes them."""

    added_later: ClassVar[tuple[str, ...]] = (
        "file",
        "functional",
        "dispersion",
        "potentials",
        "version",
        "time_limit_s",
    )

    engine: Literal["ase", "vasp", "cp2k"] = "ase"
    calculator: str = Field(
        default="",
        description="engine ase: nep, mace, chgnet, sevennet, tblite, or an import path module:Class",
    )
    file: str | None = Field(default=None, description="engine ase: model file, a path or a name in the models folder")
    parameters: dict[str, JsonValue] = Field(
        default_factory=dict, description="ase: keyword arguments of the calculator; vasp: INCAR tags; cp2k: settings"
    )
    functional: str | None = Field(default=None, description="PBE where absent; ase: of the dispersion correction")
    dispersion: Literal["D3-BJ", "D3-zero"] | None = Field(
        default=None, description="vasp, cp2k: computed by the code; ase: added to the calculator by dftd3"
    )
    potentials: dict[Symbol, str] = Field(
        default_factory=dict, description="vasp: POTCAR of an element, such as Zr_sv; cp2k: name of its pseudopotential"
    )
    version: str | None = Field(
        default=None,
        description="vasp, cp2k: version of the code, or how it begins (6.4); no other one computes labels",
    )
    time_limit_s: Annotated[float, Field(gt=0), Unit("s")] | None = Field(
        default=None, description="longest time of one attempt; no limit where absent"
    )
    note: str = Field(default="", description="what this level is good for, printed with its results")
    max_attempts: Positive = 2
    batch_size: Positive = Field(default=4, description="labels in one job")


class TrainingSpec(Record):
    """Committee of NEP models; every hyper-parameter is written to nep.in explicitly."""

    added_later: ClassVar[tuple[str, ...]] = ("warm_start", "max_attempts")

    engine: Literal["nep"] = "nep"
    committee_size: Annotated[int, Field(ge=2, le=16), Unit("1")] = 4
    cutoff_radial_a: Length = 6.0
    cutoff_angular_a: Length = 5.0
    n_max: tuple[Count, Count] = (8, 8)
    basis_size: tuple[Count, Count] = (12, 12)
    l_max: tuple[Count, Count, Count] = (4, 2, 0)
    neurons: Positive = 50
    zbl_a: Length | None = Field(default=None, description="outer cutoff of the ZBL repulsion; none where absent")
    lambda_e: Number = 1.0
    lambda_f: Number = 1.0
    lambda_v: Number = 0.1
    lambda_1: Number | None = Field(default=None, description="L1 regularisation; GPUMD's automatic value where absent")
    lambda_2: Number | None = Field(default=None, description="L2 regularisation; GPUMD's automatic value where absent")
    batch: Positive = 1000
    steps: Positive = Field(default=100000, description="`generation` of nep.in")
    bagging: Annotated[float, Field(gt=0, le=1), Unit("1")] = Field(
        default=1.0, description="fraction of the training set that each member sees"
    )
    warm_start: bool = Field(
        default=False, description="begin from the same member of the generation before, where the trainer can"
    )
    max_attempts: Positive = Field(
        default=3, description="trainings of one member that diverge before it is given up, each with another seed"
    )


class ExplorationSpec(Record):
    """Molecular dynamics with the committee in search of structures it does not know.

    The grid is every explored phase and interface under every condition.
    """

    added_later: ClassVar[tuple[str, ...]] = ("refined_share", "active_every")

    engine: Literal["gpumd"] = "gpumd"
    conditions: tuple[ConditionSpec, ...] = Field(min_length=1)
    steps: Positive = 100000
    time_step_fs: Annotated[float, Field(gt=0), Unit("fs")] = 1.0
    sample_every: Positive = Field(default=100, description="steps between frames that are judged")
    runs_per_phase: Positive = Field(
        default=1, description="runs of a generation, for each phase on the average; together they walk over the grid"
    )
    refined_share: Fraction = Field(
        default=0.5, description="of the runs of a generation, those that go where the committee has known least"
    )
    active_every: Positive | None = Field(
        default=None, description="steps between checks by GPUMD's `active`, where gpumd runs; only frames then"
    )


class ScreeningSpec(Record):
    """Which explored frames are candidates.

    Mode `fixed`: from eps_lo to eps_hi, as in the study. Mode `adaptive`: eps_lo is lowered to where `candidate_rate`
    of the explored frames, and `n_candidates_min` at least, lie above it (DP-GEN's adaptive lower trust level); it is
    never raised.
    """

    added_later: ClassVar[tuple[str, ...]] = ("mode", "candidate_rate", "n_candidates_min")

    mode: Literal["fixed", "adaptive"] = "fixed"
    candidate_rate: Fraction = Field(default=0.05, description="mode adaptive: share of the frames below eps_hi")
    n_candidates_min: Positive = Field(default=20, description="mode adaptive: frames at least")
    eps_lo: Force = 0.3
    eps_hi: Force = 3.0
    geometry_factor: Annotated[float, Field(ge=0), Unit("1")] = 0.7
    decorrelation_fs: TimeFs = 50.0


class QuotaSpec(Record):
    """Bounds on a part of the labels of a generation: those of a phase, of a region or of a range of temperatures."""

    phase: str | None = None
    region: Literal["bulk", "interface"] | None = None
    temperature_min_k: Temperature | None = None
    temperature_max_k: Temperature | None = None
    min_share: Fraction = Field(default=0.0, description="of the labels, where there are candidates enough")
    max_share: Fraction = Field(default=1.0, description="of the labels")

    @model_validator(mode="after")
    def _says_something(self) -> "QuotaSpec":
        told = (self.phase, self.region, self.temperature_min_k, self.temperature_max_k)
        if all(value is None for value in told):
            raise ValueError("a quota needs a phase, a region or a temperature")
        if self.min_share > self.max_share:
            raise ValueError(f"min_share {self.min_share:g} is larger than max_share {self.max_share:g}")
        return self


class SelectionSpec(Record):
    """Which candidates are labelled."""

    added_later: ClassVar[tuple[str, ...]] = ("n_components", "atoms_per_candidate", "random_share", "quotas")

    engine: Literal["clusters", "environments", "farthest_point", "random"] = "environments"
    n_structures: Positive
    n_components: Positive | None = Field(
        default=None,
        description="engine clusters: principal components that are clustered (the study: 2); "
        "as many as 95 % of the variance need where absent",
    )
    atoms_per_candidate: Positive | None = Field(
        default=None,
        description="engine environments: atoms of largest eps that each candidate is judged by; all where absent",
    )
    random_share: Fraction = Field(
        default=0.0, description="of the labels, those drawn at random from all explored frames: an unbiased control"
    )
    quotas: tuple[QuotaSpec, ...] = ()


class ConvergenceSpec(Record):
    """When the campaign has learnt what it came for: nothing doubtful in the target, and fresh labels no surprise."""

    added_later: ClassVar[tuple[str, ...]] = ("temperature_min_k", "fresh_error_change", "gates")

    temperature_min_k: Temperature = 0.0
    temperature_max_k: Temperature = 1000.0
    pressure_max_gpa: Pressure = 0.1
    fraction_above_eps_lo: Fraction = 0.0
    n_generations: Positive = Field(default=2, description="generations in a row that must meet it")
    fresh_error_change: Fraction | None = Field(
        default=None,
        description="largest fall of the force error on fresh labels, from one generation to the next, that counts as "
        "flat; not asked where absent",
    )
    gates: bool = Field(default=False, description="the regression gates of `validation` must be passed as well")


class HopSpec(Record):
    """A hop of an ion into a vacancy: the path of a nudged elastic band with the committee."""

    phase: Name
    species: Symbol = "Li"
    supercell: tuple[Positive, Positive, Positive] = (1, 1, 1)
    atom: Count = Field(description="index, in the phase's cell before the supercell, of the ion that hops")
    vacancy: Count = Field(description="index, there, of the ion that is taken out and whose place it takes")
    vacancy_image: Annotated[tuple[int, int, int], Unit("1")] = Field(
        default=(0, 0, 0), description="lattice vectors of the phase's cell by which that place is moved"
    )
    n_images: Positive = 5
    fmax_ev_per_a: Annotated[float, Field(gt=0), Unit("eV/A")] = 0.05
    max_steps: Positive = 200


class ValidationSpec(Record):
    """What every generation is tried on besides labels, and how much worse than the one before it may be."""

    added_later: ClassVar[tuple[str, ...]] = ("gate_energy_mev_per_atom", "gate_force_mev_per_a")

    energy_volume: bool = Field(default=False, description="energy-volume curve of every phase")
    volume_range: Fraction = Field(default=0.06, description="largest change of the volume, both ways")
    n_volumes: Positive = 7
    hops: tuple[HopSpec, ...] = ()
    map_structures: Count = Field(default=0, description="structures on a t-SNE map of NEP descriptors; 0 draws none")
    gate_error_margin: Fraction = Field(
        default=0.10,
        description="relative growth of a hold-out error that is allowed, beside two standard errors of it",
    )
    gate_energy_mev_per_atom: Annotated[float, Field(ge=0), Unit("meV/atom")] = Field(
        default=2.0, description="growth of a hold-out energy error that is allowed in any case"
    )
    gate_force_mev_per_a: Annotated[float, Field(ge=0), Unit("meV/A")] = Field(
        default=5.0, description="growth of a hold-out force error that is allowed in any case"
    )
    gate_curve_mev_per_atom: Annotated[float, Field(gt=0), Unit("meV/atom")] = Field(
        default=5.0,
        description="change of an energy-volume curve, rms, that is allowed where the committee before knew it",
    )
    gate_barrier_ev: Annotated[float, Field(gt=0), Unit("eV")] = Field(
        default=0.1, description="change of a barrier that is allowed"
    )


STUDY_CELLS = ("study-1", "study-2", "study-3", "study-4")
"""Production cells of arXiv:2601.22612 that `lizrcl interface build --preset` makes."""


class ProductionSpec(Record):
    """Runs of one cell with the final committee, at one or several temperatures, and what is measured in them.

    A run may begin at another temperature: equilibration there, heating in a line, equilibration again, then what is
    sampled.
    """

    added_later: ClassVar[tuple[str, ...]] = (
        "temperatures_k",
        "equilibration_temperature_k",
        "heating_steps",
        "piece_steps",
        "correct_velocity_every",
        "trajectory_format",
        "members",
    )

    phase: Name = Field(description="phase, interface as it was built, or one of study-1 to study-4")
    supercell: tuple[Positive, Positive, Positive] = Field(default=(1, 1, 1), description="of the phase's own cell")
    temperature_k: Temperature | None = Field(default=None, description="of one run; else there are `temperatures_k`")
    temperatures_k: tuple[Temperature, ...] = Field(default=(), description="of so many runs")
    pressure_gpa: Pressure = 1e-4
    ensemble: Literal["nvt", "npt"] = "npt"
    equilibration_steps: Count = Field(default=10000, description="at the temperature of the run, before it is sampled")
    equilibration_temperature_k: Temperature | None = Field(
        default=None, description="where runs begin, with as many equilibration steps; absent: at their temperature"
    )
    heating_steps: Count = Field(default=0, description="steps from there to the temperature of the run")
    steps: Positive
    piece_steps: Positive | None = Field(
        default=None, description="longest piece that fits the wall time of a worker; absent: each run is one piece"
    )
    time_step_fs: Annotated[float, Field(gt=0), Unit("fs")] = 1.0
    sample_every: Positive = 100
    correct_velocity_every: Count = Field(
        default=0, description="steps between removals of linear and angular momentum, 10 at least; 0: none"
    )
    trajectory_format: Literal["xyz", "netcdf"] = Field(
        default="xyz", description="netcdf where the program can write it: less than half the size, read far faster"
    )
    diffusing_species: Symbol = "Li"
    members: Positive = Field(
        default=1,
        description="members of the committee that each drive a run: their spread is the potential's part of the error",
    )

    @model_validator(mode="after")
    def _temperatures_are_told_once(self) -> "ProductionSpec":
        if (self.temperature_k is None) == (not self.temperatures_k):
            raise ValueError("a production run needs either temperature_k or temperatures_k")
        if len(set(self.temperatures_k)) != len(self.temperatures_k):
            raise ValueError(f"temperatures_k names a temperature twice: {list(self.temperatures_k)}")
        if min(self.temperatures) <= 0 or self.equilibration_temperature_k == 0:
            raise ValueError("the temperatures of production runs are above 0 K")
        return self

    @model_validator(mode="after")
    def _can_be_run(self) -> "ProductionSpec":
        if self.heating_steps and self.equilibration_temperature_k is None:
            raise ValueError("heating_steps needs equilibration_temperature_k, from where it heats")
        if self.piece_steps is not None and self.piece_steps < self.sample_every:
            raise ValueError(
                f"piece_steps {self.piece_steps} is less than sample_every {self.sample_every}: a piece holds a frame"
            )
        if 0 < self.correct_velocity_every < 10:
            raise ValueError(
                f"correct_velocity_every {self.correct_velocity_every} is not accepted, accepted: 0, or 10 at least"
            )
        return self

    @property
    def temperatures(self) -> tuple[float, ...]:
        """Temperatures (K) of the runs, in order."""
        return self.temperatures_k or (self.temperature_k or 0.0,)

    def steps_before(self, temperature_k: float) -> int:
        """Return the steps of a run before it is sampled; one that begins at its own temperature needs no heating."""
        if self.equilibration_temperature_k in (None, temperature_k):
            return self.equilibration_steps
        return 2 * self.equilibration_steps + self.heating_steps

    @classmethod
    def runs(cls, production: "Sequence[ProductionSpec]") -> "list[tuple[ProductionSpec, float]]":
        """Return the single runs that entries of a campaign file stand for, each with its temperature (K)."""
        return [(entry, temperature) for entry, temperature, _ in cls.driven_runs(production)]

    @classmethod
    def driven_runs(cls, production: "Sequence[ProductionSpec]") -> "list[tuple[ProductionSpec, float, int]]":
        """Return the single runs with temperature (K) and place in the committee of the member that drives each."""
        return [
            (entry, temperature, member)
            for entry in production
            for temperature in entry.temperatures
            for member in range(entry.members)
        ]


class BudgetSpec(Record):
    """What a campaign may spend; never exceeded."""

    added_later: ClassVar[tuple[str, ...]] = ("labels_per_generation", "core_hours_per_generation")

    labels_per_generation: Positive | None = None
    core_hours_per_generation: CoreHours | None = None
    labels: Positive | None = None
    core_hours: CoreHours | None = None
