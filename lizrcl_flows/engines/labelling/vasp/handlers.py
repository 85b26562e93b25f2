"""What custodian may do during a label. Importing this takes seconds: it is imported where it is used."""

from collections.abc import Callable
from typing import Any

from custodian.custodian import ErrorHandler
from custodian.vasp.handlers import UnconvergedErrorHandler, VaspErrorHandler

HANDLED = (
    "brmix",
    "edddav",
    "eddiag",
    "eddrmm",
    "grad_not_orth",
    "nbands_not_sufficient",
    "pdsyevx",
    "pssyevx",
    "set_core_wf",
    "read_error",
    "too_few_bands",
    "zheev",
)
"""Errors whose remedies concern how self-consistency is reached, or that have none.

The remedies of the others change symmetry, smearing or k-points, so that the label would be refused in the end.
"""


class StartCounter(ErrorHandler):
    """Counts the runs of VASP, and ends custodian's loop once the time is up; corrects nothing."""

    is_monitor = False

    def __init__(self) -> None:
        self.n_starts = 0
        self.time_is_up: Callable[[], bool] = lambda: False

    def check(self, directory: str = "./") -> bool:  # noqa: ARG002  the signature is custodian's
        """Count the run that has ended; return whether it was the last because the time is up."""
        self.n_starts += 1
        return self.time_is_up()

    def correct(self, directory: str = "./") -> dict[str, Any]:  # noqa: ARG002
        """Return that nothing can be done."""
        return {"errors": ["the time is up"], "actions": None}


def label_handlers(counter: StartCounter) -> list[Any]:
    """Return the handlers of a label, none of which polls: custodian's monitors look every 10 s."""
    errors = VaspErrorHandler(errors_subset_to_catch=list(HANDLED))
    errors.is_monitor = False
    return [counter, errors, UnconvergedErrorHandler()]
