"""How many bytes the documents of a campaign take, as measured in the archive, or as usual where it has none."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from lizrcl_flows.archive import Archive
from lizrcl_flows.documents import Candidate, Generation, Label, Model, Trajectory
from lizrcl_flows.documents.spec import CampaignSpec
from lizrcl_flows.science.planned_work import Work

SAMPLE = 400
"""Documents of a kind that are looked at, the newest first."""

STRUCTURE_BYTES, LABEL_BYTES, CANDIDATE_BYTES = (1200.0, 25.0), (2100.0, 24.0), (1400.0, 4.0)
"""A document with its lineage node and events, and what each atom adds; measured."""

JOB_BYTES = 5000.0
"""A Firework, its launch and its output; measured."""

_RAW = {"vasp": 1.5e6, "cp2k": 3e5}
"""Files of one label that are kept: compressed vasprun.xml and OUTCAR; output of CP2K."""


@dataclass(frozen=True)
class StorageRates:
    """Bytes of what a campaign stores.

    Attributes
    ----------
    label_files
        Files of one label.
    model
        One committee member with its files.
    frame_atom
        One atom in one frame of a trajectory.
    flagged
        Share of the explored frames that become candidates.
    source
        What this rests on, in words.
    """

    label_files: float
    model: float
    frame_atom: float
    flagged: float
    source: str

    def bytes_of(self, work: Work, n_jobs: int) -> dict[str, float]:
        """Return the bytes of one turn, by what they are."""
        labels = work.stages.get("label")
        sizes = list(zip(labels.sizes, labels.counts, strict=True)) if labels else []
        frames = sum(size * count for size, count in work.frames.items())
        looked = {size: count * self.flagged for size, count in work.frames.items() if isinstance(work.turn, int)}
        trainings = work.stages.get("train")
        return {
            "structures": sum(count * _size(STRUCTURE_BYTES, size) for size, count in (*sizes, *looked.items())),
            "candidates": sum(count * _size(CANDIDATE_BYTES, size) for size, count in looked.items()),
            "labels": sum(count * (_size(LABEL_BYTES, size) + self.label_files) for size, count in sizes),
            "models": self.model * (trainings.count if trainings else 0.0),
            "trajectories": frames * self.frame_atom,
            "jobs": n_jobs * JOB_BYTES,
        }


def storage_rates(archive: Archive | None, spec: CampaignSpec) -> StorageRates:
    """Return the bytes of what a campaign stores, from the newest documents of each kind."""
    n_types, training = len(spec.elements), spec.training
    parameters = n_types * training.neurons * 60 + n_types**2 * sum(
        (n + 1) * (basis + 1) for n, basis in zip(training.n_max, training.basis_size, strict=True)
    )
    usual = {
        "label": _RAW.get(spec.labelling.engine, 3e3),
        "model": 25.0 * parameters + 2e4,
        "frame": 150.0,
        "seen": 0.1,
    }
    found = _measured(archive, spec) if archive is not None else {}
    names = {"label": "labels", "model": "models", "frame": "trajectories", "seen": "candidates"}
    told = ", ".join(name for key, name in names.items() if key in found)
    rates = {**usual, **found}
    return StorageRates(
        label_files=rates["label"],
        model=rates["model"],
        frame_atom=rates["frame"],
        flagged=rates["seen"],
        source=f"measured in this database for {told}" if told else "usual sizes",
    )


def _measured(archive: Archive, spec: CampaignSpec) -> dict[str, float]:
    found: dict[str, float] = {}
    engine = {"purpose": {"$ne": "ranking"}, "provenance.engine": spec.labelling.engine}
    labels = [_bytes(entry.get("raw", ())) for entry in _newest(archive, Label, engine, ["raw"])]
    if labels:
        found["label"] = sum(labels) / len(labels)
    models = [
        _bytes([entry["nep_txt"], *entry.get("files", ())])
        for entry in _newest(archive, Model, {}, ["nep_txt", "files"])
    ]
    if models:
        found["model"] = sum(models) / len(models)
    runs = list(_newest(archive, Trajectory, {}, ["files", "n_frames", "n_atoms"]))
    atoms = sum(run["n_frames"] * run["n_atoms"] for run in runs)
    if atoms:
        found["frame"] = sum(_bytes(run["files"]) for run in runs) / atoms
    generations = _newest(archive, Generation, {"index": {"$gt": 0}}, ["n_explored"])
    explored = sum(entry.get("n_explored", 0) for entry in generations)
    if explored:
        found["seen"] = min(1.0, archive.count(Candidate, {"generation": {"$gt": 0}}) / explored)
    return found


def _newest(archive: Archive, kind: type[Any], criteria: dict[str, Any], fields: list[str]) -> Iterable[dict[str, Any]]:
    return archive.find_records(kind, criteria, fields=fields, sort=[("created_at", -1)], limit=SAMPLE)


def _bytes(files: Iterable[dict[str, Any]]) -> float:
    return float(sum(file["n_bytes"] for file in files))


def _size(kind: tuple[float, float], n_atoms: float) -> float:
    return kind[0] + kind[1] * n_atoms
