"""What every engine checks before and after a calculation: atoms that overlap, numbers that cannot be a label."""

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from lizrcl_flows.documents import Structure
from lizrcl_flows.engines.labelling.base import LabelResult
from lizrcl_flows.errors import InputError
from lizrcl_flows.science.geometry import describe_contact, shortest_contact

NET_FORCE_TOLERANCE = 0.1
"""Largest component of the sum of all forces (eV/A) of a label."""

OVERLAP_FACTOR = 0.5
"""Atoms closer than this share of the sum of their covalent radii are not computed."""


def require_potentials(title: str, potentials: Mapping[str, str], elements: Iterable[str]) -> None:
    """See that a level names a potential for each element.

    Raises
    ------
    InputError
        If one is missing.
    """
    missing = [element for element in elements if element not in potentials]
    if missing:
        raise InputError(
            f"labelling.potentials: {title} is told no potential of {', '.join(missing)}, only of "
            f"{', '.join(potentials)}; every element of the campaign needs one"
        )


def objection(
    title: str,
    energy: float,
    forces: npt.ArrayLike,
    stress: npt.ArrayLike | None,
    n_atoms: int,
    net_force_tolerance: float = NET_FORCE_TOLERANCE,
) -> str:
    """Return why numbers are no label, in one sentence, or nothing.

    Parameters
    ----------
    title
        What the engine calls itself in a sentence.
    energy
        Total energy (eV).
    forces
        Forces (eV/A), to be (n_atoms, 3).
    stress
        Stress (3, 3), eV/A^3, or none.
    n_atoms
        Atoms of the structure.
    net_force_tolerance
        Largest component of the sum of all forces (eV/A). Nothing pulls a crystal as a whole: a larger sum says that
        the calculation is not converged with respect to its real-space grid, or wrong.
    """
    values = np.asarray(forces, dtype=float)
    if values.shape != (n_atoms, 3):
        return f"{title} gave forces of shape {values.shape} for {n_atoms} atoms"
    tensor = np.zeros((3, 3)) if stress is None else np.asarray(stress, dtype=float)
    if tensor.shape != (3, 3):
        return f"{title} gave a stress of shape {tensor.shape}, not (3, 3)"
    for quantity, numbers in (("energy", energy), ("forces", values), ("stress", tensor)):
        if not np.isfinite(numbers).all():
            return f"{title} gave {quantity} that are not finite numbers"
    net = np.abs(values.sum(axis=0)).max(initial=0.0)
    if net > net_force_tolerance:
        return (
            f"the forces of {title} add up to {net:.3g} eV/A, more than {net_force_tolerance:g}: "
            "the calculation is not converged with its grid"
        )
    return ""


def refusal(structure: Structure, overlap_factor: float = OVERLAP_FACTOR) -> LabelResult | None:
    """Return the result of a structure that is not worth computing, or None where nothing speaks against it.

    Parameters
    ----------
    structure
        The structure to label.
    overlap_factor
        Share of the sum of the covalent radii that any two atoms must keep; 0 switches the rule off.
    """
    contact = shortest_contact(structure, overlap_factor)
    if contact is None:
        return None
    reason = f"{describe_contact(contact)}, less than {contact.threshold:.3f} A: atoms overlap, nothing was computed"
    return LabelResult(accepted=False, reason=reason, attempts=0)
