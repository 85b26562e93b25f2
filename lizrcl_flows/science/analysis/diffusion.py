"""Transport in one run: tracer and collective diffusion, conductivity; ours and the study's protocol side by side."""

from dataclasses import dataclass
from typing import Any

from lizrcl_flows.errors import InputError
from lizrcl_flows.science.analysis.findings import Options
from lizrcl_flows.science.analysis.run import RunData
from lizrcl_flows.science.diffusion import DiffusionEstimate, diffusion_coefficient, paper_protocol
from lizrcl_flows.science.transport.conductivity import Conductivity, conductivity
from lizrcl_flows.science.transport.haven import HavenEstimate, haven_ratio


@dataclass(frozen=True)
class TransportFindings:
    """What one run says about transport.

    Attributes
    ----------
    tracer, paper
        By our estimator and by the study's protocol.
    collective
        Collective diffusion and the Haven ratio.
    nernst_einstein, with_haven
        Conductivities: of independent ions, and divided by the Haven ratio; None where a number is missing.
    """

    tracer: DiffusionEstimate
    paper: DiffusionEstimate
    collective: HavenEstimate
    nernst_einstein: Conductivity | None
    with_haven: Conductivity | None


def transport_of(run: RunData, options: Options) -> TransportFindings:
    """Measure diffusion and conductivity of the ions of a run."""
    tracer = diffusion_coefficient(run.paths, run.dt_ps)
    paper = paper_protocol(run.paths, run.dt_ps)
    collective = haven_ratio(run.paths, run.dt_ps, tracer)
    return TransportFindings(
        tracer,
        paper,
        collective,
        _conductivity(run, options, tracer),
        _conductivity(run, options, tracer, collective) if collective.haven is not None else None,
    )


def _conductivity(
    run: RunData, options: Options, tracer: DiffusionEstimate, collective: HavenEstimate | None = None
) -> Conductivity | None:
    if options.temperature_k is None or tracer.diffusivity is None or tracer.diffusivity_std is None:
        return None
    if not options.temperature_k > 0:
        raise InputError(f"temperature {options.temperature_k:g} K is not accepted: a number greater than 0")
    more: dict[str, Any] = {}
    if collective is not None:
        more = {"haven": collective.haven, "haven_std": collective.haven_std}
    return conductivity(
        tracer.diffusivity,
        tracer.diffusivity_std,
        run.n_ions,
        run.volume_a3,
        options.temperature_k,
        charge=options.charge,
        **more,
    )
