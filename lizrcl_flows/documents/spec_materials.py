"""Parts of a campaign file: its materials, and how the first training set is made of them."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, JsonValue, model_validator

from lizrcl_flows.documents.base import Record
from lizrcl_flows.documents.quantities import (
    AreaA2,
    Count,
    Fraction,
    Length,
    Pressure,
    Seed,
    Temperature,
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
