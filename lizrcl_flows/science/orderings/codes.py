"""Orderings as bit patterns: all of them in turn, one of each symmetric set, and how large the set is.

A bit says that one element is on one site; the last kind of a sublattice (the vacancy, where there is one) is where no
bit is set. Of symmetric orderings the one with the smallest code stands for all. Codes are rows of 64-bit words, the
most significant word first.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from math import comb

import numpy as np
import numpy.typing as npt

from lizrcl_flows.science.orderings.sublattices import OrderingCell, Sublattice
from lizrcl_flows.science.orderings.supercells import Integers

Codes = npt.NDArray[np.uint64]
Bits = npt.NDArray[np.bool_]

CHUNK = 1 << 16
"""Orderings that are worked on at a time: as many as stay in the processor's cache."""

_WORD = 64
_MOST_TABLE_BITS = 128  # more would fill the memory with tables that are hardly used
_LARGEST = (1 << 63) - 1


@dataclass(frozen=True, eq=False)
class CodeBook:
    """How orderings of a cell are written as codes.

    Attributes
    ----------
    cell
        What is ordered.
    """

    cell: OrderingCell

    @cached_property
    def bits(self) -> tuple[tuple[int, str], ...]:
        """Site and element of each bit, the least significant first."""
        return tuple(
            (site, element)
            for sublattice in self.cell.sublattices
            for element, _ in sublattice.counts[:-1]
            for site in sublattice.sites
        )

    @property
    def n_words(self) -> int:
        """Number of 64-bit words of a code."""
        return max(1, -(-len(self.bits) // _WORD))

    def encode(self, bits: Bits) -> Codes:
        """Return the codes, shape (n, n_words), of bits, shape (n, n_bits)."""
        octets = np.zeros((len(bits), self.n_words * _WORD // 8), dtype=np.uint8)
        packed = np.packbits(bits, axis=1, bitorder="little")
        octets[:, : packed.shape[1]] = packed
        return octets.view("<u8")[:, ::-1].astype(np.uint64)

    def decode(self, codes: Codes) -> Bits:
        """Return the bits, shape (n, n_bits), of codes, shape (n, n_words)."""
        octets = np.ascontiguousarray(codes[:, ::-1], dtype="<u8").view(np.uint8)
        return np.unpackbits(octets, axis=1, count=len(self.bits), bitorder="little").astype(bool)

    def unrank(self, numbers: Integers) -> Codes:
        """Return the codes of orderings by their number, from 0 to below `cell.n_raw`, shape (n, n_words)."""
        rest = numbers
        parts = []
        for sublattice in self.cell.sublattices:
            parts.append(_unrank(sublattice, rest % sublattice.n_raw))
            rest = rest // sublattice.n_raw
        return self.encode(np.concatenate(parts, axis=1) if parts else np.zeros((len(numbers), 0), dtype=bool))

    @cached_property
    def moves(self) -> Integers:
        """Where each symmetry of the cell takes each bit, shape (n_operations, n_bits)."""
        return self.bit_moves(self.cell.permutations)

    def bit_moves(self, permutations: Integers) -> Integers:
        """Return where bits go when sites, shape (n, n_sites), do, shape (n, n_bits)."""
        place = {bit: index for index, bit in enumerate(self.bits)}
        targets = [[place[int(goal), element] for goal in permutations[:, site]] for site, element in self.bits]
        return np.array(targets, dtype=np.int64).reshape(len(self.bits), len(permutations)).T

    def mappings(self, moves: Integers) -> list[Callable[[Codes], Codes]]:
        """Return a function for each row of `moves` that takes codes and returns their images."""
        if len(self.bits) > _MOST_TABLE_BITS:
            return [partial(self._moved, origin=np.argsort(move)) for move in moves]
        return [partial(_looked_up, table=table) for table in self._byte_tables(moves)]

    def orbit(self, code: Codes) -> Codes:
        """Return one code, shape (n_words,), after every symmetry, shape (n_operations, n_words)."""
        # gathering by the moves applies their inverses, which are the same symmetries in another order
        return self.encode(self.decode(code[None])[0][self.moves])

    def canonical(self, code: Codes) -> Codes:
        """Return the smallest code that a symmetry makes of this one, shape (n_words,)."""
        images = self.orbit(code)
        for word in range(self.n_words):
            images = images[images[:, word] == images[:, word].min()]
        return np.asarray(images[0])

    def _moved(self, codes: Codes, origin: Integers) -> Codes:
        return self.encode(self.decode(codes)[:, origin])

    def _byte_tables(self, moves: Integers) -> Codes:
        """Return what each byte of a code becomes, shape (n_operations, n_bytes, 256, n_words).

        The image of a code is the union of those of its bytes.
        """
        n_bytes = max(1, -(-len(self.bits) // 8))
        tables = np.zeros((len(moves), n_bytes, 256, self.n_words), dtype=np.uint64)
        rows = np.arange(len(moves))
        for index in range(len(self.bits)):
            byte, power = index // 8, index % 8
            single = np.zeros((len(moves), self.n_words), dtype=np.uint64)
            goal = moves[:, index]
            single[rows, -1 - goal // _WORD] = np.uint64(1) << (goal % _WORD).astype(np.uint64)
            tables[:, byte, 1 << power : 2 << power] = tables[:, byte, : 1 << power] | single[:, None]
        return tables


def representatives(book: CodeBook) -> Iterator[tuple[Codes, Integers]]:
    """Go through all orderings and keep one of each symmetric set.

    An ordering stands for its set if no symmetry makes a smaller code of it. Most orderings are dropped after a few
    symmetries, so that the work is hardly more than one pass, and no more than `CHUNK` orderings are in memory.

    Yields
    ------
    codes
        Smallest codes, shape (n, n_words).
    multiplicities
        Number of orderings in the set of each, shape (n,); over everything they add up to `cell.n_raw`.
    """
    mappings = book.mappings(book.moves)
    for start in range(0, book.cell.n_raw, CHUNK):
        codes = book.unrank(np.arange(start, min(start + CHUNK, book.cell.n_raw), dtype=np.int64))
        stabilisers = np.zeros(len(codes), dtype=np.int64)
        for mapping in mappings:
            image = mapping(codes)
            stays = ~_less(image, codes)
            stabilisers += (image == codes).all(axis=1)
            if not stays.all():
                codes, stabilisers = codes[stays], stabilisers[stays]
        if len(codes):
            yield codes, len(mappings) // stabilisers


def repeats_itself(book: CodeBook, codes: Codes) -> Bits:
    """Return of each ordering whether a translation by whole cells leaves it as it is, shape (n,).

    Such a one is an ordering of a smaller supercell.
    """
    repeated = np.zeros(len(codes), dtype=bool)
    for mapping in book.mappings(book.bit_moves(book.cell.translations)):
        repeated |= (mapping(codes) == codes).all(axis=1)
    return repeated


def _looked_up(codes: Codes, table: Codes) -> Codes:
    found = np.zeros_like(codes)
    for byte in range(table.shape[0]):
        word, shift = codes[:, -1 - byte // 8], np.uint64(8 * (byte % 8))
        found |= table[byte][((word >> shift) & np.uint64(255)).astype(np.intp)]
    return found


def _less(first: Codes, second: Codes) -> Bits:
    if first.shape[1] == 1:
        return np.asarray(first[:, 0] < second[:, 0])
    less = np.zeros(len(first), dtype=bool)
    equal = np.ones(len(first), dtype=bool)
    for word in range(first.shape[1]):
        less |= equal & (first[:, word] < second[:, word])
        equal &= first[:, word] == second[:, word]
    return less


def _unrank(sublattice: Sublattice, numbers: Integers) -> Bits:
    """Return the bits of one sublattice, shape (n, n_sites * (n_kinds - 1)), by number."""
    n_sites = len(sublattice.sites)
    free = np.ones((len(numbers), n_sites), dtype=bool)
    n_free, rest, parts = n_sites, numbers, []
    for _, count in sublattice.counts[:-1]:
        ways = comb(n_free, count)
        slots = _combinations(n_free, count, rest % ways)
        # the slots are those that earlier elements left free
        taken = free & np.take_along_axis(slots, np.maximum(np.cumsum(free, axis=1) - 1, 0), axis=1)
        parts.append(taken)
        free &= ~taken
        n_free, rest = n_free - count, rest // ways
    return np.concatenate(parts, axis=1)


def _combinations(n: int, k: int, numbers: Integers) -> Bits:
    """Return the choices of k among n by number in the combinatorial number system (Knuth, TAOCP 4A, 7.2.1.3)."""
    table = np.array([[min(comb(i, j), _LARGEST) for j in range(k + 1)] for i in range(n)], dtype=np.int64)
    chosen = np.zeros((len(numbers), n), dtype=bool)
    rest, left = numbers.copy(), np.full(len(numbers), k)
    for place in range(n - 1, -1, -1):
        below = table[place, left]
        take = (rest >= below) & (left > 0)
        chosen[:, place] = take
        rest -= np.where(take, below, 0)
        left -= take
    return chosen
