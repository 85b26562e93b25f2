"""Unit annotations and the few conversion factors that the edges need.

Inside the package quantities are in eV, A, fs, K and e (ASE's units except for time, which is fs). Pressure appears
in GPa only in campaign files and in GPUMD's files.
"""

from dataclasses import dataclass
from typing import Any

GPA_PER_EV_A3 = 160.21766208
"""GPa in one eV/A^3 (CODATA 2014, the value ASE and GPUMD use)."""

BOLTZMANN_EV_PER_K = 8.617333262e-5
"""Boltzmann constant (eV/K), CODATA 2018."""

ELEMENTARY_CHARGE_C = 1.602176634e-19
"""Elementary charge (C), exact."""


@dataclass(frozen=True)
class Unit:
    """The unit of a number, attached to a type: ``Annotated[float, Unit("eV/A")]``.

    ``Unit("1")`` marks counts and other pure numbers.
    """

    symbol: str

    def __get_pydantic_json_schema__(self, core_schema: Any, handler: Any) -> dict[str, Any]:
        """Put the unit into exported JSON schemas (pydantic's hook; no import of pydantic is needed)."""
        schema: dict[str, Any] = handler(core_schema)
        return {**schema, "unit": self.symbol}
