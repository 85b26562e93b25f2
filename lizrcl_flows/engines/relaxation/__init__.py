"""Relaxation engines: the minimum of the energy near a structure, in positions and cell."""

from typing import TYPE_CHECKING, Any

from lizrcl_flows.engines.registry import find_engine

if TYPE_CHECKING:  # the process of a relaxation imports this package and should start at once
    from lizrcl_flows.documents.spec import FoundationSpec
    from lizrcl_flows.engines.relaxation.base import Relaxer

ENGINES = {"ase": "lizrcl_flows.engines.relaxation.ase:AseRelaxer"}


def make_relaxer(spec: "FoundationSpec", *, engine: str = "ase", **settings: Any) -> "Relaxer":
    """Build the relaxation engine with the potential that a campaign file names.

    Parameters
    ----------
    spec
        The potential, and when a relaxation has ended.
    engine
        One of `ENGINES`.
    **settings
        Further fields of the engine, such as ``cell`` (free, fixed or c_only).

    Raises
    ------
    InputError
        If there is no such engine, calculator or setting, or a value is out of range.
    """
    relaxer: Relaxer = find_engine("relaxation", ENGINES, engine).from_spec(spec, **settings)
    return relaxer
