"""Read system and campaign files: YAML in, a validated `CampaignSpec` out, one sentence for whatever is wrong."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from lizrcl_flows.documents.spec import CampaignSpec
from lizrcl_flows.errors import InputError, NotFoundError
from lizrcl_flows.units import Unit

_CALCULATOR_KEYS = ("calculator", "file", "parameters")
_LEVEL_KEYS = (*_CALCULATOR_KEYS, "engine", "functional", "dispersion", "potentials", "version", "note")
"""What belongs to one engine or calculator."""


def system_names() -> list[str]:
    """Return the names of the shipped systems."""
    folder = files("lizrcl_flows.systems")
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def load_system(name: str) -> dict[str, Any]:
    """Return the defaults of a system: a shipped name, or the path of a YAML file.

    Raises
    ------
    NotFoundError
        If there is neither.
    InputError
        If the file is not a YAML mapping.
    """
    if name in system_names():
        text = (files("lizrcl_flows.systems") / f"{name}.yaml").read_text(encoding="utf-8")
        return _mapping(text, f"system {name}")
    if Path(name).is_file():
        return _mapping(Path(name).read_text(encoding="utf-8"), name)
    raise NotFoundError(f"system '{name}' is neither a shipped one ({', '.join(system_names())}) nor a file")


def load_campaign(source: str | Path | Mapping[str, Any]) -> CampaignSpec:
    """Read a campaign file and put it on top of its system's defaults.

    Parameters
    ----------
    source
        Path of a YAML file, or its content as a mapping. It names a `system`; every other key overrides that system's.

    Raises
    ------
    InputError
        One sentence that names the file, the key, the value and what would be accepted.
    """
    if isinstance(source, Mapping):
        content, origin = dict(source), "campaign"
    else:
        origin = str(source)
        if not Path(source).is_file():
            raise NotFoundError(f"campaign file '{source}' does not exist")
        content = _mapping(Path(source).read_text(encoding="utf-8"), origin)
    if not isinstance(content.get("system"), str):
        raise InputError(f"{origin}: key 'system' is missing; it names one of {', '.join(system_names())} or a file")
    defaults = load_system(content["system"])
    defaults = _without_replaced_engines(defaults, content)
    merged = _merge(defaults, {**content, "system": Path(content["system"]).stem})
    _settle_model_files(merged)
    try:
        return CampaignSpec.model_validate(merged)
    except ValidationError as error:
        raise InputError(f"{origin}: {validation_sentence(error)}") from error


def validation_sentence(error: ValidationError) -> str:
    """Return what is wrong with the content of a campaign file: the key, the value, what would be accepted."""
    return _sentence(error.errors()[0])


def _without_replaced_engines(defaults: Mapping[str, Any], content: Mapping[str, Any]) -> dict[str, Any]:
    """Drop the system's settings of an engine or calculator that the campaign replaces."""
    kept = dict(defaults)
    for section, own in (("labelling", _LEVEL_KEYS), ("foundation", _CALCULATOR_KEYS)):
        below, top = kept.get(section), content.get(section)
        if not isinstance(below, dict) or not isinstance(top, dict):
            continue
        if any(name in top and top[name] != below.get(name) for name in ("engine", "calculator")):
            kept[section] = {key: value for key, value in below.items() if key not in own}
    return kept


def _settle_model_files(content: dict[str, Any]) -> None:
    """Make the path of a model file that lies here absolute: workers start elsewhere. Other names stay as they are."""
    for section in ("foundation", "labelling"):
        part = content.get(section)
        if not isinstance(part, dict):
            continue
        file = part.get("file")
        if isinstance(file, str) and Path(file).is_file():
            content[section] = {**part, "file": str(Path(file).resolve())}


def _mapping(text: str, origin: str) -> dict[str, Any]:
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        raise InputError(f"{origin}: {where}this is not YAML: {getattr(error, 'problem', error)}") from error
    if not isinstance(content, dict):
        raise InputError(f"{origin}: a mapping of keys to values is expected at the top")
    return content


def _merge(base: Mapping[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    """Override leaf by leaf; lists are replaced whole, for half a list of temperatures means nothing."""
    merged = dict(base)
    for key, value in top.items():
        below = merged.get(key)
        merged[key] = _merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _sentence(error: ErrorDetails) -> str:
    key = ".".join(str(part) for part in error["loc"]) or "the file"
    if error["type"] == "extra_forbidden":
        valid = sorted(_keys_at(error["loc"][:-1]))
        near = get_close_matches(str(error["loc"][-1]), valid, n=1, cutoff=0.5)
        hint = f"did you mean '{near[0]}'?" if near else f"known here: {', '.join(valid)}"
        return f"unknown key '{key}'; {hint}"
    if error["type"] == "missing":
        return f"key '{key}' is missing"
    unit = _unit_at(error["loc"])
    wanted = f" (unit: {unit})" if unit and unit != "1" else ""
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "value_error":
        return f"{key}: {message}" if key != "the file" else message
    return f"{key}: {error['input']!r} is not accepted: {message[0].lower()}{message[1:]}{wanted}"


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)


def _field_at(location: tuple[int | str, ...]) -> tuple[type[BaseModel], Any]:
    """Walk from the campaign down a validation location; list indices and union tags are stepped over."""
    model: type[BaseModel] = CampaignSpec
    field: Any = None
    for part in location:
        if isinstance(part, str) and part in model.model_fields:
            field = model.model_fields[part]
            model = next(_models(field.annotation), model)
    return model, field


def _keys_at(location: tuple[int | str, ...]) -> list[str]:
    return list(_field_at(location)[0].model_fields)


def _unit_at(location: tuple[int | str, ...]) -> str | None:
    field = _field_at(location)[1]
    marks = _marks(field.annotation, list(field.metadata)) if field else []
    return next((mark.symbol for mark in marks if isinstance(mark, Unit)), None)


def _marks(annotation: Any, found: list[Any]) -> list[Any]:
    found.extend(getattr(annotation, "__metadata__", ()))
    for part in get_args(annotation):
        _marks(part, found)
    return found
