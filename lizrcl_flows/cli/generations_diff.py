"""`lizrcl generation diff A B`: what changed from one generation to another."""

from collections.abc import Iterable, Sequence
from typing import Any

import click

from lizrcl_flows.cli.output import NOTHING, emit_json, number, show, table
from lizrcl_flows.cli.session import json_option, open_archive
from lizrcl_flows.flows.generation_difference import LEDGER, Row, difference


@click.command()
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.option("--campaign", "campaign_name", help="Name or id; needed with indices where there are several campaigns.")
@json_option
def diff(first: str, second: str, campaign_name: str | None, as_json: bool) -> None:
    """Show what changed from generation A to B: errors, curves, gates, ledger, training set, settings.

    A and B are ids, or indices in a campaign.
    """
    from lizrcl_flows.cli.generations import find_generation

    with open_archive() as archive:
        before, after = (find_generation(archive, name, campaign_name) for name in (first, second))
        content = difference(archive, before, after)
    if as_json:
        emit_json(content)
        return
    _print(content)


def _print(content: Row) -> None:
    a, b = content["a"], content["b"]
    titles = [f"{side['campaign']} {side['index']}" for side in (a, b)]
    for name, side in zip(titles, (a, b), strict=True):
        click.echo(f"{name}: {side['state']}, {side['id']}, committee {side['committee_after'] or NOTHING}")
    size = content["training_set"]
    click.echo(f"training set: {size['n_a']} -> {size['n_b']} labels ({size['n_added']} new, {size['n_removed']} gone)")
    counted = [*content["counts"], *({**row, "name": f"rejected: {row['reason']}"} for row in content["rejected"])]
    _section("", ["", *titles], ([row["name"], row["a"], row["b"]] for row in counted if row["a"] or row["b"]))
    errors = (
        [row["set"], row["group"], f"{row['quantity']} ({row['unit']})", row["a"], row["b"], _growth(row)]
        for row in content["errors"]
    )
    _section("errors", ["set", "group", "quantity", *titles, "change"], errors)
    curves = (
        [row["name"], f"{row['quantity']} ({row['unit']})", *(_spread(row, side) for side in "ab")]
        for row in content["curves"]
    )
    _section("curves", ["curve", "quantity", *titles], curves)
    for title, side in zip(titles, "ab", strict=True):
        for name, problem in {row["name"]: row[f"{side}_problem"] for row in content["curves"]}.items():
            if problem:
                click.echo(f"{title}, {name}: {problem}")
    gates = ([row["name"], row["unit"], *(_passed(row, side) for side in "ab")] for row in content["gates"])
    _section("gates", ["gate", "unit", *titles], gates)
    _section(
        "ledger (runs, explored, flagged, selected, largest eps)",
        ["cell", *titles],
        ([_cell(row), *(_entry(row[side]) for side in "ab")] for row in content["ledger"]),
    )
    _section("settings", ["key", *titles], ([row["key"], row["a"], row["b"]] for row in content["settings"]))


def _section(title: str, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    cells = list(rows)
    if not cells:
        return
    click.echo(f"\n{title}" if title else "")
    show(table(header, cells, dense=True))


def _growth(row: Row) -> str:
    if not row["a"] or row["b"] is None:
        return NOTHING
    return f"{row['b'] / row['a'] - 1:+.0%}" + ("" if row["same_labels"] else " (other labels)")


def _spread(row: Row, side: str) -> str:
    std = row[f"{side}_std"]
    spread = "" if std is None else f" ± {number(std, 2)}"
    return number(row[side]) + spread + (" (!)" if row[f"{side}_problem"] else "")


def _passed(row: Row, side: str) -> str:
    if row[f"{side}_passed"] is None:
        return NOTHING
    return f"{number(row[side], 3)} {'passed' if row[f'{side}_passed'] else 'FAILED'}"


def _cell(row: Row) -> str:
    pressure = "" if row["pressure_gpa"] is None else f" {row['pressure_gpa']:g} GPa"
    return f"{row['phase']} {row['ensemble']} {row['temperature_k']:g} K{pressure}"


def _entry(entry: Row | None) -> str:
    return NOTHING if entry is None else ", ".join(number(entry[name], 2) for name in LEDGER)
