"""Jobs around the committee: train its members, put it together, compare it with labels."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jobflow import Flow, Response, job

from lizrcl_flows.archive import Archive
from lizrcl_flows.documents import (
    Campaign,
    Committee,
    Evaluation,
    FileRef,
    Generation,
    Label,
    Model,
    Structure,
    canonical_sha256,
)
from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.engines.training.base import DivergedError, Trainer, TrainingRequest, TrainingResult
from lizrcl_flows.errors import EngineError
from lizrcl_flows.jobs.context import count_cost, derived_seed, open_archive, provenance, work_directory
from lizrcl_flows.jobs.datasets import dataset_before, quarantined
from lizrcl_flows.jobs.routing import in_category
from lizrcl_flows.nep import Committee as NepCommittee
from lizrcl_flows.science.calibration import calibration_groups
from lizrcl_flows.science.energies import fit_energy_shift
from lizrcl_flows.science.parity import Predictions, parity_groups
from lizrcl_flows.science.structures import atoms_from_structure
from lizrcl_flows.settings import load_settings

log = logging.getLogger(__name__)


@job
def train_committee(campaign_id: str, index: int, dataset: str | None, trainer: Trainer) -> Any:
    """Fan out one job for each member, unless no committee can or need be trained."""
    with open_archive() as archive:
        campaign = archive.get(Campaign, campaign_id)
        if dataset is None or committee_of(archive, campaign.name, dataset=dataset) is not None:
            return None
    members = [
        in_category(train_member(campaign_id, index, dataset, member, trainer), "gpu", f"train member {member}")
        for member in range(campaign.current.training.committee_size)
    ]
    together = in_category(
        form_committee(campaign_id, index, [member.output for member in members]), "cpu", "committee"
    )
    return Response(output=dataset, detour=Flow([*members, together], name="train committee"))


@job
def train_member(campaign_id: str, index: int, dataset: str, member: int, trainer: Trainer) -> str:
    """Train one member on its bag of the data set and keep its nep.txt, loss curve and errors.

    A training that diverges is begun again with another seed, some times.
    """
    with open_archive() as archive:
        campaign = archive.get(Campaign, campaign_id)
        place = {"campaign": campaign.name, "generation": index, "member": member, "dataset": dataset}
        for model in archive.find(Model, place):
            count_cost(archive, campaign, model)
            return model.id
        start = _start(archive, campaign, index, member)
        diverged: list[str] = []
        for attempt in range(campaign.current.training.max_attempts):
            again = (attempt,) if attempt else ()
            seed = derived_seed(campaign.current.seed, "train", index, member, *again)
            try:
                model = _trained(archive, campaign, place, trainer, (seed, start, diverged))
            except DivergedError as error:
                diverged.append(f"seed {seed}: {error}")
                log.warning("training diverged campaign=%s generation=%d member=%d", campaign.name, index, member)
                continue
            count_cost(archive, campaign, model)
            return model.id
    raise EngineError(f"member {member} of generation {index} diverged with every seed: {'; '.join(diverged)}")


def _trained(
    archive: Archive,
    campaign: Campaign,
    place: dict[str, Any],
    trainer: Trainer,
    attempt: tuple[int, Model | None, Sequence[str]],
) -> Model:
    """Train one member with one seed and store it."""
    seed, start, diverged = attempt
    dataset = place["dataset"]
    chosen = bag(archive.dataset_labels(dataset), campaign.current.training.bagging, seed)
    pairs = labelled_structures(archive, chosen)
    with work_directory(f"{campaign.id}-g{place['generation']}-m{place['member']}-{seed}") as directory:
        request = TrainingRequest(
            pairs=pairs,
            elements=campaign.current.elements,
            # parameters fit the energies that they were trained on
            energy_shift=start.energy_shift if start else _energy_shift(pairs, campaign.current.elements),
            seed=seed,
            threads=load_settings().threads,
            start=archive.fetch_file(start.nep_txt, directory) if start else None,
        )
        result = trainer.train(request, directory)
        model = _model_document(archive, request, result).revised(
            **place,
            start=start.id if start else None,
            diverged=tuple(diverged),
            bag_sha256=canonical_sha256(chosen),
            trainer=campaign.current.training.engine,
            parents=(dataset, *([start.id] if start else [])),
            provenance=provenance(
                campaign.current.training.engine,
                engine_version=result.version,
                executable=result.executable,
                inputs_sha256=result.inputs_sha256 or None,
            ),
        )
        archive.put(model)
        return model


def _start(archive: Archive, campaign: Campaign, index: int, member: int) -> Model | None:
    """Return the same member of the committee before, where the campaign wants a warm start."""
    if not campaign.current.training.warm_start or index == 0:
        return None
    committee = committee_of(archive, campaign.name, up_to=index - 1)
    return archive.get(Model, committee.members[member]) if committee and member < len(committee.members) else None


@job
def form_committee(campaign_id: str, index: int, members: list[str]) -> str:
    """Name the trained members as the committee of this generation."""
    with open_archive() as archive:
        campaign = archive.get(Campaign, campaign_id)
        dataset = archive.get(Model, members[0]).dataset
        return archive.put(
            Committee(
                campaign=campaign.name,
                generation=index,
                members=tuple(members),
                elements=campaign.current.elements,
                dataset=dataset,
                parents=tuple(members),
                provenance=provenance(),
            )
        )


@job
def evaluate_holdout(campaign_id: str, index: int, dataset: str | None, holdout: str | None = None) -> str | None:
    """Compare the committee of a training set with the fixed hold-out labels; None where one of them is missing."""
    with open_archive() as archive:
        campaign = archive.get(Campaign, campaign_id)
        committee = committee_of(archive, campaign.name, dataset=dataset) if dataset else None
        holdout = holdout or dataset_before(archive, campaign, "holdout", index + 1)
        if committee is None or holdout is None:
            return None
        labels = archive.dataset_labels(holdout)
        withdrawn = quarantined(archive, labels)
        labels = [name for name in labels if name not in withdrawn]
        return _evaluate(archive, campaign, index, committee, labels, ("holdout", (committee.id, holdout)))


@job
def evaluate_fresh(campaign_id: str, index: int, labels: list[str] | None) -> str | None:
    """Compare the committee that chose these structures with their labels: its honest error on what it did not know."""
    with open_archive() as archive:
        campaign = archive.get(Campaign, campaign_id)
        committee = committee_of(archive, campaign.name, up_to=index - 1)
        if committee is None or not labels:
            return None
        return _evaluate(archive, campaign, index, committee, labels, ("fresh", (committee.id, *labels)))


def _evaluate(
    archive: Archive,
    campaign: Campaign,
    index: int,
    committee: Committee,
    labels: list[str],
    kind_and_parents: tuple[str, tuple[str, ...]],
) -> str:
    kind, parents = kind_and_parents
    evaluation_id = Evaluation.id_for(committee=committee.id, kind=kind, labels_sha256=canonical_sha256(labels))
    if not archive.exists(Evaluation, evaluation_id):
        with work_directory(evaluation_id) as directory:
            evaluation = compare(archive, committee, labels, directory, kind)
            place = {"campaign": campaign.name, "generation": index, "provenance": provenance("nep")}
            archive.put(evaluation.revised(parents=parents, **place))
    return evaluation_id


def compare(archive: Archive, committee: Committee, labels: list[str], directory: Path, kind: str) -> Evaluation:
    """Evaluate a committee on labelled structures and put errors, eps and calibration together."""
    pairs = labelled_structures(archive, labels)
    predictions = predicted(archive, committee, pairs, directory)
    calibrations = calibration_groups(predictions)
    arrays = directory / "predictions.npz"
    np.savez_compressed(arrays, allow_pickle=False, **predictions.arrays())
    return Evaluation(
        committee=committee.id,
        kind=kind,
        labels_sha256=canonical_sha256(labels),
        n_structures=len(pairs),
        n_atoms=sum(structure.n_atoms for structure, _ in pairs),
        groups=parity_groups(predictions),
        calibration=calibrations[0],
        calibrations=calibrations,
        energy_predicted=predictions.energy_predicted,
        energy_label=predictions.energy_label,
        eps=predictions.eps,
        max_force_error=predictions.max_force_error,
        arrays=archive.put_file(arrays),
    )


def predicted(
    archive: Archive, committee: Committee, pairs: Sequence[tuple[Structure, Label]], directory: Path
) -> Predictions:
    """Evaluate a committee on labelled structures; the members' files go below the directory."""
    evaluator = NepCommittee.from_files(committee_files(archive, committee, directory))
    results = evaluator.evaluate([atoms_from_structure(structure) for structure, _ in pairs])
    shift = archive.get(Model, committee.members[0]).energy_shift
    shifts = [archive.get(Model, member).energy_shift or shift for member in committee.members]
    return Predictions.from_results(pairs, results, shifts)


def labelled_structures(archive: Archive, labels: Sequence[str]) -> list[tuple[Structure, Label]]:
    """Return structures with their labels, in the order of the labels."""
    found = archive.get_many(Label, labels)
    structures = archive.get_many(Structure, [label.structure for label in found])
    return list(zip(structures, found, strict=True))


def committee_of(
    archive: Archive, campaign: str, *, dataset: str | None = None, up_to: int | None = None
) -> Committee | None:
    """Return the newest committee of a campaign, of a data set or up to a generation, or None.

    Committees of generations that were rolled back explore and produce nothing; they are passed over unless their very
    data set is asked for.
    """
    criteria: dict[str, Any] = {"campaign": campaign}
    if dataset is not None:
        criteria["dataset"] = dataset
    else:
        rolled_back = archive.find_records(Generation, {"campaign": campaign, "state": "rolled_back"}, fields=["index"])
        criteria["generation"] = {"$nin": [record["index"] for record in rolled_back]}
    if up_to is not None:
        criteria["generation"] = {**criteria.get("generation", {}), "$lte": up_to}
    return next(iter(archive.find(Committee, criteria, sort=[("generation", -1)], limit=1)), None)


def committee_files(archive: Archive, committee: Committee, directory: Path) -> list[Path]:
    """Write the members' nep.txt files, checked against their SHA-256, and return their paths in order."""
    paths = []
    for number, model in enumerate(archive.get_many(Model, committee.members)):
        folder = directory / f"member{number}"
        folder.mkdir(parents=True, exist_ok=True)
        paths.append(archive.fetch_file(model.nep_txt, folder))
    return paths


def bag(labels: list[str], fraction: float, seed: int) -> list[str]:
    """Return the labels that a member with this seed sees of a data set, in their order."""
    if fraction >= 1:
        return labels
    size = max(1, round(fraction * len(labels)))
    chosen = np.random.default_rng(seed).choice(len(labels), size=size, replace=False)
    return [labels[i] for i in sorted(chosen)]


def _energy_shift(pairs: Sequence[tuple[Structure, Label]], elements: Sequence[str]) -> dict[str, float]:
    from ase.data import atomic_numbers

    counts: Array = np.array(
        [[int((structure.numbers == atomic_numbers[element]).sum()) for element in elements] for structure, _ in pairs],
        dtype=float,
    )
    return fit_energy_shift(counts, np.array([label.energy for _, label in pairs]), elements)


def _model_document(archive: Archive, request: TrainingRequest, result: TrainingResult) -> Model:
    """Describe a trained member; where it stands in the campaign is added by the job."""
    nep_txt: FileRef = archive.put_file(result.nep_txt)
    return Model(
        member=0,
        dataset="",
        seed=request.seed,
        seeded=result.seeded,
        hyperparameters=result.hyperparameters,
        trainer="",
        trainer_version=result.version,
        trainer_executable=result.executable,
        elements=request.elements,
        n_parameters=result.n_parameters,
        energy_shift=dict(request.energy_shift),
        nep_txt=nep_txt,
        loss_curve=result.loss_curve,
        errors=result.errors,
        wall_s=result.wall_s,
        core_hours=result.core_hours,
        files=tuple(archive.put_file(path) for path in result.files),
    )
