"""Figures of what committees are tried on: energy-volume curves, paths of hops, the map of structures."""

from collections.abc import Callable, Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np

from lizrcl_flows.documents import Evaluation
from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.documents.curves import EnergyVolumeCurve, HopProfile
from lizrcl_flows.science.figure_style import (
    COLOURS,
    DASHES,
    GREY,
    MARKERS,
    figure_of,
    legend_above,
    panels_in_a_row,
    styled,
    with_uncertainty,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 4
"""Panels beside each other."""

MEV = 1000.0
_PANEL_IN = (3.5, 3.0)
_FINE = 200


@styled
def energy_volume_figure(evaluations: Mapping[str, Evaluation]) -> "Figure":
    """Draw the energy-volume curves of every phase, one panel each.

    Parameters
    ----------
    evaluations
        Of kind `curves`, by the name for the legend, such as the first and the last generation; the last one is drawn
        in front, with its spread as a band.

    Returns
    -------
    Figure
        Energies relative to the lowest point of each curve (meV/atom): offsets between committees are not shown.
    """
    names = dict.fromkeys(curve.phase for entry in evaluations.values() for curve in entry.energy_volumes)
    panels = panels_in_a_grid(len(names))
    for axes, phase in zip(panels, names, strict=True):
        found = {
            name: curve for name, entry in evaluations.items() for curve in entry.energy_volumes if curve.phase == phase
        }
        _draw_curves(axes, found)
        legend_above(axes, f"{phase}: bulk modulus at the minimum")
    return figure_of(panels)


@styled
def hop_figure(evaluations: Mapping[str, Evaluation]) -> "Figure":
    """Draw the energy along every hop, one panel each.

    Parameters
    ----------
    evaluations
        Of kind `curves`, by the name for the legend; of the last one, the members are drawn as thin lines.

    Returns
    -------
    Figure
        Energies relative to the start (eV) against the length of the path (A); marks are the images of the band, lines
        between them are a guide.
    """
    numbers = dict.fromkeys((hop.phase, hop.number) for entry in evaluations.values() for hop in entry.hops)
    panels = panels_in_a_grid(len(numbers))
    for axes, place in zip(panels, numbers, strict=True):
        found = {
            name: hop for name, entry in evaluations.items() for hop in entry.hops if (hop.phase, hop.number) == place
        }
        _draw_hops(axes, found)
        last = list(found.values())[-1]
        legend_above(axes, f"{last.settings.species} in {place[0]}, hop {place[1]}: barrier there, back")
    return figure_of(panels)


@styled
def structure_map_figure(xy: Array, groups: Sequence[str], sources: Sequence[str]) -> "Figure":
    """Draw structures at their places on a t-SNE map.

    Parameters
    ----------
    xy
        Shape (n, 2).
    groups
        Of each structure, for its colour: its phase, or its region.
    sources
        Of each structure, for its marker: where it comes from.
    """
    (axes,) = panels_in_a_row(1, 5.4, 3.6)
    xy = np.asarray(xy, dtype=float).reshape(-1, 2)
    kinds = list(dict.fromkeys(sources))
    colours = dict(zip(dict.fromkeys(groups), cycle(COLOURS), strict=False))
    for name, colour in colours.items():
        for source, marker in zip(kinds, cycle(MARKERS), strict=False):
            chosen = np.array([pair == (name, source) for pair in zip(groups, sources, strict=True)], dtype=bool)
            if chosen.any():
                label = f"{name}, {source}: {int(chosen.sum())}" if len(kinds) > 1 else f"{name}: {int(chosen.sum())}"
                axes.plot(*xy[chosen].T, **_cloud(colour, marker, len(xy)), label=label)
    axes.set(xticks=[], yticks=[], xlabel="t-SNE 1", ylabel="t-SNE 2")
    axes.margins(0.05)
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0.0, handletextpad=0.3, labelspacing=0.35)
    return figure_of([axes])


def panels_in_a_grid(n: int) -> "list[Axes]":
    """Return the axes of a new figure, `COLUMNS` in a row; one of them for nothing at all."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns, rows = max(1, min(n, COLUMNS)), max(1, -(-n // COLUMNS))
    figure = Figure(figsize=(_PANEL_IN[0] * columns, _PANEL_IN[1] * rows), layout="constrained")
    FigureCanvasAgg(figure)
    return [figure.add_subplot(rows, columns, place + 1) for place in range(n)] or [figure.add_subplot()]


def _cloud(colour: str, marker: str, n: int) -> dict[str, Any]:
    return {
        "color": colour,
        "marker": marker,
        "linestyle": "none",
        "markersize": float(np.clip(6 - np.log10(max(n, 10)), 2.5, 5)),
        "markeredgecolor": "white",
        "markeredgewidth": 0.3,
        "alpha": 0.85,
        "rasterized": n > 1000,
    }


# --- energy and volume ---------------------------------------------------------------------------------------------


def _draw_curves(axes: "Axes", found: Mapping[str, EnergyVolumeCurve]) -> None:
    last = list(found.values())[-1]
    for place, (name, curve) in enumerate(found.items()):
        look = _look(place, len(found))
        x, y = np.array(curve.volume), MEV * np.array(curve.energy)
        fine, line = _smooth(x, y, curved=True)
        axes.plot(fine, line - y.min(), **look, label=f"{name}: {_minimum(curve)}")
        axes.plot(x, y - y.min(), color=look["color"], marker="o", linestyle="none", markersize=3.5)
        if curve is last:
            spread = MEV * np.std([np.array(row) - np.mean(row) for row in curve.energy_members], axis=0)
            band = _smooth(x, spread)[1]
            low, high = line - y.min() - band, line - y.min() + band
            axes.fill_between(fine, low, high, color=look["color"], alpha=0.2, linewidth=0)
    _draw_labels(axes, np.array(last.volume), MEV * _numbers(last.energy_label), relative_to=np.nanmin)
    axes.set_xlabel("Volume (Å³/atom)")
    axes.set_ylabel("Energy above minimum (meV/atom)")


def _minimum(curve: EnergyVolumeCurve) -> str:
    if curve.v0 is None or curve.bulk_modulus is None:
        return "no minimum near"
    modulus = with_uncertainty(curve.bulk_modulus, curve.bulk_modulus_std or 0.0)
    outside = not min(curve.volume) <= curve.v0 <= max(curve.volume)
    return f"{modulus} GPa at {curve.v0:.2f} Å³" + ("\n(outside the volumes)" if outside else "")


# --- hops ----------------------------------------------------------------------------------------------------------


def _draw_hops(axes: "Axes", found: Mapping[str, HopProfile]) -> None:
    last = list(found.values())[-1]
    for place, (name, hop) in enumerate(found.items()):
        look = _look(place, len(found))
        x, y = np.array(hop.distance), np.array(hop.energy)
        if hop is last:
            for row in hop.energy_members:
                axes.plot(*_smooth(x, np.array(row)), color=look["color"], linewidth=0.5, alpha=0.6)
        axes.plot(*_smooth(x, y), **look, label=f"{name}: {_barriers(hop)}")
        axes.plot(x, y, color=look["color"], marker="o", linestyle="none", markersize=3.5)
    _draw_labels(axes, np.array(last.distance), _numbers(last.energy_label), relative_to=None)
    axes.axhline(0, color=GREY, linewidth=0.6, zorder=0)
    axes.set_xlabel("Length of the path (Å)")
    axes.set_ylabel("Energy (eV)")


def _barriers(hop: HopProfile) -> str:
    if hop.barrier_forward is None or hop.barrier_backward is None:
        return "no path"
    there = with_uncertainty(hop.barrier_forward, hop.barrier_forward_std or 0.0)
    back = with_uncertainty(hop.barrier_backward, hop.barrier_backward_std or 0.0)
    return f"{there}, {back} eV" + ("\n(not a path to trust)" if hop.problem else "")


# --- both ----------------------------------------------------------------------------------------------------------


def _look(place: int, n: int) -> dict[str, Any]:
    """Return how one of n is drawn: the last one strong, those before it dashed."""
    if place == n - 1:
        return {"color": COLOURS[0], "linewidth": 1.5, "zorder": 3}
    return {"color": GREY, "linewidth": 1.0, "linestyle": DASHES[place % len(DASHES)], "zorder": 2}


def _numbers(values: Sequence[float | None]) -> Array:
    return np.array([np.nan if value is None else value for value in values], dtype=float)


def _draw_labels(axes: "Axes", x: Array, y: Array, *, relative_to: "Callable[[Array], Any] | None") -> None:
    if len(y) == 0 or not np.isfinite(y).any():
        return
    zero = relative_to(y) if relative_to is not None else 0.0
    look: dict[str, Any] = {
        "color": COLOURS[1],
        "marker": "s",
        "linestyle": "none",
        "markersize": 4.5,
        "markerfacecolor": "none",
    }
    axes.plot(x, y - zero, **look, zorder=4, label="labels")


def _smooth(x: Array, y: Array, *, curved: bool = False) -> tuple[Array, Array]:
    """Return a line through points: a cubic spline, or one that overshoots none of them; the points where too few."""
    if len(x) < 3 or not (np.diff(x) > 0).all():
        return x, y
    from scipy.interpolate import CubicSpline, PchipInterpolator

    fine = np.linspace(x[0], x[-1], _FINE)
    return fine, np.asarray((CubicSpline if curved else PchipInterpolator)(x, y)(fine))
