"""Many documents in one file that other programs read: extended XYZ, an ASE database, Parquet."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lizrcl_flows.cli.exports import frame_text
from lizrcl_flows.errors import InputError

if TYPE_CHECKING:
    from lizrcl_flows.archive import Archive
    from lizrcl_flows.documents import Candidate, Document, Label, Structure

ENDINGS = {"extxyz": "xyz", "ase-db": "db", "parquet": "parquet"}
"""Formats with the ending of their file."""

WITH_ATOMS = ("structure", "candidate", "label", "dataset")
"""Kinds of documents that atoms belong to."""

FROM_LABEL = ("level", "status", "purpose", "max_force", "n_scf", "attempts", "core_hours", "wall_s", "reason")
FROM_CANDIDATE = (
    "eps",
    "score",
    "verdict",
    "reason",
    "temperature_k",
    "pressure_gpa",
    "time_fs",
    "trajectory",
    "frame",
)
FROM_STRUCTURE = ("phase", "region", "campaign", "generation", "formula")


def bulk_file(archive: "Archive", noun: str, documents: "Sequence[Document]", form: str, directory: Path) -> Path:
    """Write documents of one kind into one file, complete or not at all; return its path.

    A data set is its labels, in its order.

    Parameters
    ----------
    form
        One of `ENDINGS`. Extended XYZ has energy (eV), forces (eV/A), stress (eV/A^3, tension positive) and virial (eV,
        compression positive) under the names that GPUMD, ASE and MACE look for, and all scalar facts in its comment
        line; an ASE database the same as key-value pairs; Parquet the scalar fields as columns, units in the metadata.

    Raises
    ------
    InputError
        If there are no atoms in documents of this kind.
    """
    if form != "parquet" and noun not in WITH_ATOMS:
        raise InputError(f"--format {form}: a {noun} has no atoms; {', '.join(WITH_ATOMS)} have")
    path = bulk_path(documents, form, directory)
    directory.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".partial_{path.name}")
    partial.unlink(missing_ok=True)
    try:
        _WRITERS[form](archive, noun, documents, partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def bulk_path(documents: "Sequence[Document]", form: str, directory: Path) -> Path:
    """Return the file that documents go to: by the id of one, by the collection of several."""
    stem = documents[0].id if len(documents) == 1 else type(documents[0]).collection
    return directory / f"{stem}.{ENDINGS[form]}"


def _write_extxyz(archive: "Archive", noun: str, documents: "Sequence[Document]", path: Path) -> None:
    with path.open("w", encoding="utf-8") as out:
        for structure, document in _with_structures(archive, noun, documents):
            info = {name: value for name, value in _facts(structure, document).items() if name != "structure"}
            results, columns = _results(structure, document)
            out.write(frame_text(structure, {**results, **info}, columns))


def _write_ase_db(archive: "Archive", noun: str, documents: "Sequence[Document]", path: Path) -> None:
    from ase.calculators.singlepoint import SinglePointCalculator
    from ase.db import connect

    from lizrcl_flows.science.structures import atoms_from_structure

    with connect(str(path), type="db", append=False) as database:
        for structure, document in _with_structures(archive, noun, documents):
            atoms = atoms_from_structure(structure)
            results, columns = _results(structure, document)
            if "energy" in results:
                stress = results.get("stress")
                atoms.calc = SinglePointCalculator(
                    atoms,
                    energy=results["energy"],
                    forces=columns.get("forces"),
                    stress=None if stress is None else _voigt(stress),
                )
            pairs = {
                f"{name}_name" if name == "formula" else name: v for name, v in _facts(structure, document).items()
            }
            data = {"parents": list((document or structure).parents)}
            data |= {name: values for name, values in columns.items() if name == "eps_atoms"}
            database.write(atoms, key_value_pairs={k: v for k, v in pairs.items() if v != ""}, data=data)


def _voigt(stress: Any) -> Any:
    from ase.stress import full_3x3_to_voigt_6_stress

    return full_3x3_to_voigt_6_stress(stress)


def _write_parquet(archive: "Archive", noun: str, documents: "Sequence[Document]", path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    members = [label for _, label in _with_structures(archive, noun, documents)] if noun == "dataset" else documents
    rows = [_scalars(document) for document in members if document is not None]
    names = list(dict.fromkeys(name for row in rows for name in row))
    table = pa.Table.from_pylist([{name: row.get(name) for name in names} for row in rows])
    units = _units(type(members[0])) if members and members[0] is not None else {}
    fields = [
        field.with_metadata({"unit": units[field.name]}) if field.name in units else field for field in table.schema
    ]
    parquet.write_table(table.cast(pa.schema(fields)), path)


def _scalars(document: "Document") -> dict[str, Any]:
    """Return the scalar fields of a document, those of its parts under dotted names."""
    content = document.model_dump(mode="python", exclude=set(document.array_specs()))
    return dict(_flat(content, ""))


def _flat(content: Mapping[str, Any], above: str) -> Iterator[tuple[str, Any]]:
    for name, value in content.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{name}.")
        elif value is None or isinstance(value, str | bool | int | float | datetime):
            yield f"{above}{name}", value


def _units(kind: "type[Document]") -> dict[str, str]:
    """Return the unit of each scalar field that has one, by its dotted name."""
    schema = kind.model_json_schema(by_alias=False)
    return dict(_units_in(schema, schema.get("$defs", {}), ""))


def _units_in(schema: Mapping[str, Any], definitions: Mapping[str, Any], above: str) -> Iterator[tuple[str, str]]:
    for name, entry in schema.get("properties", {}).items():
        for part in (entry, *entry.get("anyOf", ())):
            if part.get("unit", "1") != "1":
                yield f"{above}{name}", part["unit"]
            if "$ref" in part:
                yield from _units_in(definitions[part["$ref"].rsplit("/", 1)[-1]], definitions, f"{above}{name}.")


def _with_structures(
    archive: "Archive", noun: str, documents: "Sequence[Any]"
) -> "Iterator[tuple[Structure, Candidate | Label | None]]":
    """Yield structures with what is to be said about them, some hundred at a time."""
    from lizrcl_flows.documents import Label, Structure

    if noun == "structure":
        yield from ((structure, None) for structure in documents)
        return
    for start in range(0, len(documents), _PART):
        members: Sequence[Any] = documents[start : start + _PART]
        if noun == "dataset":
            members = archive.get_many(Label, [name for each in members for name in archive.dataset_labels(each.id)])
        yield from zip(archive.get_many(Structure, [each.structure for each in members]), members, strict=True)


_PART = 500


def _facts(structure: "Structure", document: "Candidate | Label | None") -> dict[str, Any]:
    """Return what is known besides the numbers: names of documents, place in the campaign, cost."""
    facts: dict[str, Any] = {"structure": structure.id, "made_by": structure.origin.kind}
    if structure.origin.source:
        facts["source"] = structure.origin.source
    if document is not None:
        facts[type(document).__name__.lower()] = document.id
        names = FROM_LABEL if document.prefix == "lab" else FROM_CANDIDATE
        facts |= {name: getattr(document, name) for name in names}
    place = document or structure
    facts |= {name: getattr(place, name, None) for name in FROM_STRUCTURE}
    return {name: value for name, value in facts.items() if value not in (None, "")}


def _results(structure: "Structure", document: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return energy, stress and virial, and the columns of forces or deviations; the same under MACE's names."""
    import numpy as np

    if document is None or document.prefix == "can":
        eps_atoms = None if document is None else document.eps_atoms
        return {}, ({} if eps_atoms is None else {"eps_atoms": eps_atoms})
    if document.energy is None or document.forces is None:
        return {}, {}
    results: dict[str, Any] = {"energy": document.energy, "REF_energy": document.energy}
    if document.energy_zero is not None:
        results["energy_zero"] = document.energy_zero
    if document.stress is not None:
        virial = -document.stress * abs(np.linalg.det(structure.cell))
        results |= {"stress": document.stress, "REF_stress": document.stress, "virial": virial}
    return results, {"forces": document.forces, "REF_forces": document.forces}


_WRITERS = {"extxyz": _write_extxyz, "ase-db": _write_ase_db, "parquet": _write_parquet}
