"""One label from CP2K: taken from a run that came to its end before, or computed."""

import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lizrcl_flows.documents import Structure
from lizrcl_flows.engines.labelling.base import LabelResult
from lizrcl_flows.engines.labelling.cp2k.deck import GENTLE, INPUT_FILE, OUTPUT_FILE, Scf
from lizrcl_flows.engines.labelling.cp2k.output import Output, difference, read_output
from lizrcl_flows.engines.labelling.objections import objection
from lizrcl_flows.engines.labelling.patience import Patience
from lizrcl_flows.engines.processes import last_words, replace_text, run_program
from lizrcl_flows.errors import EngineError

if TYPE_CHECKING:
    from lizrcl_flows.engines.labelling.cp2k.engine import Cp2kLabeller

SETTING = "ATOMATE2_CP2K_CMD (environment) or CP2K_CMD in ~/.atomate2.yaml"

_REQUEST_FILE = "request.json"


@dataclass
class Work:
    """One label that is not there yet."""

    engine: "Cp2kLabeller"
    structure: Structure
    level_id: str
    directory: Path
    lock: int

    def run(self, seconds: float | None) -> LabelResult:
        """Take what finished before; start CP2K until there is a label or it has been tried often enough."""
        patience = Patience(seconds, self.engine.time_limit_s)
        return self._find(patience) or self._compute(patience)

    def _find(self, patience: Patience) -> LabelResult | None:
        """Return the verdict on runs that ended while their worker was gone, or None where another start may help."""
        for start in self._finished():
            output = read_output(start / OUTPUT_FILE)
            patience.attempts += 1
            patience.wall_s += output.total_s
            patience.cores = output.cores
            reason, again = self._verdict(output, "")
            if not reason or not again or patience.attempts >= self.engine.max_attempts:
                return self._result(start, output, reason, patience)
        if patience.worker_s is not None:
            patience.worker_s += patience.wall_s  # this worker has not spent it
        return None

    def _compute(self, patience: Patience) -> LabelResult:
        engine = self.engine
        installation = engine.installation()
        deck = engine.deck(installation.data)
        while True:
            start = self._new_start()
            deck.write(self.structure, start, GENTLE if patience.attempts else Scf())
            argv = [*installation.argv, "-i", INPUT_FILE, "-o", OUTPUT_FILE]
            finished = run_program(argv, start, self.lock, threads=engine.threads, time_limit_s=patience.limit_s)
            output = read_output(start / OUTPUT_FILE)
            patience.cores = output.cores
            interrupted = patience.count(finished)
            if interrupted is not None:
                return interrupted
            if not output.version and finished.status is not None and finished.status > 0:
                command = " ".join(installation.argv)
                raise EngineError(f"'{command}' did not start CP2K ({last_words(start)}): check {SETTING}")
            reason, again = self._verdict(output, "" if finished.status == 0 else f"CP2K {finished.in_words()}")
            if not reason or not again or finished.status is None or patience.attempts >= engine.max_attempts:
                return self._result(start, output, reason, patience)

    def _verdict(self, output: Output, ending: str) -> tuple[str, bool]:
        """Return why an output is no label, or nothing, and whether another start may help."""
        if output.error:
            return f"CP2K gave up: {output.error}", "not converged" in output.error.lower()
        if ending or not output.finished:
            return ending or "CP2K did not come to its end", True
        if output.n_scf is None:
            return "CP2K's self-consistent field did not converge", True
        reason = difference(output, self.structure)
        if reason:
            return f"CP2K's output is not about this structure: {reason}", False
        if output.energy is None or output.forces is None or output.stress is None:
            return f"the output of CP2K {output.version} has no energy, forces or stress in the form of 2023.1", False
        tolerance = self.engine.net_force_tolerance
        n_atoms = self.structure.n_atoms
        return objection("CP2K", output.energy, output.forces, output.stress, n_atoms, tolerance), False

    def _result(self, start: Path, output: Output, reason: str, patience: Patience) -> LabelResult:
        if output.version and not fits_version(output.version, self.engine.version):
            raise EngineError(
                f"{start}: this label is of CP2K {output.version}, and the level is of version {self.engine.version}"
            )
        return LabelResult(
            accepted=not reason,
            reason=reason,
            energy=None if reason else output.energy,
            forces=None if reason else output.forces,
            stress=None if reason else output.stress,
            attempts=patience.attempts,
            wall_s=patience.wall_s,
            core_hours=patience.core_hours,
            executable=f"CP2K {output.version} {output.revision}".strip(),
            n_scf=output.n_scf,
            files=tuple(self._archived(start / name) for name in (INPUT_FILE, OUTPUT_FILE) if (start / name).exists()),
        )

    def _archived(self, path: Path) -> Path:
        """Compress a file into the folder of the label; equal content gives equal bytes."""
        target = self.directory / f"{path.name}.gz"
        target.write_bytes(gzip.compress(path.read_bytes(), mtime=0))
        return target

    def _finished(self) -> list[Path]:
        """Return the starts of this very label that came to their end."""
        found = []
        for start in self._starts():
            try:
                request = json.loads((start / _REQUEST_FILE).read_text(encoding="utf-8"))
            except (OSError, ValueError):
                continue
            if request == self._request() and read_output(start / OUTPUT_FILE).finished:
                found.append(start)
        return found

    def _starts(self) -> list[Path]:
        numbers = [path.name.removeprefix("start-") for path in self.directory.glob("start-*")]
        return [
            self.directory / f"start-{number}" for number in sorted(int(text) for text in numbers if text.isdigit())
        ]

    def _new_start(self) -> Path:
        made = self._starts()
        number = int(made[-1].name.removeprefix("start-")) + 1 if made else 1
        start = self.directory / f"start-{number}"
        start.mkdir()
        replace_text(start / _REQUEST_FILE, json.dumps(self._request()))
        return start

    def _request(self) -> dict[str, str]:
        return {"structure": self.structure.id, "level": self.level_id}


def fits_version(version: str, wanted: str | None) -> bool:
    """Tell whether a version is the wanted one or begins with it: 2023.1 fits 2023, 2023.10 does not fit 2023.1."""
    return wanted is None or version == wanted or version.startswith(f"{wanted}.")
