"""Engines travel inside workflow files: plain values, written as monty, jobflow and FireWorks expect them."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, ClassVar, Self

from lizrcl_flows.errors import InputError


class Engine:
    """Base of the engines, which are dataclasses whose fields are JSON values or tuples of them."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def as_dict(self) -> dict[str, Any]:
        """Return the fields with the name of the class."""
        content = {field.name: _plain(getattr(self, field.name)) for field in fields(self)}
        return {"@module": type(self).__module__, "@class": type(self).__qualname__, **content}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Rebuild an engine from `as_dict`; lists become tuples again where the default is one.

        Raises
        ------
        InputError
            If the mapping has a key that is no field of this engine.
        """
        defaults = {field.name: field.default for field in fields(cls)}
        values = {key: value for key, value in content.items() if not key.startswith("@")}
        for name, value in values.items():
            if name not in defaults:
                raise InputError(f"{cls.__name__} has no field '{name}', accepted: {', '.join(defaults)}")
            if isinstance(value, list) and isinstance(defaults[name], tuple):
                values[name] = tuple(value)
        return cls(**values)


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return value
