"""`lizrcl structure order`: the ordered cells of a partially occupied crystal."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lizrcl_flows.cli.output import emit_json, say, show, table
from lizrcl_flows.cli.session import dry_run_option, json_option
from lizrcl_flows.errors import InputError

if TYPE_CHECKING:
    from lizrcl_flows.documents import Structure
    from lizrcl_flows.science.orderings import Orderings

FORMATS = ("xyz", "cif")


def _request_options(command: Callable[..., object]) -> Callable[..., object]:
    """Add the options that say what is ordered and how."""
    for option in reversed(
        (
            click.option("--supercell", nargs=3, type=int, metavar="A B C", help="Repeat the cell along its vectors."),
            click.option(
                "--max-cells", type=int, metavar="N", help="All distinct supercells of up to N cells instead."
            ),
            click.option("--n", "n_lowest", type=click.IntRange(0), default=20, show_default=True, help="0: all."),
            click.option("--fix", "fixed", multiple=True, metavar="ELEMENT", help="Fill its most occupied sites only."),
            click.option("--charge", "charges", multiple=True, metavar="ELEMENT=E", help="Formal charge, e.g. Zr=4."),
            click.option(
                "--method",
                type=click.Choice(("auto", "enumeration", "swap_monte_carlo")),
                default="auto",
                show_default=True,
                help="auto: all where they are not too many, else the lowest by swap Monte Carlo.",
            ),
            click.option(
                "--max-raw", type=click.IntRange(1), help="Orderings of a supercell up to which all are tried."
            ),
            click.option("--seed", type=int, default=0, show_default=True, help="Of the Monte Carlo search."),
        )
    ):
        command = option(command)
    return command


@click.command("order")
@json_option
@dry_run_option
@_request_options
@click.option("--out", "-o", type=click.Path(path_type=Path, file_okay=False), help="Folder for files of the cells.")
@click.option("--format", "file_format", type=click.Choice(FORMATS), default="xyz", show_default=True)
@click.argument("crystal", metavar="FILE|NAME")
def order(crystal: str, out: Path | None, file_format: str, dry_run: bool, as_json: bool, **options: Any) -> None:
    """Order a partially occupied crystal, a CIF or a shipped one, and list the cells of lowest Ewald energy.

    Cells that a symmetry of the crystal makes equal are listed once, with how many they stand for. Sites that the same
    elements share are ordered together, whatever their occupancies.
    """
    from lizrcl_flows.science.crystals import describe_crystal
    from lizrcl_flows.science.occupancies import load_partial
    from lizrcl_flows.science.orderings import find_orderings, ordered_structures

    partial = load_partial(crystal)
    if not partial.shared_sites:
        raise InputError(f"{crystal}: all {partial.n_sites} sites are full, there is nothing to order")
    facts = describe_crystal(partial)
    say(
        f"{partial.source}: {facts.space_group}, {facts.density_g_cm3:.3f} g/cm3, {len(partial.shared_sites)} of "
        f"{partial.n_sites} sites partially occupied"
    )
    found = find_orderings(partial, _request(**options))
    cells = ordered_structures(found)
    rows = _rows(found, cells)
    if out is not None:
        names = [f"{Path(crystal).stem}_{row['rank']:0{len(str(len(rows) - 1))}d}.{file_format}" for row in rows]
        for row, cell, name in zip(rows, cells, names, strict=True):
            row["file"] = str(out / name)
            if not dry_run:
                _write(cell, out / name, row)
    if as_json:
        counts = {"n_raw": found.n_raw, "n_unique": found.n_unique, "method": found.method, "seed": found.request.seed}
        emit_json({"crystal": partial.source, "space_group": facts.space_group, **counts, "orderings": rows})
    else:
        shown = ["rank", "above lowest (meV/atom)", "Ewald (eV/atom)", "multiplicity", "space group", "cells", "atoms"]
        show(table([*shown, *(["file"] if out else [])], [_shown(row) for row in rows], digits={shown[2]: 7}))
    say(_summary(found, len(rows)) + ("" if out is None or not dry_run else "; nothing was written"))


def _request(
    supercell: tuple[int, int, int] | None, charges: Sequence[str], max_raw: int | None, **options: Any
) -> Any:
    """Return what the options ask for.

    Raises
    ------
    InputError
        If both a supercell and a largest number of cells are given, or a charge is none.
    """
    from lizrcl_flows.science.orderings import OrderingRequest

    if supercell and options["max_cells"] is not None:
        raise InputError("--supercell and --max-cells exclude each other: one supercell, or all up to a size")
    given = {**options, "charges": dict(_charge(text) for text in charges)}
    if supercell:
        given["supercell"] = supercell
    if max_raw is not None:
        given["max_raw"] = max_raw
    return OrderingRequest(**given)


def _charge(text: str) -> tuple[str, float]:
    element, _, value = text.partition("=")
    try:
        return element, float(value)
    except ValueError:
        raise InputError(f"--charge {text}: an element and its charge are expected, such as Zr=4") from None


def _rows(found: "Orderings", cells: "Sequence[Structure]") -> list[dict[str, Any]]:
    per_atom = [ordering.ewald_energy_ev / cell.n_atoms for ordering, cell in zip(found.lowest, cells, strict=True)]
    return [
        {
            "rank": ordering.rank,
            "above_lowest_mev_per_atom": 1000 * max(0.0, round(energy - per_atom[0], 9)),
            "ewald_ev_per_atom": energy,
            "multiplicity": ordering.multiplicity,
            "space_group": ordering.space_group,
            "n_cells": ordering.cell.n_cells,
            "n_atoms": cell.n_atoms,
            "supercell": ordering.cell.supercell.tolist(),
            "structure": cell.id,
        }
        for ordering, cell, energy in zip(found.lowest, cells, per_atom, strict=True)
    ]


def _shown(row: dict[str, Any]) -> list[Any]:
    hidden = ("supercell", "structure")
    return [value for key, value in row.items() if key not in hidden]


def _summary(found: "Orderings", n_listed: int) -> str:
    if found.n_unique is None:
        return (
            f"{found.n_raw:,} orderings are too many to go through: the {n_listed} lowest that swap Monte Carlo met "
            f"(seed {found.request.seed}); there may be lower ones"
        )
    listed = "all" if n_listed == found.n_unique else f"the {n_listed} lowest"
    return f"{found.n_raw:,} orderings, {found.n_unique:,} of them distinct; {listed} listed"


def _write(cell: "Structure", path: Path, row: dict[str, Any]) -> None:
    """Write a file, complete or not at all."""
    from lizrcl_flows.cli.exports import frame_text

    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    if path.suffix == ".xyz":
        info = {key: row[key] for key in ("rank", "ewald_ev_per_atom", "multiplicity", "space_group")}
        partial.write_text(frame_text(cell, info), encoding="utf-8")
    else:
        from ase.io import write

        from lizrcl_flows.science.structures import atoms_from_structure

        write(partial, atoms_from_structure(cell), format="cif")
    partial.replace(path)
