"""Electrostatic energies of orderings: point charges, one Ewald matrix for all orderings of a cell."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.errors import InputError
from lizrcl_flows.science.charges import FORMAL_CHARGES
from lizrcl_flows.science.orderings.codes import Bits, CodeBook
from lizrcl_flows.science.orderings.sublattices import VACANCY, OrderingCell

_CHUNK = 1 << 16


@dataclass(frozen=True, eq=False)
class EwaldModel:
    """Energies of all orderings of a cell as a quadratic form of their bits: ``constant + linear x + x quadratic x``.

    Attributes
    ----------
    matrix
        Energy (eV) of unit charges on every pair of sites, self-energies included, shape (n_sites, n_sites).
    background
        Charge (e) of every site where no bit is set, shape (n_sites,).
    sites, steps
        Site of each bit and by how much the bit changes its charge (e), shape (n_bits,).
    """

    matrix: Array
    background: Array
    sites: Array
    steps: Array

    def energies(self, bits: Bits) -> Array:
        """Return energies (eV per supercell), shape (n,), of orderings by their bits, shape (n, n_bits)."""
        field = self.matrix @ self.background
        constant = float(self.background @ field)
        linear = 2 * self.steps * field[self.sites]
        quadratic = self.steps[:, None] * self.matrix[np.ix_(self.sites, self.sites)] * self.steps
        found = np.empty(len(bits))
        for start in range(0, len(bits), _CHUNK):
            x = bits[start : start + _CHUNK].astype(np.float64)
            found[start : start + _CHUNK] = constant + x @ linear + np.einsum("ij,ij->i", x @ quadratic, x)
        return found


def ewald_model(book: CodeBook, charges: Mapping[str, float] | None = None) -> EwaldModel:
    """Compute the Ewald matrix of a cell once, with all sites occupied by unit charges.

    The energy of any ordering with charges q is then ``q M q``, what an Ewald sum of the ordered cell gives.

    Parameters
    ----------
    book
        The cell and how its orderings are written.
    charges
        Charge of each element (e); `FORMAL_CHARGES` for those it does not name.

    Raises
    ------
    InputError
        If an element has no charge, or the charges of the cell do not add up to zero.
    """
    cell = book.cell
    known = {VACANCY: 0.0, **FORMAL_CHARGES, **(charges or {})}
    _check_charges(cell, known)
    background = np.array([known[element] for element in cell.settled])
    last = {site: s.counts[-1][0] for s in cell.sublattices for site in s.sites}
    for site, element in last.items():
        background[site] = known[element]
    return EwaldModel(
        matrix=ewald_matrix(cell.cell, cell.fractional),
        background=background,
        sites=np.array([site for site, _ in book.bits], dtype=np.int64),
        steps=np.array([known[element] - known[last[site]] for site, element in book.bits]),
    )


def ewald_matrix(cell: Array, fractional: Array) -> Array:
    """Return the Ewald energy (eV) of every pair of unit charges in a cell, shape (n, n).

    Parameters
    ----------
    cell
        Cell vectors in rows (A), shape (3, 3).
    fractional
        Sites in fractional coordinates, shape (n, 3).
    """
    from pymatgen.core import Lattice, Species
    from pymatgen.core import Structure as Crystal
    from pymatgen.core.ewald import EwaldSummation

    crystal = Crystal(Lattice(cell), [Species("H", 1)] * len(fractional), fractional)
    return np.asarray(EwaldSummation(crystal).total_energy_matrix, dtype=np.float64)


def _check_charges(cell: OrderingCell, charges: Mapping[str, float]) -> None:
    composition = atoms_in(cell)
    missing = [element for element in composition if element not in charges]
    if missing:
        raise InputError(
            f"{cell.partial.source}: no charge is known of {', '.join(missing)}, which the Ewald sum needs; give one, "
            f"known are {', '.join(f'{element} {charge:+g}' for element, charge in charges.items() if element)}"
        )
    total = sum(charges[element] * count for element, count in composition.items())
    if abs(total) > 1e-6:
        listed = ", ".join(f"{count} {element} of {charges[element]:+g}" for element, count in composition.items())
        raise InputError(
            f"{cell.partial.source}: the charges of {listed} add up to {total:+g} e, but a crystal is neutral; other "
            "charges or occupancies are needed"
        )


def atoms_in(cell: OrderingCell) -> dict[str, int]:
    """Return how many atoms of each element every ordering of a cell has, in alphabetical order."""
    atoms: dict[str, int] = {}
    counted = [(element, 1) for element in cell.settled]
    for sublattice in cell.sublattices:
        counted.extend(sublattice.counts)
    for element, count in counted:
        atoms[element] = atoms.get(element, 0) + count
    return {element: atoms[element] for element in sorted(atoms) if element != VACANCY}
