"""`lizrcl config write`: the configuration files of FireWorks, jobflow and atomate2 for a cluster."""

import re
import stat
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lizrcl_flows.cli.lazy import SuggestingGroup
from lizrcl_flows.cli.output import say
from lizrcl_flows.cli.session import dry_run_option
from lizrcl_flows.errors import InputError, IntegrityError

if TYPE_CHECKING:
    from lizrcl_flows.archive.cluster_config import Cluster, Scheduler

SHORTEST_WALLTIME_S = 300
PRIVATE = 0o600


def _seconds(ctx: click.Context, param: click.Parameter, value: str) -> int:  # noqa: ARG001  the signature is click's
    """Read a wall time as batch systems write it.

    Raises
    ------
    click.UsageError
        If it is none.
    """
    found = re.fullmatch(r"(?:(\d+)-)?(\d+):([0-5]\d):([0-5]\d)", value)
    if not found:
        raise click.BadParameter(f"'{value}' is not a wall time; give HH:MM:SS or D-HH:MM:SS")
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


_wall_time = partial(click.option, callback=_seconds, metavar="[D-]HH:MM:SS", show_default=True)


@click.group(cls=SuggestingGroup)
def config() -> None:
    """Write the configuration files of a cluster's workers; `lizrcl db start` writes those of this machine."""


@config.command("write")
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False), required=False)
@click.option("--scheduler", type=click.Choice(["slurm", "pbs"]), default="slurm", show_default=True)
@click.option("--queue-cpu", metavar="QUEUE", help="Queue (partition) for preparing, screening and analysis.")
@click.option("--queue-dft", metavar="QUEUE", help="Queue for labels.")
@click.option("--queue-gpu", metavar="QUEUE", help="Queue for training and dynamics.")
@click.option("--account", help="Account that the jobs are charged to.")
@_wall_time("--walltime", default="24:00:00", help="Of each job.")
@_wall_time("--reserve", default="00:10:00", help="Its last part, in which no further Firework is begun.")
@_wall_time("--idle", default="00:30:00", help="A job that found nothing to do for so long ends.")
@click.option("--dft-tasks", type=click.IntRange(1), default=32, show_default=True, help="MPI tasks of a label job.")
@click.option("--threads", type=click.IntRange(1), default=8, show_default=True, help="Cores of the other jobs.")
@click.option("--vasp-command", metavar="COMMAND", help="Default: srun (PBS: mpirun) vasp_std.")
@click.option("--vasp-gamma-command", metavar="COMMAND", help="Default: srun (PBS: mpirun) vasp_gam.")
@click.option("--cp2k-command", metavar="COMMAND", help="Default: srun (PBS: mpirun) cp2k.psmp.")
@click.option(
    "--set",
    "extra",
    metavar="[CATEGORY.]KEY=VALUE",
    multiple=True,
    help="A further key of the queue files, such as qos=long or gpu.gres=gpu:1; may be given several times.",
)
@click.option("--example", is_flag=True, help="CHANGE_ME for secrets and everything of a site: the set in fw_configs/.")
@click.option("--check", is_flag=True, help="Compare only; exit code 4 if a file is missing or out of date.")
@dry_run_option
def write(directory: Path | None, *, example: bool, check: bool, dry_run: bool, **choices: Any) -> None:
    """Write the files into DIRECTORY (default: cluster in the data directory), readable by you alone.

    The database is the one of the settings: run it with LIZRCL_DB_URI set to the URI of the user lizrcl_worker.
    Prints the files that changed; `source DIRECTORY/environment.sh` then sets every variable that workers need.
    """
    if choices["reserve"] >= choices["walltime"] or choices["walltime"] < SHORTEST_WALLTIME_S:
        raise InputError(
            f"--walltime {choices['walltime']} s is not accepted with --reserve {choices['reserve']} s: it must be at "
            f"least {SHORTEST_WALLTIME_S} s and longer than the reserve"
        )
    if example:
        from lizrcl_flows.archive.cluster_config import example_files

        target, content = directory or Path("fw_configs"), example_files(choices["scheduler"])
    else:
        target, content = _site_files(directory, choices)
    changed = [name for name, text in content.items() if _differs(target / name, text, private=not example)]
    if not check and not dry_run:
        _write(target, {name: content[name] for name in changed}, private=not example)
    for name in changed:
        click.echo(str(target / name))
    if check and changed:
        names = ", ".join(changed)
        raise IntegrityError(f"{target}: not what `lizrcl config write` makes: {names}; run it again without --check")
    if not check and not dry_run and not example:
        say(f"now `source {target / 'environment.sh'}`, in every shell; then `lizrcl doctor`")
    elif not changed:
        say(f"{target}: up to date")


def _site_files(directory: Path | None, choices: dict[str, Any]) -> tuple[Path, dict[str, str]]:
    """Return the folder and the files of this site, by the settings."""
    import platform

    from lizrcl_flows.archive.cluster_config import cluster_files, this_machine
    from lizrcl_flows.archive.connection import embedded_uri
    from lizrcl_flows.archive.worker_config import CLUSTER, Place
    from lizrcl_flows.settings import load_settings

    settings = load_settings()
    uri = settings.db_uri or embedded_uri(settings)
    target = (directory or settings.data_dir / "cluster").expanduser().resolve()
    place = Place(target, uri, settings.db_name, platform.node(), CLUSTER, "my_fworker_cpu.yaml")
    return target, cluster_files(place, _cluster(choices), this_machine(settings, uri))


def _cluster(choices: dict[str, Any]) -> "Cluster":
    from lizrcl_flows.archive.cluster_config import Cluster

    queues = {category: choices[f"queue_{category}"] for category in ("cpu", "dft", "gpu")}
    commands = {name: choices[f"{name}_command"] for name in ("vasp", "vasp_gamma", "cp2k")}
    return Cluster(
        scheduler=choices["scheduler"],
        queues={category: queue for category, queue in queues.items() if queue},
        account=choices["account"],
        walltime_s=choices["walltime"],
        reserve_s=choices["reserve"],
        idle_s=choices["idle"],
        dft_tasks=choices["dft_tasks"],
        threads=choices["threads"],
        commands={name: command for name, command in commands.items() if command},
        extra=tuple(_extra(text, choices["scheduler"]) for text in choices["extra"]),
    )


def _extra(text: str, scheduler: "Scheduler") -> tuple[str | None, str, str]:
    """Read a further key of the queue files."""
    from lizrcl_flows.archive.cluster_config import queue_keys
    from lizrcl_flows.archive.worker_config import CATEGORIES

    name, equals, value = text.partition("=")
    category, dot, key = name.rpartition(".")
    known = queue_keys(scheduler)
    if not equals or not value or (dot and category not in CATEGORIES) or key not in known:
        raise InputError(
            f"--set {text} is not accepted: give KEY=VALUE, or cpu.KEY=VALUE, dft.KEY=VALUE, gpu.KEY=VALUE with a "
            f"key of {', '.join(known)}"
        )
    return category or None, key, value


def _differs(path: Path, text: str, *, private: bool) -> bool:
    """Return whether a file is missing, says something else, or can be read by others although it must not."""
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        return True
    return private and stat.S_IMODE(path.stat().st_mode) != PRIVATE


def _write(target: Path, content: dict[str, str], *, private: bool) -> None:
    from lizrcl_flows.archive.worker_config import write_private

    if private:
        write_private(target, content)
        return
    target.mkdir(parents=True, exist_ok=True)
    for name, text in content.items():
        (target / name).write_text(text, encoding="utf-8")
