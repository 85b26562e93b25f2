"""From what, and into what: the graph of documents.

Walked level by level with one query a level. One `$graphLookup` would do as well and is ten times slower where a level
holds thousands of labels (`benchmarks/archive.py`); for the chain of a data set, which is long and thin, it is faster.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from lizrcl_flows.archive.connection import Connection, guarded
from lizrcl_flows.archive.queries import id_range, one_match
from lizrcl_flows.documents import Dataset
from lizrcl_flows.errors import NotFoundError

Direction = Literal["up", "down"]
FOLD_ABOVE = 4
"""Children of one kind that a tree shows one by one; more become one line with their number."""

DATASET = Dataset.prefix
_BATCH = 100_000


@dataclass(frozen=True)
class Relative:
    """A document in the lineage of another.

    Attributes
    ----------
    kind
        Prefix of its id: ``"lab"``, ``"mod"`` ...
    depth
        Steps on the shortest way: parents have 1.
    """

    id: str
    kind: str
    depth: int


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

    def ancestors(self, document_id: str, depth: int | None = None, until: Sequence[str] = ()) -> list[Relative]:
        """Return everything that a document was made from, nearest first.

        Parameters
        ----------
        depth
            Steps to go; all the way by default.
        until
            Kinds at which the walk ends: ``("lab",)`` reports labels and not what they were made from.

        Raises
        ------
        NotFoundError
            If the document is not there.
        """
        return self._walk(document_id, "up", depth, until)

    def descendants(self, document_id: str, depth: int | None = None, until: Sequence[str] = ()) -> list[Relative]:
        """Return everything that was made from a document, nearest first; parameters as for `ancestors`."""
        return self._walk(document_id, "down", depth, until)

    @guarded
    def _walk(self, document_id: str, direction: Direction, depth: int | None, until: Sequence[str]) -> list[Relative]:
        if not self.collection.count_documents({"_id": document_id}, limit=1):
            raise NotFoundError(f"no document '{document_id}' in collection lineage")
        seen = {document_id}
        relatives: list[Relative] = []
        front = [document_id]
        steps = 0
        while front and (depth is None or steps < depth):
            steps += 1
            found = sorted(self._next_ids(front, direction) - seen)
            seen.update(found)
            step = [Relative(name, name.partition("_")[0], steps) for name in found]
            relatives += sorted(step, key=lambda relative: relative.kind)
            front = [relative.id for relative in step if relative.kind not in until]
        return relatives

    def _next_ids(self, front: Sequence[str], direction: Direction) -> set[str]:
        if direction == "down":
            children = self.collection.find({"parents": {"$in": list(front)}}, {"_id": 1}, batch_size=_BATCH)
            return {child["_id"] for child in children}
        nodes = self.collection.find({"_id": {"$in": list(front)}}, {"_id": 0, "parents": 1}, batch_size=_BATCH)
        return {parent for node in nodes for parent in node["parents"]}

    @guarded
    def nodes(self, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return lineage nodes by id; those that are missing are left out."""
        found = self.collection.find({"_id": {"$in": list(ids)}}, batch_size=_BATCH)
        return {node["_id"]: node for node in found}

    def tree(
        self,
        document_id: str,
        direction: Direction = "up",
        depth: int | None = None,
        fold_above: int = FOLD_ABOVE,
        until: Sequence[str] = (),
        opened: Collection[str] = (),
    ) -> Branch:
        """Return the lineage of a document as a tree that a person can read.

        Each document is opened once, where it is first met; of more than `fold_above` siblings of a kind one line with
        their number remains, and what they have in common below them hangs under that line.

        Parameters
        ----------
        depth, until
            As for `ancestors`.
        opened
            What is not folded: kinds (``"lab"``), and ids of documents that stand on lines of their own, as do the
            documents right under them.

        Raises
        ------
        NotFoundError
            If the document is not there.
        """
        root = self._nodes_of([document_id]).get(document_id)
        if root is None:
            raise NotFoundError(f"no document '{document_id}' in collection lineage")
        trunk = _branch(root)
        seen = {document_id}
        level: list[tuple[Branch, list[dict[str, Any]]]] = [(trunk, [root])]
        steps = 0
        while level and (depth is None or steps < depth):
            grown = list(self._next_level(level, direction, seen, (fold_above, opened)))
            level = [(branch, nodes) for branch, nodes in grown if branch.kind not in until]
            steps += 1
        return trunk

    def _next_level(
        self,
        level: Sequence[tuple[Branch, list[dict[str, Any]]]],
        direction: Direction,
        seen: set[str],
        fold: tuple[int, Collection[str]],
    ) -> Iterator[tuple[Branch, list[dict[str, Any]]]]:
        """Hang the next nodes under each branch; yield the new branches with the documents they stand for."""
        families = self._parents_of(level) if direction == "up" else self._children_of(level)
        for (branch, _), family in zip(level, families, strict=True):
            for kind, members in sorted(_by_kind(family).items()):
                for group in _groups(members, branch, fold):
                    new = [member for member in group if member["_id"] not in seen]
                    child = _branch(group[0]) if len(group) == 1 else _folded(group)
                    child.shown_above = not new
                    branch.children.append(child)
                    seen.update(member["_id"] for member in new)
                    in_chain = direction == "up" and kind == branch.kind == DATASET
                    if new and not in_chain:
                        yield child, new

    @guarded
    def _parents_of(self, level: Sequence[tuple[Branch, list[dict[str, Any]]]]) -> list[list[dict[str, Any]]]:
        """Return the parents of the documents of each branch, each once.

        A data set that extends others has their labels as its own parents: a chain of any length is one step.
        """
        names = [dict.fromkeys(parent for node in nodes for parent in self._parents(node)) for _, nodes in level]
        found = self._nodes_of(list({name for each in names for name in each}))
        return [[found[name] for name in each if name in found] for each in names]

    @guarded
    def _children_of(self, level: Sequence[tuple[Branch, list[dict[str, Any]]]]) -> list[list[dict[str, Any]]]:
        """Return what was made from the documents of each branch, each once."""
        owners = {node["_id"]: place for place, (_, nodes) in enumerate(level) for node in nodes}
        families: list[dict[str, dict[str, Any]]] = [{} for _ in level]
        found = self.collection.find({"parents": {"$in": list(owners)}}, {"digest": 0}, batch_size=_BATCH)
        for child in found.sort("_id", 1):
            for parent in child["parents"]:
                if parent in owners:
                    families[owners[parent]][child["_id"]] = child
        return [list(family.values()) for family in families]

    def _nodes_of(self, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return what a tree needs of lineage nodes."""
        found = self.collection.find({"_id": {"$in": list(ids)}}, {"digest": 0}, batch_size=_BATCH)
        return {node["_id"]: node for node in found}

    def _parents(self, node: dict[str, Any]) -> list[str]:
        if node["kind"] != DATASET or not any(parent.startswith(f"{DATASET}_") for parent in node["parents"]):
            return list(node["parents"])
        chain = self._chain("lineage", node["_id"], ("parents", "_id"), {"kind": DATASET})
        return list(dict.fromkeys(parent for link in chain for parent in link["parents"]))

    def _chain(
        self, collection: str, start: str, connect: tuple[str, str], among: dict[str, Any]
    ) -> list[dict[str, Any]]:
        """Return a document and what it extends, step by step, the oldest first."""
        lookup = {
            "from": collection,
            "startWith": "$_id",
            "connectFromField": connect[0],
            "connectToField": connect[1],
            "as": "chain",
            "depthField": "depth",
            "restrictSearchWithMatch": among,
        }
        pipeline: list[dict[str, Any]] = [
            {"$match": {"_id": start}},
            {"$graphLookup": lookup},
            {"$unwind": "$chain"},
            {"$replaceWith": "$chain"},
            {"$sort": {"depth": -1}},
        ]
        return list(self.connection[collection].aggregate(pipeline))

    @guarded
    def dataset_labels(self, dataset_id: str) -> list[str]:
        """Return the ordered label ids of a data set through its chain of parents.

        Raises
        ------
        NotFoundError
            If a data set of the chain is not there.
        """
        chain = self._chain("datasets", dataset_id, ("parent", "_id"), {})
        if not chain or chain[0]["parent"] is not None:
            missing = chain[0]["parent"] if chain else dataset_id
            raise NotFoundError(f"no document '{missing}' in collection datasets")
        return [label for part in chain for label in part["added"]]


def _groups(
    members: list[dict[str, Any]], branch: Branch, fold: tuple[int, Collection[str]]
) -> list[list[dict[str, Any]]]:
    """Put documents of one kind into one line, but for those that are few or are to be shown one by one."""
    fold_above, opened = fold
    shown_whole = bool({branch.id, members[0]["kind"]} & set(opened))
    if shown_whole or len(members) <= fold_above:
        return [[member] for member in members]
    alone = [[member] for member in members if member["_id"] in opened]
    rest = [member for member in members if member["_id"] not in opened]
    return [*alone, rest] if rest else alone


def _by_kind(nodes: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for node in nodes:
        groups.setdefault(node["kind"], []).append(node)
    return groups


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
