"""The lineage of a document in forms that other programs read: nested JSON, W3C PROV-JSON, Graphviz."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lizrcl_flows.archive.archive import Archive
from lizrcl_flows.archive.lineage import Direction
from lizrcl_flows.documents import BY_PREFIX

if TYPE_CHECKING:
    from prov.model import ProvDocument

Node = Mapping[str, Any]

NAMESPACE = "urn:lizrcl:"
"""Of the identifiers in PROV-JSON; a document is ``lizrcl:<its id>``."""

WORDS = {"up": "parents", "down": "children"}
"""Key under which the next documents of a nested lineage stand."""


def lineage_nodes(archive: Archive, document_id: str, direction: Direction, depth: int | None) -> list[dict[str, Any]]:
    """Return every document of a lineage, nearest first, with its parents.

    Parameters
    ----------
    depth
        Steps to go; all the way where absent.

    Raises
    ------
    NotFoundError
        If the document is not there.
    """
    walk = archive.lineage.ancestors if direction == "up" else archive.lineage.descendants
    steps = {document_id: 0, **{relative.id: relative.depth for relative in walk(document_id, depth)}}
    found = archive.lineage.nodes(list(steps))
    return [
        {
            "id": name,
            "kind": found[name]["kind"],
            "depth": step,
            "campaign": found[name]["campaign"],
            "generation": found[name]["generation"],
            "parents": list(found[name]["parents"]),
        }
        for name, step in steps.items()
        if name in found
    ]


def nested(nodes: Sequence[Node], direction: Direction) -> dict[str, Any]:
    """Return a lineage as one nested mapping ``{id, kind, parents: [...]}`` (``children`` downwards).

    A document has its parents where it is first met, counted by steps from the root; where it is met again, and where
    the walk ended, the list is empty. So the mapping stays as large as the graph, which a campaign's full tree does
    not: its number of branches grows exponentially with the generations.

    Parameters
    ----------
    nodes
        What `lineage_nodes` returned; the root comes first.
    """
    word = WORDS[direction]
    kinds = {node["id"]: node["kind"] for node in nodes}
    following = _following(nodes, direction)
    root = {"id": nodes[0]["id"], "kind": nodes[0]["kind"], word: []}
    opened = {root["id"]}
    level = [root]
    while level:
        below: list[dict[str, Any]] = []
        for entry in level:
            for name in following.get(entry["id"], ()):
                child = {"id": name, "kind": kinds[name], word: []}
                entry[word].append(child)
                if name not in opened:
                    opened.add(name)
                    below.append(child)
        level = below
    return root


def _following(nodes: Sequence[Node], direction: Direction) -> dict[str, list[str]]:
    known = {node["id"] for node in nodes}
    following: dict[str, list[str]] = {}
    for node in nodes:
        for parent in node["parents"]:
            if parent in known:
                start, end = (node["id"], parent) if direction == "up" else (parent, node["id"])
                following.setdefault(start, []).append(end)
    return following


def dot(nodes: Sequence[Node]) -> Iterator[str]:
    """Yield the lines of a Graphviz file: arrows point from a document to what was made from it."""
    known = {node["id"] for node in nodes}
    yield "digraph lineage {"
    yield '  rankdir=LR; node [shape=box, fontname="monospace"];'
    for node in nodes:
        yield f'  "{node["id"]}" [label="{kind_name(node["kind"])}\\n{node["id"]}"];'
        yield from (f'  "{parent}" -> "{node["id"]}";' for parent in node["parents"] if parent in known)
    yield "}"


def kind_name(prefix: str) -> str:
    """Return the word for documents of a kind, by the prefix of their ids."""
    return BY_PREFIX[prefix].__name__.lower() if prefix in BY_PREFIX else prefix


def prov_json(archive: Archive, nodes: Sequence[Node]) -> str:
    """Return a lineage as W3C PROV-JSON (W3C member submission of 24 April 2013).

    Documents are entities, derived from their parents; the jobs that wrote them are activities; programs and this
    package are software agents.
    """
    from prov.model import ProvDocument

    document = ProvDocument()
    document.add_namespace("lizrcl", NAMESPACE)
    facts = _facts(archive, nodes)
    known = {node["id"] for node in nodes}
    told: set[str] = set()
    for node in nodes:
        name = f"lizrcl:{node['id']}"
        attributes = {"prov:type": kind_name(node["kind"])}
        attributes |= {f"lizrcl:{key}": node[key] for key in ("campaign", "generation") if node[key] is not None}
        document.entity(name, attributes)
        for parent in node["parents"]:
            if parent in known:
                document.wasDerivedFrom(name, f"lizrcl:{parent}")
        _generation(document, name, facts.get(node["id"], {}), told)
    return str(document.serialize(format="json", indent=1))


def _facts(archive: Archive, nodes: Sequence[Node]) -> dict[str, dict[str, Any]]:
    """Return when and by whom each document was written, one query a kind."""
    by_kind: dict[str, list[str]] = {}
    for node in nodes:
        by_kind.setdefault(node["kind"], []).append(node["id"])
    facts = {}
    for prefix, names in by_kind.items():
        criteria = {"_id": {"$in": names}}
        for record in archive.find_records(BY_PREFIX[prefix], criteria, fields=["created_at", "provenance"]):
            facts[record["_id"]] = record
    return facts


def _generation(document: "ProvDocument", name: str, fact: Node, told: set[str]) -> None:
    """Say which job wrote a document, and with which programs."""
    provenance = fact.get("provenance") or {}
    job = provenance.get("job_uuid")
    if not job:
        return
    activity = f"lizrcl:job_{job}"
    if activity not in told:
        told.add(activity)
        shown: dict[Any, Any] = {"prov:type": "job"}
        shown |= {f"lizrcl:{key}": provenance[key] for key in ("fw_id", "flow_uuid", "host") if provenance.get(key)}
        document.activity(activity, other_attributes=shown)
        for agent, label in _agents(provenance):
            if agent not in told:
                told.add(agent)
                document.agent(agent, {"prov:type": "prov:SoftwareAgent", "prov:label": label})
            document.wasAssociatedWith(activity, agent)
    document.wasGeneratedBy(name, activity, time=fact["created_at"])


def _agents(provenance: Node) -> Iterator[tuple[str, str]]:
    for what, version in (("lizrcl_flows", "package_version"), (provenance.get("engine"), "engine_version")):
        if what:
            label = f"{what} {provenance.get(version) or ''}".strip()
            yield "lizrcl:program_" + "".join(c if c.isalnum() else "_" for c in label), label
