"""The figures of a campaign's report: what they show is read from the archive, drawn by `science.figures`."""

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lizrcl_flows.cli.report_parts import Shown
from lizrcl_flows.cli.report_production import arrhenius_shown
from lizrcl_flows.cli.validation_figures import validation_figures
from lizrcl_flows.flows.progress import closed_generations, holdout_errors

if TYPE_CHECKING:
    from lizrcl_flows.archive import Archive
    from lizrcl_flows.documents import Campaign, Evaluation, Generation, Transport


DOUBTFUL = "Frames with eps of eps_lo or more"


def learning_figures(archive: "Archive", campaign: "Campaign") -> Iterator[Shown]:
    """Yield the figures of the loop, of everything that there is something to draw of."""
    turns = closed_generations(archive, campaign)
    yield from _map(archive, campaign)
    evaluations = _holdout_evaluations(archive, turns)
    if evaluations:
        yield _parity(archive, evaluations)
    yield from _explored(archive, campaign, turns)
    curve = [turn for turn in turns if turn.evaluation_after and turn.dataset]
    if curve:
        yield _learning_curve(archive, curve, next(iter(evaluations.values())).n_structures)
    yield from validation_figures(archive, turns)


def transport_figures(transports: "Sequence[Transport]") -> Iterator[Shown]:
    """Yield the mean square displacements of all runs in one figure, and the Arrhenius laws."""
    from lizrcl_flows.science.figures import msd_figure

    measured = [entry for entry in transports if entry.kind == "diffusion"]
    if measured:
        rows = [(entry, *pair) for entry in measured for pair in zip(entry.lag_ps, entry.msd_a2, strict=True)]
        table = {
            "transport": [entry.id for entry, _, _ in rows],
            "temperature_k": [entry.temperature_k for entry, _, _ in rows],
            "lag_ps": [lag for _, lag, _ in rows],
            "msd_a2": [msd for _, _, msd in rows],
        }
        ids = tuple(entry.id for entry in measured)
        yield Shown("msd", "Mean square displacement of the diffusing ion", msd_figure(measured), table, ids)
    yield from arrhenius_shown(transports)


def _parity(archive: "Archive", evaluations: "Mapping[str, Evaluation]") -> Shown:
    from lizrcl_flows.science.figures import parity_figure

    forces = {name: pair for name, entry in evaluations.items() if (pair := _forces(archive, entry))}
    rows = [(name, entry, place) for name, entry in evaluations.items() for place in range(entry.n_structures)]
    columns = ("energy_label", "energy_predicted", "eps", "max_force_error")
    table: dict[str, Any] = {"committee": [name for name, _, _ in rows]}
    table |= {column: [getattr(entry, column)[place] for _, entry, place in rows] for column in columns}
    for name, (predicted, label) in forces.items():
        table |= {f"force_label {name} (eV/A)": label, f"force_predicted {name} (eV/A)": predicted}
    caption = "First and last committee against the labels of the fixed hold-out"
    figure = parity_figure(evaluations, forces or None)
    return Shown("parity", caption, figure, table, tuple(entry.id for entry in evaluations.values()))


def _explored(archive: "Archive", campaign: "Campaign", turns: "Sequence[Generation]") -> Iterator[Shown]:
    from lizrcl_flows.science.figures import eps_figure

    eps = _eps(archive, campaign)
    if not eps:
        return
    screening = campaign.current.screening
    explored = ", ".join(f"{turn.n_explored} in generation {turn.index}" for turn in turns if turn.n_explored)
    caption = f"Frames that the committee doubts (eps of eps_lo or more); explored were {explored or 'none'}"
    table = {
        "generation": [index for index, values in eps.items() for _ in values],
        "eps_ev_per_a": [value for values in eps.values() for value in values],
    }
    figure = eps_figure(eps, screening.eps_lo, screening.eps_hi, DOUBTFUL)
    yield Shown("eps", caption, figure, table, (campaign.id,))


def _learning_curve(archive: "Archive", curve: "Sequence[Generation]", n_holdout: int) -> Shown:
    from lizrcl_flows.science.figures import learning_curve_figure

    errors = [holdout_errors(archive, turn.evaluation_after) for turn in curve]
    sizes = _training_sizes(archive, curve)
    energies, forces = [error[1] for error in errors], [error[0] for error in errors]
    table = {
        "generation": [turn.index for turn in curve],
        "n_labels": sizes,
        "rmse_energy_ev_per_atom": energies,
        "rmse_force_ev_per_a": forces,
    }
    caption = "Error on the fixed hold-out against the number of training labels"
    figure = learning_curve_figure(sizes, energies, forces, n_holdout)
    return Shown("learning_curve", caption, figure, table, tuple(turn.id for turn in curve))


def _map(archive: "Archive", campaign: "Campaign") -> Iterator[Shown]:
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
    chosen = {name: order + 1 for order, name in enumerate(choice["train"])}
    table = {
        "structure": list(place),
        "phase": [record["phase"] for record in records],
        "x": [record["map_xy"][0] for record in records],
        "y": [record["map_xy"][1] for record in records],
        "chosen": [chosen.get(name) for name in place],
    }
    caption = f"Pool of generation 0 (SOAP {wish.soap}) with what {wish.engine} chose, in order"
    yield Shown("map", caption, drawn, table, (campaign.id,))


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


def _training_sizes(archive: "Archive", turns: "Sequence[Generation]") -> list[int]:
    from lizrcl_flows.documents import Dataset

    names = [turn.dataset for turn in turns if turn.dataset]
    found = archive.find_records(Dataset, {"_id": {"$in": names}}, fields=["n_labels"])
    sizes = {record["_id"]: int(record["n_labels"]) for record in found}
    return [sizes[name] for name in names]
