"""What ``nep`` leaves behind: loss.out, the ``*_train.out`` and ``*_test.out`` tables, nep.restart."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lizrcl_flows.errors import InputError
from lizrcl_flows.nep.files import read_text, write_text
from lizrcl_flows.nep.frames import FloatArray

LOSS_COLUMNS = 10
MISSING = -1e6
"""What GPUMD writes as the reference of a label that does not exist."""


@dataclass(frozen=True, eq=False)
class LossCurve:
    """loss.out; every attribute has one value for each line.

    Attributes
    ----------
    generation
        Number of the generation.
    total, l1, l2
        The loss and its regularisation terms.
    energy_train, energy_test
        Root mean square errors (eV/atom).
    force_train, force_test
        eV/A, by component.
    virial_train, virial_test
        eV/atom, by component. Errors of the test set are 0 where there is none.
    """

    generation: FloatArray
    total: FloatArray
    l1: FloatArray
    l2: FloatArray
    energy_train: FloatArray
    force_train: FloatArray
    virial_train: FloatArray
    energy_test: FloatArray
    force_test: FloatArray
    virial_test: FloatArray


def read_loss(path: str | Path) -> LossCurve:
    """Read loss.out; lines that begin with ``#`` are skipped.

    Raises
    ------
    InputError
        The file does not exist, or a line does not have ten numbers.
    """
    return LossCurve(*_table(path, (LOSS_COLUMNS,)).T)


def read_parity(path: str | Path) -> tuple[FloatArray, FloatArray]:
    """Read ``energy_train.out`` and its like.

    Returns
    -------
    predicted, reference
        Shape (n, 1) for energies (eV/atom), (n, 3) for forces (eV/A), (n, 6) for virials (eV/atom) and stresses (GPa,
        compression positive), both in the order xx yy zz xy yz zx. NaN where there is no reference.

    Raises
    ------
    InputError
        The file does not exist, or a line does not have as many numbers as the first, which should be 2, 6 or 12.

    Notes
    -----
    GPUMD's rows follow its batches, not train.xyz, whenever a batch is smaller than the set.
    """
    table = _table(path, (2, 6, 12))
    predicted, reference = np.split(table, 2, axis=1)
    return predicted, np.where(reference == MISSING, np.nan, reference)


def read_restart(path: str | Path) -> tuple[FloatArray, FloatArray]:
    """Read nep.restart: mean and spread of every parameter, each of shape (P,), in the order of nep.txt.

    Raises
    ------
    InputError
        The file does not exist, or a line does not have two numbers.
    """
    mean, spread = _table(path, (2,)).T
    return mean, spread


def write_restart(path: str | Path, mean: FloatArray, spread: FloatArray) -> None:
    """Write nep.restart, the search distribution from which GPUMD's ``nep`` goes on.

    It holds no descriptor scales. ``nep`` of v5.6 or later goes on from a potential only with `import_q_scaler` 1 in
    nep.in and the nep.txt that holds the scales beside nep.restart; without them it scales the descriptors anew, and
    the parameters no longer fit. Earlier releases always do that.

    Parameters
    ----------
    path
        Where to.
    mean, spread
        Of every parameter, each of shape (P,), in the order of nep.txt; a spread of 1e-3 keeps near the mean.
    """
    rows = zip(np.asarray(mean).tolist(), np.asarray(spread).tolist(), strict=True)
    write_text(path, "".join([f"{mu:15.7e} {sigma:15.7e}\n" for mu, sigma in rows]))


def _table(path: str | Path, widths: tuple[int, ...]) -> FloatArray:
    """Numbers of a file, shape (n, width); all lines have the same width, one of those accepted."""
    text = read_text(path)
    lines = text.splitlines()
    rows: list[list[str]] = []
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        accepted = (len(rows[0]),) if rows else widths
        if len(words) not in accepted or (number == len(lines) and not text.endswith("\n")):
            expected = " or ".join(map(str, accepted))
            cut = " and the line does not end: the file is cut short" if number == len(lines) else ""
            raise InputError(f"{path}, line {number}: {len(words)} numbers where {expected} are expected{cut}.")
        rows.append(words)
    if not rows:
        raise InputError(f"{path} holds no numbers.")
    try:
        return np.array(rows, dtype=np.float64)
    except ValueError:
        number = next(number for number, line in enumerate(lines, start=1) if not _all_numbers(line))
        raise InputError(f"{path}, line {number}: '{lines[number - 1].strip()}' should be numbers.") from None


def _all_numbers(line: str) -> bool:
    try:
        for word in line.split("#", maxsplit=1)[0].split():
            float(word)
    except ValueError:
        return False
    return True
