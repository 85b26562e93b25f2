"""How values read: few digits for people, plain values for JSON."""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

NOTHING = "-"
"""What stands where there is no value."""


def jsonable(value: Any) -> Any:
    """Return a value made of what JSON knows."""
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [jsonable(item) for item in value]
    return _foreign(value)


def _foreign(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if hasattr(value, "tolist"):
        return jsonable(value.tolist())
    return value.hex() if isinstance(value, bytes) else str(value)


def text(value: Any, digits: int = 4) -> str:
    """Return a value as a person reads it: few digits, short times, lists without brackets."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return number(value, digits)
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, Mapping):
        value = [f"{key}={text(item, digits)}" for key, item in value.items()]
    joined = ", ".join(text(item, digits) for item in value) if isinstance(value, list | tuple) else str(value)
    return NOTHING if value is None or not joined else joined


def number(value: float | None, digits: int = 4) -> str:
    """Return a number with so many significant digits, or a dash; whole numbers stay whole."""
    if value is None:
        return NOTHING
    if math.isfinite(value) and value == int(value) and abs(value) < 1e6:
        return f"{value:.0f}"
    if math.isfinite(value) and 1e-3 <= abs(value) < 1e6:
        decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
        return f"{value:.{decimals}f}"
    return f"{value:.{digits}g}"


def plural(name: str) -> str:
    """Return the plural of a kind of document."""
    if name == "analysis":
        return "analyses"
    return f"{name[:-1]}ies" if name.endswith("y") else f"{name}s"
