"""Transport coefficients: diffusion in one run, the Arrhenius law over several, conductivity."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, JsonValue

from lizrcl_flows.documents.arrays import Array, ArraySpec
from lizrcl_flows.documents.base import Document
from lizrcl_flows.documents.quantities import (
    AreaA2,
    Count,
    Diffusivity,
    Energy,
    Force,
    Index,
    Number,
    Temperature,
    Volume,
)
from lizrcl_flows.units import Unit

Lags = Annotated[Array, ArraySpec("<f8", ("n_lags",), "ps")]
Msd = Annotated[Array, ArraySpec("<f8", ("n_lags",), "A^2")]
MsdOfAxes = Annotated[Array, ArraySpec("<f8", ("n_lags", 3), "A^2")]
Conductivity = Annotated[float, Field(ge=0), Unit("mS/cm")]
Share = Annotated[float, Unit("1")]


class Transport(Document):
    """A transport coefficient with its uncertainty, its definition and the runs it comes from.

    `status` says whether the number means anything: a run that is too short to show diffusion has an upper bound and a
    reason instead of a coefficient. Kind `diffusion` is measured in one run; `arrhenius` is the law through the
    coefficients of several temperatures, and `temperature_k` is then where it is extrapolated to; `conductivity`
    follows from a coefficient and the density of the ions.
    """

    prefix: ClassVar[str] = "tsp"
    collection: ClassVar[str] = "transports"
    identity: ClassVar[tuple[str, ...]] = ("kind", "trajectories", "species", "protocol", "parameters", "sources")
    added_later: ClassVar[tuple[str, ...]] = ("sources",)

    kind: Literal["diffusion", "arrhenius", "conductivity"] = "diffusion"
    trajectories: tuple[str, ...]
    species: str
    protocol: str = Field(
        description="estimator: gls_blocks, or paper; of a conductivity nernst_einstein, or collective"
    )
    parameters: dict[str, JsonValue] = Field(default_factory=dict)
    definition: str = Field(default="", description="what the number is, in words")
    sources: tuple[str, ...] = Field(default=(), description="ids of the transports that this one was computed from")
    temperature_k: Temperature
    phase: str | None = None
    region: str | None = None
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
    diffusivity_quoted: Diffusivity | None = Field(
        default=None, description="what the protocol gives, whether or not it means anything"
    )
    diffusivity_quoted_std: Diffusivity | None = None
    diffusivity_xyz: tuple[Diffusivity, Diffusivity, Diffusivity] | None = Field(
        default=None, description="along each axis"
    )
    diffusivity_xyz_std: tuple[Diffusivity, Diffusivity, Diffusivity] | None = None
    diffusivity_low: Diffusivity | None = Field(default=None, description="one standard uncertainty below, of ln D")
    diffusivity_high: Diffusivity | None = Field(default=None, description="one standard uncertainty above, of ln D")
    collective_diffusivity: Diffusivity | None = Field(
        default=None, description="of the sum of all displacements, divided by the number of ions"
    )
    collective_diffusivity_std: Diffusivity | None = None
    haven_ratio: Number | None = Field(default=None, description="tracer over collective diffusion coefficient")
    haven_ratio_std: Number | None = None
    haven_reason: str = Field(default="", description="why there is no Haven ratio")
    activation_energy: Energy | None = None
    activation_energy_std: Energy | None = None
    ln_prefactor: Number | None = Field(default=None, description="ln of the prefactor in A^2/ps")
    fit_covariance: tuple[Number, Number, Number] | None = Field(
        default=None, description="variance of ln_prefactor, covariance, variance of the activation energy (eV)"
    )
    temperatures_k: tuple[Temperature, ...] = Field(default=(), description="that an Arrhenius law was fitted over")
    diffusivities: tuple[Diffusivity, ...] = Field(default=(), description="at these temperatures")
    diffusivities_std: tuple[Diffusivity, ...] = Field(default=(), description="of sampling")
    committee_spreads: tuple[Number, ...] = Field(
        default=(), description="standard deviation of ln D between members that each drove a run, beyond sampling"
    )
    non_arrhenius: bool = Field(default=False, description="the points do not lie on one line within their errors")
    conductivity: Conductivity | None = None
    conductivity_low: Conductivity | None = Field(default=None, description="one standard uncertainty below, of its ln")
    conductivity_high: Conductivity | None = Field(default=None, description="one standard uncertainty above")
    volume_a3: Volume | None = Field(default=None, description="mean volume of the cell with n_ions in it")
    msd_offset_a2: AreaA2 | None = Field(default=None, description="6 sigma^2 of the cage vibration")
    chi2_per_dof: Number | None = None
    n_hops_estimate: Number | None = None
    n_lags: Count
    lag_ps: Lags
    msd_a2: Msd
    msd_xyz_a2: MsdOfAxes | None = None
    msd_collective_a2: Msd | None = Field(default=None, description="of the sum of displacements, by ion")
    force_deviation_max: Force | None = Field(default=None, description="largest eps of the committee along the run")
    frames_over_eps_lo: Share | None = Field(
        default=None, description="share of checked frames outside the trained domain"
    )
    n_checked: Index = 0
