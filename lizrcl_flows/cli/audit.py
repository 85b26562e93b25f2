"""`lizrcl audit`: recompute every digest, follow every edge; exit code 4 with a list of what is wrong."""

import click

from lizrcl_flows.cli.output import emit_json, say, show, table
from lizrcl_flows.cli.session import find_campaign, json_option, open_archive
from lizrcl_flows.errors import IntegrityError

LISTED = 200
"""Findings that a person is shown; --json has them all."""


@click.command()
@click.option("--campaign", "campaign_name", help="Audit one campaign only; name or id.")
@json_option
def audit(campaign_name: str | None, as_json: bool) -> None:
    """Check every document, file and edge of the archive against its digest.

    Recomputes ids and digests, reads every stored file, follows every edge of the lineage, and compares states with
    the events. Exit code 4 if something is wrong; every finding names its document.
    """
    with open_archive() as archive:
        from lizrcl_flows.archive.audit import audit as run_audit

        campaign = find_campaign(archive, campaign_name).name if campaign_name else None
        report = run_audit(archive, campaign)
