"""Layers of a crystal along the normal, and how many ions are in each."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.errors import InputError
from lizrcl_flows.science.motion.slab import circular_mean

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

GAP_A = 1.0
"""Height without atoms that parts two layers (A); Zr planes of the chlorides are 2.9-3.1 A apart."""

_BLOCKS = 10


@dataclass(frozen=True)
class Layers:
    """Atoms sorted into layers, the lowest first.

    Attributes
    ----------
    index
        Layer of each atom, shape (M,).
    fraction
        Mean height of each layer as a fraction of the cell, in [0, 1), shape (L,).
    n_atoms
        Shape (L,).
    """

    index: IntArray
    fraction: FloatArray
    n_atoms: IntArray


@dataclass(frozen=True)
class LayerPopulations:
    """Ions in each layer.

    Attributes
    ----------
    times_ps
        Shape (T,).
    layer_z_a
        Height of each layer (A), shape (L,).
    population
        Ions, shape (T, L); each is counted in the layer nearest to it, so the sum over layers is the number of ions.
    mean, std
        Mean over time and its standard error from ten blocks of time, shape (L,).
    rich_to_poor
        Ions in every other layer over ions in the layers between, the richer ones first; None where there are not two
        kinds.
    rich_to_poor_std
        Its standard error: the larger one of blocks of time and of the scatter between layers of one kind.
    """

    times_ps: FloatArray
    layer_z_a: FloatArray
    population: IntArray
    mean: FloatArray
    std: FloatArray
    rich_to_poor: float | None
    rich_to_poor_std: float | None


def find_layers(fraction: Array, height_a: float, gap_a: float = GAP_A) -> Layers:
    """Sort atoms into layers, which are where there are gaps between them.

    Parameters
    ----------
    fraction
        Heights as fractions of the cell, shape (M,): one frame, or a mean over frames.
    height_a
        Of the cell (A).
    gap_a
        Height without atoms that parts two layers (A).

    Raises
    ------
    InputError
        If there are no atoms, or no gap as large.
    """
    fraction = np.asarray(fraction, dtype=np.float64) % 1.0
    if fraction.size == 0:
        raise InputError("there are no atoms that could make up layers")
    order = np.argsort(fraction, kind="stable")
    ordered = fraction[order]
    gaps = np.diff(ordered, append=ordered[0] + 1.0) * height_a  # the last one leads across the boundary
    if not (gaps > gap_a).any():
        raise InputError(
            f"there are no layers: the largest height without atoms is {gaps.max():.2f} A, and more than {gap_a:g} A "
            "parts two"
        )
    above = np.concatenate([[0], np.cumsum(gaps[:-1] > gap_a)])
    if gaps[-1] <= gap_a:
        above[above == above[-1]] = 0  # one layer on both sides of the boundary
    n_layers = int(above.max()) + 1
    index = np.empty(len(fraction), dtype=np.int64)
    index[order] = above
    means = np.array([float(circular_mean(fraction[index == layer])) for layer in range(n_layers)])
    means[means > 1 - 1e-9] = 0.0
    rank = np.argsort(means)
    index = np.argsort(rank)[index]
    return Layers(index, means[rank], np.bincount(index, minlength=n_layers))


def layer_populations(fraction: Array, layers: Array, height_a: float, dt_ps: float) -> LayerPopulations:
    """Count ions by layer.

    In alpha-Li2ZrCl6 planes with one third and with two thirds of the Zr alternate, and with them planes rich and poor
    in Li; the study (arXiv:2601.22612) finds about 2:1.

    Parameters
    ----------
    fraction
        Heights of the ions as fractions of the cell, in [0, 1), shape (T, N), in the frame of the crystal.
    layers
        Heights of the layers as fractions of the cell, in [0, 1), increasing, shape (L,).
    height_a
        Mean height of the cell (A).
    dt_ps
        Time between frames (ps).

    Raises
    ------
    InputError
        If there are no ions or no layers.
    """
    fraction, layers = np.asarray(fraction), np.asarray(layers, dtype=np.float64)
    if fraction.ndim != 2 or fraction.size == 0:
        raise InputError("there are no ions to count in layers")
    if layers.size == 0:
        raise InputError("there are no layers to count ions in")
    n_frames, n_layers = len(fraction), len(layers)
    # half way between layers; beyond the last border it is the first layer again
    borders = (layers + np.append(layers[1:], layers[0] + 1.0)) / 2
    turned = (fraction - (borders[-1] - 1.0)) % 1.0
    places = np.searchsorted(borders[:-1] - (borders[-1] - 1.0), turned.ravel(), side="right").reshape(fraction.shape)
    places += np.arange(n_frames)[:, None] * n_layers
    population = np.bincount(places.ravel(), minlength=n_frames * n_layers).reshape(n_frames, n_layers)
    blocks = _block_means(population)
    ratio, error = _rich_to_poor(blocks)
    return LayerPopulations(
        times_ps=np.asarray(np.arange(n_frames) * dt_ps),
        layer_z_a=layers * height_a,
        population=population,
        mean=population.mean(axis=0),
        std=_standard_error(blocks),
        rich_to_poor=ratio,
        rich_to_poor_std=error,
    )


def _block_means(population: IntArray) -> FloatArray:
    parts = np.array_split(population, min(_BLOCKS, len(population)))
    return np.array([part.mean(axis=0) for part in parts])


def _standard_error(blocks: FloatArray) -> FloatArray:
    if len(blocks) < 2:
        return np.full(blocks.shape[1], np.nan)
    return np.asarray(blocks.std(axis=0, ddof=1) / len(blocks) ** 0.5)


def _rich_to_poor(blocks: FloatArray) -> tuple[float | None, float | None]:
    """Return the ratio of every other layer to the ones between, and its standard error."""
    n_layers = blocks.shape[1]
    kinds = [blocks[:, ::2], blocks[:, 1::2]]
    if n_layers % 2 or min(kind.sum() for kind in kinds) == 0:
        return None, None
    rich, poor = sorted(kinds, key=lambda kind: -float(kind.sum()))
    ratio = float(rich.sum() / poor.sum())
    errors = [0.0]
    if len(blocks) > 1 and (poor.sum(axis=1) > 0).all():
        by_block = rich.sum(axis=1) / poor.sum(axis=1)
        errors.append(float(by_block.std(ddof=1) / len(blocks) ** 0.5))
    if n_layers > 2:
        means = [kind.mean(axis=0) for kind in (rich, poor)]
        relative = [float(mean.std(ddof=1) / mean.mean() / len(mean) ** 0.5) for mean in means]
        errors.append(ratio * float(np.hypot(relative[0], relative[1])))
    return ratio, max(errors)
