"""NEP descriptors of structures: one vector per atom, or their mean per structure."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from lizrcl_flows.documents import Structure
from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.science.environments import Environments
from lizrcl_flows.science.structures import atoms_from_structure

if TYPE_CHECKING:
    from ase import Atoms


class Describing(Protocol):
    """Anything with atomic descriptors, such as `lizrcl_flows.nep.Committee`."""

    def descriptors(self, frame: "Atoms", /) -> Array:
        """Return one scaled descriptor per atom, shape (N, D)."""
        ...


def mean_descriptors(committee: Describing, structures: Sequence[Structure]) -> Array:
    """Return the mean of the scaled atomic descriptors of each structure.

    Parameters
    ----------
    committee
        Its first member describes the atoms.
    structures
        n of them; none is allowed.

    Returns
    -------
    ndarray
        Shape (n, D), without unit; shape (0, 0) without structures.
    """
    rows = [committee.descriptors(atoms_from_structure(structure)).mean(axis=0) for structure in structures]
    return np.array(rows) if rows else np.zeros((0, 0))


def nep_environments(
    committee: Describing, structures: Sequence[Structure], eps_atoms: Sequence[Array] = ()
) -> Environments:
    """Return the scaled descriptors of all atoms of some structures.

    Parameters
    ----------
    committee
        Its first member describes the atoms.
    structures
        n of them; none is allowed.
    eps_atoms
        Committee deviation of the atoms of each structure (eV/A), where it is known.

    Returns
    -------
    Environments
        In single precision: 27 kB for 108 atoms of 63 descriptors.
    """
    rows = [committee.descriptors(atoms_from_structure(structure)).astype(np.float32) for structure in structures]
    return Environments.of(structures, rows, eps_atoms)
