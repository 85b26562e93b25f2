"""What a report shows of production runs: transport and analyses in words, and their figures from the archive."""

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lizrcl_flows.cli.output import number, text
from lizrcl_flows.cli.report_parts import Section, Shown
from lizrcl_flows.flows.coefficients import transports_of
from lizrcl_flows.science.coefficient_words import CM2_PER_S, coefficient_sentence

if TYPE_CHECKING:
    from lizrcl_flows.archive import Archive
    from lizrcl_flows.documents import Analysis, Trajectory, Transport

ANALYSIS_HEADER = ("analysis", "results", "definition", "parameters", "document")
COEFFICIENT_HEADER = (
    *("", "T\nK", "protocol", "D\nA^2/ps", "D\ncm^2/s", "D along x, y, z\nA^2/ps", "Haven\nratio"),
    *("outside\nthe trained\ndomain", "status", "document"),
)
MOST_SENTENCES = 3
"""Coefficients that are told in a sentence each; where there are more, the table is enough."""

PAPER_PROTOCOL = "paper"


def trajectory_facts(trajectory: "Trajectory") -> tuple[str, ...]:
    """Return what a run is, in a few lines."""
    duration = trajectory.steps * trajectory.time_step_fs / 1000
    every = trajectory.sample_every * trajectory.time_step_fs / 1000
    pressure = "" if trajectory.pressure_gpa is None else f" and {number(trajectory.pressure_gpa)} GPa"
    health = trajectory.health
    drives = trajectory.committee or trajectory.level
    origin = f"campaign {trajectory.campaign or 'none'}, generation {text(trajectory.generation)}"
    condition = f"{trajectory.ensemble.upper()} at {trajectory.temperature_k:g} K{pressure}"
    length = f"{number(duration)} ps in steps of {trajectory.time_step_fs:g} fs"
    return (
        f"id `{trajectory.id}`, {trajectory.purpose}, {origin}",
        f"{trajectory.n_atoms} atoms ({trajectory.formula}), {_place(trajectory)}, from `{trajectory.structure}`",
        f"{condition}: {length}, {trajectory.n_frames} frames every {number(every)} ps",
        f"driven by `{drives}` with {trajectory.engine}, {trajectory.core_hours:.2f} core hours",
        f"health: {health.status.replace('_', ' ')}{f', {health.reason}' if health.reason else ''}",
    )


def _place(trajectory: "Trajectory") -> str:
    return " ".join(dict.fromkeys(name for name in (trajectory.phase, trajectory.region) if name)) or "no phase"


def trajectory_sections(archive: "Archive", trajectory: "Trajectory") -> list[Section]:
    """Return the sections of the report of one run: its transport, its structure and motion."""
    transports = transports_of(archive, [trajectory.id])
    first = transport_section("Transport", transports, displacements_shown(transports))
    analyses = analyses_of(archive, trajectory)
    if not analyses:
        return [first, Section("Structure and motion", ("No analysis of this run is stored.",))]
    return [first, _analysis_section(archive, analyses, "Structure and motion", ())]


def run_section(archive: "Archive", trajectory: "Trajectory") -> Section | None:
    """Return a run of a campaign as one section, or None where nothing of it was analysed."""
    analyses = analyses_of(archive, trajectory)
    transports = transports_of(archive, [trajectory.id])
    displacements = [entry for entry in transports if entry.msd_xyz_a2 is not None]
    if not analyses and not displacements:
        return None
    title = f"{_place(trajectory)} at {trajectory.temperature_k:g} K, run {trajectory.id}"
    section = _analysis_section(archive, analyses, title, trajectory_facts(trajectory)[1:])
    drawn = _named(f"{trajectory.id}_", figures_of_trajectory(archive, trajectory))
    return Section(section.title, section.lines, section.header, section.rows, shown=drawn)


def figures_of_trajectory(archive: "Archive", trajectory: "Trajectory") -> Iterator[Shown]:
    """Yield the figures of everything that is stored about a run, each with its numbers and the ids behind it."""
    yield from displacements_shown(transports_of(archive, [trajectory.id]))
    yield from analyses_shown(archive, analyses_of(archive, trajectory))


def transport_section(title: str, transports: "Sequence[Transport]", shown: Iterable[Shown]) -> Section:
    """Return what was measured as a table of coefficients, with sentences on those of our estimator and on laws."""
    if not transports:
        return Section(title, ("No transport coefficient is stored.",))
    measured = [entry for entry in transports if entry.kind == "diffusion"]
    few = sum(entry.protocol != PAPER_PROTOCOL for entry in measured) <= MOST_SENTENCES
    lines = tuple(
        f"{coefficient_sentence(entry)}{_details(entry)}; `{entry.id}`"
        for entry in transports
        if entry.kind != "diffusion" or (entry.protocol != PAPER_PROTOCOL and (few or entry.status != "resolved"))
    )
    rows = tuple(_coefficient_row(entry) for entry in sorted(measured, key=_place_and_temperature))
    note = (
        "The uncertainty is that of sampling, the potential's error comes on top; "
        f"of protocol {PAPER_PROTOCOL} +- is the study's spread over correlated lags, not an uncertainty. "
        f"`lizrcl lineage {transports[0].id}` leads from this number back to every label."
    )
    return Section(title, lines, COEFFICIENT_HEADER, rows, note, shown)


def _coefficient_row(entry: "Transport") -> tuple[str, ...]:
    value, spread = entry.diffusivity, entry.diffusivity_std
    told = text(None)
    if value is not None:
        told = number(value, 3) if spread is None else f"{number(value, 3)} +- {number(spread, 2)}"
    elif entry.diffusivity_upper_bound is not None:
        told = f"< {number(entry.diffusivity_upper_bound, 2)}"
    per_second = text(None) if value is None else f"{value * CM2_PER_S:.2e}"
    where = " ".join(dict.fromkeys(name for name in (entry.phase, entry.region) if name)) or "the cell"
    axes = entry.diffusivity_xyz if entry.diffusivity_xyz is not None and value is not None else None
    return (
        *(f"{entry.species} in {where}", f"{entry.temperature_k:g}", entry.protocol, told, per_second),
        text(None) if axes is None else ", ".join(number(part, 3) for part in axes),
        number(entry.haven_ratio, 2),
        text(None) if entry.frames_over_eps_lo is None else f"{entry.frames_over_eps_lo:.0%}",
        *(entry.status.replace("_", " "), f"`{entry.id}`"),
    )


def _place_and_temperature(entry: "Transport") -> tuple[str, str, str, float, bool, str]:
    paper = entry.protocol == PAPER_PROTOCOL
    return entry.species, entry.phase or "", entry.region or "", entry.temperature_k, paper, entry.id


def _details(entry: "Transport") -> str:
    told = ""
    if entry.diffusivity_xyz is not None and entry.status == "resolved":
        told += f"; along x, y, z: {', '.join(number(value, 3) for value in entry.diffusivity_xyz)} A^2/ps"
    if entry.haven_ratio is not None:
        error = "" if entry.haven_ratio_std is None else f" +- {number(entry.haven_ratio_std, 2)}"
        told += f"; Haven ratio {number(entry.haven_ratio, 3)}{error}"
    return told


# --- displacements and Arrhenius laws ------------------------------------------------------------------------------


def displacements_shown(transports: "Iterable[Transport]") -> Iterator[Shown]:
    """Yield the mean square displacement of each species by axis, with the lines of both protocols."""
    from lizrcl_flows.science.transport_figures import MsdCurves, displacement_figure

    found = [entry for entry in transports if entry.kind == "diffusion" and entry.n_lags]
    for entry in found:
        if entry.protocol == PAPER_PROTOCOL:
            continue
        twin = next((other for other in found if _is_twin(entry, other)), None)
        curves = MsdCurves(entry.lag_ps, entry.msd_a2, entry.msd_xyz_a2, entry.msd_collective_a2)
        by_axis = _by_axis(entry) if entry.status == "resolved" else []
        figure = displacement_figure(curves, _coefficient(entry), by_axis, _coefficient(twin, offset=0.0))
        name = "displacement" if entry.species == "Li" else f"displacement_{entry.species}"
        caption = (
            f"Mean square displacement of {entry.species} along each axis and of all, with the lines that the "
            "coefficients stand for (bands: one standard uncertainty); the collective one is of the sum of all ions"
        )
        ids = (entry.id, twin.id) if twin else (entry.id,)
        yield Shown(name, caption, figure, _msd_table(entry), ids)


def _is_twin(entry: "Transport", other: "Transport") -> bool:
    same = (entry.trajectories, entry.species, entry.region) == (other.trajectories, other.species, other.region)
    return same and other.protocol == PAPER_PROTOCOL


def _coefficient(entry: "Transport | None", offset: float | None = None) -> Any:
    from lizrcl_flows.science.transport_figures import Coefficient

    if entry is None or entry.diffusivity is None:
        return None
    start = entry.msd_offset_a2 if offset is None else offset
    return Coefficient(entry.diffusivity, entry.diffusivity_std or 0.0, 3, start)


def _by_axis(entry: "Transport") -> list[Any]:
    from lizrcl_flows.science.transport_figures import Coefficient

    values = entry.diffusivity_xyz or ()
    return [Coefficient(*pair, 1) for pair in zip(values, entry.diffusivity_xyz_std or (0.0,) * 3, strict=False)]


def _msd_table(entry: "Transport") -> dict[str, Any]:
    table: dict[str, Any] = {"lag_ps": entry.lag_ps, "msd_a2": entry.msd_a2}
    if entry.msd_xyz_a2 is not None:
        table |= {f"msd_{name}_a2": entry.msd_xyz_a2[:, place] for place, name in enumerate("xyz")}
    if entry.msd_collective_a2 is not None:
        table["msd_collective_a2"] = entry.msd_collective_a2
    return table


def arrhenius_shown(transports: "Sequence[Transport]") -> Iterator[Shown]:
    """Yield one figure of all diffusion coefficients against temperature, if there are several temperatures."""
    from lizrcl_flows.science.transport_figures import arrhenius_figure

    groups: dict[str, list[Transport]] = {}
    for entry in transports:
        if entry.kind in ("diffusion", "arrhenius"):
            groups.setdefault(_series_name(entry), []).append(entry)
    several = {
        name: entries
        for name, entries in groups.items()
        if len({entry.temperature_k for entry in entries if entry.kind == "diffusion"}) > 1
    }
    if not several:
        return
    ids = tuple(entry.id for entries in several.values() for entry in entries)
    caption = (
        "Diffusion coefficients against temperature; bars and bands are one standard uncertainty, dashed lines are "
        "extrapolated, arrows are upper bounds of runs that are too short for a number"
    )
    series = {name: one for group, entries in several.items() for name, one in _series_of(group, entries).items()}
    yield Shown("arrhenius", caption, arrhenius_figure(series), _arrhenius_table(several), ids)


def _series_name(entry: "Transport") -> str:
    where = " ".join(dict.fromkeys(name for name in (entry.phase, entry.region) if name)) or "the cell"
    return f"{entry.species} in {where}"


def _series_of(name: str, entries: "Sequence[Transport]") -> dict[str, Any]:
    """Return what is drawn of one phase: its points, and each of its laws (of several committees) with its own."""
    ours = [entry for entry in entries if entry.protocol != PAPER_PROTOCOL]
    laws = [entry for entry in ours if entry.kind == "arrhenius" and entry.activation_energy is not None]
    measured = [entry for entry in ours if entry.kind == "diffusion"]
    paper = [entry for entry in entries if entry.protocol == PAPER_PROTOCOL and entry.kind == "diffusion"]
    if not laws:
        return {name: _series(measured, None, paper)}
    claimed = {source for law in laws[1:] for source in law.sources}
    found = {name: _series([entry for entry in measured if entry.id not in claimed], laws[0], paper)}
    for law in laws[1:]:
        points = [entry for entry in measured if entry.id in law.sources]
        found[f"{name}, {law.id}"] = _series(points, law, ())
    return found


def _series(measured: "Sequence[Transport]", law: "Transport | None", paper: "Sequence[Transport]") -> Any:
    from lizrcl_flows.science.transport_figures import ArrheniusSeries

    known = [entry for entry in measured if entry.status == "resolved" and entry.diffusivity is not None]
    bounded = [entry for entry in measured if entry not in known and entry.diffusivity_upper_bound is not None]
    quoted = [entry for entry in paper if entry.diffusivity is not None]
    return ArrheniusSeries(
        [entry.temperature_k for entry in known],
        [float(entry.diffusivity or 0.0) for entry in known],
        [float(entry.diffusivity_std or 0.0) for entry in known],
        None if law is None else _line(law),
        [entry.temperature_k for entry in bounded],
        [float(entry.diffusivity_upper_bound or 0.0) for entry in bounded],
        [entry.temperature_k for entry in quoted],
        [float(entry.diffusivity or 0.0) for entry in quoted],
    )


def _line(law: "Transport") -> Any:
    import numpy as np

    from lizrcl_flows.science.transport_figures import ArrheniusLine

    if law.activation_energy is None or law.ln_prefactor is None:
        return None
    first, both, second = law.fit_covariance or (0.0, 0.0, 0.0)
    covariance = np.array([[first, both], [both, second]])
    return ArrheniusLine(law.activation_energy, law.activation_energy_std or 0.0, law.ln_prefactor, covariance)


def _arrhenius_table(several: "Mapping[str, Sequence[Transport]]") -> dict[str, list[Any]]:
    rows = [(name, entry) for name, entries in several.items() for entry in entries if entry.kind == "diffusion"]
    laws = [(name, entry) for name, entries in several.items() for entry in entries if entry.kind == "arrhenius"]
    return {
        "series": [name for name, _ in rows],
        "protocol": [entry.protocol for _, entry in rows],
        "temperature_k": [entry.temperature_k for _, entry in rows],
        "diffusivity_a2_per_ps": [entry.diffusivity for _, entry in rows],
        "diffusivity_std_a2_per_ps": [entry.diffusivity_std for _, entry in rows],
        "upper_bound_a2_per_ps": [entry.diffusivity_upper_bound for _, entry in rows],
        "transport": [entry.id for _, entry in rows],
        "law": [name for name, _ in laws],
        "law_protocol": [entry.protocol for _, entry in laws],
        "activation_energy_ev": [entry.activation_energy for _, entry in laws],
        "activation_energy_std_ev": [entry.activation_energy_std for _, entry in laws],
        "ln_prefactor_a2_per_ps": [entry.ln_prefactor for _, entry in laws],
        "law_transport": [entry.id for _, entry in laws],
    }


# --- analyses ------------------------------------------------------------------------------------------------------


def analyses_of(archive: "Archive", trajectory: "Trajectory") -> "list[Analysis]":
    """Return the analyses of a run, in the order of a report."""
    from lizrcl_flows.documents import Analysis
    from lizrcl_flows.science.analysis_figures import KEYS

    order = list(KEYS)
    found = archive.find(Analysis, {"trajectory": trajectory.id})
    return sorted(found, key=lambda entry: (order.index(entry.kind) if entry.kind in order else len(order), entry.id))


def _analysis_section(
    archive: "Archive", analyses: "Sequence[Analysis]", title: str, lines: tuple[str, ...]
) -> Section:
    rows = tuple(_row(archive, entry) for entry in analyses)
    return Section(title, lines, ANALYSIS_HEADER, rows, shown=analyses_shown(archive, analyses))


def _row(archive: "Archive", entry: "Analysis") -> tuple[str, ...]:
    from lizrcl_flows.science.analysis_figures import missing_arrays

    told = _pairs(entry.results)
    if entry.status != "done":
        told = f"not possible: {entry.reason}"
    elif entry.arrays is not None and (lacking := missing_arrays(entry.kind, set(_arrays(archive, entry)))):
        told = f"{told}; no figure: the stored arrays lack {', '.join(lacking)}"
    return entry.kind, told, entry.definition, _pairs(entry.parameters), f"`{entry.id}`"


def _pairs(content: Mapping[str, Any]) -> str:
    return "; ".join(f"{name} = {_short(value)}" for name, value in content.items())


def _short(value: Any) -> str:
    """Return a value as it stands in the table: four digits, lists in brackets."""
    if isinstance(value, list):
        return f"[{', '.join(map(_short, value))}]"
    if isinstance(value, dict):
        return f"({_pairs(value)})"
    return f"{value:.4g}" if isinstance(value, float) else text(value)


def analyses_shown(archive: "Archive", analyses: "Iterable[Analysis]") -> Iterator[Shown]:
    """Yield the figures of analyses that have what a figure needs."""
    from lizrcl_flows.science.analysis_figures import draw_analysis, missing_arrays

    for entry in analyses:
        arrays = _arrays(archive, entry) if entry.arrays is not None else {}
        if not arrays or missing_arrays(entry.kind, set(arrays)):
            continue
        for drawn in draw_analysis(entry.kind, arrays, entry.parameters):
            caption = f"{drawn.caption}. {entry.definition[:1].upper()}{entry.definition[1:]}. {entry.n_frames} frames."
            yield Shown(drawn.name, caption, drawn.figure, drawn.table, (entry.id,))


def _arrays(archive: "Archive", entry: "Analysis") -> dict[str, Any]:
    import numpy as np

    if entry.arrays is None:
        return {}
    with np.load(io.BytesIO(archive.read_file(entry.arrays)), allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def _named(prefix: str, figures: Iterable[Shown]) -> Iterator[Shown]:
    for shown in figures:
        yield Shown(prefix + shown.name, shown.caption, shown.figure, shown.table, shown.ids)
