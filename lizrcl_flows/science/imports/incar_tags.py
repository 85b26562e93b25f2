"""Which INCAR tags change the energy of a given structure, and how two ways of writing one value are the same.

From the VASP manual's list of tags (vasp.at/wiki). A tag that stands in neither table is taken to change the energy.
"""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import JsonValue

ALWAYS = ("PREC", "ISPIN", "ISMEAR", "SIGMA", "EDIFF", "LREAL", "LASPH")
"""Tags that every level states, whether they were set or not."""

DEFAULTS: dict[str, JsonValue] = {
    "PREC": "Normal",
    "ISPIN": 1,
    "ISMEAR": 1,
    "SIGMA": 0.2,
    "EDIFF": 1e-4,
    "LREAL": False,
    "LASPH": False,
    "ADDGRID": False,
    "KGAMMA": True,
    "LDAU": False,
    "LHFCALC": False,
    "LUSE_VDW": False,
    "LSORBIT": False,
    "LNONCOLLINEAR": False,
    "LSPIRAL": False,
    "NUPDOWN": -1,
    "I_CONSTRAINED_M": 0,
    "LDIPOL": False,
    "LMONO": False,
    "IDIPOL": 0,
    "EFIELD": 0,
    "PSTRESS": 0,
    "GGA_COMPAT": True,
    "LCORR": True,
    "LSOL": False,
    "LTHOMAS": False,
    "LMODELHF": False,
    "LPEAD": False,
    "LCALCPOL": False,
    "EFIELD_PEAD": [0, 0, 0],
}
"""Tags that change the energy, with VASP's defaults."""

ELSEWHERE = frozenset({"ENCUT", "ENMAX", "GGA", "METAGGA", "IVDW", "KSPACING"})
"""Tags that have a field of their own in a level of theory."""

HYBRID = ("AEXX", "HFSCREEN")
BY_TYPE = ("LDAUL", "LDAUU", "LDAUJ")
"""One value for each atom type: stored by element."""

NEUTRAL = frozenset(
    [
        *("SYSTEM", "NCORE", "NPAR", "KPAR", "NSIM", "LPLANE", "LSCALU", "LSCALAPACK", "LSCAAWARE", "LASYNC", "NBLK"),
        *("LWAVE", "LCHARG", "LVTOT", "LVHAR", "LELF", "LORBIT", "LAECHG", "LDOWNSAMPLE", "LPARD", "NWRITE", "LH5"),
        *("ISTART", "ICHARG", "INIWAV", "MAGMOM", "NELM", "NELMIN", "NELMDL", "ALGO", "IALGO", "LDIAG", "LSUBROT"),
        *("TIME", "NRMM", "EBREAK", "DEPER", "WEIMIN", "NBANDS", "NSTEPS", "MAXMEM", "NUM_WANN", "IWAVPR"),
        *("AMIX", "BMIX", "AMIN", "AMIX_MAG", "BMIX_MAG", "IMIX", "MAXMIX", "MIXPRE", "INIMIX", "WC", "MREMOVE"),
        *("LMAXMIX", "LMAXTAU", "LMIXTAU", "MIXFIRST", "LDAUPRINT"),
        *("NSW", "IBRION", "ISIF", "POTIM", "EDIFFG", "NFREE", "NBLOCK", "KBLOCK", "IOPT", "ICHAIN", "MAXMOVE"),
        *("MDALGO", "SMASS", "TEBEG", "TEEND", "PMASS", "POMASS", "ANDERSEN_PROB", "NPACO", "APACO", "RANDOM_SEED"),
        *("LANGEVIN_GAMMA", "LANGEVIN_GAMMA_L", "NHC_NCHAINS", "NHC_PERIOD", "NHC_NRESPA", "NHC_NS", "CSVR_PERIOD"),
        *("PHON_NSTRUCT", "NEDOS", "EMIN", "EMAX", "RWIGS", "SYMPREC", "ISYM", "LATTICE_CONSTRAINTS", "LOPTICS"),
        *("LEPSILON", "CSHIFT", "LCALCEPS", "LVDW_ONECELL", "LEFG", "LCHIMAG", "ISPEED", "LORBMOM", "KBLOWUP"),
        *("KPOINT_BSE", "ANTIRES", "ICORELEVEL", "LVEL", "OMEGAMAX", "LRPA"),
    ]
)
"""Tags of parallelism, output, start, convergence aids and motion: the converged energy of a structure stays."""

_PRECISIONS = {"a": "Accurate", "n": "Normal", "h": "High", "m": "Medium", "l": "Low", "s": "Single"}
_TRUE, _FALSE = {"T", ".T.", "TRUE", ".TRUE."}, {"F", ".F.", "FALSE", ".FALSE."}


def plain_value(tag: str, value: Any) -> JsonValue:
    """Return the value of a tag in the one form that levels use: `accura` is Accurate, `.TRUE.` is true, `550` is 550.

    Parameters
    ----------
    tag
        In capitals.
    value
        As a program or a person wrote it.
    """
    if isinstance(value, list | tuple):
        return plain_value(tag, value[0]) if len(value) == 1 else [plain_value(tag, item) for item in value]
    if isinstance(value, int | float):
        return _plain_number(value)
    return _plain_text(tag, re.split("[!#]", str(value))[0].strip())


def _plain_text(tag: str, text: str) -> JsonValue:
    if tag == "PREC":
        return _PRECISIONS.get(text[:1].lower(), text)
    if text.upper() in _TRUE | _FALSE:
        return text.upper() in _TRUE
    if tag == "LREAL" and text[:1].upper() in ("A", "O"):
        return "Auto" if text[:1].upper() == "A" else "On"
    try:
        return _plain_number(float(text))
    except ValueError:
        return text.upper()


def _plain_number(value: float) -> JsonValue:
    whole = not isinstance(value, bool) and math.isfinite(value) and float(value).is_integer()
    return int(value) if whole else value


def level_parameters(
    given: Mapping[str, Any], effective: Mapping[str, Any], elements: Iterable[str]
) -> dict[str, JsonValue]:
    """Return the tags that belong to a level of theory, with their values.

    Those of `ALWAYS`, those of `DEFAULTS` that differ from VASP's default, and every other tag that was set and is not
    known to leave the energy alone.

    Parameters
    ----------
    given
        Tags that were set.
    effective
        Values that VASP used, defaults included, as far as they are known.
    elements
        Element of each atom type.
    """
    tags = {tag.strip().upper(): value for tag, value in given.items()}
    used = {tag.strip().upper(): value for tag, value in effective.items()} | tags
    chosen: dict[str, JsonValue] = {}
    for tag in sorted({*DEFAULTS, *tags} - ELSEWHERE - NEUTRAL - {*BY_TYPE, *HYBRID}):
        value = plain_value(tag, used.get(tag, DEFAULTS.get(tag)))
        if tag.startswith("ML_") or (tag in DEFAULTS and tag not in ALWAYS and value == DEFAULTS[tag]):
            continue
        chosen[tag] = value
    if chosen.get("ISMEAR") == -5:  # tetrahedra have no width
        chosen.pop("SIGMA", None)
    if chosen.get("LDAU"):
        kinds = list(elements)
        for tag in BY_TYPE:
            values = tags.get(tag)
            if isinstance(values, list | tuple) and len(values) == len(kinds):
                chosen[tag] = dict(zip(kinds, (plain_value(tag, value) for value in values), strict=True))
            elif values is not None:
                chosen[tag] = plain_value(tag, values)
    if chosen.get("LHFCALC"):
        chosen |= {tag: plain_value(tag, used[tag]) for tag in HYBRID if tag in used}
    return chosen
