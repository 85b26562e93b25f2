"""Carrying out a plan: the loop over the steps."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from lizrcl_flows.errors import InputError
from lizrcl_flows.gpumd.commands import Active, ComputeMsd, DumpFrames, DumpNetcdf, DumpThermo
from lizrcl_flows.gpumd.displacement import DisplacementRecorder
from lizrcl_flows.gpumd.extended_xyz import FloatArray
from lizrcl_flows.gpumd.health import BlownUpError, HealthLimits, Watch, closest_pair_within
from lizrcl_flows.gpumd.integrators import Integrator
from lizrcl_flows.gpumd.plan import Output, Plan, Stage, group_mask
from lizrcl_flows.gpumd.recorders import (
    ActiveRecorder,
    FrameRecorder,
    NetcdfRecorder,
    Recorder,
    RestartRecorder,
    ThermoRecorder,
)
from lizrcl_flows.gpumd.system import ForceField, System
from lizrcl_flows.gpumd.velocities import draw_velocities, remove_momentum


class Potentials(ForceField, Protocol):
    """All potentials of a run; the first one drives it."""

    def compute_all(self, cell: FloatArray, positions: FloatArray) -> FloatArray:
        """Evaluate the forces of every member (eV/A), shape (M, N, 3)."""
        ...

    def atom_energies(self, cell: FloatArray, positions: FloatArray) -> FloatArray:
        """Evaluate the energies of the atoms by the first member (eV), shape (N,)."""
        ...


def _silent(_: str) -> None:
    """Say nothing."""


@dataclass(frozen=True)
class Options:
    """How to carry out a plan.

    Attributes
    ----------
    directory
        Where the files go.
    seed
        Seed of all randomness of the run.
    limits
        Bounds beyond which a run has blown up.
    say
        Called with every line of progress.
    """

    directory: Path
    seed: int
    limits: HealthLimits = field(default_factory=HealthLimits)
    say: Callable[[str], None] = _silent


@dataclass(frozen=True)
class Outcome:
    """What a run did.

    Attributes
    ----------
    steps
        Steps done.
    seconds
        Wall time of the steps.
    system
        Final state.
    """

    steps: int
    seconds: float
    system: System


def simulate(plan: Plan, potentials: Potentials, options: Options) -> Outcome:
    """Carry out a plan.

    Parameters
    ----------
    plan
        What to do.
    potentials
        What drives it.
    options
        How.

    Raises
    ------
    InputError
        Atoms of the structure overlap, or it cannot be evaluated; nothing is written.
    BlownUpError
        The run left its bounds. The frames before are in the files.
    """
    rng = np.random.default_rng(options.seed)
    system = System(plan.model)
    _check_start(system, options.limits)
    done, started = 0, time.perf_counter()
    for stage in plan.stages:
        done += _StageRunner(system, stage, potentials, options, rng).run(done)
    return Outcome(done, time.perf_counter() - started, system)


def _check_start(system: System, limits: HealthLimits) -> None:
    """Refuse a structure whose atoms overlap before anything is written."""
    pair = closest_pair_within(system.positions, system.cell, system.pbc, limits.distance_a)
    if pair is not None:
        first, second, distance = pair
        raise InputError(
            f"model.xyz: atoms {first} ({system.species[first]}) and {second} ({system.species[second]}) are "
            f"{distance:.3f} A apart; they should be at least {limits.distance_a} A apart."
        )


class _StageRunner:
    """Carries out one stage."""

    def __init__(
        self, system: System, stage: Stage, potentials: Potentials, options: Options, rng: np.random.Generator
    ) -> None:
        self._system = system
        self._stage = stage
        self._potentials = potentials
        self._options = options
        fixed = stage.fixed_group
        system.fix(None if fixed is None else group_mask(system.snapshot(), 0, fixed))
        if stage.velocity is not None:
            draw_velocities(system, stage.velocity.temperature_k, rng)
        system.evaluate(potentials)
        self._integrator = Integrator(system, potentials, stage.ensemble, rng)
        hottest = max(stage.hottest_k, system.temperature(system.kinetic_energy()))
        self._watch = Watch(system, hottest, options.limits)

    def run(self, before: int) -> int:
        """Do the steps of the stage; `before` have been done already. Returns their number."""
        stage, system, say = self._stage, self._system, self._options.say
        tenth = max(stage.steps // 10, 1)
        check_every = self._options.limits.distance_interval
        with self._recorders() as recorders:
            for step in range(1, stage.steps + 1):
                kinetic = self._advance(before + step, step / stage.steps)
                self._watch.check(before + step, kinetic)
                if stage.correction is not None and step % stage.correction.interval == 0:
                    self._correct()
                due = [recorder for recorder in recorders if step % recorder.interval == 0]
                if step % check_every == 0 or any(recorder.writes_frames for recorder in due):
                    self._watch.check_distances(before + step)
                for recorder in due:
                    recorder.record(step, kinetic)
                if step % tenth == 0:
                    temperature = system.temperature(kinetic)
                    say(f"  step {step} of {stage.steps}: {temperature:.1f} K, {system.energy:.6g} eV")
        return stage.steps

    def _advance(self, step: int, fraction: float) -> float:
        """Move on by one step; gives the kinetic energy (eV)."""
        try:
            return self._integrator.step(self._step_fs(), fraction)
        except InputError as error:  # the start could be evaluated, so this is what the run came to
            raise BlownUpError(f"The run blew up at step {step}: {error}", step) from None

    def _step_fs(self) -> float:
        """Shorten the time step where an atom would move too far."""
        time_step = self._stage.time_step
        limit = time_step.max_displacement_a
        if limit is None:
            return time_step.step_fs
        fastest = float(np.sqrt(np.max(np.einsum("ix,ix->i", self._system.velocities, self._system.velocities))))
        return min(time_step.step_fs, limit / fastest) if fastest > 0.0 else time_step.step_fs

    def _correct(self) -> None:
        correction, groups = self._stage.correction, self._system.groups
        method = None if correction is None else correction.grouping_method
        remove_momentum(self._system, None if method is None or groups is None else groups[:, method])

    @contextmanager
    def _recorders(self) -> Iterator[list[Recorder]]:
        """Open the files of the stage, and close them whatever happens."""
        recorders: list[Recorder] = []
        try:
            recorders.extend(self._recorder(output) for output in self._stage.outputs)
            yield recorders
        finally:
            for recorder in recorders:
                recorder.close()

    def _recorder(self, output: Output) -> Recorder:
        directory, system = self._options.directory, self._system
        if isinstance(output, DumpThermo):
            return ThermoRecorder(directory, system, output.interval, self._stage.time_step.step_fs)
        if isinstance(output, DumpFrames):
            return FrameRecorder(directory, system, output, self._potentials)
        if isinstance(output, DumpNetcdf):
            return NetcdfRecorder(directory, system, output)
        if isinstance(output, Active):
            return ActiveRecorder(directory, system, output, self._potentials)
        if isinstance(output, ComputeMsd):
            return DisplacementRecorder(directory, system, output, self._stage.time_step.step_fs)
        return RestartRecorder(directory, system, output.interval)
