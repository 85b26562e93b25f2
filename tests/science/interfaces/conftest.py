"""Crystals and matches that several tests build on."""

import pytest

from lizrcl_flows.science.interfaces.crystals import crystal_of
from lizrcl_flows.science.interfaces.oriented import orient
from lizrcl_flows.science.interfaces.search import LIMITS, search_interfaces
from lizrcl_flows.science.structures import load_structure

SHORT = {
    "cubic": "ZrO2_cubic_Fm-3m",
    "tetragonal": "ZrO2_tetragonal_P42nmc",
    "monoclinic": "ZrO2_monoclinic_P21c",
    "pca21": "ZrO2_ortho_Pca21",
    "pbca": "ZrO2_ortho_Pbca",
    "ideal": "Li2ZrCl6_ideal_P-31c",
    "alpha": "Li2ZrCl6_alpha_ordered",
}


@pytest.fixture(scope="session")
def bulk():
    """Bulk documents by short name."""
    return {name: load_structure(full, phase=name, region="bulk") for name, full in SHORT.items()}


@pytest.fixture(scope="session")
def side(bulk):
    """Return a crystal with the normal of a conventional plane up."""
    known = {name: crystal_of(structure) for name, structure in bulk.items()}
    return lambda name, hkl: orient(known[name], known[name].plane(hkl))


@pytest.fixture(scope="session")
def epitaxial(bulk):
    """The 1:3 match of ideal (001) on cubic (111), 34 A^2 and 0.9 %."""
    return search_interfaces(bulk["ideal"], bulk["cubic"], LIMITS["training"])[0]
