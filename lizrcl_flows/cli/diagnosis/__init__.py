"""`lizrcl doctor`: what is configured and from where, what works, and what to do about the rest."""

from lizrcl_flows.cli.diagnosis.command import doctor

__all__ = ["doctor"]
