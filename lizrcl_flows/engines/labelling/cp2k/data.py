"""Basis sets and pseudopotentials: which there are, by content, and where CP2K keeps them.

A level of theory names every basis set and pseudopotential by the SHA-256 of its entry in CP2K's data files, so that a
worker without CP2K knows the level and a worker with other data is found out. ``digests.json`` holds those of the
files of CP2K 2023.1: BASIS_MOLOPT (VandeVondele and Hutter, J. Chem. Phys. 127, 114105 (2007)) and the PBE part of
GTH_POTENTIALS (Krack, Theor. Chem. Acc. 114, 145 (2005)).
"""

import json
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from lizrcl_flows.errors import EngineError, InputError

BASIS_FILE = "BASIS_MOLOPT"
POTENTIAL_FILE = "GTH_POTENTIALS"

_DIGESTS = Path(__file__).with_name("digests.json")
_HEADING = re.compile(r"^\s*([A-Z][a-z]?)\s+([A-Za-z].*\S)\s*$")


@dataclass(frozen=True)
class Entry:
    """One basis set or pseudopotential of a data file.

    Attributes
    ----------
    element
        Symbol.
    names
        Its name and the further names that the file gives it.
    text
        Its lines as they stand in the file, without comments.
    """

    element: str
    names: tuple[str, ...]
    text: str

    @property
    def sha256(self) -> str:
        """Digest of element, first name and numbers; space does not count."""
        lines = [" ".join(line.split()) for line in self.text.splitlines()]
        content = "\n".join([f"{self.element} {self.names[0]}", *lines[1:]])
        return sha256(content.encode()).hexdigest()

    @property
    def n_electrons(self) -> int:
        """Valence electrons of a pseudopotential: the sum of its occupations."""
        return sum(int(word) for word in self.text.splitlines()[1].split())


@dataclass(frozen=True)
class Installation:
    """What a CP2K program says of itself.

    Attributes
    ----------
    argv
        The program, with what it is started by.
    version
        Such as 2023.1.
    data
        Folder of its basis sets and pseudopotentials.
    """

    argv: tuple[str, ...]
    version: str
    data: Path


def canonical_name(file: str, element: str, name: str) -> tuple[str, str]:
    """Return the first name of an entry and its digest.

    Parameters
    ----------
    file
        `BASIS_FILE` or `POTENTIAL_FILE`.
    element
        Symbol.
    name
        Any of the names of the entry.

    Raises
    ------
    InputError
        If there is no such entry.
    """
    known = _digests()[file].get(element, {})
    for first, entry in known.items():
        if name in (first, *entry["aliases"]):
            return first, entry["sha256"]
    what = "basis set" if file == BASIS_FILE else "pseudopotential"
    accepted = ", ".join(known) or f"none: CP2K's {file} has no {what} for this element"
    raise InputError(f"cp2k: there is no {what} '{name}' for {element}, accepted: {accepted}")


def read_entries(path: Path) -> list[Entry]:
    """Read all entries of a file of basis sets or pseudopotentials.

    Raises
    ------
    EngineError
        If the file cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise EngineError(f"{path}: CP2K's data cannot be read ({error.strerror}): set CP2K_DATA_DIR") from error
    entries: list[tuple[str, tuple[str, ...], list[str]]] = []
    for line in lines:
        content = line.partition("#")[0]
        heading = _HEADING.match(content)
        if heading:
            entries.append((heading[1], tuple(heading[2].split()), [content]))
        elif entries and content.strip():
            entries[-1][2].append(content)
    return [Entry(element, names, "\n".join(body) + "\n") for element, names, body in entries]


def find_entry(directory: Path, file: str, element: str, name: str) -> Entry:
    """Return an entry of CP2K's data, verified against the digest that the level of theory holds.

    Raises
    ------
    EngineError
        If the data lack the entry, or hold another one under its name.
    """
    first, digest = canonical_name(file, element, name)
    for entry in _entries(directory / file):
        if entry.element == element and first in entry.names:
            if entry.sha256 != digest:
                raise EngineError(
                    f"{directory / file}: {first} of {element} is not that of the level of theory (sha256 "
                    f"{entry.sha256[:12]}, expected {digest[:12]}): use the data of CP2K 2023.1, set CP2K_DATA_DIR"
                )
            return entry
    raise EngineError(f"{directory / file}: it has no {first} for {element}: set CP2K_DATA_DIR to CP2K's data")


@cache
def find_installation(argv: tuple[str, ...]) -> Installation:
    """Ask a CP2K program for its version and its data.

    Parameters
    ----------
    argv
        Program and what starts it, as `processes.find_program` returns it.

    Raises
    ------
    EngineError
        If it does not answer as CP2K does.
    """
    command = " ".join(argv)
    try:
        answer = subprocess.run(
            [*argv, "--version"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=120,
            check=False,
            stdin=subprocess.DEVNULL,
        ).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EngineError(f"'{command} --version' failed ({type(error).__name__}): it should be CP2K") from error
    version = re.search(r"CP2K version (\d\S*)", answer)
    if version is None:
        raise EngineError(f"'{command} --version' names no version of CP2K: set ATOMATE2_CP2K_CMD to its program")
    # the options of its compiler, which it prints in lines of fixed length, tell where its data are
    compiled = re.search(r'__DATA_DIR="([^"]+)"', answer.replace("\n   ", ""))
    data = os.environ.get("CP2K_DATA_DIR") or (compiled[1] if compiled else None)
    if data is None or not (Path(data) / POTENTIAL_FILE).is_file():
        place = "it does not say where its data are" if data is None else f"'{data}' has no file {POTENTIAL_FILE}"
        raise EngineError(f"{command}: {place}: set CP2K_DATA_DIR to the folder with CP2K's basis sets")
    return Installation(argv, version[1], Path(data))


def check_keys(given: Mapping[str, Any], accepted: Sequence[str]) -> None:
    """See that all keys are known.

    Raises
    ------
    InputError
        If one is not; names the nearest that is.
    """
    for key in given:
        if key not in accepted:
            near = get_close_matches(key, accepted, n=1)
            hint = f"did you mean '{near[0]}'? " if near else ""
            raise InputError(f"cp2k: there is no parameter '{key}', {hint}accepted: {', '.join(sorted(accepted))}")


@cache
def _entries(path: Path) -> tuple[Entry, ...]:
    return tuple(read_entries(path))


@cache
def _digests() -> dict[str, dict[str, dict[str, dict[str, Any]]]]:
    content: dict[str, dict[str, dict[str, dict[str, Any]]]] = json.loads(_DIGESTS.read_text(encoding="utf-8"))
    return content
