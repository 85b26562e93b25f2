"""Where the layers of a run lie: its normal, and in an interface model the oxide and what is near it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lizrcl_flows.errors import InputError
from lizrcl_flows.science.analysis.findings import Options, layered_axis
from lizrcl_flows.science.analysis.run import RunData
from lizrcl_flows.science.motion.slab import (
    OxideSlab,
    areas_of_cells,
    fractional_heights,
    heights_of_cells,
    normal,
    oxide_atoms,
    oxide_slab,
    shortest,
)

INTERFACE, BULK = "interface", "bulk"

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Layout:
    """Heights in the frame of the oxide, or of the crystal where there is none.

    Attributes
    ----------
    axis, normal
        Cell vector along which layers are stacked, and the unit normal, shape (3,).
    heights_a, areas_a2
        Of each frame's cell, shape (T,).
    oxide
        Which atoms belong to the oxide, shape (N,); None where there is no interface.
    fraction
        Heights of the ions as fractions of the cell, from the centre of the oxide, shape (T, n).
    planes
        Both interfaces in the same fractions, shape (T, 2); None where there is none.
    near
        Whether an ion is near an interface, shape (T, n); None where there is none.
    """

    axis: int
    normal: Floats
    heights_a: Floats
    areas_a2: Floats
    oxide: npt.NDArray[np.bool_] | None
    fraction: Floats
    planes: Floats | None
    near: npt.NDArray[np.bool_] | None

    @property
    def height_a(self) -> float:
        """Mean height of the cell (A)."""
        return float(self.heights_a.mean())

    def regions(self, near: npt.NDArray[np.bool_] | None, n: int) -> npt.NDArray[np.str_]:
        """Return the name of the region of each of n ions."""
        return np.full(n, BULK) if near is None else np.where(near, INTERFACE, BULK)

    def near_at(self, frames: npt.NDArray[np.int64]) -> list[npt.NDArray[np.bool_] | None]:
        """Return which ions are near an interface in some frames."""
        return [None if self.near is None else self.near[frame] for frame in frames]


def layout_of(run: RunData, options: Options) -> Layout:
    """Find normal, oxide and interfaces.

    An interface model has O and another anion, and a cell vector along which the oxide leaves room; without that the
    run is a bulk crystal, whose layers are stacked where its framework has the widest gaps.
    """
    oxide = _oxide(run)
    wanted = (2, 1, 0) if options.axis is None else (options.axis,)
    slabs = ((axis, _slab(run, oxide, axis)) for axis in wanted) if oxide is not None else ()
    axis, slab = next(((axis, slab) for axis, slab in slabs if slab is not None), (None, None))
    if axis is None:
        axis = layered_axis(run) if options.axis is None else options.axis
    heights, areas = heights_of_cells(run.cells, axis), areas_of_cells(run.cells, axis)
    centre: Floats | float = 0.0
    planes = near = None
    if slab is None:
        oxide = None
    else:
        centre, planes = _in_time(run, slab)
    fraction = fractional_heights(run.paths, run.cells, axis, centre)
    if planes is not None:
        away = np.min([np.abs(shortest(fraction - planes[:, [side]])) * heights[:, None] for side in (0, 1)], axis=0)
        near = away < options.region_width_a
    return Layout(axis, normal(run.cells, axis), heights, areas, oxide, fraction, planes, near)


def _oxide(run: RunData) -> npt.NDArray[np.bool_] | None:
    """Return the atoms of the oxide of an interface model; None where there is none."""
    others = {"F", "Cl", "Br", "I", "S"} & set(run.species)
    if "O" not in run.species or not others:
        return None
    cell = run.cells[run.sample_frames[0]]
    return oxide_atoms(run.species, run.samples[0].astype(float), cell, mobile=(run.ion,))


def _slab(run: RunData, oxide: npt.NDArray[np.bool_], axis: int) -> OxideSlab | None:
    cells = run.cells[run.sample_frames]
    fraction = fractional_heights(run.samples[:, oxide], cells, axis)
    try:
        return oxide_slab(fraction, heights_of_cells(cells, axis))
    except InputError:  # dispersed oxygen is no slab
        return None


def _in_time(run: RunData, slab: OxideSlab) -> tuple[Floats, Floats]:
    """Return the centre, and the planes seen from it, of every frame; between the samples by interpolation."""
    frames = np.arange(run.n_frames)
    centre = np.interp(frames, run.sample_frames, slab.centre)
    seen = shortest(slab.planes - slab.centre[:, None])
    sides = (np.unwrap(seen[:, side], period=1.0) for side in (0, 1))
    return centre, np.stack([np.interp(frames, run.sample_frames, side) for side in sides], axis=1) % 1.0
