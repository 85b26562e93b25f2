"""What a trajectory shows besides transport: structure, hops, layers, shapes."""

from typing import ClassVar, Literal

from pydantic import Field, JsonValue

from lizrcl_flows.documents.base import Document, FileRef
from lizrcl_flows.documents.quantities import Count, Temperature

AnalysisKind = Literal[
    "thermo",
    "rdf",
    "coordination",
    "density",
    "hops",
    "displacements",
    "polyhedra",
    "layers",
    "glide",
    "residence",
    "chains",
    "environments",
    "regional",
    "eps",
]


class Analysis(Document):
    """One analysis of one trajectory, with its definition and its parameters beside its numbers.

    Names of numbers in `results` end with their unit. Curves and maps are in `arrays`, a file of NumPy arrays (npz).
    """

    prefix: ClassVar[str] = "ana"
    collection: ClassVar[str] = "analyses"
    identity: ClassVar[tuple[str, ...]] = ("kind", "trajectory", "parameters")

    kind: AnalysisKind
    trajectory: str
    parameters: dict[str, JsonValue] = Field(default_factory=dict)
    definition: str = Field(description="what the numbers are, in words")
    temperature_k: Temperature | None = None
    phase: str | None = None
    region: str | None = None
    n_frames: Count = Field(description="frames that were looked at")
    status: Literal["done", "not_possible"] = "done"
    reason: str = Field(default="", description="why there are no results")
    results: dict[str, JsonValue] = Field(default_factory=dict)
    arrays: FileRef | None = None
