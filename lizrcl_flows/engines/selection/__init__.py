"""Selection engines: which candidates are worth a label."""

from typing import TYPE_CHECKING

from lizrcl_flows.engines.registry import find_engine

if TYPE_CHECKING:
    from lizrcl_flows.documents.spec import SelectionSpec
    from lizrcl_flows.engines.selection.base import Selector

ENGINES = {
    "clusters": "lizrcl_flows.engines.selection.clusters:ClusterSelector",
    "environments": "lizrcl_flows.engines.selection.environments:EnvironmentSelector",
    "farthest_point": "lizrcl_flows.engines.selection.farthest_point:FarthestPointSelector",
    "random": "lizrcl_flows.engines.selection.random:RandomSelector",
}


def make_selector(spec: "SelectionSpec") -> "Selector":
    """Build the selection engine that a campaign file asks for.

    Raises
    ------
    InputError
        If there is no such engine.
    """
    engine: Selector = find_engine("selection", ENGINES, spec.engine).from_spec(spec)
    return engine
