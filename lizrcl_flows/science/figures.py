"""Figures of a campaign: parity, committee deviation, learning curve, mean square displacement.

Every function returns a matplotlib ``Figure`` with its own Agg canvas: nothing is drawn on a screen and no global state
of pyplot is touched. Colours are those of Okabe and Ito, which colour-blind readers can tell apart; markers and line
styles differ as well.
"""

import io
from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lizrcl_flows.documents import Evaluation, Transport
from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.science.figure_style import (
    COLOURS,
    DASHES,
    MARKERS,
    diagonal,
    figure_of,
    legend_above,
    number,
    panels_in_a_row,
    plain_logarithm,
    points,
    style,
    styled,
    with_uncertainty,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

RESOLUTION_DPI = 200
_MOST_TICKS = 8
_MOST_RUNS = 4
"""Runs in one figure of displacements with linear axes and the legend above."""


@styled
def parity_figure(
    evaluations: Mapping[str, Evaluation], forces: Mapping[str, tuple[Array, Array]] | None = None
) -> "Figure":
    """Draw predictions against labels, and the true force error against eps.

    Parameters
    ----------
    evaluations
        What to compare, such as the same hold-out before and after, each under the name for the legend.
    forces
        Predicted forces and labels (eV/A), both (n_atoms, 3), under the same names; without them there is no panel.

    Returns
    -------
    Figure
        Panels: energy (meV/atom from the mean of the labels, or eV/atom where they span more than 2 eV), forces,
        largest force error of each structure against its eps.
    """
    panels = panels_in_a_row(3 if forces else 2)
    energy, *rest = panels
    reference = float(np.mean(np.concatenate([entry.energy_label for entry in evaluations.values()])))
    spread = max(float(np.abs(entry.energy_label - reference).max()) for entry in evaluations.values())
    scale, unit = (1000.0, "meV/atom") if spread < 1 else (1.0, "eV/atom")
    for (name, entry), colour, marker in zip(evaluations.items(), cycle(COLOURS), cycle(MARKERS), strict=False):
        error = _rms(entry.energy_predicted - entry.energy_label) * 1000
        energy.plot(
            (entry.energy_label - reference) * scale,
            (entry.energy_predicted - reference) * scale,
            **points(colour, marker),
            label=f"{name}: n = {entry.n_structures}, RMSE {error:.3g} meV/atom",
        )
        usable = (entry.eps > 0) & (entry.max_force_error > 0)
        rest[-1].plot(
            entry.eps[usable],
            entry.max_force_error[usable],
            **points(colour, marker),
            label=f"{name}: n = {int(usable.sum())}{_rank(entry)}",
        )
    diagonal(energy, f"Energy from label ({unit})", f"Energy from committee ({unit})")
    titles = [f"Energy, relative to {number(reference, 3)} eV/atom", "Does eps tell the error?"]
    if forces:
        _draw_forces(rest[0], forces, list(evaluations))
        titles.insert(1, "Forces")
    _draw_log_diagonal(rest[-1])
    for axes, title in zip(panels, titles, strict=True):
        legend_above(axes, title, markerscale=4 if title == "Forces" else 1.3)
    return figure_of(panels)


@styled
def eps_figure(
    eps_by_generation: Mapping[int, Array], eps_lo: float, eps_hi: float | None = None, title: str = "Explored frames"
) -> "Figure":
    """Draw the committee deviation of the explored frames of each generation.

    Parameters
    ----------
    eps_by_generation
        eps of each frame (eV/A), shape (n,), by index of the generation. What is not finite or not positive is left
        out and counted.
    eps_lo, eps_hi
        Bounds of the candidates (eV/A), drawn as lines.
    title
        Which frames these are.
    """
    (axes,) = panels_in_a_row(1, width=max(4.0, 1.8 + 0.8 * len(eps_by_generation)))
    ticks = []
    for place, (generation, values) in enumerate(sorted(eps_by_generation.items())):
        eps = np.asarray(values, dtype=float)
        shown = eps[np.isfinite(eps) & (eps > 0)]
        missing = f"\n({len(eps) - len(shown)} not shown)" if len(shown) < len(eps) else ""
        ticks.append(f"{generation}\nn = {len(eps)}{missing}")
        if len(shown):
            _draw_strip(axes, place, shown)
    axes.set_yscale("log")
    _widen(axes.yaxis, *axes.get_ylim())
    axes.set_xticks(range(len(ticks)), ticks)
    axes.set_xlim(-0.6, len(ticks) - 0.4)
    for name, value in (("eps_lo", eps_lo), ("eps_hi", eps_hi)):
        if value is not None:
            _bound(axes, value, name)
    axes.set_xlabel("Generation (bars: median, 5 to 95 %)")
    axes.set_ylabel("Committee deviation eps (eV/Å)")
    axes.set_title(title)
    plain_logarithm(axes.yaxis)
    return figure_of([axes])


@styled
def learning_curve_figure(
    n_labels: Sequence[int],
    energy_rmse: Sequence[float | None],
    force_rmse: Sequence[float | None],
    n_holdout: int | None = None,
) -> "Figure":
    """Draw the errors on a fixed hold-out against the number of training labels.

    Parameters
    ----------
    n_labels
        Size of the training set of each generation.
    energy_rmse, force_rmse
        Errors of the committee mean (eV/atom and eV/A); None where there is none.
    n_holdout
        Structures in the hold-out, for the title.
    """
    panels = panels_in_a_row(2)
    size = "" if n_holdout is None else f", n = {n_holdout}"
    quantities = (("Energy", energy_rmse, "meV/atom"), ("Force", force_rmse, "meV/Å"))
    for axes, (name, errors, unit), colour, marker in zip(panels, quantities, COLOURS, MARKERS, strict=False):
        values = 1000 * np.array([np.nan if error is None else error for error in errors], dtype=float)
        axes.plot(n_labels, values, color=colour, marker=marker, markersize=5)
        for labels, value in zip(n_labels, values, strict=True):
            if np.isfinite(value):
                _write_above(axes, (labels, value), f"{value:.3g}")
        axes.set_xlabel("Training labels")
        axes.set_ylabel(f"{name} RMSE ({unit})")
        axes.set_title(f"{name}, fixed hold-out{size}", loc="left")
        axes.set_ylim(0, 1.2 * float(np.nanmax(values)) if np.isfinite(values).any() else 1.0)
        axes.margins(x=0.12)
        if len(n_labels) <= _MOST_TICKS:
            axes.set_xticks(list(n_labels))
    return figure_of(panels)


@styled
def msd_figure(transports: Sequence[Transport]) -> "Figure":
    """Draw mean square displacements with the lines that the diffusion coefficients stand for.

    Parameters
    ----------
    transports
        Those of the same trajectories and species (by several protocols) share one curve and one colour. A coefficient
        is drawn as its line with one standard uncertainty as a band; where there is none the legend says so.
    """
    by_run: dict[tuple[tuple[str, ...], str], list[Transport]] = {}
    for transport in transports:
        by_run.setdefault((transport.trajectories, transport.species), []).append(transport)
    many = len(by_run) > _MOST_RUNS
    n_lines = len(transports) + len(by_run)
    size = (7.4, max(3.6, 0.3 + 0.16 * n_lines)) if many else (4.6, 3.2 + 0.18 * len(transports))
    (axes,) = panels_in_a_row(1, *size)
    if many:  # runs at several temperatures span decades
        axes.set(xscale="log", yscale="log")
    for same_run, colour in zip(by_run.values(), cycle(COLOURS), strict=False):
        longest = max(same_run, key=lambda transport: transport.n_lags)
        axes.plot(longest.lag_ps, longest.msd_a2, color=colour, label=_run_label(longest))
        for transport, dashes in zip(same_run, cycle(DASHES), strict=False):
            _draw_line(axes, transport, colour, dashes)
    axes.set_xlabel("Lag (ps)")
    axes.set_ylabel("Mean square displacement (Å²)")
    if many:
        shown = np.concatenate([transport.msd_a2 for transport in transports])
        shown = shown[np.isfinite(shown) & (shown > 0)]
        if shown.size:
            axes.set_ylim(bottom=0.5 * float(shown.min()))
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0.0)
    else:
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=0)
        legend_above(axes, "")
    return figure_of([axes])


def save_figure(figure: "Figure", path: str | Path) -> Path:
    """Write a figure as PNG; the same figure gives the same bytes, and no half-written file is left behind.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    path = Path(path)
    buffer = io.BytesIO()
    with style():
        figure.savefig(buffer, format="png", dpi=RESOLUTION_DPI, metadata={"Software": None})
    temporary = path.with_name(f".{path.name}.part")
    try:
        temporary.write_bytes(buffer.getvalue())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _draw_forces(axes: "Axes", forces: Mapping[str, tuple[Array, Array]], names: Sequence[str]) -> None:
    for name, colour in zip(names, cycle(COLOURS), strict=False):
        if name not in forces:
            continue
        predicted, label = (np.asarray(array).ravel() for array in forces[name])
        axes.plot(
            label,
            predicted,
            color=colour,
            marker=".",
            linestyle="none",
            markersize=2.5,
            alpha=0.5,
            markeredgewidth=0,
            rasterized=True,
            label=f"{name}: n = {len(label)}, RMSE {1000 * _rms(predicted - label):.3g} meV/Å",
        )
    diagonal(axes, "Force component from label (eV/Å)", "From committee (eV/Å)")


def _draw_log_diagonal(axes: "Axes") -> None:
    axes.set(xscale="log", yscale="log")
    limits = (*axes.get_xlim(), *axes.get_ylim())
    _widen(axes.xaxis, min(limits), max(limits))
    axes.set_ylim(*axes.get_xlim())
    diagonal(axes, "Committee deviation eps (eV/Å)", "Largest force error (eV/Å)")
    plain_logarithm(axes.xaxis)
    plain_logarithm(axes.yaxis)


def _widen(axis: "Axis", low: float, high: float) -> None:
    """Show at least a decade, so that a logarithmic axis has ticks to read; without data any decade."""
    low = low if low > 0 else high / 10
    stretch = max(1.0, np.sqrt(10 * low / high))
    axis.set_view_interval(low / stretch, high * stretch, ignore=True)


def _draw_strip(axes: "Axes", place: int, values: Array) -> None:
    # a low-discrepancy sequence spreads the points evenly and the same way every time
    spread = (np.arange(len(values)) * 0.6180339887498949) % 1.0 - 0.5
    axes.plot(
        place + 0.5 * spread,
        values,
        color=COLOURS[0],
        marker=".",
        linestyle="none",
        markersize=3,
        alpha=0.5,
        markeredgewidth=0,
        rasterized=True,
    )
    low, middle, high = np.percentile(values, [5, 50, 95])
    axes.plot([place, place], [low, high], color="black", linewidth=1)
    axes.plot([place - 0.3, place + 0.3], [middle, middle], color="black", linewidth=2)


def _bound(axes: "Axes", value: float, name: str) -> None:
    axes.axhline(value, color=COLOURS[1], linewidth=1, linestyle=DASHES[0], zorder=0)
    axes.annotate(
        f"{name} = {value:g}",
        (1, value),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        xytext=(3, 0),
        va="center",
        fontsize=7.5,
        color=COLOURS[1],
    )


def _write_above(axes: "Axes", point: tuple[float, float], text: str) -> None:
    axes.annotate(text, point, textcoords="offset points", xytext=(0, 7), ha="center", fontsize=7.5)


def _run_label(transport: Transport) -> str:
    phase = f"{transport.phase}, " if transport.phase else ""
    return f"{transport.species}, {phase}{transport.temperature_k:g} K, n = {transport.n_ions} ions"


def _draw_line(axes: "Axes", transport: Transport, colour: str, dashes: tuple[int, tuple[float, ...]]) -> None:
    if transport.diffusivity is None:
        axes.plot([], [], linestyle="none", label=f"{transport.protocol}: {transport.status.replace('_', ' ')}")
        return
    std = transport.diffusivity_std or 0.0
    lags = np.asarray(transport.lag_ps, dtype=float)  # a line is curved on logarithmic axes, where it has an offset
    lag = lags if axes.get_xscale() == "log" else np.array([0.0, float(lags.max())])
    line = 6 * transport.diffusivity * lag + (transport.msd_offset_a2 or 0.0)
    label = f"{transport.protocol}: D = {with_uncertainty(transport.diffusivity, std)} Å²/ps"
    axes.plot(lag, line, color=colour, linestyle=dashes, linewidth=1.2, label=label)
    axes.fill_between(lag, line - 6 * std * lag, line + 6 * std * lag, color=colour, alpha=0.15, linewidth=0)


def _rank(entry: Evaluation) -> str:
    if entry.calibration is None or entry.calibration.spearman is None:
        return ""
    return f", rank correlation {entry.calibration.spearman:.2f}"


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
