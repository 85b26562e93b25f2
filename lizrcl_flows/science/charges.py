"""Formal charges, for Ewald energies of orderings and dipoles of slabs."""

from collections.abc import Mapping

FORMAL_CHARGES: Mapping[str, float] = {"Li": 1.0, "Zr": 4.0, "Cl": -1.0, "O": -2.0}
"""Charges (e) of the study's elements."""
