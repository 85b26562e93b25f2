"""Which files of an import share a level of theory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lizrcl_flows.documents import Level
from lizrcl_flows.errors import InputError
from lizrcl_flows.science.imports.methods import (
    Difference,
    Method,
    differences,
    level_of,
    merged,
    method_of,
    with_k_spacing,
)
from lizrcl_flows.science.imports.records import FileContent

HOW_TO_DESCRIBE = "--level ID, --level-file FILE, or --code, --functional and what else is known, says it"


@dataclass
class Group:
    """The files of one level of theory."""

    level: Level
    contents: list[FileContent] = field(default_factory=list)


@dataclass
class _Found:
    """A level that files tell, and those files."""

    method: Method
    contents: list[FileContent]
    methods: list[Method]


def group_under(level: Level, contents: Sequence[FileContent], k_spacing: float | None = None) -> Group:
    """Return files as labels of a level that was named, if they do not contradict it.

    Raises
    ------
    InputError
        If a file tells another level; the sentence says what differs.
    """
    wanted = method_of(level)
    for content in contents:
        name = content.source.name
        others = [other for other in content.level_ids if other != level.id]
        if others:
            raise InputError(f"{name}: its frames are labels of level {others[0]}, not of {level.id}; levels never mix")
        if content.method is None:
            continue
        found = _ruled(content.method, k_spacing or level.k_spacing)
        for difference in differences(wanted, found):
            raise InputError(
                f"{name}: {_told(difference)}, but level {level.id} has "
                f"{_value(difference.first)}: its labels are not of that level"
            )
        missing = sorted({*found.potentials} - {*wanted.potentials})
        if missing:
            raise InputError(
                f"{name}: holds {missing[0]}, for which level {level.id} names no potential; it has "
                f"those of {', '.join(sorted(wanted.potentials)) or 'no element'}"
            )
    return Group(level, list(contents))


def group_by_level(
    contents: Sequence[FileContent],
    known: Mapping[str, Level],
    *,
    split: bool = False,
    k_spacing: float | None = None,
    note: str = "",
) -> list[Group]:
    """Return the files by the level of theory that they tell themselves.

    Parameters
    ----------
    known
        Stored levels that frames name, by id.
    split
        Allow several levels: one data set each.
    k_spacing
        Spacing (1/A, 2 pi included) that all meshes of k points obey, for files with a mesh of their own.
    note
        What the level is good for.

    Raises
    ------
    InputError
        If a file tells no level, or two files tell different ones and `split` is not set.
    """
    found: list[_Found] = []
    stored: dict[str, Group] = {}
    for content in contents:
        if content.method is None:
            level = _named_level(content, known)
            stored.setdefault(level.id, Group(level)).contents.append(content)
            continue
        _join(found, content, _ruled(content.method, k_spacing))
    groups = [Group(level_of(entry.method, note), entry.contents) for entry in found] + list(stored.values())
    if len(groups) > 1 and not split:
        raise InputError(_refusal(found, groups))
    return groups


def _join(found: list[_Found], content: FileContent, method: Method) -> None:
    for entry in found:
        if not differences(entry.method, method):
            entry.method = merged(entry.method, method)
            entry.contents.append(content)
            entry.methods.append(method)
            return
    found.append(_Found(method, [content], [method]))


def _ruled(method: Method, k_spacing: float | None) -> Method:
    return method if k_spacing is None else with_k_spacing(method, k_spacing)


def _named_level(content: FileContent, known: Mapping[str, Level]) -> Level:
    name = content.source.name
    if len(content.level_ids) > 1:
        raise InputError(f"{name}: its frames are of {len(content.level_ids)} levels, {', '.join(content.level_ids)}")
    if not content.level_ids:
        raise InputError(f"{name}: the file does not say its level of theory; {HOW_TO_DESCRIBE}")
    if content.level_ids[0] not in known:
        raise InputError(
            f"{name}: its frames name level {content.level_ids[0]}, which is not in the archive; --level-file with the "
            "file that `lizrcl level export` writes brings it along"
        )
    return known[content.level_ids[0]]


def _refusal(found: Sequence[_Found], groups: Sequence[Group]) -> str:
    """Say which two files are of different levels, and by what."""
    ways = "--split-levels makes a data set of each"
    if len(found) < 2:
        first, second = groups[0], groups[1]
        names = f"{first.contents[0].source.name} and {second.contents[0].source.name}"
        return f"{names} are of two levels of theory, {first.level.id} and {second.level.id}; {ways}"
    later, method = found[1].contents[0], found[1].methods[0]
    difference = differences(found[0].method, method)[0]
    for content, own in zip(found[0].contents, found[0].methods, strict=True):
        told = [other for other in differences(own, method) if other.what == difference.what]
        if told:
            if difference.what == "KPOINTS":
                ways += ", --k-spacing states the rule that all meshes obey"
            return (
                f"{later.source.name}: {_told(told[0])}, but {_value(told[0].first)} in "
                f"{content.source.name}: labels of two levels of theory never mix in one data set; {ways}"
            )
    return f"{later.source.name}: {_told(difference)}, other files have {_value(difference.first)}; {ways}"


def _told(difference: Difference) -> str:
    return f"{difference.what} is {_value(difference.second)}"


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "not set" if value is None else str(value)
