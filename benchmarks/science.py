"""Analysis and screening: contacts, mean square displacement and D against plain references.

CPU times of one process; ours and the reference take turns, and the ratio is that of their medians. Run it with
OMP_NUM_THREADS=1.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from ase.data import covalent_radii
from ase.neighborlist import neighbor_list

from lizrcl_flows.science.diffusion import diffusion_coefficient
from lizrcl_flows.science.geometry import shortest_contact
from lizrcl_flows.science.msd import msd_fft
from lizrcl_flows.science.structures import atoms_from_structure, load_structure, supercell

TURNS = 3


def cpu_seconds(task: Callable[[], Any]) -> float:
    start = time.process_time()
    task()
    return time.process_time() - start


def compare(title: str, ours: Callable[[], Any], reference: Callable[[], Any], named: str) -> None:
    ours()
    pairs = [(cpu_seconds(ours), cpu_seconds(reference)) for _ in range(TURNS)]
    mine, other = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"{title:<58} {1e3 * mine:9.1f} ms   {other / mine:7.1f} x faster than {named}")


def contacts(repeat: tuple[int, int, int], times: int) -> None:
    structure = supercell(load_structure("Li2ZrCl6_ideal_P-31c"), repeat)
    atoms = atoms_from_structure(structure)
    reach = 1.4 * covalent_radii[structure.numbers].max()
    compare(
        f"shortest contact, {times} x {structure.n_atoms} atoms",
        lambda: [shortest_contact(structure, 0.7) for _ in range(times)],
        lambda: [neighbor_list("ijd", atoms, reach) for _ in range(times)],
        "ase.neighborlist",
    )


def displacements() -> None:
    rng = np.random.default_rng(0)
    paths = np.cumsum(rng.normal(size=(1000, 200, 3)), axis=0)

    def direct() -> None:
        for lag in range(1, len(paths)):
            ((paths[lag:] - paths[:-lag]) ** 2).mean(axis=(0, 1))

    compare("MSD at every lag, 1000 frames x 200 ions", lambda: msd_fft(paths), direct, "the direct sum")
    paths = np.cumsum(rng.normal(size=(2000, 1568, 3)), axis=0)
    own = cpu_seconds(lambda: diffusion_coefficient(paths, 10.0))
    single = cpu_seconds(lambda: msd_fft(paths))
    print(
        f"{'D with uncertainty, 2000 frames x 1568 ions':<58} {1e3 * own:9.1f} ms   {own / single:7.1f} x one msd_fft"
    )


if __name__ == "__main__":
    contacts((2, 2, 1), 200)
    contacts((12, 12, 5), 1)
    displacements()
