"""Production: runs, diffusion coefficients, mean square displacements, Arrhenius laws and what else was analysed."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from lizrcl_flows.archive import Archive
from lizrcl_flows.archive.browsing import Query
from lizrcl_flows.documents import Transport
from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.flows.campaigns import find_campaign
from lizrcl_flows.flows.coefficients import KINDS, MAIN_PROTOCOL
from lizrcl_flows.science.coefficient_words import CM2_PER_S, coefficient_sentence
from lizrcl_flows.units import BOLTZMANN_EV_PER_K

MOST_RUNS = 200
MOST_CURVES = 12
MOST_LAGS = 200
"""Points of one curve of the chart; the document has all."""

MOST_ANALYSES = 100
LAW_POINTS = 40

_RUN = (
    *("phase", "region", "temperature_k", "pressure_gpa", "ensemble", "steps", "time_step_fs", "n_frames", "n_atoms"),
    *("health", "committee", "core_hours", "generation"),
)
_ANALYSIS = ("kind", "trajectory", "phase", "region", "temperature_k", "status", "reason", "results", "definition")

Content = dict[str, Any]


def production(archive: Archive, name: str) -> Content:
    """Return what production runs of a campaign gave.

    Raises
    ------
    NotFoundError, InputError
        If there is no such campaign; if several have that name.
    """
    campaign = find_campaign(archive, name)
    place = {"campaign": campaign.name, "purpose": "production"}
    runs = Query("trajectories", place, _RUN, (("temperature_k", 1), ("_id", 1)), limit=MOST_RUNS)
    records = runs.records(archive)
    names = [record["_id"] for record in records]
    of_runs = Query("transports", {"trajectories": {"$in": names}})
    analyses = Query(
        "analyses", {"trajectory": {"$in": names}}, _ANALYSIS, (("trajectory", 1), ("kind", 1)), limit=MOST_ANALYSES
    )
    transports = sorted(archive.find(Transport, of_runs.criteria), key=_order)
    return {
        "name": campaign.name,
        "id": campaign.id,
        "runs": records,
        "n_runs": runs.total(archive),
        "transports": [_row(entry) for entry in transports],
        "charts": [chart for chart in (_displacements(transports), _arrhenius(transports)) if chart["series"]],
        "analyses": analyses.records(archive),
        "n_analyses": analyses.total(archive),
        "queries": {"runs": str(runs), "transports": str(of_runs), "analyses": str(analyses)},
    }


def _order(entry: Transport) -> tuple[int, bool, str, float, str]:
    return KINDS.index(entry.kind), entry.protocol != MAIN_PROTOCOL, entry.phase or "", entry.temperature_k, entry.id


def _row(entry: Transport) -> Content:
    fields = (
        *("id", "kind", "species", "phase", "region", "temperature_k", "protocol", "status", "reason"),
        *("diffusivity", "diffusivity_std", "diffusivity_low", "diffusivity_high", "diffusivity_upper_bound"),
        *("activation_energy", "activation_energy_std", "conductivity", "conductivity_low", "conductivity_high"),
        *("haven_ratio", "frames_over_eps_lo", "n_ions", "n_frames"),
    )
    value = entry.diffusivity
    per_second = None if value is None else value * CM2_PER_S
    return {
        **{name: getattr(entry, name) for name in fields},
        "diffusivity_cm2_per_s": per_second,
        "sentence": coefficient_sentence(entry),
    }


def _place(entry: Transport) -> str:
    names = dict.fromkeys(name for name in (entry.phase, entry.region) if name)
    return " ".join((entry.species, "in", *names)) if names else entry.species


def _displacements(transports: Sequence[Transport]) -> Content:
    """Return the mean square displacements by our estimator's documents, on two logarithmic axes."""
    shown = [entry for entry in transports if entry.kind == "diffusion" and entry.protocol == MAIN_PROTOCOL]
    shown = [entry for entry in shown if entry.n_lags][:MOST_CURVES]
    return {
        "name": "msd",
        "title": "Mean square displacement",
        "x": {"label": "lag (ps)", "log": True},
        "y": {"label": "MSD (A^2)", "log": True},
        "series": [
            {"label": f"{_place(entry)}, {entry.temperature_k:g} K", **_thinned(entry.lag_ps, entry.msd_a2)}
            for entry in shown
        ],
    }


def _thinned(x: Array, y: Array) -> Content:
    """Return at most `MOST_LAGS` points, even on a logarithmic axis; only what such an axis can show."""
    kept = np.flatnonzero((x > 0) & (y > 0) & np.isfinite(y))
    if len(kept) > MOST_LAGS:
        kept = kept[np.unique(np.geomspace(1, len(kept), MOST_LAGS).astype(int) - 1)]
    return {"x": x[kept].tolist(), "y": y[kept].tolist()}


def _arrhenius(transports: Sequence[Transport]) -> Content:
    """Return coefficients with one standard uncertainty against 1000/T, and the laws with theirs as bands."""
    return {
        "name": "arrhenius",
        "title": "Diffusion coefficients and Arrhenius laws (bars and bands: one standard uncertainty)",
        "x": {"label": "1000 / T (1/K)"},
        "y": {"label": "D (A^2/ps)", "log": True},
        "series": [*_points(transports), *_laws(transports)],
    }


def _points(transports: Sequence[Transport]) -> Iterator[Content]:
    groups: dict[str, list[Transport]] = {}
    for entry in transports:
        if (
            entry.kind == "diffusion"
            and entry.protocol == MAIN_PROTOCOL
            and entry.diffusivity
            and entry.diffusivity > 0
        ):
            groups.setdefault(_place(entry), []).append(entry)
    for name, entries in groups.items():
        ordered = sorted(entries, key=lambda entry: -entry.temperature_k)
        values = [entry.diffusivity or 0.0 for entry in ordered]
        spreads = [entry.diffusivity_std or 0.0 for entry in ordered]
        yield {
            "label": name,
            "group": name,
            "points": True,
            "x": [1000.0 / entry.temperature_k for entry in ordered],
            "y": values,
            "low": [value * math.exp(-spread / value) for value, spread in zip(values, spreads, strict=True)],
            "high": [value * math.exp(spread / value) for value, spread in zip(values, spreads, strict=True)],
        }


def _laws(transports: Sequence[Transport]) -> Iterator[Content]:
    for entry in transports:
        if entry.kind != "arrhenius" or entry.protocol != MAIN_PROTOCOL:
            continue
        if entry.activation_energy is None or entry.ln_prefactor is None or not entry.temperatures_k:
            continue
        inverse = np.linspace(
            1 / max(entry.temperatures_k), 1 / min((*entry.temperatures_k, entry.temperature_k)), LAW_POINTS
        )
        slope = -inverse / BOLTZMANN_EV_PER_K
        middle = entry.ln_prefactor + entry.activation_energy * slope
        law = {
            "label": f"{_place(entry)}: Ea {entry.activation_energy:.3f} eV",
            "group": _place(entry),
            "x": (1000 * inverse).tolist(),
            "y": np.exp(middle).tolist(),
        }
        if entry.fit_covariance is not None:
            of_prefactor, both, of_energy = entry.fit_covariance
            spread = np.sqrt(np.maximum(of_prefactor + 2 * slope * both + slope**2 * of_energy, 0.0))
            law |= {"low": np.exp(middle - spread).tolist(), "high": np.exp(middle + spread).tolist()}
        yield law
