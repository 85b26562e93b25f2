"""`lizrcl report CAMPAIGN`: figures and tables of a campaign as files."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lizrcl_flows.cli.coefficients import campaign_transports, coefficient_sentence
from lizrcl_flows.cli.output import jsonable, say, text
from lizrcl_flows.cli.progress import (
    GENERATION_HEADER,
    closed_generations,
    generation_cells,
    generation_row,
    rejection_lines,
)
from lizrcl_flows.cli.session import dry_run_option, find_campaign, open_archive

if TYPE_CHECKING:
    from lizrcl_flows.archive import Archive
    from lizrcl_flows.documents import Campaign, Transport

Figures = list[tuple[str, str]]
"""File name and caption of each figure."""


@click.command()
@click.argument("campaign")
@click.option("--out", "-o", type=click.Path(path_type=Path, file_okay=False), help="Folder; default: report_CAMPAIGN.")
@dry_run_option
def report(campaign: str, out: Path | None, dry_run: bool) -> None:
    """Write parity, eps, learning-curve and displacement figures (PNG), report.md and report.json; prints the paths."""
    with open_archive() as archive:
        entry = find_campaign(archive, campaign)
        directory = out or Path(f"report_{entry.name}")
        if dry_run:
            say(f"the report of '{entry.name}' would be written to {directory}/")
            return
        for path in write_report(archive, entry, directory):
            click.echo(str(path))


def write_report(archive: "Archive", campaign: "Campaign", directory: Path) -> list[Path]:
    """Write the report of a campaign into a folder.

    Returns
    -------
    list of Path
        The files; report.md, which shows the figures, is the first.
    """
    from lizrcl_flows.cli.report_figures import campaign_figures
    from lizrcl_flows.science.figures import save_figure

    directory.mkdir(parents=True, exist_ok=True)
    figures: Figures = []
    for name, caption, figure in campaign_figures(archive, campaign):
        save_figure(figure, directory / name)
        figures.append((name, caption))
    rows = [generation_row(archive, turn) for turn in closed_generations(archive, campaign)]
    transports = campaign_transports(archive, campaign)
    content = {
        "campaign": campaign.name,
        "id": campaign.id,
        "state": campaign.state,
        "labelling": campaign.current.labelling.model_dump(mode="json"),
        "generations": rows,
        "transports": [_transport_row(transport) for transport in transports],
    }
    _write(directory / "report.json", json.dumps(jsonable(content), indent=1) + "\n")
    _write(directory / "report.md", "\n".join(_markdown(campaign, rows, transports, figures)) + "\n")
    return [directory / "report.md", directory / "report.json", *(directory / name for name, _ in figures)]


def _markdown(
    campaign: "Campaign", rows: Sequence[dict[str, Any]], transports: "Sequence[Transport]", figures: Figures
) -> Iterator[str]:
    spec = campaign.current
    yield f"# Campaign {campaign.name}\n"
    if spec.description:
        yield f"{spec.description}\n"
    yield f"* id `{campaign.id}`, system {spec.system}, state {campaign.state}"
    yield f"* labels: {campaign.labels_spent}, {spec.labelling.note or spec.labelling.engine}"
    yield f"* computing time: {campaign.core_hours_spent:.2f} core hours\n"
    yield "## Generations\n"
    yield from _markdown_table(GENERATION_HEADER, (generation_cells(row) for row in rows))
    yield ""
    yield from (f"* {line}" for line in rejection_lines(rows))
    yield "\nThe hold-out set is fixed and never trained on: error before -> after the generation's training.\n"
    if transports:
        yield "## Diffusion\n"
        yield from (f"* {coefficient_sentence(entry)}; `{entry.id}`" for entry in transports)
        yield f"\n`lizrcl lineage {transports[0].id}` leads from this number back to every label.\n"
    for name, caption in figures:
        yield f"![{caption}]({name})\n\n{caption}\n"


def _markdown_table(header: Iterable[str], rows: Iterable[Iterable[Any]]) -> Iterator[str]:
    names = [" ".join(name.split()) for name in header]
    yield f"| {' | '.join(names)} |"
    yield f"|{' --- |' * len(names)}"
    for row in rows:
        yield f"| {' | '.join(text(cell).replace('|', '/') for cell in row)} |"


def _transport_row(transport: "Transport") -> dict[str, Any]:
    names = (
        *("id", "species", "phase", "temperature_k", "protocol", "status", "reason", "diffusivity", "diffusivity_std"),
        *("n_ions", "n_frames", "n_hops_estimate", "frames_over_eps_lo", "trajectories"),
    )
    return {name: getattr(transport, name) for name in names}


def _write(path: Path, content: str) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(content, encoding="utf-8")
    partial.replace(path)
