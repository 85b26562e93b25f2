"""Extended XYZ of any dialect that names what it holds: GPUMD, ASE, MACE, and the export of this package."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TextIO

import numpy as np

from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.errors import InputError
from lizrcl_flows.gpumd.extended_xyz import RawFrame, parse_periodicity, read_frames
from lizrcl_flows.science.imports.records import ComputedFrame

ENERGY_KEYS = ("energy", "REF_energy", "label_energy", "DFT_energy", "dft_energy", "total_energy")
FREE_ENERGY = "free_energy"
ZERO_ENERGY = "label_energy_zero"
FORCE_KEYS = ("forces", "force", "REF_forces", "REF_force", "label_forces", "DFT_forces")
STRESS_KEYS = ("stress", "REF_stress", "label_stress", "DFT_stress")
VIRIAL_KEYS = ("virial", "virials", "REF_virial", "REF_virials", "DFT_virial")

SAME_ENERGY_EV = 1e-6
SAME_VIRIAL_EV_PER_ATOM = 1e-3
"""By how much a virial and a stress of one frame may differ."""

_VOIGT = (0, 5, 4, 5, 1, 3, 4, 3, 2)
"""Where the nine components stand among xx yy zz yz xz xy (ASE's order)."""


@dataclass(frozen=True)
class XyzKeys:
    """Which keys hold the results, where a file has several or other ones; None: found by name."""

    energy: str | None = None
    forces: str | None = None
    stress: str | None = None
    virial: str | None = None


class _UnusableError(Exception):
    """A frame that is no label, for a reason that lies in the file."""


def read_extended_xyz(stream: TextIO, name: str, keys: XyzKeys) -> tuple[list[ComputedFrame], list[str], list[str]]:
    """Read the frames of an extended XYZ file.

    Energies are in eV, forces in eV/A, `stress` in eV/A^3 (tension positive), `virial` in eV (compression positive: it
    is -stress times volume, as GPUMD, ASE and MACE have it). Where there is a `free_energy`, it is the one that belongs
    to the forces.

    Returns
    -------
    frames
        What could be read.
    problems
        A sentence for each frame that cannot be a label as it stands, and where the file is malformed.
    level_ids
        Levels of this package that the frames name.
    """
    frames: list[ComputedFrame] = []
    problems: list[str] = []
    levels: dict[str, None] = {}
    number = 0
    try:
        for number, raw in enumerate(read_frames(stream, name), 1):
            try:
                frames.append(_frame(raw, number, name, keys))
            except (_UnusableError, InputError) as error:
                problems.append(f"{name}, frame {number}: {error}".replace(f"{name}, frame {number}: {name}", name))
            if "level" in raw.header:
                levels.setdefault(raw.header["level"])
    except InputError as error:
        problems.append(f"{str(error).rstrip('.')}; the {number} frames before are used")
    except (EOFError, OSError) as error:
        problems.append(f"{name}: {error}; the {number} frames before are used")
    return frames, problems, list(levels)


def _frame(raw: RawFrame, number: int, where: str, keys: XyzKeys) -> ComputedFrame:
    from ase.data import atomic_numbers

    unknown = sorted({symbol for symbol in raw.species if not atomic_numbers.get(symbol, 0)})
    if unknown:
        raise _UnusableError(f"unknown elements {', '.join(unknown)}; chemical symbols such as Zr are accepted")
    cell = raw.numbers("lattice", 9, where)
    if cell is None:
        raise _UnusableError("no Lattice; nine numbers, the cell vectors in A, are needed")
    bare = ComputedFrame(
        number=number,
        numbers=np.array([atomic_numbers[symbol] for symbol in raw.species], dtype=np.int64),
        cell=cell.reshape(3, 3),
        positions=raw.columns["pos"],
        pbc=parse_periodicity(raw.header.get("pbc"), where),
        phase=raw.header.get("phase"),
    )
    status = raw.header.get("status", "accepted")
    if status != "accepted":
        told = raw.header.get("reason", "")
        return replace(bare, reason=f"the file calls it {status}{': ' if told else ''}{told}", tentative=True)
    energy, zero = _energies(raw, where, keys)
    volume = float(abs(np.linalg.det(bare.cell)))
    stress = _stress(raw, where, keys, volume)
    return replace(bare, energy=energy, energy_zero=zero, forces=_forces(raw, keys), stress=stress)


def _energies(raw: RawFrame, where: str, keys: XyzKeys) -> tuple[float, float | None]:
    """Return the energy that belongs to the forces, and the one extrapolated to no smearing."""
    found = _numbers_of(raw, where, ENERGY_KEYS if keys.energy is None else (keys.energy,), (1,))
    free = None if keys.energy else raw.numbers(FREE_ENERGY, 1, where)
    energy = _agreed(found, SAME_ENERGY_EV, "--energy-key")
    if free is not None:
        return float(free[0]), None if energy is None else float(energy[0])
    if energy is None:
        wanted = keys.energy or ", ".join((*ENERGY_KEYS, FREE_ENERGY))
        raise _UnusableError(f"no energy; it has {', '.join(_told(raw))}, accepted are {wanted}")
    zero = raw.numbers(ZERO_ENERGY, 1, where)
    return float(energy[0]), None if zero is None else float(zero[0])


def _forces(raw: RawFrame, keys: XyzKeys) -> Array:
    names = FORCE_KEYS if keys.forces is None else (keys.forces,)
    columns = {name: raw.columns[name.lower()] for name in names if name.lower() in raw.columns}
    wide = {name: values for name, values in columns.items() if values.shape == (len(raw.species), 3)}
    forces = _agreed(wide, SAME_ENERGY_EV, "--forces-key")
    if forces is None:
        accepted = f"accepted are three columns called {', '.join(names)}"
        raise _UnusableError(f"no forces; its columns are species, {', '.join(raw.columns)}; {accepted}")
    return forces


def _stress(raw: RawFrame, where: str, keys: XyzKeys, volume: float) -> Array | None:
    """Return the stress (3, 3) in eV/A^3, tension positive; None where the frame has none."""
    stresses = _numbers_of(raw, where, STRESS_KEYS if keys.stress is None else (keys.stress,), (9, 6))
    virials = _numbers_of(raw, where, VIRIAL_KEYS if keys.virial is None else (keys.virial,), (9, 6))
    stress = _agreed({name: _tensor(values) for name, values in stresses.items()}, SAME_ENERGY_EV, "--stress-key")
    virial = _agreed({name: _tensor(values) for name, values in virials.items()}, SAME_ENERGY_EV, "--virial-key")
    if virial is None or volume == 0:
        return stress
    if stress is not None:
        gap = float(np.abs(virial + stress * volume).max()) / len(raw.species)
        if gap > SAME_VIRIAL_EV_PER_ATOM:
            raise _UnusableError(
                f"virial and stress differ by {gap:.3g} eV/atom; virial (eV) is -stress (eV/A^3) times volume"
            )
        return stress
    return -virial / volume


def _tensor(values: Array) -> Array:
    return (values[list(_VOIGT)] if values.size == 6 else values).reshape(3, 3)


def _numbers_of(raw: RawFrame, where: str, names: Sequence[str], sizes: tuple[int, ...]) -> dict[str, Array]:
    """Return the values of those header keys that the frame has."""
    found: dict[str, Array] = {}
    for name in names:
        text = raw.header.get(name.lower())
        if text is not None and name.lower() not in {known.lower() for known in found}:
            size = len(text.split())
            values = raw.numbers(name.lower(), size if size in sizes else sizes[0], where)
            if values is not None:
                found[name] = values
    return found


def _agreed(found: Mapping[str, Array], tolerance: float, option: str) -> Array | None:
    """Return the value that all keys agree about; None where there is no key."""
    values = list(found.values())
    for other in values[1:]:
        if not np.allclose(values[0], other, rtol=0, atol=tolerance, equal_nan=True):
            raise _UnusableError(f"{' and '.join(found)} differ; {option} says which one is meant")
    return values[0] if values else None


def _told(raw: RawFrame) -> list[str]:
    return [key for key in raw.header if key not in ("lattice", "properties", "pbc")] or ["no keys"]
