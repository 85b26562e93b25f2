"""Glide of layers: one layer of a crystal moves in its plane against the next, from one stacking to another."""

from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.errors import InputError

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

THRESHOLD_A = 1.0
"""Change of place that is a glide (A). The study finds 2.2 A from the beta to the ideal stacking."""

HELD_PS = 50.0
"""How long the new place must be kept (ps)."""

_STEADY = 0.3


@dataclass(frozen=True)
class GlideEvent:
    """A layer that glided against the one below it.

    Attributes
    ----------
    layer
        The upper one of the two; below layer 0 is the topmost one of the image below.
    frame
        First frame that is nearer to the new place than to the old one.
    time_ps
        Time of this frame.
    vector_a
        Change of place in the plane (A), by the shortest equivalent translation, shape (3,).
    size_a
        Its length (A).
    """

    layer: int
    frame: int
    time_ps: float
    vector_a: FloatArray
    size_a: float


@dataclass(frozen=True)
class LayerGlide:
    """How far layers have glided.

    A single layer that glides does so against both of its neighbours: it makes two events, with opposite vectors, at
    its own place and at the next layer's. A block of layers that glides makes one at either of its ends.

    Attributes
    ----------
    times_ps
        Shape (T,).
    vectors_a
        Place of the centre of each layer against the one below it, in the plane, less that at the beginning (A), shape
        (T, L, 3).
    displacement_a
        Length of the shortest equivalent of it (A), shape (T, L).
    events
        Ordered by time.
    """

    times_ps: FloatArray
    vectors_a: FloatArray
    displacement_a: FloatArray
    events: tuple[GlideEvent, ...]


def layer_glide(
    paths: Array,
    index: Array,
    translations: Array,
    times_ps: Array,
    *,
    threshold_a: float = THRESHOLD_A,
    held_ps: float = HELD_PS,
) -> LayerGlide:
    """Follow layers in their planes and find when they glide.

    Parameters
    ----------
    paths
        Unwrapped positions of the atoms that make up the layers, such as Zr (A), shape (T, M, 3).
    index
        Layer of each atom, from `lizrcl_flows.science.motion.layers.find_layers`, shape (M,).
    translations
        Two vectors in the plane (A), shape (2, 3), by which a layer is moved onto itself: those of the cell
        (`lizrcl_flows.science.motion.slab.plane_vectors`), or shorter ones of the crystal.
    times_ps
        Times of the frames, evenly spaced, shape (T,).
    threshold_a
        Change of place that is a glide (A).
    held_ps
        How long the new place must be kept (ps).

    Raises
    ------
    InputError
        If there are fewer than two layers or frames.
    """
    paths, index = np.asarray(paths), np.asarray(index, dtype=np.int64)
    times = np.asarray(times_ps, dtype=np.float64)
    n_layers = int(index.max()) + 1 if index.size else 0
    if n_layers < 2:
        raise InputError(f"{n_layers} layers are not enough for a glide of one against another: at least 2 are needed")
    if len(paths) < 2:
        raise InputError(f"{len(paths)} frames are not enough to see a glide: at least 2 are needed")
    lattice = np.asarray(translations, dtype=np.float64)
    upwards = np.cross(*lattice)
    upwards /= np.linalg.norm(upwards)
    hold = max(1, int(np.ceil(held_ps / float(np.median(np.diff(times))) - 1e-9)))
    vectors = _relative(paths, index, n_layers, upwards)
    vectors -= np.median(vectors[: min(hold, len(vectors))], axis=0)
    events = [
        GlideEvent(layer, frame, float(times[frame]), change, float(np.linalg.norm(change)))
        for layer in range(n_layers)
        for frame, change in _changes(vectors[:, layer], lattice, hold, threshold_a)
    ]
    events.sort(key=lambda event: (event.frame, event.layer))
    return LayerGlide(times, vectors, np.linalg.norm(_shortest(vectors, lattice), axis=-1), tuple(events))


def _relative(paths: Array, index: IntArray, n_layers: int, upwards: FloatArray) -> FloatArray:
    """Return the centre of each layer against the one below it, in the plane (A), shape (T, L, 3)."""
    centres = np.stack([paths[:, index == layer].mean(axis=1, dtype=np.float64) for layer in range(n_layers)], axis=1)
    against = centres - np.roll(centres, 1, axis=1)
    return np.asarray(against - (against @ upwards)[..., None] * upwards)


def _shortest(vectors: FloatArray, lattice: FloatArray) -> FloatArray:
    """Return the shortest vectors that differ from the given ones by translations, shape (..., 3)."""
    flat = vectors.reshape(-1, 3)
    coordinates = flat @ np.linalg.pinv(lattice)
    nearest = flat - np.rint(coordinates) @ lattice
    # in an oblique lattice the nearest point need not be that of the rounded coordinates
    around = np.array(list(product((-1, 0, 1), repeat=2)), dtype=np.float64) @ lattice
    candidates = nearest[:, None] + around
    best = np.linalg.norm(candidates, axis=-1).argmin(axis=1)
    return np.asarray(candidates[np.arange(len(flat)), best].reshape(vectors.shape))


def _changes(track: FloatArray, lattice: FloatArray, hold: int, threshold_a: float) -> list[tuple[int, FloatArray]]:
    """Return the frame and the vector of each change from one lasting place to another."""
    if len(track) <= hold:
        return []
    windows = np.lib.stride_tricks.sliding_window_view(track, hold, axis=0)
    medians = np.median(windows, axis=-1)
    found = []
    place, time = medians[0], 1
    while time < len(medians):
        if np.linalg.norm(_shortest(medians[time] - place, lattice)) <= threshold_a:
            time += 1
            continue
        settled = _settled(medians, time, hold, _STEADY * threshold_a)
        new = medians[min(settled + hold, len(medians) - 1)]
        change = _shortest(new - place, lattice)
        share = (track - place) @ (new - place) / ((new - place) @ (new - place))
        start = max(0, time - 1)
        frame = start + int(np.argmax(share[start : settled + hold] > 0.5))
        if np.linalg.norm(change) > threshold_a and _is_held(share, frame, hold):
            found.append((frame, change))
            place, time = new, settled
        time += 1
    return found


def _settled(medians: FloatArray, time: int, hold: int, steady_a: float) -> int:
    """Return the first window from `time` on after which the place does not change any more for as long again."""
    while time + hold < len(medians) and np.linalg.norm(medians[time + hold] - medians[time]) > steady_a:
        time += 1
    return time


def _is_held(share: FloatArray, frame: int, hold: int) -> bool:
    """Tell whether all frames for as long as it must be held are nearer to the new place."""
    after = share[frame : frame + hold]
    return len(after) == hold and bool((after > 0.5).all())
