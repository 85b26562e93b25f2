"""Structures in and out: bundled crystals, the user's files, ASE's Atoms, frames of a run, supercells."""

import json
import math
import warnings
from collections.abc import Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from lizrcl_flows.documents import Origin, Structure
from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.errors import InputError, NotFoundError
from lizrcl_flows.science.geometry import describe_contact, shortest_contact

if TYPE_CHECKING:
    from ase import Atoms

OVERLAP_FACTOR = 0.5
"""Atoms of an input file closer than this share of the sum of their covalent radii are taken for a mistake."""

WHOLE_OCCUPANCY = 1e-3
"""Occupancies of a site that add up to 1 within this are those of a full site."""

_FORMATS = {".cif": "cif", ".poscar": "vasp", ".vasp": "vasp", ".extxyz": "extxyz", ".xyz": "extxyz"}
_READABLE = "a CIF (.cif), POSCAR (POSCAR*, CONTCAR*, .poscar, .vasp) or extended XYZ (.xyz, .extxyz) file"


class FrameLike(Protocol):
    """A frame of a trajectory: species and geometry."""

    @property
    def species(self) -> tuple[str, ...]:
        """Chemical symbols."""
        ...

    @property
    def cell(self) -> Array:
        """Cell vectors in rows (A)."""
        ...

    @property
    def positions(self) -> Array:
        """Positions (A)."""
        ...

    @property
    def pbc(self) -> Array:
        """Periodic directions."""
        ...


def bundled_names() -> list[str]:
    """Return the names of the bundled crystals whose sites are all full, sorted."""
    return sorted(name for name, source in bundled_sources().items() if not source.get("partially_occupied"))


def bundled_partial_names() -> list[str]:
    """Return the names of the bundled crystals with partially occupied sites, sorted."""
    return sorted(name for name, source in bundled_sources().items() if source.get("partially_occupied"))


def bundled_sources() -> dict[str, dict[str, Any]]:
    """Return what is known of each bundled crystal: space group, source, confidence, bond lengths (A), density.

    Crystals with partially occupied sites have ``partially_occupied: true``, and the numbers of the average crystal.
    """
    text = (files("lizrcl_flows.science") / "data" / "structures" / "sources.json").read_text(encoding="utf-8")
    sources: dict[str, dict[str, Any]] = json.loads(text)
    return sources


def load_structure(name_or_path: str | Path, *, phase: str | None = None, region: str | None = None) -> Structure:
    """Load a bundled crystal by its name, or a structure from a file.

    Parameters
    ----------
    name_or_path
        One of `bundled_names`, or the path of a CIF, POSCAR or extended XYZ file with one structure.
    phase, region
        Stored with the structure.

    Raises
    ------
    NotFoundError
        If it is neither a bundled name nor an existing file.
    InputError
        If the file cannot be read, holds more than one structure, has partially occupied sites, no cell or a singular
        one, or atoms on top of each other.
    """
    name = str(name_or_path)
    if name in bundled_sources():
        with as_file(files("lizrcl_flows.science") / "data" / "structures" / f"{name}.cif") as path:
            atoms = _read(path, "cif", name)
        return structure_from_atoms(atoms, origin=Origin(kind="bundled", source=name), phase=phase, region=region)
    path = Path(name)
    if not path.is_file():
        raise NotFoundError(f"structure '{name}' is neither a file nor one of the bundled {', '.join(bundled_names())}")
    atoms = _read(path, _format_of(path))
    try:
        origin = Origin(kind="file", source=path.name)
        structure = structure_from_atoms(atoms, origin=origin, phase=phase, region=region)
    except ValueError as error:
        raise InputError(f"{path}: {_last_sentence(error)}") from None
    if not any(structure.pbc):
        raise InputError(f"{path}: has no periodic cell; a crystal or slab with its cell vectors is expected")
    overlap = shortest_contact(structure, OVERLAP_FACTOR)
    if overlap is not None:
        raise InputError(
            f"{path}: {describe_contact(overlap)}, less than {overlap.threshold:.3f} A; such atoms overlap, "
            "look for a site that stands twice or a wrong unit of length"
        )
    return structure


def structure_from_atoms(  # noqa: PLR0913 - these are the fields of the document
    atoms: "Atoms",
    *,
    origin: Origin,
    phase: str | None = None,
    region: str | None = None,
    campaign: str | None = None,
    generation: int | None = None,
    parents: Sequence[str] = (),
) -> Structure:
    """Return the geometry of an ASE ``Atoms`` as a document; calculators, constraints and arrays are left behind.

    Raises
    ------
    ValueError
        If a periodic cell is singular or a number is not finite.
    """
    return Structure(
        **_geometry(atoms.numbers, atoms.cell.array, atoms.positions, atoms.pbc),
        phase=phase,
        region=region,
        origin=origin,
        campaign=campaign,
        generation=generation,
        parents=tuple(parents),
    )


def structure_from_frame(
    frame: FrameLike,
    *,
    origin: Origin,
    phase: str | None = None,
    region: str | None = None,
    campaign: str | None = None,
    parents: Sequence[str] = (),
) -> Structure:
    """Return the geometry of a frame of a run as a document; what a model said about it is left behind.

    Raises
    ------
    ValueError
        If a periodic cell is singular or a number is not finite.
    """
    from ase.data import atomic_numbers

    numbers = np.array([atomic_numbers[symbol] for symbol in frame.species])
    return Structure(
        **_geometry(numbers, frame.cell, frame.positions, frame.pbc),
        phase=phase,
        region=region,
        origin=origin,
        campaign=campaign,
        parents=tuple(parents),
    )


def atoms_from_structure(structure: Structure) -> "Atoms":
    """Return a structure as ASE ``Atoms`` of its own (changing them changes no document)."""
    from ase import Atoms

    return Atoms(
        numbers=structure.numbers.copy(),
        positions=structure.positions.copy(),
        cell=structure.cell.copy(),
        pbc=structure.pbc,
    )


def supercell(structure: Structure, repeat: tuple[int, int, int]) -> Structure:
    """Repeat a cell along its vectors.

    The result descends from the same documents as `structure`; the repetition is written into its origin.

    Parameters
    ----------
    repeat
        How often along each cell vector, each at least 1; (1, 1, 1) returns `structure` itself.

    Raises
    ------
    InputError
        If a number is smaller than 1.
    """
    if min(repeat) < 1:
        raise InputError(f"a supercell of {tuple(repeat)} is not possible, three whole numbers from 1 on are needed")
    if tuple(repeat) == (1, 1, 1):
        return structure
    steps = np.array(np.meshgrid(*map(np.arange, repeat), indexing="ij")).reshape(3, -1).T
    positions = (structure.positions[None] + (steps @ structure.cell)[:, None]).reshape(-1, 3)
    origin = structure.origin
    return Structure(
        **_geometry(
            np.tile(structure.numbers, len(steps)),
            structure.cell * np.array(repeat)[:, None],
            positions,
            np.array(structure.pbc),
        ),
        phase=structure.phase,
        region=structure.region,
        origin=Origin(
            kind=origin.kind, source=origin.source, parameters={**origin.parameters, "supercell": list(repeat)}
        ),
        campaign=structure.campaign,
        generation=structure.generation,
        parents=structure.parents,
    )


def reduced_formula(numbers: Array) -> str:
    """Return the reduced formula with elements in alphabetical order, such as ``Cl6Li2Zr``."""
    counts = _counts(numbers)
    divisor = math.gcd(*counts.values())
    return "".join(
        symbol + (str(counts[symbol] // divisor) if counts[symbol] > divisor else "") for symbol in sorted(counts)
    )


def chemical_system(numbers: Array) -> str:
    """Return the elements in alphabetical order joined by ``-``, such as ``Cl-Li-Zr``."""
    return "-".join(sorted(_counts(numbers)))


def _counts(numbers: Array) -> dict[str, int]:
    from ase.data import chemical_symbols

    kinds, counts = np.unique(numbers, return_counts=True)
    return {chemical_symbols[kind]: int(count) for kind, count in zip(kinds, counts, strict=True)}


def _geometry(numbers: Array, cell: Array, positions: Array, pbc: Array) -> dict[str, Any]:
    if len(numbers) == 0:
        raise ValueError("there is no atom in the structure")
    return {
        "n_atoms": len(numbers),
        "numbers": numbers,
        "cell": cell,
        "positions": positions,
        "pbc": tuple(bool(periodic) for periodic in pbc),
        "formula": reduced_formula(numbers),
        "chemical_system": chemical_system(numbers),
    }


def _format_of(path: Path) -> str:
    if path.name.upper().startswith(("POSCAR", "CONTCAR")):
        return "vasp"
    try:
        return _FORMATS[path.suffix.lower()]
    except KeyError:
        raise InputError(
            f"{path}: the format of a structure file is told from its name, expected {_READABLE}"
        ) from None


def _read(path: Path, file_format: str, name: str = "") -> "Atoms":
    from ase.io import read

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # remarks on tags that are not used here
            tags = {"store_tags": True} if file_format == "cif" else {}  # with the names of the sites
            found = read(path, index=":", format=file_format, **tags)
    except Exception as error:  # the readers raise whatever a broken file leads them to
        reason = _last_sentence(error)
        raise InputError(f"{path}: not readable as {file_format} ({reason}), expected {_READABLE}") from None
    if len(found) != 1:
        raise InputError(f"{path}: holds {len(found)} structures, one is expected")
    atoms = found[0]
    _refuse_partial_occupancies(atoms, name or str(path))
    return atoms


def _refuse_partial_occupancies(atoms: "Atoms", name: str) -> None:
    labels = atoms.info.get("_atom_site_label", [])
    for index, occupancy in atoms.info.get("occupancy", {}).items():
        site = labels[int(index)] if int(index) < len(labels) else index
        total = sum(occupancy.values())
        shares = ", ".join(f"{symbol} {share:g}" for symbol, share in occupancy.items())
        if total > 1 + WHOLE_OCCUPANCY:
            raise InputError(
                f"{name}: site {site} ({shares}): the occupancies add up to {total:g}, at most 1 is accepted"
            )
        if len(occupancy) > 1 or total < 1 - WHOLE_OCCUPANCY:
            raise InputError(
                f"{name}: site {site} is partially occupied ({shares}); every site must be held by one atom here: give "
                f"the phase an `ordering` section, or write ordered cells with `lizrcl structure order {name}`"
            )


def _last_sentence(error: Exception) -> str:
    """Return what an exception says, in one line; of a validation error the sentence of our own."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    ours = [
        line.removeprefix("Value error, ").split(" [type=")[0] for line in lines if line.startswith("Value error, ")
    ]
    return (ours or lines or [type(error).__name__])[0]
