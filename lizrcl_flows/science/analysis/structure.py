"""The structure in one run: distribution functions, coordination, polyhedra, fragments, residence, environments."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from lizrcl_flows.errors import InputError
from lizrcl_flows.science.analysis.findings import Finding, Options, anions, last_samples
from lizrcl_flows.science.analysis.layout import Layout
from lizrcl_flows.science.analysis.motion import attempted, framework_cations
from lizrcl_flows.science.analysis.run import RunData
from lizrcl_flows.science.local_order.chains import chain_fragments
from lizrcl_flows.science.local_order.coordination import Along, coordination, coordination_profile
from lizrcl_flows.science.local_order.csm import REGULAR
from lizrcl_flows.science.local_order.polyhedra import ion_polyhedra
from lizrcl_flows.science.local_order.rdf import radial_distribution
from lizrcl_flows.science.local_order.residence import contacts_within, residence
from lizrcl_flows.science.motion.environment_map import environment_map, neighbour_purity

N_RDF_FRAMES = 50
N_POLYHEDRA_FRAMES = 20
N_MAP_FRAMES = 10
N_CHAIN_FRAMES = 10
R_MAX_A = 10.0
SHELL_A = 4.5
"""Radius of the shell of ions around a framework cation (A), where the distribution function shows no end of it."""

MOST_ENVIRONMENTS = 800
CATION_ANION_A = 3.2
"""Distance up to which an anion belongs to a framework cation (A): Zr-Cl is 2.5, Zr-O 2.1, the next shell 4."""

RDF = "g(r) averaged over frames spread over the run; running coordination number; first minimum after the first peak"
COORDINATION = "anions within cutoff_a of each ion, averaged over the last part of the run, and by height"
POLYHEDRA = (
    "anions within cutoff_a of each ion: continuous symmetry measure (0 perfect, centre included, smallest over the "
    "shapes of that number of ligands) and volume of the ligands' hull, in frames spread over the run"
)
CHAINS = "framework cations that share an anion within cutoff_a are connected; fragments are what hangs together"
RESIDENCE = (
    "share of ions that are still within cutoff_a of a framework cation after a time, over all time origins: without "
    "ever having left; residence time by an exponential, ions that never leave taken into account"
)
ENVIRONMENTS = "t-SNE of standardised NEP descriptors of the ions, in frames spread over the run"


def structure_findings(run: RunData, options: Options, layout: Layout, model: Path | None) -> Iterator[Finding]:
    """Yield every analysis of structure; one that is not possible says why."""
    yield attempted("rdf", RDF, lambda: rdf_of(run))
    yield attempted("coordination", COORDINATION, lambda: coordination_of(run, options, layout))
    yield attempted("polyhedra", POLYHEDRA, lambda: polyhedra_of(run, options, layout))
    yield attempted("chains", CHAINS, lambda: chains_of(run))
    yield attempted("residence", RESIDENCE, lambda: residence_of(run))
    if model is not None:
        yield attempted("environments", ENVIRONMENTS, lambda: environments_of(run, layout, model))


def _ligands(run: RunData) -> dict[str, Any]:
    """Return which atoms are anions, by element."""
    found = {symbol: run.of(symbol) for symbol in anions(run)}
    if not found:
        raise InputError(f"there are no anions around {run.ion} in this run, so there are no shells to describe")
    return found


def _spread(run: RunData, n: int) -> Any:
    """Return which of the whole frames to look at: some, spread over the run."""
    return np.unique(np.linspace(0, len(run.samples) - 1, min(n, len(run.samples))).round().astype(int))


def rdf_of(run: RunData) -> Finding:
    """Average the distribution functions of the ion with every species."""
    chosen = _spread(run, N_RDF_FRAMES)
    cells = run.cells[run.sample_frames[chosen]]
    names, g, running, results, r_a = [], [], [], {}, np.zeros(0)
    for symbol in dict.fromkeys(run.species):
        found = radial_distribution(run.samples[chosen], cells, run.ions, run.of(symbol), R_MAX_A)
        name = f"{run.ion}-{symbol}"
        names.append(name)
        g.append(found.g)
        running.append(found.running_cn)
        r_a = found.r_a
        results[name] = {
            "first_minimum_a": found.first_minimum_a,
            "first_shell_cn": found.first_shell_cn,
            "cn_to_3.5_a": found.study_cutoff_cn,
        }
    arrays = {"r_a": r_a, "pairs": np.array(names), "g": np.array(g), "running": np.array(running)}
    return Finding("rdf", RDF, len(chosen), {"r_max_a": R_MAX_A, "n_frames": len(chosen)}, results, arrays)


def coordination_of(run: RunData, options: Options, layout: Layout) -> Finding:
    """Average coordination numbers over the end of the run, in all, by region and by height."""
    late = last_samples(run, options.last_ps)
    frames = run.sample_frames[late]
    cells, samples, ligands = run.cells[frames], run.samples[late], _ligands(run)
    along = Along(layout.axis, max(10, round(layout.height_a)), _reference(run, layout, frames))
    found = coordination_profile(samples, cells, run.ions, ligands, options.cutoff_a, along)
    results: dict[str, Any] = {}
    for symbol, atoms in ligands.items():
        pairs = zip(samples, cells, strict=True)
        counts = np.array([coordination(frame, cell, run.ions, atoms, options.cutoff_a) for frame, cell in pairs])
        results[f"{run.ion}-{symbol}"] = float(counts.mean())
        if layout.near is not None:
            near = layout.near[frames]
            results[f"{run.ion}-{symbol}_interface"] = float(counts[near].mean()) if near.any() else None
            results[f"{run.ion}-{symbol}_bulk"] = float(counts[~near].mean()) if (~near).any() else None
    edges = found.z_edges_a
    arrays = {
        "z_a": (edges[1:] + edges[:-1]) / 2,
        "pairs": np.array([f"{run.ion}-{symbol}" for symbol in ligands]),
        "cn": np.array([found.mean_cn[symbol] for symbol in ligands]),
    }
    if layout.planes is not None:
        arrays["planes_a"] = np.sort(layout.planes[frames].mean(axis=0) * layout.height_a)
    parameters = {"cutoff_a": options.cutoff_a, "last_ps": options.last_ps, "axis": layout.axis}
    return Finding("coordination", COORDINATION, len(late), parameters, results, arrays)


def _reference(run: RunData, layout: Layout, frames: Any) -> Any:
    """Return the fractional height that is zero in each of these frames: the centre of the oxide, if there is one."""
    if layout.oxide is None:
        return 0.0
    raw = np.einsum("ti,tij->tj", run.paths[frames, 0].astype(float), np.linalg.inv(run.cells[frames]))[:, layout.axis]
    return (raw - layout.fraction[frames, 0]) % 1.0


def polyhedra_of(run: RunData, options: Options, layout: Layout) -> Finding:
    """Measure the shells of the ions, bulk and interface apart."""
    chosen = _spread(run, N_POLYHEDRA_FRAMES)
    ligands = np.any(list(_ligands(run).values()), axis=0)
    parts = []
    regions = []
    for index in chosen:
        frame = int(run.sample_frames[index])
        parts.append(ion_polyhedra(run.samples[index], run.cells[frame], run.ions, ligands, options.cutoff_a))
        regions.append(layout.regions(None if layout.near is None else layout.near[frame], run.n_ions))
    arrays = {
        "volume_a3": np.concatenate([part.volume_a3 for part in parts]),
        "csm": np.concatenate([part.csm for part in parts]),
        "cn": np.concatenate([part.cn for part in parts]),
        "csm_regular": np.concatenate([part.csm_regular for part in parts]),
        "regions": np.concatenate(regions),
    }
    results: dict[str, Any] = {"too_few_ligands_share": float((arrays["cn"] < 4).mean())}
    for number in (4, 5, 6):
        of = arrays["cn"] == number
        if of.any():
            results[f"cn{number}"] = {
                "share": float(of.mean()),
                "volume_median_a3": float(np.nanmedian(arrays["volume_a3"][of])),
                "csm_median": float(np.nanmedian(arrays["csm"][of])),
                f"csm_{REGULAR[number].replace(':', '')}_median": float(np.nanmedian(arrays["csm_regular"][of])),
            }
    parameters = {"cutoff_a": options.cutoff_a, "n_frames": len(chosen)}
    return Finding("polyhedra", POLYHEDRA, len(chosen), parameters, results, arrays)


def chains_of(run: RunData) -> Finding:
    """Average the sizes of connected fragments of framework polyhedra."""
    chosen = _spread(run, N_CHAIN_FRAMES)
    cations = framework_cations(run)
    ligands = np.any(list(_ligands(run).values()), axis=0)
    totals: dict[int, float] = {}
    shared = {"corner": 0.0, "edge": 0.0, "face": 0.0}
    for index in chosen:
        found = chain_fragments(
            run.samples[index], run.cells[run.sample_frames[index]], cations, ligands, CATION_ANION_A
        )
        for size, count in zip(found.sizes, found.counts, strict=True):
            totals[int(size)] = totals.get(int(size), 0.0) + float(count) / len(chosen)
        for name in shared:
            shared[name] += float(getattr(found, name)) / len(chosen)
    sizes = sorted(totals)
    n_cations = int(cations.sum())
    alone = totals.get(1, 0.0) / n_cations
    results = {
        "isolated_share": alone,
        "largest": max(sizes),
        **{f"{name}_sharing_pairs": n for name, n in shared.items()},
    }
    arrays = {"sizes": np.array(sizes), "counts": np.array([totals[size] for size in sizes])}
    parameters = {"cutoff_a": CATION_ANION_A, "n_frames": len(chosen)}
    return Finding("chains", CHAINS, len(chosen), parameters, results, arrays)


def residence_of(run: RunData) -> Finding:
    """Follow how long ions stay in the shells of framework cations, those with and without oxygen ligands apart."""
    if len(run.samples) < 20:
        raise InputError(f"{len(run.samples)} whole frames are too few to see ions come and go: at least 20 are needed")
    cells = run.cells[run.sample_frames]
    cations = np.flatnonzero(framework_cations(run))
    chosen = _spread(run, N_RDF_FRAMES)
    shell = radial_distribution(run.samples[chosen], cells[chosen], run.ions, cations, R_MAX_A).first_minimum_a
    cutoff = SHELL_A if shell is None else shell
    contacts = contacts_within(run.samples[:, run.ions], run.samples[:, cations], cells, cutoff)
    dt_ps = float(np.diff(run.sample_frames).min()) * run.dt_ps
    survival = {}
    results: dict[str, Any] = {}
    for name, centres in _classes(run, cations).items():
        try:
            found = residence(contacts.of(centres=centres), dt_ps, gap_ps=dt_ps)
        except InputError as error:
            results[name] = {"reason": str(error)}
            continue
        survival[name] = found
        results[name] = {
            "tau_ps": found.tau_ps,
            "tau_std_ps": found.tau_std_ps,
            "tau_at_least_ps": found.tau_at_least_ps,
            "ions_in_shell": found.mean_occupancy,
        }
    if not survival:
        raise InputError("no ion is ever in the shell of a framework cation")
    arrays = {
        "t_ps": next(iter(survival.values())).times_ps,
        "classes": np.array(list(survival)),
        "survival": np.array([found.continuous for found in survival.values()]),
        "intermittent": np.array([found.intermittent for found in survival.values()]),
        "tau_ps": np.array([np.nan if found.tau_ps is None else found.tau_ps for found in survival.values()]),
    }
    parameters = {"cutoff_a": cutoff, "dt_ps": dt_ps, "gap_ps": dt_ps}
    return Finding("residence", RESIDENCE, len(run.samples), parameters, results, arrays)


def _classes(run: RunData, cations: Any) -> dict[str, Any]:
    """Return the framework cations by element, those with an oxygen ligand in the first frame apart."""
    species = np.array(run.species)[cations]
    oxidic = np.zeros(len(cations), dtype=bool)
    if "O" in run.species and set(anions(run)) != {"O"}:
        oxygen = coordination(run.samples[0], run.cells[run.sample_frames[0]], cations, run.of("O"), CATION_ANION_A)
        oxidic = oxygen > 0
    found = {}
    for symbol in dict.fromkeys(species.tolist()):
        found[symbol] = (species == symbol) & ~oxidic
        found[f"{symbol} with O"] = (species == symbol) & oxidic
    return {name: mask for name, mask in found.items() if mask.any()}


def environments_of(run: RunData, layout: Layout, model: Path) -> Finding:
    """Place the environments of ions on a map."""
    from lizrcl_flows.nep import Committee
    from lizrcl_flows.nep.frames import Frame

    chosen = _spread(run, N_MAP_FRAMES)
    committee = Committee.from_files([model])
    rows, regions = [], []
    for index in chosen:
        frame = int(run.sample_frames[index])
        described = committee.descriptors(Frame(run.species, run.cells[frame], run.samples[index].astype(float)))
        rows.append(described[run.ions])
        regions.append(layout.regions(None if layout.near is None else layout.near[frame], run.n_ions))
    found = environment_map(np.concatenate(rows), most=MOST_ENVIRONMENTS)
    labels = np.concatenate(regions)[found.kept]
    results: dict[str, Any] = {"n_environments": len(labels)}
    if layout.near is not None:
        results["neighbour_purity"] = neighbour_purity(found.embedding, labels)
    parameters = {**found.parameters, "n_frames": len(chosen)}
    arrays = {"xy": found.embedding, "regions": labels}
    return Finding("environments", ENVIRONMENTS, len(chosen), parameters, results, arrays)
