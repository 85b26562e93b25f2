"""What every process with one ASE calculator does first: read its request, make the calculator, ask what it knows.

The processes import this module and little else, so that they start at once. Which calculator it is was settled by
`lizrcl_flows.engines.calculators.CalculatorChoice`, whose `request` is understood here.
"""

import importlib
import json
from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from pathlib import Path
from typing import Any

from lizrcl_flows.engines.processes import replace_text

REQUEST_FILE = "request.json"
OUTCOME_FILE = "outcome.json"


class CalculatorError(Exception):
    """A calculation failed; the message is its reason in one sentence."""


class MisconfiguredError(CalculatorError):
    """The calculator itself cannot be made: every calculation would fail alike."""


def answer(compute: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Compute what the request in the current directory asks for and leave the outcome beside it.

    Parameters
    ----------
    compute
        Takes the request and returns the outcome, JSON values both. The outcome's ``status`` becomes ``done``; where
        `CalculatorError` is raised it is ``failed`` (or ``misconfigured``) and ``reason`` says why.
    """
    directory = Path.cwd()
    request = json.loads((directory / REQUEST_FILE).read_text(encoding="utf-8"))
    try:
        outcome = {"status": "done", **compute(request)}
    except MisconfiguredError as error:
        outcome = {"status": "misconfigured", "reason": str(error)}
    except CalculatorError as error:
        outcome = {"status": "failed", "reason": str(error)}
    replace_text(directory / OUTCOME_FILE, json.dumps(outcome))


def make_calculator(description: Mapping[str, Any]) -> Any:
    """Make the calculator that a request describes.

    Raises
    ------
    MisconfiguredError
        If it cannot be imported or made from its arguments.
    """
    module, _, name = description["target"].partition(":")
    dispersion = description.get("dispersion")
    try:
        calculator = attrgetter(name)(importlib.import_module(module))(**description["arguments"])
        if dispersion is None:
            return calculator
        from lizrcl_flows.engines.dispersion_calculator import WithDispersion

        return WithDispersion(calculator, **dispersion)
    except Exception as error:  # whatever importing and making a calculator of anybody's raises
        raise MisconfiguredError(in_one_line(error)) from error


def make_atoms(request: Mapping[str, Any]) -> Any:
    """Return the atoms of a request with their calculator.

    Raises
    ------
    MisconfiguredError
        If the calculator cannot be made.
    CalculatorError
        If the calculator does not know one of the elements.
    """
    from ase import Atoms

    calculator = make_calculator(request["calculator"])
    check_elements(calculator, request["numbers"])
    return Atoms(
        request["numbers"],
        positions=request["positions"],
        cell=request["cell"],
        pbc=request["pbc"],
        calculator=calculator,
    )


def check_elements(calculator: Any, numbers: Iterable[int]) -> None:
    """Compare the elements of a structure with those that a calculator says it knows, where it does.

    Raises
    ------
    CalculatorError
        If there is one that it does not know.
    """
    from ase.data import chemical_symbols

    known = known_numbers(calculator)
    unknown = sorted(set(numbers) - known) if known else []
    if known and unknown:
        words = ", ".join(chemical_symbols[number] for number in sorted(known))
        if len(known) > 1 and known == set(range(1, max(known) + 1)):
            words = f"the elements from H to {chemical_symbols[max(known)]}"
        missing = ", ".join(chemical_symbols[number] for number in unknown)
        raise CalculatorError(f"it knows {words}, not {missing}")


def known_numbers(calculator: Any) -> set[int] | None:
    """Return the atomic numbers that a calculator was made for, or None where it does not say.

    NepCalculator, MACECalculator, SevenNetCalculator and CHGNetCalculator say it, each in its own way.
    """
    from ase.data import atomic_numbers

    calculator = getattr(calculator, "bare", calculator)  # below a dispersion correction
    species = getattr(getattr(calculator, "committee", None), "species", None)
    if species is not None:
        return {atomic_numbers[symbol] for symbol in species}
    table = getattr(getattr(calculator, "z_table", None), "zs", None) or getattr(calculator, "type_map", None)
    if table is not None:
        return {int(number) for number in table}
    embedding = getattr(getattr(getattr(calculator, "model", None), "atom_embedding", None), "embedding", None)
    highest = getattr(embedding, "num_embeddings", None)
    return None if highest is None else set(range(1, int(highest) + 1))


def evaluate(atoms: Any) -> tuple[float, Any, Any]:
    """Return energy (eV), forces (n, 3) in eV/A and stress (3, 3) in eV/A^3, tension positive.

    The energy is the one whose derivative the forces are: the free energy, where a calculator with smeared occupations
    tells it. The stress is None for a cell that is not periodic in all directions, or a calculator without one.

    Raises
    ------
    CalculatorError
        Whatever the calculator raises, in one line.
    """
    try:
        energy = float(atoms.get_potential_energy())
        # most calculators have all by now; asking for each would compare all atoms with the last ones each time
        known = getattr(atoms.calc, "results", {})
        energy = float(known.get("free_energy", energy))
        forces = known["forces"].copy() if "forces" in known else atoms.get_forces()
        return energy, forces, _stress(atoms, known) if all(atoms.pbc) else None
    except Exception as error:  # whatever a calculation of anybody's raises
        raise CalculatorError(in_one_line(error)) from error


def zero_energy(atoms: Any) -> float | None:
    """Return the energy (eV) extrapolated to no smearing, after `evaluate`, or None where it is the same or unknown."""
    known = getattr(atoms.calc, "results", {})
    if "free_energy" not in known or "energy" not in known:
        return None
    energy = float(known["energy"])
    return None if energy == float(known["free_energy"]) else energy


def _stress(atoms: Any, known: Mapping[str, Any]) -> Any:
    from ase.calculators.calculator import PropertyNotImplementedError
    from ase.stress import voigt_6_to_full_3x3_stress

    if "stress" in known and known["stress"].shape == (6,):
        return voigt_6_to_full_3x3_stress(known["stress"])
    try:
        return atoms.get_stress(voigt=False)
    except (PropertyNotImplementedError, NotImplementedError):
        return None


def in_one_line(error: Exception) -> str:
    """Return type and first line of what an exception says."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__
