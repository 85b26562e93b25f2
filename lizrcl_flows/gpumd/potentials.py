"""NEP potentials as a force field: the first file drives the dynamics, all of them make the committee of ``active``."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lizrcl_flows.gpumd.extended_xyz import FloatArray
from lizrcl_flows.nep.committee import Committee
from lizrcl_flows.nep.evaluator import Evaluator


class NepPotentials:
    """A committee for one system, with neighbour lists that are kept from step to step.

    Parameters
    ----------
    paths
        nep.txt files, the driving one first.
    species
        Chemical symbols of the system.
    pbc
        Its periodic directions, shape (3,).
    threads
        Threads for the forces.
    skin
        How far neighbour lists reach beyond the cutoff (A).

    Raises
    ------
    InputError
        A file is missing or no potential, the potentials are of other elements than each other, or lack one of the
        system's; the file or the element is named.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        species: Sequence[str],
        pbc: npt.NDArray[np.bool_],
        *,
        threads: int = 1,
        skin: float = 1.0,
    ) -> None:
        self._evaluator = Evaluator(Committee.from_files(paths), skin, threads)
        self._types = self._evaluator.types_of(species)
        self._pbc = tuple(bool(periodic) for periodic in pbc)

    def compute(self, cell: FloatArray, positions: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        """Energy (eV), forces (eV/A) and virial (eV) by the first potential.

        Raises
        ------
        InputError
            The geometry cannot be evaluated: atoms at one place, a flat cell, numbers that are not finite.
        """
        result = self._evaluator.evaluate_arrays(self._types, cell, positions, self._pbc, member=0)
        return result.energy, result.forces, result.virial

    def compute_all(self, cell: FloatArray, positions: FloatArray) -> FloatArray:
        """Evaluate the forces of all potentials (eV/A), shape (M, N, 3)."""
        return self._evaluator.evaluate_arrays(self._types, cell, positions, self._pbc).forces

    def atom_energies(self, cell: FloatArray, positions: FloatArray) -> FloatArray:
        """Energies of the atoms by the first potential (eV), shape (N,)."""
        return self._evaluator.evaluate_arrays(self._types, cell, positions, self._pbc, member=0).energies
