"""Events, budgets, turns and leases."""

import multiprocessing
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lizrcl_flows.archive import Archive
from lizrcl_flows.documents import Campaign, Document, Label
from lizrcl_flows.errors import InputError, NotFoundError
from lizrcl_flows.settings import Settings

pytestmark = pytest.mark.mongo


def test_a_state_is_what_its_events_say(archive: Archive, world: dict[str, list[Document]]) -> None:
    label = world["lab"][0]
    event = archive.record_event(
        label.id, "quarantine", field="status", value="quarantined", who="me", why="wrong pseudopotential"
    )
    found = archive.get(Label, label.id)
    assert found.status == "quarantined"
    assert found.digest == label.digest == found.compute_digest()
    history = archive.events(label.id)
    assert [(each.kind, each.value) for each in history] == [("state", "accepted"), ("quarantine", "quarantined")]
    assert history[1] == event
    assert (event.who, event.why) == ("me", "wrong pseudopotential")


def test_a_note_changes_nothing(archive: Archive, world: dict[str, list[Document]]) -> None:
    structure = world["str"][0]
    archive.record_event(structure.id, "note", value={"text": "odd"}, why="looked at it")
    assert archive.get(type(structure), structure.id) == structure
    assert [event.value for event in archive.events(structure.id)] == [{"text": "odd"}]


def test_events_refuse_what_documents_refuse(archive: Archive, world: dict[str, list[Document]]) -> None:
    label = world["lab"][0].id
    with pytest.raises(InputError, match=r"status = 'nice': Input should be 'accepted', 'failed' or 'quarantined'"):
        archive.record_event(label, "state", field="status", value="nice")
    with pytest.raises(InputError, match=r"field 'energy' of lab_\w+ cannot change; what can in labels: status"):
        archive.record_event(label, "state", field="energy", value=1.0)
    with pytest.raises(NotFoundError, match="lab_0"):
        archive.record_event("lab_0", "note")
    with pytest.raises(InputError, match="'what' is not the id of a document"):
        archive.record_event("what", "note")
    assert len(archive.events(label)) == 1


def test_a_key_makes_an_event_happen_once(archive: Archive, world: dict[str, list[Document]]) -> None:
    campaign = world["cam"][0].id
    events = [archive.record_event(campaign, "state", field="state", value="running", key="start") for _ in range(3)]
    assert len({event.id for event in events}) == 1
    assert len([event for event in archive.events(campaign) if event.kind == "state"]) == len(Campaign.projections) + 1


def test_clocks_that_disagree_do_not_swap_events(archive: Archive, world: dict[str, list[Document]]) -> None:
    campaign = world["cam"][0].id
    future = datetime.now(UTC) + timedelta(hours=1)
    archive.connection["events"].update_many({"subject": campaign}, {"$set": {"at": future}})
    archive.record_event(campaign, "state", field="state", value="running")
    archive.record_event(campaign, "state", field="state", value="paused")
    last = [event.value for event in archive.events(campaign) if event.field == "state"]
    assert last == ["new", "running", "paused"]
    assert archive.get(Campaign, campaign).state == "paused"


def test_spending_counts_each_key_once(archive: Archive, world: dict[str, list[Document]]) -> None:
    campaign = world["cam"][0].id
    assert archive.spend(campaign, labels=1, core_hours=0.25, key="lab_a")
    assert not archive.spend(campaign, labels=1, core_hours=0.25, key="lab_a")
    assert archive.spend(campaign, core_hours=0.5, key="tra_b")
    assert archive.spend(campaign, labels=2, key="lab_c")
    found = archive.get(Campaign, campaign)
    assert (found.labels_spent, found.core_hours_spent) == (3, 0.75)
    with pytest.raises(NotFoundError, match="cam_0"):
        archive.spend("cam_0", labels=1, key="x")
    with pytest.raises(InputError, match="negative"):
        archive.spend(campaign, labels=-1, key="x")


def _spend(settings: Settings, campaign: str, keys: list[str]) -> None:
    with Archive.connect(settings=settings) as archive:
        for key in keys:
            archive.spend(campaign, labels=1, core_hours=0.125, key=key)


def test_workers_that_spend_at_once_lose_nothing(
    archive: Archive, archive_settings: Settings, world: dict[str, list[Document]]
) -> None:
    campaign = world["cam"][0].id
    context = multiprocessing.get_context("fork")
    keys = [[f"k{number}" for number in range(start, start + 30)] for start in (0, 15, 30)]
    processes = [context.Process(target=_spend, args=(archive_settings, campaign, part)) for part in keys]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    found = archive.get(Campaign, campaign)
    assert (found.labels_spent, found.core_hours_spent) == (60, 7.5)


def test_a_turn_only_moves_forward(archive: Archive) -> None:
    assert archive.turn("gen_1") is None
    assert archive.open_turn("gen_1", "cam_1", 0)
    assert not archive.open_turn("gen_1", "cam_1", 0)
    archive.mark("gen_1", "submitted", fw_ids=[1, 2])
    archive.mark("gen_1", "closed")
    archive.mark("gen_1", "submitted", manager="late")
    turn: Any = archive.turn("gen_1")
    assert turn["state"] == "closed"
    assert turn["info"] == {"fw_ids": [1, 2], "manager": "late"}
    with pytest.raises(NotFoundError, match="'gen_2'"):
        archive.mark("gen_2", "closed")
    with pytest.raises(InputError, match="submitting, submitted, closed"):
        archive.mark("gen_1", "done")


def test_turns_come_in_order(archive: Archive) -> None:
    for turn in (10, "production", 2, 0):
        archive.open_turn(f"cam_1/{turn}", "cam_1", turn)
    assert [turn["turn"] for turn in archive.turns("cam_1")] == [0, 2, 10, "production"]


def test_a_lease_is_held_by_one_until_it_ends(archive: Archive) -> None:
    archive.open_turn("gen_1", "cam_1", 0)
    assert archive.lease("gen_1", "a", 0.4)
    assert not archive.lease("gen_1", "b", 60)
    assert archive.lease("gen_1", "a", 0.4)
    time.sleep(0.5)
    assert archive.lease("gen_1", "b", 60)
    assert not archive.lease("gen_1", "a", 60)
    archive.mark("gen_1", "submitted")
    assert not archive.lease("gen_1", "b", 60)
    assert not archive.lease("gen_2", "b", 60)
