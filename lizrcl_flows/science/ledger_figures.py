"""Figures of the loop itself: where it explored and what it found, and how well eps told the error."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lizrcl_flows.documents import Evaluation
from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.documents.campaigns import LedgerEntry
from lizrcl_flows.science.calibration import COVERAGE
from lizrcl_flows.science.figure_style import (
    COLOURS,
    DASHES,
    GREY,
    MARKERS,
    figure_of,
    legend_above,
    panels_in_a_row,
    plain_logarithm,
    points,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_CELL_IN = (0.62, 0.34)
_MARGIN_IN = (1.5, 1.3)
_TITLE_IN = 0.35
_DARK = 0.6
_NAMED = 4
_EARLY = {**points("#AAAAAA", "."), "markersize": 5}
"""How generations before the last few are drawn."""


@styled
def ledger_figure(entries: Sequence[LedgerEntry]) -> "Figure":
    """Draw what was explored, flagged and labelled in every cell of the grid.

    Parameters
    ----------
    entries
        One of each cell, such as `science.ledger.accumulate` adds up from all generations.

    Returns
    -------
    Figure
        Three heat maps, phases against conditions: explored frames, the share of them that the committee doubted, and
        frames that were chosen for a label. Cells that no run visited stay empty.
    """
    phases = list(dict.fromkeys(entry.phase for entry in entries))
    conditions = sorted({_condition(entry) for entry in entries})
    shape = (max(len(phases), 1), max(len(conditions), 1))
    panels = _stacked(3, max(_MARGIN_IN[0] + _CELL_IN[0] * shape[1], 3.0), _TITLE_IN + _CELL_IN[1] * shape[0])
    tables = np.full((3, *shape), np.nan)
    for entry in entries:
        place = phases.index(entry.phase), conditions.index(_condition(entry))
        share = 100 * entry.n_flagged / entry.n_explored if entry.n_explored else np.nan
        tables[(slice(None), *place)] = entry.n_explored, share, entry.n_selected
    titles = ("Frames explored", "Doubted (%)", "Chosen for labels")
    for axes, values, title in zip(panels, tables, titles, strict=True):
        _draw_heat(axes, values)
        axes.set_title(title, loc="left")
        words = [_words(condition) for condition in conditions] if axes is panels[-1] else [""] * len(conditions)
        axes.set_xticks(range(len(conditions)), words, rotation=90)
        axes.set_yticks(range(len(phases)), phases)
    return figure_of(panels)


@styled
def calibration_figure(evaluations: Mapping[int, Evaluation]) -> "Figure":
    """Draw how well eps told the force error of what was labelled, generation by generation.

    Parameters
    ----------
    evaluations
        Of kind `fresh`: labels under the committee that chose them, by generation.

    Returns
    -------
    Figure
        The largest force error of each structure against its eps; and by generation the rank correlation, the scale
        (above 1 eps is too small) and the share of errors below the conformal bound, which should be 0.9.
    """
    scatter, course = panels_in_a_row(2)
    early = list(evaluations)[:-_NAMED] if len(evaluations) > _NAMED else []
    if early:
        clouds = [(evaluations[index].eps, evaluations[index].max_force_error) for index in early]
        title = f"generations {early[0]} to {early[-1]}"
        _draw_cloud(scatter, np.concatenate(clouds, axis=1), _EARLY, title)
    late = [index for index in evaluations if index not in early]
    for index, colour, marker in zip(late, COLOURS, MARKERS, strict=False):
        entry = evaluations[index]
        cloud = np.array([entry.eps, entry.max_force_error])
        _draw_cloud(scatter, cloud, points(colour, marker), f"generation {index}")
    _draw_bounds(scatter, evaluations)
    _draw_course(course, evaluations)
    return figure_of([scatter, course])


def _draw_cloud(axes: "Axes", cloud: Array, look: dict[str, Any], title: str) -> None:
    shown = cloud[:, (cloud > 0).all(axis=0)]
    axes.plot(*shown, **look, label=f"{title}: n = {shown.shape[1]}")


def _stacked(n: int, width: float, height: float) -> "list[Axes]":
    """Return the axes of a new figure with panels below each other, of this size (inches) without the last's labels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, n * height + _MARGIN_IN[1]), layout="constrained")
    FigureCanvasAgg(figure)
    return [figure.add_subplot(n, 1, place + 1) for place in range(n)]


def _draw_bounds(axes: "Axes", evaluations: Mapping[int, Evaluation]) -> None:
    axes.set(xscale="log", yscale="log")
    limits = np.array([*axes.get_xlim(), *axes.get_ylim()])
    ends = np.array([limits.min(), limits.max()])
    if ends[1] < 10 * ends[0]:
        ends = ends * [1 / np.sqrt(10 * ends[0] / ends[1]), np.sqrt(10 * ends[0] / ends[1])]
    axes.plot(ends, ends, color=GREY, linewidth=0.8, zorder=0)
    last = next((entry for entry in reversed(list(evaluations.values())) if _of(entry, "factor_90") is not None), None)
    factor = None if last is None else _of(last, "factor_90")
    if factor is not None:
        label = f"90 % of the last below {factor:.2g} eps"
        axes.plot(ends, factor * ends, color=COLOURS[1], linewidth=1, linestyle=DASHES[0], zorder=0, label=label)
    axes.set(xlim=ends, ylim=ends)
    axes.set_xlabel("Committee deviation eps (eV/Å)")
    axes.set_ylabel("Largest force error (eV/Å)")
    plain_logarithm(axes.xaxis)
    plain_logarithm(axes.yaxis)
    legend_above(axes, "Fresh labels")


def _draw_course(axes: "Axes", evaluations: Mapping[int, Evaluation]) -> None:
    told = {"spearman": "rank correlation", "scale": "scale, error / eps", "coverage_90": "coverage, 0.9 wanted"}
    for (name, words), colour, marker in zip(told.items(), COLOURS, MARKERS, strict=False):
        known = [(index, value) for index, entry in evaluations.items() if (value := _of(entry, name)) is not None]
        if known:
            axes.plot(*np.array(known).T, color=colour, marker=marker, markersize=4, label=words)
    axes.axhline(COVERAGE, color=GREY, linewidth=0.8, linestyle=DASHES[1], zorder=0)
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    axes.set_xticks(list(evaluations))
    axes.set_xlabel("Generation")
    if axes.get_legend_handles_labels()[0]:
        legend_above(axes, "What eps is worth")
    else:
        axes.set_title("What eps is worth: too few labels to tell", loc="left")


def _of(entry: Evaluation, name: str) -> float | None:
    value = getattr(entry.calibration, name, None)
    return None if value is None else float(value)


def _condition(entry: LedgerEntry) -> tuple[str, float, float]:
    return entry.ensemble, entry.temperature_k, entry.pressure_gpa or 0.0


def _words(condition: tuple[str, float, float]) -> str:
    ensemble, temperature, pressure = condition
    told = f" {pressure:g} GPa" if ensemble == "npt" else ""
    return f"{ensemble.upper()} {temperature:g} K{told}"


def _draw_heat(axes: "Axes", values: Array) -> None:
    top = np.nanmax(values) if np.isfinite(values).any() else 0.0
    axes.imshow(values, cmap="Blues", vmin=0, vmax=max(float(top), 1e-9), aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            colour = "white" if value > _DARK * top else "black"
            axes.text(column, row, f"{value:.3g}", ha="center", va="center", fontsize=7, color=colour)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_xticks(np.arange(-0.5, values.shape[1]), minor=True)
    axes.set_yticks(np.arange(-0.5, values.shape[0]), minor=True)
    axes.grid(which="minor", color="white", linewidth=1)
    axes.tick_params(which="minor", length=0)
