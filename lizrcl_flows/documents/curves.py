"""Curves that a committee is tried on: energy against volume of a phase, energy along the hop of an ion."""

from typing import Annotated

from pydantic import Field

from lizrcl_flows.documents.base import Record
from lizrcl_flows.documents.quantities import Count, Energy, EnergyPerAtom, Force, Index, Number
from lizrcl_flows.documents.spec_learning import HopSpec
from lizrcl_flows.units import Unit

VolumePerAtom = Annotated[float, Unit("A^3/atom")]
BulkModulus = Annotated[float, Unit("GPa")]
PathLength = Annotated[float, Unit("A")]


class EnergyVolumeCurve(Record):
    """Energy of a phase against its volume: the cell is scaled, the fractional positions stay where they are.

    Spreads are population standard deviations over the members of the committee.
    """

    phase: str
    n_atoms: Count
    structures: tuple[str, ...] = Field(description="structure id of each point, in the order of the volumes")
    volume: tuple[VolumePerAtom, ...]
    energy: tuple[EnergyPerAtom, ...] = Field(description="mean over the committee")
    energy_members: tuple[tuple[EnergyPerAtom, ...], ...] = Field(description="of each member at each volume")
    eps: tuple[Force, ...] = Field(description="largest force deviation of an atom at each volume")
    energy_label: tuple[EnergyPerAtom | None, ...] = Field(
        default=(), description="labels of these very structures, where there were any"
    )
    v0: VolumePerAtom | None = Field(default=None, description="volume of the minimum, Birch-Murnaghan fit of the mean")
    v0_std: VolumePerAtom | None = None
    e0: EnergyPerAtom | None = Field(default=None, description="energy of the minimum")
    e0_std: EnergyPerAtom | None = None
    bulk_modulus: BulkModulus | None = None
    bulk_modulus_std: BulkModulus | None = None
    bulk_modulus_prime: Number | None = Field(default=None, description="pressure derivative of the bulk modulus")
    v0_label: VolumePerAtom | None = Field(default=None, description="the same fit to the labels")
    bulk_modulus_label: BulkModulus | None = None
    problem: str = Field(default="", description="what is wrong with the curve or its fit, in words")

    @property
    def name(self) -> str:
        """What gates and tables call it."""
        return f"energy_volume {self.phase}"


class HopProfile(Record):
    """Energy along the path of an ion into a vacancy, relative to the start of the path.

    The path is that of the committee's mean; every member is evaluated along it. Spreads are population standard
    deviations over the members.
    """

    phase: str
    number: Index = Field(description="place of the hop in the campaign file's list, from 0")
    settings: HopSpec = Field(description="what was asked for")
    cell: str | None = Field(default=None, description="structure id of the phase's cell, to which its indices refer")
    n_atoms: Count
    structures: tuple[str, ...] = Field(description="structure id of each image, from start to end")
    distance: tuple[PathLength, ...] = Field(description="length of the path in configuration space up to each image")
    energy: tuple[Energy, ...] = Field(description="mean over the committee, relative to the first image")
    energy_members: tuple[tuple[Energy, ...], ...] = Field(description="of each member, relative to its first image")
    eps: tuple[Force, ...] = Field(description="largest force deviation of an atom at each image")
    energy_label: tuple[Energy | None, ...] = Field(
        default=(), description="labels of these very structures, relative to that of the first image"
    )
    barrier_forward: Energy | None = None
    barrier_forward_std: Energy | None = None
    barrier_backward: Energy | None = None
    barrier_backward_std: Energy | None = None
    converged: bool = Field(default=False, description="whether the forces on the band came below fmax_ev_per_a")
    n_steps: Count = Field(default=0, description="steps of the band, those of its ends not included")
    fmax: Force | None = Field(default=None, description="largest force on the band that was left")
    problem: str = Field(default="", description="what is wrong with the path, in words")

    @property
    def name(self) -> str:
        """What gates and tables call it."""
        return f"barrier {self.phase} {self.number}"
