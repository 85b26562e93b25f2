"""One run of VASP under custodian: started by atomate2, ended when its time is up, never left behind.

Custodian runs in this process, so that its seconds of imports are paid once for many labels. VASP itself is started in
a session of its own and would outlive a killed worker; every process of it carries a mark in its environment, by which
it is found and ended, wherever mpirun or a scratch folder has put it.
"""

import json
import os
import re
import shlex
import signal
import threading
import time
import warnings
from collections.abc import Mapping
from contextlib import chdir
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from lizrcl_flows.engines.processes import find_program
from lizrcl_flows.errors import EngineError

SETTING = "ATOMATE2_VASP_CMD (environment) or VASP_CMD in ~/.atomate2.yaml"
_MARK = "LIZRCL_CALCULATION"
_GRACE_S = 2.0
"""Seconds between SIGTERM, which srun and mpirun pass on, and SIGKILL."""


@dataclass(frozen=True)
class Commands:
    """How VASP is run on this machine: atomate2's settings, read anew for each label.

    Attributes
    ----------
    standard, gamma
        Commands of the standard and the Gamma-only VASP.
    scratch
        Folder in which custodian runs it; none for the label's own.
    incar_updates
        Tags for this machine.
    """

    standard: list[str]
    gamma: list[str]
    scratch: str | None
    incar_updates: Mapping[str, Any]


@dataclass(frozen=True)
class Run:
    """How one run under custodian ended.

    Attributes
    ----------
    n_starts
        How often VASP was started: once, and once more after each correction.
    wall_s
        Seconds in all.
    time_up
        True where it was ended at its time limit.
    complaint
        What custodian objects to, as a sentence; nothing where it is content.
    """

    n_starts: int
    wall_s: float
    time_up: bool
    complaint: str


def machine_commands() -> Commands:
    """Read how VASP is run here.

    Raises
    ------
    EngineError
        If the program is not there, or atomate2's settings cannot be read.
    """
    settings = _atomate2_settings()
    standard = find_program(os.path.expandvars(settings.VASP_CMD), SETTING)
    # the Gamma-only VASP as it stands in atomate2's defaults would run without the mpirun of the standard one
    chosen = "VASP_GAMMA_CMD" in settings.model_fields_set
    gamma = shlex.split(os.path.expandvars(settings.VASP_GAMMA_CMD)) if chosen else standard
    return Commands(standard, gamma, settings.CUSTODIAN_SCRATCH_DIR, settings.VASP_INCAR_UPDATES)


def run_under_custodian(
    commands: Commands, directory: Path, mark: str, max_starts: int, time_limit_s: float | None
) -> Run:
    """Run VASP in a directory that holds its input files.

    Parameters
    ----------
    commands
        Of this machine.
    directory
        Fresh, with the input files.
    mark
        Of the label, see `mark_of`.
    max_starts
        How often VASP may be started, corrections of custodian included.
    time_limit_s
        Seconds after which it is ended; no limit where none.
    """
    from atomate2.vasp import run

    from lizrcl_flows.engines.labelling.vasp.handlers import StartCounter, label_handlers

    counter = StartCounter()
    watch = _Watch(mark, time_limit_s)
    counter.time_is_up = watch.time_is_up.is_set
    started, complaint = time.monotonic(), ""
    try:
        watch.start()
        with chdir(directory), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what pymatgen and custodian remark on files they read
            run.run_vasp(
                vasp_cmd=_marked(commands.standard, mark),
                vasp_gamma_cmd=_marked(commands.gamma, mark),
                max_errors=max_starts,
                scratch_dir=commands.scratch,
                handlers=label_handlers(counter),
            )
    except Exception as error:  # custodian's own, and whatever its handlers meet in broken files
        complaint = _in_words(error, directory)
    finally:
        watch.stop()
        end_processes(mark)
    return Run(max(counter.n_starts, 1), time.monotonic() - started, watch.time_is_up.is_set(), complaint)


def complaints_about(directory: Path) -> bool:
    """Tell whether custodian would object to a run that ended while nobody watched."""
    from lizrcl_flows.engines.labelling.vasp.handlers import StartCounter, label_handlers

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return any(handler.check(str(directory)) for handler in label_handlers(StartCounter()))
        except Exception:  # whatever the handlers meet in broken files
            return True


def mark_of(directory: Path) -> str:
    """Return the mark of the processes of a label: equal for all workers that know it by the same path."""
    return sha256(str(directory.resolve()).encode()).hexdigest()[:20]


def end_processes(mark: str) -> int:
    """End all processes with a mark on this machine, politely first; return how many there were.

    Raises
    ------
    EngineError
        If one of them does not end.
    """
    found = left = _marked_processes(mark)
    for sign, patience_s in ((signal.SIGTERM, _GRACE_S), (signal.SIGKILL, 10.0)):
        deadline = time.monotonic() + patience_s
        for pid in left:
            _send(pid, sign)
        while left and time.monotonic() < deadline:
            time.sleep(0.02)
            left = _marked_processes(mark)
        if not left:
            return len(found)
    raise EngineError(f"process {left[0]} of an earlier VASP does not end: end it, or the machine will not be free")


def last_words(directory: Path) -> str:
    """Return the end of what VASP said, errors first, in one line."""
    for name in ("std_err.txt", "vasp.out"):
        path = directory / name
        text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        lines = [line.strip() for line in text.splitlines() if line.strip(" |-*")]
        if lines:
            return " | ".join(lines[-3:])[:300]
    return "it said nothing"


def corrections_in(directory: Path) -> list[dict[str, Any]]:
    """Return what custodian found and changed: ``errors``, and ``tags`` as it set them."""
    try:
        log = json.loads((directory / "custodian.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    made = []
    for correction in (entry for job in log for entry in job["corrections"]):
        changes = [action.get("action", {}).get("_set", {}) for action in correction["actions"] or []]
        tags = {name: value for change in changes for name, value in change.items()}
        made.append({"errors": sorted(correction["errors"]), "tags": tags})
    return made


class _Watch:
    """Ends the processes with a mark once a time is over, again and again until it is stopped."""

    def __init__(self, mark: str, limit_s: float | None) -> None:
        self.time_is_up = threading.Event()
        self._over = threading.Event()
        self._mark, self._limit_s = mark, limit_s
        self._thread = threading.Thread(target=self._keep, daemon=True)

    def start(self) -> None:
        if self._limit_s is not None:
            self._thread.start()

    def stop(self) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def _keep(self) -> None:
        if self._over.wait(self._limit_s):
            return
        self.time_is_up.set()
        while not self._over.wait(0.05):
            try:
                end_processes(self._mark)
            except EngineError:  # told again by the one that waits for the run
                continue


def _atomate2_settings() -> Any:
    named = os.environ.get("ATOMATE2_CONFIG_FILE")
    if named and not Path(named).expanduser().is_file():
        raise EngineError(f"ATOMATE2_CONFIG_FILE names '{named}', which is not a file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a settings file may be empty
            from atomate2.settings import Atomate2Settings

            return Atomate2Settings()
    except (ValueError, SyntaxError) as error:  # of the file, or of a value in it
        words = " ".join(str(error).split())[:300]
        raise EngineError(f"atomate2's settings ({named or '~/.atomate2.yaml'}) cannot be read: {words}") from None


def _marked(command: list[str], mark: str) -> str:
    return shlex.join(["env", f"{_MARK}={mark}", *command])


def _marked_processes(mark: str) -> list[int]:
    wanted = f"{_MARK}={mark}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:  # another user's, or gone
            continue
    return found


def _send(pid: int, sign: signal.Signals) -> None:
    try:
        os.kill(pid, sign)
    except ProcessLookupError:
        return


def _in_words(error: Exception, directory: Path) -> str:
    message = " ".join(str(error).split())
    corrections = corrections_in(directory)
    code = re.search(r"return code is (-?\d+)", message)
    if code:
        return f"VASP ended with return code {code[1]}: {last_words(directory)}"
    if corrections:
        errors = ", ".join(sorted({name for entry in corrections for name in entry["errors"]}))
        tried = ", ".join(sorted({f"{tag} = {value}" for entry in corrections for tag, value in entry["tags"].items()}))
        return f"custodian found {errors}" + (f", and trying {tried} did not help" if tried else "")
    if "Validation failed" in message:
        return f"VASP left no complete output: {last_words(directory)}"
    return f"custodian stopped: {type(error).__name__}: {message[:200]}"
