"""What commands share: the archive that the settings name, documents by id, common options."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import click

from lizrcl_flows.errors import InputError

if TYPE_CHECKING:
    from lizrcl_flows.archive import Archive
    from lizrcl_flows.documents import Campaign, Document

Command = TypeVar("Command", bound=Callable[..., object])


def json_option(command: Command) -> Command:
    """Add `--json` to a reading command."""
    return click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")(command)


def dry_run_option(command: Command) -> Command:
    """Add `--dry-run` to a writing command."""
    return click.option("--dry-run", is_flag=True, help="Say what would be done and change nothing.")(command)


@contextmanager
def open_archive(*, write: bool = False) -> Iterator["Archive"]:
    """Connect to the database that the settings name, for one command.

    Raises
    ------
    BackendError
        If it cannot be reached, or was written by a newer version.
    """
    from lizrcl_flows.archive import Archive
    from lizrcl_flows.settings import load_settings

    archive = Archive.connect(settings=load_settings(), read_only=not write)
    try:
        yield archive
    finally:
        archive.close()


def document_kind(document_id: str) -> "type[Document]":
    """Return the document class that an id, or the beginning of one, belongs to.

    Raises
    ------
    InputError
        If the id does not begin with a known prefix.
    """
    from lizrcl_flows.documents import BY_PREFIX

    prefix = document_id.partition("_")[0]
    if prefix not in BY_PREFIX:
        raise InputError(
            f"'{document_id}' is not a document id; ids begin with one of {', '.join(f'{name}_' for name in BY_PREFIX)}"
        )
    return BY_PREFIX[prefix]


def find_campaign(archive: "Archive", name_or_id: str) -> "Campaign":
    """Return a campaign by id, beginning of an id, or name.

    Raises
    ------
    InputError
        If several campaigns have that name.
    NotFoundError
        If there is none.
    """
    from lizrcl_flows.documents import Campaign
    from lizrcl_flows.errors import NotFoundError

    named = list(archive.find(Campaign, {"name": name_or_id}))
    if len(named) == 1:
        return named[0]
    if len(named) > 1:
        raise InputError(f"{len(named)} campaigns are called '{name_or_id}': {', '.join(found.id for found in named)}")
    if name_or_id.startswith("cam_"):
        return archive.get(Campaign, name_or_id)
    known = sorted({campaign.name for campaign in archive.find(Campaign, {}, limit=20)})
    hint = f"known: {', '.join(known)}" if known else "there is none yet; `lizrcl campaign new FILE` makes one"
    raise NotFoundError(f"no campaign '{name_or_id}' in the archive; {hint}")
