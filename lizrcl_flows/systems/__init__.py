"""Material systems shipped with the package, and the reader of campaign files."""

from lizrcl_flows.systems.reader import load_campaign, load_system, system_names

__all__ = ["load_campaign", "load_system", "system_names"]
