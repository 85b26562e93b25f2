"""The whole set of files for a cluster: those of the workers, queue files, DFT commands, settings, environment.

`lizrcl config write` renders it for one site; the set checked in as `fw_configs/` is the same one with CHANGE_ME
wherever a site has its own value or a secret.
"""

import json
import os
import re
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from lizrcl_flows.archive.worker_config import CATEGORIES, CLUSTER, Place, fill, scalar, worker_files
from lizrcl_flows.settings import Settings

Scheduler = Literal["slurm", "pbs"]

CHANGE_ME = "CHANGE_ME"

LAUNCHERS: dict[Scheduler, str] = {"slurm": "srun", "pbs": "mpirun"}
"""How an MPI program is started by each scheduler's jobs, where nothing else is said."""

DAY_S = 24 * 3600

_WHAT = {
    "cpu": "preparing, screening, analysis",
    "dft": "labels; the DFT program gets all tasks of the job",
    "gpu": "training and dynamics with GPUMD's nep and gpumd",
}
_LOOP = "One job takes one Firework after the other until its wall time is nearly over, or there was none for long."
_SINGLE = "One job runs one reserved Firework: for `qlaunch -r`, which sees each Firework as a job of its own."


@dataclass(frozen=True)
class Cluster:
    """What the queue files say.

    Attributes
    ----------
    queues
        Queue (partition) of each category.
    walltime_s, reserve_s
        Wall time of a job, and the part at its end in which no further Firework is begun (s).
    idle_s
        A job that has waited for Fireworks for so long altogether ends, and leaves its nodes to others (s).
    dft_tasks
        MPI tasks of a job for labels.
    threads
        Cores of a job for anything else.
    commands
        VASP_CMD, VASP_GAMMA_CMD, CP2K_CMD where the launcher with the program's usual name will not do.
    extra
        Further keys of FireWorks' queue template: category (None: each), key, value.
    """

    scheduler: Scheduler = "slurm"
    queues: Mapping[str, str] = field(default_factory=dict)
    account: str | None = None
    walltime_s: int = DAY_S
    reserve_s: int = 600
    idle_s: int = 1800
    dft_tasks: int = 32
    threads: int = 8
    commands: Mapping[str, str] = field(default_factory=dict)
    extra: tuple[tuple[str | None, str, str], ...] = ()


@dataclass(frozen=True)
class Machine:
    """What a shell needs before `lizrcl` and `rlaunch` work: lines of environment.sh, and the settings."""

    activate: str
    potcars: str
    settings: str


def this_machine(settings: Settings, uri: str) -> Machine:
    """Return what this Python and this environment are.

    Parameters
    ----------
    uri
        MongoDB URI that the workers are to use.
    """
    activate = Path(sys.prefix) / "bin" / "activate"
    programs = Path(sys.executable).parent
    line = f"source {shlex.quote(str(activate))}" if activate.is_file() else f'export PATH={programs}:"$PATH"'
    folder = os.environ.get("PMG_VASP_PSP_DIR")
    potcars = f"export PMG_VASP_PSP_DIR={shlex.quote(folder)}" if folder else f"# export PMG_VASP_PSP_DIR={CHANGE_ME}"
    given = settings.model_dump(exclude_defaults=True, exclude_none=True)
    wanted = {"db_uri": uri, "db_name": settings.db_name, "data_dir": settings.data_dir.expanduser().resolve()}
    lines = [f"{name} = {_toml(value)}" for name, value in {**given, **wanted}.items()]
    return Machine(line, potcars, "\n".join(sorted(lines)))


def _toml(value: object) -> str:
    """Return a setting as TOML writes it; numbers and JSON's strings are the same there."""
    return json.dumps(value if isinstance(value, int | float) else str(value))


def cluster_files(place: Place, cluster: Cluster, machine: Machine) -> dict[str, str]:
    """Return the content of every file, by name."""
    environment = {
        "activate": machine.activate,
        "potcars": machine.potcars,
        "fw_config": shlex.quote(place.path("FW_config.yaml")),
        "jobflow": shlex.quote(place.path("jobflow.yaml")),
        "atomate2": shlex.quote(place.path("atomate2.yaml")),
        "lizrcl": shlex.quote(place.path("lizrcl.toml")),
        "site": shlex.quote(place.path("site.sh")),
    }
    content = worker_files(place)
    content["atomate2.yaml"] = fill("atomate2.yaml", _commands(cluster))
    content["lizrcl.toml"] = fill("lizrcl.toml", {"settings": machine.settings})
    content["environment.sh"] = fill("environment.sh", environment)
    for category in CATEGORIES:
        content[f"my_qadapter_{category}.yaml"] = _queue_file(place, cluster, category, reserved=False)
    content["my_qadapter_dft_reserved.yaml"] = _queue_file(place, cluster, "dft", reserved=True)
    return content


def example_files(scheduler: Scheduler = "slurm") -> dict[str, str]:
    """Return the set with CHANGE_ME where a site has its own values: what `fw_configs/` holds."""
    place = Place(
        directory=Path(f"/{CHANGE_ME}/fw_configs"),
        uri=f"mongodb://lizrcl_worker:{CHANGE_ME}@localhost:27017/?authSource=lizrcl",
        database="lizrcl",
        site="cluster",
        pace=CLUSTER,
        fworker="my_fworker_cpu.yaml",
    )
    machine = Machine(
        activate=f"source /{CHANGE_ME}/.venv/bin/activate",
        potcars=f"# export PMG_VASP_PSP_DIR=/{CHANGE_ME}/potcars",
        settings="\n".join(
            (f'data_dir = "/{CHANGE_ME}/lizrcl"', f'db_name = "{place.database}"', f'db_uri = "{place.uri}"')
        ),
    )
    queues = dict.fromkeys(CATEGORIES, CHANGE_ME)
    return cluster_files(place, Cluster(scheduler, queues=queues, account=CHANGE_ME), machine)


def _commands(cluster: Cluster) -> dict[str, str]:
    launcher = LAUNCHERS[cluster.scheduler]
    usual = {"vasp": f"{launcher} vasp_std", "vasp_gamma": f"{launcher} vasp_gam", "cp2k": f"{launcher} cp2k.psmp"}
    return {name: scalar(command) for name, command in {**usual, **cluster.commands}.items()}


def _queue_file(place: Place, cluster: Cluster, category: str, *, reserved: bool) -> str:
    name = f"my_qadapter_{category}{'_reserved' if reserved else ''}.yaml"
    fworker = f"my_fworker_{category}.yaml"
    files = f"-l {shlex.quote(place.path('my_launchpad.yaml'))} -w {shlex.quote(place.path(fworker))}"
    until = max(cluster.walltime_s - cluster.reserve_s, 1)
    sleep_s = place.pace.sleep_s
    rests = max(cluster.idle_s // sleep_s, 1)
    loop = f"rapidfire --nlaunches infinite --timeout {until} --sleep {sleep_s} --max_loops {rests}"
    is_dft = category == "dft"
    tasks, cores = (cluster.dft_tasks, 1) if is_dft else (1, cluster.threads)
    gpus = 1 if category == "gpu" else None
    values: dict[str, object] = {
        "rocket_launch": f"rlaunch {files} {'singleshot' if reserved else loop}",
        "ntasks": tasks,
        "cpus": cores,
        "gpus": gpus,
        "ppnode": f"{tasks * cores}:gpus=1" if gpus else tasks * cores,
        "walltime": clock(cluster.walltime_s),
        "queue": cluster.queues.get(category),
        "account": cluster.account,
        "job_name": f"lizrcl-{category}",
    }
    plain = {
        "category": category,
        "what": _WHAT[category],
        "mode": _SINGLE if reserved else _LOOP,
        "usage": f"qlaunch {'-r ' * reserved}-w {fworker} -q {name} rapidfire -m 20 --nlaunches infinite",
        "environment": shlex.quote(place.path("environment.sh")),
        "walltime_s": str(cluster.walltime_s),
        "threads": str(cores),
    }
    rendered = {key: scalar(value) for key, value in values.items()}
    text = fill(f"my_qadapter_{cluster.scheduler}.yaml", rendered | plain)
    for only, key, value in cluster.extra:
        text = text if only not in (None, category) else _with_key(text, key, value)
    return text


def _with_key(text: str, key: str, value: str) -> str:
    """Return a queue file in which a key has a value, in the line where it stands or in one more."""
    line = f"{key}: {scalar(value)}\n"
    changed, n = re.subn(rf"^{re.escape(key)}:.*\n", lambda _: line, text, flags=re.MULTILINE)
    return changed if n else text + line


def queue_keys(scheduler: Scheduler) -> list[str]:
    """Return the keys that FireWorks' own queue template of a scheduler has, without importing FireWorks."""
    package = find_spec("fireworks")
    folders = (package.submodule_search_locations or ()) if package else ()
    adapters = Path(next(iter(folders), "")) / "user_objects" / "queue_adapters"
    template = (adapters / f"{scheduler.upper()}_template.txt").read_text(encoding="utf-8")
    ours = {"rocket_launch", "pre_rocket", "launch_dir", "job_name", "walltime"}
    return sorted(set(re.findall(r"\$\$\{([\w-]+)\}", template)) - ours)


def clock(seconds: int) -> str:
    """Return a duration as HH:MM:SS, which both schedulers take; hours may exceed 24."""
    minutes, rest = divmod(seconds, 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest:02d}"
