"""Active learning: labels that each way of choosing needs, with real NEPs, and the speed of screening.

Label efficiency. The truth is a NEP of 5,100 parameters, trained on GFN1-xTB labels of Li2ZrCl6 (27 atoms), so that a
label costs nothing here and the answer is smooth; the students are smaller and have to learn it from labels. The pool
are frames of molecular dynamics at 300 (twice as many), 600, 1000 and 1500 K with the cell strained by -3, 0 and +3 %,
the test set frames of other runs, equally many at each of these. Each course starts with the same 8 frames at 300 K,
trains four members by the trainer of ``lizrcl-nep``, lets its selector choose 8 more from the pool, and again. "eps"
before a name: only frames whose eps is among the upper fifth are candidates, as in screening mode adaptive.

    OMP_NUM_THREADS=1 python benchmarks/active_learning.py            about 30 minutes on two cores
    OMP_NUM_THREADS=1 python benchmarks/active_learning.py --quick    about 3 minutes: two repeats, fewer labels

Truth and frames (the first 5 minutes) are kept in --cache where that is given. Screening: 1,000 frames of 108 atoms
with a committee of four of the study's size, read from a dump file, through the functions that the job uses.
"""

import argparse
import os
import pickle
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np

from lizrcl_flows.documents import Health, Origin, Structure, Trajectory
from lizrcl_flows.documents.spec import ScreeningSpec, SelectionSpec
from lizrcl_flows.engines.selection import make_selector
from lizrcl_flows.engines.selection.base import Pool
from lizrcl_flows.jobs.explored import ExploredFrames
from lizrcl_flows.jobs.selecting import describe
from lizrcl_flows.nep import Committee, LabelledFrame, NepHeader, NepIn, NepModel
from lizrcl_flows.nep.training import TrainingOptions, train
from lizrcl_flows.science.environments import Environments
from lizrcl_flows.science.geometry import shortest_contact
from lizrcl_flows.science.screening import lower_threshold
from lizrcl_flows.science.structures import load_structure, structure_from_frame, supercell

CALCULATORS = Path(__file__).parents[1] / "tests" / "calculators"
SPECIES = ("Li", "Zr", "Cl")
TEMPERATURES_K, STRAINS = (300, 600, 1000, 1500), (-0.03, 0.0, 0.03)
VOIGT = ([0, 1, 2, 0, 1, 2], [0, 1, 2, 1, 2, 0])
N_MEMBERS, N_START, N_ROUND = 4, 8, 8
RATE = 0.2
"""Share of the pool that an eps filter leaves."""

TRUTH = NepIn(SPECIES, cutoff=((6.0, 5.0),), n_max=(6, 6), basis_size=(8, 8), neuron=30, batch=8, generation=4000)
STUDENT = NepIn(SPECIES, cutoff=((5.5, 4.5),), n_max=(4, 4), basis_size=(6, 6), neuron=10, batch=8, generation=800)
STRATEGIES = {
    "random": ("random", None, False),
    "farthest_point": ("farthest_point", None, False),
    "environments": ("environments", None, False),
    "environments, 5 atoms": ("environments", 5, False),
    "clusters": ("clusters", None, False),
    "eps, farthest_point": ("farthest_point", None, True),
    "eps, environments": ("environments", None, True),
}
"""Selection engine, its atoms_per_candidate, and whether eps decides first who is a candidate."""
Frame = tuple[tuple[str, ...], np.ndarray, np.ndarray]
Models = Sequence[NepModel]


@dataclass(frozen=True)
class Extent:
    """How much is computed."""

    frames_per_run: int = 55
    test_per_run: int = 20
    truth_labels: int = 96
    rounds: int = 6
    repeats: int = 4
    truth_steps: int = 4000
    student_steps: int = 400

    def steps(self, n_labels: int) -> int:
        """Return the steps of a student; more labels take more of them."""
        return self.student_steps + 12 * n_labels


QUICK = Extent(12, 6, 36, 3, 2, 1500, 200)


@dataclass(frozen=True)
class World:
    """Pool and test set with their true labels, and the pool as documents; `cold` are the frames of 300 K."""

    pool: list[LabelledFrame]
    test: list[LabelledFrame]
    cold: np.ndarray
    structures: list[Structure]


def run_dynamics(task: tuple[int, float, int, int]) -> list[Frame]:
    """Frames, 50 fs apart, of a run with a pair potential that keeps ions apart at any temperature."""
    temperature, strain, n_frames, seed = task
    sys.path.insert(0, str(CALCULATORS))
    from ase import units
    from ase.md.bussi import Bussi
    from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
    from toy_calculator import ToyIonic

    from lizrcl_flows.science.structures import atoms_from_structure

    warnings.simplefilter("ignore")
    atoms = atoms_from_structure(load_structure("Li2ZrCl6_alpha_ordered"))
    atoms.set_cell(atoms.cell * (1 + strain), scale_atoms=True)
    atoms.calc = ToyIonic()
    rng = np.random.default_rng(seed)
    MaxwellBoltzmannDistribution(atoms, temperature_K=temperature, rng=rng)
    dynamics = Bussi(atoms, 2 * units.fs, temperature_K=temperature, taut=50 * units.fs, rng=rng)
    dynamics.run(100)
    frames = []
    for _ in range(n_frames):
        dynamics.run(25)
        frames.append((tuple(atoms.get_chemical_symbols()), atoms.cell.array.copy(), atoms.positions.copy()))
    return frames


def tight_binding(frame: Frame) -> LabelledFrame | None:
    """Label a frame with GFN1-xTB; None where that does not converge."""
    from ase import Atoms
    from ase.calculators.calculator import CalculationFailed
    from tblite.ase import TBLite

    species, cell, positions = frame
    atoms = Atoms(species, positions, cell=cell, pbc=True)
    atoms.calc = TBLite(method="GFN1-xTB", max_iterations=300, accuracy=1.0, verbosity=0)
    try:
        energy, forces, stress = atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress(voigt=False)
    except CalculationFailed:
        return None
    return LabelledFrame(species, cell, positions, energy, forces, -(stress * atoms.get_volume())[VOIGT])


def make_world(extent: Extent, workers: ProcessPoolExecutor) -> World:
    def runs(first_seed: int, n_frames: int, temperatures: Sequence[int]) -> list[list[Frame]]:
        places = list(product(temperatures, STRAINS))
        tasks = [(t, s, n_frames, first_seed + number) for number, (t, s) in enumerate(places)]
        return list(workers.map(run_dynamics, tasks))

    begin = time.perf_counter()
    learnt = runs(3000, -(-extent.truth_labels // 12), TEMPERATURES_K)
    labels = [label for label in workers.map(tight_binding, [f for run in learnt for f in run]) if label]
    held_out, given = labels[::8], [label for number, label in enumerate(labels) if number % 8]
    truth = train(replace(TRUTH, generation=extent.truth_steps), given, held_out, TrainingOptions(seed=1, threads=2))
    assert truth.test is not None
    print(
        f"truth: {len(given)} GFN1-xTB labels, force error {1e3 * truth.test.force:.0f} meV/A on {len(held_out)} others"
    )
    teacher = Committee([truth.model])
    pool = runs(1000, extent.frames_per_run, (300, *TEMPERATURES_K))
    test = runs(2000, extent.test_per_run, TEMPERATURES_K)
    labelled = answers(teacher, [frame for run in pool for frame in run])
    tested = answers(teacher, [frame for run in test for frame in run])
    cold = np.arange(6 * extent.frames_per_run)  # the runs at 300 K come first
    structures = [
        structure_from_frame(Plain(frame), origin=Origin(kind="exploration", parameters={"frame": n}))
        for n, frame in enumerate(labelled)
    ]
    force = np.sqrt(np.mean([np.mean(frame.forces**2) for frame in tested]))
    print(
        f"pool {len(labelled)} frames, test {len(tested)} with forces of {force:.3f} eV/A rms; "
        f"{time.perf_counter() - begin:.0f} s",
        flush=True,
    )
    return World(labelled, tested, cold, structures)


class Plain:
    """A labelled frame as a frame of a trajectory."""

    def __init__(self, frame: LabelledFrame) -> None:
        self.species, self.cell, self.positions = frame.species, frame.cell, frame.positions
        self.pbc = np.array([True, True, True])


def answers(teacher: Committee, frames: Sequence[Frame]) -> list[LabelledFrame]:
    """Label frames with the truth."""
    empty = [LabelledFrame(*frame, 0.0, np.zeros_like(frame[2])) for frame in frames]
    return [
        replace(frame, energy=float(result.energy[0]), forces=result.forces[0], virial=result.virial[0][VOIGT])
        for frame, result in zip(empty, teacher.evaluate(empty), strict=True)
    ]


def train_members(frames: list[LabelledFrame], steps: int, seed: int) -> Models:
    config = replace(STUDENT, generation=steps)
    return [train(config, frames, options=TrainingOptions(seed=seed + m)).model for m in range(N_MEMBERS)]


def choose(strategy: str, world: World, taken: list[int], committee: Committee, seed: int) -> list[int]:
    """Choose the next frames as the job does: eps, then the selector with what is known."""
    engine, atoms_each, filtered = STRATEGIES[strategy]
    free = np.setdiff1d(np.arange(len(world.pool)), taken)
    results = committee.evaluate([world.pool[i] for i in free])
    eps = np.array([result.eps for result in results])
    if filtered:
        rule = ScreeningSpec(mode="adaptive", candidate_rate=RATE, n_candidates_min=N_ROUND, eps_lo=1e9, eps_hi=1e9)
        doubtful = eps >= lower_threshold(eps, rule)
        free, eps = free[doubtful], eps[doubtful]
        results = [result for result, kept in zip(results, doubtful, strict=True) if kept]
    rows = committee.descriptors_of([world.pool[i] for i in [*free, *taken]])
    atoms = Environments.of([world.structures[i] for i in [*free, *taken]], rows)
    mine, known = atoms.split(len(free))
    mine = replace(mine, eps=np.concatenate([result.eps_atoms for result in results]))
    pool = Pool(mine.means(), known.means(), eps, environments=mine, known_environments=known)
    spec = SelectionSpec(engine=engine, n_structures=N_ROUND, atoms_per_candidate=atoms_each)  # type: ignore[arg-type]
    selector = make_selector(spec)
    picks = selector.select(pool, N_ROUND, np.random.default_rng(seed)).indices
    return [int(free[i]) for i in picks]


def errors(committee: Committee, world: World) -> tuple[float, float]:
    """Root-mean-square force error of the mean (eV/A) and the 95th percentile of the frames' largest error."""
    squares, largest = [], []
    for frame, result in zip(world.test, committee.evaluate(world.test), strict=True):
        wrong = result.forces.mean(axis=0) - frame.forces
        squares.append(np.mean(wrong**2))
        largest.append(np.linalg.norm(wrong, axis=1).max())
    return float(np.sqrt(np.mean(squares))), float(np.percentile(largest, 95))


def start_of(task: tuple[World, int, Extent]) -> tuple[list[int], Models]:
    """First frames and first committee of a repeat, the same for every strategy."""
    world, repeat, extent = task
    first = np.random.default_rng(repeat).choice(world.cold, N_START, replace=False)
    taken = sorted(int(i) for i in first)
    return taken, train_members([world.pool[i] for i in taken], extent.steps(N_START), 1000 * repeat)


def course(task: tuple[World, str, int, Extent, tuple[list[int], Models]]) -> np.ndarray:
    """Errors after each round, shape (rounds + 1, 2)."""
    world, strategy, repeat, extent, (first, models) = task
    taken, found = list(first), []
    for number in range(extent.rounds + 1):
        if number:
            frames = [world.pool[i] for i in taken]
            models = train_members(frames, extent.steps(len(taken)), 1000 * repeat + 10 * number)
        committee = Committee(models)
        found.append(errors(committee, world))
        if number < extent.rounds:
            taken += choose(strategy, world, taken, committee, 100 * repeat + number)
    return np.array(found)


def labels_to_reach(error: float, labels: np.ndarray, curve: np.ndarray) -> float:
    """Labels at which a curve first falls to an error, between the points by a straight line; NaN where it does not."""
    below = np.flatnonzero(curve <= error)
    if len(below) == 0:
        return float("nan")
    last = below[0]
    if last == 0:
        return float(labels[0])
    part = (curve[last - 1] - error) / (curve[last - 1] - curve[last])
    return float(labels[last - 1] + part * (labels[last] - labels[last - 1]))


def label_efficiency(world: World, extent: Extent, strategies: Sequence[str], workers: ProcessPoolExecutor) -> None:
    begin = time.perf_counter()
    starts = list(workers.map(start_of, [(world, r, extent) for r in range(extent.repeats)]))
    tasks = [(world, s, r, extent, starts[r]) for r in range(extent.repeats) for s in strategies]
    curves: dict[str, list[np.ndarray]] = {name: [] for name in strategies}
    for task, curve in zip(tasks, workers.map(course, tasks), strict=True):
        curves[task[1]].append(curve)
        print(
            f"  repeat {task[2]} {task[1]}: " + " ".join(f"{e:.3f}" for e in curve[:, 0]), file=sys.stderr, flush=True
        )
    labels = N_START + N_ROUND * np.arange(extent.rounds + 1)
    means = {name: np.mean(found, axis=0) for name, found in curves.items()}
    final = means["random"][-1, 0]
    print(f"\nforce RMSE (eV/A) on the test set, mean of {extent.repeats} repeats; P95 of the largest error of a frame")
    print(f"{'labels':<22}" + "".join(f"{n:>7}" for n in labels) + f"{'std':>8}{'P95':>8}{'to reach':>10}{'ratio':>8}")
    for name, curve in means.items():
        needed = labels_to_reach(final, labels, curve[:, 0])
        spread = np.std([found[-1, 0] for found in curves[name]])
        print(
            f"{name:<22}"
            + "".join(f"{e:7.3f}" for e in curve[:, 0])
            + f"{spread:8.3f}{curve[-1, 1]:8.2f}{needed:10.1f}{needed / labels[-1]:8.2f}"
        )
    print("to reach: labels needed for random's last error; ratio: of random's number (asked for: at most 0.50)")
    print(f"{time.perf_counter() - begin:.0f} s for {extent.repeats * len(strategies)} courses")


def screening(threads: int, n_frames: int = 1000) -> None:
    """Judge frames of 108 atoms with a committee of the study's size, and choose 20 of the tenth it doubts most."""
    header = NepHeader(4, (*SPECIES, "O"), ((6.0, 5.0),) * 4, (8, 8), (12, 12), 4, True, False, 50)
    rng = np.random.default_rng(0)
    models = [
        NepModel(
            header, rng.normal(scale=0.2, size=header.n_parameters), np.full(header.n_descriptors, 0.1), (200, 100)
        )
        for _ in range(N_MEMBERS)
    ]
    committee = Committee(models)
    cell = supercell(load_structure("Li2ZrCl6_ideal_P-31c", phase="ideal"), (3, 2, 1))
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "dump.xyz"
        write_run(path, cell, n_frames, rng)
        run = a_run(cell, n_frames)
        begin = time.perf_counter()
        explored = ExploredFrames.judge("benchmark", [run], [path], committee, threads)
        judged = time.perf_counter() - begin
        rule = ScreeningSpec(mode="adaptive", candidate_rate=0.1, eps_lo=1e9, eps_hi=1e9, decorrelation_fs=0.0)
        eps_lo = lower_threshold(explored.eps, rule)
        numbers = np.flatnonzero(explored.eps >= eps_lo).tolist()
        structures = explored.structures(numbers)
        contacts = [shortest_contact(structure, rule.geometry_factor) for structure in structures.values()]
        read = time.perf_counter() - begin - judged
    selector = make_selector(SelectionSpec(engine="environments", n_structures=20))
    ordered = [structures[number] for number in numbers]
    pool = describe(committee, selector, ordered, [explored.eps_atoms[number] for number in numbers], ordered[:1])
    picks = selector.select(pool, 20, rng).indices
    everything = time.perf_counter() - begin
    print(f"screening of {n_frames} frames of {cell.n_atoms} atoms, four members, {threads} thread(s):")
    print(f"  read and judged {judged:5.1f} s (asked for: 10 s on two cores), {n_frames / judged:.0f} frames/s")
    print(f"  {len(numbers)} structures read again and {len(contacts)} searched for contacts {read:5.1f} s")
    print(f"  {len(picks)} chosen by their environments {everything - judged - read:5.1f} s; in all {everything:.1f} s")


def write_run(path: Path, cell: Structure, n_frames: int, rng: np.random.Generator) -> None:
    """Write a file of frames as GPUMD does."""
    from ase.io import write

    from lizrcl_flows.science.structures import atoms_from_structure

    frames = []
    for number in range(n_frames):
        atoms = atoms_from_structure(cell)
        atoms.positions += rng.normal(scale=rng.uniform(0.05, 0.2), size=atoms.positions.shape)
        atoms.info["Time"] = 100.0 * (number + 1)
        frames.append(atoms)
    write(path, frames, format="extxyz")


def a_run(cell: Structure, n_frames: int) -> Trajectory:
    return Trajectory(
        purpose="exploration",
        structure=cell.id,
        committee="com_0",
        n_atoms=cell.n_atoms,
        formula=cell.formula,
        phase=cell.phase,
        ensemble="nvt",
        temperature_k=600.0,
        steps=100 * n_frames,
        time_step_fs=1.0,
        sample_every=100,
        seed=0,
        engine="gpumd",
        n_frames=n_frames,
        health=Health(status="ok"),
    )


def cached_world(extent: Extent, cache: Path | None, workers: ProcessPoolExecutor) -> World:
    """Make pool, test set and truth, or read them from where an earlier run of the same extent left them."""
    path = cache / f"active_learning_{extent.frames_per_run}_{extent.truth_labels}.pickle" if cache else None
    if path and path.exists():
        with path.open("rb") as stream:
            found: World = pickle.load(stream)
        return found
    world = make_world(extent, workers)
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pickle.dumps(world))
    return world


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two repeats and fewer labels")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--repeats", type=int)
    parser.add_argument("--strategies", nargs="+", choices=list(STRATEGIES), default=list(STRATEGIES))
    parser.add_argument("--only", choices=("labels", "screening"))
    parser.add_argument("--cache", type=Path, help="folder that keeps truth and frames between runs")
    asked = parser.parse_args()
    if os.environ.get("OMP_NUM_THREADS") != "1":
        print("set OMP_NUM_THREADS=1: the processes share the cores", file=sys.stderr)
    if asked.only != "labels":
        screening(asked.processes)
    if asked.only == "screening":
        return
    extent = QUICK if asked.quick else Extent()
    extent = replace(extent, repeats=asked.repeats or extent.repeats)
    strategies = list(dict.fromkeys(["random", *asked.strategies]))
    with ProcessPoolExecutor(asked.processes) as workers:
        world = cached_world(extent, asked.cache, workers)
        label_efficiency(world, extent, strategies, workers)


if __name__ == "__main__":
    main()
