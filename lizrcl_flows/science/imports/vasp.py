"""What vasprun.xml and OUTCAR have in common: tags to a level of theory, signs, and whether a step has converged."""

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.science.imports.incar_tags import level_parameters, plain_value
from lizrcl_flows.science.imports.methods import MESH, Method, dispersion_name, functional_name

KILOBAR = 1602.1766208
"""kB in one eV/A^3."""

DEFAULT_NELM = 60

_EDGE = 1e-3
"""Distance to a whole number at which VASP may have rounded the divisions of a mesh either way."""


@dataclass
class VaspRun:
    """What one VASP output says about the calculation as a whole.

    Attributes
    ----------
    given, effective
        INCAR tags that were set, and values in use with defaults included, as they are written.
    types
        Element and title of the potential of each atom type.
    mesh
        Divisions of an automatic mesh of k points; empty where it is none.
    initial_cell
        Lattice vectors (A) from which a mesh was made, shape (3, 3).
    """

    given: dict[str, Any] = field(default_factory=dict)
    effective: dict[str, Any] = field(default_factory=dict)
    generator: dict[str, str] = field(default_factory=dict)
    symbols: list[str] = field(default_factory=list)
    types: list[tuple[str, str]] = field(default_factory=list)
    program: str = ""
    version: str = ""
    n_atoms: int = 0
    mesh: tuple[int, ...] = ()
    mesh_style: str = ""
    n_k_points: int = 0
    initial_cell: Array | None = None

    def tag(self, name: str, default: Any = None) -> Any:
        """Return the value of a tag: as it was set, else as it was used."""
        return self.given.get(name, self.effective.get(name, default))

    def atomic_numbers(self) -> Array | None:
        """Return the atomic numbers; None where a symbol is no element."""
        from ase.data import atomic_numbers

        symbols = [_SPELT.get(symbol, symbol) for symbol in self.symbols]
        if not symbols or not all(map(_is_element, symbols)):
            return None
        return np.array([atomic_numbers[symbol] for symbol in symbols], dtype=np.int64)

    def refusal(self) -> str:
        """Return why nothing of this calculation can be a label; empty where nothing speaks against it."""
        if not self.version:
            return "it does not say which version of VASP wrote it"
        if not self.symbols or self.atomic_numbers() is None:
            unknown = sorted({symbol for symbol in self.symbols if not _is_element(symbol)})
            return f"unknown elements {', '.join(unknown)}" if unknown else "it names no atoms"
        if int(float(self.tag("ICHARG", 2))) >= 10:
            return f"ICHARG = {self.tag('ICHARG')}: the density was kept fixed, so forces and energy are not consistent"
        if int(float(self.tag("IMAGES", 0))) > 0:
            return "IMAGES is set: the forces of a chain of images hold those of its springs"
        if str(plain_value("METAGGA", self.tag("METAGGA", "--"))) == "MBJ":
            return "METAGGA = MBJ is a potential without an energy"
        return ""

    def method(self) -> Method:
        """Return the level of theory."""
        potentials = {_SPELT.get(element, element): " ".join(title.split()) for element, title in self.types}
        tags = {name: self.tag(name) for name in ("GGA", "METAGGA", "LUSE_VDW", "LHFCALC", "AEXX", "HFSCREEN")}
        parameters = level_parameters(self.given, self.effective, [element for element, _ in self.types])
        spacing, mesh_spacing = self._k_rule()
        if spacing is None:
            style = f"{self.mesh_style} " if self.mesh_style else ""
            divisions = " ".join(str(number) for number in self.mesh)
            parameters[MESH] = f"{style}{divisions}" if self.mesh else f"list of {self.n_k_points}"
        cutoff = self.tag("ENCUT", self.tag("ENMAX"))
        return Method(
            code="vasp",
            code_version=_numbered(self.version),
            functional=functional_name({name: value for name, value in tags.items() if value is not None}, potentials),
            dispersion=dispersion_name(plain_value("IVDW", self.tag("IVDW", 0))),
            cutoff_ev=None if cutoff is None else float(cutoff),
            k_spacing=spacing,
            mesh_spacing=mesh_spacing,
            potentials=potentials,
            parameters=parameters,
        )

    def _k_rule(self) -> tuple[float | None, float | None]:
        """Return KSPACING, if the mesh is the one that it makes, and the spacing of the mesh (1/A, with 2 pi).

        VASP's rule: as many divisions along a reciprocal vector b as fit |b| / KSPACING, rounded up.
        """
        if len(self.mesh) != 3 or self.initial_cell is None or abs(np.linalg.det(self.initial_cell)) < 1e-6:
            return None, None
        lengths = 2 * np.pi * np.linalg.norm(np.linalg.inv(self.initial_cell), axis=0)
        actual = float((lengths / np.array(self.mesh)).max())
        if "KSPACING" not in self.given:
            return None, actual
        spacing = float(self.given["KSPACING"])
        low, high = (np.maximum(1, np.ceil(lengths / spacing + edge)) for edge in (-_EDGE, _EDGE))
        fits = bool(((low <= self.mesh) & (high >= self.mesh)).all())
        return (spacing if fits else None), actual


_SPELT = {"r": "Zr", "X": "Xe"}
"""Symbols as some releases of VASP write them."""


def _is_element(symbol: str) -> bool:
    from ase.data import atomic_numbers

    return bool(atomic_numbers.get(_SPELT.get(symbol, symbol), 0))


def _numbered(version: str) -> str:
    """Return the numbers of a version: 5.4.4 of 5.4.4.18Apr17-6-g9f103f2a35."""
    match = re.match(r"\d+(\.\d+)*(?=$|[^\w.]|\.\D|\.\d+[A-Za-z])", version)
    return match[0] if match else version


def element_of_title(title: str) -> str:
    """Return the element of a potential from its title: `PAW_PBE Zr_sv 04Jan2005` is of Zr; empty where it names none.

    Examples
    --------
    >>> element_of_title("PAW_PBE Zr_sv 04Jan2005")
    'Zr'
    """
    words = title.split()
    match = re.match(r"[A-Z][a-z]?", words[1]) if len(words) > 1 else None
    return match[0] if match else ""


def stress_of_kilobar(kilobar: Array) -> Array:
    """Return VASP's stress (kB, compression positive) in eV/A^3 with ASE's sign (tension positive)."""
    return -kilobar / KILOBAR


def ionic_reason(run: VaspRun, n_scf: int) -> str:
    """Return why an ionic step is no label, by its number of electronic steps; empty where it has converged."""
    limit = int(float(run.tag("NELM", DEFAULT_NELM)))
    if n_scf == 0:
        return "it has no electronic step, so its numbers are not those of density-functional theory"
    if n_scf >= limit:
        return f"the electronic steps had not converged after {n_scf} (NELM = {limit})"
    return ""
