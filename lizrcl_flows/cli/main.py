"""The entry point `lizrcl`: the table of commands, and how a failure becomes one sentence and an exit code."""

import sys
from collections.abc import Sequence

import click

from lizrcl_flows.cli.lazy import LazyCommand, LazyGroup
from lizrcl_flows.errors import BackendError, LizrclError

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells give it."""

_START, _WORK, _DOCUMENTS, _EVIDENCE = "Start here", "Campaigns", "Documents", "Evidence"
_HERE = "lizrcl_flows.cli"


def _noun(name: str, summary: str) -> LazyCommand:
    return LazyCommand(f"{_HERE}.nouns:{name}", f"find, show, export: {summary}", _DOCUMENTS)


COMMANDS = {
    "demo": LazyCommand(f"{_HERE}.demo.command:demo", "a whole campaign on this machine, start to report", _START),
    "doctor": LazyCommand(
        f"{_HERE}.diagnosis:doctor", "what is configured, what works, what to do about the rest", _START
    ),
    "db": LazyCommand(f"{_HERE}.database:db", "start, stop, status, init, check the database", _START),
    "config": LazyCommand(f"{_HERE}.configuration:config", "write the configuration files of a cluster", _START),
    "system": LazyCommand(f"{_HERE}.systems:system", "material systems: list, show, check a file", _WORK),
    "campaign": LazyCommand(f"{_HERE}.campaigns:campaign", "new, start, run, advance, status, ... of campaigns", _WORK),
    "interface": LazyCommand(f"{_HERE}.interfaces:interface", "search matching planes, build interface cells", _WORK),
    "generation": LazyCommand(f"{_HERE}.generations:generation", "list, show and compare the turns of the loop", _WORK),
    "launchpad": LazyCommand(f"{_HERE}.launchpad:launchpad", "write the workflow files for `lpad add`", _WORK),
    "structure": _noun("structure", "atoms and cells"),
    "candidate": _noun("candidate", "explored frames that the committee doubts"),
    "label": _noun("label", "energies, forces and stresses at a level of theory"),
    "level": _noun("level", "levels of theory"),
    "dataset": _noun("dataset", "sets of labels"),
    "model": _noun("model", "committee members"),
    "committee": _noun("committee", "models that are asked together"),
    "evaluation": _noun("evaluation", "committees against labels"),
    "trajectory": _noun("trajectory", "molecular-dynamics runs"),
    "transport": _noun("transport", "diffusion coefficients"),
    "analysis": _noun("analysis", "what trajectories show besides transport"),
    "analyse": LazyCommand(f"{_HERE}.analyse:analyse", "diffusion, hops and structure in a trajectory", _EVIDENCE),
    "lineage": LazyCommand(f"{_HERE}.lineage:lineage", "from what a document was made, and into what", _EVIDENCE),
    "audit": LazyCommand(f"{_HERE}.audit:audit", "recompute every digest, follow every edge", _EVIDENCE),
    "replay": LazyCommand(f"{_HERE}.replay:replay", "a generation's inputs again, from the database alone", _EVIDENCE),
    "report": LazyCommand(
        f"{_HERE}.reports:report", "figures and tables of a campaign or a run as one page", _EVIDENCE
    ),
    "dashboard": LazyCommand(
        "lizrcl_flows.dashboard.command:dashboard", "the archive in a browser, read-only", _EVIDENCE
    ),
}


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Data go to stdout, narration to stderr. Exit codes: 0 ok, 1 failure, 2 bad input, 3 not found, "
    "4 integrity check failed, 5 database unreachable.",
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.option("--verbose", "-v", is_flag=True, help="Show the log on stderr.")
@click.version_option(package_name="lizrcl_flows", message="%(version)s")
def cli(debug: bool, verbose: bool) -> None:
    """Database-backed active learning of NEP force fields.

    `lizrcl demo` runs a whole campaign on this machine and ends with a number and the way back from it to every label.
    """
    if verbose or debug:
        import logging

        logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code; an error is one sentence on stderr."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = cli.main(given, prog_name="lizrcl", standalone_mode=False)
    except BrokenPipeError:
        _close_pipe()
        sys.exit(0)
    except (Exception, KeyboardInterrupt) as error:
        if "--debug" in given[:2]:
            raise
        sentence, code = describe(error)
        click.echo(f"lizrcl: {sentence}", err=True)
    sys.exit(code if isinstance(code, int) else 0)


def describe(error: BaseException) -> tuple[str, int]:
    """Return the sentence and the exit code of an error.

    Parameters
    ----------
    error
        What ended the command. Of an error that nobody foresaw the sentence says how to see more.
    """
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        return "interrupted", INTERRUPTED
    if isinstance(error, click.ClickException):
        return f"error: {_usage_sentence(error)}", error.exit_code
    if isinstance(error, LizrclError):
        return f"error: {_one_line(error)}", error.exit_code
    if type(error).__module__.partition(".")[0] == "pymongo":
        return f"error: the database failed: {_one_line(error)[:200]}", BackendError.exit_code
    if isinstance(error, OSError) and error.filename is not None:
        return f"error: {error.filename}: {error.strerror}", LizrclError.exit_code
    reason = f"{type(error).__name__}: {_one_line(error)[:300]}"
    return f"error: unexpected {reason} (`lizrcl --debug ...` shows where)", LizrclError.exit_code


def _usage_sentence(error: click.ClickException) -> str:
    message = " ".join(error.format_message().split())
    if isinstance(error, click.UsageError) and error.ctx is not None:
        return f"{message.rstrip('.')} (see `{error.ctx.command_path} --help`)"
    return message


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


def _close_pipe() -> None:
    """Keep Python from complaining when whoever read our output has gone (`lizrcl ... | head`)."""
    import os

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
