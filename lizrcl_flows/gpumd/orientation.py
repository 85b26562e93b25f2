"""Cells as lengths and angles, and the orientation that goes with them: a along x and b in the xy plane."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def standard_orientation(cell: Floats) -> tuple[Floats, Floats, Floats]:
    """Return lengths (A) and angles (degrees) of a cell, and the rotation of row vectors into its standard orientation.

    There a lies along x and b in the xy plane. Of a left-handed cell the rotation is a reflection as well.

    Parameters
    ----------
    cell
        Cell vectors in rows (A), shape (3, 3).
    """
    lengths = np.linalg.norm(cell, axis=1)
    unit = cell / lengths[:, None]
    cosines = np.array([unit[1] @ unit[2], unit[0] @ unit[2], unit[0] @ unit[1]])
    angles = np.degrees(np.arccos(np.clip(cosines, -1, 1)))
    x = unit[0]
    y = unit[1] - (unit[1] @ x) * x
    y /= np.linalg.norm(y)
    z = np.cross(x, y)
    if unit[2] @ z < 0:
        z = -z
    return lengths, angles, np.stack([x, y, z], axis=1)


def cell_of(shape: Sequence[float]) -> npt.NDArray[np.float64]:
    """Return the cell of three lengths (A) and three angles (degrees) in the standard orientation.

    Parameters
    ----------
    shape
        a, b, c, alpha, beta, gamma.
    """
    a, b, c = shape[:3]
    alpha, beta, gamma = (math.cos(math.radians(angle)) if angle != 90 else 0.0 for angle in shape[3:])
    sine = math.sqrt(max(0.0, 1 - gamma**2))
    y = (alpha - beta * gamma) / sine if sine > 0 else 0.0
    height = math.sqrt(max(0.0, 1 - beta**2 - y**2))
    return np.array([[a, 0.0, 0.0], [b * gamma, b * sine, 0.0], [c * beta, c * y, c * height]])
