"""The end of a worker's wall time: what cannot be finished before it is handed over to another worker."""

import logging
import os
import time

from lizrcl_flows.errors import InputError

log = logging.getLogger(__name__)

WORKER_END = "LIZRCL_WORKER_END"
"""Environment variable: end of this worker's wall time in seconds since 1970; the queue files of fw_configs set it."""

SLURM_END = "SLURM_JOB_END_TIME"
"""The same by Slurm, from release 22.05 on."""

RESERVE_S = 60.0
"""Kept free at the end, for what a job must still write."""

HEADROOM = 1.2
"""The next calculation may take so much longer than the longest so far."""


class TimeIsUpError(Exception):
    """The worker's time ends before the calculation does; no fault of the calculation."""


def worker_end() -> float | None:
    """Return when this worker ends, in seconds since 1970, or None where nobody ends it.

    Raises
    ------
    InputError
        If the variable that says so is no number.
    """
    for variable in (WORKER_END, SLURM_END):
        text = os.environ.get(variable)
        if text:
            try:
                return float(text)
            except ValueError as error:
                raise InputError(
                    f"{variable}='{text}' is not accepted: the end of the worker's wall time in seconds since 1970"
                ) from error
    return None


def seconds_left() -> float | None:
    """Return the seconds that this worker may still compute, or None where nobody ends it.

    Raises
    ------
    InputError
        See `worker_end`.
    """
    end = worker_end()
    return None if end is None else end - time.time() - RESERVE_S


def fits(left: float | None, longest_s: float) -> bool:
    """Tell whether a calculation like the longest so far can be finished in what is left."""
    return left is None or left > max(HEADROOM * longest_s, 0.0)


def wait_for_the_end(left: float) -> None:
    """Let a worker that has no time left rest until it is ended.

    Without this, a worker that was started without ``--timeout`` would take back at once what it has just handed over,
    again and again.
    """
    log.warning("worker at the end of its wall time left_s=%.0f", left)
    time.sleep(min(max(left + RESERVE_S, 1.0), RESERVE_S))
