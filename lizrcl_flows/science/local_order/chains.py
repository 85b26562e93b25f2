"""Fragments of polyhedra that share ligands: chains, rings and networks M-X-M, across the walls of the cell."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.science.local_order.neighbours import neighbour_pairs

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Fragments:
    """What hangs together in one frame.

    Attributes
    ----------
    centres
        Indices of the centres among all atoms, shape (M,).
    labels
        Number of the fragment that each centre belongs to, shape (M,).
    sizes, counts
        Sizes that occur, in centres, increasing, and how many fragments have each, shape (K,).
    bonds
        Pairs of centres that share ligands, as places in `centres`, shape (B, 2). A centre that shares ligands with
        several images of another, or with its own, has one row for each.
    shared
        Ligands that each pair shares, shape (B,).
    endless
        Whether each fragment reaches its own image, so that it goes on through the crystal, by number of the fragment.
    """

    centres: IntArray
    labels: IntArray
    sizes: IntArray
    counts: IntArray
    bonds: IntArray
    shared: IntArray
    endless: npt.NDArray[np.bool_]

    @property
    def corner(self) -> int:
        """Pairs of polyhedra that share one ligand."""
        return int((self.shared == 1).sum())

    @property
    def edge(self) -> int:
        """Pairs that share two."""
        return int((self.shared == 2).sum())

    @property
    def face(self) -> int:
        """Pairs that share three or more."""
        return int((self.shared >= 3).sum())


def chain_fragments(positions: Array, cell: Array, centres: Array, ligands: Array, cutoff_a: float) -> Fragments:
    """Return which centres are connected by common ligands.

    Parameters
    ----------
    positions, cell
        One frame, as `neighbour_pairs` takes it.
    centres, ligands
        Which atoms: N booleans, or indices; such as Zr, and Cl with O.
    cutoff_a
        Largest distance of a ligand (A); it should end in the gap between first and second shell.

    Raises
    ------
    InputError
        As `neighbour_pairs`.
    """
    pairs = neighbour_pairs(positions, cell, centres, ligands, cutoff_a)
    index = np.asarray(centres)
    index = (np.flatnonzero(index) if index.dtype == np.bool_ else np.unique(index)).astype(np.int64)
    rows = _links(np.searchsorted(index, pairs.i), pairs.j, pairs.images)
    links, shared = np.unique(rows, axis=0, return_counts=True)
    labels, endless = _components(len(index), links)
    sizes, counts = np.unique(np.bincount(labels, minlength=len(endless)), return_counts=True)
    return Fragments(
        centres=index,
        labels=labels,
        sizes=sizes.astype(np.int64),
        counts=counts.astype(np.int64),
        bonds=links[:, :2],
        shared=shared.astype(np.int64),
        endless=endless,
    )


def _links(centres: IntArray, ligands: IntArray, images: IntArray) -> IntArray:
    """Return a row for each ligand that two centres share: both places, and the image of the second, shape (L, 5).

    The ligand of a pair lies at ``images`` from its own cell, so seen from the ligand the centre lies at ``-images``.
    """
    order = np.argsort(ligands, kind="stable")
    centres, ligands, images = centres[order], ligands[order], images[order]
    found = [np.empty((0, 5), dtype=np.int64)]
    for step in range(1, int(np.bincount(ligands).max(initial=0))):
        same = ligands[step:] == ligands[:-step]
        first, second = centres[:-step][same], centres[step:][same]
        offset = images[:-step][same] - images[step:][same]
        # the same link may be met from either end: the lower place comes first, or the higher image of itself
        turn = (first > second) | ((first == second) & _negative(offset))
        ends = np.where(turn[:, None], np.stack([second, first], 1), np.stack([first, second], 1))
        found.append(np.concatenate([ends, np.where(turn[:, None], -offset, offset)], axis=1))
    return np.concatenate(found)


def _negative(offset: IntArray) -> npt.NDArray[np.bool_]:
    """Return whether the first number that is not zero is negative, row by row."""
    signs = np.sign(offset) @ np.array([9, 3, 1])
    return np.asarray(signs < 0)


def _components(n_centres: int, links: IntArray) -> tuple[IntArray, npt.NDArray[np.bool_]]:
    """Return the fragment of each centre, and whether each fragment reaches its own image."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import breadth_first_order, connected_components

    first, second, offsets = links[:, 0], links[:, 1], links[:, 2:]
    apart = first != second
    graph = coo_array((np.ones(apart.sum()), (first[apart], second[apart])), shape=(n_centres, n_centres)).tocsr()
    n_fragments, labels = connected_components(graph, directed=False)
    # walk along a tree of each fragment and note in which image every centre is met; a link that closes a ring with
    # another image than its ends were met in leads out of the cell
    steps = {(int(a), int(b)): offset for a, b, offset in zip(first, second, offsets, strict=True)}
    met = np.zeros((n_centres, 3), dtype=np.int64)
    for root in np.unique(labels, return_index=True)[1]:
        order, before = breadth_first_order(graph, root, directed=False)
        for place in order[1:]:
            start = int(before[place])
            step = steps[start, place] if (start, place) in steps else -steps[place, start]
            met[place] = met[start] + step
    closed = np.any(met[first] + offsets != met[second], axis=1)
    endless = np.zeros(n_fragments, dtype=bool)
    endless[labels[first[closed]]] = True
    return labels.astype(np.int64), endless
