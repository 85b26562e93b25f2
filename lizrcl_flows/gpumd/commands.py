"""The lines of ``run.in`` as typed objects.

Every command knows its own line for a given release of GPUMD (`line`) and the syntax that an error message shows
(`SYNTAX`). Reading lines is in `lizrcl_flows.gpumd.run_in`.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt

from lizrcl_flows.errors import InputError
from lizrcl_flows.gpumd.release import Release


def number(value: float) -> str:
    """Write a number as the shortest text that reads back as the same number."""
    return repr(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))


def _numbers(*values: float) -> str:
    return " ".join(number(value) for value in values)


class Command:
    """Base of the commands."""

    SYNTAX: ClassVar[str]

    def line(self, release: Release) -> str:  # noqa: ARG002  (most commands are the same in all releases)
        """Write the command as it stands in ``run.in`` for a release of GPUMD.

        Raises
        ------
        InputError
            The release has no keyword that does this.
        """
        return self._text()

    def _text(self) -> str:
        raise NotImplementedError


@dataclass(frozen=True)
class Potential(Command):
    """A potential file; with several, the first one drives the dynamics and `Active` uses all."""

    SYNTAX: ClassVar[str] = "potential FILE"
    file: str

    def _text(self) -> str:
        return f"potential {self.file}"


@dataclass(frozen=True)
class Velocity(Command):
    """Velocities drawn for a temperature (K); without effect where ``model.xyz`` has velocities."""

    SYNTAX: ClassVar[str] = "velocity T [seed S]"
    temperature_k: float
    seed: int | None = None

    def _text(self) -> str:
        return f"velocity {number(self.temperature_k)}" + ("" if self.seed is None else f" seed {self.seed}")


@dataclass(frozen=True)
class TimeStep(Command):
    """Time step (fs), shortened in a step where an atom would move further than `max_displacement_a` (A)."""

    SYNTAX: ClassVar[str] = "time_step DT_FS [MAX_DISPLACEMENT_A]"
    step_fs: float
    max_displacement_a: float | None = None

    def _text(self) -> str:
        limit = "" if self.max_displacement_a is None else f" {number(self.max_displacement_a)}"
        return f"time_step {number(self.step_fs)}{limit}"


@dataclass(frozen=True)
class Nve(Command):
    """Constant energy and volume."""

    SYNTAX: ClassVar[str] = "ensemble nve"

    def _text(self) -> str:
        return "ensemble nve"


@dataclass(frozen=True)
class NvtBdp(Command):
    """Constant volume, temperature from `start_k` to `end_k` (K) by stochastic velocity rescaling; tau in steps."""

    SYNTAX: ClassVar[str] = "ensemble nvt_bdp T1 T2 TAU_T (TAU_T in time steps, at least 1)"
    start_k: float
    end_k: float
    tau_steps: float

    def _text(self) -> str:
        return f"ensemble nvt_bdp {_numbers(self.start_k, self.end_k, self.tau_steps)}"


@dataclass(frozen=True)
class NptScr(Command):
    """Constant pressure by stochastic cell rescaling, temperature as in `NvtBdp`.

    Attributes
    ----------
    start_k, end_k
        Temperature at the start and the end of the run (K).
    tau_t_steps
        Relaxation time of the temperature, in steps.
    pressure_gpa
        Target pressure (GPa): one number (isotropic, orthogonal cells), three (xx yy zz, orthogonal cells) or six
        (xx yy zz yz xz xy, any cell).
    elastic_gpa
        Rough elastic constants (GPa), as many; a component above 2000 GPa does not move.
    tau_p_steps
        Relaxation time of the cell, in steps.
    """

    SYNTAX: ClassVar[str] = (
        "ensemble npt_scr T1 T2 TAU_T then P C TAU_P, or Pxx Pyy Pzz Cxx Cyy Czz TAU_P, "
        "or Pxx Pyy Pzz Pyz Pxz Pxy Cxx Cyy Czz Cyz Cxz Cxy TAU_P (GPa; TAU in time steps, at least 1)"
    )
    start_k: float
    end_k: float
    tau_t_steps: float
    pressure_gpa: tuple[float, ...]
    elastic_gpa: tuple[float, ...]
    tau_p_steps: float

    @classmethod
    def hydrostatic(
        cls,
        cell: npt.NDArray[np.float64],
        pressure_gpa: float,
        elastic_gpa: float,
        thermostat: NvtBdp,
        tau_p_steps: float = 1000.0,
        shape: Literal["flexible", "isotropic"] = "flexible",
    ) -> Self:
        """Choose the form that GPUMD accepts for a cell, at equal pressure from all sides.

        Parameters
        ----------
        cell
            Cell vectors in rows (A). A cell that is not orthogonal gets the triclinic form: the other two refuse it.
        pressure_gpa
            Target pressure (GPa).
        elastic_gpa
            Rough elastic constant for all components (GPa).
        thermostat
            Temperatures and relaxation time.
        tau_p_steps
            Relaxation time of the cell, in steps.
        shape
            ``flexible`` lets all edges (and angles, where the cell is not orthogonal) move; ``isotropic`` scales the
            cell as a whole.

        Raises
        ------
        InputError
            ``isotropic`` is asked for a cell that is not orthogonal.
        """
        orthogonal = is_orthogonal(cell)
        if shape == "isotropic" and not orthogonal:
            raise InputError(
                "npt_scr scales a cell as a whole only where it is orthogonal; this one is not: use the flexible shape."
            )
        count = 1 if shape == "isotropic" else 3 if orthogonal else 6
        pressure = (pressure_gpa,) if count == 1 else (pressure_gpa,) * 3 + (0.0,) * (count - 3)
        start, end, tau = thermostat.start_k, thermostat.end_k, thermostat.tau_steps
        return cls(start, end, tau, pressure, (elastic_gpa,) * count, tau_p_steps)

    def _text(self) -> str:
        heat = _numbers(self.start_k, self.end_k, self.tau_t_steps)
        return f"ensemble npt_scr {heat} {_numbers(*self.pressure_gpa, *self.elastic_gpa, self.tau_p_steps)}"


@dataclass(frozen=True)
class CorrectVelocity(Command):
    """Take out linear and angular momentum every `interval` steps, of all atoms or of each group of a method."""

    SYNTAX: ClassVar[str] = "correct_velocity INTERVAL [GROUPING_METHOD] (INTERVAL at least 10)"
    interval: int
    grouping_method: int | None = None

    def _text(self) -> str:
        method = "" if self.grouping_method is None else f" {self.grouping_method}"
        return f"correct_velocity {self.interval}{method}"


@dataclass(frozen=True)
class Fix(Command):
    """Hold the atoms of one group of grouping method 0 in place during the next run."""

    SYNTAX: ClassVar[str] = "fix GROUP (of grouping method 0)"
    group: int

    def _text(self) -> str:
        return f"fix {self.group}"


@dataclass(frozen=True)
class Replicate(Command):
    """Repeat the structure along its cell vectors."""

    SYNTAX: ClassVar[str] = "replicate NA NB NC"
    counts: tuple[int, int, int]

    def _text(self) -> str:
        return f"replicate {_numbers(*self.counts)}"


@dataclass(frozen=True)
class DumpThermo(Command):
    """Rows of ``thermo.out``."""

    SYNTAX: ClassVar[str] = "dump_thermo INTERVAL"
    interval: int

    def _text(self) -> str:
        return f"dump_thermo {self.interval}"


@dataclass(frozen=True)
class DumpRestart(Command):
    """``restart.xyz``, written anew every `interval` steps."""

    SYNTAX: ClassVar[str] = "dump_restart INTERVAL"
    interval: int

    def _text(self) -> str:
        return f"dump_restart {self.interval}"


DUMP_PROPERTIES = ("mass", "velocity", "force", "potential", "virial", "group_labels", "unwrapped_position")
"""What `DumpFrames` can add to the positions."""


@dataclass(frozen=True)
class DumpFrames(Command):
    """Frames in extended XYZ, by whichever keyword the release has for it.

    Attributes
    ----------
    interval
        Steps between frames.
    file
        Name of the file; where it ends in ``*``, each frame has its own, with the step in place of the star.
    properties
        Of `DUMP_PROPERTIES`.
    group
        Grouping method and group to write; None writes all atoms.
    precision
        ``single`` or ``double``.
    separated
        The flag of ``dump_exyz`` for a file ``dump.STEP.xyz`` for each frame.
    """

    SYNTAX: ClassVar[str] = (
        "dump_exyz INTERVAL [VELOCITY FORCE POTENTIAL SEPARATED] (each 0 or 1), "
        "dump_xyz INTERVAL FILE [group METHOD GROUP] [precision single|double] [PROPERTY ...], "
        "or dump_xyz METHOD GROUP INTERVAL FILE [PROPERTY ...] (METHOD -1: all atoms), "
        f"PROPERTY of {', '.join(DUMP_PROPERTIES)}; the form with METHOD first says group for group_labels"
    )
    interval: int
    file: str = "dump.xyz"
    properties: tuple[str, ...] = ()
    group: tuple[int, int] | None = None
    precision: Literal["single", "double"] = "single"
    separated: bool = False

    @property
    def file_per_frame(self) -> bool:
        """Whether every frame goes to a file of its own."""
        return self.separated or self.file.endswith("*")

    def file_at(self, step: int) -> str:
        """Name of the file for the frame after a step."""
        if self.separated:
            return f"dump.{step}.xyz"
        return f"{self.file[:-1]}{step}" if self.file_per_frame else self.file

    def line(self, release: Release) -> str:
        """Write the command; see `Command.line`."""
        if self.separated and (release.unified_dump_syntax or not self._fits_dump_exyz()):
            raise InputError(f"GPUMD {release} has no 'separated' for this dump; give a file name that ends in '*'.")
        if release.unified_dump_syntax:
            group = "" if self.group is None else f" group {self.group[0]} {self.group[1]}"
            words = " ".join(["", f"precision {self.precision}", *self.properties])
            return f"dump_xyz {self.interval} {self.file}{group}{words}"
        if self._fits_dump_exyz():
            flags = (int(name in self.properties) for name in ("velocity", "force", "potential"))
            return f"dump_exyz {self.interval} {_numbers(*flags, int(self.separated))}"
        method, label = self.group if self.group is not None else (-1, 0)
        # up to v5.6 the column is called 'group', and a word that is not known is passed over in silence
        properties = ("group" if name == "group_labels" else name for name in self.properties)
        return " ".join(["dump_xyz", _numbers(method, label, self.interval), self.file, *properties])

    def _fits_dump_exyz(self) -> bool:
        simple = set(self.properties) <= {"velocity", "force", "potential"}
        return simple and self.group is None and self.file == "dump.xyz"


NETCDF_PROPERTIES = ("velocity", "unwrapped_position")
"""What `DumpNetcdf` can add to the positions."""


@dataclass(frozen=True)
class DumpNetcdf(Command):
    """Frames in AMBER NetCDF; GPUMD needs to be built with it."""

    SYNTAX: ClassVar[str] = (
        "dump_netcdf INTERVAL FILE [group METHOD GROUP] [velocity unwrapped_position] [precision single|double], "
        "or dump_netcdf INTERVAL [VELOCITY (0 or 1)] [precision single|double]"
    )
    interval: int
    file: str = "movie.nc"
    properties: tuple[str, ...] = ()
    group: tuple[int, int] | None = None
    precision: Literal["single", "double"] = "single"

    def line(self, release: Release) -> str:
        """Write the command; up to v5.6 all atoms go to ``movie.nc`` and anything else is refused."""
        if release.unified_dump_syntax:
            group = "" if self.group is None else f" group {self.group[0]} {self.group[1]}"
            words = " ".join(["", *self.properties, f"precision {self.precision}"])
            return f"dump_netcdf {self.interval} {self.file}{group}{words}"
        if self.group is not None or self.file != "movie.nc" or not set(self.properties) <= {"velocity"}:
            raise InputError(f"GPUMD {release} writes NetCDF of all atoms to movie.nc, with velocities at most.")
        return f"dump_netcdf {self.interval} {int('velocity' in self.properties)} precision {self.precision}"


@dataclass(frozen=True)
class Active(Command):
    """Force deviation of the committee every `interval` steps, and the frames where it exceeds `threshold` (eV/A)."""

    SYNTAX: ClassVar[str] = (
        "active INTERVAL HAS_VELOCITY HAS_FORCE HAS_UNCERTAINTY THRESHOLD (flags 0 or 1, threshold in eV/A)"
    )
    interval: int
    has_velocity: bool
    has_force: bool
    has_uncertainty: bool
    threshold: float

    def line(self, release: Release) -> str:
        """Write the command; releases before v4.4 have no flag for the uncertainty of each atom."""
        flags = [int(self.has_velocity), int(self.has_force)]
        if release.active_has_uncertainty:
            flags.append(int(self.has_uncertainty))
        return f"active {self.interval} {_numbers(*flags, self.threshold)}"


@dataclass(frozen=True)
class ComputeMsd(Command):
    """Mean square displacement on the fly, of all atoms, one group, or every group of a method."""

    SYNTAX: ClassVar[str] = "compute_msd INTERVAL POINTS [group METHOD GROUP | all_groups METHOD] [save_every STEPS]"
    interval: int
    points: int
    group: tuple[int, int] | None = None
    all_groups: int | None = None
    save_every: int | None = None

    def _text(self) -> str:
        words = [f"compute_msd {self.interval} {self.points}"]
        if self.group is not None:
            words.append(f"group {self.group[0]} {self.group[1]}")
        if self.all_groups is not None:
            words.append(f"all_groups {self.all_groups}")
        if self.save_every is not None:
            words.append(f"save_every {self.save_every}")
        return " ".join(words)


@dataclass(frozen=True)
class Run(Command):
    """Perform so many steps with what was said since the last run."""

    SYNTAX: ClassVar[str] = "run STEPS"
    steps: int

    def _text(self) -> str:
        return f"run {self.steps}"


Ensemble = Nve | NvtBdp | NptScr


def is_orthogonal(cell: npt.NDArray[np.float64]) -> bool:
    """Whether GPUMD takes a cell for orthogonal: the vectors lie along x, y and z.

    Parameters
    ----------
    cell
        Cell vectors in rows (A), shape (3, 3).
    """
    off_diagonal = cell - np.diag(np.diag(cell))
    return bool(np.all(np.abs(off_diagonal) <= 1e-10 * np.abs(cell).max()))
