"""How much a campaign file asks for in each turn: labels, trainings and runs by the size that their cost goes with.

All of it is what a turn does at the most: exploration may find fewer structures worth a label than are asked for.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from lizrcl_flows.documents.spec import CampaignSpec, ProductionSpec
from lizrcl_flows.science.cost_priors import dynamics_size

PREPARE, SAMPLE, LABEL, TRAIN, EXPLORE, PRODUCE = "prepare", "sample", "label", "train", "explore", "produce"
STAGES = (PREPARE, SAMPLE, LABEL, TRAIN, EXPLORE, PRODUCE)
"""In the order of the loop; names as in the timings of a generation where it has them."""

STUDY_ATOMS = {"study-1": 12240, "study-2": 10560, "study-3": 9720, "study-4": 9792}
"""Atoms of the production cells of arXiv:2601.22612."""


@dataclass(frozen=True)
class Cells:
    """Atoms of the cells of a campaign, by name.

    Attributes
    ----------
    pool
        Cells that the first training set covers.
    explored
        Cells that the loop explores.
    all
        These and all others.
    assumed
        Names of cells that are not built yet and are taken at the largest size allowed.
    """

    pool: Mapping[str, int]
    explored: Mapping[str, int]
    all: Mapping[str, int]
    assumed: tuple[str, ...] = ()


@dataclass
class Amount:
    """Calculations of one stage.

    Attributes
    ----------
    sizes, counts
        What the cost goes with, and how many there are of each.
    n_jobs
        Fireworks that they are in.
    """

    sizes: list[float] = field(default_factory=list)
    counts: list[float] = field(default_factory=list)
    n_jobs: int = 0

    def add(self, size: float, count: float, jobs: int = 0) -> None:
        """Add calculations of one size."""
        if count > 0 and size > 0:
            self.sizes.append(size)
            self.counts.append(count)
            self.n_jobs += jobs

    @property
    def count(self) -> float:
        """Number of calculations."""
        return sum(self.counts)


@dataclass(frozen=True)
class Work:
    """What one turn does.

    Attributes
    ----------
    turn
        Index of a generation, or "production".
    n_labels, n_holdout
        Labels to train on, and held out.
    md_steps
        Steps of all runs together.
    frames
        Frames of all runs together, by atoms.
    stages
        Calculations by stage.
    """

    turn: int | str
    n_labels: int = 0
    n_holdout: int = 0
    md_steps: int = 0
    frames: Mapping[int, int] = field(default_factory=dict)
    stages: Mapping[str, Amount] = field(default_factory=dict)


def cells_of(spec: CampaignSpec, sizes: Mapping[str, int]) -> Cells:
    """Return the cells of a campaign file.

    Parameters
    ----------
    sizes
        Atoms of the phases, supercell included, and of the interfaces that are built, by name.
    """
    phases = {phase.name: sizes[phase.name] for phase in spec.phases}
    pool = {phase.name: phases[phase.name] for phase in spec.phases if phase.explored}
    explored, assumed = dict(pool), list[str]()
    for pair in spec.interfaces:
        built = {name: size for name, size in sizes.items() if name.rpartition(".")[0] == pair.title}
        if not built:
            built = {f"{pair.title}.{place + 1}": pair.max_atoms for place in range(pair.n_orientations * pair.n_kept)}
            assumed.extend(built)
        pool |= built
        explored |= {name: built[name] for name in pair.names() if name in built}
    return Cells(pool, explored, {**phases, **pool}, tuple(assumed))


def first_work(spec: CampaignSpec, cells: Cells, *, n_imported: int = 0) -> Work:
    """Return what generation 0 does.

    Parameters
    ----------
    n_imported
        Labels of imported data sets that the training set begins with.
    """
    initial = spec.initial
    wanted = initial.n_structures + initial.n_holdout
    stages = {PREPARE: _relaxations(spec, cells), SAMPLE: Amount(), LABEL: _labels(cells.pool, wanted)}
    frames: dict[int, int] = {}
    steps = 0
    if initial.sampling is not None:
        sampling = initial.sampling
        for n_atoms in (size for size in cells.pool.values() if size <= sampling.max_atoms):
            runs = len(sampling.conditions)
            stages[SAMPLE].add(n_atoms * sampling.steps, runs, runs)
            steps += runs * sampling.steps
            frames[n_atoms] = frames.get(n_atoms, 0) + runs * (sampling.steps // sampling.sample_every)
    stages[TRAIN] = _trainings(spec, initial.n_structures + n_imported, mean_atoms(cells.pool))
    return Work(0, initial.n_structures, initial.n_holdout, steps, frames, stages)


def generation_work(
    spec: CampaignSpec, cells: Cells, index: int, *, n_labels: int, n_train: int, on_gpu: bool = False
) -> Work:
    """Return what a generation of the loop does.

    Parameters
    ----------
    n_labels
        Labels that it may ask for.
    n_train
        Labels of the training set after it.
    on_gpu
        Whether GPUMD runs the dynamics.
    """
    exploration, explored = spec.exploration, Amount()
    frames: dict[int, int] = {}
    for n_atoms in cells.explored.values():
        runs = exploration.runs_per_phase
        explored.add(dynamics_size(n_atoms, exploration.steps, on_gpu=on_gpu), runs, runs)
        interval = exploration.active_every or exploration.sample_every
        frames[n_atoms] = frames.get(n_atoms, 0) + runs * (exploration.steps // interval)
    stages = {
        EXPLORE: explored,
        LABEL: _labels(cells.explored, n_labels),
        TRAIN: _trainings(spec, n_train, mean_atoms(cells.pool)) if n_labels else Amount(),
    }
    steps = exploration.steps * exploration.runs_per_phase * len(cells.explored)
    return Work(index, n_labels, 0, steps, frames, stages)


def production_work(spec: CampaignSpec, cells: Cells, *, on_gpu: bool = False) -> Work:
    """Return what production does."""
    runs, steps, frames = Amount(), 0, dict[int, int]()
    for run, temperature_k in ProductionSpec.runs(spec.production):
        n_atoms = {**STUDY_ATOMS, **cells.all}.get(run.phase, 0) * math.prod(run.supercell)
        length = run.steps_before(temperature_k) + run.steps
        runs.add(dynamics_size(n_atoms, length, on_gpu=on_gpu), 1, 1)
        steps += length
        frames[n_atoms] = frames.get(n_atoms, 0) + run.steps // run.sample_every
    return Work("production", md_steps=steps, frames=frames, stages={PRODUCE: runs})


def mean_atoms(cells: Mapping[str, int]) -> float:
    """Return the mean number of atoms of cells."""
    return sum(cells.values()) / max(len(cells), 1)


def training_size(steps: float, batch: float, n_labels: float, n_atoms: float) -> float:
    """Return environments times steps of one training on structures of so many atoms in the mean."""
    return steps * min(batch, max(n_labels, 1.0)) * n_atoms


def _labels(cells: Mapping[str, int], wanted: int) -> Amount:
    """Return labels that are spread evenly over cells."""
    amount = Amount()
    for n_atoms in cells.values():
        amount.add(n_atoms, wanted / len(cells))
    return amount


def _trainings(spec: CampaignSpec, n_labels: int, n_atoms: float) -> Amount:
    training, amount = spec.training, Amount()
    if n_labels:
        size = training_size(training.steps, training.batch, n_labels * training.bagging, n_atoms)
        amount.add(size, training.committee_size, training.committee_size)
    return amount


def _relaxations(spec: CampaignSpec, cells: Cells) -> Amount:
    amount = Amount()
    if spec.foundation is None:
        return amount
    for phase in spec.phases:
        count = phase.ordering.n_relaxed if phase.ordering else int(phase.relaxed)
        amount.add(cells.all[phase.name] / math.prod(phase.supercell), count, 1)
    for pair in spec.interfaces:
        built = [size for name, size in cells.pool.items() if name.rpartition(".")[0] == pair.title]
        amount.add(sum(built) / max(len(built), 1), pair.n_orientations * pair.n_built, 1)
    return amount
