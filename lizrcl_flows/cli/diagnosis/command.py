"""The command: settings with their sources, then every check."""

import os
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lizrcl_flows.cli.diagnosis.configuration import configuration_files, wall_time
from lizrcl_flows.cli.diagnosis.database import database
from lizrcl_flows.cli.diagnosis.findings import Finding
from lizrcl_flows.cli.diagnosis.labelling import cp2k, foundation, label_packages, potcars, vasp
from lizrcl_flows.cli.diagnosis.programs import disk, gpu, mongod, programs, work_directories
from lizrcl_flows.cli.output import emit_json, say, show, table
from lizrcl_flows.cli.session import json_option

if TYPE_CHECKING:
    from lizrcl_flows.settings import Settings

MARKS = {"ok": "[green]ok[/green]", "note": "[yellow]note[/yellow]", "problem": "[red]problem[/red]"}

CHECKS: tuple[Callable[["Settings"], Iterator[Finding]], ...] = (
    database,
    mongod,
    programs,
    gpu,
    label_packages,
    vasp,
    potcars,
    cp2k,
    foundation,
    configuration_files,
    wall_time,
    work_directories,
    disk,
)


@click.command()
@json_option
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Show settings with their sources and check what they name; exit code 1 if something essential does not work."""
    from lizrcl_flows.settings import load_settings

    settings = load_settings()
    configured = list(configured_values(settings))
    findings = [finding for check in CHECKS for finding in check(settings)]
    healthy = all(finding.status != "problem" for finding in findings)
    if as_json:
        emit_json({"ok": healthy, "settings": configured, "checks": [asdict(finding) for finding in findings]})
    else:
        show(table(["setting", "value", "from"], [list(entry.values()) for entry in configured]))
        click.echo()
        _print(findings)
        say("\nall essentials work" if healthy else "\nsomething essential does not work: see the problems above")
    ctx.exit(0 if healthy else 1)


def _print(findings: list[Finding]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from lizrcl_flows.cli.output import plain

    made = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name in ("what", "", "found", "what to do"):
        made.add_column(name, overflow="fold")
    for entry in findings:
        made.add_row(entry.subject, MARKS[entry.status], plain(entry.found), plain(entry.advice))
    show(made)


def configured_values(settings: "Settings") -> Iterator[dict[str, Any]]:
    """Yield name, value (without credentials) and source of every setting."""
    from lizrcl_flows.archive.connection import without_credentials

    in_file = _config_file()
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        variable = f"LIZRCL_{name.upper()}"
        source = "default"
        if name in in_file:
            source = os.environ["LIZRCL_CONFIG_FILE"]
        if variable in os.environ:
            source = f"environment ({variable})"
        shown = None if value is None else without_credentials(str(value))
        yield {"name": name, "value": shown, "source": source}


def _config_file() -> dict[str, Any]:
    import tomllib

    path = os.environ.get("LIZRCL_CONFIG_FILE")
    return tomllib.loads(Path(path).read_text(encoding="utf-8")) if path else {}
