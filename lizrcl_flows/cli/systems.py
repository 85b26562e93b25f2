"""`lizrcl system list|show|check`: material systems and campaign files."""

from pathlib import Path
from typing import Any

import click

from lizrcl_flows.cli.lazy import SuggestingGroup
from lizrcl_flows.cli.output import emit_json, say, show, table
from lizrcl_flows.cli.session import json_option


@click.group(cls=SuggestingGroup)
def system() -> None:
    """Material systems: the defaults that a campaign file builds on."""


@system.command("list")
@json_option
def list_systems(as_json: bool) -> None:
    """List the systems that come with the package."""
    from lizrcl_flows.systems import load_system, system_names

    systems = {name: load_system(name) for name in system_names()}
    if as_json:
        emit_json([{"name": name, **_summary(content)} for name, content in systems.items()])
        return
    rows = [[name, *_summary(content).values()] for name, content in systems.items()]
    show(table(["system", "elements", "phases", "labels by", "description"], rows))


def _summary(content: dict[str, Any]) -> dict[str, Any]:
    return {
        "elements": content.get("elements", []),
        "phases": [phase["name"] for phase in content.get("phases", [])],
        "labels_by": content.get("labelling", {}).get("engine"),
        "description": content.get("description", ""),
    }


@system.command("show")
@click.argument("name")
@json_option
def show_system(name: str, as_json: bool) -> None:
    """Print the defaults of a system as YAML: what a campaign file may override, key by key."""
    from lizrcl_flows.systems import load_system

    content = load_system(name)
    if as_json:
        emit_json(content)
        return
    import yaml

    click.echo(
        yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=110, allow_unicode=True), nl=False
    )


@system.command("check")
@click.argument("file", type=click.Path(path_type=Path))
@json_option
def check(file: Path, as_json: bool) -> None:
    """Check a campaign or system file and its structures without a database; exit code 2 if something is wrong."""
    from lizrcl_flows.errors import InputError, NotFoundError
    from lizrcl_flows.science.phases import starting_structures
    from lizrcl_flows.systems import load_campaign, load_system

    if not file.is_file():
        raise NotFoundError(f"file '{file}' does not exist")
    content = load_system(str(file))
    is_campaign = "name" in content
    spec = load_campaign(file if is_campaign else {"name": file.stem, "system": str(file)})
    try:
        cells = starting_structures(spec)
    except InputError as error:
        raise InputError(f"{file}: {error}") from error
    rows = [
        [phase.name, phase.structure, cells[phase.name].formula, cells[phase.name].n_atoms] for phase in spec.phases
    ]
    if as_json:
        header = ("phase", "structure", "formula", "n_atoms")
        phases = [dict(zip(header, row, strict=True)) for row in rows]
        emit_json({"file": str(file), "kind": "campaign" if is_campaign else "system", "ok": True, "phases": phases})
        return
    show(table(["phase", "structure", "formula", "atoms explored"], rows))
    say(f"{file}: a valid {'campaign' if is_campaign else 'system'} file")
