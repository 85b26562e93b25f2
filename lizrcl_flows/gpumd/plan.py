"""From the lines of ``run.in`` to the stages of a run, with all checks that can be made before the first step."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from lizrcl_flows.errors import InputError
from lizrcl_flows.gpumd.commands import (
    Active,
    Command,
    ComputeMsd,
    CorrectVelocity,
    DumpFrames,
    DumpNetcdf,
    DumpRestart,
    DumpThermo,
    Ensemble,
    Fix,
    NptScr,
    Nve,
    NvtBdp,
    Potential,
    Replicate,
    Run,
    TimeStep,
    Velocity,
    is_orthogonal,
)
from lizrcl_flows.gpumd.model_xyz import ModelXyz
from lizrcl_flows.gpumd.run_in import RunIn

Output = DumpThermo | DumpRestart | DumpFrames | DumpNetcdf | Active | ComputeMsd


@dataclass(frozen=True)
class Stage:
    """One ``run`` with what was said for it.

    Attributes
    ----------
    steps
        Number of steps.
    time_step
        Time step; it stays in force for the stages after.
    ensemble
        Ensemble; it has to be said for every stage.
    velocity
        Velocities to draw before the first step, or None.
    correction
        Removal of momentum, or None.
    fixed_group
        Group of method 0 held in place, or None.
    outputs
        What is written.
    where
        File and line of the ``run``.
    """

    steps: int
    time_step: TimeStep
    ensemble: Ensemble
    velocity: Velocity | None
    correction: CorrectVelocity | None
    fixed_group: int | None
    outputs: tuple[Output, ...]
    where: str

    @property
    def hottest_k(self) -> float:
        """Highest target temperature (K); 0 where the ensemble has none."""
        return 0.0 if isinstance(self.ensemble, Nve) else max(self.ensemble.start_k, self.ensemble.end_k)


@dataclass(frozen=True)
class Plan:
    """A whole ``run.in``.

    Attributes
    ----------
    model
        Structure, replicated as asked.
    potentials
        Potential files in order.
    stages
        Runs in order.
    velocity_seed
        Seed given with ``velocity``, which holds for all randomness of all stages, or None.
    """

    model: ModelXyz
    potentials: tuple[str, ...]
    stages: tuple[Stage, ...]
    velocity_seed: int | None = None


@dataclass
class _Draft:
    """What has been said since the last run."""

    ensemble: Ensemble | None = None
    velocity: Velocity | None = None
    correction: CorrectVelocity | None = None
    fixed_group: int | None = None
    outputs: list[Output] = field(default_factory=list)


class _Planner:
    """Takes the commands in order."""

    def __init__(self, model: ModelXyz) -> None:
        self.model = model
        self.potentials: list[str] = []
        self.stages: list[Stage] = []
        self.seed: int | None = None
        self._time_step = TimeStep(1.0)
        self._draft = _Draft()
        self._has_velocities = model.velocities is not None
        self.pending: str | None = None

    def take(self, command: Command, where: str) -> None:
        """Carry out one command."""
        if isinstance(command, Potential):
            self.potentials.append(command.file)
        elif isinstance(command, Replicate):
            self._replicate(command, where)
        elif isinstance(command, TimeStep):
            self._time_step = command
        elif isinstance(command, Run):
            self._run(command, where)
        else:
            self._draft_takes(command, where)

    def _replicate(self, command: Replicate, where: str) -> None:
        if self.potentials:
            raise InputError(f"{where}: replicate should stand before potential, where GPUMD sizes its arrays.")
        if self.stages or self._draft.velocity is not None or self._draft.outputs:
            raise InputError(f"{where}: replicate should stand before velocity, the outputs and the first run.")
        self.model = self.model.replicated(command.counts)
        self._has_velocities = False

    def _draft_takes(self, command: Command, where: str) -> None:
        draft = self._draft
        self.pending = where
        if isinstance(command, Velocity):
            self._take_velocity(command, where)
        elif isinstance(command, NptScr):
            _check_box(command, self.model, where)
            draft.ensemble = command
        elif isinstance(command, Nve | NvtBdp):
            draft.ensemble = command
        elif isinstance(command, CorrectVelocity):
            _check_group(self.model, command.grouping_method, None, where)
            draft.correction = command
        elif isinstance(command, Fix):
            _check_group(self.model, 0, command.group, where)
            draft.fixed_group = command.group
        elif isinstance(command, Output):
            self._check_output(command, where)
            draft.outputs.append(command)
        else:
            raise InputError(f"{where}: lizrcl-gpumd does not perform '{type(command).__name__}'.")

    def _take_velocity(self, command: Velocity, where: str) -> None:
        if None not in (command.seed, self.seed) and command.seed != self.seed:
            raise InputError(f"{where}: seed {command.seed} after seed {self.seed}; one seed holds for the whole file.")
        if command.seed is not None:
            self.seed = command.seed
        self._draft.velocity = command
        self._has_velocities = True

    def _check_output(self, command: Output, where: str) -> None:
        if isinstance(command, Active) and len(self.potentials) < 2:
            raise InputError(f"{where}: active compares potentials and needs two or more potential lines before it.")
        if isinstance(command, DumpFrames) and "virial" in command.properties:
            raise InputError(f"{where}: lizrcl-gpumd does not write the virial of each atom.")
        if isinstance(command, DumpFrames | DumpNetcdf | ComputeMsd) and command.group is not None:
            _check_group(self.model, *command.group, where)
        if isinstance(command, ComputeMsd) and command.all_groups is not None:
            _check_group(self.model, command.all_groups, None, where)
        files = [output.file for output in self._draft.outputs if isinstance(output, DumpFrames | DumpNetcdf)]
        if isinstance(command, DumpFrames | DumpNetcdf) and command.file in files:
            raise InputError(f"{where}: {command.file} is already written by another line of this run.")

    def _run(self, command: Run, where: str) -> None:
        draft = self._draft
        if not self.potentials:
            raise InputError(f"{where}: run needs a potential line before it.")
        if draft.ensemble is None:
            raise InputError(f"{where}: run needs an ensemble line after the run before it.")
        self._check_velocities(where)
        self._check_windows(command, where)
        if draft.fixed_group is not None and isinstance(draft.ensemble, NptScr):
            raise InputError(f"{where}: fix does not go with npt_scr, which moves all atoms with the cell.")
        velocity = None if self.model.velocities is not None else draft.velocity
        outputs = tuple(draft.outputs)
        stage = Stage(
            command.steps,
            self._time_step,
            draft.ensemble,
            velocity,
            draft.correction,
            draft.fixed_group,
            outputs,
            where,
        )
        self.stages.append(stage)
        self._draft, self.pending = _Draft(), None

    def _check_velocities(self, where: str) -> None:
        if self._has_velocities:
            return
        if self.model.velocities is not None:
            raise InputError(
                f"{where}: after replicate, GPUMD takes up the velocities of model.xyz at a velocity line only; "
                "say 'velocity T' before the run."
            )
        raise InputError(f"{where}: the atoms have no velocities; say 'velocity T', or give vel:R:3 in model.xyz.")

    def _check_windows(self, command: Run, where: str) -> None:
        for output in self._draft.outputs:
            if isinstance(output, ComputeMsd) and output.points > command.steps // output.interval:
                raise InputError(
                    f"{where}: compute_msd {output.interval} {output.points} needs a run of at least "
                    f"{output.interval * output.points} steps, {command.steps} are asked for."
                )


def make_plan(run_in: RunIn, model: ModelXyz) -> Plan:
    """Check a ``run.in`` against its structure and lay out its stages.

    Parameters
    ----------
    run_in
        The commands.
    model
        The structure of ``model.xyz``.

    Raises
    ------
    InputError
        Something is missing, has no effect where it stands, or does not fit the structure; the message names the line.
    """
    planner = _Planner(model)
    for index, command in enumerate(run_in.commands):
        planner.take(command, run_in.where(index))
    if not planner.stages:
        raise InputError(f"{run_in.source} has no run line.")
    if planner.pending is not None:
        raise InputError(f"{planner.pending}: nothing comes of this line, because no run follows.")
    return Plan(planner.model, tuple(planner.potentials), tuple(planner.stages), planner.seed)


def group_mask(model: ModelXyz, method: int, label: int) -> npt.NDArray[np.bool_]:
    """Mask of the atoms of one group, shape (N,)."""
    if model.groups is None:
        raise InputError("model.xyz has no group column.")
    mask: npt.NDArray[np.bool_] = model.groups[:, method] == label
    return mask


def _check_group(model: ModelXyz, method: int | None, label: int | None, where: str) -> None:
    if method is None:
        return
    methods = 0 if model.groups is None else model.groups.shape[1]
    if method >= methods or model.groups is None:
        raise InputError(f"{where}: grouping method {method} is not in model.xyz, which has {methods}.")
    if label is not None and not np.any(model.groups[:, method] == label):
        raise InputError(f"{where}: no atom of model.xyz is in group {label} of grouping method {method}.")


def _check_box(command: NptScr, model: ModelXyz, where: str) -> None:
    if not bool(np.all(model.pbc)):
        raise InputError(f"{where}: npt_scr needs a cell that is periodic in all three directions.")
    if len(command.pressure_gpa) < 6 and not is_orthogonal(model.cell):
        raise InputError(
            f"{where}: this form of npt_scr needs a cell along x, y and z, and that of model.xyz is not; "
            f"use the one with six pressures and six elastic constants: {NptScr.SYNTAX}."
        )
