"""`lizrcl report CAMPAIGN`: figures and tables of a campaign as files."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lizrcl_flows.cli.output import emit_json, jsonable, number, say, text
from lizrcl_flows.cli.progress import GENERATION_HEADER, closed_generations, generation_cells, generation_row
from lizrcl_flows.cli.session import dry_run_option, find_campaign, open_archive

if TYPE_CHECKING:
    from lizrcl_flows.archive import Archive
    from lizrcl_flows.documents import Campaign, Evaluation, Generation, Transport


@click.command()
@click.argument("campaign")
@click.option("--out", "-o", type=click.Path(path_type=Path, file_okay=False), help="Folder; default: report_CAMPAIGN.")
@dry_run_option
def report(campaign: str, out: Path | None, dry_run: bool) -> None:
    """Write parity, eps, learning-curve and displacement figures (PNG), report.md and report.json; prints their paths."""
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
    from lizrcl_flows.science.figures import save_figure

    directory.mkdir(parents=True, exist_ok=True)
    figures = []
    for name, caption, figure in _figures(archive, campaign):
        save_figure(figure, directory / name)
        figures.append((name, caption))
    rows = [generation_row(archive, turn) for turn in closed_generations(archive, campaign)]
    transports = campaign_transports(archive, campaign)
    content = {
        "campaign": campaign.name,
        "id": campaign.id,
        "state": campaign.state,
        "level": campaign.spec.labelling.model_dump(mode="json"),
        "generations": rows,
        "transports": [_transport_row(transport) for transport in transports],
    }
    _write(directory / "report.json", _json(content))
    _write(directory / "report.md", "\n".join(_markdown(campaign, rows, transports, figures)) + "\n")
    return [directory / "report.md", directory / "report.json", *(directory / name for name, _ in figures)]
