"""`lizrcl campaign new|list|start|run|advance|pause|resume`; the other commands have files of their own."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lizrcl_flows.cli.extending import extend
from lizrcl_flows.cli.initial import initial
from lizrcl_flows.cli.lazy import SuggestingGroup
from lizrcl_flows.cli.local_runs import local_run, shown, workdir_option
from lizrcl_flows.cli.output import emit_json, say, show, table
from lizrcl_flows.cli.planning import plan
from lizrcl_flows.cli.promotion import promote, rollback
from lizrcl_flows.cli.session import dry_run_option, find_campaign, json_option, open_archive
from lizrcl_flows.cli.status import campaign_status, print_status, status
from lizrcl_flows.flows.progress import ENDED, closed_generations

if TYPE_CHECKING:
    from lizrcl_flows.archive import Archive
    from lizrcl_flows.documents import Campaign
    from lizrcl_flows.jobs.turns import AdvanceReport


@click.group(cls=SuggestingGroup)
def campaign() -> None:
    """Make campaigns, run them, see how they stand. NAME is a campaign's name or (the beginning of) its id."""


campaign.add_command(initial)
campaign.add_command(plan)
campaign.add_command(status)
campaign.add_command(extend)
campaign.add_command(promote)
campaign.add_command(rollback)


@campaign.command("new")
@click.argument("file", type=click.Path(path_type=Path))
@dry_run_option
def new(file: Path, dry_run: bool) -> None:
    """Check a campaign file and store the campaign; prints its id. The same file twice is one campaign."""
    from lizrcl_flows.systems import load_campaign

    spec = load_campaign(file)
    from lizrcl_flows.flows.campaign import CampaignMaker

    CampaignMaker.from_spec(spec)  # every engine checks what it is told before anything is stored
    with open_archive(write=not dry_run) as archive:
        from lizrcl_flows.flows.campaigns import new_campaign

        made = new_campaign(archive, spec, dry_run=dry_run)
    click.echo(made.id)
    todo = "would be stored" if dry_run else f"stored; `lizrcl campaign start {made.name}` submits it"
    say(f"campaign '{made.name}' with phases {', '.join(made.phases)}: {todo}")


@campaign.command("list")
@json_option
def list_campaigns(as_json: bool) -> None:
    """List all campaigns."""
    from lizrcl_flows.documents import Campaign

    with open_archive() as archive:
        found = list(archive.find(Campaign, {}, sort=[("created_at", 1)]))
        rows = [_row(archive, entry) for entry in found]
    if as_json:
        emit_json(rows)
    elif rows:
        show(table(["name", "id", "system", "state", "generations", "labels"], [list(row.values()) for row in rows]))
    else:
        say("there is no campaign yet; `lizrcl campaign new FILE` makes one")


def _row(archive: "Archive", entry: "Campaign") -> dict[str, Any]:
    return {
        "name": entry.name,
        "id": entry.id,
        "system": entry.spec.system,
        "state": entry.state,
        "generations": len(closed_generations(archive, entry)),
        "labels_spent": entry.labels_spent,
    }


@campaign.command("start")
@click.argument("name")
@dry_run_option
@json_option
def start(name: str, dry_run: bool, as_json: bool) -> None:
    """Submit what comes next to the LaunchPad; workers (`rlaunch rapidfire`) do the rest. Twice is once."""
    _submit_next(name, dry_run=dry_run, as_json=as_json)


@campaign.command("advance")
@click.argument("name")
@dry_run_option
@json_option
def advance(name: str, dry_run: bool, as_json: bool) -> None:
    """Take the next step of a campaign from outside, if it has not been taken; safe at any time and twice."""
    _submit_next(name, dry_run=dry_run, as_json=as_json)


def _submit_next(name: str, *, dry_run: bool, as_json: bool) -> None:
    with open_archive(write=not dry_run) as archive:
        entry = find_campaign(archive, name)
        if dry_run:
            from lizrcl_flows.jobs.turns import next_step

            step = next_step(archive, entry)
            content = {"turn": step.turn, "submitted": False, "state": step.state, "sentence": step.why}
        else:
            from lizrcl_flows.flows.campaigns import start_campaign

            report = start_campaign(archive, entry.id)
            content = {"turn": report.turn, "submitted": report.submitted, "state": report.state}
            content["sentence"] = report.sentence
    if as_json:
        emit_json(content)
        return
    click.echo(content["state"])
    say(f"{entry.name}: {content['sentence']}")


@campaign.command("run")
@click.argument("name")
@workdir_option
@dry_run_option
def run(name: str, workdir: Path | None, dry_run: bool) -> None:
    """Run a campaign on this machine without FireWorks, turn after turn, until it has ended; again resumes."""
    if dry_run:
        _submit_next(name, dry_run=True, as_json=False)
        return
    with open_archive(write=True) as archive:
        from lizrcl_flows.flows.campaigns import run_campaign

        entry = find_campaign(archive, name)
        store, directory = local_run(archive, entry, workdir)
        with shown(archive, entry.id):
            ended = run_campaign(archive, entry.id, store, directory, on_turn=_say_turn)
        content = campaign_status(archive, ended)
    print_status(content)


def _say_turn(report: "AdvanceReport") -> None:
    turn = f"generation {report.turn}" if isinstance(report.turn, int) else report.turn
    say(f"{turn or 'end'}: {report.sentence}")


@campaign.command("pause")
@click.argument("name")
@click.option("--why", default="", help="Reason, kept with the event.")
@dry_run_option
def pause(name: str, why: str, dry_run: bool) -> None:
    """Submit nothing more; the running generation is finished."""
    _set_paused(name, paused=True, why=why, dry_run=dry_run)


@campaign.command("resume")
@click.argument("name")
@click.option("--why", default="", help="Reason, kept with the event.")
@dry_run_option
def resume(name: str, why: str, dry_run: bool) -> None:
    """Go on after a pause."""
    _set_paused(name, paused=False, why=why, dry_run=dry_run)


def _set_paused(name: str, *, paused: bool, why: str, dry_run: bool) -> None:
    import getpass

    from lizrcl_flows.errors import InputError

    with open_archive(write=not dry_run) as archive:
        entry = find_campaign(archive, name)
        if paused == (entry.state == "paused") or (paused and entry.state in ENDED):
            raise InputError(
                f"campaign '{entry.name}' is {entry.state}; it cannot be {'paused' if paused else 'resumed'}"
            )
        if not dry_run:
            from lizrcl_flows.flows.campaigns import set_paused

            set_paused(archive, entry.id, paused=paused, who=getpass.getuser(), why=why)
    click.echo("paused" if paused else "running")
    if not paused:
        say(f"`lizrcl campaign start {entry.name}` submits what comes next")
