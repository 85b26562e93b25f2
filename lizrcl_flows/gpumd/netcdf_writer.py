"""Frames as AMBER NetCDF (classic format, 64-bit offsets), as GPUMD's ``dump_netcdf`` lays them out.

Every frame is one record of fixed length; the number of records in the header is set after each, so that a run that is
killed leaves a file of whole frames. The cell is turned into the standard orientation, and the atoms with it, as the
format has only lengths and angles. Unlike GPUMD's, our files name the elements of their types.
"""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from lizrcl_flows.gpumd.orientation import standard_orientation
from lizrcl_flows.gpumd.source_netcdf import TYPE_NAMES

_N_RECORDS_AT = 4
"""Where the number of records stands in the header."""

_LABELS = {"spatial": "xyz", "cell_spatial": "abc"}
_ANGLES = ("alpha", "beta", "gamma")

Floats = npt.NDArray[np.float64]


class NetcdfWriter:
    """Writes frames of the same atoms one after the other; a context manager.

    Parameters
    ----------
    path
        The file; it is written anew with the first frame.
    species
        Chemical symbols, N of them.
    double
        Positions in double precision.
    """

    def __init__(self, path: Path, species: Sequence[str], *, double: bool = False) -> None:
        self._path = path
        self._real = ">f8" if double else ">f4"
        self._names = list(dict.fromkeys(species))
        self._types = np.array([self._names.index(symbol) for symbol in species], dtype=">i4")
        self._n_frames = 0
        self._file: Any = None

    def append(
        self, time_ps: float, cell: Floats, positions: Floats, velocities: Any = None, unwrapped: Any = None
    ) -> None:
        """Write a frame; what the first one has, all have.

        Parameters
        ----------
        time_ps
            Time (ps).
        cell
            Cell vectors in rows (A), shape (3, 3).
        positions, unwrapped
            Positions (A), shape (N, 3).
        velocities
            Velocities (A/ps), shape (N, 3).
        """
        lengths, angles, rotation = standard_orientation(np.asarray(cell, dtype=np.float64))
        record = {
            "time": (("frame",), np.array(time_ps, dtype=">f8"), "picosecond"),
            "cell_lengths": (("frame", "cell_spatial"), lengths.astype(">f8"), "angstrom"),
            "cell_angles": (("frame", "cell_angular"), angles.astype(">f8"), "degree"),
            "type": (("frame", "atom"), self._types, ""),
        }
        vectors = {"coordinates": positions, "velocities": velocities, "unwrapped_coordinates": unwrapped}
        for name, values in vectors.items():
            if values is not None:
                turned = (np.asarray(values, dtype=np.float64) @ rotation).astype(self._real)
                unit = "angstrom/picosecond" if name == "velocities" else "angstrom"
                record[name] = (("frame", "atom", "spatial"), turned, unit)
        if self._file is None:
            self._begin(record)
        else:
            self._file.seek(0, 2)
            self._file.write(b"".join(values.tobytes() for _, values, _ in record.values()))
            self._file.flush()
        self._n_frames += 1
        self._file.seek(_N_RECORDS_AT)
        self._file.write(np.array([self._n_frames], dtype=">i4").tobytes())
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _begin(self, record: dict[str, tuple[tuple[str, ...], Any, str]]) -> None:
        """Write header and first record by SciPy; all later records have the same length and are appended as they are.

        Every variable of a record is a multiple of four bytes long, so none is padded.
        """
        from scipy.io import netcdf_file

        with netcdf_file(self._path, "w", version=2) as made:
            made.Conventions, made.ConventionVersion, made.program = "AMBER", "1.0", "lizrcl-gpumd"
            setattr(made, TYPE_NAMES, " ".join(self._names))
            sizes = {"spatial": 3, "cell_spatial": 3, "cell_angular": 3, "label": 5, "atom": len(self._types)}
            made.createDimension("frame", None)
            for name, size in sizes.items():
                made.createDimension(name, size)
            for name, letters in _LABELS.items():
                made.createVariable(name, "S1", (name,))[:] = np.array(list(letters), dtype="S1")
            label = made.createVariable("cell_angular", "S1", ("cell_angular", "label"))
            label[:] = np.array([list(word.ljust(5)) for word in _ANGLES], dtype="S1")
            for name, (axes, values, unit) in record.items():
                variable = made.createVariable(name, values.dtype, axes)
                variable[0] = values
                if unit:
                    variable.units = unit
        self._file = self._path.open("rb+")
