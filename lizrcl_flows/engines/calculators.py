"""One way to name an ASE calculator: for labels, relaxation and dynamics."""

import json
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lizrcl_flows.documents import Level
from lizrcl_flows.documents.labels import Potential
from lizrcl_flows.engines.calculation import OUTCOME_FILE, REQUEST_FILE
from lizrcl_flows.engines.dispersion import DAMPINGS, dispersion_version, own_dispersion
from lizrcl_flows.engines.processes import Finished, replace_text, run_program
from lizrcl_flows.engines.serial import Engine
from lizrcl_flows.engines.versions import file_sha256, package_version
from lizrcl_flows.errors import InputError
from lizrcl_flows.settings import load_settings


@dataclass(frozen=True)
class _Known:
    """A calculator with a short name.

    Attributes
    ----------
    path
        Import path of its class.
    package
        What to install.
    file_argument
        Keyword argument that takes the model file; none where there is no such file.
    file_target
        What is called with a model file, where that is not the class.
    well_known_file
        A model file for users who have none; a calculator that names one cannot do without a file.
    defaults
        Keyword arguments that are part of the level.
    quiet
        Keyword arguments that change no energy: where it computes and what it prints.
    """

    path: str
    package: str
    file_argument: str | None = None
    file_target: str | None = None
    well_known_file: str | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)
    quiet: Mapping[str, Any] = field(default_factory=dict)


CALCULATORS: Mapping[str, _Known] = {
    "nep": _Known(
        path="lizrcl_flows.nep:NepCalculator",
        package="lizrcl_flows",
        file_argument="committee",
        well_known_file="a nep.txt such as nep89_20250409.txt (NEP89, 89 elements)",
    ),
    "mace": _Known(
        path="mace.calculators:MACECalculator",
        package="lizrcl_flows[mace]",
        file_argument="model_paths",
        well_known_file="mace-mpa-0-medium.model (MACE-MPA-0 medium)",
        defaults={"default_dtype": "float64"},
        quiet={"device": "cpu"},
    ),
    "chgnet": _Known(
        path="chgnet.model:CHGNetCalculator",
        package="lizrcl_flows[chgnet]",
        file_argument="path",
        file_target="chgnet.model:CHGNetCalculator.from_file",
        quiet={"use_device": "cpu"},
    ),
    "sevennet": _Known(
        path="sevenn.calculator:SevenNetCalculator",
        package="lizrcl_flows[sevennet]",
        file_argument="model",
        defaults={"model": "7net-0"},
        quiet={"device": "cpu"},
    ),
    "tblite": _Known(
        path="tblite.ase:TBLite",
        package="lizrcl_flows[xtb]",
        defaults={"method": "GFN1-xTB"},
        quiet={"verbosity": 0},
    ),
}
"""The calculators that can be named in one word; any other is named by its import path."""

_PLACES = ("device", "use_device")
"""Arguments that say where it is computed: the same level on every machine."""

_SHIPPED_SEVENNET = ("7net-0", "7net-0_22may2024", "7net-l3i5", "7net-mf-0")
"""Models in the sevenn package itself; it would download any other."""


@dataclass
class CalculatorChoice(Engine):
    """An ASE calculator by name, with its model file.

    Parameters
    ----------
    calculator
        One of `CALCULATORS`, or an import path ``module:Class``.
    file
        Model file, for those that read one: an absolute path, or one relative to the working directory or to the
        folder of models (setting ``LIZRCL_MODELS_DIR``).
    parameters
        Keyword arguments of the class; JSON values.
    dispersion
        Key of `DAMPINGS`: this D3 correction is added to the calculator; nothing is where none.
    functional
        Functional whose D3 parameters are used; the calculator's argument ``xc`` or else PBE where none is named.
    """

    calculator: str
    file: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    dispersion: str | None = None
    functional: str | None = None

    def __post_init__(self) -> None:
        module, colon, name = self.calculator.partition(":")
        if self.calculator not in CALCULATORS and not (module and colon and name):
            raise InputError(
                f"calculator '{self.calculator}' should be an import path module:Class, such as tblite.ase:TBLite, "
                f"or one of {', '.join(sorted(CALCULATORS))}"
            )
        known = self._known
        if self.file is not None and (known is None or known.file_argument is None):
            with_file = [name for name, entry in CALCULATORS.items() if entry.file_argument]
            raise InputError(
                f"calculator {self.calculator}: file '{self.file}' goes with {', '.join(sorted(with_file))} only; "
                "another calculator takes its files among its parameters"
            )
        if known is not None:
            self._check_parameters(known)
        self._check_dispersion()

    @property
    def path(self) -> str:
        """Import path of the class."""
        return self._known.path if self._known else self.calculator

    @property
    def title(self) -> str:
        """What to call it in a sentence: name and file."""
        name = f"{self.calculator} ({Path(self.file).name})" if self.file else self.calculator
        return f"{name} + {self.dispersion}" if self.dispersion else name

    def level(self, note: str = "") -> Level:
        """Return the level of theory: calculator, version, model file by its content, and every parameter.

        Where the file lies and which device computes are not part of it: the same model is the same level everywhere.

        Parameters
        ----------
        note
            What the level is good for.

        Raises
        ------
        InputError
            If the calculator's package is not installed, or the model file is not found.
        """
        version = self.version()
        parameters = self._level_parameters()
        functional = parameters.get("method", parameters.get("xc"))
        correction = None
        if self.dispersion is not None:
            # other calculators do not say which functional they are of, so its D3 parameters tell levels apart
            functional = self._dispersion_functional()
            correction = f"{self.dispersion} (dftd3 {dispersion_version()})"
        model = self.model_file()
        return Level(
            engine="ase",
            code=self.path,
            code_version=version,
            functional=functional if isinstance(functional, str) else None,
            dispersion=correction,
            potentials=() if model is None else (Potential(element="*", title=model.name, sha256=file_sha256(model)),),
            parameters=parameters,
            note=note,
        )

    def version(self) -> str:
        """Return the version of the calculator's package.

        Raises
        ------
        InputError
            If it is not installed.
        """
        module = self.path.partition(":")[0].partition(".")[0]
        version = package_version(module)
        if version is None:
            package = next((entry.package for entry in CALCULATORS.values() if entry.path == self.path), module)
            raise InputError(
                f"calculator '{self.calculator}' needs the module '{module}', which is not installed: "
                f"pip install {package}"
            )
        return version

    def model_file(self) -> Path | None:
        """Return the model file, or None where the calculator works without one.

        Raises
        ------
        InputError
            If the file is not found, or none is named for a calculator that needs one.
        """
        models = load_settings().resolved_models_dir()
        place = f"the folder of models {models} (setting LIZRCL_MODELS_DIR)"
        advice = self._known.well_known_file if self._known else None
        if self.file is None:
            if advice is None:
                return None
            raise InputError(
                f"calculator {self.calculator} needs a model file: put one, for example {advice}, into {place} and "
                "give its name as `file`"
            )
        for path in (Path(self.file), models / self.file):
            if path.is_file():
                return path.resolve()
        example = f", for example {advice}" if advice else ""
        if Path(self.file).is_absolute():
            raise InputError(
                f"calculator {self.calculator}: model file '{self.file}' does not exist: name another{example}; a name "
                f"alone is looked for in {place}"
            )
        raise InputError(
            f"calculator {self.calculator}: model file '{self.file}' is neither in {Path.cwd()} nor in {place}: "
            f"put it there, or name another{example}"
        )

    def require(self, elements: Iterable[str]) -> None:
        """See that it can work here, and knows the elements where that can be told without loading a network.

        Raises
        ------
        InputError
            If its package or its model file is missing, or a NEP file lacks an element.
        """
        self.level()
        model = self.model_file()
        if self.calculator != "nep" or model is None:
            return
        from lizrcl_flows.nep import Committee

        species = Committee.from_files([model]).species
        missing = [element for element in elements if element not in species]
        if missing:
            raise InputError(f"{model}: this potential knows {', '.join(species)}, not {', '.join(missing)}")

    def request(self) -> dict[str, Any]:
        """Return what a process needs to make the calculator: see `engines.calculation.make_calculator`."""
        known, model = self._known, self.model_file()
        content: dict[str, Any] = {"title": self.title}
        if self.dispersion is not None:
            content["dispersion"] = {
                "functional": self._dispersion_functional(),
                "damping": DAMPINGS[self.dispersion],
            }
        if known is None:
            return {**content, "target": self.path, "arguments": dict(self.parameters)}
        arguments = {**known.quiet, **known.defaults, **self.parameters}
        target = known.path
        if model is not None and known.file_argument is not None:
            arguments[known.file_argument] = str(model)
            target = known.file_target or target
        return {**content, "target": target, "arguments": arguments}

    @property
    def _known(self) -> _Known | None:
        return CALCULATORS.get(self.calculator)

    def _dispersion_functional(self) -> str:
        given = self.parameters.get("xc")
        return self.functional or (given if isinstance(given, str) else "PBE")

    def _check_dispersion(self) -> None:
        if self.dispersion is None:
            if self.functional is not None:
                raise InputError(
                    f"calculator {self.calculator}: functional '{self.functional}' is that of the dispersion "
                    "correction and none is asked for: name a `dispersion`, or leave it out"
                )
            return
        if self.dispersion not in DAMPINGS:
            raise InputError(f"dispersion '{self.dispersion}' should be {' or '.join(DAMPINGS)}, or none")
        own = own_dispersion(self.path, self.parameters)
        if own:
            raise InputError(
                f"calculator {self.calculator}: {own}, and {self.dispersion} would count it twice: "
                "leave out `dispersion`"
            )

    def _level_parameters(self) -> dict[str, Any]:
        known = self._known
        if known is None:
            return self.parameters
        given = {**known.defaults, **self.parameters}
        skipped = {*_PLACES, known.file_argument} if self.file is not None else set(_PLACES)
        return {key: value for key, value in given.items() if key not in skipped}

    def _check_parameters(self, known: _Known) -> None:
        argument = known.file_argument
        if argument is None or argument not in self.parameters:
            return
        model = self.parameters[argument]
        if self.calculator == "sevennet" and self.file is None:
            if model not in _SHIPPED_SEVENNET:
                raise InputError(
                    f"calculator sevennet: model '{model}' does not ship with the package and nothing is downloaded; "
                    f"accepted: {', '.join(_SHIPPED_SEVENNET)}, or a model file as `file`"
                )
            return
        raise InputError(f"calculator {self.calculator}: the model file should be given as `file`, not as '{argument}'")


def compute_apart(
    module: str,
    request: Mapping[str, Any],
    directory: Path,
    lock: int,
    *,
    threads: int = 1,
    time_limit_s: float | None = None,
) -> tuple[Finished, dict[str, Any]]:
    """Run one of our programs with an ASE calculator in a process of its own, through files in a directory.

    Parameters
    ----------
    module
        The program, run as ``python -m``.
    request
        What it is to do; JSON values, with `CalculatorChoice.request` under ``calculator``.
    directory
        Where it runs.
    lock
        Of `processes.sole_use`.
    threads
        Of the process.
    time_limit_s
        Seconds after which it is ended.

    Returns
    -------
    finished
        How the process ended.
    outcome
        What it left: ``status`` is ``done``, or ``failed`` with its ``reason`` in one sentence.

    Raises
    ------
    InputError
        If the calculator cannot be made: every calculation would fail alike.
    """
    replace_text(directory / REQUEST_FILE, json.dumps(request))
    (directory / OUTCOME_FILE).unlink(missing_ok=True)
    finished = run_program(
        [sys.executable, "-m", module],
        directory,
        lock,
        threads=threads,
        environment={"PYTHONPATH": os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path if entry)},
        time_limit_s=time_limit_s,
    )
    try:
        outcome: dict[str, Any] = json.loads((directory / OUTCOME_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        outcome = {"status": "failed", "reason": f"its process {finished.in_words()}"}
    if outcome["status"] == "misconfigured":
        calculator = request["calculator"]
        raise InputError(
            f"calculator {calculator['title']} cannot be made from {calculator['arguments']}: {outcome['reason']}"
        )
    return finished, outcome
