"""From what, and into what: the graph of documents, walked inside the database."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from lizrcl_flows.archive.connection import Connection, guarded
from lizrcl_flows.archive.queries import id_range, one_match
from lizrcl_flows.errors import NotFoundError

Direction = Literal["up", "down"]
FOLD_ABOVE = 4
"""Children of one kind that a tree shows one by one; more become one line with their number."""


@dataclass(frozen=True)
class Relative:
    """A document in the lineage of another.

    Attributes
    ----------
    depth
        Steps on the shortest way: parents have 1.
    """

    id: str
    kind: str
    depth: int
    campaign: str | None = None
    generation: int | None = None


@dataclass
class Branch:
    """A node of a lineage tree: one document, or a number of like documents folded into one line.

    Attributes
    ----------
    n
        Documents that this node stands for; `id` is empty where it is more than one.
    shown_above
        Whether the document's own branches stand elsewhere in the tree (a document has many descendants in common).
    """

    id: str
    kind: str
    n: int = 1
    campaign: str | None = None
    generation: int | None = None
    shown_above: bool = False
    children: list["Branch"] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return the tree as nested mappings."""
        own = {"id": self.id or None, "kind": self.kind, "n": self.n, "campaign": self.campaign}
        own |= {"generation": self.generation, "shown_above": self.shown_above}
        return {**own, "children": [child.as_dict() for child in self.children]}


class Lineage:
    """The lineage graph of one archive."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.collection = connection["lineage"]

    @guarded
    def resolve(self, prefix: str) -> str:
        """Return the id of a document of any kind from the beginning of it.

        Raises
        ------
        NotFoundError, InputError
            If there is none; if several begin like that.
        """
        found = self.collection.find(id_range(prefix), {"_id": 1}).sort("_id", 1).limit(6)
        return one_match([node["_id"] for node in found], "lineage", prefix)

    def ancestors(
        self, document_id: str, depth: int | None = None, kinds: Sequence[str] | None = None
    ) -> list[Relative]:
        """Return everything that a document was made from, nearest first.

        Parameters
        ----------
        depth
            Steps to go; all the way by default.
        kinds
            Prefixes (``"lab"``) of the documents to report and to walk through; all by default.
        """
        return self._walk(document_id, "up", depth, kinds)

    def descendants(
        self, document_id: str, depth: int | None = None, kinds: Sequence[str] | None = None
    ) -> list[Relative]:
        """Return everything that was made from a document, nearest first; parameters as for `ancestors`."""
        return self._walk(document_id, "down", depth, kinds)

    @guarded
    def _walk(
        self, document_id: str, direction: Direction, depth: int | None, kinds: Sequence[str] | None
    ) -> list[Relative]:
        start, connect = ("$parents", ("parents", "_id")) if direction == "up" else ("$_id", ("_id", "parents"))
        lookup: dict[str, Any] = {
            "from": "lineage",
            "startWith": start,
            "connectFromField": connect[0],
            "connectToField": connect[1],
            "as": "found",
            "depthField": "depth",
        }
        if depth is not None:
            lookup["maxDepth"] = max(depth - 1, 0)
        if kinds:
            lookup["restrictSearchWithMatch"] = {"kind": {"$in": list(kinds)}}
        pipeline: list[dict[str, Any]] = [
            {"$match": {"_id": document_id}},
            {"$graphLookup": lookup},
            {"$unwind": "$found"},
            {"$replaceWith": {"$unsetField": {"field": "parents", "input": "$found"}}},
        ]
        found = self.collection.aggregate(pipeline, batchSize=100_000)
        relatives = [
            Relative(node["_id"], node["kind"], int(node["depth"]) + 1, node["campaign"], node["generation"])
            for node in found
        ]
        if not relatives and not self.collection.count_documents({"_id": document_id}, limit=1):
            raise NotFoundError(f"no document '{document_id}' in collection lineage")
        return sorted(relatives, key=lambda relative: (relative.depth, relative.kind, relative.id))

    @guarded
    def nodes(self, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return lineage nodes by id; those that are missing are left out."""
        return {node["_id"]: node for node in self.collection.find({"_id": {"$in": list(ids)}})}

    def tree(
        self, document_id: str, direction: Direction = "up", depth: int | None = None, fold_above: int = FOLD_ABOVE
    ) -> Branch:
        """Return the lineage of a document as a tree that a person can read.

        Each document is opened once, where it is first met; of more than `fold_above` siblings of a kind one line with
        their number remains, and what they have in common below them hangs under that line.

        Raises
        ------
        NotFoundError
            If the document is not there.
        """
        root = self.nodes([document_id]).get(document_id)
        if root is None:
            raise NotFoundError(f"no document '{document_id}' in collection lineage")
        trunk = _branch(root)
        seen = {document_id}
        level: list[tuple[Branch, list[dict[str, Any]]]] = [(trunk, [root])]
        steps = 0
        while level and (depth is None or steps < depth):
            level = list(self._next_level(level, direction, seen, fold_above))
            steps += 1
        return trunk

    def _next_level(
        self,
        level: Sequence[tuple[Branch, list[dict[str, Any]]]],
        direction: Direction,
        seen: set[str],
        fold_above: int,
    ) -> Iterator[tuple[Branch, list[dict[str, Any]]]]:
        """Hang the next nodes under each branch; yield the new branches with the documents they stand for."""
        neighbours = self._neighbours([node for _, nodes in level for node in nodes], direction)
        for branch, nodes in level:
            unique = {other["_id"]: other for node in nodes for other in neighbours.get(node["_id"], ())}
            counts = Counter(other["kind"] for other in unique.values())
            for kind in sorted(counts):
                members = [other for other in unique.values() if other["kind"] == kind]
                groups = [members] if counts[kind] > fold_above else [[member] for member in members]
                for group in groups:
                    new = [member for member in group if member["_id"] not in seen]
                    child = _branch(group[0]) if len(group) == 1 else _folded(group)
                    child.shown_above = not new
                    branch.children.append(child)
                    seen.update(member["_id"] for member in new)
                    if new:
                        yield child, new

    @guarded
    def _neighbours(self, nodes: Sequence[dict[str, Any]], direction: Direction) -> dict[str, list[dict[str, Any]]]:
        """Return the parents or children of many documents with one query."""
        if direction == "up":
            found = self.nodes(list({parent for node in nodes for parent in node["parents"]}))
            return {node["_id"]: [found[parent] for parent in node["parents"] if parent in found] for node in nodes}
        ids = {node["_id"] for node in nodes}
        children: dict[str, list[dict[str, Any]]] = {}
        for child in self.collection.find({"parents": {"$in": list(ids)}}).sort("_id", 1):
            for parent in ids.intersection(child["parents"]):
                children.setdefault(parent, []).append(child)
        return children

    @guarded
    def dataset_labels(self, dataset_id: str) -> list[str]:
        """Return the ordered label ids of a data set through its chain of parents.

        Raises
        ------
        NotFoundError
            If a data set of the chain is not there.
        """
        pipeline: list[dict[str, Any]] = [
            {"$match": {"_id": dataset_id}},
            {
                "$graphLookup": {
                    "from": "datasets",
                    "startWith": "$_id",
                    "connectFromField": "parent",
                    "connectToField": "_id",
                    "as": "chain",
                    "depthField": "depth",
                }
            },
            {"$unwind": "$chain"},
            {"$replaceWith": "$chain"},
            {"$sort": {"depth": -1}},
        ]
        chain = list(self.connection["datasets"].aggregate(pipeline))
        if not chain or chain[0]["parent"] is not None:
            missing = chain[0]["parent"] if chain else dataset_id
            raise NotFoundError(f"no document '{missing}' in collection datasets")
        return [label for part in chain for label in part["added"]]


def _branch(node: dict[str, Any]) -> Branch:
    return Branch(node["_id"], node["kind"], campaign=node["campaign"], generation=node["generation"])


def _folded(nodes: Sequence[dict[str, Any]]) -> Branch:
    campaigns = {node["campaign"] for node in nodes}
    generations = {node["generation"] for node in nodes}
    return Branch(
        "",
        nodes[0]["kind"],
        n=len(nodes),
        campaign=campaigns.pop() if len(campaigns) == 1 else None,
        generation=generations.pop() if len(generations) == 1 else None,
    )
