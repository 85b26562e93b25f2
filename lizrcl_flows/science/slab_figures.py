"""Figures of slabs and layers: density, hops and coordination along the normal, layer populations and glide.

Every function takes arrays and returns a matplotlib ``Figure``; what is empty or not finite is left out, never an
error. Where a figure is drawn from a stored analysis, these are the names in its file of arrays (npz) by its kind:

============ ============================== ======================================================================
kind         array                          what
============ ============================== ======================================================================
density      times_ps (T,)                  middle of each window of time
density      z_edges_a (Z + 1,)             edges of the bins along the normal
density      density (T, Z)                 number density of the ions, 1/A^3
density      planes_a (T, 2)                optional: place of both interfaces
hops         times_ps (W + 1,)              edges of the windows of time
hops         z_edges_a (Z + 1,)             edges of the bins along the normal
hops         paper (W, Z)                   hops by the study's rule
hops         counted (W, Z)                 hops of the running-median counter
hops         occupancy (W, Z)               mean number of ions in the bin over the window
hops         false_per_ion_ns (Z,)          hops that vibration alone makes of the study's rule, per ion and ns
coordination z_a (Z,)                       middle of the bins along the normal
coordination pairs (P,) of str              such as ``Li-Cl``: neighbours of the second kind around the first
coordination cn (P, Z)                      mean coordination number; NaN where no ion was
coordination planes_a (K,)                  optional: place of the interfaces
layers       times_ps (T,)                  time of each frame
layers       layer_z_a (L,)                 mean height of each layer
layers       population (T, L)              ions in it
glide        times_ps (T,)                  time of each frame
glide        displacement_a (T, L)          displacement of each layer against the one below it, in the plane
============ ============================== ======================================================================
"""

from collections.abc import Mapping
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np

from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.science.figure_style import (
    COLOURS,
    DASHES,
    GREY,
    MARKERS,
    figure_of,
    legend_above,
    no_data,
    panels_in_a_row,
    styled,
    time_scale,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KEYS: dict[str, tuple[str, ...]] = {
    "density": ("times_ps", "z_edges_a", "density"),
    "hops": ("times_ps", "z_edges_a", "paper", "counted", "occupancy", "false_per_ion_ns"),
    "coordination": ("z_a", "pairs", "cn"),
    "layers": ("times_ps", "layer_z_a", "population"),
    "glide": ("times_ps", "displacement_a"),
}
"""Arrays that a figure cannot do without, by the kind of the analysis."""

PS_PER_NS = 1000.0
GLIDE_A = 2.2
"""Glide of a layer from the beta stacking to the ideal one (A), from the study (arXiv:2601.22612)."""

_END_SHARE = 0.1
_Z_LABEL = "Place along the normal (Å)"
_MOST_NAMED = 8
_COLUMN_IN = (4.2, 3.4)


@styled
def density_map_figure(times_ps: Array, z_edges_a: Array, density: Array, planes: Array | None = None) -> "Figure":
    """Draw the number density of ions (1/A^3) along the normal against time, and its profile at both ends of the run.

    Parameters
    ----------
    times_ps
        Middle of the windows of time, shape (T,).
    z_edges_a
        Shape (Z + 1,).
    density
        Shape (T, Z).
    planes
        Place of both interfaces (A), shape (T, 2); drawn as lines.
    """
    map_axes, profile = _columns((1.0, 0.55))
    z, values = np.asarray(z_edges_a, dtype=float), np.asarray(density, dtype=float)
    scale, unit = time_scale(times_ps)
    times = scale * np.asarray(times_ps, dtype=float)
    if values.size and np.isfinite(values).any():
        _draw_map(map_axes, _edges(times), z, values)
        map_axes.set_title("Ions per Å³", loc="left")
        if planes is not None:
            for row in np.asarray(planes, dtype=float).T:
                map_axes.plot(times, row, color="white", linewidth=1.6)
                map_axes.plot(times, row, color=COLOURS[1], linewidth=0.9)
        n = max(1, round(_END_SHARE * len(values)))
        middle = (z[1:] + z[:-1]) / 2
        for rows, dashes, name in ((values[:n], DASHES[0], "first tenth"), (values[-n:], "-", "last tenth")):
            profile.plot(_mean(rows), middle, color=COLOURS[0] if dashes == "-" else GREY, linestyle=dashes, label=name)
        profile.set_ylim(z[0], z[-1])
        profile.set_xlim(left=0)
        legend_above(profile, "")
    else:
        no_data(map_axes)
        no_data(profile)
    map_axes.set_xlabel(f"Time ({unit})")
    map_axes.set_ylabel(_Z_LABEL)
    profile.set_xlabel("Ions per Å³")
    return figure_of([map_axes])


@styled
def hop_map_figure(
    times_ps: Array, z_edges_a: Array, paper: Array, counted: Array, occupancy: Array, false_per_ion_ns: Array
) -> "Figure":
    """Draw hops by two rules along the normal against time, and what vibration alone makes of the first.

    Parameters
    ----------
    times_ps
        Edges of the windows, shape (W + 1,).
    z_edges_a
        Shape (Z + 1,).
    paper, counted
        Hops in each window and bin by the study's rule (more than 1.25 A in 10 ps) and by the running-median counter,
        shape (W, Z).
    occupancy
        Mean number of ions there, shape (W, Z).
    false_per_ion_ns
        False hops of the study's rule by vibration, per ion and ns, shape (Z,).

    Returns
    -------
    Figure
        Rates per ion and ns: a bin with few ions does not look quiet because of that.
    """
    first, second, profile = _columns((1.0, 1.0, 0.75))
    z, edges = np.asarray(z_edges_a, dtype=float), np.asarray(times_ps, dtype=float)
    scale, unit = time_scale(edges)
    ion_ns = (
        np.asarray(occupancy, dtype=float) * np.diff(edges)[:, None] / PS_PER_NS if edges.size else np.zeros((0, 0))
    )
    rules = (("Study's rule", np.asarray(paper, dtype=float)), ("Running median", np.asarray(counted, dtype=float)))
    middle = (z[1:] + z[:-1]) / 2
    for axes, (name, hops), colour in zip((first, second), rules, COLOURS, strict=False):
        rates = _ratio(hops, ion_ns)
        if rates.size and np.isfinite(rates).any():
            _draw_map(axes, scale * edges, z, rates)
            mean = _ratio(np.nansum(hops, axis=0), np.nansum(ion_ns, axis=0))
            profile.plot(mean, middle, color=colour, label=name.lower())
        else:
            no_data(axes)
        axes.set_title(f"{name}: hops per ion and ns", loc="left")
        axes.set_xlabel(f"Time ({unit})")
    first.set_ylabel(_Z_LABEL)
    false = np.asarray(false_per_ion_ns, dtype=float)
    if false.size and np.isfinite(false).any():
        profile.plot(false, middle, color=GREY, linestyle=DASHES[1], label="false hops of the study's rule")
    if profile.lines:
        profile.set_ylim(z[0], z[-1])
        profile.set_xlim(left=0)
        legend_above(profile, "")
    else:
        no_data(profile)
    profile.set_xlabel("Hops per ion and ns")
    return figure_of([first])


@styled
def coordination_profile_figure(z_a: Array, cn: Mapping[str, Array], planes_a: Array | None = None) -> "Figure":
    """Draw coordination numbers along the normal.

    Parameters
    ----------
    z_a
        Middle of the bins, shape (Z,).
    cn
        Mean number of neighbours, shape (Z,), by the pair, such as ``Li-Cl``.
    planes_a
        Place of the interfaces, drawn as lines.
    """
    (axes,) = panels_in_a_row(1, 4.8, 3.0)
    z = np.asarray(z_a, dtype=float)
    for (name, row), colour, marker in zip(cn.items(), cycle(COLOURS), cycle(MARKERS), strict=False):
        values = np.asarray(row, dtype=float)
        if np.isfinite(values).any():
            axes.plot(z, values, color=colour, marker=marker, markersize=3, linewidth=1.1, label=name)
    for place in np.asarray([] if planes_a is None else planes_a, dtype=float).ravel():
        if np.isfinite(place):
            axes.axvline(place, color=GREY, linewidth=0.9, linestyle=DASHES[0], zorder=0)
    if axes.get_legend_handles_labels()[0]:
        axes.set_ylim(bottom=0)
        legend_above(axes, "")
    else:
        no_data(axes)
    axes.set_xlabel(_Z_LABEL)
    axes.set_ylabel("Coordination number")
    return figure_of([axes])


@styled
def layer_population_figure(times_ps: Array, layer_z_a: Array, population: Array) -> "Figure":
    """Draw how many ions are in each layer along a run, and on average.

    Parameters
    ----------
    times_ps
        Shape (T,).
    layer_z_a
        Mean height of the layers, shape (L,).
    population
        Shape (T, L).
    """
    course, mean_axes = panels_in_a_row(2, 3.6, 3.0)
    scale, unit = time_scale(times_ps)
    times, heights = scale * np.asarray(times_ps, dtype=float), np.asarray(layer_z_a, dtype=float)
    values = np.asarray(population, dtype=float).reshape(len(times), len(heights))
    if values.size and np.isfinite(values).any():
        named = len(heights) <= _MOST_NAMED
        for row, height, colour, dashes in zip(values.T, heights, cycle(COLOURS), cycle(("-", *DASHES)), strict=False):
            course.plot(times, row, color=colour, linestyle=dashes, linewidth=0.9, label=f"{height:.1f} Å")
        if named:
            course.legend(loc="upper left", bbox_to_anchor=(-0.02, 1.2), ncols=4, handlelength=1.4, columnspacing=0.8)
        mean, spread = _mean(values), np.sqrt(_mean((values - _mean(values)) ** 2))
        places = np.arange(len(heights))
        mean_axes.bar(places, mean, color=COLOURS[0], alpha=0.8, width=0.75)
        mean_axes.errorbar(places, mean, yerr=spread, color="black", linestyle="none", elinewidth=0.9, capsize=2)
        step = max(1, int(np.ceil(len(heights) / _MOST_NAMED)))
        mean_axes.set_xticks(places[::step], [f"{height:.1f}" for height in heights[::step]])
        even, odd = values[:, ::2].sum(axis=1).mean(), values[:, 1::2].sum(axis=1).mean()
        if min(even, odd) > 0:
            mean_axes.set_title(f"every other layer, rich to poor: {max(even, odd) / min(even, odd):.3g}", loc="left")
    else:
        no_data(course)
        no_data(mean_axes)
    course.set(xlabel=f"Time ({unit})", ylabel="Ions in the layer")
    mean_axes.set(xlabel="Height of the layer (Å)", ylabel="Mean number of ions")
    course.set_ylim(bottom=0)
    return figure_of([course])


@styled
def glide_figure(times_ps: Array, displacement_a: Array, expected_a: float = GLIDE_A) -> "Figure":
    """Draw how far each layer has glided against the one below it (A), shape (T, L), and the glide expected."""
    (axes,) = panels_in_a_row(1, 4.8, 3.0)
    scale, unit = time_scale(times_ps)
    times = scale * np.asarray(times_ps, dtype=float)
    values = np.asarray(displacement_a, dtype=float)
    values = values.reshape(len(times), -1) if len(times) else np.zeros((0, 0))
    if values.size and np.isfinite(values).any():
        for place, (row, colour, dashes) in enumerate(
            zip(values.T, cycle(COLOURS), cycle(("-", *DASHES)), strict=False)
        ):
            label = f"layer {place + 1}" if values.shape[1] <= _MOST_NAMED else None
            axes.plot(times, row, color=colour, linestyle=dashes, linewidth=0.9, label=label)
        if values.shape[1] <= _MOST_NAMED:
            axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0.0)
    else:
        no_data(axes)
    axes.axhline(expected_a, color=GREY, linewidth=0.9, linestyle=DASHES[0], zorder=0)
    axes.annotate(
        f"{expected_a:g} Å",
        (0, expected_a),
        xycoords=("axes fraction", "data"),
        xytext=(3, 3),
        textcoords="offset points",
        color=GREY,
    )
    axes.set_ylim(bottom=0, top=max(axes.get_ylim()[1], 1.15 * expected_a))
    axes.set(xlabel=f"Time ({unit})", ylabel="Displacement against the layer below (Å)")
    return figure_of([axes])


def _columns(widths: tuple[float, ...]) -> "list[Axes]":
    """Return the axes of a new figure, side by side, their widths as shares of a column."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_COLUMN_IN[0] * sum(widths), _COLUMN_IN[1]), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(1, len(widths), width_ratios=widths)
    return [figure.add_subplot(grid[0, place]) for place in range(len(widths))]


def _draw_map(axes: "Axes", x_edges: Array, y_edges: Array, values: Array) -> None:
    shown: Any = np.ma.masked_invalid(values.T)
    mesh = axes.pcolormesh(x_edges, y_edges, shown, cmap="viridis", vmin=0, rasterized=True)
    figure_of([axes]).colorbar(mesh, ax=axes, fraction=0.06, pad=0.02)


def _edges(middle: Array) -> Array:
    """Return edges of windows from their middles."""
    if len(middle) < 2:
        return np.array([middle[0] - 0.5, middle[0] + 0.5])
    inner = (middle[1:] + middle[:-1]) / 2
    return np.concatenate([[2 * middle[0] - inner[0]], inner, [2 * middle[-1] - inner[-1]]])


def _mean(rows: Array) -> Array:
    """Return the mean over the first axis, NaN where nothing is finite."""
    known = np.isfinite(rows)
    return _ratio(np.where(known, rows, 0.0).sum(axis=0), known.sum(axis=0).astype(float))


def _ratio(above: Array, below: Array) -> Array:
    wanted = np.zeros(np.broadcast(above, below).shape) * np.nan
    return np.divide(above, below, out=wanted, where=np.asarray(below) > 0)
