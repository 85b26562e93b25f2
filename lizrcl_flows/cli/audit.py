"""`lizrcl audit`: recompute every digest, follow every edge; exit code 4 with a list of what is wrong."""

import time

import click

from lizrcl_flows.cli.bars import progress_bars
from lizrcl_flows.cli.output import emit_json, say, show, table
from lizrcl_flows.cli.session import find_campaign, json_option, open_archive
from lizrcl_flows.errors import IntegrityError

LISTED = 200
"""Findings that a person is shown; --json has them all."""


@click.command()
@click.option("--campaign", "campaign_name", help="Audit one campaign and what it was made from; name or id.")
@click.option("--thorough", is_flag=True, help="Write all training inputs again and compute all predictions again.")
@json_option
@click.pass_context
def audit(ctx: click.Context, campaign_name: str | None, thorough: bool, as_json: bool) -> None:
    """Check every document, file and edge of the archive against its digest.

    Recomputes ids and digests, reads every stored file, follows every edge of the lineage both ways, re-derives every
    data set, compares states with the events and the LaunchPad with the documents; writes training inputs of one member
    of each data set again and compares them with what the trainer read; computes a sample of stored predictions again.
    Exit code 4 if something is wrong; every finding names its document. Reading rights suffice.
    """
    with open_archive() as archive, progress_bars() as progress:
        from lizrcl_flows.archive.audit import audit as run_audit
        from lizrcl_flows.jobs.auditing import EVERYTHING, Sample, deepen

        campaign = find_campaign(archive, campaign_name) if campaign_name else None
        started = time.monotonic()
        report = run_audit(archive, campaign.id if campaign else None, progress)
        deepen(archive, report, campaign.name if campaign else None, progress, EVERYTHING if thorough else Sample())
        report.seconds = time.monotonic() - started
    if as_json:
        emit_json(report.as_dict())
        ctx.exit(0 if report.ok else IntegrityError.exit_code)
    looked_at = (
        f"{report.n_documents} documents, {report.n_edges} references, {report.n_files} files, "
        f"{report.n_launches} launches, {report.n_inputs} training inputs, {report.n_predictions} predictions"
    )
    if report.unproven:
        first = report.unproven[0]
        more = f" and {len(report.unproven) - 1} more (--json)" if len(report.unproven) > 1 else ""
        about = "" if first.document in first.what else f"{first.document}: "
        say(f"not looked at: {about}{first.what}{more}")
    if report.ok:
        say(f"{looked_at}: all as written ({report.seconds:.1f} s)")
        return
    show(table(["document", "what is wrong"], [[found.document, found.what] for found in report.findings[:LISTED]]))
    more = f"; --json lists those after the first {LISTED}" if len(report.findings) > LISTED else ""
    raise IntegrityError(f"{len(report.findings)} findings in {looked_at}{more}")
