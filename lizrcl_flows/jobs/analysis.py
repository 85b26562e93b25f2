"""The job that analyses the structure and the motion in one run, and what every job on a run's frames needs."""

from pathlib import Path
from typing import Any

import numpy as np
from jobflow import job

from lizrcl_flows.archive import Archive
from lizrcl_flows.documents import Analysis, Campaign, Committee, Trajectory
from lizrcl_flows.errors import InputError
from lizrcl_flows.gpumd import read_thermo
from lizrcl_flows.gpumd.source import open_trajectory
from lizrcl_flows.jobs.context import open_archive, provenance, work_directory
from lizrcl_flows.jobs.training import committee_files
from lizrcl_flows.nep import Committee as NepCommittee
from lizrcl_flows.nep.frames import Frame
from lizrcl_flows.science.analysis.findings import Finding, Options
from lizrcl_flows.science.analysis.run import RunData, collect
from lizrcl_flows.science.analysis.whole import findings_of
from lizrcl_flows.settings import load_settings

N_CHECKED = 50
"""Frames of a production run on which the committee is asked whether it still knows them."""


@job
def analyse_run(campaign_id: str, trajectory_id: str, species: str) -> list[str]:
    """Analyse structure, hops and layers of a production run; return the ids of the documents."""
    with open_archive() as archive, work_directory(f"{trajectory_id}-analysis") as directory:
        campaign = archive.get(Campaign, campaign_id)
        trajectory = archive.get(Trajectory, trajectory_id)
        try:
            run = collected_run(archive, trajectory, species, directory)
        except InputError:
            return []  # the transport of this run says why
        options = Options(temperature_k=trajectory.temperature_k)
        found = [
            *_thermo(archive, trajectory, directory),
            *_eps(archive, campaign, trajectory, run, directory),
            *findings_of(run, options, _driving_model(archive, trajectory, directory)),
        ]
        return [_put(archive, campaign, trajectory, finding, directory) for finding in found]


def collected_run(archive: Archive, trajectory: Trajectory, species: str, directory: Path) -> RunData:
    """Return the ions' paths and some frames of a trajectory document.

    Raises
    ------
    InputError
        If there is nothing to measure: too few frames, none of the species.
    """
    if not trajectory.files:
        raise InputError("the run left no trajectory")
    interval_ps = trajectory.sample_every * trajectory.time_step_fs / 1000
    elements = None
    if trajectory.committee is not None:  # GPUMD's NetCDF has numbers for elements: those of the potential, in order
        elements = archive.get(Committee, trajectory.committee).elements
    with open_trajectory(archive.fetch_file(trajectory.files[0], directory), elements) as source:
        return collect(source, species, interval_ps)


def domain_of(
    archive: Archive, campaign: Campaign, trajectory: Trajectory, run: RunData, directory: Path
) -> dict[str, Any]:
    """Ask the committee whether the run stayed where it was trained; without one there is nobody to ask."""
    if trajectory.committee is None:
        return {}
    _, eps = _deviations(archive, trajectory, run, directory)
    return {
        "force_deviation_max": float(eps.max()),
        "frames_over_eps_lo": float((eps >= campaign.current.screening.eps_lo).mean()),
        "n_checked": len(eps),
    }


def _driving_model(archive: Archive, trajectory: Trajectory, directory: Path) -> Path | None:
    if trajectory.committee is None:
        return None
    committee = archive.get(Committee, trajectory.committee)
    return Path(committee_files(archive, committee, directory / "committee")[trajectory.member])


def _deviations(archive: Archive, trajectory: Trajectory, run: RunData, directory: Path) -> tuple[Any, Any]:
    """Return times (ps) and eps (eV/A) of frames spread over the run."""
    committee = archive.get(Committee, str(trajectory.committee))
    evaluator = NepCommittee.from_files(committee_files(archive, committee, directory / "committee"))
    n_kept = len(run.samples)
    chosen = np.unique(np.linspace(0, n_kept - 1, min(N_CHECKED, n_kept)).round().astype(int))
    frames = [
        Frame(run.species, run.cells[run.sample_frames[index]], run.samples[index].astype(float)) for index in chosen
    ]
    results = evaluator.evaluate(frames, load_settings().threads)
    return run.sample_frames[chosen] * run.dt_ps, np.array([result.eps for result in results])


def _eps(archive: Archive, campaign: Campaign, trajectory: Trajectory, run: RunData, directory: Path) -> list[Finding]:
    if trajectory.committee is None:
        return []
    times, eps = _deviations(archive, trajectory, run, directory)
    eps_lo = campaign.current.screening.eps_lo
    return [
        Finding(
            kind="eps",
            definition="largest deviation of an atom's force in the committee, max_i sqrt(sum_xyz var F_i), population "
            "variance, in frames spread over the run",
            n_frames=len(eps),
            parameters={"eps_lo": eps_lo},
            results={
                "eps_max_ev_per_a": float(eps.max()),
                "eps_median_ev_per_a": float(np.median(eps)),
                "frames_over_eps_lo_share": float((eps >= eps_lo).mean()),
            },
            arrays={"times_ps": times, "eps": eps},
        )
    ]


def _thermo(archive: Archive, trajectory: Trajectory, directory: Path) -> list[Finding]:
    """Return temperature, volume and energy along the run, where its table tells the time of its rows."""
    stored = next((entry for entry in trajectory.files if entry.name == "thermo.out"), None)
    if stored is None:
        return []
    thermo = read_thermo(archive.fetch_file(stored, directory))
    if not len(thermo.temperature_k) or not np.isfinite(thermo.time_fs).all():
        return []
    energy = (thermo.kinetic_energy + thermo.potential_energy) / trajectory.n_atoms
    return [
        Finding(
            kind="thermo",
            definition="kinetic temperature, volume and total energy of the cell along the sampled part of the run",
            n_frames=len(energy),
            results={
                "temperature_mean_k": float(thermo.temperature_k.mean()),
                "temperature_std_k": float(thermo.temperature_k.std()),
                "volume_mean_a3": float(thermo.volume.mean()),
                "energy_mean_ev_per_atom": float(energy.mean()),
            },
            arrays={
                "time_ps": thermo.time_fs / 1000,
                "temperature_k": thermo.temperature_k,
                "volume_a3": thermo.volume,
                "energy_ev_per_atom": energy,
            },
        )
    ]


def _put(archive: Archive, campaign: Campaign, trajectory: Trajectory, finding: Finding, directory: Path) -> str:
    stored = None
    if finding.arrays:
        path = directory / f"{finding.kind}.npz"
        arrays: dict[str, Any] = {name: np.asarray(array) for name, array in finding.arrays.items()}
        np.savez_compressed(path, **arrays)
        stored = archive.put_file(path)
    return archive.put(
        Analysis(
            kind=finding.kind,
            trajectory=trajectory.id,
            parameters=finding.parameters,
            definition=finding.definition,
            temperature_k=trajectory.temperature_k,
            phase=trajectory.phase,
            region=trajectory.region,
            n_frames=finding.n_frames,
            status="not_possible" if finding.reason else "done",
            reason=finding.reason,
            results=finding.results,
            arrays=stored,
            parents=(trajectory.id,),
            campaign=campaign.name,
            generation=trajectory.generation,
            provenance=provenance(),
        )
    )
