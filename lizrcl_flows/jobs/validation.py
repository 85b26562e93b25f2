"""Jobs that try every new committee on more than labels, and the gates that it has to pass."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jobflow import job

from lizrcl_flows.archive import Archive
from lizrcl_flows.documents import (
    Campaign,
    Committee,
    Dataset,
    Evaluation,
    Generation,
    Label,
    Model,
    Origin,
    Structure,
    canonical_sha256,
)
from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.documents.campaigns import GateResult
from lizrcl_flows.documents.curves import EnergyVolumeCurve, HopProfile
from lizrcl_flows.documents.spec_learning import HopSpec, ValidationSpec
from lizrcl_flows.errors import InputError, NotFoundError
from lizrcl_flows.jobs.context import derived_seed, open_archive, provenance, work_directory
from lizrcl_flows.jobs.training import committee_files, committee_of, compare
from lizrcl_flows.nep import Committee as NepCommittee
from lizrcl_flows.nep import NepCalculator
from lizrcl_flows.nep.committee import FrameResult
from lizrcl_flows.science.descriptors import mean_descriptors
from lizrcl_flows.science.energies import shift_energy
from lizrcl_flows.science.single_thread import single_threaded
from lizrcl_flows.science.structures import atoms_from_structure, structure_from_atoms
from lizrcl_flows.science.validation.energy_volume import energy_volume_curve, scaled_cells
from lizrcl_flows.science.validation.gates import Tried
from lizrcl_flows.science.validation.gates import gate_results as judge
from lizrcl_flows.science.validation.hops import find_path, hop_ends, hop_profile
from lizrcl_flows.science.validation.maps import FEWEST, tsne_map
from lizrcl_flows.settings import load_settings

if TYPE_CHECKING:
    from ase import Atoms

TRAIN_SAMPLE = 2000
"""Labels of the training set that a committee is compared with; of a larger set so many are drawn."""


@dataclass
class _Trial:
    """A committee that is tried, and every structure that it is tried on so far."""

    archive: Archive
    place: dict[str, Any]
    committee: NepCommittee
    shifts: list[dict[str, float]]
    level: str
    structures: list[Structure] = field(default_factory=list)
    results: list[FrameResult] = field(default_factory=list)
    labels: list[float | None] = field(default_factory=list)

    def add(self, cells: Sequence[Structure]) -> tuple[list[FrameResult], list[float | None]]:
        """Return what the committee says about some structures, and the energies of their labels (eV)."""
        found = self.committee.evaluate(map(atoms_from_structure, cells), load_settings().threads)
        criteria = {"structure": {"$in": [cell.id for cell in cells]}, "level": self.level, "status": "accepted"}
        energies = {label.structure: label.energy for label in self.archive.find(Label, criteria)}
        labels = [energies.get(cell.id) for cell in cells]
        self.structures += cells
        self.results += found
        self.labels += labels
        return found, labels

    def energies(self) -> tuple[Array, Array]:
        """Return mean energies and those of the labels, NaN where there is none (eV/atom), of all structures."""
        predicted, known = [], []
        for structure, result, label in zip(self.structures, self.results, self.labels, strict=True):
            symbols = atoms_from_structure(structure).get_chemical_symbols()
            shift = float(np.mean([shift_energy(symbols, shift) for shift in self.shifts]))
            predicted.append((float(np.mean(result.energy)) + shift) / structure.n_atoms)
            known.append(np.nan if label is None else label / structure.n_atoms)
        return np.array(predicted), np.array(known)


@job
def validate_curves(campaign_id: str, index: int, dataset: str | None) -> str | None:
    """Try the committee of a training set on energy-volume curves and hops; None where nothing is asked for."""
    with open_archive() as archive:
        campaign = archive.get(Campaign, campaign_id)
        spec = campaign.current.validation
        committee = committee_of(archive, campaign.name, dataset=dataset) if dataset else None
        if committee is None or dataset is None or not (spec.energy_volume or spec.hops or spec.map_structures):
            return None
        mapped = _sample(archive.dataset_labels(dataset), spec.map_structures, campaign.current.seed, "map")
        asked = canonical_sha256(_request(campaign, mapped))
        evaluation_id = Evaluation.id_for(committee=committee.id, kind="curves", labels_sha256=asked)
        if not archive.exists(Evaluation, evaluation_id):
            with work_directory(evaluation_id) as directory:
                place = {"campaign": campaign.name, "generation": index}
                trial = _trial(archive, committee, place, dataset, directory)
                evaluation = _tried(trial, campaign, committee, mapped)
                archive.put(evaluation.revised(labels_sha256=asked, dataset=dataset))
        return evaluation_id


@job
def evaluate_train(campaign_id: str, index: int, dataset: str | None) -> str | None:
    """Compare the committee of a training set with the labels that it was trained on, or a sample of them."""
    with open_archive() as archive:
        campaign = archive.get(Campaign, campaign_id)
        committee = committee_of(archive, campaign.name, dataset=dataset) if dataset else None
        if committee is None or dataset is None:
            return None
        labels = parity_labels(archive, campaign, dataset)
        asked = canonical_sha256(labels)
        evaluation_id = Evaluation.id_for(committee=committee.id, kind="train", labels_sha256=asked)
        if not archive.exists(Evaluation, evaluation_id):
            with work_directory(evaluation_id) as directory:
                place = {"campaign": campaign.name, "generation": index, "provenance": provenance("nep")}
                evaluation = compare(archive, committee, labels, directory, "train")
                archive.put(evaluation.revised(dataset=dataset, parents=(committee.id, dataset), **place))
        return evaluation_id


def gate_results(
    archive: Archive, campaign: Campaign, index: int, before: str | None, after: str | None
) -> tuple[GateResult, ...]:
    """Judge the new committee of a generation by the one that explored it.

    Parameters
    ----------
    before, after
        Ids of the committees; without one of them, or where both are the same, there is nothing to judge.
    """
    if before is None or after is None or before == after:
        return ()
    new = _known_of(archive, after, _newest_holdout(archive, after))
    old, held_back = (
        _known_of(archive, name, new.holdout.labels_sha256 if new.holdout else None) if name else None
        for name in (before, _held_back(archive, campaign, index))
    )
    return judge(old or Tried(), new, campaign.current.validation, held_back)


def _held_back(archive: Archive, campaign: Campaign, index: int) -> str | None:
    """Return the committee of the generation before, where it failed a gate and is not in force."""
    criteria = {"campaign_id": campaign.id, "index": index - 1, "state": "rolled_back"}
    for generation in archive.find(Generation, criteria, limit=1):
        if not all(gate.passed for gate in generation.gates):
            return generation.committee_after
    return None


def _newest_holdout(archive: Archive, committee: str) -> str | None:
    criteria = {"committee": committee, "kind": "holdout"}
    order = [("generation", -1), ("_id", 1)]
    found = archive.find_records(Evaluation, criteria, fields=["labels_sha256"], sort=order, limit=1)
    return next((str(record["labels_sha256"]) for record in found), None)


def _known_of(archive: Archive, committee: str, holdout: str | None) -> Tried:
    """Return the evaluations of a committee on a hold-out and along curves; of several the newest."""
    found: dict[str, Evaluation | None] = {}
    for kind, extra in (("holdout", {"labels_sha256": holdout}), ("curves", {})):
        criteria = {"committee": committee, "kind": kind, **extra}
        order = [("generation", -1), ("created_at", -1), ("_id", 1)]
        found[kind] = next(iter(archive.find(Evaluation, criteria, sort=order, limit=1)), None)
    return Tried(**found)


def parity_labels(archive: Archive, campaign: Campaign, dataset: str) -> list[str]:
    """Return the labels of a training set that its committee is compared with."""
    return _sample(archive.dataset_labels(dataset), TRAIN_SAMPLE, campaign.current.seed, "parity")


def _sample(names: list[str], size: int, *seed: object) -> list[str]:
    """Return so many names, in their order; which ones depends on the seed and the number of names alone."""
    if len(names) <= size:
        return names
    chosen = np.random.default_rng(derived_seed(*seed, len(names))).choice(len(names), size=size, replace=False)
    return [names[i] for i in sorted(chosen)]


def _request(campaign: Campaign, mapped: Sequence[str]) -> dict[str, Any]:
    """Return what the curves are made from, by which their evaluation is named."""
    spec = campaign.current.validation
    request: dict[str, Any] = {}
    if spec.energy_volume:
        cells = [list(pair) for pair in _phase_cells(campaign).items()]
        request["energy_volume"] = {"cells": cells, "range": spec.volume_range, "n": spec.n_volumes}
    if spec.hops:
        known = _phase_cells(campaign)
        request["hops"] = [[known.get(hop.phase), hop.model_dump(mode="json")] for hop in spec.hops]
    return request | ({"map": list(mapped)} if spec.map_structures else {})


def _phase_cells(campaign: Campaign) -> dict[str, str]:
    """Return the structure id of every phase that has a cell; one that could not be ordered has none."""
    known = {**campaign.phases, **campaign.prepared}
    return {phase.name: known[phase.name] for phase in campaign.current.phases if phase.name in known}


def _trial(archive: Archive, committee: Committee, place: dict[str, Any], dataset: str, directory: Path) -> _Trial:
    return _Trial(
        archive=archive,
        place=place,
        committee=NepCommittee.from_files(committee_files(archive, committee, directory)),
        shifts=[model.energy_shift for model in archive.get_many(Model, committee.members)],
        level=archive.get(Dataset, dataset).level,
    )


@single_threaded
def _tried(trial: _Trial, campaign: Campaign, committee: Committee, mapped: Sequence[str]) -> Evaluation:
    """Try a committee on everything that the campaign file asks for; new structures are stored."""
    spec = campaign.current.validation
    cells = _phase_cells(campaign)
    volumes = [_volumes(trial, phase, cell, spec) for phase, cell in cells.items() if spec.energy_volume]
    hops = [_hop(trial, campaign, number, hop) for number, hop in enumerate(spec.hops)]
    energies, labels = trial.energies()
    trial.archive.put_many(_new(trial.archive, trial.structures))
    chart = _map(trial, campaign, mapped) if spec.map_structures else {}
    known = [structure.id for structure in trial.structures]
    return Evaluation(
        **trial.place,
        committee=committee.id,
        kind="curves",
        labels_sha256="",
        n_structures=len(trial.structures),
        n_atoms=sum(structure.n_atoms for structure in trial.structures),
        groups=(),
        energy_predicted=energies,
        energy_label=labels,
        eps=np.array([result.eps for result in trial.results]),
        max_force_error=np.full(len(trial.structures), np.nan),
        energy_volumes=tuple(volumes),
        hops=tuple(hops),
        **chart,
        parents=tuple(dict.fromkeys([committee.id, *known, *chart.get("map_structures", ())])),
        provenance=provenance("nep"),
    )


def _volumes(trial: _Trial, phase: str, name: str, spec: ValidationSpec) -> EnergyVolumeCurve:
    cell = trial.archive.get(Structure, name)
    made = scaled_cells(cell, spec.volume_range, spec.n_volumes)
    cells = [one if one is cell else one.revised(**trial.place, provenance=provenance()) for one in made]
    results, labels = trial.add(cells)
    return energy_volume_curve(phase, cells, results, trial.shifts, labels)


def _hop(trial: _Trial, campaign: Campaign, number: int, hop: HopSpec) -> HopProfile:
    try:
        cell = trial.archive.get(Structure, campaign.cell(hop.phase))
        ends = hop_ends(cell, hop)
    except (InputError, NotFoundError) as error:  # the campaign file asks for what is not there; the loop goes on
        return HopProfile(
            phase=hop.phase,
            number=number,
            settings=hop,
            n_atoms=0,
            structures=(),
            distance=(),
            energy=(),
            energy_members=(),
            eps=(),
            problem=str(error),
        )
    path = find_path(ends, lambda: NepCalculator(trial.committee), hop)
    images = [_image(trial, cell, (number, place), image) for place, image in enumerate(path.images)]
    results, labels = trial.add(images)
    return hop_profile(number, hop, cell.id, path, [image.id for image in images], (results, labels))


def _image(trial: _Trial, cell: Structure, place: tuple[int, int], image: "Atoms") -> Structure:
    made = structure_from_atoms(
        image,
        origin=Origin(kind="validation", source=cell.id, parameters={"hop": place[0], "image": place[1]}),
        phase=cell.phase,
        region=cell.region,
        parents=(cell.id,),
    )
    return made.revised(**trial.place, provenance=provenance())


def _new(archive: Archive, structures: Sequence[Structure]) -> list[Structure]:
    """Return those that are not in the archive: what was there first keeps its origin."""
    distinct = {structure.id: structure for structure in reversed(structures)}
    there = {
        record["_id"] for record in archive.find_records(Structure, {"_id": {"$in": list(distinct)}}, fields=["_id"])
    }
    return [structure for name, structure in reversed(distinct.items()) if name not in there]


def _map(trial: _Trial, campaign: Campaign, mapped: Sequence[str]) -> dict[str, Any]:
    """Return the map of the phases and of labelled structures, where there are enough for one."""
    phases = list(_phase_cells(campaign).values())
    labelled = [label.structure for label in trial.archive.get_many(Label, mapped)]
    names = list(dict.fromkeys([*phases, *labelled]))
    if len(names) < FEWEST:
        return {}
    rows = mean_descriptors(trial.committee, trial.archive.get_many(Structure, names))
    xy = tsne_map(rows, derived_seed(campaign.current.seed, "tsne"))
    return {"map_structures": tuple(names), "map_xy": xy}
