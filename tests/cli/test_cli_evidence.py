"""lineage, audit, report, generations and campaigns, over a real database."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.mongo


def walk(node: dict, word: str = "parents") -> list[tuple[str, str]]:
    """Return every edge of a nested lineage."""
    return [edge for child in node[word] for edge in ((node["id"], child["id"]), *walk(child, word))]


def test_lineage_leads_from_a_coefficient_to_every_label(lizrcl, stored) -> None:
    content = json.loads(lizrcl("lineage", stored.transport, "--up", "--json").out)
    assert set(content) == {"id", "kind", "parents"}
    assert (content["id"], content["kind"]) == (stored.transport, "tsp")
    assert [(parent["id"], parent["kind"]) for parent in content["parents"]] == [(stored.production, "tra")]
    ids = {end for _, end in walk(content)}
    assert {*stored.labels, *stored.models, stored.dataset, stored.production} <= ids
    assert stored.failed_label not in ids


def test_nested_lineage_has_every_edge_once(lizrcl, stored) -> None:
    edges = walk(json.loads(lizrcl("lineage", stored.transport, "--json").out))
    nodes = stored.archive.lineage.nodes([stored.transport, *(end for _, end in edges)])
    wanted = {(name, parent) for name, node in nodes.items() for parent in node["parents"]}
    assert len(edges) == len(set(edges))
    assert set(edges) == wanted


def test_lineage_tree_folds_many_labels_into_one_line(lizrcl, stored) -> None:
    text = lizrcl("lineage", stored.transport[:12]).out
    lines = text.splitlines()
    assert lines[0].startswith(f"transport {stored.transport}  Li, 700 K")
    assert lines[1].startswith(f"└── trajectory {stored.production}")
    assert f"{len(stored.labels)} labels of generation 0" in text
    assert text.count(f"dataset {stored.dataset}") == 2
    assert text.count("(shown above)") == 1
    assert all(label not in text for label in stored.labels)
    unfolded = lizrcl("lineage", stored.transport, "--all").out
    assert all(label in unfolded for label in stored.labels)


def test_lineage_down_and_depth(lizrcl, stored) -> None:
    down = json.loads(lizrcl("lineage", stored.labels[0], "--down", "--format", "json").out)
    assert stored.transport in {end for _, end in walk(down, "children")}
    near = json.loads(lizrcl("lineage", stored.labels[0], "--down", "--json", "--depth", "1").out)
    assert near["children"] == [{"id": stored.dataset, "kind": "dat", "children": []}]


def test_what_is_opened_is_not_folded(lizrcl, stored) -> None:
    for opened in ("label", "labels", "lab", stored.dataset[:12]):
        text = lizrcl("lineage", stored.transport, "--open", opened).out
        assert all(label in text for label in stored.labels), opened
        assert stored.structures[1] not in text.partition("labels")[0]
    one = lizrcl("lineage", stored.transport, "--open", stored.labels[3]).out
    assert stored.labels[3] in one
    assert f"{len(stored.labels) - 1} labels of generation 0" in one
    refused = lizrcl("lineage", stored.transport, "--open", "lable")
    assert refused.code == 2
    assert "'lable'" in refused.err


def test_lineage_as_prov_is_read_by_its_library(lizrcl, stored) -> None:
    from prov.model import ProvDerivation, ProvDocument, ProvEntity

    outcome = lizrcl("lineage", stored.transport, "--format", "prov")
    document = ProvDocument.deserialize(content=outcome.out, format="json")
    entities = {record.identifier.localpart for record in document.get_records(ProvEntity)}
    edges = {(record.args[0].localpart, record.args[1].localpart) for record in document.get_records(ProvDerivation)}
    nested = json.loads(lizrcl("lineage", stored.transport, "--json").out)
    assert edges == set(walk(nested))
    assert entities == {stored.transport, *(end for _, end in edges)}
    assert document.get_provn().startswith("document")


def test_lineage_as_graphviz_has_every_edge(lizrcl, stored) -> None:
    dot = lizrcl("lineage", stored.transport, "--format", "dot").out
    for label in stored.labels:
        assert f'"{label}" -> "{stored.dataset}";' in dot
    assert dot.startswith("digraph lineage {")
    assert dot.count("{") == dot.count("}")


@pytest.mark.parametrize(("name", "code", "wanted"), [("xyz_1", 2, "ids begin with"), ("tsp_zz", 3, "no document")])
def test_lineage_of_nothing(lizrcl, stored, name: str, code: int, wanted: str) -> None:
    outcome = lizrcl("lineage", name)
    assert outcome.code == code
    assert wanted in outcome.err


def test_audit_of_an_untouched_archive(lizrcl, stored) -> None:
    outcome = lizrcl("audit", "--json")
    assert outcome.code == 0
    content = json.loads(outcome.out)
    assert content["ok"]
    assert content["n_files"] == 3
    assert lizrcl("audit", "--campaign", "small").code == 0


def test_audit_names_a_label_whose_force_was_changed(lizrcl, filled) -> None:
    labels = filled.archive.connection.database["labels"]
    forces = np.frombuffer(labels.find_one({"_id": filled.labels[2]})["forces"], "<f8").copy()
    forces[4] += 1e-9
    labels.update_one({"_id": filled.labels[2]}, {"$set": {"forces": forces.tobytes()}})
    outcome = lizrcl("audit", "--campaign", "small")
    assert outcome.code == 4
    assert filled.labels[2] in outcome.out
    assert filled.labels[1] not in outcome.out
    assert "lizrcl: error: 1 findings in" in outcome.err
    as_json = lizrcl("audit", "--json")
    assert as_json.code == 4
    assert {finding["document"] for finding in json.loads(as_json.out)["findings"]} == {filled.labels[2]}


def test_audit_names_a_model_whose_file_was_changed(lizrcl, filled) -> None:
    database = filled.archive.connection.database
    chunks = next(name for name in database.list_collection_names() if name.endswith("chunks"))
    for chunk in list(database[chunks].find({})):
        if b"member 1" in chunk["data"]:
            spoilt = chunk["data"].replace(b"member 1", b"member 2")
            database[chunks].update_one({"_id": chunk["_id"]}, {"$set": {"data": spoilt}})
    outcome = lizrcl("audit")
    assert outcome.code == 4
    assert filled.models[1] in outcome.out
    assert filled.models[0] not in outcome.out


def test_generations(lizrcl, stored) -> None:
    rows = json.loads(lizrcl("generation", "list", "--json").out)
    assert [(row["generation"], row["labelled"], row["failed"]) for row in rows] == [(0, len(stored.labels), 1)]
    assert rows[0]["rejected"] == {"atoms too close": 1}
    assert rows[0]["rmse_force_after"] == 0.12
    shown = lizrcl("generation", "show", "0").out
    assert re.search(r"rejected: atoms too close +1", shown)
    by_id = json.loads(lizrcl("generation", "show", stored.generation[:10], "--json").out)
    assert by_id["id"] == stored.generation
    missing = lizrcl("generation", "show", "7")
    assert missing.code == 3


def test_campaign_status_says_what_is_done_and_what_is_under_way(lizrcl, stored) -> None:
    content = json.loads(lizrcl("campaign", "status", "small", "--json").out)
    assert content["turn"] == 1
    stages = {stage["stage"]: (stage["done"], stage["total"]) for stage in content["stages"]}
    assert stages["explore by dynamics"] == (1, 4)
    assert stages["screen and select"] == (1, 1)
    assert stages["label"] == (0, 1)
    assert content["labels_spent"] == len(stored.labels) + 1
    text = lizrcl("campaign", "status", stored.campaign[:9]).out
    assert f"{len(stored.labels) + 1} of 80 labels" in text
    assert "now: generation 1" in text


def test_unknown_campaign(lizrcl, stored) -> None:
    outcome = lizrcl("campaign", "status", "large")
    assert outcome.code == 3
    assert "known: small" in outcome.err


def test_report_files(lizrcl, stored, tmp_path: Path) -> None:
    from PIL import Image

    planned = lizrcl("report", "small", "--out", tmp_path / "r", "--dry-run")
    assert planned.code == 0
    assert not (tmp_path / "r").exists()
    outcome = lizrcl("report", "small", "--out", tmp_path / "r")
    assert outcome.code == 0, outcome.err
    paths = [Path(line) for line in outcome.out.split()]
    pictures = {"parity.png", "eps.png", "learning_curve.png", "msd.png"}
    assert [path.name for path in paths[:4]] == ["report.html", "report.pdf", "report.md", "report.json"]
    assert {path.name for path in paths[4:]} == {*pictures, f"{stored.production}_displacement.png"}
    for path in paths[4:]:
        with Image.open(path) as image:
            assert min(image.size) > 400
        for ending in ("csv", "json"):
            assert (tmp_path / "r" / "numbers" / f"{path.stem}.{ending}").stat().st_size > 0
    text = (tmp_path / "r" / "report.md").read_text()
    assert "D = 0.0123 +- 0.0011 A^2/ps = 1.23e-06 cm^2/s" in text
    assert "1 atoms too close" in text
    again = lizrcl("report", "small", "--out", tmp_path / "again")
    assert again.code == 0
    for path in paths:
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()
