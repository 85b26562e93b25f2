"""`lizrcl launchpad write`: workflow files for `lpad add`."""

from pathlib import Path

import click

from lizrcl_flows.cli.lazy import SuggestingGroup
from lizrcl_flows.cli.output import say
from lizrcl_flows.errors import IntegrityError


@click.group(cls=SuggestingGroup)
def launchpad() -> None:
    """Workflow files for `lpad add`."""


@launchpad.command("write")
@click.option("--out", type=click.Path(path_type=Path), default=Path("launchpad"), show_default=True, help="Folder.")
@click.option("--check", is_flag=True, help="Compare only; exit code 4 if a file is missing or out of date.")
@click.option("--dry-run", is_flag=True, help="Name the files that would change and change nothing.")
def write(out: Path, check: bool, dry_run: bool) -> None:
    """Write one file for each shipped system whose engines are there; prints the files that changed."""
    from lizrcl_flows.flows.launchpad_files import write_launchpad_files

    changed = write_launchpad_files(out, check=check or dry_run)
    for path in changed:
        click.echo(str(path))
    if check and changed:
        names = ", ".join(str(path) for path in changed)
        raise IntegrityError(f"{names}: not what `lizrcl launchpad write` makes; run it and commit the result")
    if not changed:
        say(f"{out}: up to date")
