"""AMBER NetCDF, as GPUMD's ``dump_netcdf`` of any release and ours write it, as a `TrajectorySource`."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lizrcl_flows.errors import InputError
from lizrcl_flows.gpumd.model_xyz import read_model_xyz
from lizrcl_flows.gpumd.netcdf_records import Records, map_records
from lizrcl_flows.gpumd.orientation import cell_of, standard_orientation
from lizrcl_flows.gpumd.source import SourceFrame, TrajectorySource, with_volume

TYPE_NAMES = "type_names"
"""Global attribute of our own files: the chemical symbols of types 0, 1, ..."""

_LATER_GPUMD = "gpumd_quantities"
"""Global attribute of GPUMD's files since the dump keywords changed in August 2026."""

_CELL_AND_PLACE = ("cell_lengths", "cell_angles", "coordinates")


class NetcdfSource(TrajectorySource):
    """NetCDF 3 by mapping the file; compressed NetCDF (HDF5) by h5py where that is installed."""

    format = "amber-netcdf"

    def __init__(self, path: Path, elements: Sequence[str] | None = None, *, compressed: bool = False) -> None:
        records = _hdf5_records(path) if compressed else map_records(path)
        super().__init__(path, ())
        for name in _CELL_AND_PLACE:
            if name not in records.variables:
                raise InputError(f"{path}: variable '{name}' is missing; the AMBER convention has it")
        if not records.n_records:
            raise InputError(f"{path}: there is no whole frame in this file")
        self._records = records
        self.species = _species(path, records, elements)
        self._turn = _turn(path, records)
        self.n_frames = records.n_records
        self.cut_short = records.cut_short
        self.has_unwrapped = "unwrapped_coordinates" in records.variables

    def _frames(self, chosen: npt.NDArray[np.int64] | None) -> Iterator[SourceFrame]:
        variables, pick = self._records.variables, _slice(chosen)
        lengths, angles, coordinates = (variables[name] for name in _CELL_AND_PLACE)
        unwrapped, times = variables.get("unwrapped_coordinates"), variables.get("time")
        shape: list[float] = []
        cell = np.zeros((3, 3))
        for number in range(self._records.n_records):
            found = [*np.asarray(lengths[number]).tolist(), *np.asarray(angles[number]).tolist()]
            if found != shape:  # frames may share a cell that stays the same
                shape, cell = found, with_volume(cell_of(found) @ self._turn, f"{self.path}, frame {number}")
            yield SourceFrame(
                cell=cell,
                positions=_native(coordinates[number][pick]),
                unwrapped=None if unwrapped is None else _native(unwrapped[number][pick]),
                time_ps=None if times is None else float(times[number]),
            )
            self._records.passed(number)

    def close(self) -> None:
        """Let go of the mapped file."""
        self._records.close()


def _slice(chosen: npt.NDArray[np.int64] | None) -> Any:
    """Return a slice where the atoms follow each other, which reads several times faster."""
    if chosen is None:
        return slice(None)
    if len(chosen) and (np.diff(chosen) == 1).all():
        return slice(int(chosen[0]), int(chosen[-1]) + 1)
    return chosen


def _native(values: Any) -> npt.NDArray[np.floating[Any]]:
    array = np.asarray(values)
    return array.astype(array.dtype.newbyteorder("="))


def _species(path: Path, records: Records, elements: Sequence[str] | None) -> tuple[str, ...]:
    """Name the atoms: by the symbols given, the file's own, or a model.xyz beside it."""
    n_atoms = records.variables["coordinates"].shape[1]
    types = records.variables.get("type", records.variables.get("atom_types"))
    names = str(records.attributes.get(TYPE_NAMES, "")).split() or list(elements or ())
    if names and types is not None:
        first = np.asarray(types[0] if types.ndim > 1 else types).astype(int)
        if first.min() < 0 or first.max() >= len(names):
            raise InputError(
                f"{path}: its types run up to {first.max()}, but {len(names)} elements are named: {' '.join(names)}"
            )
        return tuple(np.array(names)[first].tolist())
    beside = path.with_name("model.xyz")
    if beside.is_file():
        species = read_model_xyz(beside).species
        if len(species) == n_atoms:
            return species
        raise InputError(f"{path} has {n_atoms} atoms, {beside} has {len(species)}; they do not belong together")
    raise InputError(
        f"{path} does not name its elements; put the model.xyz of the run beside it, or name the elements of its types "
        "in order"
    )


def _turn(path: Path, records: Records) -> npt.NDArray[np.float64]:
    """Return the rotation that takes the cell from its standard orientation to where the positions are.

    Positions of GPUMD up to v5.6 stay in the orientation of model.xyz, of which the file knows nothing; later ones are
    turned with the cell, and such files say which quantities they hold.
    """
    beside = path.with_name("model.xyz")
    if records.attributes.get("program") != "GPUMD" or _LATER_GPUMD in records.attributes or not beside.is_file():
        return np.eye(3)
    return np.asarray(standard_orientation(read_model_xyz(beside).cell)[2].T)


def _hdf5_records(path: Path) -> Records:
    try:
        import h5py
    except ImportError:
        raise InputError(
            f"{path} is compressed NetCDF (HDF5), which needs h5py (`pip install h5py`); uncompressed one does not"
        ) from None
    try:
        file = h5py.File(path, "r")
    except OSError as error:  # as it is where the program that wrote it was killed
        raise InputError(f"{path} cannot be read as compressed NetCDF (HDF5): {error}") from None
    variables = {name: entry for name, entry in file.items() if isinstance(entry, h5py.Dataset)}
    attributes = {name: value.decode() if isinstance(value, bytes) else value for name, value in file.attrs.items()}
    count = min((len(variables[name]) for name in _CELL_AND_PLACE if name in variables), default=0)
    return Records(variables, attributes, count, None, file.close)
