"""The configuration files of FireWorks and jobflow for one database: every worker of a campaign reads the same ones.

They are filled from the commented templates in `config_templates/`, as is the set that is checked in as `fw_configs/`.
"""

import os
import platform
import string
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

PATIENCE_MS = 300_000
"""How long a worker waits for a database that is away: a restart must not cost the result of a finished job."""

CATEGORIES = ("cpu", "dft", "gpu")

_WORK = {
    "": "The worker that takes every job",
    "_cpu": "The worker for preparing, screening and analysis",
    "_dft": "The worker for labels",
    "_gpu": "The worker for training and dynamics",
}


@dataclass(frozen=True)
class Pace:
    """How soon workers look again and count as lost.

    Attributes
    ----------
    sleep_s
        Pause of a worker that finds no job (s).
    ping_s
        So often it writes that it lives (s).
    expiration_s
        Silence after which `lpad detect_lostruns` takes its job for lost (s).
    """

    sleep_s: int
    ping_s: int
    expiration_s: int


LOCAL = Pace(sleep_s=5, ping_s=60, expiration_s=300)
"""Workers on the machine of the database."""

CLUSTER = Pace(sleep_s=60, ping_s=300, expiration_s=1800)
"""Many workers far away: longer than they wait for a database that is away (PATIENCE_MS)."""


@dataclass(frozen=True)
class Place:
    """What the files say about one site.

    Attributes
    ----------
    directory
        Folder that the files name each other by; absolute, because jobs run in folders of their own.
    uri, database
        Of the archive. Credentials are included: FireWorks does not expand environment variables in its files.
    site
        Beginning of the workers' names.
    fworker
        File of the worker of an `rlaunch` that names none.
    """

    directory: Path
    uri: str
    database: str
    site: str
    pace: Pace = LOCAL
    fworker: str = "my_fworker.yaml"

    def path(self, name: str) -> str:
        """Return the path of one of the files."""
        return str(self.directory / name)


class _Template(string.Template):
    """`@{name}` is filled in; dollars belong to the shell."""

    delimiter = "@"


def write_worker_config(directory: Path, uri: str, database: str) -> dict[str, str]:
    """Write the files for workers on this machine, for their owner's eyes only, and return the variables for them.

    FW_config.yaml, my_launchpad.yaml, jobflow.yaml, my_fworker.yaml (takes every job) and my_fworker_<category>.yaml
    for each of cpu, dft and gpu. Files that are there are replaced: the URI may have changed.

    Parameters
    ----------
    uri
        MongoDB URI, credentials included.

    Returns
    -------
    dict
        FW_CONFIG_FILE, JOBFLOW_CONFIG_FILE, LIZRCL_DB_URI, LIZRCL_DB_NAME.
    """
    place = Place(directory.expanduser().resolve(), uri, database, platform.node())
    write_private(place.directory, worker_files(place))
    return {
        "FW_CONFIG_FILE": place.path("FW_config.yaml"),
        "JOBFLOW_CONFIG_FILE": place.path("jobflow.yaml"),
        "LIZRCL_DB_URI": uri,
        "LIZRCL_DB_NAME": database,
    }


def worker_files(place: Place) -> dict[str, str]:
    """Return the content of the files that every site has, by file name."""
    shared = {"uri": scalar(place.uri), "database": scalar(place.database)}
    fw_config = {name: scalar(value) for name, value in vars(place.pace).items()} | {
        "directory": scalar(str(place.directory)),
        "launchpad": scalar(place.path("my_launchpad.yaml")),
        "fworker": scalar(place.path(place.fworker)),
    }
    content = {
        "FW_config.yaml": fill("FW_config.yaml", fw_config),
        "my_launchpad.yaml": fill("my_launchpad.yaml", {**shared, "patience_ms": scalar(PATIENCE_MS)}),
        "jobflow.yaml": fill("jobflow.yaml", shared),
    }
    for suffix, title in _WORK.items():
        category: object = suffix.removeprefix("_") or list(CATEGORIES)
        values = {
            "title": title,
            "suffix": suffix,
            "name": scalar(f"{place.site}-{suffix.removeprefix('_') or 'all'}"),
            "category": scalar(category),
        }
        content[f"my_fworker{suffix}.yaml"] = fill("my_fworker.yaml", values)
    return content


def fill(template: str, values: Mapping[str, str]) -> str:
    """Return a template of `config_templates/` with its values filled in."""
    text = (files("lizrcl_flows.archive") / "config_templates" / template).read_text(encoding="utf-8")
    return _Template(text).substitute(values)


def scalar(value: object) -> str:
    """Return a value as YAML writes it in one line."""
    import yaml

    return yaml.safe_dump(value, default_flow_style=True, width=float("inf")).removesuffix("...\n").rstrip("\n")


def write_private(directory: Path, content: Mapping[str, str]) -> None:
    """Write text files into a directory (made where missing) such that only their owner can read them."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, text in content.items():
        part = directory / f".{name}.part"
        part.unlink(missing_ok=True)
        with os.fdopen(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as handle:
            handle.write(text)
        part.replace(directory / name)
