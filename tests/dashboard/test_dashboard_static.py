"""Vendored files are what VENDORED.md says, all of them, with their licences."""

import hashlib
from importlib.resources import files
from pathlib import Path

VENDOR = Path(str(files("lizrcl_flows.dashboard") / "static" / "vendor"))


def table() -> list[dict[str, str]]:
    lines = [line for line in (VENDOR / "VENDORED.md").read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [dict(zip(rows[0], row, strict=True)) for row in rows[2:]]


def test_every_file_has_the_digest_and_the_licence_that_are_told() -> None:
    for row in table():
        content = (VENDOR / row["file"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == row["sha256"], row["file"]
        assert (VENDOR / row["licence text"]).stat().st_size > 300
        assert row["version"]
        assert row["licence"] in ("MIT", "BSD-3-Clause", "0BSD")


def test_no_file_is_there_that_is_not_told() -> None:
    told = {row["file"] for row in table()} | {row["licence text"] for row in table()}
    told |= {"VENDORED.md", "chemiscope.min.js.LICENSE.txt"}
    assert {path.name for path in VENDOR.iterdir()} == told


def test_libraries_are_of_the_version_that_is_told() -> None:
    versions = {row["file"]: row["version"] for row in table()}
    assert f'version:"{versions["htmx.min.js"]}"' in (VENDOR / "htmx.min.js").read_text(encoding="utf-8")
    head = (VENDOR / "uPlot.iife.min.js").read_text(encoding="utf-8")[:200]
    assert f"v{versions['uPlot.iife.min.js']}" in head
