"""What commands share that run jobs on this machine: where they run, and where jobflow keeps their outputs."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from lizrcl_flows.archive import Archive
    from lizrcl_flows.documents import Campaign

Command = TypeVar("Command", bound=Callable[..., object])


def workdir_option(command: Command) -> Command:
    """Add `--workdir` to a command that runs jobs here."""
    return click.option(
        "--workdir", type=click.Path(path_type=Path), help="Where jobs run; default: LIZRCL_DATA_DIR/runs/NAME."
    )(command)


def local_run(archive: "Archive", campaign: "Campaign", workdir: Path | None) -> tuple[Any, Path]:
    """Return the store of job outputs and the directory, made, in which a campaign's jobs run."""
    from lizrcl_flows.archive.jobstore import job_store
    from lizrcl_flows.settings import load_settings

    directory = workdir or load_settings().data_dir / "runs" / campaign.name
    directory.mkdir(parents=True, exist_ok=True)
    warnings.filterwarnings("ignore", message="cd is deprecated", category=FutureWarning)  # jobflow's use of monty
    return job_store(archive.uri, archive.database_name), directory
