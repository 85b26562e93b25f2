"""The look of all figures: one style, one palette, panels, legends and number formats."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
GREY = "#666666"
DASHES: tuple[tuple[int, tuple[float, ...]], ...] = ((0, (4, 2)), (0, (1, 1.5)), (0, (6, 1, 1, 1)))
PANEL_IN = (3.5, 3.1)
_NS_FROM_PS = 2000.0
_STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.labelsize": 9,
    "axes.titlesize": 9,
    "legend.fontsize": 7.5,
    "legend.title_fontsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "xtick.direction": "out",
    "ytick.direction": "out",
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "savefig.facecolor": "white",
}

_P = ParamSpec("_P")


@contextmanager
def style() -> Iterator[None]:
    """Matplotlib's own defaults with ours on top, whatever the user's configuration says."""
    import matplotlib.style

    with matplotlib.style.context(["default", _STYLE]):
        yield


def styled(draw: "Callable[_P, Figure]") -> "Callable[_P, Figure]":
    """Let a function draw in `style`."""

    @wraps(draw)
    def wrapper(*args: _P.args, **kwargs: _P.kwargs) -> "Figure":
        with style():
            return draw(*args, **kwargs)

    return wrapper


def panels_in_a_row(n: int, width: float = PANEL_IN[0], height: float = PANEL_IN[1]) -> "list[Axes]":
    """Return the axes of a new figure with panels side by side; width and height of one panel in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * n, height), layout="constrained")
    FigureCanvasAgg(figure)
    return [figure.add_subplot(1, n, number + 1) for number in range(n)]


def figure_of(panels: "Sequence[Axes]") -> "Figure":
    """Return the figure that panels belong to."""
    figure: Figure = panels[0].figure  # type: ignore[assignment]
    return figure


def legend_above(axes: "Axes", title: str, markerscale: float = 1.3) -> None:
    """Put the legend between the plot and its title, where it hides no point."""
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(-0.02, 1.0),
        borderaxespad=0.2,
        handlelength=1.8,
        markerscale=markerscale,
        title=title or None,
        alignment="left",
    )


def legend_below(axes: "Axes", columns: int = 1, title: str = "") -> None:
    """Put the legend under the label of the x axis, for axes that have ticks above."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        axes.legend(
            handles,
            labels,
            loc="upper left",
            bbox_to_anchor=(-0.02, -0.19),
            borderaxespad=0.0,
            handlelength=1.8,
            ncols=columns,
            title=title or None,
            alignment="left",
        )


def no_data(axes: "Axes", words: str = "no data") -> None:
    """Write where the points would be that there are none."""
    axes.text(0.5, 0.5, words, transform=axes.transAxes, ha="center", va="center", color=GREY, fontsize=8)


def at_least_a_decade(low: float, high: float) -> tuple[float, float]:
    """Return positive limits widened to a decade, so that a logarithmic axis has ticks to read."""
    stretch = max(1.0, float(np.sqrt(10 * low / high)))
    return low / stretch, high * stretch


def time_scale(times_ps: Any) -> tuple[float, str]:
    """Return the factor and the unit in which times (ps) are short to read."""
    times = np.asarray(times_ps, dtype=float)
    longest = float(np.nanmax(times)) if times.size and np.isfinite(times).any() else 0.0
    return (1e-3, "ns") if longest >= _NS_FROM_PS else (1.0, "ps")


def points(colour: str, marker: str) -> dict[str, Any]:
    """Return how a handful of points is drawn."""
    return {
        "color": colour,
        "marker": marker,
        "linestyle": "none",
        "markersize": 4,
        "markeredgecolor": "white",
        "markeredgewidth": 0.4,
        "alpha": 0.85,
    }


def plain_logarithm(axis: Any) -> None:
    """Write 0.1, 0.2, 0.5, 1 and not powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def diagonal(axes: "Axes", x_label: str, y_label: str) -> None:
    """Draw y = x over the range of the data, on equal axes."""
    limits = (*axes.get_xlim(), *axes.get_ylim())
    ends = (min(limits), max(limits))
    axes.plot(ends, ends, color=GREY, linewidth=0.8, zorder=0)
    axes.set(xlim=ends, ylim=ends)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)


def with_uncertainty(value: float, std: float) -> str:
    """Write a value to the second digit of its uncertainty: 0.484 ± 0.026."""
    if not std > 0:
        return f"{value:.3g}"
    decimals = max(0, 1 - int(np.floor(np.log10(std))))
    return f"{number(value, decimals)} ± {std:.{decimals}f}"


def number(value: float, decimals: int) -> str:
    """Write a number with a real minus sign."""
    return f"{value:.{decimals}f}".replace("-", "\N{MINUS SIGN}")
