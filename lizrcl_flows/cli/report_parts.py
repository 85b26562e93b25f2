"""What a report is made of: sections with sentences, a table and figures, each figure with its numbers and its ids."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Shown:
    """A figure on its way into a report.

    Attributes
    ----------
    name
        For files, without an ending.
    caption
        What it shows.
    figure
        Matplotlib's.
    table
        Its numbers: columns by name.
    ids
        The documents that it shows: where its lineage begins.
    """

    name: str
    caption: str
    figure: Any
    table: Mapping[str, Any]
    ids: tuple[str, ...]


@dataclass(frozen=True)
class Section:
    """A part of a report.

    Attributes
    ----------
    title
        Its heading.
    lines
        Facts, one a line.
    header, rows
        A table; nothing where there are no rows.
    note
        A sentence under the table.
    shown
        Its figures, drawn one after the other when they are asked for.
    """

    title: str
    lines: tuple[str, ...] = ()
    header: tuple[str, ...] = ()
    rows: tuple[Sequence[Any], ...] = ()
    note: str = ""
    shown: Iterable[Shown] = ()


@dataclass(frozen=True)
class Picture:
    """A figure as it stands on the page: a PNG with its numbers as text."""

    name: str
    caption: str
    png: bytes
    csv: str
    json: str
    ids: tuple[str, ...]
