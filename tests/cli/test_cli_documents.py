"""find, show and export of documents, over a real database."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from lizrcl_flows.cli.nouns import reduced_formula, sort_keys
from lizrcl_flows.documents import Label, Structure
from lizrcl_flows.science.document_tables import NOUNS

pytestmark = pytest.mark.mongo


@pytest.mark.parametrize("noun", list(NOUNS))
def test_find_gives_the_same_ids_as_table_and_as_json(lizrcl, stored, noun: str) -> None:
    as_json = lizrcl(noun, "find", "--limit", "0", "--json")
    ids = [entry["id"] for entry in json.loads(as_json.out)]
    as_table = lizrcl(noun, "find", "--limit", "0")
    assert as_json.code == as_table.code == 0
    assert ids
    assert [line.split()[0] for line in as_table.out.splitlines() if re.match(r"[a-z]{3}_[0-9a-f]{20} ", line)] == ids


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["label", "--status", "failed"], ["failed_label"]),
        (["label", "--status", "accepted", "--phase", "nowhere"], []),
        (["candidate", "--eps-min", "1"], [("candidates", 1)]),
        (["candidate", "--eps-min", "0.3", "--eps-max", "1"], [("candidates", 0)]),
        (["candidate", "--verdict", "rejected", "--generation", "1"], [("candidates", 1)]),
        (["candidate", "--query", '{"eps": {"$gt": 5}}', "--phase", "alpha"], [("candidates", 1)]),
        (["trajectory", "--purpose", "production", "--status", "ok"], ["production"]),
        (["transport", "--species", "Li", "--status", "resolved"], ["transport"]),
        (["transport", "--status", "not_resolved"], []),
        (["analysis", "--kind", "coordination", "--trajectory", "PRODUCTION"], ["analysis"]),
        (["analysis", "--status", "not_possible"], []),
        (["dataset", "--split", "train", "--campaign", "small"], ["dataset"]),
    ],
)
def test_filters(lizrcl, stored, arguments: list[str], wanted: list) -> None:
    expected = [getattr(stored, w) if isinstance(w, str) else getattr(stored, w[0])[w[1]] for w in wanted]
    given = [stored.production if part == "PRODUCTION" else part for part in arguments[1:]]
    outcome = lizrcl(arguments[0], "find", *given, "--json")
    assert [entry["id"] for entry in json.loads(outcome.out)] == expected


def test_formula_may_be_written_as_a_chemist_does(lizrcl, stored) -> None:
    outcome = lizrcl("label", "find", "--formula", "Li4Zr2Cl12", "--json", "--limit", "0")
    assert len(json.loads(outcome.out)) == len(stored.labels) + 1
    assert reduced_formula("ZrO2") == "O2Zr"


def test_sort_limit_and_fields(lizrcl, stored) -> None:
    outcome = lizrcl("candidate", "find", "--sort", "eps", "--limit", "1", "--fields", "eps,offence.value", "--json")
    assert json.loads(outcome.out) == [{"id": stored.candidates[0], "eps": 0.4, "offence.value": None}]
    assert sort_keys("-eps,id") == [("eps", -1), ("_id", 1)]


def test_what_is_left_out_is_said(lizrcl, stored) -> None:
    outcome = lizrcl("structure", "find", "--limit", "2")
    assert f"2 of {len(stored.structures)}" in outcome.err


def test_a_filter_that_the_database_refuses_is_bad_input(lizrcl, stored) -> None:
    outcome = lizrcl("candidate", "find", "--query", '{"eps": {"$above": 1}}')
    assert outcome.code == 2
    assert "$above" in outcome.err


def test_show_takes_the_beginning_of_an_id(lizrcl, stored) -> None:
    outcome = lizrcl("label", "show", stored.labels[0][:14], "--json")
    content = json.loads(outcome.out)
    assert content["id"] == stored.labels[0]
    assert content["energy"] == -123.456789012345
    assert "forces" not in content
    assert content["events"][0]["value"] == "accepted"
    with_arrays = json.loads(lizrcl("label", "show", stored.labels[0], "--json", "--arrays").out)
    assert np.array(with_arrays["forces"]).shape == (9, 3)


def test_show_tells_units_and_shapes(lizrcl, stored) -> None:
    text = lizrcl("label", "show", stored.labels[0]).out
    assert re.search(r"^energy \(eV\) +-123.45679$", text, re.MULTILINE)
    assert re.search(r"^forces +9 x 3 numbers \(eV/A\)$", text, re.MULTILINE)


def test_ambiguous_and_missing_ids(lizrcl, stored) -> None:
    ambiguous = lizrcl("label", "show", "lab_")
    assert ambiguous.code == 2
    assert "not unique" in ambiguous.err
    missing = lizrcl("label", "show", "lab_zz")
    assert missing.code == 3
    assert "'lab_zz' in collection labels" in missing.err


def test_label_export_reads_back_to_the_last_bit(lizrcl, stored, tmp_path: Path) -> None:
    from ase.io import read

    outcome = lizrcl("label", "export", stored.labels[0], "--out", tmp_path)
    path = Path(outcome.out.strip())
    atoms = read(path)
    label = stored.archive.get(Label, stored.labels[0])
    structure = stored.archive.get(Structure, label.structure)
    assert np.array_equal(atoms.numbers, structure.numbers)
    assert np.array_equal(atoms.positions, structure.positions)
    assert np.array_equal(atoms.cell.array, structure.cell)
    assert np.array_equal(atoms.arrays["label_forces"], label.forces)
    assert atoms.info["label_energy"] == label.energy
    assert np.array_equal(np.ravel(atoms.info["label_stress"]), label.stress.ravel())
    assert atoms.info["label"] == label.id
    assert atoms.calc is None


def test_dataset_export_has_every_label_in_order(lizrcl, stored, tmp_path: Path) -> None:
    from ase.io import read

    path = Path(lizrcl("dataset", "export", stored.dataset, "-o", tmp_path).out.strip())
    assert [atoms.info["label"] for atoms in read(path, ":")] == list(stored.labels)


def test_export_writes_the_files_of_models_and_runs(lizrcl, stored, tmp_path: Path) -> None:
    planned = lizrcl("model", "export", *stored.models, "-o", tmp_path, "--dry-run").out.split()
    assert not any(Path(path).exists() for path in planned)
    written = lizrcl("model", "export", *stored.models, "-o", tmp_path).out.split()
    assert written == planned
    assert (tmp_path / stored.models[1] / "nep.txt").read_text().endswith("member 1\n")
    lizrcl("trajectory", "export", stored.production, "-o", tmp_path)
    assert (tmp_path / stored.production / "dump.xyz").read_text() == "2\nLattice\n"
    lizrcl("committee", "export", stored.committee, "-o", tmp_path)
    assert (tmp_path / stored.committee / "nep_0.txt").is_file()


@pytest.mark.parametrize(("noun", "name"), [("transport", "transport"), ("evaluation", "evaluation")])
def test_tables_are_exported_in_full_precision(lizrcl, stored, tmp_path: Path, noun: str, name: str) -> None:
    document = getattr(stored, name)
    lizrcl(noun, "export", document, "-o", tmp_path)
    rows = (tmp_path / f"{document}.csv").read_text().splitlines()
    content = json.loads((tmp_path / f"{document}.json").read_text())
    column = "msd_a2" if noun == "transport" else "max_force_error"
    assert [float(row.split(",")[-1]) for row in rows[1:]] == content[column]


def test_a_spoilt_file_is_not_exported(lizrcl, filled, tmp_path: Path) -> None:
    database = filled.archive.connection.database
    chunks = [name for name in database.list_collection_names() if name.endswith("chunks")]
    assert chunks
    for name in chunks:
        database[name].update_many({}, {"$set": {"data": b"spoilt"}})
    outcome = lizrcl("model", "export", filled.models[0], "-o", tmp_path)
    assert outcome.code == 4
    assert not (tmp_path / filled.models[0] / "nep.txt").exists()
