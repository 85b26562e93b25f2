"""Mean square displacement while a run goes on: ``msd.out``."""

from collections import deque
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lizrcl_flows.gpumd.commands import ComputeMsd
from lizrcl_flows.gpumd.extended_xyz import FloatArray
from lizrcl_flows.gpumd.system import System


class DisplacementRecorder:
    """Averages squared displacements over time origins and writes ``msd.out`` at the end of the run.

    As in GPUMD, a sample counts only once a whole window of correlation times lies before it: all correlation times
    are then averaged over the same number of origins.

    The self-diffusion coefficient in the file is half the slope of the displacement between neighbouring correlation
    times (0 for the first).

    Parameters
    ----------
    directory
        Where the file goes.
    system
        The atoms; their positions are followed across the boundaries.
    command
        Sampling, number of correlation times and atoms.
    step_fs
        Time step (fs).
    """

    writes_frames = False

    def __init__(self, directory: Path, system: System, command: ComputeMsd, step_fs: float) -> None:
        self.interval = command.interval
        self._directory = directory
        self._system = system
        self._spacing_ps = command.interval * step_fs * 1e-3
        self._save_every = command.save_every
        self._selections = _selections(system, command)
        self._history: deque[FloatArray] = deque(maxlen=command.points)
        self._sums = np.zeros((command.points, len(self._selections), 3))
        self._origins = 0

    def record(self, step: int, kinetic: float) -> None:  # noqa: ARG002
        """Correlate the present positions with the ones before."""
        present = self._system.positions.copy()
        self._history.appendleft(present)
        if len(self._history) < len(self._sums):
            return
        self._origins += 1
        for lag, past in enumerate(self._history):
            squared = (present - past) ** 2
            for index, atoms in enumerate(self._selections):
                self._sums[lag, index] += squared[atoms].mean(axis=0)
        if self._save_every is not None and step % self._save_every == 0:
            self._write(f"msd_step{step}.out")

    def close(self) -> None:
        """Write ``msd.out``."""
        if self._origins > 0:
            self._write("msd.out")

    def _write(self, name: str) -> None:
        displacement = self._sums / self._origins
        diffusion = np.zeros_like(displacement)
        diffusion[1:] = np.diff(displacement, axis=0) / (2.0 * self._spacing_ps)
        times = np.arange(len(displacement)) * self._spacing_ps
        values = np.concatenate([displacement, diffusion], axis=2).reshape(len(times), -1)
        with (self._directory / name).open("a", encoding="utf-8") as file:
            for time, row in zip(times.tolist(), values.tolist(), strict=True):
                file.write(" ".join(f"{value:.10e}" for value in (time, *row)) + "\n")


def _selections(system: System, command: ComputeMsd) -> list[npt.NDArray[np.bool_]]:
    """Atoms of each set of columns."""
    groups = system.groups
    if groups is not None and command.group is not None:
        return [groups[:, command.group[0]] == command.group[1]]
    if groups is not None and command.all_groups is not None:
        labels = groups[:, command.all_groups]
        return [labels == label for label in range(int(labels.max()) + 1)]
    return [np.ones(len(system), dtype=bool)]
