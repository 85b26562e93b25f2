"""Reading and writing text files: errors in one sentence, and no file that is half written."""

import os
import uuid
from pathlib import Path

from lizrcl_flows.errors import InputError


def read_text(path: str | Path) -> str:
    """Read a text file.

    Raises
    ------
    InputError
        It does not exist, cannot be read or is not text.
    """
    try:
        return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"There is no file {path}.") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not a text file.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from None


def write_text(path: str | Path, text: str) -> None:
    """Write a text file under a temporary name and move it into its place."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with temporary.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
