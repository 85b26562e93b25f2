"""The jobs that measure transport: diffusion and conductivity in one production run, the Arrhenius law over several."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jobflow import job

from lizrcl_flows.documents import Campaign, Trajectory, Transport
from lizrcl_flows.errors import InputError
from lizrcl_flows.jobs.analysis import collected_run, domain_of
from lizrcl_flows.jobs.context import open_archive, provenance, work_directory
from lizrcl_flows.science.analysis.diffusion import TransportFindings, transport_of
from lizrcl_flows.science.analysis.findings import Options
from lizrcl_flows.science.analysis.run import RunData
from lizrcl_flows.science.diffusion import DiffusionEstimate
from lizrcl_flows.science.transport.conductivity import Conductivity

MAIN, PAPER = "gls_blocks", "paper"
"""Ours, and the study's protocol as it stands, always side by side."""

DEFINITIONS = {
    MAIN: "tracer diffusion coefficient: MSD = 6 D lag + offset by generalised least squares with the exact covariance "
    "of Gaussian displacements; uncertainty: the larger one of the fit's and of time blocks'",
    PAPER: "mean of MSD / (6 lag) over every tenth lag up to half of the run, and the standard deviation of the values",
    "nernst_einstein": "n q^2 D / (V k_B T), ions moving independently",
    "collective": "n q^2 D / (V k_B T H_R), H_R the Haven ratio: tracer over collective diffusion coefficient",
}


@job
def measure_diffusion(campaign_id: str, trajectory_id: str, species: str) -> list[str]:
    """Measure diffusion and conductivity of one species in one run, by our estimator and by the study's protocol."""
    with open_archive() as archive, work_directory(f"{trajectory_id}-diffusion") as directory:
        campaign = archive.get(Campaign, campaign_id)
        trajectory = archive.get(Trajectory, trajectory_id)
        place = {"campaign": campaign.name, "generation": trajectory.generation, "provenance": provenance()}
        try:
            run = collected_run(archive, trajectory, species, directory)
        except InputError as error:
            return [archive.put(_unresolved(trajectory, species, str(error), directory).revised(**place))]
        domain = domain_of(archive, campaign, trajectory, run, directory)
        found = transport_of(run, Options(temperature_k=trajectory.temperature_k))
        written = [archive.put(document.revised(**place, **domain)) for document in _documents(trajectory, run, found)]
        conductivities = _conductivities(trajectory, run, found, written[0])
        return [*written, *(archive.put(document.revised(**place)) for document in conductivities)]


def _documents(trajectory: Trajectory, run: RunData, found: TransportFindings) -> Iterator[Transport]:
    """Yield the coefficient by our estimator and by the study's protocol."""
    collective = found.collective
    yield _diffusion(trajectory, run, MAIN, found.tracer).revised(
        collective_diffusivity=collective.collective_diffusivity,
        collective_diffusivity_std=collective.collective_std,
        haven_ratio=collective.haven,
        haven_ratio_std=collective.haven_std,
        haven_reason=collective.reason,
        msd_collective_a2=_on_lags(found.tracer, collective.lag_ps, collective.collective_msd_a2),
    )
    yield _diffusion(trajectory, run, PAPER, found.paper)


def _on_lags(tracer: DiffusionEstimate, lag_ps: Any, values: Any) -> Any:
    """Return a curve at the lags of the tracer's; None where its own lags do not cover them."""
    lags, curve = np.asarray(lag_ps), np.asarray(values)
    if len(lags) < 2:
        return None
    inside = np.interp(tracer.lag_ps, lags, curve)
    return np.where(tracer.lag_ps <= lags[-1] * (1 + 1e-9), inside, np.nan)


def _diffusion(trajectory: Trajectory, run: RunData, protocol: str, estimate: DiffusionEstimate) -> Transport:
    return Transport(
        trajectories=(trajectory.id,),
        species=run.ion,
        protocol=protocol,
        parameters=dict(estimate.parameters),
        definition=DEFINITIONS[protocol],
        temperature_k=trajectory.temperature_k,
        phase=trajectory.phase,
        region=trajectory.region,
        n_ions=estimate.n_ions,
        n_frames=estimate.n_frames,
        status=estimate.status,
        reason=estimate.reason,
        diffusivity=estimate.diffusivity,
        diffusivity_std=estimate.diffusivity_std,
        diffusivity_upper_bound=estimate.upper_bound,
        diffusivity_quoted=estimate.raw_diffusivity,
        diffusivity_quoted_std=estimate.raw_std,
        diffusivity_xyz=estimate.per_axis,
        diffusivity_xyz_std=estimate.per_axis_std,
        volume_a3=run.volume_a3,
        msd_offset_a2=estimate.offset_a2,
        chi2_per_dof=estimate.chi2_per_dof,
        n_hops_estimate=estimate.n_hops,
        n_lags=len(estimate.lag_ps),
        lag_ps=estimate.lag_ps,
        msd_a2=estimate.msd_a2,
        msd_xyz_a2=estimate.msd_xyz_a2,
        parents=(trajectory.id,),
    )


def _conductivities(trajectory: Trajectory, run: RunData, found: TransportFindings, main: str) -> Iterator[Transport]:
    for protocol, value in (("nernst_einstein", found.nernst_einstein), ("collective", found.with_haven)):
        if value is not None:
            yield conductivity_document(
                value,
                protocol,
                (main,),
                trajectories=(trajectory.id,),
                species=run.ion,
                temperature_k=trajectory.temperature_k,
                phase=trajectory.phase,
                region=trajectory.region,
                n_ions=run.n_ions,
                n_frames=run.n_frames,
                volume_a3=run.volume_a3,
            )


def conductivity_document(
    value: Conductivity, protocol: str, sources: tuple[str, ...], *, trajectories: tuple[str, ...], **place: Any
) -> Transport:
    """Return the document of a conductivity that follows from other transports."""
    return Transport(
        kind="conductivity",
        protocol=protocol,
        definition=DEFINITIONS[protocol],
        sources=sources,
        status="resolved",
        conductivity=value.ms_per_cm,
        conductivity_low=value.low,
        conductivity_high=value.high,
        n_lags=0,
        lag_ps=np.zeros(0),
        msd_a2=np.zeros(0),
        trajectories=trajectories,
        parents=(*sources, *trajectories),
        **place,
    )


def _unresolved(trajectory: Trajectory, species: str, why: str, directory: Path) -> Transport:
    """Say that a run ended before there was anything to measure."""
    health = trajectory.health
    reason = why.replace(f"{directory}/", "")
    return Transport(
        trajectories=(trajectory.id,),
        species=species,
        protocol=MAIN,
        definition=DEFINITIONS[MAIN],
        temperature_k=trajectory.temperature_k,
        phase=trajectory.phase,
        n_ions=0,
        n_frames=trajectory.n_frames,
        status="not_resolved",
        reason=f"{reason}: {health.reason}" if health.reason else reason,
        n_lags=0,
        lag_ps=np.zeros(0),
        msd_a2=np.zeros(0),
        parents=(trajectory.id,),
    )
