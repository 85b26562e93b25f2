"""Files that a training leaves beside nep.txt: loss.out and the parity files, in GPUMD's columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lizrcl_flows.nep.files import write_text
from lizrcl_flows.nep.outputs import MISSING
from lizrcl_flows.nep.structures import LabelledFrame
from lizrcl_flows.nep.training_problem import VIRIAL_COLUMNS, VIRIAL_ROWS
from lizrcl_flows.units import GPA_PER_EV_A3

if TYPE_CHECKING:
    from lizrcl_flows.nep.model import NepModel
    from lizrcl_flows.nep.training import LossRow

Floats = NDArray[np.float64]


class LossFile:
    """loss.out, appended to; rows that a killed run wrote after its last checkpoint are taken back.

    Parameters
    ----------
    path
        The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def continue_after(self, step: int) -> None:
        """Drop the rows at the end that are later than this step, or at it."""
        lines = self.path.read_text(encoding="utf-8").splitlines() if self.path.exists() else []
        while lines and _generation(lines[-1]) >= step:
            lines.pop()
        write_text(self.path, "".join(f"{line}\n" for line in lines))

    def add(self, row: LossRow) -> str:
        """Append a row of ten columns and return it."""
        values = (row.total, row.l1, row.l2, *row.train, *row.test)
        line = f"{row.step:<8d}" + "".join(f" {value:<12.6g}" for value in values)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line.rstrip() + "\n")
        return line.rstrip()


def _generation(line: str) -> int:
    """First column of a row, -1 for what is not a row; a row that was cut short counts as late."""
    words = line.split()
    if not words or not words[0].isdigit():
        return -1
    return int(words[0])


def write_parity_files(
    directory: Path, label: str, model: NepModel, frames: Sequence[LabelledFrame], threads: int = 1
) -> None:
    """Write energy_, force_, virial_ and stress_<label>.out in the order of the frames.

    Columns are the potential's values and then the targets: eV/atom, eV/A, eV/atom (xx yy zz xy yz zx) and GPa
    (positive when compressed).

    Parameters
    ----------
    directory
        Where to.
    label
        ``train`` or ``test``.
    model
        What predicts.
    frames
        Structures with their targets.
    threads
        Threads that evaluate.
    """
    from lizrcl_flows.nep.committee import Committee

    results = Committee([model]).evaluate(frames, threads)
    energies, forces, virials, stresses = [], [], [], []
    for frame, result in zip(frames, results, strict=True):
        count = len(frame.species)
        volume = abs(float(np.linalg.det(np.asarray(frame.cell, dtype=np.float64))))
        virial = result.virial[0][VIRIAL_ROWS, VIRIAL_COLUMNS]
        target = np.full(6, np.nan) if frame.virial is None else np.asarray(frame.virial, dtype=np.float64)
        energies.append([result.energy[0] / count, frame.energy / count])
        forces.append(np.hstack([result.forces[0], frame.forces]))
        virials.append(_with_missing(virial / count, target / count))
        stresses.append(_with_missing(virial / volume * GPA_PER_EV_A3, target / volume * GPA_PER_EV_A3))
    _write_table(directory / f"energy_{label}.out", energies)
    _write_table(directory / f"force_{label}.out", np.concatenate(forces))
    _write_table(directory / f"virial_{label}.out", virials)
    _write_table(directory / f"stress_{label}.out", stresses)


def _with_missing(predicted: Floats, target: Floats) -> Floats:
    return np.concatenate([predicted, np.where(np.isnan(target), MISSING, target)])


def write_descriptors(path: Path, model: NepModel, frames: Sequence[LabelledFrame], *, per_atom: bool) -> None:
    """Write descriptor.out: scaled descriptors, a row for every atom or the mean of every structure."""
    from lizrcl_flows.nep.committee import Committee

    rows = Committee([model]).descriptors_of(frames)
    _write_table(path, np.concatenate(rows) if per_atom else [values.mean(axis=0) for values in rows])


def _write_table(path: Path, rows: Iterable[Sequence[float] | Floats]) -> None:
    write_text(path, "".join(" ".join(f"{value:.9g}" for value in row) + "\n" for row in rows))
