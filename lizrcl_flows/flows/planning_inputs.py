"""What a plan starts from: the sizes of the cells, how far the campaign is, what this machine lacks."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from lizrcl_flows.archive import Archive
from lizrcl_flows.documents import Campaign, Dataset, Generation, Label, Level, Model, Structure, Trajectory
from lizrcl_flows.documents.spec import CampaignSpec
from lizrcl_flows.engines.processes import find_program
from lizrcl_flows.errors import LizrclError
from lizrcl_flows.flows.campaign import CampaignMaker
from lizrcl_flows.jobs.turns import is_production, next_step
from lizrcl_flows.science.phases import starting_structures
from lizrcl_flows.science.planned_work import Cells
from lizrcl_flows.settings import load_settings


@dataclass(frozen=True)
class Progress:
    """How far a campaign is: the generation to come, what closed ones have spent, labels of the training set."""

    index: int = 0
    labels: int = 0
    core_hours: float = 0.0
    n_train: int = 0
    learning: bool = True
    production: bool = True
    why: str = ""


def unstored(spec: CampaignSpec) -> Campaign:
    """Return the campaign that a file would make, with names in the place of what is not built yet."""
    return Campaign(
        name=spec.name,
        spec=spec,
        phases={phase.name: phase.name for phase in spec.phases},
        prepared={name: name for name in spec.interface_names()},
    )


def static_jobs(maker: CampaignMaker, campaign: Campaign, cells: Cells, turn: int | str) -> Counter[str]:
    """Return the Fireworks that a turn is submitted with, by category; those that fan out later are not among them."""
    prepared = {**{name: name for name in cells.explored if name not in campaign.phases}, **campaign.prepared}
    known = Campaign.from_record({**campaign.to_record(), "prepared": prepared})
    return Counter(_category(job) for job in _jobs_in(maker.make_turn(known, turn)))


def _jobs_in(flow: Any) -> Iterator[Any]:
    for part in flow.jobs:
        if hasattr(part, "jobs"):
            yield from _jobs_in(part)
        else:
            yield part


def _category(job: Any) -> str:
    return str((job.config.manager_config or {}).get("_category", "cpu"))


def cell_sizes(source: CampaignSpec | Campaign, archive: Archive | None) -> dict[str, int]:
    """Return the atoms of phases and of interfaces that are built, by name."""
    if isinstance(source, CampaignSpec) or archive is None:
        spec = source if isinstance(source, CampaignSpec) else source.current
        return {name: cell.n_atoms for name, cell in starting_structures(spec).items()}
    cells = {**source.phases, **source.prepared}
    wanted = {"_id": {"$in": sorted(set(cells.values()))}}
    atoms = {entry["_id"]: entry["n_atoms"] for entry in archive.find_records(Structure, wanted, fields=["n_atoms"])}
    return {name: atoms[cell] for name, cell in cells.items()}


def imported_labels(archive: Archive | None, spec: CampaignSpec) -> int:
    """Return the labels that the training set begins with."""
    if archive is None:
        return 0
    return sum(archive.get(Dataset, name).n_labels for name in spec.initial.datasets)


def progress_of(archive: Archive, campaign: Campaign) -> Progress:
    """Read how far a campaign is; what a running turn has done so far counts as still to do."""
    closed = list(archive.find(Generation, {"campaign_id": campaign.id}, sort=[("index", 1)]))
    index = closed[-1].index + 1 if closed else 0
    awake = Campaign.from_record({**campaign.to_record(), "state": "running"})
    step = next_step(archive, awake)
    learning = isinstance(step.turn, int) or not closed
    labels, hours = campaign.labels_spent, campaign.core_hours_spent
    if learning:
        running = {"campaign": campaign.name, "generation": {"$gte": index}}
        for kind in (Label, Model, Trajectory):
            for entry in archive.find_records(kind, running, fields=["core_hours", "purpose"]):
                hours -= entry["core_hours"]
                labels -= int(kind is Label and entry["purpose"] != "ranking")
    dataset = closed[-1].dataset if closed else None
    return Progress(
        index=index,
        labels=max(0, labels),
        core_hours=max(0.0, hours),
        n_train=archive.get(Dataset, dataset).n_labels if dataset else 0,
        learning=learning,
        production=is_production(step.turn) or learning,
        why="" if learning else step.why,
    )


def level_of(maker: CampaignMaker) -> Level | None:
    """Return the level of theory of the labels, or None where it cannot be told on this machine."""
    try:
        return maker.generation.labeller.level()
    except LizrclError:
        return None


def missing_here(maker: CampaignMaker, spec: CampaignSpec) -> Iterator[str]:
    """Yield what this machine lacks of what the campaign needs, a sentence each."""
    settings, initial, elements = load_settings(), maker.generation.initial, spec.elements
    checks: list[Callable[[], object]] = [
        partial(initial.labeller.require, elements),
        initial.labeller.level,
        *(partial(engine.require, elements) for engine in (initial.relaxer, initial.sampler) if engine is not None),
        partial(find_program, settings.resolved_nep_command(), "LIZRCL_NEP_COMMAND"),
        partial(find_program, settings.resolved_gpumd_command(), "LIZRCL_GPUMD_COMMAND"),
    ]
    told = []
    for check in checks:
        try:
            check()
        except LizrclError as error:
            told.append(str(error))
    yield from dict.fromkeys(told)
