"""Figures of transport: Arrhenius laws, mean square displacements by axis, regions, composites.

Every function takes arrays and returns a matplotlib ``Figure``; what is empty or not finite is left out, never an
error. Where a figure is drawn from a stored analysis, these are the names in its file of arrays (npz) by its kind:

========== ============================== ========================================================================
kind       array                          what
========== ============================== ========================================================================
regional   regions (R,) of str            names
regional   diffusivity (R,)               lateral diffusion coefficient, A^2/ps; NaN where there is none
regional   diffusivity_std (R,)           its standard uncertainty
regional   share (S,)                     optional: volume share of the oxide in a composite, 0 to 1
regional   conductivity (S,)              optional: its effective conductivity, mS/cm
========== ============================== ========================================================================
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np

from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.science.figure_style import (
    COLOURS,
    DASHES,
    GREY,
    MARKERS,
    at_least_a_decade,
    figure_of,
    legend_above,
    legend_below,
    no_data,
    panels_in_a_row,
    plain_logarithm,
    points,
    styled,
    time_scale,
    with_uncertainty,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KEYS: dict[str, tuple[str, ...]] = {"regional": ("regions", "diffusivity", "diffusivity_std")}
"""Arrays that a figure cannot do without, by the kind of the analysis."""

BOLTZMANN_EV_PER_K = 8.617333262e-5
CM2_PER_S = 1e-4
"""One A^2/ps in cm^2/s."""

ROOM_K = 300.0
_TICKS_K = (1200, 1000, 800, 700, 600, 500, 450, 400, 350, 300, 250)
_AXES = ("x", "y", "z")


@dataclass(frozen=True)
class ArrheniusLine:
    """A fitted law ``ln D = ln_d0 - activation_energy_ev / (k T)``, D in A^2/ps.

    Attributes
    ----------
    covariance
        Of (ln_d0, activation_energy_ev), shape (2, 2).
    """

    activation_energy_ev: float
    activation_energy_std_ev: float
    ln_d0: float
    covariance: Array

    def ln_d(self, temperatures_k: Array) -> tuple[Array, Array]:
        """Return ln D and its standard uncertainty at these temperatures."""
        beta = 1 / (BOLTZMANN_EV_PER_K * np.asarray(temperatures_k, dtype=float))
        rows = np.stack([np.ones_like(beta), -beta], axis=-1)
        variance = np.einsum("...i,ij,...j->...", rows, np.asarray(self.covariance, dtype=float), rows)
        return self.ln_d0 - self.activation_energy_ev * beta, np.sqrt(np.maximum(variance, 0.0))


@dataclass(frozen=True)
class ArrheniusSeries:
    """Diffusion coefficients (A^2/ps) of one phase, or of one region, at several temperatures.

    Attributes
    ----------
    temperatures_k, diffusivities, stds
        Shape (n,); a coefficient that is not finite or not positive is left out.
    line
        Law through them, if there is one.
    bounds_k, bounds
        Temperatures at which there is only an upper bound, shape (m,).
    paper_k, paper
        Coefficients by the study's protocol, shape (k,).
    """

    temperatures_k: Sequence[float]
    diffusivities: Sequence[float]
    stds: Sequence[float]
    line: ArrheniusLine | None = None
    bounds_k: Sequence[float] = ()
    bounds: Sequence[float] = ()
    paper_k: Sequence[float] = ()
    paper: Sequence[float] = ()


@dataclass(frozen=True)
class MsdCurves:
    """Mean square displacements (A^2) at lags (ps), shape (n,); by axis (n, 3); of the sum of all ions, by ion."""

    lag_ps: Array
    msd_a2: Array
    msd_xyz_a2: Array | None = None
    collective_a2: Array | None = None


@dataclass(frozen=True)
class Coefficient:
    """A diffusion coefficient (A^2/ps) in `dimensions` with its uncertainty, and how its line is drawn."""

    diffusivity: float
    std: float
    dimensions: int = 3
    offset_a2: float | None = None


@styled
def arrhenius_figure(series: Mapping[str, ArrheniusSeries]) -> "Figure":
    """Draw diffusion coefficients against the reciprocal temperature, with the fitted laws.

    Parameters
    ----------
    series
        By the name for the legend.

    Returns
    -------
    Figure
        D in cm^2/s; bars and bands are one standard uncertainty; laws are drawn down to 300 K, beyond the points
        dashed; arrows are upper bounds; open marks are coefficients by the study's protocol. The axis above gives T in
        K.
    """
    (axes,) = panels_in_a_row(1, 4.8, 3.6 + 0.17 * len(series))
    axes.set_yscale("log")
    for (name, entry), colour, marker in zip(series.items(), cycle(COLOURS), cycle(MARKERS), strict=False):
        _draw_series(axes, name, entry, colour, marker)
    axes.set_xlabel("1000 / T (1/K)")
    axes.set_ylabel("Diffusion coefficient (cm²/s)")
    if any(len(entry.paper) for entry in series.values()):
        open_mark: dict[str, Any] = {"marker": "o", "linestyle": "none", "markersize": 7, "markerfacecolor": "none"}
        axes.plot([], [], color=GREY, **open_mark, label="open: by the study's protocol")
    if axes.lines or axes.collections:
        _temperature_axis(axes)
    else:
        no_data(axes)
    legend_below(axes)
    return figure_of([axes])


def _draw_series(axes: "Axes", name: str, entry: ArrheniusSeries, colour: str, marker: str) -> None:
    kelvin, values, stds = (
        np.asarray(column, dtype=float) for column in (entry.temperatures_k, entry.diffusivities, entry.stds)
    )
    usable = np.isfinite(values) & (values > 0) & (kelvin > 0)
    kelvin, values = kelvin[usable], CM2_PER_S * values[usable]
    stds = np.nan_to_num(CM2_PER_S * stds[usable])
    label = name
    if entry.line is not None:
        label = f"{name}: {_law(entry.line)}"
        _draw_law(axes, entry.line, kelvin, colour)
    below = np.minimum(stds, 0.9 * values)
    look = {**points(colour, marker), "markersize": 5}
    axes.errorbar(1000 / kelvin, values, yerr=[below, stds], elinewidth=0.9, capsize=2, label=label, **look)
    bounds_k, bounds = np.asarray(entry.bounds_k, dtype=float), CM2_PER_S * np.asarray(entry.bounds, dtype=float)
    shown = np.isfinite(bounds) & (bounds > 0)
    if shown.any():
        bound = {**look, "marker": "_", "markeredgecolor": colour, "markeredgewidth": 1.2, "markersize": 7}
        axes.errorbar(
            1000 / bounds_k[shown], bounds[shown], yerr=0.45 * bounds[shown], uplims=True, elinewidth=0.9, **bound
        )
    paper_k, paper = np.asarray(entry.paper_k, dtype=float), CM2_PER_S * np.asarray(entry.paper, dtype=float)
    quoted = np.isfinite(paper) & (paper > 0)
    if quoted.any():
        open_mark = {
            **look,
            "markerfacecolor": "none",
            "markeredgecolor": colour,
            "markeredgewidth": 1.0,
            "markersize": 7,
        }
        axes.plot(1000 / paper_k[quoted], paper[quoted], **open_mark)


def _law(line: ArrheniusLine) -> str:
    room, std = line.ln_d(np.array([ROOM_K]))
    factor = f" (×÷ {np.exp(std[0]):.2g})" if std[0] > 0 else ""
    energy = with_uncertainty(line.activation_energy_ev, line.activation_energy_std_ev)
    return f"{energy} eV, {CM2_PER_S * np.exp(room[0]):.2g} cm²/s at {ROOM_K:g} K{factor}"


def _draw_law(axes: "Axes", line: ArrheniusLine, kelvin: Array, colour: str) -> None:
    hottest = float(kelvin.max()) if kelvin.size else 700.0
    coldest = float(kelvin.min()) if kelvin.size else ROOM_K
    x = np.linspace(1000 / hottest, 1000 / min(ROOM_K, coldest), 200)
    ln_d, std = line.ln_d(1000 / x)
    measured = x <= 1000 / coldest
    value = CM2_PER_S * np.exp(ln_d)
    axes.plot(x[measured], value[measured], color=colour, linewidth=1.2)
    axes.plot(x[~measured], value[~measured], color=colour, linewidth=1.0, linestyle=DASHES[0])
    axes.fill_between(x, value * np.exp(-std), value * np.exp(std), color=colour, alpha=0.15, linewidth=0)


def _temperature_axis(axes: "Axes") -> None:
    left, right = sorted(axes.get_xlim())
    left, right = max(left, 1e-3), max(right, 2e-3)
    axes.set_xlim(left, right)
    shown: list[int] = []
    for kelvin in _TICKS_K:  # none closer than a fourteenth of the axis, so that the numbers stay apart
        place = 1000 / kelvin
        far = not shown or place - 1000 / shown[-1] > (right - left) / 14
        if left <= place <= right and far:
            shown.append(kelvin)
    above = axes.twiny()
    above.set_xlim(left, right)
    above.set_xticks([1000 / kelvin for kelvin in shown], [str(kelvin) for kelvin in shown])
    above.set_xlabel("Temperature (K)")
    above.spines["top"].set_visible(True)


@styled
def displacement_figure(
    curves: MsdCurves,
    total: Coefficient | None = None,
    by_axis: Sequence[Coefficient | None] = (),
    paper: Coefficient | None = None,
) -> "Figure":
    """Draw the mean square displacement along each axis, and that of all three beside the collective one.

    Parameters
    ----------
    total
        Coefficient of three dimensions, drawn as its line with one standard uncertainty as a band.
    by_axis
        Those along x, y and z, of one dimension each.
    paper
        Coefficient of the study's protocol, drawn dashed.
    """
    by_direction = curves.msd_xyz_a2 is not None
    panels = panels_in_a_row(2 if by_direction else 1, width=3.8, height=3.7)
    lag = np.asarray(curves.lag_ps, dtype=float)
    scale, unit = time_scale(lag)
    if by_direction:
        rows = np.asarray(curves.msd_xyz_a2, dtype=float).T
        found = [*by_axis, None, None, None]
        for place, (row, colour, dashes) in enumerate(zip(rows, COLOURS, ("-", DASHES[0], DASHES[1]), strict=False)):
            label = _axis_label(_AXES[place], found[place])
            panels[0].plot(scale * lag, row, color=colour, linestyle=dashes, label=label)
            if (entry := found[place]) is not None:
                _draw_coefficient(panels[0], (lag, row), entry, scale, {"color": colour, "linewidth": 0.8})
    sum_of = panels[-1]
    sum_of.plot(scale * lag, curves.msd_a2, color="black", label="tracer")
    if curves.collective_a2 is not None:
        label = "collective, by ion"
        sum_of.plot(scale * lag, curves.collective_a2, color=COLOURS[2], linestyle=DASHES[2], label=label)
    for entry, name, look in (
        (total, "D", {"color": COLOURS[0], "linewidth": 1.2}),
        (paper, "study's protocol", {"color": COLOURS[1], "linewidth": 1.2, "linestyle": DASHES[0]}),
    ):
        if entry is not None:
            told = f"{name}: {with_uncertainty(entry.diffusivity, entry.std)} Å²/ps"
            _draw_coefficient(sum_of, (lag, np.asarray(curves.msd_a2)), entry, scale, {**look, "label": told})
    for axes, title in zip(panels, ("Along each axis", "All axes") if by_direction else ("All axes",), strict=True):
        _finish_displacement(axes, lag, unit, title)
    return figure_of(panels)


def _finish_displacement(axes: "Axes", lag: Array, unit: str, title: str) -> None:
    axes.set_xlabel(f"Lag ({unit})")
    axes.set_ylabel("Mean square displacement (Å²)")
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    legend_above(axes, title)
    if not lag.size:
        no_data(axes)


def _axis_label(name: str, entry: Coefficient | None) -> str:
    return name if entry is None else f"{name}: D = {with_uncertainty(entry.diffusivity, entry.std)} Å²/ps"


def _draw_coefficient(
    axes: "Axes", curve: tuple[Array, Array], entry: Coefficient, scale: float, look: dict[str, Any]
) -> None:
    """Draw 2 d D lag + offset; without an offset the line is laid through the first quarter of the curve."""
    lag, msd = curve
    if not lag.size or not np.isfinite(entry.diffusivity):
        return
    slope, spread = (2 * entry.dimensions * value for value in (entry.diffusivity, entry.std))
    near = lag <= max(lag.max() / 4, lag.min())
    offset = entry.offset_a2 if entry.offset_a2 is not None else float(np.nanmedian((msd - slope * lag)[near]))
    ends = np.array([0.0, lag.max()])
    line = slope * ends + offset
    axes.plot(scale * ends, line, **look)
    if spread > 0:
        band = (line - spread * ends, line + spread * ends)
        axes.fill_between(scale * ends, *band, color=look["color"], alpha=0.15, linewidth=0)


@styled
def regional_figure(regions: Sequence[str], diffusivity: Array, std: Array) -> "Figure":
    """Draw the lateral diffusion coefficient (A^2/ps) of each region with one standard uncertainty."""
    (axes,) = panels_in_a_row(1, max(3.2, 1.4 + 0.8 * len(regions)), 3.0)
    values, spread = np.asarray(diffusivity, dtype=float), np.nan_to_num(np.asarray(std, dtype=float))
    shown = np.isfinite(values) & (values > 0)
    places = np.arange(len(regions))
    if shown.any():
        bars = [np.minimum(spread[shown], 0.9 * values[shown]), spread[shown]]
        look = {**points(COLOURS[0], "o"), "markersize": 6}
        axes.errorbar(places[shown], values[shown], yerr=bars, capsize=3, elinewidth=1, **look)
        axes.set_yscale("log")
        axes.set_ylim(at_least_a_decade(*axes.get_ylim()))
        plain_logarithm(axes.yaxis)
    else:
        no_data(axes)
    words = [name if there else f"{name}\n(none)" for name, there in zip(regions, shown, strict=True)]
    axes.set_xticks(places, words)
    axes.set_xlim(-0.6, max(len(regions), 1) - 0.4)
    axes.set_ylabel("Lateral diffusion coefficient (Å²/ps)")
    return figure_of([axes])


@styled
def composite_figure(share: Array, conductivity: Array) -> "Figure":
    """Draw the effective conductivity (mS/cm) of a composite against the volume share of the oxide, both (n,)."""
    (axes,) = panels_in_a_row(1, 4.0, 3.0)
    percent, values = 100 * np.asarray(share, dtype=float), np.asarray(conductivity, dtype=float)
    shown = np.isfinite(percent) & np.isfinite(values)
    if shown.any():
        order = np.argsort(percent[shown])
        x, y = percent[shown][order], values[shown][order]
        axes.plot(x, y, color=COLOURS[0], marker="o", markersize=4.5)
        best = int(np.argmax(y))
        axes.annotate(
            f"{y[best]:.3g} mS/cm at {x[best]:.3g} %",
            (float(x[best]), float(y[best])),
            textcoords="offset points",
            xytext=(0, 7),
            ha="left" if best < len(x) / 2 else "right",
        )
        axes.set_ylim(0, 1.15 * float(y.max()) or 1.0)
    else:
        no_data(axes)
    axes.set_xlabel("Volume share of ZrO$_2$ (%)")
    axes.set_ylabel("Effective conductivity (mS/cm)")
    return figure_of([axes])
