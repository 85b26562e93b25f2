"""Labels from VASP, run through atomate2 and custodian."""

from lizrcl_flows.engines.labelling.vasp.labeller import VaspLabeller

__all__ = ["VaspLabeller"]
