"""Labelling engines: energy, forces and stress of one structure at one level of theory."""

from typing import TYPE_CHECKING

from lizrcl_flows.engines.registry import find_engine

if TYPE_CHECKING:  # the process of a single point imports this package and should start at once
    from lizrcl_flows.documents.spec import LevelSpec
    from lizrcl_flows.engines.labelling.base import LabelEngine

ENGINES = {
    "ase": "lizrcl_flows.engines.labelling.ase:AseLabeller",
    "cp2k": "lizrcl_flows.engines.labelling.cp2k:Cp2kLabeller",
    "vasp": "lizrcl_flows.engines.labelling.vasp:VaspLabeller",
}


def make_labeller(spec: "LevelSpec") -> "LabelEngine":
    """Build the labelling engine that a campaign file asks for.

    Raises
    ------
    InputError
        If there is no such engine, or it cannot work with these settings.
    """
    engine: LabelEngine = find_engine("labelling", ENGINES, spec.engine).from_spec(spec)
    return engine
