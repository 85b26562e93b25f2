"""`lizrcl interface search --relax`: candidates relaxed with an ASE calculator and ranked by interface energy."""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lizrcl_flows.cli.output import emit_json, say, show, table

if TYPE_CHECKING:
    from lizrcl_flows.documents import Structure
    from lizrcl_flows.engines.relaxation.base import RelaxationResult, Relaxer
    from lizrcl_flows.science.interfaces.energies import RankedInterface
    from lizrcl_flows.science.interfaces.search import InterfaceMatch

Outcome = tuple["Structure", "RelaxationResult"]


def show_ranking(matches: "Sequence[InterfaceMatch]", options: dict[str, Any], *, as_json: bool) -> None:
    """Relax the first candidates of a search with the in-plane cell kept, and print them by interface energy."""
    from lizrcl_flows.science.interfaces.search import best_of_each_pair

    directory = options["workdir"] or Path("interface_relaxations")
    crystals = [matches[0].film.crystal, matches[0].substrate.crystal]
    elements = {element for crystal in crystals for element in crystal.structure.chemical_system.split("-")}
    free, c_only = (_relaxer(options, cell) for cell in ("free", "c_only"))
    free.require(sorted(elements))
    # one match of each pair of planes, so that few candidates see many orientations
    chosen = best_of_each_pair(matches)
    cells = list(islice((cell for match in chosen for cell in _cells(match)), options["first"]))
    say(f"relaxing two bulk crystals and {len(cells)} candidates with {options['relax']} in {directory}/")
    bulk = {}
    for crystal in crystals:
        result = free.relax(crystal.structure, directory / crystal.structure.id)
        say(f"{crystal.name}: {result.energy / crystal.structure.n_atoms:.4f} eV/atom{_remark(result)}")
        bulk[crystal.structure.id] = result.energy / _units(crystal.structure)
    outcomes: list[Outcome] = []
    for cell in cells:
        result = c_only.relax(cell, directory / cell.id)
        say(f"{cell.origin.source}, {cell.n_atoms} atoms: {result.energy / cell.n_atoms:.4f} eV/atom{_remark(result)}")
        outcomes.append((cell, result))
    _print(outcomes, bulk, as_json=as_json)


def _cells(match: "InterfaceMatch") -> "list[Structure]":
    from lizrcl_flows.errors import InputError
    from lizrcl_flows.science.interfaces.candidates import candidates

    try:
        return candidates(match)
    except InputError as error:
        say(f"left out: {error}")
        return []


def _relaxer(options: dict[str, Any], cell: str) -> "Relaxer":
    from lizrcl_flows.documents.spec import FoundationSpec
    from lizrcl_flows.engines.relaxation import make_relaxer
    from lizrcl_flows.errors import InputError

    if not (options["fmax"] > 0 and options["max_steps"] > 0):
        raise InputError("--fmax and --max-steps are numbers above 0")
    spec = FoundationSpec(
        calculator=options["relax"],
        file=options["file"],
        fmax_ev_per_a=options["fmax"],
        max_steps=options["max_steps"],
    )
    return make_relaxer(spec, cell=cell)


def _units(structure: "Structure") -> int:
    from lizrcl_flows.science.interfaces.build import composition
    from lizrcl_flows.science.interfaces.terminations import formula_units

    return formula_units(composition(structure.numbers))


def _remark(result: "RelaxationResult") -> str:
    return "" if result.converged else f"; {result.reason}"


def _print(outcomes: Sequence[Outcome], bulk: dict[str, float], *, as_json: bool) -> None:
    import math

    from lizrcl_flows.errors import EngineError
    from lizrcl_flows.science.interfaces.energies import rank

    sound = [(cell, result) for cell, result in outcomes if math.isfinite(result.energy)]
    if not sound:
        reasons = "; ".join(sorted({result.reason for _, result in outcomes})) or "no candidate could be built"
        raise EngineError(f"no candidate was relaxed: {reasons}")
    results = {cell.id: result for cell, result in sound}
    ranking = rank([(cell, result.energy) for cell, result in sound], bulk)
    rows = [_facts(entry, results[entry.structure.id]) for entry in ranking]
    if as_json:
        emit_json(rows)
        return
    names: tuple[str, ...] = ("rank", "planes", "film_cut", "substrate_cut", "n_atoms")
    names += ("interface_energy_j_per_m2", "energy_per_atom_ev", "converged")
    header = ("rank", "planes", "film", "substrate", "atoms", "J/m^2", "eV/atom", "converged")
    show(table(header, [[row[name] for name in names] for row in rows]))
    say("interface energies count the strain energy of the film")


def _facts(entry: "RankedInterface", result: "RelaxationResult") -> dict[str, Any]:
    facts: dict[str, Any] = dict(entry.structure.origin.parameters)
    return {
        "rank": entry.rank,
        "planes": entry.structure.origin.source,
        "structure": entry.structure.id,
        "relaxed": result.structure.id,
        "film_cut": facts["film_termination"]["label"],
        "substrate_cut": facts["substrate_termination"]["label"],
        "registry": facts["registry"],
        "n_atoms": entry.structure.n_atoms,
        "area_a2": facts["area_a2"],
        "energy_ev": entry.energy_ev,
        "energy_per_atom_ev": entry.energy_per_atom_ev,
        "interface_energy_j_per_m2": entry.interface_energy_j_per_m2,
        "above_lowest_j_per_m2": entry.above_lowest_j_per_m2,
        "converged": result.converged,
        "reason": result.reason,
    }
