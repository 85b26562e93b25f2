"""Displacements of ions: unwrapping, drift, mean square displacement over all time origins."""

import numpy as np
import numpy.typing as npt

from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.errors import InputError

_CHUNK = 128
"""Ions transformed at once; bounds the memory, not the result."""

_LONGEST_STEP = 0.4
"""Share of a cell vector; beyond it the shortest image is too likely the wrong one."""


def unwrap(positions: Array, cells: Array) -> npt.NDArray[np.float64]:
    """Follow atoms across the periodic boundaries.

    The steps between frames are taken in fractional coordinates, each by the shortest image, and added up in the cell
    of the moment, so that a breathing cell moves no atom by itself; any shape of cell will do.

    Parameters
    ----------
    positions
        Wrapped (or unwrapped) Cartesian positions (A), shape (T, N, 3).
    cells
        Cell vectors in rows (A), shape (T, 3, 3), or (3, 3) for a constant cell.

    Returns
    -------
    ndarray
        Positions (A), shape (T, N, 3); the first frame is as given.

    Raises
    ------
    InputError
        If an atom seems to move by nearly half a cell between two frames: the direction is then anybody's guess.
    """
    positions = np.asarray(positions, dtype=np.float64)
    cells = np.broadcast_to(np.asarray(cells, dtype=np.float64), (len(positions), 3, 3))
    fractional = np.einsum("tni,tij->tnj", positions, np.linalg.inv(cells))
    steps = np.diff(fractional, axis=0)
    steps -= np.round(steps)
    if steps.size and np.abs(steps).max() > _LONGEST_STEP:
        frame = int(np.unravel_index(np.argmax(np.abs(steps)), steps.shape)[0])
        raise InputError(
            f"frame {frame + 1}: an atom moves by more than {_LONGEST_STEP:g} of a cell vector since the frame before, "
            "so its path cannot be followed; frames closer in time or unwrapped positions are needed"
        )
    unwrapped = np.empty_like(positions)
    unwrapped[0] = positions[0]
    np.cumsum(np.einsum("tni,tij->tnj", steps, cells[1:]), axis=0, out=unwrapped[1:])
    unwrapped[1:] += positions[0]
    return unwrapped


def remove_drift(positions: Array, framework: Array) -> npt.NDArray[np.float64]:
    """Subtract the motion of the framework's centre from all positions.

    Parameters
    ----------
    positions
        Unwrapped positions (A), shape (T, N, 3).
    framework
        True for the atoms that do not diffuse, shape (N,). Where there are none, the centre of all atoms is used.

    Returns
    -------
    ndarray
        Positions (A), shape (T, N, 3); the first frame is as given.
    """
    positions = np.asarray(positions, dtype=np.float64)
    framework = np.asarray(framework, dtype=bool)
    centre = positions[:, framework if framework.any() else slice(None)].mean(axis=1)
    return np.asarray(positions - (centre - centre[0])[:, None])


def msd_fft(positions: Array) -> npt.NDArray[np.float64]:
    """Return the mean square displacement along x, y and z, averaged over all time origins and ions.

    <|r(t + t0) - r(t0)|^2> by fast Fourier transforms (Calandrini et al., Collection SFN 12 (2011) 201, section 4.2.2),
    in O(T log T) for each ion.

    Parameters
    ----------
    positions
        Unwrapped positions (A), shape (T, N, 3).

    Returns
    -------
    ndarray
        Shape (T, 3), A^2; row k is the lag of k frames.
    """
    from scipy.fft import irfft, next_fast_len, rfft

    n_frames, n_ions, _ = positions.shape
    length = next_fast_len(2 * n_frames - 1, real=True)
    lag = np.arange(n_frames)
    total = np.zeros((n_frames, 3))
    for start in range(0, n_ions, _CHUNK):
        paths = np.array(positions[:, start : start + _CHUNK], dtype=np.float64).reshape(n_frames, -1).T
        # the result does not change with the origin of a path, its rounding does
        paths -= paths.mean(axis=1, keepdims=True)
        spectrum = rfft(paths, length, axis=1)
        power = (spectrum.real**2 + spectrum.imag**2).reshape(-1, 3, spectrum.shape[1]).sum(axis=0)
        products = irfft(power, length, axis=1)[:, :n_frames].T
        squares = np.zeros((n_frames + 1, 3))
        np.cumsum((paths**2).reshape(-1, 3, n_frames).sum(axis=0).T, axis=0, out=squares[1:])
        total += squares[n_frames - lag] + squares[n_frames] - squares[lag] - 2 * products
    result = total / (n_frames - lag)[:, None] / n_ions
    result[0] = 0.0
    return np.asarray(np.maximum(result, 0.0))
