"""The extended XYZ dialect that GPUMD reads and writes: frames in, frames out, nothing interpreted.

A frame is a line with the number of atoms, a line of ``key=value`` pairs among which is ``Properties=``, and a line for
every atom. What the columns mean is decided by the modules that use this one.
"""

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TextIO

import numpy as np
import numpy.typing as npt

from lizrcl_flows.errors import InputError

FloatArray = npt.NDArray[np.float64]

_PAIR = re.compile(r'([A-Za-z_][\w\-]*)\s*=\s*(?:"([^"]*)"|(\S+))')


class CutShortError(InputError):
    """The file ends inside a frame."""


@dataclass(frozen=True)
class Column:
    """One entry of ``Properties=``: its name, its kind (``S``, ``R``, ``I`` or ``L``) and its number of columns."""

    name: str
    kind: str
    width: int


@dataclass(frozen=True)
class RawFrame:
    """One frame as it stands in the file.

    Attributes
    ----------
    header
        The ``key=value`` pairs of the second line, keys in lower case, values without quotes.
    species
        Chemical symbols, one for each atom.
    columns
        Every numeric entry of ``Properties=`` by its name in lower case: float64, shape (N,) or (N, width).
    line
        Line of the file (from 1) on which the frame starts.
    """

    header: Mapping[str, str]
    species: tuple[str, ...]
    columns: Mapping[str, FloatArray]
    line: int

    def numbers(self, key: str, count: int, where: str) -> FloatArray | None:
        """Values of a header key as numbers, or None where the key is absent.

        Parameters
        ----------
        key
            Key in lower case.
        count
            How many numbers there must be.
        where
            Name of the file, for the message.

        Raises
        ------
        InputError
            The key holds something else than `count` numbers.
        """
        text = self.header.get(key)
        if text is None:
            return None
        try:
            values = np.array([float(token) for token in text.split()])
        except ValueError:
            values = np.empty(0)
        if values.size != count:
            message = f'{where}, line {self.line + 1}: {key}="{text}" should be {count} number{"s" * (count > 1)}.'
            raise InputError(message)
        return values


def parse_header(line: str) -> dict[str, str]:
    """Split the second line of a frame into its ``key=value`` pairs; keys come out in lower case."""
    return {match[1].lower(): match[3] if match[2] is None else match[2] for match in _PAIR.finditer(line)}


def parse_columns(text: str, where: str) -> tuple[Column, ...]:
    """Read the value of ``Properties=``.

    Raises
    ------
    InputError
        It is not a list of ``name:kind:width``, or lacks ``species:S:1`` or ``pos:R:3``.
    """
    parts = text.split(":")
    columns: list[Column] = []
    for name, kind, width in zip(parts[::3], parts[1::3], parts[2::3], strict=False):
        if kind.upper() not in "SRIL" or len(kind) != 1 or not width.isdigit() or int(width) < 1:
            raise InputError(
                f"{where}: '{name}:{kind}:{width}' in Properties should be name:kind:width with kind S, R, I or L."
            )
        columns.append(Column(name.lower(), kind.upper(), int(width)))
    known = {(column.name, column.kind, column.width) for column in columns}
    if len(parts) % 3 or not {("species", "S", 1), ("pos", "R", 3)} <= known:
        raise InputError(f"{where}: Properties={text} should be name:kind:width triples with species:S:1 and pos:R:3.")
    return tuple(columns)


def read_frames(handle: TextIO, where: str) -> Iterator[RawFrame]:
    """Read frames one after the other, holding one in memory.

    Parameters
    ----------
    handle
        The file, open for reading text.
    where
        Its name, for messages.

    Yields
    ------
    RawFrame

    Raises
    ------
    CutShortError
        The file ends inside a frame.
    InputError
        A frame is malformed; the message names the line.
    """
    line = 0
    while True:
        first = handle.readline()
        line += 1
        if not first:
            return
        if not first.strip():
            continue
        frame, lines = _read_frame(first, handle, where, line)
        yield frame
        line += lines


def _read_frame(first: str, handle: TextIO, where: str, line: int) -> tuple[RawFrame, int]:
    """Read the frame whose first line was read already; also how many lines followed that first one."""
    if not first.endswith("\n"):
        raise CutShortError(f"{where}, line {line}: the file ends inside a frame.")
    if not first.strip().isdigit() or int(first) < 1:
        raise InputError(f"{where}, line {line}: '{first.strip()}' should be the number of atoms of a frame.")
    n_atoms = int(first)
    second = handle.readline()
    body = list(islice(handle, n_atoms))
    if len(body) < n_atoms or not body[-1].endswith("\n"):
        message = f"{where}, line {line}: the file ends inside the frame of {n_atoms} atoms that starts here."
        raise CutShortError(message)
    header = parse_header(second)
    if "properties" not in header:
        raise InputError(f"{where}, line {line + 1}: Properties= is missing.")
    columns = parse_columns(header["properties"], f"{where}, line {line + 1}")
    species, numbers = _parse_body(body, columns, where, line + 2)
    return RawFrame(header, species, numbers, line), n_atoms + 1


def _parse_body(
    body: list[str], columns: Sequence[Column], where: str, line: int
) -> tuple[tuple[str, ...], dict[str, FloatArray]]:
    """Atom lines to species and numeric columns."""
    width = sum(column.width for column in columns)
    plain = columns[0].name == "species" and all(column.kind in "RI" for column in columns[1:])
    if not plain:
        return _parse_mixed_body(body, columns, where, line)
    rows = [row.split(None, 1) for row in body]
    try:
        species = tuple([row[0] for row in rows])
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)  # how older NumPy reports text that is no number
            values = np.fromstring(" ".join([row[1] for row in rows]), sep=" ")
        matrix = values.reshape(len(body), width - 1)
    except (IndexError, ValueError, DeprecationWarning):
        raise InputError(_bad_row(body, width, where, line)) from None
    return species, _split_columns(matrix, columns[1:])


def _split_columns(matrix: FloatArray, columns: Sequence[Column]) -> dict[str, FloatArray]:
    result: dict[str, FloatArray] = {}
    start = 0
    for column in columns:
        stop = start + column.width
        result[column.name] = matrix[:, start] if column.width == 1 else np.ascontiguousarray(matrix[:, start:stop])
        start = stop
    return result


def _parse_mixed_body(
    body: list[str], columns: Sequence[Column], where: str, line: int
) -> tuple[tuple[str, ...], dict[str, FloatArray]]:
    """Do the same, more slowly, for frames with further text columns, which are skipped."""
    width = sum(column.width for column in columns)
    rows = [row.split() for row in body]
    if any(len(row) != width for row in rows):
        raise InputError(_bad_row(body, width, where, line))
    species: tuple[str, ...] = ()
    numbers: dict[str, FloatArray] = {}
    start = 0
    for column in columns:
        stop = start + column.width
        try:
            if column.name == "species":
                species = tuple(row[start] for row in rows)
            elif column.kind in "RI":
                block = np.array([[float(token) for token in row[start:stop]] for row in rows])
                numbers[column.name] = block[:, 0] if column.width == 1 else block
        except ValueError:
            raise InputError(_bad_row(body, width, where, line)) from None
        start = stop
    return species, numbers


def _bad_row(body: list[str], width: int, where: str, line: int) -> str:
    """Name the first atom line that does not fit."""
    for offset, row in enumerate(body):
        tokens = row.split()
        if len(tokens) != width:
            return f"{where}, line {line + offset}: {len(tokens)} columns where Properties declares {width}."
        for token in tokens[1:]:
            try:
                float(token)
            except ValueError:
                return f"{where}, line {line + offset}: '{token}' should be a number."
    return f"{where}, line {line}: the atom lines do not fit Properties."


class FrameFormat:
    """Writes frames of the same atoms and columns again and again, fast.

    Parameters
    ----------
    species
        Chemical symbols.
    columns
        Name, width and printf format of each numeric entry, in order; an integer format makes an ``I`` column.
    """

    def __init__(self, species: Sequence[str], columns: Sequence[tuple[str, int, str]]) -> None:
        row = "".join(f" {style}" * width for _, width, style in columns)
        self._n_atoms = len(species)
        self._template = "".join(f"{symbol}{row}\n" for symbol in species)
        kinds = [f"{name}:{'I' if style.endswith('d') else 'R'}:{width}" for name, width, style in columns]
        self._properties = ":".join(["species:S:1", *kinds])

    def render(self, header: str, arrays: Sequence[npt.NDArray[np.generic]]) -> str:
        """Text of one frame.

        Parameters
        ----------
        header
            The ``key=value`` pairs that go before ``Properties=``.
        arrays
            One array for each column entry, shape (N,) or (N, width).
        """
        n_atoms = self._n_atoms
        blocks = [np.asarray(array, dtype=np.float64).reshape(n_atoms, -1) for array in arrays]
        matrix = blocks[0] if len(blocks) == 1 else np.concatenate(blocks, axis=1)
        body = self._template % tuple(matrix.ravel().tolist())
        return f"{n_atoms}\n{header} Properties={self._properties}\n{body}"


def format_lattice(cell: FloatArray, style: str = "%.12g") -> str:
    """Write the ``Lattice="..."`` pair for cell vectors in rows (A)."""
    return 'Lattice="' + " ".join(style % value for value in cell.ravel()) + '"'


def format_periodicity(pbc: Sequence[bool] | npt.NDArray[np.bool_]) -> str:
    """Write the ``pbc="..."`` pair."""
    return 'pbc="' + " ".join("T" if periodic else "F" for periodic in pbc) + '"'


def parse_periodicity(text: str | None, where: str) -> npt.NDArray[np.bool_]:
    """Read the value of ``pbc``; absent means periodic in all directions.

    Raises
    ------
    InputError
        The value is not three of T and F.
    """
    tokens = ["T", "T", "T"] if text is None else text.split()
    flags = {"t": True, "true": True, "1": True, "f": False, "false": False, "0": False}
    if len(tokens) != 3 or any(token.lower() not in flags for token in tokens):
        raise InputError(f'{where}: pbc="{text}" should be three of T and F.')
    return np.array([flags[token.lower()] for token in tokens])


def open_text(path: Path) -> TextIO:
    """Open a text file for reading.

    Raises
    ------
    InputError
        There is no such file.
    """
    try:
        return path.open(encoding="utf-8", errors="replace")
    except (FileNotFoundError, IsADirectoryError):
        raise InputError(f"There is no file {path}.") from None
