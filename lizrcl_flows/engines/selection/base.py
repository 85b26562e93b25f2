"""What every selection engine offers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

import numpy as np

from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.science.environments import Environments

Needs = Literal["rows", "environments"]


@dataclass(frozen=True)
class Pool:
    """What a selector may look at.

    Attributes
    ----------
    descriptors
        One row per candidate (n, D): mean of the atomic NEP descriptors, or SOAP where there is no potential yet.
    known
        Rows of the training set (m, D); may be empty.
    eps
        Committee deviation of each candidate (n,), eV/A; zeros where there is no committee yet.
    environments
        The atoms of the candidates; only for selectors that need them.
    known_environments
        The atoms of the training set, described as those of the candidates; may be left out where there are none.
    """

    descriptors: Array
    known: Array
    eps: Array
    environments: Environments | None = None
    known_environments: Environments | None = None

    def part(self, allowed: Sequence[int], chosen: Sequence[int]) -> "Pool":
        """Return the pool of some candidates, with those chosen already among what is known.

        Parameters
        ----------
        allowed
            Candidates of the part, in its order.
        chosen
            Candidates that count as known.
        """
        rows, taken = np.asarray(allowed, dtype=np.int64), np.asarray(chosen, dtype=np.int64)
        picked = self.descriptors[taken]
        known = np.concatenate([self.known, picked]) if len(self.known) else picked
        if self.environments is None:
            return Pool(self.descriptors[rows], known, self.eps[rows])
        covered = self.environments.part(taken)
        if self.known_environments is not None:
            covered = self.known_environments.joined(covered)
        return Pool(self.descriptors[rows], known, self.eps[rows], self.environments.part(rows), covered)


@dataclass(frozen=True)
class Selection:
    """Chosen candidates in the order of choice.

    Attributes
    ----------
    indices
        Rows of the pool.
    scores
        What decided for each when it was chosen; each engine says what that is.
    radii
        How far the candidate that is worst covered lies from all known and chosen ones once this one is chosen, in the
        engine's own measure of distance: it falls towards 0 as the choice covers the pool.
    """

    indices: tuple[int, ...]
    scores: tuple[float, ...]
    radii: tuple[float, ...] = ()

    @classmethod
    def of(cls, indices: Array, scores: Array, radii: Array) -> "Selection":
        """Return a choice with plain numbers."""
        return cls(
            indices=tuple(int(index) for index in indices),
            scores=tuple(float(score) for score in scores),
            radii=tuple(float(radius) for radius in radii),
        )


class Selector(Protocol):
    """Choose which candidates are worth a label. A plain dataclass with monty's ``as_dict``/``from_dict``.

    Attributes
    ----------
    needs
        What the pool must hold besides `Pool.eps`: the rows, or the atomic environments as well.
    """

    needs: ClassVar[Needs]

    def select(self, pool: Pool, n: int, rng: np.random.Generator) -> Selection:
        """Return at most `n` different candidates; the same pool and generator state give the same choice."""
        ...
