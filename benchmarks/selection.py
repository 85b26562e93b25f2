"""Selection: farthest points, environments, SOAP and clusters against plain references.

CPU times of one process where nothing else is said; ours and the reference take turns where both are short, and the
ratio is that of their medians. Memory is what is allocated beyond the input at the same time. SOAP is described for 200
frames and extrapolated to 10,000 linearly, unless the full number is asked for: --frames 10000 (some minutes).
"""

import argparse
import os
import resource
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np

from lizrcl_flows.documents import Structure
from lizrcl_flows.science.clusters import representatives
from lizrcl_flows.science.environments import Environments, farthest_environments
from lizrcl_flows.science.perturbation import perturb
from lizrcl_flows.science.selection import farthest_point
from lizrcl_flows.science.soap import soap_rows
from lizrcl_flows.science.structures import load_structure, supercell

TURNS = 3
N_FRAMES = 10_000
ELEMENTS = ("Li", "Zr", "O", "Cl")


def cpu_seconds(task: Callable[[], Any]) -> float:
    start = time.process_time()
    task()
    return time.process_time() - start


def peak_mb(task: Callable[[], Any]) -> float:
    tracemalloc.start()
    task()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak / 1e6


def report(title: str, figures: str) -> None:
    print(f"{title:<62} {figures}")


def brute_force(pool: np.ndarray, known: np.ndarray, n: int) -> list[int]:
    """Farthest points by definition: every distance in double precision by subtraction."""
    nearest = np.full(len(pool), np.inf)
    for row in known:
        np.minimum(nearest, ((pool - row) ** 2).sum(axis=1), out=nearest)
    picks = []
    for _ in range(n):
        picks.append(int(np.argmax(nearest)))
        np.minimum(nearest, ((pool - pool[picks[-1]]) ** 2).sum(axis=1), out=nearest)
    return picks


def plain_single(pool: np.ndarray, known: np.ndarray, n: int) -> list[int]:
    """Do it the usual way: products in single precision, all rows against all known rows and every pick."""
    rows = pool.astype(np.float32)
    norms = (rows**2).sum(axis=1)
    nearest = np.full(len(rows), np.inf, dtype=np.float32)
    for start in range(0, len(known), 256):
        part = known[start : start + 256].astype(np.float32)
        squares = norms[:, None] - 2 * rows @ part.T + (part**2).sum(axis=1)
        np.minimum(nearest, squares.min(axis=1), out=nearest)
    picks = []
    for _ in range(n):
        picks.append(pick := int(np.argmax(nearest)))
        np.minimum(nearest, norms - 2 * rows @ rows[pick] + norms[pick], out=nearest)
    return picks


def farthest_points() -> None:
    rng = np.random.default_rng(0)
    pool, known, n = rng.normal(size=(100_000, 63)), rng.normal(size=(2000, 63)), 100
    found: list[int] = []
    ours = [cpu_seconds(lambda: found.extend(farthest_point(pool, known, n)[0])) for _ in range(TURNS)]
    plain = [cpu_seconds(lambda: plain_single(pool, known, n)) for _ in range(TURNS)]
    expected: list[int] = []
    slow = cpu_seconds(lambda: expected.extend(brute_force(pool, known, n)))
    mine = statistics.median(ours)
    same = "same picks" if found[:n] == expected else "OTHER PICKS"
    title = "farthest point, 100 of 100000 x 63 with 2000 known"
    report(title, f"{mine:7.2f} s   {statistics.median(plain) / mine:6.1f} x faster than numpy in single precision")
    report("", f"{slow / mine:17.1f} x faster than brute force in double precision; {same}")
    report("", f"{peak_mb(lambda: farthest_point(pool, known, n)):7.0f} MB beyond the input")


def frames_of_atoms(n_frames: int, seed: int) -> Environments:
    """Eight phases of 108 atoms at several temperatures, 63 descriptors that move along twelve directions."""
    shared, rng = np.random.default_rng(0), np.random.default_rng(seed)
    centres, directions = shared.normal(size=(8, 108, 63)), 0.3 * shared.normal(size=(12, 63))
    rows = centres[rng.integers(8, size=n_frames)].astype(np.float32)
    for frame in range(n_frames):
        moved = rng.uniform(0.2, 1) * (rng.normal(size=(108, 12)) @ directions)
        rows[frame] += moved + 0.02 * rng.normal(size=(108, 63))
    numbers = np.repeat([3, 40, 17], [24, 12, 72])
    return Environments(
        rows.reshape(-1, 63), np.tile(numbers, n_frames), np.repeat(np.arange(n_frames), 108), np.zeros(0)
    )


def plain_environments(pool: Environments, n: int) -> None:
    """Do the same search with every environment compared with every covered one, in single precision."""
    parts = {number: np.flatnonzero(pool.numbers == number) for number in np.unique(pool.numbers)}
    nearest = np.full(len(pool.rows), np.inf, dtype=np.float32)
    norms = (pool.rows**2).sum(axis=1)
    frame = 0
    for _ in range(n):
        for atoms in parts.values():
            covered = pool.rows[atoms[pool.frames[atoms] == frame]]
            squares = norms[atoms, None] - 2 * pool.rows[atoms] @ covered.T + (covered**2).sum(axis=1)
            nearest[atoms] = np.minimum(nearest[atoms], squares.min(axis=1))
        frame = int(pool.frames[np.argmax(nearest)])


def environments() -> None:
    pool, known, n = frames_of_atoms(2000, 1), frames_of_atoms(100, 2), 20
    nothing = Environments.of([], [])
    start = cpu_seconds(lambda: farthest_environments(pool, nothing, 1))
    ours = cpu_seconds(lambda: farthest_environments(pool, nothing, 1 + n)) - start
    plain = cpu_seconds(lambda: plain_environments(pool, n))
    warm = cpu_seconds(lambda: farthest_environments(pool, known, n))
    report(
        "environments, each pick of 2000 frames x 108 atoms x 63",
        f"{1e3 * ours / n:7.1f} ms  {plain / ours:6.1f} x faster than all pairs in numpy",
    )
    report("", f"{1e3 * start:7.1f} ms  before the first")
    report("   20 picks with 100 known frames, all included", f"{warm:7.2f} s")
    peak = peak_mb(lambda: farthest_environments(pool, known, 2))
    report("", f"{peak:7.0f} MB beyond the input of {pool.rows.nbytes / 1e6:.0f} MB")


def some_frames(n: int) -> list[Structure]:
    """Return perturbed cells of about 100 atoms."""
    cells = [
        supercell(load_structure("Li2ZrCl6_ideal_P-31c"), (3, 2, 1)),
        supercell(load_structure("ZrO2_cubic_Fm-3m"), (2, 2, 2)),
    ]
    return [perturb(cells[number % 2], np.random.default_rng(number)) for number in range(n)]


def soap_and_clusters(n_frames: int, n_jobs: int) -> None:
    structures = some_frames(n_frames)
    atoms = "/".join(str(count) for count in sorted({structure.n_atoms for structure in structures}))
    start = time.perf_counter()
    rows = soap_rows(structures, ELEMENTS, "paper", n_jobs)
    wall = time.perf_counter() - start
    full = N_FRAMES / n_frames
    note = "" if full == 1 else f" (times {full:.0f}: {full * wall:.0f} s)"
    report(f"SOAP (paper) of {n_frames} frames of {atoms} atoms, {n_jobs} job(s)", f"{wall:7.1f} s wall{note}")
    if full > 1:  # clusters do not grow linearly: measured at full size on rows of the same width
        rng = np.random.default_rng(0)
        mixed = rng.dirichlet(np.ones(6), size=N_FRAMES).astype(np.float32)
        rows = mixed @ rows[rng.integers(n_frames, size=6)] + 1e-3 * rng.normal(size=(N_FRAMES, rows.shape[1])).astype(
            np.float32
        )
    none = np.zeros((0, 0))
    picked = cpu_seconds(lambda: representatives(rows, none, 500))
    report(f"PCA, 500 clusters and medoids of {len(rows)} x {rows.shape[1]}", f"{picked:7.1f} s")
    report(
        "sum of both for 10000 frames", f"{full * wall + picked:7.1f} s" + (" (SOAP extrapolated)" if full > 1 else "")
    )
    own, children = (
        resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    report("largest resident memory", f"{own:7.0f} MB, {children:.0f} MB in the largest of the other processes")
    reference_clusters(rows, picked)


def reference_clusters(rows: np.ndarray, ours: float) -> None:
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import StandardScaler

    def pipeline() -> None:
        scaled = StandardScaler().fit_transform(rows)
        KMeans(500, n_init=1, random_state=0).fit(
            PCA(64, svd_solver="randomized", random_state=0).fit_transform(scaled)
        )

    report("", f"{cpu_seconds(pipeline) / ours:17.1f} x faster than scikit-learn's own steps, 64 components")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=200, help="frames that SOAP describes")
    parser.add_argument("--jobs", type=int, default=1, help="processes that share them")
    parser.add_argument("--only", choices=("points", "environments", "clusters"))
    asked = parser.parse_args()
    if os.environ.get("OMP_NUM_THREADS") != "1":
        print("set OMP_NUM_THREADS=1 for CPU times that compare", file=sys.stderr)
    if asked.only in (None, "clusters"):  # first, so that the memory is its own
        soap_and_clusters(asked.frames, asked.jobs)
    if asked.only in (None, "points"):
        farthest_points()
    if asked.only in (None, "environments"):
        environments()
