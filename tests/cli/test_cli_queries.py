"""The queries of docs/queries.md, in both languages; filters that are refused; labels counted in groups."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from bson import json_util

from lizrcl_flows.archive.queries import OPERATORS, checked_filter
from lizrcl_flows.archive.statistics import GROUPS, label_statistics
from lizrcl_flows.documents import Label, Structure, Trajectory
from lizrcl_flows.errors import InputError

PAGE = (Path(__file__).parents[2] / "docs" / "queries.md").read_text(encoding="utf-8")
QUERIES = re.findall(r"^## \d+\. (.+?)\n\n```js\n(.+?)```\n\n```python\n(.+?)```", PAGE, re.MULTILINE | re.DOTALL)

# what mongosh offers: collections as properties of db, cursors that are sorted and limited before they are read
MONGOSH = """
function cursor(collection, method, given) {
  const steps = [];
  return {
    sort(order) { steps.push(["sort", Object.entries(order)]); return this; },
    limit(n) { steps.push(["limit", n]); return this; },
    toArray() { return JSON.parse(send(JSON.stringify([collection, method, given, steps]))); },
  };
}
function collection(name) {
  return {
    find: (criteria, fields) => cursor(name, "find", fields ? [criteria, fields] : [criteria]),
    aggregate: (pipeline) => cursor(name, "aggregate", [pipeline]),
  };
}
const db = new Proxy({}, {get: (_, name) => name === "getCollection" ? collection : collection(name)});
"""


def _plain(records: Any) -> list[dict]:
    return json.loads(json_util.dumps(list(records)))


@pytest.mark.mongo
@pytest.mark.parametrize(("title", "mongosh", "pymongo"), QUERIES, ids=[title[:40] for title, _, _ in QUERIES])
def test_a_query_of_the_page_in_both_languages(stored, title: str, mongosh: str, pymongo: str) -> None:
    import quickjs

    database = stored.archive.connection.database

    def send(request: str) -> str:
        name, method, given, steps = json.loads(request)
        found = getattr(database[name], method)(*given)
        for step, value in steps:
            found = found.sort([tuple(pair) for pair in value]) if step == "sort" else found.limit(value)
        return json_util.dumps(list(found))

    variables: dict[str, Any] = {"db": database}
    exec(compile(pymongo, title, "exec"), variables)  # the page is ours
    in_python = _plain(variables["result"])
    context = quickjs.Context()
    context.add_callable("send", send)
    context.eval(MONGOSH)
    in_mongosh = json.loads(context.eval(f"JSON.stringify((() => eval({json.dumps(mongosh)}))().toArray())"))
    assert in_python, title
    assert in_mongosh == in_python


def test_there_are_at_least_twenty_queries() -> None:
    assert len(QUERIES) >= 20
    assert len(QUERIES) == len(re.findall(r"^## \d+\. ", PAGE, re.MULTILINE))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"$where": "sleep(1e9)"}, "operator $where is not allowed"),
        ({"energy": {"$where": "1"}}, "operator $where is not allowed"),
        ({"$or": [{"energy": 1}, {"$expr": {"$function": {}}}]}, "operator $expr is not allowed"),
        ({"energy": {"$not": {"$function": {"body": "x"}}}}, "operator $function is not allowed"),
        ({"$and": [{"groups": {"$size": 1}}]}, "no field 'groups'"),
        ({"parents": {"$elemMatch": {"$accumulator": {}}}}, "operator $accumulator is not allowed"),
        ({"enrgy": 1}, "did you mean 'energy'?"),
        ({"$or": {"energy": 1}}, "$or takes a list of filters"),
        ({"phase": {"$regex": "x" * 201}}, "at most 200 characters"),
        ({"created_at": {"$gt": {"$date": "yesterday"}}}, "'yesterday' is not a moment"),
        ({"$jsonSchema": {}}, "operator $jsonSchema is not allowed"),
    ],
)
def test_filters_that_are_refused(given: dict, words: str) -> None:
    with pytest.raises(InputError, match=re.escape(words)):
        checked_filter(Label, given)


def test_filters_that_are_taken() -> None:
    given = {"$or": [{"energy": {"$lt": -1, "$exists": True}}, {"provenance.host": {"$in": ["a", "b"]}}], "id": "lab_1"}
    assert checked_filter(Label, given) == {**{k: v for k, v in given.items() if k != "id"}, "_id": "lab_1"}
    moment = checked_filter(Label, {"created_at": {"$gte": {"$date": "2026-11-27T12:00:00Z"}}})["created_at"]["$gte"]
    assert moment.isoformat() == "2026-11-27T12:00:00+00:00"
    assert not {"$where", "$function", "$accumulator", "$expr"} & OPERATORS


@pytest.mark.mongo
def test_refused_on_the_command_line(lizrcl, stored) -> None:
    for noun in ("label", "candidate"):
        outcome = lizrcl(noun, "find", "--query", '{"$where": "1"}')
        assert outcome.code == 2
        assert "--query: operator $where is not allowed" in outcome.err
    outcome = lizrcl("label", "find", "--sort=-enrgy")
    assert outcome.code == 2
    assert "--sort: labels have no field 'enrgy'; did you mean 'energy'?" in outcome.err


@pytest.mark.mongo
def test_labels_in_groups(lizrcl, stored) -> None:
    rows = json.loads(lizrcl("label", "stats", "--by", "phase,status", "--json").out)
    labels = list(stored.archive.find(Label, {}))
    assert [(row["phase"], row["status"], row["n"]) for row in rows] == [
        ("alpha", "accepted", 3),
        ("alpha", "failed", 1),
        ("ideal", "accepted", 3),
    ]
    assert sum(row["n_atoms"] for row in rows) == sum(label.n_atoms for label in labels)
    assert {row["failed"] for row in rows if row["status"] == "failed"} == {1}
    text = lizrcl("label", "stats", "--status", "accepted").out
    assert re.search(r"alpha +accepted +3 +3 +0 +0 +27", text)
    for group in GROUPS:
        rows = json.loads(lizrcl("label", "stats", "--by", group, "--json").out)
        assert sum(row["n"] for row in rows) == len(labels), group
    unknown = lizrcl("label", "stats", "--by", "colour")
    assert unknown.code == 2
    assert "'colour'" in unknown.err


@pytest.mark.mongo
def test_temperature_pressure_and_cost_of_labels(filled) -> None:
    archive = filled.archive
    first = archive.get(Label, filled.labels[0])
    structure = archive.get(Structure, first.structure)
    run = archive.get(Trajectory, filled.exploration)
    origin = structure.origin.model_copy(update={"kind": "exploration", "source": run.id})
    met = structure.revised(positions=structure.positions + 0.01, origin=origin, parents=(run.id,))
    place = {"structure": met.id, "parents": (met.id, first.level)}
    archive.put_many([met, first.revised(**place, core_hours=0.25, phase="alpha")])
    rows = label_statistics(archive, ["temperature", "pressure"])
    assert [(row["temperature"], row["pressure"], row["n"]) for row in rows] == [(700.0, None, 1), (None, None, 7)]
    rows = label_statistics(archive, ["cost"])
    assert [(row["cost"], row["n"], row["core_hours"]) for row in rows] == [("0", 7, 0.0), ("0.1 - 1", 1, 0.25)]
    (row,) = label_statistics(archive, ["engine"], {"core_hours": {"$gt": 0}})
    assert (row["engine"], row["n"]) == ("ase", 1)


@pytest.mark.parametrize("given", [{"n_atoms": 10**30}, {"n_atoms.\0": 1}, {"formula": "\ud800"}])
def test_what_the_database_cannot_hold_is_refused_in_one_sentence(given: dict) -> None:
    with pytest.raises(InputError, match="is not accepted") as caught:
        checked_filter(Label, given)
    str(caught.value).encode()  # it can be printed
