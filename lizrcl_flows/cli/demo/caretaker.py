"""What keeps the queue moving when workers die: their jobs go back, half-written ends and old locks are resolved."""

import time

from lizrcl_flows.cli.demo.workers import Workers
from lizrcl_flows.cli.queue import Queue

REFRESH_SECONDS = 15.0
"""Time between two looks for jobs whose end was written by half."""

LOCK_SECONDS = 30.0
"""A workflow that is found locked for so long was locked by a process that died: a lock is held for milliseconds."""


class Caretaker:
    """Looks after workers and queue of one demo while there is work to do."""

    def __init__(self, workers: Workers, queue: Queue) -> None:
        self.workers = workers
        self.queue = queue
        self.refreshed = time.monotonic()
        self.locked_since: dict[int, float] = {}

    def look(self) -> None:
        """Do what there is to do.

        Raises
        ------
        EngineError
            If a worker dies again and again right after its start.
        """
        for number in self.workers.ended():
            self.workers.end_children(number)
            self.queue.release_launches(self.workers.folder(number))
            self.workers.restart(number)
        now = time.monotonic()
        if now - self.refreshed > REFRESH_SECONDS:
            self.refreshed = now
            self.queue.refresh()
        locked = self.queue.locked()
        self.locked_since = {fw_id: self.locked_since.get(fw_id, now) for fw_id in locked}
        for fw_id, since in self.locked_since.items():
            if now - since > LOCK_SECONDS:
                self.queue.unlock(fw_id)
