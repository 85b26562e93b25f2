"""Files to arrays: which files there are, what each holds, and which frames are labels."""

import bz2
import gzip
import hashlib
import io
import lzma
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from lizrcl_flows.errors import InputError, NotFoundError
from lizrcl_flows.science.geometry import describe_contact, find_contact
from lizrcl_flows.science.imports.extended_xyz import XyzKeys, read_extended_xyz
from lizrcl_flows.science.imports.outcar import read_outcar
from lizrcl_flows.science.imports.records import ComputedFrame, FileContent, Kind, SourceFile
from lizrcl_flows.science.imports.vasprun import read_vasprun

NET_FORCE = 0.1
"""Largest component of the sum of all forces (eV/A) by default; engines of this package have the same limit."""

OVERLAP_FACTOR = 0.5
"""Atoms closer than this share of the sum of their covalent radii overlap."""

ACCEPTED = "vasprun*.xml or OUTCAR* (in folders as well), *.xyz or *.extxyz, each also with .gz, .bz2 or .xz"

COMPRESSED: dict[str, Callable[[Any], Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
"""Endings of compressed files, and what opens them."""

_NAMES: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    ("vasprun", re.compile(r"(.*[._-])?vasprun.*\.xml(\..*)?", re.IGNORECASE)),
    ("outcar", re.compile(r"(.*[._-])?OUTCAR.*")),
    ("extxyz", re.compile(r".+\.(ext)?xyz", re.IGNORECASE)),
)
_BLOCK = 1 << 20


@dataclass(frozen=True)
class ReadOptions:
    """How files are read.

    Attributes
    ----------
    last_only
        Of a relaxation or a dynamics run, take the last ionic step only.
    net_force
        Largest component of the sum of all forces of a label (eV/A).
    """

    last_only: bool = False
    net_force: float = NET_FORCE
    keys: XyzKeys = field(default_factory=XyzKeys)


def find_sources(paths: Sequence[Path]) -> list[SourceFile]:
    """Return the files that are meant by files and folders, in an order that hangs on their names alone.

    In folders vasprun.xml files are looked for, and OUTCAR files where there is no vasprun.xml beside them; extended
    XYZ files must be named, because a folder may hold trajectories as well.

    Raises
    ------
    NotFoundError
        If a path does not exist.
    InputError
        If a folder holds nothing to import, or a file's kind cannot be told from its name.
    """
    found: dict[Path, SourceFile] = {}
    for path in paths:
        if not path.exists():
            raise NotFoundError(f"'{path}' does not exist")
        for source in _in_folder(path) if path.is_dir() else [_named(path)]:
            found.setdefault(source.path.resolve(), source)
    names: dict[str, int] = {}
    for source in found.values():
        names[source.name] = names.get(source.name, 0) + 1
    return [source if names[source.name] == 1 else replace(source, name=str(source.path)) for source in found.values()]


def _kind(path: Path) -> Kind | None:
    name = path.name.removesuffix(path.suffix) if path.suffix in COMPRESSED else path.name
    return next((kind for kind, pattern in _NAMES if pattern.fullmatch(name)), None)


def _named(path: Path) -> SourceFile:
    kind = _kind(path)
    if kind is None:
        raise InputError(f"{path}: what the file holds cannot be told from its name, accepted are {ACCEPTED}")
    return SourceFile(path, path.name, kind)


def _in_folder(folder: Path) -> list[SourceFile]:
    by_folder: dict[Path, dict[Kind, list[Path]]] = {}
    for path in sorted(folder.rglob("*")):
        kind = _kind(path)
        if kind in ("vasprun", "outcar") and path.is_file():
            by_folder.setdefault(path.parent, {}).setdefault(kind, []).append(path)
    chosen = [
        SourceFile(path, path.relative_to(folder).as_posix(), kind)
        for kinds in by_folder.values()
        for kind in cast("tuple[Kind, ...]", ("vasprun", "outcar"))
        if kind in kinds and not (kind == "outcar" and "vasprun" in kinds)
        for path in _one_each(kinds[kind])
    ]
    if not chosen:
        raise InputError(f"{folder}: holds nothing to import, accepted are {ACCEPTED}")
    return sorted(chosen, key=lambda source: source.name)


def _one_each(paths: Sequence[Path]) -> Iterator[Path]:
    """Leave out the compressed copy of a file that is there as it is."""
    plain = {path for path in paths if path.suffix not in COMPRESSED}
    yield from (path for path in paths if path in plain or path.with_suffix("") not in plain)


def open_source(path: Path) -> IO[bytes]:
    """Open a file for reading bytes, decompressing it where its name says so."""
    opener = COMPRESSED.get(path.suffix)
    return cast("IO[bytes]", opener(path) if opener else path.open("rb"))


def content_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content, decompressed; of a cut compressed file, of what there is."""
    digest = hashlib.sha256()
    with open_source(path) as stream:
        try:
            while block := stream.read(_BLOCK):
                digest.update(block)
        except (EOFError, OSError, lzma.LZMAError):
            pass
    return digest.hexdigest()


def read_source(source: SourceFile, options: ReadOptions) -> FileContent:
    """Read one file. What is wrong with it is told in the result, so that the other files go on.

    Parameters
    ----------
    source
        The file.
    options
        How it is read.
    """
    try:
        sha256 = content_sha256(source.path)
        content = _READERS[source.kind](FileContent(source, sha256), options)
    except (OSError, EOFError, lzma.LZMAError) as error:
        return FileContent(source, "", problems=(f"{source.name}: {getattr(error, 'strerror', None) or error}",))
    frames = content.frames[-1:] if options.last_only else content.frames
    usable, problems = [], list(content.problems)
    for frame in frames:
        fault = _geometry_fault(frame)
        if fault:
            problems.append(f"{source.name}, {_place(source, frame)}: {fault}")
        else:
            usable.append(frame if frame.reason else _judged(frame, options.net_force))
    return replace(content, frames=tuple(usable), problems=tuple(problems))


def _read_vasp(content: FileContent, _options: ReadOptions) -> FileContent:
    source = content.source
    with open_source(source.path) as stream:
        if source.kind == "vasprun":
            run, frames, fault = read_vasprun(cast("Any", stream))
        else:
            with io.TextIOWrapper(stream, encoding="utf-8", errors="replace") as text:
                run, frames, fault = read_outcar(text)
    problems = [f"{source.name}: {fault}"] if fault else []
    refusal = run.refusal() if frames or not fault else ""
    if not frames and not fault and not refusal:
        refusal = "it has no complete ionic step"
    if refusal:
        return replace(content, problems=(*problems, f"{source.name}: {refusal}"))
    if not frames:
        return replace(content, problems=tuple(problems))
    return replace(content, frames=tuple(frames), method=run.method(), program=run.program, problems=tuple(problems))


def _read_xyz(content: FileContent, options: ReadOptions) -> FileContent:
    source = content.source
    with open_source(source.path) as stream, io.TextIOWrapper(stream, encoding="utf-8", errors="replace") as text:
        frames, problems, level_ids = read_extended_xyz(text, source.name, options.keys)
    if not frames and not problems:
        problems = [f"{source.name}: the file is empty"]
    return replace(content, frames=tuple(frames), problems=tuple(problems), level_ids=tuple(level_ids))


_READERS: dict[Kind, Callable[[FileContent, ReadOptions], FileContent]] = {
    "vasprun": _read_vasp,
    "outcar": _read_vasp,
    "extxyz": _read_xyz,
}


def _place(source: SourceFile, frame: ComputedFrame) -> str:
    return f"{'frame' if source.kind == 'extxyz' else 'ionic step'} {frame.number}"


def _geometry_fault(frame: ComputedFrame) -> str:
    """Return why a frame is no structure; empty where it is one."""
    if not (np.isfinite(frame.cell).all() and np.isfinite(frame.positions).all()):
        return "a cell vector or position is not a finite number"
    if frame.pbc.all() and abs(float(np.linalg.det(frame.cell))) < 1e-6:
        return "the cell is singular: three vectors that span a volume are needed"
    return ""


def _judged(frame: ComputedFrame, net_force: float) -> ComputedFrame:
    """Return a frame with what speaks against it as a label."""
    reason = _objection(frame)
    if reason or frame.forces is None:
        return replace(frame, reason=reason)
    net = float(np.abs(frame.forces.sum(axis=0)).max())
    if net > net_force:
        reason = f"the forces add up to {net:.3g} eV/A, more than {net_force:g}: not converged, or not all forces"
    return replace(frame, reason=reason, tentative=bool(reason)) if reason else frame


def _objection(frame: ComputedFrame) -> str:
    """Return why the results of a frame are no label; empty where nothing speaks against them."""
    if frame.energy is None or frame.forces is None:
        return f"the calculation has no {'energy' if frame.energy is None else 'forces'}"
    if frame.forces.shape != (len(frame.numbers), 3):
        return f"there are {len(frame.forces)} forces for {len(frame.numbers)} atoms"
    numbers = {"energy": frame.energy, "forces": frame.forces, "stress": frame.stress}
    for quantity, values in numbers.items():
        if values is not None and not np.isfinite(np.asarray(values, dtype=np.float64)).all():
            return f"the {quantity} {'are' if quantity == 'forces' else 'is'} not finite"
    contact = find_contact(frame.numbers, (frame.cell, _flags(frame)), frame.positions, OVERLAP_FACTOR)
    if contact is not None:
        return f"{describe_contact(contact)}, less than {contact.threshold:.3f} A: atoms overlap"
    return ""


def _flags(frame: ComputedFrame) -> tuple[bool, bool, bool]:
    first, second, third = (bool(flag) for flag in frame.pbc)
    return first, second, third
