"""The errors of the package: one sentence each, with the exit code the command line gives them.

A message says what is wrong, in which file, key or document, and what would be accepted.
"""


class LizrclError(Exception):
    """Base of every error that a user can do something about."""

    exit_code = 1


class InputError(LizrclError):
    """The user's input is wrong: a file, a key, a value, a unit."""

    exit_code = 2


class NotFoundError(LizrclError):
    """A document, file or program that was named does not exist."""

    exit_code = 3


class IntegrityError(LizrclError):
    """Stored data contradict their digest, their id or their provenance."""

    exit_code = 4


class BackendError(LizrclError):
    """The database cannot be reached, started or used."""

    exit_code = 5


class EngineError(LizrclError):
    """A calculation ran and failed: label not converged, training broken, run blown up."""
