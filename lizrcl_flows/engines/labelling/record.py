"""The file that holds one finished label: a rerun finds it and computes nothing."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lizrcl_flows.engines.labelling.base import LabelResult
from lizrcl_flows.engines.processes import replace_text

LABEL_FILE = "label.json"

_PLAIN = ("accepted", "reason", "energy", "energy_zero", "attempts", "wall_s", "core_hours", "executable", "n_scf")


def write_label(directory: Path, structure_id: str, level_id: str, result: LabelResult) -> LabelResult:
    """Write a result in full precision, in one step, and return it with the file added to its files."""
    content: dict[str, Any] = {"structure": structure_id, "level": level_id}
    content |= {name: getattr(result, name) for name in _PLAIN}
    content["forces"] = None if result.forces is None else result.forces.tolist()
    content["stress"] = None if result.stress is None else result.stress.tolist()
    content["files"] = [path.name for path in result.files]
    path = directory / LABEL_FILE
    replace_text(path, json.dumps(content, indent=1) + "\n")
    return replace(result, files=(path, *result.files))


def read_label(directory: Path, structure_id: str, level_id: str) -> LabelResult | None:
    """Return the finished label of this structure at this level, or None where the directory holds none."""
    try:
        content = json.loads((directory / LABEL_FILE).read_text(encoding="utf-8"))
        if (content["structure"], content["level"]) != (structure_id, level_id):
            return None
        return LabelResult(
            **{name: content[name] for name in _PLAIN},
            forces=None if content["forces"] is None else np.array(content["forces"]),
            stress=None if content["stress"] is None else np.array(content["stress"]),
            files=tuple(directory / name for name in (LABEL_FILE, *content["files"])),
        )
    except (OSError, ValueError, KeyError):
        return None
