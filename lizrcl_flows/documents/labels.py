"""Levels of theory, labels at a level, and the data sets made of labels."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, JsonValue, model_validator

from lizrcl_flows.documents.arrays import Array, ArraySpec
from lizrcl_flows.documents.base import Document, FileRef, Record
from lizrcl_flows.documents.quantities import CoreHours, Count, Energy, Seconds
from lizrcl_flows.units import Unit

Forces = Annotated[Array, ArraySpec("<f8", ("n_atoms", 3), "eV/A")]
StressTensor = Annotated[Array, ArraySpec("<f8", (3, 3), "eV/A^3")]


class Potential(Record):
    """A pseudopotential or parameter file, by content."""

    element: str
    title: str
    sha256: str | None = None


class Level(Document):
    """A level of theory: everything that changes an energy, and nothing else."""

    prefix: ClassVar[str] = "lev"
    collection: ClassVar[str] = "levels"
    identity: ClassVar[tuple[str, ...]] = (
        "engine",
        "code",
        "code_version",
        "functional",
        "dispersion",
        "cutoff_ev",
        "k_spacing",
        "potentials",
        "parameters",
    )

    engine: str = Field(description="labelling engine: ase, vasp or cp2k; import for labels from elsewhere")
    code: str = Field(description="program or ASE calculator (module:Class)")
    code_version: str
    functional: str | None = None
    dispersion: str | None = None
    cutoff_ev: Energy | None = None
    k_spacing: Annotated[float, Unit("1/A, 2 pi included")] | None = None
    potentials: tuple[Potential, ...] = ()
    parameters: dict[str, JsonValue] = Field(default_factory=dict)
    note: str = ""


class Label(Document):
    """Energy, forces and stress of one structure at one level, or the reason why there are none.

    Stress has ASE's sign: tension is positive. A failed label is a document as well.
    """

    prefix: ClassVar[str] = "lab"
    collection: ClassVar[str] = "labels"
    identity: ClassVar[tuple[str, ...]] = ("structure", "level")
    projections: ClassVar[tuple[str, ...]] = ("status",)

    structure: str
    level: str
    status: Literal["accepted", "failed", "quarantined"]
    reason: str = Field(default="", description="why it failed")
    n_atoms: Count
    energy: Energy | None = Field(
        default=None, description="whose derivative the forces are: with smearing, free energy"
    )
    energy_zero: Energy | None = Field(default=None, description="extrapolated to no smearing, where the code gives it")
    forces: Forces | None = None
    stress: StressTensor | None = None
    max_force: Annotated[float, Unit("eV/A")] | None = None
    n_scf: Count | None = Field(default=None, description="electronic steps")
    attempts: Count = 1
    wall_s: Seconds = 0.0
    core_hours: CoreHours = 0.0
    formula: str
    phase: str | None = None
    region: str | None = None
    purpose: Literal["train", "holdout", "import", "ranking"] = Field(
        default="train", description="ranking: energy of a relaxed structure at the level that relaxed it"
    )
    raw: tuple[FileRef, ...] = Field(default=(), description="files of the raw calculation")

    @model_validator(mode="after")
    def _accepted_is_complete(self) -> Self:
        if self.status == "accepted" and (self.energy is None or self.forces is None):
            raise ValueError("an accepted label needs energy and forces")
        if self.status == "failed" and not self.reason:
            raise ValueError("a failed label needs its reason")
        return self


class Dataset(Document):
    """A set of labels of one level, as a chain: the parent set and the labels added to it, in order."""

    prefix: ClassVar[str] = "dat"
    collection: ClassVar[str] = "datasets"
    identity: ClassVar[tuple[str, ...]] = ("parent", "added", "split", "level")

    parent: str | None = None
    added: tuple[str, ...]
    split: Literal["train", "holdout"]
    level: str
    n_labels: Count = Field(description="labels in the whole chain")
    manifest_sha256: str = Field(description="canonical SHA-256 of the ordered label ids of the whole chain")
