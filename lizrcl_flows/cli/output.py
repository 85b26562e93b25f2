"""How results look: JSON, tables and key-value lists on stdout, narration on stderr."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from lizrcl_flows.science.wording import NOTHING, jsonable, number, text

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

__all__ = [
    "NOTHING",
    "console",
    "emit_json",
    "jsonable",
    "natural_width",
    "number",
    "pairs",
    "plain",
    "say",
    "show",
    "table",
    "text",
]

PLAIN_WIDTH = 240
"""Columns of a table that goes into a file or a pipe: wide enough that nothing is cut."""


def say(sentence: str) -> None:
    """Tell the person at the terminal something; never data."""
    click.echo(sentence, err=True)


def console(*, error: bool = False) -> "Console":
    """Return a rich console for stdout, or for stderr."""
    from rich.console import Console

    stream = sys.stderr if error else sys.stdout
    width = None if stream.isatty() else PLAIN_WIDTH
    return Console(file=stream, width=width, highlight=False, soft_wrap=False)


def show(renderable: "RenderableType", *, cut: bool = False) -> None:
    """Print something rich on stdout, without the blanks that pad a line of a file.

    Parameters
    ----------
    cut
        At a terminal, cut lines that are too long and do not break them; files and pipes always get whole lines.
    """
    target = console()
    if target.is_terminal:
        target.print(renderable, no_wrap=cut or None, overflow="ellipsis" if cut else None)
        return
    with target.capture() as capture:
        target.print(renderable)
    click.echo("\n".join(line.rstrip() for line in capture.get().rstrip("\n").split("\n")))


def emit_json(value: Any) -> None:
    """Print a value as JSON on stdout. Numbers that JSON does not know (infinite, not a number) become null."""
    click.echo(json.dumps(jsonable(value), indent=2, ensure_ascii=False))


def table(
    header: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    digits: Mapping[str, int] | None = None,
    dense: bool = False,
) -> "RenderableType":
    """Return a table; columns whose cells are all numbers stand to the right.

    Parameters
    ----------
    digits
        Significant digits of the columns that need more than four, by heading.
    dense
        One blank between columns instead of two.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    cells = [list(row) for row in rows]
    gap = (0, 0) if dense else (0, 1, 0, 0)
    made = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=gap, collapse_padding=True)
    for index, name in enumerate(header):
        column = [row[index] for row in cells if row[index] is not None]
        numeric = bool(column) and all(isinstance(cell, int | float) and not isinstance(cell, bool) for cell in column)
        whole = numeric or name == "id"
        made.add_column(name, justify="right" if numeric else "left", overflow="fold", no_wrap=whole)
    wanted = [(digits or {}).get(name, 4) for name in header]
    for row in cells:
        made.add_row(*(plain(text(cell, n)) for cell, n in zip(row, wanted, strict=True)))
    return made


def natural_width(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[int]:
    """Return the characters that each column of a table takes, the gap after it included."""
    widths = [len(name) for name in header]
    for row in rows:
        widths = [max(width, len(text(cell))) for width, cell in zip(widths, row, strict=True)]
    return [width + 2 for width in widths]


def pairs(content: Mapping[str, Any], digits: int = 4) -> "RenderableType":
    """Return a list of keys and values, one a line."""
    from rich.table import Table

    made = Table(box=None, show_header=False, pad_edge=False)
    made.add_column(style="bold", no_wrap=True)
    made.add_column(overflow="fold")
    for key, value in content.items():
        made.add_row(key, plain(text(value, digits)))
    return made


def plain(content: str) -> str:
    """Return text in which rich sees no markup."""
    return content.replace("[", r"\[")
