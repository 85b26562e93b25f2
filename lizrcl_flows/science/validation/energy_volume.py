"""Energy against volume of a phase, and the equation of state that it follows."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lizrcl_flows.documents import Origin, Structure
from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.documents.curves import EnergyVolumeCurve
from lizrcl_flows.science.energies import shift_energy
from lizrcl_flows.science.parity import CommitteeResult
from lizrcl_flows.units import GPA_PER_EV_A3

N_PARAMETERS = 4
"""Of the third-order Birch-Murnaghan equation; a fit needs as many volumes."""

_EXTRAPOLATION = 1.0
"""How far beyond the volumes, in units of their range, a minimum of the fit is still told."""


@dataclass(frozen=True)
class EquationOfState:
    """Third-order Birch-Murnaghan equation of state.

    Attributes
    ----------
    v0
        Volume of the minimum, in the unit of the volumes that were fitted.
    e0
        Energy of the minimum, in the unit of the energies.
    bulk_modulus
        At the minimum (GPa, for eV and A^3).
    bulk_modulus_prime
        Its derivative with respect to pressure.
    """

    v0: float
    e0: float
    bulk_modulus: float
    bulk_modulus_prime: float


def scaled_cells(structure: Structure, volume_range: float, n_volumes: int) -> list[Structure]:
    """Return a phase at several volumes: the cell is scaled alike along all vectors, fractional positions stay.

    Nothing is relaxed at any volume, so the curve is that of a uniform expansion and its bulk modulus is an upper bound
    of the relaxed one.

    Parameters
    ----------
    volume_range
        Largest change of the volume both ways, as a fraction.
    n_volumes
        Volumes, evenly spaced; of an odd number the middle one is the phase itself.

    Returns
    -------
    list of Structure
        From small to large, children of `structure`.
    """
    cells = []
    for factor in 1 + volume_range * np.linspace(-1, 1, n_volumes) if n_volumes > 1 else [1.0]:
        length = float(np.cbrt(factor))
        cell = structure.revised(
            cell=structure.cell * length,
            positions=structure.positions * length,
            origin=Origin(kind="validation", source=structure.id, parameters={"volume_factor": float(factor)}),
            parents=(structure.id,),
        )
        cells.append(structure if cell.id == structure.id else cell)
    return cells


def birch_murnaghan(volumes: Array, energies: Array) -> EquationOfState | None:
    """Fit the third-order Birch-Murnaghan equation of state.

    It is a polynomial of third degree in V^(-2/3) (F. Birch, Phys. Rev. 71, 809 (1947)), hence a linear fit without a
    first guess. With u = (V_m/V)^(2/3): dE/du = 0 at the minimum, B0 = (4/9) (u^2/V) d2E/du2 and
    B0' = 4 + (2/3) u (d3E/du3) / (d2E/du2) there.

    Parameters
    ----------
    volumes
        A^3 (or A^3/atom, with energies per atom), shape (n,).
    energies
        eV, shape (n,).

    Returns
    -------
    EquationOfState or None
        None for fewer than four distinct volumes, for numbers that are not finite, and where the fit has no minimum
        within the range of the volumes or as far again beyond its ends.
    """
    volumes, energies = np.asarray(volumes, dtype=float), np.asarray(energies, dtype=float)
    if len(np.unique(volumes)) < N_PARAMETERS or not (np.isfinite(volumes).all() and np.isfinite(energies).all()):
        return None
    middle, offset = float(volumes.mean()), float(energies.mean())
    strain = np.cbrt(middle / volumes) ** 2 - 1
    polynomial: Any = np.polynomial.Polynomial.fit(strain, energies - offset, N_PARAMETERS - 1).convert()
    place = _minimum(*np.pad(polynomial.coef, (0, N_PARAMETERS))[1:N_PARAMETERS])
    if place is None or place <= -1:
        return None
    curvature, third = float(polynomial.deriv(2)(place)), float(polynomial.deriv(3)(place))
    u = 1 + place
    v0 = middle * u**-1.5
    slack = _EXTRAPOLATION * float(np.ptp(volumes))
    if not volumes.min() - slack <= v0 <= volumes.max() + slack:
        return None
    return EquationOfState(
        v0=v0,
        e0=float(polynomial(place)) + offset,
        bulk_modulus=4 / 9 * u**2 / v0 * curvature * GPA_PER_EV_A3,
        bulk_modulus_prime=4 + 2 / 3 * u * third / curvature,
    )


def _minimum(first: float, second: float, third: float) -> float | None:
    """Return where first t + second t^2 + third t^3 is smallest, to all digits also where `third` is almost nothing."""
    square = second**2 - 3 * first * third
    if not square > 0:
        return None
    root = math.sqrt(square)
    if second >= 0:
        return -first / (second + root)
    return (root - second) / (3 * third) if third else None


def energy_volume_curve(
    phase: str,
    cells: Sequence[Structure],
    results: Sequence[CommitteeResult],
    energy_shifts: Sequence[Mapping[str, float]],
    labels: Sequence[float | None] = (),
) -> EnergyVolumeCurve:
    """Put what a committee says about a phase at several volumes together, with its equation of state.

    Parameters
    ----------
    cells
        As `scaled_cells` returns them.
    results
        What the committee says about each.
    energy_shifts
        Of each member: energy per element (eV/atom) that its predictions leave out.
    labels
        Energy of the label of each cell (eV), None where there is none.
    """
    from ase.data import chemical_symbols

    n_atoms = cells[0].n_atoms
    symbols = [chemical_symbols[number] for number in cells[0].numbers]
    shifts = np.array([shift_energy(symbols, shift) for shift in energy_shifts])
    members = (np.array([result.energy for result in results]).T + shifts[:, None]) / n_atoms
    volume = np.array([abs(np.linalg.det(cell.cell)) for cell in cells]) / n_atoms
    energy = members.mean(axis=0)
    known = [None if value is None else value / n_atoms for value in labels]
    return EnergyVolumeCurve(
        phase=phase,
        n_atoms=n_atoms,
        structures=tuple(cell.id for cell in cells),
        volume=tuple(map(float, volume)),
        energy=tuple(map(float, energy)),
        energy_members=tuple(tuple(map(float, row)) for row in members),
        eps=tuple(float(result.eps) for result in results),
        energy_label=tuple(known) if any(value is not None for value in known) else (),
        **_fit_of_committee(volume, energy, members),
        **_fit_of_labels(volume, known),
    )


def _fit_of_committee(volume: Array, energy: Array, members: Array) -> dict[str, float | str]:
    low, high = float(volume.min()), float(volume.max())
    if len(volume) < N_PARAMETERS:
        return {"problem": f"{len(volume)} volumes are too few for an equation of state, {N_PARAMETERS} are needed"}
    fit = birch_murnaghan(volume, energy)
    if fit is None:
        return {"problem": f"no minimum near {low:.3f} to {high:.3f} A^3/atom"}
    found: dict[str, float | str] = dict(vars(fit))
    own = [other for row in members if (other := birch_murnaghan(volume, row)) is not None]
    if len(own) == len(members):
        for name in ("v0", "e0", "bulk_modulus"):
            found[f"{name}_std"] = float(np.std([getattr(other, name) for other in own]))
    problems = []
    if not low <= fit.v0 <= high:
        problems.append(f"the minimum at {fit.v0:.3f} A^3/atom lies outside the volumes {low:.3f} to {high:.3f}")
    if len(own) < len(members):
        problems.append(f"{len(members) - len(own)} of {len(members)} members have no minimum near the volumes")
    return {**found, "problem": "; ".join(problems)}


def _fit_of_labels(volume: Array, labels: Sequence[float | None]) -> dict[str, float]:
    there = [(v, e) for v, e in zip(volume, labels, strict=False) if e is not None]
    fit = birch_murnaghan(*np.array(there).T) if there else None
    return {} if fit is None else {"v0_label": fit.v0, "bulk_modulus_label": fit.bulk_modulus}
