"""Checkpoints of a training: one file, replaced whole, so that a run that is killed goes on where it was."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lizrcl_flows.errors import InputError

CHECKPOINT_NAME = "lizrcl-nep.checkpoint.npz"
FORMAT = 1


@dataclass(frozen=True)
class Checkpoint:
    """What was read from a checkpoint file: the state of the run and how long it had been running (s)."""

    arrays: Mapping[str, NDArray[Any]]
    elapsed_s: float


def replace_file(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all, whatever happens on the way."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with beside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def write_checkpoint(path: Path, digest: str, elapsed_s: float, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Replace the checkpoint.

    Parameters
    ----------
    path
        The file.
    digest
        Of everything that must not change between two runs.
    elapsed_s
        Time that the run has taken so far (s).
    arrays
        State of the run.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with beside.open("wb") as file:
        np.savez(
            file,
            allow_pickle=False,
            format=np.array(FORMAT),
            digest=np.array(digest),
            elapsed_s=np.array(elapsed_s),
            **dict(arrays),
        )
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def read_checkpoint(path: Path, digest: str) -> Checkpoint | None:
    """Read a checkpoint; None where there is none.

    Raises
    ------
    InputError
        The file cannot be read, or belongs to other inputs.
    """
    if not path.exists():
        return None
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        written_for, version = str(arrays.pop("digest")), int(arrays.pop("format"))
        elapsed_s = float(arrays.pop("elapsed_s"))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is not a checkpoint of this program ({error}); remove it to start anew") from None
    if version != FORMAT or written_for != digest:
        raise InputError(f"{path} belongs to other inputs, seed or settings than these; remove it to start anew")
    return Checkpoint(arrays, elapsed_s)
