"""What the pages say: numbers, units, queries that mean what the page shows."""

import json
import math

import numpy as np
import pytest

from lizrcl_flows.dashboard.pages.candidate_map import candidate_map, chemiscope_dataset, chemiscope_structure
from lizrcl_flows.dashboard.pages.document import document, file_of, find_document, listing
from lizrcl_flows.dashboard.pages.generation import generation
from lizrcl_flows.dashboard.pages.lineage import branch, lineage, step
from lizrcl_flows.dashboard.pages.overview import home, overview
from lizrcl_flows.dashboard.pages.production import production
from lizrcl_flows.dashboard.pages.structures import view
from lizrcl_flows.documents import Candidate, Label, Structure
from lizrcl_flows.errors import InputError, NotFoundError
from lizrcl_flows.science.wording import jsonable

pytestmark = pytest.mark.mongo

EVERY_KIND = (
    *("campaign", "structure", "candidate", "label", "failed_label", "level", "dataset", "model", "committee"),
    *("evaluation", "trajectory", "transport", "law", "analysis"),
)


def test_home_counts_campaigns_and_documents(sample) -> None:
    page = home(sample.archive)
    (row,) = page["campaigns"]
    told = ("name", "state", "generations", "labels_spent", "labels_budget")
    assert tuple(row[name] for name in told) == ("shown", "running", 3, 21, 60)
    counted = {entry["collection"]: entry["n"] for entry in page["documents"]}
    assert counted["labels"] == 21
    assert counted["analyses"] == 1


def test_overview_tells_generations_curves_failures_and_what_runs(sample) -> None:
    page = overview(sample.archive, "shown")
    assert [row["generation"] for row in page["generations"]] == [0, 1, 2]
    errors, eps = page["curves"]
    assert [series["label"] for series in errors["series"]] == ["forces (meV/A)", "energies (meV/atom)"]
    assert errors["series"][0]["y"] == pytest.approx([150.0, 90.0, 54.0])
    assert eps["series"][0]["y"] == [None, pytest.approx(200.0), pytest.approx(100.0)]
    assert page["n_failed_labels"] == 3
    assert page["failed_labels"][0]["reason"].startswith("SCF not converged")
    assert page["jobs"]["counts"] == {"FIZZLED": 1, "RUNNING": 1, "WAITING": 1}
    (job,) = page["jobs"]["running"]
    assert (job["name"], job["host"], job["since"].hour) == ("explore", "node2", 12)
    (cause,) = page["failures"]
    assert (cause["fw_id"], cause["n_waiting"]) == (1, 1)
    assert page["turn"] == 3
    assert {stage["name"] for stage in page["stages"]} >= {"label", "train committee"}
    assert jsonable(page)


def test_generation_is_compared_with_the_one_before(sample) -> None:
    first = generation(sample.archive, sample.ids["generation 0"])
    assert first["previous"] is None
    assert first["difference"] is None
    page = generation(sample.archive, sample.ids["generation 1"])
    assert (page["previous"], page["next"]) == (sample.ids["generation 0"], sample.ids["generation 2"])
    changed = page["difference"]
    assert changed["training_set"] == {"n_a": 6, "n_b": 12, "n_added": 6, "n_removed": 0}
    force = next(row for row in changed["errors"] if (row["group"], row["quantity"]) == ("all", "rmse_force"))
    assert (force["a"], force["b"], force["unit"]) == (pytest.approx(150.0), pytest.approx(90.0), "meV/A")
    assert len(page["selected"]) == 6
    assert sum(row["n"] for row in page["verdicts"]) == 20


def test_generation_is_found_by_the_beginning_of_its_id(sample) -> None:
    whole = sample.ids["generation 2"]
    assert generation(sample.archive, whole[:12])["id"] == whole


def test_map_is_what_chemiscope_reads(sample) -> None:
    page = candidate_map(sample.archive, "shown")
    assert (page["generation"], page["generations"], page["n"]) == ("2", ["0", "1", "2"], 20)
    assert not page["has_plane"]
    data = chemiscope_dataset(page)
    n = len(data["structures"])
    assert n == len(data["ids"]) == 20
    assert all(len(entry["values"]) == n for entry in data["properties"].values())
    assert set(data["properties"]["verdict"]["values"]) == {"selected", "spare", "rejected"}
    assert set(data["properties"]["region"]["values"]) == {"bulk", "interface"}
    assert data["properties"]["eps"]["units"] == "eV/A"
    axes = data["settings"]["map"]
    assert {axes[name]["property"] for name in ("x", "y", "color")} <= set(data["properties"])
    stored = sample.archive.get(Candidate, data["ids"][3])
    assert data["properties"]["eps"]["values"][3] == stored.eps
    assert data["structures"][3] == {"size": stored.n_atoms, "data": stored.structure}


def test_map_of_the_first_pool_has_its_plane(sample) -> None:
    page = candidate_map(sample.archive, "shown", "0")
    data = chemiscope_dataset(page)
    assert page["has_plane"]
    assert data["settings"]["map"]["x"] == {"property": "map 1"}
    assert data["properties"]["map 2"]["values"][0] == page["candidates"][0]["map_xy"][1]
    assert data["settings"]["map"]["color"]["property"] in data["properties"]  # no eps in generation 0


def test_map_of_all_generations_has_them_all(sample) -> None:
    page = candidate_map(sample.archive, "shown", "all", 100)
    assert page["n"] == len(page["candidates"]) == 60
    verdicts = [record["verdict"] for record in page["candidates"]]
    assert verdicts[:18] == ["selected"] * 18
    assert {record["generation"] for record in page["candidates"]} == {0, 1, 2}
    data = chemiscope_dataset(page)
    assert None in data["properties"]["map 1"]["values"]  # only the pool of generation 0 has places
    assert len(candidate_map(sample.archive, "shown", "all", 10)["candidates"]) == 10


def test_map_of_no_candidates_is_empty(sample) -> None:
    data = chemiscope_dataset(candidate_map(sample.archive, "shown", "77"))
    assert data["structures"] == data["ids"] == []


def test_structure_for_chemiscope_has_its_atoms(sample) -> None:
    stored = sample.archive.get(Structure, sample.ids["structure"])
    told = chemiscope_structure(sample.archive, stored.id)
    assert told["size"] == len(told["names"]) == len(told["x"]) == stored.n_atoms == 27
    assert told["names"].count("Li") == 6
    assert told["cell"] == pytest.approx(stored.cell.ravel().tolist())


def test_document_fields_carry_the_units_of_the_model(sample) -> None:
    page = document(sample.archive, sample.ids["label"])
    rows = {row["name"]: row for row in page["fields"]}
    assert rows["energy"]["unit"] == "eV"
    assert rows["forces"]["unit"] == "eV/A"
    assert rows["forces"]["text"].startswith("27 x 3 numbers from -")
    assert rows["core_hours"]["unit"] == "h"
    assert rows["n_atoms"]["unit"] == ""
    assert rows["parents"]["items"][1] == sample.ids["level"]
    assert "reason" not in rows  # it says nothing
    assert page["structure"]
    assert page["kind"] == "label"
    names = [row["name"] for row in page["fields"]]
    assert names.index("digest") == len(names) - 1
    assert json.loads(page["raw"])["_id"] == sample.ids["label"]


def test_nested_parts_and_lists_of_parts_have_units(sample) -> None:
    rows = {row["name"]: row for row in document(sample.archive, sample.ids["generation 1"])["fields"]}
    assert "eps_max (eV/A)" in rows["ledger"]["table"]["header"]
    assert [(row["name"], row["unit"], row["text"]) for row in rows["timings"]["rows"]] == [  # one part alone
        ("stage", "", "label"),
        ("wall_s", "s", "80"),
        ("core_hours", "h", "0.02"),
    ]
    assert rows["convergence"]["rows"][0]["name"] == "n_frames_in_target"
    spec = {row["name"]: row for row in document(sample.archive, sample.ids["campaign"])["fields"]}["spec"]
    screening = next(row for row in spec["rows"] if row["name"] == "screening")
    assert next(row for row in screening["rows"] if row["name"] == "decorrelation_fs")["unit"] == "fs"


@pytest.mark.parametrize("which", EVERY_KIND)
def test_every_kind_of_document_has_a_page(sample, which: str) -> None:
    page = document(sample.archive, sample.ids[which])
    assert page["id"] == sample.ids[which]
    assert page["fields"]
    assert json.dumps(jsonable(page))


def test_long_lists_are_cut_and_counted(sample) -> None:
    from lizrcl_flows.dashboard.pages.fields import MOST_ITEMS, Fields
    from lizrcl_flows.documents import Dataset

    stored = sample.archive.get(Dataset, sample.ids["dataset"])
    names = tuple(f"lab_{number:020x}" for number in range(5000))
    row = Fields(Dataset).row("added", stored.revised(added=names).added, Fields(Dataset).schema)
    assert row is not None
    assert (len(row["items"]), row["more"]) == (MOST_ITEMS, 5000 - MOST_ITEMS)


def test_files_of_a_document_are_found_by_their_digest(sample) -> None:
    page = document(sample.archive, sample.ids["model"])
    (listed,) = page["files"]
    ref = file_of(sample.archive, sample.ids["model"], listed["sha256"])
    assert sample.archive.read_file(ref).startswith(b"nep4 3 Li Zr Cl")
    with pytest.raises(NotFoundError, match="has no file"):
        file_of(sample.archive, sample.ids["label"], listed["sha256"])


@pytest.mark.parametrize("given", ["lab_ffffffffffffffffffff", "nonsense", "", "xyz_12", "$where"])
def test_unknown_ids_are_not_found(sample, given: str) -> None:
    with pytest.raises(NotFoundError):
        find_document(sample.archive, given)


def test_view_has_the_numbers_of_each_atom(sample) -> None:
    label = sample.archive.get(Label, sample.ids["label"])
    told = view(sample.archive, label)
    assert len(told["symbols"]) == len(told["positions"]) == 27
    assert told["values"]["force (eV/A)"] == pytest.approx(np.linalg.norm(label.forces, axis=1))
    candidate = sample.archive.get(Candidate, sample.ids["candidate"])
    assert max(view(sample.archive, candidate)["values"]["eps (eV/A)"]) == pytest.approx(candidate.eps)


def test_list_filters_sorts_and_pages(sample) -> None:
    page = listing(sample.archive, "candidates", '{"verdict": "selected", "eps": {"$gte": 0}}', "-eps", 1)
    eps = [row["eps"] for row in page["documents"]]
    assert page["n"] == len(eps) == 12
    assert eps == sorted(eps, reverse=True)
    assert "db.candidates.find(" in page["queries"]["documents"]
    assert listing(sample.archive, "structures", "", "", 2)["documents"][0]["_id"]
    assert listing(sample.archive, "structures", "", "", 9)["documents"] == []


@pytest.mark.parametrize(
    ("query", "sort", "said"),
    [
        ('{"$where": "sleep(1000)"}', "", "where"),
        ('{"phase": {"$function": {"body": "x"}}}', "", "function"),
        ('{"$or": [{"$expr": {"$eq": [1, 1]}}]}', "", "expr"),
        ('{"phase": {"$not": {"$where": "1"}}}', "", "where"),
        ('{"nonsense": 1}', "", "no field"),
        ("[1]", "", "JSON object"),
        ("{", "", "not JSON"),
        ('{"phase": {"$regex": "("}}', "", "does not accept"),
        ("", "nonsense", "no field"),
        ("", "$where", "no field"),
        ('{"phase": "' + "x" * 3000 + '"}', "", "characters"),
        ('{"a":' * 300 + "1" + "}" * 300, "", "no field"),
    ],
)
def test_lists_refuse_what_is_not_a_comparison(sample, query: str, sort: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        listing(sample.archive, "labels", query, sort, 1)


def test_lineage_folds_a_data_set_into_one_line(sample) -> None:
    page = lineage(sample.archive, sample.ids["dataset"])
    (before, labels) = page["up"]["families"]
    assert (before["kind"], before["n"]) == ("dat", 1)
    assert (labels["kind"], labels["n"], labels["name"]) == ("lab", 18, "labels")  # of the whole chain
    assert "members" not in labels
    opened = branch(sample.archive, sample.ids["dataset"], "up", "lab")
    assert len(opened["members"]) == 18
    assert opened["next"] is None
    assert opened["members"][0]["summary"].startswith("accepted")


def test_lineage_goes_down_to_the_law(sample) -> None:
    page = step(sample.archive, sample.ids["transport"], "down")
    assert [(line["kind"], line["members"][0]["id"]) for line in page["families"]] == [("tsp", sample.ids["law"])]
    many = branch(sample.archive, sample.ids["level"], "down", "lab")
    assert len(many["members"]) == 21


def test_lineage_of_a_generation_tells_its_failed_job(sample) -> None:
    page = lineage(sample.archive, sample.ids["generation 2"])
    assert [cause["name"] for cause in page["failures"]] == ["label_batch"]


def test_production_has_runs_curves_and_the_law(sample) -> None:
    page = production(sample.archive, "shown")
    assert page["n_runs"] == 4
    msd, law = page["charts"]
    assert [series["label"] for series in msd["series"] if "Li" in series["label"]] == [
        f"Li in alpha, {kelvin:g} K" for kelvin in (600, 700, 800, 900)
    ]
    assert min(msd["series"][0]["x"]) > 0
    assert len(msd["series"][0]["x"]) <= 200
    points, line = law["series"]
    assert points["x"] == pytest.approx([1000 / kelvin for kelvin in (900, 800, 700, 600)])
    value, high = points["y"][0], points["high"][0]
    assert high == pytest.approx(value * math.exp(0.05))
    # the line goes through exact points of ln D = 2 - 0.3 eV / kT, and on to 300 K
    slope = np.polyfit(line["x"], np.log(line["y"]), 1)[0]
    assert slope == pytest.approx(-0.3 / 8.617333262e-5 / 1000, rel=1e-6)
    assert max(line["x"]) == pytest.approx(1000 / 300)
    assert all(low < middle < high for low, middle, high in zip(line["low"], line["y"], line["high"], strict=True))
    unresolved = next(row for row in page["transports"] if row["status"] == "not_resolved")
    assert "too short" in unresolved["sentence"]
    assert page["analyses"][0]["results"]["coordination_zr_cl"] == 6.0
    assert json.dumps(jsonable(page))


def test_unknown_campaign_is_not_found(sample) -> None:
    for page in (overview, candidate_map, production):
        with pytest.raises(NotFoundError):
            page(sample.archive, "nowhere")
