"""Checks of the configuration files of a worker: there, private, and about the database that the archive uses."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lizrcl_flows.cli.diagnosis.findings import Finding
from lizrcl_flows.errors import InputError

if TYPE_CHECKING:
    from lizrcl_flows.settings import Settings

VARIABLES = ("FW_CONFIG_FILE", "JOBFLOW_CONFIG_FILE", "ATOMATE2_CONFIG_FILE", "LIZRCL_CONFIG_FILE")
NEEDED = ("FW_CONFIG_FILE", "JOBFLOW_CONFIG_FILE")
WRITE = "`lizrcl config write` writes it for a cluster, `lizrcl db start` for this machine"
OTHERS = 0o077


def configuration_files(settings: "Settings") -> Iterator[Finding]:
    """Look at the files that FireWorks, jobflow, atomate2 and lizrcl are told to read."""
    for variable in VARIABLES:
        path = os.environ.get(variable)
        if path is not None:
            yield from _file(variable, Path(path))
        elif variable in NEEDED:
            yield Finding(variable, "note", "not set", f"`rlaunch` and `lpad` need it: {WRITE}")
    yield from _private_launchpad()
    yield from _shadowed()
    yield from _same_database(settings)
    yield from _silent_changes()


def _file(variable: str, path: Path) -> Iterator[Finding]:
    if not path.is_file():
        yield Finding(variable, "problem", f"names {path}, which is not a file", WRITE)
        return
    content = _read(path)
    if content is None:
        yield Finding(variable, "problem", f"names {path}, which cannot be read as {_language(path)}", WRITE)
    elif _exposed(path):
        yield Finding(variable, "problem", f"others may read {path}, which holds a password", f"`chmod 600 {path}`")
    else:
        yield Finding(variable, "ok", str(path))


def _private_launchpad() -> Iterator[Finding]:
    path = _launchpad_file()
    if path is not None and not path.is_file():
        yield Finding("LAUNCHPAD_LOC", "problem", f"names {path}, which is not a file", WRITE)
    elif path is not None and _exposed(path):
        found = f"others may read {path}, which holds a password"
        yield Finding("LAUNCHPAD_LOC", "problem", found, f"`chmod 600 {path}`")


def _shadowed() -> Iterator[Finding]:
    """Find a FW_config.yaml that FireWorks reads instead of the one that FW_CONFIG_FILE names."""
    named = os.environ.get("FW_CONFIG_FILE")
    if named is None:
        return
    for folder in (Path.cwd(), Path.home() / ".fireworks"):
        other = folder / "FW_config.yaml"
        if other.is_file() and other.resolve() != Path(named).resolve():
            found = f"FireWorks reads {other} instead of {named}"
            yield Finding("FW_CONFIG_FILE", "problem", found, f"`mv {other} {other}.unused`, or work in another folder")


def _same_database(settings: "Settings") -> Iterator[Finding]:
    """Compare where LaunchPad and JobStore are with where the archive is: one database serves all three."""
    from lizrcl_flows.archive.connection import embedded_uri
    from lizrcl_flows.archive.inspection import place
    from lizrcl_flows.errors import BackendError

    try:
        archive = place(settings.db_uri or embedded_uri(settings), settings.db_name)
    except BackendError:  # the check of the database says so
        return
    for subject, uri, name in _stores():
        other = place(uri, name)
        if other != archive:
            found = f"is {other[1]} at {', '.join(other[0])}; the archive is {archive[1]} at {', '.join(archive[0])}"
            yield Finding(subject, "problem", found, "`lizrcl config write` anew, or name that one in LIZRCL_DB_URI")


def _stores() -> Iterator[tuple[str, str, str]]:
    """Yield subject, URI and database of LaunchPad and JobStore, as far as their files say."""
    path = _launchpad_file()
    launchpad = (_read(path) or {}) if path is not None and path.is_file() else {}
    if launchpad:
        host = str(launchpad.get("host") or "localhost")
        uri = host if launchpad.get("uri_mode") else f"mongodb://{host}:{launchpad.get('port') or 27017}"
        yield "LaunchPad", uri, str(launchpad.get("name") or "")
    jobflow = os.environ.get("JOBFLOW_CONFIG_FILE")
    content = (_read(Path(jobflow)) or {}) if jobflow and Path(jobflow).is_file() else {}
    store = (content.get("JOB_STORE") or {}).get("docs_store") or {}
    if store:
        uri = store.get("uri") or f"mongodb://{store.get('host') or 'localhost'}:{store.get('port') or 27017}"
        yield "JobStore", str(uri), str(store.get("database") or "")


def _silent_changes() -> Iterator[Finding]:
    """Find settings of atomate2 that would change every label without its level of theory saying so."""
    for name in ("VASP_INCAR_UPDATES", "CP2K_INPUT_UPDATES"):
        value = atomate2_setting(name)
        if value not in (None, {}, "", "{}"):
            found = f"is {value}: it would change labels silently"
            advice = "unset it; write such tags into the campaign file: labelling, parameters"
            yield Finding(f"atomate2's {name}", "problem", found, advice)


def wall_time(settings: "Settings") -> Iterator[Finding]:  # noqa: ARG001  checks have one signature
    """Tell, in a batch job, until when this worker may compute."""
    from lizrcl_flows.jobs.wall_time import SLURM_END, WORKER_END, seconds_left

    variables = [name for name in (WORKER_END, SLURM_END) if os.environ.get(name)]
    batch = next((name for name in ("SLURM_JOB_ID", "PBS_JOBID") if name in os.environ), None)
    advice = "use the queue files that `lizrcl config write` writes: they set it for every job"
    if not variables:
        if batch:
            found = f"{batch} is set and none of {WORKER_END}, {SLURM_END}: labels may be cut off"
            yield Finding("wall time", "note", found, advice)
        return
    try:
        left = seconds_left() or 0.0
    except InputError as error:
        yield Finding("wall time", "problem", str(error), advice)
        return
    if left < 0:
        found = f"by {variables[0]} it was over {-left / 60:.0f} min ago; workers would begin no label"
        yield Finding("wall time", "problem", found, f"`unset {variables[0]}`: it is another job's")
    else:
        yield Finding("wall time", "ok", f"{left / 60:.0f} min left ({variables[0]})")


def fireworks_settings() -> dict[str, Any]:
    """Return the content of the file that FW_CONFIG_FILE names, or nothing."""
    path = os.environ.get("FW_CONFIG_FILE")
    return (_read(Path(path)) or {}) if path and Path(path).is_file() else {}


def atomate2_setting(name: str) -> Any:
    """Return a setting of atomate2 as a worker started here would have it, or None where nothing says it.

    Read from ATOMATE2_<name> and the file of ATOMATE2_CONFIG_FILE, as atomate2 does; it takes 5 s to import.
    """
    variable = next((key for key in os.environ if key.upper() == f"ATOMATE2_{name}"), None)
    if variable is not None:
        return os.environ[variable]
    path = Path(os.environ.get("ATOMATE2_CONFIG_FILE", "~/.atomate2.yaml")).expanduser()
    return (_read(path) or {}).get(name) if path.is_file() else None


def _launchpad_file() -> Path | None:
    name = fireworks_settings().get("LAUNCHPAD_LOC")
    return Path(str(name)) if name else None


def _language(path: Path) -> str:
    return "TOML" if path.suffix == ".toml" else "YAML"


def _read(path: Path) -> dict[str, Any] | None:
    """Return the content of a YAML or TOML file, or None where it is none."""
    import tomllib

    import yaml

    try:
        text = path.read_text(encoding="utf-8")
        content = tomllib.loads(text) if path.suffix == ".toml" else yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError):
        return None
    return content if isinstance(content, dict) else {} if content is None else None


def _exposed(path: Path) -> bool:
    """Tell whether others may read a file in which a URI or a line holds a password."""
    import re

    if not path.stat().st_mode & OTHERS:
        return False
    text = path.read_text(encoding="utf-8", errors="replace")
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    return any(re.search(r"://[^/@\s:]+:[^/@\s]+@|^\s*password:\s*[^\s#]", line) for line in lines)
