"""Mean square displacement of the ions of a large run, against the tools that also compute it.

The run is synthetic: 10,000 atoms, 1,568 of them Li that walk at random, 2,000 frames at 10 ps, single precision. Every
tool gets the same positions. Those that need the framework for its drift get all atoms, and so do we; those that know
paths only get the paths of the ions. CPU times of one process, ours before each peer; the ratio is theirs over ours.

The peers are no dependencies of this project. They belong into a folder of their own, as they would replace packages:

    pip install --target peers --no-deps tidynamics MDAnalysis mmtf-python gridDataFormats mda-xdrlib kinisi scipp \
        emcee corner dynesty uncertainties statsmodels patsy tqdm beautifulsoup4 soupsieve pymatgen-analysis-diffusion
    PYTHONPATH=peers OMP_NUM_THREADS=1 python benchmarks/analysis_msd.py

A peer that cannot be imported is named as missing. Names of peers on the command line choose among them.
"""

import resource
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from lizrcl_flows.science.diffusion import diffusion_coefficient
from lizrcl_flows.science.msd import msd_fft, remove_drift

N_FRAMES, N_ATOMS, N_IONS = 2000, 10_000, 1568
DT_PS = 10.0
BOX_A = 60.0
TURNS = 3

Floats = npt.NDArray[np.floating]


def cpu_seconds(task: Callable[[], Any]) -> float:
    start = time.process_time()
    task()
    return time.process_time() - start


def synthetic(n_atoms: int = N_ATOMS) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return unwrapped positions (T, N, 3) and which atoms are ions: the first ones."""
    rng = np.random.default_rng(0)
    ions = np.arange(n_atoms) < N_IONS
    positions = np.empty((N_FRAMES, n_atoms, 3), dtype=np.float32)
    place = rng.uniform(0, BOX_A, size=(n_atoms, 3)).astype(np.float32)
    for frame in positions:
        place[ions] += rng.normal(scale=np.sqrt(2 * 0.02 * DT_PS), size=(ions.sum(), 3))
        frame[:] = place
        frame[~ions] += rng.normal(scale=0.1, size=((~ions).sum(), 3))
    return positions, ions


def told(title: str, ours: float, other: float, named: str) -> None:
    print(f"{title:<58} {1e3 * ours:9.1f} ms   {other / ours:7.1f} x faster than {named}", flush=True)


def from_paths(paths: Floats) -> Floats:
    return msd_fft(paths)


def from_atoms(positions: Floats, ions: npt.NDArray[np.bool_]) -> Floats:
    return msd_fft(remove_drift(positions, ~ions, keep=ions))


def own_seconds(task: Callable[[], Any]) -> float:
    return statistics.median(cpu_seconds(task) for _ in range(TURNS))


def check(named: str, found: Floats, expected: Floats) -> None:
    worst = float(np.max(np.abs(found / expected - 1)))
    if worst > 1e-4:
        print(f"  {named} differs by {worst:.1e} of the value", flush=True)


def tidynamics(positions: Floats, ions: npt.NDArray[np.bool_]) -> None:
    import tidynamics as peer

    paths = np.asarray(positions[:, ions], dtype=np.float64)
    results: list[Floats] = []
    ours = own_seconds(lambda: from_paths(paths))
    other = cpu_seconds(lambda: results.append(np.mean([peer.msd(path) for path in paths.transpose(1, 0, 2)], axis=0)))
    told("MSD of the ions' paths, all lags", ours, other, "tidynamics")
    check("tidynamics", results[0][1:], msd_fft(paths).sum(axis=1)[1:])


def mdanalysis(positions: Floats, ions: npt.NDArray[np.bool_]) -> None:
    import MDAnalysis as mda  # noqa: N813 - its usual name
    from MDAnalysis.analysis.msd import EinsteinMSD
    from MDAnalysis.coordinates.memory import MemoryReader

    paths = np.ascontiguousarray(positions[:, ions])
    universe = mda.Universe.empty(N_IONS, trajectory=True)
    universe.load_new(paths, format=MemoryReader, dt=DT_PS)
    results: list[Floats] = []
    ours = own_seconds(lambda: from_paths(paths))
    other = cpu_seconds(lambda: results.append(EinsteinMSD(universe, fft=True).run().results.timeseries))
    told("MSD of the ions' paths, all lags", ours, other, "MDAnalysis EinsteinMSD(fft)")
    check("MDAnalysis", results[0][1:], msd_fft(paths).sum(axis=1)[1:])


def pymatgen_diffusion(positions: Floats, ions: npt.NDArray[np.bool_]) -> None:
    from pymatgen.analysis.diffusion.analyzer import DiffusionAnalyzer
    from pymatgen.core import Lattice, Structure

    species = ["Li" if ion else "Cl" for ion in ions]

    def prepared() -> tuple[Structure, Floats]:
        first = np.asarray(positions[0], dtype=np.float64)
        structure = Structure(Lattice.cubic(BOX_A), species, first, coords_are_cartesian=True)
        return structure, np.asarray(positions - positions[0], dtype=np.float64).transpose(1, 0, 2)

    inputs: list[Any] = []
    preparation = cpu_seconds(lambda: inputs.extend(prepared()))
    structure, displacements = inputs
    ours = own_seconds(lambda: from_atoms(positions, ions))
    # frames of 10 ps make it fail: lag 0 then has an infinite weight
    other = cpu_seconds(lambda: DiffusionAnalyzer(structure, displacements, "Li", 500.0, 500, 1))
    told("MSD of the ions, framework's drift removed", ours, other, "pymatgen-analysis-diffusion, displacements given")
    told("MSD of the ions, framework's drift removed", ours, other + preparation, "pymatgen-analysis-diffusion")


def kinisi(positions: Floats, ions: npt.NDArray[np.bool_]) -> None:
    import scipp as sc
    from kinisi.analyze import DiffusionAnalyzer
    from kinisi.displacement import calculate_msd
    from kinisi.parser import Parser

    lags = np.unique(np.geomspace(1, N_FRAMES // 4, 90).astype(int))[:75] * DT_PS
    cells = np.broadcast_to(BOX_A * np.eye(3), (len(positions), 3, 3)).copy()
    fractional = np.asarray(positions, dtype=np.float64) / BOX_A
    fractional -= np.floor(fractional)
    parts: dict[str, Any] = {}

    def run() -> None:
        parser = Parser(
            sc.array(dims=["time", "particle", "dimension"], values=fractional),
            sc.array(dims=["time", "row", "column"], values=cells, unit="angstrom"),
            sc.scalar(DT_PS, unit="ps"),
            sc.scalar(1),
            sc.array(dims=["time interval"], values=lags, unit="ps"),
            sc.array(dims=["particle"], values=np.flatnonzero(ions)),
            sc.array(dims=["particle"], values=np.flatnonzero(~ions)),
        )
        analyzer = DiffusionAnalyzer(parser)
        analyzer._dg = calculate_msd(parser, progress=False)  # noqa: SLF001 - as its own constructors do
        parts["analyzer"] = analyzer

    ours = own_seconds(lambda: from_atoms(positions, ions))
    other = cpu_seconds(run)
    told(f"MSD of the ions, framework's drift removed; {len(lags)} lags", ours, other, "kinisi")


def own() -> None:
    """Our own time and memory for the ions alone, in a process of its own."""
    rng = np.random.default_rng(1)
    paths = np.empty((N_FRAMES, N_IONS, 3), dtype=np.float32)
    np.cumsum(rng.normal(size=paths.shape).astype(np.float32), axis=0, out=paths)
    msd = own_seconds(lambda: msd_fft(paths))
    whole = own_seconds(lambda: diffusion_coefficient(paths, DT_PS))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(f"{'MSD of 1,568 ions, 2,000 frames, all lags':<58} {1e3 * msd:9.1f} ms")
    print(f"{'D with uncertainty, per axis, of the same':<58} {1e3 * whole:9.1f} ms")
    print(f"{'memory of this process at its peak':<58} {peak:9.2f} GB (target 0.5)", flush=True)


def own_atoms() -> None:
    positions, ions = synthetic()
    spent = own_seconds(lambda: from_atoms(positions, ions))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(f"{'MSD of the ions among 10,000 atoms, drift removed':<58} {1e3 * spent:9.1f} ms")
    print(f"{'memory at its peak, 0.24 GB of positions in it':<58} {peak:9.2f} GB (target 0.5)", flush=True)


PEERS = {
    "tidynamics": tidynamics,
    "mdanalysis": mdanalysis,
    "pymatgen-diffusion": pymatgen_diffusion,
    "kinisi": kinisi,
}


def main(names: list[str]) -> None:
    warnings.simplefilter("ignore")
    if names == ["own"]:
        own()
        return
    if names == ["own-atoms"]:
        own_atoms()
        return
    if not names:
        for part in ("own", "own-atoms"):
            subprocess.run([sys.executable, __file__, part], check=True)
    positions, ions = synthetic()
    for name in names or PEERS:
        try:
            PEERS[name](positions, ions)
        except ImportError as error:
            print(f"{name} is missing: {error}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
