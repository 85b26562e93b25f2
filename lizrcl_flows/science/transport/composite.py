"""Effective conductivity of a composite from the conductivities of its parts.

Insulating particles in an electrolyte lower its conductivity, a conducting layer around each of them raises it: which
one wins depends on the share of the particles. A voxel picture of the composite is solved by finite volumes; where
particles are few, Maxwell's formula for coated spheres is the known answer.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.errors import EngineError, InputError

MATRIX, SHELL, CORE = 0, 1, 2
"""What a voxel is made of."""

LARGEST_SHARE = 0.35
"""Equal spheres that are thrown in one after the other find no room from 0.38 on (random sequential addition)."""

VOXELS_PER_SHELL = 2.5
"""Across the thickness of a shell; what it adds is then some 20 % too small, with twice as many 10 %."""

FEWEST_VOXELS_PER_SHELL = 1.5
_ATTEMPTS = 20_000
_MOST_ITERATIONS = 5000


@dataclass(frozen=True)
class Spheres:
    """A periodic box with spheres and a shell around each.

    Attributes
    ----------
    phases
        `MATRIX`, `SHELL` or `CORE` for each voxel, shape (n, n, n).
    box_a
        Edge of the box (A).
    n_spheres
        Spheres in it.
    share
        Volume share of the cores among the voxels.
    """

    phases: npt.NDArray[np.uint8]
    box_a: float
    n_spheres: int
    share: float


@dataclass(frozen=True)
class CompositeCurve:
    """Conductivity of a composite against the volume share of its particles, shape (n,) each.

    Attributes
    ----------
    shares
        Volume shares of the particles, without their shells.
    conductivities, stds
        Mean and standard error over arrangements, in the unit that the parts were given in; the error is NaN for one
        arrangement.
    maxwell
        Of coated spheres that are few (Maxwell).
    """

    shares: Array
    conductivities: Array
    stds: Array
    maxwell: Array


def effective_conductivity(values: Array, axis: int, rtol: float = 1e-8) -> float:
    """Return the conductivity of a periodic arrangement of cubic voxels.

    Finite volumes: the current between two neighbours is that through half of each in series (harmonic mean), the
    potential is the applied one plus a periodic one that makes all currents add up to zero in every voxel. Exact for
    layers.

    Parameters
    ----------
    values
        Conductivities (any unit), not negative, shape (nx, ny, nz). Diffusion coefficients will do as well where the
        density of ions is the same everywhere.
    axis
        Direction of the applied field, 0 to 2.
    rtol
        Relative residual at which the conjugate gradients stop.

    Returns
    -------
    float
        In the unit of `values`.

    Raises
    ------
    InputError
        If a value is negative or not finite, or the shape has not three axes.
    EngineError
        If the equations are not solved.
    """
    from scipy.sparse.linalg import LinearOperator, cg

    field = np.asarray(values, dtype=np.float64)
    _check(field, axis)
    scale = float(field.max())
    if scale == 0:
        return 0.0
    faces = [_harmonic(field / scale, direction) for direction in range(3)]
    matrix = _laplacian(faces)
    source = (faces[axis] - np.roll(faces[axis], 1, axis)).ravel()
    if not source.any():
        return scale * float(faces[axis].mean())
    preconditioner = LinearOperator(matrix.shape, matvec=_homogeneous(field.shape), dtype=np.float64)
    potential, failed = cg(matrix, source, rtol=rtol, maxiter=_MOST_ITERATIONS, M=preconditioner)
    if failed:
        raise EngineError(f"the conductivity of {field.size} voxels is not found in {_MOST_ITERATIONS} iterations")
    potential = potential.reshape(field.shape)
    current = faces[axis] * (1 + np.roll(potential, -1, axis) - potential)
    return scale * float(current.mean())


def maxwell_coated_spheres(
    share: float, radius_a: float, shell_a: float, matrix: float, shell: float, core: float = 0.0
) -> float:
    """Return Maxwell's conductivity of a few coated spheres (Treatise on Electricity and Magnetism, sections 313-314).

    Parameters
    ----------
    share
        Volume share of the cores.
    radius_a, shell_a
        Radius of a core and thickness of its shell (A).
    matrix, shell, core
        Conductivities (any unit).
    """
    filled = (radius_a / (radius_a + shell_a)) ** 3
    particle = _maxwell(filled, shell, core)
    return _maxwell(share / filled, matrix, particle)


def coated_spheres(share: float, radius_a: float, shell_a: float, n_voxels: int, seed: int = 0) -> Spheres:
    """Throw equal spheres that do not overlap into a periodic box, each with a shell; shells may overlap.

    Parameters
    ----------
    share
        Volume share of the cores, above 0 and up to `LARGEST_SHARE`.
    radius_a, shell_a
        Radius of a core and thickness of its shell (A).
    n_voxels
        Voxels along an edge. The box is as large as they allow with `VOXELS_PER_SHELL` of them across a shell.
    seed
        Of the places.

    Raises
    ------
    InputError
        If the share is out of range, a length is not positive, or there are too few voxels for one sphere.
    """
    if not 0 < share <= LARGEST_SHARE:
        raise InputError(f"volume share {share:g} is not accepted: above 0 and up to {LARGEST_SHARE:g}")
    if not (radius_a > 0 and shell_a > 0):
        raise InputError(f"radius {radius_a:g} A and thickness {shell_a:g} A of the shell must both be positive")
    volume = 4 / 3 * np.pi * radius_a**3
    n_spheres = max(1, int(share * (n_voxels * shell_a / VOXELS_PER_SHELL) ** 3 / volume))
    box = (n_spheres * volume / share) ** (1 / 3)
    if box / n_voxels * FEWEST_VOXELS_PER_SHELL > shell_a:
        raise InputError(
            f"{n_voxels} voxels along {box:.4g} A do not show a shell of {shell_a:g} A, "
            f"{int(np.ceil(VOXELS_PER_SHELL * box / shell_a))} are needed"
        )
    centres = _centres(n_spheres, 2 * radius_a / box, np.random.default_rng(seed))
    distance = _distance(centres, n_voxels) * box
    phases = np.where(distance < radius_a, CORE, np.where(distance < radius_a + shell_a, SHELL, MATRIX))
    return Spheres(phases.astype(np.uint8), box, n_spheres, float((phases == CORE).mean()))


def coated_spheres_curve(
    shares: Array,
    radius_a: float,
    shell_a: float,
    conductivities: tuple[float, float, float],
    n_voxels: int = 64,
    n_arrangements: int = 3,
) -> CompositeCurve:
    """Return the conductivity against the volume share of insulating particles with a conducting shell.

    Parameters
    ----------
    shares
        Volume shares of the cores, 0 to `LARGEST_SHARE`, shape (n,).
    radius_a, shell_a
        Radius of a core and thickness of its shell (A).
    conductivities
        Of matrix, shell and core (any unit).
    n_voxels, n_arrangements
        Size of a picture, and how many of them are averaged at every share.

    Raises
    ------
    InputError
        As `coated_spheres`.
    """
    parts = np.asarray(conductivities, dtype=np.float64)
    wanted = np.atleast_1d(np.asarray(shares, dtype=np.float64))
    found = np.empty((len(wanted), n_arrangements))
    for row, share in zip(found, wanted, strict=True):
        for number in range(n_arrangements):
            if share == 0:
                row[number] = parts[MATRIX]
                continue
            spheres = coated_spheres(float(share), radius_a, shell_a, n_voxels, seed=number)
            row[number] = effective_conductivity(parts[spheres.phases], axis=number % 3)
    few = [maxwell_coated_spheres(float(share), radius_a, shell_a, *conductivities) for share in wanted]
    error = found.std(axis=1, ddof=1) / np.sqrt(n_arrangements) if n_arrangements > 1 else np.full(len(wanted), np.nan)
    return CompositeCurve(wanted, found.mean(axis=1), error, np.array(few))


def _maxwell(share: float, outside: float, inside: float) -> float:
    contrast = inside - outside
    return outside * (2 * outside + inside + 2 * share * contrast) / (2 * outside + inside - share * contrast)


def _harmonic(field: npt.NDArray[np.float64], axis: int) -> npt.NDArray[np.float64]:
    """Return the conductance between each voxel and the next one along an axis."""
    following = np.roll(field, -1, axis)
    total = field + following
    return np.divide(2 * field * following, total, out=np.zeros_like(field), where=total > 0)


def _laplacian(faces: list[npt.NDArray[np.float64]]) -> Any:
    """Return the matrix whose product with a potential is the current out of every voxel, sparse (V, V)."""
    from scipy.sparse import coo_array

    shape, size = faces[0].shape, faces[0].size
    voxel = np.arange(size).reshape(shape)
    rows, columns, entries = [], [], []
    diagonal = np.zeros(shape)
    for axis, face in enumerate(faces):
        following = np.roll(voxel, -1, axis)
        rows += [voxel.ravel(), following.ravel()]
        columns += [following.ravel(), voxel.ravel()]
        entries += [-face.ravel(), -face.ravel()]
        diagonal += face + np.roll(face, 1, axis)
    rows.append(voxel.ravel())
    columns.append(voxel.ravel())
    entries.append(diagonal.ravel())
    indices = (np.concatenate(rows), np.concatenate(columns))
    return coo_array((np.concatenate(entries), indices), shape=(size, size)).tocsr()


def _homogeneous(shape: tuple[int, ...]) -> Callable[[Array], Array]:
    """Return the function that solves the same equations in a homogeneous box by Fourier transforms.

    As a preconditioner it makes the number of iterations independent of the number of voxels.
    """
    from scipy.fft import irfftn, rfftn

    waves = [2 - 2 * np.cos(2 * np.pi * np.arange(n) / n) for n in shape]
    eigenvalues = waves[0][:, None, None] + waves[1][:, None] + waves[2][: shape[2] // 2 + 1]
    eigenvalues[0, 0, 0] = np.inf

    def solve(vector: Array) -> Array:
        return np.asarray(irfftn(rfftn(vector.reshape(shape)) / eigenvalues, shape)).ravel()

    return solve


def _centres(n: int, apart: float, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Return centres in a box of edge 1 that are further apart than `apart`, periodic images included, shape (n, 3)."""
    for _ in range(20):
        centres = np.empty((0, 3))
        for _ in range(_ATTEMPTS):
            place = rng.random(3)
            vectors = centres - place
            vectors -= np.round(vectors)
            if (np.einsum("ij,ij->i", vectors, vectors) >= apart**2).all():
                centres = np.vstack([centres, place])
            if len(centres) == n:
                return centres
    raise EngineError(f"no room was found for {n} spheres; a smaller volume share is needed")


def _distance(centres: npt.NDArray[np.float64], n_voxels: int) -> npt.NDArray[np.float64]:
    """Return the distance of every voxel of a box of edge 1 from the nearest centre, shape (n, n, n)."""
    middles = (np.arange(n_voxels) + 0.5) / n_voxels
    nearest = np.full((n_voxels,) * 3, np.inf)
    for centre in centres:
        away = middles[:, None] - centre
        x, y, z = np.square(away - np.round(away)).T
        np.minimum(nearest, x[:, None, None] + y[:, None] + z, out=nearest)
    return np.asarray(np.sqrt(nearest))


def _check(field: npt.NDArray[np.float64], axis: int) -> None:
    if field.ndim != 3 or field.size == 0:
        raise InputError(f"conductivities have shape {field.shape}, three axes with at least one voxel each are needed")
    if not np.isfinite(field).all() or field.min() < 0:
        raise InputError(f"conductivity {field.min():g} is not accepted: finite numbers of at least 0")
    if axis not in (0, 1, 2):
        raise InputError(f"axis {axis} is not accepted: 0, 1 or 2")
