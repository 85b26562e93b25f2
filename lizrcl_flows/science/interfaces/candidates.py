"""The cells worth relaxing for one match: terminations and registries, without symmetric duplicates."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from lizrcl_flows.documents import Structure
from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.errors import InputError
from lizrcl_flows.science.interfaces.build import BuildOptions, build_interface
from lizrcl_flows.science.interfaces.lattices import common_lattice, metric_rows, reduce_metrics
from lizrcl_flows.science.interfaces.oriented import OrientedCrystal
from lizrcl_flows.science.interfaces.search import InterfaceMatch, shared_operations
from lizrcl_flows.science.interfaces.terminations import Termination, find_terminations

_SAME = 1e-3
"""Cut heights (in spacings) and registries (in steps of the grid) closer than this are one."""


@dataclass(frozen=True)
class CandidateOptions:
    """How many cells a match is given.

    Attributes
    ----------
    terminations
        Most terminations of each side, the most natural first; see `find_terminations`.
    registries
        Film displacements along each vector of the cell of distinct displacements: n makes an n x n grid.
    stoichiometric
        Only slabs with the composition of the bulk; else symmetric slabs of other compositions come after these.
    """

    terminations: int = 2
    registries: int = 2
    stoichiometric: bool = True


@dataclass(frozen=True)
class Configuration:
    """One way to put a film on a substrate.

    Attributes
    ----------
    film, substrate
        Terminations.
    registry
        In-plane displacement of the film in fractions of the common cell.
    multiplicity
        How many configurations of the full list are equal to this one.
    """

    film: Termination
    substrate: Termination
    registry: tuple[float, float]
    multiplicity: int


@dataclass(frozen=True)
class CandidatePlan:
    """The configurations of a match and what was left out.

    Attributes
    ----------
    configurations
        Distinct ones, the most natural terminations first.
    n_considered
        Before symmetric duplicates were removed.
    n_terminations
        Terminations of film and substrate that there would be without the cap.
    """

    configurations: tuple[Configuration, ...]
    n_considered: int
    n_terminations: tuple[int, int]

    def statement(self, options: CandidateOptions) -> str:
        """Say in one sentence what stands for what."""
        used = [min(options.terminations, available) for available in self.n_terminations]
        available = self.n_terminations
        return (
            f"{len(self.configurations)} distinct of {self.n_considered} configurations: {used[0]} of {available[0]} "
            f"film and {used[1]} of {available[1]} substrate terminations, "
            f"{options.registries} x {options.registries} registries"
        )


def usable_terminations(oriented: OrientedCrystal, *, stoichiometric: bool = True) -> list[Termination]:
    """Return the terminations that candidates are made of, the most natural first.

    These are slabs of whole spacings and, where compositions other than the bulk's are wanted, symmetric slabs that
    end in the middle of a spacing.
    """
    return [
        termination
        for termination in find_terminations(oriented)
        if termination.bottom == termination.top
        or (not stoichiometric and not termination.stoichiometric and termination.symmetric)
    ]


def plan_candidates(
    match: InterfaceMatch, options: CandidateOptions | None = None, build: BuildOptions | None = None
) -> CandidatePlan:
    """List the distinct configurations of a match.

    Parameters
    ----------
    match
        The planes and their common cell.
    options
        How many.
    build
        What the cells will be like: their layers, and whether a vacuum keeps the two sides of a slab apart, decide what
        is equal.

    Raises
    ------
    InputError
        If a number is smaller than 1.
    """
    chosen, cells = options or CandidateOptions(), build or BuildOptions()
    if min(chosen.terminations, chosen.registries) < 1:
        raise InputError("terminations and registries are numbers from 1 on")
    films, substrates = (
        usable_terminations(side, stoichiometric=chosen.stoichiometric) for side in (match.film, match.substrate)
    )
    available = len(films), len(substrates)
    films, substrates = films[: chosen.terminations], substrates[: chosen.terminations]
    steps = list(product(range(chosen.registries), repeat=2))
    cell = distinct_displacements(match)
    states = list(product(range(len(films)), range(len(substrates)), range(len(steps))))
    moves = list(_moves(match, (films, substrates), (cell, chosen.registries), cells))
    found = []
    for first, members in _orbits(states, moves):
        film, substrate, step = first
        shift = np.array(steps[step]) / chosen.registries @ cell
        registry = (float(shift[0] % 1.0), float(shift[1] % 1.0))
        found.append(Configuration(films[film], substrates[substrate], registry, members))
    return CandidatePlan(tuple(found), len(states), available)


def candidates(
    match: InterfaceMatch, options: CandidateOptions | None = None, build: BuildOptions | None = None
) -> list[Structure]:
    """Build the distinct configurations of a match.

    Configurations in which atoms would overlap are left out; `plan_candidates` tells how many there are.

    Parameters
    ----------
    match, options
        See `plan_candidates`.
    build
        Everything but the registry, see `build_interface`.

    Returns
    -------
    list of Structure

    Raises
    ------
    InputError
        If atoms overlap in every configuration; the sentence is that of the last one.
    """
    chosen = build or BuildOptions()
    plan = plan_candidates(match, options, chosen)
    built, refused = [], None
    for configuration in plan.configurations:
        placed = replace(chosen, registry=configuration.registry)
        try:
            built.append(build_interface(match, configuration.film, configuration.substrate, placed))
        except InputError as error:
            refused = error
    if refused is not None and not built:
        raise refused
    return built


def distinct_displacements(match: InterfaceMatch) -> Array:
    """Return the cell of film displacements that differ: reduced rows (2, 2) in fractions of the common cell."""
    matrices = (np.array(match.coincidence.film_matrix), np.array(match.coincidence.substrate_matrix))
    cell = common_lattice(matrices)
    turn, _ = reduce_metrics(metric_rows(cell @ matrices[1] @ match.substrate.basis)[None])
    return np.asarray(turn[0] @ cell)


State = tuple[int, int, int]


def _orbits(states: Sequence[State], moves: Sequence[dict[State, State]]) -> Iterator[tuple[State, int]]:
    """Yield the first state of each class, and the size of the class."""
    left = dict.fromkeys(states)
    while left:
        first = next(iter(left))
        waiting, members = [first], {first}
        while waiting:
            state = waiting.pop()
            reached = {move[state] for move in moves if state in move} - members
            members |= reached
            waiting.extend(reached)
        for member in members:
            left.pop(member, None)
        yield first, len(members)


def _moves(
    match: InterfaceMatch,
    terminations: tuple[Sequence[Termination], Sequence[Termination]],
    grid: tuple[Array, int],
    build: BuildOptions,
) -> Iterator[dict[State, State]]:
    """Yield what each operation that keeps the common cell does to the configurations.

    In fractions of the common cell an operation takes the film from f to ``f L + a`` and the substrate from s to
    ``s L + b``; a film displaced by r over the substrate then is displaced by ``r L + b - a``.
    """
    cell, number = grid
    points = np.array(list(product(range(number), repeat=2))) / number
    first, second = shared_operations(match.film, match.substrate, build.n_interfaces)
    layers = build.layers or match.layers
    matrices = (np.array(match.coincidence.film_matrix), np.array(match.coincidence.substrate_matrix))
    for i, j in zip(first, second, strict=True):
        linear = [
            m @ side.operations.matrices[k] @ np.linalg.inv(m)
            for m, side, k in zip(matrices, (match.film, match.substrate), (i, j), strict=True)
        ]
        if np.abs(linear[0] - linear[1]).max() > 1e-6:
            continue
        film = _slab_images(match.film, terminations[0], layers[0], int(i))
        substrate = _slab_images(match.substrate, terminations[1], layers[1], int(j))
        move: dict[State, State] = {}
        for (a, (image_a, shift_a)), (b, (image_b, shift_b)) in product(film.items(), substrate.items()):
            apart = shift_b @ np.linalg.inv(matrices[1]) - shift_a @ np.linalg.inv(matrices[0])
            reached = (points @ cell @ linear[1] + apart) @ np.linalg.inv(cell) * number
            nearest = np.rint(reached)
            for step in np.flatnonzero(np.abs(reached - nearest).max(axis=1) < _SAME):
                place = nearest[step].astype(int) % number
                move[a, b, int(step)] = (image_a, image_b, int(place[0] * number + place[1]))
        yield move


def _slab_images(
    oriented: OrientedCrystal, terminations: Sequence[Termination], layers: int, operation: int
) -> dict[int, tuple[int, Array]]:
    """Return which termination each one becomes, and the in-plane shift (in-plane fractions) with which it does."""
    operations = oriented.operations
    side, lift = int(operations.sides[operation]), float(operations.lifts[operation])
    images = {}
    for number, termination in enumerate(terminations):
        lower, upper = termination.span(layers)
        ends = sorted((side * lower + lift, side * upper + lift))
        for image, other in enumerate(terminations):
            low, high = other.span(layers)
            steps = round(low - ends[0])
            if abs(ends[0] + steps - low) < _SAME and abs(ends[1] + steps - high) < _SAME:
                images[number] = (image, operations.shifts[operation] + steps * oriented.offset)
                break
    return images
