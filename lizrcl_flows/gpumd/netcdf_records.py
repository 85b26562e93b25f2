"""The classic NetCDF format (versions 1, 2 and 5), mapped: arrays by their name, whole records only.

The format is described in the NetCDF User's Guide, appendix "File Format Specifications". A library would refuse a file
whose last record is incomplete, as that of a run that was killed is; here the records before it are used.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lizrcl_flows.errors import InputError
from lizrcl_flows.gpumd.mapped_file import MappedFile

TYPES = {1: "i1", 2: "S1", 3: ">i2", 4: ">i4", 5: ">f4", 6: ">f8", 7: "u1", 8: ">u2", 9: ">u4", 10: ">i8", 11: ">u8"}
"""NumPy types of NetCDF's external types."""

DIMENSIONS, VARIABLES, ATTRIBUTES = 10, 11, 12
STREAMING = 0xFFFFFFFF
"""Number of records of a file whose writer did not know it yet."""


@dataclass
class Records:
    """Variables of a file.

    Attributes
    ----------
    variables
        Arrays by name; those with records have them along the first axis.
    attributes
        Global attributes.
    n_records
        Whole records.
    cut_short
        Sentence that says where the file ends inside a record, or None.
    close
        Lets go of the file.
    passed
        Takes a number of records that are not needed any more and lets go of the memory they take.
    """

    variables: dict[str, Any]
    attributes: dict[str, Any]
    n_records: int
    cut_short: str | None
    close: Callable[[], None] = field(default=lambda: None)
    passed: Callable[[int], None] = field(default=lambda _: None)


@dataclass(frozen=True)
class _Variable:
    name: str
    dtype: str
    shape: tuple[int, ...]
    has_records: bool
    begin: int

    @property
    def n_bytes(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize


class _Header:
    """Reads the header, one item after the other."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 4
        version = content[3]
        if version not in (1, 2, 5):
            raise ValueError(f"version {version} of the format is not known")
        self._count = ">i8" if version == 5 else ">i4"
        self._offset = ">i4" if version == 1 else ">i8"

    def _number(self, dtype: str) -> int:
        size = np.dtype(dtype).itemsize
        piece = self._content[self._at : self._at + size]
        if len(piece) < size:
            raise ValueError("the file ends inside its header")
        self._at += size
        return int(np.frombuffer(piece, dtype=dtype)[0])

    def count(self) -> int:
        return self._number(self._count)

    def _padded(self, n_bytes: int) -> bytes:
        piece = self._content[self._at : self._at + n_bytes]
        if len(piece) < n_bytes:
            raise ValueError("the file ends inside its header")
        self._at += (n_bytes + 3) // 4 * 4
        return piece

    def name(self) -> str:
        return self._padded(self.count()).decode("utf-8", "replace")

    def n_records(self) -> int | None:
        found = self._number(self._count.replace("i", "u"))
        return None if found in (STREAMING, 2**64 - 1) else found

    def _listed(self, tag: int) -> int:
        found, length = self._number(">i4"), self.count()
        if found not in (0, tag):
            raise ValueError(f"tag {found} where {tag} should be")
        return length

    def dimensions(self) -> list[int]:
        lengths = []
        for _ in range(self._listed(DIMENSIONS)):
            self.name()
            lengths.append(self.count())
        return lengths

    def attributes(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for _ in range(self._listed(ATTRIBUTES)):
            name = self.name()
            dtype, length = TYPES[self._number(">i4")], self.count()
            content = self._padded(length * np.dtype(dtype).itemsize)
            found[name] = content.decode("utf-8", "replace") if dtype == "S1" else np.frombuffer(content, dtype=dtype)
        return found

    def variables(self, dimensions: list[int]) -> list[_Variable]:
        found = []
        for _ in range(self._listed(VARIABLES)):
            name = self.name()
            axes = [self.count() for _ in range(self.count())]
            self.attributes()
            dtype = TYPES[self._number(">i4")]
            self.count()  # its size, which overflows for large ones and follows from the shape
            begin = self._number(self._offset)
            lengths = [dimensions[axis] for axis in axes]
            has_records = bool(lengths) and lengths[0] == 0
            found.append(_Variable(name, dtype, tuple(lengths[has_records:]), has_records, begin))
        return found


def map_records(path: Path) -> Records:
    """Map a file.

    Raises
    ------
    InputError
        If its header is damaged.
    """
    file = MappedFile(path)
    content = file.bytes
    header = _Header(content[: 1 << 20].tobytes())
    try:
        told = header.n_records()
        dimensions = header.dimensions()
        attributes = header.attributes()
        variables = header.variables(dimensions)
    except (ValueError, KeyError, IndexError) as error:
        raise InputError(f"{path}: the header of this NetCDF file is damaged: {error}") from None
    recorded = [variable for variable in variables if variable.has_records]
    arrays = {v.name: _fixed(content, v) for v in variables if not v.has_records}
    if not recorded:
        return Records(arrays, attributes, 0, None)
    begin = min(variable.begin for variable in recorded)
    padded = [(variable.n_bytes + 3) // 4 * 4 for variable in recorded]
    length = recorded[0].n_bytes if len(recorded) == 1 else sum(padded)
    room, rest = divmod(len(content) - begin, length)
    n_records = room if told is None else min(told, room)
    cut_short = None
    if told is not None and told > room:
        cut_short = f"{path}: the file ends inside frame {room}, its header promises {told} frames."
    elif told is None and rest:
        cut_short = f"{path}: the file ends inside frame {room}."
    dtype = np.dtype(
        {
            "names": [variable.name for variable in recorded],
            "formats": [(variable.dtype, variable.shape) for variable in recorded],
            "offsets": [variable.begin - begin for variable in recorded],
            "itemsize": length,
        }
    )
    mapped = content[begin : begin + n_records * length].view(dtype) if n_records else np.zeros(0, dtype=dtype)
    arrays |= {variable.name: mapped[variable.name] for variable in recorded}

    def passed(number: int) -> None:
        file.passed(begin + number * length)

    return Records(arrays, attributes, int(n_records), cut_short, arrays.clear, passed)


def _fixed(content: Any, variable: _Variable) -> Any:
    piece = content[variable.begin : variable.begin + variable.n_bytes]
    return piece.view(variable.dtype).reshape(variable.shape) if piece.size == variable.n_bytes else np.zeros(0)
