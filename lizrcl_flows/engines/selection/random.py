"""Selection by lot: the reference that every other selector has to beat."""

from dataclasses import dataclass

import numpy as np

from lizrcl_flows.documents.spec import SelectionSpec
from lizrcl_flows.engines.selection.base import Pool, Selection
from lizrcl_flows.engines.serial import Engine


@dataclass
class RandomSelector(Engine):
    """Choose candidates with equal probability and without repetition."""

    @classmethod
    def from_spec(cls, spec: SelectionSpec) -> "RandomSelector":  # noqa: ARG003  it has nothing to set
        """Build the engine that a campaign file describes."""
        return cls()

    def select(self, pool: Pool, n: int, rng: np.random.Generator) -> Selection:
        """Return candidates drawn by lot; the score is their eps."""
        size = min(n, len(pool.descriptors))
        indices = tuple(int(index) for index in rng.permutation(len(pool.descriptors))[:size])
        return Selection(indices=indices, scores=tuple(float(pool.eps[index]) for index in indices))
