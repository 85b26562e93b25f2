"""`lizrcl campaign extend`: change what a campaign's file says, as far as that may change."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from lizrcl_flows.cli.output import emit_json, say, show, table
from lizrcl_flows.cli.session import dry_run_option, find_campaign, json_option, open_archive

if TYPE_CHECKING:
    from lizrcl_flows.flows.extending import Extension


@click.command("extend")
@click.argument("name")
@click.argument("changes", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--generations", type=int, help="So many more: than the limit, or than there are where it has ended.")
@click.option("--labels", type=int, help="So many more than the budget.")
@click.option("--core-hours", type=float, help="So many more than the budget.")
@click.option("--why", default="", help="Reason, kept with the event.")
@dry_run_option
@json_option
def extend(name: str, changes: Sequence[str], why: str, dry_run: bool, as_json: bool, **more: Any) -> None:
    """Change keys of a campaign's file, at any time; a campaign that has ended goes on.

    KEY is a key of the file with dots, VALUE is YAML: budget.labels=500, screening.mode=adaptive,
    'exploration.conditions=[{ensemble: nvt, temperature_k: 300}]'. May change: max_generations, production, the
    sections budget, convergence, exploration, screening, selection and validation, and what of labelling and training
    changes no result. The file itself stays as it was stored; the event says who changed what and when.
    """
    import getpass

    with open_archive(write=not dry_run) as archive:
        from lizrcl_flows.flows.extending import More, extend_campaign

        entry = find_campaign(archive, name)
        extension = extend_campaign(
            archive, entry.id, _parsed(changes), More(**more), who=getpass.getuser(), why=why, dry_run=dry_run
        )
    content = _content(extension, dry_run=dry_run)
    if as_json:
        emit_json(content)
        return
    _print(content)


def _parsed(changes: Sequence[str]) -> dict[str, Any]:
    """Return the changes by key.

    Raises
    ------
    InputError
        If one is not KEY=VALUE, or its value is not YAML.
    """
    import yaml

    from lizrcl_flows.errors import InputError

    parsed = {}
    for change in changes:
        key, equals, text = change.partition("=")
        if not equals or not key:
            raise InputError(f"'{change}' is not KEY=VALUE, such as budget.labels=500")
        try:
            parsed[key.strip()] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise InputError(f"{key}: '{text}' is not a YAML value: {getattr(error, 'problem', error)}") from error
    return parsed


def _content(extension: "Extension", *, dry_run: bool) -> dict[str, Any]:
    step = extension.step
    return {
        "campaign": extension.campaign.name,
        "id": extension.campaign.id,
        "changed": {key: {"before": old, "after": new} for key, (old, new) in extension.changed.items()},
        "changes": dict(extension.campaign.changes),
        "reopened": extension.reopened,
        "state": step.state,
        "turn": step.turn,
        "sentence": step.why,
        "notes": extension.notes,
        "recorded": not dry_run,
    }


def _print(content: dict[str, Any]) -> None:
    rows = [[key, entry["before"], entry["after"]] for key, entry in content["changed"].items()]
    if rows:
        show(table(["key", "before", "after"], rows))
    for note in content["notes"]:
        say(f"note: {note}")
    verb = "would go" if not content["recorded"] else "goes"
    say(f"{content['campaign']}: {content['sentence']}")
    if content["reopened"]:
        say(f"learning {verb} on; `lizrcl campaign start {content['campaign']}` submits what comes next")
