"""Files that a document can be taken away as: extended XYZ, potentials, trajectories, tables."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lizrcl_flows.cli.output import jsonable

if TYPE_CHECKING:
    from lizrcl_flows.archive import Archive
    from lizrcl_flows.documents import Document, FileRef, Label, Structure


def export_document(archive: "Archive", document: "Document", directory: Path, *, dry_run: bool = False) -> list[Path]:
    """Write the files of one document into a folder.

    A file appears complete or not at all; one that is there is replaced.

    Parameters
    ----------
    archive
        Where the document and its files are.
    directory
        Folder; made if it is missing.
    dry_run
        Name the files and write none.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    IntegrityError
        If a stored file is not what its SHA-256 says.
    """
    writer = _WRITERS.get(document.prefix, _write_json)
    written = []
    for name, content in writer(archive, document):
        path = directory / name
        if not dry_run:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_name(f".{path.name}.partial")
            partial.write_bytes(content())
            partial.replace(path)
        written.append(path)
    return written


Files = Iterator[tuple[str, Callable[[], bytes]]]


def frame_text(structure: "Structure", info: Mapping[str, Any], columns: Mapping[str, Any] | None = None) -> str:
    """Return one frame of extended XYZ.

    Numbers are written so that they read back bit by bit. Keys of results begin with ``label_`` so that no reader takes
    them for something else than what they are.

    Parameters
    ----------
    structure
        Cell and positions (A).
    info
        Further keys of the comment line.
    columns
        Further numbers per atom, (n_atoms,) or (n_atoms, k).
    """
    from ase.data import chemical_symbols

    extra = {name: values.reshape(structure.n_atoms, -1) for name, values in (columns or {}).items()}
    properties = "species:S:1:pos:R:3" + "".join(f":{name}:R:{values.shape[1]}" for name, values in extra.items())
    pbc = " ".join("T" if periodic else "F" for periodic in structure.pbc)
    comment = {"Lattice": structure.cell, "Properties": properties, "pbc": pbc, "structure": structure.id, **info}
    lines = [str(structure.n_atoms), " ".join(f"{key}={_quoted(value)}" for key, value in comment.items())]
    for i in range(structure.n_atoms):
        numbers = [structure.positions[i], *(values[i] for values in extra.values())]
        cells = [chemical_symbols[structure.numbers[i]], *(repr(float(x)) for group in numbers for x in group)]
        lines.append(" ".join(cells))
    return "\n".join(lines) + "\n"


def label_text(structure: "Structure", label: "Label") -> str:
    """Return a structure with its label: ``label_energy`` (eV), ``label_forces`` (eV/A), ``label_stress`` (eV/A^3).

    ``label_energy`` is the one whose derivative the forces are; ``label_energy_zero`` is extrapolated to no smearing.
    The stress has ASE's sign (tension positive), nine numbers row by row. A failed label has its reason instead.
    """
    info: dict[str, Any] = {"label": label.id, "level": label.level, "status": label.status}
    if structure.phase:
        info["phase"] = structure.phase
    if label.energy is not None:
        info["label_energy"] = label.energy
    if label.energy_zero is not None:
        info["label_energy_zero"] = label.energy_zero
    if label.stress is not None:
        info["label_stress"] = label.stress
    if label.reason:
        info["reason"] = label.reason
    return frame_text(structure, info, {"label_forces": label.forces} if label.forces is not None else None)


def _quoted(value: Any) -> str:
    if isinstance(value, float):
        return repr(value)
    if hasattr(value, "ravel"):
        return '"' + " ".join(repr(float(x)) for x in value.ravel()) + '"'
    content = str(value).replace('"', "'").replace("\n", " ")
    return f'"{content}"' if not content or set(content) & set(' =,:{}[]"') else content


def _write_structure(_archive: "Archive", document: Any) -> Files:
    from lizrcl_flows.science.interfaces.build import sides

    info = {"phase": document.phase} if document.phase else {}
    is_interface = {"n_substrate", "n_film"} <= set(document.origin.parameters)
    columns = {"side": sides(document)} if is_interface else None  # 1: film
    yield f"{document.id}.xyz", lambda: frame_text(document, info, columns).encode()


def _write_candidate(archive: "Archive", document: Any) -> Files:
    from lizrcl_flows.documents import Structure

    def content() -> bytes:
        structure = archive.get(Structure, document.structure)
        told = {"eps": document.eps, "score": document.score}
        info = {"candidate": document.id, "verdict": document.verdict}
        info |= {name: value for name, value in told.items() if value is not None}
        columns = {} if document.eps_atoms is None else {"eps_atoms": document.eps_atoms}
        return frame_text(structure, info, columns).encode()

    yield f"{document.id}.xyz", content


def _write_label(archive: "Archive", document: Any) -> Files:
    from lizrcl_flows.documents import Structure

    yield f"{document.id}.xyz", lambda: label_text(archive.get(Structure, document.structure), document).encode()
    yield from _files(archive, document.id, document.raw)


def _write_dataset(archive: "Archive", document: Any) -> Files:
    from lizrcl_flows.documents import Label, Structure

    def content() -> bytes:
        labels = archive.get_many(Label, archive.dataset_labels(document.id))
        structures = archive.get_many(Structure, [label.structure for label in labels])
        return "".join(label_text(*pair) for pair in zip(structures, labels, strict=True)).encode()

    yield f"{document.id}.xyz", content


def _write_model(archive: "Archive", document: Any) -> Files:
    yield from _files(archive, document.id, (document.nep_txt, *document.files))
    yield from _write_json(archive, document)


def _write_committee(archive: "Archive", document: Any) -> Files:
    from lizrcl_flows.documents import Model

    for number, model in enumerate(archive.get_many(Model, document.members)):
        yield f"{document.id}/nep_{number}.txt", _stored(archive, model.nep_txt)


def _write_trajectory(archive: "Archive", document: Any) -> Files:
    yield from _files(archive, document.id, document.files)
    yield from _write_json(archive, document)


def _write_evaluation(archive: "Archive", document: Any) -> Files:
    names = ("energy_predicted", "energy_label", "eps", "max_force_error")
    header = ("energy_predicted_ev_per_atom", "energy_label_ev_per_atom", "eps_ev_per_a", "max_force_error_ev_per_a")
    columns = [getattr(document, name) for name in names]
    yield f"{document.id}.csv", lambda: _csv(header, zip(*columns, strict=True))
    if document.arrays is not None:
        yield f"{document.id}.npz", _stored(archive, document.arrays)
    yield from _write_json(archive, document)


def _write_transport(archive: "Archive", document: Any) -> Files:
    rows = zip(document.lag_ps, document.msd_a2, strict=True)
    yield f"{document.id}.csv", lambda: _csv(("lag_ps", "msd_a2"), rows)
    yield from _write_json(archive, document)


def _write_analysis(archive: "Archive", document: Any) -> Files:
    if document.arrays is not None:
        yield f"{document.id}.npz", _stored(archive, document.arrays)
    yield from _write_json(archive, document)


def _write_json(_archive: "Archive", document: Any) -> Files:
    content = document.model_dump(mode="json", by_alias=True)
    yield f"{document.id}.json", (json.dumps(jsonable(content), indent=1) + "\n").encode


def _files(archive: "Archive", folder: str, references: Iterable["FileRef"]) -> Files:
    for reference in references:
        yield f"{folder}/{reference.name}", _stored(archive, reference)


def _stored(archive: "Archive", reference: "FileRef") -> Callable[[], bytes]:
    return lambda: archive.read_file(reference)


def _csv(header: Iterable[str], rows: Iterable[Iterable[Any]]) -> bytes:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([repr(float(cell)) for cell in row] for row in rows)
    return stream.getvalue().encode()


_WRITERS: dict[str, Callable[["Archive", Any], Files]] = {
    "str": _write_structure,
    "can": _write_candidate,
    "lab": _write_label,
    "dat": _write_dataset,
    "mod": _write_model,
    "com": _write_committee,
    "eva": _write_evaluation,
    "tra": _write_trajectory,
    "tsp": _write_transport,
    "ana": _write_analysis,
}
