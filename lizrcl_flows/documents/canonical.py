"""Canonical content and its SHA-256: the ground of every id and digest.

Two values that mean the same hash the same on any machine: mappings are sorted by key, tuples equal lists, numbers are
hashed in binary, arrays with dtype and shape, negative zero as zero. Time, host and order of arrival never enter an id.
"""

import hashlib
import struct
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np


def canonical_sha256(value: Any) -> str:
    """Return the hexadecimal SHA-256 of the canonical form of a value.

    Parameters
    ----------
    value
        Nested mappings (string keys), sequences, arrays, strings, bytes, numbers, datetimes, booleans and None.

    Raises
    ------
    TypeError
        If a value of another type is met: an id must not rest on something without a canonical form.
    """
    digest = hashlib.sha256()
    _feed(digest, value)
    return digest.hexdigest()


def _feed(digest: "hashlib._Hash", value: Any) -> None:
    if isinstance(value, Mapping):
        digest.update(b"{%d" % len(value))
        for key in sorted(value):
            _feed(digest, key)
            _feed(digest, value[key])
    elif isinstance(value, np.ndarray):
        array = np.ascontiguousarray(value)
        if array.dtype.kind == "f":
            array = array + 0.0
        digest.update(f"a{array.dtype.str}{array.shape}".encode())
        digest.update(array.tobytes())
    elif isinstance(value, list | tuple):
        digest.update(b"[%d" % len(value))
        for item in value:
            _feed(digest, item)
    else:
        digest.update(_scalar(value))


_SCALARS: dict[type, Callable[[Any], bytes]] = {
    type(None): lambda _: b"n",
    bool: lambda value: b"t" if value else b"f",
    int: lambda value: b"i%d;" % value,
    float: lambda value: b"d" + struct.pack("<d", value + 0.0),
    str: lambda value: b"s%d:" % len(value.encode()) + value.encode(),
    bytes: lambda value: b"b%d:" % len(value) + value,
    datetime: lambda value: b"T" + value.astimezone(UTC).isoformat(timespec="milliseconds").encode(),
}


def _scalar(value: Any) -> bytes:
    for kind in type(value).__mro__:
        if kind in _SCALARS:
            return _SCALARS[kind](value)
    raise TypeError(f"no canonical form for a value of type {type(value).__name__}")
