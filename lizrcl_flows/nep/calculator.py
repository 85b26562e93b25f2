"""ASE calculator of a NEP model or a committee."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from ase.calculators.calculator import Calculator, all_changes
from ase.stress import full_3x3_to_voigt_6_stress

from lizrcl_flows.nep.committee import Committee, force_spread
from lizrcl_flows.nep.evaluator import Arrays, Evaluator


class NepCalculator(Calculator):  # type: ignore[misc]
    """Energies, forces and stresses, averaged over a committee, with its spread.

    Parameters
    ----------
    committee
        A `Committee`, the path of one nep.txt, or several paths.
    member
        Take energy, forces and stress of this member alone instead of the mean over the committee.
    skin
        How far the neighbour list reaches beyond the cutoff (A), so that it survives small motions.
    threads
        Threads that share the atoms of large systems.

    Notes
    -----
    Beside ASE's properties ``energy``, ``free_energy``, ``energies``, ``forces`` and ``stress``, ``results`` holds
    ``eps`` (float) and ``eps_atoms`` (N,), the spread of the forces (eV/A, population variance over the members), and
    ``energy_members`` (M,), ``forces_members`` (M, N, 3) and ``stress_members`` (M, 6). There is no stress unless the
    structure is periodic along all three directions.
    """

    implemented_properties: ClassVar[Sequence[str]] = ("energy", "free_energy", "energies", "forces", "stress")

    def __init__(
        self,
        committee: Committee | str | Path | Iterable[str | Path],
        member: int | None = None,
        skin: float = 1.0,
        threads: int = 1,
    ) -> None:
        super().__init__()
        if isinstance(committee, str | Path):
            committee = [committee]
        self.committee = committee if isinstance(committee, Committee) else Committee.from_files(committee)
        self.member = member
        self._evaluator = Evaluator(self.committee, skin, threads)
        self._species: list[str] | None = None
        self._types: Any = None

    def calculate(
        self,
        atoms: Any = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Evaluate the structure; everything is computed at once."""
        super().calculate(atoms, list(properties), list(system_changes))
        symbols = self.atoms.get_chemical_symbols()
        if symbols != self._species:
            self._types = self._evaluator.types_of(symbols)
            self._species = symbols
        pbc = tuple(bool(flag) for flag in self.atoms.pbc)
        cell = np.ascontiguousarray(self.atoms.cell.array, dtype=np.float64)
        positions = np.ascontiguousarray(self.atoms.positions, dtype=np.float64)
        arrays = self._evaluator.evaluate_arrays(self._types, cell, positions, pbc)
        self.results = _results(arrays, self.member)
        if all(pbc):
            stress = -full_3x3_to_voigt_6_stress(arrays.virial) / self.atoms.get_volume()
            self.results["stress_members"] = stress
            self.results["stress"] = stress.mean(axis=0) if self.member is None else stress[self.member]


def _results(arrays: Arrays, member: int | None) -> dict[str, Any]:
    """ASE's results without the stress."""
    chosen = slice(None) if member is None else slice(member, member + 1)
    energy = float(arrays.energy[chosen].mean())
    spread = force_spread(arrays.forces)
    return {
        "energy": energy,
        "free_energy": energy,
        "energies": arrays.energies[chosen].mean(axis=0),
        "forces": arrays.forces[chosen].mean(axis=0),
        "eps": float(spread.max(initial=0.0)),
        "eps_atoms": spread,
        "energy_members": arrays.energy,
        "forces_members": arrays.forces,
    }
