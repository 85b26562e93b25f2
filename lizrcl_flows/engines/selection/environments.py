"""Selection of the candidates that hold the atomic environment farthest from all covered ones."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lizrcl_flows.documents.spec import SelectionSpec
from lizrcl_flows.engines.selection.base import Needs, Pool, Selection
from lizrcl_flows.engines.serial import Engine
from lizrcl_flows.science.environments import Environments, farthest_environments


@dataclass
class EnvironmentSelector(Engine):
    """Choose the candidate with the newest environment, count all its atoms as covered, and again; never by chance.

    Parameters
    ----------
    atoms_per_candidate
        Atoms of largest eps that a candidate is judged by; all where absent or where there is no eps.
    """

    needs: ClassVar[Needs] = "environments"

    atoms_per_candidate: int | None = None

    @classmethod
    def from_spec(cls, spec: SelectionSpec) -> "EnvironmentSelector":
        """Build the engine that a campaign file describes."""
        return cls(atoms_per_candidate=spec.atoms_per_candidate)

    def select(self, pool: Pool, n: int, rng: np.random.Generator) -> Selection:  # noqa: ARG002
        """Return the candidates with the newest environments.

        The score is the distance of the environment that decided from the nearest covered one of its element, in units
        of how far environments of this element usually are from their mean.

        Raises
        ------
        ValueError
            If the pool comes without the atoms of its candidates.
        """
        if len(pool.descriptors) == 0:
            return Selection(indices=(), scores=())
        if pool.environments is None:
            raise ValueError("this selector needs the environments of the candidates, the pool has none")
        known = pool.known_environments or Environments.of([], [])
        picks = farthest_environments(pool.environments, known, n, self.atoms_per_candidate)
        return Selection.of(picks.frames, picks.distances, picks.radii)
