"""Array fields: little-endian binary in the database, read-only NumPy arrays in Python, lists in JSON."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic_core import core_schema

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class ArraySpec:
    """What an array field holds: ``forces: Annotated[Array, ArraySpec("<f8", ("n_atoms", 3), "eV/A")]``.

    Parameters
    ----------
    dtype
        NumPy dtype string, always little-endian (``"<f8"``, ``"u1"``).
    shape
        One entry per axis: an int, the name of an integer field of the same document, or ``None`` (any length).
    unit
        Unit of the numbers; ``"1"`` where they have none.
    """

    dtype: str
    shape: tuple[int | str | None, ...]
    unit: str

    def __get_pydantic_core_schema__(self, _source: Any, _handler: Any) -> core_schema.CoreSchema:
        """Accept bytes, sequences and arrays; give bytes to the database and lists to JSON."""
        return core_schema.no_info_plain_validator_function(
            self._read,
            serialization=core_schema.plain_serializer_function_ser_schema(_write, info_arg=True),
        )

    def __get_pydantic_json_schema__(self, _core_schema: Any, _handler: Any) -> dict[str, Any]:
        """Describe the binary form that readers of the database see."""
        shape = [axis if isinstance(axis, int | str) else "any" for axis in self.shape]
        return {"type": "string", "format": "binary", "dtype": self.dtype, "shape": shape, "unit": self.unit}

    def _read(self, value: Any) -> Array:
        if isinstance(value, bytes | bytearray | memoryview):
            return np.frombuffer(bytes(value), dtype=self.dtype)
        array = np.array(value, dtype=self.dtype, order="C")
        array.setflags(write=False)
        return array


def _write(value: Array, info: core_schema.SerializationInfo) -> Any:
    return value.tolist() if info.mode == "json" else value.tobytes()
