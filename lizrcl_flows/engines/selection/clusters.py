"""Selection of one representative of each cluster of candidates, as the study chose its first training set."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lizrcl_flows.documents.spec import SelectionSpec
from lizrcl_flows.engines.selection.base import Needs, Pool, Selection
from lizrcl_flows.engines.serial import Engine
from lizrcl_flows.science.clusters import representatives


@dataclass
class ClusterSelector(Engine):
    """Choose the candidate in the middle of each cluster that holds nothing known; the same for every generator.

    Parameters
    ----------
    n_components
        Principal components that are clustered; as many as 95 % of the variance need where absent. The study used 2.
    """

    needs: ClassVar[Needs] = "rows"

    n_components: int | None = None

    @classmethod
    def from_spec(cls, spec: SelectionSpec) -> "ClusterSelector":
        """Build the engine that a campaign file describes."""
        return cls(n_components=spec.n_components)

    def select(self, pool: Pool, n: int, rng: np.random.Generator) -> Selection:  # noqa: ARG002
        """Return one candidate per cluster; the score is the number of candidates in its cluster."""
        picks = representatives(pool.descriptors, pool.known, n, self.n_components)
        return Selection.of(picks.indices, picks.sizes, picks.radii)
