"""One single point with any ASE calculator, as a program of its own.

It reads ``request.json`` in the current directory and leaves ``outcome.json`` there. A process for each label costs
0.2 s and buys what nothing else does: a calculator that crashes takes nobody with it, threads are set before the
libraries are loaded, and no label depends on the one before (some calculators start from their last density).
"""

from typing import Any

from lizrcl_flows.engines.calculation import answer, evaluate, make_atoms, zero_energy


def compute(request: dict[str, Any]) -> dict[str, Any]:
    """Return energies (eV), forces (eV/A) and stress (eV/A^3) of a request."""
    atoms = make_atoms(request)
    energy, forces, stress = evaluate(atoms)
    return {
        "energy": energy,
        "energy_zero": zero_energy(atoms),
        "forces": forces.tolist(),
        "stress": None if stress is None else stress.tolist(),
    }


if __name__ == "__main__":
    answer(compute)
