"""`lizrcl interface search|build`: which planes of two crystals match, and the cells made of them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from lizrcl_flows.cli.lazy import SuggestingGroup
from lizrcl_flows.cli.output import emit_json, pairs, say, show, table
from lizrcl_flows.cli.session import dry_run_option, json_option

if TYPE_CHECKING:
    from lizrcl_flows.documents import Structure
    from lizrcl_flows.science.interfaces.build import BuildOptions
    from lizrcl_flows.science.interfaces.oriented import OrientedCrystal
    from lizrcl_flows.science.interfaces.search import InterfaceLimits, InterfaceMatch
    from lizrcl_flows.science.interfaces.terminations import Termination

Command = TypeVar("Command", bound=Callable[..., object])

_LIMITS = ("training", "production")
_STUDY = ("study-1", "study-2", "study-3", "study-4")


def whole_numbers(*counts: int) -> Callable[[click.Context, click.Parameter, str | None], tuple[int, ...] | None]:
    """Return the reader of an option that takes so many whole numbers, such as ``1,1,1`` or ``"-1 -1 5"``."""

    def read(_context: click.Context, _option: click.Parameter, value: str | None) -> tuple[int, ...] | None:
        if value is None:
            return None
        try:
            numbers = tuple(int(part) for part in value.replace(",", " ").split())
        except ValueError:
            numbers = ()
        if len(numbers) not in counts:
            expected, example = " or ".join(map(str, counts)), ",".join("1" * counts[0])
            raise click.BadParameter(f"'{value}' is not {expected} whole numbers, such as {example}")
        return numbers

    return read


def limit_options(command: Command) -> Command:
    """Add what bounds a search."""
    for option in reversed(
        (
            click.option("--max-area", type=float, help="Largest area of the common cell (A^2)."),
            click.option("--max-strain", type=float, help="Largest principal strain, as a fraction: 0.01 is 1 %."),
            click.option("--max-miller", type=int, help="Largest Miller index, in the primitive cells."),
            click.option("--max-atoms", type=int, help="Most atoms of the smallest cell with slabs of --slab."),
            click.option("--slab", type=float, help="Least thickness of each slab (A); default 8."),
            click.option(
                "--film-hkl",
                metavar="INTEGERS",
                callback=whole_numbers(3),
                help="Only this plane of the film, such as 1,1,1.",
            ),
            click.option(
                "--substrate-hkl",
                metavar="INTEGERS",
                callback=whole_numbers(3),
                help="Only this plane of the substrate.",
            ),
        )
    ):
        command = option(command)
    return command


@click.group(cls=SuggestingGroup)
def interface() -> None:
    """Interfaces of two crystals: search matching planes, build cells."""


@interface.command()
@click.argument("film")
@click.argument("substrate")
@click.option("--preset", type=click.Choice(_LIMITS), default="training", show_default=True, help="Start from these.")
@limit_options
@click.option("--limit", type=int, default=30, show_default=True, help="Rows of the table; --json gives all.")
@click.option("--relax", metavar="CALCULATOR", help="Relax the first candidates with an ASE calculator and rank them.")
@click.option("--file", metavar="MODEL", help="With --relax: the calculator's model file.")
@click.option("--first", type=int, default=6, show_default=True, help="With --relax: how many candidates.")
@click.option("--fmax", type=float, default=0.05, show_default=True, help="With --relax: largest force left (eV/A).")
@click.option("--max-steps", type=int, default=500, show_default=True, help="With --relax: most steps of each.")
@click.option(
    "--workdir", type=click.Path(path_type=Path, file_okay=False), help="With --relax: where it runs, resumed."
)
@json_option
def search(film: str, substrate: str, as_json: bool, **options: Any) -> None:
    """List how planes of FILM fit planes of SUBSTRATE, the least strained first.

    FILM and SUBSTRATE are bundled crystals (full name, or in short: cubic, ideal, alpha, ...) or structure files.
    Columns: planes in the cell as given and in the primitive cell (prim.), which --max-miller counts; area; principal
    strains e1 and e2 that the film would take if the substrate took none; primitive surface cells, layers and atoms of
    the smallest cell; angle between the in-plane axes; how many equal matches symmetry makes of it.
    """
    matches = _found(film, substrate, options, options["preset"])
    if options["relax"]:
        from lizrcl_flows.cli.interface_ranking import show_ranking

        show_ranking(matches, options, as_json=as_json)
        return
    if as_json:
        emit_json([_row_facts(number, match) for number, match in enumerate(matches, start=1)])
        return
    shown = matches[: options["limit"]]
    show(table(_header(matches[0]), [_row(number, match) for number, match in enumerate(shown, start=1)], dense=True))
    n_pairs = len({match.planes for match in matches})
    cut = f"; the first {len(shown)} are shown" if len(shown) < len(matches) else ""
    say(f"{len(matches)} distinct matches of {n_pairs} pairs of planes{cut}; `lizrcl interface build` makes cells")


@interface.command()
@click.option("--preset", type=click.Choice(_STUDY), help="One of the study's four production cells.")
@click.option("--film", help="Crystal on top: bundled name or file.")
@click.option("--substrate", help="Crystal below.")
@click.option("--limits", type=click.Choice(_LIMITS), default="training", show_default=True, help="Limits for --match.")
@limit_options
@click.option("--match", type=int, default=1, show_default=True, help="Row of the search with the same limits.")
@click.option(
    "--film-matrix", metavar="INTEGERS", callback=whole_numbers(4), help="Common cell in the film's surface vectors."
)
@click.option(
    "--substrate-matrix",
    metavar="INTEGERS",
    callback=whole_numbers(4),
    help="Common cell in the substrate's surface vectors.",
)
@click.option("--film-termination", type=int, default=1, show_default=True, help="Cut of the film, from 1.")
@click.option("--substrate-termination", type=int, default=1, show_default=True, help="Cut of the substrate.")
@click.option(
    "--layers", metavar="INTEGERS", callback=whole_numbers(2), help="Spacings of film and substrate, such as 8,6."
)
@click.option("--gap", type=float, help="Between the outermost atoms of the slabs (A).")
@click.option("--vacuum", type=float, help="Empty height above the film (A): one interface instead of two.")
@click.option("--strain-on", type=click.Choice(("film", "substrate", "shared")), help="Which side gives way.")
@click.option("--registry", type=float, nargs=2, help="Displacement of the film in fractions of the common cell.")
@click.option("--repeat", metavar="INTEGERS", callback=whole_numbers(2, 4), help="Supercell: 2,1 or a matrix 2,0,0,1.")
@click.option("--output", "-o", type=click.Path(path_type=Path, dir_okay=False), help="Extended XYZ; default ID.xyz.")
@dry_run_option
@json_option
def build(output: Path | None, dry_run: bool, as_json: bool, **options: Any) -> None:
    """Build the cell of an interface and write it as extended XYZ with its facts and a column `side` (1: film).

    Either a --preset, or --film and --substrate with a row of their search (--match), or with both planes and both
    matrices. A file that is there is replaced.
    """
    made = _preset_cell(options) if options["preset"] else _general_cell(options)
    path = output or Path(f"{made.id}.xyz")
    if not dry_run:
        partial = path.with_name(f".{path.name}.partial")
        partial.write_text(interface_text(made), encoding="utf-8")
        partial.replace(path)
    if as_json:
        content = {"structure": made.id, "n_atoms": made.n_atoms, "cell": made.cell, "phase": made.phase}
        emit_json({"file": str(path), "written": not dry_run, **content, **made.origin.parameters})
    else:
        show(pairs(_summary(made), digits=5))
    say(f"{path} would be written" if dry_run else f"{path}: written")


def find_bulk(name: str) -> "Structure":
    """Return a bulk crystal by bundled name, short name (a part of one, such as ``cubic``) or path.

    Raises
    ------
    NotFoundError
        If there is none, or the short name fits several.
    InputError
        If a file cannot be used.
    """
    from lizrcl_flows.errors import NotFoundError
    from lizrcl_flows.science.structures import bundled_names, load_structure

    names = bundled_names()
    if name in names:
        return load_structure(name, phase=name.split("_")[1], region="bulk")
    if Path(name).is_file():
        return load_structure(name, phase=Path(name).stem, region="bulk")
    fitting = [full for full in names if name.lower() in full.lower().split("_")]
    # a partially occupied crystal must be ordered before it can be cut
    whole = [full for full in fitting if not full.endswith("_partial")] or fitting
    if len(whole) == 1:
        return load_structure(whole[0], phase=name.lower(), region="bulk")
    if whole:
        raise NotFoundError(f"crystal '{name}' may be any of {', '.join(whole)}; the full name or a file is needed")
    raise NotFoundError(f"crystal '{name}' is neither a file nor one of the bundled {', '.join(names)}")


def interface_text(structure: "Structure") -> str:
    """Return an interface as one frame of extended XYZ: facts in the comment line, side 0 (substrate) or 1 (film)."""
    from ase.data import chemical_symbols

    from lizrcl_flows.gpumd.extended_xyz import FrameFormat, format_lattice, format_periodicity
    from lizrcl_flows.science.interfaces.build import sides

    facts = {"structure": structure.id, "phase": structure.phase, **structure.origin.parameters}
    header = [format_lattice(structure.cell, "%.8f"), format_periodicity(structure.pbc)]
    header += [f'{key}="{_flat(value)}"' for key, value in facts.items() if value is not None]
    species = [chemical_symbols[number] for number in structure.numbers]
    layout = FrameFormat(species, [("pos", 3, "%.8f"), ("side", 1, "%d")])
    return layout.render(" ".join(header), [structure.positions, sides(structure)])


def _flat(value: Any) -> str:
    """Return a fact as text that every reader of extended XYZ takes."""
    if isinstance(value, bool):
        return "T" if value else "F"
    if isinstance(value, dict):
        return str(value["label"]) if "label" in value else " ".join(f"{key}{part}" for key, part in value.items())
    if isinstance(value, list | tuple):
        return " ".join(_flat(part) for part in value)
    return str(value).replace('"', "'")


def _header(match: "InterfaceMatch") -> list[str]:
    planes = [name for side in (match.film, match.substrate) for name in (side.crystal.name, "prim.")]
    return ["#", *planes, "A^2", "e1 %", "e2 %", "cells", "layers", "atoms", "turn", "x"]


def _row(number: int, match: "InterfaceMatch") -> list[Any]:
    from lizrcl_flows.science.interfaces.crystals import index_text

    found = match.coincidence
    planes = []
    for side in (match.film, match.substrate):
        planes += [index_text(side.plane.conventional), index_text(side.plane.primitive)]
    strains = [f"{100 * strain:+.2f}" for strain in found.mismatch]
    return [
        *(number, *planes, f"{found.area_a2:.1f}", *strains, f"{found.n_film}:{found.n_substrate}"),
        *(f"{match.layers[0]}/{match.layers[1]}", match.n_atoms, f"{found.rotation_deg:.0f}", found.multiplicity),
    ]


def _row_facts(number: int, match: "InterfaceMatch") -> dict[str, Any]:
    return {
        "number": number,
        "planes": match.planes,
        "n_atoms": match.n_atoms,
        "layers": list(match.layers),
        **match.facts(),
    }


def _limits(options: dict[str, Any], preset: str) -> "InterfaceLimits":
    from dataclasses import replace

    from lizrcl_flows.science.interfaces.search import LIMITS

    names = {
        "max_area": "max_area_a2",
        "max_strain": "max_strain",
        "max_miller": "max_miller",
        "max_atoms": "max_atoms",
        "slab": "slab_a",
    }
    given = {field: options[name] for name, field in names.items() if options[name] is not None}
    return replace(LIMITS[preset], **given, n_interfaces=1 if options.get("vacuum") else 2)


def _found(film: str, substrate: str, options: dict[str, Any], preset: str) -> "list[InterfaceMatch]":
    from lizrcl_flows.science.interfaces.search import search_interfaces

    wanted = options["film_hkl"], options["substrate_hkl"]
    return search_interfaces(find_bulk(film), find_bulk(substrate), _limits(options, preset), *wanted)


def _preset_cell(options: dict[str, Any]) -> "Structure":
    from lizrcl_flows.errors import InputError
    from lizrcl_flows.science.interfaces.presets import build_study_cell, study_options

    foreign = [name for name in ("film", "substrate", "film_matrix", "substrate_matrix") if options[name]]
    if foreign:
        raise InputError(f"--{foreign[0].replace('_', '-')} does not go with --preset, which says what is built")
    return build_study_cell(options["preset"], _build_options(options, study_options(options["preset"])))


def _general_cell(options: dict[str, Any]) -> "Structure":
    from lizrcl_flows.errors import InputError
    from lizrcl_flows.science.interfaces.build import BuildOptions, build_interface

    if not (options["film"] and options["substrate"]):
        raise InputError("interface build needs --preset study-1 (to study-4), or --film and --substrate")
    match = _chosen(options)
    cuts = [
        _termination(side, options[f"{name}_termination"], name)
        for name, side in (("film", match.film), ("substrate", match.substrate))
    ]
    return build_interface(match, cuts[0], cuts[1], _build_options(options, BuildOptions()))


def _chosen(options: dict[str, Any]) -> "InterfaceMatch":
    from lizrcl_flows.errors import InputError

    given = [options[name] for name in ("film_matrix", "substrate_matrix")]
    if any(given):
        return _match_of_matrices(options, given)
    matches = _found(options["film"], options["substrate"], options, options["limits"])
    number = int(options["match"])
    if not 1 <= number <= len(matches):
        raise InputError(f"--match {number}: the search finds {len(matches)} matches, numbered from 1")
    return matches[number - 1]


def _match_of_matrices(options: dict[str, Any], given: Sequence[tuple[int, ...] | None]) -> "InterfaceMatch":
    from lizrcl_flows.errors import InputError
    from lizrcl_flows.science.interfaces.crystals import crystal_of
    from lizrcl_flows.science.interfaces.oriented import orient
    from lizrcl_flows.science.interfaces.search import given_match

    if not (all(given) and options["film_hkl"] and options["substrate_hkl"]):
        raise InputError("matrices need all of --film-hkl, --film-matrix, --substrate-hkl and --substrate-matrix")
    faces = []
    for name in ("film", "substrate"):
        crystal = crystal_of(find_bulk(options[name]))
        faces.append(orient(crystal, crystal.plane(options[f"{name}_hkl"])))
    film, substrate = ((numbers[:2], numbers[2:]) for numbers in given if numbers)
    return given_match(faces[0], faces[1], (film, substrate), options["slab"] or 8.0)  # type: ignore[arg-type]


def _termination(oriented: "OrientedCrystal", number: int, side: str) -> "Termination":
    from lizrcl_flows.errors import InputError
    from lizrcl_flows.science.interfaces.terminations import find_terminations

    found = find_terminations(oriented)
    if not 1 <= number <= len(found):
        first = ", ".join(
            f"{place} {cut.label}{' (polar)' if cut.polar else ''}" for place, cut in enumerate(found[:6], 1)
        )
        more = ", ..." if len(found) > 6 else ""
        raise InputError(f"--{side}-termination {number}: there are {len(found)}, numbered from 1: {first}{more}")
    return found[number - 1]


def _build_options(options: dict[str, Any], start: "BuildOptions") -> "BuildOptions":
    from dataclasses import replace

    names = {"layers": "layers", "gap": "gap_a", "vacuum": "vacuum_a", "strain_on": "strain_on", "registry": "registry"}
    given = {field: options[name] for name, field in names.items() if options[name] is not None}
    if options["repeat"] is not None:
        a, b, *rest = options["repeat"]
        given["repeat"] = ((a, b), tuple(rest)) if rest else ((a, 0), (0, b))
    return replace(start, **given)


def _summary(structure: "Structure") -> dict[str, Any]:
    """Return what a person wants to know of a cell before anything else."""
    import numpy as np

    facts: dict[str, Any] = dict(structure.origin.parameters)
    lengths = np.linalg.norm(structure.cell, axis=1).round(2).tolist()
    angle = np.degrees(np.arccos(structure.cell[0] @ structure.cell[1] / (lengths[0] * lengths[1])))
    content: dict[str, Any] = {"structure": structure.id}
    if "preset" in facts:
        content |= {"preset": facts["preset"], "note": facts["note"]}
    content |= {
        "atoms": structure.n_atoms,
        "cell": f"{lengths[0]} x {lengths[1]} x {lengths[2]} A, {angle:.1f} deg",
        "interfaces": facts["n_interfaces"],
        "gap A": facts["gap_a"],
    }
    for side in ("film", "substrate"):
        content[side] = _side_summary(side, facts)
    return content


def _side_summary(side: str, facts: dict[str, Any]) -> str:
    from lizrcl_flows.science.interfaces.crystals import index_text

    planes = [index_text(facts[f"{side}_hkl_{basis}"]) for basis in ("conventional", "primitive")]
    counts = "".join(f"{symbol}{count}" for symbol, count in facts[f"{side}_composition"].items())
    strains = " and ".join(f"{100 * strain:+.3f} %" for strain in facts[f"{side}_strain"])
    polar = {True: "polar", False: "not polar", None: "polarity unknown"}[facts[f"{side}_polar"]]
    whole = "stoichiometric" if facts[f"{side}_stoichiometric"] else "not stoichiometric"
    cut = facts[f"{side}_termination"]["label"]
    return (
        f"{facts[side]} {planes[0]} [primitive {planes[1]}], {counts}, {facts[f'{side}_layers']} layers of "
        f"{facts[f'{side}_spacing_a']:.3f} A, strain {strains}, cut {cut}, {whole}, {polar}"
    )
