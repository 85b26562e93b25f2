"""Random potentials and structures whose numbers are of the usual size."""

from dataclasses import replace

import numpy as np
import pytest

from lizrcl_flows.nep import Frame, NepHeader, NepModel
from lizrcl_flows.nep.elements import SYMBOLS

PAPER_HEADER = NepHeader(4, ("Li", "Zr", "Cl", "O"), ((6.0, 5.0),) * 4, (8, 8), (12, 12), 4, True, False, 50)


@pytest.fixture(scope="session")
def make_header():
    """Headers that differ from that of the study in what is named."""

    def make(**changes):
        if "species" in changes and "cutoffs" not in changes:
            changes["cutoffs"] = PAPER_HEADER.cutoffs[:1] * len(changes["species"])
        return replace(PAPER_HEADER, **changes)

    return make


@pytest.fixture(scope="session")
def make_model():
    """Random models: descriptors of the order of one, forces of some eV/A."""

    def make(header=PAPER_HEADER, seed=0):
        rng = np.random.default_rng([seed, header.n_parameters])
        parameters = rng.normal(0.0, 0.5, header.n_parameters)
        scale = rng.uniform(0.02, 0.2, header.n_descriptors)
        return NepModel(header, parameters, scale, (300, 200))

    return make


@pytest.fixture(scope="session")
def make_frame():
    """Random structures without atoms that overlap."""

    def make(species, n_atoms, length=None, seed=0, pbc=(True, True, True)):
        rng = np.random.default_rng([seed, n_atoms])
        edge = length or (n_atoms * 22.0) ** (1 / 3)
        cell = edge * np.eye(3) + rng.uniform(-0.15, 0.15, (3, 3)) * edge
        fractions: list = []
        while len(fractions) < n_atoms:
            trial = rng.uniform(size=3)
            difference = np.array(fractions).reshape(-1, 3) - trial
            difference -= np.round(difference)
            if n_atoms == 1 or not np.any(np.linalg.norm(difference @ cell, axis=1) < 1.3):
                fractions.append(trial)
        symbols = tuple(species[i % len(species)] for i in range(n_atoms))
        return Frame(symbols, cell, np.array(fractions) @ cell, pbc)

    return make


@pytest.fixture(scope="session")
def sixteen_elements():
    return SYMBOLS[2:18]
