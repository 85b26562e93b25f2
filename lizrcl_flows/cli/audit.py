"""`lizrcl audit`: recompute every digest, follow every edge; exit code 4 with a list of what is wrong."""

import click

from lizrcl_flows.cli.bars import progress_bars
from lizrcl_flows.cli.output import emit_json, say, show, table
from lizrcl_flows.cli.session import find_campaign, json_option, open_archive
from lizrcl_flows.errors import IntegrityError

LISTED = 200
"""Findings that a person is shown; --json has them all."""


@click.command()
@click.option("--campaign", "campaign_name", help="Audit one campaign and what it was made from; name or id.")
@json_option
@click.pass_context
def audit(ctx: click.Context, campaign_name: str | None, as_json: bool) -> None:
    """Check every document, file and edge of the archive against its digest.

    Recomputes ids and digests, reads every stored file, follows every edge of the lineage, re-derives every data set
    and compares states with the events. Exit code 4 if something is wrong; every finding names its document.
    """
    with open_archive() as archive, progress_bars() as progress:
        from lizrcl_flows.archive.audit import audit as run_audit

        campaign = find_campaign(archive, campaign_name).id if campaign_name else None
        report = run_audit(archive, campaign, progress)
    if as_json:
        emit_json(report.as_dict())
        ctx.exit(0 if report.ok else IntegrityError.exit_code)
    looked_at = f"{report.n_documents} documents, {report.n_edges} references, {report.n_files} files"
    if report.ok:
        say(f"{looked_at}: all as written ({report.seconds:.1f} s)")
        return
    show(table(["document", "what is wrong"], [[found.document, found.what] for found in report.findings[:LISTED]]))
    more = f"; --json lists those after the first {LISTED}" if len(report.findings) > LISTED else ""
    raise IntegrityError(f"{len(report.findings)} findings in {looked_at}{more}")
