"""The figures of a report that show what committees were tried on and where the loop explored."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lizrcl_flows.cli.report_parts import Shown

if TYPE_CHECKING:
    from lizrcl_flows.archive import Archive
    from lizrcl_flows.documents import Evaluation, Generation
    from lizrcl_flows.documents.arrays import Array

Figures = Iterator[Shown]


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
        rows = [(index, *pair) for index, entry in fresh.items() for pair in _eps_and_error(entry)]
        table = _columns(("generation", "eps_ev_per_a", "max_force_error_ev_per_a"), rows)
        ids = tuple(entry.id for entry in fresh.values())
        yield Shown("calibration", caption, calibration_figure(fresh), table, ids)


def _eps_and_error(entry: "Evaluation") -> list[tuple[float, float]]:
    return list(zip(entry.eps.tolist(), entry.max_force_error.tolist(), strict=True))


def _columns(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> dict[str, list[Any]]:
    return {name: [row[place] for row in rows] for place, name in enumerate(names)}


def _ledger(turns: "Sequence[Generation]") -> Figures:
    from lizrcl_flows.science.ledger import accumulate
    from lizrcl_flows.science.ledger_figures import ledger_figure

    entries = accumulate(turn.ledger for turn in turns)
    if entries:
        explored = [turn for turn in turns if turn.ledger]
        caption = (
            f"Ledger of generations {explored[0].index} to {explored[-1].index}: what was explored, doubted and chosen"
        )
        names = ("phase", "ensemble", "temperature_k", "pressure_gpa", "n_explored", "n_flagged", "n_selected")
        table = _columns(names, [[getattr(entry, name) for name in names] for entry in entries])
        yield Shown("ledger", caption, ledger_figure(entries), table, tuple(turn.id for turn in explored))


def _curves(archive: "Archive", turns: "Sequence[Generation]") -> Figures:
    from lizrcl_flows.science.validation.figures import energy_volume_figure, hop_figure

    tried = {turn.evaluation_curves: f"generation {turn.index}" for turn in reversed(turns) if turn.evaluation_curves}
    ends = list(dict.fromkeys([*list(tried)[-1:], *list(tried)[:1]]))
    found = {tried[name]: _evaluation(archive, name) for name in ends}
    if not found:
        return
    last = list(found.values())[-1]
    names, ids = " and ".join(found), tuple(entry.id for entry in found.values())
    if last.energy_volumes:
        caption = (
            f"Energy against volume by the committees of {names}; fractional positions are held, nothing is relaxed"
        )
        yield Shown("energy_volume", caption, energy_volume_figure(found), _volume_table(found), ids)
    if last.hops:
        caption = f"Hops into a vacancy by the committees of {names}; thin lines are members along the same path"
        yield Shown("hops", caption, hop_figure(found), _hop_table(found), ids)
    if last.map_xy is not None:
        caption = f"Structures of {list(found)[-1]}: t-SNE of their mean NEP descriptors"
        figure, table = _map(archive, last.map_structures, last.map_xy)
        yield Shown("structure_map", caption, figure, table, (last.id,))


def _volume_table(found: "Mapping[str, Evaluation]") -> dict[str, list[Any]]:
    rows = [
        (name, curve.phase, *values)
        for name, entry in found.items()
        for curve in entry.energy_volumes
        for values in zip(curve.volume, curve.energy, curve.energy_label or [None] * len(curve.volume), strict=True)
    ]
    head = ("committee", "phase", "volume_a3_per_atom", "energy_ev_per_atom", "energy_label_ev_per_atom")
    return _columns(head, rows)


def _hop_table(found: "Mapping[str, Evaluation]") -> dict[str, list[Any]]:
    rows = [
        (name, hop.phase, hop.number, *values)
        for name, entry in found.items()
        for hop in entry.hops
        for values in zip(hop.distance, hop.energy, hop.energy_label or [None] * len(hop.distance), strict=True)
    ]
    return _columns(("committee", "phase", "hop", "path_a", "energy_ev", "energy_label_ev"), rows)


def _map(archive: "Archive", names: Sequence[str], xy: "Array") -> tuple[Any, dict[str, Any]]:
    from lizrcl_flows.documents import Structure
    from lizrcl_flows.science.validation.figures import structure_map_figure

    fields = ["phase", "region", "origin.kind"]
    found = {
        record["_id"]: record
        for record in archive.find_records(Structure, {"_id": {"$in": list(names)}}, fields=fields)
    }
    records = [found[name] for name in names]
    groups = [_group(record) for record in records]
    sources = [_source(record["origin"]["kind"]) for record in records]
    table = {"structure": list(names), "x": xy[:, 0], "y": xy[:, 1], "group": groups, "source": sources}
    return structure_map_figure(xy, groups, sources), table


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
