"""`lizrcl campaign promote|rollback`: which generation's committee is in force, where people decide it."""

import click

from lizrcl_flows.cli.output import say
from lizrcl_flows.cli.session import dry_run_option, find_campaign, open_archive

_WHY = "Reason, kept with the event."


@click.command()
@click.argument("name")
@click.argument("generation", type=click.IntRange(min=0))
@click.option("--why", required=True, help=_WHY)
@dry_run_option
def promote(name: str, generation: int, why: str, dry_run: bool) -> None:
    """Put the committee of a generation in force that failed a gate or was rolled back; prints the committee.

    GENERATION is its index. A newer generation in force has to be rolled back first.
    """
    import getpass

    with open_archive(write=not dry_run) as archive:
        from lizrcl_flows.flows.promotion import promote as put_in_force

        entry = find_campaign(archive, name)
        decision = put_in_force(archive, entry, generation, who=getpass.getuser(), why=why, dry_run=dry_run)
    click.echo(decision.committee)
    say(f"would be done: {decision.sentence}" if dry_run else decision.sentence)


@click.command()
@click.argument("name")
@click.argument("generation", type=click.IntRange(min=0), required=False)
@click.option("--why", required=True, help=_WHY)
@dry_run_option
def rollback(name: str, generation: int | None, why: str, dry_run: bool) -> None:
    """Take GENERATION (default: the newest in force) and all later ones out of force; prints the committee before.

    Nothing is deleted: labels stay in the data set, and the next training begins from all of them.
    """
    import getpass

    with open_archive(write=not dry_run) as archive:
        from lizrcl_flows.flows.promotion import roll_back

        entry = find_campaign(archive, name)
        decision = roll_back(archive, entry, generation, who=getpass.getuser(), why=why, dry_run=dry_run)
    click.echo(decision.committee)
    say(f"would be done: {decision.sentence}" if dry_run else decision.sentence)
