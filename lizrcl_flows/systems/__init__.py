"""Material systems shipped with the package, and the reader of campaign files."""

from lizrcl_flows.systems.reader import load_campaign, load_system, system_names, validation_sentence

__all__ = ["load_campaign", "load_system", "system_names", "validation_sentence"]
