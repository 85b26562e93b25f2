"""Trajectories that ASE reads: XDATCAR, vasprun.xml, .traj, LAMMPS dumps and many more."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lizrcl_flows.errors import InputError
from lizrcl_flows.gpumd.source import SourceFrame, TrajectorySource, with_volume


class AseSource(TrajectorySource):
    """What ASE can read frame by frame; it has no times that mean the same in every format, so none are told."""

    def __init__(self, path: Path) -> None:
        from ase.io.formats import UnknownFileTypeError, filetype

        super().__init__(path, ())
        try:
            self.format = f"ase:{filetype(str(path))}"
        except UnknownFileTypeError:
            raise InputError(
                f"{path} is no trajectory that can be read: extended XYZ, AMBER NetCDF and the formats of ASE are"
            ) from None
        first = next(self._atoms(), None)
        if first is None:
            raise InputError(f"{path}: there is no frame in this file")
        self.species = tuple(first.get_chemical_symbols())

    def _atoms(self) -> Iterator[Any]:
        from ase.io import iread

        number = 0
        try:
            for atoms in iread(str(self.path), index=":"):
                yield atoms
                number += 1
        except Exception as error:
            if number == 0:
                reason = " ".join(str(error).split())[:200]
                raise InputError(
                    f"{self.path} cannot be read as {self.format}: {reason or type(error).__name__}"
                ) from None
            self.cut_short = f"{self.path}: frame {number} cannot be read."

    def _frames(self, chosen: npt.NDArray[np.int64] | None) -> Iterator[SourceFrame]:
        self.cut_short = None
        for number, atoms in enumerate(self._atoms()):
            if tuple(atoms.get_chemical_symbols()) != self.species:
                raise InputError(
                    f"{self.path}, frame {number}: the atoms are not those of the first frame in the same order"
                )
            cell = with_volume(np.array(atoms.cell.array, dtype=np.float64), f"{self.path}, frame {number}")
            positions = atoms.positions if chosen is None else atoms.positions[chosen]
            pbc = tuple(bool(periodic) for periodic in atoms.pbc)
            yield SourceFrame(cell, positions, None, None, (pbc[0], pbc[1], pbc[2]))
