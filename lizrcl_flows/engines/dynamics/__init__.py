"""Dynamics engines: one molecular-dynamics run."""

from typing import TYPE_CHECKING, Any

from lizrcl_flows.engines.registry import find_engine

if TYPE_CHECKING:
    from lizrcl_flows.documents.spec import ExplorationSpec, FoundationSpec
    from lizrcl_flows.engines.dynamics.base import Dynamics, LevelledDynamics

ENGINES = {
    "ase": "lizrcl_flows.engines.dynamics.ase:AseDynamics",
    "gpumd": "lizrcl_flows.engines.dynamics.gpumd:GpumdDynamics",
}


def make_dynamics(spec: "ExplorationSpec", command: str | None = None) -> "Dynamics":
    """Build the dynamics engine that a campaign file asks for.

    Parameters
    ----------
    spec
        Exploration as the campaign file describes it.
    command
        Program to run; that of the worker's settings where none.

    Raises
    ------
    InputError
        If there is no such engine.
    """
    engine: Dynamics = find_engine("exploration", ENGINES, spec.engine).from_spec(spec, command)
    return engine


def make_sampler(spec: "FoundationSpec", **settings: Any) -> "LevelledDynamics":
    """Build the dynamics engine with the potential that a campaign file names.

    Parameters
    ----------
    spec
        The potential.
    **settings
        Further fields of the engine.

    Raises
    ------
    InputError
        If there is no such calculator or setting.
    """
    engine: LevelledDynamics = find_engine("sampling", ENGINES, "ase").from_foundation(spec, **settings)
    return engine
