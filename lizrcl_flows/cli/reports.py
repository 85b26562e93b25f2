"""`lizrcl report CAMPAIGN|TRAJECTORY`: figures and tables of a campaign, or of one run, as one page and as files."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lizrcl_flows.cli.output import jsonable, say
from lizrcl_flows.cli.progress import GENERATION_HEADER, generation_cells, rejection_lines
from lizrcl_flows.cli.report_parts import Section
from lizrcl_flows.cli.session import dry_run_option, find_campaign, open_archive
from lizrcl_flows.flows.coefficients import campaign_transports
from lizrcl_flows.flows.progress import closed_generations, generation_row

if TYPE_CHECKING:
    from lizrcl_flows.archive import Archive
    from lizrcl_flows.cli.report_files import Written
    from lizrcl_flows.documents import Campaign, Trajectory, Transport

RUN_PREFIX = "tra_"


@click.command()
@click.argument("name", metavar="CAMPAIGN|TRAJECTORY")
@click.option("--out", "-o", type=click.Path(path_type=Path, file_okay=False), help="Folder; default: report_NAME.")
@dry_run_option
def report(name: str, out: Path | None, dry_run: bool) -> None:
    """Write report.html, one page with figures and tables, also as PDF, Markdown, JSON, PNG, CSV; prints the paths.

    A campaign by its name or id, or one run by its id (tra_...).
    """
    with open_archive() as archive:
        if name.startswith(RUN_PREFIX):
            from lizrcl_flows.documents import Trajectory

            run = archive.get(Trajectory, name)
            directory = out or Path(f"report_{run.id}")
            if not dry_run:
                return _print(write_trajectory_report(archive, run, directory))
            name = run.id
        else:
            campaign = find_campaign(archive, name)
            directory = out or Path(f"report_{campaign.name}")
            if not dry_run:
                return _print(write_report(archive, campaign, directory))
            name = campaign.name
        say(f"the report of '{name}' would be written to {directory}/")
    return None


def _print(paths: list[Path]) -> None:
    for path in paths:
        click.echo(str(path))
    say(f"the numbers of every figure are in {paths[0].parent / 'numbers'}/ and in the page itself")


def write_report(archive: "Archive", campaign: "Campaign", directory: Path) -> list[Path]:
    """Write the report of a campaign into a folder.

    Returns
    -------
    list of Path
        The files; report.html, which holds everything, is the first.
    """
    from lizrcl_flows.cli.report_files import write_sections

    turns = closed_generations(archive, campaign)
    rows = [generation_row(archive, turn) for turn in turns]
    transports = campaign_transports(archive, campaign)
    sections = list(_campaign_sections(archive, campaign, rows, transports))
    written = write_sections(directory, f"Campaign {campaign.name}", _campaign_facts(campaign), sections)
    content = {
        "campaign": campaign.name,
        "id": campaign.id,
        "state": campaign.state,
        "labelling": campaign.current.labelling.model_dump(mode="json"),
        "generations": rows,
        "transports": [_transport_row(transport) for transport in transports],
    }
    return _with_json(directory, content, written)


def write_trajectory_report(archive: "Archive", trajectory: "Trajectory", directory: Path) -> list[Path]:
    """Write the report of one run into a folder; the files, report.html first."""
    from lizrcl_flows.cli.report_files import write_sections
    from lizrcl_flows.cli.report_production import analyses_of, trajectory_facts, trajectory_sections
    from lizrcl_flows.flows.coefficients import transports_of

    what = " ".join(dict.fromkeys(name for name in (trajectory.phase, trajectory.region) if name)) or trajectory.formula
    title = f"{trajectory.purpose.capitalize()} run, {what} at {trajectory.temperature_k:g} K"
    sections = trajectory_sections(archive, trajectory)
    written = write_sections(directory, title, trajectory_facts(trajectory), sections)
    content = {
        "trajectory": trajectory.id,
        "campaign": trajectory.campaign,
        "temperature_k": trajectory.temperature_k,
        "phase": trajectory.phase,
        "health": trajectory.health.model_dump(mode="json"),
        "transports": [_transport_row(transport) for transport in transports_of(archive, [trajectory.id])],
        "analyses": [
            entry.model_dump(mode="json", include={"kind", "definition", "parameters", "status", "reason", "results"})
            | {"id": entry.id}
            for entry in analyses_of(archive, trajectory)
        ],
    }
    return _with_json(directory, content, written)


def _with_json(directory: Path, content: dict[str, Any], written: "Written") -> list[Path]:
    from lizrcl_flows.cli.report_files import write_text

    path = directory / "report.json"
    write_text(path, json.dumps(jsonable({**content, "figures": written.figures}), indent=1) + "\n")
    return [*written.paths[:3], path, *written.paths[3:]]


def _campaign_facts(campaign: "Campaign") -> list[str]:
    spec = campaign.current
    about = [spec.description] if spec.description else []
    return [
        *about,
        f"id `{campaign.id}`, system {spec.system}, state {campaign.state}",
        f"labels: {campaign.labels_spent}, {spec.labelling.note or spec.labelling.engine}",
        f"computing time: {campaign.core_hours_spent:.2f} core hours",
    ]


def _campaign_sections(
    archive: "Archive", campaign: "Campaign", rows: list[dict[str, Any]], transports: "list[Transport]"
) -> Iterator[Section]:
    from lizrcl_flows.cli.report_figures import learning_figures, transport_figures
    from lizrcl_flows.cli.report_production import run_section, transport_section
    from lizrcl_flows.documents import Trajectory

    yield Section(
        "Generations",
        tuple(rejection_lines(rows)),
        GENERATION_HEADER,
        tuple(generation_cells(row) for row in rows),
        "The hold-out set is fixed and never trained on: error before -> after the generation's training.",
    )
    yield Section("Learning", shown=learning_figures(archive, campaign))
    if transports:
        yield transport_section("Diffusion", transports, transport_figures(transports))
    runs = archive.find(Trajectory, {"campaign": campaign.name, "purpose": "production"})
    for run in sorted(runs, key=lambda entry: (entry.phase or "", entry.region or "", entry.temperature_k, entry.id)):
        section = run_section(archive, run)
        if section is not None:
            yield section


def _transport_row(transport: "Transport") -> dict[str, Any]:
    names = (
        *("id", "kind", "species", "phase", "region", "temperature_k", "protocol", "status", "reason"),
        *("definition", "diffusivity", "diffusivity_std", "diffusivity_upper_bound", "diffusivity_xyz"),
        *("diffusivity_xyz_std", "haven_ratio", "haven_ratio_std", "activation_energy", "activation_energy_std"),
        *("ln_prefactor", "fit_covariance", "conductivity", "conductivity_low", "conductivity_high"),
        *("n_ions", "n_frames", "n_hops_estimate", "frames_over_eps_lo", "trajectories"),
    )
    return {name: getattr(transport, name) for name in names}
