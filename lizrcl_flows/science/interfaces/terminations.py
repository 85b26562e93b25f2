"""Where a crystal can be cut parallel to a plane: composition, polarity and broken bonds of the slabs."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce

import numpy as np

from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.science.charges import FORMAL_CHARGES
from lizrcl_flows.science.interfaces.oriented import OrientedCrystal

LAYER_TOLERANCE_A = 0.15
"""Atoms whose heights differ by less stand in one layer, and no cut goes between them."""

BOND_REACH = 1.25
"""Cation and anion are bonded up to this multiple of the shortest distance between their species in the crystal."""

_CHARGE_TOLERANCE = 1e-4
"""Surface charges below this (e/A^2) are none."""


@dataclass(frozen=True)
class Cut:
    """A plane between two layers of atoms where a crystal can be taken apart.

    Attributes
    ----------
    height
        Middle of the gap in interplanar spacings, from 0 to below 1.
    gap_a
        Distance between the layers below and above (A).
    below, above
        Formula of these layers for one surface cell, such as ``O2``.
    broken_bonds
        Cation-anion bonds through the plane, a surface cell, by species: ``{"Zr-O": 4}``.
    broken_valence_per_a2
        The same bonds weighted by Pauling's bond strength, charge of the cation over its number of bonds (e/A^2).
    charge_per_a2
        Formal charge of the surface that looks up if the crystal ends here (e/A^2), from the dipole of the repeat unit
        between two such cuts; the surface that looks down has the opposite one. None where charges are unknown.
    """

    height: float
    gap_a: float
    below: str
    above: str
    broken_bonds: Mapping[str, int]
    broken_valence_per_a2: float
    charge_per_a2: float | None


@dataclass(frozen=True)
class Termination:
    """A slab of a crystal between two cuts.

    Attributes
    ----------
    bottom, top
        The cuts; equal cuts make slabs of whole spacings, which always have the composition of the bulk.
    n_partial
        Atoms of the incomplete spacing at the top (0 for equal cuts), a surface cell.
    stoichiometric
        Whether slabs of any thickness have the composition of the bulk.
    neutral
        Whether formal charges add up to zero; None where they are unknown.
    polar
        Whether a surface carries formal charge (Tasker's type 3); None where charges are unknown.
    symmetric
        Whether an operation of the crystal turns the slab over onto itself.
    """

    bottom: Cut
    top: Cut
    n_partial: int
    stoichiometric: bool
    neutral: bool | None
    polar: bool | None
    symmetric: bool

    @property
    def label(self) -> str:
        """Outermost layers, bottom and top: ``O|O``."""
        return f"{self.bottom.above}|{self.top.below}"

    @property
    def broken_valence_per_a2(self) -> float:
        """Valence of the bonds broken at both surfaces (e/A^2)."""
        return self.bottom.broken_valence_per_a2 + self.top.broken_valence_per_a2

    def span(self, layers: int) -> tuple[float, float]:
        """Return the heights (in spacings) of the ends of a slab of so many layers, the last one at least begun."""
        lower = self.bottom.height
        rest = (self.top.height - lower) % 1.0
        return lower, lower + (layers if self.top == self.bottom else layers - 1 + rest)

    def facts(self) -> dict[str, object]:
        """Return what is worth storing, as plain values."""
        return {
            "label": self.label,
            "bottom_height": self.bottom.height,
            "top_height": self.top.height,
            "bottom_gap_a": self.bottom.gap_a,
            "top_gap_a": self.top.gap_a,
            "stoichiometric": self.stoichiometric,
            "neutral": self.neutral,
            "polar": self.polar,
            "symmetric": self.symmetric,
            "bottom_broken_bonds": dict(self.bottom.broken_bonds),
            "top_broken_bonds": dict(self.top.broken_bonds),
            "broken_valence_per_a2": self.broken_valence_per_a2,
            "bottom_charge_per_a2": None if self.bottom.charge_per_a2 is None else 0.0 - self.bottom.charge_per_a2,
            "top_charge_per_a2": self.top.charge_per_a2,
        }


def formal_charges(oriented: OrientedCrystal, charges: Mapping[str, float] | None = None) -> Array | None:
    """Return the formal charge of each atom of the primitive cell (e), or None where no neutral set is known.

    Parameters
    ----------
    oriented
        The crystal.
    charges
        Charge by element; `FORMAL_CHARGES` by default. Elements that it lacks make pymatgen guess all of them from the
        composition.
    """
    symbols = _symbols(oriented.numbers)
    known = FORMAL_CHARGES if charges is None else charges
    if not set(symbols) <= set(known):
        from pymatgen.core import Composition

        guesses = Composition("".join(symbols)).oxi_state_guesses()
        known = guesses[0] if guesses else {}
    if not set(symbols) <= set(known):
        return None
    values = np.array([float(known[symbol]) for symbol in symbols])
    return values if abs(values.sum()) < 1e-6 else None


def find_cuts(oriented: OrientedCrystal, charges: Mapping[str, float] | None = None) -> list[Cut]:
    """Return every plane between two layers of atoms, within one spacing, by height.

    Parameters
    ----------
    oriented, charges
        See `formal_charges`.
    """
    values = formal_charges(oriented, charges)
    order = np.argsort(oriented.heights, kind="stable")
    heights = oriented.heights[order]
    gaps = np.diff(heights, append=heights[0] + 1.0)
    open_gaps = np.flatnonzero(gaps * oriented.spacing_a > LAYER_TOLERANCE_A)
    if not len(open_gaps):  # planes so dense that atoms stand at all heights
        open_gaps = np.array([int(np.argmax(np.round(gaps, 6)))])
    bonds = _bonds(oriented, values)
    layers = _layers(order, open_gaps)
    cuts = []
    for number, gap in enumerate(open_gaps):
        height = float((heights[gap] + gaps[gap] / 2) % 1.0)
        broken, valence = _broken(bonds, height)
        cuts.append(
            Cut(
                height=height,
                gap_a=float(gaps[gap] * oriented.spacing_a),
                below=_formula(oriented.numbers[layers[number]]),
                above=_formula(oriented.numbers[layers[(number + 1) % len(layers)]]),
                broken_bonds=broken,
                broken_valence_per_a2=valence / oriented.area_a2,
                charge_per_a2=None if values is None else _surface_charge(oriented, values, height),
            )
        )
    return sorted(cuts, key=lambda cut: cut.height)


def find_terminations(oriented: OrientedCrystal, charges: Mapping[str, float] | None = None) -> list[Termination]:
    """Return the distinct slabs of a plane, the most natural first.

    Every pair of a lower and an upper cut is a slab; those that a rotation about the normal makes equal are kept
    once. First come slabs without surface charge, then those with the composition of the bulk, then those with little
    surface charge, then those that break the least bond valence, of equal ones the widest gaps.

    Parameters
    ----------
    oriented, charges
        See `formal_charges`.
    """
    values = formal_charges(oriented, charges)
    cuts = find_cuts(oriented, charges)
    seen: set[tuple[int, int]] = set()
    kept = []
    # rotations map all heights alike, so a slab is the same as its image
    moves = _cut_moves(oriented, cuts, side=1)
    turns = _cut_moves(oriented, cuts, side=-1, proper_only=False)
    for i, j in [(i, j) for i in range(len(cuts)) for j in range(len(cuts))]:
        if (i, j) in seen:
            continue
        seen.update((move[i], move[j]) for move in moves)
        symmetric = any((turn[j], turn[i]) == (i, j) for turn in turns)
        kept.append(_termination(oriented, (cuts[i], cuts[j]), values, symmetric=symmetric))
    return sorted(kept, key=_naturalness)


def cut_images(oriented: OrientedCrystal, heights: Array) -> Array:
    """Return the heights that each operation of the surface makes of some cuts, modulo 1: (n_operations, n)."""
    operations = oriented.operations
    moved = operations.sides[:, None] * heights[None] + operations.lifts[:, None]
    return np.asarray((moved + 1e-6) % 1.0 - 1e-6)


def _cut_moves(
    oriented: OrientedCrystal, cuts: list[Cut], *, side: int, proper_only: bool = True
) -> list[tuple[int, ...]]:
    """Return what the operations do to the cuts, as permutations."""
    operations = oriented.operations
    heights = np.array([cut.height for cut in cuts])
    wanted = operations.sides == side
    if proper_only:
        wanted &= operations.proper == 1
    moved = cut_images(oriented, heights)[wanted]
    apart = np.abs((moved[:, :, None] - heights + 0.5) % 1.0 - 0.5)
    near = apart.min(axis=2).max(axis=1, initial=0.0) * oriented.spacing_a < LAYER_TOLERANCE_A
    return sorted({tuple(int(k) for k in row) for row in apart[near].argmin(axis=2)})


def _termination(
    oriented: OrientedCrystal, cuts: tuple[Cut, Cut], values: Array | None, *, symmetric: bool
) -> Termination:
    bottom, top = cuts
    partial = _between(oriented, bottom.height, top.height)
    counts = _counts(oriented.numbers[partial])
    whole = _counts(oriented.numbers)
    shares = {symbol: counts.get(symbol, 0) / number for symbol, number in whole.items()}
    polar = neutral = None
    if values is not None:
        neutral = abs(float(values[partial].sum())) < 1e-6
        polar = any(abs(cut.charge_per_a2 or 0.0) > _CHARGE_TOLERANCE for cut in cuts)
    return Termination(
        bottom=bottom,
        top=top,
        n_partial=int(partial.sum()),
        stoichiometric=max(shares.values()) - min(shares.values()) < 1e-9,
        neutral=neutral,
        polar=polar,
        symmetric=symmetric,
    )


def _naturalness(termination: Termination) -> tuple[object, ...]:
    charges = [abs(cut.charge_per_a2 or 0.0) for cut in (termination.bottom, termination.top)]
    return (
        bool(termination.polar),
        not termination.stoichiometric,
        round(max(charges), 4) if termination.polar else 0.0,
        round(termination.broken_valence_per_a2, 6),
        termination.n_partial > 0,
        -round(termination.bottom.gap_a + termination.top.gap_a, 4),
        round(termination.bottom.height, 6),
        round(termination.top.height, 6),
    )


def _between(oriented: OrientedCrystal, lower: float, upper: float) -> Array:
    """Tell which atoms stand between two cuts of one spacing; none if they are the same cut."""
    if lower == upper:
        return np.zeros(len(oriented.heights), dtype=bool)
    return np.asarray((oriented.heights - lower) % 1.0 < (upper - lower) % 1.0)


def _surface_charge(oriented: OrientedCrystal, values: Array, height: float) -> float:
    """Return dipole along the normal of the repeat unit above a cut, over its volume (e/A^2)."""
    above = (oriented.heights - height) % 1.0
    return round(float(values @ above) / oriented.area_a2, 9) + 0.0


@dataclass(frozen=True)
class _Bond:
    species: str
    valence: float
    low: float
    high: float


def _bonds(oriented: OrientedCrystal, values: Array | None) -> list[_Bond]:
    """Return the cation-anion bonds of the primitive cell with the heights of their ends, each once."""
    if values is None:
        return []
    from ase import Atoms
    from ase.neighborlist import neighbor_list

    crystal = oriented.crystal
    atoms = Atoms(numbers=crystal.numbers, scaled_positions=crystal.fractional, cell=crystal.lattice, pbc=True)
    first, second, distance, image = neighbor_list("ijdS", atoms, _reach(atoms, values))
    symbols = np.array(_symbols(crystal.numbers))
    opposite = (values[first] > 0) & (values[second] < 0)
    first, second, distance, image = (part[opposite] for part in (first, second, distance, image))
    pairs = np.char.add(np.char.add(symbols[first], "-"), symbols[second])
    shortest = {pair: distance[pairs == pair].min() for pair in np.unique(pairs)}
    bonded = distance <= BOND_REACH * np.array([shortest[pair] for pair in pairs]) + 1e-6
    coordination = np.bincount(first[bonded], minlength=len(symbols))
    # heights of unwrapped atoms: the images of the second atom count from where it stands in the primitive cell
    height = crystal.fractional @ np.array(oriented.plane.primitive)
    return [
        _Bond(str(pair), float(values[i] / coordination[i]), *sorted((float(height[i]), float(end))))
        for pair, i, end in zip(
            pairs[bonded],
            first[bonded],
            height[second[bonded]] + image[bonded] @ np.array(oriented.plane.primitive),
            strict=True,
        )
    ]


def _reach(atoms: object, values: Array) -> float:
    """Return a distance (A) that holds every bond: from each cation further than its nearest anions."""
    from ase.neighborlist import neighbor_list

    reach = 3.0
    while True:
        first, second = neighbor_list("ij", atoms, reach)
        with_anion = np.unique(first[(values[first] > 0) & (values[second] < 0)])
        if len(with_anion) == (values > 0).sum() or reach > 12:
            return BOND_REACH * reach
        reach += 1.0


def _broken(bonds: list[_Bond], height: float) -> tuple[dict[str, int], float]:
    counts: dict[str, int] = {}
    valence = 0.0
    for bond in bonds:
        times = math.floor(bond.high - height + 1e-9) - math.floor(bond.low - height + 1e-9)
        if times:
            counts[bond.species] = counts.get(bond.species, 0) + times
            valence += times * bond.valence
    return dict(sorted(counts.items())), valence


def _layers(order: Array, open_gaps: Array) -> list[Array]:
    """Return the atoms of the layer below each gap; the lowest layer may reach around the end of the spacing."""
    parts = np.split(order, open_gaps + 1)
    head = np.concatenate([parts[-1], parts[0]])
    return [head, *parts[1:-1]]


def _counts(numbers: Array) -> dict[str, int]:
    counts: dict[str, int] = {}
    for symbol in _symbols(numbers):
        counts[symbol] = counts.get(symbol, 0) + 1
    return counts


def _formula(numbers: Array) -> str:
    counts = _counts(numbers)
    return "".join(symbol + (str(counts[symbol]) if counts[symbol] > 1 else "") for symbol in sorted(counts))


def _symbols(numbers: Array) -> list[str]:
    from ase.data import chemical_symbols

    return [chemical_symbols[number] for number in numbers]


def formula_units(counts: Mapping[str, int]) -> int:
    """Return the number of reduced formula units in a composition."""
    return reduce(math.gcd, counts.values())
