"""Every command in the documentation, and in the advice of `lizrcl doctor`, is one that the programs accept."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from lizrcl_flows.cli.main import cli

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "fw_configs").glob("*.md")],
    key=lambda path: path.name,
)
DIAGNOSIS = sorted((ROOT / "lizrcl_flows" / "cli" / "diagnosis").glob("*.py"))

FIREWORKS = ("lpad", "rlaunch", "qlaunch")
OURS = ("lizrcl", *FIREWORKS)
PREFIXES = ("nohup", "srun", "time", "exec", "eval")
"""Commands that run the command after their own options."""

OTHERS = {
    *(
        "apt",
        "apt-get",
        "cd",
        "chmod",
        "cmake",
        "curl",
        "date",
        "docker",
        "echo",
        "export",
        "git",
        "hash",
        "icet",
        "kill",
        "printf",
        "lizrcl-gpumd",
    ),
    *("lizrcl-nep", "make", "mkdir", "module", "mongosh", "mv", "pip", "pmg", "python", "read", "scancel", "source"),
    *("sbatch", "squeue", "unset", "cp", "tar", "ls", "cat", "cp2k.psmp", "nep", "gpumd", "dot", "openssl"),
}

PARSE = """
import argparse, contextlib, io, json, sys
from fireworks.scripts.lpad_run import lpad
from fireworks.scripts.qlaunch_run import qlaunch
from fireworks.scripts.rlaunch_run import rlaunch

class Parsed(Exception):
    pass

whole = argparse.ArgumentParser.parse_args

def parse_only(self, *given, **named):
    whole(self, *given, **named)
    raise Parsed

argparse.ArgumentParser.parse_args = parse_only
programs = {"lpad": lpad, "rlaunch": rlaunch, "qlaunch": qlaunch}
refused = {}
for words in json.load(sys.stdin):
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            programs[words[0]](words[1:])
    except Parsed:
        pass
    except SystemExit:
        refused[" ".join(words)] = said.getvalue()
print(json.dumps(refused))
"""


def shell_lines(text: str) -> list[str]:
    """Commands of the shell blocks of a page, continued lines joined."""
    lines: list[str] = []
    for block in re.findall(r"^[ ]*```(?:sh|bash|console)\n(.*?)^[ ]*```", text, flags=re.DOTALL | re.MULTILINE):
        lines += block.replace("\\\n", " ").splitlines()
    return [line for line in lines if line.strip()]


def inline_commands(text: str) -> list[str]:
    """Commands in running text, between single backticks, that begin with one of our programs and have arguments."""
    prose = re.sub(r"^[ ]*```.*?^[ ]*```", "", text, flags=re.DOTALL | re.MULTILINE)
    found = [" ".join(span.split()) for span in re.findall(r"(?<!`)`([^`]+)`(?!`)", prose)]
    return [
        span
        for span in found
        if span.split()[0] in OURS and len(span.split()) > 1 and not re.search(r"\.\.\.|\w\|\w", span)
    ]


def simple_commands(line: str) -> list[list[str]]:
    """The commands of a shell line as words, those in $(...) among them."""
    inner = re.findall(r'"?\$\(([^()]*)\)"?', line)
    line = re.sub(r"\$\([^()]*\)", "word", line)
    lexer = shlex.shlex(line, posix=True, punctuation_chars="();<>|&")
    lexer.whitespace_split = True
    commands: list[list[str]] = [[]]
    for word in lexer:
        if set(word) <= set("();|&"):
            commands.append([])
        else:
            commands[-1].append(word)
    return [bare for words in commands if (bare := without_prefix(words))] + [
        command for text in inner for command in simple_commands(text)
    ]


def without_prefix(words: list[str]) -> list[str]:
    """Drop assignments, redirections and commands that run another one."""
    while words and re.match(r"^\w+=", words[0]):
        words = words[1:]
    if any(set(word) <= set("<>") for word in words):
        words = words[: next(i for i, word in enumerate(words) if set(word) <= set("<>"))]
    if words and words[0] in PREFIXES:
        start = next((i for i, word in enumerate(words) if word in OURS), None)
        return words[start:] if start is not None else []
    return words


def _is_given(value: object) -> bool:
    return isinstance(value, str) or (isinstance(value, tuple) and all(isinstance(word, str) for word in value))


def refused_by_lizrcl(words: list[str]) -> str:
    """Why our own command line would not take a command; nothing where it would."""
    command: click.Command = cli
    ctx = click.Context(cli, info_name="lizrcl")
    arguments = words[1:]
    try:
        while isinstance(command, click.Group):
            parser = command.make_parser(ctx)
            parser.allow_interspersed_args = False
            _, arguments, _ = parser.parse_args(arguments)
            if not arguments:
                return ""
            name, found, arguments = command.resolve_command(ctx, arguments)
            assert found is not None
            command, ctx = found, click.Context(found, info_name=name, parent=ctx)
        options, rest, _ = command.make_parser(ctx).parse_args(list(arguments))
    except click.UsageError as error:
        return error.format_message()
    missing = [
        parameter.name
        for parameter in command.params
        if isinstance(parameter, click.Argument) and parameter.required and not _is_given(options.get(parameter.name))
    ]
    if "help" in options:
        return ""
    return f"too many arguments: {rest}" if rest else f"misses {missing}" if missing else ""


def refused_by_fireworks(commands: list[list[str]]) -> dict[str, str]:
    """Which commands FireWorks' own parsers would not take, and why; in one process, which is slow to start."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("FW_", "PYTHONDONT"))}
    ran = subprocess.run(
        [sys.executable, "-c", PARSE],
        env=environment,
        input=json.dumps([words for words in commands if words[0] in FIREWORKS]),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    refused: dict[str, str] = json.loads(ran.stdout.splitlines()[-1])
    return refused


def refusals(commands: list[list[str]], theirs: dict[str, str], *, mentions: bool = False) -> list[str]:
    """Sentences about the commands that are not accepted; running text may leave out what a command is about."""
    whole = [
        f"{' '.join(words)}: {why}" for words in commands if words[0] == "lizrcl" if (why := refused_by_lizrcl(words))
    ]
    whole += [f"{text}: {theirs[text]}" for words in commands if (text := " ".join(words)) in theirs]
    if mentions:
        return [why for why in whole if "arguments are required" not in why and ": misses" not in why]
    return whole


def of_blocks(page: Path) -> list[list[str]]:
    return [command for line in shell_lines(page.read_text(encoding="utf-8")) for command in simple_commands(line)]


def of_prose(page: Path) -> list[list[str]]:
    return [shlex.split(span) for span in inline_commands(page.read_text(encoding="utf-8"))]


def of_doctor() -> list[list[str]]:
    """Commands in the advice of doctor, with 1 for what is filled in."""
    spans = []
    for path in DIAGNOSIS:
        text = re.sub(r'"""(.*?)"""', "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        spans += [re.sub(r"\{[^{}]*\}", "1", span) for span in re.findall(r"`([^`\n]+)`", text)]
    return [shlex.split(span) for span in spans if span.split()[0] in OURS and len(span.split()) > 1]


WRONG = ("lizrcl campaign strat x", "lizrcl doctor --jsn", "lizrcl campaign status", "lpad rerun_fw -i 1", "lpad add")


@pytest.fixture(scope="module")
def theirs() -> dict[str, str]:
    commands = [command for page in PAGES for command in (*of_blocks(page), *of_prose(page))]
    return refused_by_fireworks([*commands, *of_doctor(), *(shlex.split(wrong) for wrong in WRONG)])


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_commands_of_a_page_exist(page: Path, theirs: dict[str, str]) -> None:
    unknown = {words[0] for words in of_blocks(page)} - {*OURS, *OTHERS}
    assert not unknown, f"{page.name}: unknown programs {unknown}"
    refused = refusals(of_blocks(page), theirs) + refusals(of_prose(page), theirs, mentions=True)
    assert not refused, "\n".join(refused)


def test_the_remedies_of_doctor_exist(theirs: dict[str, str]) -> None:
    commands = of_doctor()
    begin = {" ".join(words[:2]) for words in commands}
    assert {"lpad detect_lostruns", "lpad admin", "lpad rerun_fws", "lizrcl config", "lizrcl db"} <= begin
    refused = refusals(commands, theirs, mentions=True)
    assert not refused, "\n".join(refused)


def test_what_the_cluster_guide_names_is_there() -> None:
    text = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")
    for name in re.findall(r"\b((?:fw_configs|launchpad|docs)/[\w./-]+\.\w+)", text):
        assert (ROOT / name).is_file(), name
    made = set(re.findall(r"\bmy_\w+\.yaml|environment\.sh", text))
    assert made <= {path.name for path in (ROOT / "fw_configs").iterdir()}
    targets = re.findall(r"^make (\w+)", "\n".join(shell_lines(text)), flags=re.MULTILINE)
    assert targets
    assert all(re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE) for target in targets)


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_command_would_be_noticed(wrong: str, theirs: dict[str, str]) -> None:
    assert refusals([shlex.split(wrong)], theirs)


def test_a_shell_line_is_taken_apart() -> None:
    line = (
        'A="b c" nohup qlaunch -q x rapidfire > log & lpad reset --password "$(date +%F)" && srun lizrcl doctor # why'
    )
    assert simple_commands(line) == [
        ["qlaunch", "-q", "x", "rapidfire"],
        ["lpad", "reset", "--password", "word"],
        ["lizrcl", "doctor"],
        ["date", "+%F"],
    ]
