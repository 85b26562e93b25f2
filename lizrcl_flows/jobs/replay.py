"""A generation once more, from the database alone: its training inputs, its pool of candidates and its selection.

What was decided then is decided again by the same functions, on the campaign as its events say it was at that moment;
nothing is written to the archive. What was recorded then proves the parts equal: the SHA-256 over the input files in
a member's provenance, the digests of the candidates, the event of the selection with the file of every frame's eps.
"""

import hashlib
import io
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from lizrcl_flows.archive import Archive
from lizrcl_flows.archive.events import projected
from lizrcl_flows.documents import (
    Campaign,
    Candidate,
    Committee,
    Dataset,
    Event,
    FileRef,
    Generation,
    Label,
    Model,
    Structure,
    Trajectory,
    canonical_sha256,
)
from lizrcl_flows.documents.campaigns import EXTENSION, INITIAL_SELECTION, SELECTION
from lizrcl_flows.documents.spec import SelectionSpec
from lizrcl_flows.engines.selection import make_selector
from lizrcl_flows.engines.selection.base import Selector
from lizrcl_flows.engines.training import make_trainer
from lizrcl_flows.engines.training.base import TrainingRequest
from lizrcl_flows.engines.training.nep import NepTrainer
from lizrcl_flows.errors import LizrclError, NotFoundError
from lizrcl_flows.jobs.initial import decide_initial
from lizrcl_flows.jobs.screening import EPS_FILE, decide
from lizrcl_flows.jobs.training import bag, labelled_structures

SHOWN = 3
"""Ids, or keys, that a part that differs names."""


@dataclass(frozen=True)
class Part:
    """One part of a generation that was rebuilt.

    Attributes
    ----------
    equal
        Whether it equals what was used; None where what was recorded proves it neither way.
    why
        What differs, or what is missing for a proof.
    sha256
        Of what was rebuilt, where that is one file or one list.
    """

    name: str
    equal: bool | None
    why: str = ""
    sha256: str = ""


@dataclass
class Replay:
    """A generation, rebuilt.

    Attributes
    ----------
    folders
        Folder of each member's input files.
    pool
        Structures with their candidates, in the order of the frames; in a generation 0 that chose nothing, without.
    selection
        What the selection came to, as the event of the campaign says it; none where it cannot be made again.
    """

    generation: Generation
    parts: list[Part] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)
    pool: list[tuple[Structure, Candidate | None]] = field(default_factory=list)
    selection: dict[str, Any] | None = None

    @property
    def equal(self) -> bool:
        """Whether no part differs."""
        return all(part.equal is not False for part in self.parts)

    @property
    def proven(self) -> bool:
        """Whether every part is proven equal."""
        return all(part.equal for part in self.parts)

    def as_dict(self) -> dict[str, Any]:
        """Return a JSON-able mapping."""
        parts = [vars(part) for part in self.parts]
        told = {"id": self.generation.id, "campaign": self.generation.campaign, "index": self.generation.index}
        return {**told, "equal": self.equal, "proven": self.proven, "parts": parts}


def replay(archive: Archive, generation: Generation, directory: Path) -> Replay:
    """Rebuild what a generation trained on and chose from, below a directory, and compare it with what was used.

    Parameters
    ----------
    archive
        Open for reading.
    directory
        Gets a folder for each member (train.xyz, nep.in; nep.txt and nep.restart of a warm start) and explored_eps.npz.

    Raises
    ------
    IntegrityError
        If a stored file that is needed is missing or was changed.
    """
    done = Replay(generation)
    campaign = archive.get(Campaign, generation.campaign_id)
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="lizrcl_replay_") as scratch:
        _replay_selection(archive, campaign, done, Path(scratch) / "frames")
        explored = Path(scratch) / "frames" / EPS_FILE
        if explored.exists():
            shutil.copyfile(explored, directory / EPS_FILE)
        _replay_datasets(archive, campaign, done)
        _replay_training(archive, campaign, done, (directory, Path(scratch)))
    return done


class AsOf(Archive):
    """An archive as it was at a moment, as far as labels go: those that came later are not there."""

    def __init__(self, archive: Archive, moment: datetime) -> None:
        self.__dict__.update(vars(archive))
        self._moment = moment

    def find_records(self, kind: Any, criteria: Mapping[str, Any], **options: Any) -> Iterator[dict[str, Any]]:
        """Yield matching documents, see `Archive.find_records`."""
        if kind is Label:
            criteria = {"$and": [dict(criteria), {"created_at": {"$lte": self._moment}}]}
        yield from super().find_records(kind, criteria, **options)


def campaign_as_of(archive: Archive, campaign: Campaign, event: Event) -> Campaign:
    """Return a campaign as its events say it was right before one of them."""
    before = [each for each in archive.events(campaign.id) if each.at < event.at]
    values = projected(each.model_dump() for each in before)
    defaults = {
        name: Campaign.model_fields[name].get_default(call_default_factory=True) for name in Campaign.projections
    }
    return campaign.revised(**{**defaults, **values})


def _replay_selection(archive: Archive, campaign: Campaign, done: Replay, directory: Path) -> None:
    index = done.generation.index
    event = archive.recorded_event(campaign.id, f"{SELECTION}/{index}" if index else INITIAL_SELECTION)
    if event is None or not isinstance(event.value, dict):
        why = "the campaign has no event that says what was chosen: it was written before there were any"
        done.parts += [Part("candidates", None, why), Part("selection", None, why)]
        return
    then = campaign_as_of(archive, campaign, event)
    view = AsOf(archive, event.at)
    try:
        if index:
            _replay_screening(view, then, done, event.value, directory)
        else:
            choice = decide_initial(view, then, _initial_selector(then), directory)
            structures = {structure.id: structure for structure in choice.structures}
            done.pool = [(structures[candidate.structure], candidate) for candidate in choice.candidates]
            done.pool = done.pool or [(structure, None) for structure in choice.structures]
            done.selection = choice.outcome
            done.parts.append(_compared_pool(archive, campaign, done, choice.structures, event.value))
            done.parts.append(_compared_selection(choice.outcome, event.value))
    except NotFoundError as error:
        done.parts += [Part("candidates", None, str(error)), Part("selection", None, str(error))]


def _replay_screening(
    archive: Archive, campaign: Campaign, done: Replay, recorded: Mapping[str, Any], directory: Path
) -> None:
    """Judge the frames of the stored runs again and choose again."""
    if "explored_eps" not in recorded:
        why = "the event of the selection does not say in which order which runs were judged"
        done.parts += [Part("candidates", None, why), Part("selection", None, why)]
        return
    reference = FileRef.model_validate(recorded["explored_eps"])
    with np.load(io.BytesIO(archive.read_file(reference))) as stored:
        runs = archive.get_many(Trajectory, [str(name) for name in stored["trajectories"]])
        members = tuple(str(name) for name in stored["models"])
        eps = np.array(stored["eps"])
    committee = archive.get(Committee, Committee.id_for(members=members))
    selector = make_selector(campaign.current.selection)
    directory.mkdir(parents=True, exist_ok=True)
    made = decide(archive, (campaign, done.generation.index), (runs, committee), selector, directory)
    done.pool = list(zip(made.structures, made.candidates, strict=True))
    done.selection = made.outcome
    content = made.explored_eps.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    why = "" if digest == reference.sha256 else _difference_of_eps(content, eps)
    done.parts.append(Part("eps of every explored frame", digest == reference.sha256, why, digest))
    done.parts.append(_compared_pool(archive, campaign, done, made.structures, recorded))
    done.parts.append(_compared_selection(made.outcome, recorded))


def _difference_of_eps(content: bytes, stored: Any) -> str:
    with np.load(io.BytesIO(content)) as rebuilt:
        eps = np.array(rebuilt["eps"])
    if len(eps) != len(stored):
        return f"{len(eps)} frames were judged now, {len(stored)} then"
    return f"eps differs by {np.nanmax(abs(eps - stored), initial=0.0):.1e} eV/A at the most"


def _initial_selector(campaign: Campaign) -> Selector:
    wish = campaign.current.initial.selection
    wanted = max(campaign.current.initial.n_structures, 1)
    return make_selector(SelectionSpec(engine=wish.engine, n_structures=wanted, n_components=wish.n_components))


def _compared_pool(
    archive: Archive,
    campaign: Campaign,
    done: Replay,
    structures: Sequence[Structure],
    recorded: Mapping[str, Any],
) -> Part:
    """Compare candidates field by field, structures by their content ids: with them cells and positions are equal."""
    place = {"campaign": campaign.name, "generation": done.generation.index}
    stored = {document.id: document for document in archive.find(Candidate, place)}
    rebuilt = {candidate.id: candidate for _, candidate in done.pool if candidate is not None}
    wrong = sorted(set(stored) ^ set(rebuilt))
    for name in sorted(set(stored) & set(rebuilt)):
        then, now = stored[name], rebuilt[name]
        if now.revised(created_at=then.created_at, provenance=then.provenance).digest != then.digest:
            wrong.append(name)
    ids = list(dict.fromkeys(structure.id for structure in structures))
    found = archive.find_records(Structure, {"_id": {"$in": ids}}, fields=["_id"])
    wrong += sorted(set(ids) - {record["_id"] for record in found})
    wanted = {*recorded.get("structures", ()), *recorded.get("train", ()), *recorded.get("holdout", ())}
    wrong += sorted(wanted - set(ids))
    digest = canonical_sha256(list(rebuilt) or ids)
    return Part("candidates", not wrong, _named(wrong), digest)


def _compared_selection(now: Mapping[str, Any], then: Mapping[str, Any]) -> Part:
    """Compare what was chosen, in its order, with all counts, thresholds and the ledger."""
    keys = (set(now) | set(then)) - {"explored_eps"}
    wrong = sorted(key for key in keys if _canonical(now.get(key)) != _canonical(then.get(key)))
    digest = _canonical(now.get("structures") or now.get("train"))
    return Part("selection", not wrong, _named(wrong), digest)


def _canonical(value: Any) -> str:
    return canonical_sha256({"value": value})


def _replay_datasets(archive: Archive, campaign: Campaign, done: Replay) -> None:
    """Derive the data sets of the generation from their chains again, and from the event that extended them."""
    for split in ("train", "holdout"):
        event = archive.recorded_event(campaign.id, f"{EXTENSION}/{done.generation.index}/{split}")
        value = event.value if event is not None else None
        if not isinstance(value, dict) or value.get("dataset") is None:
            continue
        name = str(value["dataset"])
        labels = archive.dataset_labels(name)
        digest = canonical_sha256(labels)
        wrong = [] if digest == archive.get(Dataset, name).manifest_sha256 else [name]
        added = value.get("added")
        wrong += [str(label) for label in (added if isinstance(added, list) else ()) if label not in set(labels)]
        done.parts.append(Part(f"{split} set {name}", not wrong, _named(wrong), digest))


def _replay_training(archive: Archive, campaign: Campaign, done: Replay, places: tuple[Path, Path]) -> None:
    """Write the input files of each member below the first folder; what they are made from goes below the second."""
    directory, scratch = places
    place = {"campaign": campaign.name, "generation": done.generation.index}
    trainer = make_trainer(campaign.current.training)
    for model in archive.find(Model, place, sort=[("member", 1)]):
        if not isinstance(trainer, NepTrainer):
            done.parts.append(Part(f"member {model.member}", None, f"{model.trainer} says not what its inputs are"))
            continue
        folder = directory / f"member_{model.member}"
        done.folders.append(folder)
        done.parts += rebuilt_inputs(archive, (campaign, trainer), model, folder, scratch)


def rebuilt_inputs(
    archive: Archive, of: tuple[Campaign, NepTrainer], model: Model, folder: Path, scratch: Path
) -> Iterator[Part]:
    """Write the input files of one member and compare them with what it was trained on.

    Parameters
    ----------
    of
        The member's campaign, and its trainer.
    folder, scratch
        Where the files go (must not exist), and where what they are made from may go.
    """
    campaign, trainer = of
    chosen = bag(archive.dataset_labels(model.dataset), campaign.current.training.bagging, model.seed)
    start = archive.get(Model, model.start) if model.start else None
    try:
        request = TrainingRequest(
            pairs=labelled_structures(archive, chosen),
            elements=model.elements,
            energy_shift=model.energy_shift,
            seed=model.seed,
            start=archive.fetch_file(start.nep_txt, scratch / f"start_{model.member}") if start else None,
        )
        digest = trainer.write_inputs(request, folder, seeded=model.seeded)
    except LizrclError as error:
        yield Part(f"member {model.member}: train.xyz", False, str(error))
        return
    if model.bag_sha256 is not None and canonical_sha256(chosen) != model.bag_sha256:
        yield Part(f"member {model.member}: labels", False, f"other labels than {model.id} was trained on")
    yield _compared_nep_in(model, folder)
    recorded = model.provenance.inputs_sha256
    together = "train.xyz, nep.in, seed" + (", nep.txt, nep.restart" if start else "")
    name = f"member {model.member}: {together}"
    if recorded is None:
        yield Part(name, None, f"the provenance of {model.id} holds no SHA-256 of its input files", digest)
        return
    yield Part(name, digest == recorded, "" if digest == recorded else f"then the SHA-256 was {recorded}", digest)


def _compared_nep_in(model: Model, folder: Path) -> Part:
    name = f"member {model.member}: nep.in"
    digest = hashlib.sha256((folder / "nep.in").read_bytes()).hexdigest()
    stored = next((ref for ref in model.files if ref.name == "nep.in"), None)
    if stored is None:
        return Part(name, None, f"{model.id} holds no nep.in", digest)
    why = "" if digest == stored.sha256 else f"then the SHA-256 was {stored.sha256}"
    return Part(name, digest == stored.sha256, why, digest)


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"differs: {', '.join(names[:SHOWN])}{more}" if names else ""
