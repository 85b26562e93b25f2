"""Displacements of ions: unwrapping, drift, mean square displacement over all time origins."""

import numpy as np
import numpy.typing as npt

from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.errors import InputError

_NUMBERS_AT_ONCE = 16_384
"""Frames times ions that are transformed at once: what fits the caches of a processor is twice as fast."""

_FRAMES_AT_ONCE = 128

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


def remove_drift(positions: Array, framework: Array, keep: Array | None = None) -> npt.NDArray[np.float64]:
    """Subtract the motion of the framework's centre from all positions.

    Parameters
    ----------
    positions
        Unwrapped positions (A), shape (T, N, 3).
    framework
        True for the atoms that do not diffuse, shape (N,). Where there are none, the centre of all atoms is used.
    keep
        True for the M atoms that are wanted, shape (N,); all by default. A long run of many atoms is not copied as a
        whole where only its ions are.

    Returns
    -------
    ndarray
        Positions (A), shape (T, M, 3); the first frame is as given.
    """
    positions = np.asarray(positions)
    share = np.asarray(framework, dtype=np.float64)
    share = share / share.sum() if share.any() else np.full(len(share), 1 / len(share))
    wanted = np.arange(positions.shape[1]) if keep is None else np.flatnonzero(np.asarray(keep, dtype=bool))
    moved = np.empty((len(positions), len(wanted), 3))
    start = share @ positions[0].astype(np.float64)
    for frame, out in zip(positions, moved, strict=True):
        np.subtract(np.take(frame, wanted, axis=0), share @ frame.astype(np.float64) - start, out=out)
    return moved


def msd_fft(positions: Array) -> npt.NDArray[np.float64]:
    """Return the mean square displacement along x, y and z, averaged over all time origins and ions.

    <|r(t + t0) - r(t0)|^2> by fast Fourier transforms (Calandrini et al., Collection SFN 12 (2011) 201, section 4.2.2),
    in O(T log T) for each ion.

    Parameters
    ----------
    positions
        Unwrapped positions (A), shape (T, N, 3), in single or double precision.

    Returns
    -------
    ndarray
        Shape (T, 3), A^2; row k is the lag of k frames.
    """
    from scipy.fft import irfft, next_fast_len

    n_frames, n_ions, _ = positions.shape
    length = next_fast_len(2 * n_frames - 1, real=True)
    power, squares = _spectrum(positions, length)
    products = irfft(power, length, axis=1)[:, :n_frames].T
    until = np.zeros((n_frames + 1, 3))
    np.cumsum(squares.T, axis=0, out=until[1:])
    lag = np.arange(n_frames)
    total = until[n_frames - lag] + until[n_frames] - until[lag] - 2 * products
    result = total / (n_frames - lag)[:, None] / n_ions
    result[0] = 0.0
    return np.asarray(np.maximum(result, 0.0))


def checked_paths(positions: Array) -> Array:
    """Return `positions` as an array of floating-point numbers, not copied where it is one already.

    Parameters
    ----------
    positions
        Unwrapped positions (A), shape (T, N, 3).

    Raises
    ------
    InputError
        If the shape is another one, nothing is in it, or a number is not finite.
    """
    paths = np.asarray(positions)
    if paths.ndim != 3 or paths.shape[2] != 3 or 0 in paths.shape:
        raise InputError(f"positions have shape {paths.shape}, frames x ions x 3 is needed with at least one of each")
    if paths.dtype not in (np.float32, np.float64):
        paths = paths.astype(np.float64)
    if not all(np.isfinite(frame).all() for frame in paths):
        raise InputError("positions: a number is not finite, so the run has no mean square displacement")
    return paths


def _spectrum(positions: Array, length: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return power spectrum and squares of the paths, both summed over the ions: one inverse transform is enough.

    Returns
    -------
    power
        A^2, shape (3, `length` // 2 + 1).
    squares
        A^2, shape (3, T).
    """
    from scipy.fft import rfft

    n_frames, n_ions, _ = positions.shape
    parts = np.zeros((3, length // 2 + 1, 2))
    squares = np.zeros((3, n_frames))
    chunk = min(n_ions, max(1, _NUMBERS_AT_ONCE // n_frames))
    # in double precision, a few ions at a time: positions in single precision are never copied as a whole; one buffer,
    # as memory that is new to the process costs more than the transform
    padded = np.zeros((chunk, 3, length))
    for start in range(0, n_ions, chunk):
        some = positions[:, start : start + chunk].reshape(n_frames, -1)
        padded = padded[: some.shape[1] // 3]
        _transpose(some, padded.reshape(-1, length))
        paths = padded[:, :, :n_frames]
        # the result does not change with the origin of a path, its rounding does
        paths -= paths.mean(axis=2, keepdims=True)
        spectrum = rfft(padded, axis=2).view(np.float64).reshape(*paths.shape[:2], -1, 2)
        parts += np.einsum("iafc,iafc->afc", spectrum, spectrum)
        squares += np.einsum("iat,iat->at", paths, paths)
    return parts.sum(axis=2), squares


def _transpose(some: Array, out: npt.NDArray[np.float64]) -> None:
    """Write (T, K) to the first T columns of (K, L), a few rows at a time: twice as fast."""
    for start in range(0, len(some), _FRAMES_AT_ONCE):
        rows = some[start : start + _FRAMES_AT_ONCE]
        out[:, start : start + len(rows)] = rows.T
