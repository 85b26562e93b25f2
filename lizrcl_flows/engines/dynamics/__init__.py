"""Dynamics engines: one molecular-dynamics run."""

from typing import TYPE_CHECKING

from lizrcl_flows.engines.registry import find_engine

if TYPE_CHECKING:
    from lizrcl_flows.documents.spec import ExplorationSpec
    from lizrcl_flows.engines.dynamics.base import Dynamics

ENGINES = {"gpumd": "lizrcl_flows.engines.dynamics.gpumd:GpumdDynamics"}


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
