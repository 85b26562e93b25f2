"""`lizrcl label stats --by phase,temperature`: labels counted in groups."""

from typing import Any

import click

from lizrcl_flows.cli.output import emit_json, say, show, table
from lizrcl_flows.cli.session import open_archive
from lizrcl_flows.science.document_tables import NOUNS

DEFAULT_GROUPS = "phase,status"

TITLES = {
    "temperature": "T (K)",
    "pressure": "P (GPa)",
    "cost": "core h each",
    "n": "labels",
    "n_atoms": "atoms",
    "core_hours": "core h",
    "max_force": "max force (eV/A)",
}


def statistics_command() -> click.Command:
    """Return the command; it is made where the options of `label find` are known."""
    from lizrcl_flows.cli.nouns import filter_options

    command = click.Command(
        "stats",
        callback=_run,
        help="Count labels in groups: by phase, region, temperature, pressure, generation, engine, cost (decades of "
        "core hours), campaign, status, purpose, formula, level. Temperature and pressure are those of the run whose "
        "frame was labelled. All criteria of `find` narrow it.",
    )
    command.params.append(
        click.Option(["--by"], default=DEFAULT_GROUPS, show_default=True, help="Groups, comma-separated.")
    )
    command.params.extend(filter_options(NOUNS["label"]))
    command.params.append(click.Option(["--json", "as_json"], is_flag=True, help="JSON on stdout."))
    return command


def _run(by: str, *, as_json: bool, **options: Any) -> None:
    from lizrcl_flows.cli.nouns import mongo_filter

    groups = [name.strip() for name in by.split(",") if name.strip()]
    criteria = mongo_filter(NOUNS["label"], options)
    with open_archive() as archive:
        from lizrcl_flows.archive.statistics import label_statistics

        rows = label_statistics(archive, groups, criteria)
    if as_json:
        emit_json(rows)
        return
    if not rows:
        say("no label matches")
        return
    header = [TITLES.get(name, name) for name in rows[0]]
    show(table(header, [list(row.values()) for row in rows]))
    say(f"{sum(row['n'] for row in rows)} labels")
