"""What every dynamics engine offers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from lizrcl_flows.documents import Health, Level, Structure, ThermoSummary


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
    sample_every
        Steps between stored frames, or between checks where `active_threshold` is given.
    active_threshold
        Where given, an engine that runs the whole committee along may store only the frames whose deviation exceeds it
        (eV/A), and then says how many it checked. None stores every sampled frame.
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


class Dynamics(Protocol):
    """Run molecular dynamics with a committee's first member. A plain dataclass with ``as_dict``/``from_dict``."""

    def run(self, request: DynamicsRequest, directory: Path) -> DynamicsResult:
        """Run in a fresh directory. A run that blows up is a result with its health; its frames before are kept.

        Raises
        ------
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
