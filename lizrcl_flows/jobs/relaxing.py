"""Relaxation as documents: relaxed structures with their rank, and their energies as labels at the relaxing level.

Results are on the disk before any document is written (the engine finds a finished relaxation in its directory), so a
job that relaxes many structures can be killed and run again.
"""

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lizrcl_flows.archive import Archive
from lizrcl_flows.documents import Campaign, Label, Structure
from lizrcl_flows.engines.relaxation.base import RelaxationResult, Relaxer
from lizrcl_flows.errors import EngineError
from lizrcl_flows.jobs.context import provenance

log = logging.getLogger(__name__)


def relax_all(
    starts: Sequence[Structure], relaxer: Relaxer, directory: Path
) -> list[tuple[Structure, RelaxationResult]]:
    """Relax structures one after the other, each in a directory of its own.

    Returns
    -------
    list of (start, result)
        Of those that converged; of those that ran out of steps where none converged.

    Raises
    ------
    EngineError
        If not one relaxation left a structure.
    """
    ended = [(start, relaxer.relax(start, directory / start.id)) for start in starts]
    for start, result in ended:
        if not result.converged:
            log.warning("relaxation not converged structure=%s reason=%s", start.id, result.reason)
    sound = [pair for pair in ended if math.isfinite(pair[1].energy)]
    if not sound:
        raise EngineError(f"none of {len(starts)} structures could be relaxed; {starts[0].id}: {ended[0][1].reason}")
    return [pair for pair in sound if pair[1].converged] or sound


def store_relaxed(
    archive: Archive, campaign: Campaign, level_id: str, structure: Structure, result: RelaxationResult
) -> Structure:
    """Write a relaxed structure, and its energy as a label at the level that relaxed it; return it as written.

    Parameters
    ----------
    structure
        The result's structure, with what is known of its rank in its origin.
    """
    place: dict[str, Any] = {
        "campaign": campaign.name,
        "generation": 0,
        "provenance": provenance("ase", executable=result.executable or None),
    }
    written = structure.revised(**place)
    if written.id in written.parents:  # it was at its minimum: the start is what it is, and stands there already
        written = archive.get(Structure, written.id)
    else:
        archive.put(written)
    label = Label(
        structure=written.id,
        level=level_id,
        status="accepted",
        n_atoms=written.n_atoms,
        energy=result.energy,
        forces=result.forces,
        stress=result.stress,
        max_force=float(np.linalg.norm(result.forces, axis=1).max()),
        wall_s=result.wall_s,
        core_hours=result.core_hours,
        formula=written.formula,
        phase=written.phase,
        region=written.region,
        purpose="ranking",
        parents=(written.id, level_id),
        **place,
    )
    if not archive.exists(Label, label.id):
        archive.put(label)
    archive.spend(campaign.id, core_hours=result.core_hours, key=f"{label.id}/relaxation")
    return written
