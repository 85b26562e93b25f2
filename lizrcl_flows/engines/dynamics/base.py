"""What every dynamics engine offers."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from lizrcl_flows.documents import Health, Level, Structure, ThermoSummary

GoesOn = Callable[[float], bool]
"""Asked before each piece of a run, with the seconds that it will take by the pieces so far: whether it may begin."""


class UnfinishedRunError(Exception):
    """A run stopped between two of its pieces because it was not to go on; what is done is on the disk.

    Attributes
    ----------
    n_new
        Pieces that this call has done.
    done, steps
        Steps that are done, and of the whole run.
    next_s
        Wall time (s) that the next piece is expected to need; 0 where that is not known.
    """

    def __init__(self, n_new: int, done: int, steps: int, next_s: float) -> None:
        super().__init__(f"{done} of {steps} steps of the run are done")
        self.n_new, self.done, self.steps, self.next_s = n_new, done, steps, next_s


@dataclass(frozen=True)
class RunStage:
    """Steps before those that are sampled: at one temperature, or heated (or cooled) from one to another in a line."""

    steps: int
    start_k: float
    end_k: float


@dataclass(frozen=True)
class DynamicsRequest:
    """One molecular-dynamics run.

    Attributes
    ----------
    potentials
        nep.txt files of the committee, the driving member first; none for an engine that brings its own potential.
    pressure_gpa
        Pressure (GPa) of an NPT run; none otherwise.
    steps, equilibration_steps
        Production steps that are sampled, after equilibration steps that are not.
    stages
        What comes before the equilibration steps: at other temperatures, or heating. The first velocities are drawn for
        the temperature that the run begins with.
    sample_every
        Steps between stored frames, or between checks where `active_threshold` is given.
    active_threshold
        Where given, an engine that runs the whole committee along may store only the frames whose deviation exceeds it
        (eV/A), and then says how many it checked. None stores every sampled frame.
    correct_velocity_every
        Steps between removals of linear and angular momentum; 0 leaves it to the engine.
    trajectory_format
        ``netcdf`` asks for AMBER NetCDF, which a program that cannot write it answers with extended XYZ.
    piece_steps
        Where given, the run is done in pieces of so many steps (whole frames, rounded down), each a run of the program
        from where the last one ended; see `engines.dynamics.pieces`.
    start
        ``restart.xyz`` to begin from instead of the structure: its cell, positions and velocities.
    keeps_restart
        Whether the state at the end is kept as ``restart.xyz``.
    thermo_every
        Steps between rows of thermo.out; 0 leaves them to `engines.dynamics.gpumd_files.thermo_interval`.
    """

    structure: Structure
    potentials: Sequence[Path]
    elements: tuple[str, ...]
    ensemble: Literal["nve", "nvt", "npt"]
    temperature_k: float
    pressure_gpa: float | None
    steps: int
    equilibration_steps: int
    time_step_fs: float
    sample_every: int
    seed: int
    supercell: tuple[int, int, int] = (1, 1, 1)
    threads: int = 1
    active_threshold: float | None = None
    stages: tuple[RunStage, ...] = ()
    correct_velocity_every: int = 0
    trajectory_format: Literal["xyz", "netcdf"] = "xyz"
    piece_steps: int | None = None
    start: Path | None = None
    keeps_restart: bool = False
    thermo_every: int = 0

    @property
    def n_atoms(self) -> int:
        """Number of atoms, supercell included."""
        return self.structure.n_atoms * self.supercell[0] * self.supercell[1] * self.supercell[2]

    @property
    def first_stages(self) -> tuple[RunStage, ...]:
        """Everything before the sampled steps, equilibration included."""
        at_last = RunStage(self.equilibration_steps, self.temperature_k, self.temperature_k)
        return tuple(stage for stage in (*self.stages, at_last) if stage.steps)


@dataclass(frozen=True)
class DynamicsResult:
    """What a run left behind.

    Attributes
    ----------
    trajectory
        Extended XYZ with every whole sampled frame; unwrapped positions stand beside the wrapped ones where the engine
        writes them. The file exists even where the run ended before the first frame.
    n_checked
        Samples of which the frames are those with a large deviation; None where every sample was stored.
    inputs_sha256
        SHA-256 over the input files, potential included.
    seeded
        Whether all random numbers followed from the seed. GPUMD's own ``gpumd`` seeds the first velocities only, not
        its thermostat and barostat: a rerun is another run of the same ensemble.
    fault
        What is wrong with the frames (atoms lost, positions that are no numbers), in words; nothing where all is well.
    n_pieces
        Runs of the program that it was done in.
    """

    trajectory: Path
    n_frames: int
    thermo: ThermoSummary
    health: Health
    version: str
    executable: str
    wall_s: float
    core_hours: float
    files: tuple[Path, ...] = field(default=())
    inputs_sha256: str = ""
    seeded: bool = True
    n_checked: int | None = None
    fault: str = ""
    n_pieces: int = 1


class Dynamics(Protocol):
    """Run molecular dynamics with a committee's first member. A plain dataclass with ``as_dict``/``from_dict``."""

    def run(self, request: DynamicsRequest, directory: Path, goes_on: GoesOn | None = None) -> DynamicsResult:
        """Run in a fresh directory. A run that blows up is a result with its health; its frames before are kept.

        Parameters
        ----------
        goes_on
            Asked before each piece of a run with `piece_steps`; none does all of them.

        Raises
        ------
        UnfinishedRunError
            If the run was not to go on; called again in the same directory, it goes on from there.
        EngineError
            If the program cannot run at all (missing, refused its input).
        """
        ...


class LevelledDynamics(Dynamics, Protocol):
    """Dynamics that bring their own potential, a foundation model say; a request then has no `potentials`."""

    def require(self, elements: Iterable[str]) -> None:
        """See that it can work here and knows these elements, as far as that is cheap to tell; else an `InputError`."""
        ...

    def level(self) -> Level:
        """Return the level of theory of the forces; equal settings give the equal id."""
        ...
