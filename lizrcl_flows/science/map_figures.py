"""The map of a pool: where its structures lie in their two leading components, and which of them were chosen."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.science.figure_style import COLOURS, GREY, figure_of, number, panels_in_a_row, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_GROUPS = 20
"""Groups with a name in the legend; the smallest beyond are drawn as one."""

_NUMBERED = 12
_ALL_NUMBERED = 30
_RASTER_FROM = 400
_PANEL_IN = (4.0, 3.6)
_OTHERS = "#AAAAAA"
_GROUP_COLOURS = tuple(colour for colour in COLOURS if colour != "#000000")  # black is for what was chosen
_GROUP_MARKERS = ("o", "s", "^", "D", "v", ">", "<")  # crosses are for what was known


@styled
def map_figure(
    xy: Array, groups: Sequence[str], chosen: Sequence[int], known_xy: Array, explained: Sequence[float]
) -> "Figure":
    """Draw the structures of a pool in their two leading principal components.

    Parameters
    ----------
    xy
        Coordinates of the pool, shape (n, 2).
    groups
        Phase or region of each, for colour and marker; the smallest beyond `MOST_GROUPS` are drawn as one.
    chosen
        Rows of the pool in order of choice: ringed, with the number of the choice at the first of them.
    known_xy
        Coordinates of what was known before, shape (m, 2); may be empty.
    explained
        Share of the variance along each of the two components.

    Returns
    -------
    Figure
        The legend gives the number of structures, and of chosen ones, of each group. Clouds of points are rasterised
        in vector formats; rings, numbers and text are not.
    """
    (axes,) = panels_in_a_row(1, *_PANEL_IN)
    xy = np.asarray(xy, dtype=float).reshape(-1, 2)
    picks = np.asarray(chosen, dtype=int)
    names = np.asarray(groups, dtype=object)
    _draw_groups(axes, xy, names, picks)
    _draw_known(axes, np.asarray(known_xy, dtype=float).reshape(-1, 2))
    _draw_chosen(axes, xy[picks])
    for axis, component, share in ((axes.xaxis, 1, explained[0]), (axes.yaxis, 2, explained[1])):
        axis.set_label_text(f"Principal component {component} ({number(100 * share, 1)} % of the variance)")
    axes.margins(0.06)
    axes.legend(
        *axes.get_legend_handles_labels(),
        loc="upper left",
        bbox_to_anchor=(1.01, 1.0),
        borderaxespad=0.0,
        handletextpad=0.3,
        labelspacing=0.35,
        title=f"{len(xy)} candidates, {len(picks)} chosen",
        alignment="left",
    )
    figure = figure_of([axes])
    figure.set_size_inches(_PANEL_IN[0] + _legend_width(axes), _PANEL_IN[1])
    return figure


def _draw_groups(axes: "Axes", xy: Array, names: npt.NDArray[Any], picks: Array) -> None:
    """Draw the groups, named in the order in which they appear, the largest beneath the others."""
    sizes, taken = Counter(names.tolist()), Counter(names[picks].tolist())
    by_size = sorted(sizes, key=lambda name: -sizes[name])
    kept = set(by_size if len(sizes) <= MOST_GROUPS else by_size[: MOST_GROUPS - 1])
    for place, name in enumerate(name for name in sizes if name in kept):
        turn = place // len(_GROUP_COLOURS)
        look = {
            "color": _GROUP_COLOURS[place % len(_GROUP_COLOURS)],
            "marker": _GROUP_MARKERS[(place + 3 * turn) % len(_GROUP_MARKERS)],
            "zorder": 2 - sizes[name] / (len(xy) + 1),
        }
        _draw_cloud(axes, xy[names == name], look, _counted(name, sizes[name], taken[name]), len(xy))
    rest = [name for name in sizes if name not in kept]
    if rest:
        counts = sum(sizes[name] for name in rest), sum(taken[name] for name in rest)
        look = {"color": _OTHERS, "marker": ".", "zorder": 1}
        _draw_cloud(axes, xy[np.isin(names, rest)], look, _counted(f"{len(rest)} others", *counts), len(xy))


def _draw_cloud(axes: "Axes", xy: Array, look: dict[str, Any], label: str, n_all: int) -> None:
    many = n_all > _RASTER_FROM
    size = float(np.clip(5.5 - 1.0 * np.log10(max(n_all, 10) / 10), 2.2, 5.5))
    axes.plot(
        xy[:, 0],
        xy[:, 1],
        **look,
        linestyle="none",
        markersize=size,
        markeredgecolor="white",
        markeredgewidth=0.15 if many else 0.4,
        alpha=0.7 if many else 0.9,
        rasterized=many,
    )
    # the legend's mark is as large and opaque as it must be to be told from the others
    axes.plot(
        [], [], **look, linestyle="none", markersize=5.5, markeredgecolor="white", markeredgewidth=0.4, label=label
    )


def _draw_known(axes: "Axes", xy: Array) -> None:
    if len(xy) == 0:
        return
    many = len(xy) > _RASTER_FROM
    axes.plot(
        xy[:, 0],
        xy[:, 1],
        linestyle="none",
        marker="+",
        color=GREY,
        markersize=3.0 if many else 4.5,
        markeredgewidth=0.4 if many else 0.8,
        alpha=0.5 if many else 1.0,
        rasterized=many,
        zorder=2.5,
    )
    axes.plot(
        [],
        [],
        linestyle="none",
        marker="+",
        color=GREY,
        markersize=5.5,
        markeredgewidth=0.9,
        label=f"known before: {len(xy)}",
    )


def _draw_chosen(axes: "Axes", xy: Array) -> None:
    from matplotlib.patheffects import withStroke

    if len(xy) == 0:
        return
    numbered = len(xy) if len(xy) <= _ALL_NUMBERED else _NUMBERED
    which = "numbered in order" if numbered == len(xy) else f"first {numbered} numbered"
    size = 7.5 if len(xy) <= _ALL_NUMBERED else 5.5
    axes.plot(
        xy[:, 0],
        xy[:, 1],
        linestyle="none",
        marker="o",
        markersize=size,
        markerfacecolor="none",
        markeredgecolor="black",
        markeredgewidth=0.9 if len(xy) <= _ALL_NUMBERED else 0.7,
        zorder=3,
        label=f"chosen ({which})",
    )
    for place, point in enumerate(xy[:numbered]):
        text = axes.annotate(
            str(place + 1),
            (float(point[0]), float(point[1])),
            xytext=(3.2, 3.2),
            textcoords="offset points",
            fontsize=7,
            zorder=4,
        )
        text.set_path_effects([withStroke(linewidth=1.4, foreground="white")])


def _counted(name: str, n: int, n_chosen: int) -> str:
    return f"{name}: {n}, {n_chosen} chosen"


def _legend_width(axes: "Axes") -> float:
    """Return the width (inches) that the legend needs beside the plot."""
    legend = axes.get_legend()
    if legend is None:
        return 0.0
    box = legend.get_window_extent()
    return float(box.width) / float(figure_of([axes]).dpi) + 0.1
