"""Everything that is measured in one trajectory, and how it is told."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lizrcl_flows.science.analysis.diffusion import TransportFindings, transport_of
from lizrcl_flows.science.analysis.findings import Finding, Options
from lizrcl_flows.science.analysis.layout import layout_of
from lizrcl_flows.science.analysis.motion import HOPS, attempted, hops_of, motion_findings
from lizrcl_flows.science.analysis.run import RunData
from lizrcl_flows.science.analysis.structure import structure_findings
from lizrcl_flows.science.diffusion import DiffusionEstimate
from lizrcl_flows.science.transport.conductivity import Conductivity


@dataclass(frozen=True)
class WholeAnalysis:
    """What one trajectory says.

    Attributes
    ----------
    run, options
        What was looked at, and how.
    transport
        Diffusion, Haven ratio, conductivity.
    findings
        Hops first, then everything else that was asked for.
    """

    run: RunData
    options: Options
    transport: TransportFindings
    findings: tuple[Finding, ...]

    @property
    def notes(self) -> list[str]:
        """What is to be known about the file before its numbers are believed."""
        notes = []
        if self.run.cut_short:
            notes.append(f"{self.run.cut_short} The whole frames before are used.")
        if self.run.n_repeated:
            notes.append(f"{self.run.n_repeated} frames were left out: their time does not go on")
        if self.run.ions.all():
            notes.append(
                "there are no other atoms than the ions: their own centre is held still for want of a framework"
            )
        return notes

    def as_json(self) -> dict[str, Any]:
        """Return all scalars with their units in the names."""
        run, transport = self.run, self.transport
        hops = next(entry for entry in self.findings if entry.kind == "hops")
        return {
            "species": run.ion,
            "n_frames": run.n_frames,
            "n_atoms": len(run.species),
            "n_ions": run.n_ions,
            "dt_ps": run.dt_ps,
            "duration_ps": (run.n_frames - 1) * run.dt_ps,
            "volume_A3": run.volume_a3,
            "temperature_k": self.options.temperature_k,
            "notes": self.notes,
            "diffusion": {**_told(transport.tracer), "paper": _paper(transport.paper)},
            "haven": transport.collective.haven,
            "haven_sigma": transport.collective.haven_std,
            "haven_reason": transport.collective.reason,
            "collective_D_A2_per_ps": transport.collective.collective_diffusivity,
            "collective_sigma_A2_per_ps": transport.collective.collective_std,
            "conductivity": {
                "nernst_einstein": _siemens(transport.nernst_einstein),
                "collective": _siemens(transport.with_haven),
            },
            "hops": {"reason": hops.reason} if hops.reason else {**hops.results, **hops.parameters},
            "structure": {
                entry.kind: {"reason": entry.reason} if entry.reason else entry.results
                for entry in self.findings
                if entry.kind != "hops"
            },
        }


def analyse_run(run: RunData, options: Options, *, structure: bool = True, model: Path | None = None) -> WholeAnalysis:
    """Measure everything in a run.

    Parameters
    ----------
    structure
        Whether structure and layers are looked at besides transport and hops.
    model
        nep.txt whose descriptors place the ions' environments on a map; without it there is no map.
    """
    transport = transport_of(run, options)
    found = findings_of(run, options, model) if structure else _hops_only(run, options)
    return WholeAnalysis(run, options, transport, tuple(found))


def findings_of(run: RunData, options: Options, model: Path | None = None) -> list[Finding]:
    """Return every analysis of motion and structure; one that is not possible says why."""
    layout = layout_of(run, options)
    return [*motion_findings(run, options, layout), *structure_findings(run, options, layout, model)]


def _hops_only(run: RunData, options: Options) -> list[Finding]:
    layout = layout_of(run, options)
    return [attempted("hops", HOPS, lambda: hops_of(run, options, layout))]


def _told(estimate: DiffusionEstimate) -> dict[str, Any]:
    return {
        "D_A2_per_ps": estimate.diffusivity,
        "sigma_A2_per_ps": estimate.diffusivity_std,
        "per_axis": estimate.per_axis,
        "per_axis_sigma": estimate.per_axis_std,
        "status": estimate.status,
        "reason": estimate.reason,
        "upper_bound_A2_per_ps": estimate.upper_bound,
        "n_hops": estimate.n_hops,
        "msd_offset_A2": estimate.offset_a2,
        "chi2_per_dof": estimate.chi2_per_dof,
        "fit_lags_ps": estimate.fit_lags_ps,
    }


def _paper(estimate: DiffusionEstimate) -> dict[str, Any]:
    return {"D_A2_per_ps": estimate.raw_diffusivity, "sigma_A2_per_ps": estimate.raw_std}


def _siemens(value: Conductivity | None) -> dict[str, float] | None:
    return None if value is None else {"mS_per_cm": value.ms_per_cm, "low": value.low, "high": value.high}
