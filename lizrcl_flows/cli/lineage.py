"""`lizrcl lineage ID`: from what a document was made, and into what; and which job failed first where one did."""

import sys
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

import click

from lizrcl_flows.cli.output import emit_json, plain, show, text
from lizrcl_flows.cli.session import document_kind, open_archive
from lizrcl_flows.errors import InputError, NotFoundError
from lizrcl_flows.science.wording import plural

if TYPE_CHECKING:
    from rich.tree import Tree

    from lizrcl_flows.archive import Archive
    from lizrcl_flows.archive.lineage import Branch
    from lizrcl_flows.archive.root_causes import RootCause

Direction = Literal["up", "down"]

FOLD_ABOVE = 2
"""More documents of a kind than this become one line: a committee is one line, not four."""


@click.command()
@click.argument("document_id", metavar="ID")
@click.option("--up", "direction", flag_value="up", default="up", help="From what it was made (default).")
@click.option("--down", "direction", flag_value="down", help="What was made from it.")
@click.option("--depth", type=click.IntRange(1), help="Steps to go; default: all the way.")
@click.option("--open", "opened", metavar="KIND|ID", multiple=True, help="Do not fold this kind, or below this id.")
@click.option("--all", "unfolded", is_flag=True, help="Show every document on a line of its own.")
@click.option("--format", "form", type=click.Choice(("tree", "json", "prov", "dot")), default="tree", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
def lineage(  # noqa: PLR0913  the options of the command
    *,
    document_id: str,
    direction: Direction,
    depth: int | None,
    opened: tuple[str, ...],
    unfolded: bool,
    form: str,
    as_json: bool,
) -> None:
    """Show the lineage of any document; ID may be the beginning of an id, or the number of a Firework.

    Where a job failed that the document, its turn or its campaign waits for, the first failures come first, with the
    end of what they said and the command that repeats them.

    Many documents of one kind become one line with their number, and a document whose own lineage stands further up is
    marked so. --format json is {id, kind, parents: [...]}, nested (children with --down); a document that is met again
    has an empty list there. --format prov is W3C PROV-JSON, dot is for Graphviz; all have every document and edge.
    """
    with open_archive() as archive:
        whole, causes = _subject(archive, document_id)
        form = "json" if as_json else form
        told = [cause.as_dict() for cause in causes]
        if not archive.lineage.nodes([whole]):
            _show_job(archive, whole, causes, as_json=form == "json")
            return
        if form == "tree":
            _show_causes(causes)
            kept = _to_open(archive, opened)
            show(lineage_tree(archive, whole, direction, depth, unfolded=unfolded, opened=kept), cut=True)
            return
        from lizrcl_flows.archive.provenance_export import dot, lineage_nodes, nested, prov_json

        nodes = lineage_nodes(archive, whole, direction, depth)
        if form == "prov":
            click.echo(prov_json(archive, nodes))
        elif form == "dot":
            click.echo("\n".join(dot(nodes)))
        else:
            emit_json({**({"failures": told} if told else {}), **nested(nodes, direction)})


def _subject(archive: "Archive", given: str) -> "tuple[str, list[RootCause]]":
    """Return the whole id of what was asked for, and the failed jobs behind it."""
    from lizrcl_flows.archive.root_causes import root_causes

    if given.isdigit():
        return given, root_causes(archive, given)
    kind = document_kind(given)
    try:
        whole = archive.resolve(kind, given)
    except NotFoundError:
        causes = root_causes(archive, given)
        if not causes and archive.turn(given) is None:
            raise
        return given, causes
    return whole, root_causes(archive, whole)


def _show_job(archive: "Archive", subject: str, causes: "Sequence[RootCause]", *, as_json: bool) -> None:
    """Tell about a Firework, or about a document that does not exist because a job failed or is not done."""
    from lizrcl_flows.archive.root_causes import firework

    told: dict[str, Any] = {"id": subject, "kind": document_kind(subject).prefix} if not subject.isdigit() else {}
    if subject.isdigit():
        found = firework(archive, int(subject))
        told = {"id": subject, "kind": "firework", **found}
    if as_json:
        emit_json({**told, "failures": [cause.as_dict() for cause in causes], "parents": []})
        return
    _show_causes(causes)
    if subject.isdigit():
        click.echo(f"Firework {subject} ({told['name']}) is {told['state']}; it wrote {text(told['wrote'])}")
    else:
        click.echo(f"{subject} is not in the archive yet")


def _show_causes(causes: "Sequence[RootCause]") -> None:
    """Print what failed first, before everything else."""
    for cause in causes:
        waiting = f"; {cause.n_waiting} more wait for it" if cause.n_waiting else ""
        click.echo(
            f"Firework {cause.fw_id} ({cause.name}) of campaign {cause.campaign} failed: {cause.reason}{waiting}"
        )
        click.echo(f"  in {cause.directory or 'no directory'} on {cause.host or 'no host'}")
        click.echo("\n".join(f"    {line}" for line in cause.stderr.splitlines()))
        click.echo(f"  repeat it: {cause.command}")
    if causes:
        click.echo("")


def _to_open(archive: "Archive", given: Sequence[str]) -> set[str]:
    """Return kinds (prefixes) and whole ids of what is not to be folded.

    Raises
    ------
    InputError
        If one is neither a kind nor an id.
    """
    from lizrcl_flows.documents import BY_PREFIX

    kinds = {name: prefix for prefix, kind in BY_PREFIX.items() for name in (prefix, kind.__name__.lower())}
    opened = set()
    for name in given:
        known = kinds.get(name.lower()) or kinds.get(name.lower().removesuffix("s"))
        if known is None and "_" not in name:
            raise InputError(f"--open: '{name}' is neither an id nor a kind of document such as label, model, dataset")
        opened.add(known or archive.resolve(document_kind(name), name))
    return opened


def lineage_tree(
    archive: "Archive",
    document_id: str,
    direction: Direction,
    depth: int | None,
    *,
    unfolded: bool = False,
    opened: Collection[str] = (),
) -> "Tree":
    """Return the lineage of a document as a tree to print."""
    from rich.tree import Tree

    from lizrcl_flows.archive.describing import details

    fold_above = sys.maxsize if unfolded else FOLD_ABOVE
    trunk = archive.lineage.tree(document_id, direction, depth, fold_above, opened=opened)
    told = details(archive, [branch.id for branch in _branches(trunk) if branch.id])
    tree = Tree(_line(trunk, told), guide_style="dim")
    pending = [(tree, trunk)]
    while pending:
        parent, branch = pending.pop()
        pending.extend((parent.add(_line(child, told)), child) for child in branch.children)
    return tree


def _branches(branch: "Branch") -> "Iterator[Branch]":
    yield branch
    for child in branch.children:
        yield from _branches(child)


def _line(branch: "Branch", told: dict[str, str]) -> str:
    from lizrcl_flows.archive.provenance_export import kind_name

    name = kind_name(branch.kind)
    if branch.n > 1:
        where = "" if branch.generation is None else f" of generation {branch.generation}"
        line = f"[bold]{branch.n} {plural(name)}[/bold]{where}"
    else:
        said = told.get(branch.id, "")
        line = f"[bold]{name}[/bold] {branch.id}{f'  [dim]{plain(said)}[/dim]' if said else ''}"
    return line + (" [dim](shown above)[/dim]" if branch.shown_above else "")
