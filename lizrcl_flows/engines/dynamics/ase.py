"""Molecular dynamics with any ASE calculator, a foundation model or a NEP file for example."""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lizrcl_flows.documents import Level
from lizrcl_flows.documents.spec import ExplorationSpec, FoundationSpec
from lizrcl_flows.engines.calculators import CalculatorChoice, compute_apart
from lizrcl_flows.engines.dynamics.base import DynamicsRequest, DynamicsResult, GoesOn
from lizrcl_flows.engines.dynamics.gpumd_files import (
    TRAJECTORY_FILE,
    hottest_k,
    model_of,
    result_of,
    run_in_of,
    strip_predictions,
)
from lizrcl_flows.engines.dynamics.gpumd_health import judge, survey_frames
from lizrcl_flows.engines.dynamics.pieces import run_in_pieces
from lizrcl_flows.engines.finished import finished_facts, inputs_sha256, mark_finished, write_inputs
from lizrcl_flows.engines.processes import sole_use
from lizrcl_flows.engines.serial import Engine
from lizrcl_flows.errors import EngineError
from lizrcl_flows.gpumd import HEALTH_FILE, render_run_in
from lizrcl_flows.gpumd.model_xyz import render_model_xyz
from lizrcl_flows.gpumd.release import NEWEST

PROGRAM = "lizrcl_flows.engines.dynamics.integration"
RUN_FOLDER = "ase"


@dataclass
class AseDynamics(Engine):
    """Integrate as ``lizrcl-gpumd`` does, with the forces of an ASE calculator, each run in a process of its own.

    NVT is the stochastic velocity rescaling of Bussi, Donadio and Parrinello (2007), NPT that with the stochastic cell
    rescaling of Bernetti and Bussi (2020): the ensembles of GPUMD's ``nvt_bdp`` and ``npt_scr``. With one thread, equal
    requests give equal bits. The frames hold geometry only; the energies of the run are in ``thermo.out``. Every sample
    is stored: there is no committee here that could judge it.

    Parameters
    ----------
    calculator, file, parameters
        See `engines.calculators.CalculatorChoice`. The calculator ``nep`` without a file is driven by the first
        potential of each request.
    thermostat_steps, barostat_steps, elastic_gpa, correct_velocity_every
        See `engines.dynamics.gpumd_files.Integration`.
    """

    calculator: str = "nep"
    file: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    thermostat_steps: float = 100.0
    barostat_steps: float = 1000.0
    elastic_gpa: float = 50.0
    correct_velocity_every: int = 0

    def __post_init__(self) -> None:
        CalculatorChoice(self.calculator, self.file, self.parameters)

    @classmethod
    def from_spec(cls, spec: ExplorationSpec, command: str | None = None) -> "AseDynamics":  # noqa: ARG003
        """Build the engine that explores with the first member of a committee."""
        return cls()

    @classmethod
    def from_foundation(cls, spec: FoundationSpec, **settings: Any) -> "AseDynamics":
        """Build the engine with the potential that a campaign file describes and further fields of the engine."""
        potential = {"calculator": spec.calculator, "file": spec.file, "parameters": dict(spec.parameters)}
        return cls.from_dict({**potential, **settings})

    def require(self, elements: Iterable[str]) -> None:
        """See that the calculator can work here and knows these elements, as far as that is cheap to tell.

        Raises
        ------
        InputError
            If its package, its model file or an element is missing.
        """
        CalculatorChoice(self.calculator, self.file, self.parameters).require(elements)

    def level(self) -> Level:
        """Return the level of theory of the forces.

        Raises
        ------
        InputError
            If the calculator's package is not installed, or its model file is missing or not named.
        """
        return CalculatorChoice(self.calculator, self.file, self.parameters).level()

    def run(self, request: DynamicsRequest, directory: Path, goes_on: GoesOn | None = None) -> DynamicsResult:
        """Run, or find the same run finished in the directory.

        Raises
        ------
        InputError
            If the calculator cannot be made, or the structure has an element that the request does not name.
        EngineError
            If the calculator fails at the start, or the run is ended from outside.
        UnfinishedRunError
            If a run of pieces was not to go on.
        """
        if request.piece_steps is not None:
            return run_in_pieces(self, self._run_whole, request, directory, goes_on)
        return self._run_whole(request, directory)

    def _run_whole(self, request: DynamicsRequest, directory: Path) -> DynamicsResult:
        choice = self._choice(request)
        run_in = run_in_of(request, self, [choice.level().id])
        inputs = {
            "model.xyz": render_model_xyz(model_of(request)).encode(),
            "run.in": render_run_in(run_in, NEWEST).encode(),
        }
        digest = inputs_sha256(inputs)
        with sole_use(directory) as lock:
            facts = finished_facts(directory, digest)
            if facts is None:
                facts = {**_run_afresh(choice, request, directory, inputs, lock), "inputs_sha256": digest}
                mark_finished(directory, digest, **facts)
        return result_of(directory / RUN_FOLDER, request, facts, seeded=True)

    def _choice(self, request: DynamicsRequest) -> CalculatorChoice:
        choice = CalculatorChoice(self.calculator, self.file, self.parameters)
        if self.calculator == "nep" and self.file is None and request.potentials:
            return replace(choice, file=str(request.potentials[0]))
        return choice


def _run_afresh(
    choice: CalculatorChoice, request: DynamicsRequest, directory: Path, inputs: dict[str, bytes], lock: int
) -> dict[str, Any]:
    work = directory / RUN_FOLDER
    shutil.rmtree(work, ignore_errors=True)
    write_inputs(work, inputs)
    asked = {"calculator": choice.request(), "seed": request.seed}
    finished, outcome = compute_apart(PROGRAM, asked, work, lock, threads=request.threads)
    n_frames, fault = survey_frames(work / TRAJECTORY_FILE, request.n_atoms)
    health = judge(work, finished, hottest_k(request), n_frames) if (work / HEALTH_FILE).exists() else None
    if health is None:
        reason = outcome.get("reason", "it did not say why")
        raise EngineError(f"structure {request.structure.id}: no dynamics with {choice.title}: {reason}")
    strip_predictions(work / TRAJECTORY_FILE, work / TRAJECTORY_FILE)
    return {
        "n_frames": n_frames,
        "fault": fault,
        "health": health.as_dict(),
        "version": choice.version(),
        "executable": f"{choice.title} {choice.version()}",
        "wall_s": finished.wall_s,
    }
