"""Figures and tables as pages of a PDF."""

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from lizrcl_flows.science.figure_style import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

A4_IN = (8.27, 11.69)
LINE_CHARACTERS = 108
"""Characters of a line of text on a page."""

_LINES_OF_PAGE = 84
_TEXT_POINTS = 7.5
_CAPTION_POINTS = 7.5
_MARGIN_IN = 0.6
_RESOLUTION_DPI = 200


class FigureBook:
    """A PDF that is written page by page; the same content gives the same bytes.

    Parameters
    ----------
    path
        The file; it is there, whole, once the book is closed without an error.
    title
        For the reader's window.
    """

    def __init__(self, path: Path, title: str) -> None:
        from matplotlib.backends.backend_pdf import PdfPages

        self._path = path
        self._partial = path.with_name(f".{path.name}.part")
        self._pages: Any = PdfPages(self._partial, metadata={"Title": title, "CreationDate": None})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pages.close()
        if kind is None:
            self._partial.replace(self._path)
        else:
            self._partial.unlink(missing_ok=True)

    def add_text(self, lines: Iterable[str]) -> None:
        """Write lines on as many pages as they need; a line that is too long is broken."""
        wrapped = [part for line in lines for part in _broken(line)]
        for start in range(0, len(wrapped), _LINES_OF_PAGE):
            self._save(_page(wrapped[start : start + _LINES_OF_PAGE]))

    def add_figure(self, figure: "Figure", caption: str) -> None:
        """Put a figure on a page of its own size, its caption below."""
        width = float(figure.get_figwidth())
        letters = max(30, int(width * 72 / (0.55 * _CAPTION_POINTS)))
        words = "\n".join(part for line in caption.splitlines() for part in textwrap.wrap(line, letters))
        with style():
            figure.text(0.01, -0.03, words, va="top", fontsize=_CAPTION_POINTS, parse_math=False)
            self._pages.savefig(figure, dpi=_RESOLUTION_DPI, bbox_inches="tight", pad_inches=0.3)

    def _save(self, figure: "Figure") -> None:
        with style():
            self._pages.savefig(figure)


def aligned(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield a table as lines of text; where it is too wide for a page, each row as its own lines."""
    names = [" ".join(name.split()) for name in header]
    widths = [max(len(row[place]) for row in [names, *rows]) for place in range(len(names))]
    if sum(widths) + 2 * len(widths) <= LINE_CHARACTERS:
        for row in [names, *rows]:
            yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        return
    for row in rows:
        yield f"* {row[0]}"
        yield from (
            f"    {name}: {cell}" for name, cell in zip(names[1:], row[1:], strict=True) if cell not in ("", "-")
        )


def _broken(line: str) -> list[str]:
    indent = " " * (len(line) - len(line.lstrip()) + 2)
    return textwrap.wrap(line, LINE_CHARACTERS, subsequent_indent=indent, drop_whitespace=False) or [""]


def _page(lines: Sequence[str]) -> "Figure":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with style():
        figure = Figure(figsize=A4_IN)
        FigureCanvasAgg(figure)
        figure.text(
            _MARGIN_IN / A4_IN[0],
            1 - _MARGIN_IN / A4_IN[1],
            "\n".join(lines),
            va="top",
            family="DejaVu Sans Mono",
            fontsize=_TEXT_POINTS,
            linespacing=1.25,
            parse_math=False,
        )
    return figure
