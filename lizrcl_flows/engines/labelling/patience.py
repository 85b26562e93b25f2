"""How long one attempt at a label may take: its own limit, or what is left of the worker's time."""

from dataclasses import dataclass

from lizrcl_flows.engines.labelling.base import LabelResult
from lizrcl_flows.engines.processes import Finished


@dataclass
class Patience:
    """Time that is left, counted down over the attempts at one label.

    Attributes
    ----------
    worker_s
        Seconds that were left to the worker when the first attempt began; no limit where none.
    attempt_s
        Seconds that each attempt may take; no limit where none.
    cores
        That one attempt occupies.
    wall_s
        Seconds that the attempts have taken so far.
    attempts
        How many there were.
    """

    worker_s: float | None
    attempt_s: float | None
    cores: int = 1
    wall_s: float = 0.0
    attempts: int = 0

    @property
    def limit_s(self) -> float | None:
        """Seconds that the next attempt may take, or None where nothing limits it."""
        limits = [limit for limit in (self._left_s(), self.attempt_s) if limit is not None]
        return min(limits, default=None)

    @property
    def core_hours(self) -> float:
        """What the attempts have cost."""
        return self.wall_s * self.cores / 3600

    def count(self, finished: Finished) -> LabelResult | None:
        """Count an attempt; return the result of an interrupted label if it was the worker's time that ended it."""
        left_s = self._left_s()
        self.wall_s += finished.wall_s
        self.attempts += 1
        if finished.status is not None or left_s is None or (self.attempt_s is not None and self.attempt_s <= left_s):
            return None
        return LabelResult(
            accepted=False,
            reason=f"the time of the worker was up after {finished.wall_s:.0f} s",
            interrupted=True,
            attempts=self.attempts,
            wall_s=self.wall_s,
            core_hours=self.core_hours,
        )

    def _left_s(self) -> float | None:
        return None if self.worker_s is None else max(self.worker_s - self.wall_s, 0.0)
