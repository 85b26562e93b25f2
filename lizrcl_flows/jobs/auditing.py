"""The part of the audit that needs the engines: what the trainer read, and stored predictions computed again.

Both are samples, so that an audit of a large archive stays short; the same archive gives the same sample.
"""

import random
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lizrcl_flows.archive import Archive
from lizrcl_flows.archive.audit import AuditReport, Finding, Progress
from lizrcl_flows.documents import (
    Campaign,
    Candidate,
    Committee,
    Dataset,
    Evaluation,
    Label,
    Model,
    Structure,
    canonical_sha256,
)
from lizrcl_flows.engines.training import make_trainer
from lizrcl_flows.engines.training.nep import NepTrainer
from lizrcl_flows.errors import LizrclError
from lizrcl_flows.jobs.datasets import quarantined
from lizrcl_flows.jobs.replay import rebuilt_inputs
from lizrcl_flows.jobs.training import bag, committee_files, labelled_structures, predicted
from lizrcl_flows.jobs.validation import parity_labels
from lizrcl_flows.nep import Committee as NepCommittee
from lizrcl_flows.science.structures import atoms_from_structure

ENERGY_TOLERANCE = 1e-6
"""By how much two machines may differ in an energy (eV/atom)."""

FORCE_TOLERANCE = 1e-5
"""By how much two machines may differ in a deviation or an error of a force (eV/A), and relative to it."""

FRAME_TOLERANCE = 1e-3
"""The same for a candidate: its eps is that of the frame, its structure has rounded coordinates."""


UNREADABLE = (LizrclError, ValueError, KeyError, OSError)
"""What reading a document raises that was tampered with."""


@dataclass(frozen=True)
class Sample:
    """How much is looked at.

    Attributes
    ----------
    n_frames
        Frames of training inputs that are written again, the newest training sets first; one member of a set.
    n_evaluations, n_structures
        Evaluations, and structures of each, that are predicted again.
    n_candidates
        Candidates whose deviation is computed again.
    """

    n_frames: int = 4000
    n_evaluations: int = 12
    n_structures: int = 6
    n_candidates: int = 24


EVERYTHING = Sample(n_frames=1 << 40, n_evaluations=1 << 40, n_structures=1 << 40, n_candidates=1 << 40)
"""No sample: all of it."""


def deepen(
    archive: Archive,
    report: AuditReport,
    campaign: str | None = None,
    progress: Progress | None = None,
    sample: Sample | None = None,
) -> None:
    """Add to an audit's report what the trainers read and what stored models predict.

    Parameters
    ----------
    campaign
        Name of the only campaign to look at.
    """
    where = {} if campaign is None else {"campaign": campaign}
    auditor = _Auditor(archive, report, sample or Sample(), progress or (lambda *_: None))
    with tempfile.TemporaryDirectory(prefix="lizrcl_audit_") as scratch:
        checks = (auditor.check_bags, auditor.check_inputs, auditor.check_evaluations, auditor.check_candidates)
        for check in checks:
            try:
                check(where, Path(scratch))
            except UNREADABLE as error:  # a document that cannot be read is a finding already
                what = check.__name__.removeprefix("check_")
                report.unproven.append(Finding(what, f"were not looked at: {' '.join(str(error).split())[:300]}"))


class _Auditor:
    def __init__(self, archive: Archive, report: AuditReport, sample: Sample, progress: Progress) -> None:
        self.archive, self.report, self.sample, self.progress = archive, report, sample, progress
        self.campaigns = {campaign.name: campaign for campaign in archive.find(Campaign, {})}
        self.labels: dict[str, list[str]] = {}

    def _found(self, document: str, what: str) -> None:
        self.report.findings.append(Finding(document, what))

    def _unproven(self, document: str, what: str) -> None:
        self.report.unproven.append(Finding(document, what))

    def _labels_of(self, dataset: str) -> list[str]:
        if dataset not in self.labels:
            self.labels[dataset] = self.archive.dataset_labels(dataset)
        return self.labels[dataset]

    def check_bags(self, where: Mapping[str, Any], _scratch: Path) -> None:
        """See that the labels which each member saw follow from its data set, its seed and the campaign file."""
        fields = ["campaign", "dataset", "seed", "bag_sha256"]
        for record in self.archive.find_records(Model, {**where, "bag_sha256": {"$ne": None}}, fields=fields):
            campaign = self.campaigns.get(record["campaign"])
            try:
                labels = self._labels_of(record["dataset"])
            except LizrclError:
                continue  # the data set is a finding already
            fraction = campaign.current.training.bagging if campaign else 1.0
            if canonical_sha256(bag(labels, fraction, record["seed"])) != record["bag_sha256"]:
                self._found(record["_id"], f"was trained on other labels than data set {record['dataset']} gives it")

    def check_inputs(self, where: Mapping[str, Any], scratch: Path) -> None:
        """Write the input files of one member of each training set again and compare their SHA-256."""
        left = self.sample.n_frames
        fields = ["campaign", "dataset", "generation"]
        newest = self.archive.find_records(Model, where, fields=fields, sort=[("generation", -1), ("member", 1)])
        first = {record["dataset"]: record for record in reversed(list(newest))}
        for done, (dataset, record) in enumerate(reversed(first.items()), 1):
            campaign = self.campaigns.get(record["campaign"])
            trainer = make_trainer(campaign.current.training) if campaign else None
            if campaign is None or not isinstance(trainer, NepTrainer):
                self._unproven(record["_id"], "there is no campaign that says how it was trained")
                continue
            left -= len(self._safe_labels(dataset))
            if left < 0:
                rest = f"{len(first) - done + 1} of {len(first)} training sets were not written again, the oldest ones"
                self._unproven("training inputs", f"{rest}: {self.sample.n_frames} frames are the limit")
                break
            self._inputs(campaign, trainer, record["_id"], scratch / f"inputs_{done}")
            self.progress("training inputs", done, len(first))

    def _safe_labels(self, dataset: str) -> list[str]:
        try:
            return self._labels_of(dataset)
        except LizrclError:
            return []

    def _inputs(self, campaign: Campaign, trainer: NepTrainer, model_id: str, folder: Path) -> None:
        try:
            model = self.archive.get(Model, model_id)
            parts = list(rebuilt_inputs(self.archive, (campaign, trainer), model, folder, folder.with_suffix(".start")))
        except UNREADABLE as error:
            self._unproven(model_id, f"its training inputs cannot be written: {error}")
            return
        self.report.n_inputs += 1
        for part in parts:
            if part.equal is False:
                self._found(model_id, f"was trained on something else than the archive holds: {part.name}: {part.why}")
            elif part.equal is None:
                self._unproven(model_id, part.why)

    def check_evaluations(self, where: Mapping[str, Any], scratch: Path) -> None:
        """Predict some structures of some evaluations again with the stored members."""
        criteria = {**where, "kind": {"$ne": "curves"}}
        names = [record["_id"] for record in self.archive.find_records(Evaluation, criteria, fields=["_id"])]
        chosen = _drawn(names, self.sample.n_evaluations)
        for number, evaluation in enumerate(self.archive.find(Evaluation, {"_id": {"$in": chosen}}), 1):
            try:
                self._evaluation(evaluation, scratch / f"evaluation_{number}")
            except UNREADABLE as error:
                self._unproven(evaluation.id, f"cannot be computed again: {error}")
            self.progress("predictions", number, len(chosen))

    def _evaluation(self, evaluation: Evaluation, folder: Path) -> None:
        labels = next((each for each in self._candidate_labels(evaluation) if _named(evaluation, each)), None)
        if labels is None:
            self._unproven(evaluation.id, "it does not follow from its parents which labels it was made with")
            return
        places = sorted(int(i) for i in _drawn([str(i) for i in range(len(labels))], self.sample.n_structures))
        pairs = labelled_structures(self.archive, [labels[i] for i in places])
        committee = self.archive.get(Committee, evaluation.committee)
        told = predicted(self.archive, committee, pairs, folder)
        self.report.n_predictions += len(pairs)
        for name, tolerance in (
            ("energy_predicted", ENERGY_TOLERANCE),
            ("energy_label", ENERGY_TOLERANCE),
            ("eps", FORCE_TOLERANCE),
            ("max_force_error", FORCE_TOLERANCE),
        ):
            value = getattr(told, name)
            now, then = np.asarray(value() if callable(value) else value), getattr(evaluation, name)[places]
            wrong = np.flatnonzero(~np.isclose(now, then, rtol=tolerance, atol=tolerance, equal_nan=True))
            if wrong.size:
                i = int(wrong[0])
                self._found(
                    evaluation.id,
                    f"says {name} = {then[i]:.8g} of label {pairs[i][1].id}, its stored models and labels say "
                    f"{now[i]:.8g}",
                )

    def _candidate_labels(self, evaluation: Evaluation) -> Iterator[list[str]]:
        """Yield lists of labels of which one is the evaluation's."""
        labels = [name for name in evaluation.parents if name.startswith(f"{Label.prefix}_")]
        if labels:
            yield labels
        sets = [name for name in evaluation.parents if name.startswith(f"{Dataset.prefix}_")]
        sets += [evaluation.dataset] if evaluation.dataset else []
        campaign = self.campaigns.get(evaluation.campaign or "")
        for name in dict.fromkeys(sets):
            whole = self._safe_labels(name)
            withdrawn = quarantined(self.archive, whole)
            yield whole
            yield [label for label in whole if label not in withdrawn]
            if campaign is not None:
                yield parity_labels(self.archive, campaign, name)

    def check_candidates(self, where: Mapping[str, Any], scratch: Path) -> None:
        """Compute the deviation of some candidates again with the committee that judged them."""
        criteria = {**where, "committee": {"$ne": None}, "eps": {"$ne": None}}
        names = [record["_id"] for record in self.archive.find_records(Candidate, criteria, fields=["_id"])]
        chosen: dict[str, list[Candidate]] = {}
        drawn = _drawn(names, self.sample.n_candidates)
        for candidate in self.archive.find(Candidate, {"_id": {"$in": drawn}}):
            chosen.setdefault(str(candidate.committee), []).append(candidate)
        for committee, candidates in sorted(chosen.items()):
            try:
                self._candidates(committee, candidates, scratch / committee)
            except UNREADABLE as error:
                self._unproven(committee, f"its candidates cannot be judged again: {error}")

    def _candidates(self, committee_id: str, candidates: Sequence[Candidate], folder: Path) -> None:
        committee = self.archive.get(Committee, committee_id)
        evaluator = NepCommittee.from_files(committee_files(self.archive, committee, folder))
        structures = self.archive.get_many(Structure, [candidate.structure for candidate in candidates])
        results = evaluator.evaluate([atoms_from_structure(structure) for structure in structures])
        self.report.n_predictions += len(candidates)
        for candidate, result in zip(candidates, results, strict=True):
            then, now = float(candidate.eps or 0.0), float(result.eps)
            if np.isfinite(then) and abs(now - then) > FRAME_TOLERANCE * (1 + abs(then)):
                self._found(candidate.id, f"says eps = {then:.6g} eV/A, the stored committee says {now:.6g}")


def _named(evaluation: Evaluation, labels: list[str]) -> bool:
    return canonical_sha256(labels) == evaluation.labels_sha256


def _drawn(names: Sequence[str], size: int) -> list[str]:
    """Return so many of some names, the same ones each time."""
    ordered = sorted(names)
    return ordered if len(ordered) <= size else sorted(random.Random(len(ordered)).sample(ordered, size))
