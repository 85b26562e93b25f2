"""`lizrcl system list|show|check`: material systems and campaign files."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lizrcl_flows.cli.lazy import SuggestingGroup
from lizrcl_flows.cli.output import emit_json, say, show, table
from lizrcl_flows.cli.session import json_option

if TYPE_CHECKING:
    from lizrcl_flows.documents import Structure
    from lizrcl_flows.documents.spec import PhaseSpec


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
@click.argument("file", metavar="FILE|NAME")
@json_option
def check(file: str, as_json: bool) -> None:
    """Check a campaign or system and its structures without a database; exit code 2 if something is wrong.

    FILE is a campaign or system file, NAME a system that comes with the package. Space groups are found within 0.01 A;
    a partially occupied crystal has that of its average and that of the ordering of lowest Ewald energy.
    """
    from lizrcl_flows.errors import InputError
    from lizrcl_flows.science.phases import starting_structures
    from lizrcl_flows.systems import load_campaign

    kind, source = _source(file)
    spec = load_campaign(source)
    try:
        cells = starting_structures(spec)
    except InputError as error:
        raise InputError(f"{file}: {error}") from error
    phases = [_phase(phase, cells[phase.name]) for phase in spec.phases]
    if as_json:
        emit_json({"file": file, "kind": kind, "ok": True, "phases": phases})
        return
    header = ["phase", "structure", "formula", "atoms", "space group", "g/cm3", "A3/f.u.", "shortest (A)", "confidence"]
    rows = [[{**phase, "space_group": _symbols(phase)}[key] for key in _SHOWN] for phase in phases]
    show(table(header, rows))
    say(f"{file}: a valid {kind}{'' if kind == 'system' and file == spec.system else ' file'}")


_SHOWN = (
    *("phase", "structure", "formula", "n_atoms", "space_group", "density_g_cm3", "volume_per_formula_unit_a3"),
    *("shortest_distance_a", "confidence"),
)


def _symbols(phase: dict[str, Any]) -> str:
    """Return the space group, of an ordered crystal that of its average before it."""
    average = phase["average_space_group"]
    return f"{average}, ordered {phase['space_group']}" if average else str(phase["space_group"])


def _source(file: str) -> tuple[str, Any]:
    """Return whether a campaign or a system is meant, and what `load_campaign` reads of it.

    Raises
    ------
    NotFoundError
        If it is neither a file nor a system that comes with the package.
    """
    from lizrcl_flows.errors import NotFoundError
    from lizrcl_flows.systems import load_system, system_names

    if file not in system_names() and not Path(file).is_file():
        raise NotFoundError(
            f"file '{file}' does not exist, and the systems that come with the package are {', '.join(system_names())}"
        )
    if "name" in load_system(file):
        return "campaign", Path(file)
    return "system", {"name": Path(file).stem, "system": file}


def _phase(phase: "PhaseSpec", cell: "Structure") -> dict[str, Any]:
    """Return what there is to know of a phase and of its cell."""
    from dataclasses import asdict

    from lizrcl_flows.science.crystals import describe_crystal
    from lizrcl_flows.science.occupancies import load_partial
    from lizrcl_flows.science.structures import bundled_sources

    facts = asdict(describe_crystal(cell))
    average = describe_crystal(load_partial(phase.structure)) if cell.origin.kind == "ordering" else None
    return {
        "phase": phase.name,
        "structure": phase.structure,
        "formula": cell.formula,
        "n_atoms": cell.n_atoms,
        **facts,
        "average_space_group": average.space_group if average else None,
        "confidence": bundled_sources().get(phase.structure, {}).get("confidence"),
    }
