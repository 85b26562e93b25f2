"""The job that draws the Arrhenius law through the coefficients of one phase at several temperatures."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from jobflow import job

from lizrcl_flows.archive import Archive
from lizrcl_flows.documents import Campaign, Trajectory, Transport
from lizrcl_flows.jobs.context import open_archive, provenance
from lizrcl_flows.jobs.transport import MAIN, PAPER, conductivity_document
from lizrcl_flows.science.transport.arrhenius import ArrheniusFit, arrhenius
from lizrcl_flows.science.transport.conductivity import conductivity
from lizrcl_flows.science.transport.members import MembersMean, mean_of_members

ROOM_TEMPERATURE_K = 300.0

DEFINITION = (
    "ln D = ln D0 - Ea / (k_B T), weighted by the uncertainties of ln D; "
    "extrapolated with the full covariance of the two parameters"
)

Series = tuple[list[Transport], list[Trajectory]]


@job
def fit_arrhenius(campaign_id: str, measured: list[list[str]]) -> list[str]:
    """Fit the Arrhenius law for each cell that was run at several temperatures; return the ids of the documents.

    Parameters
    ----------
    measured
        Ids of the transports of each production run.
    """
    with open_archive() as archive:
        campaign = archive.get(Campaign, campaign_id)
        place = {"campaign": campaign.name, "provenance": provenance()}
        names = [name for group in measured if group for name in group]
        written: list[str] = []
        for protocol in (MAIN, PAPER):
            for series, runs in _series(archive, names, protocol):
                generation = runs[0].generation
                written.extend(
                    archive.put(document.revised(**place, generation=generation))
                    for document in _documents(series, protocol)
                )
        return written


def _series(archive: Archive, names: Sequence[str], protocol: str) -> Iterator[Series]:
    """Yield the resolved coefficients of one cell and one committee at two temperatures or more.

    Runs of different committees are never mixed: their potentials differ.
    """
    groups: dict[tuple[Any, ...], Series] = {}
    wanted = {"_id": {"$in": list(names)}, "kind": "diffusion", "protocol": protocol, "status": "resolved"}
    for transport in archive.find(Transport, wanted, sort=[("temperature_k", 1), ("_id", 1)]):
        run = archive.get(Trajectory, transport.trajectories[0])
        key = (run.committee, run.phase, run.region, run.n_atoms, transport.species)
        series, runs = groups.setdefault(key, ([], []))
        series.append(transport)
        runs.append(run)
    for series, runs in groups.values():
        if len({transport.temperature_k for transport in series}) > 1:
            yield series, runs


def _documents(series: list[Transport], protocol: str) -> Iterator[Transport]:
    """Yield the law, and the conductivity at room temperature that follows from it."""
    points = _points(series)
    fit = arrhenius(
        np.array(list(points)),
        np.array([point.diffusivity for point in points.values()]),
        np.array([point.std for point in points.values()]),
        at_k=ROOM_TEMPERATURE_K,
        committee_spread=np.array([point.ln_spread for point in points.values()]),
    )
    law = _law(series, protocol, points, fit)
    yield law
    first = series[0]
    if protocol != MAIN or first.volume_a3 is None:
        return
    value = conductivity(fit.diffusivity_at, fit.std_at, first.n_ions, first.volume_a3, ROOM_TEMPERATURE_K)
    yield conductivity_document(
        value,
        "nernst_einstein",
        (law.id,),
        trajectories=law.trajectories,
        species=law.species,
        temperature_k=ROOM_TEMPERATURE_K,
        phase=law.phase,
        region=law.region,
        n_ions=first.n_ions,
        n_frames=law.n_frames,
        volume_a3=first.volume_a3,
    )


def _points(series: list[Transport]) -> dict[float, MembersMean]:
    """Return one coefficient for each temperature: the mean over the members that drove a run at it."""
    by_temperature: dict[float, list[Transport]] = {}
    for transport in series:
        by_temperature.setdefault(transport.temperature_k, []).append(transport)
    return {
        temperature: mean_of_members(
            np.array([float(transport.diffusivity or 0.0) for transport in same]),
            np.array([float(transport.diffusivity_std or 0.0) for transport in same]),
        )
        for temperature, same in sorted(by_temperature.items())
    }


def _law(series: list[Transport], protocol: str, points: dict[float, MembersMean], fit: ArrheniusFit) -> Transport:
    first = series[0]
    sources = tuple(transport.id for transport in series)
    trajectories = tuple(dict.fromkeys(name for transport in series for name in transport.trajectories))
    return Transport(
        kind="arrhenius",
        trajectories=trajectories,
        species=first.species,
        protocol=protocol,
        parameters={"extrapolated_to_k": ROOM_TEMPERATURE_K},
        definition=DEFINITION,
        sources=sources,
        temperature_k=ROOM_TEMPERATURE_K,
        phase=first.phase,
        region=first.region,
        n_ions=first.n_ions,
        n_frames=sum(transport.n_frames for transport in series),
        status="resolved",
        diffusivity=fit.diffusivity_at,
        diffusivity_low=fit.low,
        diffusivity_high=fit.high,
        activation_energy=fit.activation_energy_ev,
        activation_energy_std=fit.activation_energy_std_ev,
        ln_prefactor=fit.ln_d0,
        fit_covariance=fit.covariance,
        temperatures_k=tuple(points),
        diffusivities=tuple(point.diffusivity for point in points.values()),
        diffusivities_std=tuple(point.std for point in points.values()),
        committee_spreads=tuple(point.ln_spread for point in points.values()),
        chi2_per_dof=fit.chi2_per_dof,
        non_arrhenius=fit.non_arrhenius,
        n_lags=0,
        lag_ps=np.zeros(0),
        msd_a2=np.zeros(0),
        parents=(*sources, *trajectories),
    )
