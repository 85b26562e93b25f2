"""Reading trajectories of 10,000 atoms, against `ase.io.iread`.

The run is synthetic: wrapped and unwrapped positions of 10,000 atoms, 1,568 of them Li that walk at random. It is
written as extended XYZ, once with both and once with wrapped positions alone, and as AMBER NetCDF with both in single
precision. ASE reads the first frames of the extended XYZ files: its NetCDF reader needs a package that is no dependency
of this project, and extended XYZ is what it is used for. CPU times of one process, files in the cache of the system,
for 100 frames; the ratio is theirs over ours.

Memory is that of processes of their own, which read one file each from end to end: at its peak, over what it was when
the file was opened, and of that what the ions' paths take.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lizrcl_flows.gpumd.extended_xyz import FrameFormat, format_lattice
from lizrcl_flows.gpumd.netcdf_writer import NetcdfWriter
from lizrcl_flows.gpumd.source import open_trajectory

N_ATOMS, N_IONS = 10_000, 1568
N_XYZ, N_NETCDF, N_ASE = 200, 600, 60
DT_PS = 10.0
CELL = np.array([[60.0, 0.0, 0.0], [-30.0, 52.0, 0.0], [0.0, 0.0, 64.0]])
SPECIES = ["Li"] * N_IONS + ["Zr"] * 784 + ["Cl"] * (N_ATOMS - N_IONS - 784)
PER = 100
"""Frames that times are given for."""

TURNS = 3

Floats = npt.NDArray[np.float64]


def cpu_seconds(task: Callable[[], Any]) -> float:
    start = time.process_time()
    task()
    return time.process_time() - start


def own_seconds(task: Callable[[], Any], n_frames: int) -> float:
    """Return the median of several turns, for `PER` frames."""
    return statistics.median(cpu_seconds(task) for _ in range(TURNS)) * PER / n_frames


def told(title: str, ours: float, other: float, named: str) -> None:
    print(f"{title:<58} {1e3 * ours:9.1f} ms   {other / ours:7.1f} x faster than {named}", flush=True)


def write(folder: Path) -> None:
    """Write the three files; the frames of the shorter ones are the first of the longest."""
    rng = np.random.default_rng(0)
    site = rng.random((N_ATOMS, 3)) @ CELL
    inverse = np.linalg.inv(CELL)
    both = FrameFormat(SPECIES, [("pos", 3, "%.8f"), ("unwrapped_position", 3, "%.8f")])
    alone = FrameFormat(SPECIES, [("pos", 3, "%.8f")])
    with (
        NetcdfWriter(folder / "both.nc", SPECIES) as netcdf,
        (folder / "both.xyz").open("w") as first,
        (folder / "wrapped.xyz").open("w") as second,
    ):
        for number in range(N_NETCDF):
            site[:N_IONS] += rng.normal(scale=np.sqrt(2 * 0.02 * DT_PS), size=(N_IONS, 3))
            unwrapped = site + rng.normal(scale=0.1, size=site.shape)
            wrapped = (unwrapped @ inverse % 1.0) @ CELL
            netcdf.append(DT_PS * number, CELL, wrapped, unwrapped=unwrapped)
            if number < N_XYZ:
                header = f'Time={1e3 * DT_PS * number:g} pbc="T T T" {format_lattice(CELL)}'
                first.write(both.render(header, [wrapped, unwrapped]))
                second.write(alone.render(header, [wrapped]))


def through(path: Path, ions_only: bool = False) -> Floats:
    """Read a file from end to end, one frame in memory; return the last positions."""
    with open_trajectory(path) as source:
        select = np.array(source.species) == "Li" if ions_only else None
        for frame in source.frames(select):
            last = frame.positions
    return np.asarray(last, dtype=np.float64)


def peer(path: Path) -> tuple[float, Floats]:
    """Return ASE's time for `PER` frames, and the positions of the last one it read."""
    from ase.io import iread

    kept: list[Floats] = []

    def task() -> None:
        for atoms in iread(str(path), index=f":{N_ASE}", format="extxyz"):
            kept[:] = [atoms.positions]

    return cpu_seconds(task) * PER / N_ASE, kept[0]


def check(path: Path, number: int, expected: Floats) -> None:
    with open_trajectory(path) as source:
        found = next(source.frames(first=number)).positions
    worst = float(np.abs(found - expected).max())
    if worst > 1e-5:
        print(f"  {path.name} differs by {worst:.1e} A", flush=True)


def compare(folder: Path) -> None:
    both, wrapped, netcdf = folder / "both.xyz", folder / "wrapped.xyz", folder / "both.nc"
    theirs, last = peer(both)
    theirs_wrapped, _ = peer(wrapped)
    named = "ase.io.iread"
    print(f"{named + ', wrapped and unwrapped positions':<58} {1e3 * theirs:9.1f} ms for {PER} frames")
    print(f"{named + ', wrapped positions':<58} {1e3 * theirs_wrapped:9.1f} ms for {PER} frames", flush=True)
    for path in (both, netcdf):
        check(path, N_ASE - 1, last)
    xyz, of_xyz = f"{PER} frames of extended XYZ", f"{named}, same file"
    told(f"{xyz}, wrapped positions", own_seconds(lambda: through(wrapped), N_XYZ), theirs_wrapped, of_xyz)
    told(f"{xyz}, wrapped and unwrapped", own_seconds(lambda: through(both), N_XYZ), theirs, of_xyz)
    records, of_netcdf = f"{PER} frames of NetCDF", f"{named}, same frames as extended XYZ"
    told(f"{records}, wrapped and unwrapped", own_seconds(lambda: through(netcdf), N_NETCDF), theirs, of_netcdf)
    ions = own_seconds(lambda: through(netcdf, ions_only=True), N_NETCDF)
    told(f"{records}, wrapped and unwrapped, ions only", ions, theirs, of_netcdf)


def peak_mb() -> float:
    """Return the peak of this process alone; `resource` tells that of the process that started it if it was higher."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def memory(path: Path) -> None:
    """Say what reading the ions' paths takes; to be run in a process of its own."""
    with open_trajectory(path) as source:
        before = peak_mb()
        paths = source.read(np.array(source.species) == "Li")
    unwrapped = 0 if paths.unwrapped is None else paths.unwrapped.nbytes
    size = (paths.positions.nbytes + unwrapped) / 1024**2
    title = f"memory of the ions' paths from {path.name} ({path.stat().st_size / 1024**2:.0f} MB)"
    print(f"{title:<58} {peak_mb() - before:9.0f} MB, of it arrays {size:.0f} MB", flush=True)


def main(names: list[str]) -> None:
    if names:
        memory(Path(names[0]))
        return
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        write(folder)
        compare(folder)
        for name in ("both.xyz", "wrapped.xyz", "both.nc"):
            subprocess.run([sys.executable, __file__, str(folder / name)], check=True)


if __name__ == "__main__":
    main(sys.argv[1:])
