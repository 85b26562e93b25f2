"""Selection by atomic environments: one new environment among a hundred old ones is seen, which a mean over them loses.

Environments are compared with those of the same element only. Distances of an element are divided by the element's
spread (root mean square distance from the mean environment, pool and known ones together), so that 1 means "as far as
its environments usually are from their mean" for every element; no spread counts less than a tenth of the largest, so
that the noise of an element that hardly changes does not pass for diversity.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lizrcl_flows.documents import Structure
from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.science.coverage import Coverage, Indices
from lizrcl_flows.science.single_thread import single_threaded

_LEAST_SPREAD = 0.1
_AT_ONCE = 4096


@dataclass(frozen=True)
class Environments:
    """Descriptors of the atoms of several structures, laid end to end.

    Attributes
    ----------
    rows
        One descriptor per atom in single precision, shape (n_atoms, D), without unit.
    numbers
        Atomic numbers, shape (n_atoms,).
    frames
        Number of the structure that each atom belongs to, ascending, shape (n_atoms,).
    eps
        Committee deviation of each atom (eV/A), shape (n_atoms,); empty where it is not known.
    """

    rows: npt.NDArray[np.float32]
    numbers: Array
    frames: Indices
    eps: Array

    def __post_init__(self) -> None:
        if not len(self.rows) == len(self.numbers) == len(self.frames):
            raise ValueError(
                f"{len(self.rows)} environments, {len(self.numbers)} elements and {len(self.frames)} frames; "
                "as many of each are needed"
            )
        if len(self.eps) not in (0, len(self.rows)):
            raise ValueError(f"{len(self.eps)} values of eps for {len(self.rows)} environments")
        if (np.diff(self.frames) < 0).any():
            raise ValueError("the atoms of a structure must follow each other, structures in ascending order")

    @classmethod
    def of(cls, structures: Sequence[Structure], rows: Sequence[Array], eps: Sequence[Array] = ()) -> "Environments":
        """Return the atoms of structures with their descriptors and, where known, their eps.

        Parameters
        ----------
        rows
            Descriptors of the atoms of each structure, (n_atoms, D) each.
        eps
            Committee deviation of the atoms of each structure (eV/A), (n_atoms,) each.
        """
        if not structures:
            return cls(np.zeros((0, 0), np.float32), np.zeros(0, np.uint8), np.zeros(0, np.int64), np.zeros(0))
        return cls(
            rows=np.concatenate([np.asarray(part, dtype=np.float32) for part in rows]),
            numbers=np.concatenate([structure.numbers for structure in structures]),
            frames=np.repeat(np.arange(len(structures)), [structure.n_atoms for structure in structures]),
            eps=np.concatenate(list(eps)) if len(eps) else np.zeros(0),
        )

    def split(self, n_frames: int) -> "tuple[Environments, Environments]":
        """Return the first `n_frames` structures and the others, which are counted from 0 again; nothing is copied."""
        cut = int(np.searchsorted(self.frames, n_frames))
        first, rest = slice(0, cut), slice(cut, None)
        return (
            Environments(self.rows[first], self.numbers[first], self.frames[first], self.eps[first]),
            Environments(self.rows[rest], self.numbers[rest], self.frames[rest] - n_frames, self.eps[rest]),
        )

    def part(self, chosen: Indices) -> "Environments":
        """Return some of the structures, in the order asked for and counted from 0."""
        starts = np.searchsorted(self.frames, chosen, side="left")
        counts = np.searchsorted(self.frames, chosen, side="right") - starts
        first = np.cumsum(counts) - counts
        atoms = np.arange(int(counts.sum())) + np.repeat(starts - first, counts)
        eps = self.eps[atoms] if len(self.eps) else self.eps
        return Environments(self.rows[atoms], self.numbers[atoms], np.repeat(np.arange(len(chosen)), counts), eps)

    def joined(self, other: "Environments") -> "Environments":
        """Return these structures followed by others; eps is kept where both have it."""
        if len(self.rows) == 0 or len(other.rows) == 0:
            return other if len(self.rows) == 0 else self
        last = int(self.frames[-1]) + 1
        both = len(self.eps) and len(other.eps)
        return Environments(
            np.concatenate([self.rows, other.rows]),
            np.concatenate([self.numbers, other.numbers]),
            np.concatenate([self.frames, other.frames + last]),
            np.concatenate([self.eps, other.eps]) if both else np.zeros(0),
        )

    def means(self) -> npt.NDArray[np.float64]:
        """Return the mean of the descriptors of each structure, shape (n_frames, D)."""
        if len(self.rows) == 0:
            return np.zeros((0, 0))
        starts = np.flatnonzero(np.diff(self.frames, prepend=-1))
        counts = np.diff(starts, append=len(self.rows))
        means: npt.NDArray[np.float64] = np.add.reduceat(self.rows, starts, axis=0, dtype=np.float64) / counts[:, None]
        return means

    def most_uncertain(self, per_frame: int | None) -> Indices:
        """Return the atoms of largest eps of each structure, ascending; all of them without a limit or without eps."""
        if per_frame is None or len(self.eps) == 0:
            return np.arange(len(self.rows))
        order = np.lexsort((-self.eps, self.frames))
        starts = np.searchsorted(self.frames, self.frames)
        return np.sort(order[np.arange(len(order)) - starts < per_frame])


@dataclass(frozen=True)
class EnvironmentPicks:
    """Structures chosen for their environments, in order of choice.

    Attributes
    ----------
    frames
        Numbers of the structures.
    distances
        How far the environment that decided was from all covered ones of its element, in spreads of the element.
    radii
        How far the farthest environment is from all covered ones once the structure is taken, in the same unit.
    atoms
        The environments that decided, as rows of the pool.
    """

    frames: Indices
    distances: npt.NDArray[np.float64]
    radii: npt.NDArray[np.float64]
    atoms: Indices


@single_threaded
def farthest_environments(
    pool: Environments, known: Environments, n: int, atoms_per_frame: int | None = None
) -> EnvironmentPicks:
    """Pick the structure with the environment that is farthest from all covered ones, cover its atoms, again and again.

    Max-min over the environments of each element. Deterministic: of equally far environments the one in the earlier
    structure decides, then the earlier atom. An element without any covered environment comes first; until it has one,
    its environments are measured from their mean. A structure whose environments are all covered is never taken.

    Parameters
    ----------
    pool
        Environments of the structures to choose from.
    known
        Environments that need no further copy; may be empty.
    n
        How many structures are wanted.
    atoms_per_frame
        Judge each structure by this many atoms, those of largest eps, where eps is known; all atoms of a chosen
        structure count as covered nevertheless.

    Returns
    -------
    EnvironmentPicks
        Fewer than `n` where the pool has no more different environments.

    Raises
    ------
    ValueError
        If the descriptors differ in width or one is not a finite number.
    """
    search = _Search(pool, known, pool.most_uncertain(atoms_per_frame)) if len(pool.rows) else None
    picks: list[tuple[int, float, int]] = []
    ahead = search.farthest() if search and n > 0 else None
    radii: list[float] = []
    while search and ahead and len(picks) < n:
        atom, distance = ahead
        frame = int(pool.frames[atom])
        search.take(frame)
        picks.append((frame, distance, atom))
        ahead = search.farthest()
        radii.append(ahead[1] if ahead else 0.0)
    return EnvironmentPicks(
        frames=np.array([frame for frame, _, _ in picks], dtype=np.int64),
        distances=np.array([distance for _, distance, _ in picks]),
        radii=np.array(radii),
        atoms=np.array([atom for _, _, atom in picks], dtype=np.int64),
    )


class _Search:
    """What is covered so far, element by element."""

    def __init__(self, pool: Environments, known: Environments, targets: Indices) -> None:
        self._pool = pool
        self._coverages: dict[int, Coverage] = {}
        spreads = {}
        for number in np.unique(pool.numbers[targets]):
            theirs = known.rows[known.numbers == number]
            chosen = targets[pool.numbers[targets] == number]
            self._coverages[int(number)] = Coverage(pool.rows, theirs, chosen)
            spreads[int(number)] = _spread(pool.rows[pool.numbers == number], theirs)
        least = _LEAST_SPREAD * max(spreads.values())
        self._spreads = {number: max(spread, least) or 1.0 for number, spread in spreads.items()}

    def take(self, frame: int) -> None:
        """Cover all atoms of a structure."""
        start, stop = np.searchsorted(self._pool.frames, [frame, frame + 1])
        for number, coverage in self._coverages.items():
            atoms = start + np.flatnonzero(self._pool.numbers[start:stop] == number)
            if len(atoms):
                coverage.take(atoms)

    def farthest(self) -> tuple[int, float] | None:
        """Return the atom that decides next and its distance; nothing where all is covered."""
        found = []
        for number, coverage in self._coverages.items():
            atom, distance = coverage.farthest()
            if not coverage.compared or distance > coverage.resolution:
                found.append((coverage.compared, -distance / self._spreads[number], atom))
        if not found:
            return None
        _, negative, atom = min(found)
        return atom, -negative


def _spread(ours: Array, theirs: Array) -> float:
    """Return the root mean square distance of rows from their mean."""
    parts = [part for part in (ours, theirs) if len(part)]
    count = sum(len(part) for part in parts)
    mean = np.sum([part.sum(axis=0, dtype=np.float64) for part in parts], axis=0) / count
    squares = 0.0
    for part in parts:
        for start in range(0, len(part), _AT_ONCE):  # no double-precision copy of all rows is made
            squares += float(((part[start : start + _AT_ONCE] - mean) ** 2).sum())
    return float(np.sqrt(squares / count))
