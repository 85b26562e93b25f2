"""Net displacements of ions, sorted by their direction.

The study (arXiv:2601.22612) has four classes by a threshold of 1 A on the displacement along the normal (R_z) and in
the plane (R_xy): z, xy, mixed z (R_z > R_xy) and mixed xy (R_xy > R_z). Ions below both thresholds and ties have no
class there; here the former are immobile and the latter mixed xy.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.errors import InputError

CLASSES = ("immobile", "z", "xy", "mixed_z", "mixed_xy")
IMMOBILE, Z, XY, MIXED_Z, MIXED_XY = range(len(CLASSES))

THRESHOLD_A = 1.0
SETTLED_PS = 2000.0
"""Time from which on the study counts displacements (ps)."""


@dataclass(frozen=True)
class DisplacementClasses:
    """Classes of ions.

    Attributes
    ----------
    labels
        Place in `CLASSES`, shape (N,).
    along_a, across_a
        Displacement along the normal and in the plane (A), shape (N,), not negative.
    counts
        Ions of each class, shape (5,).
    shares
        Of all ions, shape (5,).
    shares_std
        Standard error of the shares for ions that move independently, ``sqrt(p (1 - p) / N)``, shape (5,).
    """

    labels: npt.NDArray[np.int64]
    along_a: npt.NDArray[np.float64]
    across_a: npt.NDArray[np.float64]
    counts: npt.NDArray[np.int64]
    shares: npt.NDArray[np.float64]
    shares_std: npt.NDArray[np.float64]


def net_displacement(
    paths: Array, dt_ps: float, settled_after_ps: float = SETTLED_PS, n_median: int = 1
) -> npt.NDArray[np.float64]:
    """Return how far each ion is at the end from where it was once the run had settled.

    Parameters
    ----------
    paths
        Unwrapped positions without drift (A), shape (T, N, 3).
    dt_ps
        Time between frames (ps).
    settled_after_ps
        When displacements begin (ps).
    n_median
        Frames whose median is taken at either end. 1 is the study's; an ion that vibrates with 0.3 A along each axis
        then seems to move by more than 1 A in the plane in 6 of 100 cases, and with 5 in fewer than 1 of 1000.

    Returns
    -------
    ndarray
        In A, shape (N, 3).

    Raises
    ------
    InputError
        If there is no ion, or the run ends before.
    """
    paths = np.asarray(paths)
    if paths.ndim != 3 or paths.shape[1] == 0:
        raise InputError("there is no ion whose displacement could be measured")
    first = int(np.ceil(settled_after_ps / dt_ps - 1e-9))
    if len(paths) - first < 2 * n_median:
        raise InputError(
            f"a run of {(len(paths) - 1) * dt_ps:g} ps is too short for displacements after {settled_after_ps:g} ps"
        )
    start = np.median(paths[first : first + n_median], axis=0)
    end = np.median(paths[len(paths) - n_median :], axis=0)
    return np.asarray(end.astype(np.float64) - start)


def classify(
    displacement: Array, axis: int | Array = 2, threshold_a: float = THRESHOLD_A, among: Array | None = None
) -> DisplacementClasses:
    """Sort ions by the direction of their displacement.

    Parameters
    ----------
    displacement
        Net displacement (A), shape (N, 3).
    axis
        0, 1 or 2 for a normal along x, y or z, or the normal itself, shape (3,).
    threshold_a
        From here on an ion moved (A).
    among
        True for the ions that are counted, such as those of a region, shape (N,); by default all.

    Raises
    ------
    InputError
        If there are no ions, or the threshold is not positive.
    """
    displacement = np.asarray(displacement, dtype=np.float64).reshape(-1, 3)
    if among is not None:
        displacement = displacement[np.asarray(among, dtype=bool)]
    if len(displacement) == 0:
        raise InputError("there are no ions to sort by their displacements: the region is empty")
    if not threshold_a > 0:
        raise InputError(f"a threshold of {threshold_a:g} A is not accepted: a length greater than 0")
    normal = _unit_vector(axis)
    along = displacement @ normal
    across = np.linalg.norm(displacement - along[:, None] * normal, axis=1)
    along = np.abs(along)
    far_z, far_xy = along >= threshold_a, across >= threshold_a
    mixed = np.where(along > across, MIXED_Z, MIXED_XY)
    labels = np.select([far_z & far_xy, far_z, far_xy], [mixed, Z, XY], IMMOBILE)
    counts = np.bincount(labels, minlength=len(CLASSES))
    shares = counts / len(labels)
    return DisplacementClasses(
        labels=labels,
        along_a=along,
        across_a=across,
        counts=counts,
        shares=shares,
        shares_std=np.sqrt(shares * (1 - shares) / len(labels)),
    )


def _unit_vector(axis: int | Array) -> npt.NDArray[np.float64]:
    if np.ndim(axis) == 1 and np.shape(axis) == (3,) and np.linalg.norm(axis) > 0:
        return np.asarray(axis / np.linalg.norm(axis), dtype=np.float64)
    if np.ndim(axis) == 0 and axis in (0, 1, 2):
        return np.asarray(np.eye(3)[int(axis)])
    raise InputError(f"axis {axis} is not accepted: 0, 1 or 2, or a vector of three numbers")
