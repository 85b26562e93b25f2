"""A crystal seen along the normal of a plane: in-plane basis, heights of the atoms, operations of the surface."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.science.interfaces.crystals import Crystal, Plane
from lizrcl_flows.science.interfaces.lattices import (
    TIE,
    basis_of_metric,
    metric_rows,
    plane_vectors,
    reduce_metrics,
)


@dataclass(frozen=True, eq=False)
class SurfaceOperations:
    """The operations of the space group that keep a plane, each split into what it does along and across it.

    A point with in-plane coordinates u (row vector, fractions of the in-plane basis) and height z (in interplanar
    spacings) goes to ``u @ matrix + shift`` and ``side * z + lift``; whole multiples of the lattice left open.

    Attributes
    ----------
    matrices
        Integer, (n, 2, 2).
    sides
        +1 where the normal is kept, -1 where it is turned over, (n,).
    proper
        +1 for rotations and screws, -1 for all others, (n,).
    shifts, lifts
        (n, 2) and (n,).
    """

    matrices: Array
    sides: Array
    proper: Array
    shifts: Array
    lifts: Array


@dataclass(frozen=True, eq=False)
class OrientedCrystal:
    """A crystal whose plane normal points up.

    Attributes
    ----------
    crystal, plane
        What is seen and along which normal.
    vectors
        Integer (3, 3) in the primitive basis: two vectors that span the plane, reduced and right-handed about the
        normal, and one to the next plane, as upright as possible.
    basis
        The in-plane vectors (A), shape (2, 2), the first along x.
    spacing_a
        Distance to the next lattice plane (A), the repeat of a slab.
    offset
        In-plane part of the third vector in fractions of `basis`, (2,).
    in_plane, heights
        Atoms: (n, 2) in fractions of `basis`, (n,) in spacings, from 0 to below 1.
    """

    crystal: Crystal
    plane: Plane
    vectors: Array
    basis: Array
    spacing_a: float
    offset: Array
    in_plane: Array
    heights: Array

    @property
    def area_a2(self) -> float:
        """Area of the primitive surface cell (A^2)."""
        return float(self.basis[0, 0] * self.basis[1, 1])

    @property
    def numbers(self) -> Array:
        """Atomic numbers of the atoms of one surface cell and one spacing, (n,)."""
        return self.crystal.numbers

    @cached_property
    def operations(self) -> SurfaceOperations:
        """The part of the space group that keeps the plane."""
        crystal = self.crystal
        normal = np.array(self.plane.primitive)
        inverse = np.linalg.inv(self.vectors)
        turned = np.einsum("i,nij->nj", normal, crystal.rotations)
        keeps = (turned == normal).all(axis=1) | (turned == -normal).all(axis=1)
        rotations, translations = crystal.rotations[keeps], crystal.translations[keeps]
        linear = np.rint(self.vectors @ rotations.transpose(0, 2, 1) @ inverse).astype(np.int64)
        moved = translations @ inverse
        return SurfaceOperations(
            matrices=linear[:, :2, :2],
            sides=linear[:, 2, 2],
            proper=np.rint(np.linalg.det(rotations)).astype(np.int64),
            shifts=moved[:, :2] + moved[:, 2:] * self.offset,
            lifts=moved[:, 2],
        )


def orient(crystal: Crystal, plane: Plane) -> OrientedCrystal:
    """Turn a crystal so that the normal of a plane points up.

    Parameters
    ----------
    crystal, plane
        The plane must be one of this crystal.

    Raises
    ------
    ValueError
        If the plane belongs to another bulk document.
    """
    if plane.bulk != crystal.structure.id:
        raise ValueError(f"plane {plane.primitive} belongs to {plane.bulk}, not to {crystal.structure.id}")
    vectors = plane_vectors(plane.primitive)
    matrix, metric = reduce_metrics(metric_rows(vectors[:2] @ crystal.lattice)[None])
    in_plane = matrix[0] @ vectors[:2]
    first, second, third = np.vstack([in_plane, vectors[2]]) @ crystal.lattice
    # components of the third vector along the in-plane ones
    gram = np.array([[metric[0, 0], metric[0, 1]], [metric[0, 1], metric[0, 2]]])
    along = np.linalg.solve(gram, np.array([third @ first, third @ second]))
    steps = np.floor(along + 0.5 - TIE).astype(np.int64)
    offset = along - steps
    rows = np.vstack([in_plane, vectors[2] - steps @ in_plane])
    coordinates = crystal.fractional @ np.linalg.inv(rows)
    lifted = np.floor(coordinates[:, 2] + 1e-9)
    # an atom is brought between the first two planes along the third vector
    heights = np.abs(coordinates[:, 2] - lifted)
    flat = coordinates[:, :2] + heights[:, None] * offset
    basis = basis_of_metric(metric[0])
    volume = abs(float(np.linalg.det(crystal.lattice)))
    return OrientedCrystal(
        crystal=crystal,
        plane=plane,
        vectors=rows,
        basis=basis,
        spacing_a=volume / float(basis[0, 0] * basis[1, 1]),
        offset=offset,
        in_plane=flat,
        heights=heights,
    )
