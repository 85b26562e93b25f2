"""What of a campaign file may change after the campaign has begun, what may not, and why."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, JsonValue

from lizrcl_flows.documents.spec import CampaignSpec
from lizrcl_flows.errors import InputError

_OPEN_SECTIONS = ("budget", "convergence", "exploration", "screening", "selection", "validation")
_OPEN_KEYS = (
    "max_generations",
    "production",
    "labelling.batch_size",
    "labelling.max_attempts",
    "labelling.time_limit_s",
    "training.max_attempts",
    "training.warm_start",
)
_CLOSED_KEYS = ("exploration.engine",)

_NEW_CAMPAIGN = "a new campaign can begin with the labels of this one (key initial.datasets)"

_REASONS = {
    "name": "every document of the campaign carries its name",
    "system": "the campaign began with the defaults of that system, and they stand in its own keys since",
    "description": "it belongs to what was stored first; --why keeps a remark with a change",
    "elements": f"the header of every potential and the shape of its parameters follow from them; {_NEW_CAMPAIGN}",
    "seed": "all random numbers are drawn from it, those of jobs that may be run again included",
    "phases": f"training set, hold-out set and ledger rest on these cells; {_NEW_CAMPAIGN}",
    "interfaces": f"training set, hold-out set and ledger rest on these cells; {_NEW_CAMPAIGN}",
    "foundation": "it has made the cells and the pool that the first labels were chosen from",
    "initial": "the first training set is made once, and everything after it rests on it; further labels come from "
    "exploration",
    "labelling": "it would be another level of theory or another engine, and labels of two levels never meet in one "
    f"data set; {_NEW_CAMPAIGN} only at the same level",
    "training": f"committees of two generations could not be compared any more, which gates and errors do; "
    f"{_NEW_CAMPAIGN}",
    "exploration.engine": "the runs of two engines are not one ledger",
}
"""Why a key may not change, by the key or its section."""


def changeable_keys() -> list[str]:
    """Return the dotted keys of a campaign file that may change after the campaign has begun."""
    keys = [f"{section}.{key}" for section in _OPEN_SECTIONS for key in _section(section).model_fields]
    return [key for key in (*_OPEN_KEYS, *keys) if key not in _CLOSED_KEYS]


def reason_against(key: str) -> str:
    """Return why a key may not change, or nothing where it may.

    Raises
    ------
    InputError
        If a campaign file has no such key.
    """
    open_keys = changeable_keys()
    if key in open_keys:
        return ""
    section = key.partition(".")[0]
    reason = _REASONS.get(key) or _REASONS.get(section)
    if reason is None or (section == "training" and not _exists(key)):
        known = [*open_keys, *_REASONS]
        near = get_close_matches(key, known, n=1, cutoff=0.6)
        hint = f"did you mean '{near[0]}'?" if near else f"what may change: {', '.join(_summary())}"
        raise InputError(f"a campaign file has no key '{key}'; {hint}")
    return reason


def flattened(changes: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return changes with those of a whole section, such as ``{"budget": {...}}``, taken apart key by key."""
    flat: dict[str, JsonValue] = {}
    for key, value in changes.items():
        if key in _OPEN_SECTIONS or key in ("labelling", "training"):
            if not isinstance(value, dict):
                raise InputError(f"{key} is a section of the campaign file; say one of its keys, {key}.KEY=VALUE")
            flat |= {f"{key}.{name}": part for name, part in value.items()}
        else:
            flat[key] = value
    return flat


def leaves(spec: CampaignSpec) -> dict[str, JsonValue]:
    """Return the values of a campaign file by dotted key; lists and free mappings are single values."""
    return dict(_leaves(spec, spec.model_dump(mode="json"), ""))


def differences(before: CampaignSpec, after: CampaignSpec) -> dict[str, tuple[JsonValue, JsonValue]]:
    """Return the dotted keys in which two campaign files differ, with both values."""
    old, new = leaves(before), leaves(after)
    keys = dict.fromkeys([*old, *new])
    return {key: (old.get(key), new.get(key)) for key in keys if old.get(key) != new.get(key)}


def _leaves(record: BaseModel, content: Mapping[str, Any], above: str) -> dict[str, JsonValue]:
    found: dict[str, JsonValue] = {}
    for name in type(record).model_fields:
        value = getattr(record, name)
        if isinstance(value, BaseModel):
            found |= _leaves(value, content[name], f"{above}{name}.")
        else:
            found[f"{above}{name}"] = content[name]
    return found


def _section(name: str) -> type[BaseModel]:
    kind = CampaignSpec.model_fields[name].annotation
    if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
        raise TypeError(f"{name} is no section of a campaign file")
    return kind


def _exists(key: str) -> bool:
    section, _, name = key.partition(".")
    return not name or name in _section(section).model_fields


def _summary() -> list[str]:
    return [*_OPEN_KEYS, *(f"{section}.*" for section in _OPEN_SECTIONS)]
