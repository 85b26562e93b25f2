"""Crystals as diffraction sees them: sites that several species share or that are empty in part."""

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np

from lizrcl_flows.documents import Structure, canonical_sha256
from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.errors import InputError, NotFoundError
from lizrcl_flows.science.structures import (
    OVERLAP_FACTOR,
    WHOLE_OCCUPANCY,
    bundled_names,
    bundled_partial_names,
    load_structure,
)

SAME_SITE_A = 0.02
"""Rows of a CIF closer than this (A) are one site that their species share."""

SAME_IMAGE = 1e-3
"""Symmetry images of a row closer than this (fractional) are one site: files often give a third as 0.3333."""


@dataclass(frozen=True, eq=False)
class PartialStructure:
    """A crystal with the share that each species has of each site.

    Attributes
    ----------
    cell
        Cell vectors in rows (A), shape (3, 3).
    fractional
        Fractional coordinates of the sites, from 0 to below 1, shape (n_sites, 3).
    occupancies
        Of each site the share of each element, elements in alphabetical order; what is missing to 1 is vacant.
    labels
        What the file calls each site, such as ``Li1``; sites with one label are images of each other.
    source
        Name of a bundled crystal, or of the file.
    """

    cell: Array
    fractional: Array
    occupancies: tuple[Mapping[str, float], ...]
    labels: tuple[str, ...]
    source: str

    @property
    def n_sites(self) -> int:
        """Number of sites in the cell."""
        return len(self.occupancies)

    @property
    def volume_a3(self) -> float:
        """Volume of the cell (A^3)."""
        return abs(float(np.linalg.det(self.cell)))

    @property
    def shared_sites(self) -> tuple[int, ...]:
        """Indices of the sites that not one atom alone holds."""
        return tuple(i for i, shares in enumerate(self.occupancies) if not holds_one_atom(shares))

    def composition(self) -> dict[str, float]:
        """Return how many atoms of each element are in the cell on average, elements in alphabetical order."""
        atoms: dict[str, float] = {}
        for shares in self.occupancies:
            for symbol, share in shares.items():
                atoms[symbol] = atoms.get(symbol, 0.0) + share
        return dict(sorted(atoms.items()))

    def sha256(self) -> str:
        """Return the SHA-256 of cell, sites and occupancies; names do not enter."""
        shares = [{symbol: round(share, 6) for symbol, share in site.items()} for site in self.occupancies]
        return canonical_sha256([np.round(self.cell, 8) + 0.0, np.round(self.fractional, 8) + 0.0, shares])


def holds_one_atom(shares: Mapping[str, float]) -> bool:
    """Return whether a site is always held by the same element."""
    return len(shares) == 1 and abs(sum(shares.values()) - 1) <= WHOLE_OCCUPANCY


def describe_shares(shares: Mapping[str, float]) -> str:
    """Return the occupancies of a site in words: ``Li 0.5, Na 0.25``."""
    return ", ".join(f"{symbol} {share:g}" for symbol, share in shares.items())


def load_partial(name_or_path: str | Path) -> PartialStructure:
    """Load a crystal with its occupancies: a bundled one by its name, or a file.

    Parameters
    ----------
    name_or_path
        A bundled name, or the path of a CIF; other formats know no occupancies, so all their sites are full.

    Raises
    ------
    NotFoundError
        If it is neither a bundled name nor an existing file.
    InputError
        If the file cannot be read, has no cell, occupancies that add up to more than 1, or sites on top of each other.
    """
    name, path = str(name_or_path), Path(name_or_path)
    if name in bundled_partial_names():
        with as_file(files("lizrcl_flows.science") / "data" / "structures" / f"{name}.cif") as file:
            return read_partial(file, source=name)
    if name not in bundled_names():
        if not path.is_file():
            known = ", ".join([*bundled_partial_names(), *bundled_names()])
            raise NotFoundError(f"structure '{name}' is neither a file nor one of the bundled {known}")
        if path.suffix.lower() == ".cif":
            return read_partial(path)
    return partial_from_structure(load_structure(name_or_path), source=name if name in bundled_names() else path.name)


def partial_from_structure(structure: Structure, source: str = "") -> PartialStructure:
    """Return an ordered structure as one whose sites are all full.

    Parameters
    ----------
    source
        Where it is from; default: what its origin says.
    """
    from ase.data import chemical_symbols

    symbols = [chemical_symbols[number] for number in structure.numbers]
    fractional = _wrapped(structure.positions @ np.linalg.inv(structure.cell))
    return PartialStructure(
        cell=structure.cell,
        fractional=fractional,
        occupancies=tuple({symbol: 1.0} for symbol in symbols),
        labels=tuple(symbols),
        source=source or structure.origin.source,
    )


def read_partial(path: Path, source: str | None = None) -> PartialStructure:
    """Read a CIF with its occupancies.

    Parameters
    ----------
    source
        Name to keep instead of the file's.

    Raises
    ------
    InputError
        One sentence that names file, site and what would be accepted, see `load_partial`.
    """
    from ase.cell import Cell

    block = _block(path)
    parameters = block.get_cellpar()
    if parameters is None:
        raise InputError(f"{path}: has no cell; a CIF gives it as _cell_length_a, _b, _c and _cell_angle_alpha, ...")
    if not all(isinstance(value, int | float) for value in parameters):
        raise InputError(f"{path}: cell {', '.join(map(str, parameters))}: three lengths and three angles are expected")
    try:
        cell = np.asarray(Cell.new(parameters).array, dtype=np.float64)
    except AssertionError:  # angles that no three vectors have
        cell = np.zeros((3, 3))
    if not np.isfinite(cell).all() or abs(float(np.linalg.det(cell))) < 1e-6:
        numbers = ", ".join(f"{value:g}" for value in parameters)
        raise InputError(f"{path}: the cell {numbers} is singular: three vectors that span a volume are needed")
    sites = _merged(path, cell, _images(path, block))
    partial = PartialStructure(
        cell=cell,
        fractional=np.array([position for position, _, _ in sites]),
        occupancies=tuple(dict(sorted(shares.items())) for _, shares, _ in sites),
        labels=tuple("/".join(dict.fromkeys(names)) for _, _, names in sites),
        source=source or path.name,
    )
    _check(path, partial)
    return partial


def _block(path: Path) -> Any:
    from ase.io.cif import parse_cif

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # remarks on tags that are not used here
            blocks = [block for block in parse_cif(str(path)) if "_atom_site_label" in block or block.has_structure()]
    except Exception as error:  # the reader raises whatever a broken file leads it to
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise InputError(f"{path}: not readable as cif ({reason})") from None
    if len(blocks) != 1:
        raise InputError(f"{path}: holds {len(blocks)} structures, one is expected")
    return blocks[0]


Row = tuple[str, str, float, Array]
"""Label, element, occupancy and the fractional coordinates of all images."""


def _images(path: Path, block: Any) -> Iterator[Row]:
    """Yield the atoms that a CIF lists, each with its images under the space group."""
    from ase.data import atomic_numbers

    coordinates = [block.get(f"_atom_site_fract_{axis}") for axis in "xyz"]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            symbols, space_group = block.get_symbols(), block.get_spacegroup(True)
    except Exception as error:
        raise InputError(f"{path}: elements or space group are not readable ({error})") from None
    if None in coordinates:
        raise InputError(f"{path}: has no fractional coordinates (_atom_site_fract_x, _y, _z)")
    labels = block.get("_atom_site_label") or symbols
    occupancies = block.get("_atom_site_occupancy") or [1.0] * len(symbols)
    for i, (symbol, label) in enumerate(zip(symbols, labels, strict=True)):
        if symbol not in atomic_numbers:
            raise InputError(f"{path}: site {label}: '{symbol}' is no element")
        position = [
            _number(path, label, f"coordinate {axis}", values[i])
            for axis, values in zip("xyz", coordinates, strict=True)
        ]
        occupancy = 1.0 if occupancies[i] == "." else _number(path, label, "occupancy", occupancies[i])
        if occupancy < 0:
            raise InputError(f"{path}: site {label}: an occupancy of {occupancy:g} is not accepted, from 0 to 1 is")
        if occupancy > 0:
            images, _ = space_group.equivalent_sites([position], symprec=SAME_IMAGE)
            yield str(label), symbol, occupancy, _wrapped(np.asarray(images, dtype=np.float64))


def _number(path: Path, label: str, what: str, value: Any) -> float:
    if isinstance(value, int | float) and np.isfinite(value):
        return float(value)
    raise InputError(f"{path}: site {label}: {what} '{value}' is not a number")


Site = tuple[Array, dict[str, float], list[str]]
"""Fractional coordinates, shares and the labels of the rows that meet here."""


def _merged(path: Path, cell: Array, rows: Iterator[Row]) -> list[Site]:
    """Put rows with the same coordinates onto one site."""
    sites: list[Site] = []
    for label, symbol, occupancy, images in rows:
        known = np.array([position for position, _, _ in sites]).reshape(-1, 3)
        for image in images:
            offset = known - image
            near = np.flatnonzero(np.linalg.norm((offset - np.round(offset)) @ cell, axis=1) < SAME_SITE_A)
            if not near.size:
                sites.append((image, {symbol: occupancy}, [label]))
                continue
            _, shares, labels = sites[near[0]]
            shares[symbol] = shares.get(symbol, 0.0) + occupancy
            labels.append(label)
    if not sites:
        raise InputError(f"{path}: there is no atom in the structure")
    return sites


def _check(path: Path, partial: PartialStructure) -> None:
    """Refuse what cannot be a crystal.

    Raises
    ------
    InputError
        If the shares of a site add up to more than 1, or sites that are held at the same time overlap.
    """
    for label, shares in zip(partial.labels, partial.occupancies, strict=True):
        total = sum(shares.values())
        if total > 1 + WHOLE_OCCUPANCY:
            raise InputError(
                f"{path}: site {label} ({describe_shares(shares)}): the occupancies add up to {total:g}, "
                "at most 1 is accepted"
            )
    for first, second, distance_a, limit_a in _close_sites(partial):
        total = sum(partial.occupancies[first].values()) + sum(partial.occupancies[second].values())
        if total > 1 + WHOLE_OCCUPANCY:  # split sites are close by nature, and never held both
            raise InputError(
                f"{path}: sites {partial.labels[first]} and {partial.labels[second]} overlap: {distance_a:.3f} A apart "
                f"with occupancies that add up to {total:g}; at least {limit_a:.3f} A, or at most 1, is accepted"
            )


def _close_sites(partial: PartialStructure) -> Iterator[tuple[int, int, float, float]]:
    """Yield pairs of sites that are closer than atoms can be, with distance and limit (A), the closest first."""
    from ase import Atoms
    from ase.data import atomic_numbers, covalent_radii
    from ase.neighborlist import neighbor_list

    radii = np.array([max(covalent_radii[atomic_numbers[s]] for s in shares) for shares in partial.occupancies])
    points = Atoms(numbers=[1] * partial.n_sites, scaled_positions=partial.fractional, cell=partial.cell, pbc=True)
    first, second, distances = neighbor_list("ijd", points, list(OVERLAP_FACTOR * radii))
    limits = OVERLAP_FACTOR * (radii[first] + radii[second])
    for k in np.lexsort((second, first, np.round(distances / limits, 6))):
        if first[k] <= second[k]:
            yield int(first[k]), int(second[k]), float(distances[k]), float(limits[k])


def _wrapped(fractional: Array) -> Array:
    wrapped = np.round(fractional, 10) % 1.0
    return np.where(wrapped > 1 - 1e-9, 0.0, wrapped) + 0.0
