"""POTCAR files: found in the user's library, told apart by their content."""

import gzip
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

from lizrcl_flows.documents.labels import Potential
from lizrcl_flows.errors import InputError

DEFAULT_POTENTIALS: Mapping[str, str] = {"Li": "Li_sv", "Zr": "Zr_sv", "O": "O", "Cl": "Cl"}
"""POTCARs of the elements of ZrO2 and Li2ZrCl6; our choice, the study does not name them."""

RELEASES: Mapping[str, tuple[str, ...]] = {
    "PBE_52": ("POT_GGA_PAW_PBE_52", "POTPAW_PBE_52", "potpaw_PBE.52"),
    "PBE_54": ("POT_GGA_PAW_PBE_54", "POTPAW_PBE_54", "potpaw_PBE.54"),
    "PBE_64": ("POT_PAW_PBE_64", "potpaw_PBE.64"),
}
"""Folders of each release of POTCARs, as pymatgen names them, then as VASP delivers them."""

_SETTING = "PMG_VASP_PSP_DIR"
_HASH_LINES = (b"SHA256", b"COPYR")
"""Lines that newer printings of the same POTCAR have and older ones have not."""


@dataclass(frozen=True)
class Potcar:
    """One POTCAR of the library.

    Attributes
    ----------
    element, symbol
        Such as Zr and Zr_sv.
    title
        Its TITEL; the symbol where there is no library.
    sha256
        Hash of its content without its own hash and copyright lines; none where there is no library.
    path
        Where it lies; none where there is no library.
    """

    element: str
    symbol: str
    title: str
    sha256: str | None = None
    path: Path | None = None

    def document(self) -> Potential:
        """Return it as part of a level of theory."""
        return Potential(element=self.element, title=self.title, sha256=self.sha256)

    def content(self) -> bytes:
        """Return the file, uncompressed; nothing where there is no library."""
        return b"" if self.path is None else _read(self.path)


def check_potentials(potentials: Mapping[str, str], release: str) -> None:
    """Check names of POTCARs without looking for them.

    Raises
    ------
    InputError
        If a POTCAR is not one of its element, or there is no such release.
    """
    if release not in RELEASES:
        raise InputError(f"potcar_functional '{release}' is not known, accepted: {', '.join(RELEASES)}")
    for element, symbol in potentials.items():
        if not re.fullmatch(rf"{re.escape(element)}(_\w+|\.\d+)*", symbol):
            raise InputError(
                f"potentials: '{symbol}' is no POTCAR of {element}, accepted: names such as {element} or {element}_sv"
            )


def find_potcars(potentials: Mapping[str, str], release: str) -> dict[str, Potcar]:
    """Find the POTCARs of a level in the library that pymatgen's setting names.

    Raises
    ------
    InputError
        If there is no library here, or it lacks one of them.
    """
    folder = _release_folder(release)
    return {element: _find(folder, element, symbol) for element, symbol in potentials.items()}


def named_only(potentials: Mapping[str, str]) -> dict[str, Potcar]:
    """Return POTCARs of which only the names are known, for stand-ins of VASP that need none."""
    return {element: Potcar(element, symbol, symbol) for element, symbol in potentials.items()}


def _release_folder(release: str) -> Path:
    layout = f"<{_SETTING}>/{RELEASES[release][0]}/<symbol>/POTCAR"
    place = os.environ.get(_SETTING) or _pymatgen_settings().get(_SETTING)
    if not place:
        raise InputError(
            f"VASP's POTCAR files are not known on this machine: set {_SETTING} (environment, or "
            f"~/.config/.pmgrc.yaml) to the folder that holds them as {layout}"
        )
    root = Path(str(place)).expanduser()
    own = _pymatgen_settings().get("PMG_VASP_PSP_SUB_DIRS", {})
    names = [str(own[release])] if isinstance(own, Mapping) and release in own else list(RELEASES[release])
    for name in names:
        if (root / name).is_dir():
            return root / name
    state = f"has no folder {' or '.join(names)}" if root.is_dir() else "is not a folder"
    raise InputError(f"{_SETTING} is {root}, which {state}: POTCARs of {release} are expected as {layout}")


def _pymatgen_settings() -> Mapping[str, object]:
    from pymatgen.core import SETTINGS

    settings: Mapping[str, object] = SETTINGS
    return settings


def _find(folder: Path, element: str, symbol: str) -> Potcar:
    for name in (f"{symbol}/POTCAR", f"POTCAR.{symbol}"):
        for path in (folder / name, folder / f"{name}.gz"):
            if path.is_file():
                status = path.stat()
                title, digest = _identity(path, status.st_mtime_ns, status.st_size)
                return Potcar(element, symbol, title, digest, path)
    found = {path.name.removeprefix("POTCAR.").removesuffix(".gz") for path in folder.iterdir()}
    known = sorted(name for name in found if re.fullmatch(rf"{re.escape(element)}(_\w+|\.\d+)*", name))
    there = f"there are {', '.join(known)}" if known else f"there is none for {element}"
    raise InputError(f"POTCAR '{symbol}' is not in {folder} ({symbol}/POTCAR or POTCAR.{symbol}, or .gz): {there}")


@cache
def _identity(path: Path, mtime_ns: int, n_bytes: int) -> tuple[str, str]:  # noqa: ARG001 - they tell versions apart
    content = _read(path)
    title = re.search(rb"TITEL\s*=\s*(.+)", content)
    if title is None:
        raise InputError(f"{path} is no POTCAR: it has no TITEL")
    lines = [line.rstrip() for line in content.splitlines() if not line.strip().startswith(_HASH_LINES)]
    return " ".join(title[1].decode("ascii", "replace").split()), sha256(b"\n".join(lines)).hexdigest()


def _read(path: Path) -> bytes:
    content = path.read_bytes()
    return gzip.decompress(content) if path.suffix == ".gz" else content
