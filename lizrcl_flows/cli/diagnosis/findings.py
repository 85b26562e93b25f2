"""What a check of `lizrcl doctor` returns, and what checks share."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "note", "problem"]

_PROBE_S = 20.0


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes
    ----------
    subject
        What was looked at.
    status
        "ok", "note" (something is missing that not everyone needs) or "problem".
    found
        What is the case.
    advice
        What to do about it; nothing where all is well.
    """

    subject: str
    status: Status
    found: str
    advice: str = ""


def output_of(command: Sequence[str], folder: str | None = None) -> str:
    """Return what a program says, or nothing where it does not run or does not end soon."""
    try:
        ran = subprocess.run(
            command, cwd=folder, capture_output=True, timeout=_PROBE_S, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return (ran.stdout + ran.stderr).decode(errors="replace")


def listed(numbers: Sequence[object], limit: int = 10) -> str:
    """Return the first of some things, and how many more there are."""
    more = f" and {len(numbers) - limit} more" if len(numbers) > limit else ""
    return ", ".join(str(number) for number in numbers[:limit]) + more
