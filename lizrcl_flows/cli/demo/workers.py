"""FireWorks worker processes of the demo: started, kept alive, ended with all that they started."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from lizrcl_flows.errors import EngineError, NotFoundError

RESTART_SECONDS = 3.0
"""Least time between two starts of one worker, so that one that cannot start does not spin."""

MAX_BROKEN_STARTS = 3
"""A worker that ends with an error so often within `BROKEN_SECONDS` of its start will not recover by itself."""

BROKEN_SECONDS = 20.0

GRACE_SECONDS = 5.0


class Workers:
    """So many `rlaunch rapidfire` processes, each in a folder and a process group of its own.

    Parameters
    ----------
    directory
        Of the demo: launches and logs go under it.
    environment
        Of the workers: where database, queue and settings are.
    fworker_file
        FireWorks worker file that takes every category.
    n_workers
        How many.
    """

    def __init__(self, directory: Path, environment: Mapping[str, str], fworker_file: Path, n_workers: int) -> None:
        self.directory = directory
        self.environment = dict(environment)
        program = Path(sys.executable).parent / "rlaunch"
        if not program.exists():
            raise NotFoundError(f"{program} does not exist: FireWorks is not installed beside this Python")
        self.command = [str(program), "-w", str(fworker_file), "rapidfire", "--sleep", "1", "--local_redirect"]
        self.processes: dict[int, subprocess.Popen[bytes]] = {}
        self.started: dict[int, float] = {}
        self.broken = dict.fromkeys(range(1, n_workers + 1), 0)

    def __enter__(self) -> Self:
        for number in self.broken:
            self._start(number)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def log(self, number: int) -> Path:
        """Return the log file of a worker."""
        return self.directory / "logs" / f"worker_{number}.log"

    def folder(self, number: int) -> Path:
        """Return the folder that a worker launches in."""
        return self.directory / "launches" / f"worker_{number}"

    def ended(self) -> list[int]:
        """Return the workers that have ended and may be started again."""
        return [
            number
            for number, process in self.processes.items()
            if process.poll() is not None and time.monotonic() - self.started[number] > RESTART_SECONDS
        ]

    def end_children(self, number: int) -> None:
        """End what an ended worker may have left running."""
        _signal_group(self.processes[number].pid, signal.SIGKILL)

    def restart(self, number: int) -> None:
        """Start a worker that has ended again.

        Raises
        ------
        EngineError
            If it dies again and again right after its start; the sentence has the end of its log.
        """
        code = self.processes[number].poll()
        age = time.monotonic() - self.started[number]
        self.broken[number] = self.broken[number] + 1 if code and age < BROKEN_SECONDS else 0
        if self.broken[number] >= MAX_BROKEN_STARTS:
            raise EngineError(
                f"worker {number} ends with exit code {code} right after every start: "
                f"{last_line(self.log(number))} (all of it in {self.log(number)})"
            )
        self._start(number)

    def stop(self) -> None:
        """End the workers and whatever they run; what they were at is done again on the next start."""
        for process in self.processes.values():
            _signal_group(process.pid, signal.SIGTERM)
        until = time.monotonic() + GRACE_SECONDS
        for process in self.processes.values():
            try:
                process.wait(timeout=max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                _signal_group(process.pid, signal.SIGKILL)
                process.wait()
            _signal_group(process.pid, signal.SIGKILL)
        self.processes = {}
        self._note_processes()

    def _start(self, number: int) -> None:
        folder = self.folder(number)
        for path in (folder, self.log(number).parent):
            path.mkdir(parents=True, exist_ok=True)
        with self.log(number).open("ab") as log:
            self.processes[number] = subprocess.Popen(
                self.command,
                cwd=folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.started[number] = time.monotonic()
        self._note_processes()

    def _note_processes(self) -> None:
        """Keep the process ids, so that a demo that was killed can find its workers again."""
        pids = [process.pid for process in self.processes.values()]
        _pid_file(self.directory).write_text(json.dumps(pids), encoding="utf-8")


def end_leftover_workers(directory: Path) -> int:
    """End workers of a demo that was killed before it could end them. Returns how many there were.

    A process counts only if it runs `rlaunch` in this demo's launch folders: ids are used again by other programs.
    """
    path = _pid_file(directory)
    pids = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    leftover = [pid for pid in pids if _is_worker(pid, directory)]
    for pid in leftover:
        _signal_group(pid, signal.SIGKILL)
    return len(leftover)


def last_line(path: Path) -> str:
    """Return the last line of a log that says something."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "its log is empty")


def _pid_file(directory: Path) -> Path:
    return directory / "workers.json"


def _is_worker(pid: int, directory: Path) -> bool:
    process = Path("/proc") / str(pid)
    try:
        command = (process / "cmdline").read_bytes()
        folder = (process / "cwd").resolve()
    except OSError:
        return False
    return b"rlaunch" in command and folder.is_relative_to((directory / "launches").resolve())


def _signal_group(pid: int, number: signal.Signals) -> None:
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        return
