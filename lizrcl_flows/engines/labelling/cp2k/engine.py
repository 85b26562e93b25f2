"""Labels from CP2K: the engine that a campaign file names."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lizrcl_flows.documents import Level, Structure
from lizrcl_flows.documents.labels import Potential
from lizrcl_flows.documents.spec import LevelSpec
from lizrcl_flows.engines.labelling.base import LabelResult
from lizrcl_flows.engines.labelling.cp2k.data import (
    BASIS_FILE,
    POTENTIAL_FILE,
    Installation,
    canonical_name,
    check_keys,
    find_entry,
    find_installation,
)
from lizrcl_flows.engines.labelling.cp2k.deck import DISPERSIONS, Deck
from lizrcl_flows.engines.labelling.cp2k.output import RYDBERG_EV
from lizrcl_flows.engines.labelling.cp2k.work import SETTING, Work, fits_version
from lizrcl_flows.engines.labelling.objections import NET_FORCE_TOLERANCE, OVERLAP_FACTOR, refusal, require_potentials
from lizrcl_flows.engines.labelling.record import read_label, write_label
from lizrcl_flows.engines.processes import find_program, sole_use
from lizrcl_flows.engines.serial import Engine
from lizrcl_flows.errors import EngineError, InputError

DEFAULTS: Mapping[str, Any] = {
    "basis": "DZVP-MOLOPT-SR-GTH",
    "cutoff_ry": 400.0,
    "rel_cutoff_ry": 50.0,
    "finer_xc_grid": True,
    "eps_scf": 1e-6,
    "eps_default": 1e-10,
    "eps_pgf_orb": 1e-8,
    "dispersion_cutoff_a": 16.0,
    "spin_polarized": "odd",
}
"""Parameters of a level: names of the basis set, cutoffs, thresholds; spins apart where electrons are odd or always."""

DEFAULT_POTENTIALS: Mapping[str, str] = {
    "Li": "GTH-PBE-q3",
    "O": "GTH-PBE-q6",
    "Cl": "GTH-PBE-q7",
    "Zr": "GTH-PBE-q12",
}

_ANY = "any"


@dataclass
class Cp2kLabeller(Engine):
    """Energy, forces and stress from CP2K, with atomate2's input set: PBE at the Gamma point.

    For cells of about 10 A and more; smaller ones lack k points and cost as much.

    Parameters
    ----------
    functional
        PBE, the functional of the pseudopotentials.
    dispersion
        ``D3-BJ``, ``D3-zero`` or none.
    potentials
        Pseudopotential of every element that may be labelled; those of Li, O, Cl and Zr where none is named.
    parameters
        Any of `DEFAULTS`. ``basis`` is one name for all elements or a mapping from element to name.
    version
        Version of CP2K, or how it begins (``2023``); any where none is named.
    command
        How CP2K is started; atomate2's setting CP2K_CMD of the worker where none is given.
    note
        What the level is good for.
    max_attempts
        How often CP2K is started for one label.
    threads
        OpenMP threads of each process.
    time_limit_s
        Seconds that one start may take; no limit where none.
    overlap_factor
        Atoms closer than this share of the sum of their covalent radii are refused before anything is computed.
    net_force_tolerance
        Largest component of the sum of all forces (eV/A).
    """

    functional: str = "PBE"
    dispersion: str | None = None
    potentials: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    version: str | None = None
    command: str | None = None
    note: str = ""
    max_attempts: int = 2
    threads: int = 1
    time_limit_s: float | None = None
    overlap_factor: float = OVERLAP_FACTOR
    net_force_tolerance: float = NET_FORCE_TOLERANCE

    def __post_init__(self) -> None:
        if self.functional != "PBE":
            raise InputError(f"cp2k: functional '{self.functional}' has no pseudopotentials here, accepted: PBE")
        if self.dispersion is not None and self.dispersion not in DISPERSIONS:
            raise InputError(f"cp2k: dispersion '{self.dispersion}' should be {' or '.join(DISPERSIONS)}, or none")
        check_keys(self.parameters, tuple(DEFAULTS))
        _check_values(self._settings())
        self._named()

    @classmethod
    def from_spec(cls, spec: LevelSpec) -> "Cp2kLabeller":
        """Build the engine that a campaign file describes.

        Raises
        ------
        InputError
            If a parameter, basis set or pseudopotential is not one that can be used.
        """
        for name, value in (("calculator", spec.calculator), ("file", spec.file)):
            if value:
                raise InputError(f"labelling: {name} = '{value}' is a key of the engine ase, not of cp2k")
        return cls(
            functional=spec.functional or "PBE",
            dispersion=spec.dispersion,
            potentials=dict(spec.potentials),
            parameters=dict(spec.parameters),
            version=spec.version,
            note=spec.note,
            max_attempts=spec.max_attempts,
            time_limit_s=spec.time_limit_s,
        )

    def level(self) -> Level:
        """Return the level of theory: functional, dispersion, every basis set and pseudopotential by content, cutoffs.

        It needs no CP2K. A parameter that has no effect (the cutoff of a dispersion that is not there) is left out.
        """
        settings = self._settings()
        if self.dispersion is None:
            del settings["dispersion_cutoff_a"]
        del settings["basis"]
        return Level(
            engine="cp2k",
            code="CP2K",
            code_version=self.version or _ANY,
            functional=self.functional,
            dispersion=self.dispersion,
            cutoff_ev=round(settings["cutoff_ry"] * RYDBERG_EV, 6),
            potentials=tuple(
                Potential(element=element, title=title, sha256=digest)
                for element, entries in sorted(self._named().items())
                for title, digest in entries.values()
            ),
            parameters={**settings, "k_points": "Gamma"},
            note=self.note,
        )

    def require(self, elements: Iterable[str]) -> None:
        """See that a pseudopotential is named for each of these elements.

        Raises
        ------
        InputError
            If there is none for one of them.
        """
        require_potentials("cp2k", self.potentials or DEFAULT_POTENTIALS, elements)

    def label(self, structure: Structure, directory: Path, seconds: float | None = None) -> LabelResult:
        """Compute one label, or find it finished in the directory.

        Every start of CP2K has a folder of its own, ``start-1``, ``start-2``, ...; one that came to its end while its
        worker was gone is found and not computed again.

        Parameters
        ----------
        seconds
            Time that is left to the worker; a calculation that needs longer is ended, and its result is interrupted.

        Raises
        ------
        EngineError
            If CP2K or its data are missing here, or are not those of the level.
        """
        level_id = self.level().id
        with sole_use(directory) as lock:
            result = read_label(directory, structure.id, level_id)
            if result is None:
                result = self._refusal(structure)
                if result is None:
                    result = Work(self, structure, level_id, directory, lock).run(seconds)
                if not result.interrupted:
                    result = write_label(directory, structure.id, level_id, result)
        return result

    def installation(self) -> Installation:
        """Return the CP2K of this machine.

        Raises
        ------
        EngineError
            If there is none, or its version is not the level's.
        """
        found = find_installation(tuple(find_program(self.command or _machine_command(), SETTING)))
        if not fits_version(found.version, self.version):
            raise EngineError(
                f"this is CP2K {found.version}, and the level is of version {self.version}: run the one it names "
                f"({SETTING}), or name this one as `version` of the level"
            )
        return found

    def deck(self, data: Path) -> Deck:
        """Return what inputs are made of, with basis sets and pseudopotentials from CP2K's data.

        Raises
        ------
        EngineError
            If the data are not those of the level.
        """
        names = self._named()
        files = {"basis": BASIS_FILE, "potential": POTENTIAL_FILE}
        entries = {
            kind: {element: find_entry(data, file, element, names[element][kind][0]) for element in names}
            for kind, file in files.items()
        }
        return Deck(self._settings(), entries["basis"], entries["potential"], self.dispersion)

    def _settings(self) -> dict[str, Any]:
        # 400 and 400.0 are one level
        given = {
            key: float(value) if isinstance(DEFAULTS[key], float) and type(value) is int else value
            for key, value in self.parameters.items()
        }
        return {**DEFAULTS, **given}

    def _named(self) -> dict[str, dict[str, tuple[str, str]]]:
        """Return name and digest of the pseudopotential and the basis set of every element."""
        potentials = self.potentials or DEFAULT_POTENTIALS
        basis = self._settings()["basis"]
        named = {}
        for element, name in potentials.items():
            chosen = basis if isinstance(basis, str) else basis.get(element, DEFAULTS["basis"])
            named[element] = {
                "potential": canonical_name(POTENTIAL_FILE, element, name),
                "basis": canonical_name(BASIS_FILE, element, chosen),
            }
        return named

    def _refusal(self, structure: Structure) -> LabelResult | None:
        from ase.data import chemical_symbols

        reason = ""
        known = self.potentials or DEFAULT_POTENTIALS
        missing = sorted({chemical_symbols[number] for number in structure.numbers} - set(known))
        if missing:
            reason = (
                f"the level names no pseudopotential for {', '.join(missing)}, only for {', '.join(known)}: "
                "every element needs one in `potentials`"
            )
        elif not all(structure.pbc):
            reason = f"CP2K computes cells here that are periodic in all directions, and pbc is {structure.pbc}"
        if reason:
            return LabelResult(accepted=False, reason=reason, attempts=0)
        return refusal(structure, self.overlap_factor)


def _check_values(settings: Mapping[str, Any]) -> None:
    for key, value in settings.items():
        default = DEFAULTS[key]
        if isinstance(default, bool):
            if not isinstance(value, bool):
                raise InputError(f"cp2k: {key} = {value!r} should be true or false")
        elif isinstance(default, float) and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise InputError(f"cp2k: {key} = {value!r} should be a number")
        elif isinstance(default, float) and not value > 0:
            raise InputError(f"cp2k: {key} = {value!r} should be greater than 0")
    if settings["spin_polarized"] not in ("odd", "always"):
        raise InputError(f"cp2k: spin_polarized = {settings['spin_polarized']!r} should be 'odd' or 'always'")
    if not isinstance(settings["basis"], str | Mapping):
        raise InputError(f"cp2k: basis = {settings['basis']!r} should be a name, or a name for each element")


def _machine_command() -> str:
    import warnings
    from os.path import expandvars

    from atomate2.settings import Atomate2Settings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of settings files that it calls empty
        command: str = Atomate2Settings().CP2K_CMD
    return expandvars(command)
