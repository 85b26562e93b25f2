"""The audit names every document that was tampered with; the check puts a crash's remains right."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lizrcl_flows.archive import Archive
from lizrcl_flows.archive.audit import audit
from lizrcl_flows.archive.check import check
from lizrcl_flows.documents import Document, FileRef
from lizrcl_flows.errors import NotFoundError

pytestmark = pytest.mark.mongo

World = dict[str, list[Document]]


def _change(archive: Archive, collection: str, document_id: str, change: dict[str, Any]) -> None:
    command = archive.connection[collection].update_one(
        {"_id": document_id}, {"$set": change}, bypass_document_validation=True
    )
    assert command.modified_count == 1


def test_a_sound_archive_passes(archive: Archive, world: World) -> None:
    seen: list[tuple[str, int, int]] = []
    archive.record_event(world["lab"][0].id, "quarantine", field="status", value="quarantined")
    archive.spend(world["cam"][0].id, labels=2, core_hours=0.1, key="a")
    archive.spend(world["cam"][0].id, labels=2, core_hours=0.2, key="b")
    report = audit(archive, progress=lambda *step: seen.append(step))
    assert report.findings == []
    assert report.ok
    assert report.n_documents == sum(len(documents) for documents in world.values())
    assert report.n_files == 2
    assert report.n_edges == 33
    assert ("labels", 6, 6) in seen
    assert seen[-1] == ("files", 2, 2)
    assert check(archive).problems == []


def test_one_force_of_a_label(archive: Archive, world: World) -> None:
    label: Any = world["lab"][2]
    forces = bytearray(label.forces.tobytes())
    forces[24:32] = struct.pack("<d", label.forces[1, 0] + 1e-9)
    _change(archive, "labels", label.id, {"forces": bytes(forces)})
    report = audit(archive)
    assert [finding.document for finding in report.findings] == [label.id]
    assert "digest contradicts" in report.findings[0].what


def test_one_byte_of_a_potential(archive: Archive, world: World) -> None:
    model: Any = world["mod"][1]
    chunks = archive.connection["files.chunks"]
    chunk: Any = chunks.find_one({"files_id": model.nep_txt.sha256})
    data = bytearray(chunk["data"])
    data[5] ^= 1
    chunks.update_one({"_id": chunk["_id"]}, {"$set": {"data": bytes(data)}})
    report = audit(archive)
    assert [finding.document for finding in report.findings] == [model.id]
    assert "has changed" in report.findings[0].what


def test_a_forged_digest(archive: Archive, world: World) -> None:
    label: Any = world["lab"][1]
    forged = label.revised(energy=-99.0)
    _change(archive, "labels", label.id, {"energy": -99.0, "digest": forged.digest})
    findings = audit(archive).findings
    assert [(finding.document, "lineage node" in finding.what) for finding in findings] == [(label.id, True)]


@pytest.mark.parametrize(
    ("tamper", "kind", "words"),
    [
        (lambda a, d: _change(a, "labels", d.id, {"status": "failed"}), "lab", "status is 'failed', but its events"),
        (lambda a, d: a.connection["events"].delete_many({"subject": d.id}), "lab", "no event says so"),
        (lambda a, d: a.connection["lineage"].delete_one({"_id": d.id}), "com", "has no lineage node"),
        (lambda a, d: _change(a, "lineage", d.id, {"parents": []}), "com", "has other parents"),
        (lambda a, d: a.connection["committees"].delete_one({"_id": d.id}), "com", "lineage node and no document"),
        (lambda a, d: _change(a, "structures", d.id, {"cell": bytes(72)}), "str", "singular"),
        (lambda a, d: _change(a, "levels", d.id, {"code": "other"}), "lev", "has content whose id is lev_"),
        (lambda a, d: a.connection["files.files"].delete_many({}), "mod", "is not in the archive"),
        (lambda a, d: _change(a, "campaigns", d.id, {"labels_spent": 7}), "cam", "labels_spent is 7"),
    ],
)
def test_other_tampering(
    archive: Archive, world: World, tamper: Callable[[Archive, Document], object], kind: str, words: str
) -> None:
    document = world[kind][0]
    tamper(archive, document)
    findings = audit(archive).findings
    assert any(finding.document == document.id and words in finding.what for finding in findings), findings
    if words != "no event says so" and kind != "com":  # those are the business of other documents as well
        assert {finding.document for finding in findings} <= {each.id for each in world[kind]}


def test_data_sets_are_derived_again(archive: Archive, world: World, make: Any) -> None:
    other = make.level("ase.calculators.emt:EMT")
    structure = make.structure()
    foreign = make.label(structure, other)
    archive.put_many([other, structure, foreign])
    mixed = make.dataset([world["lab"][0], foreign])
    wrong = make.dataset([world["lab"][1]]).revised(manifest_sha256="0" * 64, n_labels=5)
    archive.put_many([mixed, wrong])
    rejected = world["lab"][5]
    archive.record_event(rejected.id, "quarantine", field="status", value="quarantined")
    late = make.dataset([rejected])
    archive.put(late)
    found = {(finding.document, finding.what.split(":")[0]) for finding in audit(archive).findings}
    assert found == {
        (mixed.id, "mixes levels"),
        (wrong.id, "has a chain of labels that its manifest contradicts"),
        (wrong.id, "says 5 labels, its chain holds 1"),
        (late.id, f"holds label {rejected.id}, which was not accepted when it was made"),
    }


def test_one_campaign_with_what_it_was_made_from(archive: Archive, world: World, make: Any) -> None:
    stranger = make.structure(campaign="c2")
    archive.put(stranger)
    _change(archive, "structures", stranger.id, {"formula": "XX"})
    assert [finding.document for finding in audit(archive).findings] == [stranger.id]
    report = audit(archive, campaign="c1")
    assert report.ok
    assert report.n_documents == sum(len(documents) for documents in world.values())
    assert audit(archive, campaign=world["cam"][0].id[:9]).ok
    archive.connection["levels"].delete_one({})
    findings = audit(archive, campaign="c1").findings
    assert (world["lev"][0].id, "is named by others and is not in the archive") in [
        (finding.document, finding.what) for finding in findings
    ]
    with pytest.raises(NotFoundError, match="'c9'"):
        audit(archive, campaign="c9")


def test_check_repairs_what_a_crash_left(archive: Archive, world: World, tmp_path: Path) -> None:
    connection = archive.connection
    label, committee = world["lab"][0], world["com"][0]
    connection["lineage"].delete_one({"_id": committee.id})
    orphan = {"_id": "lab_" + "a" * 20, "kind": "lab", "parents": [], "campaign": None, "generation": None}
    connection["lineage"].insert_one({**orphan, "digest": "d"})
    connection["events"].delete_many({"subject": label.id})
    _change(archive, "campaigns", world["cam"][0].id, {"state": "running"})
    (tmp_path / "torn").write_bytes(b"abc")
    torn: FileRef = archive.put_file(tmp_path / "torn")
    connection["files.files"].delete_one({"_id": torn.sha256})
    connection["labels"].drop_index("campaign_generation")
    connection.database.command("collMod", "models", validator={})
    expected = {
        committee.id: "has no lineage node",
        orphan["_id"]: "has a lineage node and no document: a write was cut short",
        label.id: "status is 'accepted', its events say None",
        world["cam"][0].id: "state is 'running', its events say 'new'",
        torn.sha256: "is a file whose upload was cut short",
        "labels": "lacks the index campaign_generation",
        "models": "has no validator, or not the one of its document model",
    }
    found = check(archive)
    assert {problem.subject: problem.what for problem in found.problems} == expected
    assert not found.ok
    repaired = check(archive, repair=True)
    assert {problem.subject: problem.what for problem in repaired.problems} == expected
    assert repaired.ok
    assert check(archive).problems == []
    assert audit(archive).ok


def test_check_repairs_nothing_that_is_untrue(archive: Archive, world: World) -> None:
    label: Any = world["lab"][0]
    archive.connection["lineage"].delete_one({"_id": label.id})
    _change(archive, "labels", label.id, {"energy": -99.0})
    report = check(archive, repair=True)
    assert [(problem.subject, problem.repaired) for problem in report.problems] == [(label.id, False)]
    assert not report.ok
