"""SOAP descriptors of structures and of their atoms, for choosing where there is no potential yet.

Smooth overlap of atomic positions: A. P. Bartok, R. Kondor and G. Csanyi, Phys. Rev. B 87, 184115 (2013), computed by
DScribe: L. Himanen et al., Comput. Phys. Commun. 247, 106949 (2020). Structures are described in pieces, in single
precision, so that the memory is that of the result.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from lizrcl_flows.documents import Structure
from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.errors import InputError
from lizrcl_flows.science.environments import Environments
from lizrcl_flows.science.single_thread import single_threaded
from lizrcl_flows.science.structures import atoms_from_structure

if TYPE_CHECKING:
    from dscribe.descriptors import SOAP

Rows = npt.NDArray[np.float32]
Preset = Literal["paper", "fast"]

PRESETS: Mapping[str, tuple[float, int, int]] = {"paper": (5.0, 8, 6), "fast": (5.0, 6, 4)}
"""Cutoff (A), number of radial functions, largest degree of the angular ones; Gaussians of 0.5 A in both."""

_SIGMA_A = 0.5
_STRUCTURES_AT_ONCE = 50
_FEWEST_PIECES = 10
"""Fewer pieces than these are described sooner than a second process has started."""

_SAMPLED_STRUCTURES = 512
_SAMPLED_ATOMS = 1024


def soap_rows(
    structures: Sequence[Structure], species: Sequence[str], preset: Preset = "paper", n_jobs: int = 1
) -> Rows:
    """Return one SOAP descriptor per structure: the power spectrum of the mean expansion of its atoms.

    Parameters
    ----------
    structures
        n of them; none is allowed.
    species
        Elements that may occur; rows of two calls agree where the elements do.
    preset
        One of `PRESETS`.
    n_jobs
        Processes that share 500 structures or more; the rows do not depend on their number.

    Returns
    -------
    ndarray
        Single precision, shape (n, D), without unit; D is 3696 for four elements and ``paper``, 1500 for ``fast``.

    Raises
    ------
    InputError
        If a structure holds an element that is not among `species`.
    """
    _refuse_foreign(structures, species)
    soap = _soap(species, preset, "inner")
    rows = np.empty((len(structures), soap.get_number_of_features()), dtype=np.float32)
    filled = 0
    for part in _in_pieces(partial(_mean_rows, soap), structures, n_jobs):
        rows[filled : filled + len(part)] = part
        filled += len(part)
    return rows


def soap_environments(
    structures: Sequence[Structure],
    known: Sequence[Structure],
    species: Sequence[str],
    preset: Preset = "paper",
    n_jobs: int = 1,
    n_components: int = 64,
) -> tuple[Environments, Environments]:
    """Return the SOAP descriptors of all atoms, reduced to few numbers so that they fit into memory.

    The descriptors of the atoms of an element are projected on their leading principal components, of which up to 1024
    atoms give the axes, taken evenly from up to 512 of all structures. Columns are not scaled: distances are those of
    the SOAP descriptors but for the variance that is left out.

    Parameters
    ----------
    structures, known
        What may be chosen and what is known; both may be empty. They share the axes.
    species, preset, n_jobs
        As for `soap_rows`.
    n_components
        Numbers that are kept per atom.

    Returns
    -------
    tuple
        Environments of `structures` and of `known`.

    Raises
    ------
    InputError
        If a structure holds an element that is not among `species`.
    """
    everything = [*structures, *known]
    _refuse_foreign(everything, species)
    if not everything:
        return Environments.of([], []), Environments.of([], [])
    soap = _soap(species, preset, "off")
    axes = _element_axes(soap, everything, n_components, n_jobs)
    reduced = list(_in_pieces(partial(_reduced_rows, soap, axes), everything, n_jobs))
    return Environments.of(everything, reduced).split(len(structures))


@dataclass(frozen=True)
class _Axes:
    """Where the descriptors of an element lie on average, and the axes along which they differ most."""

    mean: Rows
    axes: Rows


def _soap(species: Sequence[str], preset: Preset, average: str) -> "SOAP":
    from dscribe.descriptors import SOAP

    cutoff, n_max, l_max = PRESETS[preset]
    return SOAP(
        r_cut=cutoff,
        n_max=n_max,
        l_max=l_max,
        sigma=_SIGMA_A,
        rbf="gto",
        average=average,
        species=sorted(species),
        periodic=True,
        dtype="float32",
    )


def _refuse_foreign(structures: Iterable[Structure], species: Sequence[str]) -> None:
    for structure in structures:
        foreign = sorted(set(structure.chemical_system.split("-")) - set(species))
        if foreign:
            raise InputError(
                f"structure {structure.id} holds {', '.join(foreign)}, "
                f"but the elements to describe are {', '.join(species)}"
            )


def _in_pieces(function: Callable[[Sequence[Any]], Any], items: Sequence[Any], n_jobs: int) -> Iterator[Any]:
    """Apply a function to pieces of a sequence, in order, in as many processes as are asked for and worth it."""
    pieces = [items[start : start + _STRUCTURES_AT_ONCE] for start in range(0, len(items), _STRUCTURES_AT_ONCE)]
    if n_jobs == 1 or len(pieces) < _FEWEST_PIECES:
        yield from map(function, pieces)
        return
    from joblib import Parallel, delayed
    from joblib.externals.loky import get_reusable_executor

    try:
        yield from Parallel(n_jobs=n_jobs, return_as="generator")(delayed(function)(piece) for piece in pieces)
    finally:
        get_reusable_executor().shutdown(wait=True)  # the processes would wait for more work for minutes


def _mean_rows(soap: "SOAP", structures: Sequence[Structure]) -> Rows:
    return np.array([soap.create(atoms_from_structure(structure)) for structure in structures]).reshape(
        len(structures), -1
    )


def _element_axes(soap: "SOAP", structures: Sequence[Structure], n_components: int, n_jobs: int) -> dict[int, _Axes]:
    sample = _sample(structures)
    rows: dict[int, list[Rows]] = {}
    for piece in _in_pieces(partial(_sampled_rows, soap), sample, n_jobs):
        for number, part in piece:
            rows.setdefault(number, []).append(part)
    return {number: _axes_of(np.concatenate(parts), n_components) for number, parts in rows.items()}


def _sample(structures: Sequence[Structure]) -> list[tuple[Structure, Array]]:
    """Return structures with the atoms of theirs whose descriptors give the axes, evenly taken from all."""
    some = [structures[index] for index in _evenly(len(structures), _SAMPLED_STRUCTURES)]
    numbers = np.concatenate([structure.numbers for structure in some])
    owners = np.repeat(np.arange(len(some)), [structure.n_atoms for structure in some])
    places = np.concatenate([np.arange(structure.n_atoms) for structure in some])
    taken = np.zeros(len(numbers), dtype=bool)
    for number in np.unique(numbers):
        atoms = np.flatnonzero(numbers == number)
        taken[atoms[_evenly(len(atoms), _SAMPLED_ATOMS)]] = True
    cuts = np.searchsorted(owners[taken], np.arange(1, len(some)))
    return [
        (structure, atoms) for structure, atoms in zip(some, np.split(places[taken], cuts), strict=True) if len(atoms)
    ]


def _sampled_rows(soap: "SOAP", sample: Sequence[tuple[Structure, Array]]) -> list[tuple[int, Rows]]:
    found = []
    for structure, atoms in sample:
        rows = soap.create(atoms_from_structure(structure), centers=[int(atom) for atom in atoms])
        found += [(int(number), rows[structure.numbers[atoms] == number]) for number in set(structure.numbers[atoms])]
    return found


@single_threaded
def _axes_of(rows: Rows, n_components: int) -> _Axes:
    mean = rows.mean(axis=0, dtype=np.float64)
    centred = rows - mean
    _, vectors = np.linalg.eigh(centred @ centred.T)
    axes = centred.T @ vectors[:, ::-1][:, :n_components]
    lengths = np.linalg.norm(axes, axis=0)
    axes = np.divide(axes, lengths, out=np.zeros_like(axes), where=lengths > 1e-6 * lengths.max(initial=0.0))
    return _Axes(mean.astype(np.float32), axes.astype(np.float32))


def _reduced_rows(soap: "SOAP", axes: Mapping[int, _Axes], structures: Sequence[Structure]) -> Rows:
    return np.concatenate([_reduced(soap, axes, structure) for structure in structures])


def _reduced(soap: "SOAP", axes: Mapping[int, _Axes], structure: Structure) -> Rows:
    rows = soap.create(atoms_from_structure(structure))
    reduced = np.zeros((structure.n_atoms, max(one.axes.shape[1] for one in axes.values())), dtype=np.float32)
    for number in np.unique(structure.numbers):
        one, atoms = axes[int(number)], structure.numbers == number
        reduced[atoms, : one.axes.shape[1]] = (rows[atoms] - one.mean) @ one.axes
    return reduced


def _evenly(count: int, most: int) -> npt.NDArray[np.int64]:
    """Return up to `most` of `count` numbers, evenly spaced."""
    if count <= most:
        return np.arange(count)
    return (np.arange(most) * count) // most
