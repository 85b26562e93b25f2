"""Checks of what computes labels; which one a campaign needs stands in its file, so what is missing is a note."""

import os
import re
import shlex
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lizrcl_flows.cli.diagnosis.configuration import atomate2_setting
from lizrcl_flows.cli.diagnosis.findings import Finding, output_of
from lizrcl_flows.cli.diagnosis.programs import find

if TYPE_CHECKING:
    from lizrcl_flows.settings import Settings

FOUNDATION_PACKAGES = {"mace": "mace", "chgnet": "chgnet", "sevennet": "sevenn"}
FOUNDATION_ADVICE = "campaigns with a section `foundation` need one: docs/foundation_models.md"

POTCARS = ("Li_sv", "Zr_sv", "O", "Cl")
"""The variants that the study's level of theory uses."""

POTCAR_FOLDER = "POT_GGA_PAW_PBE_54"
"""pymatgen's folder of the release that labels use unless the campaign says otherwise."""

CP2K_DATA = ("BASIS_MOLOPT", "GTH_POTENTIALS", "dftd3.dat")
CP2K_FOLDERS = ("/usr/share/cp2k", "/usr/share/cp2k/data")
"""Where distributions put CP2K's data."""


def label_packages(settings: "Settings") -> Iterator[Finding]:  # noqa: ARG001  checks have one signature
    """Look for the Python packages behind labels."""
    for subject, name, advice in (
        ("labels: GFN1-xTB", "tblite", "the demo needs it: the extra 'xtb'"),
        ("labels: D3", "dftd3", "levels with `dispersion` on an ASE calculator need it: `pip install dftd3`"),
    ):
        if find_spec(name):
            yield Finding(subject, "ok", f"{name} {_version_of(name)}")
        else:
            yield Finding(subject, "note", f"{name} is not installed", advice)


def _version_of(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "is installed"


def vasp(settings: "Settings") -> Iterator[Finding]:  # noqa: ARG001
    """Look for the commands that atomate2 would start; VASP tells its version only in a run."""
    for setting, usual in (("VASP_CMD", "vasp_std"), ("VASP_GAMMA_CMD", "vasp_gam")):
        command = str(atomate2_setting(setting) or usual)
        missing = _missing(command)
        if missing:
            advice = f"where VASP labels run: load its module, or set {setting} in atomate2.yaml (ATOMATE2_{setting})"
            yield Finding(f"labels: {setting}", "note", f"`{command}`: {missing} is not on the PATH", advice)
        else:
            yield Finding(f"labels: {setting}", "ok", f"`{command}` ({find(_program(command))})")


def _program(command: str) -> str:
    """Return the program at the end of a command: ``srun -n 4 vasp_std``."""
    return (shlex.split(command) or [""])[-1]


def _missing(command: str) -> str:
    """Return which of launcher and program is not on the PATH."""
    words = shlex.split(command) or [""]
    return next((word for word in (words[0], words[-1]) if find(word) is None), "")


def potcars(settings: "Settings") -> Iterator[Finding]:  # noqa: ARG001
    """Look for VASP's potentials where pymatgen will: PMG_VASP_PSP_DIR, one folder for each functional."""
    named = _pymatgen_setting("PMG_VASP_PSP_DIR")
    advice = (
        f"put VASP's potentials into <folder>/{POTCAR_FOLDER}/{POTCARS[0]}/POTCAR and set PMG_VASP_PSP_DIR=<folder>"
    )
    if named is None:
        yield Finding("labels: POTCARs", "note", "PMG_VASP_PSP_DIR is not set", f"for VASP labels: {advice}")
        return
    root = Path(str(named)).expanduser()
    if not root.is_dir():
        yield Finding("labels: POTCARs", "problem", f"PMG_VASP_PSP_DIR names {root}, which is not a folder", advice)
        return
    folders = sorted(path.name for path in root.iterdir() if path.is_dir() and path.name.upper().startswith("POT"))
    if not folders:
        yield Finding("labels: POTCARs", "problem", f"{root} has no folder such as {POTCAR_FOLDER}", advice)
        return
    lacking = {name: [symbol for symbol in POTCARS if not _has_potcar(root / name, symbol)] for name in folders}
    whole = [name for name in folders if not lacking[name]]
    if whole:
        others = f"; also there: {', '.join(set(folders) - set(whole))}" if len(whole) < len(folders) else ""
        yield Finding("labels: POTCARs", "ok", f"{root}: {', '.join(whole)} with {', '.join(POTCARS)}{others}")
    else:
        best = min(folders, key=lambda name: len(lacking[name]))
        found = f"{root / best} lacks {', '.join(lacking[best])}"
        yield Finding("labels: POTCARs", "note", found, "campaigns with these elements need them")


def _has_potcar(folder: Path, symbol: str) -> bool:
    stems = (folder / f"POTCAR.{symbol}", folder / symbol / "POTCAR")
    return any(stem.with_name(stem.name + ending).is_file() for stem in stems for ending in ("", ".gz"))


def _pymatgen_setting(name: str) -> Any:
    """Return a setting of pymatgen from the environment or its file, without importing it."""
    import yaml

    if name in os.environ:
        return os.environ[name]
    for path in (Path.home() / ".config" / ".pmgrc.yaml", Path.home() / ".pmgrc.yaml"):
        if path.is_file():
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
            return content.get(name) if isinstance(content, dict) else None
    return None


def cp2k(settings: "Settings") -> Iterator[Finding]:  # noqa: ARG001
    """Look for CP2K, its version and its data."""
    command = str(atomate2_setting("CP2K_CMD") or "cp2k.psmp")
    missing = _missing(command)
    if missing:
        advice = "where CP2K labels run: `apt-get install cp2k`, or set CP2K_CMD in atomate2.yaml (ATOMATE2_CP2K_CMD)"
        yield Finding("labels: CP2K", "note", f"`{command}`: {missing} is not on the PATH", advice)
        return
    program = str(find(_program(command)))
    told = re.search(r"CP2K version (\S+)", output_of([program, "--version"]))
    if told is None:
        advice = f"`{program} --version` says why; set CP2K_CMD in atomate2.yaml (ATOMATE2_CP2K_CMD)"
        yield Finding("labels: CP2K", "problem", f"{program} does not run here", advice)
        return
    yield Finding("labels: CP2K", "ok", f"{program} ({told[1]})")
    yield from _cp2k_data()


def _cp2k_data() -> Iterator[Finding]:
    if "CP2K_DATA_DIR" in os.environ:
        found = "CP2K_DATA_DIR is set: pymatgen and cp2k understand different things by it"
        yield Finding("labels: CP2K data", "problem", found, "`unset CP2K_DATA_DIR`")
        return
    own = _pymatgen_setting("PMG_CP2K_DATA_DIR")
    if own and not Path(str(own)).expanduser().is_dir():
        found = f"PMG_CP2K_DATA_DIR names {own}, which is not a folder"
        yield Finding("labels: CP2K data", "problem", found, "`unset PMG_CP2K_DATA_DIR`")
        return
    folder = next((path for path in CP2K_FOLDERS if all((Path(path) / name).is_file() for name in CP2K_DATA)), None)
    if folder:
        yield Finding("labels: CP2K data", "ok", folder)
    else:
        found = f"{', '.join(CP2K_DATA)} are in none of {', '.join(CP2K_FOLDERS)}"
        yield Finding("labels: CP2K data", "note", found, "Debian: `apt-get install cp2k-data`")


def foundation(settings: "Settings") -> Iterator[Finding]:
    """Look for the potentials that relax and sample before there is a committee; only some campaigns need one."""
    packages = [name for name, module in FOUNDATION_PACKAGES.items() if find_spec(module)]
    folder = settings.resolved_models_dir()
    files = sorted(path.name for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []
    installed = f"installed: {', '.join(packages) or 'none of ' + ', '.join(FOUNDATION_PACKAGES)}"
    found = f"{installed}; files in {folder}: {', '.join(files) or 'none'}"
    ready = bool(packages or files)
    yield Finding("foundation models", "ok" if ready else "note", found, "" if ready else FOUNDATION_ADVICE)
