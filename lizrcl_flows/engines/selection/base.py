"""What every selection engine offers."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from lizrcl_flows.documents.arrays import Array


@dataclass(frozen=True)
class Pool:
    """What a selector may look at.

    Attributes
    ----------
    descriptors
        One row per candidate (n, D): mean of the atomic NEP descriptors.
    known
        Rows of the training set (m, D); may be empty.
    eps
        Committee deviation of each candidate (n,), eV/A.
    """

    descriptors: Array
    known: Array
    eps: Array


@dataclass(frozen=True)
class Selection:
    """Chosen candidates in the order of choice, with the score that each had when it was chosen."""

    indices: tuple[int, ...]
    scores: tuple[float, ...]


class Selector(Protocol):
    """Choose which candidates are worth a label. A plain dataclass with monty's ``as_dict``/``from_dict``."""

    def select(self, pool: Pool, n: int, rng: np.random.Generator) -> Selection:
        """Return at most `n` different candidates; the same pool and generator state give the same choice."""
        ...
