"""Labels from CP2K: PBE or PBE-D3 in Gaussian basis sets with GTH pseudopotentials, at the Gamma point."""

from lizrcl_flows.engines.labelling.cp2k.engine import Cp2kLabeller

__all__ = ["Cp2kLabeller"]
