"""Figures of local structure: displacement classes, shapes of polyhedra, RDF, chains, environments.

Every function takes arrays and returns a matplotlib ``Figure``; what is empty or not finite is left out, never an
error. Where a figure is drawn from a stored analysis, these are the names in its file of arrays (npz) by its kind:

============= ============================== =====================================================================
kind          array                          what
============= ============================== =====================================================================
rdf           r_a (R,)                       distances
rdf           pairs (P,) of str              such as ``Li-Cl``
rdf           g (P, R)                       pair distribution function
rdf           running (P, R)                 neighbours of the second kind within r of the first
displacements xy_a (N,)                      net displacement in the plane
displacements z_a (N,)                       and along the normal, both unsigned
displacements classes (N,) of str            class of each ion
displacements regions (N,) of str            region of each ion
polyhedra     volume_a3 (M,)                 volume of the hull of the ligands
polyhedra     csm (M,)                       continuous symmetry measure, smallest over the shapes of that number
polyhedra     cn (M,)                        coordination number
polyhedra     regions (M,) of str            region of the ion: ``bulk``, ``interface``
chains        sizes (K,)                     polyhedra in a fragment
chains        counts (K,)                    mean number of fragments of that size in a frame
environments  xy (N, 2)                      place on the map
environments  regions (N,) of str            region of the ion
============= ============================== =====================================================================
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

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
    plain_logarithm,
    points,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KEYS: dict[str, tuple[str, ...]] = {
    "rdf": ("r_a", "pairs", "g", "running"),
    "displacements": ("xy_a", "z_a", "classes", "regions"),
    "polyhedra": ("volume_a3", "csm", "cn", "regions"),
    "chains": ("sizes", "counts"),
    "environments": ("xy", "regions"),
}
"""Arrays that a figure cannot do without, by the kind of the analysis."""

THRESHOLD_A = 1.0
_CLASSES = ("immobile", "xy", "z", "mixed_xy", "mixed_z")
"""In this order, so that a class has the same colour in every run."""

_SMALLEST_A = 0.05
_VOLUMES_A3 = (0.0, 32.0)
_CELLS = (40, 24)
_MAPS = {4: "Oranges", 5: "Greens", 6: "Blues"}
_MAP_COLOURS = {4: COLOURS[1], 5: COLOURS[2], 6: COLOURS[0]}
_OTHER_MAP = "Greys"


@styled
def displacement_classes_figure(
    xy_a: Array, z_a: Array, classes: Sequence[str], counts: Mapping[str, Mapping[str, int]]
) -> "Figure":
    """Draw net displacements in the plane and along the normal by class, and the share of each class by region.

    Parameters
    ----------
    xy_a, z_a
        Unsigned displacements (A), shape (n,).
    classes
        Class of each ion.
    counts
        Ions in each class, by region.

    Returns
    -------
    Figure
        Lines are the threshold of 1 A and where both are equal; less than 0.05 A is drawn at 0.05 A.
    """
    scatter, shares = panels_in_a_row(2, 3.7, 3.4)
    present = _in_order([*classes, *(name for row in counts.values() for name in row)])
    names = sorted(present, key=lambda name: _CLASSES.index(name) if name in _CLASSES else len(_CLASSES))
    labels = np.asarray(classes, dtype=object)
    place = np.maximum(np.stack([np.asarray(xy_a, dtype=float), np.abs(np.asarray(z_a, dtype=float))]), _SMALLEST_A)
    for name, colour, marker in zip(names, cycle(COLOURS), cycle(MARKERS), strict=False):
        chosen = labels == name
        look = {**points(colour, marker), "markersize": 3.2 if len(labels) > 300 else 4.0, "markeredgewidth": 0.2}
        scatter.plot(*place[:, chosen], **look, rasterized=len(labels) > 1000, label=f"{name}: {int(chosen.sum())}")
    _finish_displacements(scatter, place)
    _draw_shares(shares, counts, names)
    return figure_of([scatter])


def _finish_displacements(axes: "Axes", place: Array) -> None:
    top = 10.0
    if np.isfinite(place).any():
        top = max(top, 1.3 * float(np.nanmax(place)))
    else:
        no_data(axes)
    limits = (0.8 * _SMALLEST_A, top)
    axes.set(xscale="log", yscale="log", xlim=limits, ylim=limits)
    for draw in (axes.axhline, axes.axvline):
        draw(THRESHOLD_A, color=GREY, linewidth=0.8, linestyle=DASHES[0], zorder=0)
    axes.plot([THRESHOLD_A, top], [THRESHOLD_A, top], color=GREY, linewidth=0.8, zorder=0)
    plain_logarithm(axes.xaxis)
    plain_logarithm(axes.yaxis)
    axes.set_xlabel("Displacement in the plane (Å)")
    axes.set_ylabel("Displacement along the normal (Å)")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=3, handletextpad=0.1, columnspacing=0.8)


def _draw_shares(axes: "Axes", counts: Mapping[str, Mapping[str, int]], names: Sequence[str]) -> None:
    totals = {region: sum(row.values()) for region, row in counts.items()}
    if not any(totals.values()):
        no_data(axes)
        return
    bottom = np.zeros(len(counts))
    for name, colour in zip(names, cycle(COLOURS), strict=False):
        share = np.array([100 * row.get(name, 0) / max(totals[region], 1) for region, row in counts.items()])
        axes.bar(np.arange(len(counts)), share, bottom=bottom, color=colour, width=0.65, alpha=0.85)
        for x, (height, low) in enumerate(zip(share, bottom, strict=True)):
            if height >= 6:
                axes.text(x, low + height / 2, f"{height:.0f} %", ha="center", va="center", fontsize=7.5, color="white")
        bottom += share
    axes.set_xticks(range(len(counts)), [f"{region}\nn = {totals[region]}" for region in counts])
    axes.set_ylim(0, 100)
    axes.set_ylabel("Share of the ions (%)")


@styled
def csm_volume_figure(volume_a3: Array, csm: Array, cn: Array, regions: Sequence[str]) -> "Figure":
    """Draw the symmetry measure of polyhedra against their volume, one panel of each region.

    Parameters
    ----------
    volume_a3, csm, cn
        Volume of the hull of the ligands (A^3), continuous symmetry measure (0 is perfect) and coordination number,
        shape (m,).
    regions
        Region of each, shape (m,).

    Returns
    -------
    Figure
        Hexagons are the darker the more polyhedra they hold, each coordination number in its colour; numbers in the
        legend are the polyhedra and the medians of volume and measure.
    """
    labels = np.asarray(regions, dtype=object)
    names = _in_order(regions) or ["bulk"]
    panels = panels_in_a_row(len(names), 3.8, 3.5)
    number = np.asarray(cn)
    values = np.stack([np.asarray(volume_a3, dtype=float), np.asarray(csm, dtype=float)])
    known = np.isfinite(values).all(axis=0)
    extent = _extent(values[:, known])
    for axes, region in zip(panels, names, strict=True):
        chosen = known & (labels == region)
        for n in sorted({int(value) for value in number[chosen]}):
            _draw_hexagons(axes, values[:, chosen & (number == n)], n, extent)
        axes.set(xlim=extent[:2], ylim=extent[2:], xlabel="Volume of the polyhedron (Å³)")
        axes.set_ylabel("Continuous symmetry measure")
        if chosen.any():
            legend_above(axes, f"{region}: n = {int(chosen.sum())}")
        else:
            no_data(axes)
            axes.set_title(region, loc="left")
    return figure_of(panels)


def _extent(values: Array) -> tuple[float, float, float, float]:
    if not values.size:
        return (*_VOLUMES_A3, 0.0, 10.0)
    volume, measure = np.percentile(values, 99.5, axis=1)
    return 0.0, max(1.05 * float(volume), _VOLUMES_A3[1]), 0.0, max(1.1 * float(measure), 5.0)


def _draw_hexagons(axes: "Axes", values: Array, n: int, extent: tuple[float, float, float, float]) -> None:
    from matplotlib.colors import LogNorm

    inside = (values[0] <= extent[1]) & (values[1] <= extent[3])
    colour = _MAP_COLOURS.get(n, GREY)
    if inside.any():
        drawn = axes.hexbin(
            *values[:, inside],
            gridsize=_CELLS,
            extent=extent,
            mincnt=1,
            cmap=_MAPS.get(n, _OTHER_MAP),
            linewidths=0.1,
            alpha=0.85,
            rasterized=True,
        )
        drawn.set_norm(LogNorm(vmin=0.3, vmax=max(float(np.max(np.asarray(drawn.get_array()))), 2.0)))
    middle = np.median(values, axis=1)
    label = f"CN {n}: {values.shape[1]}, {middle[0]:.1f} Å³, {middle[1]:.2g}"
    axes.plot(*middle, marker="P", color=colour, markeredgecolor="black", markersize=7, linestyle="none", label=label)


@styled
def rdf_figure(pairs: Mapping[str, tuple[Array, Array, Array]]) -> "Figure":
    """Draw pair distribution functions and the neighbours within r.

    Parameters
    ----------
    pairs
        Distance (A), g and running coordination number, each of shape (n,), by the pair, such as ``Li-Cl``.
    """
    panels = panels_in_a_row(2, 3.8, 3.0)
    highest = 0.0
    for (name, (r, g, running)), colour, dashes in zip(
        pairs.items(), cycle(COLOURS), cycle(("-", *DASHES)), strict=False
    ):
        distance, values = np.asarray(r, dtype=float), np.asarray(g, dtype=float)
        if np.isfinite(values).any():
            panels[0].plot(distance, values, color=colour, linestyle=dashes, label=f"{name}{_peak(distance, values)}")
            panels[1].plot(distance, running, color=colour, linestyle=dashes, label=name)
            highest = max(highest, float(distance.max()))
    panels[0].axhline(1, color=GREY, linewidth=0.6, zorder=0)
    for axes, label in zip(panels, ("Pair distribution function g(r)", "Neighbours within r"), strict=True):
        axes.set(xlabel="r (Å)", ylabel=label)
        if axes.get_legend_handles_labels()[0]:
            axes.set_xlim(0, highest)
            axes.set_ylim(bottom=0)
            legend_above(axes, "")
        else:
            no_data(axes)
    if highest > 0:
        panels[1].set_ylim(0, _useful_top(pairs))
    return figure_of(panels)


def _peak(r: Array, g: Array) -> str:
    return f": highest at {r[int(np.nanargmax(g))]:.2f} Å"


def _useful_top(pairs: Mapping[str, tuple[Array, Array, Array]]) -> float:
    """Return the neighbours within 6 A of the pair that has most: farther shells would hide the first one."""
    tops = [
        float(np.nanmax(np.asarray(running, dtype=float)[near]))
        for r, _, running in pairs.values()
        if (near := np.isfinite(running) & (np.asarray(r, dtype=float) <= 6.0)).any()
    ]
    return max(max(tops, default=0.0), 1.0)


@styled
def chain_figure(sizes: Array, counts: Array) -> "Figure":
    """Draw how many fragments of connected polyhedra there are of each size, both of shape (k,), in a mean frame."""
    (axes,) = panels_in_a_row(1, 4.2, 2.8)
    size, number = np.asarray(sizes, dtype=float), np.nan_to_num(np.asarray(counts, dtype=float))
    order = np.argsort(size)
    shown = order[number[order] > 0]
    if shown.size:
        places = np.arange(len(shown))
        axes.bar(places, number[shown], color=COLOURS[0], alpha=0.85, width=0.75)
        step = max(1, int(np.ceil(len(shown) / 16)))
        axes.set_xticks(places[::step], [f"{value:g}" for value in size[shown][::step]])
        total = float((size * number).sum())
        axes.set_title(f"{number.sum():.3g} fragments of {total:.4g} polyhedra in a frame", loc="left")
    else:
        no_data(axes)
    axes.set(xlabel="Polyhedra in the fragment", ylabel="Fragments in a frame")
    return figure_of([axes])


@styled
def environment_map_figure(xy: Array, regions: Sequence[str]) -> "Figure":
    """Draw environments of ions at their places on a t-SNE map, shape (n, 2), in the colour of their region."""
    (axes,) = panels_in_a_row(1, 4.4, 3.9)
    place = np.asarray(xy, dtype=float).reshape(-1, 2)
    labels = np.asarray(regions, dtype=object)
    sizes = Counter(labels.tolist())
    # the smallest group is drawn last, so that it is not hidden
    for name, colour, marker in sorted(
        zip(_in_order(regions), cycle(COLOURS), cycle(MARKERS), strict=False), key=lambda entry: -sizes[entry[0]]
    ):
        look: dict[str, Any] = {**points(colour, marker), "markeredgewidth": 0.15}
        look["markersize"] = float(np.clip(6.5 - 1.2 * np.log10(max(len(place), 10)), 1.8, 5))
        axes.plot(*place[labels == name].T, **look, rasterized=len(place) > 1000, label=f"{name}: {sizes[name]}")
    axes.set(xticks=[], yticks=[], xlabel="t-SNE 1", ylabel="t-SNE 2")
    if len(place):
        axes.margins(0.05)
        legend_above(axes, "", markerscale=1.8)
    else:
        no_data(axes)
    return figure_of([axes])


def _in_order(names: Sequence[str] | npt.NDArray[Any]) -> list[str]:
    return [str(name) for name in dict.fromkeys(names)]
