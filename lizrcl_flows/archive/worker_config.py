"""The configuration files of FireWorks and jobflow for one database: every worker of a campaign reads the same ones."""

import os
import platform
from pathlib import Path
from typing import Any

from lizrcl_flows.archive.jobstore import store_spec

PATIENCE_MS = 300_000
"""How long a worker waits for a database that is away: a restart must not cost the result of a finished job."""

CATEGORIES = ("cpu", "dft", "gpu")


def write_worker_config(directory: Path, uri: str, database: str) -> dict[str, str]:
    """Write the files into a directory, readable by their owner only, and return the environment that names them.

    FW_config.yaml, my_launchpad.yaml, jobflow.yaml, my_fworker.yaml (takes every job) and my_fworker_<category>.yaml
    for each of cpu, dft and gpu. Files that are there are replaced: the URI may have changed.

    Parameters
    ----------
    uri
        MongoDB URI, credentials included: FireWorks does not expand environment variables in its files.

    Returns
    -------
    dict
        FW_CONFIG_FILE, JOBFLOW_CONFIG_FILE, LIZRCL_DB_URI, LIZRCL_DB_NAME.
    """
    directory = directory.expanduser().resolve()
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in _files(directory, uri, database).items():
        _write_private(directory / name, content)
    return {
        "FW_CONFIG_FILE": str(directory / "FW_config.yaml"),
        "JOBFLOW_CONFIG_FILE": str(directory / "jobflow.yaml"),
        "LIZRCL_DB_URI": uri,
        "LIZRCL_DB_NAME": database,
    }


def _files(directory: Path, uri: str, database: str) -> dict[str, dict[str, Any]]:
    files: dict[str, dict[str, Any]] = {
        "FW_config.yaml": {
            "LAUNCHPAD_LOC": str(directory / "my_launchpad.yaml"),
            "FWORKER_LOC": str(directory / "my_fworker.yaml"),
            "RAPIDFIRE_SLEEP_SECS": 5,
            # a worker that has died is noticed after RUN_EXPIRATION_SECS by `lpad detect_lostruns`
            "PING_TIME_SECS": 60,
            "RUN_EXPIRATION_SECS": 300,
            "SORT_FWS": "FIFO",
        },
        "my_launchpad.yaml": {
            "host": uri,
            "name": database,
            "uri_mode": True,
            "mongoclient_kwargs": {"serverSelectionTimeoutMS": PATIENCE_MS},
            "strm_lvl": "INFO",
            "user_indices": [],
            "wf_user_indices": ["metadata.campaign", "metadata.generation_id"],
        },
        "jobflow.yaml": {"JOB_STORE": store_spec(uri, database)},
        "my_fworker.yaml": _fworker("all", list(CATEGORIES)),
    }
    for category in CATEGORIES:
        files[f"my_fworker_{category}.yaml"] = _fworker(category, [category])
    return files


def _fworker(name: str, categories: list[str]) -> dict[str, Any]:
    category = categories[0] if len(categories) == 1 else categories
    return {"name": f"{platform.node()}-{name}", "category": category, "query": "{}", "env": {}}


def _write_private(path: Path, content: dict[str, Any]) -> None:
    import yaml

    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as handle:
        yaml.safe_dump(content, handle, sort_keys=False)
    part.replace(path)
