"""A level of theory as a person or an export writes it down: YAML or JSON."""

import json
import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from lizrcl_flows.documents import Level
from lizrcl_flows.errors import InputError, NotFoundError
from lizrcl_flows.science.imports.methods import ENGINE

UNSPECIFIED = "unspecified"
"""Version of a code whose user did not say it."""

_SCIENTIFIC = re.compile(r"[-+]?\d+[eE][-+]?\d+")
_BOOKKEEPING = frozenset(
    {"_id", "id", "schema_version", "created_at", "provenance", "digest", "parents", "campaign", "generation"}
)
_KEYS = (*Level.identity, "note")


def described_level(content: Mapping[str, Any], where: str) -> Level:
    """Return the level of theory that a mapping describes.

    Parameters
    ----------
    content
        Keys of a level document; `potentials` may be a mapping from element to title. Of an exported level document the
        bookkeeping is left out, so that its id is the same again.
    where
        What the mapping stands in, for the message.

    Raises
    ------
    InputError
        If a key is unknown, `code` is missing, or a value does not fit.
    """
    given = {key: value for key, value in content.items() if key not in _BOOKKEEPING}
    for key in given:
        if key not in _KEYS:
            near = get_close_matches(str(key), _KEYS, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(_KEYS)}"
            raise InputError(f"{where}: unknown key '{key}'; {hint}")
    if not given.get("code"):
        raise InputError(f"{where}: key 'code' is missing: the program that computed the labels, such as vasp")
    potentials = given.get("potentials") or ()
    if isinstance(potentials, Mapping):
        given["potentials"] = [{"element": name, "title": title} for name, title in sorted(potentials.items())]
    try:
        return Level(**{"engine": ENGINE, "code_version": UNSPECIFIED, **given})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{where}: {place}: {first['msg']}, got {first['input']!r}") from None


def read_level_file(path: Path) -> Level:
    """Read a level of theory from a YAML file, or from the JSON file that an export of a level writes.

    Raises
    ------
    NotFoundError
        If there is no such file.
    InputError
        If it is not a mapping that describes a level.
    """
    try:
        text = path.read_text(encoding="utf-8")
        # as JSON where it is: YAML takes 1e-06 for a word, and an id would be another
        content = json.loads(text) if text.lstrip().startswith("{") else _numbers(yaml.safe_load(text))
    except FileNotFoundError:
        raise NotFoundError(f"'{path}' does not exist") from None
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InputError(f"{path}: {' '.join(str(error).split())}") from None
    if not isinstance(content, Mapping):
        raise InputError(f"{path}: a mapping with the keys {', '.join(_KEYS)} is expected")
    return described_level(content, str(path))


def _numbers(value: Any) -> Any:
    """Return what YAML read with words such as 1e-6, which it does not take for numbers, as the numbers they are."""
    if isinstance(value, dict):
        return {key: _numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    return float(value) if isinstance(value, str) and _SCIENTIFIC.fullmatch(value) else value
