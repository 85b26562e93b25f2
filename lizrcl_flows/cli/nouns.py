"""`lizrcl structure|candidate|label|... find|show|export`: one implementation over the table of nouns."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from lizrcl_flows.cli.bulk_exports import ENDINGS
from lizrcl_flows.cli.imports import import_labels
from lizrcl_flows.cli.label_statistics import statistics_command
from lizrcl_flows.cli.lazy import SuggestingGroup
from lizrcl_flows.cli.orderings import order
from lizrcl_flows.cli.output import console, emit_json, natural_width, pairs, say, show, table
from lizrcl_flows.cli.quarantine import quarantine
from lizrcl_flows.cli.session import dry_run_option, json_option, open_archive
from lizrcl_flows.errors import BackendError, InputError
from lizrcl_flows.science.document_tables import EXPENDABLE, HELP, NOUNS, Noun, value_at

DEFAULT_LIMIT = 20
FOLDED = 26
"""Width to which a column of reasons may be folded."""

MORE_DIGITS = {"energy (eV)": 8, "energy": 8}
"""Columns in which four digits say nothing."""


def _group(noun: Noun) -> click.Group:
    group = SuggestingGroup(noun.name, help=f"Find, show and export documents of kind '{noun.name}'.")
    group.add_command(_find(noun))
    group.add_command(_show(noun))
    group.add_command(_export(noun))
    return group


def _find(noun: Noun) -> click.Command:
    def run(**options: Any) -> None:
        criteria = mongo_filter(noun, options)
        columns = _columns(noun, options["fields"])
        paths = [path for path, _ in columns]
        order = sort_keys(options["sort"] or noun.sort)
        _require_fields(noun, order)
        with open_archive() as archive:
            kind = _kind(noun)
            found = archive.find_records(kind, criteria, fields=paths, sort=order, limit=options["limit"] or None)
            records = _fetched(found, options["query"])
            total = len(records) if len(records) < (options["limit"] or 1 << 60) else archive.count(kind, criteria)
        if options["as_json"]:
            emit_json([{"id": record["_id"], **_flat(record, paths)} for record in records])
            return
        if not records:
            say(f"no {noun.name} matches")
            return
        _print_records(columns, records, may_cut=options["fields"] is None)
        if total > len(records):
            say(f"{len(records)} of {total}; --limit 0 shows all")

    command = click.Command("find", callback=run, help=f"List documents of kind '{noun.name}' that meet all criteria.")
    command.params.extend(filter_options(noun))
    command.params.extend(
        (
            click.Option(["--sort"], help="Fields, comma-separated; '-' before a field: largest first."),
            click.Option(["--limit"], type=click.IntRange(0), default=DEFAULT_LIMIT, show_default=True, help="0: all."),
            click.Option(["--fields"], help="Fields to show instead of the usual ones, comma-separated."),
            click.Option(["--json", "as_json"], is_flag=True, help="JSON on stdout."),
        )
    )
    return command


def filter_options(noun: Noun) -> list[click.Parameter]:
    """Return the options that a kind of document can be searched by."""
    options: list[click.Parameter] = []
    for option in noun.filters:
        meaning = noun.filter(option)
        value_type: Any = click.Choice(meaning.choices) if meaning.choices else meaning.value_type
        options.append(click.Option([f"--{option}"], type=value_type, help=HELP.get(option)))
    query = 'MongoDB filter as JSON, comparisons only, e.g. \'{"n_atoms": {"$gte": 30}}\'.'
    return [*options, click.Option(["--query"], help=query)]


def _print_records(columns: list[tuple[str, str]], records: list[dict[str, Any]], *, may_cut: bool) -> None:
    """Print a table of documents; at a terminal that is too narrow, without the columns that matter least."""
    screen = console()
    left_out = []
    while may_cut and screen.is_terminal:
        rows = [[value_at(record, path) for path, _ in columns] for record in records]
        expendable = next((path for path in EXPENDABLE if path in dict(columns)), None)
        widths = natural_width([title for _, title in columns], rows)
        needed = sum(min(w, FOLDED) if path == "reason" else w for w, (path, _) in zip(widths, columns, strict=True))
        if expendable is None or needed <= screen.width + 2:
            break
        left_out.append(dict(columns)[expendable])
        columns = [column for column in columns if column[0] != expendable]
    rows = [[value_at(record, path) for path, _ in columns] for record in records]
    show(table([title for _, title in columns], rows, digits=MORE_DIGITS))
    if left_out:
        say(f"too narrow for: {', '.join(left_out)}")


def _fetched(found: Iterator[dict[str, Any]], query: str | None) -> list[dict[str, Any]]:
    """Run the query.

    Raises
    ------
    InputError
        If the database does not understand the user's filter.
    """
    try:
        return list(found)
    except BackendError as error:
        if query and type(error.__cause__).__name__ == "OperationFailure":
            reason = str(error.__cause__).partition(", full error")[0]
            raise InputError(f"--query {query}: the database does not accept this filter: {reason}") from error
        raise


def mongo_filter(noun: Noun, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the database filter that the search options mean.

    Raises
    ------
    InputError
        If `--query` is not a JSON object, or asks for something else than a comparison of fields.
    """
    criteria: dict[str, Any] = {}
    for option in noun.filters:
        value = options.get(option.replace("-", "_"))
        if value is not None:
            meaning = noun.filter(option)
            wanted = reduced_formula(value) if option == "formula" else value
            criteria.setdefault(meaning.path, {})[meaning.operator] = wanted
    extra = _query(noun, options.get("query"))
    return {"$and": [criteria, extra]} if criteria and extra else criteria or extra


def reduced_formula(given: str) -> str:
    """Return a formula as it is stored: reduced, elements in alphabetical order (`Li2ZrCl6` is `Cl6Li2Zr`).

    Raises
    ------
    InputError
        If it is not a chemical formula.
    """
    if not re.fullmatch(r"([A-Z][a-z]?[0-9]*)+", given):
        raise InputError(f"--formula: '{given}' is not a chemical formula such as Li2ZrCl6")
    counts: dict[str, int] = {}
    for symbol, count in re.findall(r"([A-Z][a-z]?)([0-9]*)", given):
        counts[symbol] = counts.get(symbol, 0) + int(count or 1)
    divisor = math.gcd(*counts.values()) or 1
    reduced = {symbol: count // divisor for symbol, count in sorted(counts.items())}
    return "".join(symbol + (str(count) if count > 1 else "") for symbol, count in reduced.items())


def _query(noun: Noun, given: str | None) -> dict[str, Any]:
    if given is None:
        return {}
    from lizrcl_flows.archive.queries import checked_filter

    try:
        content = json.loads(given)
    except json.JSONDecodeError as error:
        raise InputError(f"--query: this is not JSON (character {error.pos + 1}: {error.msg}): {given}") from error
    if not isinstance(content, dict):
        raise InputError(f"--query: a JSON object is expected, got {given}")
    try:
        return checked_filter(_kind(noun), content)
    except InputError as error:
        raise InputError(f"--query: {error}") from error


def _require_fields(noun: Noun, order: list[tuple[str, int]]) -> None:
    """See that documents have the fields that they are to be sorted by.

    Raises
    ------
    InputError
        If they have not.
    """
    from lizrcl_flows.archive.queries import field_of

    for name, _ in order:
        try:
            field_of(_kind(noun), name)
        except InputError as error:
            raise InputError(f"--sort: {error}") from error


def sort_keys(given: str) -> list[tuple[str, int]]:
    """Return field and direction for a sort option such as ``generation,-eps``."""
    names = [name.strip() for name in given.split(",") if name.strip()]
    return [(_stored(name.removeprefix("-")), -1 if name.startswith("-") else 1) for name in names]


def _stored(name: str) -> str:
    return "_id" if name == "id" else name


def _columns(noun: Noun, fields: str | None) -> list[tuple[str, str]]:
    """Return path and heading of each column.

    Raises
    ------
    InputError
        If a field does not exist in documents of this kind.
    """
    if fields is None:
        return [(column.path, column.title) for column in noun.columns]
    from difflib import get_close_matches

    known = list(_kind(noun).model_fields)
    columns = []
    for name in (part.strip() for part in fields.split(",")):
        top = name.partition(".")[0]
        if top not in known and top != "_id":
            near = get_close_matches(top, known, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known)}"
            raise InputError(f"--fields: a {noun.name} has no field '{top}'; {hint}")
        columns.append((_stored(name), name))
    return columns


def _flat(record: Mapping[str, Any], paths: list[str]) -> dict[str, Any]:
    return {path: value_at(record, path) for path in paths if path != "_id"}


def _show(noun: Noun) -> click.Command:
    @json_option
    @click.option("--arrays", is_flag=True, help="With --json: numbers of arrays too.")
    @click.argument("document_id", metavar="ID")
    def run(document_id: str, arrays: bool, as_json: bool) -> None:
        with open_archive() as archive:
            document = archive.get(_kind(noun), document_id)
            events = list(archive.events(document.id))
        if as_json:
            content = _content(document, arrays=arrays)
            emit_json({**content, "events": [event.model_dump(by_alias=True, mode="json") for event in events]})
            return
        show(pairs(_readable(document), digits=8))
        if events:
            say("")
            show(table(["at", "event", "field", "value", "who", "why"], [_event_row(event) for event in events]))

    return click.command("show", help=f"Show one {noun.name}; ID may be the beginning of an id.")(run)


def _content(document: Any, *, arrays: bool) -> dict[str, Any]:
    skipped = set() if arrays else set(document.array_specs())
    content = document.model_dump(mode="json", by_alias=True, exclude=skipped)
    return {"id": content.pop("_id"), **content}


def _readable(document: Any) -> dict[str, Any]:
    """Return field and value for a person: arrays by shape and unit, empty fields left out, bookkeeping last."""
    specs, units = document.array_specs(), _units(type(document))
    last = ("parents", "provenance", "created_at", "schema_version", "digest")
    names = [name for name in type(document).model_fields if name not in last and name != "id"]
    shown: dict[str, Any] = {"id": document.id}
    for name in [*names, *last]:
        value = getattr(document, name)
        if name in specs and value is not None:
            shown[name] = f"{' x '.join(str(length) for length in value.shape)} numbers ({specs[name].unit})"
        elif not _is_empty(value := _without_empty(value)):
            shown[f"{name} ({units[name]})" if name in units else name] = value
    return shown


def _units(kind: Any) -> dict[str, str]:
    """Return the unit of every number of a document that has one."""
    units = {}
    for name, entry in kind.model_json_schema(by_alias=False)["properties"].items():
        unit = next((part["unit"] for part in (entry, *entry.get("anyOf", ())) if "unit" in part), "1")
        if unit != "1":
            units[name] = unit
    return units


def _without_empty(value: Any) -> Any:
    if hasattr(value, "model_dump"):
        return {key: item for key, item in value.model_dump().items() if not _is_empty(item)}
    if isinstance(value, tuple):
        return tuple(_without_empty(item) for item in value)
    return value


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, str | tuple | list | dict) and not value)


def _event_row(event: Any) -> list[Any]:
    return [event.at, event.kind, event.field, event.value, event.who, event.why]


def _export(noun: Noun) -> click.Command:
    @dry_run_option
    @click.option("--out", "-o", type=click.Path(path_type=Path), default=Path(), help="Folder; default: here.")
    @click.option(
        "--format",
        "form",
        type=click.Choice(("files", *ENDINGS)),
        default="files",
        show_default=True,
        help="files: those of each document. Else one file of all: extended XYZ that GPUMD, ASE and MACE read, an ASE "
        "database, or the scalar fields as Parquet. A data set is its labels.",
    )
    @click.option("--query", help="Export what meets this MongoDB filter (JSON) as well.")
    @click.argument("document_ids", metavar="[ID]...", nargs=-1)
    def run(document_ids: tuple[str, ...], query: str | None, form: str, out: Path, dry_run: bool) -> None:
        from lizrcl_flows.cli.exports import export_document

        if not document_ids and query is None:
            raise InputError(f"nothing to export: give an id of a {noun.name}, or --query with a filter")
        criteria = _query(noun, query) if query is not None else None
        with open_archive() as archive:
            documents = [archive.get(_kind(noun), document_id) for document_id in document_ids]
            if criteria is not None:
                documents += list(archive.find(_kind(noun), criteria, sort=sort_keys(noun.sort)))
            if not documents:
                say(f"no {noun.name} matches")
            elif form != "files":
                click.echo(str(_bulk(archive, noun, documents, form, out, dry_run=dry_run)))
            else:
                for document in documents:
                    for path in export_document(archive, document, out, dry_run=dry_run):
                        click.echo(str(path))

    return click.command("export", help=f"Write files of a {noun.name}; prints their paths.")(run)


def _bulk(archive: Any, noun: Noun, documents: list[Any], form: str, out: Path, *, dry_run: bool) -> Path:
    from lizrcl_flows.cli.bulk_exports import bulk_file, bulk_path

    if dry_run:
        return bulk_path(documents, form, out)
    return bulk_file(archive, noun.name, documents, form, out)


def _kind(noun: Noun) -> Any:
    import lizrcl_flows.documents

    return getattr(lizrcl_flows.documents, noun.kind)


structure = _group(NOUNS["structure"])
structure.add_command(order)
candidate = _group(NOUNS["candidate"])
label = _group(NOUNS["label"])
label.add_command(quarantine)
label.add_command(statistics_command())
level = _group(NOUNS["level"])
dataset = _group(NOUNS["dataset"])
dataset.add_command(import_labels)
model = _group(NOUNS["model"])
committee = _group(NOUNS["committee"])
evaluation = _group(NOUNS["evaluation"])
trajectory = _group(NOUNS["trajectory"])
transport = _group(NOUNS["transport"])
analysis = _group(NOUNS["analysis"])
