"""Documents: written once, found again, refused where they would break the record."""

import multiprocessing
from pathlib import Path
from typing import Any

import bson
import numpy as np
import pytest

from lizrcl_flows.archive import Archive, query
from lizrcl_flows.archive.check import check
from lizrcl_flows.archive.writing import BULK_BYTES, _bulks
from lizrcl_flows.documents import Candidate, Dataset, Document, Label, Model, Structure
from lizrcl_flows.errors import BackendError, InputError, IntegrityError, NotFoundError
from lizrcl_flows.settings import Settings

pytestmark = pytest.mark.mongo


def test_every_kind_comes_back_as_it_was_written(archive: Archive, world: dict[str, list[Document]]) -> None:
    for documents in world.values():
        for document in documents:
            found = archive.get(type(document), document.id)
            assert found == document
            assert found.compute_digest() == document.digest
            assert found.compute_id() == document.id
            assert found.created_at == document.created_at


def test_arrays_are_stored_as_little_endian_bytes(archive: Archive, make: Any) -> None:
    structure = make.structure()
    archive.put(structure)
    raw = archive.connection["structures"].find_one({"_id": structure.id})
    assert raw["positions"] == structure.positions.astype("<f8").tobytes()
    assert len(bson.encode(raw)) < 1500


def test_putting_again_changes_nothing(archive: Archive, make: Any) -> None:
    structure = make.structure()
    first = archive.put(structure)
    again = structure.revised(created_at=structure.created_at.replace(year=2020))
    assert again.digest != structure.digest
    assert archive.put_many([again, structure, again]) == [first] * 3
    assert archive.get(Structure, first).created_at == structure.created_at
    assert archive.connection["attempts"].count_documents({}) == 0
    assert archive.connection["lineage"].count_documents({}) == 1


def test_a_second_result_is_kept_and_never_wins(archive: Archive, make: Any) -> None:
    structure, level = make.structure(), make.level()
    first, second = (make.label(structure, level) for _ in range(2))
    assert first.id == second.id
    archive.put_many([structure, level, first])
    for _ in range(2):
        assert archive.put(second) == first.id
    assert archive.get(Label, first.id) == first
    attempts = list(archive.connection["attempts"].find())
    assert [attempt["digest"] for attempt in attempts] == [second.digest]
    assert Label.from_record(attempts[0]["record"]) == second
    assert [event.kind for event in archive.events(first.id)] == ["state", "attempt"]


def test_parents_must_be_there(archive: Archive, make: Any) -> None:
    structure, level = make.structure(), make.level()
    label = make.label(structure, level)
    archive.put(level)
    with pytest.raises(IntegrityError, match=rf"{label.id} names the parent {structure.id}"):
        archive.put(label)
    assert not archive.exists(Label, label.id)
    assert archive.put_many([label, structure]) == [label.id, structure.id]


def test_a_bulk_is_all_or_nothing(archive: Archive, make: Any) -> None:
    structures = [make.structure() for _ in range(3)]
    broken = make.structure()
    object.__setattr__(broken, "formula", 7)
    with pytest.raises(IntegrityError, match=r"breaks its schema.*formula"), pytest.warns(UserWarning, match="formula"):
        archive.put_many([*structures, broken])
    assert archive.count(Structure) == 0
    assert archive.connection["lineage"].count_documents({}) == 0


def test_ids_may_be_shortened(archive: Archive, make: Any) -> None:
    structures = [make.structure() for _ in range(40)]
    archive.put_many(structures)
    wanted = structures[7].id
    assert archive.get(Structure, wanted[:12]).id == wanted
    with pytest.raises(InputError, match=r"'str_' is not unique in collection structures: str_\w+, "):
        archive.get(Structure, "str_")
    with pytest.raises(NotFoundError, match="'str_zz' in collection structures"):
        archive.get(Structure, "str_zz")
    with pytest.raises(NotFoundError):
        archive.get(Structure, wanted[:-1] + "z")


def test_many_come_in_the_order_asked(archive: Archive, make: Any) -> None:
    ids = archive.put_many([make.structure() for _ in range(10)])
    wanted = [ids[3], ids[9], ids[0], ids[3]]
    assert [structure.id for structure in archive.get_many(Structure, wanted)] == wanted
    with pytest.raises(NotFoundError, match="'str_x' and 1 more in collection structures"):
        archive.get_many(Structure, [ids[0], "str_x", "str_y"])


def test_find_by_criteria(archive: Archive, world: dict[str, list[Document]], make: Any) -> None:
    trajectory, committee = world["tra"][0], world["com"][0]
    structures = world["str"]
    archive.put_many([make.candidate(structures[0], trajectory, committee, eps) for eps in (0.1, 0.9, 3.0)])
    criteria = query(Candidate, campaign="c1", generation=1, eps_min=0.4, eps_max=1.0, formula=None)
    found = list(archive.find(Candidate, criteria, sort=[("eps", -1)]))
    assert [candidate.eps for candidate in found] == [0.9, 0.5]
    assert archive.count(Candidate, query(Candidate, phase=["rocksalt", "other"])) == 4
    records = list(archive.find_records(Candidate, {}, fields=["eps", "phase"], sort=[("eps", 1)], limit=2))
    assert [sorted(record) for record in records] == [["_id", "eps", "phase"]] * 2
    assert "eps_atoms" not in next(archive.find_records(Candidate, {}))
    assert "eps_atoms" in next(archive.find_records(Candidate, {}, arrays=True))


def test_unknown_criterion_names_the_nearest() -> None:
    with pytest.raises(InputError, match="candidates have no field 'epsmin'; did you mean 'eps_min'"):
        query(Candidate, epsmin=1.0)
    with pytest.raises(InputError, match="no field 'eps_atoms'"):
        query(Candidate, eps_atoms=1.0)


def test_a_large_cell_stays_far_below_the_limit(archive: Archive, make: Any) -> None:
    structure, level = make.structure(n_atoms=12_000), make.level()
    label = make.label(structure, level)
    archive.put_many([structure, level, label])
    assert np.array_equal(archive.get(Label, label.id).forces, label.forces)
    for collection in ("structures", "labels"):
        assert len(bson.encode(archive.connection[collection].find_one())) < 400_000


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"energy": 5}, "energy"),
        ({"forces": [[0.0, 0.0, 0.0]]}, "forces"),
        ({"status": "fine"}, "status"),
        ({"n_atoms": -1}, "n_atoms"),
        ({"structure": None}, "structure"),
        ({"mood": "good"}, "mood"),
        ({"raw": [{"name": "a", "sha256": "short", "n_bytes": 1, "uri": "x"}]}, "raw"),
    ],
)
def test_the_database_itself_refuses_wrong_types(
    archive: Archive, make: Any, change: dict[str, Any], field: str
) -> None:
    from pymongo.errors import WriteError

    structure, level = make.structure(), make.level()
    record = make.label(structure, level).to_record()
    archive.connection["labels"].insert_one({**record, "_id": "lab_" + "0" * 20})
    with pytest.raises(WriteError) as caught:
        archive.connection["labels"].insert_one({**record, **change})
    assert caught.value.code == 121
    assert field in str(caught.value.details)


def test_units_stand_in_the_validators(archive: Archive) -> None:
    options = archive.connection["labels"].options()
    properties = options["validator"]["$jsonSchema"]["properties"]
    assert options["validationAction"] == "error"
    assert "eV/A^3" in str(properties["stress"])
    assert "little-endian <f8, shape (n_atoms, 3)" in str(properties["forces"])


def test_read_only_refuses_to_write(archive: Archive, archive_settings: Settings, make: Any) -> None:
    structure = make.structure()
    archive.put(structure)
    with Archive.connect(settings=archive_settings, read_only=True) as reader:
        assert reader.get(Structure, structure.id) == structure
        for write in (
            lambda: reader.put(make.structure()),
            lambda: reader.open_turn("g", "c", 0),
            lambda: reader.record_event(structure.id, "note"),
            reader.init,
        ):
            with pytest.raises(BackendError, match="read-only"):
                write()


def test_first_write_initialises(mongod_uri: str, tmp_path: Path, make: Any) -> None:
    archive_settings = Settings(db_uri=mongod_uri, db_name=f"fresh_{tmp_path.name}"[:60], data_dir=tmp_path)
    with Archive.connect(settings=archive_settings) as fresh:
        assert list(fresh.find(Model, {})) == []
        assert fresh.connection.database.list_collection_names() == []
        fresh.put(make.structure())
        assert "validator" in fresh.connection["models"].options()
        assert "campaign_generation" in fresh.connection["labels"].index_information()
        fresh.init()
        fresh.connection.client.drop_database(fresh.database_name)


def _race(settings: Settings, documents: list[dict[str, Any]], barrier: Any) -> None:
    with Archive.connect(settings=settings) as archive:
        for content in documents:
            label = Label.from_record(content)
            barrier.wait(timeout=30)
            archive.put(label)


def test_two_writers_of_one_label_leave_one_label(archive: Archive, archive_settings: Settings, make: Any) -> None:
    structures, level = [make.structure() for _ in range(20)], make.level()
    archive.put_many([*structures, level])
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(2)
    rivals = [[make.label(structure, level) for structure in structures] for _ in range(2)]
    processes = [
        context.Process(target=_race, args=(archive_settings, [label.to_record() for label in labels], barrier))
        for labels in rivals
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    winners = {label.id: label for label in archive.find(Label, {})}
    assert len(winners) == 20
    losers = {attempt["subject"]: attempt["digest"] for attempt in archive.connection["attempts"].find()}
    for first, second in zip(*rivals, strict=True):
        assert {winners[first.id].digest, losers[first.id]} == {first.digest, second.digest}
        assert archive.lineage.nodes([first.id])[first.id]["digest"] == winners[first.id].digest


def test_a_bulk_is_bounded_by_its_bytes(archive: Archive, make: Any) -> None:
    structures = [make.structure(n_atoms=40_000) for _ in range(40)]
    assert sum(structure.positions.nbytes for structure in structures) > BULK_BYTES
    archive.put_many(structures)
    assert archive.count(Structure) == 40
    assert [len(bulk) for bulk in _bulks([make.structure() for _ in range(2500)])] == [1000, 1000, 500]


def test_two_first_writers_make_one_database(mongod_uri: str, tmp_path: Path, make: Any) -> None:
    settings = Settings(db_uri=mongod_uri, db_name=f"fresh_{tmp_path.name}"[:60], data_dir=tmp_path)
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(3)
    level = make.level()
    processes = [context.Process(target=_first, args=(settings, level, barrier)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    with Archive.connect(settings=settings) as archive:
        assert check(archive).problems == []
        assert archive.count(type(level)) == 1
        archive.connection.client.drop_database(archive.database_name)


def _first(settings: Settings, document: Document, barrier: Any) -> None:
    with Archive.connect(settings=settings) as archive:
        barrier.wait(timeout=30)
        archive.put(document)


def test_dataset_chain(archive: Archive, make: Any) -> None:
    level = make.level()
    structures = [make.structure() for _ in range(6)]
    labels = [make.label(structure, level) for structure in structures]
    first = make.dataset(labels[:3])
    second = make.dataset(labels[3:5], first, labels[:3])
    third = make.dataset(labels[5:], second, labels[:5])
    archive.put_many([level, *structures, *labels, third, second, first])
    assert archive.dataset_labels(third.id[:10]) == [label.id for label in labels]
    assert archive.dataset_labels(first.id) == [label.id for label in labels[:3]]
    with pytest.raises(NotFoundError):
        archive.dataset_labels("dat_" + "0" * 20)
    archive.connection["datasets"].delete_one({"_id": first.id})
    with pytest.raises(NotFoundError, match=first.id):
        archive.dataset_labels(third.id)
    assert archive.count(Dataset) == 2
