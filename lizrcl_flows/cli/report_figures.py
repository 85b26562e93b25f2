"""The figures of a campaign's report: what they show is read from the archive, drawn by `science.figures`."""

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from lizrcl_flows.cli.coefficients import campaign_transports
from lizrcl_flows.cli.progress import closed_generations, holdout_errors
from lizrcl_flows.cli.validation_figures import validation_figures

if TYPE_CHECKING:
    from lizrcl_flows.archive import Archive
    from lizrcl_flows.documents import Campaign, Evaluation, Generation


DOUBTFUL = "Frames with eps of eps_lo or more"


def campaign_figures(archive: "Archive", campaign: "Campaign") -> Iterator[tuple[str, str, Any]]:
    """Yield file name, caption and matplotlib figure of everything that there is something to draw of."""
    from lizrcl_flows.science.figures import eps_figure, learning_curve_figure, msd_figure, parity_figure

    turns = closed_generations(archive, campaign)
    yield from _map(archive, campaign)
    evaluations = _holdout_evaluations(archive, turns)
    if evaluations:
        forces = {name: pair for name, entry in evaluations.items() if (pair := _forces(archive, entry))}
        drawn = parity_figure(evaluations, forces or None)
        yield "parity.png", "First and last committee against the labels of the fixed hold-out", drawn
    eps = _eps(archive, campaign)
    if eps:
        screening = campaign.current.screening
        explored = ", ".join(f"{turn.n_explored} in generation {turn.index}" for turn in turns if turn.n_explored)
        caption = f"Frames that the committee doubts (eps of eps_lo or more); explored were {explored or 'none'}"
        yield "eps.png", caption, eps_figure(eps, screening.eps_lo, screening.eps_hi, DOUBTFUL)
    curve = [turn for turn in turns if turn.evaluation_after and turn.dataset]
    if curve:
        errors = [holdout_errors(archive, turn.evaluation_after) for turn in curve]
        sizes = _training_sizes(archive, curve)
        n_holdout = next(iter(evaluations.values())).n_structures
        drawn = learning_curve_figure(sizes, [error[1] for error in errors], [error[0] for error in errors], n_holdout)
        yield "learning_curve.png", "Error on the fixed hold-out against the number of training labels", drawn
    yield from validation_figures(archive, turns)
    transports = campaign_transports(archive, campaign)
    if transports:
        yield "msd.png", "Mean square displacement of the diffusing ion", msd_figure(transports)


def _map(archive: "Archive", campaign: "Campaign") -> Iterator[tuple[str, str, Any]]:
    """Yield the map of the first pool with what was chosen from it, where there was a pool to choose from."""
    import numpy as np

    from lizrcl_flows.documents import Candidate
    from lizrcl_flows.documents.campaigns import INITIAL_SELECTION
    from lizrcl_flows.science.map_figures import map_figure

    choice: Any = next((event.value for event in archive.events(campaign.id) if event.kind == INITIAL_SELECTION), None)
    shown = {"pool": campaign.id, "map_xy": {"$ne": None}}
    fields = ["structure", "map_xy", "phase"]
    records = list(archive.find_records(Candidate, shown, fields=fields, sort=[("structure", 1)]))
    if not records or not isinstance(choice, dict):
        return
    place = {record["structure"]: number for number, record in enumerate(records)}
    drawn = map_figure(
        np.array([record["map_xy"] for record in records]),
        [record["phase"] or "no phase" for record in records],
        [place[name] for name in choice["train"]],
        np.zeros((0, 2)),
        choice["map_explained"],
    )
    wish = campaign.current.initial.selection
    yield "map.png", f"Pool of generation 0 (SOAP {wish.soap}) with what `{wish.engine}` chose, in order", drawn


def _holdout_evaluations(archive: "Archive", turns: "list[Generation]") -> "dict[str, Evaluation]":
    """Return the evaluations of the first and the last committee on the hold-out, under names for a legend."""
    from lizrcl_flows.documents import Evaluation

    named = {turn.evaluation_after: f"generation {turn.index}" for turn in reversed(turns) if turn.evaluation_after}
    ends = list(dict.fromkeys([*list(named)[-1:], *list(named)[:1]]))
    return {named[name]: archive.get(Evaluation, name) for name in ends}


def _forces(archive: "Archive", evaluation: "Evaluation") -> tuple[Any, Any] | None:
    """Return forces predicted and labelled (eV/A), both (n_atoms, 3), if they were stored."""
    import numpy as np

    if evaluation.arrays is None:
        return None
    with np.load(io.BytesIO(archive.read_file(evaluation.arrays))) as stored:
        return stored["forces_predicted"], stored["forces_label"]


def _eps(archive: "Archive", campaign: "Campaign") -> dict[int, Any]:
    """Return eps (eV/A) of every doubtful frame by generation; smaller ones are counted and not stored."""
    import numpy as np

    from lizrcl_flows.documents import Candidate

    found: dict[int, list[float]] = {}
    doubted = {"campaign": campaign.name, "eps": {"$ne": None}}
    for record in archive.find_records(Candidate, doubted, fields=["generation", "eps"]):
        found.setdefault(record["generation"], []).append(record["eps"])
    return {index: np.array(values) for index, values in sorted(found.items())}


def _training_sizes(archive: "Archive", turns: "list[Generation]") -> list[int]:
    from lizrcl_flows.documents import Dataset

    names = [turn.dataset for turn in turns if turn.dataset]
    found = archive.find_records(Dataset, {"_id": {"$in": names}}, fields=["n_labels"])
    sizes = {record["_id"]: int(record["n_labels"]) for record in found}
    return [sizes[name] for name in names]
