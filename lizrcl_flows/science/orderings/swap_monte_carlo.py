"""Orderings of low energy where there are too many to go through: simulated annealing by exchanges of two atoms."""

from dataclasses import dataclass, field

import numpy as np

from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.science.orderings.codes import Bits, CodeBook, Codes
from lizrcl_flows.science.orderings.energies import EwaldModel
from lizrcl_flows.science.orderings.sublattices import Sublattice
from lizrcl_flows.science.orderings.supercells import Integers

N_WALKERS = 64
"""Annealing runs side by side."""

SWEEPS = 400
"""Attempted exchanges per site and walker, from hot to cold."""

HOT, COLD = 0.3, 3e-3
"""First and last temperature as shares of the spread of the energies of random orderings."""

_SAME_ENERGY_EV = 1e-6


@dataclass
class Pool:
    """The lowest distinct orderings so far, by their canonical codes.

    Attributes
    ----------
    size
        How many are kept.
    found
        Energy (eV per supercell) by canonical code.
    seen
        Codes that were looked at already.
    """

    book: CodeBook
    size: int
    found: dict[bytes, float] = field(default_factory=dict)
    seen: set[bytes] = field(default_factory=set)
    limit_ev: float = np.inf

    def offer(self, bits: Bits, energies_ev: Array) -> None:
        """Keep those of the orderings that are among the lowest and new."""
        codes = self.book.encode(bits)
        fresh = {code.tobytes(): k for k, code in enumerate(codes) if code.tobytes() not in self.seen}
        if not fresh:
            return
        self.seen.update(fresh)
        for k in fresh.values():
            self.found.setdefault(self.book.canonical(codes[k]).tobytes(), float(energies_ev[k]))
        if len(self.found) >= self.size:
            ranked = sorted(self.found, key=lambda code: (round(self.found[code], 6), code))
            self.found = {code: self.found[code] for code in ranked[: self.size]}
            self.limit_ev = self.found[ranked[self.size - 1]]

    def codes(self) -> Codes:
        """Return the canonical codes that were kept, shape (n, n_words)."""
        rows = [np.frombuffer(code, dtype=np.uint64) for code in self.found]
        return np.array(rows, dtype=np.uint64).reshape(len(rows), self.book.n_words)


def anneal(book: CodeBook, model: EwaldModel, rng: np.random.Generator, n_lowest: int, sweeps: int = SWEEPS) -> Codes:
    """Search for the orderings of lowest energy.

    Walkers start from random orderings; each step exchanges the atoms of two sites of one sublattice and takes the new
    ordering with the Metropolis probability, while the temperature falls geometrically between `HOT` and `COLD`. The
    energy of an exchange comes from the potentials at the two sites, which are kept up to date.

    Parameters
    ----------
    book, model
        The cell, and the energies of its orderings.
    rng
        Source of all randomness.
    n_lowest
        How many distinct orderings to return at most.
    sweeps
        Attempted exchanges per site and walker.

    Returns
    -------
    ndarray
        Canonical codes of distinct orderings, shape (n, n_words). They are the lowest that were met; nothing proves
        that there is none lower.
    """
    pool = Pool(book, n_lowest)
    walkers = _Walkers(book, model, rng)
    sublattices = [s for s in book.cell.sublattices if len(s.counts) > 1]
    shares = np.array([len(s.sites) for s in sublattices], dtype=float)
    n_steps = int(sweeps * shares.sum())
    pool.offer(walkers.bits(), walkers.energies_ev)
    spread_ev = max(float(np.std(walkers.energies_ev)), _SAME_ENERGY_EV)
    chosen = rng.choice(len(sublattices), size=n_steps, p=shares / shares.sum())
    for step, temperature_ev in enumerate(spread_ev * np.geomspace(HOT, COLD, n_steps)):
        changed = walkers.exchange(sublattices[chosen[step]], float(temperature_ev))
        low = changed[walkers.energies_ev[changed] < pool.limit_ev - _SAME_ENERGY_EV]
        if low.size:
            pool.offer(walkers.bits(low), walkers.energies_ev[low])
    return pool.codes()


class _Walkers:
    """Orderings that change by exchanges, with their energies and the potential at every site."""

    def __init__(self, book: CodeBook, model: EwaldModel, rng: np.random.Generator) -> None:
        cell = book.cell
        self.rng, self.model = rng, model
        self.elements = sorted({element for s in cell.sublattices for element, _ in s.counts})
        self.kinds = np.zeros((N_WALKERS, len(cell.settled)), dtype=np.int64)
        self.bit_sites = model.sites
        self.bit_kinds = np.array([self.elements.index(element) for _, element in book.bits])
        for sublattice in cell.sublattices:
            filling = np.repeat(
                [self.elements.index(element) for element, _ in sublattice.counts],
                [count for _, count in sublattice.counts],
            )
            self.kinds[:, list(sublattice.sites)] = rng.permuted(np.tile(filling, (N_WALKERS, 1)), axis=1)
        self.site_charges = self._site_charges(book)
        charges = self.site_charges[np.arange(self.kinds.shape[1]), self.kinds]
        settled = np.array([bool(element) for element in cell.settled])
        charges[:, settled] = model.background[settled]
        self.potentials = charges @ model.matrix
        self.energies_ev = model.energies(self.bits())

    def _site_charges(self, book: CodeBook) -> Array:
        """Return the charge (e) of every site with every kind on it, shape (n_sites, n_kinds)."""
        charges = np.tile(self.model.background[:, None], (1, len(self.elements)))
        for bit, (site, _) in enumerate(book.bits):
            charges[site, self.bit_kinds[bit]] += self.model.steps[bit]
        return charges

    def bits(self, walkers: Integers | None = None) -> Bits:
        """Return the bits of these walkers, or of all, shape (n, n_bits)."""
        kinds = self.kinds if walkers is None else self.kinds[walkers]
        return np.asarray(kinds[:, self.bit_sites] == self.bit_kinds)

    def exchange(self, sublattice: Sublattice, temperature_ev: float) -> Integers:
        """Try one exchange in every walker; return those that took it."""
        sites = np.array(sublattice.sites)
        rows = np.arange(N_WALKERS)
        first = sites[self.rng.integers(len(sites), size=N_WALKERS)]
        second = sites[self.rng.integers(len(sites), size=N_WALKERS)]
        threshold = self.rng.exponential(size=N_WALKERS)
        kind_1, kind_2 = self.kinds[rows, first], self.kinds[rows, second]
        step_1 = self.site_charges[first, kind_2] - self.site_charges[first, kind_1]
        step_2 = self.site_charges[second, kind_1] - self.site_charges[second, kind_2]
        matrix = self.model.matrix
        change_ev = (
            2 * (step_1 * self.potentials[rows, first] + step_2 * self.potentials[rows, second])
            + step_1**2 * matrix[first, first]
            + step_2**2 * matrix[second, second]
            + 2 * step_1 * step_2 * matrix[first, second]
        )
        taken = (kind_1 != kind_2) & (change_ev <= threshold * temperature_ev)
        rows, first, second = rows[taken], first[taken], second[taken]
        self.kinds[rows, first], self.kinds[rows, second] = kind_2[taken], kind_1[taken]
        self.potentials[rows] += step_1[taken, None] * matrix[first] + step_2[taken, None] * matrix[second]
        self.energies_ev[rows] += change_ev[taken]
        return np.asarray(rows, dtype=np.int64)
