"""Extended XYZ of GPUMD's dialects, and of ours, as a `TrajectorySource`: the file is mapped and parsed where it is."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lizrcl_flows.errors import InputError
from lizrcl_flows.gpumd.extended_xyz import Column, parse_columns, parse_header, parse_periodicity
from lizrcl_flows.gpumd.mapped_file import MappedFile
from lizrcl_flows.gpumd.source import SourceFrame, TrajectorySource, with_volume

_LONGEST_NAME = 8
_SKIPPED, _NAME = -1, -2
_FS_PER_PS = 1000.0
_LONGEST_HEADER = 1 << 16


def has_lattice(path: Path) -> bool:
    """Tell whether the second line of a file is the header of an extended XYZ frame with a cell."""
    with path.open("rb") as handle:
        handle.readline()
        return b"lattice=" in handle.readline(_LONGEST_HEADER).lower()


@dataclass(frozen=True)
class _Layout:
    """Which token of an atom line goes where; the same for every frame with the same ``Properties``."""

    properties: str
    targets: npt.NDArray[np.int32]
    width: int
    groups: tuple[int, int] | None
    has_unwrapped: bool

    @classmethod
    def of(cls, properties: str, where: str) -> "_Layout":
        targets: list[int] = []
        wanted: dict[str, int] = {"pos": 0, "unwrapped_position": 3}
        columns = parse_columns(properties, where)
        unwrapped = any(_is_place(column, "unwrapped_position") for column in columns)
        width, groups = (6 if unwrapped else 3), None
        for column in columns:
            if column.name == "species":
                targets.append(_NAME)
            elif column.name in wanted and column.width == 3:
                targets.extend(range(wanted[column.name], wanted[column.name] + 3))
            elif column.name in {"group", "group_labels"} and column.kind == "I":
                groups = (width, width + column.width)
                targets.extend(range(*groups))
                width += column.width
            else:
                targets.extend([_SKIPPED] * column.width)
        return cls(properties, np.array(targets, dtype=np.int32), width, groups, unwrapped)


def _is_place(column: Column, name: str) -> bool:
    return column.name == name and column.width == 3


class XyzSource(TrajectorySource):
    """Extended XYZ with a cell in every frame."""

    format = "gpumd-xyz"

    def __init__(self, path: Path) -> None:
        super().__init__(path, ())
        self._file = MappedFile(path)
        self._layout: _Layout | None = None
        self._names: npt.NDArray[np.uint8] | None = None
        first = self._read(0, 0)
        if first is None:
            raise InputError(f"{path}: the file ends inside its first frame; no whole frame can be used")
        self.has_unwrapped = first[0].unwrapped is not None

    def _frames(self, chosen: npt.NDArray[np.int64] | None) -> Iterator[SourceFrame]:
        self.cut_short = None
        at, number = 0, 0
        while (found := self._read(at, number)) is not None:
            frame, at = found
            self._file.passed(at)
            yield frame if chosen is None else _part(frame, chosen)
            number += 1

    def close(self) -> None:
        """Let go of the mapped file."""
        self._file.close()

    def _line(self, at: int) -> tuple[str, int] | None:
        """Return the line that begins at `at` and where the next one does; None where the file ends before."""
        content, step, stop = self._file.bytes, 1 << 10, at
        while stop < len(content):
            piece = content[stop : stop + step].tobytes()
            found = piece.find(b"\n")
            if found >= 0:
                stop += found
                return content[at:stop].tobytes().decode("utf-8", "replace"), stop + 1
            stop += len(piece)
        return None

    def _read(self, at: int, number: int) -> tuple[SourceFrame, int] | None:
        """Return the frame that begins at `at` and where it ends; None at the end of the file."""
        where = f"{self.path}, frame {number}"
        begin = at
        while (counted := self._line(begin)) is not None and not counted[0].strip():
            begin = counted[1]
        if counted is None:
            if self._file.bytes[begin:].tobytes().strip():
                self._ends_inside(number)
            return None
        count, after = counted[0].strip(), counted[1]
        if not count.isdigit() or int(count) < 1:
            raise InputError(f"{where}: '{count[:40]}' should be the number of atoms of a frame")
        if self.species and int(count) != self.n_atoms:
            raise InputError(f"{where} has {count} atoms, the first frame has {self.n_atoms}; one system is needed")
        headed = self._line(after)
        if headed is None:
            self._ends_inside(number)
            return None
        return self._body(int(count), headed, number, where)

    def _body(self, n_atoms: int, headed: tuple[str, int], number: int, where: str) -> tuple[SourceFrame, int] | None:
        from lizrcl_flows.gpumd._frames import parse_rows

        header, start = parse_header(headed[0]), headed[1]
        layout = self._layout_of(header.get("properties"), where)
        names = np.zeros((n_atoms, _LONGEST_NAME), dtype=np.uint8)
        numbers = np.empty((n_atoms, layout.width))
        stop = parse_rows(self._file.bytes, start, layout.targets, names, numbers)
        if stop == -1:
            self._ends_inside(number)
            return None
        if stop < 0:
            raise InputError(
                f"{where}: the line of atom {-2 - stop} does not hold the columns that Properties={layout.properties} "
                "declares"
            )
        self._same_species(names, numbers, layout, where)
        time = _numbers(header.get("time"), 1, where, "Time")
        cell = _numbers(header.get("lattice"), 9, where, "Lattice")
        if cell is None:
            raise InputError(f'{where}: Lattice="..." with nine numbers is missing')
        pbc = parse_periodicity(header.get("pbc"), where)
        frame = SourceFrame(
            cell=with_volume(cell.reshape(3, 3), where),
            positions=numbers[:, :3],
            unwrapped=numbers[:, 3:6] if layout.has_unwrapped else None,
            time_ps=None if time is None else float(time[0]) / _FS_PER_PS,
            pbc=(bool(pbc[0]), bool(pbc[1]), bool(pbc[2])),
        )
        return frame, int(stop)

    def _ends_inside(self, number: int) -> None:
        self.cut_short = f"{self.path}: the file ends inside frame {number}."

    def _layout_of(self, properties: str | None, where: str) -> _Layout:
        if properties is None:
            raise InputError(f"{where}: Properties= is missing")
        if self._layout is None or self._layout.properties != properties:
            self._layout = _Layout.of(properties, where)
        return self._layout

    def _same_species(
        self, names: npt.NDArray[np.uint8], numbers: npt.NDArray[np.float64], layout: _Layout, where: str
    ) -> None:
        """Take the species from the first frame; refuse another order in a later one."""
        if self._names is None:
            self._names = names
            self.species = tuple(row.tobytes().rstrip(b"\0").decode() for row in names)
            if layout.groups is not None:
                self.groups = numbers[:, slice(*layout.groups)].astype(np.int64)
        elif not np.array_equal(names, self._names):
            atom = int(np.flatnonzero((names != self._names).any(axis=1))[0])
            found = names[atom].tobytes().rstrip(b"\0").decode()
            raise InputError(
                f"{where}: atom {atom} is {found}, in the first frame it is {self.species[atom]}; the order of the "
                "atoms must not change"
            )


def _part(frame: SourceFrame, chosen: npt.NDArray[np.int64]) -> SourceFrame:
    unwrapped = None if frame.unwrapped is None else frame.unwrapped[chosen]
    return SourceFrame(frame.cell, frame.positions[chosen], unwrapped, frame.time_ps, frame.pbc)


def _numbers(text: str | None, count: int, where: str, key: str) -> npt.NDArray[np.float64] | None:
    if text is None:
        return None
    try:
        values = np.array([float(token) for token in text.split()])
    except ValueError:
        values = np.empty(0)
    if values.size != count or not np.isfinite(values).all():
        raise InputError(f'{where}: {key}="{text}" should be {count} number{"s" * (count > 1)}')
    return values
