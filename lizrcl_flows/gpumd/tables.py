"""The tables that ``gpumd`` writes: ``thermo.out``, ``active.out`` and ``msd.out``.

From v5.6 on GPUMD puts lines that start with ``#`` before the rows of a run; older releases write rows only. Both are
read. A last line that was cut short is left out, and a warning says so.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lizrcl_flows.errors import InputError
from lizrcl_flows.gpumd.extended_xyz import FloatArray, open_text
from lizrcl_flows.units import GPA_PER_EV_A3

_LOG = logging.getLogger(__name__)

_VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
"""Order of the six pressures in ``thermo.out``."""


@dataclass(frozen=True)
class Thermo:
    """Rows of ``thermo.out``.

    Attributes
    ----------
    temperature_k
        Temperature (K), shape (R,).
    kinetic_energy
        Kinetic energy of the cell (eV), shape (R,).
    potential_energy
        Potential energy of the cell (eV), as the model predicts it; shape (R,).
    pressure
        Pressure tensor with its kinetic part (eV/A^3; compression is positive), shape (R, 3, 3).
    cell
        Cell vectors in rows (A), shape (R, 3, 3).
    interval_fs
        Time between rows (fs), shape (R,); NaN where the file has no header.
    """

    temperature_k: FloatArray
    kinetic_energy: FloatArray
    potential_energy: FloatArray
    pressure: FloatArray
    cell: FloatArray
    interval_fs: FloatArray

    @property
    def time_fs(self) -> FloatArray:
        """Time of each row (fs) when the runs follow each other: the sum of the intervals."""
        times: FloatArray = np.cumsum(self.interval_fs)
        return times

    @property
    def volume(self) -> FloatArray:
        """Volume (A^3), shape (R,)."""
        volumes: FloatArray = np.abs(np.linalg.det(self.cell))
        return volumes


@dataclass(frozen=True)
class Active:
    """Rows of ``active.out``.

    Attributes
    ----------
    time_fs
        Time of each check (fs), shape (R,).
    eps
        Largest deviation of a force in the committee at each check (eV/A), shape (R,).
    """

    time_fs: FloatArray
    eps: FloatArray


@dataclass(frozen=True)
class MeanSquareDisplacement:
    """Content of ``msd.out``.

    Attributes
    ----------
    time_ps
        Correlation time (ps), shape (R,).
    displacement
        Mean square displacement along x, y and z (A^2), shape (R, groups, 3).
    diffusion
        Running self-diffusion coefficient along x, y and z (A^2/ps), shape (R, groups, 3).
    """

    time_ps: FloatArray
    displacement: FloatArray
    diffusion: FloatArray


@dataclass(frozen=True)
class _Table:
    rows: FloatArray
    output_interval_fs: FloatArray


def _parse_row(line: str, path: Path, number: int) -> list[float]:
    try:
        return [float(token) for token in line.split()]
    except ValueError:
        raise InputError(f"{path}, line {number}: '{line.strip()[:60]}' should be numbers only.") from None


def _read_table(path: Path, widths: tuple[int, ...] | None) -> _Table:
    """Rows of numbers, and for each the ``# dt_output`` in force."""
    rows: list[list[float]] = []
    intervals: list[float] = []
    interval = float("nan")
    with open_text(path) as handle:
        for number, line in enumerate(handle, start=1):
            if not line.endswith("\n"):
                _LOG.warning("%s, line %d: the last line is cut short and left out.", path, number)
                break
            if line.startswith("#"):
                tokens = line[1:].split()
                if len(tokens) > 1 and tokens[0] == "dt_output":
                    unit_fs = 1000.0 if tokens[2:] == ["ps"] else 1.0
                    interval = unit_fs * _parse_row(tokens[1], path, number)[0]
                continue
            if not line.strip():
                continue
            row = _parse_row(line, path, number)
            expected = widths if widths is not None and not rows else (len(rows[0]),) if rows else (len(row),)
            if len(row) not in expected:
                accepted = " or ".join(str(width) for width in expected)
                raise InputError(f"{path}, line {number}: {len(row)} columns where {accepted} are expected.")
            rows.append(row)
            intervals.append(interval)
    return _Table(np.array(rows, dtype=np.float64), np.array(intervals))


def read_thermo(path: str | Path) -> Thermo:
    """Read ``thermo.out``: 18 columns, or the 12 that old releases wrote for orthogonal cells.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    InputError
        The file is missing, or a line is not 18 (or 12) numbers; the message names it.
    """
    table = _read_table(Path(path), (18, 12))
    rows = table.rows.reshape(len(table.rows), -1) if table.rows.size else np.empty((0, 18))
    pressure = np.empty((len(rows), 3, 3))
    for column, (first, second) in enumerate(_VOIGT, start=3):
        pressure[:, first, second] = pressure[:, second, first] = rows[:, column] / GPA_PER_EV_A3
    if rows.shape[1] == 18:
        cell = rows[:, 9:].reshape(-1, 3, 3)
    else:
        cell = np.zeros((len(rows), 3, 3))
        cell[:, [0, 1, 2], [0, 1, 2]] = rows[:, 9:]
    return Thermo(rows[:, 0], rows[:, 1], rows[:, 2], pressure, cell, table.output_interval_fs)


def read_active(path: str | Path) -> Active:
    """Read ``active.out``.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    InputError
        The file is missing, or a line is not two numbers; the message names it.
    """
    rows = _read_table(Path(path), (2,)).rows.reshape(-1, 2)
    return Active(rows[:, 0], rows[:, 1])


def read_msd(path: str | Path) -> MeanSquareDisplacement:
    """Read ``msd.out`` of one ``compute_msd``, for one group or all groups of a method.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    InputError
        The file is missing, a line is not 1 + 6 * groups numbers, or the file holds the output of several runs.
    """
    path = Path(path)
    rows = _read_table(path, None).rows
    if rows.size == 0:
        raise InputError(f"{path} holds no rows.")
    groups, rest = divmod(rows.shape[1] - 1, 6)
    if rest or groups < 1:
        raise InputError(f"{path}: {rows.shape[1]} columns where 1 + 6 for each group are expected.")
    if np.any(np.diff(rows[:, 0]) <= 0.0):
        raise InputError(f"{path} holds the output of several runs; it should hold that of one.")
    blocks = rows[:, 1:].reshape(len(rows), groups, 2, 3)
    return MeanSquareDisplacement(rows[:, 0], blocks[:, :, 0], blocks[:, :, 1])
