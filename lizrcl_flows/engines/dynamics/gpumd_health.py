"""Whether a run of ``gpumd`` can be trusted: from what it left, whichever program it was."""

import json
from pathlib import Path

import numpy as np

from lizrcl_flows.documents import Health
from lizrcl_flows.engines.processes import Finished, last_words
from lizrcl_flows.errors import EngineError
from lizrcl_flows.gpumd import HEALTH_FILE, Thermo, read_dump_xyz, read_thermo
from lizrcl_flows.gpumd.source import open_trajectory

HOTTEST_FACTOR = 5.0
HOTTEST_MARGIN_K = 2000.0
"""A temperature above factor times target plus margin is no physics."""


def survey_frames(trajectory: Path, n_atoms: int) -> tuple[int, str]:
    """Return the number of whole frames and what is wrong with them in words; nothing where all is well.

    A run that ended before the first frame gets an empty file.

    Parameters
    ----------
    n_atoms
        Atoms that each frame should have.
    """
    if trajectory.suffix == ".nc":
        return _survey_netcdf(trajectory, n_atoms)
    trajectory.touch()
    n_frames, lost, wild = 0, 0, 0
    with read_dump_xyz(trajectory) as frames:
        for frame in frames:
            n_frames += 1
            lost += len(frame.species) != n_atoms
            wild += not np.isfinite(frame.positions).all()
    return n_frames, frame_fault(n_frames, lost, wild, n_atoms)


def _survey_netcdf(trajectory: Path, n_atoms: int) -> tuple[int, str]:
    if not trajectory.exists() or not trajectory.stat().st_size:
        return 0, ""
    n_frames, wild = 0, 0
    with open_trajectory(trajectory) as source:
        for frame in source.frames():
            n_frames += 1
            wild += not np.isfinite(frame.positions).all()
        lost = n_frames if source.n_atoms != n_atoms else 0
    return n_frames, frame_fault(n_frames, lost, wild, n_atoms)


def frame_fault(n_frames: int, lost: int, wild: int, n_atoms: int) -> str:
    """Say how many frames lack atoms or hold positions that are no numbers; nothing where none does."""
    told = [f"{lost} of {n_frames} frames do not hold the {n_atoms} atoms of the run"] if lost else []
    told += [f"{wild} of {n_frames} frames hold positions that are no finite numbers"] if wild else []
    return "; ".join(told)


def judge(directory: Path, finished: Finished, temperature_k: float, n_frames: int) -> Health | None:
    """Return the health of a run, or None where the program refused its input and nothing ran.

    Raises
    ------
    EngineError
        If the run was ended from outside: what it left says nothing about the physics, and it should run again.
    """
    said = _said_by_program(directory)
    if said is not None and said.status != "failed":
        return said
    if said is not None or finished.status is None or finished.status < 0:
        raise EngineError(f"the run in {directory} {finished.in_words()} before its end: {last_words(directory)}")
    thermo = read_thermo(directory / "thermo.out") if (directory / "thermo.out").exists() else None
    n_rows = 0 if thermo is None else len(thermo.temperature_k)
    if finished.status != 0 and n_frames == 0 and n_rows == 0:
        return None
    if finished.status != 0:
        return Health(status="blown_up", reason=f"the program {finished.in_words()}: {last_words(directory)}")
    return _from_thermo(thermo, temperature_k) if thermo is not None else Health(status="ok")


def _said_by_program(directory: Path) -> Health | None:
    """Return what lizrcl-gpumd wrote about itself; a run that was still going is a failed one by now."""
    try:
        content = json.loads((directory / HEALTH_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    status = content["status"] if content["status"] in ("ok", "blown_up") else "failed"
    return Health(status=status, reason=content["reason"], last_step=content["step"])


def _from_thermo(thermo: Thermo, temperature_k: float) -> Health:
    hottest = HOTTEST_FACTOR * temperature_k + HOTTEST_MARGIN_K
    wrong = ~(thermo.temperature_k <= hottest) | ~np.isfinite(thermo.potential_energy)
    if not wrong.any():
        return Health(status="ok")
    row = int(np.argmax(wrong))
    return Health(
        status="blown_up",
        reason=f"row {row + 1} of thermo.out: temperature {thermo.temperature_k[row]:.4g} K, above {hottest:.0f} K, "
        f"or energy {thermo.potential_energy[row]:.4g} eV not finite",
    )
