"""A report on disk: one page of HTML, a PDF, Markdown, every figure as PNG with its numbers as CSV and JSON."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from lizrcl_flows.cli.output import text
from lizrcl_flows.cli.report_page import PAGE_END, figure_part, page_start, section_start
from lizrcl_flows.cli.report_parts import Picture, Section, Shown

if TYPE_CHECKING:
    from lizrcl_flows.science.figure_book import FigureBook

NUMBERS = "numbers"
"""Folder of the CSV and JSON files."""


@dataclass(frozen=True)
class Written:
    """The files of a report, and what its figures show, for report.json."""

    paths: list[Path]
    figures: list[dict[str, Any]]


def write_sections(directory: Path, title: str, lead: Sequence[str], sections: Sequence[Section]) -> Written:
    """Write sections with their figures; figures are drawn, written and forgotten one by one.

    Returns
    -------
    Written
        report.html, report.pdf, report.md and the figures, in this order; the numbers are in the folder `NUMBERS`.
    """
    from lizrcl_flows.science.figure_book import FigureBook

    (directory / NUMBERS).mkdir(parents=True, exist_ok=True)
    page, markdown = directory / "report.html", directory / "report.md"
    told: list[str] = []
    entries: list[dict[str, Any]] = []
    partial = page.with_name(f".{page.name}.part")
    try:
        with FigureBook(directory / "report.pdf", title) as book, partial.open("w", encoding="utf-8") as html:
            book.add_text(_text_pages(title, lead, sections))
            _put(html, page_start(title, lead, sections))
            told.extend(_markdown_start(title, lead))
            for place, section in enumerate(sections):
                _put(html, section_start(place, section))
                told.extend(_markdown_section(section))
                for picture in _pictures(directory, section.shown, book, entries):
                    _put(html, figure_part(picture))
                    told.append(f"![{picture.caption}]({picture.name}.png)\n\n{picture.caption}\n")
            html.write(PAGE_END)
        partial.replace(page)
    finally:
        partial.unlink(missing_ok=True)
    write_text(markdown, "\n".join(told) + "\n")
    pictures = [directory / f"{entry['name']}.png" for entry in entries]
    return Written([page, directory / "report.pdf", markdown, *pictures], entries)


def write_text(path: Path, content: str) -> None:
    """Write a file whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(content, encoding="utf-8")
    partial.replace(path)


def _put(html: IO[str], lines: Iterable[str]) -> None:
    html.writelines(f"{line}\n" for line in lines)


def _pictures(
    directory: Path, figures: Iterable[Shown], book: "FigureBook", entries: list[dict[str, Any]]
) -> Iterator[Picture]:
    """Write the files of each figure and note it in `entries`."""
    from lizrcl_flows.science.figure_tables import csv_text, json_text
    from lizrcl_flows.science.figures import save_figure

    for shown in figures:
        name = _unused(shown.name, {entry["name"] for entry in entries})
        path = save_figure(shown.figure, directory / f"{name}.png")
        numbers = csv_text(shown.table), json_text(shown.table, figure=name, caption=shown.caption, ids=shown.ids)
        for ending, content in zip(("csv", "json"), numbers, strict=True):
            write_text(directory / NUMBERS / f"{name}.{ending}", content)
        lineage = f"\nlizrcl lineage {shown.ids[0]}" if shown.ids else ""
        more = f" (and {len(shown.ids) - 1} more)" if len(shown.ids) > 1 else ""
        book.add_figure(shown.figure, f"{shown.caption}{lineage}{more}")
        entries.append({"name": name, "caption": shown.caption, "ids": list(shown.ids)})
        yield Picture(name, shown.caption, path.read_bytes(), *numbers, shown.ids)


def _unused(name: str, taken: set[str]) -> str:
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    return free


def _text_pages(title: str, lead: Sequence[str], sections: Sequence[Section]) -> Iterator[str]:
    from lizrcl_flows.science.figure_book import aligned

    yield title
    yield "=" * len(title)
    yield from (f"* {line.replace('`', '')}" for line in lead)
    for section in sections:
        if not (section.lines or section.rows):
            continue
        yield ""
        yield section.title
        yield "-" * len(section.title)
        yield from (f"* {line.replace('`', '')}" for line in section.lines)
        if section.rows:
            rows = [[text(cell).replace("`", "") for cell in row] for row in section.rows]
            yield from aligned(section.header, rows)
        if section.note:
            yield section.note.replace("`", "")


def _markdown_start(title: str, lead: Sequence[str]) -> Iterator[str]:
    yield f"# {title}\n"
    yield from (f"* {line}" for line in lead)
    yield ""


def _markdown_section(section: Section) -> Iterator[str]:
    yield f"## {section.title}\n"
    if section.rows:
        names = [" ".join(name.split()) for name in section.header]
        yield f"| {' | '.join(names)} |"
        yield f"|{' --- |' * len(names)}"
        for row in section.rows:
            yield f"| {' | '.join(text(cell).replace('|', '/') for cell in row)} |"
        yield ""
    yield from (f"* {line}" for line in section.lines)
    if section.note:
        yield f"\n{section.note}"
    yield ""
