"""NEP potentials on any CPU: files, compiled evaluation of committees, training. Arrays in, arrays out.

Everything is imported when it is first used: importing this package costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lizrcl_flows.nep.calculator import NepCalculator
    from lizrcl_flows.nep.committee import Committee, FrameResult, force_spread
    from lizrcl_flows.nep.evaluator import Evaluator
    from lizrcl_flows.nep.frames import Frame
    from lizrcl_flows.nep.model import NepHeader, NepModel, Zbl
    from lizrcl_flows.nep.nep_in import NepIn, write_nep_in
    from lizrcl_flows.nep.nep_in_parsing import read_nep_in
    from lizrcl_flows.nep.nep_txt import read_nep_txt, write_nep_txt
    from lizrcl_flows.nep.outputs import read_loss, read_parity, read_restart, write_restart
    from lizrcl_flows.nep.structures import LabelledFrame, read_structures, write_structures

_PLACES = {
    "calculator": ("NepCalculator",),
    "committee": ("Committee", "FrameResult", "force_spread"),
    "evaluator": ("Evaluator",),
    "frames": ("Frame",),
    "model": ("NepHeader", "NepModel", "Zbl"),
    "nep_in": ("NepIn", "write_nep_in"),
    "nep_in_parsing": ("read_nep_in",),
    "nep_txt": ("read_nep_txt", "write_nep_txt"),
    "outputs": ("read_loss", "read_parity", "read_restart", "write_restart"),
    "structures": ("LabelledFrame", "read_structures", "write_structures"),
}
_MODULE_OF = {name: module for module, names in _PLACES.items() for name in names}

__all__ = [
    "Committee",
    "Evaluator",
    "Frame",
    "FrameResult",
    "LabelledFrame",
    "NepCalculator",
    "NepHeader",
    "NepIn",
    "NepModel",
    "Zbl",
    "force_spread",
    "read_loss",
    "read_nep_in",
    "read_nep_txt",
    "read_parity",
    "read_restart",
    "read_structures",
    "write_nep_in",
    "write_nep_txt",
    "write_restart",
    "write_structures",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
