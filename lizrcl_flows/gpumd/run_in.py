"""Reading and writing ``run.in``.

A line is ``keyword value value ...``; what follows a ``#`` is a comment. Lines are carried out in order. Anything that
is not understood is an error which names the line and what would be accepted; nothing is ignored.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lizrcl_flows.errors import InputError
from lizrcl_flows.gpumd.commands import (
    DUMP_PROPERTIES,
    NETCDF_PROPERTIES,
    Active,
    Command,
    ComputeMsd,
    CorrectVelocity,
    DumpFrames,
    DumpNetcdf,
    DumpRestart,
    DumpThermo,
    Fix,
    NptScr,
    Nve,
    NvtBdp,
    Potential,
    Replicate,
    Run,
    TimeStep,
    Velocity,
)
from lizrcl_flows.gpumd.extended_xyz import open_text
from lizrcl_flows.gpumd.model_xyz import replace_file
from lizrcl_flows.gpumd.release import Release


@dataclass(frozen=True)
class RunIn:
    """The commands of a ``run.in``.

    Attributes
    ----------
    commands
        In the order of the file.
    lines
        Line of each command in the file it was read from; empty for one made in Python.
    source
        Name of that file.
    """

    commands: tuple[Command, ...]
    lines: tuple[int, ...] = ()
    source: str = "run.in"

    def where(self, index: int) -> str:
        """File and line of a command, for messages."""
        return f"{self.source}, line {self.lines[index]}" if self.lines else f"{self.source}, command {index + 1}"


_ENSEMBLES = f"{Nve.SYNTAX}; {NvtBdp.SYNTAX}; {NptScr.SYNTAX}"


class _Arguments:
    """The values of one line, taken one after the other; a value that does not fit raises."""

    def __init__(self, where: str, keyword: str, values: Sequence[str]) -> None:
        self._where = where
        self._keyword = keyword
        self._values = list(values)

    def __len__(self) -> int:
        return len(self._values)

    def fail(self, problem: str, syntax: str) -> InputError:
        """Make the error of this line."""
        return InputError(f"{self._where}: {self._keyword}: {problem}; accepted: {syntax}.")

    def peek(self) -> str | None:
        """Next value, left where it is."""
        return self._values[0] if self._values else None

    def word(self, syntax: str) -> str:
        if not self._values:
            raise self.fail("a value is missing", syntax)
        return self._values.pop(0)

    def number(self, syntax: str, minimum: float = float("-inf"), above: bool = False) -> float:
        """Take a finite number, at least (or `above`: greater than) `minimum`."""
        text = self.word(syntax)
        try:
            value = float(text)
        except ValueError:
            raise self.fail(f"'{text}' is not a number", syntax) from None
        if not minimum <= value < float("inf") or (above and value == minimum):
            raise self.fail(f"{text} should be {'greater than' if above else 'at least'} {minimum:g}", syntax)
        return value

    def integer(self, syntax: str, minimum: int = 1) -> int:
        text = self.word(syntax)
        try:
            value = int(text)
        except ValueError:
            raise self.fail(f"'{text}' is not a whole number", syntax) from None
        if value < minimum:
            raise self.fail(f"{value} should be at least {minimum}", syntax)
        return value

    def flag(self, syntax: str) -> bool:
        text = self.word(syntax)
        if text not in {"0", "1"}:
            raise self.fail(f"'{text}' should be 0 or 1", syntax)
        return text == "1"

    def end(self, syntax: str) -> None:
        if self._values:
            raise self.fail(f"'{' '.join(self._values)}' is too much", syntax)


def _potential(arguments: _Arguments) -> Command:
    return Potential(arguments.word(Potential.SYNTAX))


def _velocity(arguments: _Arguments) -> Command:
    syntax = Velocity.SYNTAX
    temperature = arguments.number(syntax, 0.0)
    seed = None
    if arguments.peek() == "seed":
        arguments.word(syntax)
        seed = arguments.integer(syntax, 0)
    return Velocity(temperature, seed)


def _time_step(arguments: _Arguments) -> Command:
    syntax = TimeStep.SYNTAX
    step = arguments.number(syntax, 0.0, above=True)
    return TimeStep(step, arguments.number(syntax, 0.0, above=True) if len(arguments) else None)


def _ensemble(arguments: _Arguments) -> Command:
    syntax = _ENSEMBLES
    name = arguments.word(syntax)
    if name == "nve":
        return Nve()
    if name == "nvt_bdp":
        start, end = (arguments.number(syntax, 0.0, above=True) for _ in range(2))
        return NvtBdp(start, end, arguments.number(NvtBdp.SYNTAX, 1.0))
    if name == "npt_scr":
        return _npt_scr(arguments)
    raise arguments.fail(f"there is no ensemble '{name}' here", syntax)


def _npt_scr(arguments: _Arguments) -> Command:
    syntax = NptScr.SYNTAX
    count = {6: 1, 10: 3, 16: 6}.get(len(arguments))
    if count is None:
        raise arguments.fail(f"{len(arguments)} numbers where 6, 10 or 16 are expected", syntax)
    start, end = (arguments.number(syntax, 0.0, above=True) for _ in range(2))
    tau_t = arguments.number(syntax, 1.0)
    pressure = tuple(arguments.number(syntax) for _ in range(count))
    elastic = tuple(arguments.number(syntax, 0.0, above=True) for _ in range(count))
    return NptScr(start, end, tau_t, pressure, elastic, arguments.number(syntax, 1.0))


def _correct_velocity(arguments: _Arguments) -> Command:
    syntax = CorrectVelocity.SYNTAX
    interval = arguments.integer(syntax, 10)
    return CorrectVelocity(interval, arguments.integer(syntax, 0) if len(arguments) else None)


def _dump_exyz(arguments: _Arguments) -> Command:
    syntax = DumpFrames.SYNTAX
    interval = arguments.integer(syntax)
    flags = [arguments.flag(syntax) if len(arguments) else False for _ in range(4)]
    names = ("velocity", "force", "potential")
    chosen = tuple(name for name, flag in zip(names, flags[:3], strict=True) if flag)
    return DumpFrames(interval, "dump.xyz", chosen, separated=flags[3])


def _dump_xyz(arguments: _Arguments) -> Command:
    """Both argument orders; in the one up to v5.6 the second value is a whole number, in the other a file name."""
    syntax = DumpFrames.SYNTAX
    first = arguments.integer(syntax, -1)
    group, precision = None, "single"
    method_first = (arguments.peek() or "").lstrip("-").isdigit()
    if method_first:
        label = arguments.integer(syntax, -1)
        group = None if first < 0 else (first, label)
        interval, file = arguments.integer(syntax), arguments.word(syntax)
    else:
        if first < 1:
            raise arguments.fail(f"{first} should be at least 1", syntax)
        interval, file = first, arguments.word(syntax)
    properties: list[str] = []
    while len(arguments):
        word = arguments.word(syntax)
        if method_first and word in {"group", "group_labels"}:
            if word == "group_labels":
                raise arguments.fail("'group_labels' is called 'group' where METHOD stands first", syntax)
            properties.append("group_labels")
        elif word == "group":
            group = (arguments.integer(syntax, 0), arguments.integer(syntax, 0))
        elif word == "precision":
            precision = _precision(arguments, syntax)
        elif word in DUMP_PROPERTIES:
            properties.append(word)
        else:
            raise arguments.fail(f"there is no property '{word}'", syntax)
    return DumpFrames(interval, file, tuple(properties), group, precision)  # type: ignore[arg-type]


def _precision(arguments: _Arguments, syntax: str) -> Literal["single", "double"]:
    word = arguments.word(syntax)
    if word == "single":
        return "single"
    if word == "double":
        return "double"
    raise arguments.fail(f"precision '{word}' should be single or double", syntax)


def _dump_netcdf(arguments: _Arguments) -> Command:
    """Both argument orders; in the one up to v5.6 a flag stands where the other has the file."""
    syntax = DumpNetcdf.SYNTAX
    interval = arguments.integer(syntax)
    if arguments.peek() in {None, "0", "1"}:
        velocity = arguments.flag(syntax) if len(arguments) else False
        precision: Literal["single", "double"] = "single"
        if len(arguments):
            if arguments.word(syntax) != "precision":
                raise arguments.fail("'precision' may follow the flag for velocities", syntax)
            precision = _precision(arguments, syntax)
        return DumpNetcdf(interval, properties=("velocity",) if velocity else (), precision=precision)
    file, group, precision = arguments.word(syntax), None, "single"
    properties: list[str] = []
    while len(arguments):
        word = arguments.word(syntax)
        if word == "group":
            group = (arguments.integer(syntax, 0), arguments.integer(syntax, 0))
        elif word == "precision":
            precision = _precision(arguments, syntax)
        elif word in NETCDF_PROPERTIES:
            properties.append(word)
        else:
            raise arguments.fail(f"'{word}' is not known to lizrcl-gpumd", syntax)
    return DumpNetcdf(interval, file, tuple(properties), group, precision)


def _active(arguments: _Arguments) -> Command:
    syntax = Active.SYNTAX
    if len(arguments) != 5:
        raise arguments.fail(f"{len(arguments)} values where 5 are expected", syntax)
    interval = arguments.integer(syntax)
    flags = [arguments.flag(syntax) for _ in range(3)]
    return Active(interval, flags[0], flags[1], flags[2], arguments.number(syntax, 0.0))


def _compute_msd(arguments: _Arguments) -> Command:
    syntax = ComputeMsd.SYNTAX
    interval, points = arguments.integer(syntax), arguments.integer(syntax, 2)
    group, all_groups, save_every = None, None, None
    while len(arguments):
        word = arguments.word(syntax)
        if word == "group":
            group = (arguments.integer(syntax, 0), arguments.integer(syntax, 0))
        elif word == "all_groups":
            all_groups = arguments.integer(syntax, 0)
        elif word == "save_every":
            save_every = arguments.integer(syntax)
        else:
            raise arguments.fail(f"'{word}' is not known", syntax)
    if group is not None and all_groups is not None:
        raise arguments.fail("group and all_groups exclude each other", syntax)
    return ComputeMsd(interval, points, group, all_groups, save_every)


def _replicate(arguments: _Arguments) -> Command:
    first, second, third = (arguments.integer(Replicate.SYNTAX) for _ in range(3))
    return Replicate((first, second, third))


_PARSERS: dict[str, tuple[Callable[[_Arguments], Command], str]] = {
    "potential": (_potential, Potential.SYNTAX),
    "replicate": (_replicate, Replicate.SYNTAX),
    "velocity": (_velocity, Velocity.SYNTAX),
    "time_step": (_time_step, TimeStep.SYNTAX),
    "ensemble": (_ensemble, _ENSEMBLES),
    "correct_velocity": (_correct_velocity, CorrectVelocity.SYNTAX),
    "fix": (lambda arguments: Fix(arguments.integer(Fix.SYNTAX, 0)), Fix.SYNTAX),
    "dump_thermo": (lambda arguments: DumpThermo(arguments.integer(DumpThermo.SYNTAX)), DumpThermo.SYNTAX),
    "dump_restart": (lambda arguments: DumpRestart(arguments.integer(DumpRestart.SYNTAX)), DumpRestart.SYNTAX),
    "dump_exyz": (_dump_exyz, DumpFrames.SYNTAX),
    "dump_xyz": (_dump_xyz, DumpFrames.SYNTAX),
    "dump_netcdf": (_dump_netcdf, DumpNetcdf.SYNTAX),
    "active": (_active, Active.SYNTAX),
    "compute_msd": (_compute_msd, ComputeMsd.SYNTAX),
    "run": (lambda arguments: Run(arguments.integer(Run.SYNTAX)), Run.SYNTAX),
}

KEYWORDS = tuple(_PARSERS)
"""Keywords that are understood."""


def parse_run_in(text: str, source: str = "run.in") -> RunIn:
    """Understand the text of a ``run.in``.

    Parameters
    ----------
    text
        The text.
    source
        Name of the file, for messages.

    Raises
    ------
    InputError
        A keyword or value is not understood; the message names the line and what is accepted.
    """
    commands: list[Command] = []
    lines: list[int] = []
    for line, words in _words(text):
        where = f"{source}, line {line}"
        keyword, values = words[0], words[1:]
        if keyword not in _PARSERS:
            raise InputError(f"{where}: there is no keyword '{keyword}' here; accepted: {', '.join(KEYWORDS)}.")
        parse, syntax = _PARSERS[keyword]
        arguments = _Arguments(where, keyword, values)
        commands.append(parse(arguments))
        arguments.end(syntax)
        lines.append(line)
    return RunIn(tuple(commands), tuple(lines), source)


def _words(text: str) -> Iterator[tuple[int, list[str]]]:
    for line, content in enumerate(text.splitlines(), start=1):
        words = content.split("#", 1)[0].split()
        if words:
            yield line, words


def read_run_in(path: str | Path) -> RunIn:
    """Read a ``run.in``.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    InputError
        The file is missing, or a line is not understood; the message names it and what is accepted.
    """
    path = Path(path)
    with open_text(path) as handle:
        return parse_run_in(handle.read(), path.name)


def render_run_in(run_in: RunIn, release: Release) -> str:
    """Text of a ``run.in`` for a release of GPUMD.

    Parameters
    ----------
    run_in
        The commands.
    release
        The release that will read it.

    Raises
    ------
    InputError
        The release has no keyword for one of the commands.
    """
    return "".join(f"{command.line(release)}\n" for command in run_in.commands)


def write_run_in(path: str | Path, run_in: RunIn, release: Release) -> None:
    """Write a ``run.in`` for a release of GPUMD; the file appears whole or not at all.

    Parameters
    ----------
    path
        Where.
    run_in
        The commands.
    release
        The release that will read it.

    Raises
    ------
    InputError
        The release has no keyword for one of the commands.
    """
    replace_file(Path(path), render_run_in(run_in, release))
