"""Strained and rattled copies of a structure, the first training data of a campaign."""

import numpy as np

from lizrcl_flows.documents import Origin, Structure, now_utc
from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.errors import InputError, LizrclError
from lizrcl_flows.science.geometry import describe_contact, find_contact


def perturb(
    structure: Structure,
    rng: np.random.Generator,
    strain: tuple[float, float] = (0.01, 0.05),
    rattle_a: tuple[float, float] = (0.05, 0.15),
    geometry_factor: float = 0.7,
    max_tries: int = 200,
) -> Structure:
    """Strain the cell at random, then move every atom at random, until no two atoms are too close.

    The strain is a random symmetric tensor without a preferred direction, scaled so that its largest principal value
    is the magnitude; displacements are Gaussian with one standard deviation for all atoms.

    Parameters
    ----------
    structure
        What to start from.
    rng
        Source of all randomness.
    strain
        Range of the magnitude, drawn uniformly.
    rattle_a
        Range of the standard deviation of each Cartesian displacement (A), drawn uniformly.
    geometry_factor
        Every pair must keep ``r_ij >= geometry_factor * (R_i + R_j)``, see `science.geometry.shortest_contact`.
    max_tries
        How often to draw before giving up.

    Returns
    -------
    Structure
        A child of `structure` of the same phase and region; strain, standard deviation and number of tries are in
        `origin.parameters`.

    Raises
    ------
    InputError
        If a range is not one.
    LizrclError
        If atoms are too close in every try.
    """
    _check_range("strain", strain, 0.5)
    _check_range("rattle_a", rattle_a, 5.0)
    contact = None
    for attempt in range(1, max_tries + 1):
        tensor = random_strain(rng, float(rng.uniform(*strain)))
        sigma_a = float(rng.uniform(*rattle_a))
        deformation = np.eye(3) + tensor
        cell = structure.cell @ deformation
        positions = structure.positions @ deformation + rng.normal(scale=sigma_a, size=structure.positions.shape)
        contact = find_contact(structure.numbers, (cell, structure.pbc), positions, geometry_factor)
        if contact is None:
            return _child(structure, cell, positions, _parameters(tensor, sigma_a, geometry_factor, attempt))
    tried = f"strain {strain[0]:g} to {strain[1]:g} and displacements of {rattle_a[0]:g} to {rattle_a[1]:g} A"
    detail = f"; in the last try {describe_contact(contact)}, allowed are {contact.threshold:.3f} A" if contact else ""
    raise LizrclError(
        f"structure {structure.id} ({structure.phase or structure.formula}): no copy with {tried} keeps all atoms "
        f"apart in {max_tries} tries{detail}; smaller ranges or a smaller geometry_factor are needed"
    )


def random_strain(rng: np.random.Generator, magnitude: float) -> Array:
    """Return a random symmetric strain tensor (3, 3) whose largest absolute principal value is `magnitude`.

    The six components are Gaussian, those off the diagonal with half the variance, which makes all directions equal.
    """
    noise = rng.normal(size=(3, 3))
    symmetric = (noise + noise.T) / 2
    return np.asarray(magnitude * symmetric / np.abs(np.linalg.eigvalsh(symmetric)).max())


def _parameters(
    tensor: Array, sigma_a: float, geometry_factor: float, attempt: int
) -> dict[str, float | int | list[float]]:
    components = [float(tensor[i, j]) for i, j in ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))]
    return {
        "strain_xx_yy_zz_yz_xz_xy": components,
        "strain": float(np.abs(np.linalg.eigvalsh(tensor)).max()),
        "rattle_a": sigma_a,
        "geometry_factor": geometry_factor,
        "tries": attempt,
    }


def _child(
    structure: Structure, cell: Array, positions: Array, parameters: dict[str, float | int | list[float]]
) -> Structure:
    return structure.revised(
        cell=cell,
        positions=positions,
        origin=Origin(kind="perturbed", source=structure.id, parameters=dict(parameters)),
        parents=(structure.id,),
        created_at=now_utc(),
    )


def _check_range(name: str, bounds: tuple[float, float], limit: float) -> None:
    low, high = bounds
    if not 0 <= low <= high < limit:
        raise InputError(f"{name}: {low:g} to {high:g} is no range from 0 to below {limit:g}, smaller number first")
