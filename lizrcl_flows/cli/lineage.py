"""`lizrcl lineage ID`: from what a document was made, and into what."""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import click

from lizrcl_flows.cli.noun_table import value_at
from lizrcl_flows.cli.output import emit_json, plain, show, text
from lizrcl_flows.cli.session import document_kind, open_archive

if TYPE_CHECKING:
    from rich.tree import Tree

    from lizrcl_flows.archive import Archive
    from lizrcl_flows.archive.lineage import Branch

Direction = Literal["up", "down"]

FOLD_ABOVE = 2
"""More documents of a kind than this become one line: a committee is one line, not four."""

DETAILS = {
    "cam": ("name",),
    "str": ("formula", "phase", "origin.kind"),
    "can": ("phase", "verdict", "eps"),
    "lab": ("status", "purpose", "phase"),
    "lev": ("code",),
    "dat": ("split", "n_labels"),
    "mod": ("member", "seed"),
    "com": (),
    "eva": ("kind", "n_structures"),
    "gen": ("index", "state"),
    "tra": ("purpose", "phase", "ensemble", "temperature_k", "health.status"),
    "tsp": ("species", "temperature_k", "protocol", "status"),
}
"""What a line of the tree says about a document of each kind."""

WORDS = {
    "temperature_k": "{} K",
    "n_labels": "{} labels",
    "n_structures": "{} structures",
    "eps": "eps {} eV/A",
    "seed": "seed {}",
    "member": "member {}",
    "index": "generation {}",
}


@click.command()
@click.argument("document_id", metavar="ID")
@click.option("--up", "direction", flag_value="up", default="up", help="From what it was made (default).")
@click.option("--down", "direction", flag_value="down", help="What was made from it.")
@click.option("--depth", type=click.IntRange(1), help="Steps to go; default: all the way.")
@click.option("--all", "unfolded", is_flag=True, help="Show every document on a line of its own.")
@click.option("--format", "form", type=click.Choice(("tree", "json", "dot")), default="tree", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
def lineage(
    document_id: str, direction: Direction, depth: int | None, unfolded: bool, form: str, as_json: bool
) -> None:
    """Show the lineage of any document; ID may be the beginning of an id.

    Many documents of one kind become one line with their number, and a document whose own lineage stands further up is
    marked so; --format json and dot have every document and every edge.
    """
    with open_archive() as archive:
        whole = archive.resolve(document_kind(document_id), document_id)
        if form == "tree" and not as_json:
            show(lineage_tree(archive, whole, direction, depth, unfolded=unfolded), cut=True)
            return
        nodes = lineage_nodes(archive, whole, direction, depth)
    if as_json or form == "json":
        emit_json({"root": whole, "direction": direction, "nodes": nodes})
    else:
        click.echo("\n".join(_dot(nodes)))


def lineage_tree(
    archive: "Archive", document_id: str, direction: Direction, depth: int | None, *, unfolded: bool = False
) -> "Tree":
    """Return the lineage of a document as a tree to print."""
    trunk = archive.lineage.tree(document_id, direction, depth, sys.maxsize if unfolded else FOLD_ABOVE)
    details = _details(archive, list(_branches(trunk)))
    from rich.tree import Tree

    tree = Tree(_line(trunk, details), guide_style="dim")
    pending = [(tree, trunk)]
    while pending:
        parent, branch = pending.pop()
        pending.extend((parent.add(_line(child, details)), child) for child in branch.children)
    return tree


def lineage_nodes(
    archive: "Archive", document_id: str, direction: Direction, depth: int | None
) -> list[dict[str, Any]]:
    """Return every document of a lineage, nearest first, with its parents."""
    walk = archive.lineage.ancestors if direction == "up" else archive.lineage.descendants
    steps = {document_id: 0, **{relative.id: relative.depth for relative in walk(document_id, depth)}}
    found = archive.lineage.nodes(list(steps))
    return [
        {
            "id": name,
            "kind": found[name]["kind"],
            "depth": step,
            "campaign": found[name]["campaign"],
            "generation": found[name]["generation"],
            "parents": list(found[name]["parents"]),
        }
        for name, step in steps.items()
        if name in found
    ]


def _dot(nodes: list[dict[str, Any]]) -> Iterator[str]:
    """Yield a Graphviz file: arrows point from a document to what was made from it."""
    known = {node["id"] for node in nodes}
    yield "digraph lineage {"
    yield '  rankdir=LR; node [shape=box, fontname="monospace"];'
    for node in nodes:
        yield f'  "{node["id"]}" [label="{_kind_name(node["kind"])}\\n{node["id"]}"];'
        yield from (f'  "{parent}" -> "{node["id"]}";' for parent in node["parents"] if parent in known)
    yield "}"


def _branches(branch: "Branch") -> "Iterator[Branch]":
    yield branch
    for child in branch.children:
        yield from _branches(child)


def _details(archive: "Archive", branches: "list[Branch]") -> dict[str, str]:
    """Return what is remarkable about each single document, one query a kind."""
    from lizrcl_flows.documents import BY_PREFIX

    by_kind: dict[str, list[str]] = {}
    for branch in branches:
        if branch.id:
            by_kind.setdefault(branch.kind, []).append(branch.id)
    told = {}
    for kind, names in by_kind.items():
        fields = DETAILS.get(kind, ())
        if fields:
            for record in archive.find_records(BY_PREFIX[kind], {"_id": {"$in": names}}, fields=fields):
                told[record["_id"]] = ", ".join(
                    _told(record, field) for field in fields if value_at(record, field) not in (None, "")
                )
    return told


def _told(record: dict[str, Any], field: str) -> str:
    return WORDS.get(field, "{}").format(text(value_at(record, field)))


def _line(branch: "Branch", details: dict[str, str]) -> str:
    name = _kind_name(branch.kind)
    if branch.n > 1:
        where = "" if branch.generation is None else f" of generation {branch.generation}"
        line = f"[bold]{branch.n} {_plural(name)}[/bold]{where}"
    else:
        told = details.get(branch.id, "")
        line = f"[bold]{name}[/bold] {branch.id}{f'  [dim]{plain(told)}[/dim]' if told else ''}"
    return line + (" [dim](shown above)[/dim]" if branch.shown_above else "")


def _kind_name(prefix: str) -> str:
    from lizrcl_flows.documents import BY_PREFIX

    return BY_PREFIX[prefix].__name__.lower() if prefix in BY_PREFIX else prefix


def _plural(name: str) -> str:
    return f"{name[:-1]}ies" if name.endswith("y") else f"{name}s"
