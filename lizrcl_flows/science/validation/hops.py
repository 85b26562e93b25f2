"""Hops of an ion into a vacancy: the path of lowest energy between the two, and its barrier."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from lizrcl_flows.documents import Structure
from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.documents.curves import HopProfile
from lizrcl_flows.documents.spec_learning import HopSpec
from lizrcl_flows.errors import InputError
from lizrcl_flows.science.parity import CommitteeResult
from lizrcl_flows.science.structures import atoms_from_structure, supercell

if TYPE_CHECKING:
    from ase import Atoms

SAME_PLACE_A = 0.5
"""Ends of a hop between which the ion moves less than this (A) once they are relaxed are one place."""

RESTING_EV = 0.05
"""Depth (eV) below both ends of a path from which on another place, and not an end, is where the ion rests."""

_LOST_EV_PER_A = 1e3
"""Force (eV/A) from which on a structure has left everything that a potential knows."""

_FIRST_STAGE = 3.0
"""Times `fmax_ev_per_a`: the band is brought below this before its highest image climbs."""

_SPRING = 0.5
"""Spring constant of the band (eV/A^2); with the improved tangent it only spaces the images."""


class _LostError(Exception):
    """A relaxation has no way on; the message says why."""


@dataclass(frozen=True)
class HopPath:
    """Where a nudged elastic band ended.

    Attributes
    ----------
    images
        From start to end, the relaxed ends included; the ends as they were made where the path was given up.
    ion
        Index of the ion that hops.
    fmax
        Largest force on the band that was left (eV/A); None where there is no band.
    problem
        Why there is no path to trust, in words.
    """

    images: "list[Atoms]"
    ion: int
    converged: bool
    n_steps: int
    fmax: float | None
    problem: str = ""


def hop_ends(cell: Structure, hop: HopSpec) -> "tuple[Atoms, Atoms, int]":
    """Return the crystal with the vacancy before and after the hop, as they are before relaxation.

    Parameters
    ----------
    cell
        The phase's own cell, to which the indices of `hop` refer.

    Returns
    -------
    start, end
        The supercell without the ion `vacancy`; in `end` the ion `atom` stands in the place that was freed.
    ion
        Index of that ion in both.

    Raises
    ------
    InputError
        If an index is not one of the cell, or not of the species that hops, or both are the same.
    """
    symbols = atoms_from_structure(cell).get_chemical_symbols()
    for key, index in (("atom", hop.atom), ("vacancy", hop.vacancy)):
        there = [number for number, symbol in enumerate(symbols) if symbol == hop.species]
        if index not in there:
            what = f"is {symbols[index]}" if index < len(symbols) else f"is beyond the {len(symbols)} atoms of the cell"
            choices = ", ".join(map(str, there)) or "none"
            raise InputError(
                f"validation.hops: {key} {index} of phase '{hop.phase}' {what}; of species {hop.species} are {choices}"
            )
    if hop.atom == hop.vacancy:
        raise InputError(
            f"validation.hops: atom and vacancy of phase '{hop.phase}' are both {hop.atom}; two are needed"
        )
    start = atoms_from_structure(supercell(cell, hop.supercell))
    block = np.array(hop.vacancy_image) % np.array(hop.supercell)
    taken = int(np.ravel_multi_index(block, hop.supercell)) * cell.n_atoms + hop.vacancy
    place = cell.positions[hop.vacancy] + np.array(hop.vacancy_image) @ cell.cell
    del start[taken]
    ion = hop.atom - (taken < hop.atom)
    end = start.copy()
    end.positions[ion] = place
    return start, end, ion


def find_path(ends: "tuple[Atoms, Atoms, int]", calculator: Callable[[], Any], hop: HopSpec) -> HopPath:
    """Relax both ends and the band between them: a nudged elastic band whose highest image climbs.

    Cells stay as they are. The first path is that of the image-dependent pair potential (Smidstrup et al., J. Chem.
    Phys. 140, 214106 (2014)); tangents are the improved ones (Henkelman and Jonsson, J. Chem. Phys. 113, 9978 (2000)).

    Parameters
    ----------
    ends
        As `hop_ends` returns them.
    calculator
        Makes an ASE calculator; every image gets its own.
    hop
        Number of images between the ends, force and steps at which the band is finished.

    Returns
    -------
    HopPath
        A path that could not be found is a result with its problem, never an exception.
    """
    start, end, ion = (ends[0].copy(), ends[1].copy(), ends[2])
    try:
        for image, which in ((start, "start"), (end, "end")):
            image.calc = calculator()
            _relax(image, hop, f"the {which} of the hop")
        moved = float(np.linalg.norm(end.positions[ion] - start.positions[ion]))
        if moved < SAME_PLACE_A:
            return HopPath(
                [start, end], ion, False, 0, None, "both ends relax into the same place: no vacancy to go to"
            )
        images = _first_path(start, end, hop.n_images)
        for image in images[1:-1]:
            image.calc = calculator()
        fmax, steps = _relax_band(images, hop)
    except _LostError as lost:
        return HopPath([ends[0].copy(), ends[1].copy()], ion, False, 0, None, str(lost))
    converged = fmax <= hop.fmax_ev_per_a
    problem = "" if converged else f"forces on the band are {fmax:.3f} eV/A after {steps} steps"
    return HopPath(images, ion, converged, steps, fmax, problem)


def hop_profile(
    number: int,
    hop: HopSpec,
    cell: str,
    path: HopPath,
    structures: Sequence[str],
    found: tuple[Sequence[CommitteeResult], Sequence[float | None]],
) -> HopProfile:
    """Put what a committee says along a path together.

    Parameters
    ----------
    number
        Place of the hop in the campaign file's list.
    cell
        Id of the phase's cell.
    structures
        Id of each image.
    found
        What the committee says about each, and the energy of the label of each (eV), None where there is none.
    """
    results, labels = found
    members = np.array([result.energy for result in results], dtype=float).T
    members = members - members[:, :1]
    energy = members.mean(axis=0)
    problem = path.problem or _not_a_hop(energy)
    return HopProfile(
        phase=hop.phase,
        number=number,
        settings=hop,
        cell=cell,
        n_atoms=len(path.images[0]),
        structures=tuple(structures),
        distance=tuple(map(float, _distances(path.images))),
        energy=tuple(map(float, energy)),
        energy_members=tuple(tuple(map(float, row)) for row in members),
        eps=tuple(float(result.eps) for result in results),
        energy_label=_relative(labels),
        **_barriers(energy, members, given_up=path.fmax is None),
        converged=path.converged,
        n_steps=path.n_steps,
        fmax=path.fmax,
        problem=problem,
    )


def _not_a_hop(energy: Array) -> str:
    """Return what keeps the energy along a path from being that of one hop, or nothing."""
    if int(np.argmax(energy)) in (0, len(energy) - 1):
        return "the energy is highest at an end of the path: there is no barrier between them"
    depth = float(min(energy[0], energy[-1]) - energy.min())
    if depth > RESTING_EV:
        return f"the path passes {depth:.3f} eV below both of its ends: the ion rests elsewhere"
    return ""


def _barriers(energy: Array, members: Array, *, given_up: bool) -> dict[str, float]:
    if given_up:
        return {}
    top = members.max(axis=1)
    return {
        "barrier_forward": float(energy.max()),
        "barrier_forward_std": float(np.std(top)),
        "barrier_backward": float(energy.max() - energy[-1]),
        "barrier_backward_std": float(np.std(top - members[:, -1])),
    }


def _relative(labels: Sequence[float | None]) -> tuple[float | None, ...]:
    first = labels[0] if labels else None
    if first is None:
        return ()
    return tuple(None if value is None else value - first for value in labels)


def _distances(images: "Sequence[Atoms]") -> Array:
    steps = [float(np.linalg.norm(there.positions - here.positions)) for here, there in pairwise(images)]
    return np.concatenate([[0.0], np.cumsum(steps)])


def _relax(atoms: "Atoms", hop: HopSpec, what: str) -> None:
    from ase.optimize import LBFGS

    optimiser = LBFGS(atoms, logfile=None)
    fmax = _run(optimiser, hop.fmax_ev_per_a, hop.max_steps, atoms.get_forces, what)
    if fmax > hop.fmax_ev_per_a:
        raise _LostError(f"{what} does not relax: forces are {fmax:.3f} eV/A after {hop.max_steps} steps")


def _first_path(start: "Atoms", end: "Atoms", n_images: int) -> "list[Atoms]":
    from ase.mep import NEB, idpp_interpolate
    from ase.mep.neb import interpolate

    images = [start, *(start.copy() for _ in range(n_images)), end]
    interpolate(images, mic=False)  # the way round is the one that was asked for, however long
    straight = [image.positions.copy() for image in images]
    idpp_interpolate(NEB(images, method="improvedtangent"), traj=None, log=None, mic=True)
    if not all(np.isfinite(image.positions).all() for image in images):
        for image, positions in zip(images, straight, strict=True):
            image.positions[:] = positions
    return images


def _relax_band(images: "list[Atoms]", hop: HopSpec) -> tuple[float, int]:
    """Relax the band, first without and then with a climbing image; return the force that is left and the steps."""
    from ase.mep import NEB
    from ase.optimize import FIRE

    steps, fmax = 0, np.inf
    for climb, wanted in ((False, _FIRST_STAGE * hop.fmax_ev_per_a), (True, hop.fmax_ev_per_a)):
        band = NEB(images, k=_SPRING, climb=climb, method="improvedtangent")
        optimiser = FIRE(band, logfile=None)
        fmax = _run(optimiser, wanted, hop.max_steps - steps, band.get_forces, "the band")
        steps += optimiser.nsteps
    return fmax, steps


def _run(optimiser: Any, fmax: float, max_steps: int, forces: Callable[[], Array], what: str) -> float:
    """Run an optimiser until forces are small, steps are used up or the structure is lost; return the largest force."""
    largest = np.inf
    try:
        largest = _largest(forces())
        if max_steps > 0:
            for _ in optimiser.irun(fmax=fmax, steps=max_steps):
                largest = _largest(forces())
                if not largest < _LOST_EV_PER_A:
                    break
    except (InputError, ValueError, FloatingPointError, np.linalg.LinAlgError) as error:
        raise _LostError(f"{what} falls apart: {' '.join(str(error).split())}") from None
    if not largest < _LOST_EV_PER_A:
        raise _LostError(f"{what} falls apart: a force is {largest:.3g} eV/A")
    return largest


def _largest(forces: Array) -> float:
    return float(np.sqrt((np.asarray(forces).reshape(-1, 3) ** 2).sum(axis=1).max()))
