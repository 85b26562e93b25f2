"""A file that is mapped and read from front to back; what lies behind the reader does not stay in memory."""

import mmap
from pathlib import Path

import numpy as np
import numpy.typing as npt

_PIECE = 16 << 20
"""Bytes that are let go of at once."""


class MappedFile:
    """The bytes of a file, mapped; it must not be empty.

    Pages that were read would count as memory of this process until it ends, although the system can take them back; a
    queue that watches that number ends a process for them.

    Attributes
    ----------
    bytes
        The file as it was when it was mapped, shape (size,), read-only.
    """

    def __init__(self, path: Path) -> None:
        with path.open("rb") as handle:
            self._map = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)
        self.bytes: npt.NDArray[np.uint8] = np.frombuffer(self._map, dtype=np.uint8)
        self._behind = 0

    def passed(self, at: int) -> None:
        """Let go of the pages before this byte; whoever needs them again reads them again."""
        if at < self._behind:
            self._behind = 0
        if at - self._behind >= _PIECE:
            stop = at // mmap.PAGESIZE * mmap.PAGESIZE
            self._map.madvise(mmap.MADV_DONTNEED, self._behind, stop - self._behind)
            self._behind = stop

    def close(self) -> None:
        """Let go of the file; the map ends with the last array that looks into it."""
        self.bytes = np.zeros(0, dtype=np.uint8)
