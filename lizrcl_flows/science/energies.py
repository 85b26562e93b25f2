"""The part of the energies that only counts atoms, which a model need not learn."""

from collections.abc import Mapping, Sequence

import numpy as np

from lizrcl_flows.documents.arrays import Array


def fit_energy_shift(counts: Array, energies: Array, elements: Sequence[str]) -> dict[str, float]:
    """Fit one energy per element to total energies by least squares.

    Where the compositions leave some direction open (one composition only fixes one number) the solution of minimum
    norm is taken, so that the result is always defined and small.

    Parameters
    ----------
    counts
        Number of atoms of each element in each structure, shape (n, n_elements).
    energies
        Total energies (eV), shape (n,).
    elements
        Symbols in the order of the columns.

    Returns
    -------
    dict
        Element to energy (eV/atom); an element that no structure holds gets 0.

    Raises
    ------
    ValueError
        If there is no structure or an energy is not finite.
    """
    counts = np.asarray(counts, dtype=float).reshape(-1, len(elements))
    energies = np.asarray(energies, dtype=float)
    if len(energies) == 0 or not np.isfinite(energies).all():
        raise ValueError("energies of at least one structure are needed, all of them finite")
    # per atom, so that a large cell does not outweigh small ones
    n_atoms = counts.sum(axis=1)
    solution, *_ = np.linalg.lstsq(counts / n_atoms[:, None], energies / n_atoms, rcond=None)
    return {element: float(value) for element, value in zip(elements, solution, strict=True)}


def shift_energy(symbols: Sequence[str], shift: Mapping[str, float]) -> float:
    """Return the shift of a whole structure (eV): the sum over its atoms of what `fit_energy_shift` found."""
    return float(sum(shift.get(symbol, 0.0) for symbol in symbols))
