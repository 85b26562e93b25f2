"""Which explored frames get a label: controls by lot first, then the selector's choice, within quotas and budget."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lizrcl_flows.archive import Archive
from lizrcl_flows.documents import Campaign, Label, Model, Structure, Trajectory
from lizrcl_flows.engines.selection.base import Pool, Selector
from lizrcl_flows.jobs.context import derived_seed
from lizrcl_flows.jobs.datasets import dataset_before
from lizrcl_flows.jobs.explored import EpsAtoms, ExploredFrames
from lizrcl_flows.jobs.training import labelled_structures
from lizrcl_flows.nep import Committee as NepCommittee
from lizrcl_flows.science.cost_priors import label_prior
from lizrcl_flows.science.costs import CostPrior, fit_cost_law
from lizrcl_flows.science.descriptors import mean_descriptors, nep_environments
from lizrcl_flows.science.geometry import shortest_contact
from lizrcl_flows.science.quotas import Allowance, Means, Ranked, fill, means_within, n_controls

COST_FACTOR = 3.0
"""Factor within which the mean cost of the labels so far is believed to be that of a label, before it is fitted."""

CONTROLS_PER_READ = 8
"""Frames that are read at a time in search of controls; most are fit."""


@dataclass(frozen=True)
class Chosen:
    """Frames that get a label, by their numbers.

    Attributes
    ----------
    controls
        Drawn at random, with their structures.
    picks
        Chosen by the selector, in its order.
    notes
        What is worth saying.
    """

    controls: Mapping[int, Structure]
    picks: Sequence[Ranked]
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Candidates:
    """Frames that passed every filter, with what the selector needs of them; equally many of each."""

    numbers: Sequence[int]
    structures: Sequence[Structure]
    eps_atoms: Sequence[EpsAtoms]

    def without(self, numbers: Collection[int]) -> "Candidates":
        """Return the candidates but for some of them."""
        kept = [i for i, number in enumerate(self.numbers) if number not in numbers]
        return Candidates(
            [self.numbers[i] for i in kept],
            [self.structures[i] for i in kept],
            [self.eps_atoms[i] for i in kept],
        )


def choose(
    archive: Archive,
    place: tuple[Campaign, int],
    explored: ExploredFrames,
    candidates: Candidates,
    how: tuple[NepCommittee, Selector],
) -> Chosen:
    """Choose what to label in a generation.

    The seed of the campaign and the index decide the lot; nothing depends on what other jobs do meanwhile.

    Parameters
    ----------
    place
        Campaign and index of the generation.
    how
        The committee that explored, and the selector.
    """
    campaign, index = place
    spec = campaign.current
    means = label_means(archive, campaign, index)
    allowance = Allowance(means, spec.selection.quotas)
    cost_of = label_cost(archive, campaign, index) if means.core_hours is not None else _unknown
    controls = _draw_controls(archive, place, explored, allowance, cost_of)
    left = candidates.without(controls)
    options = [
        explored.option(number, cost_of(structure))
        for number, structure in zip(left.numbers, left.structures, strict=True)
    ]
    notes = [means.why] if means.why else []
    picks: list[Ranked] = []
    if options and allowance.n_left > 0:
        known = [*_training_set(archive, campaign, index), *controls.values()]
        rank = Ranker(how[1], describe(*how, left.structures, left.eps_atoms, known), _lot(campaign, "select", index))
        picks, short = fill(options, allowance, rank)
        notes += short
    if spec.selection.random_share and any(run.n_checked is not None for run in explored.runs):
        notes.append("controls come from the frames that `active` wrote: they are no sample of all that were explored")
    return Chosen(controls, [replace(pick, index=left.numbers[pick.index]) for pick in picks], notes)


@dataclass(frozen=True)
class Ranker:
    """A selector that ranks parts of a pool."""

    selector: Selector
    pool: Pool
    rng: np.random.Generator

    def __call__(self, allowed: Sequence[int], chosen: Sequence[int], n: int) -> list[Ranked]:
        """Rank candidates, see `science.quotas.Ranking`."""
        whole = not chosen and len(allowed) == len(self.pool.descriptors)
        found = self.selector.select(self.pool if whole else self.pool.part(allowed, chosen), n, self.rng)
        radii = found.radii or (None,) * len(found.indices)
        return [
            Ranked(allowed[i], score, radius)
            for i, score, radius in zip(found.indices, found.scores, radii, strict=True)
        ]


def label_means(archive: Archive, campaign: Campaign, index: int) -> Means:
    """Return how many labels a generation may have, and for how many core hours."""
    spec = campaign.current
    here = {"campaign": campaign.name, "generation": index}
    reserved = 0.0
    if spec.budget.core_hours is not None or spec.budget.core_hours_per_generation is not None:
        trained = archive.find_records(
            Model, {"campaign": campaign.name, "generation": {"$lt": index}}, fields=["generation", "core_hours"]
        )
        hours: dict[int, float] = {}
        for record in trained:
            hours[record["generation"]] = hours.get(record["generation"], 0.0) + record["core_hours"]
        reserved = hours[max(hours)] if hours else 0.0  # what the last committee took, the next will
    explored = sum(run["core_hours"] for run in archive.find_records(Trajectory, here, fields=["core_hours"]))
    spent = (campaign.core_hours_spent, float(explored))
    return means_within(spec.selection.n_structures, spec.budget, campaign.labels_spent, spent, reserved)


def label_cost(archive: Archive, campaign: Campaign, index: int) -> Callable[[Structure], float | None]:
    """Return a function that predicts core hours of a label, at the upper end of its interval.

    It rests on the labels that the campaign has computed before this generation; None where there is none.
    """
    asked = {"campaign": campaign.name, "generation": {"$lt": index}, "purpose": {"$ne": "ranking"}}
    found = list(archive.find_records(Label, asked, fields=["n_atoms", "core_hours"], sort=[("_id", 1)]))
    sizes = np.array([record["n_atoms"] for record in found], dtype=float)
    hours = np.array([record["core_hours"] for record in found], dtype=float)
    paid = hours > 0
    if not paid.any():
        return _unknown
    middle = float(np.exp(np.log(sizes[paid]).mean())), float(np.exp(np.log(hours[paid]).mean()))
    labelling = campaign.current.labelling
    believed = label_prior(labelling.engine, labelling.calculator)  # labels of one size cannot tell the exponent
    law = fit_cost_law(
        sizes, hours, CostPrior(*middle, COST_FACTOR, exponent=believed.exponent, exponent_sd=believed.exponent_sd)
    )
    known: dict[int, float] = {}

    def cost(structure: Structure) -> float:
        if structure.n_atoms not in known:
            known[structure.n_atoms] = law.predict([structure.n_atoms]).high
        return known[structure.n_atoms]

    return cost


def known_structures(archive: Archive, campaign: Campaign, index: int) -> set[str]:
    """Return the structures that got a label, or were to get one, in generations before this one.

    Labels of this generation do not count: screening may be done again after some of them were computed, and is to
    come to the same end.
    """
    asked = {"campaign": campaign.name, "purpose": {"$ne": "ranking"}, "generation": {"$lt": index}}
    return {record["structure"] for record in archive.find_records(Label, asked, fields=["structure"])}


def _unknown(_: Structure) -> None:
    return None


def _draw_controls(
    archive: Archive,
    place: tuple[Campaign, int],
    explored: ExploredFrames,
    allowance: Allowance,
    cost_of: Callable[[Structure], float | None],
) -> dict[int, Structure]:
    """Draw frames with equal probability, leaving out those that no label can be computed of or that are known."""
    campaign, index = place
    spec = campaign.current
    wanted = n_controls(allowance.n_left, spec.selection.random_share)
    if wanted == 0:
        return {}
    seen = known_structures(archive, campaign, index)
    order = [int(number) for number in _lot(campaign, "control", index).permutation(len(explored.judged))]
    drawn: dict[int, Structure] = {}
    for start in range(0, len(order), size := max(CONTROLS_PER_READ, 2 * wanted)):
        part = order[start : start + size]
        structures = explored.structures(part)
        for number in part:
            structure = structures[number]
            option = explored.option(number, cost_of(structure))
            if structure.id in seen or not allowance.admits(option):
                continue
            if shortest_contact(structure, spec.screening.geometry_factor) is not None:
                continue
            allowance.take(option)
            seen.add(structure.id)
            drawn[number] = structure
            if len(drawn) == wanted:
                return drawn
    return drawn


def _training_set(archive: Archive, campaign: Campaign, index: int) -> list[Structure]:
    dataset = dataset_before(archive, campaign, "train", index)
    labelled = labelled_structures(archive, archive.dataset_labels(dataset)) if dataset else []
    return [structure for structure, _ in labelled]


def _lot(campaign: Campaign, what: str, index: int) -> np.random.Generator:
    return np.random.default_rng(derived_seed(campaign.current.seed, what, index))


def describe(
    evaluator: NepCommittee,
    selector: Selector,
    structures: Sequence[Structure],
    eps_atoms: Sequence[EpsAtoms],
    known: Sequence[Structure],
) -> Pool:
    """Return the pool of some structures as a selector needs it, with what counts as known."""
    eps = np.array([float(part.max(initial=0.0)) for part in eps_atoms])
    if selector.needs == "rows":
        return Pool(mean_descriptors(evaluator, structures), mean_descriptors(evaluator, known), eps)
    atoms = nep_environments(evaluator, structures, eps_atoms)
    known_atoms = nep_environments(evaluator, known)
    return Pool(atoms.means(), known_atoms.means(), eps, environments=atoms, known_environments=known_atoms)
