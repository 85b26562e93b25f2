"""Labels from VASP: the engine that a campaign file names."""

import json
import os
import shutil
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lizrcl_flows.documents import Level, Structure
from lizrcl_flows.documents.spec import LevelSpec
from lizrcl_flows.engines.labelling.base import LabelResult
from lizrcl_flows.engines.labelling.objections import (
    NET_FORCE_TOLERANCE,
    OVERLAP_FACTOR,
    objection,
    refusal,
    require_potentials,
)
from lizrcl_flows.engines.labelling.record import read_label, write_label
from lizrcl_flows.engines.labelling.vasp.inputs import Sent, prepare, write_inputs
from lizrcl_flows.engines.labelling.vasp.potentials import (
    DEFAULT_POTENTIALS,
    Potcar,
    check_potentials,
    find_potcars,
    named_only,
)
from lizrcl_flows.engines.labelling.vasp.reading import Reading, archive_vasprun, cores_in, fits_version, read_run
from lizrcl_flows.engines.labelling.vasp.running import (
    SETTING,
    Commands,
    Run,
    complaints_about,
    corrections_in,
    end_processes,
    last_words,
    machine_commands,
    mark_of,
    run_under_custodian,
)
from lizrcl_flows.engines.labelling.vasp.tags import machine_tags, physical, tags_of_level
from lizrcl_flows.engines.processes import replace_text, sole_use
from lizrcl_flows.engines.serial import Engine
from lizrcl_flows.errors import EngineError, InputError

DEFAULT_VERSION = "6"
"""Releases of VASP 6 agree to numerical noise with all tags set; VASP 5 has other defaults."""

_REQUEST_FILE = "request.json"
_ENGINE_KEYS = ("potcar_functional", "potcar_spec")


@dataclass
class VaspLabeller(Engine):
    """Energy, forces and stress from VASP, run by atomate2 and custodian.

    The tags are those of the study (PBE, 550 eV, KSPACING 0.3, EDIFF 1e-6) and choices of ours, see `tags`; every tag
    that changes a converged result is part of the level, and a label is accepted only if VASP ran with exactly these.

    Parameters
    ----------
    functional
        One of `tags.FUNCTIONALS`.
    dispersion
        ``D3-BJ``, ``D3-zero`` or none.
    potentials
        POTCAR of every element that may be labelled, such as ``{"Li": "Li_sv"}``; those of Li, Zr, O and Cl where
        none is named.
    parameters
        INCAR tags on top; those of the parallelisation do not enter the level.
    version
        Version of VASP, or how it begins; a run of another is no label.
    potcar_functional
        Release of the POTCARs: ``PBE_52``, ``PBE_54`` or ``PBE_64``.
    potcar_spec
        Only name the POTCARs and look for none: for stand-ins of VASP, which need no licence.
    note
        What the level is good for.
    max_attempts
        How often VASP is started for one label, corrections of custodian included.
    time_limit_s
        Seconds that one start may take, corrections included; no limit where none.
    overlap_factor
        Atoms closer than this share of the sum of their covalent radii are refused before anything is computed.
    net_force_tolerance
        Largest component of the sum of all forces (eV/A).
    """

    functional: str = "PBE"
    dispersion: str | None = None
    potentials: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    version: str = DEFAULT_VERSION
    potcar_functional: str = "PBE_54"
    potcar_spec: bool = False
    note: str = ""
    max_attempts: int = 2
    time_limit_s: float | None = None
    overlap_factor: float = OVERLAP_FACTOR
    net_force_tolerance: float = NET_FORCE_TOLERANCE

    def __post_init__(self) -> None:
        self._tags()
        check_potentials(self._potentials(), self.potcar_functional)
        if not isinstance(self.potcar_spec, bool):
            raise InputError(f"potcar_spec = {self.potcar_spec!r} should be true or false")

    @classmethod
    def from_spec(cls, spec: LevelSpec) -> "VaspLabeller":
        """Build the engine that a campaign file describes.

        Its ``parameters`` are INCAR tags, and ``potcar_functional`` and ``potcar_spec`` of this class.

        Raises
        ------
        InputError
            If the functional, a tag or a POTCAR is not one that can be used.
        """
        for name, value in (("calculator", spec.calculator), ("file", spec.file)):
            if value:
                raise InputError(f"labelling: {name} = '{value}' is a key of the engine ase, not of vasp")
        parameters: dict[str, Any] = dict(spec.parameters)
        own = {name: parameters.pop(name) for name in _ENGINE_KEYS if name in parameters}
        return cls(
            functional=spec.functional or "PBE",
            dispersion=spec.dispersion,
            potentials=dict(spec.potentials),
            parameters=parameters,
            version=spec.version or DEFAULT_VERSION,
            note=spec.note,
            max_attempts=spec.max_attempts,
            time_limit_s=spec.time_limit_s,
            **own,
        )

    def level(self) -> Level:
        """Return the level of theory: functional, dispersion, POTCARs by content and every tag that matters.

        Raises
        ------
        InputError
            If a POTCAR is not found on this machine.
        """
        return self._level(self._potcars())

    def require(self, elements: Iterable[str]) -> None:
        """See that a POTCAR is named for each of these elements.

        Raises
        ------
        InputError
            If there is none for one of them.
        """
        require_potentials("vasp", self._potentials(), elements)

    def label(self, structure: Structure, directory: Path, seconds: float | None = None) -> LabelResult:
        """Compute one label, or find it finished in the directory.

        Every start of VASP has a folder of its own, ``start-1``, ``start-2``, ..., so that nothing an earlier one
        left, or still writes on another machine, is taken for the new one's.

        Parameters
        ----------
        seconds
            Time that is left to the worker; a calculation that needs longer is ended, and its result is interrupted.

        Raises
        ------
        InputError
            If a POTCAR is not found on this machine.
        EngineError
            If VASP cannot be started here, or is of another version than the level.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        potcars = self._potcars()
        level_id = self._level(potcars).id
        with sole_use(directory) as lock:
            os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)  # for the message of who finds it locked
            end_processes(mark_of(directory))
            result = read_label(directory, structure.id, level_id)
            if result is None:
                result = self._refusal(structure)
                if result is None:
                    work = _Work(self, structure, level_id, directory, prepare(structure, self._tags(), potcars))
                    result = work.find_finished() or work.compute(deadline)
                if not result.interrupted:
                    result = write_label(directory, structure.id, level_id, result)
        return result

    def _tags(self) -> dict[str, Any]:
        return tags_of_level(self.functional, self.dispersion, self.parameters)

    def _potentials(self) -> Mapping[str, str]:
        return self.potentials or DEFAULT_POTENTIALS

    def _potcars(self) -> dict[str, Potcar]:
        names = self._potentials()
        return named_only(names) if self.potcar_spec else find_potcars(names, self.potcar_functional)

    def _level(self, potcars: Mapping[str, Potcar]) -> Level:
        tags = self._tags()
        return Level(
            engine="vasp",
            code="vasp",
            code_version=self.version,
            functional=self.functional,
            dispersion=self.dispersion,
            cutoff_ev=tags["ENCUT"],
            k_spacing=tags["KSPACING"],
            potentials=tuple(potcars[element].document() for element in sorted(potcars)),
            parameters=physical(tags),
            note=self.note,
        )

    def _refusal(self, structure: Structure) -> LabelResult | None:
        from ase.data import chemical_symbols

        reason = ""
        missing = sorted({chemical_symbols[number] for number in structure.numbers} - set(self._potentials()))
        if missing:
            reason = (
                f"the level names no POTCAR for {', '.join(missing)}, only for {', '.join(self._potentials())}: "
                "every element needs one in `potentials`"
            )
        elif not all(structure.pbc):
            reason = f"VASP computes cells that are periodic in all directions, and pbc is {structure.pbc}"
        if reason:
            return LabelResult(accepted=False, reason=reason, attempts=0)
        return refusal(structure, self.overlap_factor)


@dataclass
class _Work:
    """One label that is not there yet."""

    engine: VaspLabeller
    structure: Structure
    level_id: str
    directory: Path
    sent: Sent

    def find_finished(self) -> LabelResult | None:
        """Return the label of a run that finished while the worker that started it was gone, if there is one."""
        for start in reversed(self._starts()):
            try:
                request = json.loads((start / _REQUEST_FILE).read_text(encoding="utf-8"))
            except (OSError, ValueError):
                continue
            if request != self._request():
                continue
            reading = read_run(start, self.sent)
            usable = reading is not None and fits_version(reading.version, self.engine.version)
            if reading is None or not usable or self._objection(reading) or complaints_about(start):
                continue
            result = self._result(start, reading, "")
            core_hours = reading.elapsed_s * reading.cores / 3600
            return replace(result, wall_s=reading.elapsed_s, core_hours=core_hours)
        return None

    def compute(self, deadline: float | None) -> LabelResult:
        """Start VASP until there is a label or it has been tried often enough."""
        commands = machine_commands()
        self.sent = replace(self.sent, tags={**self.sent.tags, **machine_tags(commands.incar_updates)})
        attempts, wall_s, core_hours = 0, 0.0, 0.0
        while True:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return _interrupted(attempts, wall_s, core_hours)
            start = self._new_start()
            limits = [limit for limit in (left, self.engine.time_limit_s) if limit is not None]
            remaining = self.engine.max_attempts - attempts
            run = run_under_custodian(commands, start, mark_of(self.directory), remaining, min(limits, default=None))
            attempts, wall_s = attempts + run.n_starts, wall_s + run.wall_s
            core_hours += run.wall_s * cores_in(start) / 3600
            reading = read_run(start, self.sent)
            reason, again = self._verdict(commands, run, reading, start)
            if reason and run.time_up and left is not None and left == min(limits):
                shutil.rmtree(start)
                return _interrupted(attempts, wall_s, core_hours)
            if not reason or not again or attempts >= self.engine.max_attempts:
                result = self._result(start, reading, reason)
                return replace(result, attempts=attempts, wall_s=wall_s, core_hours=core_hours)

    def _verdict(self, commands: Commands, run: Run, reading: Reading | None, start: Path) -> tuple[str, bool]:
        """Return why a run is no label, or nothing, and whether another start may help."""
        if reading is None:
            if run.time_up:
                return f"VASP was ended at its time limit after {run.wall_s:.0f} s", True
            if not (start / "OUTCAR").exists():
                words = run.complaint or f"it said: {last_words(start)}"
                raise EngineError(f"'{' '.join(commands.standard)}' did not start VASP ({words}): check {SETTING}")
            return run.complaint or f"VASP left no complete vasprun.xml: {last_words(start)}", True
        if not fits_version(reading.version, self.engine.version):
            raise EngineError(
                f"this is VASP {reading.version}, and the level is of version {self.engine.version}: run the one it "
                f"names ({SETTING}), or name this one as `version` of the level"
            )
        reason = self._objection(reading)
        if reason:
            return reason, False
        return run.complaint, True

    def _objection(self, reading: Reading) -> str:
        if reading.reason:
            return reading.reason
        if not reading.converged:
            return f"VASP did not converge in {reading.n_scf} electronic steps"
        n_atoms = self.structure.n_atoms
        reason = objection(
            "VASP", reading.energy, reading.forces, reading.stress, n_atoms, self.engine.net_force_tolerance
        )
        if not reason and reading.energy > 0 and n_atoms > 1:
            reason = f"VASP gave an energy of {reading.energy:.3f} eV, above that of the separate atoms"
        return reason

    def _result(self, start: Path, reading: Reading | None, reason: str) -> LabelResult:
        files = [] if reading is None else [archive_vasprun(start, self.directory / "vasprun.xml.gz")]
        corrections = corrections_in(start)
        if corrections:
            files.append(self.directory / "corrections.json")
            replace_text(files[-1], json.dumps(corrections, indent=1) + "\n")
        if reason:
            tried = ", ".join(f"{tag} = {value}" for entry in corrections for tag, value in entry["tags"].items())
            reason += f" (custodian tried {tried})" if tried and tried not in reason else ""
            files.append(self.directory / "ending.txt")
            replace_text(files[-1], _endings(start))
        result = LabelResult(
            accepted=not reason,
            reason=reason,
            executable=reading.executable if reading else "vasp",
            n_scf=reading.n_scf if reading else None,
            files=tuple(files),
        )
        if reason or reading is None:
            return result
        return replace(
            result,
            energy=reading.energy,
            energy_zero=reading.energy_zero,
            forces=reading.forces,
            stress=reading.stress,
        )

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
        write_inputs(self.sent, start)
        replace_text(start / _REQUEST_FILE, json.dumps(self._request()))
        return start

    def _request(self) -> dict[str, str]:
        return {"structure": self.structure.id, "level": self.level_id}


def _interrupted(attempts: int, wall_s: float, core_hours: float) -> LabelResult:
    return LabelResult(
        accepted=False,
        reason=f"the time of the worker was up after {wall_s:.0f} s",
        interrupted=True,
        attempts=attempts,
        wall_s=wall_s,
        core_hours=core_hours,
    )


def _endings(start: Path, n_lines: int = 30) -> str:
    """Return the last lines of what VASP wrote, for those who look into a failed label."""
    parts = []
    for name in ("vasp.out", "std_err.txt", "OUTCAR"):
        path = start / name
        if path.exists():
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()[-n_lines:]
            parts.append("\n".join([f"== {name}", *lines]))
    return "\n".join(parts) + "\n"
