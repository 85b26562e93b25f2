"""Grimme's D3 dispersion on top of any ASE calculator, computed by dftd3 (simple-dftd3).

J. Chem. Phys. 132, 154104 (2010); damping of Becke and Johnson: J. Comput. Chem. 32, 1456 (2011).
"""

from collections.abc import Sequence
from typing import Any, ClassVar

from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from lizrcl_flows.engines.calculation import evaluate, zero_energy


class WithDispersion(Calculator):  # type: ignore[misc]
    """Sum of a calculator and D3.

    Parameters
    ----------
    bare
        Any ASE calculator.
    functional
        Whose D3 parameters are used, as dftd3 calls it.
    damping
        ``d3bj`` or ``d3zero``, as dftd3 calls them.
    """

    implemented_properties: ClassVar[list[str]] = ["energy", "free_energy", "forces", "stress"]

    def __init__(self, bare: Any, functional: str, damping: str) -> None:
        super().__init__()
        from dftd3.ase import DFTD3
        from dftd3.interface import RationalDampingParam, ZeroDampingParam

        # DFTD3 itself would complain at the first structure only
        check: Any = {"d3bj": RationalDampingParam, "d3zero": ZeroDampingParam}[damping]
        check(method=functional)
        self.bare = bare
        self.dispersion = DFTD3(method=functional, damping=damping)

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Compute energy (eV), forces (eV/A) and, where both parts have it, stress (eV/A^3)."""
        super().calculate(atoms, properties, system_changes)
        parts = []
        for calculator in (self.bare, self.dispersion):
            part = self.atoms.copy()
            part.calc = calculator
            parts.append((*evaluate(part), zero_energy(part)))
        (energy, forces, stress, zero), (energy_d3, forces_d3, stress_d3, _) = parts
        self.results = {
            "energy": (energy if zero is None else zero) + energy_d3,
            "free_energy": energy + energy_d3,
            "forces": forces + forces_d3,
        }
        if stress is not None and stress_d3 is not None:
            full = stress + stress_d3
            self.results["stress"] = full[(0, 1, 2, 1, 0, 0), (0, 1, 2, 2, 2, 1)]
