"""Queries that can be shown, families of the lineage, and what the queue does, with a reader's rights."""

from datetime import UTC, datetime

import pytest

from lizrcl_flows.archive.browsing import Counts, Distinct, Query, shown
from lizrcl_flows.archive.families import families, members
from lizrcl_flows.archive.queue_state import queue_state
from lizrcl_flows.errors import InputError, NotFoundError

pytestmark = pytest.mark.mongo


def test_a_query_reads_as_mongosh_would_have_it() -> None:
    query = Query("labels", {"n_atoms": {"$gte": 30}, "spec.x": "a'b"}, ("phase",), (("_id", -1),), 10, 5)
    assert str(query) == (
        'db.labels.find({n_atoms: {$gte: 30}, "spec.x": "a\'b"}, {phase: 1}).sort({_id: -1}).skip(10).limit(5)'
    )
    moment = datetime(2026, 11, 27, tzinfo=UTC)
    assert shown({"at": {"$lt": moment}}) == '{at: {$lt: ISODate("2026-11-27T00:00:00+00:00")}}'
    assert shown([None, True, 1.5]) == "[null, true, 1.5]"


def test_queries_find_count_and_group(archive, world) -> None:
    labels = Query("labels", {"phase": "rocksalt"}, ("status",), (("_id", 1),), 1, 2)
    assert [set(record) for record in labels.records(archive)] == [{"_id", "status"}] * 2
    assert labels.total(archive) == 6
    assert labels.total(archive, most=3) == 3
    assert Query("labels").total(archive) == 6
    assert Counts("labels", {}, ("status", "origin.kind")).rows(archive)[0]["n"] == 6
    assert Distinct("candidates", {}, "generation").values(archive) == [1]


def test_a_filter_that_the_server_refuses_is_an_input_error(archive) -> None:
    for criteria in ({"phase": {"$regex": "("}}, {"phase": {"$nonsense": 1}}):
        with pytest.raises(InputError, match="does not accept"):
            Query("labels", criteria).records(archive)


def test_a_query_that_takes_too_long_is_ended(archive, world, monkeypatch) -> None:
    monkeypatch.setattr("lizrcl_flows.archive.browsing.LONGEST_MS", 50)
    with pytest.raises(InputError, match="took longer"):
        Query("labels", {"$where": "sleep(100) || true"}).records(archive)


def test_families_are_counted_by_kind_and_listed_page_by_page(archive, world, make) -> None:
    (dataset,), labels, (level,) = world["dat"], world["lab"], world["lev"]
    assert [(family.kind, family.n) for family in families(archive, dataset.id, "up")] == [("lab", 6)]
    assert [(family.kind, family.n) for family in families(archive, dataset.id, "down")] == [("mod", 2)]
    assert [(family.kind, family.n) for family in families(archive, level.id, "down")] == [("lab", 6)]
    ordered = sorted(label.id for label in labels)
    found = [members(archive, level.id, "down", "lab", (skip, 4)) for skip in (0, 4, 8)]
    assert found == [(ordered[:4], True), (ordered[4:], False), ([], False)]
    structures = [make.structure() for _ in range(3)]
    more = [make.label(structure, level) for structure in structures]
    extended = make.dataset(more, dataset, labels)
    archive.put_many([*structures, *more, extended])
    above = families(archive, extended.id, "up")
    assert [(family.kind, family.n) for family in above] == [("dat", 1), ("lab", 9)]
    names, go_on = members(archive, extended.id, "up", "lab", (0, 100))
    assert names == [label.id for label in (*labels, *more)]  # in the order of the whole chain
    assert not go_on
    assert members(archive, extended.id, "up", "lab", (0, 8))[1]


def test_a_large_family_is_counted_up_to_a_bound(archive, world, monkeypatch) -> None:
    (level,) = world["lev"]
    assert not families(archive, level.id, "down")[0].more
    monkeypatch.setattr("lizrcl_flows.archive.families.MOST_COUNTED", 4)
    (family,) = families(archive, level.id, "down")
    assert (family.n, family.more) == (4, True)


def test_families_of_nothing_are_not_found(archive) -> None:
    with pytest.raises(NotFoundError):
        families(archive, "lab_ffffffffffffffffffff", "up")


def test_the_index_of_the_lineage_finds_a_family_without_reading_documents(archive, world) -> None:
    (level,) = world["lev"]
    place = {"parents": level.id, "_id": {"$gte": "lab_", "$lt": "lab`"}}
    plan = archive.connection["lineage"].find(place, {"_id": 1}).sort("_id", 1).explain()
    stats = plan["executionStats"]
    assert stats["nReturned"] == stats["totalKeysExamined"] == 6
    assert "SORT" not in str(plan["queryPlanner"]["winningPlan"])


def test_no_queue_is_an_empty_one(archive) -> None:
    state = queue_state(archive, "nothing")
    assert (state.counts, state.running) == ({}, ())
