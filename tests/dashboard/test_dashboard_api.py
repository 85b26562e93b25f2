"""Documents as JSON, and the OpenAPI description that the document models give."""

import pytest

from lizrcl_flows.documents import DOCUMENTS, Label, Transport

pytestmark = pytest.mark.mongo


@pytest.fixture(scope="module")
def description(client) -> dict:
    return client.get("/api/openapi.json").json()


def test_a_document_comes_as_its_model_describes_it(client, sample) -> None:
    answer = client.get(f"/api/labels/{sample.ids['label']}")
    assert answer.status_code == 200
    told = answer.json()
    assert "forces" not in told
    stored = sample.archive.get(Label, sample.ids["label"])
    assert told["energy"] == stored.energy
    whole = client.get(f"/api/labels/{sample.ids['label']}", params={"arrays": "true"}).json()
    assert Label.model_validate(whole) == stored  # id and digest are those of the content


def test_numbers_that_json_does_not_know_become_null(client, sample) -> None:
    answer = client.get(f"/api/evaluations/{sample.ids['evaluation']}", params={"arrays": "true"})
    assert answer.json()["max_force_error"][-1] is None


@pytest.mark.parametrize("kind", DOCUMENTS, ids=lambda kind: kind.collection)
def test_every_kind_is_listed(client, kind) -> None:
    told = client.get(f"/api/{kind.collection}").json()
    assert told["n"] >= len(told["documents"]) > 0
    assert told["mongo"].startswith(f"db.{kind.collection}.find(")
    assert all(record["_id"].startswith(f"{kind.prefix}_") for record in told["documents"])


def test_lists_are_filtered_and_refuse_code(client) -> None:
    told = client.get("/api/labels", params={"query": '{"status": "failed"}'}).json()
    assert told["n"] == 3
    refused = client.get("/api/labels", params={"query": '{"$where": "true"}'})
    assert refused.status_code == 400
    assert "$where" in refused.text
    assert client.get("/api/labels", params={"page": 0}).status_code in (400, 422)


def test_what_is_not_there_is_404(client) -> None:
    assert client.get("/api/labels/lab_ffffffffffffffffffff").status_code == 404
    assert client.get("/api/passwords").status_code == 404


def test_the_description_has_every_kind_with_units(description) -> None:
    for kind in DOCUMENTS:
        one = description["paths"][f"/api/{kind.collection}/{{document_id}}"]["get"]
        model = one["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].rsplit("/", 1)[-1]
        properties = description["components"]["schemas"][model]["properties"]
        assert {"_id", "digest", "parents"} <= set(properties)
    energy = description["components"]["schemas"]["Label"]["properties"]["energy"]
    assert any(choice.get("unit") == "eV" for choice in energy["anyOf"])


def test_the_description_has_arrays_as_lists(description) -> None:
    structure = description["components"]["schemas"]["Structure"]
    positions = structure["properties"]["positions"]
    assert positions["type"] == "array"
    assert positions["items"] == {
        "type": "array",
        "items": {"type": "number", "unit": "A"},
        "minItems": 3,
        "maxItems": 3,
    }
    assert structure["properties"]["numbers"]["items"]["type"] == "integer"
    assert "positions" not in structure["required"]  # they come when they are asked for
    assert "formula" in structure["required"]
    assert "msd_a2" in description["components"]["schemas"][Transport.__name__]["properties"]


def test_the_description_has_reading_only(description) -> None:
    assert {method for path in description["paths"].values() for method in path} == {"get"}
    assert len(description["paths"]) == 2 * len(DOCUMENTS)
