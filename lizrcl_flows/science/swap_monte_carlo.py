"""Orderings of low energy where there are too many to go through: simulated annealing by exchanges of two atoms."""

from dataclasses import dataclass, field

import numpy as np

from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.science.ordering_codes import Bits, CodeBook, Codes
from lizrcl_flows.science.ordering_energies import EwaldModel
from lizrcl_flows.science.sublattices import Sublattice

N_WALKERS = 64
"""Annealing runs side by side."""

SWEEPS = 200
"""Attempted exchanges per site and walker, from hot to cold."""

_COOLING = 1e-3
"""Last temperature as a share of the first."""

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
        low = np.flatnonzero(energies_ev < self.limit_ev - _SAME_ENERGY_EV)
        if not low.size:
            return
        codes = self.book.encode(bits[low])
        fresh = {code.tobytes(): k for k, code in enumerate(codes) if code.tobytes() not in self.seen}
        if not fresh:
            return
        self.seen.update(fresh)
        chosen = list(fresh.values())
        for code, energy in zip(self.book.canonical(codes[chosen]), energies_ev[low[chosen]], strict=True):
            self.found.setdefault(code.tobytes(), float(energy))
        if len(self.found) > self.size:
            ranked = sorted(self.found, key=lambda code: (round(self.found[code], 6), code))
            self.found = {code: self.found[code] for code in ranked[: self.size]}
            self.limit_ev = max(self.found.values())

    def codes(self) -> Codes:
        """Return the canonical codes that were kept, shape (n, n_words)."""
        rows = [np.frombuffer(code, dtype=np.uint64) for code in self.found]
        return np.array(rows, dtype=np.uint64).reshape(len(rows), self.book.n_words)


def anneal(book: CodeBook, model: EwaldModel, rng: np.random.Generator, n_lowest: int, sweeps: int = SWEEPS) -> Codes:
    """Search for the orderings of lowest energy.

    Walkers start from random orderings; each step exchanges the atoms of two sites of one sublattice and takes the new
    ordering with the Metropolis probability, while the temperature falls geometrically from the spread of the energies
    of random orderings. The energy of an exchange comes from the potentials at the two sites, which are kept up to date.

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
    hot_ev = max(float(np.std(walkers.energies_ev)), _SAME_ENERGY_EV)
    chosen = rng.choice(len(sublattices), size=n_steps, p=shares / shares.sum())
    for step, temperature_ev in enumerate(hot_ev * np.geomspace(1.0, _COOLING, n_steps)):
        if walkers.exchange(sublattices[chosen[step]], float(temperature_ev)):
            pool.offer(walkers.bits(), walkers.energies_ev)
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
        bits = self.bits()
        self.charges = np.tile(model.background, (N_WALKERS, 1))
        np.add.at(self.charges, (slice(None), model.sites), bits * model.steps)
        self.potentials = self.charges @ model.matrix
        self.energies_ev = model.energies(bits)

    def _site_charges(self, book: CodeBook) -> Array:
        """Return the charge (e) of every site with every kind on it, shape (n_sites, n_kinds)."""
        charges = np.tile(self.model.background[:, None], (1, len(self.elements)))
        for bit, (site, _) in enumerate(book.bits):
            charges[site, self.bit_kinds[bit]] += self.model.steps[bit]
        return charges

    def bits(self) -> Bits:
        """Return the bits of all walkers, shape (N_WALKERS, n_bits)."""
        return np.asarray(self.kinds[:, self.bit_sites] == self.bit_kinds)

    def exchange(self, sublattice: Sublattice, temperature_ev: float) -> bool:
        """Try one exchange in every walker; return whether one was taken."""
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
        if not taken.any():
            return False
        rows, first, second = rows[taken], first[taken], second[taken]
        self.kinds[rows, first], self.kinds[rows, second] = kind_2[taken], kind_1[taken]
        self.potentials[rows] += step_1[taken, None] * matrix[first] + step_2[taken, None] * matrix[second]
        self.energies_ev[rows] += change_ev[taken]
        return True
