"""The figures of a report that show what committees were tried on and where the loop explored."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lizrcl_flows.archive import Archive
    from lizrcl_flows.documents import Evaluation, Generation
    from lizrcl_flows.documents.arrays import Array

Figures = Iterator[tuple[str, str, Any]]
"""File name, caption and matplotlib figure."""


def validation_figures(archive: "Archive", turns: "Sequence[Generation]") -> Figures:
    """Yield every figure that the closed generations of a campaign have something for."""
    yield from _calibration(archive, turns)
    yield from _ledger(turns)
    yield from _curves(archive, turns)


def _calibration(archive: "Archive", turns: "Sequence[Generation]") -> Figures:
    from lizrcl_flows.science.ledger_figures import calibration_figure

    fresh = {turn.index: _evaluation(archive, turn.evaluation_fresh) for turn in turns if turn.evaluation_fresh}
    if fresh:
        caption = "Fresh labels under the committee that chose them: how well its deviation eps told the error"
        yield "calibration.png", caption, calibration_figure(fresh)


def _ledger(turns: "Sequence[Generation]") -> Figures:
    from lizrcl_flows.science.ledger import accumulate
    from lizrcl_flows.science.ledger_figures import ledger_figure

    entries = accumulate(turn.ledger for turn in turns)
    if entries:
        explored = [turn.index for turn in turns if turn.ledger]
        caption = f"Ledger of generations {explored[0]} to {explored[-1]}: what was explored, doubted and chosen"
        yield "ledger.png", caption, ledger_figure(entries)


def _curves(archive: "Archive", turns: "Sequence[Generation]") -> Figures:
    from lizrcl_flows.science.validation.figures import energy_volume_figure, hop_figure

    tried = {turn.evaluation_curves: f"generation {turn.index}" for turn in reversed(turns) if turn.evaluation_curves}
    ends = list(dict.fromkeys([*list(tried)[-1:], *list(tried)[:1]]))
    found = {tried[name]: _evaluation(archive, name) for name in ends}
    if not found:
        return
    last = list(found.values())[-1]
    names = " and ".join(found)
    if last.energy_volumes:
        caption = (
            f"Energy against volume by the committees of {names}; fractional positions are held, nothing is relaxed"
        )
        yield "energy_volume.png", caption, energy_volume_figure(found)
    if last.hops:
        caption = f"Hops into a vacancy by the committees of {names}; thin lines are members along the same path"
        yield "hops.png", caption, hop_figure(found)
    if last.map_xy is not None:
        caption = f"Structures of {list(found)[-1]}: t-SNE of their mean NEP descriptors"
        yield "structure_map.png", caption, _map(archive, last.map_structures, last.map_xy)


def _map(archive: "Archive", names: Sequence[str], xy: "Array") -> Any:
    from lizrcl_flows.documents import Structure
    from lizrcl_flows.science.validation.figures import structure_map_figure

    fields = ["phase", "region", "origin.kind"]
    found = {
        record["_id"]: record
        for record in archive.find_records(Structure, {"_id": {"$in": list(names)}}, fields=fields)
    }
    records = [found[name] for name in names]
    groups = [_group(record) for record in records]
    return structure_map_figure(xy, groups, [_source(record["origin"]["kind"]) for record in records])


def _group(record: dict[str, Any]) -> str:
    phase = record["phase"] or "no phase"
    return f"{phase} (interface)" if record["region"] == "interface" and phase != "interface" else phase


def _source(kind: str) -> str:
    """Return where a structure comes from, in a word."""
    made = {"perturbed": "perturbed", "sampling": "sampled", "exploration": "explored", "import": "imported"}
    return made.get(kind, "cell")


def _evaluation(archive: "Archive", name: str | None) -> "Evaluation":
    from lizrcl_flows.documents import Evaluation

    return archive.get(Evaluation, str(name))
