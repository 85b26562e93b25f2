"""Reading nep.in as GPUMD's ``nep`` does, with file and line for whatever is wrong."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lizrcl_flows.errors import InputError
from lizrcl_flows.nep.files import read_text
from lizrcl_flows.nep.nep_in import NepIn

DEFAULT_TYPEWISE_FACTOR = 0.7
"""Factor of ``use_typewise_cutoff_zbl`` where none is given."""

Parser = Callable[[list[str]], dict[str, Any]]
UNBOUNDED = float("inf")


def _check_count(words: list[str], accepted: tuple[int, ...]) -> None:
    if len(words) not in accepted:
        raise InputError(f"{len(words)} values are given, but it takes {' or '.join(map(str, accepted))}")


def _integer(word: str, low: int, high: float) -> int:
    try:
        value = int(word)
    except ValueError:
        raise InputError(f"'{word}' should be a whole number") from None
    if not low <= value <= high:
        raise InputError(f"{value} should lie between {low} and {high:g}")
    return value


def _real(word: str, low: float, high: float) -> float:
    try:
        value = float(word)
    except ValueError:
        raise InputError(f"'{word}' should be a number") from None
    if not low <= value <= high:
        raise InputError(f"{value:g} should lie between {low:g} and {high:g}")
    return value


def _one_integer(name: str, low: int, high: float) -> Parser:
    def parse(words: list[str]) -> dict[str, Any]:
        _check_count(words, (1,))
        return {name: _integer(words[0], low, high)}

    return parse


def _one_real(name: str, low: float, high: float) -> Parser:
    def parse(words: list[str]) -> dict[str, Any]:
        _check_count(words, (1,))
        return {name: _real(words[0], low, high)}

    return parse


def _two_integers(name: str, highest: tuple[int, int]) -> Parser:
    def parse(words: list[str]) -> dict[str, Any]:
        _check_count(words, (2,))
        return {name: tuple(_integer(word, 0, high) for word, high in zip(words, highest, strict=True))}

    return parse


def _type(words: list[str]) -> dict[str, Any]:
    n_types = _integer(words[0], 1, 94) if words else 0
    _check_count(words, (n_types + 1,))
    return {"species": tuple(words[1:])}


def _model_type(words: list[str]) -> dict[str, Any]:
    _check_count(words, (1,))
    if _integer(words[0], 0, 3) != 0:
        raise InputError("only potentials (0) are supported; dipoles, polarizabilities and free energies are not")
    return {}


def _cutoff(words: list[str]) -> dict[str, Any]:
    if len(words) < 2 or len(words) % 2:
        raise InputError(
            f"{len(words)} values are given, but it takes a radial and an angular radius, or such a pair per type"
        )
    pairs = [(_real(r, 3.0, 100.0), _real(a, 3.0, 100.0)) for r, a in zip(words[::2], words[1::2], strict=True)]
    if any(angular > radial for radial, angular in pairs):
        raise InputError("an angular radius should not be longer than the radial one")
    return {"cutoff": tuple(pairs)}


def _l_max(words: list[str]) -> dict[str, Any]:
    _check_count(words, tuple(range(1, 8)))
    l_max, *flags = _integer(words[0], 2, 8), *(_integer(word, 0, 2) for word in words[1:])
    if any(flags[2:]):
        raise InputError("of the descriptors after l_max only the first two, q222 and q1111, are supported")
    given = dict(zip(("four_body", "five_body"), map(bool, flags), strict=False))
    return {"l_max": l_max, **given}


def _neuron(words: list[str]) -> dict[str, Any]:
    _check_count(words, (1, 2))
    if len(words) == 2 and _integer(words[1], 0, 120) != 0:
        raise InputError("a second hidden layer is not supported")
    return {"neuron": _integer(words[0], 1, 120)}


def _type_weight(words: list[str]) -> dict[str, Any]:
    return {"type_weight": tuple(_real(word, 0.0, UNBOUNDED) for word in words)}


def _batch(words: list[str]) -> dict[str, Any]:
    _check_count(words, (1, 2))
    return {"batch": _integer(words[0], 1, 1e9), "full_batch": bool(_integer(words[1], 0, 1)) if words[1:] else False}


def _typewise(words: list[str]) -> dict[str, Any]:
    _check_count(words, (0, 1))
    return {"use_typewise_cutoff_zbl": _real(words[0], 0.5, UNBOUNDED) if words else DEFAULT_TYPEWISE_FACTOR}


def _save_potential(words: list[str]) -> dict[str, Any]:
    _check_count(words, (1, 2, 3))
    interval = _integer(words[0], 1, 1e9)
    options = [_integer(word, 0, 1) for word in words[1:]]
    return {"save_potential": (interval, *options, *(1, 0)[len(options) :])}


PARSERS: dict[str, Parser] = {
    "type": _type,
    "version": _one_integer("version", 3, 4),
    "model_type": _model_type,
    "mode": _model_type,
    "prediction": _one_integer("prediction", 0, 1),
    "cutoff": _cutoff,
    "n_max": _two_integers("n_max", (12, 8)),
    "basis_size": _two_integers("basis_size", (16, 12)),
    "l_max": _l_max,
    "neuron": _neuron,
    "lambda_1": _one_real("lambda_1", 0.0, UNBOUNDED),
    "lambda_2": _one_real("lambda_2", 0.0, UNBOUNDED),
    "lambda_e": _one_real("lambda_e", 0.0, UNBOUNDED),
    "lambda_f": _one_real("lambda_f", 0.0, UNBOUNDED),
    "lambda_v": _one_real("lambda_v", 0.0, UNBOUNDED),
    "lambda_shear": _one_real("lambda_shear", 0.0, UNBOUNDED),
    "force_delta": _one_real("force_delta", 0.0, UNBOUNDED),
    "type_weight": _type_weight,
    "batch": _batch,
    "population": _one_integer("population", 10, 200),
    "generation": _one_integer("generation", 0, 1e7),
    "zbl": _one_real("zbl", 1.0, 4.0),
    "use_typewise_cutoff_zbl": _typewise,
    "initial_para": _one_real("initial_para", 0.1, 1.0),
    "sigma0": _one_real("sigma0", 0.01, 0.1),
    "output_descriptor": _one_integer("output_descriptor", 0, 2),
    "save_potential": _save_potential,
    "output_interval": _one_integer("output_interval", 1, 1e9),
    "import_q_scaler": _one_integer("import_q_scaler", 0, 1),
}
"""What each keyword means."""

UNSUPPORTED = (
    "fine_tune",
    "charge_mode",
    "vdw",
    "charge_vdw",
    "lambda_q",
    "lambda_z",
    "atomic_v",
    "use_typewise_cutoff",
)
"""Keywords of GPUMD for models that are out of scope here."""


def parse_nep_in(text: str, name: str = "nep.in") -> NepIn:
    """Parse the text of a nep.in; see `read_nep_in`."""
    values: dict[str, Any] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        words = _words(line)
        if not words:
            continue
        keyword, *rest = words
        if keyword not in PARSERS:
            what = "is not supported" if keyword in UNSUPPORTED else f"is not a keyword{_nearest(keyword)}"
            raise InputError(f"{name}, line {number}: '{keyword}' {what}.")
        if keyword in ("cutoff", "type_weight") and "species" not in values:
            raise InputError(f"{name}, line {number}: '{keyword}' should come after 'type'.")
        try:
            values |= PARSERS[keyword](rest)
        except InputError as error:
            raise InputError(f"{name}, line {number}: {keyword}: {error}.") from None
    if "species" not in values:
        raise InputError(f"{name}: the keyword 'type' is missing, for example 'type 2 Zr O'.")
    try:
        return NepIn(**values)
    except InputError as error:
        raise InputError(f"{name}: {error}.") from None


def _words(line: str) -> list[str]:
    words = []
    for word in line.split():
        if word.startswith("#"):
            break
        words.append(word)
    return words


def _nearest(keyword: str) -> str:
    import difflib

    close = difflib.get_close_matches(keyword, PARSERS, n=1)
    return f"; did you mean '{close[0]}'?" if close else f"; accepted are {', '.join(PARSERS)}"


def read_nep_in(path: str | Path) -> NepIn:
    """Read the settings of a training.

    Raises
    ------
    InputError
        The file does not exist, has an unknown or unsupported keyword, or a value out of GPUMD's bounds; file and line
        are named.
    """
    return parse_nep_in(read_text(path), str(path))
