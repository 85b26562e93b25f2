"""Labels counted by what users ask for: phase, region, temperature, pressure, generation, engine, cost."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from lizrcl_flows.archive.archive import Archive
from lizrcl_flows.documents import Label, Level, Structure, Trajectory
from lizrcl_flows.errors import InputError

DIRECT = ("phase", "region", "generation", "campaign", "status", "purpose", "formula", "level")
"""Groups that are fields of a label."""

OF_THE_RUN = {"temperature": "temperature_k", "pressure": "pressure_gpa"}
"""Groups that are set points of the run whose frame was labelled; structures that no run met have none."""

GROUPS = (*DIRECT, *OF_THE_RUN, "engine", "cost")
"""Everything that labels can be grouped by."""

STATUSES = ("accepted", "failed", "quarantined")

_FIELDS = ("structure", "n_atoms", "core_hours", "max_force", *DIRECT)


def label_statistics(
    archive: Archive, by: Sequence[str], criteria: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    """Count labels in groups.

    Parameters
    ----------
    by
        Names out of `GROUPS`, the leading one first. `cost` are decades of core hours.
    criteria
        MongoDB filter of the labels; all by default.

    Returns
    -------
    list of dict
        One row a group, in order: the groups' values; ``n``, and of them ``accepted``, ``failed``, ``quarantined``;
        ``n_atoms`` of all structures; ``core_hours`` of all labels; ``max_force`` (eV/A), the largest of the group.

    Raises
    ------
    InputError
        If labels cannot be grouped by that.
    """
    unknown = [name for name in by if name not in GROUPS]
    if unknown or not by:
        raise InputError(f"labels cannot be grouped by '{', '.join(unknown)}'; known are {', '.join(GROUPS)}")
    records = list(archive.find_records(Label, criteria or {}, fields=_FIELDS))
    told = _told(archive, by, records)
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for record in records:
        groups.setdefault(tuple(_value(record, name, told) for name in by), []).append(record)
    rows = [{**dict(zip(by, key, strict=True)), **_counted(members)} for key, members in groups.items()]
    return sorted(rows, key=lambda row: [_order(row[name]) for name in by])


def _told(archive: Archive, by: Sequence[str], records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what is known elsewhere: the run of each structure, the engine of each level."""
    told: dict[str, Any] = {"engines": {}, "runs": {}}
    if "engine" in by:
        levels = archive.find_records(Level, {}, fields=["engine"])
        told["engines"] = {record["_id"]: record["engine"] for record in levels}
    if set(by) & set(OF_THE_RUN):
        ids = list({record["structure"] for record in records})
        found = archive.find_records(Structure, {"_id": {"$in": ids}}, fields=["origin.source"])
        sources = {record["_id"]: (record.get("origin") or {}).get("source") for record in found}
        wanted = {"_id": {"$in": [name for name in set(sources.values()) if name]}}
        runs = {record["_id"]: record for record in archive.find_records(Trajectory, wanted, fields=_SET_POINTS)}
        told["runs"] = {name: runs[source] for name, source in sources.items() if source in runs}
    return told


_SET_POINTS = list(OF_THE_RUN.values())


def _value(record: Mapping[str, Any], name: str, told: Mapping[str, Any]) -> Any:
    if name in OF_THE_RUN:
        return told["runs"].get(record["structure"], {}).get(OF_THE_RUN[name])
    if name == "engine":
        return told["engines"].get(record["level"])
    if name == "cost":
        return _decade(float(record.get("core_hours") or 0.0))
    return record.get(name)


def _decade(core_hours: float) -> str:
    """Return the decade of a cost as ``0.1 - 1``; ``0`` for a label that cost nothing."""
    if core_hours <= 0:
        return "0"
    low = math.floor(math.log10(core_hours) + 1e-12)
    return f"{10.0**low:g} - {10.0 ** (low + 1):g}"


def _order(value: Any) -> tuple[int, float, str]:
    """Sort numbers by size, costs by their lower end, what is missing last."""
    if value is None:
        return 2, 0.0, ""
    if isinstance(value, int | float):
        return 0, float(value), ""
    first = value.partition(" - ")[0]
    try:
        return 0, float(first), ""
    except ValueError:
        return 1, 0.0, value


def _counted(members: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    forces = [record["max_force"] for record in members if record.get("max_force") is not None]
    return {
        "n": len(members),
        **{status: sum(record["status"] == status for record in members) for status in STATUSES},
        "n_atoms": sum(record["n_atoms"] for record in members),
        "core_hours": math.fsum(record.get("core_hours") or 0.0 for record in members),
        "max_force": max(forces, default=None),
    }
