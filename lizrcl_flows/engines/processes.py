"""Running the programs behind the engines: found by name, output kept, no orphan left in a directory."""

import fcntl
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lizrcl_flows.errors import EngineError

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")

LOCK_FILE = "running.lock"
_PATIENCE_S = 10.0
_GRACE_S = 2.0


@dataclass(frozen=True)
class Finished:
    """How a program ended.

    Attributes
    ----------
    status
        Exit status; the negative number of the signal that ended it; none where it was ended at its time limit.
    wall_s
        Seconds that it ran.
    """

    status: int | None
    wall_s: float

    def in_words(self) -> str:
        """Return how it ended as part of a sentence: ``ended with exit status 2``."""
        if self.status is None:
            return f"was ended at its time limit after {self.wall_s:.0f} s"
        if self.status < 0:
            return f"was ended by signal {-self.status} ({signal.Signals(-self.status).name})"
        return f"ended with exit status {self.status}"


def find_program(command: str, setting: str) -> list[str]:
    """Split a command and find its program on the PATH or beside the running Python.

    Parameters
    ----------
    command
        As one would type it: ``lizrcl-nep``, ``srun -n 1 gpumd``.
    setting
        What to change if it is not there, for the message.

    Raises
    ------
    EngineError
        If there is no such program.
    """
    words = shlex.split(command)
    if not words:
        raise EngineError(f"{setting} names no program")
    beside_python = str(Path(sys.executable).parent)
    found = shutil.which(words[0]) or shutil.which(words[0], path=beside_python)
    if found is None:
        raise EngineError(
            f"program '{words[0]}' is neither on the PATH nor in {beside_python}: install it or set {setting}"
        )
    return [found, *words[1:]]


@contextmanager
def sole_use(directory: Path) -> Iterator[int]:
    """Hold a directory for one run, through a lock that the program inherits: it lasts until that program is gone.

    A program that a killed worker left running in the directory is ended, so that two never write to the same files.

    Yields
    ------
    int
        Descriptor of the lock, for `run_program`.

    Raises
    ------
    EngineError
        If another program keeps the directory.
    """
    directory.mkdir(parents=True, exist_ok=True)
    lock = os.open(directory / LOCK_FILE, os.O_CREAT | os.O_RDWR, 0o644)
    try:
        deadline = time.monotonic() + _PATIENCE_S
        while not _acquired(lock):
            holder = os.pread(lock, 100, 0).decode().split()
            _end_if_orphan(holder, directory)
            if time.monotonic() > deadline:
                raise EngineError(f"another program (process {' of '.join(holder)}) is still running in {directory}")
            time.sleep(0.05)
        os.ftruncate(lock, 0)
        yield lock
    finally:
        os.close(lock)


def run_program(
    argv: Sequence[str],
    directory: Path,
    lock: int,
    *,
    threads: int = 1,
    environment: Mapping[str, str] | None = None,
    time_limit_s: float | None = None,
) -> Finished:
    """Run a program in a directory with its output in ``stdout.txt`` and ``stderr.txt`` there.

    Parameters
    ----------
    argv
        Program and arguments.
    directory
        Where it runs.
    lock
        Of `sole_use`.
    threads
        Set in the environment for OpenMP and the usual BLAS libraries.
    environment
        Variables on top of those of this process.
    time_limit_s
        Seconds after which the program is ended.
    """
    started = time.monotonic()
    with (directory / "stdout.txt").open("wb") as output, (directory / "stderr.txt").open("wb") as errors:
        process = subprocess.Popen(
            argv,
            cwd=directory,
            env={**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(threads)), **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            pass_fds=(lock,),
        )
        os.pwrite(lock, f"{process.pid} {os.getpid()}\n".encode(), 0)
        status: int | None
        try:
            status = process.wait(time_limit_s)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            _end(process)
    return Finished(status, time.monotonic() - started)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a program: first so that mpirun and srun can end theirs, then for certain."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _acquired(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _end_if_orphan(holder: Sequence[str], directory: Path) -> None:
    """End the program that holds a directory if the worker that started it is gone; any other is left alone."""
    try:
        pid, parent = holder
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        orphaned = stat.rpartition(")")[2].split()[1] != parent
        if orphaned and Path(f"/proc/{pid}/cwd").resolve().is_relative_to(directory.resolve()):
            os.kill(int(pid), signal.SIGKILL)
    except (OSError, ValueError):
        return


def is_ours(argv: Sequence[str], name: str) -> bool:
    """Tell whether a command runs our program, with its options, or GPUMD's."""
    return any(Path(word).name == name for word in argv)


def version_in(directory: Path) -> str:
    """Return the version in the banner that a program printed, or ``unknown``."""
    text = (directory / "stdout.txt").read_text(encoding="utf-8", errors="replace")
    found = re.search(r"version\s+v?(\d[\w.+-]*)", text, flags=re.IGNORECASE)
    return found[1] if found else "unknown"


def last_words(directory: Path, n_lines: int = 3) -> str:
    """Return the end of what a program said, errors first, in one line."""
    for name in ("stderr.txt", "stdout.txt"):
        path = directory / name
        text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        if lines:
            return " | ".join(lines[-n_lines:])[:500]
    return "it said nothing"


def replace_text(path: Path, text: str) -> None:
    """Put text into a file in one step: a reader sees the old file or the new one, never half of it."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    with partial.open("w", encoding="utf-8") as handle:
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())
    partial.replace(path)
