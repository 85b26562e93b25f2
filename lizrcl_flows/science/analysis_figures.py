"""From the stored arrays of an analysis to its figures, each with a table of its numbers.

The names of the arrays stand at the top of `production_figures`, `transport_figures`, `slab_figures` and
`structure_figures`.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.science import production_figures, slab_figures, structure_figures, transport_figures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Arrays = Mapping[str, Array]
Table = dict[str, Any]
"""Columns of numbers or words by their name, which ends with the unit; shorter columns end with blanks."""

KEYS: dict[str, tuple[str, ...]] = {
    **production_figures.KEYS,
    **transport_figures.KEYS,
    **slab_figures.KEYS,
    **structure_figures.KEYS,
}
"""Arrays that a figure cannot do without, by the kind of the analysis, in the order of a report."""


@dataclass(frozen=True)
class Drawn:
    """A figure with its numbers.

    Attributes
    ----------
    name
        For files, such as ``density``.
    caption
        What it shows, in one sentence.
    figure
        Matplotlib's.
    table
        Its numbers.
    """

    name: str
    caption: str
    figure: "Figure"
    table: Table


Draw = Callable[[Arrays, Mapping[str, Any]], Iterator[Drawn]]


def missing_arrays(kind: str, names: "set[str] | frozenset[str]") -> list[str]:
    """Return the arrays that the figure of this kind needs and that are not among the names."""
    return [name for name in KEYS.get(kind, ()) if name not in names]


def draw_analysis(kind: str, arrays: Arrays, parameters: Mapping[str, Any]) -> list[Drawn]:
    """Draw one analysis.

    Parameters
    ----------
    kind
        As of a document `Analysis`.
    arrays
        What is stored with it; all of `KEYS` of this kind.
    parameters
        Those of the document; some are drawn as lines.

    Returns
    -------
    list of Drawn
        Empty for a kind that has no figure.
    """
    return list(_DRAW[kind](arrays, parameters)) if kind in _DRAW else []


def _words(values: Array) -> list[str]:
    return [str(value) for value in np.asarray(values).ravel()]


def _thermo(arrays: Arrays, _: Mapping[str, Any]) -> Iterator[Drawn]:
    table = {name: arrays[name] for name in KEYS["thermo"]}
    figure = production_figures.thermo_figure(*table.values())
    yield Drawn("thermo", "Temperature, volume and energy along the run", figure, table)


def _eps(arrays: Arrays, parameters: Mapping[str, Any]) -> Iterator[Drawn]:
    bound = parameters.get("eps_lo_ev_per_a", parameters.get("eps_lo"))
    figure = production_figures.eps_along_run_figure(
        arrays["times_ps"], arrays["eps"], None if bound is None else float(bound)
    )
    table = {"time_ps": arrays["times_ps"], "eps_ev_per_a": arrays["eps"]}
    yield Drawn(
        "eps_along_run", "Deviation of the committee along the run: does it still know the frames", figure, table
    )


def _residence(arrays: Arrays, _: Mapping[str, Any]) -> Iterator[Drawn]:
    survival = dict(zip(_words(arrays["classes"]), np.atleast_2d(arrays["survival"]), strict=True))
    tau = dict(zip(survival, map(float, arrays["tau_ps"]), strict=True)) if "tau_ps" in arrays else None
    figure = production_figures.residence_figure(arrays["t_ps"], survival, tau)
    yield Drawn(
        "residence", "Share of the ions that is still where it was", figure, {"t_ps": arrays["t_ps"], **survival}
    )


def _regional(arrays: Arrays, _: Mapping[str, Any]) -> Iterator[Drawn]:
    regions, values, stds = (arrays[name] for name in KEYS["regional"])
    table = {"region": _words(regions), "diffusivity_a2_per_ps": values, "diffusivity_std_a2_per_ps": stds}
    caption = "Lateral diffusion coefficient of the ions whose whole path stays in the region"
    yield Drawn("regional", caption, transport_figures.regional_figure(_words(regions), values, stds), table)
    if "share" in arrays and "conductivity" in arrays:
        share, conductivity = arrays["share"], arrays["conductivity"]
        figure = transport_figures.composite_figure(share, conductivity)
        caption = "Effective conductivity of a composite with these regions against the share of the oxide"
        yield Drawn("composite", caption, figure, {"share": share, "conductivity_ms_per_cm": conductivity})


def _density(arrays: Arrays, _: Mapping[str, Any]) -> Iterator[Drawn]:
    times, edges, density = (np.asarray(arrays[name]) for name in KEYS["density"])
    figure = slab_figures.density_map_figure(times, edges, density, arrays.get("planes_a"))
    table = {
        "time_ps": np.repeat(times, len(edges) - 1),
        "z_low_a": np.tile(edges[:-1], len(times)),
        "z_high_a": np.tile(edges[1:], len(times)),
        "density_per_a3": density.ravel(),
    }
    yield Drawn("density", "Number density of the ions along the normal against time", figure, table)


def _hops(arrays: Arrays, _: Mapping[str, Any]) -> Iterator[Drawn]:
    times, edges, paper, counted, occupancy, false = (np.asarray(arrays[name]) for name in KEYS["hops"])
    windows, bins = len(times) - 1, len(edges) - 1
    table = {
        "from_ps": np.repeat(times[:-1], bins),
        "to_ps": np.repeat(times[1:], bins),
        "z_low_a": np.tile(edges[:-1], windows),
        "z_high_a": np.tile(edges[1:], windows),
        "hops_study_rule": paper.ravel(),
        "hops_running_median": counted.ravel(),
        "ions": occupancy.ravel(),
        "false_per_ion_ns": np.tile(false, windows),
    }
    caption = "Hops by the study's rule and by the running-median counter, with what vibration alone makes of the first"
    figure = slab_figures.hop_map_figure(times, edges, paper, counted, occupancy, false)
    yield Drawn("hop_map", caption, figure, table)


def _coordination(arrays: Arrays, _: Mapping[str, Any]) -> Iterator[Drawn]:
    numbers = dict(zip(_words(arrays["pairs"]), np.atleast_2d(arrays["cn"]), strict=True))
    figure = slab_figures.coordination_profile_figure(arrays["z_a"], numbers, arrays.get("planes_a"))
    table = {"z_a": arrays["z_a"], **{f"cn {name}": row for name, row in numbers.items()}}
    yield Drawn("coordination", "Coordination numbers along the normal", figure, table)


def _layers(arrays: Arrays, _: Mapping[str, Any]) -> Iterator[Drawn]:
    times, heights, population = (np.asarray(arrays[name]) for name in KEYS["layers"])
    figure = slab_figures.layer_population_figure(times, heights, population)
    rows = {f"ions at {height:.2f} A": row for height, row in zip(heights, population.T, strict=True)}
    yield Drawn("layers", "Ions in each layer along the run and on average", figure, {"time_ps": times, **rows})


def _glide(arrays: Arrays, parameters: Mapping[str, Any]) -> Iterator[Drawn]:
    times, moved = np.asarray(arrays["times_ps"]), np.atleast_2d(arrays["displacement_a"])
    expected = float(parameters.get("expected_a", slab_figures.GLIDE_A))
    rows = {f"layer {place + 1} (A)": row for place, row in enumerate(moved.T)}
    figure = slab_figures.glide_figure(times, moved, expected)
    yield Drawn("glide", "Glide of each layer against the one below it", figure, {"time_ps": times, **rows})


def _rdf(arrays: Arrays, _: Mapping[str, Any]) -> Iterator[Drawn]:
    distance, names = arrays["r_a"], _words(arrays["pairs"])
    curves = dict(
        zip(names, zip(np.atleast_2d(arrays["g"]), np.atleast_2d(arrays["running"]), strict=True), strict=True)
    )
    table: Table = {"r_a": distance}
    for name, (g, running) in curves.items():
        table |= {f"g {name}": g, f"neighbours {name}": running}
    figure = structure_figures.rdf_figure({name: (distance, *rows) for name, rows in curves.items()})
    yield Drawn("rdf", "Pair distribution functions, and the neighbours within r", figure, table)


def _displacements(arrays: Arrays, _: Mapping[str, Any]) -> Iterator[Drawn]:
    classes, regions = _words(arrays["classes"]), _words(arrays["regions"])
    counts = {
        region: dict(Counter(name for name, place in zip(classes, regions, strict=True) if place == region))
        for region in sorted(set(regions))
    }
    figure = structure_figures.displacement_classes_figure(arrays["xy_a"], arrays["z_a"], classes, counts)
    table = {"xy_a": arrays["xy_a"], "z_a": arrays["z_a"], "class": classes, "region": regions}
    yield Drawn("displacements", "Net displacement of each ion and its class, by region", figure, table)


def _polyhedra(arrays: Arrays, _: Mapping[str, Any]) -> Iterator[Drawn]:
    volume, csm, cn = (arrays[name] for name in ("volume_a3", "csm", "cn"))
    regions = _words(arrays["regions"])
    figure = structure_figures.csm_volume_figure(volume, csm, cn, regions)
    table = {"volume_a3": volume, "csm": csm, "cn": cn, "region": regions}
    yield Drawn("polyhedra", "Shape of the ions' polyhedra (0 is perfect) against their volume", figure, table)


def _chains(arrays: Arrays, _: Mapping[str, Any]) -> Iterator[Drawn]:
    sizes, counts = arrays["sizes"], arrays["counts"]
    table = {"polyhedra": sizes, "fragments_per_frame": counts}
    yield Drawn("chains", "Fragments of connected polyhedra", structure_figures.chain_figure(sizes, counts), table)


def _environments(arrays: Arrays, _: Mapping[str, Any]) -> Iterator[Drawn]:
    xy, regions = np.asarray(arrays["xy"]), _words(arrays["regions"])
    figure = structure_figures.environment_map_figure(xy, regions)
    table = {"x": xy[:, 0], "y": xy[:, 1], "region": regions}
    yield Drawn("environments", "t-SNE of the NEP descriptors of the ions, by region", figure, table)


_DRAW: dict[str, Draw] = {
    "thermo": _thermo,
    "eps": _eps,
    "residence": _residence,
    "regional": _regional,
    "density": _density,
    "hops": _hops,
    "coordination": _coordination,
    "layers": _layers,
    "glide": _glide,
    "rdf": _rdf,
    "displacements": _displacements,
    "polyhedra": _polyhedra,
    "chains": _chains,
    "environments": _environments,
}
