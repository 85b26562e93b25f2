"""Where everything lives: the only package that talks to MongoDB."""

from lizrcl_flows.archive.archive import Archive
from lizrcl_flows.archive.queries import query

__all__ = ["Archive", "query"]
