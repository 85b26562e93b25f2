"""What calculations of a campaign's kind have cost so far, read from the archive; priors where there are none."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from lizrcl_flows.archive import Archive
from lizrcl_flows.documents import Campaign, Dataset, Label, Level, Model, Trajectory
from lizrcl_flows.documents.spec import CampaignSpec, TrainingSpec
from lizrcl_flows.science.cost_priors import (
    DYNAMICS_CPU,
    DYNAMICS_GPU,
    TRAINING_CPU,
    TRAINING_GPU,
    dynamics_size,
    label_prior,
    relaxation_prior,
    sampling_prior,
)
from lizrcl_flows.science.costs import CostLaw, CostPrior, fit_cost_law
from lizrcl_flows.science.planned_work import EXPLORE, LABEL, PREPARE, PRODUCE, SAMPLE, TRAIN, training_size
from lizrcl_flows.settings import load_settings

OTHER_KIND = 2.0
"""Factor by which a law is less sure where it rests on another level of theory or another shape of potential."""

MACHINE = 1.25
"""Factor, up or down, by which everything may take another time tomorrow: other machines, other load."""

_SHAPE = ("cutoff_radial_a", "cutoff_angular_a", "n_max", "basis_size", "l_max", "neurons", "zbl_a")
_NEP, _GPUMD = "lizrcl-nep", "lizrcl-gpumd"


@dataclass(frozen=True)
class Point:
    """One calculation that was done.

    Attributes
    ----------
    size
        That its cost goes with.
    same
        Whether it is of the very kind that is planned: same level of theory, or same shape of potential.
    """

    size: float
    core_hours: float
    wall_s: float
    campaign: str | None
    generation: int | None
    same: bool = True


@dataclass(frozen=True)
class StageCost:
    """What one kind of calculation costs.

    Attributes
    ----------
    law
        Core hours by size.
    source
        What it rests on, in words.
    cores
        Core hours of one hour of such a calculation.
    """

    law: CostLaw
    source: str
    cores: float = 1.0

    @property
    def fitted(self) -> bool:
        """Whether anything computed stands behind it."""
        return self.law.n_points > 0


@dataclass(frozen=True)
class Costs:
    """What the calculations of a campaign cost.

    Attributes
    ----------
    label, training, dynamics
        By atoms; by environments times steps; by atoms times steps (`science.cost_priors.dynamics_size`).
    sampling, relaxation
        With the foundation model: by atoms times steps; by atoms.
    """

    label: StageCost
    training: StageCost
    dynamics: StageCost
    sampling: StageCost
    relaxation: StageCost

    def by_stage(self) -> dict[str, StageCost]:
        """Return them by the stage of the loop that they are costs of."""
        return {
            PREPARE: self.relaxation,
            SAMPLE: self.sampling,
            LABEL: self.label,
            TRAIN: self.training,
            EXPLORE: self.dynamics,
            PRODUCE: self.dynamics,
        }


@dataclass(frozen=True)
class Observations:
    """Everything that has been computed and is of the kind that a campaign computes.

    Attributes
    ----------
    on_gpu
        Whether training and dynamics are done by GPUMD's own programs, by the settings of this machine or by what the
        campaign has done so far.
    """

    spec: CampaignSpec
    on_gpu: tuple[bool, bool]
    labels: list[Point] = field(default_factory=list)
    trainings: list[Point] = field(default_factory=list)
    runs: list[Point] = field(default_factory=list)
    sampling: list[Point] = field(default_factory=list)
    relaxations: list[Point] = field(default_factory=list)

    @classmethod
    def read(
        cls, archive: Archive | None, spec: CampaignSpec, level: Level | None = None, *, gpumd: bool | None = None
    ) -> "Observations":
        """Read what there is; nothing where there is no archive.

        Parameters
        ----------
        level
            Level of theory of the campaign's labels, where it can be told on this machine.
        gpumd
            Whether GPUMD's own programs train and run; where absent, as the campaign did, or as this machine would.
        """
        given = None if gpumd is None else (gpumd, gpumd)
        if archive is None:
            return cls(spec, given or _on_gpu())
        reader = _Reader(archive, spec, level, given)
        return cls(
            spec,
            reader.on_gpu,
            labels=reader.labels(),
            trainings=reader.trainings(),
            runs=reader.runs(),
            sampling=reader.sampling(),
            relaxations=reader.relaxations(),
        )

    def costs(self, before: int | None = None) -> Costs:
        """Return the laws that this amounts to.

        Parameters
        ----------
        before
            Leave out what this very campaign has computed from this generation on: what was known by then.
        """
        spec, foundation = self.spec, self.spec.foundation
        calculator = foundation.calculator if foundation else ""

        def known(point: Point) -> bool:
            return before is None or point.campaign != spec.name or (point.generation or 0) < before

        def stage(points: Iterable[Point], prior: CostPrior, words: str, others: str, of: str) -> StageCost:
            return _stage([point for point in points if known(point)], prior, (words, others, of))

        training = TRAINING_GPU if self.on_gpu[0] else TRAINING_CPU
        dynamics = DYNAMICS_GPU if self.on_gpu[1] else DYNAMICS_CPU
        shape, slow = "potentials of another shape", f"{calculator} on a CPU"
        programs = (
            "GPUMD's nep, in GPU hours" if self.on_gpu[0] else "lizrcl-nep on a CPU",
            "gpumd, in GPU hours" if self.on_gpu[1] else "lizrcl-gpumd on a CPU",
        )
        return Costs(
            label=stage(
                self.labels,
                label_prior(spec.labelling.engine, spec.labelling.calculator),
                "labels of this level",
                "labels of other levels of the same code",
                spec.labelling.calculator or spec.labelling.engine,
            ),
            training=stage(self.trainings, training, "trainings of this shape", f"trainings of {shape}", programs[0]),
            dynamics=stage(self.runs, dynamics, "runs with this shape", f"runs with {shape}", programs[1]),
            sampling=stage(self.sampling, sampling_prior(calculator), f"runs with {calculator}", "", slow),
            relaxation=stage(
                self.relaxations, relaxation_prior(calculator), f"relaxations with {calculator}", "", slow
            ),
        )


def _stage(points: Sequence[Point], prior: CostPrior, words: tuple[str, str, str]) -> StageCost:
    """Return the law of some points; `words` name those of the very kind, the others, and what a prior is of."""
    same = [point for point in points if point.same]
    used = same or points
    law = fit_cost_law([point.size for point in used], [point.core_hours for point in used], prior)
    if not law.n_points:
        return StageCost(law, f"a rough prior for {words[2]}")
    wall_h = sum(point.wall_s for point in used) / 3600
    cores = sum(point.core_hours for point in used) / wall_h if wall_h else 1.0
    law = law.widened(MACHINE)
    if same:
        return StageCost(law, f"{law.n_points} {words[0]}", cores)
    return StageCost(law.widened(OTHER_KIND), f"{law.n_points} {words[1]}", cores)


class _Reader:
    """Reads documents as points."""

    def __init__(
        self, archive: Archive, spec: CampaignSpec, level: Level | None, on_gpu: tuple[bool, bool] | None
    ) -> None:
        self.archive, self.spec, self.level = archive, spec, level
        self.specs = {entry.name: entry.current for entry in archive.find(Campaign, {})}
        self.on_gpu = on_gpu or self._programs()

    def labels(self) -> list[Point]:
        same, similar = self._levels()
        wanted = {"level": {"$in": [*same, *similar]}, "purpose": {"$ne": "ranking"}, "core_hours": {"$gt": 0}}
        return self._points(Label, wanted, ["n_atoms", "level"], lambda entry: entry["n_atoms"], same=same)

    def relaxations(self) -> list[Point]:
        names = self._with_same_foundation()
        wanted = {"campaign": {"$in": names}, "purpose": "ranking", "core_hours": {"$gt": 0}}
        return self._points(Label, wanted, ["n_atoms"], lambda entry: entry["n_atoms"])

    def sampling(self) -> list[Point]:
        wanted = {"campaign": {"$in": self._with_same_foundation()}, "purpose": "sampling"}
        fields = ["n_atoms", "steps"]
        return self._points(Trajectory, wanted, fields, lambda entry: entry["n_atoms"] * entry["steps"])

    def runs(self) -> list[Point]:
        wanted = {"purpose": {"$in": ["exploration", "production"]}, **_program(_GPUMD, ours=not self.on_gpu[1])}
        fields = ["n_atoms", "steps", "equilibration_steps", "equilibration_temperature_k", "heating_steps", "health"]

        def size(entry: dict[str, Any]) -> float:
            before = entry.get("equilibration_steps", 0)
            if entry.get("equilibration_temperature_k") is not None:  # there, on the way, and at its own temperature
                before = 2 * before + entry.get("heating_steps", 0)
            steps = entry["steps"] + before
            if entry["health"]["status"] != "ok":
                steps = entry["health"].get("last_step") or 0
            return dynamics_size(entry["n_atoms"], steps, on_gpu=self.on_gpu[1])

        return self._points(Trajectory, wanted, fields, size)

    def trainings(self) -> list[Point]:
        wanted = _program(_NEP, ours=not self.on_gpu[0])
        datasets = {entry["_id"]: entry for entry in self.archive.find_records(Dataset, {}, fields=["n_labels"])}
        atoms = self._mean_atoms()

        def size(entry: dict[str, Any]) -> float:
            told = entry["hyperparameters"]
            spec = self.specs.get(entry["campaign"] or "")
            share = spec.training.bagging if spec else 1.0
            n_labels = datasets.get(entry["dataset"], {}).get("n_labels", 0) * share
            return training_size(told["generation"], told["batch"], n_labels, atoms.get(entry["campaign"], 100.0))

        return self._points(Model, wanted, ["hyperparameters", "dataset"], size)

    def _points(
        self,
        kind: type[Label | Model | Trajectory],
        wanted: dict[str, Any],
        fields: Sequence[str],
        size: Callable[[dict[str, Any]], float],
        same: Sequence[str] | None = None,
    ) -> list[Point]:
        """Return the documents that match as points; `same` are levels, else the shape of the campaign's potential."""
        asked = [*fields, "core_hours", "wall_s", "campaign", "generation"]
        like = self._of_this_shape()
        points = []
        for entry in self.archive.find_records(kind, wanted, fields=asked, sort=[("_id", 1)]):
            alike = entry["level"] in same if same is not None else kind is Label or entry["campaign"] in like
            point = (entry["core_hours"], entry["wall_s"], entry.get("campaign"), entry.get("generation"))
            points.append(Point(float(size(entry)), *point, same=alike))
        return points

    def _levels(self) -> tuple[list[str], list[str]]:
        """Return the ids of the levels of this campaign, and of those of the same code."""
        spec = self.spec.labelling
        of_campaign = {"campaign": self.spec.name, "purpose": "train"}
        found = self.archive.find_records(Label, of_campaign, fields=["level"], limit=1)
        same = [*([self.level.id] if self.level else []), *(entry["level"] for entry in found)]
        alike: dict[str, Any] = {"engine": spec.engine}
        if spec.engine == "ase":
            alike["code"] = self.level.code if self.level else spec.calculator
        similar = [entry["_id"] for entry in self.archive.find_records(Level, alike, fields=["_id"])]
        return same, [name for name in similar if name not in same]

    def _of_this_shape(self) -> set[str]:
        shape = _shape(self.spec.training)
        return {name for name, spec in self.specs.items() if _shape(spec.training) == shape}

    def _with_same_foundation(self) -> list[str]:
        wanted = self.spec.foundation
        return [name for name, spec in self.specs.items() if wanted is not None and spec.foundation == wanted]

    def _mean_atoms(self) -> dict[str | None, float]:
        """Return the mean number of atoms of the training labels of each campaign."""
        sums: dict[str | None, tuple[int, int]] = {}
        wanted = {"purpose": {"$in": ["train", "import"]}, "status": "accepted"}
        for entry in self.archive.find_records(Label, wanted, fields=["campaign", "n_atoms"]):
            count, atoms = sums.get(entry["campaign"], (0, 0))
            sums[entry["campaign"]] = (count + 1, atoms + entry["n_atoms"])
        return {name: atoms / count for name, (count, atoms) in sums.items()}

    def _programs(self) -> tuple[bool, bool]:
        """Return whether GPUMD's programs train and run: as they did in this campaign, else by the settings."""
        trained, ran = _on_gpu()
        driven = {"committee": {"$ne": None}}
        return self._foreign(Model, {}, _NEP, trained), self._foreign(Trajectory, driven, _GPUMD, ran)

    def _foreign(self, kind: type[Model | Trajectory], criteria: dict[str, Any], program: str, otherwise: bool) -> bool:
        """Return whether another program than ours did the last calculation of this campaign."""
        wanted = {"campaign": self.spec.name, "provenance.executable": {"$ne": None}, **criteria}
        last = self.archive.find_records(
            kind, wanted, fields=["provenance.executable"], sort=[("generation", -1)], limit=1
        )
        return next((program not in entry["provenance"]["executable"] for entry in last), otherwise)


def _program(name: str, *, ours: bool) -> dict[str, Any]:
    pattern = {"$regex": name}
    return {"provenance.executable": pattern if ours else {"$not": pattern, "$ne": None}, "core_hours": {"$gt": 0}}


def _shape(training: TrainingSpec) -> tuple[object, ...]:
    return tuple(getattr(training, name) for name in _SHAPE)


def _on_gpu() -> tuple[bool, bool]:
    settings = load_settings()
    return _NEP not in settings.resolved_nep_command(), _GPUMD not in settings.resolved_gpumd_command()
