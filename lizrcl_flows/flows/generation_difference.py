"""What changed from one generation to another."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lizrcl_flows.archive import Archive
    from lizrcl_flows.documents import Evaluation, Generation

Row = dict[str, Any]

_COUNTS = {
    "n_trajectories": "runs",
    "n_explored": "frames explored",
    "n_accurate": "frames known",
    "n_candidates": "candidates",
    "n_selected": "selected",
    "n_control": "of them at random",
    "n_labelled": "labels accepted",
    "n_failed": "labels failed",
    "eps_median": "eps median (eV/A)",
    "eps_max": "eps largest (eV/A)",
    "eps_lo_used": "eps_lo used (eV/A)",
}
_SETS = {"holdout": "evaluation_after", "train": "evaluation_train", "fresh": "evaluation_fresh"}
_QUANTITIES = (("rmse_force", "meV/A"), ("rmse_energy", "meV/atom"))
_CELL = ("phase", "ensemble", "temperature_k", "pressure_gpa")
LEDGER = ("n_runs", "n_explored", "n_flagged", "n_selected", "eps_max")


def difference(archive: "Archive", before: "Generation", after: "Generation") -> Row:
    """Return what two generations have in common and what not, as plain values; `a` is the first, `b` the second."""
    pair = (before, after)
    return {
        **{side: _title(turn) for side, turn in zip("ab", pair, strict=True)},
        "counts": list(_counts(pair)),
        "rejected": list(_merged("reason", [{e.reason: e.count for e in turn.n_rejected} for turn in pair])),
        "training_set": _training_set(archive, pair),
        "errors": [row for kind, field in _SETS.items() for row in _errors(archive, kind, field, pair)],
        "curves": list(_curves(archive, pair)),
        "gates": list(_gates(pair)),
        "ledger": list(_ledger(pair)),
        "settings": list(_settings(archive, pair)),
    }


def _title(turn: "Generation") -> Row:
    names = ("id", "campaign", "index", "state", "dataset", "committee_before", "committee_after")
    return {name: getattr(turn, name) for name in names}


def _counts(pair: "Sequence[Generation]") -> Iterator[Row]:
    for field, name in _COUNTS.items():
        a, b = (getattr(turn, field) for turn in pair)
        yield {"name": name, "a": a, "b": b}


def _merged(key: str, sides: Sequence[Mapping[str, Any]]) -> Iterator[Row]:
    for name in dict.fromkeys(name for side in sides for name in side):
        yield {key: name, "a": sides[0].get(name), "b": sides[1].get(name)}


def _training_set(archive: "Archive", pair: "Sequence[Generation]") -> Row:
    a, b = (archive.dataset_labels(turn.dataset) if turn.dataset else [] for turn in pair)
    here, there = set(a), set(b)
    return {"n_a": len(a), "n_b": len(b), "n_added": len(there - here), "n_removed": len(here - there)}


def _errors(archive: "Archive", kind: str, field: str, pair: "Sequence[Generation]") -> Iterator[Row]:
    evaluations = [_evaluation(archive, getattr(turn, field)) for turn in pair]
    sides = [{group.group: group for group in found.groups} if found else {} for found in evaluations]
    digests = {found.labels_sha256 for found in evaluations if found}
    for row in _merged("group", sides):
        for quantity, unit in _QUANTITIES:
            values = [None if row[side] is None else _thousandfold(getattr(row[side], quantity)) for side in "ab"]
            if values != [None, None]:
                told = {"set": kind, "same_labels": len(digests) == 1, "group": row["group"], "quantity": quantity}
                yield {**told, "unit": unit, "a": values[0], "b": values[1]}


def _evaluation(archive: "Archive", name: str | None) -> "Evaluation | None":
    from lizrcl_flows.documents import Evaluation

    return archive.get(Evaluation, name) if name else None


def _thousandfold(value: float | None) -> float | None:
    return None if value is None else 1000 * value


def _curves(archive: "Archive", pair: "Sequence[Generation]") -> Iterator[Row]:
    found = [_evaluation(archive, turn.evaluation_curves) for turn in pair]
    volumes = [{curve.name: curve for curve in one.energy_volumes} if one else {} for one in found]
    hops = [{hop.name: hop for hop in one.hops} if one else {} for one in found]
    yield from _numbers(volumes, (("v0", "A^3/atom"), ("bulk_modulus", "GPa")))
    yield from _numbers(hops, (("barrier_forward", "eV"), ("barrier_backward", "eV")))


def _numbers(sides: Sequence[Mapping[str, Any]], quantities: Iterable[tuple[str, str]]) -> Iterator[Row]:
    for row in _merged("name", sides):
        for quantity, unit in quantities:
            told: Row = {"name": row["name"], "quantity": quantity, "unit": unit}
            for side in "ab":
                told[side] = getattr(row[side], quantity, None)
                told[f"{side}_std"] = getattr(row[side], f"{quantity}_std", None)
                told[f"{side}_problem"] = getattr(row[side], "problem", "")
            yield told


def _gates(pair: "Sequence[Generation]") -> Iterator[Row]:
    for row in _merged("name", [{gate.name: gate for gate in turn.gates} for turn in pair]):
        a, b = row["a"], row["b"]
        yield {
            "name": row["name"],
            "unit": (a or b).unit,
            **{side: gate and gate.after for side, gate in (("a", a), ("b", b))},
            **{f"{side}_passed": gate and gate.passed for side, gate in (("a", a), ("b", b))},
            **{f"{side}_why": gate and gate.why for side, gate in (("a", a), ("b", b))},
        }


def _ledger(pair: "Sequence[Generation]") -> Iterator[Row]:
    sides = [{tuple(getattr(entry, name) for name in _CELL): entry for entry in turn.ledger} for turn in pair]
    for cell in dict.fromkeys(cell for side in sides for cell in side):
        row: Row = dict(zip(_CELL, cell, strict=True))
        for side, entries in zip("ab", sides, strict=True):
            row[side] = {name: getattr(entries[cell], name) for name in LEDGER} if cell in entries else None
        yield row


def _settings(archive: "Archive", pair: "Sequence[Generation]") -> Iterator[Row]:
    """Yield the keys of the campaign file and of the training that were not the same."""
    sides = [{**_campaign_keys(archive, turn), **_training_keys(archive, turn)} for turn in pair]
    yield from (row for row in _merged("key", sides) if row["a"] != row["b"])


def _campaign_keys(archive: "Archive", turn: "Generation") -> dict[str, Any]:
    """Return every key of the campaign file as it was when the generation was closed."""
    from lizrcl_flows.documents import Campaign
    from lizrcl_flows.documents.campaigns import changed

    campaign = archive.get(Campaign, turn.campaign_id)
    history = [event for event in archive.events(campaign.id) if event.field == "changes"]
    before = [event.value for event in history if event.at <= turn.created_at]
    changes = before[-1] if before and isinstance(before[-1], dict) else {}
    return dict(_leaves(changed(campaign.spec, changes).model_dump(mode="json"), ""))


def _training_keys(archive: "Archive", turn: "Generation") -> dict[str, Any]:
    from lizrcl_flows.documents import Committee, Model

    if turn.committee_after is None:
        return {}
    members = archive.get_many(Model, archive.get(Committee, turn.committee_after).members)
    written = {f"nep.in {key}": value for key, value in members[0].hyperparameters.items()}
    return {**written, "trainer": f"{members[0].trainer} {members[0].trainer_version}", "members": len(members)}


def _leaves(value: Any, key: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from _leaves(inner, f"{key}.{name}" if key else str(name))
    else:
        yield key, value
