"""The campaign file as validated: what a user may set, with its units, bounds and defaults.

A campaign file names a system and overrides what it wants; the system file holds the rest. Both end up here.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, JsonValue, model_validator

from lizrcl_flows.documents.base import Record
from lizrcl_flows.documents.quantities import (
    AreaA2,
    CoreHours,
    Count,
    Force,
    Fraction,
    Length,
    Number,
    Pressure,
    Seed,
    Temperature,
    TimeFs,
)
from lizrcl_flows.units import Unit

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
Positive = Annotated[int, Field(ge=1), Unit("1")]
Symbol = Annotated[str, Field(pattern="^[A-Z][a-z]?$")]


class OrderingSpec(Record):
    """How a crystal with partially occupied sites becomes an ordered one."""

    supercell: tuple[Positive, Positive, Positive] = Field(
        default=(1, 1, 1), description="of the partially occupied cell, in which its sites are ordered"
    )
    max_cells: Positive | None = Field(default=None, description="instead: every distinct supercell of up to so many")
    fixed: tuple[Symbol, ...] = Field(
        default=(), description="elements that are not ordered: their most occupied sites are filled"
    )
    n_relaxed: Positive = Field(default=20, description="orderings of lowest Ewald energy that are relaxed")
    charges: dict[str, Annotated[float, Unit("e")]] = Field(
        default_factory=dict, description="formal charge of each element; the usual one where absent"
    )
    max_enumerated: Positive = Field(
        default=3_000_000, description="configurations up to which all are enumerated; above, Monte Carlo searches"
    )
    seed: Seed = Field(default=0, description="of the Monte Carlo search")


class PhaseSpec(Record):
    """One starting structure: a bundled crystal or a file of the user's, and the supercell that is used."""

    added_later: ClassVar[tuple[str, ...]] = ("ordering", "relaxed", "explored")

    name: Name = Field(description="phase name stored with every structure that descends from it")
    structure: str = Field(description="name of a bundled structure, or path of a CIF/POSCAR/extended-XYZ file")
    supercell: tuple[Positive, Positive, Positive] = (1, 1, 1)
    region: Literal["bulk", "interface"] = "bulk"
    ordering: OrderingSpec | None = Field(default=None, description="for a crystal with partially occupied sites")
    relaxed: bool = Field(default=False, description="relax the crystal with the foundation model before it is used")
    explored: bool = Field(
        default=True, description="false: not in the training set, for production or comparison only"
    )


class FoundationSpec(Record):
    """The potential that works before there is a committee: it relaxes, ranks and samples. Any ASE calculator."""

    calculator: str = Field(description="nep, mace, chgnet, sevennet, tblite, or an import path module:Class")
    file: str | None = Field(default=None, description="model file: a path, or a name in the models folder")
    parameters: dict[str, JsonValue] = Field(default_factory=dict, description="keyword arguments of the calculator")
    fmax_ev_per_a: Annotated[float, Field(gt=0), Unit("eV/A")] = Field(
        default=0.05, description="largest force at which a relaxation has ended"
    )
    smax_gpa: Annotated[float, Field(gt=0), Unit("GPa")] = Field(
        default=0.1, description="largest component of the residual stress at which a cell has been relaxed"
    )
    max_steps: Positive = Field(default=500, description="steps after which a relaxation has failed")


class InterfaceSpec(Record):
    """Interfaces of two phases: which are searched, how many are kept."""

    film: Name
    substrate: Name
    preset: Literal["training", "production"] = Field(
        default="training", description="training: area <= 120 A^2, strain <= 10 %; production: <= 200 A^2, < 1 %"
    )
    max_area_a2: AreaA2 | None = Field(default=None, description="instead of the preset's")
    max_strain: Fraction | None = Field(default=None, description="largest principal strain, instead of the preset's")
    max_miller: Positive | None = Field(default=None, description="largest Miller index, instead of the preset's")
    max_atoms: Positive = 200
    n_orientations: Positive = Field(default=4, description="pairs of planes that are built, the best matches first")
    n_built: Positive = Field(default=6, description="terminations and registries of each pair that are relaxed")
    n_kept: Positive = Field(default=2, description="lowest in energy of each pair, for the first training set")
    n_explored: Positive = Field(default=1, description="lowest of all pairs, which the loop explores")
    thickness_a: Length = Field(default=8.0, description="least thickness of either slab")
    gap_a: Length = 2.3

    @property
    def title(self) -> str:
        """Name of the pair; the phase of all its interfaces."""
        return f"{self.film}-{self.substrate}"

    def names(self) -> list[str]:
        """Return the names of the interfaces that the loop may explore, the lowest in energy first."""
        return [f"{self.title}.{number + 1}" for number in range(self.n_explored)]


class ConditionSpec(Record):
    """One thermodynamic state that exploration visits."""

    ensemble: Literal["nvt", "npt"]
    temperature_k: Temperature
    pressure_gpa: Pressure = 0.0


class SamplingSpec(Record):
    """Dynamics with the foundation model, whose frames join the pool of the first training set."""

    conditions: tuple[ConditionSpec, ...] = Field(min_length=1)
    steps: Positive = Field(default=100000, description="steps of each run")
    time_step_fs: Annotated[float, Field(gt=0), Unit("fs")] = 1.0
    sample_every: Positive = Field(default=500, description="steps between frames that are kept")
    max_atoms: Positive = Field(default=400, description="larger cells are not sampled")


class InitialSelectionSpec(Record):
    """How the first labels are chosen from the pool."""

    engine: Literal["clusters", "farthest_point", "environments", "random"] = "clusters"
    n_components: Positive | None = Field(
        default=None,
        description="engine clusters: principal components (the study: 2); as many as 95 % of the variance need",
    )
    soap: Literal["paper", "fast"] = Field(default="paper", description="SOAP(5 A, n_max 8, l_max 6), or (5 A, 6, 4)")


class InitialSpec(Record):
    """Generation 0: strained and rattled copies of every phase, and frames of the foundation model's dynamics."""

    added_later: ClassVar[tuple[str, ...]] = ("n_perturbed", "sampling", "selection", "datasets")

    n_structures: Count = Field(description="structures to label for training, over all phases")
    n_holdout: Count = Field(description="further perturbed ones that are labelled and never trained on")
    strain_min: Fraction = 0.01
    strain_max: Fraction = 0.05
    rattle_a: Annotated[tuple[float, float], Unit("A")] = Field(
        default=(0.05, 0.15), description="range of the standard deviation of the Gaussian displacements"
    )
    n_perturbed: Positive | None = Field(
        default=None, description="perturbed structures in the pool; n_structures of them where absent"
    )
    sampling: SamplingSpec | None = None
    selection: InitialSelectionSpec = Field(
        default=InitialSelectionSpec(), description="used where the pool is larger than n_structures"
    )
    datasets: tuple[str, ...] = Field(
        default=(), description="ids of imported data sets of the campaign's level, with which the training set begins"
    )

    @model_validator(mode="after")
    def _there_is_something(self) -> "InitialSpec":
        if not self.n_structures and not self.datasets:
            raise ValueError("n_structures is 0 and no imported data set is named in `datasets`: nothing to train on")
        return self


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


class ExplorationSpec(Record):
    """Molecular dynamics with the committee in search of structures it does not know."""

    engine: Literal["gpumd"] = "gpumd"
    conditions: tuple[ConditionSpec, ...] = Field(min_length=1)
    steps: Positive = 100000
    time_step_fs: Annotated[float, Field(gt=0), Unit("fs")] = 1.0
    sample_every: Positive = Field(default=100, description="steps between frames that are judged")
    runs_per_phase: Positive = Field(default=1, description="runs per phase and generation, spread over the conditions")


class ScreeningSpec(Record):
    """Which explored frames are candidates."""

    eps_lo: Force = 0.3
    eps_hi: Force = 3.0
    geometry_factor: Annotated[float, Field(ge=0), Unit("1")] = 0.7
    decorrelation_fs: TimeFs = 50.0


class SelectionSpec(Record):
    """Which candidates are labelled."""

    added_later: ClassVar[tuple[str, ...]] = ("n_components", "atoms_per_candidate")

    engine: Literal["clusters", "environments", "farthest_point", "random"] = "farthest_point"
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


class ConvergenceSpec(Record):
    """When the campaign has learnt what it came for."""

    temperature_max_k: Temperature = 1000.0
    pressure_max_gpa: Pressure = 0.1
    fraction_above_eps_lo: Fraction = 0.0
    n_generations: Positive = Field(default=2, description="generations in a row that must meet it")


class ProductionSpec(Record):
    """A production run with the final committee and what is measured in it."""

    phase: Name
    supercell: tuple[Positive, Positive, Positive] = Field(default=(1, 1, 1), description="of the phase's own cell")
    temperature_k: Temperature
    pressure_gpa: Pressure = 1e-4
    ensemble: Literal["nvt", "npt"] = "npt"
    equilibration_steps: Count = 10000
    steps: Positive
    time_step_fs: Annotated[float, Field(gt=0), Unit("fs")] = 1.0
    sample_every: Positive = 100
    diffusing_species: Symbol = "Li"


class BudgetSpec(Record):
    """What a campaign may spend; never exceeded."""

    labels: Positive | None = None
    core_hours: CoreHours | None = None


class CampaignSpec(Record):
    """A complete campaign: the system's defaults with the user's choices on top."""

    added_later: ClassVar[tuple[str, ...]] = ("foundation", "interfaces")

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
    production: tuple[ProductionSpec, ...] = ()
    budget: BudgetSpec = BudgetSpec()

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
            if run.phase not in known:
                raise ValueError(f"production: phase '{run.phase}' is none of {known}")
        for pair in self.interfaces:
            for side in (pair.film, pair.substrate):
                if side not in phases:
                    raise ValueError(f"interfaces: phase '{side}' is none of {phases}")
        if self.screening.eps_hi <= self.screening.eps_lo:
            raise ValueError("screening: eps_hi must be larger than eps_lo")
        return self

    @model_validator(mode="after")
    def _foundation_is_there(self) -> "CampaignSpec":
        wants = [f"phases: {phase.name}: relaxed" for phase in self.phases if phase.relaxed]
        wants += ["initial: sampling"] if self.initial.sampling else []
        if wants and self.foundation is None:
            raise ValueError(f"{wants[0]} needs the section 'foundation', which names an ASE calculator")
        return self

    def interface_names(self) -> list[str]:
        """Return the names of all interfaces that the loop may explore."""
        return [name for pair in self.interfaces for name in pair.names()]
