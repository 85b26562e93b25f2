"""`lizrcl dataset import` over a real database: what is stored, what is refused; doing it again changes nothing."""

import gzip
import json
import os
import re
import secrets
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import write

from lizrcl_flows.archive import Archive
from lizrcl_flows.archive.audit import audit
from lizrcl_flows.documents import Dataset, Label, Level, Structure
from lizrcl_flows.engines.labelling import make_labeller
from lizrcl_flows.flows.importing import read_all
from lizrcl_flows.science.imports.reading import ReadOptions, find_sources
from lizrcl_flows.settings import Settings
from lizrcl_flows.systems import load_campaign

pytestmark = pytest.mark.mongo

STAND_IN = Path(__file__).parent.parent / "programs" / "stand_in_vasp.py"
INCAR = "ENCUT = 550\nGGA = Pe\nIVDW = 12\nISMEAR = 0\nSIGMA = 0.05\nEDIFF = 1e-06\nKSPACING = 0.3\n"


def run_vasp(folder: Path, atoms: Atoms, incar: str = INCAR, misbehave: str = "") -> Path:
    """Run the stand-in for VASP in a folder; return its vasprun.xml."""
    folder.mkdir(parents=True)
    write(folder / "POSCAR", atoms, format="vasp")
    (folder / "INCAR").write_text(incar)
    (folder / "POTCAR.spec").write_text("\n".join(dict.fromkeys(atoms.get_chemical_symbols())) + "\n")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STAND_IN_VASP_")}
    environment["STAND_IN_VASP_MISBEHAVE"] = misbehave
    subprocess.run([sys.executable, str(STAND_IN)], cwd=folder, env=environment, capture_output=True, check=False)
    return folder / "vasprun.xml"


def crystal(number: int) -> Atoms:
    atoms = bulk("ZrO2", "fluorite", a=5.09) if number == 2 else bulk("LiCl", "rocksalt", a=5.13, cubic=True)
    atoms = atoms[np.argsort(atoms.numbers, kind="stable")]
    atoms.rattle(0.05, seed=number)
    return atoms


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """Finished calculations of two crystals, one of them compressed, and one that has not converged."""
    folder = tmp_path_factory.mktemp("runs")
    for number in range(3):
        run_vasp(folder / str(number), crystal(number))
    packed = folder / "1" / "vasprun.xml.gz"
    packed.write_bytes(gzip.compress((folder / "1" / "vasprun.xml").read_bytes()))
    (folder / "1" / "vasprun.xml").unlink()
    run_vasp(folder / "3", crystal(3), misbehave="unconverged")
    return folder


def imported(lizrcl, *arguments: object, code: int = 0) -> dict:
    outcome = lizrcl("dataset", "import", *arguments, "--json")
    assert outcome.code == code, outcome.err
    return json.loads(outcome.out)


def state(archive: Archive) -> dict[str, int]:
    database = archive.connection.database
    return {name: database[name].count_documents({}) for name in database.list_collection_names()}


def test_a_folder_becomes_one_data_set(lizrcl, archive, configured, runs) -> None:
    (row,) = imported(lizrcl, runs)["datasets"]
    assert (row["n_frames"], row["n_new"], row["n_failed"], row["n_labels"]) == (4, 3, 1, 3)
    dataset = archive.get(Dataset, row["dataset"])
    labels = archive.get_many(Label, dataset.added)
    structures = archive.get_many(Structure, [label.structure for label in labels])
    assert [structure.origin.source for structure in structures] == [
        "0/vasprun.xml",
        "1/vasprun.xml.gz",
        "2/vasprun.xml",
    ]
    assert {label.purpose for label in labels} == {"import"}
    assert {label.status for label in labels} == {"accepted"}
    level = archive.get(Level, dataset.level)
    assert {potential.element for potential in level.potentials} == {"Li", "Cl", "Zr", "O"}
    assert (level.engine, level.functional, level.dispersion, level.cutoff_ev) == ("import", "PBE", "D3-BJ", 550.0)
    (failed,) = archive.find(Label, {"status": "failed"})
    assert "had not converged after 60" in failed.reason
    assert failed.energy is None
    assert failed.id not in dataset.added
    assert row["reasons"] == [{"reason": failed.reason, "first": "3/vasprun.xml, frame 1", "count": 1}]
    for label, number in zip(labels, range(3), strict=True):
        (path,) = (runs / str(number)).glob("vasprun.xml*")
        raw = gzip.decompress(archive.read_file(label.raw[0]))
        assert raw == (gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes())
        assert label.raw[0].name == "vasprun.xml.gz"
    assert audit(archive).findings == []


def test_the_same_import_again_changes_nothing(lizrcl, archive, configured, runs, tmp_path) -> None:
    first = imported(lizrcl, runs)["datasets"][0]
    before = state(archive)
    second = imported(lizrcl, runs)["datasets"][0]
    assert state(archive) == before
    assert (second["dataset"], second["n_new"], second["n_known"]) == (first["dataset"], 0, 3)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.symlink_to(runs)
    assert imported(lizrcl, elsewhere)["datasets"][0]["dataset"] == first["dataset"]
    assert state(archive) == before


def test_an_interrupted_import_is_taken_up(lizrcl, archive, configured, runs, monkeypatch) -> None:
    whole = Archive.put_many
    calls = []

    def fails_once(self, documents):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return whole(self, documents)

    monkeypatch.setattr(Archive, "put_many", fails_once)
    assert lizrcl("dataset", "import", runs).code == 130
    assert archive.count(Dataset) == 0
    monkeypatch.undo()
    lizrcl_settings(configured, monkeypatch)
    (row,) = imported(lizrcl, runs)["datasets"]
    assert (row["n_known"] + row["n_new"], row["n_labels"]) == (3, 3)
    assert row["n_known"] > 0
    assert archive.count(Label) == 4
    assert audit(archive).findings == []


def lizrcl_settings(settings: Settings, patch: pytest.MonkeyPatch) -> None:
    patch.delenv("LIZRCL_CONFIG_FILE", raising=False)
    for name, value in (("URI", settings.db_uri), ("NAME", settings.db_name)):
        patch.setenv(f"LIZRCL_DB_{name}", str(value))
    patch.setenv("LIZRCL_DATA_DIR", str(settings.data_dir))


def test_a_dry_run_writes_nothing_and_tells_the_same(lizrcl, archive, configured, runs) -> None:
    before = state(archive)
    planned = imported(lizrcl, runs, "--dry-run")["datasets"][0]
    assert state(archive) == before
    assert imported(lizrcl, runs)["datasets"][0] == planned


def test_an_export_comes_back_as_what_it_was(
    lizrcl, archive, configured, runs, tmp_path, mongod_uri, monkeypatch
) -> None:
    first = imported(lizrcl, runs, "--phase", "alpha")["datasets"][0]
    path = Path(lizrcl("dataset", "export", first["dataset"], "-o", tmp_path).out.strip())
    level = Path(lizrcl("level", "export", first["level"]["id"], "-o", tmp_path).out.strip())
    before = state(archive)
    here = imported(lizrcl, path)["datasets"][0]
    assert (here["dataset"], here["n_known"], here["n_new"]) == (first["dataset"], 3, 0)
    assert state(archive) == before
    other = Settings(db_uri=mongod_uri, db_name=f"test_{secrets.token_hex(6)}", data_dir=tmp_path / "other")
    with Archive.connect(settings=other) as second:
        lizrcl_settings(other, monkeypatch)
        refused = lizrcl("dataset", "import", path)
        assert refused.code == 2
        assert f"its frames name level {first['level']['id']}, which is not in the archive" in refused.err
        there = imported(lizrcl, path, "--level-file", level)["datasets"][0]
        assert (there["dataset"], there["n_new"]) == (first["dataset"], 3)
        for name in archive.get(Dataset, first["dataset"]).added:
            old, new = archive.get(Label, name), second.get(Label, name)
            assert (new.energy, new.energy_zero, new.phase) == (old.energy, old.energy_zero, "alpha")
            assert np.array_equal(new.forces, old.forces)
            assert np.array_equal(new.stress, old.stress)
            geometry = second.get(Structure, new.structure)
            assert np.array_equal(geometry.positions, archive.get(Structure, old.structure).positions)
        assert audit(second).findings == []
        second.connection.client.drop_database(other.db_name)


def test_levels_never_mix(lizrcl, archive, configured, runs, tmp_path) -> None:
    run_vasp(tmp_path / "coarse", crystal(5), INCAR.replace("550", "520"))
    paths = (runs / "0", tmp_path / "coarse")
    outcome = lizrcl("dataset", "import", *paths)
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1
    assert re.search(r"coarse/vasprun.xml: ENCUT is 520.0, but 550.0 in .*0/vasprun.xml: labels of two", outcome.err)
    assert state(archive).get("labels") == 0
    rows = imported(lizrcl, *paths, "--split-levels")["datasets"]
    assert [row["level"]["cutoff_ev"] for row in rows] == [550.0, 520.0]
    assert [row["n_labels"] for row in rows] == [1, 1]
    level = rows[0]["level"]["id"]
    under = lizrcl("dataset", "import", tmp_path / "coarse", "--level", level)
    assert under.code == 2
    assert f"ENCUT is 520.0, but level {level} has 550.0" in under.err
    lacking = lizrcl("dataset", "import", runs / "2", "--level", level)
    assert lacking.code == 2
    assert f"holds O, for which level {level} names no potential; it has those of Cl, Li" in lacking.err
    extended = lizrcl("dataset", "import", tmp_path / "coarse", "--extend", rows[0]["dataset"])
    assert extended.code == 2
    assert "levels never mix" in extended.err


def test_labels_may_be_of_the_level_of_a_campaign(lizrcl, archive, configured, runs) -> None:
    level = Level(
        engine="vasp",
        code="vasp",
        code_version="6.4",
        functional="PBE",
        dispersion="D3-BJ",
        cutoff_ev=550.0,
        k_spacing=0.3,
        potentials=tuple({"element": name, "title": name, "sha256": "0" * 64} for name in ("Li", "Cl", "Zr", "O")),
        parameters={"ENCUT": 550, "GGA": "Pe", "IVDW": 12, "ISMEAR": 0, "SIGMA": 0.05, "EDIFF": 1e-6, "KSPACING": 0.3},
    )
    archive.put(level)
    row = imported(lizrcl, runs, "--level", level.id[:12])["datasets"][0]
    assert archive.get(Dataset, row["dataset"]).level == level.id
    assert archive.count(Level) == 1


def test_the_level_may_be_named_by_the_campaign_file(lizrcl, archive, configured, runs, tmp_path) -> None:
    """Nothing of the campaign is stored yet: its labels come first, the campaign begins with them."""
    file = tmp_path / "mine.yaml"
    labelling = "{version: '6.4', parameters: {potcar_spec: true}, potentials: {Li: Li, Zr: Zr, Cl: Cl, O: O}}"
    file.write_text(f"name: mine\nsystem: zro2_li2zrcl6\nlabelling: {labelling}\n")
    level = make_labeller(load_campaign(file).labelling).level()
    incar = "\n".join(f"{tag} = {value}" for tag, value in level.parameters.items())
    run_vasp(tmp_path / "own" / "0", crystal(0), incar)
    row = imported(lizrcl, tmp_path / "own", "--level-of", file)["datasets"][0]
    assert row["n_labels"] == 1
    assert archive.get(Dataset, row["dataset"]).level == row["level"]["id"] == level.id
    other = lizrcl("dataset", "import", runs, "--level-of", file)
    assert "LASPH is false, but level" in other.err
    both = lizrcl("dataset", "import", runs, "--level-of", file, "--level", level.id)
    assert both.code == 2
    assert "--level and --level-of both say the level of theory" in both.err


def test_a_data_set_is_extended(lizrcl, archive, configured, runs) -> None:
    first = imported(lizrcl, runs / "0")["datasets"][0]["dataset"]
    row = imported(lizrcl, runs / "0", runs / "1", "--extend", first[:14])["datasets"][0]
    assert (row["n_added"], row["n_labels"], row["n_known"]) == (1, 2, 1)
    assert archive.get(Dataset, row["dataset"]).parent == first
    assert len(archive.dataset_labels(row["dataset"])) == 2
    again = imported(lizrcl, runs / "0", "--extend", row["dataset"])["datasets"][0]
    assert (again["dataset"], again["n_added"]) == (row["dataset"], 0)
    holdout = lizrcl("dataset", "import", runs / "1", "--extend", first, "--split", "holdout")
    assert "is a train set and cannot be extended by holdout labels" in holdout.err


def test_a_broken_file_is_named_and_the_rest_goes_on(lizrcl, archive, configured, runs, tmp_path) -> None:
    text = (runs / "0" / "vasprun.xml").read_text()
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "vasprun.xml").write_text(text[: len(text) // 3])
    run_vasp(tmp_path / "1", crystal(7))
    content = imported(lizrcl, tmp_path, code=1)
    assert content["datasets"][0]["n_new"] == 1
    (problem,) = content["problems"]
    assert problem.startswith("0/vasprun.xml: line ")
    shown = lizrcl("dataset", "import", tmp_path)
    assert shown.code == 1
    assert problem in shown.err
    nothing = lizrcl("dataset", "import", tmp_path / "0")
    assert nothing.code == 2
    assert "nothing to import: vasprun.xml: line" in nothing.err


FRAME = """2
energy={energy} Lattice="5 0 0 0 5 0 0 0 5" Properties=species:S:1:pos:R:3:forces:R:3
Li 0 0 0 {force} 0 0
Cl 2.5 0 0 -0.5 0 0
"""


def test_extended_xyz_needs_its_level_described(lizrcl, archive, configured, runs, tmp_path) -> None:
    path = tmp_path / "train.xyz"
    path.write_text(FRAME.format(energy=-7, force=0.5) + FRAME.format(energy=-7, force=0.5))
    outcome = lizrcl("dataset", "import", path)
    assert outcome.code == 2
    assert (
        "train.xyz: the file does not say its level of theory; --level ID, --level-file FILE, or --code" in outcome.err
    )
    described = ("--code", "cp2k", "--functional", "PBE", "--dispersion", "D3-BJ", "--code-version", "2024.1")
    row = imported(lizrcl, path, *described)["datasets"][0]
    assert (row["n_new"], row["n_repeated"]) == (1, 1)
    level = archive.get(Level, row["level"]["id"])
    assert (level.code, level.code_version, level.functional) == ("cp2k", "2024.1", "PBE")
    both = lizrcl("dataset", "import", path, "--level", level.id, "--code", "cp2k")
    assert "--level and --code both say the level of theory" in both.err
    contradicted = lizrcl("dataset", "import", runs / "0", "--code", "vasp")
    assert contradicted.code == 2
    assert "vasprun.xml: tells its level of theory itself" in contradicted.err


def test_another_energy_for_a_known_label_is_said_and_the_first_stands(lizrcl, archive, configured, tmp_path) -> None:
    path = tmp_path / "train.xyz"
    path.write_text(FRAME.format(energy=-7, force=0.5))
    imported(lizrcl, path, "--code", "x")
    path.write_text(FRAME.format(energy=-8, force=0.5))
    row = imported(lizrcl, path, "--code", "x")["datasets"][0]
    assert "frame 1: the energy is -8.000000 eV, that of label lab_" in row["remarks"][0]
    assert [label.energy for label in archive.find(Label, {})] == [-7.0]
    assert archive.connection["attempts"].count_documents({}) == 0


def test_what_a_limit_leaves_out_may_come_in_with_another_limit(lizrcl, archive, configured, tmp_path) -> None:
    path = tmp_path / "train.xyz"
    path.write_text(FRAME.format(energy=-7, force=0.8))
    row = imported(lizrcl, path, "--code", "x")["datasets"][0]
    assert (row["n_left_out"], row["dataset"], archive.count(Label)) == (1, None, 0)
    assert "the forces add up to 0.3 eV/A, more than 0.1" in row["reasons"][0]["reason"]
    shown = lizrcl("dataset", "import", path, "--code", "x")
    assert "none: no label was accepted" in shown.out
    assert imported(lizrcl, path, "--code", "x", "--net-force", "0.5")["datasets"][0]["n_new"] == 1


def test_several_processes_read_the_same(runs) -> None:
    sources = find_sources([runs])
    told = []
    apart = read_all(sources, ReadOptions(), lambda *progress: told.append(progress), workers=2)
    alone = read_all(sources, ReadOptions(), lambda *_: None, workers=1)
    assert [content.source for content in apart] == sources
    assert [content.method for content in apart] == [content.method for content in alone]
    for first, second in zip(apart, alone, strict=True):
        assert np.array_equal(first.frames[0].forces, second.frames[0].forces)
    assert told[-1] == ("reading files", len(sources), len(sources))
