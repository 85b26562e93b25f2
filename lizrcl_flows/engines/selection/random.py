"""Selection by lot: the reference that every other selector has to beat."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lizrcl_flows.documents.spec import SelectionSpec
from lizrcl_flows.engines.selection.base import Needs, Pool, Selection
from lizrcl_flows.engines.serial import Engine
from lizrcl_flows.science.selection import covering_radii


@dataclass
class RandomSelector(Engine):
    """Choose candidates with equal probability and without repetition."""

    needs: ClassVar[Needs] = "rows"

    @classmethod
    def from_spec(cls, spec: SelectionSpec) -> "RandomSelector":  # noqa: ARG003  it has nothing to set
        """Build the engine that a campaign file describes."""
        return cls()

    def select(self, pool: Pool, n: int, rng: np.random.Generator) -> Selection:
        """Return candidates drawn by lot; the score is their eps."""
        indices = rng.permutation(len(pool.descriptors))[:n]
        return Selection.of(indices, pool.eps[indices], covering_radii(pool.descriptors, pool.known, indices))
