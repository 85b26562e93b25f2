"""Figures of what happens along a production run: its health, the deviation of the committee, residence.

Every function takes arrays and returns a matplotlib ``Figure``; what is empty or not finite is left out, never an
error. Where a figure is drawn from a stored analysis, these are the names in its file of arrays (npz) by its kind:

========== ============================== ========================================================================
kind       array                          what
========== ============================== ========================================================================
thermo     time_ps (T,)                   time of each row
thermo     temperature_k (T,)             kinetic temperature
thermo     volume_a3 (T,)                 volume of the cell
thermo     energy_ev_per_atom (T,)        total energy; for NPT the potential energy may stand here
eps        times_ps (T,)                  time of each frame that the committee checked
eps        eps (T,)                       committee deviation, eV/A; ``parameters["eps_lo"]`` is drawn as a line
residence  t_ps (L,)                      lags
residence  classes (C,) of str            what the ions stay at
residence  survival (C, L)                share that is still there
residence  tau_ps (C,)                    optional: residence times, for the legend
========== ============================== ========================================================================
"""

from collections.abc import Mapping
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np

from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.science.figure_style import (
    COLOURS,
    DASHES,
    GREY,
    at_least_a_decade,
    figure_of,
    legend_above,
    no_data,
    number,
    panels_in_a_row,
    plain_logarithm,
    styled,
    time_scale,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KEYS: dict[str, tuple[str, ...]] = {
    "thermo": ("time_ps", "temperature_k", "volume_a3", "energy_ev_per_atom"),
    "eps": ("times_ps", "eps"),
    "residence": ("t_ps", "classes", "survival"),
}
"""Arrays that a figure cannot do without, by the kind of the analysis."""


@styled
def thermo_figure(time_ps: Array, temperature_k: Array, volume_a3: Array, energy_ev_per_atom: Array) -> "Figure":
    """Draw temperature (K), volume (A^3) and energy (eV/atom) along a run, each of shape (T,)."""
    panels = panels_in_a_row(3, width=3.1, height=2.6)
    scale, unit = time_scale(time_ps)
    times = scale * np.asarray(time_ps, dtype=float)
    energy = np.asarray(energy_ev_per_atom, dtype=float)
    mean_energy = float(energy[np.isfinite(energy)].mean()) if np.isfinite(energy).any() else 0.0
    rows = (
        ("Temperature (K)", np.asarray(temperature_k, dtype=float), "K"),
        ("Volume (Å³)", np.asarray(volume_a3, dtype=float), "Å³"),
        ("Energy (meV/atom)", 1000 * (energy - mean_energy), ""),
    )
    for axes, (label, values, of), colour in zip(panels, rows, COLOURS, strict=False):
        if np.isfinite(values).any():
            title = f"mean {np.nanmean(values):.6g} {of}" if of else f"relative to {number(mean_energy, 4)} eV/atom"
            axes.plot(times, values, color=colour, linewidth=0.8)
            axes.set_title(title, loc="left")
        else:
            no_data(axes)
        axes.ticklabel_format(useOffset=False, style="plain", axis="y")
        axes.set_xlabel(f"Time ({unit})")
        axes.set_ylabel(label)
    return figure_of(panels)


@styled
def eps_along_run_figure(times_ps: Array, eps: Array, eps_lo: float | None = None) -> "Figure":
    """Draw the committee deviation (eV/A) along a run, and the bound above which a frame was not learnt."""
    (axes,) = panels_in_a_row(1, 4.8, 2.8)
    scale, unit = time_scale(times_ps)
    times, values = scale * np.asarray(times_ps, dtype=float), np.asarray(eps, dtype=float)
    shown = np.isfinite(values) & (values > 0)
    if shown.any():
        axes.plot(times[shown], values[shown], color=COLOURS[0], marker=".", markersize=3, linewidth=0.6)
        axes.set_yscale("log")
        low, high = axes.get_ylim()
        if eps_lo is not None:
            low, high = min(low, 0.7 * eps_lo), max(high, 1.4 * eps_lo)
        axes.set_ylim(at_least_a_decade(low, high))
        plain_logarithm(axes.yaxis)
    else:
        no_data(axes)
    if eps_lo is not None:
        share = 100 * float(np.mean(values[shown] >= eps_lo)) if shown.any() else 0.0
        label = f"eps_lo = {eps_lo:g} eV/Å: {share:.3g} % of {int(shown.sum())} frames at or above"
        axes.axhline(eps_lo, color=COLOURS[1], linewidth=1, linestyle=DASHES[0], label=label)
        legend_above(axes, "")
    axes.set_xlabel(f"Time ({unit})")
    axes.set_ylabel("Committee deviation eps (eV/Å)")
    return figure_of([axes])


@styled
def residence_figure(t_ps: Array, survival: Mapping[str, Array], tau_ps: Mapping[str, float] | None = None) -> "Figure":
    """Draw the share of ions that is still where it was, by what they stay at, with the line at 1/e.

    Parameters
    ----------
    t_ps
        Lags, shape (L,).
    survival
        Shape (L,) of each class.
    tau_ps
        Residence times, for the legend.
    """
    (axes,) = panels_in_a_row(1, 4.6, 3.0 + 0.15 * len(survival))
    scale, unit = time_scale(t_ps)
    times = scale * np.asarray(t_ps, dtype=float)
    for (name, share), colour, dashes in zip(survival.items(), cycle(COLOURS), cycle(("-", *DASHES)), strict=False):
        values = np.asarray(share, dtype=float)
        tau = (tau_ps or {}).get(name, np.nan)
        label = f"{name}: {tau:.3g} ps" if np.isfinite(tau) else name
        axes.plot(times, np.where(values > 0, values, np.nan), color=colour, linestyle=dashes, label=label)
    axes.axhline(1 / np.e, color=GREY, linewidth=0.8, linestyle=DASHES[1], zorder=0)
    axes.annotate("1/e", (1, 1 / np.e), xycoords=("axes fraction", "data"), xytext=(3, -3), textcoords="offset points")
    axes.set_ylim(0, 1.03)
    axes.set_xlim(left=0)
    axes.set_xlabel(f"Time ({unit})")
    axes.set_ylabel("Share still there")
    if survival:
        legend_above(axes, "Residence times" if tau_ps else "")
    else:
        no_data(axes)
    return figure_of([axes])
