"""Which dispersion correction can be added to a calculator, and to which none should be."""

import json
import re
from collections.abc import Mapping
from typing import Any

from lizrcl_flows.engines.versions import package_version
from lizrcl_flows.errors import InputError

DAMPINGS: Mapping[str, str] = {"D3-BJ": "d3bj", "D3-zero": "d3zero"}
"""Dispersion corrections that can be added, as dftd3 calls their damping."""


def own_dispersion(path: str, parameters: Mapping[str, Any]) -> str:
    """Return in words why a calculator has dispersion of its own, or nothing where it is not known to."""
    module, _, name = path.partition(":")
    if module.partition(".")[0] in ("tblite", "xtb", "dftb"):
        return "tight-binding methods contain dispersion"
    if parameters.get("dispersion") or re.search(r"D[34]|dispersion", name, flags=re.IGNORECASE):
        return "it adds dispersion itself"
    functional = parameters.get("xc")
    text = json.dumps(functional).lower()
    if any(word in text for word in ("vdw", "vv10", "beef", "-d3", "-d4")):
        return f"the functional {functional} contains dispersion"
    return ""


def dispersion_version() -> str:
    """Return the version of the package that computes the correction.

    Raises
    ------
    InputError
        If it is not installed.
    """
    version = package_version("dftd3")
    if version is None:
        raise InputError("a dispersion correction needs the package dftd3: pip install lizrcl_flows[d3]")
    return version
