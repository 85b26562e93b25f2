"""The mark of a finished run: what it was asked, and what is worth knowing of it when a rerun finds it."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lizrcl_flows.engines.processes import replace_text

FINISHED_FILE = "finished.json"


def inputs_sha256(inputs: Mapping[str, bytes]) -> str:
    """Return one SHA-256 over the names and contents of input files."""
    digest = hashlib.sha256()
    for name in sorted(inputs):
        digest.update(f"{name}\n{len(inputs[name])}\n".encode())
        digest.update(inputs[name])
    return digest.hexdigest()


def write_inputs(directory: Path, inputs: Mapping[str, bytes]) -> None:
    """Write input files into a directory, which is made."""
    directory.mkdir(parents=True)
    for name, content in inputs.items():
        (directory / name).write_bytes(content)


def mark_finished(directory: Path, inputs: str, **facts: Any) -> None:
    """Say that the run of these inputs is complete; only now may a rerun use what it left.

    Parameters
    ----------
    directory
        Where.
    inputs
        SHA-256 of the inputs.
    **facts
        JSON values.
    """
    replace_text(directory / FINISHED_FILE, json.dumps({"inputs": inputs, **facts}, indent=1) + "\n")


def finished_facts(directory: Path, inputs: str) -> dict[str, Any] | None:
    """Return the facts of a finished run of these inputs, or None where there is none."""
    try:
        facts: dict[str, Any] = json.loads((directory / FINISHED_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return facts if facts.pop("inputs", None) == inputs else None
