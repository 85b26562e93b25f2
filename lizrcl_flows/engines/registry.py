"""Finding an engine by its name: a new engine is one new file and one line in the table of its family."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from lizrcl_flows.errors import InputError


def find_engine(family: str, engines: Mapping[str, str], name: str) -> Any:
    """Return the class of an engine; its module is imported only now.

    Parameters
    ----------
    family
        Key of the campaign file, for the message: labelling, training, ...
    engines
        Import path ``module:Class`` of every engine of the family.
    name
        The engine that is asked for.

    Raises
    ------
    InputError
        If the family has no such engine.
    """
    if name not in engines:
        raise InputError(f"{family}: there is no engine '{name}', accepted: {', '.join(sorted(engines))}")
    module, _, attribute = engines[name].partition(":")
    return getattr(import_module(module), attribute)
