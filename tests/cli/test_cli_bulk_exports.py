"""Many documents in one file: read by ASE, by GPUMD's format, under MACE's names; ASE databases; Parquet."""

import json
from pathlib import Path

import numpy as np
import pytest

from lizrcl_flows.documents import Candidate, Label, Structure
from lizrcl_flows.nep.structures import read_structures

pytestmark = pytest.mark.mongo


def _labels(stored) -> list[tuple[Label, Structure]]:
    labels = stored.archive.get_many(Label, stored.labels)
    return list(zip(labels, stored.archive.get_many(Structure, [label.structure for label in labels]), strict=True))


def test_extended_xyz_is_read_by_ase_and_has_what_mace_looks_for(lizrcl, stored, tmp_path: Path) -> None:
    from ase.io import read

    outcome = lizrcl("dataset", "export", stored.dataset, "--format", "extxyz", "-o", tmp_path)
    path = Path(outcome.out.strip())
    assert path == tmp_path / f"{stored.dataset}.xyz"
    for atoms, (label, structure) in zip(read(path, ":"), _labels(stored), strict=True):
        assert atoms.get_potential_energy() == label.energy
        assert np.array_equal(atoms.get_forces(), label.forces)
        assert np.array_equal(atoms.get_stress(voigt=False), label.stress)
        assert atoms.info["REF_energy"] == label.energy
        assert np.array_equal(atoms.arrays["REF_forces"], label.forces)
        assert np.array_equal(np.reshape(atoms.info["REF_stress"], (3, 3)), label.stress)
        assert np.array_equal(atoms.positions, structure.positions)
        told = {name: atoms.info[name] for name in ("label", "structure", "level", "phase", "campaign", "generation")}
        place = {"phase": label.phase, "campaign": "small", "generation": 0}
        assert told == {"label": label.id, "structure": structure.id, "level": label.level, **place}


def test_extended_xyz_is_a_training_set_of_gpumd(lizrcl, stored, tmp_path: Path) -> None:
    path = Path(lizrcl("label", "export", *stored.labels, "--format", "extxyz", "-o", tmp_path).out.strip())
    assert path.name == "labels.xyz"
    for frame, (label, structure) in zip(read_structures(path), _labels(stored), strict=True):
        assert frame.energy == label.energy
        assert np.array_equal(frame.forces, label.forces)
        virial = -label.stress * abs(np.linalg.det(structure.cell))
        assert np.allclose(frame.virial, virial[[0, 1, 2, 0, 1, 2], [0, 1, 2, 1, 2, 0]], atol=1e-12)


def test_the_file_can_be_imported_again(lizrcl, stored, tmp_path: Path) -> None:
    from lizrcl_flows.science.imports.extended_xyz import XyzKeys, read_extended_xyz

    path = Path(lizrcl("dataset", "export", stored.dataset, "--format", "extxyz", "-o", tmp_path).out.strip())
    with path.open() as stream:
        frames, problems, levels = read_extended_xyz(stream, path.name, XyzKeys())
    assert problems == []
    assert levels == [stored.archive.get(Label, stored.labels[0]).level]
    assert [frame.energy for frame in frames] == [label.energy for label, _ in _labels(stored)]


def test_ase_database(lizrcl, stored, tmp_path: Path) -> None:
    from ase.db import connect

    path = Path(lizrcl("dataset", "export", stored.dataset, "--format", "ase-db", "-o", tmp_path).out.strip())
    with connect(path) as database:
        assert database.count() == len(stored.labels)
        assert database.count(phase="alpha") == 3
        for label, structure in _labels(stored):
            row = database.get(label=label.id)
            assert row.energy == label.energy
            assert np.array_equal(row.forces, label.forces)
            assert np.array_equal(row.toatoms().positions, structure.positions)
            assert row.structure == structure.id
            assert row.data["parents"] == list(label.parents)


def test_parquet_has_scalar_fields_with_units(lizrcl, stored, tmp_path: Path) -> None:
    from pyarrow import parquet

    query = '{"status": {"$in": ["accepted", "failed"]}}'
    path = Path(lizrcl("label", "export", "--query", query, "--format", "parquet", "-o", tmp_path).out.strip())
    table = parquet.read_table(path)
    rows = {row["id"]: row for row in table.to_pylist()}
    assert set(rows) == {*stored.labels, stored.failed_label}
    assert rows[stored.labels[0]]["energy"] == stored.archive.get(Label, stored.labels[0]).energy
    assert rows[stored.failed_label]["energy"] is None
    assert rows[stored.failed_label]["reason"] == "not converged"
    assert table.schema.field("energy").metadata[b"unit"] == b"eV"
    assert "forces" not in table.column_names
    assert "provenance.host" in table.column_names
    path = Path(lizrcl("trajectory", "export", "--query", "{}", "--format", "parquet", "-o", tmp_path).out.strip())
    table = parquet.read_table(path)
    assert table.schema.field("thermo.pressure_gpa").metadata[b"unit"] == b"GPa"
    assert set(table.column("health.status").to_pylist()) == {"ok"}


def test_candidates_bring_their_deviations(lizrcl, stored, tmp_path: Path) -> None:
    from ase.io import read

    path = Path(lizrcl("candidate", "export", *stored.candidates, "--format", "extxyz", "-o", tmp_path).out.strip())
    for atoms, name in zip(read(path, ":"), stored.candidates, strict=True):
        candidate = stored.archive.get(Candidate, name)
        assert atoms.info["candidate"] == name
        assert atoms.info["eps"] == candidate.eps
        assert np.array_equal(atoms.arrays["eps_atoms"].astype("f4"), candidate.eps_atoms)
        assert atoms.calc is None


def test_dry_run_and_bad_input(lizrcl, stored, tmp_path: Path) -> None:
    planned = lizrcl("label", "export", *stored.labels, "--format", "ase-db", "-o", tmp_path / "new", "--dry-run")
    assert planned.out.strip() == str(tmp_path / "new" / "labels.db")
    assert not (tmp_path / "new").exists()
    for arguments, words in (
        (["transport", "export", stored.transport, "--format", "extxyz"], "a transport has no atoms"),
        (["label", "export", "--format", "parquet"], "nothing to export"),
        (["label", "export", "--query", '{"$where": 1}'], "operator $where is not allowed"),
    ):
        outcome = lizrcl(*arguments, "-o", tmp_path)
        assert outcome.code == 2
        assert words in outcome.err
    none = lizrcl("label", "export", "--query", '{"phase": "nowhere"}', "--format", "parquet", "-o", tmp_path)
    assert (none.code, none.out) == (0, "")
    assert json.loads(lizrcl("label", "find", "--query", '{"phase": "nowhere"}', "--json").out) == []
    assert list(tmp_path.iterdir()) == []
