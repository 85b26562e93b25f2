"""Interfaces and contacts: the training search, terminations, production cells, the distance filter.

CPU times of one process; where a reference is named, ours and it take turns, and the ratio is that of their medians.
Run it with OMP_NUM_THREADS=1.
"""

import statistics
import time
import warnings
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
from ase.build import make_supercell
from ase.data import covalent_radii
from ase.neighborlist import neighbor_list

from lizrcl_flows.documents import Structure
from lizrcl_flows.science.geometry import find_contact
from lizrcl_flows.science.interfaces.candidates import candidates, plan_candidates
from lizrcl_flows.science.interfaces.crystals import crystal_of
from lizrcl_flows.science.interfaces.presets import STUDY_CELLS, build_study_cell, study_match
from lizrcl_flows.science.interfaces.search import LIMITS, InterfaceLimits, match_planes, search_interfaces
from lizrcl_flows.science.structures import atoms_from_structure, load_structure, supercell

TURNS = 3
OXIDES = ("ZrO2_cubic_Fm-3m", "ZrO2_tetragonal_P42nmc", "ZrO2_monoclinic_P21c", "ZrO2_ortho_Pca21", "ZrO2_ortho_Pbca")
CHLORIDES = ("Li2ZrCl6_ideal_P-31c", "Li2ZrCl6_alpha_ordered")


def cpu_seconds(task: Callable[[], Any]) -> float:
    start = time.process_time()
    task()
    return time.process_time() - start


def told(title: str, seconds: float, remark: str) -> None:
    print(f"{title:<58} {1e3 * seconds:9.1f} ms   {remark}")


def compare(title: str, ours: Callable[[], Any], reference: Callable[[], Any], named: str) -> None:
    ours()
    reference()
    pairs = [(cpu_seconds(ours), cpu_seconds(reference)) for _ in range(TURNS)]
    mine, other = (statistics.median(column) for column in zip(*pairs, strict=True))
    told(title, mine, f"{other / mine:7.1f} x faster than {named}")


def pymatgen_search(film: Structure, substrate: Structure) -> int:
    """Search the same primitive cells within the same limits by Zur and McGill's method."""
    from pymatgen.analysis.interfaces import SubstrateAnalyzer
    from pymatgen.core import Structure as PymatgenStructure

    limits = LIMITS["training"]
    cells = []
    for structure in (film, substrate):
        crystal = crystal_of(structure)
        cells.append(PymatgenStructure(crystal.lattice, crystal.numbers, crystal.fractional))
    analyzer = SubstrateAnalyzer(
        film_max_miller=limits.max_miller,
        substrate_max_miller=limits.max_miller,
        max_area=limits.max_area_a2,
        max_length_tol=limits.max_strain,
        max_angle_tol=limits.max_strain,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return len(list(analyzer.calculate(*cells)))


def searches() -> None:
    bulk = {name: load_structure(name) for name in (*OXIDES, *CHLORIDES)}
    crystal_of(bulk[OXIDES[0]])  # what is imported once is not counted
    matches = []

    def search_all() -> None:
        matches.clear()
        for oxide, chloride in product(OXIDES, CHLORIDES):
            matches.extend(search_interfaces(bulk[oxide], bulk[chloride], LIMITS["training"]))

    told("training search, all ten pairs of phases", cpu_seconds(search_all), f"{len(matches)} matches; target 60 s")
    compare(
        "training search, cubic ZrO2 and ideal Li2ZrCl6",
        lambda: search_interfaces(bulk[OXIDES[0]], bulk[CHLORIDES[0]], LIMITS["training"]),
        lambda: pymatgen_search(bulk[OXIDES[0]], bulk[CHLORIDES[0]]),
        "pymatgen's SubstrateAnalyzer",
    )
    plans = []
    spent = cpu_seconds(lambda: plans.extend(plan_candidates(match) for match in matches))
    count = sum(len(plan.configurations) for plan in plans)
    told("terminations and registries of these matches", spent, f"{count} distinct configurations; target 600 s")
    built = []
    spent = cpu_seconds(lambda: built.extend(cell for match in matches for cell in candidates(match)))
    told(
        "the same, built and checked for overlaps", spent, f"{len(built)} cells, {1e3 * spent / len(built):.1f} ms each"
    )


def production_cells() -> None:
    for name in STUDY_CELLS:
        made = build_study_cell(name)
        bulk = atoms_from_structure(load_structure("ZrO2_cubic_Fm-3m"))
        repeats = np.diag([10, 10, round(made.n_atoms / 1200)])
        spent = statistics.median(cpu_seconds(lambda name=name: build_study_cell(name)) for _ in range(TURNS))
        other = statistics.median(cpu_seconds(lambda r=repeats, b=bulk: make_supercell(b, r)) for _ in range(TURNS))
        told(
            f"{name}, {made.n_atoms} atoms",
            spent,
            f"{spent / other:7.1f} x as long as ase repeats a bulk to that size; target 1000 ms",
        )
    match = study_match("study-1")
    limits = InterfaceLimits(max_area_a2=1700, max_strain=0.005)
    spent = cpu_seconds(lambda: match_planes(match.film, match.substrate, limits))
    told("coincidences to 1700 A^2 and 0.5 % of study-1's planes", spent, "target 1000 ms")


def contacts() -> None:
    cell = supercell(load_structure("Li2ZrCl6_ideal_P-31c"), (2, 2, 1))
    rng = np.random.default_rng(0)
    frames = [cell.positions + rng.normal(scale=0.1, size=cell.positions.shape) for _ in range(1000)]
    atoms = atoms_from_structure(cell)
    reach = 1.4 * covalent_radii[cell.numbers].max()

    def with_ase() -> None:
        for positions in frames:
            atoms.positions = positions
            neighbor_list("ijd", atoms, reach)

    compare(
        f"covalent-radius filter, 1000 x {cell.n_atoms} atoms",
        lambda: [find_contact(cell.numbers, (cell.cell, cell.pbc), positions, 0.7) for positions in frames],
        with_ase,
        "ase.neighborlist",
    )


if __name__ == "__main__":
    searches()
    production_cells()
    contacts()
