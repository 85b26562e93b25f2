"""`lizrcl label quarantine ID --why TEXT`: later data sets leave the label out, and what rests on it is printed."""

from typing import TYPE_CHECKING, Any

import click

from lizrcl_flows.cli.output import emit_json, number, say, show, table
from lizrcl_flows.cli.session import dry_run_option, json_option, open_archive
from lizrcl_flows.errors import InputError
from lizrcl_flows.science.wording import plural

if TYPE_CHECKING:
    from lizrcl_flows.jobs.quarantine import BlastRadius, Plan


@click.command()
@click.argument("label_id", metavar="ID")
@click.option("--why", default="", help="Reason, kept with the event; needed unless nothing is changed.")
@click.option("--release", is_flag=True, help="End the quarantine: data sets made from now on may hold it again.")
@click.option("--plan", "planned", is_flag=True, help="Show the smallest retraining as well, with core hours.")
@dry_run_option
@json_option
def quarantine(*, label_id: str, why: str, release: bool, planned: bool, dry_run: bool, as_json: bool) -> None:
    """Put a label in quarantine and print what rests on it.

    The label stays in the archive, with the reason in its history; data sets that are made from now on leave it out,
    and so do later comparisons with the hold-out. ID may be the beginning of an id.
    """
    import getpass

    if not dry_run and not why.strip():
        raise InputError("--why: a reason is needed, such as --why 'not converged: another SCF solution'")
    with open_archive(write=not dry_run) as archive:
        from lizrcl_flows.documents import Label
        from lizrcl_flows.jobs.quarantine import blast_radius, checked_status, retraining_plan, set_quarantine

        label = archive.get(Label, label_id)
        status: str = checked_status(label, release=release)
        radius = blast_radius(archive, label)
        plan = retraining_plan(archive, radius) if planned else None
        if not dry_run:
            status = set_quarantine(archive, label, why=why, who=getpass.getuser(), release=release)
    if as_json:
        content = {**radius.as_dict(), "status": status, "why": why, "dry_run": dry_run}
        emit_json(content | ({"plan": plan.as_dict()} if plan else {}))
        return
    say(f"{label.id} {'would be' if dry_run else 'is'} {status}{f': {why}' if why else ''}")
    _show_radius(radius)
    if plan:
        _show_plan(plan)


def _show_radius(radius: "BlastRadius") -> None:
    if not radius.counts:
        click.echo(f"nothing rests on {radius.label}")
        return
    told = ", ".join(f"{count} {name if count == 1 else plural(name)}" for name, count in radius.counts.items())
    click.echo(f"on {radius.label} rest {told}")
    if radius.spared:
        click.echo(f"{len(radius.spared)} models of these data sets never saw it: it was not in their bag")
    generations = radius.documents.get("gen", ())
    if generations:
        click.echo("")
        show(table(["generation", "campaign", "gen", "state"], [_row(r, "campaign index state") for r in generations]))
    transports = radius.documents.get("tsp", ())
    if transports:
        click.echo("")
        header = ["transport", "ion", "phase", "T (K)", "protocol", "status", "D (A^2/ps)", "+-"]
        fields = "species phase temperature_k protocol status diffusivity diffusivity_std"
        show(table(header, [_row(record, fields) for record in transports]))


def _row(record: dict[str, Any], fields: str) -> list[Any]:
    return [record["_id"], *(record.get(name) for name in fields.split())]


def _show_plan(plan: "Plan") -> None:
    rows = [
        ["data sets without it", len(plan.datasets), None, ", ".join(plan.datasets)],
        ["models to train", len(plan.models), plan.training_core_hours, ", ".join(plan.models)],
        ["production runs", len(plan.trajectories), plan.production_core_hours, ", ".join(plan.trajectories)],
        ["transports to compute", len(plan.transports), None, ", ".join(plan.transports)],
        ["analyses to compute", len(plan.analyses), None, ", ".join(plan.analyses)],
    ]
    click.echo("")
    show(table(["smallest retraining", "number", "core h", "in place of"], [row for row in rows if row[1]]))
    click.echo(f"as computed before, this took {number(plan.core_hours, 3)} core hours")
    if plan.kept:
        kept = ", ".join(f"{count} of {name}" for name, count in plan.kept.items())
        click.echo(f"models that nothing published rests on may stay: {kept}")
