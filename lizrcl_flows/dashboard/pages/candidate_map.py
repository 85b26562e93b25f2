"""The map of what exploration met: candidates as points, each with its structure; data as chemiscope reads them."""

import math
from typing import Any

from lizrcl_flows.archive import Archive
from lizrcl_flows.archive.browsing import Distinct, Query
from lizrcl_flows.dashboard.pages.structures import symbols_of
from lizrcl_flows.documents import Structure
from lizrcl_flows.flows.campaigns import find_campaign

MOST_POINTS = 2000
"""Points of one map: each carries a structure that may be opened."""

MOST_LISTED = 50
"""Candidates that are listed beside the map."""

VERDICTS = ("selected", "spare", "rejected")
ALL = "all"
"""All generations on one map."""

_FIELDS = (
    *("structure", "verdict", "reason", "generation", "phase", "temperature_k", "pressure_gpa", "time_fs"),
    *("eps", "score", "map_xy", "n_atoms", "formula", "control"),
)
_PLANE = (("map 1", 0), ("map 2", 1))
_NUMBERS = {
    "eps": ("eps", "eV/A", "largest deviation of a force between the models of the committee"),
    "generation": ("generation", "", "turn of the loop"),
    "temperature": ("temperature_k", "K", "set point of the run"),
    "pressure": ("pressure_gpa", "GPa", "set point of the run"),
    "time": ("time_fs", "fs", "of the frame in its run"),
    "atoms": ("n_atoms", "", "in the cell"),
    "score": ("score", "", "in the selector's measure"),
}
_WORDS = {"verdict": "verdict", "phase": "phase", "region": "region", "reason": "reason", "formula": "formula"}
_NONE = "none"


def candidate_map(archive: Archive, name: str, generation: str = "", most: int = MOST_LISTED) -> dict[str, Any]:
    """Return candidates of a campaign: what was selected first, then the rest by eps.

    Parameters
    ----------
    generation
        Index of one generation, or "all"; '' means the last one that has candidates.
    most
        Candidates to return.

    Raises
    ------
    NotFoundError, InputError
        If there is no such campaign; if several have that name.
    """
    campaign = find_campaign(archive, name)
    offered = Distinct("candidates", {"campaign": campaign.name}, "generation").values(archive)
    chosen = generation or str(max(offered, default=0))
    place: dict[str, Any] = {"campaign": campaign.name}
    if chosen != ALL:
        place["generation"] = int(chosen)
    counted = {word: Query("candidates", {**place, "verdict": word}) for word in VERDICTS}
    counts = {word: query.total(archive) for word, query in counted.items()}
    selected = _by_eps({**place, "verdict": VERDICTS[0]}, most)
    others = _by_eps({**place, "verdict": {"$in": list(VERDICTS[1:])}}, max(1, most - counts[VERDICTS[0]]))
    records = (selected.records(archive) + others.records(archive))[:most]
    regions = _regions(archive, records)
    for record in records:
        record["region"] = regions.get(record["structure"])
    return {
        "name": campaign.name,
        "id": campaign.id,
        "generation": chosen,
        "generations": [str(index) for index in offered],
        "n": sum(counts.values()),
        "most": MOST_POINTS,
        "verdicts": [{"verdict": word, "n": n} for word, n in counts.items() if n],
        "candidates": records,
        "has_plane": bool(records) and all(record["map_xy"] for record in records),
        "queries": {"selected": str(selected), "others": str(others)},
    }


def _by_eps(criteria: dict[str, Any], most: int) -> Query:
    # the server would walk along the eps of all campaigns to find those of one generation
    hint = "campaign_generation" if "generation" in criteria else ""
    return Query("candidates", criteria, _FIELDS, (("eps", -1),), limit=most, hint=hint)


def map_data(archive: Archive, name: str, generation: str = "") -> dict[str, Any]:
    """Return the map as chemiscope reads it; see `candidate_map` and `chemiscope_dataset`."""
    return chemiscope_dataset(candidate_map(archive, name, generation, MOST_POINTS))


def _regions(archive: Archive, records: list[dict[str, Any]]) -> dict[str, str | None]:
    names = [record["structure"] for record in records]
    found = archive.find_records(Structure, {"_id": {"$in": names}}, fields=["region"])
    return {record["_id"]: record["region"] for record in found}


def chemiscope_dataset(content: dict[str, Any]) -> dict[str, Any]:
    """Return a map as chemiscope's data set; structures are named, and fetched when they are looked at.

    Numbers that a candidate lacks are null here, and not a number (NaN) to chemiscope.
    """
    records = content["candidates"]
    properties: dict[str, Any] = {}
    if any(record["map_xy"] for record in records):
        for name, axis in _PLANE:
            values = [record["map_xy"][axis] if record["map_xy"] else None for record in records]
            properties[name] = _property(values, "", "principal component of the descriptors of the pool")
    for name, (field, unit, meaning) in _NUMBERS.items():
        values = [_finite(record[field]) for record in records]
        if len({value for value in values if value is not None}) > (0 if name in ("eps", "generation") else 1):
            properties[name] = _property(values, unit, meaning)
    for name, field in _WORDS.items():
        properties[name] = _property([str(record[field] or _NONE) for record in records], "", "")
    for name, number in (("region number", "region"), ("verdict number", "verdict")):
        known = sorted({str(record[number] or _NONE) for record in records})
        meaning = ", ".join(f"{place}: {word}" for place, word in enumerate(known))
        properties[name] = _property([known.index(str(record[number] or _NONE)) for record in records], "", meaning)
    return {
        "meta": {"name": f"{content['name']}: candidates"},
        "structures": [{"size": record["n_atoms"], "data": record["structure"]} for record in records],
        "properties": properties,
        "settings": _settings(properties, plane=content["has_plane"]),
        "ids": [record["_id"] for record in records],
    }


def _property(values: list[Any], unit: str, meaning: str) -> dict[str, Any]:
    told: dict[str, Any] = {"target": "structure", "values": values}
    return told | ({"units": unit} if unit else {}) | ({"description": meaning} if meaning else {})


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _settings(properties: dict[str, Any], *, plane: bool) -> dict[str, Any]:
    names = [name for name in ("time", "temperature", "atoms", "generation", "verdict number") if name in properties]
    colour = "eps" if "eps" in properties else names[-1]
    x, y = ("map 1", "map 2") if plane else (names[0], colour)
    shown = {"x": {"property": x}, "y": {"property": y}, "color": {"property": colour}, "symbol": "verdict"}
    return {"map": shown, "structure": [{"unitCell": True, "bonds": False, "spaceFilling": False}]}


def chemiscope_structure(archive: Archive, structure_id: str) -> dict[str, Any]:
    """Return one structure as chemiscope reads it (A).

    Raises
    ------
    NotFoundError
        If there is no such structure.
    """
    structure = archive.get(Structure, structure_id)
    x, y, z = structure.positions.T.tolist()
    cell = {"cell": structure.cell.ravel().tolist()} if any(structure.pbc) else {}
    return {"size": structure.n_atoms, "names": symbols_of(structure), "x": x, "y": y, "z": z, **cell}
