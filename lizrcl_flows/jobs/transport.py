"""The job that measures a diffusion coefficient in a production run."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jobflow import job

from lizrcl_flows.archive import Archive
from lizrcl_flows.documents import Campaign, Committee, Trajectory, Transport
from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.gpumd import TrajectoryFrame, read_dump_xyz
from lizrcl_flows.jobs.context import open_archive, provenance, work_directory
from lizrcl_flows.jobs.training import committee_files
from lizrcl_flows.nep import Committee as NepCommittee
from lizrcl_flows.science.diffusion import DiffusionEstimate, diffusion_coefficient, paper_protocol
from lizrcl_flows.science.msd import remove_drift, unwrap

PROTOCOLS = {"gls_blocks": diffusion_coefficient, "paper": paper_protocol}
"""Ours, and the study's protocol as it stands, always side by side."""

N_CHECKED = 50
"""Frames of a production run on which the committee is asked whether it still knows them."""

FEWEST_FRAMES = 3
"""Frames below which a run says nothing about diffusion."""


@job
def measure_diffusion(campaign_id: str, trajectory_id: str, species: str) -> list[str]:
    """Measure tracer diffusion of one species in one run, by our estimator and by the study's protocol."""
    with open_archive() as archive, work_directory(f"{trajectory_id}-diffusion") as directory:
        campaign = archive.get(Campaign, campaign_id)
        trajectory = archive.get(Trajectory, trajectory_id)
        frames = list(read_dump_xyz(archive.fetch_file(trajectory.files[0], directory)))
        if len(frames) < FEWEST_FRAMES:
            document = _unresolved(trajectory, species, len(frames))
            place = {"campaign": campaign.name, "generation": trajectory.generation, "provenance": provenance()}
            return [archive.put(document.revised(**place))]
        ions = np.array([symbol == species for symbol in frames[0].species])
        positions = _displacements(frames, ions)
        interval_ps = trajectory.sample_every * trajectory.time_step_fs / 1000
        domain = _domain(archive, trajectory, frames, directory, campaign.current.screening.eps_lo)
        written = []
        for protocol, estimate in PROTOCOLS.items():
            document = _document(trajectory, species, protocol, estimate(positions, interval_ps))
            document = document.revised(
                campaign=campaign.name, generation=trajectory.generation, provenance=provenance(), **domain
            )
            written.append(archive.put(document))
        return written


def _unresolved(trajectory: Trajectory, species: str, n_frames: int) -> Transport:
    """Say that a run ended before there was anything to measure."""
    health = trajectory.health
    why = f": {health.reason}" if health.reason else ""
    return Transport(
        trajectories=(trajectory.id,),
        species=species,
        protocol=next(iter(PROTOCOLS)),
        temperature_k=trajectory.temperature_k,
        phase=trajectory.phase,
        n_ions=0,
        n_frames=n_frames,
        status="not_resolved",
        reason=f"the run left {n_frames} frames, {FEWEST_FRAMES} are needed{why}",
        n_lags=0,
        lag_ps=np.zeros(0),
        msd_a2=np.zeros(0),
        parents=(trajectory.id,),
    )


def _displacements(frames: list[TrajectoryFrame], ions: Array) -> Array:
    """Return unwrapped ion positions (T, N, 3), A, relative to the framework's centre."""
    if frames[0].unwrapped_positions is not None:
        positions = np.array([frame.unwrapped_positions for frame in frames])
    else:
        positions = unwrap(np.array([frame.positions for frame in frames]), np.array([frame.cell for frame in frames]))
    return remove_drift(positions, ~ions)[:, ions]


def _domain(
    archive: Archive, trajectory: Trajectory, frames: list[TrajectoryFrame], directory: Path, eps_lo: float
) -> dict[str, Any]:
    """Ask the committee whether the run stayed where it was trained; without one there is nobody to ask."""
    if trajectory.committee is None:
        return {}
    committee = archive.get(Committee, trajectory.committee)
    evaluator = NepCommittee.from_files(committee_files(archive, committee, directory / "committee"))
    checked = list(_spread(frames, N_CHECKED))
    eps = np.array([result.eps for result in evaluator.evaluate(checked)])
    return {
        "force_deviation_max": float(eps.max()),
        "frames_over_eps_lo": float((eps >= eps_lo).mean()),
        "n_checked": len(checked),
    }


def _spread(frames: list[TrajectoryFrame], n: int) -> Iterator[TrajectoryFrame]:
    for i in np.unique(np.linspace(0, len(frames) - 1, min(n, len(frames))).round().astype(int)):
        yield frames[i]


def _document(trajectory: Trajectory, species: str, protocol: str, estimate: DiffusionEstimate) -> Transport:
    return Transport(
        trajectories=(trajectory.id,),
        species=species,
        protocol=protocol,
        parameters=dict(estimate.parameters),
        temperature_k=trajectory.temperature_k,
        phase=trajectory.phase,
        n_ions=estimate.n_ions,
        n_frames=estimate.n_frames,
        status=estimate.status,
        reason=estimate.reason,
        diffusivity=estimate.diffusivity,
        diffusivity_std=estimate.diffusivity_std,
        diffusivity_upper_bound=estimate.upper_bound,
        msd_offset_a2=estimate.offset_a2,
        chi2_per_dof=estimate.chi2_per_dof,
        n_hops_estimate=estimate.n_hops,
        n_lags=len(estimate.lag_ps),
        lag_ps=estimate.lag_ps,
        msd_a2=estimate.msd_a2,
        parents=(trajectory.id,),
    )
