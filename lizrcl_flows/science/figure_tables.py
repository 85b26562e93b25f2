"""The numbers of a figure as text: CSV for a spreadsheet, JSON for a program."""

import csv
import io
import itertools
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

DIGITS = 7
"""Significant digits of a number: as many as single precision has."""


def plain_columns(table: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return the columns as lists of what JSON knows: numbers, words, and None where a number is not finite."""
    return {
        name: [_plain(value) for value in np.asarray(column, dtype=object).ravel()] for name, column in table.items()
    }


def csv_text(table: Mapping[str, Any]) -> str:
    """Return the table as comma-separated values with a line of names; shorter columns end with blanks."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    columns = plain_columns(table)
    writer.writerow(columns)
    rows = itertools.zip_longest(*columns.values())
    writer.writerows(["" if value is None else value for value in row] for row in rows)
    return buffer.getvalue()


def json_text(table: Mapping[str, Any], **about: Any) -> str:
    """Return what a figure is about and its columns as JSON; what is not finite becomes null."""
    return json.dumps({**about, "columns": plain_columns(table)}, ensure_ascii=False, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, np.integer | np.bool_):
        return value.item()
    number = float(value)
    return float(f"{number:.{DIGITS}g}") if math.isfinite(number) else None
