"""What keeps the queue moving when workers die: their jobs go back, half-written ends and old locks are resolved."""

import time

from lizrcl_flows.cli.demo.workers import Workers
from lizrcl_flows.cli.queue import Queue

REFRESH_SECONDS = 15.0
"""Time between two looks for jobs whose end was written by half."""

LOCK_SECONDS = 2.0
"""A workflow that is locked at every look for so long was locked by a process that died: locks last milliseconds."""

LOOK_SECONDS = 0.05


class Caretaker:
    """Looks after workers and queue of one demo while there is work to do."""

    def __init__(self, workers: Workers, queue: Queue) -> None:
        self.workers = workers
        self.queue = queue
        self.refreshed = time.monotonic()

    def look(self) -> None:
        """Do what there is to do.

        Raises
        ------
        EngineError
            If a worker dies again and again right after its start.
        """
        ended = self.workers.ended()
        stale = time.monotonic() - self.refreshed > REFRESH_SECONDS
        if ended or stale:
            # whoever changes a workflow waits minutes for its lock, so a lock that a dead worker left goes first
            self._remove_old_locks()
        for number in ended:
            self.workers.end_children(number)
            self.queue.release_launches(self.workers.folder(number))
            self.workers.restart(number)
        if stale:
            self.refreshed = time.monotonic()
            self.queue.refresh()

    def _remove_old_locks(self) -> None:
        locked = set(self.queue.locked())
        until = time.monotonic() + LOCK_SECONDS
        while locked and time.monotonic() < until:
            time.sleep(LOOK_SECONDS)
            locked &= set(self.queue.locked())
        for fw_id in locked:
            self.queue.unlock(fw_id)
