"""From what, and into what."""

from typing import Any

import pytest

from lizrcl_flows.archive import Archive
from lizrcl_flows.archive.lineage import Branch
from lizrcl_flows.documents import Document
from lizrcl_flows.errors import InputError, NotFoundError

pytestmark = pytest.mark.mongo

World = dict[str, list[Document]]


def test_a_transport_leads_back_to_every_label(archive: Archive, world: World) -> None:
    found = archive.lineage.ancestors(world["tsp"][0].id)
    by_kind: dict[str, dict[str, int]] = {}
    for relative in found:
        by_kind.setdefault(relative.kind, {})[relative.id] = relative.depth
    assert by_kind["tra"] == {world["tra"][0].id: 1}
    assert by_kind["com"] == {world["com"][0].id: 2}
    assert by_kind["mod"] == {model.id: 3 for model in world["mod"]}
    assert by_kind["dat"] == {world["dat"][0].id: 4}
    assert by_kind["lab"] == {label.id: 5 for label in world["lab"]}
    first, *others = (structure.id for structure in world["str"])
    assert by_kind["str"] == {first: 2, **dict.fromkeys(others, 6)}
    assert [relative.depth for relative in found] == sorted(relative.depth for relative in found)


def test_a_level_leads_to_everything_below(archive: Archive, world: World) -> None:
    found = archive.lineage.descendants(world["lev"][0].id)
    assert {relative.id for relative in found} == {
        document.id for kind in ("lab", "dat", "mod", "com", "tra", "tsp", "can") for document in world[kind]
    }
    assert {relative.kind for relative in archive.lineage.descendants(world["lev"][0].id, depth=2)} == {"lab", "dat"}


def test_depth_and_kind_bound_the_walk(archive: Archive, world: World) -> None:
    transport = world["tsp"][0].id
    assert {relative.kind for relative in archive.lineage.ancestors(transport, depth=2)} == {"tra", "com", "str"}
    found = archive.lineage.ancestors(transport, until=("lab", "str"))
    assert [relative.kind for relative in found] == ["tra", "com", "str", "mod", "mod", "dat", *["lab"] * 6]
    assert archive.lineage.ancestors(world["lev"][0].id) == []
    with pytest.raises(NotFoundError, match="tsp_0"):
        archive.lineage.ancestors("tsp_0")


def _lines(branch: Branch, indent: int = 0) -> list[str]:
    own = (
        f"{' ' * indent}{branch.kind}" + (f" x{branch.n}" if branch.n > 1 else "") + ("*" if branch.shown_above else "")
    )
    return [own, *(line for child in branch.children for line in _lines(child, indent + 1))]


def test_the_tree_folds_like_siblings(archive: Archive, world: World) -> None:
    tree = archive.lineage.tree(world["tsp"][0].id)
    assert _lines(tree) == [
        "tsp",
        " tra",
        "  com",
        "   mod",
        "    dat",
        "     lab x6",
        "      lev",
        "      str x6",
        "   mod",
        "    dat*",
        "  str",
    ]
    assert tree.as_dict()["children"][0]["id"] == world["tra"][0].id
    assert tree.children[0].children[0].children[0].children[0].children[0].id == ""
    assert _lines(archive.lineage.tree(world["tsp"][0].id, depth=1)) == ["tsp", " tra"]
    short = archive.lineage.tree(world["tsp"][0].id, until=("com",))
    assert _lines(short) == ["tsp", " tra", "  com", "  str"]
    unfolded = archive.lineage.tree(world["dat"][0].id, depth=1, fold_above=10)
    assert len(unfolded.children) == 6


def test_a_chain_of_data_sets_is_one_step_of_the_tree(archive: Archive, make: Any) -> None:
    level = make.level()
    structures = [make.structure() for _ in range(14)]
    labels = [make.label(structure, level) for structure in structures]
    sets = [make.dataset(labels[:2])]
    for end in range(4, 15, 2):
        sets.append(make.dataset(labels[end - 2 : end], sets[-1], labels[: end - 2]))
    archive.put_many([level, *structures, *labels, *sets])
    lines = _lines(archive.lineage.tree(sets[-1].id))
    assert lines == ["dat", " dat x6", " lab x14", "  lev", "  str x14"]


def test_the_tree_downwards(archive: Archive, world: World) -> None:
    lines = _lines(archive.lineage.tree(world["dat"][0].id, "down"))
    assert lines == ["dat", " mod", "  com", "   can", "   tra", "    can*", "    tsp", " mod", "  com*"]


def test_ids_of_any_kind_may_be_shortened(archive: Archive, world: World) -> None:
    assert archive.lineage.resolve(world["com"][0].id[:8]) == world["com"][0].id
    with pytest.raises(InputError, match="not unique"):
        archive.lineage.resolve("lab_")
    with pytest.raises(NotFoundError):
        archive.lineage.resolve("xyz_1")


def test_nodes_carry_place_and_digest(archive: Archive, world: World) -> None:
    label: Any = world["lab"][0]
    node = archive.lineage.nodes([label.id, "lab_0"])
    assert list(node) == [label.id]
    assert (node[label.id]["campaign"], node[label.id]["generation"]) == ("c1", 0)
    assert node[label.id]["digest"] == label.digest
