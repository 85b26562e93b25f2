"""Selection of the candidates that lie farthest from everything that is known or chosen."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lizrcl_flows.documents.spec import SelectionSpec
from lizrcl_flows.engines.selection.base import Needs, Pool, Selection
from lizrcl_flows.engines.serial import Engine
from lizrcl_flows.science.selection import farthest_point


@dataclass
class FarthestPointSelector(Engine):
    """Choose one candidate after the other, always the one farthest in descriptor space; nothing is left to chance."""

    needs: ClassVar[Needs] = "rows"

    @classmethod
    def from_spec(cls, spec: SelectionSpec) -> "FarthestPointSelector":  # noqa: ARG003  it has nothing to set
        """Build the engine that a campaign file describes."""
        return cls()

    def select(self, pool: Pool, n: int, rng: np.random.Generator) -> Selection:  # noqa: ARG002
        """Return the farthest candidates; the score is the distance to the nearest known or chosen structure."""
        indices, distances = farthest_point(pool.descriptors, pool.known, n + 1)
        ahead = np.append(distances, 0.0)[1:]  # the distance of the next pick is the radius after this one
        return Selection.of(indices[:n], distances[:n], ahead[:n])
