"""Neighbours, radial distributions, shapes and volumes of polyhedra, against the tools that also compute them.

The frame is synthetic: 10,000 atoms of Li, Zr, Cl and O at the density of the study's interfaces. Every tool gets the
same positions and has to give the same result. CPU times of one process, the fastest of some turns; the ratio is theirs
over ours.

    OMP_NUM_THREADS=1 python benchmarks/analysis_structure.py
"""

import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from lizrcl_flows.science.local_order.csm import continuous_symmetry
from lizrcl_flows.science.local_order.neighbours import neighbour_pairs
from lizrcl_flows.science.local_order.polyhedra import polyhedron_volumes
from lizrcl_flows.science.local_order.rdf import radial_distribution
from lizrcl_flows.science.local_order.residence import contacts_within, residence

N_ATOMS = 10_000
CELL = np.diag([42.0, 45.0, 58.0])
COMPOSITION = {"Li": 0.13, "Zr": 0.20, "Cl": 0.39, "O": 0.28}
CUTOFF_A, R_MAX_A = 3.5, 10.0
TURNS = 3
N_POLYHEDRA = 2000
CHEMENV_SITES = {4: 30, 5: 20, 6: 3}
N_CONTACT_FRAMES = 200

Floats = npt.NDArray[np.float64]


def fastest(task: Callable[[], Any], turns: int = TURNS) -> tuple[float, Any]:
    """Return the least CPU time of some turns (s), and the result."""
    times, result = [], None
    for _ in range(turns):
        start = time.process_time()
        result = task()
        times.append(time.process_time() - start)
    return min(times), result


def synthetic() -> tuple[Floats, npt.NDArray[np.str_]]:
    """Return positions (N, 3) and species (N,): a slightly disordered grid, so that no two atoms are on one place."""
    rng = np.random.default_rng(0)
    spacing = (np.linalg.det(CELL) / N_ATOMS) ** (1 / 3)
    n = np.ceil(np.diag(CELL) / spacing).astype(int)
    grid = np.stack(np.meshgrid(*(np.arange(k) / k for k in n), indexing="ij"), -1).reshape(-1, 3)
    kept = rng.permutation(len(grid))[:N_ATOMS]
    positions = grid[kept] @ CELL + rng.normal(scale=0.3, size=(N_ATOMS, 3))
    return positions, rng.choice(list(COMPOSITION), size=N_ATOMS, p=list(COMPOSITION.values()))


def of_pairs(positions: Floats, species: npt.NDArray[np.str_]) -> list[tuple[str, float, str]]:
    """Measure neighbours and radial distributions beside ase.neighborlist."""
    from ase import Atoms
    from ase.neighborlist import neighbor_list

    atoms = Atoms(list(species), positions=positions, cell=CELL, pbc=True)
    ions, chlorine = species == "Li", species == "Cl"
    neighbour_pairs(positions, CELL, ions, chlorine, CUTOFF_A)  # imports
    ours, pairs = fastest(lambda: neighbour_pairs(positions, CELL, ions, chlorine, CUTOFF_A), 10)
    theirs, (first, second, _) = fastest(lambda: neighbor_list("ijd", atoms, {("Li", "Cl"): CUTOFF_A}), 1)
    same = len(pairs.i) == int((ions[first] & chlorine[second]).sum())
    rows = [row("pairs Li-Cl up to 3.5 A in 10,000 atoms", ours, theirs, "ase.neighborlist", same)]
    ours, found = fastest(lambda: radial_distribution(positions[None], CELL, ions, chlorine, R_MAX_A), 3)

    def by_ase() -> Floats:
        first, second, d = neighbor_list("ijd", atoms, {("Li", "Cl"): R_MAX_A})
        counts = np.histogram(d[ions[first] & chlorine[second]], bins=200, range=(0, R_MAX_A))[0]
        return np.asarray(np.cumsum(counts) / ions.sum())

    theirs, running = fastest(by_ase, 1)
    same = bool(np.allclose(found.running_cn, running, atol=0.02))
    return [*rows, row("g(r) Li-Cl up to 10 A in 10,000 atoms", ours, theirs, "ase.neighborlist", same)]


def chemenv(centre: Floats, ligands: Floats) -> dict[str, float]:
    """Return ChemEnv's measures of one site."""
    from pymatgen.analysis.chemenv.coordination_environments.coordination_geometry_finder import AbstractGeometry

    chemenv_finder().local_geometry = AbstractGeometry(
        central_site=centre, bare_coords=ligands, centering_type="centroid", include_central_site_in_centroid=True
    )
    found = chemenv_finder().get_coordination_symmetry_measures(only_minimum=True, all_csms=False)
    return {name: values["csm"] for name, values in found.items()}


def chemenv_finder(kept: list[Any] = []) -> Any:  # noqa: B006  (one finder for all sites is what is wanted)
    """Return ChemEnv's finder, made once."""
    from pymatgen.analysis.chemenv.coordination_environments.coordination_geometry_finder import LocalGeometryFinder

    if not kept:
        finder = LocalGeometryFinder()
        finder.setup_parameters(centering_type="centroid", include_central_site_in_centroid=True)
        kept.append(finder)
    return kept[0]


def chemenv_all(centres: Floats, ligands: Floats) -> list[dict[str, float]]:
    return [chemenv(*site) for site in zip(centres, ligands, strict=True)]


def hull_volumes(points: Floats) -> list[float]:
    from scipy.spatial import ConvexHull

    return [ConvexHull(one).volume for one in points]


def of_shapes() -> list[tuple[str, float, str]]:
    """Measure symmetry beside ChemEnv and volumes beside scipy's hulls."""
    rng = np.random.default_rng(1)
    rows = []
    for number, n_sites in CHEMENV_SITES.items():
        centres, ligands = np.zeros((N_POLYHEDRA, 3)), rng.normal(size=(N_POLYHEDRA, number, 3))
        ligands *= 2.5 / np.linalg.norm(ligands, axis=2, keepdims=True)
        continuous_symmetry(centres[:1], ligands[:1])  # arrangements
        ours, measured = fastest(partial(continuous_symmetry, centres, ligands))
        chemenv(centres[0], ligands[0])
        theirs, oracle = fastest(partial(chemenv_all, centres[:n_sites], ligands[:n_sites]), 1)
        # ChemEnv tries only some assignments of six ligands, so it may be above the minimum
        same = all(
            measured.by_model[name][k] <= value + 1e-9 and (number == 6 or measured.by_model[name][k] > value - 1e-9)
            for k, of_site in enumerate(oracle)
            for name, value in of_site.items()
        )
        told = f"symmetry of 1,000 sites with {number} ligands"
        rows.append(row(told, 1000 * ours / N_POLYHEDRA, 1000 * theirs / n_sites, "ChemEnv", same))
    for number in (4, 5, 6):
        points = rng.normal(size=(N_POLYHEDRA, number, 3))
        ours, volumes = fastest(partial(polyhedron_volumes, points))
        theirs, hulls = fastest(partial(hull_volumes, points), 1)
        same = bool(np.allclose(volumes, hulls, rtol=1e-10))
        rows.append(row(f"volumes of 2,000 hulls of {number} ligands", ours, theirs, "scipy's ConvexHull", same))
    return rows


def row(what: str, ours: float, theirs: float, peer: str, same: bool) -> tuple[str, float, str]:
    """Print a result and return it as (quantity, ratio, remark)."""
    print(f"{what:<58} {1e3 * ours:9.1f} ms   {theirs / ours:7.1f} x faster than {peer}", flush=True)
    if not same:
        print(f"{what}: the results of {peer} are others than ours", flush=True)
    return what, theirs / ours, f"{peer}, {1e3 * theirs:.1f} ms; " + ("same results" if same else "other results")


def residence_times() -> None:
    """Print what shells of 1,300 ions around 2,000 centres take: there is no peer that does it."""
    rng = np.random.default_rng(2)
    steps = rng.normal(scale=0.3, size=(N_CONTACT_FRAMES, 1300, 3)).astype(np.float32)
    ions = (rng.uniform(size=(1300, 3)) @ CELL).astype(np.float32) + np.cumsum(steps, axis=0)
    centres = rng.uniform(size=(2000, 3)) @ CELL
    searched, contacts = fastest(lambda: contacts_within(ions, centres, CELL, 4.0), 1)
    survived, _ = fastest(lambda: residence(contacts, 10.0), 1)
    print(f"contacts of 1,300 ions with 2,000 centres: {1e3 * searched / N_CONTACT_FRAMES:.1f} ms a frame;", end=" ")
    print(f"residence time from {len(contacts.frame)} contacts: {1e3 * survived:.0f} ms")


def measure() -> list[tuple[str, float, str]]:
    """Return (quantity, how many times faster, remark) for every peer."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [*of_pairs(*synthetic()), *of_shapes()]


if __name__ == "__main__":
    measure()
    residence_times()
