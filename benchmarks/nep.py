"""NEP evaluation: one model and a committee of four with eps, against calorine's CPUNEP in the same run.

Frames of 108 atoms of rattled Li2ZrCl6 (P-31c, 3 x 2 x 1 cells), random models of the architecture of the study (types
Li Zr Cl O, cutoffs 6 and 5 A, n_max 8 8, basis_size 12 12, l_max 4 2 0, 50 neurons). The reference is a loop over
CPUNEP calculators that are kept, so that none is built again. nep-adapters is measured too where it is installed. Both
sides take turns; times are CPU times (wall times where threads are compared), ratios those of medians. Run it with
OMP_NUM_THREADS=1 on a quiet machine.

    python benchmarks/nep.py [--frames 40] [--turns 5]
"""

import argparse
import contextlib
import io
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.spacegroup import crystal
from lizrcl_flows.nep._kernel import instruction_sets

from lizrcl_flows.nep import Committee, Evaluator, NepHeader, NepModel, write_nep_txt

HEADER = NepHeader(4, ("Li", "Zr", "Cl", "O"), ((6.0, 5.0),) * 4, (8, 8), (12, 12), 4, True, False, 50)
MEMBERS = 4


def random_model(seed: int) -> NepModel:
    rng = np.random.default_rng(seed)
    parameters = rng.normal(0.0, 0.3, HEADER.n_parameters)
    return NepModel(HEADER, parameters, rng.uniform(0.02, 0.2, HEADER.n_descriptors), (300, 200))


def chloride_frames(count: int) -> list[Atoms]:
    sites = [(1 / 3, 2 / 3, 1 / 4), (0, 0, 1 / 4), (1 / 3, 2 / 3, 3 / 4), (0.0153, 0.3486, 0.1277)]
    unit = crystal(["Zr", "Li", "Li", "Cl"], sites, spacegroup=163, cellpar=[6.29, 6.29, 11.85, 90, 90, 120])
    frames = []
    for seed in range(count):
        atoms = unit * (3, 2, 1)
        atoms.rattle(0.08, seed=seed)
        frames.append(atoms)
    return frames


class CalorineLoop:
    """Calculators that are built once and see frame after frame."""

    def __init__(self, paths: list[Path], first: Atoms) -> None:
        from calorine.calculators import CPUNEP

        self.systems = []
        with contextlib.redirect_stdout(io.StringIO()):
            for path in paths:
                atoms = first.copy()
                atoms.calc = CPUNEP(str(path))
                atoms.get_potential_energy()
                self.systems.append(atoms)

    def evaluate(self, frames: list[Atoms], members: int) -> list[np.ndarray]:
        """Evaluate the forces of the first members, shape (members, N, 3) for each frame."""
        results = []
        for frame in frames:
            forces = []
            for atoms in self.systems[:members]:
                atoms.set_positions(frame.positions)
                forces.append(atoms.get_forces())
            results.append(np.array(forces))
        return results


class AdaptersLoop:
    """The same with nep-adapters."""

    def __init__(self, paths: list[Path]) -> None:
        from nep_adapters.ase import NepAseCalculator  # type: ignore[import-not-found]

        self.calculators = [NepAseCalculator(str(path)) for path in paths]

    def evaluate(self, frames: list[Atoms]) -> None:
        """Evaluate the forces of all members."""
        for frame in frames:
            for calculator in self.calculators:
                atoms = frame.copy()
                atoms.calc = calculator
                atoms.get_forces()


def spread_of(results: list[np.ndarray]) -> list[float]:
    return [float(np.sqrt(forces.var(axis=0).sum(axis=1)).max()) for forces in results]


def median_seconds(jobs: dict[str, Callable[[], object]], turns: int, clock: Callable[[], float]) -> dict[str, float]:
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for turn in range(turns + 1):  # the first turn warms up
        for name, job in jobs.items():
            start = clock()
            job()
            if turn:
                times[name].append(clock() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def compare_committees(paths: list[Path], frames: list[Atoms], turns: int) -> None:
    few = frames[: max(len(frames) // 8, 2)]
    loop = CalorineLoop(paths, frames[0])
    all_four, one = Committee.from_files(paths), Committee.from_files(paths[:1])
    ours = [result.eps for result in all_four.evaluate(few)]
    theirs = spread_of(loop.evaluate(few, MEMBERS))
    print(f"largest difference of eps: {max(abs(a - b) for a, b in zip(ours, theirs, strict=True)):.1e} eV/A")
    jobs: dict[str, Callable[[], object]] = {
        "committee": lambda: [result.eps for result in all_four.evaluate(frames)],
        "calorine x 4": lambda: spread_of(loop.evaluate(few, MEMBERS)),
        "one model": lambda: one.evaluate(frames),
        "calorine x 1": lambda: loop.evaluate(few, 1),
    }
    with contextlib.suppress(ImportError):
        adapters = AdaptersLoop(paths)
        jobs["nep-adapters x 4"] = lambda: adapters.evaluate(few)
    seconds = median_seconds(jobs, turns, time.process_time)
    counts = {name: len(frames) if name in ("committee", "one model") else len(few) for name in jobs}
    speed = {name: counts[name] / value for name, value in seconds.items()}
    for name, value in speed.items():
        print(f"{name:18s} {value:8.1f} frames/s  {1e6 / value / len(frames[0]):7.1f} us/atom")
    print(f"committee of four with eps / calorine loop:  {speed['committee'] / speed['calorine x 4']:.1f}")
    print(f"one model / calorine:                        {speed['one model'] / speed['calorine x 1']:.1f}")
    if "nep-adapters x 4" in speed:
        print(f"committee of four with eps / nep-adapters:   {speed['committee'] / speed['nep-adapters x 4']:.1f}")


def compare_dynamics(paths: list[Path], frames: list[Atoms], turns: int, steps: int = 100) -> None:
    """Evaluate forces along small steps, as a molecular-dynamics program asks for them."""
    first = frames[0]
    evaluator = Evaluator(Committee.from_files(paths))
    types = evaluator.types_of(first.get_chemical_symbols())
    cell, start, pbc = first.cell.array.copy(), first.positions.copy(), (True, True, True)
    moves = np.random.default_rng(0).normal(scale=0.01, size=(steps, *start.shape))
    loop = CalorineLoop(paths[:1], first)

    def walk(member: int | None) -> None:
        positions = start.copy()
        for move in moves:
            positions += move
            evaluator.evaluate_arrays(types, cell, positions, pbc, member)

    def walk_with_calorine() -> None:
        atoms = loop.systems[0]
        atoms.set_positions(start)
        for move in moves[: steps // 10]:
            atoms.set_positions(atoms.positions + move)
            atoms.get_forces()

    jobs: dict[str, Callable[[], object]] = {
        "one": lambda: walk(0),
        "all": lambda: walk(None),
        "calorine": walk_with_calorine,
    }
    seconds = median_seconds(jobs, turns, time.process_time)
    one, every, theirs = steps / seconds["one"], steps / seconds["all"], steps // 10 / seconds["calorine"]
    print(
        f"steps/s: one model {one:.0f}, committee of four {every:.0f}, calorine {theirs:.0f}; ratio {one / theirs:.1f}"
    )
    print(f"one model costs {every / one:.2f} of the committee")


def compare_threads(paths: list[Path], frames: list[Atoms], turns: int) -> None:
    committee = Committee.from_files(paths)
    large = frames[0] * (4, 4, 4)
    jobs: dict[str, Callable[[], object]] = {
        "frames 1": lambda: committee.evaluate(frames, threads=1),
        "frames 2": lambda: committee.evaluate(frames, threads=2),
        "large 1": lambda: committee.evaluate([large], threads=1),
        "large 2": lambda: committee.evaluate([large], threads=2),
    }
    seconds = median_seconds(jobs, turns, time.perf_counter)
    print(f"two threads / one, many frames: {seconds['frames 1'] / seconds['frames 2']:.2f}")
    print(f"two threads / one, {len(large)} atoms:  {seconds['large 1'] / seconds['large 2']:.2f}")
    seconds = median_seconds(jobs, turns, time.process_time)
    print(
        "CPU time of two threads / one (1.00 is no overhead; the two lines above need two free cores): "
        f"{seconds['frames 2'] / seconds['frames 1']:.2f}, {seconds['large 2'] / seconds['large 1']:.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--turns", type=int, default=5)
    options = parser.parse_args()
    frames = chloride_frames(options.frames)
    print(f"{len(frames)} frames of {len(frames[0])} atoms; instruction sets {', '.join(instruction_sets())}")
    with tempfile.TemporaryDirectory() as directory:
        paths = [Path(directory) / f"nep{seed}.txt" for seed in range(MEMBERS)]
        for seed, path in enumerate(paths):
            write_nep_txt(path, random_model(seed), full_precision=True)
        compare_committees(paths, frames, options.turns)
        compare_dynamics(paths, frames, options.turns)
        compare_threads(paths, frames, options.turns)


if __name__ == "__main__":
    main()
