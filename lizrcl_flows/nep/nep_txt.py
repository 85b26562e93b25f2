"""nep.txt: read and write NEP3 and NEP4 potentials.

Written by ``nep`` of GPUMD and by `lizrcl_flows.nep.training`, read by ``gpumd``, calorine and others. A header of six
lines (seven with ZBL), then one number on every line.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lizrcl_flows.errors import InputError
from lizrcl_flows.nep.files import read_text, write_text
from lizrcl_flows.nep.model import FloatArray, NepHeader, NepModel, Zbl

_VERSIONS = {"nep3": 3, "nep4": 4, "nep3_zbl": 3, "nep4_zbl": 4}
_OLD_TYPEWISE_VALUES = 7
"""On the cutoff line: two cutoffs, two numbers of neighbours, factors of the radial and angular cutoff and of ZBL."""


class _Header:
    """The header lines, taken one after the other."""

    def __init__(self, name: str, lines: Sequence[str]) -> None:
        self.name = name
        self.lines = lines
        self.number = 0

    def wrong(self, what: str) -> InputError:
        return InputError(f"{self.name}, line {self.number}: {what}")

    def upcoming(self) -> list[str]:
        """Words of the next line, which stays the next."""
        return self.lines[self.number].split() if self.number < len(self.lines) else []

    def take(self, keyword: str | None, counts: Sequence[int] | range) -> list[str]:
        """Words of the next line after its keyword, whose number must be one of ``counts``."""
        words = self.upcoming()
        self.number += 1
        if not words:
            raise self.wrong(f"the file ends where '{keyword or 'nep4'}' should stand.")
        if keyword is not None and words[0] != keyword:
            raise self.wrong(f"'{words[0]}' stands where '{keyword}' should.")
        if keyword is not None and len(words) - 1 not in counts:
            accepted = " or ".join(str(count) for count in counts)
            raise self.wrong(f"'{keyword}' has {len(words) - 1} values, but should have {accepted}.")
        return words if keyword is None else words[1:]

    def integers(self, words: Sequence[str]) -> list[int]:
        """Words as whole numbers."""
        try:
            return [int(word) for word in words]
        except ValueError:
            raise self.wrong(f"'{' '.join(words)}' should be whole numbers.") from None

    def floats(self, words: Sequence[str]) -> list[float]:
        """Words as numbers."""
        try:
            return [float(word) for word in words]
        except ValueError:
            raise self.wrong(f"'{' '.join(words)}' should be numbers.") from None


def read_nep_txt(path: str | Path) -> NepModel:
    """Read a potential.

    Parameters
    ----------
    path
        A nep.txt of version 3 or 4.

    Raises
    ------
    InputError
        The file does not exist, is cut short or too long, or is of a kind that is not supported (another version,
        charges, dipoles, two hidden layers, newer descriptors, flexible ZBL); file and line are named.
    """
    name = str(path)
    text = read_text(path)
    lines = text.split("\n")
    reader = _Header(name, lines)
    header, max_neighbours = _read_header(reader)
    expected = header.n_parameters + header.n_descriptors
    values = _read_values(name, text, reader.number, expected)
    try:
        return NepModel(header, values[: header.n_parameters], values[header.n_parameters :], max_neighbours)
    except InputError as error:
        raise InputError(f"{name}: {error}.") from None


def _read_header(reader: _Header) -> tuple[NepHeader, tuple[int, int]]:
    words = reader.take(None, ())
    version = _VERSIONS.get(words[0])
    if version is None:
        raise reader.wrong(f"'{words[0]}' is not a known kind of potential; accepted are {', '.join(_VERSIONS)}.")
    (n_types,) = reader.integers(words[1:2]) or [0]
    species = tuple(words[2:])
    if n_types < 1 or len(species) != n_types:
        raise reader.wrong(f"{n_types} types are announced, but {len(species)} follow.")
    zbl = _read_zbl(reader) if words[0].endswith("_zbl") else None
    cutoffs, max_neighbours = _read_cutoffs(reader, n_types)
    n_max = reader.integers(reader.take("n_max", (2,)))
    basis_size = reader.integers(reader.take("basis_size", (2,)))
    flags = reader.integers(reader.take("l_max", range(1, 8)))
    l_max, four_body, five_body, *newer = flags + [0] * (7 - len(flags))
    if any(newer):
        raise reader.wrong("the descriptors q112, q123, q233 and q134 are not supported; only q222 and q1111 are.")
    neurons, second = reader.integers(reader.take("ANN", (2,)))
    if second != 0:
        raise reader.wrong("a second hidden layer is not supported.")
    try:
        header = NepHeader(
            version,
            species,
            cutoffs,
            (n_max[0], n_max[1]),
            (basis_size[0], basis_size[1]),
            l_max,
            bool(four_body),
            bool(five_body),
            neurons,
            zbl,
        )
    except InputError as error:
        raise InputError(f"{reader.name}, header: {error}.") from None
    return header, max_neighbours


def _read_zbl(reader: _Header) -> Zbl:
    inner, outer, *factor = reader.floats(reader.take("zbl", (2, 3)))
    if outer == 0.0:
        raise reader.wrong("the flexible ZBL repulsion (zbl 0 0) is not supported.")
    if not 0.0 <= inner < outer:
        raise reader.wrong(f"the radii {inner:g} and {outer:g} of zbl should be 0 <= inner < outer.")
    return Zbl(inner, outer, factor[0] if factor else None)


def _read_cutoffs(reader: _Header, n_types: int) -> tuple[tuple[tuple[float, float], ...], tuple[int, int]]:
    counts = (4, 2) if n_types == 1 else (4, 2, 2 * n_types + 2)
    old = reader.upcoming()
    if old[:1] == ["cutoff"] and len(old) == 1 + _OLD_TYPEWISE_VALUES:
        reader.number += 1
        raise reader.wrong(
            f"'cutoff' ends with the factors {' '.join(old[5:])}, with which GPUMD v3.9.5 to v4.6 write typewise "
            "cutoffs or a typewise ZBL; these are not supported, and the typewise ZBL of later releases is another "
            "function, so train the potential again with v4.7 or later."
        )
    words = reader.take("cutoff", counts)
    per_type = len(words) == 2 * n_types + 2 and n_types > 1
    n_radii = 2 * n_types if per_type else 2
    radii = reader.floats(words[:n_radii])
    pairs = tuple(zip(radii[::2], radii[1::2], strict=True))
    largest = reader.integers(words[n_radii:]) or [0, 0]
    return (pairs if per_type else pairs * n_types), (largest[0], largest[1])


def _read_values(name: str, text: str, header_lines: int, expected: int) -> FloatArray:
    body = text.split("\n", header_lines)[header_lines] if text.count("\n") >= header_lines else ""
    words = body.split()
    if len(words) < expected or not text.endswith("\n"):
        raise InputError(
            f"{name}, line {text.count(chr(10)) + 1}: the file ends after {len(words)} of the {expected} numbers that "
            "its header announces, or inside the last one."
        )
    if len(words) > expected:
        raise InputError(
            f"{name}, line {header_lines + expected + 1}: {len(words)} numbers follow the header, which announces "
            f"{expected}."
        )
    try:
        values = np.array(words, dtype=np.float64)
    except ValueError:
        values = np.array([_number(word) for word in words])
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        raise InputError(f"{name}, line {header_lines + bad[0] + 1}: '{words[bad[0]]}' should be a finite number.")
    return values


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        return np.nan


def format_nep_txt(model: NepModel, full_precision: bool = False) -> str:
    """Text of nep.txt; see `write_nep_txt`."""
    header = model.header
    kind = f"nep{header.version}{'_zbl' if header.zbl else ''}"
    lines = [f"{kind} {header.n_types} {' '.join(header.species)} "]
    if header.zbl is not None:
        factor = "" if header.zbl.typewise_factor is None else f" {header.zbl.typewise_factor:.10g}"
        lines.append(f"zbl {header.zbl.inner:.10g} {header.zbl.outer:.10g}{factor}")
    pairs = header.cutoffs if len(set(header.cutoffs)) > 1 else header.cutoffs[:1]
    radii = " ".join(f"{radial:.10g} {angular:.10g}" for radial, angular in pairs)
    lines += [
        f"cutoff {radii} {model.max_neighbours[0]} {model.max_neighbours[1]}",
        f"n_max {header.n_max[0]} {header.n_max[1]}",
        f"basis_size {header.basis_size[0]} {header.basis_size[1]}",
        f"l_max {header.l_max} {2 * header.four_body} {int(header.five_body)}",
        f"ANN {header.neurons} 0",
    ]
    style = "%24.16e" if full_precision else "%15.7e"
    values = np.concatenate([model.parameters, model.q_scaler]).tolist()
    return "\n".join(lines) + "\n" + "".join([style % value + "\n" for value in values])


def write_nep_txt(path: str | Path, model: NepModel, full_precision: bool = False) -> None:
    """Write a potential; the file appears whole or not at all.

    Parameters
    ----------
    path
        Where to.
    model
        What to write.
    full_precision
        Write 17 digits, which read back as the same float64, instead of GPUMD's eight; all programs read both.
    """
    write_text(path, format_nep_txt(model, full_precision))
