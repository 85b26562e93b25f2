"""Structures for the 3D view: symbols, positions, cell, and what is known of each atom."""

from typing import Any, cast

import numpy as np

from lizrcl_flows.archive import Archive
from lizrcl_flows.documents import Candidate, Document, Label, Structure
from lizrcl_flows.errors import NotFoundError


def symbols_of(structure: Structure) -> list[str]:
    """Return the symbol of every atom."""
    from ase.data import chemical_symbols

    return [chemical_symbols[number] for number in structure.numbers.tolist()]


def structure_id_of(document: Document) -> str | None:
    """Return the structure that a document is, or is about; None where there is none."""
    if isinstance(document, Structure):
        return document.id
    return cast("str | None", getattr(document, "structure", None))


def view(archive: Archive, document: Document) -> dict[str, Any]:
    """Return what the 3D view of a document needs.

    Returns
    -------
    dict
        ``symbols`` (N,), ``positions`` (N, 3) and ``cell`` (3, 3) in A, ``values``: numbers of each atom by name.

    Raises
    ------
    NotFoundError
        If the document is not about one structure.
    """
    name = structure_id_of(document)
    if name is None:
        raise NotFoundError(f"{document.id} is not about one structure; there is nothing to show in 3D")
    structure = document if isinstance(document, Structure) else archive.get(Structure, name)
    return {
        "structure": structure.id,
        "formula": structure.formula,
        "n_atoms": structure.n_atoms,
        "symbols": symbols_of(structure),
        "positions": structure.positions.tolist(),
        "cell": structure.cell.tolist() if any(structure.pbc) else None,
        "values": _values(document),
    }


def _values(document: Document) -> dict[str, Any]:
    """Return by name and unit what is known of each atom."""
    if isinstance(document, Candidate) and document.eps_atoms is not None:
        return {"eps (eV/A)": [float(value) for value in document.eps_atoms]}
    if isinstance(document, Label) and document.forces is not None:
        return {"force (eV/A)": np.linalg.norm(document.forces, axis=1).tolist()}
    return {}
