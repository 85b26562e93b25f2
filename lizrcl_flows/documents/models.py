"""Committee members, committees, and what a committee achieves."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, JsonValue

from lizrcl_flows.documents.arrays import Array, ArraySpec
from lizrcl_flows.documents.base import Document, FileRef, Record
from lizrcl_flows.documents.curves import EnergyVolumeCurve, HopProfile
from lizrcl_flows.documents.quantities import (
    CoreHours,
    Count,
    EnergyPerAtom,
    Force,
    Fraction,
    Index,
    Number,
    Seconds,
    Seed,
)
from lizrcl_flows.units import Unit

LossCurve = Annotated[Array, ArraySpec("<f8", (None, 10), "columns of loss.out: step, loss, L1, L2, then RMSEs")]
LOSS_COLUMNS = (
    "step",
    "total_loss",
    "l1",
    "l2",
    "rmse_energy_train_ev_per_atom",
    "rmse_force_train_ev_per_a",
    "rmse_virial_train_ev_per_atom",
    "rmse_energy_test_ev_per_atom",
    "rmse_force_test_ev_per_a",
    "rmse_virial_test_ev_per_atom",
)


class Errors(Record):
    """Root-mean-square errors of one model on one set."""

    energy: EnergyPerAtom | None = None
    force: Force | None = None
    virial: EnergyPerAtom | None = None


class Model(Document):
    """One committee member."""

    prefix: ClassVar[str] = "mod"
    collection: ClassVar[str] = "models"
    identity: ClassVar[tuple[str, ...]] = (
        "campaign",
        "generation",
        "member",
        "dataset",
        "seed",
        "bag_sha256",
        "hyperparameters",
        "trainer",
    )

    member: Index
    dataset: str
    seed: Seed
    seeded: bool = Field(default=True, description="false where the program draws random numbers of its own")
    bag_sha256: str | None = Field(default=None, description="SHA-256 of the ordered label ids that this member saw")
    hyperparameters: dict[str, JsonValue] = Field(description="nep.in, keyword by keyword")
    trainer: str = Field(description="training engine")
    trainer_version: str = ""
    trainer_executable: str = ""
    elements: tuple[str, ...]
    n_parameters: Count
    energy_shift: dict[str, Annotated[float, Unit("eV/atom")]] = Field(
        default_factory=dict,
        description="per element, subtracted from the labels before training; the model predicts the rest",
    )
    start: str | None = Field(default=None, description="model whose parameters the training began from")
    diverged: tuple[str, ...] = Field(default=(), description="earlier trainings, with other seeds, that diverged")
    nep_txt: FileRef
    loss_curve: LossCurve | None = None
    errors: Errors = Errors()
    wall_s: Seconds = 0.0
    core_hours: CoreHours = 0.0
    files: tuple[FileRef, ...] = ()


class Committee(Document):
    """Models that are asked together, in order; the first one drives the dynamics."""

    prefix: ClassVar[str] = "com"
    collection: ClassVar[str] = "committees"
    identity: ClassVar[tuple[str, ...]] = ("members",)

    members: tuple[str, ...] = Field(min_length=1)
    elements: tuple[str, ...]
    dataset: str


class ParityGroup(Record):
    """Errors of the committee mean over one group of structures or atoms."""

    group: str = Field(description="all, phase:<name>, region:<name> or element:<symbol>")
    n_structures: Count
    n_atoms: Count
    rmse_energy: EnergyPerAtom | None = None
    mae_energy: EnergyPerAtom | None = None
    rmse_force: Force | None = None
    mae_force: Force | None = None
    max_force_error: Force | None = None
    r2_force: Number | None = None
    rmse_virial: EnergyPerAtom | None = None


class Calibration(Record):
    """How well eps ranks and scales the true force error of the same committee."""

    group: str = Field(default="all", description="all, phase:<name> or element:<symbol>; of an element, its atoms")
    n_structures: Count = Field(description="structures; for an element, atoms")
    spearman: Number | None = Field(default=None, description="rank correlation of eps and the largest force error")
    scale: Number | None = Field(default=None, description="sqrt(mean error^2 / mean eps^2)")
    coverage_90: Fraction | None = Field(
        default=None, description="share of errors below the 90 % conformal bound that the other phases give"
    )
    factor_90: Number | None = Field(
        default=None, description="eps times this bounds 90 % of the errors (split conformal prediction)"
    )


class Evaluation(Document):
    """Predictions of one committee against the labels of one set, or along curves that every generation is tried on.

    Of kind `curves` the structures are the points of all curves, one after the other; those without a label have NaN
    for it.
    """

    prefix: ClassVar[str] = "eva"
    collection: ClassVar[str] = "evaluations"
    identity: ClassVar[tuple[str, ...]] = ("committee", "kind", "labels_sha256")

    committee: str
    kind: Literal["train", "holdout", "fresh", "curves"]
    dataset: str | None = None
    labels_sha256: str = Field(
        description="canonical SHA-256 of the ordered label ids; of kind curves, of what the curves are made from"
    )
    n_structures: Count
    n_atoms: Count
    groups: tuple[ParityGroup, ...]
    calibration: Calibration | None = None
    calibrations: tuple[Calibration, ...] = Field(default=(), description="of everything, by phase and by element")
    energy_predicted: Annotated[Array, ArraySpec("<f8", ("n_structures",), "eV/atom")]
    energy_label: Annotated[Array, ArraySpec("<f8", ("n_structures",), "eV/atom")]
    eps: Annotated[Array, ArraySpec("<f8", ("n_structures",), "eV/A")]
    max_force_error: Annotated[Array, ArraySpec("<f8", ("n_structures",), "eV/A")]
    arrays: FileRef | None = Field(
        default=None, description="npz: forces_predicted, forces_label (n_atoms, 3) eV/A, virials"
    )
    energy_volumes: tuple[EnergyVolumeCurve, ...] = Field(default=(), description="kind curves: one of each phase")
    hops: tuple[HopProfile, ...] = Field(default=(), description="kind curves: one of each hop of the campaign file")
    map_structures: tuple[str, ...] = Field(
        default=(), description="structures on the t-SNE map of mean NEP descriptors: phases first, then labels"
    )
    map_xy: Annotated[Array, ArraySpec("<f8", (None, 2), "1")] | None = Field(
        default=None, description="their places on the map"
    )
