"""A labelling engine of the tests: labels with zeros and tells on disk what it computed, so that doubles are seen."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lizrcl_flows.documents import Level
from lizrcl_flows.engines.labelling.base import LabelResult
from lizrcl_flows.engines.labelling.record import read_label, write_label
from lizrcl_flows.engines.serial import Engine
from lizrcl_flows.errors import EngineError


@dataclass
class PlainLabeller(Engine):
    """Energy minus the number of atoms, no forces.

    Parameters
    ----------
    tally
        A file that gains a line, the structure's id, for each label that is computed.
    delay_s
        Seconds that a label takes; more than the time left ends it.
    wait_for
        A file: labels are not finished before it is there.
    refused
        Id of a structure that no worker can label.
    """

    tally: str
    delay_s: float = 0.0
    wait_for: str = ""
    refused: str = ""

    def level(self):
        return Level(
            engine="ase",
            code="plain_labeller",
            code_version=os.environ.get("PLAIN_VERSION", "1"),
        )

    def require(self, elements):
        """Label whatever there is."""

    def label(self, structure, directory, seconds=None):
        if structure.id == self.refused:
            raise EngineError("the program is not on this worker")
        known = read_label(directory, structure.id, self.level().id)
        if known is not None:
            return known
        with Path(self.tally).open("a") as handle:
            handle.write(f"{structure.id}\n")
        time.sleep(self.delay_s if seconds is None else max(0.0, min(self.delay_s, seconds)))
        if seconds is not None and seconds < self.delay_s:
            return LabelResult(accepted=False, reason="the time was up", interrupted=True)
        result = LabelResult(
            accepted=True,
            energy=-float(structure.n_atoms),
            forces=np.zeros((structure.n_atoms, 3)),
            wall_s=self.delay_s,
            executable="plain",
        )
        result = write_label(directory, structure.id, self.level().id, result)
        while self.wait_for and not Path(self.wait_for).exists():
            time.sleep(0.02)
        return result
