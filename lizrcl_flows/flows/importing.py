"""Labels that were computed elsewhere become structures, labels and one data set, each once however often it is done.

Files are read first, all of them; only then, when their levels of theory are known to agree, anything is written.
"""

import contextlib
import gzip
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lizrcl_flows.archive import Archive
from lizrcl_flows.documents import Dataset, FileRef, Label, Level, Origin, Provenance, Structure, canonical_sha256
from lizrcl_flows.errors import InputError
from lizrcl_flows.flows.import_levels import Group
from lizrcl_flows.science.imports.reading import COMPRESSED, ReadOptions, open_source, read_source
from lizrcl_flows.science.imports.records import ComputedFrame, FileContent, SourceFile
from lizrcl_flows.science.structures import structure_from_frame

Progress = Callable[[str, int, int], None]

WORTH_PROCESSES_BYTES = 500_000_000
"""Size of all files from which on several processes read them: one reads 30 MB a second, starting takes seconds."""

SAME_ENERGY_EV = 1e-4
"""By how much the energies of two files of one structure at one level may differ before it is said."""

_BATCH = 500


@dataclass(frozen=True)
class ImportPlan:
    """What becomes of the labels.

    Attributes
    ----------
    parent
        Id of the data set that is extended.
    keep_raw
        Store the files themselves, compressed, with the labels.
    """

    split: Literal["train", "holdout"] = "train"
    campaign: str | None = None
    phase: str | None = None
    parent: str | None = None
    keep_raw: bool = True


@dataclass
class ImportReport:
    """What became of the frames of one level of theory.

    Attributes
    ----------
    dataset
        Id of the data set; None where no label was accepted.
    n_frames
        Frames that were read.
    n_new, n_known, n_repeated
        Accepted labels: written now, in the archive before, and found a second time in these files.
    n_failed, n_left_out
        Frames that are no label: as a fact of the calculation, which is kept as a failed label, and by the limits of
        this import, of which nothing is kept.
    reasons
        Why, each kind of reason once.
    n_added, n_labels
        Labels that the data set adds to its parent, and all labels of its chain.
    remarks
        Sentences about frames that contradict what the archive holds.
    """

    level: str
    files: int
    dataset: str | None = None
    n_frames: int = 0
    n_new: int = 0
    n_known: int = 0
    n_repeated: int = 0
    n_failed: int = 0
    n_left_out: int = 0
    n_added: int = 0
    n_labels: int = 0
    reasons: dict[str, "Reason"] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    def refuse(self, frame: ComputedFrame, place: str) -> None:
        """Count a frame that is no label."""
        if frame.tentative:
            self.n_left_out += 1
        else:
            self.n_failed += 1
        kind = re.sub(r"\d+(\.\d+)?", "N", frame.reason)
        self.reasons.setdefault(kind, Reason(frame.reason, place)).count += 1


@dataclass
class Reason:
    """Why frames are no labels: how often, and what is said of the first one."""

    text: str
    first: str
    count: int = 0


def read_all(
    sources: Sequence[SourceFile], options: ReadOptions, progress: Progress, workers: int | None = None
) -> list[FileContent]:
    """Read files, in several processes where that pays.

    Parameters
    ----------
    progress
        Is told the stage, the files done and all files.
    workers
        Processes; as many as there are cores for large amounts, else one.
    """
    n_bytes = sum(source.path.stat().st_size for source in sources)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if workers is None:
        workers = min(cores, len(sources)) if n_bytes > WORTH_PROCESSES_BYTES else 1
    read = partial(read_source, options=options)
    if workers < 2:
        return _counted(map(read, sources), len(sources), progress)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        return _counted(pool.map(read, sources, chunksize=4), len(sources), progress)


def _counted(contents: Iterator[FileContent], total: int, progress: Progress) -> list[FileContent]:
    found = []
    for content in contents:
        found.append(content)
        progress("reading files", len(found), total)
    return found


def store_group(
    archive: Archive, group: Group, plan: ImportPlan, progress: Progress, *, write: bool = True
) -> ImportReport:
    """Write the structures, labels and the data set of one level of theory.

    What is in the archive already stays as it is, so that an import may be repeated or resumed. A structure that has an
    accepted and a failed result among the files gets the accepted one.

    Parameters
    ----------
    group
        The level and the files that agree with it.
    write
        False: only count what would be new.

    Raises
    ------
    InputError
        If the data set to extend is of another level or split.
    """
    before = _labels_before(archive, group.level, plan)
    report = ImportReport(level=group.level.id, files=len(group.contents))
    if write and not archive.exists(Level, group.level.id):
        archive.put(group.level)
    total = sum(len(content.frames) for content in group.contents)
    with tempfile.TemporaryDirectory(prefix="lizrcl-import-") as scratch:
        storing = _Storing(archive, group.level, plan, report, Path(scratch), write)
        for failed in (False, True):
            for content in group.contents:
                frames = [frame for frame in content.frames if bool(frame.reason) is failed]
                for start in range(0, len(frames), _BATCH):
                    storing.store(content, frames[start : start + _BATCH])
                    progress("storing labels", report.n_frames, total)
    storing.store_dataset(before)
    return report


def _labels_before(archive: Archive, level: Level, plan: ImportPlan) -> list[str]:
    if plan.parent is None:
        return []
    parent = archive.get(Dataset, plan.parent)
    if parent.level != level.id:
        raise InputError(f"{parent.id} is of level {parent.level}, these labels are of {level.id}: levels never mix")
    if parent.split != plan.split:
        raise InputError(f"{parent.id} is a {parent.split} set and cannot be extended by {plan.split} labels")
    return archive.dataset_labels(parent.id)


@dataclass
class _Storing:
    """Writes frames as structures and labels, each once, and then the data set of those that were accepted."""

    archive: Archive
    level: Level
    plan: ImportPlan
    report: ImportReport
    scratch: Path
    write: bool
    accepted: dict[str, None] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    raw: dict[str, tuple[FileRef, ...]] = field(default_factory=dict)

    def store(self, content: FileContent, frames: Sequence[ComputedFrame]) -> None:
        """Write one batch of frames of one file."""
        structures = [self._structure(content, frame) for frame in frames]
        names = [Label.id_for(structure=structure.id, level=self.level.id) for structure in structures]
        fields = ["status", "energy", "reason"]
        found = self.archive.find_records(Label, {"_id": {"$in": names}}, fields=fields)
        stored = {record["_id"]: record for record in found if record["_id"] not in self.seen}
        new: list[tuple[Structure, ComputedFrame]] = []
        for frame, structure, name in zip(frames, structures, names, strict=True):
            self.report.n_frames += 1
            if frame.reason:
                self.report.refuse(frame, f"{content.source.name}, frame {frame.number}")
            if frame.tentative:
                continue
            if name in self.seen:
                self.report.n_repeated += not frame.reason
            elif name in stored:
                self._compare(content, frame, stored[name])
            else:
                new.append((structure, frame))
                self._accept(name, frame)
            self.seen.add(name)
        if new and self.write:
            self._put(content, new)

    def _accept(self, name: str, frame: ComputedFrame) -> None:
        if not frame.reason:
            self.report.n_new += 1
            self.accepted[name] = None

    def _compare(self, content: FileContent, frame: ComputedFrame, record: Mapping[str, Any]) -> None:
        """Count a frame whose label is in the archive, and tell where the two contradict each other."""
        if frame.reason or frame.energy is None:
            return
        place = f"{content.source.name}, frame {frame.number}"
        name, energy = record["_id"], record["energy"]
        if record["status"] != "accepted":
            told = f": {record['reason']}" if record["reason"] else ""
            self.report.remarks.append(
                f"{place}: its label {name} is {record['status']} in the archive{told}; it is left out"
            )
            return
        self.report.n_known += 1
        self.accepted[name] = None
        if abs(energy - frame.energy) > SAME_ENERGY_EV:
            self.report.remarks.append(
                f"{place}: the energy is {frame.energy:.6f} eV, that of label {name} of the same structure and level "
                f"is {energy:.6f} eV; the first one stands"
            )

    def _structure(self, content: FileContent, frame: ComputedFrame) -> Structure:
        origin = Origin(
            kind="import",
            source=content.source.name,
            parameters={"sha256": content.sha256, "frame": frame.number},
        )
        phase = self.plan.phase or frame.phase
        return structure_from_frame(frame, origin=origin, phase=phase, campaign=self.plan.campaign)

    def _put(self, content: FileContent, new: Sequence[tuple[Structure, ComputedFrame]]) -> None:
        raw = self._raw_file(content)
        told = Provenance(
            host=platform.node(),
            package_version=version("lizrcl_flows"),
            engine="import",
            engine_version=self.level.code_version,
            executable=content.program or None,
            inputs_sha256=content.sha256,
        )
        wanted = [structure.id for structure, _ in new]
        known = {
            record["_id"] for record in self.archive.find_records(Structure, {"_id": {"$in": wanted}}, fields=["_id"])
        }
        documents: list[Structure | Label] = []
        for structure, frame in new:
            if structure.id not in known:
                documents.append(structure)
            documents.append(self._label(structure, frame, raw, told))
        self.archive.put_many(documents)

    def _label(self, structure: Structure, frame: ComputedFrame, raw: tuple[FileRef, ...], told: Provenance) -> Label:
        accepted = not frame.reason
        forces = frame.forces if accepted else None
        return Label(
            campaign=self.plan.campaign,
            structure=structure.id,
            level=self.level.id,
            status="accepted" if accepted else "failed",
            reason=frame.reason,
            n_atoms=structure.n_atoms,
            energy=frame.energy if accepted else None,
            energy_zero=frame.energy_zero if accepted else None,
            forces=forces,
            stress=frame.stress if accepted else None,
            max_force=None if forces is None else float(np.linalg.norm(forces, axis=1).max()),
            n_scf=frame.n_scf,
            formula=structure.formula,
            phase=structure.phase,
            region=structure.region,
            purpose="import",
            raw=raw,
            parents=(structure.id, self.level.id),
            provenance=told,
        )

    def _raw_file(self, content: FileContent) -> tuple[FileRef, ...]:
        """Store the file itself, compressed so that equal content gives equal bytes."""
        if not self.plan.keep_raw:
            return ()
        name, path = content.source.name, content.source.path
        if name not in self.raw:
            plain = path.stem if path.suffix in COMPRESSED else path.name
            packed = self.scratch / "raw.gz"
            with (
                open_source(path) as source,
                packed.open("wb") as target,
                gzip.GzipFile(filename="", fileobj=target, mode="wb", mtime=0) as out,
                contextlib.suppress(EOFError),  # a compressed file that ends early: what there is
            ):
                shutil.copyfileobj(source, out, 1 << 20)
            self.raw[name] = (self.archive.put_file(packed, f"{plain}.gz"),)
        return self.raw[name]

    def store_dataset(self, before: Sequence[str]) -> None:
        """Write the data set of the accepted labels, in the order of the files."""
        present, plan = set(before), self.plan
        added = [name for name in self.accepted if name not in present]
        self.report.n_added, self.report.n_labels = len(added), len(before) + len(added)
        parent = self.archive.resolve(Dataset, plan.parent) if plan.parent else None
        if not added:
            self.report.dataset = parent
            return
        dataset = Dataset(
            campaign=plan.campaign,
            parent=parent,
            added=tuple(added),
            split=plan.split,
            level=self.level.id,
            n_labels=self.report.n_labels,
            manifest_sha256=canonical_sha256([*before, *added]),
            parents=(*([parent] if parent else []), *added),
            provenance=Provenance(host=platform.node(), package_version=version("lizrcl_flows"), engine="import"),
        )
        self.report.dataset = dataset.id
        if self.write and not self.archive.exists(Dataset, dataset.id):
            self.archive.put(dataset)
