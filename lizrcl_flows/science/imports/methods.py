"""Levels of theory as files tell them: what belongs to one, where two differ, and which one several files share."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import JsonValue

from lizrcl_flows.documents import Level, Potential
from lizrcl_flows.science.imports.incar_tags import level_parameters, plain_value

ENGINE = "import"
"""Engine of levels whose labels were computed elsewhere."""

MESH = "KPOINTS"
"""Parameter of a level whose k points are a mesh of one cell and no spacing for all cells."""

_SAME = 1e-6
"""Relative difference up to which two numbers are the same."""

_SPACING_SLACK = 1.001

_FUNCTIONALS = {
    "PE": "PBE",
    "PS": "PBEsol",
    "RP": "RPBE",
    "RE": "revPBE",
    "91": "PW91",
    "CA": "LDA",
    "AM": "AM05",
    "OR": "optPBE",
    "BO": "optB88",
    "MK": "optB86b",
    "ML": "vdW-DF2 exchange",
}
_METAGGAS = {"RSCAN": "rSCAN", "R2SCAN": "r2SCAN", "R2SCA": "r2SCAN", "RTPSS": "revTPSS"}
_DISPERSIONS = {
    0: None,
    1: "D2",
    2: "TS",
    3: "ULG",
    4: "dDsC",
    10: "D2",
    11: "D3-zero",
    12: "D3-BJ",
    13: "D4",
    20: "TS",
    21: "TS-HI",
    202: "MBD",
    263: "MBD-FI",
}


@dataclass(frozen=True)
class Method:
    """A level of theory as a file tells it.

    Attributes
    ----------
    k_spacing
        Rule of the k points (1/A, 2 pi included); None where they are a mesh of their own, which stands in
        `parameters`.
    mesh_spacing
        Largest distance of two neighbours of that mesh (1/A, 2 pi included).
    potentials
        Title of the potential of each element.
    """

    code: str
    code_version: str
    functional: str | None = None
    dispersion: str | None = None
    cutoff_ev: float | None = None
    k_spacing: float | None = None
    mesh_spacing: float | None = None
    potentials: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True)
class Difference:
    """What two levels of theory do not agree about."""

    what: str
    first: object
    second: object


def functional_name(tags: Mapping[str, Any], titles: Mapping[str, str]) -> str | None:
    """Return the functional that VASP used.

    Parameters
    ----------
    tags
        GGA, METAGGA, LHFCALC, AEXX, HFSCREEN and LUSE_VDW, as far as they are set.
    titles
        Titles of the potentials, which decide where GGA does not.
    """
    meta, gga = (str(plain_value(tag, tags.get(tag) or "--")).upper() for tag in ("METAGGA", "GGA"))
    if gga == "--":
        families = {title.split()[0].upper() for title in titles.values() if title.split()}
        by_family = {"PAW_PBE": "PE", "PAW_GGA": "91", "PAW": "CA", "PAW_LDA": "CA"}
        gga = by_family.get(families.pop(), "--") if len(families) == 1 else "--"
    name = _FUNCTIONALS.get(gga, None if gga == "--" else f"GGA {gga}")
    if meta not in ("--", "NONE", "FALSE"):
        name = _METAGGAS.get(meta, meta)
    if plain_value("LHFCALC", tags.get("LHFCALC", False)) is True:
        name = _hybrid(name, float(tags.get("AEXX", 0.25)), float(tags.get("HFSCREEN", 0.0)))
    return f"{name} + vdW kernel" if plain_value("LUSE_VDW", tags.get("LUSE_VDW", False)) is True else name


def _hybrid(base: str | None, share: float, screening: float) -> str:
    known = {(0.25, 0.2): "HSE06", (0.25, 0.3): "HSE03", (0.25, 0.0): "PBE0"}
    name = known.get((round(share, 4), round(screening, 1))) if base == "PBE" else None
    return name or f"hybrid of {base}"


def dispersion_name(ivdw: Any) -> str | None:
    """Return the dispersion correction of a value of IVDW; None for none."""
    number = int(float(ivdw or 0))
    return _DISPERSIONS.get(number, f"IVDW {number}")


def method_of(level: Level) -> Method:
    """Return a stored level in the form in which files are compared with it.

    Tags of a VASP level that leave energies alone, or have their default, are left out on both sides.
    """
    parameters: Mapping[str, JsonValue] = level.parameters
    if level.code.lower().startswith("vasp"):
        given = {tag: value for tag, value in parameters.items() if tag != MESH}
        elements = [potential.element for potential in level.potentials]
        parameters = level_parameters(given, {}, elements)
        parameters |= {tag: value for tag, value in given.items() if isinstance(value, dict)}
        if MESH in level.parameters:
            parameters[MESH] = level.parameters[MESH]
    return Method(
        code=level.code,
        code_version=level.code_version,
        functional=level.functional,
        dispersion=level.dispersion,
        cutoff_ev=level.cutoff_ev,
        k_spacing=level.k_spacing,
        potentials={potential.element: potential.title for potential in level.potentials},
        parameters=parameters,
    )


def level_of(method: Method, note: str = "") -> Level:
    """Return the document of a level of theory that was found in files."""
    return Level(
        engine=ENGINE,
        code=method.code,
        code_version=method.code_version,
        functional=method.functional,
        dispersion=method.dispersion,
        cutoff_ev=method.cutoff_ev,
        k_spacing=method.k_spacing,
        potentials=tuple(Potential(element=name, title=title) for name, title in sorted(method.potentials.items())),
        parameters=dict(method.parameters),
        note=note,
    )


def with_k_spacing(method: Method, spacing: float) -> Method:
    """Return the method with its mesh taken as one of a rule, unless it is seen to be coarser than the rule demands.

    Parameters
    ----------
    spacing
        1/A, 2 pi included.
    """
    if method.k_spacing is not None or (method.mesh_spacing or 0.0) > spacing * _SPACING_SLACK:
        return method
    parameters = {tag: value for tag, value in method.parameters.items() if tag not in (MESH, "KGAMMA")}
    return replace(method, k_spacing=spacing, parameters=parameters)


def differences(first: Method, second: Method) -> list[Difference]:
    """Return what two levels of theory do not agree about; what only one element of one of them has is no difference.

    A version agrees with another that begins with it: 6.4 with 6.4.2.
    """
    found = []
    if first.code.lower() != second.code.lower():
        found.append(Difference("code", first.code, second.code))
    if not _versions_agree(first.code_version, second.code_version):
        found.append(Difference("version", first.code_version, second.code_version))
    plain = {"functional": "functional", "dispersion": "dispersion", "cutoff_ev": "ENCUT", "k_spacing": "KSPACING"}
    for name, title in plain.items():
        mine, other = getattr(first, name), getattr(second, name)
        if not _same(mine, other):
            found.append(Difference(title, mine, other))
    for element in sorted({*first.potentials} & {*second.potentials}):
        if not _titles_agree(first.potentials[element], second.potentials[element]):
            title = f"the potential of {element}"
            found.append(Difference(title, first.potentials[element], second.potentials[element]))
    for tag in sorted({*first.parameters, *second.parameters}):
        mine, other = first.parameters.get(tag), second.parameters.get(tag)
        if isinstance(mine, dict) and isinstance(other, dict):
            clash = [element for element in sorted({*mine} & {*other}) if not _same(mine[element], other[element])]
            found += [Difference(f"{tag} of {element}", mine[element], other[element]) for element in clash]
        elif not _same(mine, other) and not _projectors_agree(tag, mine, other):
            found.append(Difference(tag, mine, other))
    return found


def merged(first: Method, second: Method) -> Method:
    """Return the level of theory of two that do not differ: the elements of both."""
    parameters = dict(first.parameters)
    for tag, value in second.parameters.items():
        mine = parameters.get(tag)
        if isinstance(mine, dict) and isinstance(value, dict):
            parameters[tag] = {**value, **mine}
        elif tag not in parameters or mine is True:  # of LREAL, the value that says more
            parameters[tag] = value
    return replace(first, potentials={**second.potentials, **first.potentials}, parameters=parameters)


def _versions_agree(first: str, second: str) -> bool:
    shorter, longer = sorted((first, second), key=len)
    return shorter in (longer, "any") or longer.startswith(f"{shorter}.")


def _titles_agree(first: str, second: str) -> bool:
    """Tell whether two titles may be of one potential; a level without POTCAR files knows only `Zr_sv`."""
    shorter, longer = sorted((first.split(), second.split()), key=len)
    return shorter == longer or (len(shorter) == 1 and shorter == longer[1:2])


def _projectors_agree(tag: str, first: object, second: object) -> bool:
    """Tell whether two values of LREAL may be the same: an OUTCAR says T for On and for Auto."""
    return tag == "LREAL" and True in (first, second) and bool(first) and bool(second)


def _same(first: object, second: object) -> bool:
    if isinstance(first, bool) or isinstance(second, bool):
        return first is second
    if isinstance(first, int | float) and isinstance(second, int | float):
        return abs(first - second) <= _SAME * max(abs(first), abs(second))
    return first == second
