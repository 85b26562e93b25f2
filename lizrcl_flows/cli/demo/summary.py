"""How the demo ends: the table by generation, the report's files, the coefficient, its lineage, and how to go on."""

import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lizrcl_flows.cli.lineage import lineage_tree
from lizrcl_flows.cli.output import say, show, table
from lizrcl_flows.cli.progress import GENERATION_HEADER, generation_cells, rejection_lines
from lizrcl_flows.flows.coefficients import campaign_transports
from lizrcl_flows.flows.progress import closed_generations, generation_row
from lizrcl_flows.science.coefficient_words import coefficient_sentence

if TYPE_CHECKING:
    from lizrcl_flows.archive import Archive
    from lizrcl_flows.documents import Campaign, Transport


def print_summary(archive: "Archive", campaign: "Campaign", workdir: Path) -> None:
    """Print all that the demo ends with, on stdout."""
    from lizrcl_flows.cli.reports import write_report

    rows = [generation_row(archive, turn) for turn in closed_generations(archive, campaign)]
    click.echo()
    show(table(GENERATION_HEADER, [generation_cells(row) for row in rows], dense=True))
    for line in rejection_lines(rows):
        click.echo(line)
    click.echo("\nreport:")
    for path in write_report(archive, campaign, workdir / "report"):
        click.echo(f"  {_short(path)}")
    transports = campaign_transports(archive, campaign)
    click.echo()
    for transport in transports:
        click.echo(coefficient_sentence(transport))
    if transports:
        click.echo(f"\nlizrcl lineage {transports[0].id}")
        show(lineage_tree(archive, transports[0].id, "up", None), cut=True)
    click.echo()
    for line in _how_to_go_on(workdir, campaign, transports):
        say(line)


def _how_to_go_on(workdir: Path, campaign: "Campaign", transports: "list[Transport]") -> Iterator[str]:
    first = transports[0].id if transports else "ID"
    yield "Look around:"
    yield f"  export LIZRCL_DATA_DIR={shlex.quote(str(workdir))}"
    yield "  lizrcl db start                               the demo's database; everything is in it"
    yield f"  lizrcl campaign status {campaign.name}"
    yield "  lizrcl candidate find --verdict rejected      frames that were refused, and why"
    yield f"  lizrcl transport show {first}"
    yield "  lizrcl audit                                  recompute every digest"
    yield "  lizrcl db stop"


def _short(path: Path) -> str:
    """Return a path relative to the current folder where that is shorter."""
    relative = os.path.relpath(path)
    return relative if not relative.startswith("..") else str(path)
