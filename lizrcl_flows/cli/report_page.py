"""The report as one page of HTML: everything is in it, nothing is fetched, no script runs."""

import base64
import gzip
from collections.abc import Iterator, Sequence
from html import escape

from lizrcl_flows.cli.output import text
from lizrcl_flows.cli.report_parts import Picture, Section

COMPRESSED_FROM = 100_000
"""Characters from which the numbers of a figure are packed."""

BROAD_PIXELS = 560
"""Width from which a figure is wider than a phone and moves sideways there, so that its words can be read."""

LONG_CELL = 60
"""Characters of a cell from which a phone shows a table row by row."""

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #57606a; --paper: #fff; --line: #d0d7de; --link: #0550ae; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --soft: #9da7b3; --paper: #12161c; --line: #343c46; --link: #79b8ff; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 71rem; padding: 1rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: .5rem 0; }
h2 { font-size: 1.25rem; margin: 2.2rem 0 .6rem; padding-top: .6rem; border-top: 1px solid var(--line); }
a { color: var(--link); }
code { font: .85em ui-monospace, "DejaVu Sans Mono", monospace; }
ul { padding-left: 1.2rem; margin: .5rem 0; }
nav ul { columns: 18rem; }
.soft { color: var(--soft); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .88rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line);
  overflow-wrap: normal; }
th { font-weight: 600; white-space: pre-line; }
table:not(.long) td { white-space: nowrap; }
figure { margin: 1.4rem 0; }
figure img.broad { max-width: max(100%, 42rem); }
figure img { display: block; max-width: 100%; height: auto; background: #fff; border: 1px solid var(--line);
  border-radius: 6px; padding: .5rem; }
figcaption { margin-top: .5rem; max-width: 60rem; }
figcaption p { margin: .25rem 0; }
@media (max-width: 40rem) {
  .long thead { display: none; }
  .long, .long tbody, .long tr, .long td { display: block; }
  .long td { border: 0; padding: .1rem 0; }
  .long td::before { content: attr(data-name) ": "; color: var(--soft); }
  .long tr { border-bottom: 1px solid var(--line); padding: .5rem 0; }
}
details summary { cursor: pointer; color: var(--soft); }
@media print { nav, details, .numbers { display: none; } figure { break-inside: avoid; } }
"""


def page_start(title: str, lead: Sequence[str], sections: Sequence[Section]) -> Iterator[str]:
    """Yield the head of the page, its heading, what the report is about, and links to its sections."""
    yield '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    yield f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{escape(title)}</h1>"
    yield from _bullets(lead)
    if len(sections) > 1:
        yield "<nav><ul>"
        for place, section in enumerate(sections):
            yield f'<li><a href="#section-{place}">{escape(section.title)}</a></li>'
        yield "</ul></nav>"


def section_start(place: int, section: Section) -> Iterator[str]:
    """Yield heading, facts and table of a section."""
    yield f'<h2 id="section-{place}">{escape(section.title)}</h2>'
    yield from _bullets(section.lines)
    if section.rows:
        kind = ' class="long"' if any(len(text(cell)) > LONG_CELL for row in section.rows for cell in row) else ""
        yield f'<div class="wide"><table{kind}><thead><tr>'
        yield "".join(f"<th>{escape(name)}</th>" for name in section.header)
        yield "</tr></thead><tbody>"
        for row in section.rows:
            cells = zip(section.header, row, strict=True)
            yield f"<tr>{''.join(_cell(name, text(value)) for name, value in cells)}</tr>"
        yield "</tbody></table></div>"
    if section.note:
        yield f'<p class="soft">{_marked(section.note)}</p>'


def figure_part(picture: Picture) -> Iterator[str]:
    """Yield a figure with its caption, its numbers to save, and where its lineage begins."""
    name, caption = escape(picture.name), escape(picture.caption)
    width, height = _size(picture.png)
    source = f"data:image/png;base64,{base64.b64encode(picture.png).decode()}"
    kind = ' class="broad"' if width > BROAD_PIXELS else ""
    image = f'<img{kind} src="{source}" width="{width}" height="{height}" alt="{caption}">'
    yield f'<figure id="figure-{name}"><div class="wide">{image}</div>'
    yield f"<figcaption><p>{caption}</p>"
    links = " ".join(
        _download(picture.name, kind, body) for kind, body in (("csv", picture.csv), ("json", picture.json))
    )
    yield f'<p class="numbers soft">Numbers: {links}</p>'
    if picture.ids:
        commands = "".join(f"<li><code>lizrcl lineage {escape(name)}</code></li>" for name in picture.ids)
        yield f"<details><summary>Lineage: made from {_counted(picture.ids)}</summary><ul>{commands}</ul></details>"
    yield "</figcaption></figure>"


PAGE_END = "</body>\n</html>\n"


def _cell(name: str, value: str) -> str:
    return f'<td data-name="{escape(" ".join(name.split()))}">{_marked(value)}</td>'


def _bullets(lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield f"<ul>{''.join(f'<li>{_marked(line)}</li>' for line in lines)}</ul>"


def _marked(line: str) -> str:
    """Return a line in which what stands between backticks is code."""
    parts = escape(line).split("`")
    if len(parts) % 2 == 0:
        return escape(line)
    return "".join(f"<code>{part}</code>" if place % 2 else part for place, part in enumerate(parts))


def _download(name: str, kind: str, body: str) -> str:
    content, ending, media = body.encode("utf-8"), kind, {"csv": "text/csv", "json": "application/json"}[kind]
    if len(content) > COMPRESSED_FROM:
        content, ending, media = gzip.compress(content, mtime=0), f"{kind}.gz", "application/gzip"
    source = f"data:{media};base64,{base64.b64encode(content).decode()}"
    return f'<a download="{escape(name)}.{ending}" href="{source}">{kind.upper()}</a>'


def _size(png: bytes) -> tuple[int, int]:
    """Return width and height on the page: half of the pixels, which a fine screen shows as they are."""
    width, height = (int.from_bytes(png[place : place + 4], "big") for place in (16, 20))  # IHDR is the first chunk
    return width // 2, height // 2


def _counted(ids: Sequence[str]) -> str:
    return f"{len(ids)} documents" if len(ids) > 1 else "1 document"
