"""Structures and the candidates that exploration found."""

from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, JsonValue, model_validator

from lizrcl_flows.documents.arrays import Array, ArraySpec
from lizrcl_flows.documents.base import Document, Record
from lizrcl_flows.documents.quantities import Count, Force, Index, Number, Pressure, Temperature, TimeFs
from lizrcl_flows.units import Unit

COORDINATE_DECIMALS = 8
"""Cells and positions are stored to 1e-8 A, so that an id does not hang on the last bits of a file format."""


class Origin(Record):
    """How a structure was made."""

    kind: Literal[
        "bundled",
        "file",
        "import",
        "ordering",
        "relaxed",
        "interface",
        "perturbed",
        "sampling",
        "exploration",
        "production",
        "validation",
    ]
    source: str = Field(default="", description="bundled name, file name, or id of the parent document")
    parameters: dict[str, JsonValue] = Field(default_factory=dict, description="strain, rattle, seed, frame, ...")


class Structure(Document):
    """Species, cell and positions; geometry only, never an energy."""

    prefix: ClassVar[str] = "str"
    collection: ClassVar[str] = "structures"
    identity: ClassVar[tuple[str, ...]] = ("numbers", "cell", "positions", "pbc")

    n_atoms: Count
    numbers: Annotated[Array, ArraySpec("u1", ("n_atoms",), "1")]
    cell: Annotated[Array, ArraySpec("<f8", (3, 3), "A")]
    positions: Annotated[Array, ArraySpec("<f8", ("n_atoms", 3), "A")]
    pbc: tuple[bool, bool, bool] = (True, True, True)
    formula: str = Field(description="reduced formula with elements in alphabetical order")
    chemical_system: str = Field(description="elements in alphabetical order joined by '-'")
    phase: str | None = None
    region: str | None = None
    origin: Origin

    @model_validator(mode="before")
    @classmethod
    def _round_coordinates(cls, values: dict[str, object]) -> dict[str, object]:
        if isinstance(values, dict):
            for name in ("cell", "positions"):
                if name in values and not isinstance(values[name], bytes | bytearray):
                    rounded = np.round(np.asarray(values[name], dtype="<f8"), COORDINATE_DECIMALS) + 0.0
                    values = {**values, name: rounded}
        return values

    @model_validator(mode="after")
    def _cell_spans_space(self) -> Self:
        if not np.isfinite(self.cell).all() or not np.isfinite(self.positions).all():
            raise ValueError("cell and positions must be finite numbers")
        if all(self.pbc) and abs(float(np.linalg.det(self.cell))) < 1e-6:
            raise ValueError("the cell is singular: three vectors that span a volume are needed")
        return self


class Offence(Record):
    """What exactly made a frame fail a filter."""

    quantity: str = Field(description="distance_a or eps_ev_per_a or separation_fs")
    value: Annotated[float, Unit("as named by quantity")]
    threshold: Annotated[float, Unit("as named by quantity")]
    atoms: tuple[Index, ...] = Field(default=(), description="indices of the offending atoms")
    species: tuple[str, ...] = ()


class Candidate(Document):
    """A structure that was considered for a label, and what became of it.

    In the loop: a frame of exploration about which the committee disagrees. In generation 0, before there is a
    committee: every structure of the initial pool, with its place in the map by which the first labels were chosen.
    """

    prefix: ClassVar[str] = "can"
    collection: ClassVar[str] = "candidates"
    identity: ClassVar[tuple[str, ...]] = ("trajectory", "frame", "committee", "pool")
    added_later: ClassVar[tuple[str, ...]] = ("pool",)

    structure: str
    trajectory: str | None = Field(description="run that it is a frame of; none where it was made by perturbation")
    committee: str | None = Field(description="committee that judged it; none in generation 0")
    pool: str | None = Field(default=None, description="generation 0: id of the campaign whose first pool it is in")
    frame: Index = Field(description="frame of the run, or number in the pool where there is no run")
    time_fs: TimeFs
    temperature_k: Temperature | None = Field(description="set point of the run")
    pressure_gpa: Pressure | None = Field(default=None, description="set point; none in NVT")
    phase: str | None = None
    eps: Force | None
    eps_metric: Literal["max_atom_force_deviation"] = "max_atom_force_deviation"
    eps_ddof: Index = 0
    n_models: Count
    models: tuple[str, ...]
    n_atoms: Count
    eps_atoms: Annotated[Array, ArraySpec("<f4", ("n_atoms",), "eV/A")] | None
    score: Number | None = Field(default=None, description="by which the selector chose it, in the selector's measure")
    map_xy: tuple[Number, Number] | None = Field(
        default=None, description="place in the map of the pool: two leading principal components of its descriptors"
    )
    formula: str
    control: bool = Field(
        default=False, description="drawn at random from all explored frames, whatever the committee says of them"
    )
    verdict: Literal["selected", "spare", "rejected"]
    reason: str = Field(default="", description="why it was rejected or left as spare, or that it is a control")
    offence: Offence | None = None
