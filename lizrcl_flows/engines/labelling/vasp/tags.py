"""INCAR tags: what a level of theory sets, which tags belong to it, and whether two values mean the same.

A tag is either part of the level, and then the calculation must have run with exactly its value, or it is not, and may
differ from machine to machine and be changed by custodian: what a converged result does not depend on.
"""

import json
import math
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Any

from lizrcl_flows.errors import InputError

DEFAULT_TAGS: Mapping[str, Any] = {
    # stated by the study: PBE, D3(BJ), 550 eV, 0.3 1/A (VASP's KSPACING, 2 pi included), 1e-6 eV, one ionic step
    "ENCUT": 550.0,
    "KSPACING": 0.3,
    "EDIFF": 1e-6,
    "NSW": 0,
    # our choices
    "KGAMMA": True,
    "ISMEAR": 0,
    "SIGMA": 0.05,
    "ISPIN": 1,
    "PREC": "Accurate",
    "LREAL": False,
    "LASPH": True,
    "LMAXMIX": 4,  # for the d electrons of Zr; written here, as pymatgen adds it only where it finds such an element
    "ALGO": "Normal",
    "NELM": 200,
    "NELMIN": 5,
    "LWAVE": False,
    "LCHARG": False,
}

FUNCTIONALS: Mapping[str, Mapping[str, Any]] = {
    "PBE": {"GGA": "Pe"},
    "PBEsol": {"GGA": "Ps"},
    "RPBE": {"GGA": "Rp"},
    "revPBE": {"GGA": "Re"},
    "AM05": {"GGA": "Am"},
    "SCAN": {"METAGGA": "Scan"},
    "r2SCAN": {"METAGGA": "R2scan"},
    "HSE06": {"GGA": "Pe", "LHFCALC": True, "HFSCREEN": 0.2},
}

DISPERSIONS: Mapping[str, int] = {"D3-BJ": 12, "D3-zero": 11}
"""IVDW of the dispersion corrections."""

_DAMPING_TAGS = {"D3-BJ": ("VDW_S8", "VDW_A1", "VDW_A2"), "D3-zero": ("VDW_S8", "VDW_SR")}
_D3_BUILT_IN = ("PBE", "PBEsol", "RPBE", "revPBE")
"""Functionals whose damping parameters VASP knows itself (VASP wiki, DFT-D3)."""

# fmt: off
MACHINE_TAGS = frozenset((
    "SYSTEM", "NCORE", "NPAR", "KPAR", "NSIM", "LPLANE", "LSCALU", "LSCALAPACK", "LASYNC", "KBLOCK", "NBLOCK",
    "MAXMEM", "LH5", "NWRITE", "LWAVE", "LCHARG", "LVTOT", "LVHAR", "LELF", "LAECHG", "LORBIT", "NEDOS",
    "EMIN", "EMAX",
))
# fmt: on
"""How the work is divided and what is written: no energy depends on it."""

# fmt: off
CONVERGENCE_TAGS = frozenset((
    "ALGO", "AMIX", "BMIX", "AMIX_MAG", "BMIX_MAG", "AMIN", "IMIX", "INIMIX", "MAXMIX", "MIXPRE", "WC",
    "NELM", "NELMIN", "NELMDL", "ISTART", "ICHARG", "INIWAV", "TIME", "ISEARCH", "POTIM", "NBANDS", "DEPER",
    "EBREAK", "WEIMIN",
))
# fmt: on
"""How self-consistency is reached, which the converged result does not depend on (NBANDS: more empty bands)."""

_PRINTED = 6e-9
"""Numbers in vasprun.xml are rounded to 1e-8."""

_ALGORITHMS = ("Normal", "Fast", "VeryFast", "All", "Damped", "Conjugate", "Exact")

_REFUSED: Mapping[str, str] = {
    **dict.fromkeys(("NSW", "IBRION", "ISIF", "EDIFFG", "PSTRESS"), "a label is one single point, with its stress"),
    **dict.fromkeys(("GGA", "METAGGA", "LHFCALC"), "the functional is chosen by `functional`"),
    **dict.fromkeys(
        ("MAGMOM", "LDAUL", "LDAUU", "LDAUJ", "LDAUTYPE", "LDAU", "NELECT", "NUPDOWN", "FERWE", "FERDO", "IALGO"),
        "a level sets the same tags for every structure",
    ),
    "ML_LMLFF": "a label is computed, not predicted",
}


def tags_of_level(functional: str, dispersion: str | None, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return all INCAR tags of a level: the defaults, the functional, the dispersion and what the user sets.

    Parameters
    ----------
    functional
        One of `FUNCTIONALS`.
    dispersion
        One of `DISPERSIONS`, or none.
    parameters
        INCAR tags by name, in either case of letters; null leaves a default of ours to VASP.

    Raises
    ------
    InputError
        If the functional or a tag is unknown, a value is not of the tag's type, or a tag is not the user's to set.
    """
    if functional not in FUNCTIONALS:
        raise InputError(
            f"functional '{functional}' is not one that the vasp engine knows, accepted: {', '.join(FUNCTIONALS)}"
        )
    if dispersion is not None and dispersion not in DISPERSIONS:
        raise InputError(f"dispersion '{dispersion}' is not known, accepted: {', '.join(DISPERSIONS)}, or none")
    given = {name.upper(): _checked(name.upper(), value) for name, value in parameters.items()}
    if dispersion is None and given.get("IVDW") in DISPERSIONS.values():
        name = next(name for name, number in DISPERSIONS.items() if number == given["IVDW"])
        raise InputError(f"INCAR tag IVDW = {given['IVDW']}: write it as `dispersion: {name}`")
    if dispersion is not None and "IVDW" in given:
        raise InputError(f"INCAR tag IVDW = {given['IVDW']}: the dispersion is already chosen as {dispersion}")
    if dispersion is not None and functional not in _D3_BUILT_IN:
        missing = [tag for tag in _DAMPING_TAGS[dispersion] if given.get(tag) is None]
        if missing:
            raise InputError(
                f"dispersion {dispersion}: VASP has no damping parameters for {functional}, set {', '.join(missing)}"
            )
    tags = {**DEFAULT_TAGS, **FUNCTIONALS[functional], **({"IVDW": DISPERSIONS[dispersion]} if dispersion else {})}
    tags |= given
    return {name: value for name, value in sorted(tags.items()) if value is not None}


def physical(tags: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tags that are part of the level."""
    return {name: value for name, value in tags.items() if name not in MACHINE_TAGS | CONVERGENCE_TAGS}


def machine_tags(updates: Mapping[str, Any]) -> dict[str, Any]:
    """Return the INCAR updates of this machine (atomate2's ``VASP_INCAR_UPDATES``), none of them physical.

    Raises
    ------
    InputError
        If one of them would change the level.
    """
    checked = {name.upper(): _checked(name.upper(), value) for name, value in updates.items()}
    for name, value in checked.items():
        if name not in MACHINE_TAGS:
            raise InputError(
                f"atomate2's setting VASP_INCAR_UPDATES has {name} = {value}, which would change every label unseen: "
                "accepted there are tags of the parallelisation, such as NCORE and KPAR"
            )
    return checked


def deviation(wanted: Mapping[str, Any], found: Mapping[str, Any], *, complete: bool) -> str:
    """Return the first physical tag that differs, as ``ISMEAR = -5, not 0``, or nothing.

    Parameters
    ----------
    wanted
        Physical tags of the level.
    found
        Tags of an INCAR file, or of vasprun.xml, which has not all of them and prints eight decimals.
    complete
        `found` is an INCAR: it must have every wanted tag and no other physical one. Otherwise only what is in both is
        compared.
    """
    for name, value in wanted.items():
        if not complete and isinstance(value, str) and isinstance(found.get(name), bool):
            continue  # LREAL = Auto is printed as T
        if name in found and not same_value(value, found[name], 0.0 if complete else _PRINTED):
            return f"{name} = {found[name]}, not {value}"
        if complete and name not in found:
            return f"no {name}, not {value}"
    extra = sorted(set(physical(found)) - set(wanted)) if complete else []
    return f"{extra[0]} = {found[extra[0]]}, not VASP's default" if extra else ""


def same_value(first: Any, second: Any, tolerance: float = 0.0) -> bool:
    """Tell whether two values of a tag mean the same to VASP, which reads words by their beginning.

    Parameters
    ----------
    first, second
        Numbers, words, logical values (also as Fortran writes them) or lists of them.
    tolerance
        Difference of two numbers that is none, beside that of their sixth digit.
    """
    first, second = _logical(first), _logical(second)
    if isinstance(first, bool) or isinstance(second, bool):
        return first is second
    if isinstance(first, int | float) and isinstance(second, int | float):
        return math.isclose(first, second, rel_tol=1e-6, abs_tol=tolerance)
    if isinstance(first, str) and isinstance(second, str):
        one, other = first.strip().casefold(), second.strip().casefold()
        return bool(one) and bool(other) and (one.startswith(other) or other.startswith(one))
    if isinstance(first, list | tuple) and isinstance(second, list | tuple):
        return len(first) == len(second) and all(
            same_value(one, other, tolerance) for one, other in zip(first, second, strict=True)
        )
    return False


def _logical(value: Any) -> Any:
    word = value.strip(" .").casefold() if isinstance(value, str) else ""
    return {"t": True, "true": True, "f": False, "false": False}.get(word, value)


def _checked(name: str, value: Any) -> Any:
    known = _known_tags()
    if name in _REFUSED:
        raise InputError(f"INCAR tag {name} cannot be set: {_REFUSED[name]}")
    if name not in known:
        near = get_close_matches(name, known, 1)
        advice = f", did you mean {near[0]}?" if near else ""
        raise InputError(f"INCAR tag {name} is not one that VASP knows{advice}")
    if value is None:
        if name in ("ENCUT", "KSPACING", "EDIFF"):
            raise InputError(f"INCAR tag {name} cannot be left to VASP: it would depend on the structure or be coarse")
        return None
    if name == "ALGO" and not any(word.casefold() == str(value).casefold() for word in _ALGORITHMS):
        raise InputError(f"INCAR tag ALGO = {value} is no way to a total energy, accepted: {', '.join(_ALGORITHMS)}")
    return _typed(name, value, known[name])


def _typed(name: str, value: Any, kind: str | None) -> Any:
    """Return a value in the type of its tag, so that 550 and 550.0 are one level."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind == "float" and number:
        return float(value)
    if kind == "int" and number and float(value).is_integer():
        return int(value)
    if kind in ("float", "int", "bool") and not (kind == "bool" and isinstance(value, bool)):
        word = {"float": "a number", "int": "a whole number", "bool": "true or false"}[kind]
        raise InputError(f"INCAR tag {name} = {value!r} should be {word}")
    if kind == "str" and not isinstance(value, str):
        raise InputError(f"INCAR tag {name} = {value!r} should be a word")
    return value


@cache
def _known_tags() -> dict[str, str | None]:
    """Return the tags that pymatgen's INCAR check knows, with the type of each where it is told."""
    text = (files("pymatgen.io") / "vasp" / "incar_parameters.json").read_text(encoding="utf-8")
    return {name: (entry or {}).get("type") for name, entry in json.loads(text).items()}
