"""Which release of GPUMD an input file is written for."""

import re
from dataclasses import dataclass
from typing import Self

from lizrcl_flows.errors import InputError


@dataclass(frozen=True, order=True)
class Release:
    """A release of GPUMD.

    Attributes
    ----------
    major, minor
        As in the banner.
    development
        A snapshot made after the tag of that number. On 2026-08-06 the ``dump_*`` keywords changed while the banner
        went on saying 5.6, so a banner alone cannot tell: such a build is named ``5.6+`` by the user.
    """

    major: int
    minor: int
    development: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``5.6``, ``v5.6`` or, for a development snapshot after that release, ``5.6+``.

        Raises
        ------
        InputError
            The text is none of these.
        """
        match = re.fullmatch(r"v?(\d+)\.(\d+)(?:\.\d+)?(\+?)", text.strip())
        if match is None:
            raise InputError(
                f"'{text}' should be a release of GPUMD such as 5.6, or 5.6+ for a snapshot made after it."
            )
        return cls(int(match[1]), int(match[2]), bool(match[3]))

    @classmethod
    def from_banner(cls, text: str) -> Self | None:
        """Release named in what ``gpumd`` or ``nep`` prints when it starts; None where no version is found."""
        match = re.search(r"version\s+v?(\d+)\.(\d+)", text, flags=re.IGNORECASE)
        return None if match is None else cls(int(match[1]), int(match[2]))

    @property
    def unified_dump_syntax(self) -> bool:
        """Whether ``dump_exyz`` is gone and ``dump_xyz`` and ``dump_netcdf`` begin with interval and file."""
        return self > Release(5, 6)

    @property
    def active_has_uncertainty(self) -> bool:
        """Whether ``active`` takes the flag for the uncertainty of each atom."""
        return self >= Release(4, 4)

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}{'+' if self.development else ''}"


NEWEST = Release(5, 6, development=True)
"""Newest dialect that is known."""
