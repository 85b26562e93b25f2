"""A label that turned out to be wrong: put it in quarantine, say what rests on it and what is to be remade."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from lizrcl_flows.archive import Archive
from lizrcl_flows.documents import BY_PREFIX, Campaign, Label, Model, canonical_sha256
from lizrcl_flows.errors import InputError
from lizrcl_flows.jobs.datasets import dataset_before
from lizrcl_flows.jobs.training import bag

QUARANTINE = "quarantine"
RELEASE = "release"
"""Kinds of the events of a label that say so."""

FIELDS: dict[str, tuple[str, ...]] = {
    "dat": ("campaign", "generation", "split", "n_labels"),
    "mod": ("campaign", "generation", "member", "dataset", "core_hours"),
    "com": ("campaign", "generation", "members", "dataset"),
    "eva": ("campaign", "generation", "kind", "n_structures"),
    "gen": ("campaign", "generation", "index", "state"),
    "tra": ("campaign", "generation", "purpose", "phase", "temperature_k", "committee", "core_hours"),
    "tsp": ("campaign", "species", "phase", "temperature_k", "protocol", "status", "diffusivity", "diffusivity_std"),
    "ana": ("campaign", "kind", "phase", "temperature_k", "status"),
}
"""What is told of each document that rests on a label; of other kinds, such as structures, only their number."""


@dataclass(frozen=True)
class BlastRadius:
    """What rests on a label.

    The walk ends at structures: one that a run of a tainted committee met is a structure like any other, and its own
    label is as right as it was.

    Attributes
    ----------
    counts
        Number of documents of each kind, by the kind's name.
    documents
        By prefix of the kind, for the kinds of `FIELDS`: records with `_id` and these fields.
    spared
        Models of data sets with the label whose bag left it out.
    """

    label: str
    status: str
    counts: Mapping[str, int]
    documents: Mapping[str, Sequence[dict[str, Any]]]
    spared: Sequence[str] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return a JSON-able mapping."""
        content = {
            BY_PREFIX[prefix].collection: [{"id": record["_id"], **_without_id(record)} for record in found]
            for prefix, found in self.documents.items()
        }
        told = {"label": self.label, "status": self.status, "counts": dict(self.counts), "spared": list(self.spared)}
        return told | content


@dataclass(frozen=True)
class Plan:
    """The least that has to be computed again for no published number to rest on a label.

    Attributes
    ----------
    datasets
        To be made without the label.
    models
        To be trained on them; members of the committees that drove the production runs, and of each campaign's newest.
    trajectories
        Production runs to be repeated.
    transports, analyses
        To be computed from these runs.
    core_hours
        What models and runs took when they were made.
    kept
        Models, by generation, that rest on the label and need not be trained again: nothing published rests on them.
    """

    datasets: list[str] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    trajectories: list[str] = field(default_factory=list)
    transports: list[str] = field(default_factory=list)
    analyses: list[str] = field(default_factory=list)
    training_core_hours: float = 0.0
    production_core_hours: float = 0.0
    kept: dict[str, int] = field(default_factory=dict)

    @property
    def core_hours(self) -> float:
        """Training and production together."""
        return self.training_core_hours + self.production_core_hours

    def as_dict(self) -> dict[str, Any]:
        """Return a JSON-able mapping."""
        return {**vars(self), "core_hours": self.core_hours}


def set_quarantine(
    archive: Archive, label: Label, *, why: str, who: str = "", release: bool = False
) -> Literal["accepted", "quarantined"]:
    """Put an accepted label in quarantine, or release it; later data sets go by it. Return the new status.

    Raises
    ------
    InputError
        If its status does not allow that, or no reason is given.
    """
    status = checked_status(label, release=release)
    if not why.strip():
        raise InputError("a quarantine, and its end, needs a reason")
    kind = RELEASE if release else QUARANTINE
    archive.record_event(label.id, kind, field="status", value=status, who=who, why=why)
    return status


def checked_status(label: Label, *, release: bool) -> Literal["accepted", "quarantined"]:
    """Return the status that a label would have after a quarantine or its end.

    Raises
    ------
    InputError
        If its present one does not allow that.
    """
    if release and label.status != "quarantined":
        raise InputError(f"label {label.id} is {label.status}: only one in quarantine can be released")
    if not release and label.status != "accepted":
        raise InputError(f"label {label.id} is {label.status}: only an accepted one can be put in quarantine")
    return "accepted" if release else "quarantined"


def blast_radius(archive: Archive, label: Label) -> BlastRadius:
    """Return every document that rests on a label."""
    ids = [relative.id for relative in archive.lineage.descendants(label.id, until=("str",))]
    nodes = archive.lineage.nodes(ids)
    tainted, spared = _tainted(archive, label.id, nodes)
    by_kind: dict[str, list[str]] = {}
    for name in ids:
        if name in tainted:
            by_kind.setdefault(nodes[name]["kind"], []).append(name)
    documents = {
        prefix: list(
            archive.find_records(
                BY_PREFIX[prefix],
                {"_id": {"$in": by_kind[prefix]}},
                fields=["_id", *fields],
                sort=[("generation", 1), ("_id", 1)],
            )
        )
        for prefix, fields in FIELDS.items()
        if prefix in by_kind
    }
    counts = {BY_PREFIX[prefix].__name__.lower(): len(names) for prefix, names in by_kind.items()}
    return BlastRadius(label.id, label.status, counts, documents, sorted(spared))


def _tainted(archive: Archive, label: str, nodes: Mapping[str, Mapping[str, Any]]) -> tuple[set[str], set[str]]:
    """Walk from the label down again, past models whose bag left it out."""
    children: dict[str, list[str]] = {}
    for name, node in nodes.items():
        for parent in node["parents"]:
            children.setdefault(parent, []).append(name)
    spared = {name for name, node in nodes.items() if node["kind"] == Model.prefix and _left_out(archive, label, name)}
    tainted: set[str] = set()
    front = [label]
    while front:
        found: set[str] = set()
        for name in front:
            if name != label and nodes[name]["kind"] == "str":
                continue
            for child in children.get(name, ()):
                through_start = name.startswith(f"{Model.prefix}_") and child.startswith(f"{Model.prefix}_")
                if child not in tainted and (child not in spared or through_start):
                    found.add(child)
        tainted |= found
        front = sorted(found)
    return tainted, spared - tainted


def _left_out(archive: Archive, label: str, model_id: str) -> bool:
    """Tell whether a member's bag is known to hold the label not."""
    model = archive.get(Model, model_id)
    labels = archive.dataset_labels(model.dataset)
    if model.bag_sha256 is None or model.bag_sha256 == canonical_sha256(labels):
        return label not in labels
    campaign = next(archive.find(Campaign, {"name": model.campaign}, limit=1), None)
    if campaign is None:
        return False
    seen = bag(labels, campaign.current.training.bagging, model.seed)
    return canonical_sha256(seen) == model.bag_sha256 and label not in seen


def retraining_plan(archive: Archive, radius: BlastRadius) -> Plan:
    """Return the smallest retraining after which no transport, analysis or running campaign rests on the label."""
    documents = radius.documents
    models = {record["_id"]: record for record in documents.get("mod", ())}
    committees = {record["_id"]: record for record in documents.get("com", ())}
    produced = [record for record in documents.get("tra", ()) if record["purpose"] == "production"]
    wanted = {record["committee"] for record in produced} | _newest(archive, committees)
    retrained = {name for committee in wanted if committee in committees for name in committees[committee]["members"]}
    retrained &= set(models)
    sets = {models[name]["dataset"] for name in retrained} | _current_sets(archive, documents.get("dat", ()))
    return Plan(
        datasets=sorted(sets),
        models=sorted(retrained),
        trajectories=[record["_id"] for record in produced],
        transports=[record["_id"] for record in documents.get("tsp", ())],
        analyses=[record["_id"] for record in documents.get("ana", ())],
        training_core_hours=sum(models[name]["core_hours"] for name in retrained),
        production_core_hours=sum(record["core_hours"] for record in produced),
        kept=dict(
            Counter(f"{r['campaign']} generation {r['generation']}" for n, r in models.items() if n not in retrained)
        ),
    )


def _newest(archive: Archive, committees: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """Return those committees that are the newest of their campaign."""
    found = set()
    for campaign in {str(record["campaign"]) for record in committees.values()}:
        criteria = {"campaign": campaign}
        newest = archive.find_records(
            BY_PREFIX["com"], criteria, fields=["_id"], sort=[("generation", -1), ("_id", 1)], limit=1
        )
        found |= {record["_id"] for record in newest}
    return found & set(committees)


def _current_sets(archive: Archive, tainted: Sequence[Mapping[str, Any]]) -> set[str]:
    """Return the tainted data sets that the next generation of a campaign, or its hold-out test, would start from."""
    names = {record["_id"] for record in tainted}
    found: set[str | None] = set()
    for campaign in archive.find(Campaign, {"name": {"$in": sorted({str(record["campaign"]) for record in tainted})}}):
        last = max((int(r["generation"] or 0) for r in tainted if r["campaign"] == campaign.name), default=0)
        newest = archive.find_records(
            BY_PREFIX["gen"], {"campaign_id": campaign.id}, fields=["index"], sort=[("index", -1)], limit=1
        )
        index = max([last, *(record["index"] for record in newest)]) + 1
        found |= {dataset_before(archive, campaign, split, index) for split in ("train", "holdout")}
    return {name for name in found if name is not None and name in names}


def _without_id(record: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key != "_id"}
