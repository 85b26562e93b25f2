"""What a run writes on the way: ``thermo.out``, frames, ``restart.xyz``, ``active.out`` and ``active.xyz``.

All files but ``restart.xyz`` are appended to, as GPUMD does, and flushed at every record, so that a run that is killed
leaves what it had.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from lizrcl_flows.gpumd.commands import Active, DumpFrames, DumpNetcdf
from lizrcl_flows.gpumd.extended_xyz import FloatArray, FrameFormat, format_lattice, format_periodicity
from lizrcl_flows.gpumd.model_xyz import write_model_xyz
from lizrcl_flows.gpumd.netcdf_writer import NetcdfWriter
from lizrcl_flows.gpumd.system import System
from lizrcl_flows.nep.committee import force_spread
from lizrcl_flows.units import GPA_PER_EV_A3

FS_PER_PS = 1000.0


class Recorder(Protocol):
    """Looks at the system every `interval` steps.

    Attributes
    ----------
    interval
        Steps between records.
    writes_frames
        Whether structures are written, which are then checked before.
    """

    interval: int
    writes_frames: bool

    def record(self, step: int, kinetic: float) -> None:
        """Write what is to be written after step `step`, with the kinetic energy at hand (eV)."""
        ...

    def close(self) -> None:
        """Finish the files."""
        ...


class ThermoRecorder:
    """Rows of ``thermo.out`` under a header for each run."""

    writes_frames = False
    COLUMNS = "T KE PE sxx syy szz syz sxz sxy ax ay az bx by bz cx cy cz"

    def __init__(self, directory: Path, system: System, interval: int, step_fs: float) -> None:
        self.interval = interval
        self._system = system
        self._file = (directory / "thermo.out").open("a", encoding="utf-8")
        self._file.write(
            f"# num_atoms {len(system)}\n# dt_output {interval * step_fs:.12g} fs\n# columns {self.COLUMNS}\n"
            "# units K eV eV GPa*6 A*9; pressures count compression as positive\n"
        )
        self._row = " ".join(["%.10e"] * 18) + "\n"

    def record(self, step: int, kinetic: float) -> None:  # noqa: ARG002
        """Write a row."""
        system = self._system
        pressure = system.pressure() * GPA_PER_EV_A3
        pressures = [float(pressure[pair]) for pair in ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))]
        self._file.write(
            self._row % (system.temperature(kinetic), kinetic, system.energy, *pressures, *system.cell.ravel().tolist())
        )
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class RestartRecorder:
    """``restart.xyz``, which replaces itself: a reader finds a whole file at any time."""

    writes_frames = True

    def __init__(self, directory: Path, system: System, interval: int) -> None:
        self.interval = interval
        self._system = system
        self._path = directory / "restart.xyz"

    def record(self, step: int, kinetic: float) -> None:  # noqa: ARG002
        """Write the file anew."""
        write_model_xyz(self._path, self._system.snapshot())

    def close(self) -> None:
        """Do nothing: the file is whole."""


def frame_header(system: System, virial: FloatArray, extra: str = "") -> str:
    """Header of a frame in the order of GPUMD; ``stress`` is a pressure with its kinetic part, as GPUMD writes it.

    Parameters
    ----------
    system
        The system at the time of the frame.
    virial
        Virial (eV), shape (3, 3).
    extra
        Pairs to put after ``pbc``.
    """
    numbers = " ".join(f"{value:.10g}" for value in virial.ravel())
    pressure = " ".join(f"{value:.10g}" for value in system.pressure().ravel())
    return (
        f"Time={system.time_fs:.10g} {format_periodicity(system.pbc)} {extra}{format_lattice(system.cell)} "
        f'energy={system.energy:.12g} virial="{numbers}" stress="{pressure}"'
    )


class AtomEnergies(Protocol):
    """A force field that also knows the energy of each atom."""

    def atom_energies(self, cell: FloatArray, positions: FloatArray) -> FloatArray:
        """Evaluate the energies of the atoms (eV), shape (N,)."""
        ...


def chosen_atoms(system: System, group: tuple[int, int] | None) -> npt.NDArray[np.bool_]:
    """Tell which atoms belong to a group, given by its grouping method and its label; all where none is given."""
    if group is None or system.groups is None:
        return np.ones(len(system), dtype=bool)
    mask: npt.NDArray[np.bool_] = system.groups[:, group[0]] == group[1]
    return mask


class FrameRecorder:
    """Frames of ``dump_exyz`` and ``dump_xyz``.

    Parameters
    ----------
    directory
        Where the file goes.
    system
        What is written.
    command
        What of it.
    force_field
        Asked for the energies of atoms where these are written.
    """

    writes_frames = True

    def __init__(self, directory: Path, system: System, command: DumpFrames, force_field: AtomEnergies) -> None:
        self.interval = command.interval
        self._directory = directory
        self._system = system
        self._command = command
        self._force_field = force_field
        self._atoms = chosen_atoms(system, command.group)
        species = np.array(system.species, dtype=object)[self._atoms].tolist()
        real = "%.10f" if command.precision == "single" else "%.17g"
        groups = 1 if system.groups is None else system.groups.shape[1]
        columns = {
            "mass": ("mass", 1, real),
            "velocity": ("vel", 3, real if command.precision == "double" else "%.12f"),
            "force": ("forces", 3, real),
            "potential": ("energy_atom", 1, real),
            "group_labels": ("group", groups, "%d"),
            "unwrapped_position": ("unwrapped_position", 3, real),
        }
        chosen = [columns[name] for name in command.properties]
        self._format = FrameFormat(species, [("pos", 3, real), *chosen])
        self._file = None if command.file_per_frame else (directory / command.file).open("a", encoding="utf-8")

    def _array(self, name: str) -> npt.NDArray[np.generic]:
        system = self._system
        if name == "mass":
            return system.masses
        if name == "velocity":
            return system.velocities
        if name == "force":
            return system.forces
        if name == "potential":
            return self._force_field.atom_energies(system.cell, system.positions)
        if name == "group_labels":
            return np.zeros(len(system), dtype=np.int64) if system.groups is None else system.groups
        return system.positions

    def record(self, step: int, kinetic: float) -> None:  # noqa: ARG002
        """Write a frame."""
        system = self._system
        arrays = [system.wrapped_positions(), *(self._array(name) for name in self._command.properties)]
        text = self._format.render(frame_header(system, system.virial), [array[self._atoms] for array in arrays])
        if self._file is None:
            (self._directory / self._command.file_at(step)).write_text(text, encoding="utf-8")
            return
        self._file.write(text)
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


class NetcdfRecorder:
    """Frames of ``dump_netcdf``. The file is written anew by every run, unlike GPUMD's, which appends."""

    writes_frames = True

    def __init__(self, directory: Path, system: System, command: DumpNetcdf) -> None:
        self.interval = command.interval
        self._system = system
        self._properties = command.properties
        self._atoms = chosen_atoms(system, command.group)
        species = [symbol for symbol, wanted in zip(system.species, self._atoms, strict=True) if wanted]
        self._writer = NetcdfWriter(directory / command.file, species, double=command.precision == "double")

    def record(self, step: int, kinetic: float) -> None:  # noqa: ARG002
        """Write a frame."""
        system, atoms = self._system, self._atoms
        self._writer.append(
            system.time_fs / FS_PER_PS,
            system.cell,
            system.wrapped_positions()[atoms],
            velocities=system.velocities[atoms] * FS_PER_PS if "velocity" in self._properties else None,
            unwrapped=system.positions[atoms] if "unwrapped_position" in self._properties else None,
        )

    def close(self) -> None:
        """Close the file."""
        self._writer.close()


class CommitteeField(Protocol):
    """All potentials of a run."""

    def compute_all(self, cell: FloatArray, positions: FloatArray) -> FloatArray:
        """Evaluate the forces of every member (eV/A), shape (M, N, 3)."""
        ...


class ActiveRecorder:
    """``active.out`` at every check, ``active.xyz`` where the deviation is above the threshold."""

    writes_frames = True

    def __init__(self, directory: Path, system: System, command: Active, committee: CommitteeField) -> None:
        self.interval = command.interval
        self._system = system
        self._command = command
        self._committee = committee
        columns: list[tuple[str, int, str]] = [("pos", 3, "%.10f")]
        if command.has_velocity:
            columns.append(("vel", 3, "%.12f"))
        if command.has_force:
            columns.append(("forces", 3, "%.10f"))
        if command.has_uncertainty:
            columns.append(("uncertainty", 1, "%.10f"))
        self._format = FrameFormat(system.species, columns)
        self._table = (directory / "active.out").open("a", encoding="utf-8")
        self._frames = (directory / "active.xyz").open("a", encoding="utf-8")

    def record(self, step: int, kinetic: float) -> None:  # noqa: ARG002
        """Evaluate all members and write."""
        system, command = self._system, self._command
        deviation = force_spread(self._committee.compute_all(system.cell, system.positions))
        eps = float(deviation.max())
        self._table.write(f"{system.time_fs:.10g} {eps:.10g}\n")
        self._table.flush()
        if not eps > command.threshold:
            return
        arrays: Sequence[tuple[bool, npt.NDArray[np.generic]]] = (
            (True, system.wrapped_positions()),
            (command.has_velocity, system.velocities),
            (command.has_force, system.forces),
            (command.has_uncertainty, deviation),
        )
        header = frame_header(system, system.virial, f"uncertainty={eps:.10g} ")
        self._frames.write(self._format.render(header, [array for wanted, array in arrays if wanted]))
        self._frames.flush()

    def close(self) -> None:
        """Close both files."""
        self._table.close()
        self._frames.close()
