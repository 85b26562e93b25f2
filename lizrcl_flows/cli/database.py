"""`lizrcl db start|stop|status|init|check`: the database, embedded or given."""

import shlex
from typing import TYPE_CHECKING, Any

import click

from lizrcl_flows.cli.lazy import SuggestingGroup
from lizrcl_flows.cli.output import emit_json, pairs, say, show, table
from lizrcl_flows.cli.session import dry_run_option, json_option, open_archive
from lizrcl_flows.errors import BackendError, IntegrityError

if TYPE_CHECKING:
    from lizrcl_flows.archive import Archive
    from lizrcl_flows.settings import Settings


@click.group(cls=SuggestingGroup)
def db() -> None:
    """Start, stop and look after the database.

    The embedded one needs nothing installed and lives under LIZRCL_DATA_DIR; where LIZRCL_DB_URI names another, that
    one is used.
    """


@db.command("start")
@dry_run_option
@json_option
def start(dry_run: bool, as_json: bool) -> None:
    """Start the embedded database, unless it runs, and write the workers' configuration.

    Prints the variables that workers need as lines for a shell: eval "$(lizrcl db start)" sets them.
    """
    from lizrcl_flows.archive import Archive, server
    from lizrcl_flows.archive.mongod import find_mongod
    from lizrcl_flows.archive.worker_config import write_worker_config
    from lizrcl_flows.settings import load_settings

    settings = load_settings()
    given = _given_uri(settings)
    if dry_run:
        what = "the database that LIZRCL_DB_URI names would be used" if given else f"{find_mongod(settings)} would run"
        say(f"{what}; workers' configuration would be written to {settings.data_dir / 'config'}")
        return
    uri = given or server.start(settings)
    with Archive.connect(uri, settings=settings) as archive:
        archive.init()
        _prepare_queue(archive)
        variables = write_worker_config(settings.data_dir / "config", archive.uri, archive.database_name)
        place = archive.location
    if as_json:
        emit_json({"uri": uri, "database": settings.db_name, "environment": variables})
        return
    for name, value in {**variables, "LIZRCL_DATA_DIR": str(settings.data_dir.resolve())}.items():
        click.echo(f"export {name}={shlex.quote(value)}")
    say(f"{place} is ready" + ("" if given else "; `lizrcl db stop` ends it"))


def _prepare_queue(archive: "Archive") -> None:
    """Make FireWorks' counter and indexes where they are missing, so that `lpad add` works at once."""
    from lizrcl_flows.jobs.submitters import FireWorksSubmitter

    with FireWorksSubmitter(archive.uri, archive.database_name) as submitter:
        submitter.prepare()


def _given_uri(settings: "Settings") -> str | None:
    """Return the URI of a database that is not the embedded one, or None."""
    from lizrcl_flows.archive.connection import embedded_uri

    if settings.db_uri is None:
        return None
    try:
        return None if settings.db_uri == embedded_uri(settings) else settings.db_uri
    except BackendError:
        return settings.db_uri


@db.command("stop")
@dry_run_option
def stop(dry_run: bool) -> None:
    """Stop the embedded database; the data stay."""
    from lizrcl_flows.archive import server
    from lizrcl_flows.settings import load_settings

    settings = load_settings()
    if dry_run:
        running = server.status(settings)["running"]
        say(f"the embedded database {'would be stopped' if running else 'does not run'}")
        return
    say("stopped; the data stay" if server.stop(settings) else "no embedded database runs")


@db.command("status")
@json_option
def status(as_json: bool) -> None:
    """Tell which database is used and whether it answers."""
    content = database_status()
    if as_json:
        emit_json(content)
    else:
        show(pairs({key: value for key, value in content.items() if value is not None}))


def database_status() -> dict[str, Any]:
    """Return URI (without credentials), database name and whether it answers; of the embedded one more."""
    from lizrcl_flows.archive import Archive, server
    from lizrcl_flows.archive.connection import without_credentials
    from lizrcl_flows.settings import load_settings

    settings = load_settings()
    given = _given_uri(settings)
    if given is None:
        return {"kind": "embedded", **server.status(settings)}
    content = {"kind": "given", "uri": without_credentials(given), "database": settings.db_name}
    try:
        with Archive.connect(given, settings=settings, read_only=True):
            return {**content, "running": True}
    except BackendError as error:
        return {**content, "running": False, "reason": str(error)}


@db.command("init")
@dry_run_option
def init(dry_run: bool) -> None:
    """Create collections, validators, indexes and FireWorks' queue where they are missing; any number of times."""
    with open_archive(write=not dry_run) as archive:
        if dry_run:
            say(f"{archive.location}: collections, validators and indexes would be created where they are missing")
            return
        archive.init()
        _prepare_queue(archive)
        say(f"{archive.location} is ready")


@db.command("check")
@click.option("--repair", is_flag=True, help="Put right what a crash left; only while no worker writes.")
@json_option
@click.pass_context
def check(ctx: click.Context, repair: bool, as_json: bool) -> None:
    """Look whether indexes, validators and lineage are complete; exit code 4 if something is not in order."""
    from lizrcl_flows.archive.check import check as run_check

    with open_archive(write=repair) as archive:
        report = run_check(archive, repair=repair)
    if as_json:
        emit_json(report.as_dict())
        ctx.exit(0 if report.ok else IntegrityError.exit_code)
    if report.problems:
        rows = [[problem.subject, problem.what, problem.repaired] for problem in report.problems]
        show(table(["where", "what", "repaired"], rows))
    if not report.ok:
        n_left = sum(not problem.repaired for problem in report.problems)
        raise IntegrityError(f"{n_left} problems; `lizrcl db check --repair` puts right what can be put right")
    say("the database is in order")
