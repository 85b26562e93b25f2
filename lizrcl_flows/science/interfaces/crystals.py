"""A bulk crystal as interfaces need it: primitive cell, symmetry, and Miller indices in both of its bases."""

import itertools
import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from lizrcl_flows.documents import Structure
from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.errors import InputError

SYMMETRY_TOLERANCE_A = 1e-3

Hkl = tuple[int, int, int]


@dataclass(frozen=True)
class Plane:
    """A lattice plane with its indices in both bases of one crystal.

    Attributes
    ----------
    primitive, conventional
        Miller indices without a common divisor. *Conventional* means the cell of the bulk document as it stands, which
        for the bundled crystals is the conventional cell; *primitive* means `Crystal.lattice`.
    bulk
        Id of the bulk document: indices mean nothing without the cell.
    """

    primitive: Hkl
    conventional: Hkl
    bulk: str


@dataclass(frozen=True, eq=False)
class Crystal:
    """A bulk structure, its primitive cell and its space group.

    Attributes
    ----------
    structure
        The bulk document.
    lattice
        Primitive cell vectors in rows (A), right-handed, not rotated against the document.
    numbers, fractional
        Atoms of the primitive cell: (n,) and (n, 3) in fractions of `lattice`, from 0 to below 1.
    n_cells
        Primitive cells in the cell of the document.
    scaled
        Integer (3, 3): `n_cells` times the primitive vectors in fractions of the document's.
    rotations, translations
        Space group of the primitive cell: column vectors of fractions become ``rotation @ x + translation``.
    """

    structure: Structure
    lattice: Array
    numbers: Array
    fractional: Array
    n_cells: int
    scaled: Array
    rotations: Array
    translations: Array

    @property
    def name(self) -> str:
        """What to call it: the phase, else where it came from."""
        return self.structure.phase or self.structure.origin.source or self.structure.formula

    def plane(self, hkl: Sequence[int], basis: str = "conventional") -> Plane:
        """Return a plane given in one of the bases.

        Parameters
        ----------
        hkl
            Three whole numbers; a common divisor is dropped.
        basis
            ``conventional`` (the cell of the document) or ``primitive``.

        Raises
        ------
        InputError
            If they are not three whole numbers, all are zero, or there is no such basis.
        """
        indices = [int(index) for index in hkl]
        if len(indices) != 3 or not any(indices):
            raise InputError(f"Miller indices {tuple(hkl)}: three whole numbers are needed, not all of them zero")
        if basis == "primitive":
            primitive = coprime(indices)
            return Plane(primitive, coprime(self._to_conventional @ primitive), self.structure.id)
        if basis == "conventional":
            conventional = coprime(indices)
            return Plane(coprime(self.scaled @ conventional), conventional, self.structure.id)
        raise InputError(f"basis '{basis}' of Miller indices is not one of conventional, primitive")

    def distinct_planes(self, max_miller: int) -> list[Plane]:
        """Return the planes up to an index of the primitive cell that no rotation of the crystal makes equal.

        Only proper rotations count here: (hkl) and (-h-k-l) of the same crystal are turned over against each other and
        make different interfaces unless a two-fold axis lies in the plane.

        Parameters
        ----------
        max_miller
            Largest absolute index in the primitive basis, at least 1.
        """
        if max_miller < 1:
            raise InputError(f"largest Miller index {max_miller}: a whole number from 1 on is needed")
        span = range(-max_miller, max_miller + 1)
        found = [hkl for hkl in itertools.product(span, repeat=3) if math.gcd(*hkl) == 1]
        planes = sorted((self.plane(hkl, "primitive") for hkl in found), key=lambda p: plane_order(p.conventional))
        kept: list[Plane] = []
        seen: set[Hkl] = set()
        for plane in planes:
            if plane.primitive not in seen:
                kept.append(plane)
                seen.update(self.images(plane.primitive))
        return kept

    def images(self, hkl: Hkl, *, proper: bool = True) -> Iterator[Hkl]:
        """Yield the primitive indices that the proper (or the improper) operations make of a plane."""
        wanted = self._handedness == (1 if proper else -1)
        for image in np.einsum("i,nij->nj", np.array(hkl), self._inverses[wanted]).tolist():
            yield (image[0], image[1], image[2])

    @cached_property
    def _to_conventional(self) -> Array:
        return np.rint(np.linalg.inv(self.scaled) * self.n_cells).astype(np.int64)

    @cached_property
    def _inverses(self) -> Array:
        return np.rint(np.linalg.inv(self.rotations)).astype(np.int64)

    @cached_property
    def _handedness(self) -> Array:
        return np.asarray(np.rint(np.linalg.det(self.rotations)).astype(np.int64))


def crystal_of(structure: Structure, symprec: float = SYMMETRY_TOLERANCE_A) -> Crystal:
    """Return a bulk structure with its primitive cell and space group.

    Parameters
    ----------
    structure
        A periodic crystal.
    symprec
        How far atoms may be from where symmetry wants them (A).

    Raises
    ------
    InputError
        If the structure is not periodic in three directions, or spglib finds no space group.
    """
    if not all(structure.pbc):
        raise InputError(f"structure {structure.id} ({structure.formula}) is not periodic in all directions")
    given = np.linalg.solve(structure.cell.T, structure.positions.T).T
    dataset = _symmetry((structure.cell, given, structure.numbers), symprec, structure)
    identity = np.eye(3, dtype=int)
    pure = dataset.translations[(dataset.rotations == identity).all(axis=(1, 2))]
    scaled = _primitive_vectors(structure.cell, pure)
    n_cells = len(pure)
    lattice = scaled @ structure.cell / n_cells
    _, first = np.unique(dataset.mapping_to_primitive, return_index=True)
    kept = np.sort(first)
    fractional = _wrapped(structure.positions[kept] @ np.linalg.inv(lattice))
    numbers = np.array(structure.numbers[kept], dtype=int)
    own = _symmetry((lattice, fractional, numbers), symprec, structure)
    return Crystal(
        structure=structure,
        lattice=lattice,
        numbers=numbers,
        fractional=fractional,
        n_cells=n_cells,
        scaled=scaled,
        rotations=np.array(own.rotations, dtype=np.int64),
        translations=np.array(own.translations),
    )


def coprime(indices: Sequence[int] | Array) -> Hkl:
    """Return three whole numbers without their common divisor."""
    divisor = math.gcd(*(int(index) for index in indices))
    first, second, third = (int(index) // divisor for index in indices)
    return (first, second, third)


def plane_order(hkl: Hkl) -> tuple[int, int, Hkl]:
    """Sort key of planes: small indices first, few minus signs, large leading indices."""
    return (sum(map(abs, hkl)), sum(index < 0 for index in hkl), (-hkl[0], -hkl[1], -hkl[2]))


def index_text(hkl: Sequence[int]) -> str:
    """Return Miller indices as they are written: ``(1-11)``, with commas where an index has two digits."""
    joint = "," if any(abs(index) > 9 for index in hkl) else ""
    return "(" + joint.join(str(index) for index in hkl) + ")"


def _symmetry(cell: tuple[Array, Array, Array], symprec: float, structure: Structure) -> Any:
    import spglib

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # spglib 2.8 about how it will report errors
        try:
            dataset = spglib.get_symmetry_dataset(cell, symprec=symprec)
        except Exception as error:
            raise _no_symmetry(structure, symprec) from error
    if dataset is None:
        raise _no_symmetry(structure, symprec)
    return dataset


def _no_symmetry(structure: Structure, symprec: float) -> InputError:
    return InputError(
        f"structure {structure.id} ({structure.formula}): no space group found within {symprec:g} A; "
        "a crystal without overlapping atoms is needed"
    )


def _wrapped(fractional: Array) -> Array:
    wrapped = fractional - np.floor(fractional + 1e-9)
    return np.where(np.abs(wrapped) < 1e-12, 0.0, wrapped)


def _primitive_vectors(cell: Array, translations: Array) -> Array:
    """Return len(translations) times the primitive vectors in fractions of the cell, integer, right-handed.

    A cell that is primitive already is kept as it stands; else the three shortest independent vectors are taken, of
    equal ones those with few minus signs.
    """
    count = len(translations)
    if count == 1:
        keep = 1 if np.linalg.det(cell) > 0 else -1
        return np.asarray(keep * np.eye(3, dtype=np.int64))
    steps = np.array(list(itertools.product((-1, 0, 1), repeat=3)))
    points = (np.rint(translations * count).astype(np.int64)[:, None] + count * steps[None]).reshape(-1, 3)
    points = np.unique(points[points.any(axis=1)], axis=0)
    lengths = np.linalg.norm(points @ cell, axis=1)
    order = sorted(
        range(len(points)), key=lambda i: (round(lengths[i], 6), int((points[i] < 0).sum()), points[i].tolist())
    )
    chosen: list[int] = []
    for i in order:
        if np.linalg.matrix_rank(points[[*chosen, i]].astype(float)) == len(chosen) + 1:
            chosen.append(i)
        if len(chosen) == 3:
            break
    vectors = points[chosen]
    if np.linalg.det(vectors @ cell) < 0:
        vectors = vectors[[1, 0, 2]]
    if abs(round(float(np.linalg.det(vectors)))) != count**2:
        raise ValueError("the shortest lattice vectors span no primitive cell")
    return vectors
