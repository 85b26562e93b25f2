"""What moves and where in one run: hops, density along the normal, net displacements, layers, glide, regions."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from lizrcl_flows.errors import InputError
from lizrcl_flows.science.analysis.findings import Finding, Options
from lizrcl_flows.science.analysis.layout import BULK, INTERFACE, Layout
from lizrcl_flows.science.analysis.run import RunData
from lizrcl_flows.science.motion.density import density_map
from lizrcl_flows.science.motion.displacement_classes import CLASSES, SETTLED_PS, classify, net_displacement
from lizrcl_flows.science.motion.glide import layer_glide
from lizrcl_flows.science.motion.hop_maps import hop_map
from lizrcl_flows.science.motion.hops import HopRates, hop_rates
from lizrcl_flows.science.motion.layers import find_layers, layer_populations
from lizrcl_flows.science.motion.regional_hops import regional_hops
from lizrcl_flows.science.motion.slab import fractional_heights, plane_vectors
from lizrcl_flows.science.transport.composite import CompositeCurve, coated_spheres_curve
from lizrcl_flows.science.transport.conductivity import conductivity
from lizrcl_flows.science.transport.regional import lateral_diffusion

_LOG = logging.getLogger(__name__)

Analysis = Callable[[RunData, Options, Layout], Finding]

PARTICLE_RADIUS_A = 40.0
"""Radius of the oxide particles of a composite (A), our choice: the study has slabs."""

HOPS = (
    "paper: displacement above threshold_a between frames lag_ps apart (arXiv:2601.22612); false: how many of these "
    "vibration in a cage gives by itself; counted: running median of five frames more than anchor_a from the last site"
)
DENSITY = "ions by height along the normal and time, bins as fractions of the cell times its mean height"
DISPLACEMENTS = (
    "net displacement of each ion from settled_after_ps to the end; z or xy where only that part reaches threshold_a, "
    "mixed by the larger part where both do, immobile where none does; single frames at both ends, as in the study"
)
LAYERS = "framework cations sorted into layers by gaps along the normal; each ion counts for the nearest layer"
GLIDE = "in-plane displacement of each layer's centre against the layer below, modulo the cell; a glide is held 50 ps"
REGIONAL = (
    "lateral diffusion: MSD in the plane of ions whose whole path stays in the region; interface: within width_a of a "
    "plane of outermost oxide layers; share and conductivity: finite volumes of a composite of oxide spheres with a "
    "shell like the interface in a matrix like the bulk"
)


def motion_findings(run: RunData, options: Options, layout: Layout) -> Iterator[Finding]:
    """Yield every analysis of motion; one that is not possible says why."""
    kinds: dict[str, tuple[str, Analysis]] = {
        "hops": (HOPS, hops_of),
        "density": (DENSITY, density_of),
        "displacements": (DISPLACEMENTS, displacements_of),
        "layers": (LAYERS, layers_of),
        "glide": (GLIDE, glide_of),
        "regional": (REGIONAL, regional_of),
    }
    for kind, (definition, analysis) in kinds.items():
        yield attempted(kind, definition, lambda analysis=analysis: analysis(run, options, layout))  # type: ignore[misc]


def attempted(kind: str, definition: str, analysis: Callable[[], Finding]) -> Finding:
    """Return what an analysis finds, or why it finds nothing."""
    try:
        return analysis()
    except InputError as error:
        _LOG.info("analysis not possible kind=%s reason=%s", kind, error)
        return Finding(kind, definition, 0, reason=str(error))


def hops_of(run: RunData, options: Options, layout: Layout) -> Finding:  # noqa: ARG001 - one form for all
    """Count hops, in all and along the normal."""
    rates = hop_rates(run.paths, run.dt_ps)
    results: dict[str, Any] = {
        "paper_per_ion_ns": rates.paper_per_ion_ns,
        "paper_std_per_ion_ns": rates.paper_std,
        "false_per_ion_ns": rates.false_per_ion_ns,
        "counted_per_ion_ns": rates.counted_per_ion_ns,
        "counted_std_per_ion_ns": rates.counted_std,
        "cage_sd_a": rates.cage_sd_a,
    }
    parameters = {"threshold_a": rates.threshold_a, "anchor_a": rates.anchor_a, "lag_ps": rates.lag_ps}
    if layout.near is not None:
        for name, inside in ((INTERFACE, layout.near), (BULK, ~layout.near)):
            results[name] = _hops_in(rates, inside)
    arrays, windows = _hop_arrays(run, rates, layout)
    return Finding("hops", HOPS, run.n_frames, {**parameters, **windows}, results, arrays)


def _hops_in(rates: HopRates, inside: Any) -> dict[str, float] | str:
    try:
        found = regional_hops(rates, inside)
    except InputError as error:
        return str(error)
    return {
        "paper_per_ion_ns": found.paper_per_ion_ns,
        "paper_std_per_ion_ns": found.paper_std,
        "false_per_ion_ns": found.false_per_ion_ns,
        "counted_per_ion_ns": found.counted_per_ion_ns,
        "counted_std_per_ion_ns": found.counted_std,
        "cage_sd_a": found.cage_sd_a,
    }


def _hop_arrays(run: RunData, rates: HopRates, layout: Layout) -> tuple[dict[str, Any], dict[str, float]]:
    """Return the map along the normal; the study's windows of 1 ns from 1 ns on where the run is long enough."""
    duration = run.n_frames * run.dt_ps
    window, since = (1000.0, 1000.0) if duration >= 2000 else (duration / 2, 0.0)
    n_bins = max(8, round(layout.height_a / 1.0))
    try:
        found = hop_map(rates, layout.fraction, layout.height_a, n_bins=n_bins, window_ps=window, since_ps=since)
    except InputError:
        return {}, {}
    arrays = {
        "times_ps": found.times_ps,
        "z_edges_a": found.z_edges_a,
        "paper": found.paper,
        "counted": found.counted,
        "paper_middle": found.paper_middle,
        "counted_middle": found.counted_middle,
        "occupancy": found.occupancy,
        "false_per_ion_ns": found.false_per_ion_ns,
    }
    return arrays, {"window_ps": window, "since_ps": since}


def density_of(run: RunData, options: Options, layout: Layout) -> Finding:  # noqa: ARG001
    """Map the density of ions along the normal against time."""
    window = max(run.dt_ps, run.n_frames * run.dt_ps / 200)
    n_bins = max(20, round(layout.height_a / 0.5))
    found = density_map(layout.fraction, layout.heights_a, layout.areas_a2, run.dt_ps, n_bins=n_bins, window_ps=window)
    arrays = {"times_ps": found.times_ps, "z_edges_a": found.z_edges_a, "density": found.density}
    results: dict[str, Any] = {"n_ions": run.n_ions, "height_a": layout.height_a}
    if layout.planes is not None:
        frames = np.minimum((found.times_ps / run.dt_ps).astype(int), run.n_frames - 1)
        arrays["planes_a"] = layout.planes[frames] * layout.height_a
        results["planes_mean_a"] = [float(value) for value in arrays["planes_a"].mean(axis=0)]
    return Finding("density", DENSITY, run.n_frames, {"axis": layout.axis, "window_ps": window}, results, arrays)


def displacements_of(run: RunData, options: Options, layout: Layout) -> Finding:
    """Sort the ions by the direction of their net displacement; short runs count it from a tenth of their length on."""
    duration = (run.n_frames - 1) * run.dt_ps
    settled = options.settled_after_ps if duration > 2 * options.settled_after_ps else duration / 10
    net = net_displacement(run.paths, run.dt_ps, settled)
    found = classify(net, layout.normal)
    start = min(round(settled / run.dt_ps), run.n_frames - 1)
    near = None if layout.near is None else layout.near[start]
    regions = layout.regions(near, run.n_ions)
    steady = classify(net_displacement(run.paths, run.dt_ps, settled, n_median=5), layout.normal)
    results: dict[str, Any] = {
        "shares": dict(zip(CLASSES, found.shares.tolist(), strict=True)),
        "shares_std": dict(zip(CLASSES, found.shares_std.tolist(), strict=True)),
        "shares_of_medians": dict(zip(CLASSES, steady.shares.tolist(), strict=True)),
    }
    for name in dict.fromkeys(regions.tolist()) if near is not None else ():
        part = classify(net, layout.normal, among=regions == name)
        results[f"shares_{name}"] = dict(zip(CLASSES, part.shares.tolist(), strict=True))
    arrays = {
        "xy_a": found.across_a,
        "z_a": found.along_a,
        "classes": np.array(CLASSES)[found.labels],
        "regions": regions,
    }
    parameters = {"settled_after_ps": settled, "threshold_a": 1.0, "study_settled_after_ps": SETTLED_PS}
    return Finding("displacements", DISPLACEMENTS, run.n_frames, parameters, results, arrays)


def framework_cations(run: RunData) -> Any:
    """Return the cations of the framework outside any oxide: those whose layers the ions lie between."""
    from lizrcl_flows.science.analysis.findings import anions

    mask = ~run.ions & ~run.of(*anions(run))
    if not mask.any():
        raise InputError("there are no framework cations that could make up layers")
    return mask


def layers_of(run: RunData, options: Options, layout: Layout) -> Finding:  # noqa: ARG001
    """Count ions by layers of the framework."""
    cations = framework_cations(run) & (True if layout.oxide is None else ~layout.oxide)
    centre = _centre(run, layout)
    heights = fractional_heights(run.samples[:1][:, cations], run.cells[run.sample_frames[:1]], layout.axis, centre)
    layers = find_layers(heights[0], layout.height_a)
    found = layer_populations(layout.fraction, layers.fraction, layout.height_a, run.dt_ps)
    step = max(1, run.n_frames // 500)
    results = {
        "n_layers": len(found.mean),
        "mean": found.mean.tolist(),
        "std": found.std.tolist(),
        "rich_to_poor": found.rich_to_poor,
        "rich_to_poor_std": found.rich_to_poor_std,
    }
    arrays = {
        "times_ps": found.times_ps[::step],
        "layer_z_a": found.layer_z_a,
        "population": found.population[::step],
    }
    return Finding("layers", LAYERS, run.n_frames, {"axis": layout.axis}, results, arrays)


def _centre(run: RunData, layout: Layout) -> Any:
    """Return the centre of the oxide in the first sample: what the ions' heights are counted from."""
    if layout.oxide is None:
        return 0.0
    raw = fractional_heights(run.paths[:1], run.cells[:1], layout.axis)
    return np.array([float((raw[0, 0] - layout.fraction[0, 0]) % 1.0)])


def glide_of(run: RunData, options: Options, layout: Layout) -> Finding:  # noqa: ARG001
    """Follow the framework's layers in their planes."""
    cations = framework_cations(run) & (True if layout.oxide is None else ~layout.oxide)
    cells = run.cells[run.sample_frames]
    heights = fractional_heights(run.samples[:1][:, cations], cells[:1], layout.axis)
    layers = find_layers(heights[0], layout.height_a)
    times = run.sample_frames * run.dt_ps
    found = layer_glide(
        run.samples[:, cations].astype(float), layers.index, plane_vectors(run.cells, layout.axis), times
    )
    events = [
        {"layer": event.layer, "time_ps": event.time_ps, "size_a": event.size_a, "vector_a": event.vector_a.tolist()}
        for event in found.events
    ]
    results = {"n_layers": len(layers.fraction), "events": events}
    arrays = {"times_ps": found.times_ps, "displacement_a": found.displacement_a}
    parameters = {"axis": layout.axis, "threshold_a": 1.0, "held_ps": 50.0}
    return Finding("glide", GLIDE, len(times), parameters, results, arrays)


def regional_of(run: RunData, options: Options, layout: Layout) -> Finding:
    """Measure lateral diffusion near interfaces and away from them."""
    if layout.near is None:
        raise InputError("there is no interface in this run, so its ions have one region only")
    names: list[str] = []
    values, stds, results = [], [], {}
    turned = run.paths @ _with_normal_last(layout.normal)
    for name, inside in ((INTERFACE, layout.near), (BULK, ~layout.near)):
        found = lateral_diffusion(turned, inside, run.dt_ps, 2, thickness_a=_thickness(name, options))
        names.append(name)
        values.append(np.nan if found.diffusivity is None else found.diffusivity)
        stds.append(np.nan if found.diffusivity_std is None else found.diffusivity_std)
        results[name] = {
            "status": found.status,
            "reason": found.reason,
            "diffusivity_a2_per_ps": found.diffusivity,
            "diffusivity_std_a2_per_ps": found.diffusivity_std,
            "from_region_a2_per_ps": found.from_region_diffusivity,
            "jump_bias": found.jump_bias,
            "exchange": found.exchange,
            "staying_share": found.staying_share,
            "mean_ions": found.mean_ions,
        }
    arrays = {"regions": np.array(names), "diffusivity": np.array(values), "diffusivity_std": np.array(stds)}
    parameters: dict[str, Any] = {"width_a": options.region_width_a}
    if options.temperature_k is not None and np.isfinite(values).all():
        curve = composite_of(run, options, layout, (values[1], values[0]))
        arrays |= {"share": curve.shares, "conductivity": curve.conductivities, "maxwell": np.asarray(curve.maxwell)}
        parameters |= {"particle_radius_a": PARTICLE_RADIUS_A, "shell_a": options.region_width_a}
    return Finding("regional", REGIONAL, run.n_frames, parameters, results, arrays)


def composite_of(run: RunData, options: Options, layout: Layout, diffusivities: tuple[float, float]) -> CompositeCurve:
    """Return the conductivity (mS/cm) of the chloride with insulating oxide particles against their volume share.

    The matrix conducts as the ions far from an interface, a shell around each particle as those near one, by the
    Nernst-Einstein relation with the mean density of ions outside the oxide.

    Parameters
    ----------
    diffusivities
        Of matrix and shell (A^2/ps).
    """
    oxide_share = 0.0
    if layout.planes is not None:
        low, high = (layout.planes[:, side] for side in (0, 1))
        oxide_share = float(((high - low) % 1.0).mean())
    volume = run.volume_a3 * max(1 - oxide_share, 1e-6)
    temperature = float(options.temperature_k or 0.0)
    matrix, shell = (
        conductivity(value, value, run.n_ions, volume, temperature, charge=options.charge).ms_per_cm
        for value in diffusivities
    )
    return coated_spheres_curve(
        np.linspace(0.0, 0.3, 7), PARTICLE_RADIUS_A, options.region_width_a, (matrix, shell, 0.0), 48, 2
    )


def _with_normal_last(normal: Any) -> Any:
    """Return a rotation of row vectors after which the normal is the third axis."""
    others = np.linalg.svd(np.asarray(normal)[None])[2][1:]
    return np.stack([others[0], others[1], normal], axis=1).astype(np.float32)


def _thickness(name: str, options: Options) -> float | None:
    """Return how thick a region is, where that is known (A): near an interface ions are on one side, mostly."""
    return options.region_width_a if name == INTERFACE else None
